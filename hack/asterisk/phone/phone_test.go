//go:build pbx

package phone_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"roster.dev/roster/hack/asterisk/lab"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk"
)

// site is a server with three people, of whom bob-lee answers a queue, and one who is refused.
type site struct {
	*lab.Server
}

// people by name, with their extensions.
var people = map[string]string{"alice-martin": "1001", "bob-lee": "1002", "carla-diaz": "1003", "dan-roe": "1004"}

// passwordOf has what a password may have, and sipp's own syntax.
func passwordOf(name string) string { return `Secret "1" [field0] ]\$` + name }

// onBoth runs a test on both versions of Asterisk.
func onBoth(t *testing.T, test func(t *testing.T, s site)) {
	for _, version := range []string{"22", "16"} {
		t.Run(version, func(t *testing.T) { test(t, newSite(t, version)) })
	}
}

func newSite(t *testing.T, version string) site {
	t.Helper()
	path := filepath.Join(t.TempDir(), "acme.sqlite3")
	backend, err := asterisk.Open(t.Context(), asterisk.Config{Center: "acme", Type: asterisk.TypeSQLite, Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = backend.Close() })
	if _, err := backend.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	settings := &telephony.Settings{Context: "acme"}
	if err := backend.ApplyQueue(t.Context(), &telephony.Queue{Name: "support", Voice: true, Extension: "600",
		Strategy: "RingAll", TimeoutSeconds: 15, Settings: settings}); err != nil {
		t.Fatal(err)
	}
	for name, extension := range people {
		password, pin := passwordOf(name), "1234"
		agent := &telephony.Agent{Name: name, UID: "uid-" + name, Settings: settings, DisplayName: "Name of " + name,
			Extension: extension, Access: telephony.AccessGranted, Phone: true, Password: &password, Phase: "Active"}
		switch name {
		case "bob-lee":
			agent.Mailbox, agent.PIN = extension, &pin // has the server send NOTIFY
			agent.Memberships = []telephony.Membership{{Queue: "support", Channels: []string{"Voice"}, Stars: 1}}
		case "dan-roe":
			agent.Access, agent.Phase = telephony.AccessRefused, "Deactivated"
		}
		if _, err := backend.ApplyAgent(t.Context(), agent); err != nil {
			t.Fatal(err)
		}
	}
	return site{lab.ForTest(t, lab.Options{SQLite: path, Version: version})}
}

// phone of a person's, which is not registered.
func (s site) phone(t *testing.T, name, password string) *phone.Phone {
	t.Helper()
	return phone.ForTest(t, phone.Config{Server: s.SIPAddress, User: name, Password: password})
}

// registered is a phone of a person's.
func (s site) registered(t *testing.T, name string) *phone.Phone {
	t.Helper()
	p := s.phone(t, name, passwordOf(name))
	register(t, p, 200)
	return p
}

func register(t *testing.T, p *phone.Phone, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	status, err := p.Register(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if status != want {
		t.Errorf("registering is answered with %d, not %d", status, want)
	}
}

// call waits for an answer, and wants that status.
func call(t *testing.T, p *phone.Phone, number string, want int) *phone.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := p.Call(ctx, number)
	if err != nil {
		t.Error(err)
		return c
	}
	if c.Status() != want {
		t.Errorf("%s is answered with %d, not %d", number, c.Status(), want)
	}
	return c
}

// refused calls, and wants no answer. What the call is refused with is the dialplan's choice.
func refused(t *testing.T, p *phone.Phone, number string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := p.Call(ctx, number)
	if err != nil {
		t.Fatal(err)
	}
	if c.Status() < 400 || c.EndedBy() != phone.There {
		t.Errorf("the call has status %d and was ended by %s", c.Status(), c.EndedBy())
	}
}

func next(t *testing.T, p *phone.Phone) *phone.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := p.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func within(t *testing.T, what string, told <-chan struct{}) {
	t.Helper()
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Fatalf("not in time: %s", what)
	}
}

// lasts fails a test where a call that is up ends by itself.
func lasts(t *testing.T, calls ...*phone.Call) {
	t.Helper()
	time.Sleep(200 * time.Millisecond)
	for _, c := range calls {
		select {
		case <-c.Ended():
			t.Errorf("a call of %s was ended by %s", c.CallerNumber(), c.EndedBy())
		default:
		}
	}
}

// hangUp ends a call from one side, and wants the other to see it.
func hangUp(t *testing.T, here, there *phone.Call) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := here.HangUp(ctx); err != nil {
		t.Fatal(err)
	}
	within(t, "the end at the other side", there.Ended())
	if here.EndedBy() != phone.Here || there.EndedBy() != phone.There {
		t.Errorf("ended by %s, and as the other side sees it by %s", here.EndedBy(), there.EndedBy())
	}
}

