package telephonytest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"roster.dev/roster/internal/telephony"
)

func testPhone(s *suite) {
	result := s.apply(alice())
	equal(s, "HasPhone", result.Record.HasPhone, true)
	equal(s, "Online", result.Online, false)
	equal(s, "Changed", result.Changed, true)
	phone := s.system.Phone(s.T, "alice-martin")
	if phone == nil {
		s.Fatal("no phone")
	}
	equal(s, "Granted", phone.Granted, true)
	equal(s, "Password", phone.Password, "secret of alice-martin")
	equal(s, "transport", phone.Columns["transport"], "transport-wss")
	s.extensions(map[string]string{"1001": "PJSIP/alice-martin"})
	equal(s, "report", *s.system.Report(s.T, "alice-martin"), Report{
		Center: center, DisplayName: "Name of alice-martin", Email: "alice-martin@acme.example", Phase: "Active",
		Interface: "PJSIP/alice-martin", Extension: "1001",
	})
	s.system.Register(s.T, "alice-martin")
	equal(s, "Online once registered", s.apply(known(alice())).Online, true)
}

func testLoad(s *suite) {
	a := in(alice(), voice("support", 0))
	a.Group = "north"
	s.apply(a)
	away := deactivated(a)
	result := s.apply(away)
	s.applyQueue(support())
	s.apply(person("bob-lee", "1002"))
	s.open("other") // another centre's records are not acme's

	records := s.load()
	equalAll(s, "agents", names(records.Agents), []string{"alice-martin", "bob-lee"})
	got := records.Agents["alice-martin"]
	equal(s, "record of ApplyAgent and Load", fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", result.Record))
	equal(s, "fingerprint", got.Fingerprint, away.Fingerprint())
	equal(s, "uid", got.UID, "uid-alice-martin")
	equal(s, "versions", got.CredentialVersions, "1")
	equal(s, "group", got.Group, "north")
	equal(s, "has phone", got.HasPhone, true)
	equalAll(s, "revoked", got.Revoked, away.Revoked)
	equal(s, "requested at", got.RequestedAt, moment)
	equalAll(s, "queues", names(records.Queues), []string{"support"})
	equal(s, "fingerprint", records.Queues["support"].Fingerprint, support().Fingerprint())
}

func testConverged(s *suite) {
	s.applyQueue(support())
	a := in(alice(), voice("support", 2), telephony.Membership{Queue: "mail", Channels: []string{"Email", "Chat"}, Stars: 1, Via: []string{"Team/a"}})
	a.Mailbox, a.PIN = "1001", pointer("4711")
	s.apply(a)
	s.converged(a)
	s.converged(known(a))
	s.apply(deactivated(a))
	s.converged(deactivated(a))
}

func testRepair(s *suite) {
	s.applyQueue(support())
	a := in(alice(), voice("support", 2))
	s.apply(a)
	s.system.RemoveMember(s.T, "support", "alice-martin")
	equal(s, "Changed", s.apply(known(a)).Changed, true)
	if s.member("support", "alice-martin") == nil {
		s.Error("the member did not come back")
	}
	s.converged(known(a))
}

func testMove(s *suite) {
	s.applyQueue(support())
	a := in(alice(), voice("support", 1))
	a.Group = "north"
	s.apply(a)
	s.applyQueue(&telephony.Queue{Name: "sales", Settings: settings, Voice: true, Strategy: "RingAll"})
	a = in(known(a), voice("sales", 0))
	a.Group = "south"
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.apply(a)
	}()
	// Whoever looks sees the old group or the new one, with its queue.
	for moved := false; !moved; {
		select {
		case <-done:
			moved = true
		default:
		}
		if group := s.system.Report(s.T, "alice-martin").Group; group != "north" && group != "south" {
			s.Fatalf("group %q", group)
		}
	}
	equal(s, "group", s.system.Report(s.T, "alice-martin").Group, "south")
	equal(s, "old queue", s.member("support", "alice-martin"), nil)
	if s.member("sales", "alice-martin") == nil {
		s.Error("no row in the new queue")
	}
	equalAll(s, "memberships", s.system.Memberships(s.T, "alice-martin"), []Membership{{"sales", "Voice", 4, "Direct"}})
}

