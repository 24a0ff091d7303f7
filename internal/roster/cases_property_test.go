package roster

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"roster.dev/roster/api/v1alpha1"
)

var (
	caseNames  = []string{"c0", "c1", "c2", "c3", "c4", "c5"}
	casePhones = []v1alpha1.PhoneNumber{"+390699999001", "+390699999002", "0699999003"}
)

// editPerson changes one thing of a person, as their own reconcile and their declaration do.
func (o *office) editPerson(t *rapid.T) Affected {
	name := rapid.SampledFrom(agentNames).Draw(t, "person")
	if o.agents[name] != nil && rapid.IntRange(0, 11).Draw(t, "delete") == 0 {
		delete(o.agents, name)
		return o.d.RemoveAgent(name)
	}
	return o.setAgent(name, func(a *v1alpha1.Agent) {
		if a.Status.Phase == "" && rapid.Bool().Draw(t, "works") {
			a.Status.Phase, a.Status.Seat = v1alpha1.PhaseActive, v1alpha1.SeatHeld
		}
		switch rapid.SampledFrom([]string{"leave", "leave", "out", "out", "back", "seat", "group", "group", "license", "pending"}).Draw(t, "edit") {
		case "leave":
			if a.Status.Phase != v1alpha1.PhaseActive {
				break
			}
			a.Status.Phase = v1alpha1.PhaseOnLeave
			a.Spec.Leaves = []v1alpha1.Leave{{
				StartTime: metav1.NewTime(o.now.Add(-time.Second)), Reason: v1alpha1.ReasonVacation,
				Backup: v1alpha1.AgentName(rapid.SampledFrom(append(agentNames, "", "nobody")).Draw(t, "backup")),
			}}
		case "out":
			if Out(a.Status.Phase) {
				break
			}
			a.Status.Phase, a.Status.Seat = v1alpha1.PhaseDeactivating, ""
			requested := metav1.NewTime(o.now.Truncate(time.Second))
			a.Status.Deactivation = &v1alpha1.Deactivation{RequestedAt: &requested}
		case "back":
			a.Status.Phase, a.Spec.Leaves = v1alpha1.PhaseActive, nil
		case "seat":
			a.Status.Seat = rapid.SampledFrom([]v1alpha1.SeatState{v1alpha1.SeatHeld, v1alpha1.SeatWaiting}).Draw(t, "seat")
		case "group":
			a.Status.Group = v1alpha1.ObjectName(rapid.SampledFrom([]string{"", "east", "north"}).Draw(t, "group"))
		case "license":
			a.Spec.License = rapid.SampledFrom([]v1alpha1.License{v1alpha1.LicenseSeat, v1alpha1.LicenseNone}).Draw(t, "license")
		case "pending":
			a.Status.Phase = v1alpha1.PhasePending
		}
	})
}

func (o *office) editCase(t *rapid.T) Affected {
	name := rapid.SampledFrom(caseNames).Draw(t, "case")
	if o.cases[name] != nil && rapid.IntRange(0, 9).Draw(t, "delete") == 0 {
		delete(o.cases, name)
		return o.d.RemoveCase(name)
	}
	return o.setCase(name, func(s *v1alpha1.CaseAssignmentSpec) {
		switch rapid.SampledFrom([]string{"assignees", "assignees", "group", "fallback", "state", "phones", "title"}).Draw(t, "edit") {
		case "assignees":
			names := rapid.Permutation(append(agentNames, "nobody")).Draw(t, "assignees")
			s.Assignees = assignees(names[:rapid.IntRange(0, 3).Draw(t, "how many")]...)
		case "group":
			s.Group = v1alpha1.ObjectName(rapid.SampledFrom([]string{"", "east", "north", "nowhere"}).Draw(t, "group"))
		case "fallback":
			s.Fallback = rapid.SampledFrom([][]v1alpha1.Fallback{
				nil, {v1alpha1.FallbackBackup}, {v1alpha1.FallbackGroup, v1alpha1.FallbackBackup}, {v1alpha1.FallbackBackup, v1alpha1.FallbackGroup},
			}).Draw(t, "fallback")
		case "state":
			s.State = rapid.SampledFrom([]v1alpha1.CaseState{v1alpha1.CaseOpen, v1alpha1.CaseCompleted}).Draw(t, "state")
		case "phones":
			s.Client = &v1alpha1.Client{ID: "C", Phones: rapid.Permutation(casePhones).Draw(t, "phones")[:rapid.IntRange(0, 2).Draw(t, "how many")]}
		case "title":
			s.Case = &v1alpha1.Case{ID: rapid.SampledFrom([]string{"X-1", "X-2"}).Draw(t, "id")}
		}
	})
}

