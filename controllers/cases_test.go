package controllers_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

func assignment(name string, assignees ...string) *v1alpha1.CaseAssignment {
	c := &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Name: name}}
	c.Spec.Case = &v1alpha1.Case{ID: strings.ToUpper(name)}
	for _, a := range assignees {
		c.Spec.Assignees = append(c.Spec.Assignees, v1alpha1.Assignee{Name: v1alpha1.AgentName(a)})
	}
	return c
}

func (w *world) assignment(name string) *v1alpha1.CaseAssignment {
	c := &v1alpha1.CaseAssignment{}
	if err := k8s.Get(context.Background(), client.ObjectKey{Namespace: w.ns, Name: name}, c); err != nil {
		return &v1alpha1.CaseAssignment{}
	}
	return c
}

// holders is a case in a line: its phase, and each who holds it with the way.
func (w *world) holders(name string) func() string {
	return func() string {
		c := w.assignment(name)
		if c.Status.ObservedGeneration != c.Generation {
			return "stale"
		}
		text := string(c.Status.Phase)
		for _, a := range c.Status.Assignees {
			text += fmt.Sprintf(" %s/%s", a.Name, a.Via)
		}
		return text
	}
}

// told is a condition of a case, with its message.
func (w *world) said(name, conditionType string) string {
	c := w.assignment(name).Status.Conditions
	if text := condition(c, conditionType); text != "" {
		return text + ": " + message(c, conditionType)
	}
	return ""
}

// story is a case's history in a line.
func (w *world) story(name string) string {
	var lines []string
	for _, h := range w.assignment(name).Status.History {
		lines = append(lines, fmt.Sprintf("%s %s>%s %s", h.Type, h.From, h.To, h.Reason))
	}
	return strings.Join(lines, "; ")
}

// callers are the rows of known callers, as "phone|interface|agent|group|queue|case".
func (w *world) callers() []string {
	return w.rows(`SELECT substr(key, length(?) + 2), coalesce(interface, ''), coalesce(agent, ''), coalesce(agent_group, ''),
		coalesce(queue, ''), coalesce(case_id, '') FROM roster_sticky ORDER BY key`, w.ns)
}

func (w *world) deactivate(name string) {
	GinkgoHelper()
	a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name}}
	edit(w, a, func() { a.Spec.State = v1alpha1.StateDeactivated })
}

func (w *world) reactivate(name string) {
	GinkgoHelper()
	a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name}}
	edit(w, a, func() { a.Spec.State = v1alpha1.StateActive })
	Eventually(func() v1alpha1.AgentPhase { return w.agent(name).Status.Phase }).Should(Equal(v1alpha1.PhaseActive))
}

func editCase(w *world, name string, change func(*v1alpha1.CaseAssignment)) {
	GinkgoHelper()
	c := &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Name: name}}
	edit(w, c, func() { change(c) })
}

func staffed(names ...string) (list []client.Object) {
	for _, n := range names {
		list = append(list, agent(n))
	}
	return list
}

