package amitest

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// PBX is a Server that answers for phones, channels and queues as Asterisk does, and says their changes.
type PBX struct {
	*Server

	mu       sync.Mutex
	devices  map[string]string
	channels map[string]Channel
	queues   map[string]map[string]Member
	lacking  map[string]bool
}

// Channel is a channel, named in full.
type Channel struct{ Name, Application, Data string }

// Member is a queue's member in the server's memory.
type Member struct {
	Interface, Name string
	Penalty         int
	Paused          bool
	Reason          string
	InCall          bool
	// Dynamic members can be removed.
	Dynamic bool
	// Status is Asterisk's number of a device state; 0 is unknown, 1 idle, 2 in use.
	Status int
}

// StartPBX starts a server with nothing on it. It ends with the test.
func StartPBX(t testing.TB, options ...Option) *PBX {
	t.Helper()
	p := &PBX{
		devices: map[string]string{}, channels: map[string]Channel{},
		queues: map[string]map[string]Member{}, lacking: map[string]bool{},
	}
	p.Server = Start(t, options...)
	p.Handle("ListCommands", p.listCommands)
	p.Handle("DeviceStateList", p.guarded(p.deviceStateList))
	p.Handle("CoreShowChannels", p.guarded(p.coreShowChannels))
	p.Handle("QueueStatus", p.queueStatus)
	p.Handle("QueueSummary", p.queueSummary)
	p.Handle("Hangup", p.guarded(p.hangup))
	p.Handle("QueueRemove", p.guarded(p.queueRemove))
	return p
}

// Lack makes the server do without actions, as an account without a right or an Asterisk without a module does.
func (p *PBX) Lack(actions ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range actions {
		p.lacking[a] = true
	}
}

// Have undoes Lack.
func (p *PBX) Have(actions ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range actions {
		delete(p.lacking, a)
	}
}

// SetDevice sets a device's state, such as NOT_INUSE of PJSIP/alice, and says so.
func (p *PBX) SetDevice(device, state string) {
	p.mu.Lock()
	p.devices[device] = state
	p.mu.Unlock()
	p.Emit("DeviceStateChange", "Privilege", "call,all", "Device", device, "State", state)
}

// SetChannel makes a channel, or changes what it runs, and says so where it is new.
func (p *PBX) SetChannel(c Channel) {
	p.mu.Lock()
	_, had := p.channels[c.Name]
	p.channels[c.Name] = c
	p.mu.Unlock()
	if !had {
		p.Emit("Newchannel", "Privilege", "call,all", "Channel", c.Name, "ChannelState", "0", "ChannelStateDesc", "Down")
	}
}

// EndChannel ends a channel and says so; it says whether there was one.
func (p *PBX) EndChannel(name string) bool {
	p.mu.Lock()
	_, had := p.channels[name]
	delete(p.channels, name)
	p.mu.Unlock()
	if had {
		p.Emit("Hangup", "Privilege", "call,all", "Channel", name, "Cause", "16", "Cause-txt", "Normal Clearing")
	}
	return had
}

// SetMember puts a member into the memory of the server, and with it the queue. Nothing is said, as of members that
// come from the database.
func (p *PBX) SetMember(queue string, m Member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queues[queue] == nil {
		p.queues[queue] = map[string]Member{}
	}
	p.queues[queue][m.Interface] = m
}

// RemoveMember takes a member out and says nothing.
func (p *PBX) RemoveMember(queue, iface string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.queues[queue], iface)
}

// EmitMember says an event with all that there is to a member, such as QueueMemberStatus.
func (p *PBX) EmitMember(event, queue string, m Member) {
	membership := "realtime"
	if m.Dynamic {
		membership = "dynamic"
	}
	p.Emit(event, append([]string{"Privilege", "agent,all", "Queue", queue, "MemberName", m.Name, "Interface", m.Interface,
		"StateInterface", m.Interface, "Membership", membership}, m.fields()...)...)
}

func (m Member) fields() []string {
	return []string{
		"Penalty", strconv.Itoa(m.Penalty), "CallsTaken", "0", "LastCall", "0", "LastPause", "0",
		"LoginTime", "1795321007", "InCall", digit(m.InCall), "Status", strconv.Itoa(m.Status),
		"Paused", digit(m.Paused), "PausedReason", m.Reason, "Wrapuptime", "0",
	}
}

