package telephonytest

import (
	"context"
	"fmt"
	"slices"

	"roster.dev/roster/internal/telephony"
)

func testSpyGroups(s *suite) {
	a := alice()
	a.SpyGroups, a.Monitors = "q1:t2", "t2:t3"
	result := s.apply(a)
	equal(s, "spy groups", s.system.Phone(s.T, a.Name).SpyGroups, "q1:t2")
	equal(s, "monitors", s.system.Report(s.T, a.Name).Monitors, "t2:t3")
	equal(s, "recorded", result.Record.SpyGroups+" "+result.Record.Monitors, "q1:t2 t2:t3")
	recorded := s.load().Agents[a.Name]
	equal(s, "loaded", recorded.SpyGroups+" "+recorded.Monitors, "q1:t2 t2:t3")
	s.converged(a)

	refused := deactivated(a)
	refused.SpyGroups, refused.Monitors = "", ""
	s.apply(refused)
	equal(s, "spy groups of a running call", s.system.Phone(s.T, a.Name).SpyGroups, "q1:t2")
	equal(s, "monitors", s.system.Report(s.T, a.Name).Monitors, "")

	a = known(a)
	a.SpyGroups = ""
	s.apply(a)
	equal(s, "spy groups", s.system.Phone(s.T, a.Name).SpyGroups, "")
}

// ordered is a with orders.
func ordered(a *telephony.Agent, orders ...telephony.Order) *telephony.Agent {
	c := known(a)
	c.Orders = orders
	return c
}

func testLogout(s *suite) {
	s.apply(alice())
	s.system.Register(s.T, "alice-martin")
	order := telephony.Order{Kind: telephony.OrderLogout, Value: "t1"}
	result := s.apply(ordered(alice(), order))
	equal(s, "Online", result.Online, false)
	equal(s, "Changed", result.Changed, true)
	equal(s, "registered", s.system.Registered(s.T, "alice-martin"), false)
	equal(s, "granted", s.system.Phone(s.T, "alice-martin").Granted, true)
	equal(s, "handled", result.Record.Handled[telephony.OrderLogout], "t1")
	equal(s, "handled, loaded", s.load().Agents["alice-martin"].Handled[telephony.OrderLogout], "t1")

	s.system.Register(s.T, "alice-martin") // the phone is free to come back
	s.converged(ordered(alice(), order))
	equal(s, "registered", s.system.Registered(s.T, "alice-martin"), true)
	equal(s, "handled", s.apply(known(alice())).Record.Handled[telephony.OrderLogout], "t1")
	order.Value = "t2"
	s.apply(ordered(alice(), order))
	equal(s, "registered", s.system.Registered(s.T, "alice-martin"), false)
}

func testPauseOrder(s *suite) {
	a := in(alice(), voice("sales", 0), voice("support", 0))
	s.apply(a)
	s.system.SetPause(s.T, "sales", a.Name, true, "Lunch")
	result := s.apply(ordered(a, telephony.Order{Kind: telephony.OrderPause, Value: "t1", Reason: "Meeting"}))
	equalAll(s, "queues", result.Queues, []string{"support"})
	s.has("sales", a.Name, true, "Lunch")
	s.has("support", a.Name, true, "Meeting")
	// It is the person's own: they end it, and neither Roster nor a leave does.
	s.converged(known(a))
	away := known(a)
	away.PauseReason = "Vacation"
	s.apply(away)
	s.apply(known(a))
	s.has("support", a.Name, true, "Meeting")
	s.system.SetPause(s.T, "support", a.Name, false, "")
	s.converged(ordered(a, telephony.Order{Kind: telephony.OrderPause, Value: "t1", Reason: "Meeting"}))
	s.has("support", a.Name, false, "")
	s.apply(ordered(a, telephony.Order{Kind: telephony.OrderPause, Value: "t2"}))
	s.has("support", a.Name, true, "")
}

