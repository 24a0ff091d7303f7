// Package center keeps each centre's connection to its telephone system: it opens it, notices that it is gone,
// waits for it without holding anybody up, and remembers what is recorded there.
package center

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony"
)

// Target is the telephone system that a centre is to use.
type Target struct {
	Type v1alpha1.DatabaseType
	// Path of a SQLite file, absolute.
	Path string
	// DSN of a PostgreSQL database. A secret.
	DSN string
	// Identity tells databases apart without credentials.
	Identity string
	// ContactsTables are the tables that the Asterisk servers keep registrations in; a comma joins them.
	ContactsTables string
}

// Opener opens a centre's telephone system. It need not reach it: the first Load does.
type Opener func(namespace string, target Target) (telephony.Backend, error)

// Status is the state of a centre's connection.
type Status struct {
	State v1alpha1.ConnectionState
	// Since is when the state began.
	Since time.Time
	// Message says what is wrong; empty while connected.
	Message string
	// Target in use.
	Type     v1alpha1.DatabaseType
	Identity string
}

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
	// steady is how long a connection must last before the waiting begins anew.
	steady = 10 * time.Second
	// pingInterval bounds how long an outage that no write runs into goes unnoticed.
	pingInterval = 2 * time.Second
	// loadTimeout bounds the read of everything that is recorded of a centre.
	loadTimeout = 60 * time.Second
)

// Center is one centre's connection. It is safe for concurrent use.
type Center struct {
	namespace string
	target    Target
	hooks     hooks
	log       logr.Logger
	stop      context.CancelFunc
	done      chan struct{}
	broken    chan struct{}

	mu      sync.RWMutex
	status  Status
	backend telephony.Backend
	agents  map[string]telephony.AgentRecord
	queues  map[string]telephony.QueueRecord
	sticky  map[string]telephony.Sticky
	// suspects are people, queues and known callers whose rows somebody else changed, until they are applied again.
	suspectAgents, suspectQueues, suspectSticky map[string]struct{}
	// writing counts the calls under way that write a known caller, by phone. written are the callers that were written
	// since the comparison under way began: of them it does not tell whether they are as they should be.
	writing map[string]int
	written map[string]struct{}

	comparing comparing
}

func newCenter(namespace string, target Target, hooks hooks, log logr.Logger) *Center {
	ctx, stop := context.WithCancel(context.Background())
	c := &Center{
		namespace: namespace, target: target, hooks: hooks, log: log, stop: stop,
		done: make(chan struct{}), broken: make(chan struct{}, 1),
		suspectAgents: map[string]struct{}{}, suspectQueues: map[string]struct{}{}, suspectSticky: map[string]struct{}{},
		writing:   map[string]int{},
		comparing: comparing{now: make(chan struct{}, 1), changed: make(chan struct{}, 1)},
		status: Status{
			State: v1alpha1.ConnectionConnecting, Since: time.Now(), Type: target.Type, Identity: target.Identity,
		},
	}
	var running sync.WaitGroup
	running.Add(2)
	go func() { defer running.Done(); c.run(ctx) }()
	go func() { defer running.Done(); c.compareNowAndThen(ctx) }()
	go func() { running.Wait(); close(c.done) }()
	return c
}

// close ends the connection and waits until nothing runs any more.
func (c *Center) close() {
	c.stop()
	<-c.done
}

// run keeps the connection: load, watch, and after a failure the same again.
func (c *Center) run(ctx context.Context) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.backend != nil {
			_ = c.backend.Close()
			c.backend = nil
		}
	}()
	wait := firstRetry
	for ctx.Err() == nil {
		err := c.connect(ctx)
		if err != nil {
			c.lost(err)
		} else {
			began := time.Now()
			c.watch(ctx)
			if time.Since(began) > steady {
				wait = firstRetry
			}
		}
		// Also after a connection that was lost: one that breaks at every write must not come and go all the time.
		sleep(ctx, wait)
		wait = min(2*wait, lastRetry)
	}
}

func (c *Center) connect(ctx context.Context) error {
	c.mu.RLock()
	backend := c.backend
	c.mu.RUnlock()
	if backend == nil {
		var err error
		if backend, err = c.hooks.open(c.namespace, c.target); err != nil {
			return err
		}
		c.mu.Lock()
		c.backend = backend
		c.mu.Unlock()
	}
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	records, err := backend.Load(ctx)
	if err != nil {
		return err
	}
	// A failure reported before this load says nothing about what comes after it.
	select {
	case <-c.broken:
	default:
	}
	c.hooks.loaded(c.namespace, records)
	c.mu.Lock()
	c.agents, c.queues, c.sticky = records.Agents, records.Queues, records.Sticky
	clear(c.suspectAgents)
	clear(c.suspectQueues)
	clear(c.suspectSticky)
	c.written = nil
	c.mu.Unlock()
	c.become(v1alpha1.ConnectionConnected, "")
	return nil
}

// watch returns when the connection is lost or ctx ends.
func (c *Center) watch(ctx context.Context) {
	ticker := time.NewTicker(pingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.broken:
			return
		case <-ticker.C:
			if err := c.backend.Ping(ctx); err != nil && ctx.Err() == nil {
				c.lost(err)
				return
			}
		}
	}
}

// lost notes that the telephone system cannot be used, once.
func (c *Center) lost(err error) {
	state := v1alpha1.ConnectionUnreachable
	if kind := telephony.KindOf(err); kind == telephony.Refused || kind == telephony.Conflict {
		state = v1alpha1.ConnectionRefused
	}
	c.become(state, err.Error())
}

