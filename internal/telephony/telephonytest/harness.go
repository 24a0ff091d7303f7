// Package telephonytest is the conformance suite of the telephony port: what every adapter promises, seen from
// outside of it.
package telephonytest

import (
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
)

// System is a telephone system under test: backends open on it, and a test looks at it and changes it behind
// their backs. Addresses of mailboxes are <mailbox>@<context>.
type System interface {
	// Open returns a backend of a centre, not yet loaded. The system closes it with the test.
	Open(t *testing.T, center string) telephony.Backend
	// Outage makes the system unreachable until restore is called.
	Outage(t *testing.T) (restore func())

	Phone(t *testing.T, agent string) *Phone
	Queue(t *testing.T, queue string) *Queue
	// Members of a queue, sorted by interface.
	Members(t *testing.T, queue string) []Member
	Mailbox(t *testing.T, address string) *Mailbox
	// Extensions are what a centre's extensions ring: an interface, or "queue <name>".
	Extensions(t *testing.T, center string) map[string]string
	Report(t *testing.T, agent string) *Report
	// Memberships reported of a person, sorted by queue and channel.
	Memberships(t *testing.T, agent string) []Membership
	// Sticky are the known callers of a centre, by phone.
	Sticky(t *testing.T, center string) map[string]telephony.Sticky
	// Registered says whether a registration of the phone is live.
	Registered(t *testing.T, agent string) bool

	// Register makes a registration that lives for an hour.
	Register(t *testing.T, agent string)
	// SetPause pauses or unpauses a member by hand.
	SetPause(t *testing.T, queue, agent string, paused bool, reason string)
	// AddMember adds a member by hand, RemoveMember removes one.
	AddMember(t *testing.T, queue, iface string)
	RemoveMember(t *testing.T, queue, agent string)
	// AddPhone, AddQueue and AddMailbox make what Roster knows nothing of. RemovePhone takes away all of a phone.
	AddPhone(t *testing.T, name, password string)
	RemovePhone(t *testing.T, name string)
	AddQueue(t *testing.T, queue string)
	AddMailbox(t *testing.T, address, pin string)
	// SetPIN changes a PIN by phone.
	SetPIN(t *testing.T, address, pin string)
	// OpenPhone lets a refused phone call, and ClosePhone keeps another from calling, by hand.
	OpenPhone(t *testing.T, agent string)
	ClosePhone(t *testing.T, agent string)
	SetPassword(t *testing.T, agent, password string)
	SetPenalty(t *testing.T, queue, agent string, penalty int)
	// SetStrategy takes the API's name.
	SetStrategy(t *testing.T, queue, strategy string)
	RemoveQueue(t *testing.T, queue string)
	RemoveExtension(t *testing.T, center, extension string)
	SetReportGroup(t *testing.T, agent, group string)
	// SetSticky makes or changes a known caller by hand; nil removes it.
	SetSticky(t *testing.T, center, phone string, sticky *telephony.Sticky)
}

// Phone is the endpoint of a person.
type Phone struct {
	// Granted: it may register and call.
	Granted            bool
	Password, CallerID string
	// Columns of the template.
	Columns map[string]string
	// SpyGroups are the labels of the phone's calls.
	SpyGroups string
}

// Queue is a queue that callers can join.
type Queue struct {
	// Strategy by the API's name.
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
}