func testDeactivation(s *suite) {
	s.applyQueue(support())
	a := in(alice(), voice("support", 1), voice("sales", 1))
	s.apply(a)
	s.system.Register(s.T, "alice-martin")
	result := s.apply(deactivated(a))
	equal(s, "Online", result.Online, false)
	equal(s, "registered", s.system.Registered(s.T, "alice-martin"), false)
	phone := s.system.Phone(s.T, "alice-martin")
	equal(s, "granted", phone.Granted, false)
	equal(s, "password", phone.Password, "secret of alice-martin")
	equal(s, "members", len(s.system.Members(s.T, "support"))+len(s.system.Members(s.T, "sales")), 0)
	equal(s, "memberships", len(s.system.Memberships(s.T, "alice-martin")), 0)
	equal(s, "requested", s.system.Report(s.T, "alice-martin").RequestedAt, moment)

	s.system.Register(s.T, "alice-martin") // a registration that came in between
	done := deactivated(a)
	done.Phase, done.OfflineAt, done.CompletedAt = "Deactivated", moment.Add(time.Minute), moment.Add(time.Hour)
	s.apply(done)
	equal(s, "registered", s.system.Registered(s.T, "alice-martin"), false)
	report := s.system.Report(s.T, "alice-martin")
	equal(s, "times", [3]time.Time{report.RequestedAt, report.OfflineAt, report.CompletedAt},
		[3]time.Time{moment, moment.Add(time.Minute), moment.Add(time.Hour)})
}

func testReactivation(s *suite) {
	s.applyQueue(support())
	a := in(alice(), voice("support", 1))
	s.apply(a)
	s.apply(deactivated(a))
	back := known(in(a))
	back.Revoked = deactivated(a).Revoked
	result := s.apply(back)
	phone := s.system.Phone(s.T, "alice-martin")
	equal(s, "granted", phone.Granted, true)
	equal(s, "password", phone.Password, "secret of alice-martin")
	equal(s, "member", s.member("support", "alice-martin"), nil)
	equalAll(s, "revoked", s.load().Agents["alice-martin"].Revoked, back.Revoked)
	equal(s, "requested at", result.Record.RequestedAt.IsZero(), true)
	again := known(a)
	s.apply(again)
	s.has("support", "alice-martin", false, "")
	equal(s, "revoked", len(s.load().Agents["alice-martin"].Revoked), 0)
}

func testOutlives(s *suite) {
	s.applyQueue(support())
	a := in(alice(), voice("support", 1))
	a.Mailbox, a.PIN, a.Group = "1001", pointer("4711"), "north"
	s.apply(a)
	s.system.Register(s.T, "alice-martin")
	s.remove("alice-martin")
	equal(s, "phone", s.system.Phone(s.T, "alice-martin"), nil)
	equal(s, "member", s.member("support", "alice-martin"), nil)
	equal(s, "mailbox", s.system.Mailbox(s.T, "1001@acme"), nil)
	equal(s, "registered", s.system.Registered(s.T, "alice-martin"), false)
	equal(s, "memberships", len(s.system.Memberships(s.T, "alice-martin")), 0)
	s.extensions(map[string]string{"600": "queue support"})
	equal(s, "records", len(s.load().Agents), 0)
	report := s.system.Report(s.T, "alice-martin")
	if report == nil {
		s.Fatal("the report went with the person")
	}
	equal(s, "phase", report.Phase, "Deleted")
	equal(s, "group", report.Group, "north")
	equal(s, "deleted at", report.DeletedAt, moment)
}

func testRemoveTwice(s *suite) {
	s.remove("nobody")
	s.apply(alice())
	s.remove("alice-martin")
	s.remove("alice-martin")
	if err := s.backend.RemoveQueue(context.Background(), "none"); err != nil {
		s.Error(err)
	}
}

func testReuse(s *suite) {
	s.apply(alice())
	s.remove("alice-martin")
	s.apply(alice()) // the same person, back
	s.remove("alice-martin")
	other := alice()
	other.Email = "another-alice@acme.example"
	s.refusesAgent(telephony.Conflict, other, "alice-martin", "e-mail")
	equal(s, "phone", s.system.Phone(s.T, "alice-martin"), nil)
	other.ReuseName = true
	s.apply(other)
	report := s.system.Report(s.T, "alice-martin")
	equal(s, "phase", report.Phase, "Active")
	equal(s, "deleted", report.DeletedAt.IsZero(), true)
	other.Email, other.ReuseName = "third@acme.example", false
	s.apply(other) // of a living person the address may change
}

