package asterisk

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk/ami/amitest"
)

// serverSoon bounds what must not take long, on a machine that is busy.
const serverSoon = 10 * time.Second

func openServer(t *testing.T, s *amitest.Server, change ...func(*telephony.ServerConfig)) telephony.Server {
	t.Helper()
	config := telephony.ServerConfig{
		Name: "pbx-1", Address: s.Address(), Username: amitest.Username, Password: amitest.Secret, Timeout: serverSoon,
	}
	for _, c := range change {
		c(&config)
	}
	server, err := OpenServer(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// impatient is a configuration that waits for little.
func impatient(c *telephony.ServerConfig) { c.Timeout = 200 * time.Millisecond }

// observer is somebody who watches a server.
type observer struct {
	t     *testing.T
	ended chan error
	stop  context.CancelFunc

	mu      sync.Mutex
	told    []telephony.Event
	changed chan struct{}
}

// observe starts to watch.
func observe(t *testing.T, server telephony.Server) *observer {
	ctx, stop := context.WithCancel(context.Background())
	o := &observer{t: t, ended: make(chan error, 1), stop: stop, changed: make(chan struct{})}
	go func() {
		o.ended <- server.Watch(ctx, func(e telephony.Event) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.told = append(o.told, e)
			close(o.changed)
			o.changed = make(chan struct{})
		})
	}()
	t.Cleanup(stop)
	return o
}

// all is what was told so far.
func (o *observer) all() []telephony.Event {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.told)
}

// await waits until an event was told, and returns what was told up to it and makes the observer forget that.
func (o *observer) await(want telephony.Event) []telephony.Event {
	o.t.Helper()
	deadline := time.After(serverSoon)
	for {
		o.mu.Lock()
		changed := o.changed
		if i := slices.Index(o.told, want); i >= 0 {
			told := o.told[:i+1]
			o.told = slices.Clone(o.told[i+1:])
			o.mu.Unlock()
			return told
		}
		o.mu.Unlock()
		select {
		case <-changed:
		case <-deadline:
			o.t.Fatalf("%+v was not told, but %+v", want, o.all())
		}
	}
}

// end waits until the watch ends.
func (o *observer) end() error {
	o.t.Helper()
	select {
	case err := <-o.ended:
		return err
	case <-time.After(serverSoon):
		o.t.Fatal("the watch does not end")
		return nil
	}
}

var settled = telephony.Event{Kind: telephony.EventSettled}

// support tells a read of queue support.
func support(agent string) telephony.Event {
	return telephony.Event{Kind: telephony.EventQueueRead, Queue: "support", Agent: agent}
}

func memberEvent(agent string, state telephony.MemberState) telephony.Event {
	return telephony.Event{Kind: telephony.EventMember, Queue: "support", Interface: "PJSIP/" + agent, Agent: agent, Member: state}
}

// expectEvents compares what was told with what should have been, in any order.
func expectEvents(t *testing.T, told []telephony.Event, want ...telephony.Event) {
	t.Helper()
	sorted := func(events []telephony.Event) (lines []string) {
		for _, e := range events {
			lines = append(lines, fmt.Sprintf("%+v", e))
		}
		slices.Sort(lines)
		return lines
	}
	if got, wanted := sorted(told), sorted(want); !slices.Equal(got, wanted) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(wanted, "\n"))
	}
}

func expectKind(t *testing.T, err error, kind telephony.Kind, text string) {
	t.Helper()
	if telephony.KindOf(err) != kind || err.Error() != text {
		t.Errorf("got %v: %v, want %v: %s", telephony.KindOf(err), err, kind, text)
	}
	for _, secret := range []string{amitest.Secret, "wrong-secret"} {
		if err != nil && strings.Contains(fmt.Sprintf("%+v", err), secret) {
			t.Errorf("%v shows a secret", err)
		}
	}
}