// able says slowly whether a person can take cases.
func (o *office) able(name string) bool {
	a := o.agents[name]
	return a != nil && a.Status.Phase == v1alpha1.PhaseActive && a.Spec.License != v1alpha1.LicenseNone && a.Status.Seat != v1alpha1.SeatWaiting
}

// candidates are those of a group who can take cases, with how many each holds.
func (o *office) candidates(group string) map[string]int {
	found := map[string]int{}
	for name, a := range o.agents {
		if group != "" && string(a.Status.Group) == group && o.able(name) {
			found[name] = 0
		}
	}
	for _, c := range o.cases {
		for _, h := range c.Status.Assignees {
			if _, is := found[string(h.Name)]; is {
				found[string(h.Name)]++
			}
		}
	}
	return found
}

// check makes sure of what is promised, from the objects alone.
func (o *office) check(t *rapid.T, separate bool) {
	open, unassigned := int32(0), int32(0)
	for name, c := range o.cases {
		st := &c.Status
		if c.Spec.State == v1alpha1.CaseCompleted {
			if st.Phase != v1alpha1.CasePhaseCompleted || len(st.Assignees) > 0 {
				t.Fatalf("%s is completed: %s, %v", name, st.Phase, st.Assignees)
			}
			continue
		}
		open++
		declared := c.Spec.Assignees
		if separate {
			declared = declared[:min(len(declared), 1)]
		}
		if (st.Phase == v1alpha1.CaseUnassigned) != (len(st.Assignees) == 0) {
			t.Fatalf("%s is %s with %v", name, st.Phase, st.Assignees)
		}
		for _, h := range st.Assignees {
			if !o.able(string(h.Name)) {
				t.Fatalf("%s is held by %s, who cannot", name, h.Name)
			}
		}
		if separate && len(st.Assignees) > 1 {
			t.Fatalf("%s has %v with separate operators", name, st.Assignees)
		}
		for i := range declared {
			is := slices.ContainsFunc(st.Assignees, func(h v1alpha1.EffectiveAssignee) bool { return h.Name == declared[i].Name })
			if i > 0 && is != o.able(string(declared[i].Name)) {
				t.Fatalf("%s declares %s, able: %v; holders %v", name, declared[i].Name, o.able(string(declared[i].Name)), st.Assignees)
			}
		}
		if st.Phase != v1alpha1.CaseUnassigned {
			continue
		}
		unassigned++
		for i := range declared {
			if o.able(string(declared[i].Name)) {
				t.Fatalf("%s is nobody's, and %s is able", name, declared[i].Name)
			}
		}
		if slices.Contains(c.Spec.Fallback, v1alpha1.FallbackGroup) && len(o.candidates(string(c.Spec.Group))) > 0 {
			t.Fatalf("%s is nobody's, and group %s has somebody", name, c.Spec.Group)
		}
		if len(declared) > 0 && slices.Contains(c.Spec.Fallback, v1alpha1.FallbackBackup) {
			a := o.agents[string(declared[0].Name)]
			if a != nil && a.Status.Phase == v1alpha1.PhaseOnLeave && len(a.Spec.Leaves) > 0 && o.able(string(a.Spec.Leaves[0].Backup)) {
				t.Fatalf("%s is nobody's, and the backup %s is able", name, a.Spec.Leaves[0].Backup)
			}
		}
	}
	if n := o.d.Counts(); n.Cases != open || n.UnassignedCases != unassigned {
		t.Fatalf("counted %d open and %d unassigned, not %d and %d", n.Cases, n.UnassignedCases, open, unassigned)
	}
	for _, group := range []string{"east", "north"} {
		candidates := o.candidates(group)
		best := o.d.idlest(group)
		if _, is := candidates[best]; is != (len(candidates) > 0) {
			t.Fatalf("idlest of %s is %q of %v", group, best, candidates)
		}
		for name, n := range candidates {
			if n < candidates[best] || n == candidates[best] && name < best {
				t.Fatalf("idlest of %s is %q, not %q: %v", group, best, name, candidates)
			}
		}
	}
}

// replay is who holds a case by its history.
func replay(history []v1alpha1.HistoryEntry) (responsible string, others map[string]bool, err error) {
	others = map[string]bool{}
	for i, h := range history {
		if i > 0 && h.Time.Time.Before(history[i-1].Time.Time) {
			return "", nil, fmt.Errorf("entry %d is older than the one before", i)
		}
		switch {
		case h.Type == HistoryResponsible:
			if responsible != h.From {
				return "", nil, fmt.Errorf("entry %d is from %s, and %s was responsible", i, h.From, responsible)
			}
			responsible = h.To
			delete(others, h.To)
		case h.To != "":
			others[h.To] = true
		default:
			delete(others, h.From)
		}
	}
	return responsible, others, nil
}

