package roster

import (
	"container/heap"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// CaseView is what the directory needs of a CaseAssignment. It is never changed after it was made.
type CaseView struct {
	Name, UID  string
	Generation int64
	Created    time.Time
	Spec       *v1alpha1.CaseAssignmentSpec
	// Holders of the status.
	Holders []v1alpha1.EffectiveAssignee
}

// ViewCase makes the view of a CaseAssignment. It keeps parts of the object.
func ViewCase(c *v1alpha1.CaseAssignment) CaseView {
	return CaseView{
		Name: c.Name, UID: string(c.UID), Generation: c.Generation, Created: c.CreationTimestamp.Time,
		Spec: &c.Spec, Holders: c.Status.Assignees,
	}
}

func (v *CaseView) open() bool { return v.Spec.State != v1alpha1.CaseCompleted }

// casebook is who holds which case. A case's holders are those that its status tells of until the first decision,
// and those of the last decision from then on: decisions come one after the other, and each counts for the next
// at once, whatever becomes of the writes.
type casebook struct {
	all map[string]*caseEntry
	// declaring leads from an agent to the cases that declare it, whether or not it exists.
	declaring nameIndex
	// naming leads from a group to the cases that name it.
	naming nameIndex
	// held leads from an agent to the open cases that it holds.
	held map[string]map[string]struct{}
	// unheld leads from a group, and from a responsible person, to the open cases that nobody holds.
	unheldOfGroup, unheldOf nameIndex
	// callers leads from a phone to the open cases of the client who has it, those decided and those not.
	callers nameIndex
	// benches are the people of each group who can take cases. One is made when it is first asked for.
	benches map[string]*bench
	// separate and country are the centre's.
	separate bool
	country  string

	open, unassigned int32
}

type caseEntry struct {
	CaseView
	phones  []string
	unread  []v1alpha1.PhoneNumber
	holders []v1alpha1.EffectiveAssignee
	// decided says that holders are a decision's, and not the status'; at is when one last changed them.
	decided bool
	at      time.Time
	// unheldGroup and unheldOf are where the case is found as one that nobody holds.
	unheldGroup, unheldOf string
	unheld                bool
}

func newCasebook() casebook {
	return casebook{
		all: map[string]*caseEntry{}, declaring: nameIndex{}, naming: nameIndex{}, held: map[string]map[string]struct{}{},
		unheldOfGroup: nameIndex{}, unheldOf: nameIndex{}, callers: nameIndex{}, benches: map[string]*bench{},
	}
}

// GroupQueue is the name of the queue in which a telephone system has the people of a group, so that callers reach
// those who are free. No Queue object can have it, because of the dot.
func GroupQueue(center, group string) string {
	name := center + "." + group
	if len(name) <= maximumQueueName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:maximumQueueName-13] + "." + hex.EncodeToString(sum[:6])
}

// maximumQueueName is in bytes: app_queue keeps a queue's name in 80 with the zero at the end.
const maximumQueueName = 79

// IsGroupQueue says whether a queue of the telephone system is a group's.
func IsGroupQueue(queue string) bool { return strings.Contains(queue, ".") }

// SetCase takes in a case as it is now. It is always among the affected.
func (d *Directory) SetCase(view CaseView) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := &d.cases
	touched := Affected{Cases: []string{view.Name}}
	e := b.all[view.Name]
	if e == nil || e.UID != view.UID {
		if e != nil {
			d.dropCase(e, &touched)
		}
		e = &caseEntry{CaseView: view}
		b.all[view.Name] = e
		d.nameGroup(e, &touched)
		d.linkCase(e, &touched)
		d.settleCase(e, view.Holders, &touched)
		return touched.result()
	}
	was := *e
	e.CaseView = view
	if was.Generation != view.Generation {
		d.relinkCase(&was, e, &touched)
	}
	if !e.decided {
		d.settleCase(e, view.Holders, &touched)
	}
	return touched.result()
}

// RemoveCase forgets a case.
func (d *Directory) RemoveCase(name string) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := Affected{Cases: []string{name}}
	if e := d.cases.all[name]; e != nil {
		d.dropCase(e, &touched)
	}
	return touched.result()
}

