//go:build pbx

package suite

import (
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony/asterisk/ami"
)

// rings has a phone call a number, which is to ring the other phone, and gives the call up. It returns what the other
// phone was shown.
func rings(from, to *phone.Phone, number string) *phone.Call {
	GinkgoHelper()
	call, err := from.Dial(number)
	Expect(err).NotTo(HaveOccurred())
	in, err := to.Next(within(5 * time.Second))
	Expect(err).NotTo(HaveOccurred(), number)
	happens(in.Ringing())
	Expect(call.HangUp(within(5 * time.Second))).To(Succeed())
	happens(in.Ended())
	return in
}

// created waits until the clock shows another second than the object's creation: of two objects of one second nobody can
// say which is older.
func created(o client.Object) {
	GinkgoHelper()
	Eventually(func() int64 { return time.Now().Unix() }, 3*time.Second).Should(BeNumerically(">", o.GetCreationTimestamp().Unix()))
}

// held is who or which queue has an extension, as the dialplan reads it.
func (s *site) held(extension string) func() []string {
	return func() []string {
		return s.rows("SELECT COALESCE(NULLIF(interface, ''), queue) FROM roster_extensions WHERE key = '" + s.ns + "/" + extension + "'")
	}
}

// conflictOf is what an Agent's condition Conflicted says.
func (s *site) conflictOf(agent string) func() string {
	return func() string { return conditionOf(s.agent(agent).Status.Conditions, v1alpha1.ConditionConflicted) }
}