func testUnpauseOrder(s *suite) {
	a := in(alice(), voice("sales", 0), voice("support", 0))
	s.apply(a)
	s.system.SetPause(s.T, "sales", a.Name, true, "Lunch")
	result := s.apply(ordered(a, telephony.Order{Kind: telephony.OrderUnpause, Value: "t1"}))
	equalAll(s, "queues", result.Queues, []string{"sales"})
	s.has("sales", a.Name, false, "")

	// What a leave pauses stays so, as Roster's pause.
	s.system.SetPause(s.T, "sales", a.Name, true, "Lunch")
	away := known(a)
	away.PauseReason = "Vacation"
	s.apply(away)
	away = ordered(away, telephony.Order{Kind: telephony.OrderUnpause, Value: "t2"})
	s.apply(away)
	s.has("sales", a.Name, true, "Vacation")
	s.has("support", a.Name, true, "Vacation")
	s.converged(away)
	s.apply(known(a))
	s.has("sales", a.Name, false, "")
	s.has("support", a.Name, false, "")

	// In the order of the list.
	s.apply(ordered(a, telephony.Order{Kind: telephony.OrderUnpause, Value: "t3"}, telephony.Order{Kind: telephony.OrderPause, Value: "t3", Reason: "Meeting"}))
	s.has("sales", a.Name, true, "Meeting")
	s.apply(ordered(a, telephony.Order{Kind: telephony.OrderPause, Value: "t4"}, telephony.Order{Kind: telephony.OrderUnpause, Value: "t4"}))
	s.has("sales", a.Name, false, "")
	equal(s, "handled", fmt.Sprint(s.load().Agents[a.Name].Handled), "map[pause-at:t4 unpause-at:t4]")
}

func testSkippedOrder(s *suite) {
	a := in(alice(), voice("support", 0))
	s.apply(a)
	s.system.Register(s.T, a.Name)
	late := ordered(a,
		telephony.Order{Kind: telephony.OrderLogout, Value: "t1", Skip: true},
		telephony.Order{Kind: telephony.OrderPause, Value: "t1", Reason: "Meeting", Skip: true},
		telephony.Order{Kind: telephony.OrderReconcile, Value: "t1"})
	result := s.apply(late)
	equal(s, "Changed", result.Changed, true)
	equal(s, "queues", len(result.Queues), 0)
	equal(s, "registered", s.system.Registered(s.T, a.Name), true)
	s.has("support", a.Name, false, "")
	equal(s, "handled", fmt.Sprint(result.Record.Handled), "map[logout-at:t1 pause-at:t1 reconcile-at:t1]")
	equal(s, "fingerprint", result.Record.Fingerprint, known(a).Fingerprint())
	for i := range late.Orders {
		late.Orders[i].Skip = false
	}
	s.converged(late)
}

func testOrdersInBatch(s *suite) {
	s.system.AddPhone(s.T, "agent-07", "of somebody")
	var agents []*telephony.Agent
	for i := range 30 {
		a := in(person(fmt.Sprintf("agent-%02d", i), ""), voice("support", 0))
		if i == 13 { // an adapter may know no such limit
			a.Settings = &telephony.Settings{Context: "a-context-whose-name-is-longer-than-any-column-for-it-is"}
			a.Mailbox, a.PIN = "1", pointer("secret")
		}
		a.Orders = []telephony.Order{{Kind: telephony.OrderPause, Value: "t1", Reason: "Meeting"}}
		agents = append(agents, a)
	}
	for range 2 {
		for i, err := range s.concurrently(agents) {
			if err != nil && i != 7 && i != 13 {
				s.Errorf("%s: %v", agents[i].Name, err)
			}
			if err == nil {
				s.system.SetPause(s.T, "support", agents[i].Name, false, "") // a second time it would come back
			}
		}
	}
	records := s.load().Agents
	for i, a := range agents {
		if i == 7 || i == 13 {
			continue
		}
		equal(s, "handled of "+a.Name, records[a.Name].Handled[telephony.OrderPause], "t1")
		s.has("support", a.Name, false, "")
	}
}

func testWritten(s *suite) {
	s.applyQueue(support())
	a := in(alice(), voice("sales", 0), voice("support", 0))
	result := s.apply(a)
	equalAll(s, "queues", result.Queues, []string{"sales", "support"})
	sorted := slices.IsSorted(result.Written) && len(result.Written) > 0 && len(result.Written) <= 10
	equal(s, fmt.Sprintf("written: %v", result.Written), sorted, true)
	equal(s, "queues of nothing", len(s.apply(known(a)).Queues), 0)

	a = in(known(a), voice("sales", 0), voice("support", 3))
	equalAll(s, "queues", s.apply(a).Queues, []string{"support"})
	a.DisplayName = "Alice Miller"
	result = s.apply(a)
	equal(s, "queues of a new name", len(result.Queues), 0)
	equal(s, "written of a new name", len(result.Written) > 0, true)
	a.PauseReason = "Vacation"
	equalAll(s, "queues", s.apply(a).Queues, []string{"sales", "support"})
	a = in(a, voice("support", 3))
	equalAll(s, "queues", s.apply(a).Queues, []string{"sales"})
	equalAll(s, "queues", s.apply(in(a, voice("support", 3), voice("web", 1))).Queues, []string{"web"})
	equalAll(s, "queues of a removal", s.remove("alice-martin"), []string{"support", "web"})
	equal(s, "queues of a removal again", len(s.remove("alice-martin")), 0)
	s.apply(in(alice(), voice("support", 1)))
	equalAll(s, "queues of a deactivation", s.apply(deactivated(alice())).Queues, []string{"support"})
}