func TestWatchTellsWhatThereIs(t *testing.T) {
	p := amitest.StartPBX(t)
	for device, state := range map[string]string{
		"PJSIP/idle": "NOT_INUSE", "PJSIP/talks": "INUSE", "PJSIP/busy": "BUSY", "PJSIP/both": "RINGINUSE", "PJSIP/holds": "ONHOLD",
		"PJSIP/rings": "RINGING", "PJSIP/gone": "UNAVAILABLE", "PJSIP/odd": "INVALID", "PJSIP/new": "UNKNOWN",
		"Queue:support_pause_PJSIP/idle": "INUSE", "Local/5@default": "INUSE", "PJSIP/Trunk_1": "INUSE", "PJSIP/": "INUSE",
	} {
		p.SetDevice(device, state)
	}
	for _, c := range []amitest.Channel{
		{Name: "PJSIP/talks-0000000a", Application: "AppQueue", Data: "(Outgoing Line)"},
		{Name: "PJSIP/talks-too-0000000b", Application: "Dial", Data: "PJSIP/busy"},
		{Name: "PJSIP/boss-0000000c", Application: "ChanSpy", Data: "PJSIP/talks-0000000a,qEg(ab12:cd34)"},
		{Name: "PJSIP/lead-0000000d", Application: "ChanSpy", Data: "PJSIP/talks-,qg(ab12)"},
		{Name: "PJSIP/Trunk_1-0000000e", Application: "ChanSpy", Data: "PJSIP/talks-0000000a"},
		{Name: "PJSIP/talks-short-1", Application: "Wait", Data: "1"},
		{Name: "Local/5@default-00000000;1", Application: "Queue", Data: "support"},
	} {
		p.SetChannel(c)
	}
	o := observe(t, openServer(t, p.Server))
	device := func(agent string, state telephony.DeviceState) telephony.Event {
		return telephony.Event{Kind: telephony.EventDevice, Agent: agent, Device: state}
	}
	channel := func(agent, name string) telephony.Event {
		return telephony.Event{Kind: telephony.EventChannel, Agent: agent, Channel: name}
	}
	expectEvents(t, o.await(settled),
		device("idle", telephony.DeviceIdle), device("rings", telephony.DeviceRinging),
		device("talks", telephony.DeviceInUse), device("busy", telephony.DeviceInUse),
		device("both", telephony.DeviceInUse), device("holds", telephony.DeviceInUse),
		device("gone", telephony.DeviceUnavailable), device("odd", telephony.DeviceUnavailable), device("new", telephony.DeviceUnavailable),
		channel("talks", "PJSIP/talks-0000000a"), channel("talks-too", "PJSIP/talks-too-0000000b"),
		channel("boss", "PJSIP/boss-0000000c"), channel("lead", "PJSIP/lead-0000000d"),
		telephony.Event{Kind: telephony.EventListen, Agent: "boss", Channel: "PJSIP/boss-0000000c", Target: "PJSIP/talks-0000000a", TargetAgent: "talks"},
		telephony.Event{Kind: telephony.EventListen, Agent: "lead", Channel: "PJSIP/lead-0000000d"},
		settled)
}

func TestWatchTellsChanges(t *testing.T) {
	p := amitest.StartPBX(t)
	o := observe(t, openServer(t, p.Server))
	o.await(settled)
	p.SetDevice("PJSIP/alice", "RINGING")
	p.SetDevice("Queue:support", "RINGING")
	p.SetChannel(amitest.Channel{Name: "PJSIP/alice-00000001"})
	p.SetChannel(amitest.Channel{Name: "Local/5@default-00000000;1"})
	p.Emit("Rename", "Channel", "PJSIP/alice-00000001", "Newname", "PJSIP/bob-00000002")
	p.Emit("Rename", "Channel", "PJSIP/bob-00000002<MASQ>", "Newname", "PJSIP/alice-00000001<ZOMBIE>")
	p.Emit("ChanSpyStart", "SpyerChannel", "PJSIP/boss-00000003", "SpyeeChannel", "PJSIP/bob-00000002")
	p.Emit("ChanSpyStop", "SpyerChannel", "PJSIP/boss-00000003", "SpyeeChannel", "PJSIP/bob-00000002")
	p.Emit("ChanSpyStop", "SpyerChannel", "PJSIP/boss-00000003")
	p.Emit("Hangup")
	p.Emit("QueueMemberStatus", "Queue", "support")
	p.EmitMember("QueueMemberAdded", "support", amitest.Member{Interface: "Local/5@default", Dynamic: true, Penalty: 2})
	p.EmitMember("QueueMemberRemoved", "support", amitest.Member{Interface: "Local/5@default", Dynamic: true})
	p.EndChannel("PJSIP/alice-00000001")
	last := telephony.Event{Kind: telephony.EventChannelGone, Agent: "alice", Channel: "PJSIP/alice-00000001"}
	p.Emit("Hangup", "Channel", "PJSIP/end-00000009")
	end := telephony.Event{Kind: telephony.EventChannelGone, Agent: "end", Channel: "PJSIP/end-00000009"}
	listen := telephony.Event{Kind: telephony.EventListen, Agent: "boss", Channel: "PJSIP/boss-00000003", Target: "PJSIP/bob-00000002", TargetAgent: "bob"}
	listenEnd := listen
	listenEnd.Kind = telephony.EventListenEnd
	if got, want := o.await(end), []telephony.Event{
		{Kind: telephony.EventDevice, Agent: "alice", Device: telephony.DeviceRinging},
		{Kind: telephony.EventChannel, Agent: "alice", Channel: "PJSIP/alice-00000001"},
		last,
		{Kind: telephony.EventChannel, Agent: "bob", Channel: "PJSIP/bob-00000002"},
		listen, listenEnd,
		{Kind: telephony.EventListenEnd, Agent: "boss", Channel: "PJSIP/boss-00000003"},
		{Kind: telephony.EventMember, Queue: "support", Interface: "Local/5@default", Member: telephony.MemberState{Penalty: 2, Dynamic: true}},
		{Kind: telephony.EventMemberGone, Queue: "support", Interface: "Local/5@default"},
		last, end,
	}; !slices.Equal(got, want) {
		t.Errorf("told %+v\nwant %+v", got, want)
	}
}

