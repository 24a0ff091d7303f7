package telephonytest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
)

// Run runs the suite. newSystem makes an empty telephone system.
func Run(t *testing.T, newSystem func(t *testing.T) System) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"labels for listening are written, and stay where access is refused (C8)", testSpyGroups},
		{"an order to log out ends registrations once (C5)", testLogout},
		{"an order to pause is the person's own pause (C5, rule 7)", testPauseOrder},
		{"an order to unpause lifts every pause but a leave's (C5, rule 7)", testUnpauseOrder},
		{"orders that came too late are recorded only (C5)", testSkippedOrder},
		{"orders are carried out once among many, one of which fails (C5)", testOrdersInBatch},
		{"what changed is told by queue and column", testWritten},
		{"nothing changed is no drift, whatever was applied (B4)", testNoDrift},
		{"what others may change is no drift (B4, rules 7 and 9)", testNotDrift},
		{"what was changed by hand is found, repaired, and gone (B4)", testDrift},
		{"a changed password is drift until it is given (B4)", testPasswordDrift},
		{"a queue changed by hand is found, repaired, and gone (B4)", testQueueDrift},
		{"a member added by hand is found (B4)", testStrayDrift},
		{"what Roster itself takes over is no drift (B4)", testHandedOver},
		{"a comparison that fails tells no drift (rule 8)", testCompareFails},
		{"a comparison beside many writers finds no drift (B4)", testCompareBeside},
		{"a known caller is written, changed and forgotten (O8)", testSticky},
		{"many known callers at once are all written (O8)", testManySticky},
		{"two centres know the same caller (O8)", testStickyOfCenters},
		{"what was changed of known callers is seen (O8, B4)", testStickyDrift},
		{"a known caller is Unreachable in an outage (O8)", testStickyOutage},
		{"a person's seat is recorded and reported (B11)", testSeat},
		{"a queue whose name no Queue can have is one as any other (O8)", testGroupQueue},
		{"a person's phone, extension and report are made (C6)", testPhone},
		{"what is applied is what Load returns (G7)", testLoad},
		{"a converged person changes nothing", testConverged},
		{"hand-made changes are repaired (B4)", testRepair},
		{"memberships have penalty and reporting rows for all channels (C2, C3)", testMemberships},
		{"only stars changed leaves the pause alone (C3)", testPenaltyOnly},
		{"an observed queue is reported and not written (B8)", testObserved},
		{"a move between groups is one transaction (O3, O7)", testMove},
		{"a leave pauses and unpauses in all queues (B2)", testLeave},
		{"the person's own pause is theirs (rule 7)", testOwnPause},
		{"the person's own pause goes with them from queue to queue (rule 7)", testPauseCarried},
		{"a pause of theirs that was seen during a leave is theirs (rule 7)", testPauseSeen},
		{"Roster's pause undone by hand is drift (rule 7)", testPauseUndone},
		{"a pause taken over by the person stays (rule 7)", testPauseTakenOver},
		{"a changed reason is written (B2)", testPauseReason},
		{"a deactivation takes everything at once (G1, G3, G4, B5)", testDeactivation},
		{"a reactivation needs no password (G5, G6)", testReactivation},
		{"the reporting row outlives the person (G2)", testOutlives},
		{"removing twice, or nobody, is no error", testRemoveTwice},
		{"a name used again with another e-mail conflicts (rule 9)", testReuse},
		{"a phone that Roster did not make conflicts, or is adopted (rule 9, B7)", testForeignPhone},
		{"two centres cannot have one name (rule 9)", testTwoCenters},
		{"a person of another centre is not removed (rule 9)", testForeignRemoval},
		{"a queue is made, changed and removed", testQueue},
		{"a queue that Roster did not make conflicts, or is adopted (rule 9)", testForeignQueue},
		{"a queue of another centre leaves the membership out (rule 9)", testQueueOfOtherCenter},
		{"an authoritative queue loses strangers, an additive one keeps them (B4)", testStrangers},
		{"a queue without voice has no row and no members", testVoiceOff},
		{"an extension goes over to its new holder", testExtension},
		{"extensions can be exchanged", testExtensionSwap},
		{"a phone without a password is not made (rule 10)", testNoPassword},
		{"a password that somebody removed is asked for", testPasswordGone},
		{"a refused person without a phone is only reported", testPending},
		{"a PIN changed by phone stays until its Secret changes", testPIN},
		{"a mailbox moves, is foreign, and goes", testMailbox},
		{"one bad person fails alone among many", testOneBad},
		{"many people at once are all written", testMany},
		{"a caller that gave up stops nobody (rule 10)", testGaveUp},
		{"an outage is Unreachable, and Load heals it", testOutage},
		{"two backends of one centre see each other's work", testTakeover},
		{"a closed backend is Unreachable", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &suite{T: t, system: newSystem(t)}
			s.backend = s.open(center)
			c.test(s)
		})
	}
}

const center = "acme"

// suite is one test's system and the backend of centre acme on it.
type suite struct {
	*testing.T
	system  System
	backend telephony.Backend
}

func (s *suite) open(center string) telephony.Backend {
	s.Helper()
	b := s.system.Open(s.T, center)
	if _, err := b.Load(context.Background()); err != nil {
		s.Fatalf("Load: %v", err)
	}
	return b
}

var settings = &telephony.Settings{Context: center, Template: map[string]string{"transport": "transport-wss", "webrtc": "yes"}}

