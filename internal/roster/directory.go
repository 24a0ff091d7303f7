package roster

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"roster.dev/roster/api/v1alpha1"
)

// Directory knows who is listed where in one centre. It is told of every change of an object and answers two
// questions at the cost of what is asked: what the centre declares of one person, and whom a change touches.
// Its contents are a function of the objects it holds, whatever the order in which they came.
//
// It is safe for concurrent use.
type Directory struct {
	mu sync.RWMutex

	agents        map[string]*agentEntry
	groups, teams lists
	queues        map[string]*queueEntry

	// queuesNaming leads from an agent to the queues that name it to serve or to supervise, whether or not it exists.
	queuesNaming nameIndex
	// extensions are the claims on each, the oldest first.
	extensions map[string][]extensionClaim
	// secretUsers leads from a declared Secret to the agents. A generated Secret's name says whose it is.
	secretUsers nameIndex
	// backupUsers leads from an agent to those who name it as a backup, whether or not it exists.
	backupUsers nameIndex
	// phases counts people.
	phases map[v1alpha1.AgentPhase]int32
	cases  casebook
	seats  *seats
}

// lists are all Teams, or all AgentGroups.
type lists struct {
	kind WayKind
	all  map[string]*listEntry
	// naming leads from an agent to the lists that name it, whether or not it exists.
	naming nameIndex
	// queues leads from a list to the queues that it serves, whether or not it exists.
	queues nameIndex
}

func newLists(kind WayKind) lists {
	return lists{kind, map[string]*listEntry{}, nameIndex{}, nameIndex{}}
}

// nameIndex maps a name to the names that refer to it.
type nameIndex map[string]nameSet

// nameSet holds one name, or a map of several: most sets in a centre have one member, and maps are large.
type nameSet struct {
	one  string
	many map[string]struct{}
}

func (x nameIndex) add(key, value string) {
	set, found := x[key]
	switch {
	case !found:
		x[key] = nameSet{one: value}
	case set.many != nil:
		set.many[value] = struct{}{}
	case set.one != value:
		x[key] = nameSet{many: map[string]struct{}{set.one: {}, value: {}}}
	}
}

func (x nameIndex) remove(key, value string) {
	set, found := x[key]
	if !found {
		return
	}
	delete(set.many, value)
	if len(set.many) == 0 && (set.many != nil || set.one == value) {
		delete(x, key)
	}
}

func (x nameIndex) of(key string) iter.Seq[string] {
	set, found := x[key]
	switch {
	case !found:
		return func(func(string) bool) {}
	case set.many != nil:
		return maps.Keys(set.many)
	}
	return func(yield func(string) bool) { yield(set.one) }
}

// move lets a user refer to other names than before.
func (x nameIndex) move(user string, from, to []string) {
	if slices.Equal(from, to) {
		return
	}
	for _, name := range from {
		x.remove(name, user)
	}
	for _, name := range to {
		x.add(name, user)
	}
}

// agentEntry is what the directory keeps of a person. Labels and strings are shared with the cached object.
type agentEntry struct {
	view AgentView
	// groups and teams that list the person, sorted. They are replaced, never changed: decisions under way hold them.
	groups, teams []string
}

// AgentView is what the directory needs of an Agent.
type AgentView struct {
	Name    string
	Labels  map[string]string
	Created time.Time
	Phase   v1alpha1.AgentPhase
	// Group, Teams, Queues and Revoked are those of the status.
	Group   string
	Teams   []v1alpha1.ObjectName
	Queues  []v1alpha1.QueueMembership
	Revoked []v1alpha1.Revocation
	// Leaving is an object on its way out: nothing lists it any more.
	Leaving bool
	// Dormant is the claim of a person whose status does not let them work: they take the extension from nobody,
	// and yet are told when it changes hands.
	Dormant bool
	// generated says that the password comes from the Secret that Roster makes.
	generated bool
	// Extension the person claims; empty where none.
	Extension string
	// Secrets declared, that the person's credentials come from.
	Secrets []string
	// Backups are the people who are to cover the person's leaves.
	Backups []string
	Leaves  []v1alpha1.Leave
	License v1alpha1.License
	// Seat is the status'.
	Seat v1alpha1.SeatState
	// Deactivated says that this is declared, and Employment when the person works; nil for always.
	Deactivated bool
	Employment  *v1alpha1.Employment
	// PutOut is when the current or last deactivation was asked for; AskedOut says that one cannot be carried out yet.
	PutOut   time.Time
	AskedOut bool
}

