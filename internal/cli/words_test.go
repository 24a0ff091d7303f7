package cli

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"roster.dev/roster/api/v1alpha1"
)

var (
	rome, _ = time.LoadLocation("Europe/Rome")
	noon    = time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
)

func at(t time.Time) metav1.Time { return metav1.NewTime(t) }

func TestTimesAreReadAsPeopleWriteThem(t *testing.T) {
	for _, c := range []struct {
		reason, text, want, complaint string
	}{
		{"a clock in the zone", "2026-12-01 15:04", "2026-12-01T14:04:00Z", ""},
		{"in summer", "2026-07-01 15:04", "2026-07-01T13:04:00Z", ""},
		{"RFC 3339 has its own zone", "2026-12-01T15:04:05-05:00", "2026-12-01T20:04:05Z", ""},
		{"an hour that clocks leave out", "2026-03-29 02:30", "", "does not exist in Europe/Rome"},
		{"an hour that clocks have twice", "2026-10-25 02:30", "", "is twice in Europe/Rome"},
		{"which can be said", "2026-10-25T02:30:00+01:00", "2026-10-25T01:30:00Z", ""},
		{"just before it", "2026-10-25 01:59", "2026-10-24T23:59:00Z", ""},
		{"a day alone", "2026-12-01", "", "is no time: write"},
		{"a day that does not exist", "2026-02-30 10:00", "", "is no time"},
		{"words", "tomorrow", "", "is no time"},
		{"nothing", "", "", "is no time"},
		{"a time without a zone", "2026-12-01T15:04:05", "", "is no time"},
	} {
		g := NewWithT(t)
		got, err := parseTime(c.text, rome)
		if c.complaint != "" {
			g.Expect(err).To(MatchError(ContainSubstring(c.complaint)), c.reason)
			continue
		}
		g.Expect(err).NotTo(HaveOccurred(), c.reason)
		g.Expect(got.UTC().Format(time.RFC3339)).To(Equal(c.want), c.reason)
	}
	g := NewWithT(t)
	for _, name := range []string{"Rome", "Local", "../etc/passwd", "GMT 2"} {
		_, err := loadZone(name)
		g.Expect(err).To(MatchError(ContainSubstring("there is no time zone")), name)
	}
}

func TestV5AppointmentsAreBookedMovedAndCancelled(t *testing.T) {
	booked := func() *v1alpha1.Appointment {
		return &v1alpha1.Appointment{StartTime: at(noon), EndTime: at(noon.Add(30 * time.Minute)), TimeZone: "Europe/Rome"}
	}
	for _, c := range []struct {
		reason    string
		was       *v1alpha1.Appointment
		told      booking
		want      string
		complaint string
	}{
		{"booked", nil, booking{start: "2026-12-01 15:00", end: "2026-12-01 15:30", zone: "Europe/Rome"},
			"2026-12-01 15:00 to 15:30 CET", ""},
		{"moved with its length, in its zone", booked(), booking{start: "2026-12-02 10:00"}, "2026-12-02 10:00 to 10:30 CET", ""},
		{"made longer", booked(), booking{end: "2026-12-01 14:00"}, "2026-12-01 13:00 to 14:00 CET", ""},
		{"over midnight", booked(), booking{start: "2026-12-02 23:45"}, "2026-12-02 23:45 to 2026-12-03 00:15 CET", ""},
		{"in another zone at the same moment", booked(), booking{zone: "America/New_York"}, "2026-12-01 07:00 to 07:30 EST", ""},
		{"cancelled", booked(), booking{clear: true}, "", ""},
		{"half of one", nil, booking{start: "2026-12-01 15:00"}, "", "say both --start and --end"},
		{"backwards", booked(), booking{end: "2026-12-01 12:00"}, "", "would end (2026-12-01 12:00 CET) before it begins"},
		{"a zone that is none", booked(), booking{zone: "Rome"}, "", `there is no time zone "Rome"`},
		{"a time that is none", booked(), booking{start: "later"}, "", `--start: "later" is no time`},
	} {
		g := NewWithT(t)
		spec := &v1alpha1.CaseAssignmentSpec{Appointment: c.was}
		did, err := c.told.book(spec)
		if c.complaint != "" {
			g.Expect(err).To(MatchError(ContainSubstring(c.complaint)), c.reason)
			continue
		}
		g.Expect(err).NotTo(HaveOccurred(), c.reason)
		if c.want == "" {
			g.Expect(spec.Appointment).To(BeNil(), c.reason)
			continue
		}
		a := spec.Appointment
		zone, _ := time.LoadLocation(a.TimeZone)
		g.Expect(showSpan(a.StartTime.Time, a.EndTime.Time, zone)).To(Equal(c.want), c.reason)
		g.Expect(did).To(Equal("appointment "+c.want), c.reason)
	}
}

