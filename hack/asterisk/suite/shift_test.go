//go:build pbx

package suite

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony/asterisk/ami"
)

var _ = Describe("Callers of a queue", func() {
	onEach(func(kind kindOfPBX) {
		It("reach the people whom the queue names, the better ones first", Label("C1", "C3", "O5"), func() {
			s := newSite(kind, 1, nil)
			vip := line("vip", "603")
			vip.Spec.Competency = v1alpha1.CompetencyEnabled
			vip.Spec.Agents = []v1alpha1.QueueEntry{{Name: "alice", Stars: 4}, {Name: "bob", Stars: 1}}
			byTeam, byGroup := line("billing", "601"), line("sales", "602")
			byTeam.Spec.Teams = []v1alpha1.QueueEntry{{Name: "accounts"}}
			byGroup.Spec.Groups = []v1alpha1.QueueEntry{{Name: "north"}}
			team := &v1alpha1.Team{ObjectMeta: metav1.ObjectMeta{Name: "accounts"}}
			team.Spec.Members = []v1alpha1.Member{{Name: "bob"}}
			group := &v1alpha1.AgentGroup{ObjectMeta: metav1.ObjectMeta{Name: "north"}}
			group.Spec.Members = []v1alpha1.Member{{Name: "carla"}}
			s.create(person("alice", "1001"), person("bob", "1002"), person("carla", "1003"), person("dave", "1004"),
				team, group, line("support", "600", "alice"), byTeam, byGroup, vip)
			s.ready("alice", "bob", "carla", "dave")
			caller := s.registered("dave")
			phones := map[string]*phone.Phone{}
			for _, name := range []string{"alice", "bob", "carla"} {
				phones[name] = s.registered(name)
				phones[name].Handle(phone.Ring())
				s.idle(name)
			}
			members := func(queue string) func() []string {
				return func() []string {
					return s.rows("SELECT membername, penalty FROM queue_members WHERE queue_name = '" + queue + "' ORDER BY membername")
				}
			}
			Eventually(members("vip")).Should(Equal([]string{"alice|0", "bob|3"}))
			// rung is the call that a person's phone gets, while nobody else's rings.
			rung := func(name string) *phone.Call {
				GinkgoHelper()
				in := nextCall(phones[name])
				happens(in.Ringing())
				before := incoming(phones)
				Consistently(func() int { return incoming(phones) }).Should(Equal(before), "another phone rings too")
				return in
			}

			By("each way into a queue")
			for _, c := range []struct{ number, name string }{{"600", "alice"}, {"601", "bob"}, {"602", "carla"}} {
				call := dialled(caller, c.number)
				in := rung(c.name)
				Expect(in.CallerNumber()).To(Equal("1004"))
				Expect(in.Answer()).To(Succeed())
				happens(in.Answered())
				Expect(s.channels(0, c.name)).To(HaveLen(1))
				hangUp(call)
				happens(in.Ended())
				s.idle(c.name)
			}

			By("four stars before one")
			call := dialled(caller, "603")
			Expect(rung("alice").Busy()).To(Succeed())
			in := rung("bob")
			hangUp(call)
			happens(in.Ended())

			By("the stars the other way round")
			s.idle("alice", "bob")
			s.edit(vip, func() { vip.Spec.Agents[0].Stars, vip.Spec.Agents[1].Stars = 1, 4 })
			Eventually(members("vip")).Should(Equal([]string{"alice|3", "bob|0"}))
			call = dialled(caller, "603")
			Expect(rung("bob").Busy()).To(Succeed())
			in = rung("alice")
			hangUp(call)
			happens(in.Ended())

			By("the better one taken out")
			s.idle("alice", "bob")
			s.edit(vip, func() { vip.Spec.Agents = vip.Spec.Agents[:1] })
			Eventually(members("vip")).Should(Equal([]string{"alice|3"}))
			call = dialled(caller, "603")
			in = rung("alice")
			hangUp(call)
			happens(in.Ended())

			By("somebody coming while a caller waits for nobody")
			s.idle("alice")
			s.edit(vip, func() { vip.Spec.Agents = nil })
			Eventually(members("vip")).Should(BeEmpty())
			call = dialled(caller, "603")
			happens(call.Answered())
			before := incoming(phones)
			Consistently(func() int { return incoming(phones) }).Should(Equal(before))
			s.edit(vip, func() { vip.Spec.Agents = []v1alpha1.QueueEntry{{Name: "carla"}} })
			in = rung("carla") // at the queue's next try, every five seconds
			hangUp(call)
			happens(in.Ended())
		})
	})
})

