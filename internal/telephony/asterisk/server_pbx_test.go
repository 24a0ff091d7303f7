//go:build pbx

package asterisk

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"roster.dev/roster/hack/asterisk/lab"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony"
)

// pbx is a running Asterisk, what writes its tables, and what is tested.
type pbx struct {
	*lab.Server
	backend *Backend
	db      *sql.DB
	manager telephony.Server
	agents  map[string]*telephony.Agent
}

// onEachAsterisk runs a test on each version.
func onEachAsterisk(t *testing.T, test func(*testing.T, *pbx)) {
	for _, version := range []string{"22", "16"} {
		t.Run(version, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "acme.sqlite3")
			backend, err := Open(t.Context(), Config{Center: "acme", Type: TypeSQLite, Path: path})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = backend.Close() })
			if _, err := backend.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			p := &pbx{backend: backend, db: db, agents: map[string]*telephony.Agent{}}
			p.Server = lab.ForTest(t, lab.Options{Version: version, SQLite: path, TLS: true})
			p.manager = p.open(t, nil)
			test(t, p)
		})
	}
}

// open opens the server, with a change to what is needed for it.
func (p *pbx) open(t *testing.T, change func(*telephony.ServerConfig)) telephony.Server {
	t.Helper()
	config := telephony.ServerConfig{Name: "pbx-1", Address: p.AMIAddress, Username: p.Username, Password: p.Password}
	if change != nil {
		change(&config)
	}
	server, err := OpenServer(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server
}

// agent writes a person, with what change changes, and keeps it for the next change.
func (p *pbx) agent(t *testing.T, name, extension string, change func(*telephony.Agent)) {
	t.Helper()
	a := p.agents[name]
	if a == nil {
		a = agentIn(name)
		a.Extension = extension
		p.agents[name] = a
	}
	if change != nil {
		change(a)
	}
	if _, err := p.backend.ApplyAgent(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func (p *pbx) queue(t *testing.T, name, extension string) {
	t.Helper()
	err := p.backend.ApplyQueue(t.Context(), &telephony.Queue{Name: name, Settings: acme, Voice: true, Extension: extension,
		Strategy: "RingAll", TimeoutSeconds: 15})
	if err != nil {
		t.Fatal(err)
	}
}

func (p *pbx) phone(t *testing.T, name string) *phone.Phone {
	t.Helper()
	return phone.ForTest(t, phone.Config{Server: p.SIPAddress, User: name, Password: *p.agents[name].Password})
}

// register registers a phone and waits until the server says so.
func (p *pbx) register(t *testing.T, o *observer, name string, with *phone.Phone) []telephony.Event {
	t.Helper()
	if status, err := with.Register(t.Context()); err != nil || status != 200 {
		t.Fatalf("%s registers: %d, %v", name, status, err)
	}
	return o.await(telephony.Event{Kind: telephony.EventDevice, Agent: name, Device: telephony.DeviceIdle})
}

func voice(queue string, penalty int) telephony.Membership {
	return telephony.Membership{Queue: queue, Channels: []string{"Voice"}, Stars: 4 - penalty, Penalty: penalty}
}

// awaitWhere waits until an event that is wanted was told.
func (o *observer) awaitWhere(wanted func(telephony.Event) bool) telephony.Event {
	o.t.Helper()
	for deadline := time.Now().Add(serverSoon); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if told := o.all(); slices.ContainsFunc(told, wanted) {
			return told[slices.IndexFunc(told, wanted)]
		}
	}
	o.t.Fatalf("it was not told, but %+v", o.all())
	return telephony.Event{}
}

// What a server has in memory shows in the events that it makes when a phone registers or goes.
func TestPBXRefresh(t *testing.T) {
	onEachAsterisk(t, func(t *testing.T, p *pbx) {
		p.queue(t, "support", "600")
		p.queue(t, "billing", "601")
		p.agent(t, "alice-martin", "1001", func(a *telephony.Agent) {
			a.Memberships = []telephony.Membership{voice("billing", 2), voice("support", 3)}
		})
		o := observe(t, p.manager)
		o.await(settled)
		refresh := func(queues ...string) {
			t.Helper()
			if err := p.manager.Refresh(t.Context(), queues...); err != nil {
				t.Fatal(err)
			}
		}
		alice := p.phone(t, "alice-martin")
		states := map[bool]telephony.DeviceState{true: telephony.DeviceIdle, false: telephony.DeviceUnavailable}
		registered := false
		// shown registers the phone, or ends that, and returns the member's state in queues as the server shows it then.
		shown := func() map[string]telephony.MemberState {
			t.Helper()
			registered = !registered
			change := alice.Unregister
			if registered {
				change = alice.Register
			}
			if status, err := change(t.Context()); err != nil || status != 200 {
				t.Fatal(status, err)
			}
			told := o.await(telephony.Event{Kind: telephony.EventDevice, Agent: "alice-martin", Device: states[registered]})
			// Whatever came of it is said before the end of a second question.
			for range 2 {
				time.Sleep(50 * time.Millisecond)
				if err := p.manager.Read(t.Context(), telephony.Query{Queue: "nosuch"}); err != nil {
					t.Fatal(err)
				}
				told = append(told, o.await(telephony.Event{Kind: telephony.EventQueueRead, Queue: "nosuch"})...)
			}
			members := map[string]telephony.MemberState{}
			for _, e := range told {
				if e.Kind == telephony.EventMember {
					members[e.Queue] = e.Member
				}
			}
			return members
		}
		expect := func(what string, got, want map[string]telephony.MemberState) {
			t.Helper()
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %+v, want %+v", what, got, want)
			}
		}
		both := map[string]telephony.MemberState{"support": {Penalty: 3}, "billing": {Penalty: 2}}
		expect("before anything was asked", shown(), map[string]telephony.MemberState{})
		refresh("support", "billing", "nosuch")
		expect("a queue and a member that are new", shown(), both)

		reason := map[string]string{"22": "Vacation"}[p.Version] // Asterisk 16 does not read it
		p.agent(t, "alice-martin", "", func(a *telephony.Agent) {
			a.PauseReason, a.Memberships = "Vacation", []telephony.Membership{voice("billing", 2), voice("support", 0)}
		})
		expect("not refreshed", shown(), both)
		refresh("support")
		changed := map[string]telephony.MemberState{"support": {Paused: true, PauseReason: reason}, "billing": {Penalty: 2}}
		expect("one queue refreshed", shown(), changed)
		refresh("billing")
		changed["billing"] = telephony.MemberState{Penalty: 2, Paused: true, PauseReason: reason}
		expect("both refreshed", shown(), changed)
		p.agent(t, "alice-martin", "", func(a *telephony.Agent) { a.PauseReason = "" })
		refresh("support", "billing")
		expect("the pause lifted", shown(), map[string]telephony.MemberState{"support": {}, "billing": {Penalty: 2}})

		p.agent(t, "alice-martin", "", func(a *telephony.Agent) { a.Memberships = []telephony.Membership{voice("billing", 2)} })
		refresh("support")
		expect("a member removed", shown(), map[string]telephony.MemberState{"billing": {Penalty: 2}})
		p.agent(t, "alice-martin", "", func(a *telephony.Agent) { a.Memberships = nil })
		if err := p.backend.RemoveQueue(t.Context(), "billing"); err != nil {
			t.Fatal(err)
		}
		refresh("billing")
		expect("a queue removed", shown(), map[string]telephony.MemberState{})
		refresh("billing")
		out, err := p.CLI(t.Context(), "queue show billing")
		if err != nil || !strings.Contains(out, "No such queue") {
			t.Errorf("the queue is still there: %s %v", out, err)
		}
	})
}

func TestPBXRead(t *testing.T) {
	onEachAsterisk(t, func(t *testing.T, p *pbx) {
		var queues []telephony.Query
		for i := range 40 {
			name := fmt.Sprintf("queue-%d", i)
			p.queue(t, name, "")
			queues = append(queues, telephony.Query{Queue: name})
		}
		for i := range 50 {
			p.agent(t, fmt.Sprintf("agent-%d", i), "", func(a *telephony.Agent) {
				for _, q := range queues {
					a.Memberships = append(a.Memberships, voice(q.Queue, 3))
				}
				slices.SortFunc(a.Memberships, func(a, b telephony.Membership) int { return strings.Compare(a.Queue, b.Queue) })
			})
		}
		if _, err := p.CLI(t.Context(), "queue add member Local/5@acme to queue-7"); err != nil {
			t.Fatal(err)
		}
		o := observe(t, p.manager)
		o.await(settled)
		start := time.Now()
		if err := p.manager.Read(t.Context(), queues...); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d memberships were read in %v", 40*50, time.Since(start))
		members, read := map[string]int{}, 0
		for _, e := range o.all() {
			switch e.Kind {
			case telephony.EventMember:
				members[e.Queue]++
				if e.Agent == "" != e.Member.Dynamic || e.Agent != "" && e.Member.Penalty != 3 {
					t.Errorf("a member is %+v", e)
				}
			case telephony.EventQueueRead:
				want := 50
				if e.Queue == "queue-7" {
					want = 51
				}
				if read++; members[e.Queue] != want {
					t.Errorf("%s has %d members, want %d", e.Queue, members[e.Queue], want)
				}
			}
		}
		if read != len(queues) {
			t.Errorf("%d queues were read", read)
		}
		o.await(telephony.Event{Kind: telephony.EventQueueRead, Queue: "queue-39"})
		if err := p.manager.Read(t.Context(), telephony.Query{Queue: "queue-7", Agent: "agent-49"}); err != nil {
			t.Fatal(err)
		}
		end := telephony.Event{Kind: telephony.EventQueueRead, Queue: "queue-7", Agent: "agent-49"}
		expectEvents(t, o.await(end), telephony.Event{Kind: telephony.EventMember, Queue: "queue-7", Agent: "agent-49",
			Interface: "PJSIP/agent-49", Member: telephony.MemberState{Penalty: 3}}, end)
		start = time.Now()
		var names []string
		for _, q := range queues {
			names = append(names, q.Queue)
		}
		if err := p.manager.Refresh(t.Context(), names...); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d queues were refreshed in %v", len(names), time.Since(start))
	})
}

func TestPBXRemoveMember(t *testing.T) {
	onEachAsterisk(t, func(t *testing.T, p *pbx) {
		p.queue(t, "support", "600")
		p.agent(t, "alice", "1001", func(a *telephony.Agent) { a.Memberships = []telephony.Membership{voice("support", 3)} })
		o := observe(t, p.manager)
		o.await(settled)
		if err := p.manager.Read(t.Context(), telephony.Query{Queue: "support"}); err != nil {
			t.Fatal(err)
		}
		expectEvents(t, o.await(support("")), memberEvent("alice", telephony.MemberState{Penalty: 3}), support(""))
		for _, iface := range []string{"PJSIP/bob", "Local/5@acme"} {
			if _, err := p.CLI(t.Context(), "queue add member "+iface+" to support penalty 2"); err != nil {
				t.Fatal(err)
			}
			added := o.awaitWhere(func(e telephony.Event) bool { return e.Kind == telephony.EventMember && e.Interface == iface })
			if want := (telephony.MemberState{Penalty: 2, Dynamic: true}); added.Member != want || added.Agent != phoneOf(iface) {
				t.Errorf("added %+v", added)
			}
			for range 2 {
				if err := p.manager.RemoveMember(t.Context(), "support", iface); err != nil {
					t.Error(err)
				}
			}
			o.await(telephony.Event{Kind: telephony.EventMemberGone, Queue: "support", Interface: iface, Agent: phoneOf(iface)})
		}
		if err := p.manager.RemoveMember(t.Context(), "nosuch", "PJSIP/bob"); err != nil {
			t.Error(err)
		}
		expectKind(t, p.manager.RemoveMember(t.Context(), "support", "PJSIP/alice"), telephony.Refused,
			"server pbx-1 refused: QueueRemove: Member not dynamic")
	})
}

// talk sends silence as sound to the server from where a phone is in its first call, until the test ends. ChanSpy looks
// for its own end only when there is sound in the call that it listens to.
func (p *pbx) talk(t *testing.T, from *phone.Phone) {
	t.Helper()
	messages, err := os.ReadFile(from.Messages())
	if err != nil {
		t.Fatal(err)
	}
	_, invite, _ := strings.Cut(string(messages), "\nINVITE sip:")
	media := regexp.MustCompile(`m=audio (\d+) `).FindStringSubmatch(invite)
	if media == nil {
		t.Fatalf("no INVITE offers sound:\n%s", messages)
	}
	local := net.UDPAddrFromAddrPort(netip.AddrPortFrom(from.Address().Addr(), 0))
	conn, err := (&net.Dialer{LocalAddr: local}).DialContext(t.Context(), "udp", net.JoinHostPort(p.IP, media[1]))
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		defer conn.Close()
		packet := append([]byte{0x80, 8, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, bytes.Repeat([]byte{0xd5}, 160)...) // RTP, PCMA
		for n := uint32(1); ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			binary.BigEndian.PutUint16(packet[2:], uint16(n))
			binary.BigEndian.PutUint32(packet[4:], n*160)
			_, _ = conn.Write(packet)
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
}

// A call of the queue's is answered and listened to, told to one who watches and to one who comes later, and ended.
func TestPBXCall(t *testing.T) {
	onEachAsterisk(t, func(t *testing.T, p *pbx) {
		p.queue(t, "support", "600")
		for name, extension := range map[string]string{"alice-martin": "1001", "alice": "1002", "carla": "1003"} {
			p.agent(t, name, extension, func(a *telephony.Agent) {
				a.SpyGroups = "ab12cd34"
				if name == "alice-martin" {
					a.Memberships = []telephony.Membership{voice("support", 3)}
				}
				if name == "carla" {
					a.Monitors = "ab12cd34"
				}
			})
		}
		o := observe(t, p.manager)
		o.await(settled)
		if err := p.manager.Refresh(t.Context(), "support"); err != nil {
			t.Fatal(err)
		}
		phones := map[string]*phone.Phone{}
		for _, name := range []string{"alice-martin", "alice", "carla"} {
			phones[name] = p.phone(t, name)
			p.register(t, o, name, phones[name])
		}
		if _, err := phones["alice"].Call(t.Context(), "600"); err != nil {
			t.Fatal(err)
		}
		inCall := memberEvent("alice-martin", telephony.MemberState{Penalty: 3, InCall: true})
		o.awaitWhere(func(e telephony.Event) bool { return e == inCall })
		o.awaitWhere(func(e telephony.Event) bool {
			return e == telephony.Event{Kind: telephony.EventDevice, Agent: "alice-martin", Device: telephony.DeviceInUse}
		})
		channel := func(agent string) string {
			return o.awaitWhere(func(e telephony.Event) bool { return e.Kind == telephony.EventChannel && e.Agent == agent }).Channel
		}
		target := channel("alice-martin")
		if !strings.HasPrefix(target, "PJSIP/alice-martin-") || !strings.HasPrefix(channel("alice"), "PJSIP/alice-0") {
			t.Errorf("channels %q and %q", target, channel("alice"))
		}

		listening, err := phones["carla"].Call(t.Context(), "*551001")
		if err != nil || listening.Status() != 200 {
			t.Fatalf("carla listens: %d, %v", listening.Status(), err)
		}
		listen := o.awaitWhere(func(e telephony.Event) bool { return e.Kind == telephony.EventListen })
		want := telephony.Event{Kind: telephony.EventListen, Agent: "carla", Channel: channel("carla"), Target: target, TargetAgent: "alice-martin"}
		if listen != want {
			t.Errorf("told %+v, want %+v", listen, want)
		}

		later := observe(t, p.open(t, nil))
		first := later.await(settled)
		for _, want := range []telephony.Event{
			want,
			{Kind: telephony.EventChannel, Agent: "alice-martin", Channel: target},
			{Kind: telephony.EventDevice, Agent: "alice-martin", Device: telephony.DeviceInUse},
			{Kind: telephony.EventDevice, Agent: "carla", Device: telephony.DeviceInUse},
		} {
			if !slices.Contains(first, want) {
				t.Errorf("who came later was not told %+v, but %+v", want, first)
			}
		}

		p.talk(t, phones["alice-martin"])
		if err := p.manager.HangUp(t.Context(), listen.Channel, "PJSIP/nobody-00000001"); err != nil {
			t.Fatal(err)
		}
		gone := func(agent, channel string) telephony.Event {
			return telephony.Event{Kind: telephony.EventChannelGone, Agent: agent, Channel: channel}
		}
		end := want
		end.Kind = telephony.EventListenEnd
		later.awaitWhere(func(e telephony.Event) bool { return e == end })
		later.awaitWhere(func(e telephony.Event) bool { return e == gone("carla", listen.Channel) })
		select {
		case <-listening.Ended():
		case <-time.After(serverSoon):
			t.Error("carla still listens")
		}
		if slices.Contains(later.all(), gone("alice-martin", target)) {
			t.Error("the call ended with the listening")
		}
		if err := p.manager.HangUp(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		o.awaitWhere(func(e telephony.Event) bool { return e == gone("alice-martin", target) })
		ended := memberEvent("alice-martin", telephony.MemberState{Penalty: 3})
		o.await(gone("alice-martin", target))
		if err := p.manager.Read(t.Context(), telephony.Query{Queue: "support"}); err != nil {
			t.Fatal(err)
		}
		o.awaitWhere(func(e telephony.Event) bool { return e == ended })
		o.awaitWhere(func(e telephony.Event) bool {
			return e == telephony.Event{Kind: telephony.EventDevice, Agent: "alice-martin", Device: telephony.DeviceIdle}
		})
		if err := p.manager.HangUp(t.Context(), target); err != nil {
			t.Error(err)
		}
	})
}

// A server that dies is noticed, and what it knows is told anew when it is back.
func TestPBXRestart(t *testing.T) {
	onEachAsterisk(t, func(t *testing.T, p *pbx) {
		p.agent(t, "alice", "1001", nil)
		// A server that starts asks the phones that it finds registered within so many seconds whether they are there;
		// until then they are unavailable, even when they register again.
		if _, err := p.db.ExecContext(t.Context(), `UPDATE ps_aors SET qualify_frequency = 2`); err != nil {
			t.Fatal(err)
		}
		o := observe(t, p.manager)
		o.await(settled)
		if err := p.manager.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		alice := p.phone(t, "alice")
		p.register(t, o, "alice", alice)
		p.Kill()
		if err := o.end(); telephony.KindOf(err) != telephony.Unreachable {
			t.Errorf("the watch ended with %v", err)
		}
		for deadline := time.Now().Add(serverSoon); p.manager.Ping(t.Context()) == nil && time.Now().Before(deadline); {
			time.Sleep(10 * time.Millisecond)
		}
		expectKind(t, p.manager.Ping(t.Context()), telephony.Unreachable, "server pbx-1 cannot be reached: connection refused")

		// It is tried all the while that it starts: nothing but Unreachable may come of that.
		ctx, stop := context.WithCancel(t.Context())
		tried := make(chan error, 1)
		go func() {
			var wrong []error
			for ctx.Err() == nil {
				if err := p.manager.Ping(ctx); err != nil && telephony.KindOf(err) != telephony.Unreachable {
					wrong = append(wrong, err)
				}
				time.Sleep(5 * time.Millisecond)
			}
			tried <- errors.Join(wrong...)
		}()
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := p.manager.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		stop()
		if err := <-tried; err != nil {
			t.Errorf("while it started: %v", err)
		}
		o = observe(t, p.manager)
		o.awaitWhere(func(e telephony.Event) bool {
			return e == telephony.Event{Kind: telephony.EventDevice, Agent: "alice", Device: telephony.DeviceIdle}
		})
		o.await(settled)
	})
}

// halt stops every thread of the server, until goOn.
func (p *pbx) halt(t *testing.T) (goOn func()) {
	t.Helper()
	pid := p.PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn = sync.OnceFunc(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
	for deadline := time.Now().Add(serverSoon); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
		running := slices.ContainsFunc(threads, func(path string) bool {
			status, err := os.ReadFile(path)
			return err == nil && !bytes.Contains(status, []byte("State:\tT"))
		})
		if !running && len(threads) > 0 {
			return goOn
		}
	}
	goOn()
	t.Fatal("the server does not halt")
	return nil
}

// A server that hangs, with its connections as they were, is noticed; it is asked again when it goes on.
func TestPBXHangs(t *testing.T) {
	onEachAsterisk(t, func(t *testing.T, p *pbx) {
		if p.PID() == 0 {
			t.Skip("SKIPPED, NOT PROVEN: the server's process is not known")
		}
		server := p.open(t, func(c *telephony.ServerConfig) { c.Timeout = time.Second })
		o := observe(t, server)
		o.await(settled)
		if err := server.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		goOn := p.halt(t)
		defer goOn()
		const text = "server pbx-1 cannot be reached: no answer in time"
		expectKind(t, server.Refresh(t.Context(), "support"), telephony.Unreachable, text)
		expectKind(t, server.Ping(t.Context()), telephony.Unreachable, text) // on a new connection
		expectKind(t, server.Read(t.Context(), telephony.Query{Queue: "support"}), telephony.Unreachable, text)
		expectKind(t, o.end(), telephony.Unreachable, text)
		goOn()
		if err := server.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		observe(t, server).await(settled)
	})
}

func TestPBXAccess(t *testing.T) {
	onEachAsterisk(t, func(t *testing.T, p *pbx) {
		for _, settings := range []telephony.ServerTLS{{CA: p.CACert}, {SkipVerify: true}} {
			secure := p.open(t, func(c *telephony.ServerConfig) { c.Address, c.TLS = p.AMITLSAddress, &settings })
			if err := secure.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		}
		unknown := p.open(t, func(c *telephony.ServerConfig) { c.Address, c.TLS = p.AMITLSAddress, &telephony.ServerTLS{} })
		expectKind(t, unknown.Ping(t.Context()), telephony.Refused, "server pbx-1 refused: its certificate is signed by nobody who is trusted")
		plain := p.open(t, func(c *telephony.ServerConfig) { c.TLS = &telephony.ServerTLS{SkipVerify: true} })
		expectKind(t, plain.Ping(t.Context()), telephony.Refused, "server pbx-1 refused: it does not speak TLS")
		wrong := p.open(t, func(c *telephony.ServerConfig) { c.Password = "wrong-secret" })
		expectKind(t, wrong.Ping(t.Context()), telephony.Refused,
			"server pbx-1 refused: the username or the password is wrong, or the account may not come from here")
	})
}