// drift expects Compare to work.
func (s *suite) drift() *telephony.Drift {
	s.Helper()
	drift, err := s.backend.Compare(context.Background())
	if err != nil {
		s.Fatalf("Compare: %v", err)
	}
	return drift
}

// finds expects Compare to find these persons and queues, and no strays.
func (s *suite) finds(what string, agents, queues []string) {
	s.Helper()
	drift := s.drift()
	equalAll(s, what+": agents", drift.Agents, agents)
	equalAll(s, what+": queues", drift.Queues, queues)
	equal(s, what+": strays", len(drift.Strays), 0)
}

// staff is people of all kinds, applied, with two queues.
func (s *suite) staff() (alice, bob *telephony.Agent) {
	s.Helper()
	s.applyQueue(support())
	s.applyQueue(&telephony.Queue{Name: "web", Settings: settings, Extension: "601"})
	alice = in(person("alice-martin", "1001"), voice("sales", 0),
		telephony.Membership{Queue: "support", Channels: []string{"Voice", "Chat"}, Stars: 3, Penalty: 1, Via: []string{"Direct"}},
		telephony.Membership{Queue: "web", Channels: []string{"Chat"}, Stars: 1, Via: []string{"Team/a"}})
	alice.Mailbox, alice.PIN, alice.Group = "1001", pointer("4711"), "north"
	alice.SpyGroups, alice.Monitors = "q1:t2", "t2"
	bob = in(person("bob-lee", "1002"), voice("support", 2))
	bob.PauseReason = "Vacation"
	s.apply(alice)
	s.apply(bob)
	s.apply(person("carla-diaz", "1003"))
	s.apply(deactivated(person("carla-diaz", "1003")))
	pending := known(person("dan-roe", ""))
	pending.Phase, pending.Access, pending.Phone = "Pending", telephony.AccessRefused, false
	s.apply(pending)
	return alice, bob
}

func testNoDrift(s *suite) {
	s.finds("an empty system", nil, nil)
	alice, bob := s.staff()
	s.finds("new staff", nil, nil)
	s.apply(known(alice))
	s.apply(known(bob))
	s.applyQueue(support())
	s.finds("applied again", nil, nil)
	back := known(bob)
	back.PauseReason = ""
	s.apply(back)
	s.finds("back from leave", nil, nil)
	s.apply(ordered(back, telephony.Order{Kind: telephony.OrderPause, Value: "t1"}))
	s.finds("paused by order", nil, nil)
	moved := in(known(alice), voice("support", 0))
	moved.Mailbox, moved.Extension, moved.SpyGroups = "", "1010", ""
	s.apply(moved)
	s.finds("moved", nil, nil)
	s.apply(deactivated(moved))
	s.finds("deactivated", nil, nil)
	s.remove(bob.Name)
	if err := s.backend.RemoveQueue(context.Background(), "support"); err != nil {
		s.Fatal(err)
	}
	s.finds("removed", nil, nil)
	second := s.open(center)
	if drift, err := second.Compare(context.Background()); err != nil || len(drift.Agents)+len(drift.Queues)+len(drift.Strays) > 0 {
		s.Errorf("another backend of the centre finds %+v, %v", drift, err)
	}
}

func testNotDrift(s *suite) {
	alice, bob := s.staff()
	s.system.SetPause(s.T, "support", alice.Name, true, "Lunch")
	s.finds("a person's own pause", nil, nil)
	s.system.SetPause(s.T, "support", bob.Name, true, "Training")
	s.finds("a leave's pause that the person took over", nil, nil)
	s.system.SetPIN(s.T, "1001@acme", "0815")
	s.finds("a PIN changed by phone", nil, nil)
	s.system.Register(s.T, alice.Name)
	s.finds("a registration", nil, nil)
	s.system.AddPhone(s.T, "somebody", "of somebody")
	s.system.AddQueue(s.T, "foreign")
	s.system.AddMember(s.T, "foreign", "PJSIP/"+alice.Name)
	s.system.AddMailbox(s.T, "9999@acme", "1")
	s.finds("what is somebody else's", nil, nil)
	other := s.open("other")
	if _, err := other.ApplyAgent(context.Background(), in(person("eve-fox", "1001"), voice("elsewhere", 0))); err != nil {
		s.Fatal(err)
	}
	s.system.SetPenalty(s.T, "elsewhere", "eve-fox", 9)
	s.finds("drift of another centre", nil, nil)
	drift, err := other.Compare(context.Background())
	if err != nil || !slices.Equal(drift.Agents, []string{"eve-fox"}) {
		s.Errorf("the other centre finds %+v, %v", drift, err)
	}
}