var _ = Describe("Asterisk's memory", func() {
	onEach(func(kind kindOfPBX) {
		It("follows what is declared, with no caller who would have it read the database", Label("C1", "C3", "C8"), func() {
			s := newSite(kind, 1, nil)
			queue := line("support", "600")
			queue.Spec.Competency = v1alpha1.CompetencyEnabled
			alice := person("alice", "1001")
			s.create(alice, person("bob", "1002"), queue)
			s.ready("alice", "bob")
			bob := s.registered("bob")
			s.registered("alice").Handle(phone.Ring())
			s.idle("alice")
			w := s.listen(0)
			// ringing has her phone ring, which makes the server tell of her in each queue that it has in memory.
			ringing := func() string {
				GinkgoHelper()
				w.forget()
				call := dialled(bob, "1001")
				Eventually(w.ringing("support", "alice"), 5*time.Second).ShouldNot(BeEmpty())
				told := w.ringing("support", "alice")()
				hangUp(call)
				Eventually(w.idle("support", "alice"), 5*time.Second).Should(BeTrue())
				return told
			}
			// soon is a second, and what looking takes.
			soon := 2 * time.Second
			within := func(what string, accepted time.Time) { GinkgoWriter.Printf("%s: %s\n", what, time.Since(accepted)) }

			By("a new member")
			Expect(s.membersInMemory(0)).To(BeEmpty())
			s.edit(queue, func() { queue.Spec.Agents = []v1alpha1.QueueEntry{{Name: "alice", Stars: 1}} })
			accepted := time.Now()
			Eventually(func() []string { return s.membersInMemory(0) }, soon).Should(ConsistOf("PJSIP/alice"))
			within("membership", accepted)
			Expect(ringing()).To(Equal("penalty 3, paused 0"))

			By("more stars")
			s.edit(queue, func() { queue.Spec.Agents[0].Stars = 3 })
			accepted = time.Now()
			Eventually(ringing, soon).Should(Equal("penalty 1, paused 0"))
			within("penalty", accepted)

			By("looking not being what had the database read")
			s.exec("UPDATE queue_members SET penalty = 2 WHERE queue_name = 'support'")
			Expect(ringing()).To(Equal("penalty 1, paused 0"))
			s.exec("UPDATE queue_members SET penalty = 1 WHERE queue_name = 'support'")
			s.exec("INSERT INTO queue_members (queue_name, interface, membername, uniqueid) VALUES ('support', 'PJSIP/bob', 'bob', '900000')")
			Expect(s.membersInMemory(0)).To(ConsistOf("PJSIP/alice"))
			s.exec("DELETE FROM queue_members WHERE membername = 'bob'")

			By("a pause")
			s.annotate(alice, v1alpha1.AnnotationPauseAt, now()+" Training")
			accepted = time.Now()
			Eventually(ringing, soon).Should(Equal("penalty 1, paused 1"))
			within("pause", accepted)
			s.annotate(alice, v1alpha1.AnnotationUnpauseAt, now())
			accepted = time.Now()
			Eventually(ringing, soon).Should(Equal("penalty 1, paused 0"))
			within("unpause", accepted)

			By("a leave")
			s.edit(alice, func() {
				alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Hour)), Reason: v1alpha1.ReasonVacation}}
			})
			accepted = time.Now()
			Eventually(ringing, soon).Should(Equal("penalty 1, paused 1"))
			within("leave", accepted)

			By("a new queue, and its end")
			other := line("sales", "601")
			s.create(other)
			accepted = time.Now()
			Eventually(func() []string { return s.queuesInMemory(0) }, soon).Should(ConsistOf("sales", "support"))
			within("queue", accepted)
			Expect(k8s.Delete(ctx(), other)).To(Succeed())
			accepted = time.Now()
			Eventually(func() []string { return s.queuesInMemory(0) }, soon).Should(ConsistOf("support"))
			within("queue's end", accepted)

			By("a member leaving")
			s.edit(queue, func() { queue.Spec.Agents = nil })
			accepted = time.Now()
			Eventually(func() []string { return s.membersInMemory(0) }, soon).Should(BeEmpty())
			within("membership's end", accepted)
		})
	})
})

