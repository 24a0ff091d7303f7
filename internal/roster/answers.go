package roster

import (
	"cmp"
	"slices"

	"roster.dev/roster/api/v1alpha1"
)

// Declared is what the centre declares of one person; ok is false for one it does not know.
func (d *Directory) Declared(agent string) (declared Declared, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e := d.agents[agent]
	if e == nil {
		return Declared{}, false
	}
	declared.Teams = e.teams
	declared.Claims = make([]Claim, 0, len(e.groups))
	for _, g := range e.groups {
		declared.Claims = append(declared.Claims, Claim{Group: g, Created: d.groups.all[g].Created, Sticky: d.cases.names(g)})
	}
	for name := range d.queuesNaming.of(agent) {
		q := d.queues[name]
		if q.agents[agent] != nil {
			declared.Ways = append(declared.Ways, Way{Queue: q.QueueView, Kind: WayDirect, Entry: q.agents[agent]})
		}
		if _, supervises := q.supervisors[agent]; supervises {
			declared.Supervises = append(declared.Supervises, q.QueueView)
		}
	}
	for _, g := range e.groups {
		for name := range d.groups.queues.of(g) {
			q := d.queues[name]
			declared.Ways = append(declared.Ways, Way{q.QueueView, WayGroup, g, q.groups[g]})
		}
	}
	for _, t := range e.teams {
		for name := range d.teams.queues.of(t) {
			q := d.queues[name]
			declared.Ways = append(declared.Ways, Way{q.QueueView, WayTeam, t, q.teams[t]})
		}
	}
	slices.SortFunc(declared.Ways, compareWays)
	slices.SortFunc(declared.Supervises, func(a, b *QueueView) int { return cmp.Compare(a.Name, b.Name) })
	return declared, true
}

// ExtensionTakenBy is who has an extension by an older claim than the named agent's; empty where nobody has.
func (d *Directory) ExtensionTakenBy(agent *v1alpha1.Agent) string {
	if agent.Spec.Endpoint == nil {
		return ""
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.takenBy(string(agent.Spec.Endpoint.Extension),
		extensionClaim{name: agent.Name, created: agent.CreationTimestamp.Unix()})
}

// ListReport is what the directory knows of a Team or AgentGroup.
type ListReport struct {
	// Members is how many people's status says that they are in it.
	Members int
	// Missing are named agents that do not exist, sorted; at most the number asked for, with their total.
	Missing      []string
	MissingTotal int
	// Unsettled says that somebody's status does not say yet what the declarations lead to.
	Unsettled bool
	// Conflicts are people listed here whom another group holds, sorted; at most the number asked for, with their total.
	Conflicts      []Conflict
	ConflictsTotal int
}

// Conflict is a person whom a group lists and another holds.
type Conflict struct{ Agent, HeldBy string }

// Group reports on a group, naming at most limit of each kind.
func (d *Directory) Group(name string, limit int) ListReport {
	d.mu.RLock()
	defer d.mu.RUnlock()
	l := d.groups.all[name]
	if l == nil {
		return ListReport{}
	}
	r := l.report(limit)
	conflicts := make([]Conflict, 0, len(l.conflicts))
	for e := range l.conflicts {
		conflicts = append(conflicts, Conflict{e.view.Name, e.view.Group})
	}
	slices.SortFunc(conflicts, func(a, b Conflict) int { return cmp.Compare(a.Agent, b.Agent) })
	r.ConflictsTotal = len(conflicts)
	r.Conflicts = conflicts[:min(limit, len(conflicts))]
	return r
}

// Team reports on a team, naming at most limit missing agents.
func (d *Directory) Team(name string, limit int) ListReport {
	d.mu.RLock()
	defer d.mu.RUnlock()
	l := d.teams.all[name]
	if l == nil {
		return ListReport{}
	}
	return l.report(limit)
}

func (l *listEntry) report(limit int) ListReport {
	missing := keys(l.missing)
	return ListReport{
		Members: l.members, Unsettled: l.unsettled > 0,
		Missing: missing[:min(limit, len(missing))], MissingTotal: len(missing),
	}
}

// QueueReport is what the directory knows of a Queue.
type QueueReport struct {
	// Missing are names in the queue's entries that do not exist, as "Agent bob-lee", sorted.
	Missing []string
	// Short says that fewer Active people than minimumStaff serve the queue.
	Short bool
	// ExtensionTakenBy is who has the queue's extension by an older claim; empty where nobody has.
	ExtensionTakenBy string
}

// Queue reports on a queue.
func (d *Directory) Queue(name string) QueueReport {
	d.mu.RLock()
	defer d.mu.RUnlock()
	q := d.queues[name]
	if q == nil {
		return QueueReport{}
	}
	missing := map[string]struct{}{}
	for agent := range q.agents {
		if d.agents[agent] == nil {
			missing["Agent "+agent] = struct{}{}
		}
	}
	for supervisor := range q.supervisors {
		if d.agents[supervisor] == nil {
			missing["Agent "+supervisor] = struct{}{}
		}
	}
	for group := range q.groups {
		if d.groups.all[group] == nil {
			missing["AgentGroup "+group] = struct{}{}
		}
	}
	for team := range q.teams {
		if d.teams.all[team] == nil {
			missing["Team "+team] = struct{}{}
		}
	}
	return QueueReport{
		Missing:          keys(missing),
		Short:            q.short(),
		ExtensionTakenBy: d.takenBy(q.extension, q.claim()),
	}
}

// Agents are the names of all people, sorted.
func (d *Directory) Agents() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return sortedKeys(d.agents)
}

// Queues are the names of all queues, sorted.
func (d *Directory) Queues() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return sortedKeys(d.queues)
}

// SecretUsers are the people whose credentials come from a Secret, sorted.
func (d *Directory) SecretUsers(secret string) []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.users(secret)
}

// Has says whether the centre knows a person.
func (d *Directory) Has(agent string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.agents[agent] != nil
}

// Counts counts the centre's objects, and its people by phase.
func (d *Directory) Counts() v1alpha1.CenterCounts {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return v1alpha1.CenterCounts{
		Agents: int32(len(d.agents)), Teams: int32(len(d.teams.all)),
		Groups: int32(len(d.groups.all)), Queues: int32(len(d.queues)),
		Active: d.phases[v1alpha1.PhaseActive], OnLeave: d.phases[v1alpha1.PhaseOnLeave],
		Pending:     d.phases[v1alpha1.PhasePending],
		Deactivated: d.phases[v1alpha1.PhaseDeactivating] + d.phases[v1alpha1.PhaseDeactivated],
		Cases:       d.cases.open, UnassignedCases: d.cases.unassigned,
	}
}

func sortedKeys[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}
