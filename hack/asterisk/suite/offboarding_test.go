//go:build pbx

package suite

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
)

var _ = Describe("A deactivated person", func() {
	onEach(func(kind kindOfPBX) {
		It("is signed out, may not sign in or call, and keeps the running call until it ends", Label("G1", "G5", "B5"), func() {
			s := newSite(kind, 1, nil)
			alice := person("alice", "1001")
			s.create(alice, person("bob", "1002"), line("support", "600", "alice"))
			s.ready("alice", "bob")
			a, b := s.registered("alice"), s.registered("bob")

			By("a caller of the queue reaches her")
			call, err := b.Call(ctx(), "600")
			Expect(err).NotTo(HaveOccurred())
			Expect(call.Status()).To(Equal(200))
			in, err := a.Next(ctx())
			Expect(err).NotTo(HaveOccurred())
			happens(in.Answered())

			By("deactivating her in the call")
			s.edit(alice, func() { alice.Spec.State = v1alpha1.StateDeactivated })
			Eventually(registering(a), 5*time.Second).Should(Equal(403))
			refused, err := a.Call(ctx(), "1002")
			Expect(err).NotTo(HaveOccurred())
			Expect(refused.Status()).To(BeElementOf(403, 404))
			Expect(s.channels(0, "alice")).To(HaveLen(1), "the running call goes on")
			Expect(s.agent("alice").Status.Phase).To(Equal(v1alpha1.PhaseDeactivating))
			Expect(s.agent("alice").Status.Deactivation.OfflineAt).To(BeNil())

			By("the call ending")
			Expect(call.HangUp(ctx())).To(Succeed())
			happens(in.Ended())
			Eventually(func() v1alpha1.AgentPhase { return s.agent("alice").Status.Phase }).Should(Equal(v1alpha1.PhaseDeactivated))
			Expect(s.agent("alice").Status.Deactivation.OfflineAt).NotTo(BeNil())
			Expect(s.rows("SELECT id FROM ps_contacts WHERE endpoint = 'alice' AND expiration_time > 1")).To(BeEmpty())

			By("nobody rings her any more")
			b.Handle(phone.Answer(0))
			second, err := b.Dial("600")
			Expect(err).NotTo(HaveOccurred())
			Consistently(func() []string { return s.channels(0, "alice") }, 2*time.Second).Should(BeEmpty())
			Expect(second.HangUp(ctx())).To(Succeed())

			By("Asterisk restarting, and her coming back with the old password")
			Expect(s.servers[0].Restart(ctx())).To(Succeed())
			s.edit(alice, func() {
				alice.Spec.State, alice.Spec.OnReactivation = v1alpha1.StateActive, v1alpha1.OnReactivationRestore
			})
			s.ready("alice")
			Eventually(registering(a), 5*time.Second).Should(Equal(200))
			Eventually(registering(b), 5*time.Second).Should(Equal(200))
			third, err := b.Call(ctx(), "1001")
			Expect(err).NotTo(HaveOccurred())
			Expect(third.Status()).To(Equal(200))
			Expect(third.HangUp(ctx())).To(Succeed())
		})
	})
})
