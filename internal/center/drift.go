package center

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony"
)

// comparing is when the telephone system is compared with what was applied.
type comparing struct {
	// now asks for a comparison at once; changed tells of another interval.
	now, changed chan struct{}

	mu       sync.Mutex
	interval time.Duration
}

// compareTimeout bounds a comparison.
const compareTimeout = 5 * time.Minute

// CompareEvery sets how often the telephone system is compared with what was applied; 0 is never.
func (c *Center) CompareEvery(interval time.Duration) {
	c.comparing.mu.Lock()
	same := c.comparing.interval == interval
	c.comparing.interval = interval
	c.comparing.mu.Unlock()
	if !same {
		signal(c.comparing.changed)
	}
}

// CompareNow compares soon, whatever the interval.
func (c *Center) CompareNow() { signal(c.comparing.now) }

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// next is when to compare next: a little earlier than the interval, so that centres do not all compare at once.
func (c *Center) next() time.Duration {
	c.comparing.mu.Lock()
	defer c.comparing.mu.Unlock()
	if c.comparing.interval == 0 {
		return 24 * time.Hour
	}
	return c.comparing.interval - time.Duration(rand.Int64N(int64(c.comparing.interval)/10+1))
}

func (c *Center) compareNowAndThen(ctx context.Context) {
	timer := time.NewTimer(c.next())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.comparing.changed:
		case <-c.comparing.now:
			c.compare(ctx)
		case <-timer.C:
			c.compare(ctx)
		}
		timer.Reset(c.next())
	}
}

// compare looks once for what somebody else changed. What cannot be read is no drift.
func (c *Center) compare(ctx context.Context) {
	c.mu.RLock()
	backend, connected := c.backend, c.status.State == v1alpha1.ConnectionConnected
	c.mu.RUnlock()
	if !connected {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, compareTimeout)
	defer cancel()
	c.beginComparison()
	drift, err := backend.Compare(ctx)
	phones, fresh := c.suspectPhones(drift)
	if err != nil {
		if ctx.Err() == nil {
			c.log.Info("cannot compare the telephone system", "namespace", c.namespace, "reason", err.Error())
		}
		return
	}
	if len(drift.Agents)+len(drift.Queues)+len(drift.Strays)+len(phones) == 0 {
		return
	}
	c.hooks.drifted(c.namespace, drift, phones, fresh)
}

// beginComparison has known callers noted that are written while the comparison reads.
func (c *Center) beginComparison() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.written = map[string]struct{}{}
	for phone := range c.writing {
		c.written[phone] = struct{}{}
	}
}

// suspectPhones ends a comparison: known callers that are not as they are recorded here, and that nobody has written
// meanwhile, become suspect. It returns them, sorted, and how many were not so before.
func (c *Center) suspectPhones(drift *telephony.Drift) (phones []string, fresh int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written := c.written
	c.written = nil
	if drift == nil || written == nil { // it failed, or the records were read anew
		return nil, 0
	}
	before := len(c.suspectSticky)
	suspect := func(phone string) {
		if _, meanwhile := written[phone]; !meanwhile {
			c.suspectSticky[phone] = struct{}{}
			phones = append(phones, phone)
		}
	}
	for phone, sticky := range c.sticky {
		if found, there := drift.Sticky[phone]; !there || found != sticky {
			suspect(phone)
		}
	}
	for phone := range drift.Sticky {
		if _, recorded := c.sticky[phone]; !recorded {
			suspect(phone)
		}
	}
	slices.Sort(phones)
	return phones, len(c.suspectSticky) - before
}

// Suspect notes that somebody else changed the rows of people and queues: what is recorded of them says no more
// whether they are as they should be. It returns how many were not suspect before.
func (c *Center) Suspect(agents, queues []string) (fresh int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := len(c.suspectAgents) + len(c.suspectQueues)
	for _, name := range agents {
		if _, registered := c.agents[name]; registered {
			c.suspectAgents[name] = struct{}{}
		}
	}
	for _, name := range queues {
		if _, registered := c.queues[name]; registered {
			c.suspectQueues[name] = struct{}{}
		}
	}
	return len(c.suspectAgents) + len(c.suspectQueues) - before
}

// IsSuspect says whether a person's rows were changed by somebody else.
func (c *Center) IsSuspect(agent string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, is := c.suspectAgents[agent]
	return is
}

// IsSuspectQueue says whether a queue's rows were changed by somebody else.
func (c *Center) IsSuspectQueue(queue string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, is := c.suspectQueues[queue]
	return is
}

// IsSuspectSticky says whether the row of a known caller was changed, taken out or put in by somebody else.
func (c *Center) IsSuspectSticky(phone string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	_, is := c.suspectSticky[phone]
	return is
}
