package controllers_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
)

func supervisedBy(names ...string) []v1alpha1.Member {
	var list []v1alpha1.Member
	for _, n := range names {
		list = append(list, v1alpha1.Member{Name: v1alpha1.AgentName(n)})
	}
	return list
}

// hears says whether the rows let one person listen to another.
func (w *world) hears(listener, target string) func() bool {
	return func() bool {
		r := w.rows(`SELECT (SELECT SUBSTR(set_var, 10) FROM ps_endpoints WHERE id = ?), (SELECT monitors FROM roster_agents WHERE name = ?)`,
			target, listener)
		if len(r) != 1 {
			return false
		}
		carried, heard, _ := strings.Cut(r[0], "|")
		return roster.Shares(carried, heard)
	}
}

func (w *world) supervises(agent string) func() []v1alpha1.ObjectName {
	return func() []v1alpha1.ObjectName { return w.agent(agent).Status.Supervises }
}

var _ = Describe("Supervisors of a queue", Label("S9"), func() {
	var w *world

	BeforeEach(func() { w = newWorld() })

	It("of a campaign hear its people, inside its window only, to the second", Label("B1", "C5"), func() {
		w.startOperator()
		carla := agent("carla")
		carla.Spec.License = v1alpha1.LicenseNone // to supervise needs none
		w.create(agent("alice"), agent("bob"), carla)
		for _, name := range []string{"alice", "bob", "carla"} {
			Eventually(w.ready(name)).Should(Equal(isReady))
		}
		opens := metav1.NewTime(time.Now().Add(3 * time.Second).Truncate(time.Second))
		closes := metav1.NewTime(opens.Add(2 * time.Second))
		spring := queue("spring")
		spring.Spec.Type, spring.Spec.Window = v1alpha1.QueueTypeCampaign, &v1alpha1.Window{StartTime: &opens, EndTime: &closes}
		spring.Spec.Agents, spring.Spec.Supervisors = entries("alice"), supervisedBy("carla")
		w.create(spring)
		Consistently(w.hears("carla", "alice"), time.Second).Should(BeFalse())
		Expect(w.supervises("carla")()).To(BeEmpty())
		Eventually(w.hears("carla", "alice"), 10*time.Second, 5*time.Millisecond).Should(BeTrue())
		Expect(time.Now()).To(And(BeTemporally(">=", opens.Time), BeTemporally("<", opens.Add(time.Second))))
		Expect(w.members()).To(HaveExactElements(HavePrefix("spring|PJSIP/alice|")), "who supervises is no member")
		Expect(w.hears("carla", "bob")()).To(BeFalse())
		Expect(w.hears("bob", "alice")()).To(BeFalse())
		Eventually(w.supervises("carla")).Should(Equal([]v1alpha1.ObjectName{"spring"}))
		Eventually(w.hears("carla", "alice"), 10*time.Second, 5*time.Millisecond).Should(BeFalse())
		Expect(time.Now()).To(And(BeTemporally(">=", closes.Time), BeTemporally("<", closes.Add(time.Second))))
		Eventually(func() []string {
			return w.rows("SELECT monitors FROM roster_agents WHERE name = 'carla' AND monitors <> ''")
		}).Should(BeEmpty())
		Eventually(w.supervises("carla")).Should(BeEmpty())
		Expect(w.agent("carla").Status.Queues).To(BeEmpty())
		var history []string
		for _, h := range w.agent("carla").Status.History {
			if h.Type == "Supervises" {
				history = append(history, h.From+">"+h.To+" "+h.Time.UTC().Format(time.RFC3339))
			}
		}
		Expect(history).To(Equal([]string{">spring " + opens.UTC().Format(time.RFC3339), "spring> " + closes.UTC().Format(time.RFC3339)}))
	})

	It("come and go, and only those whom it concerns are written", func() {
		w.startOperator()
		support := queue("support")
		support.Spec.Agents = entries("alice", "bob")
		dora := agent("dora")
		dora.Spec.Role = v1alpha1.RoleTeamSupervisor
		w.create(agent("alice"), agent("bob"), agent("carla"), dora, support)
		for _, name := range []string{"alice", "bob", "carla", "dora"} {
			Eventually(w.ready(name)).Should(Equal(isReady))
		}
		labels := func(name string) string {
			return strings.Join(w.rows("SELECT set_var FROM ps_endpoints WHERE id = ?", name), "")
		}
		Eventually(w.members).Should(HaveLen(2))
		bare := labels("alice")
		w.quiet()

		By("the first one, whom the members' calls have to be marked for")
		w.calls.reset()
		edit(w, support, func() { support.Spec.Supervisors = supervisedBy("carla") })
		for _, name := range []string{"alice", "bob"} {
			Eventually(w.hears("carla", name)).Should(BeTrue())
		}
		Eventually(w.supervises("carla")).Should(Equal([]v1alpha1.ObjectName{"support"}))
		w.quiet()
		statuses := func() []string {
			return slices.DeleteFunc(w.calls.writes(), func(call string) bool { return !strings.Contains(call, "/agents/") })
		}
		Expect(statuses()).To(HaveExactElements(HaveSuffix("/agents/carla/status")), "no status tells of labels")
		marked := labels("alice")
		Expect(marked).To(HavePrefix(bare + ":"))

		By("one for another")
		w.calls.reset()
		edit(w, support, func() { support.Spec.Supervisors = supervisedBy("dora", "nobody") })
		Eventually(w.hears("dora", "alice")).Should(BeTrue())
		Eventually(w.hears("carla", "alice")).Should(BeFalse())
		Eventually(w.supervises("carla")).Should(BeEmpty())
		Eventually(w.supervises("dora")).Should(Equal([]v1alpha1.ObjectName{"support"}))
		w.quiet()
		Expect(statuses()).To(ConsistOf(HaveSuffix("/agents/carla/status"), HaveSuffix("/agents/dora/status")))
		Expect(labels("alice")).To(Equal(marked))

		By("a deactivation, and the way back")
		edit(w, dora, func() { dora.Spec.State = v1alpha1.StateDeactivated })
		Eventually(w.hears("dora", "alice")).Should(BeFalse())
		Eventually(w.supervises("dora")).Should(BeEmpty())
		edit(w, dora, func() { dora.Spec.State = v1alpha1.StateActive })
		Eventually(w.hears("dora", "alice")).Should(BeTrue())

		By("the queue being deleted")
		w.delete(support)
		Eventually(w.supervises("dora")).Should(BeEmpty())
		Eventually(w.hears("dora", "alice")).Should(BeFalse())
		Eventually(func() string { return labels("alice") }).Should(Equal(bare))
	})

	It("who are taken off lose the session under way", Label("C5"), func() {
		c := w.servedCenter(1)
		w.startOperator()
		support := queue("support")
		support.Spec.Agents, support.Spec.Supervisors = entries("alice"), supervisedBy("carla", "dora")
		w.create(c, agent("alice"), agent("carla"), agent("dora"), support)
		Eventually(w.hears("carla", "alice")).Should(BeTrue())
		Eventually(w.hears("dora", "alice")).Should(BeTrue())
		Eventually(w.managers).Should(HaveExactElements(HaveSuffix("Connected")))
		w.server(1).Dial("alice", "PJSIP/alice-00000001")
		for i, name := range []string{"carla", "dora"} {
			channel := fmt.Sprintf("PJSIP/%s-0000000%d", name, i+2)
			w.server(1).Dial(name, channel)
			w.server(1).Listen(channel, "alice", "PJSIP/alice-00000001")
		}
		Consistently(w.server(1).Calls).ShouldNot(ContainElement(HavePrefix("HangUp")))
		edit(w, support, func() { support.Spec.Supervisors = supervisedBy("dora") })
		Eventually(w.server(1).Calls).Should(ContainElement("HangUp PJSIP/carla-00000002"))
		Consistently(w.server(1).Calls).ShouldNot(ContainElement("HangUp PJSIP/dora-00000003"))
		By("the last one, with whom the members' labels go")
		edit(w, support, func() { support.Spec.Supervisors = nil })
		Eventually(w.server(1).Calls).Should(ContainElement("HangUp PJSIP/dora-00000003"))
	})

	It("of more queues than there is room for are told so", Label("C5"), func() {
		w.startOperator()
		w.create(agent("alice"), agent("carla"))
		for i := range 46 {
			q := queue(fmt.Sprintf("queue-%02d", i))
			q.Spec.Agents, q.Spec.Supervisors = entries("alice"), supervisedBy("carla")
			w.create(q)
		}
		complete := func(name string) func() string {
			return func() string {
				c := w.agent(name).Status.Conditions
				return condition(c, v1alpha1.ConditionMonitoringComplete) + " " + message(c, v1alpha1.ConditionMonitoringComplete)
			}
		}
		Eventually(w.supervises("carla")).Should(HaveLen(46))
		Eventually(complete("carla")).Should(And(HavePrefix("False/TooManyQueues"), ContainSubstring("for queue queue-45:")))
		Eventually(complete("alice")).Should(And(HavePrefix("False/TooManyQueues"), ContainSubstring("for queue queue-44, queue-45:")))
		Expect(w.hears("carla", "alice")()).To(BeTrue())
		var teams []string
		for i := range 45 {
			teams = append(teams, fmt.Sprintf("team-%02d", i))
			w.create(team(teams[i], "alice"))
		}
		Eventually(complete("alice")).Should(And(HavePrefix("False/TooManyTeams"),
			ContainSubstring("for queue queue-00, "), ContainSubstring(" and 36 more, nor for team team-44:")))
		Eventually(w.hears("carla", "alice")).Should(BeFalse())
	})
})