// list makes assignees of "name" or "name=Reason".
func list(entries ...string) []v1alpha1.Assignee {
	n := &newCase{clientID: "C-1", assignees: entries}
	spec, err := n.spec()
	if err != nil {
		panic(err)
	}
	return spec.Assignees
}

func TestV2V3V4PeopleAreAssignedWithAReason(t *testing.T) {
	for _, c := range []struct {
		reason    string
		was       []v1alpha1.Assignee
		change    change
		did       string
		want      []v1alpha1.Assignee
		complaint string
	}{
		{"the first", nil, assign("a", "", false), "a is assigned as the responsible person", list("a"), ""},
		{"beside", list("a"), assign("b", v1alpha1.ReasonTraining, false), "b is assigned (Training)", list("a", "b=Training"), ""},
		{"in front", list("a", "b"), assign("c", "", true), "c is assigned as the responsible person", list("c", "a", "b"), ""},
		{"again", list("a", "b=Backup"), assign("b", "", false), "b is assigned already", list("a", "b=Backup"), ""},
		{"again with another reason", list("a", "b=Backup"), assign("b", v1alpha1.ReasonVacation, false), "b is assigned (Vacation)",
			list("a", "b=Vacation"), ""},
		{"again in front, reason kept", list("a", "b=Backup", "c"), assign("b", "", true), "b is assigned (Backup) as the responsible person",
			list("b=Backup", "a", "c"), ""},
		{"in front already", list("a=Other"), assign("a", "", true), "a is assigned already", list("a=Other"), ""},
		{"taken off", list("a", "b", "c"), unassign("b"), "b is assigned no more", list("a", "c"), ""},
		{"the last one off", list("a"), unassign("a"), "a is assigned no more", nil, ""},
		{"off, who is not on", list("a=Backup", "b"), unassign("c"), "", nil, "not among those who are assigned (a (Backup), b)"},
	} {
		g := NewWithT(t)
		spec := &v1alpha1.CaseAssignmentSpec{Assignees: c.was}
		did, err := c.change(spec)
		if c.complaint != "" {
			g.Expect(err).To(MatchError(ContainSubstring(c.complaint)), c.reason)
			continue
		}
		g.Expect(err).NotTo(HaveOccurred(), c.reason)
		g.Expect(did).To(Equal(c.did), c.reason)
		g.Expect(append([]v1alpha1.Assignee{}, spec.Assignees...)).To(Equal(append([]v1alpha1.Assignee{}, c.want...)), c.reason)
	}
}

func TestV1NewCases(t *testing.T) {
	g := NewWithT(t)
	spec, err := (&newCase{
		caseID: "CASE-7", title: "Refund", url: "https://crm.acme.example/7", clientID: "C-99", clientName: "Ada Byron",
		phones: []string{"+39 06 99999"}, assignees: []string{"alice-martin=escalation", "bob-lee"}, group: "north",
		nextAction: "2026-12-01 09:00", appointmentStart: "2026-12-01 15:00", appointmentEnd: "2026-12-01 15:30", zone: "Europe/Rome",
	}).spec()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(spec.Assignees).To(Equal([]v1alpha1.Assignee{{Name: "alice-martin", Reason: "Escalation"}, {Name: "bob-lee"}}))
	g.Expect(spec.NextActionTime.UTC().Format(time.RFC3339)).To(Equal("2026-12-01T08:00:00Z"))
	g.Expect(spec.Appointment.StartTime.UTC().Format(time.RFC3339)).To(Equal("2026-12-01T14:00:00Z"))
	g.Expect(spec.Appointment.TimeZone).To(Equal("Europe/Rome"))

	for _, c := range []struct {
		told      newCase
		complaint string
	}{
		{newCase{}, "--case, or --client, or both"},
		{newCase{title: "Refund", clientID: "C-1"}, "add --case with its id"},
		{newCase{caseID: "C", phones: []string{"1"}}, "add --client with their id"},
		{newCase{caseID: "C", assignees: []string{"a=Holiday"}}, `"Holiday" is no reason: write one of Vacation, SickLeave, Escalation, Backup, Training and Other`},
		{newCase{caseID: "C", assignees: []string{"=Vacation"}}, "names nobody"},
		{newCase{caseID: "C", nextAction: "soon"}, "--next-action"},
		{newCase{caseID: "C", appointmentStart: "2026-12-01 15:00"}, "say both --start and --end"},
	} {
		_, err := c.told.spec()
		g.Expect(err).To(MatchError(ContainSubstring(c.complaint)))
	}
}

