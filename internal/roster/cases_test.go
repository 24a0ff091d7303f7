package roster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
)

// team of colleagues as a table says they are.
type crew struct {
	out     map[string]v1alpha1.CoverCause
	putOuts map[string]time.Time
	backups map[string]string
	idle    map[string]string
}

func (c crew) unable(agent string) v1alpha1.CoverCause { return c.out[agent] }
func (c crew) putOut(agent string) time.Time           { return c.putOuts[agent] }
func (c crew) idlest(group string) string              { return c.idle[group] }
func (c crew) backup(agent string, _ time.Time) (string, time.Time) {
	return c.backups[agent], at("18:00:00")
}

func assignees(names ...string) []v1alpha1.Assignee {
	var list []v1alpha1.Assignee
	for _, n := range names {
		list = append(list, v1alpha1.Assignee{Name: v1alpha1.AgentName(n)})
	}
	return list
}

// show is a decision in a line: phase, then each holder with the way, whom they cover and why.
func (d *CaseDecision) show() string {
	var b strings.Builder
	b.WriteString(string(d.Phase))
	for _, h := range d.Holders {
		fmt.Fprintf(&b, " %s/%s", h.Name, h.Via)
		if h.Covers != "" {
			fmt.Fprintf(&b, "(%s %s)", h.Covers, h.Cause)
		}
	}
	return b.String()
}

func holder(name string, via v1alpha1.AssignedVia, covers string, cause v1alpha1.CoverCause, since string) v1alpha1.EffectiveAssignee {
	return v1alpha1.EffectiveAssignee{
		Name: v1alpha1.AgentName(name), Via: via, Covers: v1alpha1.AgentName(covers), Cause: cause, Since: metav1.NewTime(at(since)),
	}
}

