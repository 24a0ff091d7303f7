package controllers_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk"
)

var _ = Describe("Seats", Label("B11"), func() {
	var (
		w      *world
		centre *v1alpha1.ContactCenter
	)
	BeforeEach(func() { w = newWorld() })

	// hire makes somebody whom the group of the queue support selects.
	hire := func(name string) *v1alpha1.Agent {
		return labelled(name, map[string]string{"dept": "x"})
	}
	// open makes a centre with so many seats, and the queue support.
	open := func(seats int32) {
		GinkgoHelper()
		centre = contactCenter(w.ns + ".sqlite3")
		centre.Spec.Seats = &seats
		north, support := group("north"), queue("support")
		north.Spec.Selector = &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"dept": "x"}}
		support.Spec.Groups = entries("north")
		w.create(centre, north, support)
	}
	limit := func(seats int32) {
		GinkgoHelper()
		edit(w, centre, func() { centre.Spec.Seats = &seats })
	}
	// working are the people whom Asterisk would call.
	working := func() []string {
		return w.rows(`SELECT DISTINCT substr(interface, 7) FROM queue_members WHERE queue_name = 'support' ORDER BY 1`)
	}
	// seated and waiting are the people of whom the reporting table says so.
	seated := func() []string { return w.rows(`SELECT name FROM roster_agents WHERE seat = 'Held' ORDER BY 1`) }
	waiting := func() []string { return w.rows(`SELECT name FROM roster_agents WHERE seat = 'Waiting' ORDER BY 1`) }
	counted := func() string {
		c := &v1alpha1.ContactCenter{}
		if err := k8s.Get(ctx(), client.ObjectKey{Namespace: w.ns, Name: "default"}, c); err != nil || c.Status.Seats == nil {
			return "nothing"
		}
		return fmt.Sprintf("%d used, %d waiting", c.Status.Seats.Used, c.Status.Seats.Waiting)
	}
	// agree waits until rows, statuses and conditions all say that exactly these people have a seat, and the others wait.
	agree := func(holders, others string) {
		GinkgoHelper()
		held, rest := strings.Fields(holders), strings.Fields(others)
		slices.Sort(held)
		slices.Sort(rest)
		Eventually(working).Should(Equal(orNothing(held)))
		Eventually(seated).Should(Equal(orNothing(held)))
		Eventually(waiting).Should(Equal(orNothing(rest)))
		for _, n := range held {
			Eventually(func() v1alpha1.SeatState { return w.agent(n).Status.Seat }).Should(Equal(v1alpha1.SeatHeld), n)
			Expect(condition(w.agent(n).Status.Conditions, v1alpha1.ConditionSeated)).To(BeEmpty(), n)
		}
		for _, n := range rest {
			Eventually(func() v1alpha1.SeatState { return w.agent(n).Status.Seat }).Should(Equal(v1alpha1.SeatWaiting), n)
			a := w.agent(n)
			Expect(condition(a.Status.Conditions, v1alpha1.ConditionSeated)).To(Equal("False/WaitingForSeat"), n)
			Expect(a.Status.Queues).To(BeEmpty(), n)
		}
		Eventually(counted, 30*time.Second).Should(Equal(fmt.Sprintf("%d used, %d waiting", len(held), len(rest))))
	}
	reasons := func(object string) func() []string {
		return func() []string {
			var events corev1.EventList
			_ = k8s.List(ctx(), &events, client.InNamespace(w.ns))
			var list []string
			for _, e := range events.Items {
				if e.InvolvedObject.Name == object {
					list = append(list, e.Reason)
				}
			}
			return list
		}
	}

	It("go to the oldest, stay with who has one, and pass on by themselves", func() {
		// The names are in another order than the people's ages.
		w.create(hire("zoe"), hire("yan"), hire("xia"))
		time.Sleep(1100 * time.Millisecond) // creation is kept in seconds
		for _, n := range []string{"ada", "ben", "cy", "dora", "eve", "fay", "gus"} {
			w.create(hire(n))
		}
		open(4)
		w.startOperator()
		agree("zoe yan xia ada", "ben cy dora eve fay gus")

		By("who waits has a working phone, and is told what to do")
		ben := w.agent("ben")
		Expect(w.ready("ben")()).To(Equal(isReady))
		Expect(w.access("ben")).To(Equal(w.granted()))
		Expect(ben.Status.Group).To(BeEquivalentTo("north"))
		Expect(message(ben.Status.Conditions, v1alpha1.ConditionSeated)).To(And(ContainSubstring("4 seats"), ContainSubstring("raise spec.seats")))
		Eventually(reasons("ben")).Should(ContainElement("WaitingForSeat"))
		Eventually(reasons("default")).Should(ContainElement("WaitingForSeat"))

		By("a leave keeps the seat")
		xia := w.agent("xia")
		edit(w, xia, func() {
			xia.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Minute)), Reason: "Vacation"}}
		})
		Eventually(func() v1alpha1.AgentPhase { return w.agent("xia").Status.Phase }).Should(Equal(v1alpha1.PhaseOnLeave))
		agree("zoe yan xia ada", "ben cy dora eve fay gus")

		By("a deactivation frees it for the next, with no other edit")
		zoe := w.agent("zoe")
		edit(w, zoe, func() { zoe.Spec.State = v1alpha1.StateDeactivated })
		agree("yan xia ada ben", "cy dora eve fay gus")
		Expect(w.access("zoe")).To(Equal(refused))
		Expect(w.agent("zoe").Status.Seat).To(BeEmpty())
		Eventually(reasons("ben")).Should(ContainElement("Seated"))
		history := w.agent("ben").Status.History
		Expect(history).To(ContainElement(And(HaveField("Type", "Seat"), HaveField("From", "Waiting"), HaveField("To", "Held"))))

		By("a restart changes nothing for anybody")
		w.stopOperator()
		w.calls.reset()
		w.startOperator()
		w.quiet()
		Expect(w.calls.writes()).To(BeEmpty())
		agree("yan xia ada ben", "cy dora eve fay gus")

		By("who comes back waits, however old")
		edit(w, zoe, func() { zoe.Spec.State = v1alpha1.StateActive })
		agree("yan xia ada ben", "zoe cy dora eve fay gus")

		By("fewer seats are taken from the youngest")
		limit(2)
		agree("yan xia", "zoe ada ben cy dora eve fay gus")
		Expect(w.agent("ada").Status.History).To(ContainElement(And(HaveField("Type", "Seat"), HaveField("To", "Waiting"), HaveField("Reason", "WaitingForSeat"))))
		Expect(message(w.agent("gus").Status.Conditions, v1alpha1.ConditionSeated)).To(ContainSubstring("2 seats"))

		By("more go to the oldest")
		limit(6)
		agree("yan xia zoe ada ben cy", "dora eve fay gus")
		Eventually(func() string { return message(w.agent("gus").Status.Conditions, v1alpha1.ConditionSeated) }).Should(ContainSubstring("6 seats"))

		By("statuses that are lost say the same again")
		for _, n := range []string{"yan", "cy", "dora"} {
			lost := w.agent(n)
			lost.Status = v1alpha1.AgentStatus{}
			Expect(k8s.Status().Update(ctx(), lost)).To(Succeed())
		}
		agree("yan xia zoe ada ben cy", "dora eve fay gus")

		By("an object that is deleted frees its seat when its rows are gone")
		w.delete(w.agent("xia"))
		agree("yan zoe ada ben cy dora", "eve fay gus")

		By("also where nobody saw it go")
		w.stopOperator()
		yan := w.agent("yan")
		edit(w, yan, func() { yan.Finalizers = nil })
		w.delete(yan)
		w.startOperator()
		agree("zoe ada ben cy dora eve", "fay gus")

		By("who needs no licence takes no seat")
		ada := w.agent("ada")
		edit(w, ada, func() { ada.Spec.License = v1alpha1.LicenseNone })
		agree("zoe ben cy dora eve fay", "gus")
		Eventually(func() string { return string(w.agent("ada").Status.Seat) }).Should(BeEmpty())
		Expect(w.access("ada")).To(Equal(w.granted()))

		By("a limit that is edited while nobody watches takes the youngest, and none is worse than few")
		w.stopOperator()
		limit(1)
		w.startOperator()
		agree("zoe", "ben cy dora eve fay gus")
		limit(0)
		agree("", "zoe ben cy dora eve fay gus")
		Expect(message(w.agent("zoe").Status.Conditions, v1alpha1.ConditionSeated)).To(ContainSubstring("0 seats"))

		By("without a limit everybody has one, and they are counted")
		edit(w, centre, func() { centre.Spec.Seats = nil })
		agree("zoe ben cy dora eve fay gus", "")
	})

	It("come and go with an employment, to the second", Label("B1"), func() {
		w.startOperator()
		open(1)
		start := metav1.NewTime(time.Now().Add(4 * time.Second).Truncate(time.Second))
		end := metav1.NewTime(start.Add(20 * time.Second))
		ada := hire("ada")
		ada.Spec.Employment = &v1alpha1.Employment{EndTime: &start}
		ben := hire("ben")
		ben.Spec.Employment = &v1alpha1.Employment{StartTime: &start, EndTime: &end}
		w.create(ada, ben, hire("cy"))
		agree("ada", "cy")
		Expect(w.agent("ben").Status.Phase).To(Equal(v1alpha1.PhasePending))
		Expect(w.agent("ben").Status.Seat).To(BeEmpty())
		within := func(who string, moment metav1.Time) {
			GinkgoHelper()
			Eventually(working, 25*time.Second, 5*time.Millisecond).Should(Equal([]string{who}))
			Expect(time.Now()).To(And(BeTemporally(">=", moment.Time), BeTemporally("<", moment.Add(time.Second))))
		}
		within("ben", start) // who is older than the one who waited until then
		agree("ben", "cy")
		within("cy", end)
		agree("cy", "")
	})

	It("pass on when it is written that their holders have them no more, and no sooner", func() {
		door := make(chan struct{})
		w.open = func(ns string, t center.Target) (telephony.Backend, error) {
			backend, err := asterisk.Open(ctx(), asteriskConfig(ns, t))
			return &slowFarewells{backend, door}, err
		}
		w.startOperator()
		open(1)
		w.create(hire("ada"), hire("ben"))
		agree("ada", "ben")
		ada := w.agent("ada")
		edit(w, ada, func() { ada.Spec.State = v1alpha1.StateDeactivated })
		Consistently(working).Should(Equal([]string{"ada"}))
		Expect(w.agent("ben").Status.Seat).To(Equal(v1alpha1.SeatWaiting))
		close(door)
		agree("ben", "")
	})

	It("are never more than there are, whatever happens", func() {
		const seats = 5
		open(seats)
		people := map[string]*v1alpha1.Agent{}
		serial := 0
		join := func() {
			serial++
			name := fmt.Sprintf("agent-%02d", serial)
			people[name] = hire(name)
			w.create(people[name])
		}
		for range 12 {
			join()
		}
		w.startOperator()
		Eventually(working).Should(HaveLen(seats))

		var watching sync.WaitGroup
		stop, most := make(chan struct{}), 0
		db := w.database()
		watching.Add(1)
		go func() {
			defer watching.Done()
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				var n int
				if err := db.QueryRow(`SELECT count(DISTINCT interface) FROM queue_members WHERE queue_name = 'support'`).Scan(&n); err == nil {
					most = max(most, n)
				}
			}
		}()
		r := rand.New(rand.NewPCG(uint64(GinkgoRandomSeed()), 11))
		names := func() (list []string) {
			for n := range people {
				list = append(list, n)
			}
			slices.Sort(list)
			return list
		}
		for i := range 120 {
			name := names()[r.IntN(len(people))]
			a := people[name]
			switch r.IntN(10) {
			case 0, 1:
				join()
			case 2:
				if len(people) > 8 {
					w.delete(a)
					delete(people, name)
				}
			case 3:
				edit(w, a, func() {
					if a.Spec.License == v1alpha1.LicenseNone {
						a.Spec.License = v1alpha1.LicenseSeat
					} else {
						a.Spec.License = v1alpha1.LicenseNone
					}
				})
			default:
				edit(w, a, func() {
					if a.Spec.State == v1alpha1.StateDeactivated {
						a.Spec.State = v1alpha1.StateActive
					} else {
						a.Spec.State = v1alpha1.StateDeactivated
					}
				})
			}
			if i%40 == 39 {
				w.stopOperator()
				w.startOperator()
			}
		}
		entitled := 0
		for _, a := range people {
			if a.Spec.State != v1alpha1.StateDeactivated && a.Spec.License != v1alpha1.LicenseNone {
				entitled++
			}
		}
		Eventually(working, 30*time.Second).Should(HaveLen(min(seats, entitled)))
		Eventually(seated).Should(Equal(working()))
		Eventually(waiting).Should(HaveLen(max(0, entitled-seats)))
		close(stop)
		watching.Wait()
		Expect(most).To(Equal(seats), "people who worked at once")
	})
})

// slowFarewells is a telephone system that takes its time to put people out, until the door is open.
type slowFarewells struct {
	telephony.Backend
	door chan struct{}
}

// ApplyAgent makes the system match one person.
func (s *slowFarewells) ApplyAgent(ctx context.Context, agent *telephony.Agent) (telephony.AgentResult, error) {
	if agent.Access == telephony.AccessRefused {
		<-s.door
	}
	return s.Backend.ApplyAgent(ctx, agent)
}

// orNothing is a list as a query returns it.
func orNothing(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
