package center_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/fake"
)

// watched keeps the states that a centre went through.
type watched struct {
	mu     sync.Mutex
	states []v1alpha1.ConnectionState
}

func (w *watched) changed(_ string, s center.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states = append(w.states, s.State)
}

func (w *watched) seen() []v1alpha1.ConnectionState {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.states)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: never", what)
		}
	}
}

func open(t *testing.T, backend *fake.Backend) (*center.Centers, *watched) {
	t.Helper()
	w := &watched{}
	centers := center.New(func(string, center.Target) (telephony.Backend, error) { return backend, nil },
		func(string, *telephony.Records) {}, w.changed, func(string, *telephony.Drift, []string, int) {}, logr.Discard())
	t.Cleanup(centers.Close)
	centers.Use("acme", center.Target{Identity: "one"})
	return centers, w
}

func state(c *center.Centers) v1alpha1.ConnectionState { return c.Get("acme").Status().State }

func agent() *telephony.Agent {
	password := "secret-Passw0rd"
	return &telephony.Agent{
		Name: "alice", Settings: &telephony.Settings{Context: "acme"}, Phone: true, Password: &password,
		Access: telephony.AccessGranted, Phase: "Active", Group: "north",
	}
}

// What was applied is what is recorded, and a reconnection reads it again.
func TestRecords(t *testing.T) {
	backend := fake.New("acme")
	centers, _ := open(t, backend)
	eventually(t, "connected", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	c := centers.Get("acme")
	if _, registered, known := c.Recorded("alice"); registered || !known {
		t.Fatalf("registered %v, known %v of a person never applied", registered, known)
	}
	if _, err := c.ApplyAgent(t.Context(), agent()); err != nil {
		t.Fatal(err)
	}
	record, registered, _ := c.Recorded("alice")
	if !registered || record.Group != "north" || record.Fingerprint != agent().Fingerprint() {
		t.Fatalf("recorded: %+v, registered %v", record, registered)
	}
	if _, err := c.RemoveAgent(t.Context(), "alice", time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, registered, _ := c.Recorded("alice"); registered {
		t.Fatal("still registered after the removal")
	}
}

// An outage is noticed by the write that runs into it, holds nobody up, is told once, and passes by itself (B10).
func TestOutageB10(t *testing.T) {
	backend := fake.New("acme")
	centers, w := open(t, backend)
	eventually(t, "connected", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	backend.SetUnreachable(true)
	c := centers.Get("acme")
	for range 3 {
		began := time.Now()
		_, err := c.ApplyAgent(t.Context(), agent())
		if telephony.KindOf(err) != telephony.Unreachable || time.Since(began) > time.Second {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
	}
	since := c.Status().Since
	time.Sleep(700 * time.Millisecond) // a few attempts to connect again
	if got := w.seen(); !slices.Equal(got, []v1alpha1.ConnectionState{v1alpha1.ConnectionConnected, v1alpha1.ConnectionUnreachable}) {
		t.Fatalf("told: %v", got)
	}
	if !c.Status().Since.Equal(since) {
		t.Fatal("the outage began anew")
	}
	backend.SetUnreachable(false)
	eventually(t, "connected again", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	if _, err := c.ApplyAgent(t.Context(), agent()); err != nil {
		t.Fatal(err)
	}
}

// An outage that no write runs into is noticed all the same.
func TestIdleOutage(t *testing.T) {
	backend := fake.New("acme")
	centers, _ := open(t, backend)
	eventually(t, "connected", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	backend.SetUnreachable(true)
	eventually(t, "noticed", func() bool { return state(centers) == v1alpha1.ConnectionUnreachable })
}

// A system that says no is told from one that does not answer: the one needs a human, the other does not.
func TestRefusal(t *testing.T) {
	backend := fake.New("acme")
	backend.NextError("Load", telephony.Errorf(telephony.Refused, nil, "table queues has no column strategy"))
	centers, w := open(t, backend)
	eventually(t, "connected at the second attempt", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	if got := w.seen(); !slices.Equal(got, []v1alpha1.ConnectionState{v1alpha1.ConnectionRefused, v1alpha1.ConnectionConnected}) {
		t.Fatalf("told: %v", got)
	}
}

// One person's failure is that person's: the connection stays.
func TestOneFailure(t *testing.T) {
	backend := fake.New("acme")
	centers, _ := open(t, backend)
	eventually(t, "connected", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	conflict := telephony.Errorf(telephony.Conflict, nil, "the name is taken")
	backend.NextError("ApplyAgent", conflict)
	if _, err := centers.Get("acme").ApplyAgent(context.Background(), agent()); !errors.Is(err, conflict) {
		t.Fatal(err)
	}
	if state(centers) != v1alpha1.ConnectionConnected {
		t.Fatal(state(centers))
	}
}

// The same target again changes nothing; another one replaces the connection; none ends it.
func TestUse(t *testing.T) {
	centers, _ := open(t, fake.New("acme"))
	first := centers.Get("acme")
	centers.Use("acme", center.Target{Identity: "one"})
	if centers.Get("acme") != first {
		t.Fatal("the same target made a new connection")
	}
	centers.Use("acme", center.Target{Identity: "two"})
	if centers.Get("acme") == first || centers.Get("acme").Status().Identity != "two" {
		t.Fatal("another target did not replace the connection")
	}
	centers.Drop("acme")
	if centers.Get("acme") != nil {
		t.Fatal("dropped, and still there")
	}
}