func TestRead(t *testing.T) {
	p := amitest.StartPBX(t)
	server := openServer(t, p.Server)
	expectKind(t, server.Read(t.Context(), telephony.Query{Queue: "support"}), telephony.Unreachable,
		"server pbx-1 cannot be reached: it is not being watched")
	o := observe(t, server)
	o.await(settled)
	p.SetMember("support", amitest.Member{Interface: "PJSIP/alice-martin", Name: "alice-martin", Penalty: 3, Status: 1})
	p.SetMember("support", amitest.Member{Interface: "PJSIP/bob", Name: "bob", Paused: true, Reason: "Lunch: late", InCall: true, Status: 2})
	p.SetMember("support", amitest.Member{Interface: "Local/5@default", Name: "desk", Dynamic: true})
	p.SetMember("billing", amitest.Member{Interface: "PJSIP/bob", Name: "bob"})

	if err := server.Read(t.Context(), telephony.Query{Queue: "support"}, telephony.Query{Queue: "nosuch"}); err != nil {
		t.Fatal(err)
	}
	alice := memberEvent("alice-martin", telephony.MemberState{Penalty: 3})
	bob := memberEvent("bob", telephony.MemberState{Paused: true, PauseReason: "Lunch: late", InCall: true})
	desk := telephony.Event{Kind: telephony.EventMember, Queue: "support", Interface: "Local/5@default", Member: telephony.MemberState{Dynamic: true}}
	nosuch := telephony.Event{Kind: telephony.EventQueueRead, Queue: "nosuch"}
	expectEvents(t, o.all(), alice, bob, desk, support(""), nosuch) // all was told before Read returned
	o.await(nosuch)

	if err := server.Read(t.Context(), telephony.Query{Queue: "support", Agent: "bob"}); err != nil {
		t.Fatal(err)
	}
	expectEvents(t, o.await(support("bob")), bob, support("bob"))
	if err := server.Read(t.Context(), telephony.Query{Queue: "support", Agent: "nobody"}); err != nil {
		t.Fatal(err)
	}
	expectEvents(t, o.await(support("nobody")), support("nobody"))

	asked := len(p.Asked("QueueStatus"))
	for _, q := range []telephony.Query{{}, {Queue: "a\r\nMember: b"}, {Queue: "a", Agent: "b\n"}} {
		if err := server.Read(t.Context(), telephony.Query{Queue: "support"}, q); telephony.KindOf(err) != telephony.Refused {
			t.Errorf("%+v: %v", q, err)
		}
	}
	if got := len(p.Asked("QueueStatus")); got != asked {
		t.Error("a query that is refused must be refused before anything is asked")
	}
}