var _ = Describe("A person's own pause", func() {
	onEach(func(kind kindOfPBX) {
		It("outlives everything but the order to lift it", Label("C8", "B4"), func() {
			s := newSite(kind, 1, func(c *v1alpha1.ContactCenter) { c.Spec.DriftIntervalSeconds = new(int32(1)) })
			alice := person("alice", "1001")
			north := &v1alpha1.AgentGroup{ObjectMeta: metav1.ObjectMeta{Name: "north"}}
			north.Spec.Members = []v1alpha1.Member{{Name: "alice"}}
			south := &v1alpha1.AgentGroup{ObjectMeta: metav1.ObjectMeta{Name: "south"}}
			queue := line("support", "600")
			queue.Spec.Competency = v1alpha1.CompetencyEnabled
			queue.Spec.Groups = []v1alpha1.QueueEntry{{Name: "north", Stars: 1}, {Name: "south", Stars: 4}}
			s.create(alice, north, south, queue)
			s.ready("alice")
			s.registered("alice")
			s.idle("alice")
			button := s.listen(0)
			in := func(queue string) func() string {
				return func() string { return button.member(queue, "alice") }
			}
			row := func(queue string) []string {
				return s.rows("SELECT paused, penalty FROM queue_members WHERE interface = 'PJSIP/alice' AND queue_name = '" + queue + "'")
			}
			Eventually(in("support")).Should(Equal("penalty 3, paused 0"))
			Expect(button.pause("", "alice", true, "Lunch")).To(Succeed())

			reason := ", Lunch"
			stays := func(penalty int) {
				GinkgoHelper()
				Expect(in("support")()).To(Equal(fmt.Sprintf("penalty %d, paused 1%s", penalty, reason)))
				Expect(row("support")).To(Equal([]string{fmt.Sprintf("1|%d", penalty)}))
			}
			stays(3)

			By("other stars")
			s.edit(queue, func() { queue.Spec.Groups[0].Stars = 2 })
			Eventually(func() []string { return row("support") }).Should(Equal([]string{"1|2"}))
			stays(2)

			By("another group: out of the one, and of her only queue, then into the other")
			s.edit(north, func() { north.Spec.Members = nil })
			Eventually(func() []string { return row("support") }).Should(BeEmpty())
			s.edit(south, func() { south.Spec.Members = []v1alpha1.Member{{Name: "alice"}} })
			Eventually(func() v1alpha1.ObjectName { return s.agent("alice").Status.Group }).Should(BeEquivalentTo("south"))
			Eventually(func() []string { return row("support") }).Should(Equal([]string{"1|0"}))
			reason = kind.read("Lunch") // a new member's comes from the database
			Eventually(in("support")).Should(Equal("penalty 0, paused 1" + reason))
			stays(0)

			By("another queue: whoever is at lunch everywhere is at lunch there too, and may come back to that one alone")
			s.create(line("sales", "601", "alice"))
			Eventually(in("sales")).Should(Equal("penalty 0, paused 1" + kind.read("Lunch")))
			Expect(button.pause("sales", "alice", false, "")).To(Succeed())
			Eventually(in("sales")).Should(Equal("penalty 0, paused 0"))
			stays(0)

			By("the database being compared: a penalty changed by hand is repaired, the pause is not")
			s.exec("UPDATE queue_members SET penalty = 2 WHERE interface = 'PJSIP/alice' AND queue_name = 'support'")
			Eventually(func() []string { return row("support") }).Should(Equal([]string{"1|0"}))
			stays(0)

			By("the manager being killed")
			s.stopManager()
			s.startManager()
			s.order(alice, v1alpha1.AnnotationReconcileAt)
			stays(0)

			By("a leave that began, and ends")
			end := metav1.NewTime(time.Now().Truncate(time.Second).Add(5 * time.Second))
			s.edit(alice, func() {
				alice.Spec.Leaves = []v1alpha1.Leave{{
					StartTime: metav1.NewTime(end.Add(-time.Hour)), EndTime: &end, Reason: v1alpha1.ReasonVacation,
				}}
			})
			Eventually(in("sales")).Should(Equal("penalty 0, paused 1" + kind.read("Vacation")))
			stays(0)
			Eventually(in("sales")).Should(Equal("penalty 0, paused 0"))
			s.ready("alice")
			stays(0)

			By("Asterisk restarting")
			Expect(s.servers[0].Restart(ctx())).To(Succeed())
			button = s.listen(0)
			reason = kind.read("Lunch")
			stays(0)
			s.order(alice, v1alpha1.AnnotationReconcileAt)
			stays(0)

			By("the order to lift it")
			s.order(alice, v1alpha1.AnnotationUnpauseAt)
			Eventually(in("support")).Should(Equal("penalty 0, paused 0"))
			Expect(row("support")).To(Equal([]string{"0|0"}))
		})

		It("is theirs also where they paused during a leave", Label("B2"), func() {
			s := newSite(kind, 1, nil)
			alice := person("alice", "1001")
			s.create(alice, line("support", "600", "alice"), line("sales", "601", "alice"))
			s.ready("alice")
			button := s.listen(0)
			in := func(queue string) func() string {
				return func() string { return button.member(queue, "alice") }
			}
			end := metav1.NewTime(time.Now().Truncate(time.Second).Add(5 * time.Second))
			s.edit(alice, func() {
				alice.Spec.Leaves = []v1alpha1.Leave{{
					StartTime: metav1.NewTime(end.Add(-time.Hour)), EndTime: &end, Reason: v1alpha1.ReasonVacation,
				}}
			})
			Eventually(in("support")).Should(Equal("penalty 0, paused 1" + kind.read("Vacation")))
			Eventually(in("sales")).Should(Equal("penalty 0, paused 1" + kind.read("Vacation")))
			Expect(button.pause("support", "alice", true, "Lunch")).To(Succeed())
			Expect(in("support")()).To(Equal("penalty 0, paused 1, Lunch"))
			Eventually(in("sales")).Should(Equal("penalty 0, paused 0"))
			s.ready("alice")
			Expect(in("support")()).To(Equal("penalty 0, paused 1, Lunch"))
		})
	})
})

