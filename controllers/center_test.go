package controllers_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

func sqliteTelephony(path string) v1alpha1.Telephony {
	return v1alpha1.Telephony{
		Type: v1alpha1.TelephonyAsteriskRealtime,
		AsteriskRealtime: &v1alpha1.AsteriskRealtime{
			Database: v1alpha1.Database{Type: v1alpha1.DatabaseSQLite, Path: path},
		},
	}
}

func contactCenter(path string) *v1alpha1.ContactCenter {
	return &v1alpha1.ContactCenter{
		ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: v1alpha1.ContactCenterSpec{Telephony: sqliteTelephony(path)},
	}
}

var _ = Describe("A contact centre", func() {
	var w *world
	BeforeEach(func() { w = newWorld() })

	get := func() *v1alpha1.ContactCenter {
		c := &v1alpha1.ContactCenter{}
		if k8s.Get(ctx(), client.ObjectKey{Namespace: w.ns, Name: "default"}, c) != nil {
			return &v1alpha1.ContactCenter{}
		}
		return c
	}
	ready := func() string { return condition(get().Status.Conditions, v1alpha1.ConditionReady) }

	It("that is missing is said on every object where there is no embedded default", func() {
		w.embedded = false
		w.startOperator()
		w.create(agent("alice"), queue("support"), group("north", "alice"), team("billing", "alice"))
		Eventually(w.ready("alice")).Should(Equal("False/NoContactCenter"))
		Eventually(func() string { return condition(w.group("north").Status.Conditions, v1alpha1.ConditionReady) }).
			Should(Equal("False/NoContactCenter"))
		By("creating one mends that")
		w.create(contactCenter(w.ns + ".sqlite3"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Eventually(ready).Should(Equal(isReady))
		Eventually(func() *v1alpha1.CenterCounts { return get().Status.Counts }).
			Should(HaveValue(Equal(v1alpha1.CenterCounts{Agents: 1, Active: 1, Teams: 1, Groups: 1, Queues: 1})))
		By("deleting everything, the centre first, leaves nothing stuck")
		w.delete(get(), w.agent("alice"), queueOf(w, "support"))
		Eventually(func() string { return w.agent("alice").Name }).Should(BeEmpty())
		Eventually(func() string { return get().Name }).Should(BeEmpty())
	})

	It("that asks for what is not built yet is Stalled and writes nothing", func() {
		w.startOperator()
		c := contactCenter(w.ns + ".sqlite3")
		c.Spec.Brake = &v1alpha1.Brake{}
		w.create(c, agent("alice"))
		Eventually(ready).Should(Equal("False/NotSupportedYet"))
		Expect(condition(get().Status.Conditions, v1alpha1.ConditionStalled)).To(HavePrefix("True"))
		Eventually(w.ready("alice")).Should(Equal("False/ContactCenterStalled"))
		Expect(w.agent("alice").Finalizers).To(BeEmpty())
		Expect(filepath.Join(w.dataDir, w.ns+".sqlite3")).NotTo(BeAnExistingFile())
		edit(w, c, func() { c.Spec.Brake = nil })
		Eventually(w.ready("alice")).Should(Equal(isReady))
		edit(w, c, func() { c.Spec.Management = v1alpha1.ManagementObserve })
		Eventually(ready).Should(Equal("False/NotSupportedYet"))
		a := w.agent("alice")
		edit(w, a, func() { a.Spec.DisplayName = "Alice" })
		Consistently(func() []string { return w.rows("SELECT display_name FROM roster_agents") }).Should(Equal([]string{"alice"}))
	})

	It("does not switch its database because the object was edited, until it is told to", func() {
		w.startOperator()
		c := contactCenter("first.sqlite3")
		w.create(c, agent("alice"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		edit(w, c, func() { c.Spec.Telephony = sqliteTelephony("second.sqlite3") })
		Eventually(ready).Should(Equal("False/BackendSwitch"))
		second := filepath.Join(w.dataDir, "second.sqlite3")
		Consistently(func() bool { _, err := os.Stat(second); return os.IsNotExist(err) }).Should(BeTrue())
		Expect(w.ready("alice")()).To(Equal(isReady), "nothing of this person is pending")
		By("also not after a restart")
		w.stopOperator()
		w.startOperator()
		Consistently(func() bool { _, err := os.Stat(second); return os.IsNotExist(err) }).Should(BeTrue())
		edit(w, c, func() {
			c.Annotations = map[string]string{v1alpha1.AnnotationSwitchBackend: "sqlite:" + second}
		})
		Eventually(ready).Should(Equal(isReady))
		Eventually(func() string {
			db, err := sql.Open("sqlite", "file:"+second)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = db.Close() }()
			var context string
			_ = db.QueryRow("SELECT context FROM ps_endpoints WHERE id = 'alice'").Scan(&context)
			return context
		}).Should(Equal(w.ns))
	})

	It("takes over from the embedded default", func() {
		w.startOperator()
		w.create(agent("alice"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		w.create(contactCenter("declared.sqlite3"))
		Eventually(ready).Should(Equal(isReady))
		declared := filepath.Join(w.dataDir, "declared.sqlite3")
		Eventually(func() error { _, err := os.Stat(declared); return err }).Should(Succeed())
	})

	It("gives its template and context to every phone", func() {
		w.startOperator()
		c := contactCenter(w.ns + ".sqlite3")
		c.Spec.Telephony.AsteriskRealtime.Context = "acme"
		c.Spec.Telephony.AsteriskRealtime.EndpointTemplate = map[string]v1alpha1.TemplateValue{"webrtc": "yes"}
		w.create(c, agent("alice"))
		rows := func() []string { return w.rows("SELECT context, webrtc FROM ps_endpoints") }
		Eventually(rows).Should(Equal([]string{"acme|yes"}))
		edit(w, c, func() { c.Spec.Telephony.AsteriskRealtime.EndpointTemplate["webrtc"] = "no" })
		Eventually(rows).Should(Equal([]string{"acme|no"}))
	})

	It("leaves rows alone that it did not write, unless it may adopt them", func() {
		w.startOperator()
		c := contactCenter(w.ns + ".sqlite3")
		w.create(c, agent("first"))
		Eventually(w.ready("first")).Should(Equal(isReady))
		db := w.database()
		_, err := db.Exec(`INSERT INTO ps_endpoints (id, context, transport) VALUES ('alice', 'theirs', 'transport-udp')`)
		Expect(err).NotTo(HaveOccurred())
		_, err = db.Exec(`INSERT INTO queues (name, strategy, musiconhold) VALUES ('support', 'ringall', 'jazz')`)
		Expect(err).NotTo(HaveOccurred())
		support := queue("support")
		support.Spec.Agents = entries("first")
		w.create(agent("alice"), support)
		Eventually(w.ready("alice")).Should(Equal("False/NameTaken"))
		Eventually(func() string { return condition(queueOf(w, "support").Status.Conditions, v1alpha1.ConditionConflicted) }).
			Should(Equal("True/NameTaken"))
		Expect(w.rows("SELECT context FROM ps_endpoints WHERE id = 'alice'")).To(Equal([]string{"theirs"}))
		Consistently(w.members).Should(BeEmpty(), "no member is added to somebody else's queue")
		Eventually(w.ready("first")).Should(Equal(isReady), "one bad object harms nobody else")

		edit(w, c, func() { c.Spec.Adoption = v1alpha1.AdoptionAdopt })
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Eventually(w.members).Should(HaveLen(1))
		Expect(w.rows("SELECT context, transport FROM ps_endpoints WHERE id = 'alice'")).To(Equal([]string{w.ns + "|transport-udp"}))
		Expect(w.rows("SELECT strategy, musiconhold FROM queues WHERE name = 'support'")).To(Equal([]string{"leastrecent|jazz"}))
	})

	It("that shares a database with another does not take its names", func() {
		w.startOperator()
		other := newWorld()
		other.dataDir = w.dataDir
		other.startOperator()
		w.create(contactCenter("shared.sqlite3"), agent("alice"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		other.create(contactCenter("shared.sqlite3"), agent("alice"), agent("bob"))
		Eventually(other.ready("bob")).Should(Equal(isReady))
		Eventually(other.ready("alice")).Should(Equal("False/NameTaken"))
		Expect(message(other.agent("alice").Status.Conditions, v1alpha1.ConditionReady)).To(ContainSubstring(w.ns))
		Expect(w.ready("alice")()).To(Equal(isReady))
	})
})

func queueOf(w *world, name string) *v1alpha1.Queue {
	q := &v1alpha1.Queue{}
	if k8s.Get(ctx(), client.ObjectKey{Namespace: w.ns, Name: name}, q) != nil {
		return &v1alpha1.Queue{}
	}
	return q
}

var _ = Describe("A telephone system that is away", func() {
	It("holds nobody up; what is pending is written on its return, and said once", Label("B10"), func() {
		w := newWorld()
		w.startOperator()
		support := queue("support")
		support.Spec.Agents = entries("alice", "bob", "carla")
		w.create(contactCenter(w.ns+".sqlite3"), agent("alice"), agent("bob"), support)
		Eventually(w.members).Should(HaveLen(2))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Eventually(w.ready("bob")).Should(Equal(isReady))
		w.quiet()
		w.calls.reset()

		By("somebody locks the database")
		db := w.database()
		db.SetMaxOpenConns(1)
		_, err := db.Exec("BEGIN EXCLUSIVE")
		Expect(err).NotTo(HaveOccurred())
		alice := w.agent("alice")
		edit(w, alice, func() { alice.Spec.State = v1alpha1.StateDeactivated })
		w.create(agent("carla"))
		Eventually(w.ready("alice"), 20*time.Second).Should(Equal("False/TelephonyUnreachable"))
		asked := w.agent("alice").Status.Deactivation.RequestedAt
		Eventually(w.ready("carla"), 20*time.Second).Should(Equal("False/TelephonyUnreachable"))
		Expect(w.ready("bob")()).To(Equal(isReady), "nothing of bob's is pending")
		center := func() *v1alpha1.ContactCenter {
			c := &v1alpha1.ContactCenter{}
			Expect(k8s.Get(ctx(), client.ObjectKey{Namespace: w.ns, Name: "default"}, c)).To(Succeed())
			return c
		}
		Eventually(func() string { return condition(center().Status.Conditions, v1alpha1.ConditionConnected) }).
			Should(Equal("False/TelephonyUnreachable"))
		Expect(center().Status.Database.State).To(Equal(v1alpha1.ConnectionUnreachable))
		since := center().Status.Database.Since
		time.Sleep(3 * time.Second)
		Expect(center().Status.Database.Since).To(Equal(since))
		written := len(w.calls.writes())
		Consistently(func() int { return len(w.calls.writes()) }, 3*time.Second).Should(Equal(written), "an outage is told once")

		By("it comes back")
		_, err = db.Exec("ROLLBACK")
		Expect(err).NotTo(HaveOccurred())
		Eventually(w.ready("alice"), 20*time.Second).Should(Equal(isReady))
		Eventually(w.ready("carla"), 20*time.Second).Should(Equal(isReady))
		Expect(w.access("alice")).To(Equal(refused))
		Expect(w.agent("alice").Status.Deactivation.RequestedAt).To(Equal(asked), "when it was asked for, not when it could be done")
		Expect(w.members()).To(Equal([]string{"support|PJSIP/bob|0|0", "support|PJSIP/carla|0|0"}))
		Eventually(func() string { return condition(center().Status.Conditions, v1alpha1.ConditionReady) }).Should(Equal(isReady))
	})

	It("and comes back empty is refilled", func() {
		w := newWorld()
		w.startOperator()
		support := queue("support")
		support.Spec.Agents = entries("alice")
		w.create(agent("alice"), support)
		Eventually(w.members).Should(HaveLen(1))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		path := filepath.Join(w.dataDir, w.ns+".sqlite3")
		for _, suffix := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(path + suffix)
		}
		Eventually(w.members, 20*time.Second).Should(HaveLen(1))
		Eventually(func() string { return w.access("alice") }).Should(Equal(w.granted()))
	})
})

var _ = Describe("A converged centre", func() {
	It("costs nothing, also at a restart", func() {
		w := newWorld()
		w.startOperator()
		support := queue("support")
		support.Spec.Groups = entries("north")
		gone := agent("gone")
		gone.Spec.State = v1alpha1.StateDeactivated
		away := agent("away")
		away.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Hour)), Reason: v1alpha1.ReasonTraining}}
		w.create(contactCenter(w.ns+".sqlite3"), agent("alice"), agent("bob"), gone, away,
			group("north", "alice", "gone", "away"), group("south", "alice"), team("billing", "bob", "nobody"), support)
		for _, name := range []string{"alice", "bob", "gone", "away"} {
			Eventually(w.ready(name)).Should(Equal(isReady))
		}
		// Counts that change all the time are written at growing distances.
		Eventually(func() *v1alpha1.CenterCounts { return w.center().Status.Counts }, 30*time.Second).Should(HaveValue(Equal(
			v1alpha1.CenterCounts{Agents: 4, Active: 2, OnLeave: 1, Deactivated: 1, Teams: 1, Groups: 2, Queues: 1})))
		w.quiet()
		w.stopOperator()
		w.calls.reset()
		db := w.database()
		db.SetMaxOpenConns(1)
		dataVersion := func() (v int) {
			Expect(db.QueryRow("PRAGMA data_version").Scan(&v)).To(Succeed())
			return v
		}
		first := dataVersion()
		w.startOperator()
		w.quiet()
		Expect(w.calls.writes()).To(BeEmpty())
		Expect(w.calls.all()).NotTo(ContainElement(ContainSubstring("/secrets/")))
		Expect(dataVersion()).To(Equal(first), "the database was written")
	})
})
