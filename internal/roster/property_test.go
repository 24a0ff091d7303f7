package roster

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"roster.dev/roster/api/v1alpha1"
)

// world is a small centre as the API server and Roster's records have it, and a directory that was told of every
// change. Everything that the directory answers is computed here a second time, slowly and from the objects alone.
type world struct {
	now      time.Time
	agents   map[string]*v1alpha1.Agent
	groups   map[string]ListView
	teams    map[string]ListView
	queues   map[string]*v1alpha1.Queue
	recorded map[string]Recorded
	// unseated are those who wait for a seat: see the seats' own test.
	unseated map[string]bool
	// revoked is the slow model of what is revoked; it is kept along the history, not derived from Recorded.
	revoked map[string]map[Entry]time.Time
	policy  v1alpha1.OnReactivation
	d       *Directory
}

var (
	agentNames = []string{"ada", "ben", "cy", "dora"}
	groupNames = []string{"east", "north", "south"}
	teamNames  = []string{"billing", "sales"}
	queueNames = []string{"claims", "orders", "support"}
	extensions = []string{"", "600", "601"}
	someLabels = []string{"", "x", "y"}
	secrets    = []string{"shared", "ada-sip", "vault"}
	someStars  = []int32{0, 1, 2, 3, 4}
)

func newWorld() *world {
	return &world{
		now: at("12:00:00"), d: NewDirectory(),
		agents: map[string]*v1alpha1.Agent{}, groups: map[string]ListView{}, teams: map[string]ListView{},
		queues: map[string]*v1alpha1.Queue{}, recorded: map[string]Recorded{}, unseated: map[string]bool{},
		revoked: map[string]map[Entry]time.Time{},
	}
}

// moment draws one near the present, so that time passes it.
func (w *world) moment(t *rapid.T, label string) *metav1.Time {
	if rapid.Bool().Draw(t, label+" open") {
		return nil
	}
	m := metav1.NewTime(w.now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, label)) * time.Second))
	return &m
}

// span draws two moments, the first before the second, as the CRDs demand.
func (w *world) span(t *rapid.T, label string) (start, end *metav1.Time) {
	start, end = w.moment(t, label+" start"), w.moment(t, label+" end")
	if start != nil && end != nil && !start.Before(end) {
		later := metav1.NewTime(start.Add(time.Second))
		end = &later
	}
	return start, end
}

func created(t *rapid.T) metav1.Time {
	return metav1.NewTime(at("08:00:00").Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "created")) * time.Second))
}

func subset(t *rapid.T, label string, names []string) []string {
	var some []string
	for _, n := range names {
		if rapid.Bool().Draw(t, label+" "+n) {
			some = append(some, n)
		}
	}
	return some
}

func (w *world) drawAgent(t *rapid.T, name string) *v1alpha1.Agent {
	a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: created(t)}}
	if old := w.agents[name]; old != nil {
		a = old.DeepCopy()
		if !a.DeletionTimestamp.IsZero() {
			return a
		}
	}
	// One edit changes one thing, as edits do; more makes histories in which nothing lasts.
	s := &a.Spec
	switch rapid.SampledFrom([]string{
		"labels", "labels", "state", "state", "state", "employment", "leave", "license", "role",
		"reinstated", "policy", "endpoint", "endpoint", "delete", "anew",
	}).Draw(t, "edit") {
	case "labels":
		a.Labels = map[string]string{"l": rapid.SampledFrom(someLabels).Draw(t, "label")}
	case "state":
		if s.State == v1alpha1.StateDeactivated {
			s.State = v1alpha1.StateActive
		} else {
			s.State = v1alpha1.StateDeactivated
		}
	case "employment":
		start, end := w.span(t, "employment")
		s.Employment = &v1alpha1.Employment{StartTime: start, EndTime: end}
	case "leave":
		s.Leaves = nil
		for range rapid.IntRange(0, 3).Draw(t, "leaves") {
			if start, end := w.span(t, "leave"); start != nil {
				s.Leaves = append(s.Leaves, v1alpha1.Leave{
					StartTime: *start, EndTime: end,
					Reason: rapid.SampledFrom([]v1alpha1.Reason{"", v1alpha1.ReasonVacation, v1alpha1.ReasonTraining}).Draw(t, "reason"),
				})
			}
		}
	case "license":
		s.License = rapid.SampledFrom([]v1alpha1.License{"", v1alpha1.LicenseSeat, v1alpha1.LicenseNone}).Draw(t, "license")
	case "role":
		s.Role = rapid.SampledFrom(roles).Draw(t, "role")
	case "reinstated":
		s.Reinstated = nil
		for _, e := range []Entry{
			{v1alpha1.EntryTeam, "billing"}, {v1alpha1.EntryTeam, "sales"}, {v1alpha1.EntryQueue, "claims"}, {v1alpha1.EntryQueue, "orders"},
		} {
			if m := w.moment(t, "reinstated "+e.Name); m != nil {
				s.Reinstated = append(s.Reinstated, v1alpha1.Reinstatement{Kind: e.Kind, Name: v1alpha1.ObjectName(e.Name), Time: *m})
			}
		}
	case "policy":
		s.OnReactivation = rapid.SampledFrom([]v1alpha1.OnReactivation{"", v1alpha1.OnReactivationReadd, v1alpha1.OnReactivationRestore}).Draw(t, "policy")
	case "endpoint":
		s.Endpoint = nil
		if rapid.Bool().Draw(t, "phone") {
			s.Endpoint = &v1alpha1.Endpoint{Extension: v1alpha1.Extension(rapid.SampledFrom(extensions).Draw(t, "extension"))}
			if rapid.Bool().Draw(t, "password") {
				s.Endpoint.PasswordSecretRef = &v1alpha1.SecretKeyReference{Name: rapid.SampledFrom(secrets).Draw(t, "secret")}
			}
			if rapid.Bool().Draw(t, "voicemail") {
				s.Endpoint.Voicemail = &v1alpha1.Voicemail{
					PINSecretRef: v1alpha1.SecretKeyReference{Name: rapid.SampledFrom(secrets).Draw(t, "pin")},
				}
			}
		}
	case "anew": // deleted and made again, and only the second seen
		a.CreationTimestamp = created(t)
	case "delete":
		if rapid.IntRange(0, 3).Draw(t, "really") == 0 {
			a.DeletionTimestamp = &metav1.Time{Time: w.now}
		}
	}
	return a
}