var _ = Describe("A case", func() {
	var w *world
	BeforeEach(func() {
		w = newWorld()
		w.startOperator()
	})

	It("is held by those who are declared and able, and names the others with the reason", Label("V1", "V2", "V3", "V4", "V6"), func() {
		soon := metav1.NewTime(time.Now().Add(time.Hour))
		pending := agent("petra")
		pending.Spec.Employment = &v1alpha1.Employment{StartTime: &soon}
		unlicensed := agent("lars")
		unlicensed.Spec.License = v1alpha1.LicenseNone
		gone := agent("greta")
		gone.Spec.State = v1alpha1.StateDeactivated
		w.create(append(staffed("alice", "bob"), pending, unlicensed, gone)...)
		c := assignment("case-7", "alice", "petra", "lars", "greta", "nobody", "bob")
		c.Spec.Assignees[5].Reason = v1alpha1.ReasonEscalation
		w.create(c)
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared bob/Declared"))
		Eventually(func() string { return w.said("case-7", v1alpha1.ConditionAssigneesAble) }).Should(Equal("False/NotAble: petra has not begun to work; " +
			"lars has no licence (license: None); greta is deactivated; nobody does not exist"))
		Eventually(func() string { return condition(w.assignment("case-7").Status.Conditions, v1alpha1.ConditionReady) }).Should(Equal("False/MissingReference"))
		w.create(agent("nobody"))
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared nobody/Declared bob/Declared"))
		Expect(condition(w.assignment("case-7").Status.Conditions, v1alpha1.ConditionReady)).To(Equal(isReady))

		editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) { c.Spec.Assignees = c.Spec.Assignees[5:] })
		Eventually(w.holders("case-7")).Should(Equal("Assigned bob/Declared"))
		Expect(w.said("case-7", v1alpha1.ConditionAssigneesAble)).To(BeEmpty())
		Expect(w.story("case-7")).To(HaveSuffix("Responsible alice>bob Transfer: Escalation; Assignee nobody> Declared"))
	})

	It("has appointments that can be booked and moved, and takes more people then", Label("V2", "V5"), func() {
		w.create(staffed("alice", "bob")...)
		c := assignment("case-7", "alice")
		start := metav1.NewTime(time.Date(2027, 1, 4, 15, 0, 0, 0, time.UTC))
		end := metav1.NewTime(start.Add(30 * time.Minute))
		c.Spec.Appointment = &v1alpha1.Appointment{StartTime: start, EndTime: end, TimeZone: "Europe/Rome"}
		w.create(c)
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared"))
		editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) {
			c.Spec.Appointment.StartTime, c.Spec.Appointment.EndTime = metav1.NewTime(start.Add(time.Hour)), metav1.NewTime(end.Add(time.Hour))
			c.Spec.Assignees = append(c.Spec.Assignees, v1alpha1.Assignee{Name: "bob", Reason: v1alpha1.ReasonTraining})
		})
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared bob/Declared"))
		Expect(w.story("case-7")).To(Equal("Responsible >alice Declared; Assignee >bob Declared: Training"))
	})

	It("keeps its history when it is completed, and frees its people", Label("V7", "V9"), func() {
		w.create(staffed("alice")...)
		w.create(assignment("case-7", "alice"))
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared"))
		editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) { c.Spec.State = v1alpha1.CaseCompleted })
		Eventually(w.holders("case-7")).Should(Equal("Completed"))
		Expect(w.story("case-7")).To(Equal("Responsible >alice Declared; Responsible alice> Completed"))
		editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) { c.Spec.State = v1alpha1.CaseOpen })
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared"))
		for i := range 60 {
			editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) {
				c.Spec.State = []v1alpha1.CaseState{v1alpha1.CaseCompleted, v1alpha1.CaseOpen}[i%2]
			})
			Eventually(w.holders("case-7")).ShouldNot(Equal("stale"))
		}
		history := w.assignment("case-7").Status.History
		Expect(history).To(HaveLen(50), "the newest are kept")
		for i, h := range history {
			Expect(h.Reason).To(Equal([]string{"Completed", "Declared"}[i%2]), "in the order in which it happened")
		}
	})

	It("goes to the backup of a leave and comes back at its end", Label("B2", "V7"), func() {
		w.create(staffed("bob")...)
		alice := agent("alice")
		begin, end := metav1.NewTime(time.Now().Add(3*time.Second).Truncate(time.Second)), metav1.NewTime(time.Now().Add(7*time.Second).Truncate(time.Second))
		alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: begin, EndTime: &end, Reason: v1alpha1.ReasonVacation, Backup: "bob"}}
		w.create(alice, assignment("case-7", "alice"))
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared"))
		Eventually(w.holders("case-7"), "10s").Should(Equal("Covered bob/Backup"))
		Expect(time.Now()).To(BeTemporally("~", begin.Time, time.Second))
		first := w.assignment("case-7").Status.Assignees[0]
		Expect([]string{string(first.Covers), string(first.Cause)}).To(Equal([]string{"alice", "OnLeave"}))
		Eventually(w.holders("case-7"), "10s").Should(Equal("Assigned alice/Declared"))
		Expect(time.Now()).To(BeTemporally("~", end.Time, time.Second))
		Expect(w.story("case-7")).To(Equal("Responsible >alice Declared; Responsible alice>bob Cover: OnLeave; Responsible bob>alice Return"))
	})

	It("passes over backups who are away, in chains and circles", Label("B2"), func() {
		now := metav1.NewTime(time.Now().Add(-time.Minute))
		away := func(name, backup string) *v1alpha1.Agent {
			a := agent(name)
			a.Spec.Leaves = []v1alpha1.Leave{{StartTime: now, Backup: v1alpha1.AgentName(backup)}}
			return a
		}
		w.create(away("ann", "ben"), away("ben", "ann"), away("cleo", "dan"), away("dan", "eve"), agent("eve"), agent("nora"), group("north", "nora"))
		circle, chain := assignment("circle", "ann"), assignment("chain", "cleo")
		chain.Spec.Group = "north"
		w.create(circle, chain)
		Eventually(w.holders("circle")).Should(Equal("Unassigned"))
		Eventually(w.holders("chain")).Should(Equal("Covered nora/Group"))
		Expect(w.said("circle", v1alpha1.ConditionAssigned)).To(Equal("False/NobodyAble: nobody can take the case: ann is on leave, " +
			"the leave names no backup who is able, no group is declared; declare an assignee who is able, or a group"))
		Eventually(w.events("CaseAssignment", "circle")).Should(ContainElement("Unassigned"))
		ben := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: "ben"}}
		edit(w, ben, func() { ben.Spec.Leaves = nil })
		Eventually(w.holders("circle")).Should(Equal("Covered ben/Backup"))
	})

	It("stays with whoever took it from somebody who was put out, and does not come back", Label("V7"), func() {
		w.create(staffed("alice", "bob", "carl")...)
		w.create(group("north", "bob", "carl"))
		c := assignment("case-7", "alice")
		c.Spec.Group = "north"
		w.create(c)
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared"))
		w.deactivate("alice")
		Eventually(w.holders("case-7")).Should(Equal("Covered bob/Group"))
		w.reactivate("alice")
		Consistently(w.holders("case-7")).Should(Equal("Covered bob/Group"))
		Eventually(func() string { return w.said("case-7", v1alpha1.ConditionAssigneesAble) }).Should(ContainSubstring("alice was deactivated meanwhile and does not get the case back"))
		w.stopOperator()
		w.startOperator()
		Consistently(w.holders("case-7"), "2s").Should(Equal("Covered bob/Group"))
		By("declaring her again")
		editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) { c.Spec.Assignees = nil })
		Eventually(w.holders("case-7")).Should(HavePrefix("Assigned bob/Group"))
		editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) { c.Spec.Assignees = []v1alpha1.Assignee{{Name: "alice"}} })
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared"))
		By("deleting her")
		w.delete(agentOf(w, "alice"))
		Eventually(w.holders("case-7")).Should(Equal("Covered bob/Group"))
		Eventually(func() string { return w.agent("alice").Name }).Should(BeEmpty())
		w.create(agent("alice"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Consistently(w.holders("case-7")).Should(Equal("Covered bob/Group"))
	})

	It("goes on when its holder's seat is taken away, and comes back with a seat", Label("B11"), func() {
		w.stopOperator()
		names := []string{"alice", "bob", "carl"}
		for _, n := range names {
			w.create(agent(n))
			time.Sleep(1100 * time.Millisecond) // creation is kept in whole seconds
		}
		centre := contactCenter(w.ns + ".sqlite3")
		w.create(centre, group("north", names...), assignment("others", "bob"))
		c := assignment("case-7", "carl")
		c.Spec.Group = "north"
		w.create(c)
		w.startOperator()
		Eventually(w.holders("case-7")).Should(Equal("Assigned carl/Declared"))
		edit(w, centre, func() { centre.Spec.Seats = new(int32(2)) })
		Eventually(w.holders("case-7")).Should(Equal("Covered alice/Group"))
		Expect(w.said("case-7", v1alpha1.ConditionAssigneesAble)).To(Equal("False/NotAble: carl waits for a seat"))
		edit(w, centre, func() { centre.Spec.Seats = new(int32(0)) })
		Eventually(w.holders("case-7")).Should(Equal("Unassigned"))
		Eventually(w.holders("others")).Should(Equal("Unassigned"))
		edit(w, centre, func() { centre.Spec.Seats = new(int32(3)) })
		Eventually(w.holders("case-7")).Should(Equal("Assigned carl/Declared"))
		Eventually(w.holders("others")).Should(Equal("Assigned bob/Declared"))
	})

	It("has one assignee in effect where operators are separate, and loses nobody from its declaration", Label("V6"), func() {
		w.create(staffed("alice", "bob", "carl")...)
		w.create(assignment("case-7", "alice", "bob", "carl"))
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared bob/Declared carl/Declared"))
		centre := contactCenter(w.ns + ".sqlite3")
		centre.Spec.SeparateOperators = v1alpha1.ToggleEnabled
		w.create(centre)
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared"))
		Expect(w.said("case-7", v1alpha1.ConditionAssigneesSeparate)).To(HavePrefix("False/SeparateOperators: without effect: bob, carl; "))
		Expect(w.assignment("case-7").Spec.Assignees).To(HaveLen(3))
		editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) { c.Labels = map[string]string{"applied": "again"} })
		edit(w, centre, func() { centre.Spec.SeparateOperators = v1alpha1.ToggleDisabled })
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared bob/Declared carl/Declared"))
		Expect(w.said("case-7", v1alpha1.ConditionAssigneesSeparate)).To(BeEmpty())
	})
})