func TestS8TheSuccessorTakesThePlace(t *testing.T) {
	for _, c := range []struct {
		reason    string
		was, want []v1alpha1.Assignee
	}{
		{"alone", list("from"), list("to")},
		{"with the reason", list("from=Escalation", "x"), list("to=Escalation", "x")},
		{"in the middle", list("x", "from=Backup", "y"), list("x", "to=Backup", "y")},
		{"there already and behind", list("from=Vacation", "x", "to"), list("to=Vacation", "x")},
		{"there already and in front", list("to", "x", "from"), list("to", "x")},
		{"there already with a reason of their own", list("x", "from=Vacation", "to=Training"), list("x", "to=Training")},
		{"not concerned", list("x", "to"), list("x", "to")},
	} {
		g := NewWithT(t)
		before := append([]v1alpha1.Assignee{}, c.was...)
		g.Expect(handOver(c.was, "from", "to")).To(Equal(c.want), c.reason)
		g.Expect(c.was).To(Equal(before), "%s: what was read is not changed", c.reason)
		g.Expect(handOver(c.want, "from", "to")).To(Equal(c.want), "%s: again", c.reason)
	}
}

func TestV7HoldingInWords(t *testing.T) {
	alice := &v1alpha1.Agent{}
	alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: at(noon.Add(-time.Hour)), EndTime: ptr.To(at(noon.Add(time.Hour)))}}
	find := func(name string) *v1alpha1.Agent {
		if name == "alice" {
			return alice
		}
		return nil
	}
	held := func(h ...v1alpha1.EffectiveAssignee) v1alpha1.CaseAssignmentStatus {
		return v1alpha1.CaseAssignmentStatus{Phase: v1alpha1.CaseAssigned, Assignees: h}
	}
	for _, c := range []struct {
		status v1alpha1.CaseAssignmentStatus
		want   []string
	}{
		{v1alpha1.CaseAssignmentStatus{}, []string{"Roster has not looked at it yet"}},
		{held(v1alpha1.EffectiveAssignee{Name: "bob", Via: "Declared"}, v1alpha1.EffectiveAssignee{Name: "carl", Via: "Declared"}),
			[]string{"bob is responsible, with carl"}},
		{held(v1alpha1.EffectiveAssignee{Name: "bob", Via: "Backup", Covers: "alice", Cause: "OnLeave"}),
			[]string{"alice is on leave until 2026-12-01 14:00 CET: bob covers as the backup"}},
		{v1alpha1.CaseAssignmentStatus{
			Phase: v1alpha1.CaseCovered, Assignees: []v1alpha1.EffectiveAssignee{{Name: "bob", Via: "Group", Covers: "dora", Cause: "OnLeave"}},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionAssigneesAble, Status: "False", Message: "dora is on leave"}},
		}, []string{"dora is on leave: bob covers out of group north"}},
		{held(v1alpha1.EffectiveAssignee{Name: "bob", Via: "Group", Covers: "alice", Cause: "Deactivated"}),
			[]string{"alice was deactivated: bob covers out of group north"}},
		{held(v1alpha1.EffectiveAssignee{Name: "bob", Via: "Declared", Covers: "alice", Cause: "NoSeat"}),
			[]string{"alice waits for a seat: bob covers"}},
		{v1alpha1.CaseAssignmentStatus{Phase: v1alpha1.CasePhaseCompleted}, []string{"completed: nobody holds it"}},
		{v1alpha1.CaseAssignmentStatus{Phase: v1alpha1.CaseUnassigned, Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: "False", Message: "work is pending"},
			{Type: v1alpha1.ConditionAssigned, Status: "False", Message: "nobody of group north is able: assign somebody."},
			{Type: v1alpha1.ConditionAssigneesAble, Status: "True", Message: "all of them"},
		}}, []string{"nobody holds it", "nobody of group north is able: assign somebody"}},
	} {
		g := NewWithT(t)
		a := &v1alpha1.CaseAssignment{Status: c.status}
		a.Spec.Group = "north"
		g.Expect(holding(a, find, rome, noon)).To(Equal(c.want))
	}
}

func TestV7HistoryInWords(t *testing.T) {
	g := NewWithT(t)
	for want, e := range map[string]v1alpha1.HistoryEntry{
		"a became responsible":                  {Type: "Responsible", To: "a"},
		"b became responsible in place of a":    {Type: "Responsible", From: "a", To: "b"},
		"b gave it up, nobody is responsible":   {Type: "Responsible", From: "b"},
		"c joined":                              {Type: "Assignee", To: "c"},
		"c left":                                {Type: "Assignee", From: "c"},
		"Phase: - to Completed":                 {Type: "Phase", To: "Completed"},
		"Appointment: 2026-12-01 to 2026-12-02": {Type: "Appointment", From: "2026-12-01", To: "2026-12-02"},
	} {
		g.Expect(whatHappened(e)).To(Equal(want))
	}
}

