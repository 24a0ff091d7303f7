package live_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/fake"
)

// rig is a centre with servers pbx-1, pbx-2, … in memory, and what the hooks were told.
type rig struct {
	*live.Fleet
	t       *testing.T
	servers []*fake.Server

	mu   sync.Mutex
	told []string
}

const ns = "acme"

func newRig(t *testing.T, n int, queues ...string) *rig {
	t.Helper()
	r := &rig{t: t}
	byName := map[string]*fake.Server{}
	var configs []live.Config
	for i := range n {
		name := fmt.Sprintf("pbx-%d", i+1)
		byName[name] = fake.NewServer()
		r.servers = append(r.servers, byName[name])
		configs = append(configs, live.Config{ServerConfig: telephony.ServerConfig{Name: name}})
	}
	r.Fleet = live.New(func(c telephony.ServerConfig) (telephony.Server, error) { return byName[c.Name], nil }, logr.Discard())
	t.Cleanup(r.Close)
	r.Hook(live.Hooks{
		Queues:  func(string) []string { return queues },
		Stirred: func(_, agent string) { r.note("stirred " + agent) },
		Paused:  func(_ string, m live.Member) { r.note(fmt.Sprintf("paused %s %s %v", m.Queue, m.Agent, m.Paused)) },
		Stray:   func(_ string, m live.Member) { r.note("stray " + m.Queue + " " + m.Interface) },
		Listening: func(_ string, l live.Listening) {
			r.note(fmt.Sprintf("listening %s to %s", l.Listener, l.Target))
		},
	})
	r.Lead()
	r.Use(ns, configs, 0)
	eventually(t, "every server is connected", func() bool {
		return !slices.ContainsFunc(r.Servers(ns), func(s live.ServerStatus) bool { return s.State != v1alpha1.ConnectionConnected })
	})
	for i, s := range r.servers {
		eventually(t, fmt.Sprintf("server %d is looked at", i+1), func() bool { return len(s.Calls()) >= len(queues) })
		s.Forget()
	}
	return r
}

func (r *rig) note(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, line)
}

func (r *rig) wasTold(line string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.told, line)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// A change of one person costs each server one question about that person (B10).
func TestRefreshB10(t *testing.T) {
	r := newRig(t, 2, "sales", "support")
	r.Refresh(ns, "alice", "sales", "support")
	for i, s := range r.servers {
		eventually(t, fmt.Sprintf("server %d is asked", i+1), func() bool { return len(s.Calls()) == 2 })
		if calls := slices.Sorted(slices.Values(s.Calls())); !slices.Equal(calls, []string{"Read sales/alice", "Read support/alice"}) {
			t.Errorf("server %d was asked %v", i+1, calls)
		}
	}
}

// A crowd in one queue costs as many actions as it takes batches, never one a person, and then one look.
func TestRefreshOfACrowd(t *testing.T) {
	r := newRig(t, 1, "support")
	for i := range 500 {
		r.Refresh(ns, fmt.Sprintf("agent-%d", i), "support")
	}
	eventually(t, "the look that follows", func() bool { return slices.Contains(r.servers[0].Calls(), "Read support/") })
	if n := len(r.servers[0].Calls()); n > 10 {
		t.Errorf("%d actions for one queue", n)
	}
	if !slices.Contains(r.servers[0].Calls(), "Refresh support") {
		t.Errorf("the crowd waited for the look: %v", r.servers[0].Calls())
	}
}

// What a server tells is a Sight; what it does not tell any more is gone.
func TestSightC9(t *testing.T) {
	r := newRig(t, 2, "support")
	r.servers[0].SetDevice("alice", telephony.DeviceIdle)
	r.servers[0].SetMember("support", "alice", telephony.MemberState{Paused: true, PauseReason: "Lunch"})
	sight := func() live.Sight { return r.Sight(ns, "alice") }
	eventually(t, "idle and paused", func() bool {
		s := sight()
		return s.Observed && s.Device == telephony.DeviceIdle && s.Members["support"] == live.MemberSight{Paused: true, PauseReason: "Lunch"}
	})
	if r.wasTold("paused support alice true") {
		t.Error("a pause that was there before is no news")
	}
	r.servers[1].SetDevice("alice", telephony.DeviceInUse)
	eventually(t, "the busier of two phones counts", func() bool { return sight().Device == telephony.DeviceInUse })
	r.servers[1].SetMember("support", "alice", telephony.MemberState{Paused: true, PauseReason: "Lunch"})
	r.servers[1].SetMember("support", "alice", telephony.MemberState{InCall: true})
	eventually(t, "in a call, and the last word about the pause counts", func() bool {
		return sight().Members["support"] == live.MemberSight{InCall: true}
	})
	if !r.wasTold("paused support alice false") {
		t.Errorf("nobody was told of the pause that ended: %v", r.told)
	}
	r.servers[1].Break(telephony.Errorf(telephony.Unreachable, nil, "gone"))
	eventually(t, "what only the lost server saw is forgotten", func() bool {
		s := sight()
		return s.Device == telephony.DeviceIdle && !s.Members["support"].InCall
	})
	r.servers[0].DropMember("support", "alice")
	r.Refresh(ns, "alice", "support")
	eventually(t, "a member that is not told of is none", func() bool { return len(sight().Members) == 0 })
	r.servers[0].SetMember("support", "bob", telephony.MemberState{})
	r.servers[0].DropMember("support", "bob")
	for range 3 {
		r.Refresh(ns, "bob", "support")
		r.Refresh(ns, "carla", "support") // a crowd, which is looked at
	}
	eventually(t, "nor where the whole queue is looked at", func() bool { return len(r.Sight(ns, "bob").Members) == 0 })
}