func TestDecideCaseV1V6B2O8(t *testing.T) {
	leave := map[string]v1alpha1.CoverCause{"ada": v1alpha1.CauseOnLeave}
	gone := map[string]v1alpha1.CoverCause{"ada": v1alpha1.CauseDeactivated}
	both := []v1alpha1.Fallback{v1alpha1.FallbackBackup, v1alpha1.FallbackGroup}
	north := map[string]string{"north": "nora"}
	covered := func(via v1alpha1.AssignedVia, name string, cause v1alpha1.CoverCause) []v1alpha1.EffectiveAssignee {
		return []v1alpha1.EffectiveAssignee{holder(name, via, "ada", cause, "09:00:00")}
	}
	tests := []struct {
		name, reason string
		declared     []string
		group        string
		fallback     []v1alpha1.Fallback
		separate     bool
		completed    bool
		held         []v1alpha1.EffectiveAssignee
		crew         crew
		want         string
		unable       string
	}{
		{name: "Declared", reason: "who is declared and able holds it, the first as the responsible one",
			declared: []string{"ada", "ben"}, want: "Assigned ada/Declared ben/Declared"},
		{name: "OthersStay", reason: "who cannot take it is named, the others are assigned",
			declared: []string{"ada", "ben", "cy"}, crew: crew{out: map[string]v1alpha1.CoverCause{"ben": v1alpha1.CauseNoSeat, "cy": v1alpha1.CauseUnknown}},
			want: "Assigned ada/Declared", unable: "ben NoSeat, cy Unknown"},
		{name: "NextDeclared", reason: "where the fallback finds nobody the next declared person is responsible",
			declared: []string{"ada", "ben"}, fallback: both, crew: crew{out: gone},
			want: "Assigned ben/Declared(ada Deactivated)", unable: "ada Deactivated"},
		{name: "Separate", reason: "with separate operators only the first takes effect",
			declared: []string{"ada", "ben"}, separate: true, want: "Assigned ada/Declared"},
		{name: "SeparateCover", reason: "and the second does not cover for the first",
			declared: []string{"ada", "ben"}, separate: true, fallback: both, crew: crew{out: gone}, want: "Unassigned", unable: "ada Deactivated"},
		{name: "Backup", reason: "the backup of the leave covers", declared: []string{"ada"}, group: "north", fallback: both,
			crew: crew{out: leave, backups: map[string]string{"ada": "ben"}, idle: north}, want: "Covered ben/Backup(ada OnLeave)", unable: "ada OnLeave"},
		{name: "Order", reason: "the fallback's order counts", declared: []string{"ada"}, group: "north",
			fallback: []v1alpha1.Fallback{v1alpha1.FallbackGroup, v1alpha1.FallbackBackup},
			crew:     crew{out: leave, backups: map[string]string{"ada": "ben"}, idle: north}, want: "Covered nora/Group(ada OnLeave)", unable: "ada OnLeave"},
		{name: "Chain", reason: "a backup who is away too is passed over", declared: []string{"ada"}, group: "north", fallback: both,
			crew: crew{out: map[string]v1alpha1.CoverCause{"ada": v1alpha1.CauseOnLeave, "ben": v1alpha1.CauseOnLeave},
				backups: map[string]string{"ada": "ben", "ben": "cy"}, idle: north}, want: "Covered nora/Group(ada OnLeave)", unable: "ada OnLeave"},
		{name: "Circle", reason: "two who back each other up, both away, leave it to nobody", declared: []string{"ada"}, fallback: both,
			crew: crew{out: map[string]v1alpha1.CoverCause{"ada": v1alpha1.CauseOnLeave, "ben": v1alpha1.CauseOnLeave},
				backups: map[string]string{"ada": "ben", "ben": "ada"}}, want: "Unassigned", unable: "ada OnLeave"},
		{name: "NoBackupOfTheGone", reason: "a backup is of a leave: of somebody deactivated the group takes it", declared: []string{"ada"}, group: "north", fallback: both,
			crew: crew{out: gone, backups: map[string]string{"ada": "ben"}, idle: north}, want: "Covered nora/Group(ada Deactivated)", unable: "ada Deactivated"},
		{name: "NoFallback", reason: "without a fallback it is nobody's", declared: []string{"ada"}, group: "north",
			crew: crew{out: gone, idle: north}, want: "Unassigned", unable: "ada Deactivated"},
		{name: "GroupOnly", reason: "a case of a group alone is assigned within it", group: "north", fallback: both,
			crew: crew{idle: north}, want: "Assigned nora/Group"},
		{name: "Stays", reason: "who covers and is able stays, though the backup is able now and others are idler",
			declared: []string{"ada"}, group: "north", fallback: both, held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseOnLeave),
			crew: crew{out: leave, backups: map[string]string{"ada": "ben"}, idle: north}, want: "Covered zoe/Group(ada OnLeave)", unable: "ada OnLeave"},
		{name: "MovesOn", reason: "who covers and is no more able is covered in turn",
			declared: []string{"ada"}, group: "north", fallback: both, held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseOnLeave),
			crew: crew{out: map[string]v1alpha1.CoverCause{"ada": v1alpha1.CauseOnLeave, "zoe": v1alpha1.CauseDeactivated}, idle: north},
			want: "Covered nora/Group(ada OnLeave)", unable: "ada OnLeave"},
		{name: "BackAfterLeave", reason: "after the leave it is back", declared: []string{"ada"}, group: "north", fallback: both,
			held: covered(v1alpha1.ViaBackup, "ben", v1alpha1.CauseOnLeave), crew: crew{idle: north}, want: "Assigned ada/Declared"},
		{name: "BackWithASeat", reason: "and with a seat", declared: []string{"ada"}, fallback: both,
			held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseNoSeat), group: "north", want: "Assigned ada/Declared"},
		{name: "NotBackAfterDeactivation", reason: "after a deactivation it stays", declared: []string{"ada", "cy"}, group: "north", fallback: both,
			held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseDeactivated), crew: crew{idle: north}, want: "Covered zoe/Group(ada Deactivated) cy/Declared"},
		{name: "NotBackUnseen", reason: "also where the deactivation came and went during the cover of a leave, unseen",
			declared: []string{"ada"}, group: "north", fallback: both, held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseOnLeave),
			crew: crew{putOuts: map[string]time.Time{"ada": at("10:00:00")}}, want: "Covered zoe/Group(ada Deactivated)"},
		{name: "BackDespiteHistory", reason: "a deactivation before the cover began does not count",
			declared: []string{"ada"}, group: "north", fallback: both, held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseOnLeave),
			crew: crew{putOuts: map[string]time.Time{"ada": at("08:00:00")}}, want: "Assigned ada/Declared"},
		{name: "DeactivatedOnLeave", reason: "who is put out during a leave does not come back to it", declared: []string{"ada"}, group: "north", fallback: both,
			held: covered(v1alpha1.ViaBackup, "ben", v1alpha1.CauseOnLeave), crew: crew{out: gone, idle: north},
			want: "Covered ben/Backup(ada Deactivated)", unable: "ada Deactivated"},
		{name: "DeletedHolder", reason: "who was deleted while holding it is as one deactivated", declared: []string{"ada"}, group: "north", fallback: both,
			held: []v1alpha1.EffectiveAssignee{holder("ada", v1alpha1.ViaDeclared, "", "", "09:00:00")},
			crew: crew{out: map[string]v1alpha1.CoverCause{"ada": v1alpha1.CauseUnknown}, idle: north}, want: "Covered nora/Group(ada Deactivated)", unable: "ada Unknown"},
		{name: "NeverDropped", reason: "where nobody else is able the one who was deactivated and is back has it rather than nobody",
			declared: []string{"ada"}, fallback: both, group: "north", held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseDeactivated),
			crew: crew{out: map[string]v1alpha1.CoverCause{"zoe": v1alpha1.CauseDeactivated}}, want: "Assigned ada/Declared"},
		{name: "Redeclared", reason: "who is declared in the place of the one who was put out has it", declared: []string{"ben"}, group: "north", fallback: both,
			held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseDeactivated), crew: crew{idle: north}, want: "Assigned ben/Declared"},
		{name: "WayClosed", reason: "a cover by a way that is declared no more ends", declared: []string{"ada"}, group: "north",
			fallback: []v1alpha1.Fallback{v1alpha1.FallbackBackup}, held: covered(v1alpha1.ViaGroup, "zoe", v1alpha1.CauseOnLeave),
			crew: crew{out: leave, backups: map[string]string{"ada": "ben"}}, want: "Covered ben/Backup(ada OnLeave)", unable: "ada OnLeave"},
		{name: "BackupBeside", reason: "a backup who is declared too has the responsible person's place, once", declared: []string{"ada", "ben"}, fallback: both,
			crew: crew{out: leave, backups: map[string]string{"ada": "ben"}}, want: "Covered ben/Backup(ada OnLeave)", unable: "ada OnLeave"},
		{name: "CompletedV9", reason: "a completed case is nobody's", declared: []string{"ada"}, completed: true,
			held: []v1alpha1.EffectiveAssignee{holder("ada", v1alpha1.ViaDeclared, "", "", "09:00:00")}, want: "Completed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spec := &v1alpha1.CaseAssignmentSpec{Assignees: assignees(tt.declared...), Group: v1alpha1.ObjectName(tt.group), Fallback: tt.fallback}
			if tt.completed {
				spec.State = v1alpha1.CaseCompleted
			}
			d := decideCase(&Case{Spec: spec, Holders: tt.held, Separate: tt.separate}, tt.crew, at("12:00:00"))
			if got := d.show(); got != tt.want {
				t.Errorf("%s: %q, not %q", tt.reason, got, tt.want)
			}
			var unable []string
			for _, u := range d.Unable {
				unable = append(unable, u.Name+" "+string(u.Cause))
			}
			if got := strings.Join(unable, ", "); got != tt.unable {
				t.Errorf("%s: named are %q, not %q", tt.reason, got, tt.unable)
			}
			// A decision stands until something changes.
			again := decideCase(&Case{Spec: spec, Holders: d.Holders, Separate: tt.separate}, tt.crew, at("12:00:01"))
			if again.show() != d.show() || !slices.EqualFunc(again.Holders, d.Holders, func(a, b v1alpha1.EffectiveAssignee) bool { return a.Since.Equal(&b.Since) }) {
				t.Errorf("decided again: %s, not %s", again.show(), d.show())
			}
		})
	}
}

