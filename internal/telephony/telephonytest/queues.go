package telephonytest

import (
	"context"

	"roster.dev/roster/internal/telephony"
)

func testMemberships(s *suite) {
	both := telephony.Membership{Queue: "support", Channels: []string{"Voice", "Chat"}, Stars: 3, Penalty: 1, Via: []string{"Direct", "Team/billing"}}
	chat := telephony.Membership{Queue: "web", Channels: []string{"Chat"}, Stars: 1, Via: []string{"Group/north"}}
	s.apply(in(alice(), both, chat))
	equalAll(s, "members", s.system.Members(s.T, "support"), []Member{{Interface: "PJSIP/alice-martin", Name: "alice-martin", Penalty: 1}})
	equal(s, "chat has no row", s.member("web", "alice-martin"), nil)
	equalAll(s, "memberships", s.system.Memberships(s.T, "alice-martin"), []Membership{
		{"support", "Chat", 3, "Direct,Team/billing"}, {"support", "Voice", 3, "Direct,Team/billing"}, {"web", "Chat", 1, "Group/north"},
	})
	both.Channels, both.Stars = []string{"Chat"}, 2
	s.apply(in(known(alice()), both))
	equal(s, "voice taken", s.member("support", "alice-martin"), nil)
	equalAll(s, "memberships", s.system.Memberships(s.T, "alice-martin"), []Membership{{"support", "Chat", 2, "Direct,Team/billing"}})
}

func testPenaltyOnly(s *suite) {
	s.apply(in(alice(), voice("support", 1)))
	s.system.SetPause(s.T, "support", "alice-martin", true, "Lunch")
	s.apply(in(known(alice()), voice("support", 3)))
	equal(s, "penalty", s.member("support", "alice-martin").Penalty, 3)
	s.has("support", "alice-martin", true, "Lunch")
}

func testObserved(s *suite) {
	observed := voice("support", 1)
	observed.Observed = true
	s.apply(in(alice(), observed))
	equal(s, "member", s.member("support", "alice-martin"), nil)
	equalAll(s, "memberships", s.system.Memberships(s.T, "alice-martin"), []Membership{{"support", "Voice", 3, "Direct"}})
	s.system.AddMember(s.T, "support", "PJSIP/alice-martin")
	s.apply(known(alice()))
	equal(s, "a member that Roster did not add", s.member("support", "alice-martin") != nil, true)
}

func testLeave(s *suite) {
	a := in(alice(), voice("support", 0), voice("sales", 0))
	s.apply(a)
	away := known(a)
	away.Phase, away.PauseReason = "OnLeave", "Vacation"
	s.apply(away)
	s.converged(away)
	s.has("support", "alice-martin", true, "Vacation")
	s.has("sales", "alice-martin", true, "Vacation")
	equal(s, "granted", s.system.Phone(s.T, "alice-martin").Granted, true)
	// A queue that comes during the leave is paused from its first moment.
	away = in(away, voice("new", 0), voice("sales", 0), voice("support", 0))
	s.apply(away)
	s.has("new", "alice-martin", true, "Vacation")
	back := in(known(a), away.Memberships...)
	s.apply(back)
	for _, q := range []string{"new", "sales", "support"} {
		s.has(q, "alice-martin", false, "")
	}
	s.converged(back)
}

func testOwnPause(s *suite) {
	a := in(alice(), voice("sales", 0), voice("support", 0))
	s.apply(a)
	s.system.SetPause(s.T, "support", "alice-martin", true, "Lunch")
	s.converged(known(a))
	away := known(a)
	away.PauseReason = "Vacation"
	s.apply(away)
	s.has("support", "alice-martin", true, "Lunch")
	s.has("sales", "alice-martin", true, "Vacation")
	s.apply(known(a))
	s.has("support", "alice-martin", true, "Lunch")
	s.has("sales", "alice-martin", false, "")
}