func drawList(t *rapid.T, name string, old ListView) ListView {
	l := ListView{Name: name, Created: old.Created}
	if l.Created.IsZero() {
		l.Created = created(t).Time
	}
	l.Color = rapid.SampledFrom([]string{"", "#000000"}).Draw(t, "color")
	for _, n := range subset(t, "member", append(agentNames, "nobody")) {
		l.Members = append(l.Members, v1alpha1.Member{Name: v1alpha1.AgentName(n)})
	}
	switch rapid.IntRange(0, 4).Draw(t, "selector") {
	case 0, 1:
		l.Selector = labels.SelectorFromSet(labels.Set{"l": rapid.SampledFrom(someLabels).Draw(t, "selected")})
	case 2:
		l.Selector = labels.Everything()
	case 3:
		l.Selector = labels.Nothing()
	}
	return l
}

func drawEntries(t *rapid.T, label string, names []string) []v1alpha1.QueueEntry {
	var entries []v1alpha1.QueueEntry
	for _, n := range subset(t, label, names) {
		e := entry(n, rapid.SampledFrom(someStars).Draw(t, "stars"))
		e.Channels = rapid.SampledFrom([][]v1alpha1.Channel{
			nil, {v1alpha1.ChannelVoice}, {v1alpha1.ChannelEmail, v1alpha1.ChannelChat},
		}).Draw(t, "channels")
		entries = append(entries, e)
	}
	return entries
}

func (w *world) drawQueue(t *rapid.T, name string) *v1alpha1.Queue {
	q := queue(name)
	q.CreationTimestamp = created(t)
	if old := w.queues[name]; old != nil {
		q = old.DeepCopy()
	}
	s := &q.Spec
	switch rapid.IntRange(0, 7).Draw(t, "edit") {
	case 0:
		s.Agents = drawEntries(t, "agent", append(agentNames, "nobody"))
	case 1:
		s.Groups = drawEntries(t, "group", groupNames)
	case 2:
		s.Teams = drawEntries(t, "team", teamNames)
	case 3:
		s.Supervisors = nil
		for _, n := range subset(t, "supervisor", append(agentNames, "nobody")) {
			s.Supervisors = append(s.Supervisors, v1alpha1.Member{Name: v1alpha1.AgentName(n)})
		}
	case 4:
		s.Channels = rapid.SampledFrom([][]v1alpha1.Channel{
			nil, {v1alpha1.ChannelVoice}, {v1alpha1.ChannelFax, v1alpha1.ChannelChat, v1alpha1.ChannelVoice},
		}).Draw(t, "channels")
		s.Competency = rapid.SampledFrom([]v1alpha1.Competency{v1alpha1.CompetencyEnabled, v1alpha1.CompetencyDisabled}).Draw(t, "competency")
		s.Membership = rapid.SampledFrom([]v1alpha1.MembershipPolicy{"", v1alpha1.MembershipObserve}).Draw(t, "membership")
	case 5:
		start, end := w.span(t, "window")
		s.Type, s.Window = v1alpha1.QueueTypeCampaign, &v1alpha1.Window{StartTime: start, EndTime: end}
	case 6:
		s.Extension = v1alpha1.Extension(rapid.SampledFrom(extensions).Draw(t, "extension"))
		s.MinimumStaff = new(rapid.Int32Range(0, 3).Draw(t, "minimum"))
		if rapid.Bool().Draw(t, "made anew, unseen") {
			q.CreationTimestamp = created(t)
		}
	case 7:
		q.Status.Conditions = nil
		if rapid.Bool().Draw(t, "foreign") {
			q.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionConflicted, Status: "True", Reason: ReasonNameTaken}}
		}
	}
	return q
}

// decide is what the rules say of a person, from what the directory answers.
func (w *world) decide(d *Directory, name string, now time.Time) *Effective {
	declared, ok := d.Declared(name)
	if !ok {
		return nil
	}
	a := w.agents[name]
	declared.ExtensionTakenBy = d.ExtensionTakenBy(a)
	return Decide(&Person{
		Center: "acme", Spec: &a.Spec, Deleted: !a.DeletionTimestamp.IsZero(), Declared: declared, Seated: !w.unseated[name],
		Recorded: w.recorded[name], OnReactivation: w.policy,
	}, now)
}