var _ = Describe("Dialling an extension", func() {
	onEach(func(kind kindOfPBX) {
		It("rings the person or the queue that has it now, and shows who calls", Label("C6"), func() {
			s := newSite(kind, 1, nil)
			alice, bob := person("alice", "1001"), person("bob", "1002")
			alice.Spec.DisplayName, bob.Spec.DisplayName = "Alice Martin", "Bob Lee"
			support := line("support", "600", "alice")
			s.create(alice, bob, person("carla", "1003"), support)
			s.ready("alice", "bob", "carla")
			a, b, c := s.registered("alice"), s.registered("bob"), s.registered("carla")
			for _, p := range []*phone.Phone{a, b, c} {
				p.Handle(phone.Ring())
			}

			By("a person's extension")
			in := rings(b, a, "1001")
			Expect(in.CallerName()).To(Equal("Bob Lee"))
			Expect(in.CallerNumber()).To(Equal("1002"))
			Expect(dialling(b, "1009")()).To(Equal(404))

			By("a queue's extension")
			Eventually(func() string { return s.device(0, "alice") }).Should(Equal("Not in use"))
			rings(c, a, "600")
			Expect(b.Incoming()).To(BeEmpty())

			By("another extension")
			s.edit(alice, func() { alice.Spec.Endpoint.Extension = "1010" })
			Eventually(s.held("1001"), time.Second).Should(BeEmpty())
			Expect(dialling(b, "1001")()).To(Equal(404), "the old one")
			Expect(rings(b, a, "1010").CallerNumber()).To(Equal("1002"))
			Expect(rings(a, b, "1002").CallerNumber()).To(Equal("1010"))

			By("the old one going to somebody else")
			s.edit(bob, func() { bob.Spec.Endpoint.Extension = "1001" })
			Eventually(func() []string {
				return s.rows("SELECT interface FROM roster_extensions WHERE key = '" + s.ns + "/1001'")
			},
				time.Second).Should(ConsistOf("PJSIP/bob"))
			Expect(rings(c, b, "1001").CallerNumber()).To(Equal("1003"))

			By("another name, which the next call shows")
			s.edit(bob, func() { bob.Spec.DisplayName = "Robert Lee" })
			s.ready("bob")
			in = rings(b, a, "1010")
			Expect(in.CallerName()).To(Equal("Robert Lee"))
			Expect(in.CallerNumber()).To(Equal("1001"))

			By("the queue's extension moving, and the queue's going")
			s.edit(support, func() { support.Spec.Extension = "601" })
			Eventually(s.held("600"), time.Second).Should(BeEmpty())
			Expect(dialling(c, "600")()).To(Equal(404))
			rings(c, a, "601")
			Expect(k8s.Delete(ctx(), support)).To(Succeed())
			Eventually(s.held("601"), 2*time.Second).Should(BeEmpty())
			Expect(dialling(c, "601")()).To(Equal(404))
		})

		It("shows names of all sorts, cut where they do not fit", Label("C6"), func() {
			s := newSite(kind, 1, nil)
			people := []struct{ name, displayName, shown string }{
				{"umlauts", "Zoë Müßig-Łukasiewicz", "Zoë Müßig-Łukasiewicz"},
				{"apostrophe", "Síle O'Brien, Dr. (Sales) 100%", "Síle O'Brien, Dr. (Sales) 100%"},
				{"dollar", "Ke$ha ${EXTEN} & Sons", "Ke$ha ${EXTEN} & Sons"},
				{"japanese", "山田 太郎", "山田 太郎"},
				{"long", "Maximiliane Alexandra von und zu Hohenzollern-Sigmaringen III", "Maximiliane Alexandra von und z"},
				{"long-umlauts", strings.Repeat("ä", 60), strings.Repeat("ä", 31)},
			}
			s.create(person("callee", "1999"))
			for i, p := range people {
				a := person(p.name, strconv.Itoa(1001+i))
				a.Spec.DisplayName = v1alpha1.DisplayName(p.displayName)
				s.create(a)
			}
			refused := person("quotes", "1998")
			refused.Namespace, refused.Spec.DisplayName = s.ns, `Al "the Pal" <1>`
			Expect(k8s.Create(ctx(), refused)).To(MatchError(ContainSubstring("displayName may become a caller id")))
			s.ready("callee")
			callee := s.registered("callee")
			callee.Handle(phone.Ring())
			for i, p := range people {
				s.ready(p.name)
				in := rings(s.registered(p.name), callee, "1999")
				Expect(in.CallerName()).To(Equal(p.shown))
				Expect(in.CallerNumber()).To(Equal(strconv.Itoa(1001 + i)))
				Expect(s.rows("SELECT display_name FROM roster_agents WHERE name = '" + p.name + "'")).To(ConsistOf(p.displayName))
			}
		})
	})

	for _, kind := range oldestAndNewest {
		It("rings the older of two that claim one, with "+kind.String(), Label("C6"), func() {
			s := newSite(kind, 1, nil)
			zoe := person("zoe", "1001") // whose name comes last
			s.create(zoe)
			created(zoe)
			adam := person("adam", "1001")
			s.create(adam)
			created(adam)
			queue := line("support", "1001", "adam")
			s.create(queue, person("bob", "1002"))
			Eventually(s.conflictOf("adam")).Should(Equal("True/ExtensionTaken"))
			s.ready("zoe", "bob")
			z, a, b := s.registered("zoe"), s.registered("adam"), s.registered("bob")
			for _, p := range []*phone.Phone{z, a, b} {
				p.Handle(phone.Ring())
			}
			conflictOfQueue := func() string {
				q := &v1alpha1.Queue{}
				_ = k8s.Get(ctx(), client.ObjectKeyFromObject(queue), q)
				return conditionOf(q.Status.Conditions, v1alpha1.ConditionConflicted)
			}
			Eventually(conflictOfQueue).Should(Equal("True/ExtensionTaken"))
			Expect(s.conflictOf("zoe")()).To(BeEmpty())
			Eventually(s.eventsOn("adam", "Conflicted")).Should(ContainElement(ContainSubstring("extension 1001 is held by Agent zoe")))

			By("one phone ringing")
			Expect(rings(b, z, "1001").CallerNumber()).To(Equal("1002"))
			Expect(a.Incoming()).To(BeEmpty())

			By("the one without an extension calling, not under the other's")
			Expect(rings(a, b, "1002").CallerNumber()).NotTo(Equal("1001"))

			By("the older letting go")
			s.edit(zoe, func() { zoe.Spec.Endpoint.Extension = "1005" })
			Eventually(s.conflictOf("adam"), 2*time.Second).Should(BeEmpty())
			Expect(conflictOfQueue()).To(Equal("True/ExtensionTaken"))
			Expect(rings(b, a, "1001").CallerNumber()).To(Equal("1002"))
			Expect(rings(b, z, "1005").CallerNumber()).To(Equal("1002"))
			Expect(rings(a, b, "1002").CallerNumber()).To(Equal("1001"))

			By("the next being deleted")
			Expect(k8s.Delete(ctx(), adam)).To(Succeed())
			Eventually(conflictOfQueue).Should(BeEmpty())
			Eventually(s.held("1001")).Should(ConsistOf("support"))
			Expect(z.Incoming()).To(HaveLen(2))
		})

		It("stays within a centre, with "+kind.String(), Label("C6"), func() {
			one := newSiteOn(nil, kind, 1, nil, "other")
			other := one.centre(1)
			one.create(person("alice", "1001"), person("bob", "1002"), line("support", "600", "alice"))
			other.create(person("alice-too", "1001"), person("bob-too", "1002"), person("carla-too", "1003"), line("support-too", "600", "alice-too"))
			one.ready("alice", "bob")
			other.ready("alice-too", "bob-too", "carla-too")
			a, b := one.registered("alice"), one.registered("bob")
			aToo, bToo, cToo := other.registered("alice-too"), other.registered("bob-too"), other.registered("carla-too")
			for _, p := range []*phone.Phone{a, b, aToo, bToo, cToo} {
				p.Handle(phone.Ring())
			}
			for _, agent := range []string{"alice", "alice-too"} {
				Eventually(func() string { return one.device(0, agent) }).Should(Equal("Not in use"))
			}

			for _, number := range []string{"1001", "600"} {
				Expect(rings(b, a, number).CallerName()).To(Equal("bob"))
				Expect(aToo.Incoming()).To(BeEmpty())
			}
			for _, number := range []string{"1001", "600"} {
				Expect(rings(bToo, aToo, number).CallerName()).To(Equal("bob-too"))
			}
			Expect(a.Incoming()).To(HaveLen(2))
			Expect(dialling(b, "1003")()).To(Equal(404), "that extension is the other centre's")
			Expect(cToo.Incoming()).To(BeEmpty())

			By("one centre letting go, which leaves the other's alone")
			Expect(k8s.Delete(ctx(), one.agent("alice"))).To(Succeed())
			Eventually(one.held("1001")).Should(BeEmpty())
			Expect(dialling(b, "1001")()).To(Equal(404))
			Expect(rings(bToo, aToo, "1001").CallerNumber()).To(Equal("1002"))
		})
	}
})