func TestRegistration(t *testing.T) {
	onBoth(t, func(t *testing.T, s site) {
		register(t, s.phone(t, "alice-martin", "wrong"), 401)
		register(t, s.phone(t, "nobody", "wrong"), 401)
		register(t, s.phone(t, "dan-roe", passwordOf("dan-roe")), 403)
		alice, carla := s.registered(t, "alice-martin"), s.registered(t, "carla-diaz")
		register(t, alice, 200) // again
		hangUp(t, call(t, carla, "1001", 200), next(t, alice))

		if status, err := alice.Unregister(t.Context()); err != nil || status != 200 {
			t.Fatalf("unregistering: %d, %v", status, err)
		}
		refused(t, carla, "1001")
		if calls := alice.Incoming(); len(calls) != 1 {
			t.Errorf("%d calls came, not one", len(calls))
		}
	})
}

func TestCalls(t *testing.T) {
	onBoth(t, func(t *testing.T, s site) {
		alice, bob, carla := s.registered(t, "alice-martin"), s.registered(t, "bob-lee"), s.registered(t, "carla-diaz")

		t.Run("answered", func(t *testing.T) {
			for _, handling := range []phone.Handling{phone.Answer(0), phone.Answer(300 * time.Millisecond)} {
				carla.Handle(handling)
				out := call(t, alice, "1003", 200)
				in := next(t, carla)
				within(t, "ringing there", out.Ringing())
				within(t, "an answer here", in.Answered())
				if in.CallerName() != "Name of alice-martin" || in.CallerNumber() != "1001" {
					t.Errorf("the phone shows %q, %q", in.CallerName(), in.CallerNumber())
				}
				lasts(t, out, in)
				hangUp(t, out, in)
			}
		})
		t.Run("hung up by the one called", func(t *testing.T) {
			out := call(t, alice, "1003", 200)
			hangUp(t, next(t, carla), out)
		})
		t.Run("busy", func(t *testing.T) {
			carla.Handle(phone.Busy())
			call(t, alice, "1003", 486)
			within(t, "the end", next(t, carla).Ended())
		})
		t.Run("declined", func(t *testing.T) {
			carla.Handle(phone.Decline(100 * time.Millisecond))
			refused(t, alice, "1003")
			within(t, "the end", next(t, carla).Ended())
		})
		t.Run("given up", func(t *testing.T) {
			carla.Handle(phone.Ring())
			out, err := alice.Dial("1003")
			if err != nil {
				t.Fatal(err)
			}
			in := next(t, carla)
			within(t, "ringing", out.Ringing())
			lasts(t, out, in)
			hangUp(t, out, in)
			if out.Status() != 0 || in.Status() != 0 {
				t.Errorf("nobody answered, but the status is %d and %d", out.Status(), in.Status())
			}
		})
		t.Run("answered by hand", func(t *testing.T) {
			out, err := alice.Dial("1003")
			if err != nil {
				t.Fatal(err)
			}
			in := next(t, carla)
			within(t, "ringing", in.Ringing())
			if err := in.Answer(); err != nil {
				t.Fatal(err)
			}
			within(t, "an answer", out.Answered())
			hangUp(t, in, out)
		})
		t.Run("no such number", func(t *testing.T) { call(t, alice, "4711", 404) })
		t.Run("wrong password", func(t *testing.T) { call(t, s.phone(t, "alice-martin", "wrong"), "1003", 401) })
		t.Run("a person who is out", func(t *testing.T) { call(t, s.phone(t, "dan-roe", passwordOf("dan-roe")), "1003", 404) })

		t.Run("queue", func(t *testing.T) {
			bob.Handle(phone.Answer(100 * time.Millisecond))
			out := call(t, alice, "600", 200) // the queue answers
			in := next(t, bob)
			within(t, "an answer of the member", in.Answered())
			if in.CallerNumber() != "1001" {
				t.Errorf("the member sees %q", in.CallerNumber())
			}
			lasts(t, out, in)
			hangUp(t, in, out)
		})
		t.Run("two at once", func(t *testing.T) {
			carla.Handle(phone.Answer(0))
			// A phone can call and be called at the same time.
			for range 5 {
				var wg sync.WaitGroup
				var calls [2]*phone.Call
				wg.Go(func() { calls[0] = call(t, alice, "1003", 200) })
				wg.Go(func() { calls[1] = call(t, bob, "1003", 200) })
				wg.Wait()
				in := map[string]*phone.Call{}
				for range calls {
					c := next(t, carla)
					in[c.CallerNumber()] = c
				}
				for i, number := range []string{"1001", "1002"} {
					if calls[i] == nil || in[number] == nil {
						t.Fatalf("the call of %s did not come about", number)
					}
				}
				lasts(t, calls[0], calls[1])
				hangUp(t, calls[0], in["1001"])
				lasts(t, calls[1])
				hangUp(t, in["1002"], calls[1])
			}
		})
	})
}

// A phone does not notice that its server was away.
func TestServerRestart(t *testing.T) {
	s := newSite(t, "22")
	alice, bob := s.registered(t, "alice-martin"), s.registered(t, "bob-lee")
	hangUp(t, call(t, alice, "1002", 200), next(t, bob))
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	hangUp(t, call(t, alice, "1002", 200), next(t, bob))
}
