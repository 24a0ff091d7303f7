//go:build pbx

package suite

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
)

// matter is a client's case, with a group and people.
func matter(name, phone, group string, assignees ...string) *v1alpha1.CaseAssignment {
	c := &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Name: name}}
	c.Spec.Client = &v1alpha1.Client{ID: "C-99", Name: "Ada Byron", Phones: []v1alpha1.PhoneNumber{v1alpha1.PhoneNumber(phone)}}
	c.Spec.Group = v1alpha1.ObjectName(group)
	for _, a := range assignees {
		c.Spec.Assignees = append(c.Spec.Assignees, v1alpha1.Assignee{Name: v1alpha1.AgentName(a)})
	}
	return c
}

// group is an AgentGroup of people.
func group(name string, members ...string) *v1alpha1.AgentGroup {
	g := &v1alpha1.AgentGroup{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, m := range members {
		g.Spec.Members = append(g.Spec.Members, v1alpha1.Member{Name: v1alpha1.AgentName(m)})
	}
	return g
}

// holds waits until a case is held so, such as "Assigned: alice Declared", and all of it is on the telephone system.
func (s *site) holds(name, want string) {
	GinkgoHelper()
	Eventually(func() string {
		c := &v1alpha1.CaseAssignment{}
		if err := k8s.Get(ctx(), client.ObjectKey{Namespace: s.ns, Name: name}, c); err != nil {
			return err.Error()
		}
		if ready := conditionOf(c.Status.Conditions, v1alpha1.ConditionReady); c.Status.ObservedGeneration != c.Generation || !strings.HasPrefix(ready, "True") {
			return "not yet: " + ready
		}
		text := string(c.Status.Phase) + ":"
		for _, a := range c.Status.Assignees {
			text += fmt.Sprintf(" %s %s", a.Name, a.Via)
		}
		return text
	}).Should(Equal(want), name)
}

// desk is people's phones, all of which ring.
type desk struct {
	*site
	phones map[string]*phone.Phone
}

// desk signs people in.
func (s *site) desk(names ...string) *desk {
	GinkgoHelper()
	d := &desk{s, map[string]*phone.Phone{}}
	for _, name := range names {
		d.phones[name] = s.registered(name)
		d.phones[name].Handle(phone.Ring())
	}
	s.idle(names...)
	return d
}

// calls are how many came to each person so far.
func (d *desk) calls() map[string]int {
	n := map[string]int{}
	for name, p := range d.phones {
		n[name] = len(p.Incoming())
	}
	return n
}

// answers waits for one more call to a person than there were, and has them answer it.
func (d *desk) answers(who string, before map[string]int) *phone.Call {
	GinkgoHelper()
	p := d.phones[who]
	Eventually(func() int { return len(p.Incoming()) }).Should(BeNumerically(">", before[who]), who+" is not called")
	in := p.Incoming()[before[who]]
	Expect(in.Answer()).To(Succeed())
	happens(in.Answered())
	return in
}

// reaches has a client call the queue, one person answer, and hang up. Nobody else may have been called but those who are
// named.
func (d *desk) reaches(from *phone.Phone, who string, others ...string) {
	GinkgoHelper()
	before := d.calls()
	call := dialled(from, "600")
	in := d.answers(who, before)
	happens(call.Answered())
	hangUp(in)
	happens(call.Ended())
	for name, n := range d.calls() {
		if name == who {
			Expect(n).To(Equal(before[name]+1), "calls of "+name)
		} else if !slices.Contains(others, name) {
			Expect(n).To(Equal(before[name]), "calls of "+name)
		}
	}
	d.idle(append(others, who)...)
}

var _ = Describe("A known caller", func() {
	for _, kind := range oldestAndNewest {
		It("reaches whoever has their case, with "+kind.String(), Label("O8", "B9", "B2"), func() {
			s := newSite(kind, 1, nil)
			alice, bob := person("alice", "1001"), person("bob", "1002")
			s.create(alice, bob, person("carla", "1003"), person("dave", "1004"), person("erin", "1005"),
				group("north", "alice", "bob", "erin"), group("south"), line("support", "600", "carla"))
			s.ready("alice", "bob", "carla", "dave", "erin")
			d := s.desk("alice", "bob", "carla", "dave", "erin")
			ada, eve, joe := s.client("+390699999"), s.client("00390666666666"), s.client("393331234567")

			By("nobody who knows them")
			d.reaches(ada, "carla")

			By("a case")
			refund := matter("refund", "+39 06 99999", "north", "alice")
			s.create(refund)
			s.holds("refund", "Assigned: alice Declared")
			d.reaches(ada, "alice")
			d.reaches(eve, "carla")

			By("the responsible person being in another call")
			before := d.calls()
			other := dialled(d.phones["dave"], "1001")
			in := d.answers("alice", before)
			d.reaches(ada, "bob", "erin")
			hangUp(other)
			happens(in.Ended())
			s.idle("alice")

			By("the responsible person not answering")
			d.reaches(ada, "erin", "alice", "bob")

			By("the responsible person being deactivated: the one who has the case now comes first")
			s.edit(alice, func() { alice.Spec.State = v1alpha1.StateDeactivated })
			s.holds("refund", "Covered: bob Group")
			d.reaches(ada, "bob")

			By("the responsible person being on leave, with a backup")
			contract := matter("contract", "+39 06 6666 6666", "north", "bob")
			s.create(contract)
			s.holds("contract", "Assigned: bob Declared")
			d.reaches(eve, "bob")
			end := metav1.NewTime(time.Now().Truncate(time.Second).Add(8 * time.Second))
			s.edit(bob, func() {
				bob.Spec.Leaves = []v1alpha1.Leave{{
					StartTime: metav1.NewTime(end.Add(-time.Hour)), EndTime: &end, Reason: v1alpha1.ReasonVacation, Backup: "dave",
				}}
			})
			s.holds("contract", "Covered: dave Backup")
			s.holds("refund", "Covered: erin Group")
			d.reaches(eve, "dave")
			d.reaches(ada, "erin")
			Expect(time.Now()).To(BeTemporally("<", end.Time), "the leave ended too early for this spec")

			By("the leave ending: what was covered for it is back, and what was somebody's else stays with who has it")
			s.holds("contract", "Assigned: bob Declared")
			Expect(time.Now()).To(BeTemporally(">=", end.Time))
			Expect(time.Now()).To(BeTemporally("<", end.Add(2*time.Second)))
			d.reaches(eve, "bob")
			d.reaches(ada, "erin")

			By("nobody who could take the case")
			s.create(matter("lost", "+393331234567", "south", "alice"))
			s.holds("lost", "Unassigned:")
			d.reaches(joe, "carla")

			By("two cases of one caller: the newer one")
			created(refund)
			complaint := matter("complaint", "+390699999", "", "dave")
			s.create(complaint)
			s.holds("complaint", "Assigned: dave Declared")
			d.reaches(ada, "dave")
			s.edit(complaint, func() { complaint.Spec.State = v1alpha1.CaseCompleted })
			s.holds("complaint", "Completed:")
			d.reaches(ada, "erin")

			By("the last case being completed")
			s.edit(refund, func() { refund.Spec.State = v1alpha1.CaseCompleted })
			s.holds("refund", "Completed:")
			d.reaches(ada, "carla")
			Expect(s.rows("SELECT key FROM roster_sticky ORDER BY key")).
				To(Equal([]string{s.ns + "/+390666666666", s.ns + "/+393331234567"}))
		})

		It("never reaches somebody who was deactivated, with "+kind.String(), Label("O8", "B9", "G1"), func() {
			s := newSite(kind, 1, nil)
			s.create(person("bob", "1002"), person("carla", "1003"), group("north", "bob"), line("support", "600", "carla"))
			leavers := []string{"alice", "erin", "frank", "gina"}
			for i, name := range leavers {
				s.create(person(name, strconv.Itoa(1010+i)), matter("of-"+name, fmt.Sprintf("+3906999%02d", i), "north", name))
			}
			s.ready(append(leavers, "bob", "carla")...)
			d := s.desk(append(leavers, "bob", "carla")...)
			// out deactivates a person, and returns when that is in the database.
			out := func(name string) {
				GinkgoHelper()
				a := person(name, "")
				s.edit(a, func() { a.Spec.State = v1alpha1.StateDeactivated })
				Eventually(func() []string { return s.rows("SELECT phase FROM roster_agents WHERE name = '" + name + "'") }).
					WithPolling(2 * time.Millisecond).Should(Equal([]string{string(v1alpha1.PhaseDeactivating)}))
			}
			for i, name := range leavers {
				s.holds("of-"+name, "Assigned: "+name+" Declared")
				client := s.client(fmt.Sprintf("+3906999%02d", i))
				d.reaches(client, name)
				before := d.calls()[name]
				calls := func() int { return d.calls()[name] - before }
				// others are the calls of those who may come after: Carla's phone rings where Bob's still does from the call before.
				others := func() int { return d.calls()["bob"] + d.calls()["carla"] }

				if i%2 == 0 {
					By("a call that rings when " + name + " is put out, and goes on")
					call, n := dialled(client, "600"), others()
					Eventually(calls).Should(Equal(1))
					before++
					out(name)
					Eventually(others).Should(BeNumerically(">", n))
					hangUp(call)
				} else {
					By(name + " being put out")
					out(name)
				}
				if i == len(leavers)-1 {
					By("the manager being killed before it came to the caller's row")
					s.stopManager()
					s.exec("UPDATE roster_sticky SET interface = 'PJSIP/" + name + "', agent = '" + name + "' WHERE case_id = 'of-" + name + "'")
				}
				for began := time.Now(); time.Since(began) < 1500*time.Millisecond; {
					n := others()
					call := dialled(client, "600")
					Eventually(others).Should(BeNumerically(">", n))
					hangUp(call)
				}
				Expect(calls()).To(BeZero(), "calls of "+name)
				s.idle("bob", "carla")
			}
		})
	}
})