var _ = Describe("A mailbox", func() {
	for _, kind := range oldestAndNewest {
		It("takes the calls that nobody takes, and is heard with the PIN, with "+kind.String(), Label("C6"), func() {
			s := newSite(kind, 1, func(c *v1alpha1.ContactCenter) { c.Spec.DriftIntervalSeconds = new(int32(1)) })
			pins := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pins"}, StringData: map[string]string{"alice": "4711"}}
			alice := person("alice", "1001")
			alice.Spec.DisplayName = "Alice Martin"
			alice.Spec.Endpoint.Voicemail = &v1alpha1.Voicemail{
				Mailbox: "1001", PINSecretRef: v1alpha1.SecretKeyReference{Name: "pins", Key: "alice"},
			}
			s.create(pins, alice, person("bob", "1002"))
			s.ready("alice", "bob")
			a, b := s.phone("alice"), s.registered("bob")
			m := s.mailbox("1001")
			Expect(m.pin()).To(Equal("4711"))
			Expect(m.shown()).To(ContainSubstring("password: 4711"))
			Expect(m.count()).To(Equal("0 new, 0 old"))

			By("a phone that is off")
			m.leave(b)
			Eventually(m.count).Should(Equal("1 new, 0 old"))

			By("a phone that is busy")
			s.register(a)
			a.Handle(phone.Busy())
			m.leave(b)
			Eventually(m.count).Should(Equal("2 new, 0 old"))

			if kind == newest {
				By("a phone that nobody answers")
				a.Handle(phone.Ring())
				m.leave(b)
				Eventually(m.count).Should(Equal("3 new, 0 old"))
			}

			By("somebody who has no mailbox")
			Expect(dialling(b, "*97")()).To(Equal(404))

			By("a wrong PIN, and the right one")
			m.listen(a, "alice", "1234", "vm-incorrect")
			m.listen(a, "alice", "4711", "vm-youhave")

			By("a PIN that is changed in the Secret")
			s.edit(pins, func() { pins.StringData = map[string]string{"alice": "081500"} })
			Eventually(m.pin).Should(Equal("081500"))
			Expect(m.shown()).To(ContainSubstring("password: 081500"))
			m.listen(a, "alice", "4711", "vm-incorrect")

			By("a PIN that is changed by phone, which stays")
			s.exec("UPDATE voicemail SET password = '9999' WHERE mailbox = '1001'")
			s.edit(alice, func() { alice.Spec.DisplayName = "Alice M. Byron" })
			s.ready("alice")
			Expect(s.rows("SELECT fullname FROM voicemail WHERE mailbox = '1001'")).To(ConsistOf("Alice M. Byron"))
			Expect(m.pin()).To(Equal("9999"))
			m.listen(a, "alice", "9999", "vm-youhave")

			By("the manager starting again")
			s.stopManager()
			s.edit(alice, func() { alice.Spec.DisplayName = "Alice Byron" })
			s.startManager()
			s.ready("alice")
			Expect(s.rows("SELECT fullname FROM voicemail WHERE mailbox = '1001'")).To(ConsistOf("Alice Byron"))
			Expect(m.pin()).To(Equal("9999"))

			By("a deactivation and back")
			s.edit(alice, func() { alice.Spec.State = v1alpha1.StateDeactivated })
			Eventually(func() v1alpha1.AgentPhase { return s.agent("alice").Status.Phase }).Should(Equal(v1alpha1.PhaseDeactivated))
			s.edit(alice, func() { alice.Spec.State = v1alpha1.StateActive })
			s.ready("alice")
			Expect(m.pin()).To(Equal("9999"))

			By("other rows of hers being repaired")
			s.exec("UPDATE ps_endpoints SET callerid = 'nobody' WHERE id = 'alice'")
			Eventually(func() []string { return s.rows("SELECT callerid FROM ps_endpoints WHERE id = 'alice'") }).
				Should(ConsistOf(`"Alice Byron" <1001>`))
			Expect(m.pin()).To(Equal("9999"))

			By("the password of the phone changing, which is in another Secret")
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "alice-sip"}}
			s.edit(secret, func() { secret.StringData = map[string]string{"password": "Another-Pass-Word-1"} })
			Eventually(func() []string { return s.rows("SELECT password FROM ps_auths WHERE id = 'alice'") }).
				Should(ConsistOf("Another-Pass-Word-1"))
			Expect(m.pin()).To(Equal("9999"))

			By("somebody taking the mailbox out of the database")
			s.exec("DELETE FROM voicemail WHERE mailbox = '1001'")
			Eventually(m.pin).Should(Equal("081500"))

			By("the Secret changing again")
			s.edit(pins, func() { pins.StringData = map[string]string{"alice": "2468"} })
			Eventually(m.pin).Should(Equal("2468"))
		})
	}
})