// On Asterisk 16 the last status before a call is put through says InCall: 0, and none comes after it.
func TestInCall(t *testing.T) {
	p := amitest.StartPBX(t)
	server := openServer(t, p.Server)
	o := observe(t, server)
	o.await(settled)
	m := amitest.Member{Interface: "PJSIP/alice", Name: "alice", Penalty: 1, Status: 2}
	status := func(change func(*amitest.Member)) {
		changed := m
		change(&changed)
		p.EmitMember("QueueMemberStatus", "support", changed)
	}
	call := func(event, queue string) { p.Emit(event, "Queue", queue, "Interface", "PJSIP/alice") }
	idle, talks := telephony.MemberState{Penalty: 1}, telephony.MemberState{Penalty: 1, InCall: true}
	paused := telephony.MemberState{Penalty: 1, InCall: true, Paused: true, PauseReason: "Lunch"}

	call("AgentConnect", "support") // of a member that nobody knows: nothing can be told
	status(func(m *amitest.Member) { m.Status = 6 })
	status(func(*amitest.Member) {})
	call("AgentConnect", "support")
	call("AgentConnect", "billing")
	status(func(m *amitest.Member) { m.Paused, m.Reason = true, "Lunch" }) // late by a moment, and in a call still
	call("AgentComplete", "support")
	call("AgentComplete", "support")
	status(func(m *amitest.Member) { m.InCall = true })
	status(func(m *amitest.Member) { m.Status = 1 })
	status(func(*amitest.Member) {}) // another call
	call("AgentConnect", "support")
	p.SetMember("support", m)
	o.await(memberEvent("alice", idle))
	o.await(memberEvent("alice", idle))
	o.await(memberEvent("alice", talks))
	told := o.await(memberEvent("alice", paused))
	expectEvents(t, told, memberEvent("alice", paused))
	if err := server.Read(t.Context(), telephony.Query{Queue: "support"}); err != nil {
		t.Fatal(err)
	}
	ended := paused
	ended.InCall = false
	if got, want := o.await(support("")), []telephony.Event{
		memberEvent("alice", ended), memberEvent("alice", talks), memberEvent("alice", idle), memberEvent("alice", idle),
		memberEvent("alice", talks), memberEvent("alice", idle), support(""),
	}; !slices.Equal(got, want) {
		t.Errorf("told %+v\nwant %+v", got, want)
	}
	p.RemoveMember("support", "PJSIP/alice")
	if err := server.Read(t.Context(), telephony.Query{Queue: "support"}); err != nil {
		t.Fatal(err)
	}
	call("AgentConnect", "support") // of a member that is none any more
	p.Emit("Hangup", "Channel", "PJSIP/end-00000009")
	expectEvents(t, o.await(telephony.Event{Kind: telephony.EventChannelGone, Agent: "end", Channel: "PJSIP/end-00000009"}),
		support(""), telephony.Event{Kind: telephony.EventChannelGone, Agent: "end", Channel: "PJSIP/end-00000009"})
}

// What real servers said of a queue call that was listened to, told as events.
func TestWatchRecorded(t *testing.T) {
	folders, _ := filepath.Glob("ami/testdata/asterisk-*")
	if len(folders) != 2 {
		t.Fatalf("recordings of %v, want two versions", folders)
	}
	for _, folder := range folders {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			p := amitest.StartPBX(t)
			exchanges := amitest.Read(t, filepath.Join(folder, "events.txt")).Exchanges
			o := observe(t, openServer(t, p.Server))
			o.await(settled)
			_, said, _ := strings.Cut(exchanges[len(exchanges)-1].Said, "\r\n\r\n")
			p.EmitText(said)
			caller, listener := "", ""
			for _, e := range o.awaitLen(10) {
				if e.Kind == telephony.EventChannel && e.Agent == "alice-martin" {
					caller = e.Channel
				}
			}
			if caller == "" {
				t.Fatalf("no channel of the member's was told: %+v", o.all())
			}
			gone := telephony.Event{Kind: telephony.EventChannelGone, Agent: "alice-martin", Channel: caller}
			told := o.await(gone)
			for _, e := range told {
				if e.Kind == telephony.EventListen {
					listener = e.Channel
				}
			}
			has := func(want telephony.Event) {
				t.Helper()
				if !slices.Contains(told, want) {
					t.Errorf("%+v was not told, but %+v", want, told)
				}
			}
			member := func(s telephony.MemberState) telephony.Event { return memberEvent("alice-martin", s) }
			has(telephony.Event{Kind: telephony.EventListen, Agent: "carla-diaz", Channel: listener, Target: caller, TargetAgent: "alice-martin"})
			has(telephony.Event{Kind: telephony.EventDevice, Agent: "alice-martin", Device: telephony.DeviceRinging})
			has(telephony.Event{Kind: telephony.EventDevice, Agent: "alice-martin", Device: telephony.DeviceInUse})
			has(member(telephony.MemberState{InCall: true}))
			coffee := member(telephony.MemberState{InCall: true, Paused: true, PauseReason: "Coffee: ten minutes"})
			coffee.Pressed = true
			has(coffee)
			has(member(telephony.MemberState{InCall: true, Penalty: 3}))
			reason := map[bool]string{true: "why"}[strings.HasSuffix(folder, "22")]
			has(memberEvent("alice", telephony.MemberState{Penalty: 1, Paused: true, PauseReason: reason, Dynamic: true}))
			has(telephony.Event{Kind: telephony.EventMemberGone, Queue: "support", Interface: "PJSIP/alice", Agent: "alice"})
			has(telephony.Event{Kind: telephony.EventMemberGone, Queue: "support", Interface: "Local/5@default"})
			after := o.await(telephony.Event{Kind: telephony.EventDevice, Agent: "alice-martin", Device: telephony.DeviceUnavailable})
			ended := slices.Concat(told, after)
			if i := slices.IndexFunc(ended, func(e telephony.Event) bool { return e.Kind == telephony.EventListenEnd }); i < 0 {
				t.Error("the end of listening was not told")
			}
			if slices.Index(ended, member(telephony.MemberState{})) < 0 {
				t.Error("the end of the call was not told")
			}
			o.await(telephony.Event{Kind: telephony.EventDevice, Agent: "alice-martin", Device: telephony.DeviceIdle})
		})
	}
}