func (c *Center) become(state v1alpha1.ConnectionState, message string) {
	c.mu.Lock()
	if c.status.State == state && c.status.Message == message {
		c.mu.Unlock()
		return
	}
	if c.status.State != state {
		c.status.Since = time.Now()
	}
	c.status.State, c.status.Message = state, message
	status := c.status
	c.mu.Unlock()
	c.log.Info("telephone system", "namespace", c.namespace, "state", state, "message", message)
	c.hooks.changed(c.namespace, status)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Status of the connection.
func (c *Center) Status() Status {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.status
}

// Recorded is what is recorded of a person; known is false where nothing was ever loaded.
func (c *Center) Recorded(agent string) (record telephony.AgentRecord, registered, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	record, registered = c.agents[agent]
	return record, registered, c.agents != nil
}

// RecordedQueue is what is recorded of a queue; known is false where nothing was ever loaded.
func (c *Center) RecordedQueue(queue string) (record telephony.QueueRecord, registered, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	record, registered = c.queues[queue]
	return record, registered, c.queues != nil
}

// RecordedNames are the names of all people and queues that are recorded, in no order.
func (c *Center) RecordedNames() (agents, queues []string) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for name := range c.agents {
		agents = append(agents, name)
	}
	for name := range c.queues {
		queues = append(queues, name)
	}
	return agents, queues
}

// RecordedSticky is what is recorded of a known caller; known is false where nothing was ever loaded.
func (c *Center) RecordedSticky(phone string) (sticky telephony.Sticky, registered, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	sticky, registered = c.sticky[phone]
	return sticky, registered, c.sticky != nil
}

// RecordedPhones are the numbers of all known callers that are recorded, in no order.
func (c *Center) RecordedPhones() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Collect(maps.Keys(c.sticky))
}

// ApplyAgent makes the telephone system match one person. See telephony.Backend.
func (c *Center) ApplyAgent(ctx context.Context, agent *telephony.Agent) (telephony.AgentResult, error) {
	var result telephony.AgentResult
	err := c.do(func(b telephony.Backend) (err error) {
		result, err = b.ApplyAgent(ctx, agent)
		return err
	}, func() {
		c.agents[agent.Name] = result.Record
		delete(c.suspectAgents, agent.Name)
	})
	return result, err
}

// RemoveAgent takes a person out, and returns the queues they were in. See telephony.Backend.
func (c *Center) RemoveAgent(ctx context.Context, name string, at time.Time) (queues []string, err error) {
	err = c.do(func(b telephony.Backend) (err error) {
		queues, err = b.RemoveAgent(ctx, name, at)
		return err
	}, func() {
		delete(c.agents, name)
		delete(c.suspectAgents, name)
	})
	return queues, err
}

// ApplyQueue makes the telephone system match one queue. See telephony.Backend.
func (c *Center) ApplyQueue(ctx context.Context, queue *telephony.Queue) error {
	return c.do(func(b telephony.Backend) error { return b.ApplyQueue(ctx, queue) },
		func() {
			c.queues[queue.Name] = telephony.QueueRecord{Fingerprint: queue.Fingerprint()}
			delete(c.suspectQueues, queue.Name)
		})
}

// RemoveQueue takes a queue out. See telephony.Backend.
func (c *Center) RemoveQueue(ctx context.Context, name string) error {
	return c.do(func(b telephony.Backend) error { return b.RemoveQueue(ctx, name) },
		func() {
			delete(c.queues, name)
			delete(c.suspectQueues, name)
		})
}

// ApplySticky makes the telephone system send a known caller's calls where they belong. See telephony.Backend.
func (c *Center) ApplySticky(ctx context.Context, sticky *telephony.Sticky) (changed bool, err error) {
	c.beginWrite(sticky.Phone)
	defer c.endWrite(sticky.Phone)
	err = c.do(func(b telephony.Backend) (err error) {
		changed, err = b.ApplySticky(ctx, sticky)
		return err
	}, func() {
		c.sticky[sticky.Phone] = *sticky
		delete(c.suspectSticky, sticky.Phone)
	})
	return changed, err
}

// RemoveSticky forgets a known caller. See telephony.Backend.
func (c *Center) RemoveSticky(ctx context.Context, phone string) (changed bool, err error) {
	c.beginWrite(phone)
	defer c.endWrite(phone)
	err = c.do(func(b telephony.Backend) (err error) {
		changed, err = b.RemoveSticky(ctx, phone)
		return err
	}, func() {
		delete(c.sticky, phone)
		delete(c.suspectSticky, phone)
	})
	return changed, err
}

// beginWrite notes that a known caller is being written, until endWrite.
func (c *Center) beginWrite(phone string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing[phone]++
	if c.written != nil {
		c.written[phone] = struct{}{}
	}
}

func (c *Center) endWrite(phone string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writing[phone]--; c.writing[phone] == 0 {
		delete(c.writing, phone)
	}
}

// do calls the telephone system if it is connected, remembers what was done, and notices that it is gone.
func (c *Center) do(call func(telephony.Backend) error, remember func()) error {
	c.mu.RLock()
	backend, status := c.backend, c.status
	c.mu.RUnlock()
	if status.State != v1alpha1.ConnectionConnected {
		return notConnected(status)
	}
	err := call(backend)
	if err == nil {
		c.mu.Lock()
		remember()
		c.mu.Unlock()
		return nil
	}
	if telephony.KindOf(err) == telephony.Unreachable {
		c.lost(err)
		select {
		case c.broken <- struct{}{}:
		default:
		}
	}
	return err
}

func notConnected(status Status) error {
	kind := telephony.Unreachable
	if status.State == v1alpha1.ConnectionRefused {
		kind = telephony.Refused
	}
	message := status.Message
	if message == "" {
		message = "the telephone system is being connected"
	}
	return telephony.Errorf(kind, nil, "%s", message)
}
