package controllers_test

import (
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

var _ = Describe("Memberships", func() {
	var w *world
	BeforeEach(func() {
		w = newWorld()
		w.startOperator()
	})

	It("become rows that an Asterisk can serve calls from", Label("C1", "O5", "O6"), func() {
		support := queue("support")
		support.Spec.Groups = entries("north")
		w.create(agent("alice"), group("north", "alice"), support)

		Eventually(w.members).Should(Equal([]string{"support|PJSIP/alice|0|0"}))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Expect(w.access("alice")).To(Equal(w.granted()))
		Expect(w.rows("SELECT name, strategy, timeout, ringinuse FROM queues WHERE name = 'support'")).
			To(Equal([]string{"support|leastrecent|15|no"}))
		status := w.agent("alice").Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(status.Group).To(BeEquivalentTo("north"))
		Expect(status.Interface).To(Equal("PJSIP/alice"))
		Expect(status.Queues).To(ConsistOf(v1alpha1.QueueMembership{
			Name: "support", Stars: 1, Channels: []v1alpha1.Channel{"Voice"}, Via: []v1alpha1.Way{"Group/north"},
		}))
		Eventually(func() *int32 { return w.group("north").Status.Members }).Should(HaveValue(BeEquivalentTo(1)))
	})

	It("carry stars, channels and ways; the individual entry decides", Label("C2", "C3", "S9"), func() {
		sales := queue("sales")
		sales.Spec.Channels = []v1alpha1.Channel{"Voice", "Chat", "Email"}
		sales.Spec.Competency = v1alpha1.CompetencyEnabled
		sales.Spec.Groups = []v1alpha1.QueueEntry{{Name: "north", Stars: 2, Channels: []v1alpha1.Channel{"Voice"}}}
		sales.Spec.Teams = []v1alpha1.QueueEntry{{Name: "billing", Stars: 3, Channels: []v1alpha1.Channel{"Chat"}}}
		sales.Spec.Agents = []v1alpha1.QueueEntry{
			{Name: "bob", Stars: 4, Channels: []v1alpha1.Channel{"Voice"}}, {Name: "carla", Channels: []v1alpha1.Channel{"Email"}},
		}
		w.create(agent("alice"), agent("bob"), agent("carla"),
			group("north", "alice", "bob"), team("billing", "alice", "bob"), sales)

		Eventually(w.members).Should(Equal([]string{"sales|PJSIP/alice|1|0", "sales|PJSIP/bob|0|0"}))
		Eventually(func() []string {
			return w.rows("SELECT agent, channel, stars, via FROM roster_memberships ORDER BY 1, 2")
		}).Should(Equal([]string{
			"alice|Chat|3|Group/north,Team/billing", "alice|Voice|3|Group/north,Team/billing",
			"bob|Voice|4|Direct,Group/north,Team/billing",
			"carla|Email|1|Direct",
		}))
		By("stars that stop to count")
		edit(w, sales, func() { sales.Spec.Competency = v1alpha1.CompetencyDisabled })
		Eventually(w.members).Should(Equal([]string{"sales|PJSIP/alice|0|0", "sales|PJSIP/bob|0|0"}))
	})

	It("are in one group at most, whoever comes first", Label("O1", "O2", "O3"), func() {
		w.create(agent("alice"), group("north", "alice"))
		Eventually(func() string { return string(w.agent("alice").Status.Group) }).Should(Equal("north"))
		w.create(group("a-south", "alice"))

		Eventually(func() string { return condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionConflicted) }).
			Should(Equal("True/HeldByOther"))
		Expect(message(w.agent("alice").Status.Conditions, v1alpha1.ConditionConflicted)).
			To(And(ContainSubstring("alice"), ContainSubstring("north"), ContainSubstring("a-south")))
		Eventually(func() []v1alpha1.ClaimConflict { return w.group("a-south").Status.Conflicts }).
			Should(Equal([]v1alpha1.ClaimConflict{{Name: "alice", HeldBy: "north"}}))
		Expect(condition(w.group("a-south").Status.Conditions, v1alpha1.ConditionConflicted)).To(Equal("True/HeldByOther"))
		Eventually(w.ready("alice")).Should(Equal(isReady))

		By("the holder lets go: the next one gets the person with no edit")
		north := w.group("north")
		edit(w, north, func() { north.Spec.Members = nil })
		Eventually(func() string { return string(w.agent("alice").Status.Group) }).Should(Equal("a-south"))
		Expect(condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionConflicted)).To(BeEmpty())
		Eventually(func() *int32 { return w.group("north").Status.Members }).Should(HaveValue(BeEquivalentTo(0)))
		Eventually(func() *int32 { return w.group("a-south").Status.Members }).Should(HaveValue(BeEquivalentTo(1)))
		Eventually(func() []v1alpha1.ClaimConflict { return w.group("a-south").Status.Conflicts }).Should(BeEmpty())
	})

	It("survive the deletion of a group, a team and a queue", Label("O4"), func() {
		support, sales := queue("support"), queue("sales")
		support.Spec.Groups, support.Spec.Teams = entries("north"), entries("billing")
		sales.Spec.Teams = entries("billing")
		north, billing := group("north", "alice"), team("billing", "alice")
		w.create(agent("alice"), north, billing, support, sales)
		Eventually(w.members).Should(HaveLen(2))

		w.delete(sales)
		Eventually(w.members).Should(Equal([]string{"support|PJSIP/alice|0|0"}))
		Eventually(func() []string { return w.rows("SELECT name FROM queues WHERE name = 'sales'") }).Should(BeEmpty())
		w.delete(billing)
		Eventually(func() []v1alpha1.Way { return w.agent("alice").Status.Queues[0].Via }).
			Should(Equal([]v1alpha1.Way{"Group/north"}))
		w.delete(north)
		Eventually(w.members).Should(BeEmpty())
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Expect(w.access("alice")).To(Equal(w.granted()), "a deleted group deletes no person")
	})

	It("come by the hundred with a selector, and one relabelled person touches nobody else", Label("O2", "O7"), func() {
		const people = 300
		north, south := group("north"), group("south")
		north.Spec.Selector = &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"region": "north"}}
		south.Spec.Selector = &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"region": "south"}}
		support := queue("support")
		support.Spec.Groups = entries("north", "south")
		w.create(north, south, support)
		for i := range people {
			w.create(labelled(fmt.Sprintf("agent-%03d", i), map[string]string{"region": "north"}))
		}
		Eventually(w.members, time.Minute).Should(HaveLen(people))
		Eventually(func() *int32 { return w.group("north").Status.Members }).Should(HaveValue(BeEquivalentTo(people)))
		Eventually(func() string {
			return condition(w.group("north").Status.Conditions, v1alpha1.ConditionReady)
		}).Should(Equal(isReady))
		w.quiet()

		w.calls.reset()
		moved := w.agent("agent-007")
		edit(w, moved, func() { moved.Labels["region"] = "south" })
		Eventually(func() []string {
			return w.rows("SELECT via FROM roster_memberships WHERE agent = 'agent-007'")
		}).Should(Equal([]string{"Group/south"}))
		w.quiet()
		Expect(w.calls.writes()).To(ConsistOf(
			HaveSuffix("agents/agent-007/status"), HaveSuffix("agentgroups/north/status"), HaveSuffix("agentgroups/south/status"),
		))
		Expect(w.rows("SELECT agent_group, count(*) FROM roster_agents GROUP BY 1 ORDER BY 1")).
			To(Equal([]string{"north|299", "south|1"}))
		var list v1alpha1.AgentList
		Expect(k8s.List(ctx(), &list, client.InNamespace(w.ns), client.MatchingFields{"status.group": "south"})).To(Succeed())
		Expect(list.Items).To(HaveLen(1))
	})

	It("wait for what does not exist yet, and heal by themselves", func() {
		support := queue("support")
		support.Spec.Groups, support.Spec.Agents = entries("north"), entries("dora")
		w.create(support, group("north", "alice"))
		queueReady := func() string {
			q := &v1alpha1.Queue{}
			_ = k8s.Get(ctx(), client.ObjectKeyFromObject(support), q)
			return condition(q.Status.Conditions, v1alpha1.ConditionReady) + " " + message(q.Status.Conditions, v1alpha1.ConditionReady)
		}
		Eventually(queueReady).Should(And(HavePrefix("False/MissingReference"), ContainSubstring("Agent dora")))
		Eventually(func() string { return condition(w.group("north").Status.Conditions, v1alpha1.ConditionReady) }).
			Should(Equal("False/MissingReference"))
		w.create(agent("alice"), agent("dora"))
		Eventually(w.members).Should(HaveLen(2))
		Eventually(queueReady).Should(HavePrefix(isReady))
		Eventually(func() string { return condition(w.group("north").Status.Conditions, v1alpha1.ConditionReady) }).Should(Equal(isReady))
	})

	It("of a campaign are there inside its window only, to the second", Label("S9", "B1"), func() {
		opens := metav1.NewTime(time.Now().Add(3 * time.Second).Truncate(time.Second))
		closes := metav1.NewTime(opens.Add(2 * time.Second))
		spring := queue("spring")
		spring.Spec.Type = v1alpha1.QueueTypeCampaign
		spring.Spec.Window = &v1alpha1.Window{StartTime: &opens, EndTime: &closes}
		spring.Spec.Agents = entries("alice")
		w.create(agent("alice"), spring)
		Eventually(w.ready("alice")).Should(Equal(isReady))
		if time.Now().Before(opens.Time) {
			Expect(w.members()).To(BeEmpty())
		}
		Eventually(w.members, 10*time.Second, 5*time.Millisecond).Should(HaveLen(1))
		Expect(time.Now()).To(And(BeTemporally(">=", opens.Time), BeTemporally("<", opens.Add(time.Second))))
		Eventually(w.members, 10*time.Second, 5*time.Millisecond).Should(BeEmpty())
		Expect(time.Now()).To(And(BeTemporally(">=", closes.Time), BeTemporally("<", closes.Add(time.Second))))
	})

	It("of a queue say when they are too few", func() {
		support := queue("support")
		support.Spec.MinimumStaff = ptr.To[int32](2)
		support.Spec.Agents = entries("alice", "bob")
		w.create(agent("alice"), support)
		staffed := func() string {
			q := &v1alpha1.Queue{}
			_ = k8s.Get(ctx(), client.ObjectKeyFromObject(support), q)
			return condition(q.Status.Conditions, v1alpha1.ConditionStaffed)
		}
		Eventually(staffed).Should(Equal("False/BelowMinimum"))
		w.create(agent("bob"))
		Eventually(staffed).Should(Equal("True/MinimumMet"))
	})

	It("leave foreign members of an additive queue and remove those of an authoritative one", func() {
		additive, strict := queue("additive"), queue("strict")
		additive.Spec.Membership = v1alpha1.MembershipAdditive
		w.create(additive, strict, agent("alice"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Eventually(func() []string { return w.rows("SELECT name FROM queues ORDER BY 1") }).Should(ContainElements("additive", "strict"))
		db := w.database()
		for i, q := range []string{"additive", "strict"} {
			_, err := db.Exec(`INSERT INTO queue_members (queue_name, interface, uniqueid) VALUES (?, 'PJSIP/mallory', ?)`, q, 900000+i)
			Expect(err).NotTo(HaveOccurred())
		}
		edit(w, additive, func() { additive.Spec.WrapUpSeconds = ptr.To[int32](5) })
		edit(w, strict, func() { strict.Spec.WrapUpSeconds = ptr.To[int32](5) })
		Eventually(w.members).Should(Equal([]string{"additive|PJSIP/mallory||0"}))
	})

	It("give an extension to the older of two that claim it, and move it when it is free", Label("C6"), func() {
		bob := agent("bob")
		bob.Spec.Endpoint = &v1alpha1.Endpoint{Extension: "1001"}
		w.create(bob)
		Eventually(w.ready("bob")).Should(Equal(isReady))
		time.Sleep(1100 * time.Millisecond) // creation times are whole seconds
		alice := agent("alice")
		alice.Spec.Endpoint = &v1alpha1.Endpoint{Extension: "1001"}
		w.create(alice)
		Eventually(func() string { return condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionConflicted) }).
			Should(Equal("True/ExtensionTaken"))
		extensions := func() []string { return w.rows("SELECT key, interface FROM roster_extensions ORDER BY 1") }
		Expect(extensions()).To(Equal([]string{w.ns + "/1001|PJSIP/bob"}))
		edit(w, bob, func() { bob.Spec.Endpoint.Extension = "1002" })
		Eventually(extensions).Should(Equal([]string{w.ns + "/1001|PJSIP/alice", w.ns + "/1002|PJSIP/bob"}))
		Eventually(func() string { return condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionConflicted) }).Should(BeEmpty())
	})
})