var _ = Describe("A person on leave", func() {
	onEach(func(kind kindOfPBX) {
		It("is signed in and not rung by queues, from the declared second to the declared second", Label("B2"), func() {
			s := newSite(kind, 1, func(c *v1alpha1.ContactCenter) { c.Spec.DriftIntervalSeconds = new(int32(1)) })
			alice := person("alice", "1001")
			s.create(alice, person("bob", "1002"), line("support", "600", "alice"))
			s.ready("alice", "bob")
			a, b := s.registered("alice"), s.registered("bob")
			a.Handle(phone.Ring())
			s.idle("alice")
			button := s.listen(0)
			// paused says whether she is, until when that was so: the moment before it was asked.
			paused := func() (string, time.Time) {
				before := time.Now()
				return strings.Join(s.rows("SELECT paused FROM queue_members WHERE interface = 'PJSIP/alice'"), ","), before
			}
			changes := func(to string, at time.Time) {
				GinkgoHelper()
				var seen time.Time
				last := time.Time{}
				Eventually(func() string {
					is, before := paused()
					if is != to {
						last = before
					} else if seen.IsZero() {
						seen = time.Now()
					}
					return is
				}).Should(Equal(to))
				Expect(seen).To(BeTemporally(">=", at), "too early")
				Expect(last).To(BeTemporally("<", at.Add(2*time.Second)), "too late")
			}

			start := metav1.NewTime(time.Now().Truncate(time.Second).Add(3 * time.Second))
			end := metav1.NewTime(start.Add(14 * time.Second))
			s.edit(alice, func() {
				alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: start, EndTime: &end, Reason: v1alpha1.ReasonVacation}}
			})
			is, _ := paused()
			Expect(is).To(Equal("0"))

			By("the leave beginning")
			changes("1", start.Time)
			Eventually(func() string { return button.member("support", "alice") }).Should(Equal("penalty 0, paused 1" + kind.read("Vacation")))
			Eventually(func() v1alpha1.AgentPhase { return s.agent("alice").Status.Phase }).Should(Equal(v1alpha1.PhaseOnLeave))
			Expect(s.device(0, "alice")).To(Equal("Not in use"))

			By("somebody lifting Roster's pause by hand")
			Expect(button.pause("", "alice", false, "")).To(Succeed())
			Eventually(func() string { return button.member("support", "alice") }, 3*time.Second).Should(Equal("penalty 0, paused 1" + kind.read("Vacation")))

			By("somebody lifting it while there is no manager")
			s.stopManager()
			Expect(button.pause("", "alice", false, "")).To(Succeed())
			Expect(button.member("support", "alice")).To(Equal("penalty 0, paused 0"))
			s.startManager()
			Eventually(func() string { return button.member("support", "alice") }, 5*time.Second).Should(Equal("penalty 0, paused 1" + kind.read("Vacation")))
			Expect(s.agent("alice").Status.Phase).To(Equal(v1alpha1.PhaseOnLeave))

			By("her extension being dialled")
			call := dialled(b, "1001")
			in := nextCall(a)
			happens(in.Ringing())
			hangUp(call)
			happens(in.Ended())

			By("a caller of the queue")
			before := len(a.Incoming())
			call = dialled(b, "600")
			happens(call.Answered())
			Consistently(a.Incoming, time.Until(end.Add(-time.Second))).Should(HaveLen(before))

			By("the leave ending")
			changes("0", end.Time)
			happens(nextCall(a).Ringing())
			hangUp(call)
			Eventually(func() v1alpha1.AgentPhase { return s.agent("alice").Status.Phase }).Should(Equal(v1alpha1.PhaseActive))
		})
	})
})

