package telephonytest

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"roster.dev/roster/internal/telephony"
)

const phone = "+390699999"

// ada is a known caller.
func ada() *telephony.Sticky {
	return &telephony.Sticky{Phone: phone, Agent: "alice-martin", Group: "north", Queue: "acme.north", Case: "CASE-7", Assignment: "refund"}
}

// stick applies a known caller and expects whether something had to be written.
func (s *suite) stick(b telephony.Backend, c *telephony.Sticky, changed bool) {
	s.Helper()
	got, err := b.ApplySticky(context.Background(), c)
	if err != nil {
		s.Fatalf("ApplySticky(%s): %v", c.Phone, err)
	}
	equal(s, "changed by ApplySticky", got, changed)
}

// forget removes a known caller and expects whether there was one.
func (s *suite) forget(b telephony.Backend, phone string, changed bool) {
	s.Helper()
	got, err := b.RemoveSticky(context.Background(), phone)
	if err != nil {
		s.Fatalf("RemoveSticky(%s): %v", phone, err)
	}
	equal(s, "changed by RemoveSticky", got, changed)
}

// callers expects a centre's known callers to be these, and Load and Compare of a backend of it to say the same.
func (s *suite) callers(b telephony.Backend, center string, want ...*telephony.Sticky) {
	s.Helper()
	all := map[string]telephony.Sticky{}
	for _, c := range want {
		all[c.Phone] = *c
	}
	records, err := b.Load(context.Background())
	if err != nil {
		s.Fatalf("Load: %v", err)
	}
	drift, err := b.Compare(context.Background())
	if err != nil {
		s.Fatalf("Compare: %v", err)
	}
	for what, got := range map[string]map[string]telephony.Sticky{
		"there": s.system.Sticky(s.T, center), "loaded": records.Sticky, "compared": drift.Sticky,
	} {
		if !maps.Equal(got, all) {
			s.Errorf("known callers of %s, as %s:\n got %+v\nwant %+v", center, what, got, all)
		}
	}
	equal(s, "drift", len(drift.Agents)+len(drift.Queues)+len(drift.Strays), 0)
	equal(s, "records of others", len(records.Agents)+len(records.Queues), 0)
}

func testSticky(s *suite) {
	s.callers(s.backend, center)
	s.stick(s.backend, ada(), true)
	s.callers(s.backend, center, ada())
	s.stick(s.backend, ada(), false)
	for _, change := range []func(c *telephony.Sticky){
		func(c *telephony.Sticky) { c.Agent = "bob-lee" },
		func(c *telephony.Sticky) { c.Agent = "" },
		func(c *telephony.Sticky) { c.Group, c.Queue = "south", "acme.south" },
		func(c *telephony.Sticky) { c.Group, c.Queue = "", "" },
		func(c *telephony.Sticky) { c.Case = "CASE-8" },
		func(c *telephony.Sticky) { c.Assignment = "complaint" },
	} {
		c := ada()
		change(c)
		s.stick(s.backend, c, true)
		s.callers(s.backend, center, c)
		s.stick(s.backend, c, false)
		s.stick(s.backend, ada(), true)
	}
	second := s.open(center)
	s.stick(second, ada(), false)
	s.forget(second, phone, true)
	s.callers(s.backend, center)
	s.forget(s.backend, phone, false)
	s.stick(s.backend, ada(), true)
	s.callers(second, center, ada())
}

func testManySticky(s *suite) {
	want := make([]*telephony.Sticky, 300)
	errs := make([]error, len(want))
	concurrently := func(f func(c *telephony.Sticky) (bool, error)) {
		var wg sync.WaitGroup
		for i, c := range want {
			wg.Go(func() { _, errs[i] = f(c) })
		}
		wg.Wait()
		for i, err := range errs {
			if err != nil {
				s.Errorf("%s: %v", want[i].Phone, err)
			}
		}
	}
	for round := range 2 {
		for i := range want {
			c := ada()
			c.Phone, c.Agent = fmt.Sprintf("+39069%04d", i), fmt.Sprintf("agent-%d", (i+round)%7)
			want[i] = c
		}
		concurrently(func(c *telephony.Sticky) (bool, error) { return s.backend.ApplySticky(context.Background(), c) })
		s.callers(s.backend, center, want...)
	}
	concurrently(func(c *telephony.Sticky) (bool, error) { return s.backend.RemoveSticky(context.Background(), c.Phone) })
	s.callers(s.backend, center)
}

func testStickyOfCenters(s *suite) {
	other, longer := s.open("other"), s.open(center+"-2")
	theirs, others := ada(), ada()
	theirs.Agent, theirs.Queue = "eve-fox", "other.north"
	others.Agent = "frank-bo"
	s.stick(s.backend, ada(), true)
	s.stick(other, theirs, true)
	s.stick(longer, others, true)
	s.callers(s.backend, center, ada())
	s.callers(other, "other", theirs)
	s.callers(longer, center+"-2", others)
	s.forget(other, phone, true)
	s.callers(s.backend, center, ada())
	s.callers(other, "other")
	s.callers(longer, center+"-2", others)
}