func testPauseCarried(s *suite) {
	a := in(alice(), voice("sales", 0), voice("support", 0))
	s.apply(a)
	s.system.SetPause(s.T, "support", "alice-martin", true, "Lunch")
	a.Memberships = append(a.Memberships, voice("trial", 0))
	s.apply(known(a))
	s.has("trial", "alice-martin", false, "")
	s.system.SetPause(s.T, "sales", "alice-martin", true, "Lunch")
	s.system.SetPause(s.T, "trial", "alice-martin", true, "Lunch")
	a.Memberships = []telephony.Membership{voice("billing", 0)}
	s.apply(known(a))
	s.has("billing", "alice-martin", true, "Lunch")
	a.Memberships = nil
	s.apply(known(a))
	a.Memberships = []telephony.Membership{voice("support", 0)}
	a.PauseReason = "Vacation"
	s.apply(known(a))
	s.has("support", "alice-martin", true, "Lunch")
	a.PauseReason = ""
	s.apply(known(a))
	s.has("support", "alice-martin", true, "Lunch")
	s.converged(known(a))
	// Whoever was put out comes back without it, and an order lifts it wherever it is.
	a.Memberships, a.Access = nil, telephony.AccessRefused
	s.apply(known(a))
	a.Memberships, a.Access = []telephony.Membership{voice("support", 0)}, telephony.AccessGranted
	s.apply(known(a))
	s.has("support", "alice-martin", false, "")
	s.system.SetPause(s.T, "support", "alice-martin", true, "Lunch")
	a.Memberships = nil
	s.apply(known(a))
	a.Orders = []telephony.Order{{Kind: telephony.OrderUnpause, Value: "1"}}
	s.apply(known(a))
	a.Memberships = []telephony.Membership{voice("support", 0)}
	s.apply(known(a))
	s.has("support", "alice-martin", false, "")
}

func testPauseSeen(s *suite) {
	a := in(alice(), voice("support", 0))
	a.PauseReason = "Vacation"
	s.apply(a)
	a.OwnPauses = map[string]string{"support": "Lunch"}
	s.apply(known(a))
	s.has("support", "alice-martin", true, "Lunch")
	a.PauseReason, a.OwnPauses = "", nil
	s.apply(known(a))
	s.has("support", "alice-martin", true, "Lunch")
}

func testPauseUndone(s *suite) {
	away := in(alice(), voice("support", 0))
	away.PauseReason = "Vacation"
	s.apply(away)
	s.has("support", "alice-martin", true, "Vacation")
	s.system.SetPause(s.T, "support", "alice-martin", false, "")
	equal(s, "Changed", s.apply(known(away)).Changed, true)
	s.has("support", "alice-martin", true, "Vacation")
	away.PauseReason = ""
	s.apply(known(away))
	s.has("support", "alice-martin", false, "")
}

func testPauseTakenOver(s *suite) {
	a := in(alice(), voice("support", 0))
	a.PauseReason = "Vacation"
	s.apply(a)
	s.system.SetPause(s.T, "support", "alice-martin", true, "Training")
	s.apply(known(a))
	s.has("support", "alice-martin", true, "Training")
	a.PauseReason = ""
	s.apply(known(a))
	s.has("support", "alice-martin", true, "Training")
}

func testPauseReason(s *suite) {
	a := in(alice(), voice("support", 0))
	a.PauseReason = "Vacation"
	s.apply(a)
	a.PauseReason = "SickLeave"
	s.apply(known(a))
	s.has("support", "alice-martin", true, "SickLeave")
	a.PauseReason = ""
	s.apply(known(a))
	s.has("support", "alice-martin", false, "")
}

func testQueue(s *suite) {
	s.applyQueue(support())
	equal(s, "queue", *s.system.Queue(s.T, "support"), Queue{"LeastRecent", 15, 10, 20, 50})
	s.extensions(map[string]string{"600": "queue support"})
	for _, strategy := range []string{"RingAll", "FewestCalls", "Random", "RoundRobinMemory", "RoundRobinOrdered", "Linear", "WeightedRandom"} {
		q := support()
		q.Strategy, q.Extension = strategy, "601"
		s.applyQueue(q)
		equal(s, "strategy", s.system.Queue(s.T, "support").Strategy, strategy)
	}
	s.extensions(map[string]string{"601": "queue support"})
	s.apply(in(alice(), voice("support", 0)))
	if err := s.backend.RemoveQueue(context.Background(), "support"); err != nil {
		s.Fatal(err)
	}
	equal(s, "queue", s.system.Queue(s.T, "support"), nil)
	s.has("support", "alice-martin", false, "") // members go with each person
	s.apply(known(alice()))
	equal(s, "members", len(s.system.Members(s.T, "support")), 0)
	equal(s, "memberships", len(s.system.Memberships(s.T, "alice-martin")), 0)
	equal(s, "records", len(s.load().Queues), 0)
	s.extensions(map[string]string{"1001": "PJSIP/alice-martin"})
}

