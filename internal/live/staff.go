package live

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
)

// settling is how long a person who came into a call stays green in a queue before the call counts as another one. Of a
// queue's call a server tells twice, of the phone and of the queue, at its begin and at its end: some milliseconds apart.
const settling = 250 * time.Millisecond

// Staff is the staff list of every namespace: who serves which queue and channel, and what they do now. It is held in
// memory, from the objects and from what the servers see, and is safe for concurrent use.
type Staff struct {
	sight    func(namespace, agent string) Sight
	now      func() time.Time
	settling time.Duration
	// complete says that the list has every object that there was at the start.
	complete atomic.Bool

	mu      sync.RWMutex
	centers map[string]*staffCenter
}

// staffCenter is the staff list of one namespace.
type staffCenter struct {
	// sweeps are the calls of MovedAll that came since the sweep under way began, itself included.
	sweeps atomic.Int64

	mu          sync.RWMutex
	people      map[string]*person
	queues      map[string]*staffQueue
	subscribers map[*Subscription]struct{}
	// held are people who stay green for a moment.
	held map[string]*hold
}

// hold keeps a person green until it is over.
type hold struct {
	timer *time.Timer
	over  bool
}

// person is somebody's place in the list. Whatever can be read from the cached object is not kept.
type person struct {
	agent *v1alpha1.Agent
	// marks are the states of the person's rows, in the order of places; nil while no server was ever watched.
	marks []mark
}

// staffQueue is a queue that is declared, or that people serve, or both.
type staffQueue struct {
	name        string
	displayName string
	supervisors []string
	// channels declared; nil where the queue is not.
	channels []v1alpha1.Channel
	people   map[*person]struct{}
	// serving is how many people serve a channel.
	serving map[v1alpha1.Channel]int
}

// NewStaff makes an empty list. sight is asked for a person whenever that person moved.
func NewStaff(sight func(namespace, agent string) Sight) *Staff {
	return &Staff{sight: sight, now: time.Now, settling: settling, centers: map[string]*staffCenter{}}
}

// Complete notes that every object that there was at the start was taken in.
func (s *Staff) Complete() { s.complete.Store(true) }

// IsComplete says so.
func (s *Staff) IsComplete() bool { return s.complete.Load() }

// SetAgent takes in a person as the cache has them. The object is kept and must not be changed.
func (s *Staff) SetAgent(agent *v1alpha1.Agent) {
	c := s.center(agent.Namespace)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.people[agent.Name]
	queues := queueNames(nil, agent)
	if p != nil {
		queues = queueNames(queues, p.agent)
	}
	c.change(c.rowsAround(agent.Name, queues), func() {
		if p == nil {
			p = &person{}
			c.people[agent.Name] = p
		} else {
			c.leave(p)
		}
		old := *p
		p.agent, p.marks = agent, nil
		if next := statesOf(agent, s.sight(agent.Namespace, agent.Name)); next.observed || old.marks != nil {
			p.marks = carry(&old, agent, next.states, s.now().Unix())
		}
		c.join(p)
	})
}

// RemoveAgent takes a person out.
func (s *Staff) RemoveAgent(namespace, name string) {
	c := s.center(namespace)
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.people[name]
	if p == nil {
		return
	}
	c.release(name)
	c.change(c.rowsAround(name, queueNames(nil, p.agent)), func() {
		c.leave(p)
		delete(c.people, name)
	})
}

// SetQueue takes in a queue as the cache has it.
func (s *Staff) SetQueue(queue *v1alpha1.Queue) {
	c := s.center(queue.Namespace)
	c.mu.Lock()
	defer c.mu.Unlock()
	supervisors := make([]string, len(queue.Spec.Supervisors))
	for i, m := range queue.Spec.Supervisors {
		supervisors[i] = string(m.Name)
	}
	display := string(queue.Spec.DisplayName)
	channels := queue.Spec.Channels
	if len(channels) == 0 {
		channels = voiceOnly
	}
	if q := c.queues[queue.Name]; q != nil && q.displayName == display &&
		slices.Equal(q.supervisors, supervisors) && slices.Equal(q.channels, channels) {
		return // of a queue most of what changes is not shown
	}
	c.change(c.rowsOfQueue(queue.Name), func() {
		q := c.queue(queue.Name)
		q.displayName, q.supervisors, q.channels = display, supervisors, channels
	})
}

// RemoveQueue takes a queue out. People who still serve it stay in the list until their status says otherwise.
func (s *Staff) RemoveQueue(namespace, name string) {
	c := s.center(namespace)
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.queues[name]
	if q == nil {
		return
	}
	c.change(c.rowsOfQueue(name), func() {
		q.displayName, q.supervisors, q.channels = "", nil, nil
		c.drop(q)
	})
}

// Moved looks at a person's rows again. It is called whenever their Sight may be another, and never while a lock is
// held that asking for the Sight takes.
func (s *Staff) Moved(namespace, agent string) {
	c := s.known(namespace)
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.people[agent]
	if p == nil {
		return
	}
	next := statesOf(p.agent, s.sight(namespace, agent))
	if !next.observed && p.marks == nil {
		return // the rows tell so already
	}
	marks := carry(p, p.agent, next.states, s.now().Unix())
	s.hold(c, p, marks)
	if slices.Equal(marks, p.marks) {
		return
	}
	c.change(c.rowsAround(agent, nil), func() { p.marks = marks })
}