// awaitLen waits until so many events were told.
func (o *observer) awaitLen(n int) []telephony.Event {
	o.t.Helper()
	for deadline := time.Now().Add(serverSoon); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if told := o.all(); len(told) >= n {
			return told
		}
	}
	o.t.Fatalf("only %+v was told", o.all())
	return nil
}

func TestRefresh(t *testing.T) {
	p := amitest.StartPBX(t)
	server := openServer(t, p.Server)
	var queues []string
	for i := range 100 {
		queues = append(queues, fmt.Sprintf("queue-%d", i))
		if i%2 == 0 {
			p.SetMember(queues[i], amitest.Member{Interface: "PJSIP/alice"})
		}
	}
	if err := server.Refresh(t.Context(), queues...); err != nil {
		t.Fatal(err)
	}
	asked := p.Asked("QueueSummary")
	if len(asked) != len(queues) {
		t.Fatalf("%d actions for %d queues", len(asked), len(queues))
	}
	for i, a := range asked {
		if a.Header.Get("Queue") != queues[i] {
			t.Errorf("action %d is about %s", i, a.Header.Get("Queue"))
		}
	}
	if err := server.Refresh(t.Context()); err != nil {
		t.Error(err)
	}
	expectKind(t, server.Refresh(t.Context(), "a", ""), telephony.Refused, "server pbx-1 refused: a queue has no name")
	expectKind(t, server.Refresh(t.Context(), "a", "b\r\nAction: Hangup"), telephony.Refused,
		"server pbx-1 refused: a name holds what cannot be sent to it")
	if len(p.Asked("QueueSummary")) != len(queues) {
		t.Error("what is refused must be refused before anything is asked")
	}
}

func TestHangUp(t *testing.T) {
	p := amitest.StartPBX(t)
	server := openServer(t, p.Server)
	p.SetChannel(amitest.Channel{Name: "PJSIP/alice-00000001"})
	p.SetChannel(amitest.Channel{Name: "PJSIP/alice-00000002"})
	if err := server.HangUp(t.Context(), "PJSIP/alice-00000001", "PJSIP/gone-00000009", "PJSIP/alice-00000002"); err != nil {
		t.Error(err)
	}
	if p.EndChannel("PJSIP/alice-00000001") || p.EndChannel("PJSIP/alice-00000002") {
		t.Error("a channel was not hung up")
	}
	if err := server.HangUp(t.Context(), "PJSIP/alice-00000001"); err != nil {
		t.Error(err)
	}
	asked := len(p.Asked("Hangup"))
	for _, name := range []string{"/^PJSIP/alice-.*/", "/", ""} {
		expectKind(t, server.HangUp(t.Context(), "PJSIP/a-00000001", name), telephony.Refused, "server pbx-1 refused: a channel's name is none")
	}
	if len(p.Asked("Hangup")) != asked {
		t.Error("what is refused must be refused before anything is asked")
	}
	p.Handle("Hangup", func(r *amitest.Request) { r.Error("Out of order") })
	expectKind(t, server.HangUp(t.Context(), "PJSIP/a-00000001"), telephony.Refused, "server pbx-1 refused: Hangup: Out of order")
}