func testForeignQueue(s *suite) {
	s.system.AddQueue(s.T, "support")
	s.system.AddMember(s.T, "support", "PJSIP/somebody")
	s.refuses(telephony.Conflict, s.backend.ApplyQueue(context.Background(), support()), "support", "did not")
	result := s.apply(in(alice(), voice("sales", 0), voice("support", 0)))
	equalAll(s, "foreign queues", result.ForeignQueues, []string{"support"})
	equal(s, "fingerprint of what is not whole", result.Record.Fingerprint, "")
	equal(s, "member", s.member("support", "alice-martin"), nil)
	s.has("sales", "alice-martin", false, "")
	equalAll(s, "memberships", s.system.Memberships(s.T, "alice-martin"), []Membership{{"sales", "Voice", 4, "Direct"}})
	if err := s.backend.RemoveQueue(context.Background(), "support"); err != nil {
		s.Fatal(err)
	}
	equal(s, "members left", len(s.system.Members(s.T, "support")), 1)

	q := support()
	q.Settings, q.Members = adopting, telephony.MembersAdditive
	s.applyQueue(q)
	equal(s, "timeout", s.system.Queue(s.T, "support").TimeoutSeconds, 15)
	result = s.apply(in(known(alice()), voice("sales", 0), voice("support", 0)))
	equal(s, "foreign queues", len(result.ForeignQueues), 0)
	equal(s, "members", len(s.system.Members(s.T, "support")), 2)
}

func testQueueOfOtherCenter(s *suite) {
	other := s.open("other")
	if err := other.ApplyQueue(context.Background(), support()); err != nil {
		s.Fatal(err)
	}
	adopter := in(alice(), voice("support", 0))
	adopter.Settings = adopting // adoption takes from nobody what is registered
	equalAll(s, "foreign queues", s.apply(adopter).ForeignQueues, []string{"support"})
	equal(s, "member", s.member("support", "alice-martin"), nil)
	if err := other.RemoveQueue(context.Background(), "support"); err != nil {
		s.Fatal(err)
	}
	adopter.Password = nil
	equal(s, "foreign queues", len(s.apply(adopter).ForeignQueues), 0)
	s.has("support", "alice-martin", false, "")
}

func testStrangers(s *suite) {
	s.applyQueue(support())
	s.apply(in(alice(), voice("support", 0)))
	s.apply(person("bob-lee", "1002"))
	for _, iface := range []string{"PJSIP/stranger", "Local/600@acme", "PJSIP/bob-lee"} {
		s.system.AddMember(s.T, "support", iface)
	}
	additive := support()
	additive.Members = telephony.MembersAdditive
	s.applyQueue(additive)
	equal(s, "members of an additive queue", len(s.system.Members(s.T, "support")), 4)
	s.apply(known(person("bob-lee", "1002")))
	equal(s, "a registered person added by hand stays", s.member("support", "bob-lee") != nil, true)
	s.applyQueue(support())
	equalAll(s, "members", s.system.Members(s.T, "support"), []Member{{Interface: "PJSIP/alice-martin", Name: "alice-martin"}})
	s.system.AddMember(s.T, "support", "PJSIP/bob-lee")
	s.apply(deactivated(person("bob-lee", "1002")))
	equal(s, "who may not work is in no queue", s.member("support", "bob-lee"), nil)
}

func testVoiceOff(s *suite) {
	s.applyQueue(support())
	s.apply(in(alice(), voice("support", 0)))
	q := support()
	q.Voice = false
	s.applyQueue(q)
	equal(s, "queue", s.system.Queue(s.T, "support"), nil)
	s.has("support", "alice-martin", false, "") // members go with each person
	s.apply(known(alice()))
	equal(s, "members", len(s.system.Members(s.T, "support")), 0)
	s.extensions(map[string]string{"600": "queue support", "1001": "PJSIP/alice-martin"})
	s.applyQueue(support())
	equal(s, "queue", s.system.Queue(s.T, "support") != nil, true)
}
