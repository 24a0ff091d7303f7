package live

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony"
)

const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 5 * time.Second
	// steady is how long a connection must last before the waiting begins anew.
	steady = 10 * time.Second
	// spacing is the least time between two refreshes of one queue on one server while a crowd of people comes and
	// goes: each refresh takes along who came meanwhile. Who comes alone does not wait.
	spacing = 250 * time.Millisecond
	// lookDelay is how long after the last of a crowd the queue's members are looked at, and lookLatest how long after
	// the first.
	lookDelay  = time.Second
	lookLatest = 5 * time.Second
	// batchQueues is how many queues are asked for at once, and batchLooks how many are looked at: what changed is not
	// to wait long behind them.
	batchQueues = 64
	batchLooks  = 8
	// slicesPerCycle is in how many intervals each queue is looked at once.
	slicesPerCycle = 60
	// answerTimeout bounds a batch.
	answerTimeout = 30 * time.Second
)

// server is the connection to one server, and what it is still to be told.
type server struct {
	fleet     *Fleet
	namespace string
	board     *board
	config    Config
	interval  time.Duration
	api       telephony.Server
	ctx       context.Context
	stop      context.CancelFunc
	running   sync.WaitGroup
	wake      chan struct{}

	mu      sync.Mutex
	status  ServerStatus
	pending map[string]*touch
	// refreshed is when a queue was last refreshed for a crowd, while that is recent.
	refreshed map[string]time.Time
}

// touch is what is to be taken over of one queue.
type touch struct {
	// agent is the one member that changed; empty with several.
	agent string
	// look asks for what the server holds of all members afterwards, not before a moment, nor long after another.
	look               bool
	lookAt, lookLatest time.Time
	// refresh makes the server take over all of them now.
	refresh bool
	// crowd says that several people came at once.
	crowd bool
}

func newServer(f *Fleet, namespace string, b *board, config Config, interval time.Duration) *server {
	s := &server{
		fleet: f, namespace: namespace, board: b, config: config, interval: interval, wake: make(chan struct{}, 1),
		status:  ServerStatus{Name: config.Name, State: v1alpha1.ConnectionConnecting, Since: time.Now()},
		pending: map[string]*touch{}, refreshed: map[string]time.Time{},
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	if config.Problem != "" {
		s.status.State, s.status.Message = v1alpha1.ConnectionRefused, config.Problem
		return s
	}
	api, err := f.open(config.ServerConfig)
	if err != nil {
		s.status.State, s.status.Message = v1alpha1.ConnectionRefused, err.Error()
		return s
	}
	s.api = api
	s.running.Add(2)
	go s.watch()
	go s.work()
	return s
}

func (s *server) close() {
	s.stop()
	if s.api != nil {
		_ = s.api.Close()
	}
	s.running.Wait()
}

// Status of the connection.
func (s *server) Status() ServerStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}

func (s *server) become(state v1alpha1.ConnectionState, message string) {
	s.mu.Lock()
	if s.status.State == state && s.status.Message == message {
		s.mu.Unlock()
		return
	}
	if s.status.State != state {
		s.status.Since = time.Now()
	}
	s.status.State, s.status.Message = state, message
	s.mu.Unlock()
	s.fleet.log.Info("server", "namespace", s.namespace, "server", s.config.Name, "state", state, "message", message)
	if s.fleet.hooks.Changed != nil {
		s.fleet.hooks.Changed(s.namespace)
	}
}

// watch keeps watching the server.
func (s *server) watch() {
	defer s.running.Done()
	wait := firstRetry
	for s.ctx.Err() == nil {
		began := time.Now()
		err := s.api.Watch(s.ctx, s.told)
		if s.ctx.Err() != nil {
			return
		}
		state := v1alpha1.ConnectionUnreachable
		if telephony.KindOf(err) == telephony.Refused {
			state = v1alpha1.ConnectionRefused
		}
		moved := s.board.blind(s.config.Name)
		s.become(state, err.Error())
		s.moved(moved)
		if time.Since(began) > steady {
			wait = firstRetry
		}
		if !s.sleep(wait) {
			return
		}
		wait = min(2*wait, lastRetry)
	}
}

func (s *server) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (s *server) moved(agents []string) {
	if s.fleet.hooks.Moved == nil {
		return
	}
	for _, agent := range agents {
		s.fleet.hooks.Moved(s.namespace, agent)
	}
}

// told takes in what the server tells.
func (s *server) told(e telephony.Event) {
	if e.Kind == telephony.EventSettled {
		s.board.settled(s.config.Name)
		s.become(v1alpha1.ConnectionConnected, "")
		s.touchAll()
		return
	}
	h, x := &s.fleet.hooks, s.board.observe(s.config.Name, e)
	s.moved(x.moved)
	if x.stirred != "" && h.Stirred != nil {
		h.Stirred(s.namespace, x.stirred)
	}
	if x.paused != nil && h.Paused != nil {
		h.Paused(s.namespace, *x.paused)
	}
	if x.stray != nil && h.Stray != nil {
		h.Stray(s.namespace, *x.stray)
	}
	if x.listening != nil && h.Listening != nil {
		h.Listening(s.namespace, *x.listening)
	}
}

// touchAll has every queue taken over and looked at: nobody knows what was missed.
func (s *server) touchAll() {
	if s.fleet.hooks.Queues == nil {
		return
	}
	s.look(s.fleet.hooks.Queues(s.namespace), time.Time{})
}