// mailbox is one of the site's on its first server.
type mailbox struct {
	*site
	number string
	conn   *ami.Conn
}

func (s *site) mailbox(number string) *mailbox {
	GinkgoHelper()
	server := s.servers[0]
	conn, err := ami.Dial(ctx(), ami.Config{Address: server.AMIAddress, Username: server.Username, Secret: server.Password})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	return &mailbox{s, number, conn}
}

// pin is the PIN in the database.
func (m *mailbox) pin() string {
	return strings.Join(m.rows("SELECT password FROM voicemail WHERE mailbox = '"+m.number+"' AND context = '"+m.ns+"'"), " and ")
}

// shown is what the server shows of the centre's mailboxes.
func (m *mailbox) shown() string { return m.cli(0, "voicemail show users for "+m.ns) }

// count is how many messages the server has.
func (m *mailbox) count() string {
	answer, err := m.conn.Do(ctx(), ami.NewAction("MailboxCount", "Mailbox", m.number+"@"+m.ns))
	if err != nil {
		return err.Error()
	}
	return answer.Get("NewMessages") + " new, " + answer.Get("OldMessages") + " old"
}

// plays waits until a channel hears a recording of the server's.
func (m *mailbox) plays(channel, recording string) {
	GinkgoHelper()
	Eventually(func() bool {
		return strings.Contains(m.servers[0].LogTail(200), "<"+channel+"> Playing '"+recording)
	}, 15*time.Second).Should(BeTrue(), "%s hears %s", channel, recording)
}

// leave has a phone call the extension of the mailbox's number, and leave a message.
func (m *mailbox) leave(from *phone.Phone) {
	GinkgoHelper()
	call, err := from.Call(within(45*time.Second), m.number)
	Expect(err).NotTo(HaveOccurred())
	Expect(call.Status()).To(Equal(200), "voicemail answers")
	speak(from, call)
	channels := m.channels(0, "bob")
	Expect(channels).To(HaveLen(1))
	m.plays(channels[0], "vm-theperson")
	keysOf(from, call).press("#") // goes past the greeting
	m.plays(channels[0], "beep")
	Consistently(call.Ended(), 5*time.Second).ShouldNot(BeClosed(), "less than two seconds of sound are no message")
	Expect(call.HangUp(within(5 * time.Second))).To(Succeed())
}

// listen has a person call their own mailbox with a PIN, to hear a recording then.
func (m *mailbox) listen(p *phone.Phone, name, pin, heard string) {
	GinkgoHelper()
	Expect(m.channels(0, name)).To(BeEmpty())
	call, err := p.Call(within(10*time.Second), "*97")
	Expect(err).NotTo(HaveOccurred())
	Expect(call.Status()).To(Equal(200))
	speak(p, call)
	channel := m.channel(name)
	m.plays(channel, "vm-password")
	keysOf(p, call).press(pin + "#")
	m.plays(channel, heard)
	Expect(call.HangUp(within(5 * time.Second))).To(Succeed())
	Eventually(func() []string { return m.channels(0, name) }).Should(BeEmpty())
}