func (d *Directory) dropCase(e *caseEntry, touched *Affected) {
	d.hold(e, nil)
	d.markUnheld(e, false)
	d.unnameGroup(e, touched)
	d.unlinkCase(e, touched)
	delete(d.cases.all, e.Name)
}

// linkCase enters a case where it is looked for.
func (d *Directory) linkCase(e *caseEntry, touched *Affected) {
	b := &d.cases
	for i := range e.Spec.Assignees {
		b.declaring.add(string(e.Spec.Assignees[i].Name), e.Name)
	}
	d.enterPhones(e, touched)
	if e.open() {
		b.open++
	}
}

// nameGroup notes that a case names its group. The group's queue is touched where it is the first to do so.
func (d *Directory) nameGroup(e *caseEntry, touched *Affected) {
	g := string(e.Spec.Group)
	if g == "" {
		return
	}
	if !d.cases.names(g) {
		d.touchGroupQueue(g, touched)
	}
	d.cases.naming.add(g, e.Name)
}

func (d *Directory) unnameGroup(e *caseEntry, touched *Affected) {
	g := string(e.Spec.Group)
	if g == "" {
		return
	}
	if d.cases.naming.remove(g, e.Name); !d.cases.names(g) {
		d.touchGroupQueue(g, touched)
	}
}

func (d *Directory) unlinkCase(e *caseEntry, touched *Affected) {
	b := &d.cases
	for i := range e.Spec.Assignees {
		b.declaring.remove(string(e.Spec.Assignees[i].Name), e.Name)
	}
	d.leavePhones(e, touched)
	if e.open() {
		b.open--
	}
}

// relinkCase enters an edited case anew.
func (d *Directory) relinkCase(was, e *caseEntry, touched *Affected) {
	if was.Spec.Group != e.Spec.Group {
		d.unnameGroup(was, touched)
		d.nameGroup(e, touched)
	}
	d.unlinkCase(was, touched)
	e.phones, e.unread = nil, nil
	d.linkCase(e, touched)
	if e.unheld {
		d.markUnheld(e, false)
		d.markUnheld(e, e.open())
	}
	if !e.open() { // frees its people at once
		d.hold(e, nil)
		d.markUnheld(e, false)
	}
}

func (b *casebook) names(group string) bool {
	_, is := b.naming[group]
	return is
}

// touchGroupQueue touches the queue of a group and its people: it has one from now on, or no more.
func (d *Directory) touchGroupQueue(group string, touched *Affected) {
	touched.GroupQueues = append(touched.GroupQueues, group)
	touchListed(d.groups.all[group], touched)
}

// groupExists touches what rests on whether a group exists.
func (d *Directory) groupExists(kind WayKind, group string, touched *Affected) {
	if kind == WayGroup && d.cases.names(group) {
		touched.Cases = slices.AppendSeq(touched.Cases, d.cases.naming.of(group))
		touched.GroupQueues = append(touched.GroupQueues, group)
	}
}

// enterPhones enters an open case's phones, and touches them.
func (d *Directory) enterPhones(e *caseEntry, touched *Affected) {
	if e.Spec.Client == nil || !e.open() {
		return
	}
	e.phones, e.unread = PhoneNumbers(e.Spec.Client.Phones, d.cases.country)
	for _, p := range e.phones {
		d.cases.callers.add(p, e.Name)
	}
	touched.Phones = append(touched.Phones, e.phones...)
}

func (d *Directory) leavePhones(e *caseEntry, touched *Affected) {
	for _, p := range e.phones {
		d.cases.callers.remove(p, e.Name)
	}
	touched.Phones = append(touched.Phones, e.phones...)
}

// settleCase takes over who holds a case.
func (d *Directory) settleCase(e *caseEntry, holders []v1alpha1.EffectiveAssignee, touched *Affected) {
	if !e.open() {
		holders = nil
	}
	if responsibleOf(e.holders).Name != responsibleOf(holders).Name {
		touched.Phones = append(touched.Phones, e.phones...)
	}
	d.hold(e, holders)
}

