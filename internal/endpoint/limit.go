package endpoint

import (
	"sync"
	"time"
)

const (
	// attemptEvery is how long it takes until one more attempt may be made, by one caller and for one agent, after
	// so many at once: a portal calls for many people, a person for one.
	attemptEvery     = time.Minute
	attemptsByAgent  = 5
	attemptsByCaller = 30
	// maximumBuckets is how many agents and callers are remembered. Who tried nothing for a while is forgotten anyway.
	maximumBuckets = 8192
)

// limiter counts attempts by key. A key has tokens, each attempt takes one, and one comes back every attemptEvery.
type limiter struct {
	tokens int
	now    func() time.Time

	mu sync.Mutex
	// full is when a key has all of its tokens again.
	full map[string]time.Time
}

func newLimiter(tokens int, now func() time.Time) *limiter {
	return &limiter{tokens: tokens, now: now, full: map[string]time.Time{}}
}

// take takes a token, or says how long to wait for one.
func (l *limiter) take(key string) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if len(l.full) >= maximumBuckets {
		l.forget(now)
	}
	full, known := l.full[key]
	if !known && len(l.full) >= maximumBuckets {
		// All of them tried a short time ago: rather nobody new than one of them forgotten.
		return attemptEvery
	}
	if full.Before(now) {
		full = now
	}
	if wait := full.Sub(now) - time.Duration(l.tokens-1)*attemptEvery; wait > 0 {
		return wait
	}
	l.full[key] = full.Add(attemptEvery)
	return 0
}

// giveBack returns a token that was taken for nothing.
func (l *limiter) giveBack(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.full[key] = l.full[key].Add(-attemptEvery)
	if !l.full[key].After(l.now()) {
		delete(l.full, key)
	}
}

// forget drops keys that have all of their tokens.
func (l *limiter) forget(now time.Time) {
	for key, full := range l.full {
		if !full.After(now) {
			delete(l.full, key)
		}
	}
}