func TestRemoveMember(t *testing.T) {
	p := amitest.StartPBX(t)
	server := openServer(t, p.Server)
	p.SetMember("support", amitest.Member{Interface: "PJSIP/alice"})
	p.SetMember("support", amitest.Member{Interface: "PJSIP/bob", Dynamic: true})
	for _, m := range [][2]string{{"support", "PJSIP/bob"}, {"support", "PJSIP/bob"}, {"nosuch", "PJSIP/bob"}} {
		if err := server.RemoveMember(t.Context(), m[0], m[1]); err != nil {
			t.Errorf("%v: %v", m, err)
		}
	}
	expectKind(t, server.RemoveMember(t.Context(), "support", "PJSIP/alice"), telephony.Refused,
		"server pbx-1 refused: QueueRemove: Member not dynamic")
}

func TestServerRights(t *testing.T) {
	const mend = ": give it read = agent,call,system and write = agent,call,system"
	for _, tt := range []struct {
		name    string
		prepare func(*amitest.PBX)
		text    string
	}{
		{"no system", func(p *amitest.PBX) { p.Lack("Filter") }, "the account lacks the right to system" + mend},
		{"no call", func(p *amitest.PBX) { p.Lack("Redirect", "DeviceStateList") }, "the account lacks the right to call" + mend},
		{"no agent", func(p *amitest.PBX) { p.Lack("QueueRemove") }, "the account lacks the right to agent" + mend},
		{"no queues", func(p *amitest.PBX) { p.Lack("QueueSummary", "QueueStatus", "QueueRemove") }, "its module app_queue is not loaded"},
		{"no device states", func(p *amitest.PBX) { p.Lack("DeviceStateList") }, "its module res_manager_devicestate is not loaded"},
		{"wrong password", func(p *amitest.PBX) {
			p.Handle("Login", func(r *amitest.Request) { r.Error("Authentication failed") })
		}, "the username or the password is wrong, or the account may not come from here"},
		{"no read right", func(p *amitest.PBX) {
			p.Handle("Login", func(r *amitest.Request) { r.Respond("Success", "Message", "Authentication accepted") })
		}, "it does not say that it has started: the account lacks read = system" + mend},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := amitest.StartPBX(t)
			tt.prepare(p)
			server := openServer(t, p.Server, impatient)
			want := "server pbx-1 refused: " + tt.text
			expectKind(t, server.Ping(t.Context()), telephony.Refused, want)
			expectKind(t, observe(t, server).end(), telephony.Refused, want)
		})
	}
	p := amitest.StartPBX(t)
	p.Handle("QueueSummary", func(r *amitest.Request) { r.Error("Permission denied") })
	server := openServer(t, p.Server)
	expectKind(t, server.Refresh(t.Context(), "support"), telephony.Refused, "server pbx-1 refused: the account lacks a right"+mend)
}

// A server that is starting is waited for, and then its modules are there.
func TestServerThatIsStarting(t *testing.T) {
	p := amitest.StartPBX(t)
	var mu sync.Mutex
	var waiting []*amitest.Request
	p.Handle("Login", func(r *amitest.Request) {
		r.SetEvents(r.Get("Events"))
		r.Respond("Success", "Message", "Authentication accepted")
		mu.Lock()
		defer mu.Unlock()
		waiting = append(waiting, r)
	})
	p.Lack("QueueSummary", "DeviceStateList", "QueueRemove", "QueueStatus")
	starting := openServer(t, p.Server, impatient)
	expectKind(t, starting.Ping(t.Context()), telephony.Unreachable, "server pbx-1 cannot be reached: it has not finished starting")
	server := openServer(t, p.Server)
	o := observe(t, server)
	if err := p.Await(t.Context(), "ListCommands", 2); err != nil {
		t.Fatal(err)
	}
	p.Have("QueueSummary", "DeviceStateList", "QueueRemove", "QueueStatus")
	mu.Lock()
	for _, r := range waiting {
		r.Event("FullyBooted", "Privilege", "system,all", "Status", "Fully Booted")
	}
	mu.Unlock()
	o.await(settled)
}

