package controllers_test

import (
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/fake"
)

// servedCenter is a ContactCenter with servers pbx-1, pbx-2, … and their credentials.
func (w *world) servedCenter(n int) *v1alpha1.ContactCenter {
	GinkgoHelper()
	w.servers = map[string]*fake.Server{}
	c := contactCenter(w.ns + ".sqlite3")
	for i := 1; i <= n; i++ {
		address := fmt.Sprintf("pbx-%d:5038", i)
		w.servers[address] = fake.NewServer()
		c.Spec.Telephony.AsteriskRealtime.Managers = append(c.Spec.Telephony.AsteriskRealtime.Managers, v1alpha1.Manager{
			Name: v1alpha1.ObjectName(fmt.Sprintf("pbx-%d", i)), Address: address, ContactsTable: fmt.Sprintf("ps_contacts_%d", i),
			CredentialsSecretRef: v1alpha1.SecretReference{Name: "pbx-ami"},
		})
	}
	w.create(&corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "pbx-ami"},
		StringData: map[string]string{"username": "roster", "password": "not-to-be-seen"},
	})
	return c
}

func (w *world) server(n int) *fake.Server { return w.servers[fmt.Sprintf("pbx-%d:5038", n)] }

func (w *world) center() *v1alpha1.ContactCenter {
	c := &v1alpha1.ContactCenter{}
	_ = k8s.Get(ctx(), client.ObjectKey{Namespace: w.ns, Name: "default"}, c)
	return c
}

func (w *world) managers() []string {
	var list []string
	for _, m := range w.center().Status.Managers {
		list = append(list, fmt.Sprintf("%s %s", m.Name, m.State))
	}
	return list
}

// events are the reasons of the events about an object.
func (w *world) events(kind, name string) func() []string {
	return func() []string {
		list := &eventsv1.EventList{}
		_ = k8s.List(ctx(), list, client.InNamespace(w.ns))
		var reasons []string
		for _, e := range list.Items {
			if e.Regarding.Kind == kind && e.Regarding.Name == name {
				reasons = append(reasons, e.Reason)
			}
		}
		return reasons
	}
}

