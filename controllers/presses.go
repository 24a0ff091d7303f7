package controllers

import (
	"maps"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// presses are the pauses that people set while Roster paused them, until they are recorded: their reasons, by queue.
type presses struct {
	mu     sync.Mutex
	people map[types.NamespacedName]map[string]string
}

func newPresses() *presses { return &presses{people: map[types.NamespacedName]map[string]string{}} }

func (p *presses) add(namespace, name, queue, reason string) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.people[key] == nil {
		p.people[key] = map[string]string{}
	}
	p.people[key][queue] = reason
}

func (p *presses) drop(namespace, name, queue string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.people[types.NamespacedName{Namespace: namespace, Name: name}], queue)
}

// of are a person's that are not recorded yet; nil for none.
func (p *presses) of(namespace, name string) map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.people[types.NamespacedName{Namespace: namespace, Name: name}])
}

// recorded forgets what was recorded, and keeps what came meanwhile.
func (p *presses) recorded(namespace, name string, done map[string]string) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.people[key], func(queue, reason string) bool {
		was, is := done[queue]
		return is && was == reason
	})
	if len(p.people[key]) == 0 {
		delete(p.people, key)
	}
}