// ViewAgent makes the view of an Agent. It keeps parts of the object.
func ViewAgent(agent *v1alpha1.Agent) AgentView {
	v := AgentView{
		Name:    agent.Name,
		Labels:  agent.Labels,
		Created: agent.CreationTimestamp.Time,
		Phase:   agent.Status.Phase,
		Group:   string(agent.Status.Group),
		Teams:   agent.Status.Teams,
		Queues:  agent.Status.Queues,
		Revoked: agent.Status.Revoked,
		Leaving: !agent.DeletionTimestamp.IsZero(),
		Leaves:  agent.Spec.Leaves,
		License: agent.Spec.License,
		Seat:    agent.Status.Seat,

		Deactivated: agent.Spec.State == v1alpha1.StateDeactivated,
		Employment:  agent.Spec.Employment,
	}
	if out := agent.Status.Deactivation; out != nil && out.RequestedAt != nil {
		v.PutOut = out.RequestedAt.Time
		ends := agent.Spec.Employment != nil && agent.Spec.Employment.EndTime != nil && !out.RequestedAt.Before(agent.Spec.Employment.EndTime)
		v.AskedOut = out.CompletedAt == nil && !Out(v.Phase) && (agent.Spec.State == v1alpha1.StateDeactivated || ends)
	}
	for i := range agent.Status.Conditions {
		c := &agent.Status.Conditions[i]
		v.AskedOut = v.AskedOut || v.Leaving && c.Type == v1alpha1.ConditionReady && c.Reason == ReasonAwaitingTelephony
	}
	for i := range agent.Spec.Leaves {
		if b := string(agent.Spec.Leaves[i].Backup); b != "" && !slices.Contains(v.Backups, b) {
			v.Backups = append(v.Backups, b)
		}
	}
	endpoint := agent.Spec.Endpoint
	v.generated = endpoint == nil || endpoint.PasswordSecretRef == nil
	if endpoint == nil {
		return v
	}
	if !v.generated {
		v.Secrets = append(v.Secrets, endpoint.PasswordSecretRef.Name)
	}
	if endpoint.Voicemail != nil {
		if pin := endpoint.Voicemail.PINSecretRef.Name; !slices.Contains(v.Secrets, pin) {
			v.Secrets = append(v.Secrets, pin)
		}
	}
	if !v.Leaving && agent.Spec.State != v1alpha1.StateDeactivated {
		v.Extension = string(endpoint.Extension)
		v.Dormant = v.Phase != "" && !Working(v.Phase)
	}
	return v
}

const generatedSuffix = "-sip"

// GeneratedSecret is the name of the Secret that Roster makes for an agent whose password is not declared.
func GeneratedSecret(agent string) string { return agent + generatedSuffix }

// ListView is what the directory needs of a Team or an AgentGroup.
type ListView struct {
	Name    string
	Created time.Time
	Members []v1alpha1.Member
	// Color marks a group's people, in their reporting rows too.
	Color string
	// Selector is nil where none is declared.
	Selector labels.Selector
}

// listEntry is what the directory keeps of a Team or an AgentGroup.
type listEntry struct {
	ListView
	named map[string]struct{}
	// missing are named agents that do not exist.
	missing map[string]struct{}
	listTally
}

// listTally is what the people add up to in a list. Where the list is edited it stays.
type listTally struct {
	// listed are the existing agents that it lists; conflicts those of them whom another group holds.
	listed, conflicts map[*agentEntry]struct{}
	// members counts the agents whose status says that they are in it.
	members int
	// unsettled counts those whose status does not say yet what the declarations lead to.
	unsettled int
}

func (l *listEntry) lists(agent *AgentView) bool {
	if agent.Leaving {
		return false
	}
	if _, ok := l.named[agent.Name]; ok {
		return true
	}
	return l.Selector != nil && l.Selector.Matches(labels.Set(agent.Labels))
}

