package asterisk

import (
	"context"
	"strconv"
	"strings"
	"sync"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk/ami"
)

// Only these events come: each filter is an expression that the text of an event may match. That text begins with the
// event's name, so that no value can be taken for it.
var serverFilters = []string{
	"^Event: DeviceStateChange[[:space:]].*[[:space:]]Device: PJSIP/",
	"^Event: (QueueMember(Status|Pause|Penalty|Ringinuse|Added|Removed)|Agent(Connect|Complete))[[:space:]]",
	"^Event: (Newchannel|Hangup)[[:space:]].*[[:space:]]Channel: PJSIP/",
	"^Event: (Rename|ChanSpyStart|ChanSpyStop|FullyBooted)[[:space:]]",
}

// watch is one connection of Watch's. What is not guarded belongs to the connection's goroutine.
type watch struct {
	server *Server
	conn   *ami.Conn
	tell   func(telephony.Event)

	// channels of phones, and listeners, found by the list of channels.
	channels  map[string]bool
	listeners []listener
	listed    int
	members   map[string]map[string]*member
	names     map[string]string
	reads     int

	mu  sync.Mutex
	err error
}

// listener is a channel that runs ChanSpy.
type listener struct{ channel, data string }

// member is what was last told of a member.
type member struct {
	state telephony.MemberState
	// connected is from a call of the queue being put through until it is over: on Asterisk 16 no status says so.
	connected bool
	// read is the last read that told it, or that was asked for before an event told it.
	read int
}

// Watch implements telephony.Server. There is one Watch at a time.
func (s *Server) Watch(ctx context.Context, tell func(telephony.Event)) error {
	ctx, stop := s.during(ctx)
	defer stop()
	w := &watch{
		server: s, tell: tell,
		channels: map[string]bool{}, members: map[string]map[string]*member{}, names: map[string]string{},
	}
	conn, err := s.connect(ctx, w.event)
	if err != nil {
		return err
	}
	defer func() {
		_ = conn.Close()
		<-conn.Done() // nothing is told after this
	}()
	w.conn = conn
	if err := s.watching(w); err != nil {
		return err
	}
	defer s.watched(w)
	if err := w.begin(ctx); err != nil {
		return s.explain(ctx, w.why(err))
	}
	select {
	case <-conn.Done():
		return s.explain(ctx, w.why(conn.Err()))
	case <-ctx.Done():
		return s.explain(ctx, context.Cause(ctx))
	}
}

// watching makes w the connection that Read asks on.
func (s *Server) watching(w *watch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch != nil {
		return s.refused(nil, "it is being watched already")
	}
	s.watch = w
	return nil
}

func (s *Server) watched(w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch == w {
		s.watch = nil
	}
}

// Read implements telephony.Server. It must not be called by tell. To answer, the server reads the queue and its
// members from the database, and those of no other queue.
func (s *Server) Read(ctx context.Context, queries ...telephony.Query) error {
	actions := make([]ami.Action, 0, len(queries))
	for _, q := range queries {
		a := ami.NewAction("QueueStatus", "Queue", q.Queue)
		if q.Agent != "" {
			a = ami.NewAction("QueueStatus", "Queue", q.Queue, "Member", technology+q.Agent)
		}
		// No name would mean all.
		if err := a.Check(); err != nil || q.Queue == "" {
			return s.refused(err, "a queue's name cannot be sent to it")
		}
		actions = append(actions, a)
	}
	s.mu.Lock()
	w := s.watch
	s.mu.Unlock()
	if w == nil {
		return s.unreachable(nil, "it is not being watched")
	}
	answers := make(chan error, len(queries))
	for i, q := range queries {
		if err := w.read(ctx, q, actions[i], answers); err != nil {
			return s.explain(ctx, w.why(err))
		}
	}
	for range queries {
		select {
		case err := <-answers:
			if err != nil {
				return s.explain(ctx, w.why(err))
			}
		case <-ctx.Done():
			return s.explain(ctx, context.Cause(ctx))
		}
	}
	return nil
}