func testDrift(s *suite) {
	alice, bob := s.staff()
	carla := deactivated(person("carla-diaz", "1003"))
	for _, c := range []struct {
		what   string
		agent  *telephony.Agent
		queues []string // whose members the repair changes
		change func()
	}{
		{"a closed phone", known(alice), nil, func() { s.system.ClosePhone(s.T, alice.Name) }},
		{"an opened phone", carla, nil, func() { s.system.OpenPhone(s.T, carla.Name) }},
		{"a removed phone", alice, nil, func() { s.system.RemovePhone(s.T, alice.Name) }},
		{"a penalty", known(alice), []string{"support"}, func() { s.system.SetPenalty(s.T, "support", alice.Name, 4) }},
		{"a removed member", known(alice), []string{"sales"}, func() { s.system.RemoveMember(s.T, "sales", alice.Name) }},
		{"a leave's pause that was lifted", known(bob), []string{"support"}, func() { s.system.SetPause(s.T, "support", bob.Name, false, "") }},
		{"a removed extension", known(bob), nil, func() { s.system.RemoveExtension(s.T, center, "1002") }},
		{"a report", known(alice), nil, func() { s.system.SetReportGroup(s.T, alice.Name, "south") }},
	} {
		c.change()
		s.finds(c.what, []string{c.agent.Name}, nil)
		s.finds(c.what+", looked at again", []string{c.agent.Name}, nil)
		result := s.apply(c.agent)
		equal(s, c.what+": Changed", result.Changed, true)
		equal(s, c.what+": Written", len(result.Written) > 0, true)
		equalAll(s, c.what+": Queues", result.Queues, c.queues)
		s.finds(c.what+", repaired", nil, nil)
		s.converged(known(c.agent))
	}
	s.has("support", bob.Name, true, "Vacation")
	equal(s, "carla's phone", s.system.Phone(s.T, "carla-diaz").Granted, false)

	// A person on leave whose pause was their own and who lifted it is to be paused all the same.
	s.system.SetPause(s.T, "support", bob.Name, true, "Training")
	s.apply(known(bob))
	s.finds("a pause taken over", nil, nil)
	s.system.SetPause(s.T, "support", bob.Name, false, "")
	s.finds("a pause taken over and lifted", []string{bob.Name}, nil)
	s.apply(known(bob))
	s.has("support", bob.Name, true, "Vacation")

	// Several at once, and those alone.
	s.system.SetPenalty(s.T, "support", alice.Name, 4)
	s.system.RemoveExtension(s.T, center, "1003")
	s.finds("a penalty and a refused person's extension", []string{alice.Name, carla.Name}, nil)
}

func testPasswordDrift(s *suite) {
	alice, _ := s.staff()
	s.system.SetPassword(s.T, alice.Name, "by hand")
	s.finds("a changed password", []string{alice.Name}, nil)
	renamed := known(alice)
	renamed.DisplayName = "Alice Miller"
	s.apply(renamed)
	s.finds("a changed password that was not given", []string{alice.Name}, nil)
	renamed.Password = alice.Password
	result := s.apply(renamed)
	equal(s, "Changed", result.Changed, true)
	equal(s, "Written", len(result.Written), 1)
	equal(s, "password", s.system.Phone(s.T, alice.Name).Password, *alice.Password)
	s.finds("repaired", nil, nil)
	renamed.Password, renamed.CredentialVersions = pointer("the next secret"), "2"
	s.apply(renamed)
	s.finds("a new password", nil, nil)
}