// standing is how one person counts in one list.
type standing struct {
	listed, member, unsettled bool
	// heldBy is the other group that holds a person whom this one lists.
	heldBy string
}

// count replaces what a person counted for by what they count for now.
func (t *listTally) count(e *agentEntry, was, is standing) {
	mark(t.listed, e, is.listed)
	mark(t.conflicts, e, is.heldBy != "")
	t.members += one(is.member) - one(was.member)
	t.unsettled += one(is.unsettled) - one(was.unsettled)
}

func mark(set map[*agentEntry]struct{}, e *agentEntry, in bool) {
	if in {
		set[e] = struct{}{}
	} else {
		delete(set, e)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// listing is where the entry keeps the lists of a kind.
func (e *agentEntry) listing(kind WayKind) *[]string {
	if kind == WayGroup {
		return &e.groups
	}
	return &e.teams
}

// in says how the person counts in a list.
func (e *agentEntry) in(kind WayKind, list string) standing {
	v := &e.view
	if kind == WayGroup {
		s := standing{listed: containsSorted(e.groups, list), member: v.Group == list}
		if s.listed && !s.member {
			s.heldBy = v.Group
		}
		// Nobody holds the person yet, or a holder that has let go.
		s.unsettled = s.listed != s.member && (s.member || !containsSorted(e.groups, v.Group))
		return s
	}
	s := standing{listed: containsSorted(e.teams, list), member: slices.Contains(v.Teams, v1alpha1.ObjectName(list))}
	switch {
	case !s.listed:
		s.unsettled = s.member
	case v.Phase == "":
		s.unsettled = true
	default:
		s.unsettled = !s.member && !Out(v.Phase) && !revokedIn(v.Revoked, v1alpha1.EntryTeam, list)
	}
	return s
}

func containsSorted(list []string, name string) bool {
	_, found := slices.BinarySearch(list, name)
	return found
}

func revokedIn(list []v1alpha1.Revocation, kind v1alpha1.EntryKind, name string) bool {
	return slices.ContainsFunc(list, func(r v1alpha1.Revocation) bool { return r.Kind == kind && string(r.Name) == name })
}

type queueEntry struct {
	*QueueView
	created   time.Time
	extension string
	// staff is how many Active people's status says that they serve the queue.
	staff int
}

func (q *queueEntry) short() bool { return q.staff < q.MinimumSize }

func (q *queueEntry) claim() extensionClaim {
	return extensionClaim{name: q.Name, queue: true, created: q.created.Unix()}
}

// extensionClaim is one object's claim. Creation is in seconds, as Kubernetes keeps it.
type extensionClaim struct {
	name           string
	created        int64
	queue, dormant bool
}

func (v *AgentView) claim() extensionClaim {
	return extensionClaim{name: v.Name, created: v.Created.Unix(), dormant: v.Dormant}
}

func (c extensionClaim) compare(o extensionClaim) int {
	return cmp.Or(cmp.Compare(c.created, o.created), one(c.queue)-one(o.queue), cmp.Compare(c.name, o.name))
}

func (c extensionClaim) String() string {
	if c.queue {
		return "Queue " + c.name
	}
	return "Agent " + c.name
}

// Affected are the objects whose state rests on what changed; each name once, sorted.
type Affected struct {
	Agents, Groups, Teams, Queues, Cases []string
	// Phones are callers, and GroupQueues the groups whose own queue came or went.
	Phones, GroupQueues []string
}

func (a *Affected) lists(kind WayKind) *[]string {
	if kind == WayGroup {
		return &a.Groups
	}
	return &a.Teams
}

func (a *Affected) result() Affected {
	for _, names := range []*[]string{&a.Agents, &a.Groups, &a.Teams, &a.Queues, &a.Cases, &a.Phones, &a.GroupQueues} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return *a
}

func keys(set map[string]struct{}) []string {
	if len(set) == 0 {
		return nil
	}
	return sortedKeys(set)
}

// NewDirectory makes an empty directory.
func NewDirectory() *Directory {
	return &Directory{
		agents: map[string]*agentEntry{}, queues: map[string]*queueEntry{},
		groups: newLists(WayGroup), teams: newLists(WayTeam),
		queuesNaming: nameIndex{}, secretUsers: nameIndex{}, backupUsers: nameIndex{},
		extensions: map[string][]extensionClaim{},
		phases:     map[v1alpha1.AgentPhase]int32{},
		cases:      newCasebook(),
		seats:      newSeats(),
	}
}

// SetAgent takes in a person as they are now. The person is always among the affected.
func (d *Directory) SetAgent(view AgentView) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := Affected{Agents: []string{view.Name}}

	e := d.agents[view.Name]
	isNew := e == nil
	if isNew {
		e = &agentEntry{}
		d.agents[view.Name] = e
	}
	was := *e
	e.view = view
	if isNew || was.view.Leaving != view.Leaving || !maps.Equal(was.view.Labels, view.Labels) {
		e.groups, e.teams = d.groups.listing(&view), d.teams.listing(&view)
	}
	d.seats.set(&e.view)
	d.changed(e, &was, e, &touched)
	if isNew {
		d.existenceChanged(view.Name, true, &touched)
	}
	return touched.result()
}

// RemoveAgent forgets a person.
func (d *Directory) RemoveAgent(name string) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := Affected{Agents: []string{name}}
	if e := d.agents[name]; e != nil {
		delete(d.agents, name)
		was := *e
		d.seats.remove(name)
		d.changed(e, &was, &agentEntry{}, &touched)
		d.existenceChanged(name, false, &touched)
	}
	return touched.result()
}