// begin asks for events and for all that the server knows.
func (w *watch) begin(ctx context.Context) error {
	for _, f := range serverFilters {
		if _, err := w.conn.Do(ctx, ami.NewAction("Filter", "Operation", "Add", "Filter", f)); err != nil {
			return err
		}
	}
	if _, err := w.conn.Do(ctx, ami.NewAction("Events", "EventMask", "agent,call,system")); err != nil {
		return err
	}
	if err := w.conn.Send(ctx, ami.NewAction("DeviceStateList"), w.device, w.listEnd); err != nil {
		return err
	}
	return w.conn.Send(ctx, ami.NewAction("CoreShowChannels"), w.channel, w.listEnd)
}

// listEnd takes the end of one of the first lists. One that failed ends the watch.
func (w *watch) listEnd(_ *ami.Message, err error) {
	if err != nil {
		w.fail(err)
		return
	}
	w.settle()
}

// settle tells that all is known, once both lists are.
func (w *watch) settle() {
	if w.listed++; w.listed < 2 {
		return
	}
	for _, l := range w.listeners {
		w.listen(telephony.EventListen, l.channel, w.target(l.data))
	}
	w.channels, w.listeners = nil, nil
	w.tell(telephony.Event{Kind: telephony.EventSettled})
}

// target is the channel that ChanSpy's arguments name in full, if it is there: which of several it listens to, the
// server does not say.
func (w *watch) target(data string) string {
	name, _, _ := strings.Cut(data, ",")
	if w.channels[name] {
		return name
	}
	return ""
}

// read asks a query and gives what became of it to answers. An answer that is no list ends the watch: whoever misses
// it would not know.
func (w *watch) read(ctx context.Context, q telephony.Query, action ami.Action, answers chan<- error) error {
	w.mu.Lock()
	w.reads++
	read := w.reads
	w.mu.Unlock()
	return w.conn.Send(ctx, action, func(m *ami.Message) {
		if m.Is("Event", "QueueMember") {
			w.member(m, "Location", read)
		}
	}, func(_ *ami.Message, err error) {
		if err != nil {
			w.fail(err)
		} else {
			w.forget(q, read)
			w.tell(telephony.Event{Kind: telephony.EventQueueRead, Queue: q.Queue, Agent: q.Agent})
		}
		answers <- err
	})
}

// forget forgets the members that a read of a query did not find.
func (w *watch) forget(q telephony.Query, read int) {
	members := w.members[q.Queue]
	for iface, known := range members {
		if known.read < read && (q.Agent == "" || iface == technology+q.Agent) {
			delete(members, iface)
		}
	}
	if len(members) == 0 {
		delete(w.members, q.Queue)
	}
}

// fail ends the watch for a reason.
func (w *watch) fail(err error) {
	w.mu.Lock()
	if w.err == nil {
		w.err = err
	}
	w.mu.Unlock()
	_ = w.conn.Close()
}

// why is what ended the watch, where that is why err came.
func (w *watch) why(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	return err
}

// event takes what the server says by itself.
func (w *watch) event(m *ami.Message) {
	event, _ := m.Lookup("Event")
	switch string(event) {
	case "DeviceStateChange":
		w.device(m)
	case "QueueMemberStatus", "QueueMemberPause", "QueueMemberPenalty", "QueueMemberRinginuse", "QueueMemberAdded":
		w.mu.Lock()
		read := w.reads
		w.mu.Unlock()
		w.member(m, "Interface", read)
	case "QueueMemberRemoved":
		queue, iface := w.name(m, "Queue"), w.name(m, "Interface")
		delete(w.members[queue], iface)
		w.tell(telephony.Event{Kind: telephony.EventMemberGone, Queue: queue, Interface: iface, Agent: phoneOf(iface)})
	case "AgentConnect":
		w.inCall(m, true)
	case "AgentComplete":
		w.inCall(m, false)
	case "Newchannel":
		w.have(telephony.EventChannel, m.Get("Channel"))
	case "Hangup":
		w.have(telephony.EventChannelGone, m.Get("Channel"))
	case "Rename":
		w.have(telephony.EventChannelGone, m.Get("Channel"))
		w.have(telephony.EventChannel, m.Get("Newname"))
	case "ChanSpyStart":
		w.listen(telephony.EventListen, m.Get("SpyerChannel"), m.Get("SpyeeChannel"))
	case "ChanSpyStop":
		w.listen(telephony.EventListenEnd, m.Get("SpyerChannel"), m.Get("SpyeeChannel"))
	}
}

