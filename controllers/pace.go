package controllers

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// pace keeps a report that changes all the time, as while thousands of people start, from being written all the time:
// the first change is written at once, those that follow at growing distances.
type pace struct {
	mu   sync.Mutex
	last map[types.NamespacedName]beat
}

// beat is when a report was written last, and how long the next one has to wait.
type beat struct {
	at   time.Time
	wait time.Duration
}

const (
	shortestPace = time.Second
	longestPace  = 4 * time.Second
	// busyFactor is how much longer a report waits that will change again in any case.
	busyFactor = 4
)

func newPace() *pace { return &pace{last: map[types.NamespacedName]beat{}} }

// wait is how long until a report may be written; 0 is now, and counts as written now. A busy report tells of
// work under way.
func (p *pace) wait(key types.NamespacedName, busy bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	b, now := p.last[key], time.Now()
	since, distance := now.Sub(b.at), b.wait
	if busy {
		distance *= busyFactor
	}
	switch {
	case since < distance:
		return distance - since
	case since > 2*distance:
		b.wait = shortestPace
	default:
		b.wait = min(2*b.wait, longestPace)
	}
	b.at = now
	p.last[key] = b
	return 0
}

func (p *pace) forget(key types.NamespacedName) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.last, key)
}
