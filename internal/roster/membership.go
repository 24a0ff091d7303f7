package roster

import (
	"cmp"
	"slices"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// QueueView is what the rules need of a Queue. It is never changed after it was made.
type QueueView struct {
	Name        string
	Channels    []v1alpha1.Channel
	Competency  bool
	Observed    bool
	Foreign     bool // the name belongs to somebody else on the telephone system
	Strict      bool // members that nobody declared are taken out
	Opens       time.Time
	Closes      time.Time
	MinimumSize int

	agents, groups, teams map[string]*v1alpha1.QueueEntry
	supervisors           map[string]struct{}
}

// ViewQueue makes the view of a queue. It keeps parts of spec.
func ViewQueue(queue *v1alpha1.Queue) *QueueView {
	spec := &queue.Spec
	v := &QueueView{
		Name:       queue.Name,
		Channels:   spec.Channels,
		Competency: spec.Competency == v1alpha1.CompetencyEnabled,
		Observed:   spec.Membership == v1alpha1.MembershipObserve,
		Strict:     spec.Membership == v1alpha1.MembershipAuthoritative || spec.Membership == "",
		agents:     entriesByName(spec.Agents),
		groups:     entriesByName(spec.Groups),
		teams:      entriesByName(spec.Teams),

		supervisors: make(map[string]struct{}, len(spec.Supervisors)),
	}
	for _, s := range spec.Supervisors {
		v.supervisors[string(s.Name)] = struct{}{}
	}
	if len(v.Channels) == 0 {
		v.Channels = []v1alpha1.Channel{v1alpha1.ChannelVoice}
	}
	if spec.MinimumStaff != nil {
		v.MinimumSize = int(*spec.MinimumStaff)
	}
	if w := spec.Window; w != nil && spec.Type == v1alpha1.QueueTypeCampaign {
		if w.StartTime != nil {
			v.Opens = w.StartTime.Time
		}
		if w.EndTime != nil {
			v.Closes = w.EndTime.Time
		}
	}
	for _, c := range queue.Status.Conditions {
		if c.Type == v1alpha1.ConditionConflicted && c.Status == "True" && c.Reason == ReasonNameTaken {
			v.Foreign = true
		}
	}
	return v
}

// Voice says whether the queue has a place on the telephone system.
func (q *QueueView) Voice() bool { return slices.Contains(q.Channels, v1alpha1.ChannelVoice) }

// ReasonNameTaken is the reason of a Conflicted condition whose name belongs to somebody else on the telephone system.
const ReasonNameTaken = "NameTaken"

// ReasonAwaitingTelephony is the reason of Ready on an object whose deletion waits for the telephone system.
const ReasonAwaitingTelephony = "AwaitingTelephony"

func entriesByName(entries []v1alpha1.QueueEntry) map[string]*v1alpha1.QueueEntry {
	m := make(map[string]*v1alpha1.QueueEntry, len(entries))
	for i := range entries {
		m[string(entries[i].Name)] = &entries[i]
	}
	return m
}

// staffedAt says whether people serve the queue at now.
func (q *QueueView) staffedAt(now time.Time) bool {
	return !q.Foreign && !now.Before(q.Opens) && (q.Closes.IsZero() || now.Before(q.Closes))
}

// WayKind is how a person comes into a queue.
type WayKind string

// The kinds of ways.
const (
	WayDirect WayKind = "Direct"
	WayGroup  WayKind = "Group"
	WayTeam   WayKind = "Team"
)

// Way is one way by which a person comes into a queue.
type Way struct {
	Queue *QueueView
	Kind  WayKind
	// Through is the group or team; empty where the way is direct.
	Through string
	Entry   *v1alpha1.QueueEntry
}

// String is the way as status and reports print it.
func (w Way) String() string {
	if w.Kind == WayDirect {
		return string(WayDirect)
	}
	return string(w.Kind) + "/" + w.Through
}

// Membership is a person's effective place in one queue.
type Membership struct {
	Queue    *QueueView
	Stars    int32
	Channels []v1alpha1.Channel
	Via      []string
}

// Penalty is the membership's on the PBX: 0 is called first.
func (m Membership) Penalty() int {
	if !m.Queue.Competency {
		return 0
	}
	return 4 - int(m.Stars)
}

func compareWays(a, b Way) int {
	return cmp.Or(cmp.Compare(a.Queue.Name, b.Queue.Name), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Through, b.Through))
}

// merge makes one membership a queue of the ways in effect, sorted by queue.
// An individual entry decides; without one the most stars and the union of channels count.
func merge(ways []Way) []Membership {
	slices.SortFunc(ways, compareWays)
	var result []Membership
	for len(ways) > 0 {
		queue := ways[0].Queue
		n := 1
		for n < len(ways) && ways[n].Queue.Name == queue.Name {
			n++
		}
		m := Membership{Queue: queue, Stars: 1, Via: make([]string, n)}
		for i, w := range ways[:n] {
			m.Via[i] = w.String()
		}
		deciding := ways[:n]
		if ways[0].Kind == WayDirect { // sorts before the others
			deciding = ways[:1]
		}
		for _, w := range deciding {
			m.Stars = max(m.Stars, w.Entry.Stars)
		}
		for _, c := range channels {
			if slices.Contains(queue.Channels, c) && slices.ContainsFunc(deciding, func(w Way) bool { return w.serves(c) }) {
				m.Channels = append(m.Channels, c)
			}
		}
		if len(m.Channels) > 0 {
			result = append(result, m)
		}
		ways = ways[n:]
	}
	return result
}

func (w *Way) serves(c v1alpha1.Channel) bool {
	return len(w.Entry.Channels) == 0 || slices.Contains(w.Entry.Channels, c)
}

// channels in the order in which they are shown.
var channels = [...]v1alpha1.Channel{
	v1alpha1.ChannelVoice, v1alpha1.ChannelChat, v1alpha1.ChannelEmail,
	v1alpha1.ChannelSMS, v1alpha1.ChannelFax, v1alpha1.ChannelVoicemail,
}
