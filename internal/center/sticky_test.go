package center_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/go-logr/logr"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/fake"
)

func caller(phone string) *telephony.Sticky {
	return &telephony.Sticky{Phone: phone, Agent: "alice", Case: "CASE-7", Assignment: "refund"}
}

// interrupted lets a test act while calls are under way.
type interrupted struct {
	*fake.Backend
	// compared is called when a comparison has read, and applied when a known caller is written.
	compared, applied func()
}

func (b *interrupted) Compare(ctx context.Context) (*telephony.Drift, error) {
	drift, err := b.Backend.Compare(ctx)
	b.compared()
	return drift, err
}

func (b *interrupted) ApplySticky(ctx context.Context, sticky *telephony.Sticky) (bool, error) {
	changed, err := b.Backend.ApplySticky(ctx, sticky)
	b.applied()
	return changed, err
}

// beside compares, and runs f when the comparison has read and before anything comes of it.
func (b *interrupted) beside(c *center.Center, f func()) {
	read, goOn := make(chan struct{}), make(chan struct{})
	b.compared = func() {
		b.compared = nothing
		close(read)
		<-goOn
	}
	c.CompareNow()
	<-read
	f()
	close(goOn)
}

// following is a connected centre whose comparisons tell the phones that they made suspect, and how many were not so.
func following(t *testing.T, backend *interrupted) (c *center.Center, suspects chan string) {
	t.Helper()
	suspects = make(chan string, 16)
	centers := center.New(func(string, center.Target) (telephony.Backend, error) { return backend, nil },
		func(string, *telephony.Records) {}, func(string, center.Status) {},
		func(_ string, _ *telephony.Drift, phones []string, fresh int) { suspects <- fmt.Sprint(phones, fresh) }, logr.Discard())
	t.Cleanup(centers.Close)
	centers.Use("acme", center.Target{Identity: "one"})
	eventually(t, "connected", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	return centers.Get("acme"), suspects
}

func stick(t *testing.T, c *center.Center, sticky *telephony.Sticky, changed bool) {
	t.Helper()
	if got, err := c.ApplySticky(t.Context(), sticky); got != changed || err != nil {
		t.Fatalf("ApplySticky(%s): %v, %v", sticky.Phone, got, err)
	}
}

func forget(t *testing.T, c *center.Center, phone string, changed bool) {
	t.Helper()
	if got, err := c.RemoveSticky(t.Context(), phone); got != changed || err != nil {
		t.Fatalf("RemoveSticky(%s): %v, %v", phone, got, err)
	}
}

func nothing() {}

// Known callers are remembered as they were applied, and read again after an outage (O8).
func TestStickyRecords(t *testing.T) {
	backend := fake.New("acme")
	backend.SetSticky("acme", "+1", caller("+1"))
	backend.NextError("Load", telephony.Errorf(telephony.Refused, nil, "no"))
	centers, _ := open(t, backend)
	c := centers.Get("acme")
	if _, _, known := c.RecordedSticky("+1"); known {
		t.Error("known before anything was loaded")
	}
	if _, err := c.ApplySticky(t.Context(), caller("+2")); err == nil {
		t.Error("applied before anything was loaded")
	}
	eventually(t, "connected", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	if got, registered, known := c.RecordedSticky("+1"); got != *caller("+1") || !registered || !known {
		t.Errorf("loaded %+v, registered %v, known %v", got, registered, known)
	}
	if _, registered, known := c.RecordedSticky("+2"); registered || !known {
		t.Errorf("registered %v, known %v of a caller never applied", registered, known)
	}
	stick(t, c, caller("+2"), true)
	stick(t, c, caller("+2"), false)
	moved := caller("+2")
	moved.Agent = "bob"
	failure := telephony.Errorf(telephony.Refused, nil, "too long")
	backend.NextError("ApplySticky", failure)
	if _, err := c.ApplySticky(t.Context(), moved); err == nil {
		t.Error("no error")
	}
	if got, _, _ := c.RecordedSticky("+2"); got != *caller("+2") {
		t.Errorf("recorded %+v, which was refused", got)
	}
	stick(t, c, moved, true)
	moved.Agent = "carla" // what is remembered is a copy
	if got, _, _ := c.RecordedSticky("+2"); got.Agent != "bob" {
		t.Errorf("recorded %+v", got)
	}
	phones := c.RecordedPhones()
	if slices.Sort(phones); !slices.Equal(phones, []string{"+1", "+2"}) {
		t.Errorf("recorded %v", phones)
	}
	forget(t, c, "+1", true)
	forget(t, c, "+1", false)
	if _, registered, _ := c.RecordedSticky("+1"); registered {
		t.Error("still registered after the removal")
	}

	backend.SetUnreachable(true)
	if _, err := c.RemoveSticky(t.Context(), "+2"); telephony.KindOf(err) != telephony.Unreachable {
		t.Error(err)
	}
	backend.SetSticky("acme", "+2", nil)
	backend.SetSticky("acme", "+3", caller("+3"))
	backend.SetUnreachable(false)
	eventually(t, "connected again", func() bool { return state(centers) == v1alpha1.ConnectionConnected })
	if phones := c.RecordedPhones(); !slices.Equal(phones, []string{"+3"}) {
		t.Errorf("recorded %v", phones)
	}
}

// What is recorded is told before anybody can decide by it, at each connection (B11).
func TestLoadedFirst(t *testing.T) {
	backend := fake.New("acme")
	if _, err := backend.ApplyAgent(t.Context(), agent()); err != nil {
		t.Fatal(err)
	}
	type seen struct {
		state  v1alpha1.ConnectionState
		known  bool
		agents []string
	}
	told := make(chan seen, 16)
	var centers *center.Centers
	centers = center.New(func(string, center.Target) (telephony.Backend, error) { return backend, nil },
		func(namespace string, records *telephony.Records) {
			c := centers.Get(namespace)
			_, registered, known := c.Recorded("bob")
			told <- seen{c.Status().State, known && registered, slices.Sorted(maps.Keys(records.Agents))}
		}, func(string, center.Status) {}, func(string, *telephony.Drift, []string, int) {}, logr.Discard())
	t.Cleanup(centers.Close)
	centers.Use("acme", center.Target{Identity: "one"})
	want := func(state v1alpha1.ConnectionState, agents ...string) {
		t.Helper()
		if got := <-told; got.state != state || got.known || !slices.Equal(got.agents, agents) {
			t.Errorf("told %+v, want %s, %v", got, state, agents)
		}
	}
	want(v1alpha1.ConnectionConnecting, "alice")
	eventually(t, "connected", func() bool { return state(centers) == v1alpha1.ConnectionConnected })

	backend.SetUnreachable(true)
	eventually(t, "noticed", func() bool { return state(centers) == v1alpha1.ConnectionUnreachable })
	bob := agent()
	bob.Name = "bob"
	other := backend.Backend("acme")
	if _, err := other.ApplyAgent(t.Context(), bob); err != nil {
		t.Fatal(err)
	}
	backend.SetUnreachable(false)
	want(v1alpha1.ConnectionUnreachable, "alice", "bob")
	eventually(t, "recorded", func() bool { _, registered, _ := centers.Get("acme").Recorded("bob"); return registered })
}

// What somebody else did to known callers is told once, until they are applied again (O8, B4).
func TestStickyDriftB4(t *testing.T) {
	backend := &interrupted{fake.New("acme"), nothing, nothing}
	c, suspects := following(t, backend)
	for _, phone := range []string{"+1", "+2", "+3"} {
		stick(t, c, caller(phone), true)
	}
	changed := caller("+1")
	changed.Agent = "mallory"
	backend.SetSticky("acme", "+1", changed)
	backend.SetSticky("acme", "+2", nil)
	backend.SetSticky("acme", "+9", caller("+9"))
	c.CompareNow()
	if got := <-suspects; got != "[+1 +2 +9] 3" {
		t.Errorf("suspects %v", got)
	}
	for phone, want := range map[string]bool{"+1": true, "+2": true, "+3": false, "+9": true, "+8": false} {
		if c.IsSuspectSticky(phone) != want {
			t.Errorf("%s: suspect %v", phone, !want)
		}
	}
	stick(t, c, caller("+1"), true)
	forget(t, c, "+9", true)
	backend.SetSticky("acme", "+3", changed)
	c.CompareNow()
	if got := <-suspects; got != "[+2 +3] 1" {
		t.Errorf("suspects %v", got)
	}
	stick(t, c, caller("+2"), true)
	stick(t, c, caller("+3"), true)
	for _, phone := range []string{"+1", "+2", "+3", "+9"} {
		if c.IsSuspectSticky(phone) {
			t.Errorf("%s is suspect when it was repaired", phone)
		}
	}
	// A failed comparison tells nothing.
	backend.SetSticky("acme", "+3", nil)
	backend.Reset()
	backend.NextError("Compare", telephony.Errorf(telephony.Refused, nil, "no"))
	c.CompareNow()
	eventually(t, "compared", func() bool { return slices.Contains(backend.Calls(), fake.Call{Method: "Compare"}) })
	backend.SetSticky("acme", "+3", caller("+3"))
	backend.SetSticky("acme", "+1", nil)
	c.CompareNow()
	if got := <-suspects; got != "[+1] 1" {
		t.Errorf("suspects %v", got)
	}
}

// What Roster itself writes while a comparison runs is no drift (B4).
func TestStickyWrittenBesideComparison(t *testing.T) {
	backend := &interrupted{fake.New("acme"), nothing, nothing}
	c, suspects := following(t, backend)
	for _, phone := range []string{"+1", "+2", "+3", "+4"} {
		stick(t, c, caller(phone), true)
	}
	// One write is under way since before the comparison, and ends when it has read.
	committed, release, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	backend.applied = func() { close(committed); <-release }
	go func() {
		moved := caller("+1")
		moved.Agent = "bob"
		_, err := c.ApplySticky(context.Background(), moved)
		done <- err
	}()
	<-committed
	backend.applied = nothing
	backend.beside(c, func() {
		moved := caller("+2")
		moved.Agent = "bob"
		stick(t, c, moved, true)
		stick(t, c, caller("+5"), true)
		forget(t, c, "+3", true)
		backend.SetSticky("acme", "+4", nil) // seen by the next comparison
	})
	c.CompareNow()
	if got := <-suspects; got != "[+4] 1" {
		t.Errorf("suspects %v", got)
	}
	close(release)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	stick(t, c, caller("+4"), true)
	// What a connection reads while a comparison runs is newer than what that one read.
	backend.beside(c, func() {
		backend.SetSticky("acme", "+4", nil)
		backend.SetUnreachable(true)
		eventually(t, "noticed", func() bool { return c.Status().State == v1alpha1.ConnectionUnreachable })
		backend.SetUnreachable(false)
		eventually(t, "connected again", func() bool { return c.Status().State == v1alpha1.ConnectionConnected })
		backend.SetSticky("acme", "+5", nil)
	})
	c.CompareNow()
	if got := <-suspects; got != "[+5] 1" {
		t.Errorf("suspects %v", got)
	}
}