func TestServerOutOfReach(t *testing.T) {
	const out = "server pbx-1 cannot be reached: "
	t.Run("nobody listens", func(t *testing.T) {
		p := amitest.StartPBX(t)
		p.Stop()
		server := openServer(t, p.Server)
		expectKind(t, server.Ping(t.Context()), telephony.Unreachable, out+"connection refused")
		expectKind(t, observe(t, server).end(), telephony.Unreachable, out+"connection refused")
	})
	t.Run("it does not answer", func(t *testing.T) {
		p := amitest.StartPBX(t)
		server := openServer(t, p.Server, impatient)
		if err := server.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Freeze()
		expectKind(t, server.Refresh(t.Context(), "a", "b"), telephony.Unreachable, out+"no answer in time")
		expectKind(t, observe(t, server).end(), telephony.Unreachable, out+"no answer in time")
		p.Thaw()
		if err := server.Ping(t.Context()); err != nil {
			t.Errorf("it did not connect again: %v", err)
		}
	})
	t.Run("the caller does not wait", func(t *testing.T) {
		p := amitest.StartPBX(t)
		server := openServer(t, p.Server)
		p.Handle("QueueSummary", func(*amitest.Request) {})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := server.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		expectKind(t, server.Refresh(ctx, "a"), telephony.Unreachable, out+"no answer in time")
		if err := server.Ping(t.Context()); err != nil {
			t.Errorf("the connection did not go on: %v", err)
		}
		if n := len(p.Asked("Login")); n != 1 {
			t.Errorf("%d logins", n)
		}
	})
	t.Run("it dies and returns", func(t *testing.T) {
		p := amitest.StartPBX(t)
		server := openServer(t, p.Server)
		o := observe(t, server)
		o.await(settled)
		if err := server.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.Stop()
		expectKind(t, o.end(), telephony.Unreachable, out+"the connection broke")
		expectKind(t, server.Read(t.Context(), telephony.Query{Queue: "support"}), telephony.Unreachable, out+"it is not being watched")
		if err := server.Ping(t.Context()); telephony.KindOf(err) != telephony.Unreachable {
			t.Errorf("got %v", err)
		}
		p.Restart(t)
		if err := server.Ping(t.Context()); err != nil {
			t.Errorf("it did not connect again: %v", err)
		}
		o = observe(t, server)
		o.await(settled)
		o.stop()
		expectKind(t, o.end(), telephony.Unreachable, out+"no answer in time")
	})
	t.Run("it is something else", func(t *testing.T) {
		server := openServer(t, amitest.Start(t, amitest.WithBanner("220 mail.example ESMTP\r\n")))
		expectKind(t, server.Ping(t.Context()), telephony.Refused, "server pbx-1 refused: it is no Asterisk Manager Interface")
	})
	t.Run("its address is not known", func(t *testing.T) {
		server := openServer(t, amitest.Start(t), func(c *telephony.ServerConfig) { c.Address = "pbx.invalid:5038" })
		if err := server.Ping(t.Context()); telephony.KindOf(err) != telephony.Unreachable || strings.Contains(err.Error(), "lookup") {
			t.Errorf("got %v", err)
		}
	})
}

// A list that failed would leave a hole that nobody sees: it ends the watch.
func TestBrokenLists(t *testing.T) {
	for _, action := range []string{"DeviceStateList", "CoreShowChannels", "QueueStatus"} {
		t.Run(action, func(t *testing.T) {
			p := amitest.StartPBX(t)
			p.Handle(action, func(r *amitest.Request) {
				r.Respond("Success", "EventList", "start")
				r.Event("End", "ActionID", r.ID(), "EventList", "Complete", "ListItems", "7")
			})
			server := openServer(t, p.Server)
			o := observe(t, server)
			const text = "server pbx-1 cannot be reached: it broke off an answer"
			if action == "QueueStatus" {
				o.await(settled)
				expectKind(t, server.Read(t.Context(), telephony.Query{Queue: "a"}, telephony.Query{Queue: "b"}), telephony.Unreachable, text)
			}
			expectKind(t, o.end(), telephony.Unreachable, text)
			if slices.ContainsFunc(o.all(), func(e telephony.Event) bool { return e.Kind == telephony.EventQueueRead }) {
				t.Error("a read that failed was told as done")
			}
		})
	}
}