// crowd is how many people get orders at once.
const crowd = 20

var _ = Describe("Orders", func() {
	onEach(func(kind kindOfPBX) {
		It("are carried out once, on one person and on many at once", Label("C8"), func() {
			s := newSite(kind, 1, nil)
			label := client.MatchingLabels{"shift": "late"}
			team := &v1alpha1.Team{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
			team.Spec.Selector = &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"shift": "late"}}
			queue := line("support", "600")
			queue.Spec.Strategy, queue.Spec.Teams = v1alpha1.StrategyRoundRobinMemory, []v1alpha1.QueueEntry{{Name: "late"}}
			s.create(team, queue, person("dave", "900"))
			names := make([]string, crowd)
			for i := range names {
				names[i] = fmt.Sprintf("agent-%02d", i+1)
				a := person(names[i], strconv.Itoa(1001+i))
				a.Labels = label
				s.create(a)
			}
			s.ready(append(names, "dave")...)
			caller := s.registered("dave")
			phones := map[string]*phone.Phone{}
			for _, name := range names {
				phones[name] = s.registered(name)
			}
			s.idle(names...)
			w := s.listen(0)
			paused := func() []string {
				return s.rows("SELECT membername FROM queue_members WHERE queue_name = 'support' AND paused = 1 ORDER BY membername")
			}
			// order gives an order to everybody with the label, as kubectl annotate does.
			order := func(annotation, value string) {
				GinkgoHelper()
				list := &v1alpha1.AgentList{}
				Expect(k8s.List(ctx(), list, client.InNamespace(s.ns), label)).To(Succeed())
				Expect(list.Items).To(HaveLen(crowd))
				for i := range list.Items {
					s.annotate(&list.Items[i], annotation, value)
				}
			}
			// told are how many events there were of each order, and how many people they were about.
			told := func(reason string) func() string {
				return func() string { return s.ordersTold(reason) }
			}
			// twice is when all had an order, and one of them one more.
			twice := fmt.Sprintf("%d about %d", crowd+1, crowd)

			By("one in the future, on one person")
			one := s.agent(names[0])
			at := time.Now().Add(3 * time.Second).Truncate(time.Second)
			s.annotate(one, v1alpha1.AnnotationPauseAt, at.UTC().Format(time.RFC3339)+" Training")
			Eventually(func() []string {
				list := paused()
				if time.Now().Before(at) {
					Expect(list).To(BeEmpty(), "too early")
				}
				return list
			}).Should(Equal(names[:1]))
			Expect(time.Now()).To(BeTemporally("<", at.Add(2*time.Second)))
			Expect(w.member("support", names[0])).To(Equal("penalty 0, paused 1" + kind.read("Training")))
			Eventually(told("Paused")).Should(Equal("1 about 1"))
			s.order(one, v1alpha1.AnnotationUnpauseAt)
			Expect(paused()).To(BeEmpty())
			Eventually(told("Unpaused")).Should(Equal("1 about 1"))

			By("a pause of all")
			order(v1alpha1.AnnotationPauseAt, now()+" Meeting")
			Eventually(paused).Should(Equal(names))
			Eventually(told("Paused")).Should(Equal(twice))
			call := dialled(caller, "600")
			happens(call.Answered())
			Consistently(func() int { return incoming(phones) }).Should(BeZero())

			By("the end of it, with the caller waiting")
			order(v1alpha1.AnnotationUnpauseAt, now())
			Eventually(paused).Should(BeEmpty())
			Eventually(func() int { return incoming(phones) }).Should(Equal(1))
			Eventually(told("Unpaused")).Should(Equal(twice))
			hangUp(call)
			s.idle(names...)

			By("a log-out of one")
			w.forget()
			given := time.Now()
			s.order(one, v1alpha1.AnnotationLogoutAt)
			Eventually(func() int { return w.unavailable(names[:1]) }).Should(Equal(1))
			GinkgoWriter.Printf("logged out %s after the order was given\n", w.last(names).Sub(given))
			Expect(w.last(names)).To(BeTemporally("<", given.Add(2500*time.Millisecond)))
			Consistently(func() int { return w.unavailable(names) }).Should(Equal(1), "somebody else is logged out too")
			s.register(phones[names[0]])
			s.idle(names[0])

			By("a log-out of all, who may sign in again")
			w.forget()
			order(v1alpha1.AnnotationLogoutAt, now())
			last := time.Now()
			Eventually(func() int { return w.unavailable(names) }).Should(Equal(crowd))
			GinkgoWriter.Printf("all are logged out %s after the last order\n", w.last(names).Sub(last))
			Expect(w.last(names)).To(BeTemporally("<", last.Add(2500*time.Millisecond)))
			Eventually(told("LoggedOut")).Should(Equal(twice))
			for _, name := range names {
				s.register(phones[name])
			}
			s.idle(names...)

			By("a manager that was killed doing none of it again")
			Expect(w.pause("support", names[0], true, "Lunch")).To(Succeed())
			w.forget()
			s.stopManager()
			s.startManager()
			order(v1alpha1.AnnotationReconcileAt, now())
			for _, name := range names {
				Eventually(func() v1alpha1.HandledOrder { return s.agent(name).Status.Handled["reconcile-at"] }).
					Should(BeEquivalentTo(s.agent(name).Annotations[v1alpha1.AnnotationReconcileAt]))
			}
			Expect(paused()).To(Equal(names[:1]))
			Expect(w.unavailable(names)).To(BeZero())
			// Registrations that were ended would be gone a second later.
			Consistently(func() int { return w.unavailable(names) }, 1500*time.Millisecond).Should(BeZero())
			for _, name := range names {
				Expect(s.device(0, name)).To(Equal("Not in use"), name)
			}
			Expect(paused()).To(Equal(names[:1]))
			for _, reason := range []string{"Paused", "Unpaused", "LoggedOut"} {
				Expect(told(reason)()).To(Equal(twice), reason)
			}
		})
	})
})