func TestS8WhoCannotTakeABook(t *testing.T) {
	able := func(change func(*v1alpha1.Agent)) *v1alpha1.Agent {
		a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: "bob"}}
		a.Status.Phase, a.Status.Seat = v1alpha1.PhaseActive, v1alpha1.SeatHeld
		if change != nil {
			change(a)
		}
		return a
	}
	g := NewWithT(t)
	g.Expect(notAble(able(nil), rome, noon)).To(BeEmpty())
	for want, change := range map[string]func(*v1alpha1.Agent){
		"bob is being deleted":             func(a *v1alpha1.Agent) { a.DeletionTimestamp = ptr.To(at(noon)) },
		"set spec.license to Seat":         func(a *v1alpha1.Agent) { a.Spec.License = v1alpha1.LicenseNone },
		"bob is deactivated":               func(a *v1alpha1.Agent) { a.Spec.State = v1alpha1.StateDeactivated },
		"Roster has not looked at bob yet": func(a *v1alpha1.Agent) { a.Status.Phase = "" },
		"bob is Deactivating":              func(a *v1alpha1.Agent) { a.Status.Phase = v1alpha1.PhaseDeactivating },
		"raise spec.seats":                 func(a *v1alpha1.Agent) { a.Status.Seat = v1alpha1.SeatWaiting },
		"bob holds no seat yet":            func(a *v1alpha1.Agent) { a.Status.Seat = "" },
		"bob is on leave: see spec.leaves": func(a *v1alpha1.Agent) { a.Spec.Leaves = []v1alpha1.Leave{{StartTime: at(noon)}} },
		"on leave until 2026-12-01 14:00 CE": func(a *v1alpha1.Agent) {
			a.Spec.Leaves = []v1alpha1.Leave{{StartTime: at(noon), EndTime: ptr.To(at(noon.Add(time.Hour)))}}
		},
		"does not work here before 2026-12-01 14:00": func(a *v1alpha1.Agent) {
			a.Spec.Employment = &v1alpha1.Employment{StartTime: ptr.To(at(noon.Add(time.Hour)))}
		},
	} {
		g.Expect(notAble(able(change), rome, noon)).To(ContainSubstring(want))
	}
}

func TestWhatGitOpsManages(t *testing.T) {
	flux := map[string]string{"kustomize.toolkit.fluxcd.io/name": "acme", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
	for _, c := range []struct {
		reason              string
		labels, annotations map[string]string
		manager, want       string
	}{
		{"nobody", map[string]string{"app.kubernetes.io/name": "x"}, nil, "kubectl", ""},
		{"Flux", flux, nil, "", "Flux (Kustomization flux-system/acme)"},
		{"Flux, told to leave it", flux, map[string]string{"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}, "", ""},
		{"Flux, told to ignore it", flux, map[string]string{"kustomize.toolkit.fluxcd.io/ssa": "Ignore"}, "", ""},
		{"Flux's charts", map[string]string{"helm.toolkit.fluxcd.io/name": "acme", "helm.toolkit.fluxcd.io/namespace": "ops"}, nil, "",
			"Flux (HelmRelease ops/acme)"},
		{"Argo CD", nil, map[string]string{"argocd.argoproj.io/tracking-id": "centres:staff.roster.dev/CaseAssignment:acme/case-7"}, "",
			"Argo CD (Application centres)"},
		{"Argo CD by a label of its own", map[string]string{"argocd.argoproj.io/instance": "centres"}, nil, "", "Argo CD (Application centres)"},
		{"Argo CD by the common label", map[string]string{"app.kubernetes.io/instance": "centres"}, nil, "argocd-controller",
			"Argo CD (Application centres)"},
		{"the common label alone", map[string]string{"app.kubernetes.io/instance": "centres"}, nil, "helm", ""},
	} {
		g := NewWithT(t)
		o := &unstructured.Unstructured{Object: map[string]any{}}
		o.SetLabels(c.labels)
		o.SetAnnotations(c.annotations)
		o.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: c.manager}})
		g.Expect(managedBy(o)).To(Equal(c.want), c.reason)
	}
}

func TestTablesKeepTheirColumns(t *testing.T) {
	g := NewWithT(t)
	g.Expect(printable("Ada\tByron\n\x1b[31m")).To(Equal("Ada Byron  [31m"))
	g.Expect(printable("Åsa Öberg")).To(Equal("Åsa Öberg"))
}