func TestCaseHistoryV7(t *testing.T) {
	ada := holder("ada", v1alpha1.ViaDeclared, "", "", "09:00:00")
	ben := holder("ben", v1alpha1.ViaDeclared, "", "", "09:00:00")
	cover := holder("zoe", v1alpha1.ViaGroup, "ada", v1alpha1.CauseOnLeave, "10:00:00")
	list := func(h ...v1alpha1.EffectiveAssignee) []v1alpha1.EffectiveAssignee { return h }
	spec := &v1alpha1.CaseAssignmentSpec{Assignees: []v1alpha1.Assignee{{Name: "ada"}, {Name: "ben", Reason: v1alpha1.ReasonEscalation}}}
	tests := []struct {
		name   string
		before []v1alpha1.EffectiveAssignee
		after  CaseDecision
		want   string
	}{
		{"First", nil, CaseDecision{Holders: list(ada, ben)}, "Responsible >ada Declared; Assignee >ben Declared: Escalation"},
		{"Cover", list(ada), CaseDecision{Holders: list(cover)}, "Responsible ada>zoe Cover: OnLeave"},
		{"Return", list(cover), CaseDecision{Holders: list(ada)}, "Responsible zoe>ada Return"},
		{"Transfer", list(ada), CaseDecision{Holders: list(ben)}, "Responsible ada>ben Transfer: Escalation"},
		{"Nobody", list(ada), CaseDecision{Phase: v1alpha1.CaseUnassigned, Unable: []Unable{{"ada", v1alpha1.CauseDeactivated}}}, "Responsible ada> NotAble: Deactivated"},
		{"TakenOff", list(ada, ben), CaseDecision{Holders: list(ada)}, "Assignee ben> Declared"},
		{"CannotAnyMore", list(ada, ben), CaseDecision{Holders: list(ada), Unable: []Unable{{"ben", v1alpha1.CauseNoSeat}}}, "Assignee ben> NotAble: NoSeat"},
		{"Completed", list(ada, ben), CaseDecision{Phase: v1alpha1.CasePhaseCompleted}, "Responsible ada> Completed; Assignee ben> Completed"},
		{"Same", list(ada, ben), CaseDecision{Holders: list(ada, ben)}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, h := range CaseHistory(spec, tt.before, &tt.after, at("12:00:00")) {
				got = append(got, fmt.Sprintf("%s %s>%s %s", h.Type, h.From, h.To, h.Reason))
			}
			if text := strings.Join(got, "; "); text != tt.want {
				t.Errorf("%q, not %q", text, tt.want)
			}
		})
	}
}

