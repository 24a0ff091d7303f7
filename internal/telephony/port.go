// Package telephony is the port between Roster and a telephone system: what a centre's people and queues
// should be there, what is recorded there of them, and how each failure is told apart.
//
// An adapter is a folder below this one; package telephonytest holds the conformance suite that each passes.
package telephony

import (
	"context"
	"time"
)

// Backend is the telephone system of one centre. All methods are safe for concurrent use, and every
// method returns within its context's deadline or the adapter's own timeout, whichever is earlier.
//
// Errors are of this package's kinds: see Kind.
type Backend interface {
	// Load makes sure that the system is usable (tables that are missing are made, columns that exist are
	// checked) and reads what is recorded of the centre. It is called after every (re)connection: nothing
	// read before counts any more.
	Load(ctx context.Context) (*Records, error)

	// ApplyAgent makes the system match one person and returns when that is committed, all of it or nothing.
	// Concurrent calls share transactions; one that cannot be carried out fails alone.
	ApplyAgent(ctx context.Context, agent *Agent) (AgentResult, error)

	// RemoveAgent takes a person out: every row of theirs but the reporting row, which outlives them.
	// A person who is not there is no error.
	// It returns the queues that the person was taken out of, sorted.
	RemoveAgent(ctx context.Context, name string, at time.Time) (queues []string, err error)

	// ApplyQueue makes the system match one queue, its members excepted: those come with each Agent.
	// Of an authoritative queue it removes members that nobody registered.
	ApplyQueue(ctx context.Context, queue *Queue) error

	// RemoveQueue takes a queue out, and members that nobody registered. The others go with each Agent, as they
	// came: what is recorded of a person stays true. A queue that is not there is no error.
	RemoveQueue(ctx context.Context, name string) error

	// ApplySticky makes the system send the calls of one known caller where they belong. Concurrent calls share
	// transactions, as those of ApplyAgent do. One caller is one row, and nothing else is written. It says whether
	// something had to be written: where the same Sticky was applied before, that was drift.
	ApplySticky(ctx context.Context, sticky *Sticky) (changed bool, err error)

	// RemoveSticky forgets a known caller, by Sticky.Phone. One who is not there is no error.
	RemoveSticky(ctx context.Context, phone string) (changed bool, err error)

	// Compare looks for what somebody else changed: rows that are not as they were last applied, centre-wide, with
	// a number of questions that does not grow with the people. It changes nothing; applying the objects named does.
	// A person's own pause, and what is not Roster's in a row, is no drift; nor is what was not applied yet, or by a
	// version that recorded nothing to compare with. A phone's password that was changed stays drift until
	// it is given: apply with Agent.Password, because nil keeps what is there. A mailbox's PIN is never drift.
	// An error comes with no drift. It may take longer than the adapter's timeout while answers keep coming in.
	Compare(ctx context.Context) (*Drift, error)

	// Ping says whether the system can be reached and is still the one that was loaded.
	Ping(ctx context.Context) error

	// Close lets go of every connection. Calls under way return an Unreachable error.
	Close() error
}

// Records is what a telephone system has recorded of one centre.
type Records struct {
	Agents map[string]AgentRecord
	Queues map[string]QueueRecord
	// Sticky are the known callers, by phone. Where somebody changed one by hand, its Agent may be the name of nobody.
	Sticky map[string]Sticky
}

// AgentRecord is what is recorded of one registered person. It survives a lost status.
type AgentRecord struct {
	// Fingerprint is that of the Agent last applied; empty where a part of it was left out.
	Fingerprint string
	// UID of the Kubernetes object last applied.
	UID string
	// HasPhone says that the person's phone rows exist, with a password.
	HasPhone bool
	// CredentialVersions as last applied.
	CredentialVersions string
	// Phase, Group and Seat as last applied.
	Phase, Group, Seat string
	// Revoked entries, sorted.
	Revoked []Revocation
	// SpyGroups and Monitors as last applied.
	SpyGroups, Monitors string
	// Handled are the orders carried out, by kind, with their values.
	Handled map[OrderKind]string
	Deactivation
}

// QueueRecord is what is recorded of one registered queue.
type QueueRecord struct {
	Fingerprint string
}

// Settings are a centre's choices that shape every person's rows. They are shared by many Agents and never
// changed after use.
type Settings struct {
	// Context is the dialplan and voicemail context.
	Context string
	// Template is endpoint columns that every phone gets, by name.
	Template map[string]string
	// ContactsTables are the tables that the Asterisk servers keep registrations in.
	ContactsTables []string
	// Adopt takes over rows that exist under a name to be written.
	Adopt bool
}

// Access says whether a person's phone may register and call.
type Access int

const (
	// AccessRefused refuses registration and calls, and ends what is registered.
	AccessRefused Access = iota
	// AccessGranted lets the phone register and call.
	AccessGranted
)