// listing says which lists hold the person, sorted.
func (l *lists) listing(agent *AgentView) []string {
	if agent.Leaving {
		return nil
	}
	names := slices.Collect(l.naming.of(agent.Name))
	for name, list := range l.all {
		if list.Selector != nil && list.Selector.Matches(labels.Set(agent.Labels)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Clip(slices.Compact(names))
}

// changed settles everything that counts a person, whose entry e said was and says is. Nobody is the zero entry.
func (d *Directory) changed(e, was, is *agentEntry, touched *Affected) {
	if was.view.Group != is.view.Group || !slices.Equal(was.groups, is.groups) {
		names := slices.Concat(was.groups, is.groups, []string{was.view.Group, is.view.Group})
		d.groups.recount(e, was, is, names, touched)
	}
	if was.view.Phase != is.view.Phase || !slices.Equal(was.teams, is.teams) ||
		!slices.Equal(was.view.Teams, is.view.Teams) || !slices.Equal(was.view.Revoked, is.view.Revoked) {
		names := slices.Concat(was.teams, is.teams)
		for _, t := range slices.Concat(was.view.Teams, is.view.Teams) {
			names = append(names, string(t))
		}
		d.teams.recount(e, was, is, names, touched)
	}
	d.recountStaff(&was.view, &is.view, touched)
	d.casesChanged(e.view.Name, &was.view, &is.view, touched)
	d.phases[was.view.Phase]--
	d.phases[is.view.Phase]++
	if old, claim := was.view.claim(), is.view.claim(); old != claim || was.view.Extension != is.view.Extension {
		d.withdraw(was.view.Extension, old, touched)
		d.claim(is.view.Extension, claim, touched)
	}
	d.secretUsers.move(e.view.Name, was.view.Secrets, is.view.Secrets)
	d.backupUsers.move(e.view.Name, was.view.Backups, is.view.Backups)
}

// recount settles how a person counts in each of the named lists, and touches those where it is otherwise than before.
// One that is not there is touched as well: it may be on its way out, and wait for its people.
func (l *lists) recount(e, was, is *agentEntry, names []string, touched *Affected) {
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		before, after := was.in(l.kind, name), is.in(l.kind, name)
		if name == "" || before == after {
			continue
		}
		if list := l.all[name]; list != nil {
			list.count(e, before, after)
		}
		*touched.lists(l.kind) = append(*touched.lists(l.kind), name)
	}
}

// recountStaff settles the queues' staff. A queue is touched where it falls short or is so no more.
func (d *Directory) recountStaff(was, is *AgentView, touched *Affected) {
	sameName := func(a, b v1alpha1.QueueMembership) bool { return a.Name == b.Name }
	if was.Phase == is.Phase && slices.EqualFunc(was.Queues, is.Queues, sameName) {
		return
	}
	settle := func(from, to *AgentView, change int) {
		for i := range from.Queues {
			name := string(from.Queues[i].Name)
			q := d.queues[name]
			if q == nil || !serves(from, name) || serves(to, name) {
				continue
			}
			short := q.short()
			q.staff += change
			if q.short() != short {
				touched.Queues = append(touched.Queues, name)
			}
		}
	}
	settle(was, is, -1)
	settle(is, was, +1)
}

func serves(v *AgentView, queue string) bool {
	return v.Phase == v1alpha1.PhaseActive && slices.ContainsFunc(v.Queues, func(m v1alpha1.QueueMembership) bool {
		return string(m.Name) == queue
	})
}

// existenceChanged settles who misses the person.
func (d *Directory) existenceChanged(name string, exists bool, touched *Affected) {
	for _, l := range []*lists{&d.groups, &d.teams} {
		for list := range l.naming.of(name) {
			if exists {
				delete(l.all[list].missing, name)
			} else {
				l.all[list].missing[name] = struct{}{}
			}
			*touched.lists(l.kind) = append(*touched.lists(l.kind), list)
		}
	}
	touched.Queues = slices.AppendSeq(touched.Queues, d.queuesNaming.of(name))
	touched.Agents = slices.AppendSeq(touched.Agents, d.backupUsers.of(name))
}

// claim enters an extension's claim.
func (d *Directory) claim(extension string, c extensionClaim, touched *Affected) {
	if extension == "" {
		return
	}
	claims := d.extensions[extension]
	if i, found := slices.BinarySearchFunc(claims, c, extensionClaim.compare); !found {
		before := holderOf(claims)
		d.setClaims(extension, slices.Insert(claims, i, c), before, touched)
	}
}

func (d *Directory) withdraw(extension string, c extensionClaim, touched *Affected) {
	claims := d.extensions[extension]
	if i, found := slices.BinarySearchFunc(claims, c, extensionClaim.compare); found {
		before := holderOf(claims)
		d.setClaims(extension, slices.Delete(claims, i, i+1), before, touched)
	}
}

// setClaims touches whoever claims an extension that has changed hands.
func (d *Directory) setClaims(extension string, claims []extensionClaim, before extensionClaim, touched *Affected) {
	if len(claims) == 0 {
		delete(d.extensions, extension)
		return
	}
	d.extensions[extension] = claims
	if holderOf(claims) == before {
		return
	}
	for _, c := range claims {
		if c.queue {
			touched.Queues = append(touched.Queues, c.name)
		} else {
			touched.Agents = append(touched.Agents, c.name)
		}
	}
}

// holderOf is the oldest claim that counts; the zero claim where none does.
func holderOf(claims []extensionClaim) extensionClaim {
	for _, c := range claims {
		if !c.dormant {
			return c
		}
	}
	return extensionClaim{}
}

// takenBy is who has the extension by an older claim than self; empty where nobody has.
func (d *Directory) takenBy(extension string, self extensionClaim) string {
	holder := holderOf(d.extensions[extension])
	if extension == "" || holder.name == "" || holder.compare(self) >= 0 {
		return ""
	}
	return holder.String()
}

// SetGroup takes in a group as it is now.
func (d *Directory) SetGroup(view ListView) Affected { return d.setList(&d.groups, view) }

// SetTeam takes in a team as it is now.
func (d *Directory) SetTeam(view ListView) Affected { return d.setList(&d.teams, view) }

func (d *Directory) setList(l *lists, view ListView) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := Affected{}
	*touched.lists(l.kind) = []string{view.Name}

	old := l.all[view.Name]
	list := &listEntry{
		ListView: view, named: make(map[string]struct{}, len(view.Members)), missing: map[string]struct{}{},
	}
	l.all[view.Name] = list
	if old == nil {
		list.listed, list.conflicts = map[*agentEntry]struct{}{}, map[*agentEntry]struct{}{}
		for _, e := range d.agents {
			list.count(e, standing{}, e.in(l.kind, view.Name))
		}
		touched.Queues = slices.AppendSeq(touched.Queues, l.queues.of(view.Name))
		d.groupExists(l.kind, view.Name, &touched)
	} else {
		list.listTally = old.listTally
		for name := range old.named {
			l.naming.remove(name, view.Name)
		}
		if !old.Created.Equal(view.Created) || old.Color != view.Color {
			touchListed(list, &touched)
		}
	}
	for _, m := range view.Members {
		name := string(m.Name)
		list.named[name] = struct{}{}
		l.naming.add(name, view.Name)
		if d.agents[name] == nil {
			list.missing[name] = struct{}{}
		}
	}

	if old == nil || !sameSelector(old.Selector, view.Selector) {
		for _, e := range d.agents {
			d.relist(l, list, e, &touched)
		}
		return touched.result()
	}
	for _, names := range []map[string]struct{}{old.named, list.named} {
		for name := range names {
			if e := d.agents[name]; e != nil {
				d.relist(l, list, e, &touched)
			}
		}
	}
	return touched.result()
}