func TestPhoneNumbersO8(t *testing.T) {
	tests := []struct {
		name    string
		written []v1alpha1.PhoneNumber
		country string
		want    []string
		unread  int
	}{
		{"International", []v1alpha1.PhoneNumber{"+39 06 99999 000", "+1 (212) 555-0100", "+390699999000"}, "", []string{"+12125550100", "+390699999000"}, 0},
		{"National", []v1alpha1.PhoneNumber{"06 99999000", "030 901820"}, "IT", []string{"+39030901820", "+390699999000"}, 0},
		{"TrunkPrefix", []v1alpha1.PhoneNumber{"030 901820"}, "DE", []string{"+4930901820"}, 0},
		{"NoCountry", []v1alpha1.PhoneNumber{"06 99999000"}, "", nil, 1},
		{"TooShort", []v1alpha1.PhoneNumber{"+39 12", "+390699999000"}, "IT", []string{"+390699999000"}, 1},
		{"TooLong", []v1alpha1.PhoneNumber{"+39 0612345678901234567"}, "IT", nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, unread := PhoneNumbers(tt.written, tt.country)
			if !slices.Equal(got, tt.want) || len(unread) != tt.unread {
				t.Errorf("%q, unread %q; want %q and %d", got, unread, tt.want, tt.unread)
			}
		})
	}
}

func TestGroupQueueName(t *testing.T) {
	long := strings.Repeat("n", 63)
	for center, groups := range map[string][]string{"acme": {"north", "south"}, long: {long, long[:62] + "x", "north"}} {
		names := map[string]bool{}
		for _, g := range groups {
			name := GroupQueue(center, g)
			if len(name) > maximumQueueName || !IsGroupQueue(name) || names[name] {
				t.Errorf("%s of %s: %s", g, center, name)
			}
			names[name] = true
		}
	}
	if got := GroupQueue("acme", "north"); got != "acme.north" {
		t.Errorf("%s", got)
	}
}

// office is a centre with people and cases, whose decisions are written into the objects one by one.
type office struct {
	d      *Directory
	agents map[string]*v1alpha1.Agent
	groups map[string]ListView
	cases  map[string]*v1alpha1.CaseAssignment
	now    time.Time
}

func newOffice() *office {
	return &office{d: NewDirectory(), now: at("12:00:00"), agents: map[string]*v1alpha1.Agent{},
		groups: map[string]ListView{}, cases: map[string]*v1alpha1.CaseAssignment{}}
}

func (o *office) setAgent(name string, change func(*v1alpha1.Agent)) Affected {
	a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if old := o.agents[name]; old != nil {
		a = old.DeepCopy()
	}
	change(a)
	o.agents[name] = a
	return o.d.SetAgent(ViewAgent(a))
}

func (o *office) setCase(name string, change func(*v1alpha1.CaseAssignmentSpec)) Affected {
	c := &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "1", CreationTimestamp: metav1.NewTime(at("08:00:00"))}}
	c.Spec.Fallback = []v1alpha1.Fallback{v1alpha1.FallbackBackup, v1alpha1.FallbackGroup}
	if old := o.cases[name]; old != nil {
		c = old.DeepCopy()
	}
	c.Generation++
	change(&c.Spec)
	o.cases[name] = c
	return o.d.SetCase(ViewCase(c))
}

