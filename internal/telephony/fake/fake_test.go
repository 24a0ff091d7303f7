package fake_test

import (
	"errors"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/fake"
	"roster.dev/roster/internal/telephony/telephonytest"
)

func TestConformance(t *testing.T) {
	telephonytest.Run(t, func(*testing.T) telephonytest.System { return &system{System: fake.NewSystem()} })
}

// system is the fake as the suite sees it.
type system struct {
	*fake.System
	backends []*fake.Backend
}

func (s *system) Open(_ *testing.T, center string) telephony.Backend {
	b := s.Backend(center)
	s.backends = append(s.backends, b)
	return b
}

func (s *system) Outage(*testing.T) func() {
	set := func(down bool) {
		for _, b := range s.backends {
			b.SetUnreachable(down)
		}
	}
	set(true)
	return func() { set(false) }
}

func (s *system) Phone(_ *testing.T, agent string) *telephonytest.Phone {
	return (*telephonytest.Phone)(s.System.Phone(agent))
}

func (s *system) Queue(_ *testing.T, queue string) *telephonytest.Queue {
	return (*telephonytest.Queue)(s.System.Queue(queue))
}

func (s *system) Members(_ *testing.T, queue string) (members []telephonytest.Member) {
	for _, m := range s.System.Members(queue) {
		members = append(members, telephonytest.Member(m))
	}
	return members
}

func (s *system) Mailbox(_ *testing.T, address string) *telephonytest.Mailbox {
	return (*telephonytest.Mailbox)(s.System.Mailbox(address))
}

func (s *system) Extensions(_ *testing.T, center string) map[string]string {
	return s.System.Extensions(center)
}

func (s *system) Report(_ *testing.T, agent string) *telephonytest.Report {
	return (*telephonytest.Report)(s.System.Report(agent))
}

func (s *system) Memberships(_ *testing.T, agent string) (list []telephonytest.Membership) {
	for _, m := range s.System.Memberships(agent) {
		list = append(list, telephonytest.Membership{Queue: m.Queue, Channel: m.Channel, Stars: m.Stars, Via: m.Via})
	}
	return list
}

func (s *system) Registered(_ *testing.T, agent string) bool { return s.System.Registered(agent) }

func (s *system) Register(_ *testing.T, agent string) {
	s.System.Register(agent, time.Now().Add(time.Hour))
}

func (s *system) SetPause(_ *testing.T, queue, agent string, paused bool, reason string) {
	for _, m := range s.System.Members(queue) {
		if m.Name == agent {
			m.Paused, m.Reason = paused, reason
			s.SetMember(queue, m)
		}
	}
}

func (s *system) AddMember(_ *testing.T, queue, iface string) {
	s.SetMember(queue, fake.Member{Interface: iface, Name: iface})
}

func (s *system) RemoveMember(_ *testing.T, queue, agent string) {
	s.System.RemoveMember(queue, "PJSIP/"+agent)
}

func (s *system) AddPhone(_ *testing.T, name, password string) {
	s.SetPhone(name, &fake.Phone{Granted: true, Password: password})
}

func (s *system) RemovePhone(_ *testing.T, name string) { s.SetPhone(name, nil) }
func (s *system) AddQueue(_ *testing.T, queue string)   { s.SetQueue(queue, &fake.QueueRow{}) }
func (s *system) AddMailbox(_ *testing.T, address, pin string) {
	s.SetMailbox(address, &fake.Mailbox{PIN: pin})
}

func (s *system) OpenPhone(_ *testing.T, agent string)  { s.setGranted(agent, true) }
func (s *system) ClosePhone(_ *testing.T, agent string) { s.setGranted(agent, false) }

func (s *system) setGranted(agent string, granted bool) {
	p := s.System.Phone(agent)
	p.Granted = granted
	s.SetPhone(agent, p)
}

func (s *system) SetPassword(_ *testing.T, agent, password string) {
	p := s.System.Phone(agent)
	p.Password = password
	s.SetPhone(agent, p)
}

func (s *system) SetPenalty(_ *testing.T, queue, agent string, penalty int) {
	for _, m := range s.System.Members(queue) {
		if m.Name == agent {
			m.Penalty = penalty
			s.SetMember(queue, m)
		}
	}
}

func (s *system) SetStrategy(_ *testing.T, queue, strategy string) {
	q := s.System.Queue(queue)
	q.Strategy = strategy
	s.SetQueue(queue, q)
}

func (s *system) RemoveQueue(_ *testing.T, queue string) { s.SetQueue(queue, nil) }

func (s *system) RemoveExtension(_ *testing.T, center, extension string) {
	s.System.RemoveExtension(center, extension)
}

func (s *system) SetReportGroup(_ *testing.T, agent, group string) {
	r := s.System.Report(agent)
	r.Group = group
	s.SetReport(agent, r)
}

func (s *system) Sticky(_ *testing.T, center string) map[string]telephony.Sticky {
	return s.System.Sticky(center)
}

func (s *system) SetSticky(_ *testing.T, center, phone string, sticky *telephony.Sticky) {
	s.System.SetSticky(center, phone, sticky)
}

func (s *system) SetPIN(t *testing.T, address, pin string) {
	m := s.System.Mailbox(address)
	m.PIN = pin
	s.SetMailbox(address, m)
}

func TestControls(t *testing.T) {
	b := fake.New("acme")
	failure := telephony.Errorf(telephony.Refused, nil, "no")
	b.NextError("Ping", failure)
	if err := b.Ping(t.Context()); !errors.Is(err, failure) {
		t.Errorf("got %v", err)
	}
	if err := b.Ping(t.Context()); err != nil {
		t.Errorf("got %v", err)
	}
	if got := b.Calls(); len(got) != 2 || got[0].Method != "Ping" {
		t.Errorf("got %v", got)
	}
	b.NextError("ApplySticky", failure)
	caller := &telephony.Sticky{Phone: "+390699999"}
	if changed, err := b.ApplySticky(t.Context(), caller); changed || !errors.Is(err, failure) || len(b.Sticky("acme")) > 0 {
		t.Errorf("got %v, %v", changed, err)
	}
	if changed, err := b.ApplySticky(t.Context(), caller); !changed || err != nil || len(b.Sticky("acme")) != 1 {
		t.Errorf("got %v, %v", changed, err)
	}
	if got := b.Calls(); got[len(got)-1] != (fake.Call{Method: "ApplySticky", Name: "+390699999"}) {
		t.Errorf("got %v", got)
	}
	b.SetUnreachable(true)
	b.Reset()
	if _, err := b.RemoveAgent(t.Context(), "alice", time.Now()); err != nil || len(b.Calls()) != 1 {
		t.Errorf("got %v, %v", err, b.Calls())
	}
}