// Agent is what a person should be on the telephone system.
type Agent struct {
	Name     string
	UID      string
	Settings *Settings

	// What reports show. Seat is the API's name of whether the person has one.
	DisplayName, Email, EmployeeID, Role, Phase, Group, Color, Seat string

	// Extension that rings the person; empty for none.
	Extension string
	Access    Access
	// Phone false leaves out the phone's rows: there is no password to protect them with.
	Phone bool
	// Password of the phone; nil leaves what is there.
	Password *string
	// PIN of the mailbox; nil leaves what is there.
	PIN *string
	// Mailbox number; empty for none.
	Mailbox string
	// CredentialVersions names the versions of the Secrets that Password and PIN came from, or, where those
	// are nil, the versions last applied.
	CredentialVersions string

	// PauseReason pauses every voice membership, as Roster's own pause; empty lifts Roster's own pauses and no others.
	PauseReason string
	// OwnPauses are the reasons, by queue, of pauses that the person was seen to set where Roster's own was already: they
	// stay when that one is lifted. Not every server writes it into the database. They are no part of the fingerprint.
	OwnPauses map[string]string
	// Memberships, sorted by queue.
	Memberships []Membership
	// Revoked entries, sorted.
	Revoked []Revocation
	Deactivation
	// SpyGroups are the labels by which others may listen to the person's calls, and Monitors those of the calls
	// that the person may listen to, each list joined with colons. Empty for none.
	SpyGroups, Monitors string
	// Orders to carry out once: one whose value is in the record already is done. They are no part of the fingerprint.
	Orders []Order
	// ReuseName lets the person have a name whose former holder had another e-mail address.
	ReuseName bool
}

// OrderKind is something to be done once, at once.
type OrderKind string

// The kinds of orders.
const (
	// OrderLogout ends the registrations of the person's phone, which may register again.
	OrderLogout OrderKind = "logout-at"
	// OrderPause pauses the person in every voice queue where they are not paused already. The pause is theirs
	// from then on, not Roster's.
	OrderPause OrderKind = "pause-at"
	// OrderUnpause lifts every pause of the person, whoever set it, except one that the Agent's PauseReason keeps.
	OrderUnpause OrderKind = "unpause-at"
	// OrderReconcile does nothing by itself; it is recorded.
	OrderReconcile OrderKind = "reconcile-at"
)

// Order is something to be done once, in the transaction that records it as done.
type Order struct {
	Kind OrderKind
	// Value tells this order from the one before.
	Value string
	// Reason of a pause; empty for none.
	Reason string
	// Skip records the order and does not carry it out: it came too late.
	Skip bool
}

// Membership is a person's place in one queue.
type Membership struct {
	Queue string
	// Channels served, in the API's order.
	Channels []string
	Stars    int
	// Penalty on the telephone system: 0 is called first.
	Penalty int
	// Via is how the person came in: Direct, Group/<name>, Team/<name>; sorted.
	Via []string
	// Observed is of a queue that Roster only observes: reported, not written to the PBX's own tables.
	Observed bool
}

// Voice says whether the membership has a place on the PBX.
func (m Membership) Voice() bool {
	for _, c := range m.Channels {
		if c == "Voice" {
			return !m.Observed
		}
	}
	return false
}

// Revocation is an entry that a deactivation took.
type Revocation struct {
	// Kind is Team or Queue.
	Kind, Name string
	Since      time.Time
}

// Deactivation is when a deactivation was asked for and how far it came; zero times are steps not reached.
type Deactivation struct {
	RequestedAt, OfflineAt, CompletedAt time.Time
}

// AgentResult is what ApplyAgent found besides doing its work.
type AgentResult struct {
	// Record is what is recorded now.
	Record AgentRecord
	// Online says that a registration of the phone is still alive.
	Online bool
	// Changed says that something had to be written. Where the record's fingerprint was the Agent's before, and
	// no order was carried out, that was drift.
	Changed bool
	// Queues whose members, as a server would read them, were changed, sorted.
	Queues []string
	// Written names what was written, as table and column or table alone, sorted, at most ten: what drift is
	// reported with. It holds no values, and Roster's own books only where nothing else was written.
	Written []string
	// ForeignQueues are queues of the memberships that belong to somebody else on this system, sorted:
	// those memberships were left out.
	ForeignQueues []string
}

// MemberPolicy says whose word counts about a queue's members.
type MemberPolicy int

const (
	// MembersAuthoritative removes members that nobody registered.
	MembersAuthoritative MemberPolicy = iota
	// MembersAdditive leaves them.
	MembersAdditive
)

// Queue is what a queue should be on the telephone system.
type Queue struct {
	Name     string
	Settings *Settings
	// Voice false is a queue without a place on the PBX: only its name and extension are kept.
	Voice bool
	// Extension that callers dial; empty for none.
	Extension string
	// Strategy is the API's name of it, such as LeastRecent.
	Strategy                        string
	TimeoutSeconds, WrapUpSeconds   int
	ServiceLevelSeconds, MaxCallers int // 0: the PBX's own default, no limit
	Members                         MemberPolicy
}

// Sticky is where the calls of a known caller go first.
type Sticky struct {
	// Phone is the caller's number in E.164, such as +390699999.
	Phone string
	// Agent who is responsible for the caller; empty where nobody is able.
	Agent string
	// Group whose people take the call next; empty for none.
	Group string
	// Queue is what that group's people are members of on the telephone system; empty for none.
	Queue string
	// Case is the matter as people know it, such as CASE-7.
	Case string
	// Assignment is the name of the CaseAssignment that all this comes from.
	Assignment string
}

// Drift is what Compare found.
type Drift struct {
	// Agents and Queues whose rows are not as last applied, sorted.
	Agents, Queues []string
	// Strays are interfaces that are members of a queue of the centre's and that nobody registered, by queue, sorted.
	// Whether they may stay is the queue's MemberPolicy.
	Strays map[string][]string
	// Sticky are the known callers as the system has them, by phone, all of them: whoever knows what was applied
	// finds what differs.
	Sticky map[string]Sticky
}