// look has queues looked at, not before a moment.
func (s *server) look(queues []string, at time.Time) {
	s.mu.Lock()
	for _, q := range queues {
		t := s.pending[q]
		if t == nil {
			t = &touch{}
			s.pending[q] = t
		}
		t.look, t.lookAt = true, at
	}
	s.mu.Unlock()
	s.rouse()
}

// touch has queues taken over. With one member that changed the answer tells of that one alone.
func (s *server) touch(agent string, queues []string) {
	s.mu.Lock()
	for _, q := range queues {
		_, crowded := s.refreshed[q]
		switch t := s.pending[q]; {
		case t == nil && agent != "" && !crowded:
			s.pending[q] = &touch{agent: agent}
		case t == nil && agent == "":
			s.pending[q] = &touch{refresh: true}
		case t != nil && t.agent == agent && agent != "":
		default: // a crowd: one refresh for all, and a look at them when it is over
			if t == nil {
				t = &touch{}
				s.pending[q] = t
			}
			t.agent, t.refresh, t.crowd = "", true, true
			now := time.Now()
			if !t.look {
				t.look, t.lookAt, t.lookLatest = true, now, now.Add(lookLatest)
			}
			if at := now.Add(lookDelay); at.Before(t.lookLatest) {
				t.lookAt = at
			}
		}
	}
	s.mu.Unlock()
	s.rouse()
}

func (s *server) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// work has the server take over what is pending, and now and then looks at a part of all queues again.
func (s *server) work() {
	defer s.running.Done()
	var ticks <-chan time.Time
	if s.interval > 0 {
		ticker := time.NewTicker(s.interval - time.Duration(rand.Int64N(int64(s.interval)/10+1)))
		defer ticker.Stop()
		ticks = ticker.C
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for round := 0; ; {
		select {
		case <-s.ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		case <-ticks:
			s.lookAtSlice(round)
			round++
		}
		timer.Reset(s.takeOver())
	}
}

// lookAtSlice looks at a part of the queues.
func (s *server) lookAtSlice(round int) {
	if s.fleet.hooks.Queues == nil || s.Status().State != v1alpha1.ConnectionConnected {
		return
	}
	var part []string
	for i, q := range s.fleet.hooks.Queues(s.namespace) {
		if i%slicesPerCycle == round%slicesPerCycle {
			part = append(part, q)
		}
	}
	s.look(part, time.Time{})
}

// takeOver works off what is due, and returns how long nothing is.
func (s *server) takeOver() time.Duration {
	for {
		queries, refresh, wait := s.due(time.Now())
		if len(queries)+len(refresh) == 0 {
			return wait
		}
		if !s.ask(queries, refresh) {
			return lastRetry // a new connection looks at everything
		}
	}
}

// due takes the next batch of what is pending.
func (s *server) due(now time.Time) (queries []telephony.Query, refresh []string, wait time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait = time.Hour
	if s.status.State != v1alpha1.ConnectionConnected {
		clear(s.pending) // a connection begins with a look at everything
		return nil, nil, wait
	}
	for q, at := range s.refreshed {
		if now.Sub(at) > spacing {
			delete(s.refreshed, q)
		}
	}
	var looks []string
	for q, t := range s.pending {
		if len(queries)+len(refresh) >= batchQueues {
			return queries, refresh, 0
		}
		rest := spacing - now.Sub(s.refreshed[q])
		switch {
		case t.refresh && t.crowd && rest > 0:
			wait = min(wait, rest)
		case t.refresh:
			refresh = append(refresh, q)
			if t.crowd {
				s.refreshed[q] = now
			}
			t.refresh = false
		case t.agent != "":
			queries = append(queries, telephony.Query{Queue: q, Agent: t.agent})
			t.agent = ""
		case t.look && !now.Before(t.lookAt):
			looks = append(looks, q)
			continue
		default:
			wait = min(wait, t.lookAt.Sub(now))
			continue
		}
		if !t.look && !t.refresh {
			delete(s.pending, q)
		}
	}
	if len(queries)+len(refresh) > 0 {
		return queries, refresh, 0 // what changed goes before what is only looked at
	}
	for _, q := range looks[:min(len(looks), batchLooks)] {
		queries = append(queries, telephony.Query{Queue: q})
		delete(s.pending, q)
	}
	return queries, refresh, wait
}

// ask says whether the server answered.
func (s *server) ask(queries []telephony.Query, refresh []string) bool {
	ctx, cancel := context.WithTimeout(s.ctx, answerTimeout)
	defer cancel()
	failed := make(chan error, 2)
	go func() {
		if len(refresh) == 0 {
			failed <- nil
			return
		}
		failed <- s.api.Refresh(ctx, refresh...)
	}()
	var err error
	if len(queries) > 0 {
		s.board.ask(s.config.Name, queries)
		err = s.api.Read(ctx, queries...)
	}
	if other := <-failed; err == nil {
		err = other
	}
	if err == nil || s.ctx.Err() != nil {
		return err == nil
	}
	s.fleet.log.Info("server did not answer", "namespace", s.namespace, "server", s.config.Name, "reason", err.Error())
	// What was asked for is asked for again.
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range queries {
		if s.pending[q.Queue] == nil {
			s.pending[q.Queue] = &touch{look: true}
		}
	}
	for _, q := range refresh {
		if s.pending[q] == nil {
			s.pending[q] = &touch{refresh: true}
		}
	}
	return false
}