// relist settles whether a list holds a person.
func (d *Directory) relist(l *lists, list *listEntry, e *agentEntry, touched *Affected) {
	_, listed := list.listed[e]
	if listed == list.lists(&e.view) {
		return
	}
	was := *e
	names := e.listing(l.kind)
	if listed {
		*names = removeSorted(*names, list.Name)
	} else {
		*names = insertSorted(*names, list.Name)
	}
	d.changed(e, &was, e, touched)
	touched.Agents = append(touched.Agents, e.view.Name)
}

// sameSelector may say no of two that select alike, never yes of two that do not.
func sameSelector(a, b labels.Selector) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	// Everything and nothing print alike.
	return a.String() == b.String() && a.Empty() == b.Empty()
}

func insertSorted(list []string, name string) []string {
	i, _ := slices.BinarySearch(list, name)
	return slices.Concat(list[:i], []string{name}, list[i:])
}

func removeSorted(list []string, name string) []string {
	i, _ := slices.BinarySearch(list, name)
	return slices.Concat(list[:i], list[i+1:])
}

// RemoveGroup forgets a group.
func (d *Directory) RemoveGroup(name string) Affected { return d.removeList(&d.groups, name) }

// RemoveTeam forgets a team.
func (d *Directory) RemoveTeam(name string) Affected { return d.removeList(&d.teams, name) }