func digit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// guarded denies an action that is lacking.
func (p *PBX) guarded(handler func(*Request)) func(*Request) {
	return func(r *Request) {
		p.mu.Lock()
		lacking := p.lacking[r.Get("Action")]
		p.mu.Unlock()
		if lacking {
			r.Error("Permission denied")
			return
		}
		handler(r)
	}
}

func (p *PBX) listCommands(r *Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var commands []string
	for _, name := range []string{
		"CoreShowChannels", "DeviceStateList", "Events", "Filter", "Hangup", "ListCommands", "Login", "Logoff", "Ping",
		"QueueRemove", "QueueStatus", "QueueSummary", "Redirect",
	} {
		if !p.lacking[name] {
			commands = append(commands, name, "What it does.  (Priv: <none>)")
		}
	}
	r.Respond("Success", commands...)
}

func (p *PBX) deviceStateList(r *Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var items [][]string
	for _, device := range slices.Sorted(maps.Keys(p.devices)) {
		items = append(items, []string{"Event", "DeviceStateChange", "Device", device, "State", p.devices[device]})
	}
	r.List("DeviceStateListComplete", items...)
}

func (p *PBX) coreShowChannels(r *Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var items [][]string
	for _, name := range slices.Sorted(maps.Keys(p.channels)) {
		c := p.channels[name]
		items = append(items, []string{"Event", "CoreShowChannel", "Channel", name, "ChannelState", "6",
			"Application", c.Application, "ApplicationData", c.Data, "Duration", "00:00:04"})
	}
	r.List("CoreShowChannelsComplete", items...)
}

func (p *PBX) queueStatus(r *Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var items [][]string
	for _, queue := range p.asked(r) {
		items = append(items, []string{"Event", "QueueParams", "Queue", queue, "Max", "0", "Strategy", "leastrecent"})
		for _, iface := range slices.Sorted(maps.Keys(p.queues[queue])) {
			m := p.queues[queue][iface]
			if only := r.Get("Member"); only != "" && only != iface && only != m.Name {
				continue
			}
			membership := "static" // of realtime members too, other than in events
			if m.Dynamic {
				membership = "dynamic"
			}
			items = append(items, append([]string{"Event", "QueueMember", "Queue", queue, "Name", m.Name, "Location", iface,
				"StateInterface", iface, "Membership", membership}, m.fields()...))
		}
	}
	r.List("QueueStatusComplete", items...)
}

func (p *PBX) queueSummary(r *Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var items [][]string
	for _, queue := range p.asked(r) {
		items = append(items, []string{"Event", "QueueSummary", "Queue", queue, "LoggedIn", strconv.Itoa(len(p.queues[queue]))})
	}
	r.List("QueueSummaryComplete", items...)
}

// asked are the queues that an action is about: no name means all.
func (p *PBX) asked(r *Request) []string {
	all := slices.Sorted(maps.Keys(p.queues))
	if name := r.Get("Queue"); name != "" {
		return slices.DeleteFunc(all, func(queue string) bool { return queue != name })
	}
	return all
}

func (p *PBX) hangup(r *Request) {
	if strings.HasPrefix(r.Get("Channel"), "/") || !p.EndChannel(r.Get("Channel")) {
		r.Error("No such channel")
		return
	}
	r.Respond("Success", "Message", "Channel Hungup")
}

func (p *PBX) queueRemove(r *Request) {
	queue, iface := r.Get("Queue"), r.Get("Interface")
	p.mu.Lock()
	members, known := p.queues[queue]
	m, there := members[iface]
	if there && m.Dynamic {
		delete(members, iface)
	}
	p.mu.Unlock()
	switch {
	case !known:
		r.Error("Unable to remove interface from queue: No such queue")
	case !there:
		r.Error("Unable to remove interface: Not there")
	case !m.Dynamic:
		r.Error("Member not dynamic")
	default:
		p.EmitMember("QueueMemberRemoved", queue, m)
		r.Respond("Success", "Message", "Removed interface from queue")
	}
}