// write decides a case and writes the decision into its status.
func (o *office) write(name string) {
	r, _, ok := o.d.DecideCase(name, o.now)
	if !ok || r.Unsettled {
		return
	}
	c := o.cases[name].DeepCopy()
	c.Status.History = append(c.Status.History, CaseHistory(&c.Spec, c.Status.Assignees, &r.CaseDecision, r.At)...)
	c.Status.Phase, c.Status.Assignees = r.Phase, r.Holders
	o.cases[name] = c
	o.d.SetCase(ViewCase(c))
}

// restart forgets everything that is not in the objects.
func (o *office) restart() {
	o.d = NewDirectory()
	for _, g := range o.groups {
		o.d.SetGroup(g)
	}
	for _, c := range o.cases {
		o.d.SetCase(ViewCase(c))
	}
	for _, a := range o.agents {
		o.d.SetAgent(ViewAgent(a))
	}
}

func TestEvenSpread(t *testing.T) {
	for _, restarts := range []int{0, 2} {
		t.Run(fmt.Sprintf("%d restarts", restarts), func(t *testing.T) {
			o := newOffice()
			active := func(group string) func(*v1alpha1.Agent) {
				return func(a *v1alpha1.Agent) {
					a.Status.Phase, a.Status.Group = v1alpha1.PhaseActive, v1alpha1.ObjectName(group)
				}
			}
			o.setAgent("ada", active("north"))
			for i := range 7 {
				o.setAgent(fmt.Sprintf("n%d", i), active("north"))
			}
			for i := range 1000 {
				name := fmt.Sprintf("case-%d", i)
				o.setCase(name, func(s *v1alpha1.CaseAssignmentSpec) { s.Assignees, s.Group = assignees("ada"), "north" })
				o.write(name)
			}
			if n := len(o.d.cases.held["ada"]); n != 1000 {
				t.Fatalf("ada holds %d cases", n)
			}
			touched := o.setAgent("ada", func(a *v1alpha1.Agent) { a.Status.Phase = v1alpha1.PhaseDeactivating })
			if len(touched.Cases) != 1000 {
				t.Fatalf("%d cases are touched", len(touched.Cases))
			}
			for i, name := range touched.Cases {
				switch {
				case restarts > 0 && i%350 == 349:
					// Decisions that were not written are lost.
					for _, lost := range touched.Cases[i+1 : i+50] {
						o.d.DecideCase(lost, o.now)
					}
					o.restart()
				}
				o.write(name)
			}
			for _, name := range touched.Cases {
				o.write(name)
			}
			load := map[string]int{}
			for _, c := range o.cases {
				load[string(c.Status.Assignees[0].Name)]++
			}
			least, most := slices.Min(slices.Collect(maps.Values(load))), slices.Max(slices.Collect(maps.Values(load)))
			if len(load) != 7 || most-least > 1 {
				t.Errorf("spread: %v", load)
			}
		})
	}
}

func TestStickyNewestCaseO8(t *testing.T) {
	o := newOffice()
	o.setAgent("ada", func(a *v1alpha1.Agent) { a.Status.Phase = v1alpha1.PhaseActive })
	client := &v1alpha1.Client{ID: "C-1", Phones: []v1alpha1.PhoneNumber{"+39 06 99999 000"}}
	for name, created := range map[string]string{"b-old": "08:00:00", "z-new": "09:00:00", "a-new": "09:00:00", "c-done": "10:00:00"} {
		o.cases[name] = &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: metav1.NewTime(at(created))}}
		o.setCase(name, func(s *v1alpha1.CaseAssignmentSpec) {
			s.Client, s.Assignees = client, assignees("ada")
			if name == "c-done" {
				s.State = v1alpha1.CaseCompleted
			}
		})
	}
	const phone = "+390699999000"
	of := func() string {
		s, known, ok := o.d.Sticky(phone)
		if !known || !ok {
			return fmt.Sprint(known, ok)
		}
		return s.Assignment + " " + s.Agent
	}
	if got := of(); got != "true false" {
		t.Errorf("before anything is decided: %s", got)
	}
	for name := range o.cases {
		o.write(name)
	}
	if got := of(); got != "a-new ada" {
		t.Errorf("of the newest the first by name: %s", got)
	}
	touched := o.setCase("a-new", func(s *v1alpha1.CaseAssignmentSpec) { s.State = v1alpha1.CaseCompleted })
	if !slices.Equal(touched.Phones, []string{phone}) || of() != "z-new ada" {
		t.Errorf("completed cases do not count: %v, %s", touched.Phones, of())
	}
	o.d.RemoveCase("z-new")
	if got := of(); got != "b-old ada" {
		t.Errorf("then the older: %s", got)
	}
	o.d.RemoveCase("b-old")
	if got := of(); got != "false true" {
		t.Errorf("then nobody's: %s", got)
	}
}