// A server that returns is caught up, and one that is down is told nothing and holds nobody up (B10).
func TestReturnB10(t *testing.T) {
	r := newRig(t, 2, "sales", "support")
	r.servers[1].Break(telephony.Errorf(telephony.Unreachable, nil, "no answer"))
	status := func() live.ServerStatus { return r.Servers(ns)[1] }
	eventually(t, "unreachable", func() bool { return status().State == v1alpha1.ConnectionUnreachable })
	if status().Message != "no answer" || time.Since(status().Since) > time.Second {
		t.Errorf("status %+v", status())
	}
	r.Refresh(ns, "alice", "support")
	eventually(t, "the other server is asked", func() bool { return len(r.servers[0].Calls()) == 1 })
	if p := r.Presence(ns, "alice"); !slices.Equal(p.Unwatched, []string{"pbx-2"}) {
		t.Errorf("presence %+v", p)
	}
	r.servers[1].Mend()
	eventually(t, "caught up", func() bool {
		return slices.Equal(slices.Sorted(slices.Values(r.servers[1].Calls())), []string{"Read sales/", "Read support/"})
	})
}

// A refusal is told apart from a server that cannot be reached.
func TestRefused(t *testing.T) {
	r := newRig(t, 1)
	r.servers[0].Break(telephony.Errorf(telephony.Refused, nil, "wrong password"))
	eventually(t, "refused", func() bool { return r.Servers(ns)[0].State == v1alpha1.ConnectionRefused })
}

// Calls, and sessions that listen to others, are known by their person (C5, G1).
func TestPresenceG1C5(t *testing.T) {
	r := newRig(t, 2)
	r.servers[0].Dial("alice", "PJSIP/alice-00000001")
	r.servers[1].Dial("alice-martin", "PJSIP/alice-martin-00000001")
	r.servers[1].Dial("carla", "PJSIP/carla-00000002")
	r.servers[1].Listen("PJSIP/carla-00000002", "alice-martin", "PJSIP/alice-martin-00000001")
	eventually(t, "the session is told", func() bool { return r.wasTold("listening carla to alice-martin") })
	if p := r.Presence(ns, "alice"); len(p.Channels) != 1 || p.Channels[0] != (live.Channel{Server: "pbx-1", Name: "PJSIP/alice-00000001"}) {
		t.Errorf("presence %+v", p)
	}
	if l := r.Listening(ns); len(l) != 1 || l[0].Server != "pbx-2" || l[0].Listener != "carla" || l[0].Target != "alice-martin" {
		t.Errorf("sessions %+v", l)
	}
	r.HangUp(ns, "pbx-2", "PJSIP/carla-00000002")
	eventually(t, "hung up", func() bool { return len(r.Presence(ns, "carla").Channels) == 0 && len(r.Listening(ns)) == 0 })
	if !r.wasTold("stirred carla") {
		t.Errorf("told %v", r.told)
	}
	r.servers[0].SetMember("support", "mallory", telephony.MemberState{Dynamic: true})
	eventually(t, "a dynamic member is told of", func() bool { return r.wasTold("stray support PJSIP/mallory") })
}

// Servers that stay as they are stay connected when others come or go.
func TestUse(t *testing.T) {
	r := newRig(t, 2, "support")
	r.Use(ns, []live.Config{{ServerConfig: telephony.ServerConfig{Name: "pbx-1"}}}, 0)
	if s := r.Servers(ns); len(s) != 1 || s[0].State != v1alpha1.ConnectionConnected {
		t.Errorf("servers %+v", s)
	}
	if calls := r.servers[0].Calls(); len(calls) != 0 {
		t.Errorf("the one that stayed was asked %v", calls)
	}
	r.Use(ns, []live.Config{{ServerConfig: telephony.ServerConfig{Name: "pbx-1"}, Problem: "no Secret"}}, 0)
	if s := r.Servers(ns); len(s) != 1 || s[0].State != v1alpha1.ConnectionRefused || s[0].Message != "no Secret" {
		t.Errorf("servers %+v", s)
	}
	r.Use(ns, nil, 0)
	if s := r.Servers(ns); len(s) != 0 {
		t.Errorf("servers %+v", s)
	}
}

// Who does not lead watches, and gives no orders.
func TestFollowerDoesNotAct(t *testing.T) {
	server := fake.NewServer()
	f := live.New(func(telephony.ServerConfig) (telephony.Server, error) { return server, nil }, logr.Discard())
	t.Cleanup(f.Close)
	f.Hook(live.Hooks{})
	f.Use(ns, []live.Config{{ServerConfig: telephony.ServerConfig{Name: "pbx-1"}}}, 0)
	server.Dial("alice", "PJSIP/alice-00000001")
	eventually(t, "seen", func() bool { return len(f.Presence(ns, "alice").Channels) == 1 })
	f.HangUp(ns, "pbx-1", "PJSIP/alice-00000001")
	time.Sleep(50 * time.Millisecond)
	if calls := server.Calls(); len(calls) != 0 {
		t.Errorf("a follower ordered %v", calls)
	}
}