// read is how a server tells of a pause's reason that it has from the database: Asterisk 16 neither reads reasons there
// nor writes them.
func (k kindOfPBX) read(reason string) string {
	if k.version == "16" {
		return ""
	}
	return ", " + reason
}

// now is what an order is given at.
func now() string { return time.Now().UTC().Format(time.RFC3339Nano) }

// annotate gives an object an annotation, and returns when the API server has accepted it.
func (s *site) annotate(o client.Object, annotation, value string) {
	GinkgoHelper()
	before := o.DeepCopyObject().(client.Object)
	o.SetAnnotations(map[string]string{annotation: value})
	before.SetAnnotations(nil)
	o.SetNamespace(s.ns)
	before.SetNamespace(s.ns)
	Expect(k8s.Patch(ctx(), o, client.MergeFrom(before))).To(Succeed())
}

// order gives a person an order, and waits until it is carried out.
func (s *site) order(a *v1alpha1.Agent, annotation string) {
	GinkgoHelper()
	value := now()
	s.annotate(a, annotation, value)
	_, kind, _ := strings.Cut(annotation, "/")
	Eventually(func() v1alpha1.HandledOrder { return s.agent(a.Name).Status.Handled[kind] }).Should(BeEquivalentTo(value))
}

// ordersTold says how many events with a reason there were about people, and about how many people.
func (s *site) ordersTold(reason string) string {
	list := &eventsv1.EventList{}
	if err := k8s.List(ctx(), list, client.InNamespace(s.ns)); err != nil {
		return err.Error()
	}
	times, about := 0, map[string]bool{}
	for i := range list.Items {
		e := &list.Items[i]
		if e.Reason != reason || e.Regarding.Kind != "Agent" {
			continue
		}
		about[e.Regarding.Name] = true
		if times++; e.Series != nil {
			times += int(e.Series.Count) - 1
		}
	}
	return fmt.Sprintf("%d about %d", times, len(about))
}