// hold leaves rows green that a call would turn red, for as long as it may yet be told to be of their queue, or to be over.
func (s *Staff) hold(c *staffCenter, p *person, marks []mark) {
	turning := func(i int) bool {
		next := marks[i].state.Value()
		return next.color == roster.Red && next.detail == roster.InAnotherCall &&
			p.marks != nil && p.marks[i].state.Value().color == roster.Green
	}
	namespace, name := p.agent.Namespace, p.agent.Name
	h, turns := c.held[name], false
	for i := range marks {
		turns = turns || turning(i)
	}
	switch {
	case s.settling == 0:
		return
	case !turns || h != nil && h.over:
		c.release(name)
		return
	case h == nil:
		h = &hold{}
		c.held[name] = h
		h.timer = time.AfterFunc(s.settling, func() {
			c.mu.Lock()
			h.over = true
			c.mu.Unlock()
			s.Moved(namespace, name)
		})
	}
	for i := range marks {
		if turning(i) {
			marks[i] = p.marks[i]
		}
	}
}

// release keeps a person green no longer.
func (c *staffCenter) release(name string) {
	if h := c.held[name]; h != nil {
		h.timer.Stop()
		delete(c.held, name)
	}
}

// MovedAll looks at everybody's rows again, without making the caller wait: a server came into view or went.
func (s *Staff) MovedAll(namespace string) {
	c := s.known(namespace)
	if c == nil || c.sweeps.Add(1) > 1 {
		return // the sweep under way begins again
	}
	go func() {
		for {
			asked := c.sweeps.Load()
			for _, name := range c.names() {
				s.Moved(namespace, name)
			}
			if c.sweeps.CompareAndSwap(asked, 0) {
				return
			}
		}
	}()
}

// Rows are those of a namespace that a filter lets through, in order: queue, channel, agent. They are given to yield
// one queue at a time until it returns false; meanwhile the list goes on changing.
func (s *Staff) Rows(namespace string, filter Filter, yield func([]*Row) bool) {
	if c := s.known(namespace); c != nil {
		c.list(&filter, nil, yield)
	}
}

// Subscribe begins to follow the rows of a namespace that a filter lets through.
func (s *Staff) Subscribe(namespace string, filter Filter) *Subscription {
	c := s.center(namespace)
	sub := &Subscription{
		center: c, filter: filter, listing: true,
		pending: map[rowKey]rowChange{}, wake: make(chan struct{}, 1),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribers[sub] = struct{}{}
	return sub
}

func (s *Staff) known(namespace string) *staffCenter {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.centers[namespace]
}

func (s *Staff) center(namespace string) *staffCenter {
	if c := s.known(namespace); c != nil {
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.centers[namespace]
	if c == nil {
		c = &staffCenter{
			people: map[string]*person{}, queues: map[string]*staffQueue{}, subscribers: map[*Subscription]struct{}{},
			held: map[string]*hold{},
		}
		s.centers[namespace] = c
	}
	return c
}

func (c *staffCenter) names() []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	names := make([]string, 0, len(c.people))
	for name := range c.people {
		names = append(names, name)
	}
	return names
}

func (c *staffCenter) queue(name string) *staffQueue {
	q := c.queues[name]
	if q == nil {
		q = &staffQueue{name: name, people: map[*person]struct{}{}, serving: map[v1alpha1.Channel]int{}}
		c.queues[name] = q
	}
	return q
}

// drop forgets a queue that is neither declared nor served.
func (c *staffCenter) drop(q *staffQueue) {
	if q.channels == nil && len(q.people) == 0 {
		delete(c.queues, q.name)
	}
}

// join puts a person into the queues of their status.
func (c *staffCenter) join(p *person) {
	for _, m := range p.agent.Status.Queues {
		q := c.queue(string(m.Name))
		q.people[p] = struct{}{}
		for _, channel := range m.Channels {
			q.serving[channel]++
		}
	}
}

// leave takes a person out of the queues of their status.
func (c *staffCenter) leave(p *person) {
	for _, m := range p.agent.Status.Queues {
		q := c.queue(string(m.Name))
		delete(q.people, p)
		for _, channel := range m.Channels {
			q.serving[channel]--
		}
		c.drop(q)
	}
}

// change carries out a change and tells the subscribers which rows it made other than they were. rows gives those
// that it can touch.
func (c *staffCenter) change(rows func(yield func(*Row)), carryOut func()) {
	if len(c.subscribers) == 0 {
		carryOut()
		return
	}
	changes := map[rowKey]rowChange{}
	rows(func(r *Row) { changes[r.key()] = rowChange{before: r} })
	carryOut()
	rows(func(r *Row) {
		key := r.key()
		changes[key] = rowChange{before: changes[key].before, after: r}
	})
	for key, x := range changes {
		if x.none() {
			delete(changes, key)
		}
	}
	if len(changes) == 0 {
		return
	}
	for s := range c.subscribers {
		s.offer(changes)
	}
}

// queueNames adds to a list the queues that a person serves and that are not in it.
func queueNames(names []string, agent *v1alpha1.Agent) []string {
	for _, m := range agent.Status.Queues {
		if !slices.Contains(names, string(m.Name)) {
			names = append(names, string(m.Name))
		}
	}
	return names
}