// hold notes who holds a case, and how many each holds.
func (d *Directory) hold(e *caseEntry, holders []v1alpha1.EffectiveAssignee) {
	b := &d.cases
	for i := range e.holders {
		if name := string(e.holders[i].Name); !holds(holders, e.holders[i].Name) {
			delete(b.held[name], e.Name)
			if len(b.held[name]) == 0 {
				delete(b.held, name)
			}
			d.reseat(name)
		}
	}
	before := e.holders
	e.holders = holders
	for i := range holders {
		if name := string(holders[i].Name); !holds(before, holders[i].Name) {
			if b.held[name] == nil {
				b.held[name] = map[string]struct{}{}
			}
			b.held[name][e.Name] = struct{}{}
			d.reseat(name)
		}
	}
}

// markUnheld notes whether nobody holds a case.
func (d *Directory) markUnheld(e *caseEntry, unheld bool) {
	b := &d.cases
	if e.unheld {
		b.unheldOfGroup.remove(e.unheldGroup, e.Name)
		b.unheldOf.remove(e.unheldOf, e.Name)
		b.unassigned--
	}
	if e.unheld = unheld; !unheld {
		return
	}
	e.unheldGroup, e.unheldOf = string(e.Spec.Group), ""
	if len(e.Spec.Assignees) > 0 {
		e.unheldOf = string(e.Spec.Assignees[0].Name)
	}
	b.unheldOfGroup.add(e.unheldGroup, e.Name)
	b.unheldOf.add(e.unheldOf, e.Name)
	b.unassigned++
}

// CaseReport is a decision with what there is to say besides.
type CaseReport struct {
	CaseDecision
	// Missing are the names in the case that do not exist, as "Agent bob-lee", sorted.
	Missing []string
	// Unread are phones of the client that are no telephone numbers.
	Unread []v1alpha1.PhoneNumber
	// Phones of the client, in E.164.
	Phones []string
	// At is when the decision was made that stands.
	At time.Time
	// Unsettled says that the responsible person is new, and was not looked at yet: nothing was decided.
	Unsettled bool
}

// newcomer is how long a new case waits for a responsible person who is as new, before somebody else has to take it:
// whoever applies a folder sends the cases before the people.
const newcomer = 2 * time.Second

// DecideCase says who holds a case at now, and takes that over at once: the next decision counts with it. ok is false
// for a case that the directory does not know.
func (d *Directory) DecideCase(name string, now time.Time) (report CaseReport, touched Affected, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.cases.all[name]
	if e == nil {
		return report, touched, false
	}
	if wait := d.newcomer(e, now); !wait.IsZero() {
		report.Unsettled, report.Next = true, wait
		return report, touched, true
	}
	report.CaseDecision = decideCase(&Case{Spec: e.Spec, Holders: e.holders, Separate: d.cases.separate}, d, now)
	if e.at.IsZero() || !slices.Equal(e.holders, report.Holders) {
		e.at = now
	}
	e.decided, report.At = true, e.at
	d.settleCase(e, report.Holders, &touched)
	d.markUnheld(e, report.Phase == v1alpha1.CaseUnassigned)
	report.Missing, report.Unread, report.Phones = d.missingOf(e), e.unread, e.phones
	if !e.open() && e.Spec.Client != nil { // their rows are to go
		report.Phones, _ = PhoneNumbers(e.Spec.Client.Phones, d.cases.country)
	}
	return report, touched.result(), true
}

// newcomer is until when a new case waits for its responsible person; zero where it does not.
func (d *Directory) newcomer(e *caseEntry, now time.Time) time.Time {
	until := e.Created.Add(newcomer + time.Second) // creation is cut to a second
	if !e.open() || len(e.holders) > 0 || len(e.Spec.Assignees) == 0 || !now.Before(until) ||
		until.Sub(now) > newcomer+time.Second { // made in the future: the clocks do not agree
		return time.Time{}
	}
	if a := d.agents[string(e.Spec.Assignees[0].Name)]; a != nil && a.view.Phase != "" {
		return time.Time{}
	}
	return until
}

func (d *Directory) missingOf(e *caseEntry) []string {
	if !e.open() {
		return nil
	}
	missing := map[string]struct{}{}
	for i := range e.Spec.Assignees {
		if name := string(e.Spec.Assignees[i].Name); d.agents[name] == nil {
			missing["Agent "+name] = struct{}{}
		}
	}
	if g := string(e.Spec.Group); g != "" && d.groups.all[g] == nil {
		missing["AgentGroup "+g] = struct{}{}
	}
	return keys(missing)
}