func (d *Directory) removeList(l *lists, name string) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := Affected{}
	*touched.lists(l.kind) = []string{name}
	list := l.all[name]
	if list == nil {
		return touched.result()
	}
	for agent := range list.named {
		l.naming.remove(agent, name)
	}
	list.named, list.Selector = nil, nil // lists nobody any more
	for e := range list.listed {
		d.relist(l, list, e, &touched)
	}
	delete(l.all, name)
	touched.Queues = slices.AppendSeq(touched.Queues, l.queues.of(name))
	d.groupExists(l.kind, name, &touched)
	return touched.result()
}

// SetQueue takes in a queue as it is now.
func (d *Directory) SetQueue(queue *v1alpha1.Queue) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := Affected{Queues: []string{queue.Name}}

	old := d.queues[queue.Name]
	q := &queueEntry{
		QueueView: ViewQueue(queue), created: queue.CreationTimestamp.Time,
		extension: string(queue.Spec.Extension),
	}
	if old != nil {
		q.staff = old.staff
		d.unlinkQueue(old)
		d.touchDifference(old.QueueView, q.QueueView, &touched)
	} else {
		for _, e := range d.agents {
			q.staff += one(serves(&e.view, queue.Name))
		}
		d.touchStaff(q.QueueView, &touched)
		d.touchAgents(maps.Keys(q.supervisors), &touched)
	}
	d.queues[queue.Name] = q
	for name := range q.agents {
		d.queuesNaming.add(name, queue.Name)
	}
	for name := range q.supervisors {
		d.queuesNaming.add(name, queue.Name)
	}
	for name := range q.groups {
		d.groups.queues.add(name, queue.Name)
	}
	for name := range q.teams {
		d.teams.queues.add(name, queue.Name)
	}
	if old == nil {
		d.claim(q.extension, q.claim(), &touched)
	} else if old.extension != q.extension || old.claim() != q.claim() {
		d.withdraw(old.extension, old.claim(), &touched)
		d.claim(q.extension, q.claim(), &touched)
	}
	return touched.result()
}