// reconcile decides, and writes the decision into the status and the records.
func (w *world) reconcile(name string, deactivating bool) Affected {
	e := w.decide(w.d, name, w.now)
	a := w.agents[name].DeepCopy()
	w.agents[name] = a

	w.follow(name, e.Phase == v1alpha1.PhaseDeactivated)

	phase := e.Phase
	if phase == v1alpha1.PhaseDeactivated && deactivating {
		phase = v1alpha1.PhaseDeactivating
	}
	w.recorded[name] = feedback(e, phase)
	st := &a.Status
	st.Phase, st.Group, st.Teams, st.Queues, st.Revoked = phase, v1alpha1.ObjectName(e.Group), nil, nil, nil
	for _, t := range e.Teams {
		st.Teams = append(st.Teams, v1alpha1.ObjectName(t))
	}
	for _, m := range e.Queues {
		st.Queues = append(st.Queues, v1alpha1.QueueMembership{Name: v1alpha1.ObjectName(m.Queue.Name), Stars: m.Stars})
	}
	for _, r := range e.Revoked {
		st.Revoked = append(st.Revoked, v1alpha1.Revocation{
			Kind: r.Kind, Name: v1alpha1.ObjectName(r.Name), Since: metav1.NewTime(r.Since),
		})
	}
	return w.d.SetAgent(ViewAgent(a))
}

func feedback(e *Effective, phase v1alpha1.AgentPhase) Recorded {
	return Recorded{Phase: phase, Group: e.Group, Revoked: e.Revoked, RequestedAt: e.RequestedAt}
}

// follow takes the slow model of revocation one step along a person's history.
func (w *world) follow(name string, out bool) {
	a, before := w.agents[name], w.recorded[name].Phase
	if !a.DeletionTimestamp.IsZero() {
		return // what was revoked stays noted
	}
	wasOut := before == v1alpha1.PhaseDeactivating || before == v1alpha1.PhaseDeactivated
	policy := a.Spec.OnReactivation
	if policy == "" {
		policy = w.policy
	}
	state := w.revoked[name]
	if state == nil {
		state = map[Entry]time.Time{}
		w.revoked[name] = state
	}
	present := map[Entry]bool{}
	for _, t := range w.listing(w.teams, name) {
		present[Entry{v1alpha1.EntryTeam, t}] = true
	}
	for _, q := range w.queues {
		for _, e := range q.Spec.Agents {
			if string(e.Name) == name {
				present[Entry{v1alpha1.EntryQueue, q.Name}] = true
			}
		}
	}
	reinstatedFor := func(e Entry, since time.Time) bool {
		for _, r := range a.Spec.Reinstated {
			if r.Kind == e.Kind && string(r.Name) == e.Name && r.Time.Unix() >= since.Unix() {
				return true
			}
		}
		return false
	}
	for e, since := range state {
		if !present[e] || reinstatedFor(e, since) || policy == v1alpha1.OnReactivationRestore && !out {
			delete(state, e)
		}
	}
	if out && !wasOut && before != "" {
		for e := range present {
			if _, already := state[e]; !already && !reinstatedFor(e, w.now) {
				state[e] = w.now
			}
		}
	}
}

// listing is which lists a person is in, slowly.
func (w *world) listing(lists map[string]ListView, agent string) []string {
	a := w.agents[agent]
	if a == nil || !a.DeletionTimestamp.IsZero() {
		return nil
	}
	var names []string
	for _, l := range lists {
		in := l.Selector != nil && l.Selector.Matches(labels.Set(a.Labels))
		for _, m := range l.Members {
			in = in || string(m.Name) == agent
		}
		if in {
			names = append(names, l.Name)
		}
	}
	slices.Sort(names)
	return names
}

// taken says who has an extension before the given object, slowly.
func (w *world) taken(extension, self string, selfCreated metav1.Time) string {
	type claim struct {
		at  int64
		who string
	}
	me := claim{selfCreated.Unix(), self}
	oldest := me
	consider := func(c claim) {
		if c.at < oldest.at || c.at == oldest.at && c.who < oldest.who {
			oldest = c
		}
	}
	for _, a := range w.agents {
		if a.Spec.Endpoint != nil && string(a.Spec.Endpoint.Extension) == extension && a.DeletionTimestamp.IsZero() &&
			a.Spec.State != v1alpha1.StateDeactivated &&
			slices.Contains([]v1alpha1.AgentPhase{"", v1alpha1.PhaseActive, v1alpha1.PhaseOnLeave}, a.Status.Phase) {
			consider(claim{a.CreationTimestamp.Unix(), "Agent " + a.Name})
		}
	}
	for _, q := range w.queues {
		if string(q.Spec.Extension) == extension {
			consider(claim{q.CreationTimestamp.Unix(), "Queue " + q.Name})
		}
	}
	if oldest == me || extension == "" {
		return ""
	}
	return oldest.who
}