var _ = Describe("A known caller", Label("O8"), func() {
	var w *world
	client := func(c *v1alpha1.CaseAssignment, phones ...v1alpha1.PhoneNumber) *v1alpha1.CaseAssignment {
		c.Spec.Client = &v1alpha1.Client{ID: "C-99", Phones: phones}
		return c
	}
	const phone = "+390699999000"
	BeforeEach(func() {
		w = newWorld()
		w.startOperator()
		w.create(staffed("alice", "bob")...)
		w.create(group("north", "bob"))
	})

	It("has a row that says who is responsible, as long as a case is open", func() {
		c := client(assignment("case-7", "alice"), "+39 06 99999 000", "123")
		c.Spec.Group = "north"
		w.create(c)
		queue := w.ns + ".north"
		Eventually(w.callers).Should(Equal([]string{phone + "|PJSIP/alice|alice|north|" + queue + "|CASE-7"}))
		Eventually(func() string { return w.said("case-7", v1alpha1.ConditionPhonesValid) }).Should(HavePrefix("False/NotANumber: these are no telephone numbers, and their calls are not known: 123;"))
		By("ringing the group's people together")
		Eventually(w.members).Should(Equal([]string{queue + "|PJSIP/bob|0|0"}))
		Expect(w.rows("SELECT name, strategy FROM queues")).To(Equal([]string{queue + "|ringall"}))
		Expect(w.agent("bob").Status.Queues).To(BeEmpty())
		w.deactivate("alice")
		Eventually(w.callers).Should(Equal([]string{phone + "|PJSIP/bob|bob|north|" + queue + "|CASE-7"}))
		w.deactivate("bob")
		Eventually(w.callers).Should(Equal([]string{phone + "|||north|" + queue + "|CASE-7"}))
		Eventually(w.members).Should(BeEmpty())
		w.reactivate("bob")
		Eventually(w.callers).Should(Equal([]string{phone + "|PJSIP/bob|bob|north|" + queue + "|CASE-7"}))
		Eventually(w.members).Should(Equal([]string{queue + "|PJSIP/bob|0|0"}))
		editCase(w, "case-7", func(c *v1alpha1.CaseAssignment) { c.Spec.State = v1alpha1.CaseCompleted })
		Eventually(w.callers).Should(BeEmpty())
		Expect(w.members()).NotTo(BeEmpty(), "a group that is named keeps its queue")
		w.delete(w.assignment("case-7"))
		Eventually(w.members).Should(BeEmpty())
		Eventually(func() []string { return w.rows("SELECT name FROM queues") }).Should(BeEmpty())
		Consistently(w.ready("bob")).Should(Equal(isReady))
	})

	It("is of the newest open case", func() {
		w.create(client(assignment("first", "alice"), phone))
		Eventually(w.callers).Should(Equal([]string{phone + "|PJSIP/alice|alice|||FIRST"}))
		time.Sleep(1100 * time.Millisecond)
		w.create(client(assignment("second", "bob"), phone))
		Eventually(w.callers).Should(Equal([]string{phone + "|PJSIP/bob|bob|||SECOND"}))
		w.delete(w.assignment("second"))
		Eventually(w.callers).Should(Equal([]string{phone + "|PJSIP/alice|alice|||FIRST"}))
	})

	It("is forgotten when its case goes while nobody looks, and reached by another number when it changes", func() {
		w.create(client(assignment("case-7", "alice"), phone), client(assignment("case-8", "bob"), "+390699999001"))
		Eventually(w.callers).Should(HaveLen(2))
		w.stopOperator()
		w.delete(w.assignment("case-7"))
		editCase(w, "case-8", func(c *v1alpha1.CaseAssignment) { c.Spec.Client.Phones = []v1alpha1.PhoneNumber{"+390699999002"} })
		w.startOperator()
		Eventually(w.callers).Should(Equal([]string{"+390699999002|PJSIP/bob|bob|||CASE-8"}))
	})

	It("can be written as the country writes it", func() {
		w.create(client(assignment("case-7", "alice"), "06 99999 000"))
		Eventually(w.holders("case-7")).Should(Equal("Assigned alice/Declared"))
		Expect(w.callers()).To(BeEmpty())
		centre := contactCenter(w.ns + ".sqlite3")
		centre.Spec.Country = "IT"
		w.create(centre)
		Eventually(w.callers).Should(Equal([]string{phone + "|PJSIP/alice|alice|||CASE-7"}))
		Eventually(func() string { return w.said("case-7", v1alpha1.ConditionPhonesValid) }).Should(BeEmpty())
	})

	It("is put right when somebody changes its row by hand", Label("B4"), func() {
		centre := contactCenter(w.ns + ".sqlite3")
		centre.Spec.DriftIntervalSeconds = new(int32(1))
		w.create(centre, client(assignment("case-7", "alice"), phone))
		want := []string{phone + "|PJSIP/alice|alice|||CASE-7"}
		Eventually(w.callers).Should(Equal(want))
		w.exec("UPDATE roster_sticky SET interface = 'PJSIP/mallory'")
		Eventually(w.callers).Should(Equal(want))
		w.exec("DELETE FROM roster_sticky")
		Eventually(w.callers).Should(Equal(want))
		w.exec("INSERT INTO roster_sticky (key, center, interface) VALUES (?, ?, 'PJSIP/mallory')", w.ns+"/+390600000000", w.ns)
		Eventually(w.callers).Should(Equal(want))
	})

	It("is forgotten with the centre", func() {
		w = newWorld()
		w.embedded = false // it would take the centre's place, with the same rows
		w.startOperator()
		w.create(staffed("alice", "bob")...)
		w.create(group("north", "bob"))
		centre := contactCenter(w.ns + ".sqlite3")
		w.create(centre)
		c := client(assignment("case-7", "alice"), phone)
		c.Spec.Group = "north"
		w.create(c)
		Eventually(w.callers).Should(Equal([]string{phone + "|PJSIP/alice|alice|north|" + w.ns + ".north|CASE-7"}))
		w.delete(agentOf(w, "alice"), agentOf(w, "bob"), centre)
		Eventually(w.callers).Should(BeEmpty())
		Eventually(func() []string { return w.rows("SELECT name FROM queues") }).Should(BeEmpty())
		Eventually(func() bool { return w.center().Name == "" }).Should(BeTrue())
	})
})