func (o *office) checkHistory(t *rapid.T) {
	for name, c := range o.cases {
		responsible, others, err := replay(c.Status.History)
		if err != nil {
			t.Fatalf("history of %s: %v", name, err)
		}
		for i, h := range c.Status.Assignees {
			if i == 0 {
				if string(h.Name) != responsible {
					t.Fatalf("%s is held by %s, and by its history by %s: %+v", name, h.Name, responsible, c.Status.History)
				}
				continue
			}
			if !others[string(h.Name)] {
				t.Fatalf("%s is held by %s beside, and its history does not know: %+v", name, h.Name, c.Status.History)
			}
			delete(others, string(h.Name))
		}
		if len(c.Status.Assignees) == 0 && responsible != "" || len(others) > 0 {
			t.Fatalf("%s: its history has %s and %v, who do not hold it", name, responsible, others)
		}
	}
}

// Whatever happens in whatever order, and with a manager killed in between, open cases are held by somebody able, or
// marked as nobody's for good reason, and what a change touches is all that it concerns.
func TestCasesProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newOffice()
		for _, g := range []string{"east", "north"} {
			o.groups[g] = ListView{Name: g}
			o.d.SetGroup(o.groups[g])
		}
		separate, country := false, ""
		pending := map[string]bool{}
		touch := func(a Affected) {
			for _, name := range a.Cases {
				pending[name] = true
			}
		}
		touch(o.d.SetCasePolicy(separate, country))
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			o.now = o.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
			switch rapid.SampledFrom([]string{"person", "person", "person", "case", "case", "case", "restart", "policy", "work", "group"}).Draw(t, "step") {
			case "person":
				touch(o.editPerson(t))
			case "case":
				touch(o.editCase(t))
			case "policy":
				separate = rapid.Bool().Draw(t, "separate")
				country = rapid.SampledFrom([]string{"", "IT"}).Draw(t, "country")
				touch(o.d.SetCasePolicy(separate, country))
			case "group":
				g := rapid.SampledFrom([]string{"east", "north"}).Draw(t, "group")
				if _, there := o.groups[g]; there {
					delete(o.groups, g)
					touch(o.d.RemoveGroup(g))
				} else {
					o.groups[g] = ListView{Name: g}
					touch(o.d.SetGroup(o.groups[g]))
				}
			case "restart": // in the middle of the work: everybody is looked at again
				o.restart()
				touch(o.d.SetCasePolicy(separate, country))
				for name := range o.cases {
					pending[name] = true
				}
			}
			// A worker comes to some of what is pending, or to all.
			names := rapid.Permutation(slices.Sorted(maps.Keys(pending))).Draw(t, "order")
			if rapid.Bool().Draw(t, "some wait") && len(names) > 1 {
				names = names[:len(names)/2]
			}
			for _, name := range names {
				if o.cases[name] != nil {
					if rapid.IntRange(0, 9).Draw(t, "write fails") == 0 {
						o.d.DecideCase(name, o.now)
						continue
					}
					o.write(name)
				}
				delete(pending, name)
			}
			if len(pending) == 0 {
				o.check(t, separate)
				o.checkHistory(t)
			}
		}
		for name := range pending {
			if o.cases[name] != nil {
				o.write(name)
			}
		}
		o.check(t, separate)
		o.checkHistory(t)
		o.settledAfterRestart(t, separate, country)
	})
}

// settledAfterRestart makes sure that a restart changes nothing, and that callers' rows are as before.
func (o *office) settledAfterRestart(t *rapid.T, separate bool, country string) {
	before := o.d
	o.restart()
	o.d.SetCasePolicy(separate, country)
	for _, name := range rapid.Permutation(slices.Sorted(maps.Keys(o.cases))).Draw(t, "order after a restart") {
		r, _, _ := o.d.DecideCase(name, o.now)
		st := &o.cases[name].Status
		if r.Phase != st.Phase || !slices.Equal(r.Holders, st.Assignees) {
			t.Fatalf("%s was %s %v; after a restart it is %s %v", name, st.Phase, st.Assignees, r.Phase, r.Holders)
		}
	}
	if !slices.Equal(before.Phones(), o.d.Phones()) || !slices.Equal(before.StickyGroups(), o.d.StickyGroups()) {
		t.Fatalf("callers %v, groups %v; after a restart %v, %v", before.Phones(), before.StickyGroups(), o.d.Phones(), o.d.StickyGroups())
	}
	for _, phone := range o.d.Phones() {
		was, _, decided := before.Sticky(phone)
		is, known, ok := o.d.Sticky(phone)
		if !decided || !ok || !known || was != is {
			t.Fatalf("the row of %s was %+v; after a restart it is %+v", phone, was, is)
		}
	}
}