// SetCasePolicy takes in what the centre says of cases. Those that it concerns are among the affected.
func (d *Directory) SetCasePolicy(separate bool, country string) Affected {
	d.mu.Lock()
	defer d.mu.Unlock()
	touched := Affected{}
	b := &d.cases
	if b.separate != separate {
		b.separate = separate
		for name, e := range b.all {
			if len(e.Spec.Assignees) > 1 {
				touched.Cases = append(touched.Cases, name)
			}
		}
	}
	if b.country != country {
		b.country = country
		for name, e := range b.all {
			if e.Spec.Client == nil || !e.open() || !slices.ContainsFunc(e.Spec.Client.Phones, national) {
				continue
			}
			d.leavePhones(e, &touched)
			d.enterPhones(e, &touched)
			touched.Cases = append(touched.Cases, name)
		}
	}
	return touched.result()
}

// national says whether a number has no country code.
func national(number v1alpha1.PhoneNumber) bool { return !strings.HasPrefix(string(number), "+") }

// Sticky is where a known caller's calls go; known is false for a phone that is nobody's. ok is false while that is
// not decided yet.
func (d *Directory) Sticky(phone string) (s Sticky, known, ok bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	e := d.callerOf(phone)
	if e == nil {
		return s, false, true
	}
	if !e.decided {
		return s, true, false
	}
	s = Sticky{Agent: string(responsibleOf(e.holders).Name), Case: e.Name, Assignment: e.Name}
	if e.Spec.Case != nil {
		s.Case = e.Spec.Case.ID
	}
	if g := string(e.Spec.Group); d.groups.all[g] != nil {
		s.Group = g
	}
	return s, true, true
}

// Sticky is what a known caller's calls rest on.
type Sticky struct {
	// Agent is responsible; empty where nobody is able. Group is the sticky group; empty for none that exists.
	Agent, Group string
	// Case is the matter as people know it, Assignment the CaseAssignment.
	Case, Assignment string
}

// callerOf is the newest case of a caller, and of several the first by name.
func (d *Directory) callerOf(phone string) (newest *caseEntry) {
	for name := range d.cases.callers.of(phone) {
		e := d.cases.all[name]
		if newest == nil || e.Created.After(newest.Created) || e.Created.Equal(newest.Created) && e.Name < newest.Name {
			newest = e
		}
	}
	return newest
}

// Phones are all callers that cases know, sorted.
func (d *Directory) Phones() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return slices.Sorted(maps.Keys(d.cases.callers))
}

// Cases are the names of all cases, sorted.
func (d *Directory) Cases() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return sortedKeys(d.cases.all)
}

// CasesHeld is how many open cases a person holds.
func (d *Directory) CasesHeld(agent string) int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.cases.held[agent])
}

// HasCase says whether the centre knows a case.
func (d *Directory) HasCase(name string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.cases.all[name] != nil
}

// StickyGroup says whether the people of a group are to be reached together: the group exists, and a case names it.
func (d *Directory) StickyGroup(group string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.groups.all[group] != nil && d.cases.names(group)
}

// StickyGroups are all such groups, sorted.
func (d *Directory) StickyGroups() []string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var groups []string
	for g := range d.cases.naming {
		if d.groups.all[g] != nil {
			groups = append(groups, g)
		}
	}
	slices.Sort(groups)
	return groups
}

// unable says why a person cannot take cases: what their status tells, because access is lost first.
func (d *Directory) unable(agent string) v1alpha1.CoverCause {
	e := d.agents[agent]
	if e == nil {
		return v1alpha1.CauseUnknown
	}
	return e.view.unable()
}

func (v *AgentView) unable() v1alpha1.CoverCause {
	switch {
	case Out(v.Phase), v.AskedOut:
		return v1alpha1.CauseDeactivated
	case v.Phase == "", v.Phase == v1alpha1.PhasePending:
		return v1alpha1.CausePending
	case v.Phase == v1alpha1.PhaseOnLeave:
		return v1alpha1.CauseOnLeave
	case v.License == v1alpha1.LicenseNone:
		return v1alpha1.CauseNoLicense
	case v.Seat == v1alpha1.SeatWaiting:
		return v1alpha1.CauseNoSeat
	}
	return ""
}

func (d *Directory) putOut(agent string) time.Time {
	if e := d.agents[agent]; e != nil {
		return e.view.PutOut
	}
	return time.Time{}
}