var _ = Describe("The servers of a centre", func() {
	var (
		w     *world
		alice *v1alpha1.Agent
	)
	start := func(servers int, shape func(*v1alpha1.ContactCenter)) {
		GinkgoHelper()
		c := w.servedCenter(servers)
		if shape != nil {
			shape(c)
		}
		w.startOperator()
		alice = agent("alice")
		support := queue("support")
		support.Spec.Agents = entries("alice")
		w.create(c, alice, support)
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Eventually(w.managers).Should(HaveLen(servers))
		Eventually(w.managers).Should(HaveEach(HaveSuffix("Connected")))
	}
	deactivate := func() {
		GinkgoHelper()
		edit(w, alice, func() { alice.Spec.State = v1alpha1.StateDeactivated })
		Eventually(func() v1alpha1.AgentPhase { return w.agent("alice").Status.Phase }).
			Should(BeElementOf(v1alpha1.PhaseDeactivating, v1alpha1.PhaseDeactivated))
	}
	offline := func() string { return condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionOffline) }
	done := func() bool {
		d := w.agent("alice").Status.Deactivation
		return d != nil && d.OfflineAt != nil && d.CompletedAt != nil && w.agent("alice").Status.Phase == v1alpha1.PhaseDeactivated
	}
	order := func(name, value string) {
		GinkgoHelper()
		a := w.agent("alice")
		edit(w, a, func() {
			if a.Annotations == nil {
				a.Annotations = map[string]string{}
			}
			a.Annotations["staff.roster.dev/"+name] = value
		})
	}

	BeforeEach(func() { w = newWorld() })

	It("all take over each change, and one that is down delays nobody and is caught up", Label("B10"), func() {
		start(2, nil)
		for i := 1; i <= 2; i++ {
			Eventually(w.server(i).Calls).Should(ContainElement(HavePrefix("Read support/")))
		}
		By("taking one down")
		w.server(2).Break(telephony.Errorf(telephony.Unreachable, nil, "no answer"))
		Eventually(w.managers).Should(Equal([]string{"pbx-1 Connected", "pbx-2 Unreachable"}))
		Expect(condition(w.center().Status.Conditions, v1alpha1.ConditionServersConnected)).To(Equal("False/ServersUnreachable"))
		Expect(w.center().Status.ManagerSummary).To(Equal("1/2"))
		Expect(w.center().Status.Managers[1].Since).NotTo(BeNil())
		Expect(condition(w.center().Status.Conditions, v1alpha1.ConditionReady)).To(Equal(isReady), "it holds nobody up")
		w.server(1).Forget()
		w.server(2).Forget()
		edit(w, alice, func() {
			alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Minute))}}
		})
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Eventually(w.server(1).Calls).Should(Equal([]string{"Read support/alice"}), "one action for the queue that was touched")
		By("bringing it back")
		w.server(2).Mend()
		Eventually(w.managers).Should(HaveEach(HaveSuffix("Connected")))
		Eventually(w.server(2).Calls).Should(ContainElement("Read support/"))
		Eventually(func() string { return w.center().Status.ManagerSummary }).Should(Equal("2/2"))
		Eventually(w.events("ContactCenter", "default")).Should(ContainElements("ServerUnreachable", "ServerConnected"))
	})

	It("that cannot be used says why, without the secret", Label("B10"), func() {
		start(1, nil)
		c := w.center()
		edit(w, c, func() { c.Spec.Telephony.AsteriskRealtime.Managers[0].CredentialsSecretRef.Name = "nowhere" })
		Eventually(func() string {
			if m := w.center().Status.Managers; len(m) > 0 {
				return string(m[0].State) + ": " + m[0].Message
			}
			return ""
		}).Should(Equal("Refused: Secret nowhere does not exist: create it"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		w.create(&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "nowhere"},
			StringData: map[string]string{"username": "roster", "password": "not-to-be-seen"},
		})
		Eventually(w.managers).Should(Equal([]string{"pbx-1 Connected"}))
	})

	It("see a person out: the call drains, and offline is what they saw", Label("G1", "B5"), func() {
		start(1, nil)
		w.server(1).SetDevice("alice", telephony.DeviceInUse)
		w.server(1).Dial("alice", "PJSIP/alice-00000001")
		deactivate()
		Eventually(offline).Should(Equal("False/Draining"))
		Consistently(done).Should(BeFalse())
		Expect(w.access("alice")).To(Equal(refused), "access is lost at once")
		w.server(1).End("PJSIP/alice-00000001")
		Consistently(done).Should(BeFalse(), "the device is still there")
		w.server(1).SetDevice("alice", telephony.DeviceUnavailable)
		Eventually(done, 2*time.Second).Should(BeTrue())
		Eventually(offline).Should(BeEmpty())
	})

	It("hang up a deactivated person's calls where the centre says so", Label("G1"), func() {
		start(1, func(c *v1alpha1.ContactCenter) { c.Spec.CallsOnDeactivation = v1alpha1.CallsHangup })
		w.server(1).Dial("alice", "PJSIP/alice-00000001")
		deactivate()
		Eventually(done).Should(BeTrue())
		Expect(w.server(1).Calls()).To(ContainElement("HangUp PJSIP/alice-00000001"))
	})

	It("hang up when the drain is over", Label("G1"), func() {
		start(1, func(c *v1alpha1.ContactCenter) { c.Spec.DrainSeconds = ptr.To[int32](2) })
		w.server(1).Dial("alice", "PJSIP/alice-00000001")
		deactivate()
		Expect(w.server(1).Calls()).NotTo(ContainElement(HavePrefix("HangUp")))
		Eventually(done).Should(BeTrue())
		Expect(w.server(1).Calls()).To(ContainElement("HangUp PJSIP/alice-00000001"))
	})

	It("out of reach are named, and settled when they return", Label("G1", "B10"), func() {
		start(2, nil)
		w.server(2).Dial("alice", "PJSIP/alice-00000001")
		w.server(2).Break(telephony.Errorf(telephony.Unreachable, nil, "no answer"))
		Eventually(w.managers).Should(ContainElement("pbx-2 Unreachable"))
		deactivate()
		Eventually(done).Should(BeTrue())
		Eventually(offline).Should(Equal("Unknown/ServersUnreachable"))
		Expect(w.ready("alice")()).To(Equal(isReady))
		By("the server comes back with the call")
		w.server(2).Mend()
		Eventually(offline).Should(Equal("False/Draining"))
		Expect(w.agent("alice").Status.Deactivation.OfflineAt).To(BeNil(), "the person was not offline")
		w.server(2).End("PJSIP/alice-00000001")
		Eventually(done).Should(BeTrue())
		Eventually(offline).Should(BeEmpty())
	})

	It("let a deleted person's call end before the object goes", Label("G1"), func() {
		start(1, nil)
		w.server(1).Dial("alice", "PJSIP/alice-00000001")
		w.delete(alice)
		Eventually(offline).Should(Equal("False/Draining"))
		Expect(w.access("alice")).To(Equal(refused))
		w.server(1).End("PJSIP/alice-00000001")
		Eventually(func() string { return w.agent("alice").Name }).Should(BeEmpty())
		Expect(w.rows("SELECT id FROM ps_endpoints")).To(BeEmpty())
	})

	It("carry out orders once", Label("C8"), func() {
		start(1, nil)
		now := func() string { return time.Now().UTC().Format(time.RFC3339) }
		paused := func() []string {
			return w.rows("SELECT paused, COALESCE(reason_paused, '') FROM queue_members WHERE interface = 'PJSIP/alice'")
		}
		w.quiet() // a queue that was just refreshed is refreshed for all who come within a moment
		By("pausing")
		w.server(1).Forget()
		value := now() + " Fire drill"
		order("pause-at", value)
		Eventually(paused).Should(Equal([]string{"1|Fire drill"}))
		Eventually(func() string { return string(w.agent("alice").Status.Handled["pause-at"]) }).Should(Equal(value))
		Eventually(w.server(1).Calls).Should(Equal([]string{"Read support/alice"}))
		By("the person unpausing themself: the order is done and stays done")
		w.exec("UPDATE queue_members SET paused = 0, reason_paused = '' WHERE interface = 'PJSIP/alice'")
		edit(w, alice, func() { alice.Spec.DisplayName = "Alice" })
		Eventually(func() []string { return w.rows("SELECT display_name FROM roster_agents") }).Should(Equal([]string{"Alice"}))
		Expect(paused()).To(Equal([]string{"0|"}))
		By("not even after a restart with a lost status")
		w.stopOperator()
		a := w.agent("alice")
		a.Status = v1alpha1.AgentStatus{}
		Expect(k8s.Status().Update(ctx(), a)).To(Succeed())
		w.startOperator()
		Eventually(func() string { return string(w.agent("alice").Status.Handled["pause-at"]) }).Should(Equal(value))
		Expect(paused()).To(Equal([]string{"0|"}))
		By("unpausing whoever paused")
		w.exec("UPDATE queue_members SET paused = 1, reason_paused = 'Lunch' WHERE interface = 'PJSIP/alice'")
		order("unpause-at", now())
		Eventually(paused).Should(Equal([]string{"0|"}))
		By("logging out")
		w.exec(fmt.Sprintf("INSERT INTO ps_contacts_1 (id, uri, expiration_time, endpoint) VALUES ('alice^1', 'sip:a@192.0.2.1', %d, 'alice')",
			time.Now().Add(time.Hour).Unix()))
		order("logout-at", now())
		Eventually(func() []string { return w.rows("SELECT expiration_time FROM ps_contacts_1") }).Should(Equal([]string{"1"}))
		Expect(w.access("alice")).To(Equal(w.granted()), "the phone may register again")
		By("recording what comes too late, and saying what cannot be read")
		order("pause-at", "2020-01-01T00:00:00Z")
		Eventually(func() string { return string(w.agent("alice").Status.Handled["pause-at"]) }).Should(HavePrefix("2020"))
		Expect(paused()).To(Equal([]string{"0|"}))
		order("pause-at", "tomorrow")
		Eventually(func() string { return condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionOrdersValid) }).
			Should(Equal("False/InvalidOrder"))
		By("waiting for what is in the future")
		order("pause-at", time.Now().Add(2*time.Second).UTC().Format(time.RFC3339)+" Meeting")
		Consistently(paused).Should(Equal([]string{"0|"}))
		Eventually(paused).Should(Equal([]string{"1|Meeting"}))
	})

	It("have what somebody else changed by hand found, told and repaired", Label("B4"), func() {
		start(1, func(c *v1alpha1.ContactCenter) { c.Spec.DriftIntervalSeconds = ptr.To[int32](1) })
		w.quiet()
		before := len(w.calls.writes())
		time.Sleep(2500 * time.Millisecond)
		Expect(w.calls.writes()).To(HaveLen(before), "a comparison that finds nothing writes nothing")
		context := func() []string { return w.rows("SELECT context FROM ps_endpoints WHERE id = 'alice'") }
		right := context()
		By("a row of a person")
		w.exec("UPDATE ps_endpoints SET context = 'elsewhere' WHERE id = 'alice'")
		Eventually(context).Should(Equal(right))
		Eventually(w.events("Agent", "alice")).Should(ContainElement("Drift"))
		By("a password, which only the Secret knows")
		secret := &corev1.Secret{}
		Expect(k8s.Get(ctx(), client.ObjectKey{Namespace: w.ns, Name: "alice-sip"}, secret)).To(Succeed())
		w.exec("UPDATE ps_auths SET password = 'guessed' WHERE id = 'alice'")
		Eventually(func() []string { return w.rows("SELECT password FROM ps_auths WHERE id = 'alice'") }).
			Should(Equal([]string{string(secret.Data["password"])}))
		By("a queue, and a member that somebody added")
		w.exec("UPDATE queues SET strategy = 'ringall'")
		w.exec("INSERT INTO queue_members (queue_name, interface, membername, uniqueid) VALUES ('support', 'PJSIP/mallory', 'mallory', 4711)")
		Eventually(func() []string { return w.rows("SELECT strategy FROM queues") }).Should(Equal([]string{"leastrecent"}))
		Eventually(w.members).Should(HaveLen(1))
		Eventually(w.events("Queue", "support")).Should(ContainElement("Drift"))
		Eventually(func() int64 {
			if d := w.center().Status.Drift; d != nil {
				return d.Repaired
			}
			return 0
		}).Should(BeNumerically(">=", 3))
		By("leaving a pause of their own, foreign rows and foreign columns")
		repaired := w.center().Status.Drift.Repaired
		w.exec("UPDATE queue_members SET paused = 1, reason_paused = 'Lunch' WHERE interface = 'PJSIP/alice'")
		w.exec("UPDATE queues SET musiconhold = 'jazz'")
		w.exec("INSERT INTO ps_endpoints (id, context) VALUES ('trunk', 'from-trunk')")
		time.Sleep(2500 * time.Millisecond)
		Expect(w.rows("SELECT paused, reason_paused FROM queue_members WHERE interface = 'PJSIP/alice'")).To(Equal([]string{"1|Lunch"}))
		Expect(w.rows("SELECT musiconhold FROM queues")).To(Equal([]string{"jazz"}))
		Expect(w.rows("SELECT id FROM ps_endpoints ORDER BY id")).To(Equal([]string{"alice", "trunk"}))
		Expect(w.center().Status.Drift.Repaired).To(Equal(repaired))
	})

	It("have one person looked at, or everything compared, when somebody orders it", Label("B4", "C8"), func() {
		start(1, func(c *v1alpha1.ContactCenter) { c.Spec.DriftIntervalSeconds = ptr.To[int32](3600) })
		now := func() string { return time.Now().UTC().Format(time.RFC3339) }
		context := func() []string { return w.rows("SELECT context FROM ps_endpoints WHERE id = 'alice'") }
		right := context()
		order("reconcile-at", now())
		Eventually(func() string { return string(w.agent("alice").Status.Handled["reconcile-at"]) }).ShouldNot(BeEmpty())
		w.exec("UPDATE ps_endpoints SET context = 'elsewhere' WHERE id = 'alice'")
		w.exec("UPDATE ps_auths SET password = 'guessed' WHERE id = 'alice'")
		Consistently(w.events("Agent", "alice")).ShouldNot(ContainElement("Drift"))
		order("reconcile-at", time.Now().Add(time.Second).UTC().Format(time.RFC3339))
		Eventually(context).Should(Equal(right))
		Expect(w.rows("SELECT password FROM ps_auths WHERE id = 'alice'")).NotTo(Equal([]string{"guessed"}))
		Eventually(w.events("Agent", "alice")).Should(ContainElement("Drift"))
		By("on the centre")
		w.exec("DELETE FROM ps_aors WHERE id = 'alice'")
		c := w.center()
		edit(w, c, func() { c.Annotations = map[string]string{"staff.roster.dev/reconcile-at": now()} })
		Eventually(func() string { return w.access("alice") }).Should(Equal(w.granted()))
	})

	It("have a pause of Roster's that somebody lifted set again at once", Label("B4", "B2"), func() {
		start(1, nil)
		edit(w, alice, func() {
			alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Minute)), Reason: v1alpha1.ReasonVacation}}
		})
		Eventually(func() v1alpha1.AgentPhase { return w.agent("alice").Status.Phase }).Should(Equal(v1alpha1.PhaseOnLeave))
		w.server(1).SetMember("support", "alice", telephony.MemberState{Paused: true, PauseReason: "Vacation"})
		w.exec("UPDATE queue_members SET paused = 0, reason_paused = '' WHERE interface = 'PJSIP/alice'") // as Asterisk writes it
		w.server(1).SetMember("support", "alice", telephony.MemberState{})
		Eventually(func() []string {
			return w.rows("SELECT paused, reason_paused FROM queue_members WHERE interface = 'PJSIP/alice'")
		}, 5*time.Second).
			Should(Equal([]string{"1|Vacation"}))
	})

	It("keep a pause that the person set besides Roster's, although the server does not write its reason", Label("B2"), func() {
		start(1, nil)
		edit(w, alice, func() {
			alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Minute)), Reason: v1alpha1.ReasonVacation}}
		})
		Eventually(func() v1alpha1.AgentPhase { return w.agent("alice").Status.Phase }).Should(Equal(v1alpha1.PhaseOnLeave))
		row := func() []string {
			return w.rows("SELECT paused, reason_paused FROM queue_members WHERE interface = 'PJSIP/alice'")
		}
		w.server(1).SetMember("support", "alice", telephony.MemberState{Paused: true, PauseReason: "Vacation"})
		w.server(1).SetMember("support", "alice", telephony.MemberState{Paused: true, PauseReason: "Lunch"})
		Eventually(row).Should(Equal([]string{"1|Lunch"}))
		edit(w, alice, func() { alice.Spec.Leaves = nil })
		Eventually(func() v1alpha1.AgentPhase { return w.agent("alice").Status.Phase }).Should(Equal(v1alpha1.PhaseActive))
		Expect(row()).To(Equal([]string{"1|Lunch"}))
		Expect(w.events("Agent", "alice")()).NotTo(ContainElement("Drift"))
	})

	It("take out a member that somebody added to a server's memory", Label("B4"), func() {
		start(1, nil)
		w.server(1).SetMember("support", "mallory", telephony.MemberState{Dynamic: true})
		Eventually(w.server(1).Calls).Should(ContainElement("RemoveMember support PJSIP/mallory"))
		Eventually(w.events("Queue", "support")).Should(ContainElement("Drift"))
	})

	It("end a session whose right to listen ended", Label("C5"), func() {
		carla := agent("carla")
		carla.Spec.Role = v1alpha1.RoleTeamSupervisor
		start(1, nil)
		billing := team("billing", "alice", "carla")
		w.create(carla, billing)
		Eventually(w.ready("carla")).Should(Equal(isReady))
		labels := func() []string {
			return w.rows(`SELECT SUBSTR(set_var, 10) FROM ps_endpoints WHERE id = 'alice'
				UNION ALL SELECT monitors FROM roster_agents WHERE name = 'carla'`)
		}
		Eventually(func() bool {
			l := labels()
			return len(l) == 2 && l[1] != "" && strings.Contains(":"+l[0]+":", ":"+l[1]+":")
		}).Should(BeTrue(), "carla hears a label that alice's calls carry")
		w.server(1).Dial("alice", "PJSIP/alice-00000001")
		w.server(1).Dial("carla", "PJSIP/carla-00000002")
		w.server(1).Listen("PJSIP/carla-00000002", "alice", "PJSIP/alice-00000001")
		Consistently(w.server(1).Calls).ShouldNot(ContainElement(HavePrefix("HangUp")))
		edit(w, billing, func() { billing.Spec.Members = billing.Spec.Members[:1] })
		Eventually(w.server(1).Calls).Should(ContainElement("HangUp PJSIP/carla-00000002"))
		By("a session that was never allowed")
		w.server(1).Dial("carla", "PJSIP/carla-00000003")
		w.server(1).Listen("PJSIP/carla-00000003", "alice", "PJSIP/alice-00000001")
		Eventually(w.server(1).Calls).Should(ContainElement("HangUp PJSIP/carla-00000003"))
	})
})