// idle waits until queues may ring people's phones.
func (s *site) idle(names ...string) {
	GinkgoHelper()
	for _, name := range names {
		Eventually(func() string { return s.device(0, name) }).Should(Equal("Not in use"), name)
	}
}

// membersInMemory are the interfaces that a server's queues have in memory. Completing a command line is what does not
// read the database.
func (s *site) membersInMemory(server int) []string {
	return s.completions(server, "queue remove member ")
}

// queuesInMemory are the queues that a server has in memory.
func (s *site) queuesInMemory(server int) []string {
	return s.completions(server, "queue reset stats ")
}

// completions of a command line. What they have in common comes first, if there is such a thing.
func (s *site) completions(server int, line string) []string {
	words := strings.Fields(s.cli(server, `_command matchesarray "`+line+`" ""`))
	words = slices.DeleteFunc(words, func(word string) bool { return word == "_EOF_" })
	if len(words) > 1 && !slices.ContainsFunc(words, func(word string) bool { return !strings.HasPrefix(word, words[0]) }) {
		words = words[1:]
	}
	return words
}

// watcher listens to a server's manager interface, as a wallboard does, and asks of it what a soft phone's buttons ask.
type watcher struct {
	conn *ami.Conn

	mu      sync.Mutex
	members map[string]map[string]string // queue/agent → device state → what was told with it
	devices map[string]time.Time         // agent → when the phone became unavailable
}