func (d *Directory) backup(agent string, now time.Time) (name string, next time.Time) {
	e := d.agents[agent]
	if e == nil {
		return "", next
	}
	leave, next := leaveAt(e.view.Leaves, now, next)
	if leave == nil {
		return "", next
	}
	return string(leave.Backup), next
}

func (d *Directory) idlest(group string) string {
	b := d.cases.benches[group]
	if b == nil {
		b = &bench{places: map[string]*place{}}
		d.cases.benches[group] = b
		for name, e := range d.agents {
			if e.view.Group == group && e.view.unable() == "" {
				b.seat(name, len(d.cases.held[name]))
			}
		}
	}
	if len(b.list) == 0 {
		return ""
	}
	return b.list[0].agent
}

// reseat settles a person's place on their group's bench, where there is one.
func (d *Directory) reseat(agent string) {
	e := d.agents[agent]
	if e == nil || e.view.Group == "" {
		return
	}
	if b := d.cases.benches[e.view.Group]; b != nil {
		d.place(b, agent, e.view.unable() == "")
	}
}

func (d *Directory) place(b *bench, agent string, able bool) {
	if able {
		b.seat(agent, len(d.cases.held[agent]))
	} else {
		b.leave(agent)
	}
}

// casesChanged touches the cases that rest on what changed about a person. Nobody is the zero entry.
func (d *Directory) casesChanged(name string, was, is *AgentView, touched *Affected) {
	b := &d.cases
	before, after := v1alpha1.CauseUnknown, v1alpha1.CauseUnknown
	if was.Name != "" {
		before = was.unable()
	}
	if is.Name != "" {
		after = is.unable()
	}
	if was.Group != is.Group || before != after {
		if bench := b.benches[was.Group]; bench != nil && was.Group != "" {
			bench.leave(name)
		}
		if bench := b.benches[is.Group]; bench != nil && is.Group != "" {
			d.place(bench, name, after == "")
		}
		if after == "" && is.Group != "" {
			touched.Cases = slices.AppendSeq(touched.Cases, b.unheldOfGroup.of(is.Group))
		}
	}
	if before != after || !was.PutOut.Equal(is.PutOut) {
		touched.Cases = slices.AppendSeq(touched.Cases, b.declaring.of(name))
	}
	if before != after {
		touched.Cases = slices.AppendSeq(touched.Cases, maps.Keys(b.held[name]))
		if after == "" {
			for of := range d.backupUsers.of(name) {
				touched.Cases = slices.AppendSeq(touched.Cases, b.unheldOf.of(of))
			}
		}
	}
	if !slices.Equal(was.Backups, is.Backups) {
		touched.Cases = slices.AppendSeq(touched.Cases, b.unheldOf.of(name))
	}
}

// bench is the people of a group who can take cases: a heap with the idlest in front, and of several the first by name.
type bench struct {
	list   []*place
	places map[string]*place
}

type place struct {
	agent    string
	held, at int
}

func (b *bench) seat(agent string, held int) {
	p := b.places[agent]
	if p == nil {
		p = &place{agent: agent, held: held}
		b.places[agent] = p
		heap.Push(b, p)
		return
	}
	p.held = held
	heap.Fix(b, p.at)
}

func (b *bench) leave(agent string) {
	if p := b.places[agent]; p != nil {
		delete(b.places, agent)
		heap.Remove(b, p.at)
	}
}

// Len is how many there are. This and the next four are for package heap.
func (b *bench) Len() int { return len(b.list) }

// Less says who comes first.
func (b *bench) Less(i, j int) bool {
	x, y := b.list[i], b.list[j]
	return x.held < y.held || x.held == y.held && x.agent < y.agent
}

// Swap exchanges two.
func (b *bench) Swap(i, j int) {
	b.list[i], b.list[j] = b.list[j], b.list[i]
	b.list[i].at, b.list[j].at = i, j
}

// Push adds one at the end.
func (b *bench) Push(x any) {
	p := x.(*place)
	p.at = len(b.list)
	b.list = append(b.list, p)
}

// Pop takes the last.
func (b *bench) Pop() any {
	last := b.list[len(b.list)-1]
	b.list[len(b.list)-1] = nil
	b.list = b.list[:len(b.list)-1]
	return last
}