func testForeignPhone(s *suite) {
	s.system.AddPhone(s.T, "alice-martin", "of somebody")
	a := in(alice(), voice("support", 0))
	s.refusesAgent(telephony.Conflict, a, "alice-martin", "did not")
	equal(s, "password", s.system.Phone(s.T, "alice-martin").Password, "of somebody")
	equal(s, "member", s.member("support", "alice-martin"), nil)
	equal(s, "report", s.system.Report(s.T, "alice-martin"), nil)
	equal(s, "records", len(s.load().Agents), 0)
	// What is not registered is not removed.
	s.remove("alice-martin")
	equal(s, "phone left", s.system.Phone(s.T, "alice-martin") != nil, true)

	a = known(a)
	a.Settings = adopting
	equal(s, "HasPhone", s.apply(a).Record.HasPhone, true)
	equal(s, "password", s.system.Phone(s.T, "alice-martin").Password, "of somebody")
	a.Settings = settings
	a.Password = pointer("changed")
	s.apply(a)
	equal(s, "password", s.system.Phone(s.T, "alice-martin").Password, "changed")
}

func testTwoCenters(s *suite) {
	s.apply(alice())
	other := s.open("other")
	_, err := other.ApplyAgent(context.Background(), alice())
	s.refuses(telephony.Conflict, err, "alice-martin", center)
	bob := person("bob-lee", "1001")
	if _, err := other.ApplyAgent(context.Background(), bob); err != nil {
		s.Fatalf("the same extension in another centre: %v", err)
	}
	s.extensions(map[string]string{"1001": "PJSIP/alice-martin"})
	s.applyQueue(support())
	s.refuses(telephony.Conflict, other.ApplyQueue(context.Background(), support()), "support", center)
}

func testForeignRemoval(s *suite) {
	s.apply(alice())
	s.applyQueue(support())
	other := s.open("other")
	if _, err := other.RemoveAgent(context.Background(), "alice-martin", moment); err != nil {
		s.Error(err)
	}
	if err := other.RemoveQueue(context.Background(), "support"); err != nil {
		s.Error(err)
	}
	equal(s, "phone", s.system.Phone(s.T, "alice-martin") != nil, true)
	equal(s, "queue", s.system.Queue(s.T, "support") != nil, true)
}

func testExtension(s *suite) {
	s.apply(alice())
	s.apply(person("bob-lee", "1001"))
	s.extensions(map[string]string{"1001": "PJSIP/bob-lee"})
	moved := known(alice())
	moved.Extension = "1003"
	s.apply(moved) // does not take from bob what was alice's
	s.extensions(map[string]string{"1001": "PJSIP/bob-lee", "1003": "PJSIP/alice-martin"})
	moved = known(moved)
	moved.Extension = ""
	s.apply(moved)
	s.extensions(map[string]string{"1001": "PJSIP/bob-lee"})
	q := support()
	q.Extension = "1001"
	s.applyQueue(q)
	s.remove("bob-lee")
	s.extensions(map[string]string{"1001": "queue support"})
}

func testExtensionSwap(s *suite) {
	after := s.swapExtensions()
	got := s.system.Extensions(s.T, center)
	for _, a := range after {
		equal(s, a.Extension, got[a.Extension], "PJSIP/"+a.Name)
	}
}

// swapExtensions has twenty people hand their extensions on to each other at once, and returns them as they are then.
func (s *suite) swapExtensions() []*telephony.Agent {
	s.Helper()
	var before, after []*telephony.Agent
	for i := range 20 {
		name := fmt.Sprintf("agent-%02d", i)
		before = append(before, person(name, fmt.Sprint(2000+i)))
		after = append(after, person(name, fmt.Sprint(2000+(i+1)%20)))
	}
	for _, round := range [][]*telephony.Agent{before, after, after} {
		for _, err := range s.concurrently(round) {
			if err != nil {
				s.Fatal(err)
			}
		}
	}
	return after
}