// listen begins to listen.
func (s *site) listen(server int) *watcher {
	GinkgoHelper()
	w := &watcher{}
	w.forget()
	to := s.servers[server]
	var err error
	w.conn, err = ami.Dial(ctx(), ami.Config{
		Address: to.AMIAddress, Username: to.Username, Secret: to.Password, Events: "agent,call,system", OnEvent: w.event,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(w.conn.Close)
	return w
}

// forget forgets what was told so far.
func (w *watcher) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members, w.devices = map[string]map[string]string{}, map[string]time.Time{}
}

func (w *watcher) event(m *ami.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch m.Get("Event") {
	case "QueueMemberStatus":
		key := m.Get("Queue") + "/" + m.Get("MemberName")
		if w.members[key] == nil {
			w.members[key] = map[string]string{}
		}
		w.members[key][m.Get("Status")] = "penalty " + m.Get("Penalty") + ", paused " + m.Get("Paused")
	case "DeviceStateChange":
		if name, ok := strings.CutPrefix(m.Get("Device"), "PJSIP/"); ok && m.Is("State", "UNAVAILABLE") {
			w.devices[name] = time.Now()
		}
	}
}

// Of AST_DEVICE_….
const deviceIdle, deviceRinging = "1", "6"

// ringing is what the server told of a member when the phone began to ring: it tells that from memory.
func (w *watcher) ringing(queue, agent string) func() string {
	return func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.members[queue+"/"+agent][deviceRinging]
	}
}

// idle says whether the server told that the phone was put down.
func (w *watcher) idle(queue, agent string) func() bool {
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.members[queue+"/"+agent][deviceIdle] != ""
	}
}

// unavailable is how many people's phones became unavailable.
func (w *watcher) unavailable(names []string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		if _, is := w.devices[name]; is {
			n++
		}
	}
	return n
}

// last is when the last of the phones became unavailable.
func (w *watcher) last(names []string) (last time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range names {
		if at := w.devices[name]; at.After(last) {
			last = at
		}
	}
	return last
}

// member is what the server answers about a member of a queue, empty where there is none. It reads the queue for that.
func (w *watcher) member(queue, agent string) (member string) {
	bounded, cancel := context.WithTimeout(ctx(), 5*time.Second)
	defer cancel()
	err := w.conn.List(bounded, ami.NewAction("QueueStatus", "Queue", queue, "Member", "PJSIP/"+agent), func(m *ami.Message) {
		if !m.Is("Event", "QueueMember") {
			return
		}
		member = "penalty " + m.Get("Penalty") + ", paused " + m.Get("Paused")
		if reason := m.Get("PausedReason"); reason != "" {
			member += ", " + reason
		}
	})
	if err != nil {
		return "error: " + err.Error()
	}
	return member
}

// pause presses the pause button of a person's soft phone, for a queue or, where that is empty, for all.
func (w *watcher) pause(queue, agent string, paused bool, reason string) error {
	fields := []string{"Interface", "PJSIP/" + agent, "Paused", strconv.FormatBool(paused)}
	if queue != "" {
		fields = append(fields, "Queue", queue)
	}
	if reason != "" {
		fields = append(fields, "Reason", reason)
	}
	_, err := w.conn.Do(ctx(), ami.NewAction("QueuePause", fields...))
	return err
}

// dialled is a call to a number that is under way.
func dialled(from *phone.Phone, number string) *phone.Call {
	GinkgoHelper()
	call, err := from.Dial(number)
	Expect(err).NotTo(HaveOccurred())
	return call
}

// nextCall is the next call that comes to a phone.
func nextCall(to *phone.Phone) *phone.Call {
	GinkgoHelper()
	bounded, cancel := context.WithTimeout(ctx(), 15*time.Second)
	defer cancel()
	call, err := to.Next(bounded)
	Expect(err).NotTo(HaveOccurred())
	return call
}

func hangUp(call *phone.Call) {
	GinkgoHelper()
	Expect(call.HangUp(ctx())).To(Succeed())
}

// incoming is how many calls came to phones so far.
func incoming(phones map[string]*phone.Phone) (n int) {
	for _, p := range phones {
		n += len(p.Incoming())
	}
	return n
}
