package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// leaving are people whose way out is not over: their registration or calls, or a server that cannot be asked.
type leaving struct {
	mu sync.Mutex
	// people, with when their phone was first seen to ring; zero while it does not.
	people map[types.NamespacedName]time.Time
}

func newLeaving() *leaving { return &leaving{people: map[types.NamespacedName]time.Time{}} }

func (l *leaving) set(namespace, name string, is bool) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, already := l.people[key]; is && !already {
		l.people[key] = time.Time{}
	} else if !is {
		delete(l.people, key)
	}
}

// ringing notes whether the phone of a person rings, and says for how long it has.
func (l *leaving) ringing(namespace, name string, rings bool) time.Duration {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	l.mu.Lock()
	defer l.mu.Unlock()
	since := l.people[key]
	switch {
	case !rings:
		since = time.Time{}
	case since.IsZero():
		since = time.Now()
	}
	l.people[key] = since
	if since.IsZero() {
		return 0
	}
	return time.Since(since)
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