func testNoPassword(s *suite) {
	a := known(in(alice(), voice("support", 0)))
	s.refusesAgent(telephony.Refused, a, "alice-martin", "password")
	_, err := s.backend.ApplyAgent(context.Background(), a)
	equal(s, "credentials needed", errors.Is(err, telephony.ErrCredentialsNeeded), true)
	a.Phone = false
	result := s.apply(a)
	equal(s, "HasPhone", result.Record.HasPhone, false)
	equal(s, "phone", s.system.Phone(s.T, "alice-martin"), nil)
	s.has("support", "alice-martin", false, "")
	empty := alice()
	empty.Password = pointer("")
	s.refusesAgent(telephony.Refused, empty, "empty")

	// A Secret that went away later takes nothing away, and gives nothing back.
	full := in(alice(), voice("support", 0))
	s.apply(full)
	without := known(full)
	without.Phone = false
	equal(s, "HasPhone", s.apply(without).Record.HasPhone, true)
	equal(s, "granted", s.system.Phone(s.T, "alice-martin").Granted, true)
	refused := deactivated(full)
	refused.Phone = false
	s.apply(refused)
	equal(s, "granted", s.system.Phone(s.T, "alice-martin").Granted, false)
}

func testPasswordGone(s *suite) {
	s.apply(alice())
	s.system.RemovePhone(s.T, "alice-martin")
	equal(s, "HasPhone", s.load().Agents["alice-martin"].HasPhone, false)
	_, err := s.backend.ApplyAgent(context.Background(), known(alice()))
	equal(s, "credentials needed", errors.Is(err, telephony.ErrCredentialsNeeded), true)
	s.apply(deactivated(alice())) // losing access waits for no password
	s.apply(alice())
	equal(s, "phone", s.system.Phone(s.T, "alice-martin") != nil, true)
}

func testPending(s *suite) {
	a := known(alice())
	a.Phase, a.Access, a.Phone = "Pending", telephony.AccessRefused, false
	s.apply(a)
	equal(s, "phone", s.system.Phone(s.T, "alice-martin"), nil)
	equal(s, "phase", s.system.Report(s.T, "alice-martin").Phase, "Pending")
	a.Phone, a.Password = true, pointer("secret")
	s.apply(a)
	equal(s, "granted", s.system.Phone(s.T, "alice-martin").Granted, false)
}

func testPIN(s *suite) {
	a := alice()
	a.Mailbox = "1001"
	_, err := s.backend.ApplyAgent(context.Background(), a)
	equal(s, "credentials needed", errors.Is(err, telephony.ErrCredentialsNeeded), true)
	a.PIN = pointer("4711")
	s.apply(a)
	equal(s, "mailbox", *s.system.Mailbox(s.T, "1001@acme"), Mailbox{a.DisplayName, a.Email, "4711"})
	s.system.SetPIN(s.T, "1001@acme", "9999")
	s.converged(known(a))
	equal(s, "PIN", s.system.Mailbox(s.T, "1001@acme").PIN, "9999")
	renamed := known(a)
	renamed.DisplayName = "Alice Miller"
	s.apply(renamed)
	equal(s, "mailbox", *s.system.Mailbox(s.T, "1001@acme"), Mailbox{"Alice Miller", a.Email, "9999"})
	renamed.PIN, renamed.CredentialVersions = pointer("1234"), "2"
	s.apply(renamed)
	equal(s, "PIN", s.system.Mailbox(s.T, "1001@acme").PIN, "1234")
}

func testMailbox(s *suite) {
	a := alice()
	a.Mailbox, a.PIN = "1001", pointer("4711")
	s.apply(a)
	moved := known(a)
	moved.Mailbox = "1005"
	s.apply(moved)
	equal(s, "old", s.system.Mailbox(s.T, "1001@acme"), nil)
	equal(s, "PIN goes along", s.system.Mailbox(s.T, "1005@acme").PIN, "4711")
	bob := person("bob-lee", "1002")
	bob.Mailbox, bob.PIN, bob.Settings = "1005", pointer("1"), adopting
	s.refusesAgent(telephony.Conflict, bob, "1005@acme", "alice-martin")
	s.system.AddMailbox(s.T, "1006@acme", "7")
	bob.Mailbox, bob.Settings = "1006", settings
	s.refusesAgent(telephony.Conflict, bob, "1006@acme")
	equal(s, "foreign PIN", s.system.Mailbox(s.T, "1006@acme").PIN, "7")
	bob = known(bob)
	bob.Settings, bob.Password = adopting, pointer("secret")
	s.apply(bob)
	equal(s, "adopted PIN", s.system.Mailbox(s.T, "1006@acme").PIN, "7")
	moved = known(moved)
	moved.Mailbox = ""
	s.apply(moved)
	equal(s, "gone", s.system.Mailbox(s.T, "1005@acme"), nil)
}

