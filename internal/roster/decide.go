package roster

import (
	"slices"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// Declared is what the other objects of the centre say of one person.
type Declared struct {
	// Claims are the groups that list the person.
	Claims []Claim
	// Teams that list the person, sorted.
	Teams []string
	// Ways into queues: the direct ones, and those through every group and team that lists the person.
	Ways []Way
	// Supervises are the queues that name the person to supervise, sorted.
	Supervises []*QueueView
	// ExtensionTakenBy is who has the person's extension by an older claim, as "Agent bob-lee"; empty where nobody has.
	ExtensionTakenBy string
}

// Recorded is what was true of a person when Roster last looked.
type Recorded struct {
	// Phase is empty for a person never seen before.
	Phase   v1alpha1.AgentPhase
	Group   string
	Revoked []Revocation
	// RequestedAt is when the current or last deactivation was asked for.
	RequestedAt time.Time
	// AskedAt is when a deactivation was asked for that could not be carried out yet; zero for none.
	AskedAt time.Time
}

// Person is all that a decision about one person rests on.
type Person struct {
	// Center is the name of the person's contact centre.
	Center  string
	Spec    *v1alpha1.AgentSpec
	Deleted bool
	// Seated says that the person has one of the centre's seats, if they need one.
	Seated   bool
	Declared Declared
	Recorded Recorded
	// OnReactivation is the centre's policy.
	OnReactivation v1alpha1.OnReactivation
}

// Effective is what may reach the telephone system: what is declared, less what is not allowed.
type Effective struct {
	Standing
	// Group that holds the person, and those that list them in vain.
	Group  string
	LostTo []string
	// GroupQueue is the group's own queue on the telephone system, where the person serves it; empty otherwise.
	GroupQueue string
	Teams      []string
	Queues     []Membership
	Revoked    []Revocation
	Extension  string
	// Seat says whether a person who works and needs a seat has one; empty for others.
	Seat v1alpha1.SeatState
	// Supervises are the queues that the person supervises now, sorted.
	Supervises []string
	// PauseReason is not empty while Roster pauses the person.
	PauseReason string
	// SpyGroups and Monitors are the labels of the person's calls and of those that they may hear: see the functions.
	SpyGroups, Monitors string
	// Unmonitored is what there was no room for in one of them, sorted.
	Unmonitored LeftOut
	// RequestedAt is when the current or last deactivation was asked for.
	RequestedAt time.Time
	// GoingOut and ComingBack are true in the decision that turns the person's standing.
	GoingOut, ComingBack bool
	// Next is the next moment at which the decision may change by itself; zero for never.
	Next time.Time
}

// Decide is effective = declared ∩ allowed for one person at now.
func Decide(p *Person, now time.Time) *Effective {
	e := &Effective{Standing: StandingAt(p.Spec, p.Deleted, now), RequestedAt: p.Recorded.RequestedAt}
	e.Next = e.Standing.Next
	out := e.Phase == v1alpha1.PhaseDeactivated
	e.GoingOut = out && !Out(p.Recorded.Phase)
	e.ComingBack = !out && Out(p.Recorded.Phase)
	switch {
	case e.GoingOut && !p.Recorded.AskedAt.IsZero():
		e.RequestedAt = p.Recorded.AskedAt
	case out && (e.GoingOut || e.RequestedAt.IsZero()):
		e.RequestedAt = now.UTC().Truncate(time.Second)
	}
	if p.Deleted {
		e.Revoked = p.Recorded.Revoked
		return e
	}

	e.Group = Holder(p.Declared.Claims, p.Recorded.Group)
	for _, c := range p.Declared.Claims {
		if c.Group != e.Group {
			e.LostTo = append(e.LostTo, c.Group)
		}
	}
	slices.Sort(e.LostTo)

	e.Revoked = revoke(p.Recorded.Revoked, revocable(&p.Declared), p.Spec.Reinstated,
		// A person never seen before had nothing to be taken from them.
		e.GoingOut && p.Recorded.Phase != "", out, p.restores(), e.RequestedAt)
	if out {
		return e
	}

	for _, t := range p.Declared.Teams {
		if !revoked(e.Revoked, Entry{v1alpha1.EntryTeam, t}) {
			e.Teams = append(e.Teams, t)
		}
	}
	if !Working(e.Phase) {
		return e
	}
	if e.Leave != nil {
		e.PauseReason = string(e.Leave.Reason)
		if e.PauseReason == "" {
			e.PauseReason = string(v1alpha1.ReasonOther)
		}
	}
	if p.Spec.Endpoint != nil && p.Declared.ExtensionTakenBy == "" {
		e.Extension = string(p.Spec.Endpoint.Extension)
	}
	if e.Seat = p.seat(); e.Seat == v1alpha1.SeatHeld {
		e.serve(p.Declared.Ways, now)
		e.GroupQueue = groupQueueOf(p, e.Group)
	}
	e.supervise(p.Declared.Supervises, now)
	e.label(p.Center, p.Spec.Role)
	return e
}

// serve brings the person into the queues to which a way is open, while these are staffed.
func (e *Effective) serve(declared []Way, now time.Time) {
	var ways []Way
	for _, w := range declared {
		if !e.allows(w) {
			continue
		}
		e.Next = earliestAfter(now, e.Next, w.Queue.Opens)
		e.Next = earliestAfter(now, e.Next, w.Queue.Closes)
		if w.Queue.staffedAt(now) {
			ways = append(ways, w)
		}
	}
	e.Queues = merge(ways)
}

// supervise has the person supervise queues while these are staffed. That is no membership.
func (e *Effective) supervise(queues []*QueueView, now time.Time) {
	for _, q := range queues {
		e.Next = earliestAfter(now, e.Next, q.Opens)
		e.Next = earliestAfter(now, e.Next, q.Closes)
		if q.staffedAt(now) {
			e.Supervises = append(e.Supervises, q.Name)
		}
	}
}

// label says what the person's calls carry and whom they may hear.
func (e *Effective) label(center string, role v1alpha1.AgentRole) {
	var supervised []string
	for _, m := range e.Queues {
		if len(m.Queue.supervisors) > 0 {
			supervised = append(supervised, m.Queue.Name)
		}
	}
	var carried, heard LeftOut
	e.SpyGroups, carried = SpyGroups(center, role, e.Teams, supervised)
	e.Monitors, heard = Monitors(center, role, e.Teams, e.Supervises)
	e.Unmonitored = LeftOut{union(carried.Teams, heard.Teams), union(carried.Queues, heard.Queues)}
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}

// seat of a person who works.
func (p *Person) seat() v1alpha1.SeatState {
	switch {
	case p.Spec.License == v1alpha1.LicenseNone:
		return ""
	case p.Seated:
		return v1alpha1.SeatHeld
	}
	return v1alpha1.SeatWaiting
}

func (p *Person) restores() bool {
	policy := p.Spec.OnReactivation
	if policy == "" {
		policy = p.OnReactivation
	}
	return policy == v1alpha1.OnReactivationRestore
}

// allows says whether a way is open to the person: the group holds them, the entry is not revoked.
func (e *Effective) allows(w Way) bool {
	switch w.Kind {
	case WayGroup:
		return w.Through == e.Group
	case WayTeam:
		return slices.Contains(e.Teams, w.Through)
	default:
		return !revoked(e.Revoked, Entry{v1alpha1.EntryQueue, w.Queue.Name})
	}
}

// revocable are the entries that a deactivation takes. Groups stay.
func revocable(d *Declared) []Entry {
	entries := make([]Entry, 0, len(d.Teams))
	for _, t := range d.Teams {
		entries = append(entries, Entry{v1alpha1.EntryTeam, t})
	}
	for _, w := range d.Ways {
		if w.Kind == WayDirect {
			entries = append(entries, Entry{v1alpha1.EntryQueue, w.Queue.Name})
		}
	}
	return entries
}
