package controllers_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

func ctx() context.Context { return context.Background() }

var _ = Describe("A person's life", func() {
	var (
		w     *world
		alice *v1alpha1.Agent
	)
	phase := func() v1alpha1.AgentPhase { return w.agent("alice").Status.Phase }
	revoked := func() []string {
		var list []string
		for _, r := range w.agent("alice").Status.Revoked {
			list = append(list, string(r.Kind)+"/"+string(r.Name))
		}
		return list
	}
	// everything puts alice into a group, a team and queues by each way.
	everything := func() {
		GinkgoHelper()
		byGroup, byTeam, direct := queue("by-group"), queue("by-team"), queue("direct")
		byGroup.Spec.Groups, byTeam.Spec.Teams, direct.Spec.Agents = entries("north"), entries("billing"), entries("alice")
		alice = agent("alice")
		alice.Spec.Endpoint = &v1alpha1.Endpoint{Extension: "1001"}
		w.create(alice, group("north", "alice"), team("billing", "alice"), byGroup, byTeam, direct)
		Eventually(w.members).Should(HaveLen(3))
		Eventually(w.ready("alice")).Should(Equal(isReady))
	}
	deactivate := func() {
		GinkgoHelper()
		edit(w, alice, func() { alice.Spec.State = v1alpha1.StateDeactivated })
		Eventually(phase).Should(Equal(v1alpha1.PhaseDeactivated))
	}
	activate := func() {
		GinkgoHelper()
		edit(w, alice, func() { alice.Spec.State = v1alpha1.StateActive })
		Eventually(phase).Should(Equal(v1alpha1.PhaseActive))
		Eventually(w.ready("alice")).Should(Equal(isReady))
	}
	password := func() []string { return w.rows("SELECT password FROM ps_auths WHERE id = 'alice'") }

	BeforeEach(func() {
		w = newWorld()
		w.startOperator()
	})

	It("ends in one transaction: access, memberships, revocations", Label("G1", "G2", "G3", "G4", "B5", "G9"), func() {
		everything()
		db := w.database()
		_, err := db.Exec(`INSERT INTO ps_contacts (id, uri, expiration_time, endpoint) VALUES ('alice^1', 'sip:alice@192.0.2.1', ?, 'alice')`,
			time.Now().Add(time.Hour).Unix())
		Expect(err).NotTo(HaveOccurred())
		before := password()
		asked := time.Now().Truncate(time.Second)
		deactivate()

		Expect(w.access("alice")).To(Equal(refused))
		Expect(w.members()).To(BeEmpty())
		Expect(w.rows("SELECT expiration_time FROM ps_contacts WHERE endpoint = 'alice'")).To(Equal([]string{"1"}))
		Expect(w.rows("SELECT key FROM roster_extensions")).To(BeEmpty())
		Expect(w.rows("SELECT kind, name FROM roster_revocations WHERE agent = 'alice' ORDER BY 1, 2")).
			To(Equal([]string{"Queue|direct", "Team|billing"}))
		Expect(password()).To(Equal(before), "the password stays: an empty one would mean no authentication")
		Expect(w.rows("SELECT phase, agent_group FROM roster_agents WHERE name = 'alice'")).To(Equal([]string{"Deactivated|north"}))

		status := w.agent("alice").Status
		Expect(status.Group).To(BeEquivalentTo("north"), "groups stay")
		Expect(status.Teams).To(BeEmpty())
		Expect(status.Queues).To(BeEmpty())
		Expect(revoked()).To(Equal([]string{"Queue/direct", "Team/billing"}))
		d := status.Deactivation
		Expect(d.RequestedAt.Time).To(BeTemporally(">=", asked))
		Expect(d.OfflineAt.Time).To(BeTemporally(">=", d.RequestedAt.Time))
		Expect(d.CompletedAt.Time).To(BeTemporally(">=", d.OfflineAt.Time))
		Eventually(w.ready("alice")).Should(Equal(isReady))

		var list v1alpha1.AgentList
		Expect(k8s.List(ctx(), &list, client.InNamespace(w.ns), client.MatchingFields{"status.phase": "Deactivated"})).To(Succeed())
		Expect(list.Items).To(HaveLen(1))
		Eventually(func() []string {
			var events corev1.EventList
			_ = k8s.List(ctx(), &events, client.InNamespace(w.ns))
			var reasons []string
			for _, e := range events.Items {
				reasons = append(reasons, e.Reason)
			}
			return reasons
		}).Should(ContainElements("Deactivated", "Revoked"))
	})

	It("resumes with the old password and the group only; the rest waits for the person's own object", Label("G5", "G6", "G7", "B12"), func() {
		everything()
		before, history := password(), len(w.agent("alice").Status.History)
		deactivate()
		activate()
		Expect(password()).To(Equal(before))
		Expect(w.access("alice")).To(Equal(w.granted()))
		Expect(w.members()).To(Equal([]string{"by-group|PJSIP/alice|0|0"}))
		Expect(revoked()).To(Equal([]string{"Queue/direct", "Team/billing"}))
		Expect(condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionRevoked)).To(Equal("True/Deactivated"))
		Expect(len(w.agent("alice").Status.History)).To(BeNumerically(">", history))

		By("a restart brings nothing back")
		w.stopOperator()
		w.startOperator()
		Consistently(w.members).Should(HaveLen(1))

		By("a lost status brings nothing back, and is refilled")
		lost := w.agent("alice")
		lost.Status = v1alpha1.AgentStatus{}
		Expect(k8s.Status().Update(ctx(), lost)).To(Succeed())
		Eventually(revoked).Should(Equal([]string{"Queue/direct", "Team/billing"}))
		Expect(w.members()).To(HaveLen(1))
		Expect(w.agent("alice").Status.Group).To(BeEquivalentTo("north"))

		By("a time before the revocation counts for nothing")
		since := w.agent("alice").Status.Revoked[0].Since
		edit(w, alice, func() {
			alice.Spec.Reinstated = []v1alpha1.Reinstatement{{Kind: "Team", Name: "billing", Time: metav1.NewTime(since.Add(-time.Hour))}}
		})
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Expect(w.members()).To(HaveLen(1))

		By("the lines that status offers give it back")
		edit(w, alice, func() {
			alice.Spec.Reinstated = []v1alpha1.Reinstatement{{Kind: "Team", Name: "billing", Time: since}}
		})
		Eventually(w.members).Should(Equal([]string{"by-group|PJSIP/alice|0|0", "by-team|PJSIP/alice|0|0"}))
		Eventually(revoked).Should(Equal([]string{"Queue/direct"}))

		By("an entry that was gone and is back counts again")
		direct := queue("direct")
		edit(w, direct, func() { direct.Spec.Agents = nil })
		Eventually(revoked).Should(BeEmpty())
		edit(w, direct, func() { direct.Spec.Agents = entries("alice") })
		Eventually(w.members).Should(HaveLen(3))
	})

	It("resumes whole with Restore", Label("G7"), func() {
		everything()
		edit(w, alice, func() { alice.Spec.OnReactivation = v1alpha1.OnReactivationRestore })
		deactivate()
		Expect(revoked()).To(HaveLen(2))
		activate()
		Eventually(w.members).Should(HaveLen(3))
		Expect(revoked()).To(BeEmpty())
	})

	It("ends and resumes for many at once", Label("G8"), func() {
		support := queue("support")
		support.Spec.Groups = entries("north")
		north := group("north")
		north.Spec.Selector = &v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{"dept": "x"}}
		w.create(north, support)
		var people []*v1alpha1.Agent
		for i := range 30 {
			people = append(people, labelled(fmt.Sprintf("agent-%02d", i), map[string]string{"dept": "x"}))
			w.create(people[i])
		}
		Eventually(w.members).Should(HaveLen(30))
		for _, p := range people {
			edit(w, p, func() { p.Spec.State = v1alpha1.StateDeactivated })
		}
		Eventually(w.members).Should(BeEmpty())
		for _, p := range people {
			edit(w, p, func() { p.Spec.State = v1alpha1.StateActive })
		}
		Eventually(w.members).Should(HaveLen(30))
	})

	It("begins and ends at the declared second", Label("B1"), func() {
		start := metav1.NewTime(time.Now().Add(3 * time.Second).Truncate(time.Second))
		end := metav1.NewTime(start.Add(2 * time.Second))
		alice = agent("alice")
		alice.Spec.Employment = &v1alpha1.Employment{StartTime: &start, EndTime: &end}
		support := queue("support")
		support.Spec.Agents = entries("alice")
		w.create(support, alice)
		Eventually(phase).Should(Equal(v1alpha1.PhasePending))
		Expect(w.access("alice")).To(Equal(refused))
		Expect(w.members()).To(BeEmpty())
		Eventually(w.members, 10*time.Second, 5*time.Millisecond).Should(HaveLen(1))
		Expect(time.Now()).To(And(BeTemporally(">=", start.Time), BeTemporally("<", start.Add(time.Second))))
		Eventually(w.members, 10*time.Second, 5*time.Millisecond).Should(BeEmpty())
		Expect(time.Now()).To(And(BeTemporally(">=", end.Time), BeTemporally("<", end.Add(time.Second))))
		Eventually(phase).Should(Equal(v1alpha1.PhaseDeactivated))
		Expect(revoked()).To(Equal([]string{"Queue/support"}))
	})

	It("pauses for a leave, with the reason, and a pause of the person's own survives it", Label("B2"), func() {
		support, sales := queue("support"), queue("sales")
		support.Spec.Agents, sales.Spec.Agents = entries("alice"), entries("alice")
		alice = agent("alice")
		w.create(support, sales, alice)
		Eventually(w.members).Should(HaveLen(2))
		_, err := w.database().Exec("UPDATE queue_members SET paused = 1, reason_paused = 'lunch' WHERE queue_name = 'sales'")
		Expect(err).NotTo(HaveOccurred())

		end := metav1.NewTime(time.Now().Add(3 * time.Second).Truncate(time.Second))
		edit(w, alice, func() {
			alice.Spec.Leaves = []v1alpha1.Leave{{
				StartTime: metav1.NewTime(time.Now().Add(-time.Minute)), EndTime: &end, Reason: v1alpha1.ReasonVacation,
			}}
		})
		paused := func() []string {
			return w.rows("SELECT queue_name, paused, reason_paused FROM queue_members WHERE interface = 'PJSIP/alice' ORDER BY 1")
		}
		Eventually(paused).Should(Equal([]string{"sales|1|lunch", "support|1|Vacation"}))
		Eventually(phase).Should(Equal(v1alpha1.PhaseOnLeave))
		Expect(w.access("alice")).To(Equal(w.granted()), "still signed in")
		Eventually(phase, 10*time.Second).Should(Equal(v1alpha1.PhaseActive))
		Expect(paused()[0]).To(Equal("sales|1|lunch"))
		Expect(paused()[1]).To(HavePrefix("support|0"))
	})

	It("says when a leave's backup does not exist, pauses all the same, and heals", Label("B2"), func() {
		support := queue("support")
		support.Spec.Agents = entries("alice")
		alice = agent("alice")
		alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Minute)), Reason: "Training", Backup: "bob"}}
		w.create(support, alice)
		Eventually(w.ready("alice")).Should(Equal("False/MissingReference"))
		Eventually(w.members).Should(Equal([]string{"support|PJSIP/alice|0|1"}))
		Expect(condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionReferencesResolved)).To(Equal("False/MissingReference"))
		w.create(agent("bob"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
	})

	It("without a seat has a phone and nothing else", func() {
		support := queue("support")
		support.Spec.Agents = entries("alice")
		alice = agent("alice")
		alice.Spec.License = v1alpha1.LicenseNone
		w.create(support, alice)
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Expect(w.access("alice")).To(Equal(w.granted()))
		Expect(w.members()).To(BeEmpty())
	})

	It("leaves its report behind when the object is deleted", Label("G2"), func() {
		everything()
		w.delete(alice)
		Eventually(func() string { return w.agent("alice").Name }).Should(BeEmpty())
		Expect(w.members()).To(BeEmpty())
		Expect(w.rows("SELECT id FROM ps_endpoints")).To(BeEmpty())
		Expect(w.rows("SELECT id FROM ps_auths")).To(BeEmpty())
		Expect(w.rows("SELECT name, phase FROM roster_agents")).To(Equal([]string{"alice|Deleted"}))
	})
})