var adopting = &telephony.Settings{Context: center, Template: settings.Template, Adopt: true}

func pointer(s string) *string { return &s }

// alice is a person with a phone.
func alice() *telephony.Agent { return person("alice-martin", "1001") }

func person(name, extension string) *telephony.Agent {
	return &telephony.Agent{
		Name: name, UID: "uid-" + name, Settings: settings,
		DisplayName: "Name of " + name, Email: name + "@acme.example", Role: "CustomerService", Phase: "Active",
		Extension: extension, Access: telephony.AccessGranted, Phone: true,
		Password: pointer("secret of " + name), CredentialVersions: "1",
	}
}

// known is a as the controller applies it once its password is known to be there.
func known(a *telephony.Agent) *telephony.Agent {
	c := *a
	c.Password, c.PIN = nil, nil
	return &c
}

// voice is a membership on the telephone.
func voice(queue string, penalty int) telephony.Membership {
	return telephony.Membership{Queue: queue, Channels: []string{"Voice"}, Stars: 4 - penalty, Penalty: penalty, Via: []string{"Direct"}}
}

func in(a *telephony.Agent, memberships ...telephony.Membership) *telephony.Agent {
	c := *a
	c.Memberships = memberships
	return &c
}

func support() *telephony.Queue {
	return &telephony.Queue{
		Name: "support", Settings: settings, Voice: true, Extension: "600", Strategy: "LeastRecent",
		TimeoutSeconds: 15, WrapUpSeconds: 10, ServiceLevelSeconds: 20, MaxCallers: 50,
	}
}

func (s *suite) apply(a *telephony.Agent) telephony.AgentResult {
	s.Helper()
	result, err := s.backend.ApplyAgent(context.Background(), a)
	if err != nil {
		s.Fatalf("ApplyAgent(%s): %v", a.Name, err)
	}
	return result
}

func (s *suite) applyQueue(q *telephony.Queue) {
	s.Helper()
	if err := s.backend.ApplyQueue(context.Background(), q); err != nil {
		s.Fatalf("ApplyQueue(%s): %v", q.Name, err)
	}
}

// remove takes a person out and returns the queues they were in.
func (s *suite) remove(name string) []string {
	s.Helper()
	queues, err := s.backend.RemoveAgent(context.Background(), name, moment)
	if err != nil {
		s.Fatalf("RemoveAgent(%s): %v", name, err)
	}
	return queues
}

// refuses expects an error of a kind whose text has all the words.
func (s *suite) refuses(kind telephony.Kind, err error, words ...string) {
	s.Helper()
	if telephony.KindOf(err) != kind {
		s.Fatalf("got error %v of kind %v, want %v", err, telephony.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			s.Errorf("error %q does not say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), "secret") {
		s.Errorf("error %q tells a secret", err)
	}
}

func (s *suite) refusesAgent(kind telephony.Kind, a *telephony.Agent, words ...string) {
	s.Helper()
	_, err := s.backend.ApplyAgent(context.Background(), a)
	s.refuses(kind, err, words...)
}

// converged expects that applying a again changes nothing.
func (s *suite) converged(a *telephony.Agent) {
	s.Helper()
	if s.apply(a).Changed {
		s.Errorf("applying %s again changed something", a.Name)
	}
}

func equal[T comparable](s *suite, what string, got, want T) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func equalAll[T any](s *suite, what string, got, want []T) {
	s.Helper()
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		s.Errorf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// member is the membership row of a person.
func (s *suite) member(queue, agent string) *Member {
	s.Helper()
	for _, m := range s.system.Members(s.T, queue) {
		if m.Interface == "PJSIP/"+agent {
			return &m
		}
	}
	return nil
}

// has expects a person's row in a queue to be paused with a reason, or not with none.
func (s *suite) has(queue, agent string, paused bool, reason string) {
	s.Helper()
	m := s.member(queue, agent)
	if m == nil {
		s.Fatalf("%s has no row in queue %s", agent, queue)
	}
	if m.Paused != paused || m.Reason != reason {
		s.Errorf("%s in %s: paused %v %q, want %v %q", agent, queue, m.Paused, m.Reason, paused, reason)
	}
}

func (s *suite) extensions(want map[string]string) {
	s.Helper()
	if got := s.system.Extensions(s.T, center); !maps.Equal(got, want) {
		s.Errorf("extensions: got %v, want %v", got, want)
	}
}

var moment = time.Date(2027, 2, 1, 9, 30, 0, 0, time.UTC)

// deactivated is a as a deactivation leaves them.
func deactivated(a *telephony.Agent) *telephony.Agent {
	c := known(a)
	c.Phase, c.Access, c.PauseReason, c.Memberships = "Deactivating", telephony.AccessRefused, "Deactivated", nil
	c.RequestedAt = moment
	c.Revoked = []telephony.Revocation{{Kind: "Queue", Name: "support", Since: moment}, {Kind: "Team", Name: "billing", Since: moment}}
	return c
}

func (s *suite) concurrently(agents []*telephony.Agent) []error {
	errs := make([]error, len(agents))
	var wg sync.WaitGroup
	for i, a := range agents {
		wg.Go(func() { _, errs[i] = s.backend.ApplyAgent(context.Background(), a) })
	}
	wg.Wait()
	return errs
}

// load expects Load to work.
func (s *suite) load() *telephony.Records {
	s.Helper()
	records, err := s.backend.Load(context.Background())
	if err != nil {
		s.Fatalf("Load: %v", err)
	}
	return records
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
