// Package fake is a telephone system in memory, for tests of what uses the port. It keeps every promise of the
// port (package telephonytest proves it), and can be told to fail.
package fake

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"roster.dev/roster/internal/telephony"
)

// System is the telephone system that any number of centres share.
type System struct {
	mu          sync.Mutex
	agents      map[string]*agent
	queues      map[string]*queue
	phones      map[string]*Phone
	queueRows   map[string]*QueueRow
	members     map[string]map[string]*Member // by interface and queue
	mailboxes   map[string]*Mailbox
	extensions  map[string]string // targets by <centre>/<extension>
	rings       map[string]string // and the other way round, by <centre>/<target>
	reports     map[string]*Report
	memberships map[string][]Membership
	contacts    map[string]time.Time
	sticky      map[string]telephony.Sticky // by <centre>/<phone>
}

// agent is what is registered of a person.
type agent struct {
	record      record
	center      string
	claimed     bool
	ownPauses   map[string]bool
	pauseReason string
	// away is the reason of the pause with which the person left the last of their queues.
	away    string
	mailbox string
	// left is what the last ApplyAgent left there, and extension what rings the person since.
	left      picture
	extension string
	// password as last given.
	password string
}

// queue is what is registered of a queue.
type queue struct {
	center, fingerprint string
	claimed             bool
	// row and extension are what the last ApplyQueue left; applied says that there was one.
	row       *QueueRow
	extension string
	applied   bool
}

// Phone is the endpoint of a person.
type Phone struct {
	Granted  bool
	Password string
	CallerID string
	Columns  map[string]string
	// SpyGroups are the labels of the phone's calls.
	SpyGroups string
}

// QueueRow is a queue that callers can join.
type QueueRow struct {
	Strategy                                                      string
	TimeoutSeconds, WrapUpSeconds, ServiceLevelSeconds, MaxLength int
}

// Member is an interface's place in a queue.
type Member struct {
	Interface, Name string
	Penalty         int
	Paused          bool
	Reason          string
}

// Mailbox is a voicemail box.
type Mailbox struct{ Name, Email, PIN string }

// Report is what outlives a person.
type Report struct {
	Center, DisplayName, Email, Phase, Group, Interface, Extension, Monitors, Seat string
	RequestedAt, OfflineAt, CompletedAt, DeletedAt                                 time.Time
}

// Membership is a reported place in a queue on one channel.
type Membership struct {
	Queue, Channel string
	Stars          int
	Via            string
	// OnPBX says that there is a Member for it.
	OnPBX bool
}

// NewSystem makes an empty system.
func NewSystem() *System {
	return &System{
		agents: map[string]*agent{}, queues: map[string]*queue{}, phones: map[string]*Phone{},
		queueRows: map[string]*QueueRow{}, members: map[string]map[string]*Member{}, mailboxes: map[string]*Mailbox{},
		extensions: map[string]string{}, rings: map[string]string{}, reports: map[string]*Report{}, memberships: map[string][]Membership{},
		contacts: map[string]time.Time{}, sticky: map[string]telephony.Sticky{},
	}
}

// Change lets f change the system behind Roster's back.
func (s *System) Change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Phone is a copy of a phone, nil for none.
func (s *System) Phone(name string) *Phone {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.phones[name])
}

// SetPhone makes or replaces a phone; nil removes it.
func (s *System) SetPhone(name string, phone *Phone) {
	s.Change(func() { put(s.phones, name, phone) })
}

// Queue is a copy of a queue's row, nil for none.
func (s *System) Queue(name string) *QueueRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.queueRows[name])
}

// SetQueue makes or replaces a queue's row; nil removes it.
func (s *System) SetQueue(name string, row *QueueRow) {
	s.Change(func() { put(s.queueRows, name, row) })
}

// Members are a queue's members, sorted by interface.
func (s *System) Members(queue string) []Member {
	s.mu.Lock()
	defer s.mu.Unlock()
	var members []Member
	for _, places := range s.members {
		if m := places[queue]; m != nil {
			members = append(members, *m)
		}
	}
	slices.SortFunc(members, func(a, b Member) int { return strings.Compare(a.Interface, b.Interface) })
	return members
}

// SetMember makes or replaces a member.
func (s *System) SetMember(queue string, m Member) {
	s.Change(func() { s.setMember(queue, &m) })
}

// RemoveMember removes a member.
func (s *System) RemoveMember(queue, iface string) {
	s.Change(func() { delete(s.members[iface], queue) })
}

func (s *System) setMember(queue string, m *Member) {
	if s.members[m.Interface] == nil {
		s.members[m.Interface] = map[string]*Member{}
	}
	s.members[m.Interface][queue] = m
}

// Mailbox is a copy of a mailbox, by its address <mailbox>@<context>; nil for none.
func (s *System) Mailbox(address string) *Mailbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.mailboxes[address])
}

// SetMailbox makes or replaces a mailbox; nil removes it.
func (s *System) SetMailbox(address string, m *Mailbox) {
	s.Change(func() { put(s.mailboxes, address, m) })
}

// Extensions are what the extensions of a centre ring: an interface, or "queue <name>".
func (s *System) Extensions(center string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]string{}
	for k, v := range s.extensions {
		if extension, ok := strings.CutPrefix(k, center+"/"); ok {
			found[extension] = v
		}
	}
	return found
}

// Report is a copy of a person's reporting row, nil for none.
func (s *System) Report(name string) *Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	return clone(s.reports[name])
}

// Memberships are what is reported of a person's places in queues, sorted.
func (s *System) Memberships(name string) []Membership {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.memberships[name])
}

// SetReport makes or replaces a person's reporting row; nil removes it.
func (s *System) SetReport(name string, r *Report) {
	s.Change(func() { put(s.reports, name, r) })
}

// RemoveExtension makes an extension of a centre ring nothing.
func (s *System) RemoveExtension(center, extension string) {
	s.Change(func() { delete(s.extensions, center+"/"+extension) })
}

// Register makes a phone's registration live until a time.
func (s *System) Register(name string, until time.Time) {
	s.Change(func() { s.contacts[name] = until })
}

// Registered says whether a phone's registration is live.
func (s *System) Registered(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.contacts[name].After(time.Now())
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

func put[T any](m map[string]*T, name string, v *T) {
	if v == nil {
		delete(m, name)
		return
	}
	m[name] = clone(v)
}

func same[T any](a, b *T, equal func(a, b T) bool) bool {
	if a == nil || b == nil {
		return a == b
	}
	return equal(*a, *b)
}

func samePhone(a, b Phone) bool {
	return a.Granted == b.Granted && a.Password == b.Password && a.CallerID == b.CallerID && a.SpyGroups == b.SpyGroups && maps.Equal(a.Columns, b.Columns)
}