func TestServerClose(t *testing.T) {
	p := amitest.StartPBX(t)
	server := openServer(t, p.Server)
	o := observe(t, server)
	o.await(settled)
	p.Handle("QueueSummary", func(*amitest.Request) {})
	refreshed := make(chan error, 1)
	go func() { refreshed <- server.Refresh(t.Context(), "support") }()
	if err := p.Await(t.Context(), "QueueSummary", 1); err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	const text = "server pbx-1 cannot be reached: it was closed"
	expectKind(t, <-refreshed, telephony.Unreachable, text)
	expectKind(t, o.end(), telephony.Unreachable, text)
	expectKind(t, server.Ping(t.Context()), telephony.Unreachable, text)
	expectKind(t, observe(t, server).end(), telephony.Unreachable, text)
}

func TestOneWatch(t *testing.T) {
	p := amitest.StartPBX(t)
	server := openServer(t, p.Server)
	o := observe(t, server)
	o.await(settled)
	expectKind(t, observe(t, server).end(), telephony.Refused, "server pbx-1 refused: it is being watched already")
	if err := server.Read(t.Context(), telephony.Query{Queue: "support"}); err != nil {
		t.Error(err)
	}
}

func TestServerTLS(t *testing.T) {
	certificate, ca := amitest.Certificate(t, "pbx.example")
	p := amitest.StartPBX(t, amitest.WithTLS(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	with := func(settings telephony.ServerTLS) telephony.Server {
		return openServer(t, p.Server, func(c *telephony.ServerConfig) { c.TLS = &settings })
	}
	for _, settings := range []telephony.ServerTLS{{CA: ca, ServerName: "pbx.example"}, {SkipVerify: true}} {
		if err := with(settings).Ping(t.Context()); err != nil {
			t.Error(err)
		}
	}
	expectKind(t, with(telephony.ServerTLS{ServerName: "pbx.example"}).Ping(t.Context()), telephony.Refused,
		"server pbx-1 refused: its certificate is signed by nobody who is trusted")
	expectKind(t, with(telephony.ServerTLS{CA: ca}).Ping(t.Context()), telephony.Refused,
		"server pbx-1 refused: its certificate is for another name")
	plain := openServer(t, amitest.Start(t), func(c *telephony.ServerConfig) { c.TLS = &telephony.ServerTLS{CA: ca} })
	expectKind(t, plain.Ping(t.Context()), telephony.Refused, "server pbx-1 refused: it does not speak TLS")
}

func TestServerPrintsNoSecret(t *testing.T) {
	server := openServer(t, amitest.Start(t))
	if text := fmt.Sprintf("%v %+v %#v", server, server, server); strings.Contains(text, amitest.Secret) || strings.Contains(text, amitest.Username) {
		t.Errorf("%q shows credentials", text)
	}
}

func TestOpenServerRefuses(t *testing.T) {
	for text, config := range map[string]telephony.ServerConfig{
		"its address is not host:port":                     {Address: "pbx-1"},
		"its username or password holds the end of a line": {Address: "pbx-1:5038", Password: "wrong-secret\r\nEvents: on"},
		"its CA holds no PEM certificate":                  {Address: "pbx-1:5038", TLS: &telephony.ServerTLS{CA: []byte("x")}},
	} {
		config.Name = "pbx-1"
		_, err := OpenServer(config)
		expectKind(t, err, telephony.Refused, "server pbx-1 refused: "+text)
	}
}

func TestOwnerOf(t *testing.T) {
	for channel, want := range map[string]string{
		"PJSIP/alice-0000000a": "alice", "PJSIP/alice-martin-0000000a": "alice-martin", "PJSIP/a-b-c-100000000": "a-b-c",
		"PJSIP/deadbeef-deadbeef": "deadbeef", "PJSIP/alice": "", "PJSIP/alice-": "", "PJSIP/alice-0000000A": "",
		"PJSIP/alice-000000a": "", "PJSIP/-0000000a": "", "PJSIP/--0000000a": "", "Local/alice-0000000a": "", "": "", "-0000000a": "",
		"PJSIP/alice-0000000a<ZOMBIE>": "", "PJSIP/Trunk_1-0000000a": "", "PJSIP/anonymous-0000000a": "anonymous",
		"PJSIP/" + strings.Repeat("a", 41) + "-0000000a": "",
	} {
		if got := ownerOf(channel); got != want {
			t.Errorf("%q belongs to %q, want %q", channel, got, want)
		}
	}
}