// device tells a phone's state.
func (w *watch) device(m *ami.Message) {
	device, _ := m.Lookup("Device")
	if !strings.HasPrefix(string(device), "PJSIP/") {
		return
	}
	if agent := phoneOf(string(device)); agent != "" {
		w.tell(telephony.Event{Kind: telephony.EventDevice, Agent: agent, Device: deviceState(m)})
	}
}

// channel takes an item of the list of channels.
func (w *watch) channel(m *ami.Message) {
	name := m.Get("Channel")
	w.channels[name] = true
	w.have(telephony.EventChannel, name)
	if m.Is("Application", "ChanSpy") || m.Is("Application", "ExtenSpy") {
		w.listeners = append(w.listeners, listener{name, m.Get("ApplicationData")})
	}
}

// have tells that there is a channel, or that it is gone.
func (w *watch) have(kind telephony.EventKind, channel string) {
	if agent := ownerOf(channel); agent != "" {
		w.tell(telephony.Event{Kind: kind, Agent: agent, Channel: channel})
	}
}

// listen tells that a phone listens, or no longer does.
func (w *watch) listen(kind telephony.EventKind, channel, target string) {
	if agent := ownerOf(channel); agent != "" {
		w.tell(telephony.Event{Kind: kind, Agent: agent, Channel: channel, Target: target, TargetAgent: ownerOf(target)})
	}
}

// member tells a member as an item of a list, or an event, has it.
func (w *watch) member(m *ami.Message, interfaceKey string, read int) {
	queue, iface := w.name(m, "Queue"), w.name(m, interfaceKey)
	if queue == "" || iface == "" {
		return
	}
	members := w.members[queue]
	if members == nil {
		members = map[string]*member{}
		w.members[queue] = members
	}
	known := members[iface]
	if known == nil {
		known = &member{}
		members[iface] = known
	}
	penalty, _ := m.Lookup("Penalty")
	known.state = telephony.MemberState{
		Paused:      m.Is("Paused", "1"),
		PauseReason: m.Get("PausedReason"),
		InCall:      m.Is("InCall", "1"),
		Dynamic:     m.Is("Membership", "dynamic"),
	}
	known.state.Penalty, _ = strconv.Atoi(string(penalty))
	known.read = max(known.read, read)
	switch {
	case known.state.InCall:
		known.connected = true
	case m.Is("Event", "QueueMember") || !isBusy(m):
		known.connected = false
	}
	known.state.InCall = known.connected
	w.tellMember(queue, iface, known, m.Is("Event", "QueueMemberPause"))
}

// inCall tells that a call of the queue was put through to a member, or is over. Asterisk 16 says it with no status.
func (w *watch) inCall(m *ami.Message, connected bool) {
	queue, iface := w.name(m, "Queue"), w.name(m, "Interface")
	known := w.members[queue][iface]
	if known == nil || known.connected == connected {
		return
	}
	known.connected, known.state.InCall = connected, connected
	w.tellMember(queue, iface, known, false)
}

func (w *watch) tellMember(queue, iface string, known *member, pressed bool) {
	w.tell(telephony.Event{
		Kind: telephony.EventMember, Queue: queue, Interface: iface, Agent: phoneOf(iface), Member: known.state, Pressed: pressed,
	})
}

// name is a value that comes again and again: it is kept once.
func (w *watch) name(m *ami.Message, key string) string {
	value, _ := m.Lookup(key)
	if name, ok := w.names[string(value)]; ok {
		return name
	}
	name := string(value)
	w.names[name] = name
	return name
}

// deviceState is the state that an event about a device has.
func deviceState(m *ami.Message) telephony.DeviceState {
	state, _ := m.Lookup("State")
	switch string(state) {
	case "NOT_INUSE":
		return telephony.DeviceIdle
	case "RINGING":
		return telephony.DeviceRinging
	case "INUSE", "BUSY", "RINGINUSE", "ONHOLD":
		return telephony.DeviceInUse
	}
	return telephony.DeviceUnavailable
}

// isBusy says whether a member's phone is in a call: in use, busy, ringing meanwhile, on hold.
func isBusy(m *ami.Message) bool {
	status, _ := m.Lookup("Status")
	switch string(status) {
	case "2", "3", "7", "8":
		return true
	}
	return false
}
