package controllers_test

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

func secret(name string, data map[string]string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, StringData: data}
}

var _ = Describe("Credentials", func() {
	var w *world
	BeforeEach(func() { w = newWorld() })

	password := func() []string { return w.rows("SELECT password FROM ps_auths WHERE id = 'alice'") }
	alice := func() *v1alpha1.Agent {
		a := agent("alice")
		a.Spec.Endpoint = &v1alpha1.Endpoint{PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: "alice-own", Key: "password"}}
		return a
	}

	It("come from the Secret, and a changed Secret arrives within a second", Label("C6"), func() {
		w.startOperator()
		s := secret("alice-own", map[string]string{"password": "first-Passw0rd"})
		w.create(s, alice())
		Eventually(password).Should(Equal([]string{"first-Passw0rd"}))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		edit(w, s, func() { s.StringData = map[string]string{"password": "second-Passw0rd"} })
		Eventually(password, time.Second).Should(Equal([]string{"second-Passw0rd"}))
	})

	It("that are missing wait, and heal", func() {
		w.startOperator()
		w.create(alice())
		Eventually(w.ready("alice")).Should(Equal("False/MissingReference"))
		Expect(message(w.agent("alice").Status.Conditions, v1alpha1.ConditionReady)).To(ContainSubstring("alice-own"))
		Expect(condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionReferencesResolved)).To(HavePrefix("False"))
		Expect(w.rows("SELECT id FROM ps_auths")).To(BeEmpty())
		Expect(w.rows("SELECT id FROM ps_endpoints")).To(BeEmpty())
		w.create(secret("alice-own", map[string]string{"password": "first-Passw0rd"}))
		Eventually(password).Should(Equal([]string{"first-Passw0rd"}))
		Eventually(w.ready("alice")).Should(Equal(isReady))
	})

	It("are generated into a Secret of their own, once", func() {
		w.startOperator()
		w.create(agent("alice"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		s := &corev1.Secret{}
		Expect(k8s.Get(ctx(), client.ObjectKey{Namespace: w.ns, Name: "alice-sip"}, s)).To(Succeed())
		Expect(password()).To(Equal([]string{string(s.Data["password"])}))
		Expect(len(s.Data["password"])).To(BeNumerically(">=", 20))
		Expect(s.OwnerReferences).To(HaveLen(1))
		version := s.ResourceVersion
		w.stopOperator()
		w.startOperator()
		Consistently(func() string {
			Expect(k8s.Get(ctx(), client.ObjectKeyFromObject(s), s)).To(Succeed())
			return s.ResourceVersion
		}).Should(Equal(version))
	})

	It("never overwrite a Secret that Roster did not make", func() {
		w.startOperator()
		w.create(secret("alice-sip", map[string]string{"password": "of-somebody-else1"}), agent("alice"))
		Eventually(w.ready("alice")).Should(Equal("False/BadSecret"))
		s := &corev1.Secret{}
		Expect(k8s.Get(ctx(), client.ObjectKey{Namespace: w.ns, Name: "alice-sip"}, s)).To(Succeed())
		Expect(string(s.Data["password"])).To(Equal("of-somebody-else1"))
		Expect(password()).To(BeEmpty())
		By("deleting it mends that")
		Expect(k8s.Delete(ctx(), s)).To(Succeed())
		Eventually(w.ready("alice")).Should(Equal(isReady))
	})

	It("that the policy refuses are a condition, and the old one goes on", Label("S3"), func() {
		w.startOperator()
		w.create(&v1alpha1.ContactCenter{
			ObjectMeta: metav1.ObjectMeta{Name: "default"},
			Spec: v1alpha1.ContactCenterSpec{
				Telephony: sqliteTelephony(w.ns + ".sqlite3"),
				PasswordPolicy: &v1alpha1.PasswordPolicy{
					MinimumLength: ptr.To[int32](10), Require: []v1alpha1.CharacterClass{"Digit", "Upper"},
				},
			},
		})
		s := secret("alice-own", map[string]string{"password": "good-Passw0rd"})
		w.create(s, alice())
		Eventually(password).Should(Equal([]string{"good-Passw0rd"}))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		edit(w, s, func() { s.StringData = map[string]string{"password": "weak"} })
		Eventually(w.ready("alice")).Should(Equal("False/PolicyViolation"))
		a := w.agent("alice")
		Expect(condition(a.Status.Conditions, v1alpha1.ConditionPasswordAccepted)).To(Equal("False/PolicyViolation"))
		for _, c := range a.Status.Conditions {
			Expect(c.Message).NotTo(ContainSubstring("weak"))
		}
		Expect(password()).To(Equal([]string{"good-Passw0rd"}))
		Expect(w.access("alice")).To(Equal(w.granted()))
		By("a bad password does not keep anybody in")
		edit(w, a, func() { a.Spec.State = v1alpha1.StateDeactivated })
		Eventually(func() string { return w.access("alice") }).Should(Equal(refused))
		Eventually(w.ready("alice")).Should(Equal(isReady))
	})

	It("are read once: neither a restart nor another change reads the Secret again", func() {
		w.startOperator()
		w.create(secret("alice-own", map[string]string{"password": "first-Passw0rd"}), alice())
		Eventually(w.ready("alice")).Should(Equal(isReady))
		w.quiet()
		w.stopOperator()
		w.calls.reset()
		w.startOperator()
		a := w.agent("alice")
		edit(w, a, func() { a.Spec.DisplayName = "Alice" })
		Eventually(func() []string { return w.rows("SELECT display_name FROM roster_agents") }).Should(Equal([]string{"Alice"}))
		Expect(w.calls.all()).NotTo(ContainElement("GET /api/v1/namespaces/" + w.ns + "/secrets/alice-own"))
	})

	It("of a mailbox: a PIN changed by phone stays until the Secret changes", Label("C6"), func() {
		w.startOperator()
		a := agent("alice")
		a.Spec.Endpoint = &v1alpha1.Endpoint{Voicemail: &v1alpha1.Voicemail{
			Mailbox: "1001", PINSecretRef: v1alpha1.SecretKeyReference{Name: "alice-pin", Key: "pin"},
		}}
		s := secret("alice-pin", map[string]string{"pin": "4711"})
		w.create(s, a)
		pin := func() []string { return w.rows("SELECT mailbox, context, password FROM voicemail") }
		Eventually(pin).Should(Equal([]string{"1001|" + w.ns + "|4711"}))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		_, err := w.database().Exec("UPDATE voicemail SET password = '9999'")
		Expect(err).NotTo(HaveOccurred())
		edit(w, a, func() { a.Spec.DisplayName = "Alice" })
		Eventually(func() []string { return w.rows("SELECT fullname FROM voicemail") }).Should(Equal([]string{"Alice"}))
		Expect(pin()).To(Equal([]string{"1001|" + w.ns + "|9999"}))
		edit(w, s, func() { s.StringData = map[string]string{"pin": "0815"} })
		Eventually(pin).Should(Equal([]string{"1001|" + w.ns + "|0815"}))
	})

	It("of a former holder of the name are not the new one's", func() {
		w.startOperator()
		first := agent("alice")
		w.create(first)
		Eventually(w.ready("alice")).Should(Equal(isReady))
		old := password()
		w.delete(first)
		Eventually(func() string { return w.agent("alice").Name }).Should(BeEmpty())
		w.create(agent("alice"))
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Expect(password()).NotTo(Equal(old))
	})
})

var _ = Describe("A name", func() {
	It("used again with another e-mail waits for a decision, because the history stays", func() {
		w := newWorld()
		w.startOperator()
		first, second := agent("alice"), agent("alice")
		first.Spec.Email, second.Spec.Email = "alice@acme.example", "alicia@acme.example"
		w.create(first)
		Eventually(w.ready("alice")).Should(Equal(isReady))
		w.delete(first)
		Eventually(func() bool {
			return apierrors.IsNotFound(k8s.Get(ctx(), client.ObjectKeyFromObject(first), first))
		}).Should(BeTrue())
		w.create(second)
		Eventually(func() string { return condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionConflicted) }).
			Should(Equal("True/NameTaken"))
		Expect(w.rows("SELECT id FROM ps_endpoints")).To(BeEmpty())
		edit(w, second, func() { second.Annotations = map[string]string{v1alpha1.AnnotationReuseName: "true"} })
		Eventually(w.ready("alice")).Should(Equal(isReady))
		Expect(condition(w.agent("alice").Status.Conditions, v1alpha1.ConditionConflicted)).To(BeEmpty())
	})
})