var _ = Describe("Cases of somebody who is put out", func() {
	var w *world
	const cases, crew = 210, 7
	BeforeEach(func() {
		w = newWorld()
		w.startOperator()
		members := make([]string, crew)
		for i := range crew {
			members[i] = fmt.Sprintf("n%d", i)
		}
		w.create(staffed(slices.Concat(members, []string{"alice", "zoe"})...)...)
		w.create(group("north", members...))
		for i := range cases {
			c := assignment(fmt.Sprintf("case-%d", i), "alice")
			c.Spec.Group = "north"
			c.Spec.Client = &v1alpha1.Client{ID: "C", Phones: []v1alpha1.PhoneNumber{v1alpha1.PhoneNumber(fmt.Sprintf("+3906999%05d", i))}}
			w.create(c)
		}
		w.create(assignment("others", "zoe"))
		Eventually(func() []string {
			return w.rows("SELECT count(*) FROM roster_sticky WHERE interface = 'PJSIP/alice'")
		}, "60s").Should(Equal([]string{fmt.Sprint(cases)}))
		w.quiet()
		w.calls.reset()
	})

	load := func() map[string]int {
		list := &v1alpha1.CaseAssignmentList{}
		Expect(k8s.List(context.Background(), list, client.InNamespace(w.ns))).To(Succeed())
		held := map[string]int{}
		for i := range list.Items {
			for _, a := range list.Items[i].Status.Assignees {
				held[string(a.Name)]++
			}
		}
		return held
	}
	even := func(g Gomega) {
		held := load()
		g.Expect(held).NotTo(HaveKey("alice"))
		least, most := cases, 0
		for i := range crew {
			n := held[fmt.Sprintf("n%d", i)]
			least, most = min(least, n), max(most, n)
		}
		g.Expect(most-least).To(BeNumerically("<=", 1), "%v", held)
		g.Expect(held["zoe"]).To(Equal(1))
	}

	It("are spread evenly, at one status write a case, after access has ended, and no others are touched", Label("O8"), func() {
		changes, stop := w.watchCases()
		defer stop()
		w.deactivate("alice")
		Eventually(func() int { return changes.count("alice") }).Should(BeNumerically(">", 0))
		Expect(changes.firstAccess("alice")).To(Equal(refused), "access ended before the first case moved")
		Eventually(even, "60s").Should(Succeed())
		w.quiet()
		Expect(w.rows("SELECT count(*) FROM roster_sticky WHERE interface = 'PJSIP/alice'")).To(Equal([]string{"0"}))
		writes := map[string]int{}
		for _, line := range w.calls.writes() {
			if strings.Contains(line, "/caseassignments/") {
				writes[line]++
			}
		}
		Expect(writes).To(HaveLen(cases))
		for line, n := range writes {
			Expect(n).To(Equal(1), line)
		}
	})

	It("are spread evenly with the operator stopped in the middle, twice", Label("O8"), func() {
		w.deactivate("alice")
		for _, share := range []int{cases / 4, cases / 2} {
			Eventually(func() int { return cases - load()["alice"] }, "60s", "1ms").Should(BeNumerically(">", share))
			w.stopOperator()
			w.startOperator()
		}
		Eventually(even, "60s").Should(Succeed())
		for i := range cases {
			Expect(w.story(fmt.Sprintf("case-%d", i))).To(MatchRegexp(`^Responsible >alice Declared; Responsible alice>n\d Cover: Deactivated$`))
		}
	})

	It("cost nothing when nothing changes, and one status and one row when one does", Label("V3"), func() {
		w.stopOperator()
		w.startOperator()
		w.quiet()
		Expect(w.calls.writes()).To(BeEmpty(), "a restart")
		editCase(w, "case-0", func(c *v1alpha1.CaseAssignment) { c.Spec.Assignees = []v1alpha1.Assignee{{Name: "zoe"}} })
		Eventually(w.holders("case-0")).Should(Equal("Assigned zoe/Declared"))
		w.quiet()
		Expect(slices.DeleteFunc(w.calls.writes(), func(line string) bool { return strings.Contains(line, "/contactcenters/") })).To(
			Equal([]string{"PUT /apis/staff.roster.dev/v1alpha1/namespaces/" + w.ns + "/caseassignments/case-0/status"}))
		Expect(w.rows("SELECT count(*) FROM roster_sticky WHERE interface = 'PJSIP/zoe'")).To(Equal([]string{"1"}))
	})
})