// render writes down everything of a decision that anybody could act on. The next moment is checked on its own.
func render(e *Effective) string {
	if e == nil {
		return "nobody"
	}
	var queues []string
	for _, m := range e.Queues {
		queues = append(queues, fmt.Sprintf("%s %d* -%d %v %v observed=%t", m.Queue.Name, m.Stars, m.Penalty(), m.Channels, m.Via, m.Queue.Observed))
	}
	return fmt.Sprintf("%s %s out=%t back=%t at=%s group=%q lost=%v teams=%v queues=%q revoked=%v extension=%q pause=%q seat=%s supervises=%v carries=%s hears=%s",
		e.Phase, e.Cause, e.GoingOut, e.ComingBack, stampOf(e.RequestedAt), e.Group, e.LostTo, e.Teams, queues, e.Revoked, e.Extension, e.PauseReason,
		e.Seat, e.Supervises, e.SpyGroups, e.Monitors)
}

func stampOf(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// slowly decides from the objects, in another way than the rules do.
func (w *world) slowly(name string, now time.Time) string {
	a, rec := w.agents[name], w.recorded[name]
	if a == nil {
		return "nobody"
	}
	e := &Effective{RequestedAt: rec.RequestedAt}
	e.Phase = v1alpha1.PhaseActive
	var ruling *v1alpha1.Leave
	for i := range a.Spec.Leaves {
		l := &a.Spec.Leaves[i]
		if l.StartTime.Unix() <= now.Unix() && (l.EndTime == nil || l.EndTime.Unix() > now.Unix()) {
			e.Phase = v1alpha1.PhaseOnLeave
			if ruling == nil || l.StartTime.Unix() < ruling.StartTime.Unix() {
				ruling = l
			}
		}
	}
	if em := a.Spec.Employment; em != nil {
		if em.StartTime != nil && now.Unix() < em.StartTime.Unix() {
			e.Phase, ruling = v1alpha1.PhasePending, nil
		}
		if em.EndTime != nil && now.Unix() >= em.EndTime.Unix() {
			e.Phase, e.Cause = v1alpha1.PhaseDeactivated, CauseEnded
		}
	}
	if a.Spec.State == v1alpha1.StateDeactivated {
		e.Phase, e.Cause = v1alpha1.PhaseDeactivated, CauseDeclared
	}
	if !a.DeletionTimestamp.IsZero() {
		e.Phase, e.Cause = v1alpha1.PhaseDeactivated, CauseDeleted
	}
	out := e.Phase == v1alpha1.PhaseDeactivated
	wasOut := strings.HasPrefix(string(rec.Phase), "Deactivat")
	e.GoingOut, e.ComingBack = out && !wasOut, !out && wasOut
	if out && (!wasOut || rec.RequestedAt.IsZero()) {
		e.RequestedAt = now
	}
	if e.Cause == CauseDeleted {
		e.Revoked = rec.Revoked
		return render(e)
	}

	claims := w.listing(w.groups, name)
	if slices.Contains(claims, rec.Group) {
		e.Group = rec.Group
	} else if len(claims) > 0 {
		e.Group = slices.MinFunc(claims, func(a, b string) int {
			return cmp.Or(w.groups[a].Created.Compare(w.groups[b].Created), strings.Compare(a, b))
		})
	}
	e.LostTo = slices.DeleteFunc(claims, func(g string) bool { return g == e.Group })

	// The model's own step, on copies.
	saved := w.revoked[name]
	w.revoked[name] = maps.Clone(saved)
	savedNow := w.now
	w.now = now
	w.follow(name, out)
	gone := w.revoked[name]
	w.revoked[name], w.now = saved, savedNow
	for en, since := range gone {
		e.Revoked = append(e.Revoked, Revocation{en, since})
	}
	slices.SortFunc(e.Revoked, func(a, b Revocation) int {
		return strings.Compare(string(a.Kind)+"/"+a.Name, string(b.Kind)+"/"+b.Name)
	})
	if out {
		return render(e)
	}
	for _, t := range w.listing(w.teams, name) {
		if _, is := gone[Entry{v1alpha1.EntryTeam, t}]; !is {
			e.Teams = append(e.Teams, t)
		}
	}
	if e.Phase == v1alpha1.PhasePending {
		return render(e)
	}
	if ruling != nil {
		e.PauseReason = cmp.Or(string(ruling.Reason), "Other")
	}
	if p := a.Spec.Endpoint; p != nil && w.taken(string(p.Extension), "Agent "+name, a.CreationTimestamp) == "" {
		e.Extension = string(p.Extension)
	}
	switch {
	case a.Spec.License == v1alpha1.LicenseNone:
	case w.unseated[name]:
		e.Seat = v1alpha1.SeatWaiting
	default:
		e.Seat = v1alpha1.SeatHeld
	}
	var served []string // with supervisors
	for _, qn := range slices.Sorted(maps.Keys(w.queues)) {
		q := w.queues[qn]
		if win := q.Spec.Window; win != nil && (win.StartTime != nil && now.Before(win.StartTime.Time) ||
			win.EndTime != nil && !now.Before(win.EndTime.Time)) || len(q.Status.Conditions) > 0 {
			continue
		}
		for _, x := range q.Spec.Supervisors {
			if string(x.Name) == name {
				e.Supervises = append(e.Supervises, qn)
			}
		}
		if a.Spec.License == v1alpha1.LicenseNone || w.unseated[name] {
			continue
		}
		var direct *v1alpha1.QueueEntry
		var indirect []v1alpha1.QueueEntry
		m := Membership{Queue: ViewQueue(q), Stars: 1}
		for i, x := range q.Spec.Agents {
			if _, is := gone[Entry{v1alpha1.EntryQueue, qn}]; string(x.Name) == name && !is {
				direct = &q.Spec.Agents[i]
				m.Via = append(m.Via, "Direct")
			}
		}
		for _, x := range q.Spec.Groups {
			if string(x.Name) == e.Group {
				indirect = append(indirect, x)
				m.Via = append(m.Via, "Group/"+e.Group)
			}
		}
		for _, x := range q.Spec.Teams {
			if slices.Contains(e.Teams, string(x.Name)) {
				indirect = append(indirect, x)
				m.Via = append(m.Via, "Team/"+string(x.Name))
			}
		}
		slices.Sort(m.Via)
		if direct != nil {
			indirect = []v1alpha1.QueueEntry{*direct}
		}
		offered := q.Spec.Channels
		if len(offered) == 0 {
			offered = []v1alpha1.Channel{v1alpha1.ChannelVoice}
		}
		for _, c := range []v1alpha1.Channel{"Voice", "Chat", "Email", "SMS", "Fax", "Voicemail"} {
			serves := false
			for _, x := range indirect {
				serves = serves || len(x.Channels) == 0 || slices.Contains(x.Channels, c)
				m.Stars = max(m.Stars, x.Stars)
			}
			if serves && slices.Contains(offered, c) {
				m.Channels = append(m.Channels, c)
			}
		}
		if len(m.Channels) > 0 {
			e.Queues = append(e.Queues, m)
			if len(q.Spec.Supervisors) > 0 {
				served = append(served, qn)
			}
		}
	}
	e.SpyGroups, _ = SpyGroups("acme", a.Spec.Role, e.Teams, served)
	e.Monitors, _ = Monitors("acme", a.Spec.Role, e.Teams, e.Supervises)
	return render(e)
}

// slowList reports on a group or team from the objects.
func (w *world) slowList(lists map[string]ListView, name string) ListReport {
	l, known := lists[name]
	var r ListReport
	if !known {
		return r
	}
	_, isGroup := w.groups[name]
	missing := map[string]bool{}
	for _, m := range l.Members {
		if w.agents[string(m.Name)] == nil {
			missing[string(m.Name)] = true
		}
	}
	r.Missing = slices.Sorted(maps.Keys(missing))
	r.MissingTotal = len(r.Missing)
	for _, an := range slices.Sorted(maps.Keys(w.agents)) {
		st := w.agents[an].Status
		listing := w.listing(lists, an)
		listed := slices.Contains(listing, name)
		member := string(st.Group) == name
		if !isGroup {
			member = slices.Contains(st.Teams, v1alpha1.ObjectName(name))
		}
		if member {
			r.Members++
		}
		switch {
		case member && !listed:
			r.Unsettled = true
		case !listed:
		case isGroup && !member:
			if st.Group != "" {
				r.Conflicts = append(r.Conflicts, Conflict{an, string(st.Group)})
			}
			if !slices.Contains(listing, string(st.Group)) {
				r.Unsettled = true
			}
		case isGroup:
		case st.Phase == "":
			r.Unsettled = true
		case !member && st.Phase != v1alpha1.PhaseDeactivated && st.Phase != v1alpha1.PhaseDeactivating:
			waits := false
			for _, x := range st.Revoked {
				waits = waits || x.Kind == v1alpha1.EntryTeam && string(x.Name) == name
			}
			r.Unsettled = r.Unsettled || !waits
		}
	}
	r.ConflictsTotal = len(r.Conflicts)
	return r
}

func (w *world) slowQueue(name string) QueueReport {
	q := w.queues[name]
	var r QueueReport
	if q == nil {
		return r
	}
	missing := map[string]bool{}
	for _, e := range q.Spec.Agents {
		missing["Agent "+string(e.Name)] = w.agents[string(e.Name)] == nil
	}
	for _, e := range q.Spec.Supervisors {
		missing["Agent "+string(e.Name)] = w.agents[string(e.Name)] == nil
	}
	for _, e := range q.Spec.Groups {
		_, ok := w.groups[string(e.Name)]
		missing["AgentGroup "+string(e.Name)] = !ok
	}
	for _, e := range q.Spec.Teams {
		_, ok := w.teams[string(e.Name)]
		missing["Team "+string(e.Name)] = !ok
	}
	for _, n := range slices.Sorted(maps.Keys(missing)) {
		if missing[n] {
			r.Missing = append(r.Missing, n)
		}
	}
	staff := int32(0)
	for _, a := range w.agents {
		for _, m := range a.Status.Queues {
			if string(m.Name) == name && a.Status.Phase == v1alpha1.PhaseActive {
				staff++
			}
		}
	}
	r.Short = q.Spec.MinimumStaff != nil && staff < *q.Spec.MinimumStaff
	r.ExtensionTakenBy = w.taken(string(q.Spec.Extension), "Queue "+name, q.CreationTimestamp)
	return r
}

// picture is everything that a directory answers, by name.
type picture map[string]string

func (w *world) picture(d *Directory) picture {
	p := picture{}
	for _, n := range agentNames {
		e := w.decide(d, n, w.now)
		p["Agent "+n] = render(e)
		if e != nil {
			p["Agent "+n] += " color=" + d.GroupColor(e.Group)
		}
	}
	for _, n := range groupNames {
		p["Group "+n] = fmt.Sprintf("%+v", d.Group(n, 50))
	}
	for _, n := range teamNames {
		p["Team "+n] = fmt.Sprintf("%+v", d.Team(n, 50))
	}
	for _, n := range queueNames {
		p["Queue "+n] = fmt.Sprintf("%+v", d.Queue(n))
	}
	return p
}

// rest is what no reconcile rests on, and yet must not depend on the order of events.
func (w *world) rest(d *Directory) string {
	var users []string
	for _, s := range append(secrets, "ben-sip", "none") {
		users = append(users, fmt.Sprintf("%s=%v", s, d.SecretUsers(s)))
	}
	return fmt.Sprintf("%v %v %+v %v", d.Agents(), d.Queues(), d.Counts(), users)
}

func (w *world) slowRest() string {
	c := v1alpha1.CenterCounts{
		Agents: int32(len(w.agents)), Groups: int32(len(w.groups)), Teams: int32(len(w.teams)), Queues: int32(len(w.queues)),
	}
	using := map[string][]string{}
	use := func(secret, agent string) {
		if !slices.Contains(using[secret], agent) {
			using[secret] = append(using[secret], agent)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(w.agents)) {
		a := w.agents[n]
		switch a.Status.Phase {
		case v1alpha1.PhaseActive:
			c.Active++
		case v1alpha1.PhaseOnLeave:
			c.OnLeave++
		case v1alpha1.PhasePending:
			c.Pending++
		case v1alpha1.PhaseDeactivated, v1alpha1.PhaseDeactivating:
			c.Deactivated++
		}
		p := a.Spec.Endpoint
		if p == nil || p.PasswordSecretRef == nil {
			use(n+"-sip", n)
		} else {
			use(p.PasswordSecretRef.Name, n)
		}
		if p != nil && p.Voicemail != nil {
			use(p.Voicemail.PINSecretRef.Name, n)
		}
	}
	var users []string
	for _, s := range append(secrets, "ben-sip", "none") {
		users = append(users, fmt.Sprintf("%s=%v", s, using[s]))
	}
	return fmt.Sprintf("%v %v %+v %v", slices.Sorted(maps.Keys(w.agents)), slices.Sorted(maps.Keys(w.queues)), c, users)
}

// scratch builds a directory of the same objects in another order.
func (w *world) scratch(t *rapid.T) *Directory {
	d := NewDirectory()
	var steps []func()
	for _, n := range slices.Sorted(maps.Keys(w.agents)) {
		steps = append(steps, func() { d.SetAgent(ViewAgent(w.agents[n])) })
	}
	for _, n := range slices.Sorted(maps.Keys(w.groups)) {
		steps = append(steps, func() { d.SetGroup(w.groups[n]) })
	}
	for _, n := range slices.Sorted(maps.Keys(w.teams)) {
		steps = append(steps, func() { d.SetTeam(w.teams[n]) })
	}
	for _, n := range slices.Sorted(maps.Keys(w.queues)) {
		steps = append(steps, func() { d.SetQueue(w.queues[n]) })
	}
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
	random.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	for _, step := range steps {
		step()
	}
	return d
}

// event applies one change and holds the directory to what it said of whom the change touches.
func (w *world) event(t *rapid.T, change func() Affected) {
	before := w.picture(w.d)
	touched := change()
	after := w.picture(w.d)
	named := map[string]bool{}
	for kind, names := range map[string][]string{
		"Agent ": touched.Agents, "Group ": touched.Groups, "Team ": touched.Teams, "Queue ": touched.Queues,
	} {
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Fatalf("affected %s is not a sorted set: %v", kind, names)
		}
		for _, n := range names {
			named[kind+n] = true
		}
	}
	for name := range after {
		if before[name] != after[name] && !named[name] {
			t.Fatalf("%s was forgotten:\nbefore %s\nafter  %s", name, before[name], after[name])
		}
	}
}

func (w *world) check(t *rapid.T) {
	now := w.picture(w.d)
	if other := w.picture(w.scratch(t)); !maps.Equal(now, other) {
		for k := range now {
			if now[k] != other[k] {
				t.Errorf("%s depends on the order:\nalong the way %s\nfrom scratch  %s", k, now[k], other[k])
			}
		}
		t.FailNow()
	}
	if got, want := w.rest(w.d), w.slowRest(); got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	for _, n := range groupNames {
		if got, want := now["Group "+n], fmt.Sprintf("%+v", w.slowList(w.groups, n)); got != want {
			t.Fatalf("group %s: got %s, want %s", n, got, want)
		}
	}
	for _, n := range teamNames {
		if got, want := now["Team "+n], fmt.Sprintf("%+v", w.slowList(w.teams, n)); got != want {
			t.Fatalf("team %s: got %s, want %s", n, got, want)
		}
	}
	for _, n := range queueNames {
		if got, want := now["Queue "+n], fmt.Sprintf("%+v", w.slowQueue(n)); got != want {
			t.Fatalf("queue %s: got %s, want %s", n, got, want)
		}
	}
	for _, n := range agentNames {
		w.checkAgent(t, n)
	}
	w.checkMonitoring(t)
}

// checkMonitoring: whoever works hears exactly whom the rules say, of what is in effect for both.
func (w *world) checkMonitoring(t *rapid.T) {
	people, decisions := map[string]Monitored{}, map[string]*Effective{}
	for _, n := range agentNames {
		e := w.decide(w.d, n, w.now)
		if e == nil {
			continue
		}
		m := Monitored{Center: "acme", Name: n, Phase: e.Phase, Role: w.agents[n].Spec.Role, Teams: e.Teams, Supervises: e.Supervises}
		for _, q := range e.Queues {
			m.Queues = append(m.Queues, q.Queue.Name)
		}
		people[n], decisions[n] = m, e
	}
	for listener := range people {
		for target := range people {
			if listener == target {
				continue
			}
			may := MayMonitor(people[listener], people[target])
			if got := Shares(decisions[target].SpyGroups, decisions[listener].Monitors); got != may {
				t.Fatalf("%s may listen to %s: %t, labels say %t\n%s\n%s", listener, target, may, got,
					render(decisions[listener]), render(decisions[target]))
			}
		}
	}
}

func (w *world) checkAgent(t *rapid.T, name string) {
	e := w.decide(w.d, name, w.now)
	if got, want := render(e), w.slowly(name, w.now); got != want {
		t.Fatalf("%s:\ngot  %s\nwant %s", name, got, want)
	}
	if e == nil {
		return
	}

	// O3: at most one group, and one that lists the person.
	claims := w.listing(w.groups, name)
	if (e.Group == "") != (len(claims) == 0) || e.Group != "" && !slices.Contains(claims, e.Group) {
		t.Fatalf("%s is held by %q of %v", name, e.Group, claims)
	}
	if r := w.recorded[name]; slices.Contains(claims, r.Group) && e.Group != r.Group {
		t.Fatalf("%s went from %q to %q, although %q lists them still", name, r.Group, e.Group, r.Group)
	}
	for _, m := range e.Queues {
		for _, via := range m.Via {
			if g, ok := strings.CutPrefix(via, "Group/"); ok && g != e.Group {
				t.Fatalf("%s counts in %q for a queue, and is in %q", name, g, e.Group)
			}
		}
	}
	// C1: who may not work has nothing.
	if !Working(e.Phase) && (len(e.Queues) > 0 || e.Extension != "" || e.PauseReason != "" ||
		len(e.Supervises) > 0 || e.SpyGroups != "" || e.Monitors != "") {
		t.Fatalf("%s is %s and yet %s", name, e.Phase, render(e))
	}
	if e.Phase == v1alpha1.PhaseDeactivated && len(e.Teams) > 0 || w.agents[name].Spec.License == v1alpha1.LicenseNone && len(e.Queues) > 0 {
		t.Fatalf("%s has what they may not have: %s", name, render(e))
	}
	// G7: what is revoked has no effect.
	for _, r := range e.Revoked {
		if r.Kind == v1alpha1.EntryTeam && slices.Contains(e.Teams, r.Name) {
			t.Fatalf("%s is back in team %s", name, r.Name)
		}
		for _, m := range e.Queues {
			if r.Kind == v1alpha1.EntryQueue && m.Queue.Name == r.Name && slices.Contains(m.Via, "Direct") ||
				r.Kind == v1alpha1.EntryTeam && slices.Contains(m.Via, "Team/"+r.Name) {
				t.Fatalf("%s is back in queue %s by %v", name, m.Queue.Name, m.Via)
			}
		}
	}

	// A second computation changes nothing.
	saved := w.recorded[name]
	w.recorded[name] = feedback(e, e.Phase)
	again := w.decide(w.d, name, w.now)
	w.recorded[name] = saved
	if again.GoingOut || again.ComingBack {
		t.Fatalf("%s turns a second time", name)
	}
	again.GoingOut, again.ComingBack = e.GoingOut, e.ComingBack
	if render(again) != render(e) || !again.Next.Equal(e.Next) {
		t.Fatalf("%s:\nfirst  %s\nsecond %s", name, render(e), render(again))
	}

	// B1: nothing changes by itself before the moment that was named.
	until := e.Next
	if until.IsZero() {
		until = w.now.Add(20 * time.Second)
	} else if !until.After(w.now) {
		t.Fatalf("%s: next %s is not after %s", name, until, w.now)
	}
	w.recorded[name] = feedback(e, e.Phase) // the first decision is written at once
	want := render(w.decide(w.d, name, w.now))
	for m := w.now.Add(time.Second); m.Before(until); m = m.Add(time.Second) {
		if got := render(w.decide(w.d, name, m)); got != want {
			t.Fatalf("%s changed at %s, before %s:\nthen %s\nnow  %s", name, m, until, got, want)
		}
	}
	w.recorded[name] = saved
}

// TestHistoriesO3C1G7B1 drives random histories of a centre, and holds the directory and the rules to a slow model after each event:
// O3, C1, C3, C5, G3, G4, G7, S9, B1, B2 as far as rules go, rule 1 (holders stay), rule 4 (nothing comes back silently).
func TestHistoriesO3C1G7B1(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		// Begin with a centre, not with nothing.
		for _, n := range groupNames {
			w.groups[n] = drawList(t, n, ListView{})
			w.d.SetGroup(w.groups[n])
		}
		for _, n := range teamNames {
			w.teams[n] = drawList(t, n, ListView{})
			w.d.SetTeam(w.teams[n])
		}
		for _, n := range queueNames {
			q := w.drawQueue(t, n)
			q.Spec.Agents = drawEntries(t, "agent", agentNames)
			q.Spec.Groups = drawEntries(t, "group", groupNames)
			w.queues[n] = q
			w.d.SetQueue(q)
		}
		agent := rapid.SampledFrom(agentNames)
		setAgent := func(t *rapid.T) {
			n := agent.Draw(t, "agent")
			w.event(t, func() Affected {
				old := w.agents[n]
				w.agents[n] = w.drawAgent(t, n)
				touched := w.d.SetAgent(ViewAgent(w.agents[n]))
				sameClaim := old != nil && old.CreationTimestamp.Equal(&w.agents[n].CreationTimestamp) &&
					ViewAgent(old).Extension == ViewAgent(w.agents[n]).Extension
				if sameClaim && !slices.Equal(touched.Agents, []string{n}) {
					t.Fatalf("an edit of %s touched %v", n, touched.Agents)
				}
				return touched
			})
		}
		reconcile := func(t *rapid.T) {
			n := agent.Draw(t, "agent")
			if w.agents[n] != nil {
				w.event(t, func() Affected { return w.reconcile(n, rapid.Bool().Draw(t, "deactivating")) })
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"agent": setAgent, "agent again": setAgent,
			"reconcile": reconcile, "reconcile again": reconcile,
			"reconcile all": func(t *rapid.T) {
				for _, n := range agentNames {
					if w.agents[n] != nil {
						w.event(t, func() Affected { return w.reconcile(n, false) })
					}
				}
			},
			"agent gone": func(t *rapid.T) {
				if n := agent.Draw(t, "agent"); rapid.IntRange(0, 2).Draw(t, "really") == 0 {
					w.event(t, func() Affected {
						delete(w.agents, n)
						if rapid.Bool().Draw(t, "forgotten") { // else a record outlives the person
							delete(w.recorded, n)
							delete(w.revoked, n)
						}
						return w.d.RemoveAgent(n)
					})
				}
			},
			"group": func(t *rapid.T) {
				n := rapid.SampledFrom(groupNames).Draw(t, "group")
				w.event(t, func() Affected {
					w.groups[n] = drawList(t, n, w.groups[n])
					return w.d.SetGroup(w.groups[n])
				})
			},
			"group gone": func(t *rapid.T) {
				n := rapid.SampledFrom(groupNames).Draw(t, "group")
				w.event(t, func() Affected { delete(w.groups, n); return w.d.RemoveGroup(n) })
			},
			"team": func(t *rapid.T) {
				n := rapid.SampledFrom(teamNames).Draw(t, "team")
				w.event(t, func() Affected {
					w.teams[n] = drawList(t, n, w.teams[n])
					return w.d.SetTeam(w.teams[n])
				})
			},
			"team gone": func(t *rapid.T) {
				n := rapid.SampledFrom(teamNames).Draw(t, "team")
				w.event(t, func() Affected { delete(w.teams, n); return w.d.RemoveTeam(n) })
			},
			"queue": func(t *rapid.T) {
				n := rapid.SampledFrom(queueNames).Draw(t, "queue")
				w.event(t, func() Affected {
					w.queues[n] = w.drawQueue(t, n)
					return w.d.SetQueue(w.queues[n])
				})
			},
			"queue renamed": func(t *rapid.T) {
				n := rapid.SampledFrom(queueNames).Draw(t, "queue")
				if q := w.queues[n]; q != nil {
					w.event(t, func() Affected {
						q = q.DeepCopy()
						q.Spec.DisplayName, q.Spec.Strategy = "Other", v1alpha1.StrategyRingAll
						w.queues[n] = q
						touched := w.d.SetQueue(q)
						if len(touched.Agents)+len(touched.Groups)+len(touched.Teams) > 0 {
							t.Fatalf("a queue's display name and strategy touched %v", touched)
						}
						return touched
					})
				}
			},
			"queue gone": func(t *rapid.T) {
				n := rapid.SampledFrom(queueNames).Draw(t, "queue")
				w.event(t, func() Affected { delete(w.queues, n); return w.d.RemoveQueue(n) })
			},
			"time": func(t *rapid.T) {
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 4).Draw(t, "seconds")) * time.Second)
			},
			"policy": func(t *rapid.T) {
				w.policy = rapid.SampledFrom([]v1alpha1.OnReactivation{"", v1alpha1.OnReactivationReadd, v1alpha1.OnReactivationRestore}).Draw(t, "policy")
			},
			"seat": func(t *rapid.T) {
				n := agent.Draw(t, "agent")
				w.unseated[n] = !w.unseated[n]
			},
			"restart": func(t *rapid.T) { w.d = w.scratch(t) },
			"":        w.check,
		})
	})
}