func testStickyDrift(s *suite) {
	s.stick(s.backend, ada(), true)
	changed := ada()
	changed.Agent, changed.Case = "mallory", ""
	s.system.SetSticky(s.T, center, phone, changed)
	s.callers(s.backend, center, changed)
	s.stick(s.backend, ada(), true)
	s.callers(s.backend, center, ada())

	s.system.SetSticky(s.T, center, phone, nil)
	s.callers(s.backend, center)
	s.stick(s.backend, ada(), true)

	foreign := &telephony.Sticky{Phone: "+44201234", Agent: "mallory"}
	s.system.SetSticky(s.T, center, foreign.Phone, foreign)
	s.system.SetSticky(s.T, "other", "+33123", &telephony.Sticky{Phone: "+33123", Agent: "mallory"})
	s.callers(s.backend, center, ada(), foreign)
	s.forget(s.backend, foreign.Phone, true)
	s.callers(s.backend, center, ada())
	// A row that somebody wrote is taken over.
	s.system.SetSticky(s.T, center, foreign.Phone, foreign)
	taken := ada()
	taken.Phone = foreign.Phone
	s.stick(s.backend, taken, true)
	s.callers(s.backend, center, ada(), taken)
	s.stick(s.backend, taken, false)
}

func testStickyOutage(s *suite) {
	s.stick(s.backend, ada(), true)
	restore := s.system.Outage(s.T)
	_, err := s.backend.ApplySticky(context.Background(), ada())
	s.refuses(telephony.Unreachable, err)
	_, err = s.backend.RemoveSticky(context.Background(), phone)
	s.refuses(telephony.Unreachable, err)
	restore()
	s.callers(s.backend, center, ada())
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = s.backend.RemoveSticky(ctx, phone)
	s.refuses(telephony.Unreachable, err)
	s.stick(s.backend, ada(), false) // who gave up removed nothing
	if err := s.backend.Close(); err != nil {
		s.Error(err)
	}
	_, err = s.backend.ApplySticky(context.Background(), ada())
	s.refuses(telephony.Unreachable, err)
}

func testSeat(s *suite) {
	a := alice()
	for _, seat := range []string{"Held", "Waiting", ""} {
		a.Seat = seat
		equal(s, "recorded", s.apply(a).Record.Seat, seat)
		equal(s, "reported", s.system.Report(s.T, a.Name).Seat, seat)
		equal(s, "loaded", s.load().Agents[a.Name].Seat, seat)
		s.finds("seat "+seat, nil, nil)
		s.converged(a)
	}
	a.Seat = "Held"
	s.apply(a)
	s.remove(a.Name)
	equal(s, "seat of somebody who is gone", s.system.Report(s.T, a.Name).Seat, "")
}

// testGroupQueue is of the queue that a group has for its known callers.
func testGroupQueue(s *suite) {
	q := &telephony.Queue{Name: "acme.north", Settings: settings, Voice: true, Strategy: "RingAll", TimeoutSeconds: 15}
	s.applyQueue(q)
	equal(s, "queue", *s.system.Queue(s.T, q.Name), Queue{Strategy: "RingAll", TimeoutSeconds: 15})
	a := in(alice(), voice(q.Name, 0), voice("support", 1))
	result := s.apply(a)
	equalAll(s, "queues", result.Queues, []string{q.Name, "support"})
	s.has(q.Name, a.Name, false, "")
	s.converged(known(a))
	s.finds("applied", nil, nil)
	equalAll(s, "recorded queues", names(s.load().Queues), []string{q.Name, "support"})

	away := known(a)
	away.PauseReason = "Vacation"
	s.apply(away)
	s.has(q.Name, a.Name, true, "Vacation")
	s.system.SetPause(s.T, q.Name, a.Name, false, "")
	s.finds("a pause lifted by hand", []string{a.Name}, nil)
	s.apply(known(a))
	s.has(q.Name, a.Name, false, "")
	s.system.SetPenalty(s.T, q.Name, a.Name, 3)
	s.finds("a penalty", []string{a.Name}, nil)
	s.apply(known(a))
	s.system.SetStrategy(s.T, q.Name, "Linear")
	s.finds("a strategy", nil, []string{q.Name})
	s.system.AddMember(s.T, q.Name, "PJSIP/stranger")
	equal(s, "strays", fmt.Sprint(s.drift().Strays), "map[acme.north:[PJSIP/stranger]]")
	s.applyQueue(q)
	s.finds("repaired", nil, nil)

	s.apply(in(known(a), voice("support", 1)))
	equal(s, "members", len(s.system.Members(s.T, q.Name)), 0)
	s.apply(known(a))
	if err := s.backend.RemoveQueue(context.Background(), q.Name); err != nil {
		s.Fatal(err)
	}
	equal(s, "queue", s.system.Queue(s.T, q.Name), nil)
	s.apply(in(known(a), voice("support", 1)))
	equalAll(s, "memberships", s.system.Memberships(s.T, a.Name), []Membership{{"support", "Voice", 3, "Direct"}})
	equal(s, "members", len(s.system.Members(s.T, q.Name)), 0)
	s.finds("removed", nil, nil)
}
