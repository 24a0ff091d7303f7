package fake

import (
	"context"
	"errors"
	"slices"
	"sync"

	"roster.dev/roster/internal/telephony"
)

// Server is a server in memory: it tells what the test has happen there, and remembers what it was asked to do.
type Server struct {
	mu       sync.Mutex
	tell     func(telephony.Event)
	broken   chan struct{}
	down     error
	devices  map[string]telephony.DeviceState
	channels map[string]telephony.Event
	members  map[telephony.Query]telephony.MemberState
	calls    []string
}

var _ telephony.Server = (*Server)(nil)

// NewServer makes a server that is up.
func NewServer() *Server {
	return &Server{
		broken: make(chan struct{}), devices: map[string]telephony.DeviceState{},
		channels: map[string]telephony.Event{}, members: map[telephony.Query]telephony.MemberState{},
	}
}

// Break takes the server down with an error, until Mend.
func (s *Server) Break(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = err
	close(s.broken)
	s.broken = make(chan struct{})
}

// Mend brings the server up again.
func (s *Server) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = nil
}

// SetDevice has a phone change its state.
func (s *Server) SetDevice(agent string, state telephony.DeviceState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[agent] = state
	s.say(telephony.Event{Kind: telephony.EventDevice, Agent: agent, Device: state})
}

// SetMember has a member of a queue in the server's memory.
func (s *Server) SetMember(queue, agent string, state telephony.MemberState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := telephony.Query{Queue: queue, Agent: agent}
	e := member(queue, agent, state)
	e.Pressed = s.members[q].Paused != state.Paused || state.Paused && s.members[q].PauseReason != state.PauseReason
	s.members[q] = state
	s.say(e)
}

// DropMember has a member gone from the server's memory, of which no event tells.
func (s *Server) DropMember(queue, agent string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.members, telephony.Query{Queue: queue, Agent: agent})
}

// Dial has a phone in a call.
func (s *Server) Dial(agent, channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := telephony.Event{Kind: telephony.EventChannel, Agent: agent, Channel: channel}
	s.channels[channel] = e
	s.say(e)
}

// Listen has a channel listen to another.
func (s *Server) Listen(channel, targetAgent, target string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.channels[channel]
	e.Kind, e.Target, e.TargetAgent = telephony.EventListen, target, targetAgent
	s.say(e)
}

// End has a call end.
func (s *Server) End(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(channel)
}

func (s *Server) end(channel string) {
	if e, ok := s.channels[channel]; ok {
		delete(s.channels, channel)
		s.say(telephony.Event{Kind: telephony.EventChannelGone, Agent: e.Agent, Channel: channel})
	}
}

// Calls are what the server was asked to do, since it forgot.
func (s *Server) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Forget forgets what the server was asked to do.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = nil
}

func (s *Server) say(e telephony.Event) {
	if s.tell != nil {
		s.tell(e)
	}
}

func member(queue, agent string, state telephony.MemberState) telephony.Event {
	return telephony.Event{Kind: telephony.EventMember, Queue: queue, Agent: agent, Interface: "PJSIP/" + agent, Member: state}
}

// Watch tells everything, then each change.
func (s *Server) Watch(ctx context.Context, tell func(telephony.Event)) error {
	s.mu.Lock()
	if s.down != nil {
		defer s.mu.Unlock()
		return s.down
	}
	broken := s.broken
	for agent, state := range s.devices {
		tell(telephony.Event{Kind: telephony.EventDevice, Agent: agent, Device: state})
	}
	for _, e := range s.channels {
		tell(e)
	}
	tell(telephony.Event{Kind: telephony.EventSettled})
	s.tell = tell
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tell = nil
	}()
	select {
	case <-ctx.Done():
		return telephony.Errorf(telephony.Unreachable, ctx.Err(), "closed")
	case <-broken:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.down == nil {
			return telephony.Errorf(telephony.Unreachable, nil, "the connection broke")
		}
		return s.down
	}
}

// Read tells of the members asked for.
func (s *Server) Read(_ context.Context, queries ...telephony.Query) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tell == nil {
		return telephony.Errorf(telephony.Unreachable, s.down, "not connected")
	}
	for _, q := range queries {
		s.calls = append(s.calls, "Read "+q.Queue+"/"+q.Agent)
		for m, state := range s.members {
			if m.Queue == q.Queue && (q.Agent == "" || q.Agent == m.Agent) {
				s.say(member(m.Queue, m.Agent, state))
			}
		}
		s.say(telephony.Event{Kind: telephony.EventQueueRead, Queue: q.Queue, Agent: q.Agent})
	}
	return nil
}

func (s *Server) do(call string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return s.down
	}
	s.calls = append(s.calls, call)
	return nil
}

// Refresh remembers that it was asked for.
func (s *Server) Refresh(_ context.Context, queues ...string) error {
	slices.Sort(queues)
	var all []error
	for _, q := range queues {
		all = append(all, s.do("Refresh "+q))
	}
	return errors.Join(all...)
}

// HangUp ends calls.
func (s *Server) HangUp(_ context.Context, channels ...string) error {
	for _, c := range channels {
		if err := s.do("HangUp " + c); err != nil {
			return err
		}
		s.End(c)
	}
	return nil
}

// RemoveMember remembers that it was asked for.
func (s *Server) RemoveMember(_ context.Context, queue, iface string) error {
	return s.do("RemoveMember " + queue + " " + iface)
}

// Ping says whether the server is up.
func (s *Server) Ping(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.down
}

// Close does nothing: who watches is told by their context.
func (s *Server) Close() error { return nil }
