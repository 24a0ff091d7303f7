package book

import (
	"cmp"
	"slices"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// ClientEntry is a client in a person's book, because of one case. It does not change.
type ClientEntry struct {
	Agent      string           `json:"agent"`
	Client     *v1alpha1.Client `json:"client"`
	Case       *v1alpha1.Case   `json:"case,omitempty"`
	Assignment string           `json:"assignment"`
	// Via is how the case came to the person.
	Via v1alpha1.AssignedVia `json:"via"`
	// Since is when it did.
	Since time.Time `json:"since,omitzero"`
	// Covers is the responsible person in whose place this one is.
	Covers string `json:"covers,omitempty"`
	// Responsible is true for the first of those who hold the case.
	Responsible bool `json:"responsible"`
	// Group is the sticky group.
	Group string `json:"group,omitempty"`
}

// AgendaKind says what is to be done.
type AgendaKind string

// The kinds of entries in an agenda.
const (
	NextAction  AgendaKind = "NextAction"
	Appointment AgendaKind = "Appointment"
)

// AgendaEntry is a time in a person's agenda. It does not change.
type AgendaEntry struct {
	Agent string     `json:"agent"`
	Time  time.Time  `json:"time"`
	Kind  AgendaKind `json:"kind"`
	// End and TimeZone are an appointment's; the client reads its times in that zone.
	End        time.Time        `json:"end,omitzero"`
	TimeZone   string           `json:"timeZone,omitempty"`
	Case       *v1alpha1.Case   `json:"case,omitempty"`
	Client     *v1alpha1.Client `json:"client,omitempty"`
	Assignment string           `json:"assignment"`
}

// Entry is what a View is of.
type Entry[T any] interface {
	// compare orders entries.
	compare(T) int
	// same says whether another entry of the same person and case is this one, at another time.
	same(T) bool
}

// View is one kind of entry over what people of a namespace hold.
type View[T Entry[T]] struct {
	index     *Index
	namespace string
	// agents whose entries these are; none: everybody's.
	agents []string
	// entries that a case makes for a person who holds it.
	entries func(agent string, a *v1alpha1.CaseAssignment) []T
}

// Clients is the client book of people, of everybody without agents: one entry for each open case with a client, ordered
// by person, client and case.
func (x *Index) Clients(namespace string, agents ...string) View[*ClientEntry] {
	return View[*ClientEntry]{x, namespace, agents, func(agent string, a *v1alpha1.CaseAssignment) []*ClientEntry {
		if a.Spec.Client == nil {
			return nil
		}
		place := holding(a, agent)
		h := &a.Status.Assignees[place]
		return []*ClientEntry{{
			Agent: agent, Client: a.Spec.Client, Case: a.Spec.Case, Assignment: a.Name, Via: h.Via, Since: h.Since.UTC(),
			Covers: string(h.Covers), Responsible: place == 0, Group: string(a.Spec.Group),
		}}
	}}
}

// Agenda is the agenda of people, of everybody without agents, ordered by person, time and case. It has what is not over
// at from and begins before to; a zero time is no bound.
func (x *Index) Agenda(namespace string, from, to time.Time, agents ...string) View[*AgendaEntry] {
	return View[*AgendaEntry]{x, namespace, agents, func(agent string, a *v1alpha1.CaseAssignment) (entries []*AgendaEntry) {
		add := func(e AgendaEntry) {
			over := !from.IsZero() && e.Time.Before(from) && !e.End.After(from)
			if over || !to.IsZero() && !e.Time.Before(to) {
				return
			}
			e.Agent, e.Case, e.Client, e.Assignment = agent, a.Spec.Case, a.Spec.Client, a.Name
			entries = append(entries, &e)
		}
		if at := a.Spec.NextActionTime; at != nil {
			add(AgendaEntry{Kind: NextAction, Time: at.UTC()})
		}
		if at := a.Spec.Appointment; at != nil {
			add(AgendaEntry{Kind: Appointment, Time: at.StartTime.UTC(), End: at.EndTime.UTC(), TimeZone: at.TimeZone})
		}
		return entries
	}}
}

// Rows gives all entries to yield in order, one person at a time, until it returns false.
func (v View[T]) Rows(yield func([]T) bool) { v.list(nil, yield) }

func (v View[T]) list(begin func(), yield func([]T) bool) {
	for _, h := range v.index.hands(v.namespace, v.agents, begin) {
		entries := make([]T, 0, len(h.cases))
		for _, a := range h.cases {
			entries = append(entries, v.entries(h.agent, a)...)
		}
		slices.SortFunc(entries, T.compare)
		if len(entries) > 0 && !yield(entries) {
			return
		}
	}
}

func (e *ClientEntry) compare(other *ClientEntry) int {
	return cmp.Or(cmp.Compare(e.Agent, other.Agent), cmp.Compare(e.Client.Name, other.Client.Name),
		cmp.Compare(e.Client.ID, other.Client.ID), cmp.Compare(e.Assignment, other.Assignment))
}

func (e *ClientEntry) same(*ClientEntry) bool { return true }

func (e *AgendaEntry) compare(other *AgendaEntry) int {
	return cmp.Or(cmp.Compare(e.Agent, other.Agent), e.Time.Compare(other.Time),
		cmp.Compare(e.Assignment, other.Assignment), cmp.Compare(e.Kind, other.Kind))
}

func (e *AgendaEntry) same(other *AgendaEntry) bool { return e.Kind == other.Kind }
