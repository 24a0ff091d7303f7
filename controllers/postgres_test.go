package controllers_test

import (
	"database/sql"
	"slices"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony/postgrestest"
)

var _ = Describe("A centre on PostgreSQL", func() {
	It("keeps its rows true, through a stop and a restart of the server", Label("B10", "G1", "O5"), func() {
		cluster := postgrestest.Own(GinkgoTB())
		name := cluster.Database(GinkgoTB())
		w := newWorld()
		w.startOperator()
		c := contactCenter("")
		c.Spec.Telephony.AsteriskRealtime.Database = v1alpha1.Database{
			Type:         v1alpha1.DatabasePostgreSQL,
			DSNSecretRef: &v1alpha1.SecretKeyReference{Name: "pbx-db", Key: "dsn"},
		}
		support := queue("support")
		support.Spec.Groups = entries("north")
		w.create(c, agent("alice"), agent("bob"), group("north", "alice", "bob"), support)
		By("no Secret yet")
		Eventually(w.ready("alice")).Should(Equal("False/ContactCenterStalled"))
		w.create(secret("pbx-db", map[string]string{"dsn": name}))

		members := func() []string {
			db, err := sql.Open("pgx", name)
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = db.Close() }()
			rows, err := db.QueryContext(ctx(), "SELECT interface FROM queue_members WHERE queue_name = 'support'")
			if err != nil {
				return []string{err.Error()}
			}
			defer func() { _ = rows.Close() }()
			var list []string
			for rows.Next() {
				var s string
				Expect(rows.Scan(&s)).To(Succeed())
				list = append(list, s)
			}
			slices.Sort(list)
			return list
		}
		Eventually(members, 30*time.Second).Should(Equal([]string{"PJSIP/alice", "PJSIP/bob"}))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Eventually(w.ready("bob")).Should(Equal(isReady))

		By("the server stops; somebody is put out meanwhile")
		cluster.Stop(GinkgoTB())
		alice := w.agent("alice")
		edit(w, alice, func() { alice.Spec.State = v1alpha1.StateDeactivated })
		Eventually(w.ready("alice"), 30*time.Second).Should(Equal("False/TelephonyUnreachable"))
		Expect(w.ready("bob")()).To(Equal(isReady))
		for _, x := range []string{message(w.agent("alice").Status.Conditions, v1alpha1.ConditionReady)} {
			Expect(x).NotTo(ContainSubstring("password"))
		}
		cluster.Restart(GinkgoTB())
		Eventually(w.ready("alice"), 30*time.Second).Should(Equal(isReady))
		Expect(members()).To(Equal([]string{"PJSIP/bob"}))
		Expect(w.agent("alice").Status.Phase).To(Equal(v1alpha1.PhaseDeactivated))
	})
})