// RemoveQueue forgets a queue.
func (d *Directory) RemoveQueue(name string) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := Affected{Queues: []string{name}}
	if old := d.queues[name]; old != nil {
		delete(d.queues, name)
		d.unlinkQueue(old)
		d.withdraw(old.extension, old.claim(), &touched)
		d.touchStaff(old.QueueView, &touched)
		d.touchAgents(maps.Keys(old.supervisors), &touched)
	}
	return touched.result()
}

func (d *Directory) unlinkQueue(q *queueEntry) {
	for agent := range q.agents {
		d.queuesNaming.remove(agent, q.Name)
	}
	for name := range q.supervisors {
		d.queuesNaming.remove(name, q.Name)
	}
	for group := range q.groups {
		d.groups.queues.remove(group, q.Name)
	}
	for team := range q.teams {
		d.teams.queues.remove(team, q.Name)
	}
}

// touchDifference touches the people for whom the queue changed: all where the queue itself did, else those
// whose entries did.
func (d *Directory) touchDifference(old, q *QueueView, touched *Affected) {
	sameTimes := old.Foreign == q.Foreign && old.Opens.Equal(q.Opens) && old.Closes.Equal(q.Closes)
	for _, views := range [][2]*QueueView{{old, q}, {q, old}} {
		for name := range views[0].supervisors {
			if _, inBoth := views[1].supervisors[name]; !inBoth || !sameTimes {
				d.touchAgent(name, touched)
			}
		}
	}
	if !sameTimes || !slices.Equal(old.Channels, q.Channels) || old.Competency != q.Competency ||
		old.Observed != q.Observed || len(old.supervisors) == 0 != (len(q.supervisors) == 0) {
		d.touchStaff(old, touched)
		d.touchStaff(q, touched)
		return
	}
	d.touchAgents(changedEntries(old.agents, q.agents), touched)
	for name := range changedEntries(old.groups, q.groups) {
		touchListed(d.groups.all[name], touched)
	}
	for name := range changedEntries(old.teams, q.teams) {
		touchListed(d.teams.all[name], touched)
	}
}

// changedEntries are the names whose entries are not the same in both.
func changedEntries(old, entries map[string]*v1alpha1.QueueEntry) iter.Seq[string] {
	return func(yield func(string) bool) {
		for name, o := range old {
			if e := entries[name]; (e == nil || e.Stars != o.Stars || !slices.Equal(e.Channels, o.Channels)) && !yield(name) {
				return
			}
		}
		for name := range entries {
			if old[name] == nil && !yield(name) {
				return
			}
		}
	}
}

func (d *Directory) touchStaff(q *QueueView, touched *Affected) {
	d.touchAgents(maps.Keys(q.agents), touched)
	for name := range q.groups {
		touchListed(d.groups.all[name], touched)
	}
	for name := range q.teams {
		touchListed(d.teams.all[name], touched)
	}
}

func (d *Directory) touchAgents(names iter.Seq[string], touched *Affected) {
	for name := range names {
		d.touchAgent(name, touched)
	}
}

func (d *Directory) touchAgent(name string, touched *Affected) {
	if d.agents[name] != nil {
		touched.Agents = append(touched.Agents, name)
	}
}

func touchListed(l *listEntry, touched *Affected) {
	if l != nil {
		for e := range l.listed {
			touched.Agents = append(touched.Agents, e.view.Name)
		}
	}
}

// users of a Secret, whether it is declared or generated.
func (d *Directory) users(secret string) []string {
	names := slices.Collect(d.secretUsers.of(secret))
	if agent, ok := strings.CutSuffix(secret, generatedSuffix); ok {
		if e := d.agents[agent]; e != nil && e.view.generated {
			names = append(names, agent)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
