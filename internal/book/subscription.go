package book

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"

	"roster.dev/roster/api/v1alpha1"
)

// ChangeType says what became of an entry.
type ChangeType string

// The types of changes.
const (
	Added    ChangeType = "ADDED"
	Modified ChangeType = "MODIFIED"
	Deleted  ChangeType = "DELETED"
)

// Change is what became of an entry. A Deleted one is as it was last.
type Change[T any] struct {
	Type  ChangeType
	Entry T
}

// ErrBehind says that a subscriber was so far behind that changes were dropped: State has all of them.
var ErrBehind = errors.New("too far behind: the state is to be read again")

// maximumPending is how many people's parts in cases may wait for a slow subscriber.
const maximumPending = 16384

// Subscription follows the entries of a view. Of an entry that changed several times since the last Next only the newest
// state is told. Its methods are for one goroutine at a time.
type Subscription[T Entry[T]] struct {
	view View[T]
	wake chan struct{}

	mu      sync.Mutex
	pending map[part]move
	behind  bool
}

// move is a person's case as it was told last and as it is now; nil where they did not hold it, or do not.
type move struct{ before, after *v1alpha1.CaseAssignment }

// Subscribe begins to follow a view.
func (v View[T]) Subscribe() *Subscription[T] {
	s := &Subscription[T]{view: v, wake: make(chan struct{}, 1), pending: map[part]move{}}
	v.index.follow(v.namespace, v.agents, s)
	return s
}

// Close ends the subscription.
func (s *Subscription[T]) Close() { s.view.index.unfollow(s.view.namespace, s.view.agents, s) }

// State gives all entries to yield as Rows does. It comes first, and again after ErrBehind; Next then has what changed
// since.
func (s *Subscription[T]) State(yield func([]T) bool) { s.view.list(s.forget, yield) }

func (s *Subscription[T]) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind, s.pending = false, map[part]move{}
}

// Next waits for changes and returns them in order.
func (s *Subscription[T]) Next(ctx context.Context) ([]Change[T], error) {
	for {
		changes, err := s.take()
		if len(changes) > 0 || err != nil {
			return changes, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.wake:
		}
	}
}

func (s *Subscription[T]) take() ([]Change[T], error) {
	pending, err := s.grab()
	if err != nil {
		return nil, err
	}
	var changes []Change[T]
	for p, m := range pending {
		before, after := s.entries(p.agent, m.before), s.entries(p.agent, m.after)
		for _, e := range after {
			switch i := slices.IndexFunc(before, e.same); {
			case i < 0:
				changes = append(changes, Change[T]{Added, e})
			case !reflect.DeepEqual(before[i], e):
				changes = append(changes, Change[T]{Modified, e})
			}
		}
		for _, e := range before {
			if !slices.ContainsFunc(after, e.same) {
				changes = append(changes, Change[T]{Deleted, e})
			}
		}
	}
	slices.SortFunc(changes, func(a, b Change[T]) int { return a.Entry.compare(b.Entry) })
	return changes, nil
}

func (s *Subscription[T]) entries(agent string, a *v1alpha1.CaseAssignment) []T {
	if a == nil {
		return nil
	}
	return s.view.entries(agent, a)
}

func (s *Subscription[T]) grab() (map[part]move, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.behind:
		return nil, ErrBehind
	case len(s.pending) == 0:
		return nil, nil
	}
	pending := s.pending
	s.pending = map[part]move{}
	return pending, nil
}

// offer notes a change. It never waits for the subscriber.
func (s *Subscription[T]) offer(p part, before, after *v1alpha1.CaseAssignment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind {
		return // the subscriber was told to read everything
	}
	if waiting, ok := s.pending[p]; ok {
		before = waiting.before
	}
	if before == after {
		delete(s.pending, p)
		return
	}
	s.pending[p] = move{before, after}
	if len(s.pending) > maximumPending {
		s.behind, s.pending = true, nil
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