// caseChanges are the changes of cases that a watch told of, and what the telephone system said of somebody then.
type caseChanges struct {
	mu     sync.Mutex
	w      *world
	moved  map[string]int
	access map[string]string
}

func (c *caseChanges) count(from string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.moved[from]
}

// firstAccess is what the telephone system allowed somebody when the first case of theirs had moved.
func (c *caseChanges) firstAccess(from string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.access[from]
}

// watchCases watches who holds cases.
func (w *world) watchCases() (*caseChanges, func()) {
	GinkgoHelper()
	watching, err := client.NewWithWatch(rest.CopyConfig(config), client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	watcher, err := watching.Watch(context.Background(), &v1alpha1.CaseAssignmentList{}, client.InNamespace(w.ns))
	Expect(err).NotTo(HaveOccurred())
	changes := &caseChanges{w: w, moved: map[string]int{}, access: map[string]string{}}
	go func() {
		for event := range watcher.ResultChan() {
			c, ok := event.Object.(*v1alpha1.CaseAssignment)
			if !ok || event.Type != watch.Modified || len(c.Status.Assignees) == 0 || c.Status.Assignees[0].Covers == "" {
				continue
			}
			from := string(c.Status.Assignees[0].Covers)
			changes.mu.Lock()
			if changes.moved[from]++; changes.moved[from] == 1 {
				changes.access[from] = w.access(from)
			}
			changes.mu.Unlock()
		}
	}()
	return changes, watcher.Stop
}

func agentOf(w *world, name string) *v1alpha1.Agent {
	return &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns}}
}
