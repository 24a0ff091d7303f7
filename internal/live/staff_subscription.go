package live

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// ChangeType says what became of a row.
type ChangeType string

// The types of changes.
const (
	Added    ChangeType = "ADDED"
	Modified ChangeType = "MODIFIED"
	Deleted  ChangeType = "DELETED"
)

// Change is what became of a row that a subscription lets through. A Deleted one has the row as it was last.
type Change struct {
	Type ChangeType
	Row  *Row
}

// ErrBehind says that a subscriber was so far behind that changes were dropped: State has all of them.
var ErrBehind = errors.New("too far behind: the state is to be read again")

// maximumPending is how many rows may wait for a slow subscriber.
const maximumPending = 16384

// Subscription follows rows. Of a row that changed several times since the last Next only the newest state is told.
// Its methods are for one goroutine at a time.
type Subscription struct {
	center *staffCenter
	filter Filter
	wake   chan struct{}

	mu sync.Mutex
	// listing says that State is under way, or not begun: rows of queues after cursor are still to be listed.
	listing bool
	cursor  string
	pending map[rowKey]rowChange
	behind  bool
}

// rowChange is a row as it was told last and as it is now; nil is none.
type rowChange struct{ before, after *Row }

func (x rowChange) none() bool {
	if x.before == nil || x.after == nil {
		return x.before == x.after
	}
	return x.before.equal(x.after)
}

// State gives all rows to yield as Rows does. It comes first, and again after ErrBehind; Next then has what changed
// since each was given.
func (s *Subscription) State(yield func([]*Row) bool) {
	s.mu.Lock()
	s.listing, s.cursor, s.behind = true, "", false
	clear(s.pending)
	s.mu.Unlock()
	s.center.list(&s.filter, s, yield)
}

// Next waits for changes and returns them in order: queue, channel, agent.
func (s *Subscription) Next(ctx context.Context) ([]Change, error) {
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

// Close ends the subscription.
func (s *Subscription) Close() {
	s.center.mu.Lock()
	defer s.center.mu.Unlock()
	delete(s.center.subscribers, s)
}

func (s *Subscription) take() ([]Change, error) {
	pending, err := s.grab()
	if len(pending) == 0 {
		return nil, err
	}
	changes := make([]Change, 0, len(pending))
	for _, x := range pending {
		switch {
		case x.before == nil:
			changes = append(changes, Change{Added, x.after})
		case x.after == nil:
			changes = append(changes, Change{Deleted, x.before})
		default:
			changes = append(changes, Change{Modified, x.after})
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return a.Row.key().compare(b.Row.key()) })
	return changes, nil
}

func (s *Subscription) grab() (map[rowKey]rowChange, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.behind:
		return nil, ErrBehind
	case len(s.pending) == 0:
		return nil, nil
	}
	pending := s.pending
	s.pending = map[rowKey]rowChange{}
	return pending, nil
}

// offer notes changes that the filter lets through. It never waits for the subscriber.
func (s *Subscription) offer(changes map[rowKey]rowChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind {
		return // the subscriber was told to read everything
	}
	for key, x := range changes {
		if s.listing && key.queue > s.cursor {
			continue
		}
		if x.before != nil && !s.filter.lets(x.before) {
			x.before = nil
		}
		if x.after != nil && !s.filter.lets(x.after) {
			x.after = nil
		}
		if waiting, ok := s.pending[key]; ok {
			x.before = waiting.before
		}
		if x.none() {
			delete(s.pending, key)
			continue
		}
		s.pending[key] = x
		if len(s.pending) > maximumPending {
			s.behind, s.pending = true, map[rowKey]rowChange{}
			break
		}
	}
	if len(s.pending) > 0 || s.behind {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// reach notes how far State is.
func (s *Subscription) reach(queue string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = queue
}

func (s *Subscription) listed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listing = false
}
