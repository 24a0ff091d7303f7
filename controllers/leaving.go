package controllers

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// leaving are people whose way out is not over: their registration or calls, or a server that cannot be asked.
type leaving struct {
	mu     sync.Mutex
	people map[types.NamespacedName]struct{}
}

func newLeaving() *leaving { return &leaving{people: map[types.NamespacedName]struct{}{}} }

func (l *leaving) set(namespace, name string, is bool) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	l.mu.Lock()
	defer l.mu.Unlock()
	if is {
		l.people[key] = struct{}{}
	} else {
		delete(l.people, key)
	}
}

func (l *leaving) has(namespace, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, is := l.people[types.NamespacedName{Namespace: namespace, Name: name}]
	return is
}

func (l *leaving) of(namespace string) (names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key := range l.people {
		if key.Namespace == namespace {
			names = append(names, key.Name)
		}
	}
	return names
}