func testQueueDrift(s *suite) {
	s.staff()
	web := &telephony.Queue{Name: "web", Settings: settings, Extension: "601"}
	for _, c := range []struct {
		what   string
		queue  *telephony.Queue
		change func()
	}{
		{"a strategy", support(), func() { s.system.SetStrategy(s.T, "support", "RingAll") }},
		{"a removed queue", support(), func() { s.system.RemoveQueue(s.T, "support") }},
		{"a removed extension", support(), func() { s.system.RemoveExtension(s.T, center, "600") }},
		{"a removed extension of a queue without voice", web, func() { s.system.RemoveExtension(s.T, center, "601") }},
		{"a row of a queue without voice", web, func() { s.system.AddQueue(s.T, "web") }},
	} {
		c.change()
		s.finds(c.what, nil, []string{c.queue.Name})
		s.applyQueue(c.queue)
		s.finds(c.what+", repaired", nil, nil)
	}
	equal(s, "strategy", s.system.Queue(s.T, "support").Strategy, "LeastRecent")
	s.extensions(map[string]string{"1001": "PJSIP/alice-martin", "1002": "PJSIP/bob-lee", "1003": "PJSIP/carla-diaz",
		"600": "queue support", "601": "queue web"})
}

func testStrayDrift(s *suite) {
	_, bob := s.staff()
	s.system.AddMember(s.T, "support", "PJSIP/stranger")
	s.system.AddMember(s.T, "support", "Local/1@acme")
	s.system.AddMember(s.T, "sales", "PJSIP/bob-lee")
	drift := s.drift()
	equal(s, "agents and queues", len(drift.Agents)+len(drift.Queues), 0)
	equal(s, "strays", fmt.Sprint(drift.Strays), "map[sales:[PJSIP/bob-lee] support:[Local/1@acme PJSIP/stranger]]")
	s.applyQueue(support())
	s.apply(known(bob)) // an additive queue's member that is a person of the centre stays, and is not theirs
	drift = s.drift()
	equal(s, "agents and queues", len(drift.Agents)+len(drift.Queues), 0)
	equal(s, "strays", fmt.Sprint(drift.Strays), "map[sales:[PJSIP/bob-lee]]")
	s.applyQueue(&telephony.Queue{Name: "sales", Settings: settings, Voice: true, Members: telephony.MembersAdditive})
	equal(s, "strays that may stay", fmt.Sprint(s.drift().Strays), "map[sales:[PJSIP/bob-lee]]")
	s.applyQueue(&telephony.Queue{Name: "sales", Settings: settings, Voice: true})
	s.finds("repaired", nil, nil)
	s.has("sales", "alice-martin", false, "")
}

func testHandedOver(s *suite) {
	s.staff()
	s.apply(person("eve-fox", "1001"))
	s.finds("an extension of a person's", nil, nil)
	s.apply(person("frank-bo", "600"))
	s.finds("an extension of a queue's", nil, nil)
	q := support()
	q.Extension = "1002"
	s.applyQueue(q)
	s.finds("an extension of a person's for a queue", nil, nil)
	s.swapExtensions()
	s.finds("extensions exchanged", nil, nil)
}

func testCompareFails(s *suite) {
	alice, _ := s.staff()
	s.system.SetPenalty(s.T, "support", alice.Name, 4)
	restore := s.system.Outage(s.T)
	drift, err := s.backend.Compare(context.Background())
	s.refuses(telephony.Unreachable, err)
	equal(s, "drift", drift, nil)
	restore()
	s.load()
	s.finds("after an outage", []string{alice.Name}, nil)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	drift, err = s.backend.Compare(ctx)
	s.refuses(telephony.Unreachable, err)
	equal(s, "drift", drift, nil)
	s.apply(known(alice)) // who gave up ended nothing
	if err := s.backend.Close(); err != nil {
		s.Error(err)
	}
	_, err = s.backend.Compare(context.Background())
	s.refuses(telephony.Unreachable, err)
}

func testCompareBeside(s *suite) {
	s.staff()
	var agents []*telephony.Agent
	for i := range 40 {
		agents = append(agents, in(person(fmt.Sprintf("agent-%02d", i), fmt.Sprint(2000+i)), voice("support", 0)))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for round := range 6 {
			for i, a := range agents {
				next := in(a, voice("sales", round%4), voice("support", i%4))
				next.Group, next.Extension = fmt.Sprint("group-", round), fmt.Sprint(2000+(i+round)%40)
				agents[i] = next
			}
			for _, err := range s.concurrently(agents) {
				if err != nil {
					s.Error(err)
				}
			}
			if err := s.backend.ApplyQueue(context.Background(), support()); err != nil {
				s.Error(err)
			}
		}
	}()
	for busy := true; busy; {
		select {
		case <-done:
			busy = false
		default:
		}
		s.finds("beside writers", nil, nil)
	}
}