func testOneBad(s *suite) {
	s.system.AddPhone(s.T, "agent-07", "of somebody")
	var agents []*telephony.Agent
	for i := range 30 {
		agents = append(agents, in(person(fmt.Sprintf("agent-%02d", i), ""), voice("support", 0)))
	}
	agents[13].Settings = &telephony.Settings{Context: "a-context-whose-name-is-longer-than-any-column-for-it-is"}
	agents[13].Mailbox, agents[13].PIN = "1", pointer("secret")
	for i, err := range s.concurrently(agents) {
		switch i {
		case 7:
			s.refuses(telephony.Conflict, err, "agent-07")
		case 13: // an adapter may know no such limit
			if err != nil {
				s.refuses(telephony.Refused, err)
			}
		default:
			if err != nil {
				s.Errorf("%s: %v", agents[i].Name, err)
			}
		}
	}
	if n := len(s.system.Members(s.T, "support")); n != 28 && n != 29 {
		s.Errorf("%d members", n)
	}
}

func testMany(s *suite) {
	var agents []*telephony.Agent
	for i := range 300 {
		a := person(fmt.Sprintf("agent-%03d", i), fmt.Sprint(3000+i))
		for q := range 5 {
			a.Memberships = append(a.Memberships, voice(fmt.Sprintf("queue-%d", q), q%4))
		}
		agents = append(agents, a)
	}
	for _, err := range s.concurrently(agents) {
		if err != nil {
			s.Fatal(err)
		}
	}
	for q := range 5 {
		equal(s, "members", len(s.system.Members(s.T, fmt.Sprintf("queue-%d", q))), 300)
	}
	equal(s, "extensions", len(s.system.Extensions(s.T, center)), 300)
	equal(s, "records", len(s.load().Agents), 300)
	for i := range agents {
		agents[i] = deactivated(agents[i]) // many at once (G8)
	}
	for _, err := range s.concurrently(agents) {
		if err != nil {
			s.Fatal(err)
		}
	}
	equal(s, "members", len(s.system.Members(s.T, "queue-0")), 0)
}

func testGaveUp(s *suite) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := s.backend.ApplyAgent(ctx, alice())
	s.refuses(telephony.Unreachable, err)
	s.apply(person("bob-lee", "1002"))
	s.apply(alice())
}

func testOutage(s *suite) {
	s.apply(alice())
	restore := s.system.Outage(s.T)
	start := time.Now()
	_, err := s.backend.ApplyAgent(context.Background(), in(known(alice()), voice("support", 0)))
	s.refuses(telephony.Unreachable, err)
	s.refuses(telephony.Unreachable, s.backend.Ping(context.Background()))
	_, err = s.backend.Load(context.Background())
	s.refuses(telephony.Unreachable, err)
	if took := time.Since(start); took > 15*time.Second {
		s.Errorf("took %v", took)
	}
	restore()
	records := s.load()
	equal(s, "records", len(records.Agents), 1)
	if err := s.backend.Ping(context.Background()); err != nil {
		s.Error(err)
	}
	s.apply(in(known(alice()), voice("support", 0)))
	s.has("support", "alice-martin", false, "")
}

func testTakeover(s *suite) {
	second := s.open(center)
	s.apply(in(alice(), voice("support", 0)))
	a := in(known(alice()), voice("support", 3))
	if _, err := second.ApplyAgent(context.Background(), a); err != nil {
		s.Fatal(err)
	}
	s.converged(a)
	equal(s, "penalty", s.member("support", "alice-martin").Penalty, 3)
	if _, err := second.RemoveAgent(context.Background(), "alice-martin", moment); err != nil {
		s.Fatal(err)
	}
	s.apply(alice())
}

func testClosed(s *suite) {
	if err := s.backend.Close(); err != nil {
		s.Error(err)
	}
	if err := s.backend.Close(); err != nil {
		s.Error(err)
	}
	_, err := s.backend.ApplyAgent(context.Background(), alice())
	s.refuses(telephony.Unreachable, err)
	s.refuses(telephony.Unreachable, s.backend.Ping(context.Background()))
	_, err = s.backend.Load(context.Background())
	s.refuses(telephony.Unreachable, err)
}
