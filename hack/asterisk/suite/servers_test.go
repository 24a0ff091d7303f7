//go:build pbx

package suite

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony/asterisk/ami"
	"roster.dev/roster/internal/telephony/postgrestest"
)

// onPostgreSQL has specs run on both versions with PostgreSQL, as several servers have it.
func onPostgreSQL(specs func(kind kindOfPBX)) {
	for _, kind := range []kindOfPBX{{"22", v1alpha1.DatabasePostgreSQL}, {"16", v1alpha1.DatabasePostgreSQL}} {
		Context("with "+kind.String(), func() { specs(kind) })
	}
}

// several is what specs run on that do not depend on the version, but want a server of a database.
var several = kindOfPBX{"22", v1alpha1.DatabasePostgreSQL}

// center is the site's ContactCenter as the API server has it.
func (s *site) center() *v1alpha1.ContactCenter {
	c := &v1alpha1.ContactCenter{}
	_ = k8s.Get(ctx(), client.ObjectKey{Namespace: s.ns, Name: "default"}, c)
	return c
}

// summary is how many servers are connected, of how many.
func (s *site) summary() string { return s.center().Status.ManagerSummary }

// managers are the states of the servers.
func (s *site) managers() (list []string) {
	for _, m := range s.center().Status.Managers {
		list = append(list, string(m.Name)+" "+string(m.State))
	}
	return list
}

// told are the reason and the text of every event about an object.
func (s *site) told(kind, name string) func() []string {
	return func() (texts []string) {
		list := &eventsv1.EventList{}
		_ = k8s.List(ctx(), list, client.InNamespace(s.ns))
		for _, e := range list.Items {
			if e.Regarding.Kind == kind && e.Regarding.Name == name {
				texts = append(texts, e.Reason+": "+e.Note)
			}
		}
		return texts
	}
}

// phase, offline and offlineAt are a person's.
func (s *site) phase(agent string) func() v1alpha1.AgentPhase {
	return func() v1alpha1.AgentPhase { return s.agent(agent).Status.Phase }
}

func (s *site) offline(agent string) func() string {
	return func() string { return conditionOf(s.agent(agent).Status.Conditions, v1alpha1.ConditionOffline) }
}

func (s *site) offlineAt(agent string) func() *metav1.Time {
	return func() *metav1.Time {
		if d := s.agent(agent).Status.Deactivation; d != nil {
			return d.OfflineAt
		}
		return nil
	}
}

// message of a condition.
func message(conditions []metav1.Condition, name string) string {
	for _, c := range conditions {
		if c.Type == name {
			return c.Message
		}
	}
	return ""
}

// deactivate declares a person deactivated.
func (s *site) deactivate(a *v1alpha1.Agent) {
	GinkgoHelper()
	s.edit(a, func() { a.Spec.State = v1alpha1.StateDeactivated })
}

// registrations are a person's contacts that are alive, in a server's own table.
func (s *site) registrations(server int, agent string) func() []string {
	return func() []string {
		return s.rows(fmt.Sprintf("SELECT id FROM %s WHERE endpoint = '%s' AND expiration_time > 1", contactsTable(server), agent))
	}
}

// members are a queue's members as the database has them: interface, penalty and pause.
func (s *site) members(queue string) func() []string {
	return func() []string {
		return s.rows("SELECT interface, penalty, paused FROM queue_members WHERE queue_name = '" + queue + "' ORDER BY interface")
	}
}

// observer hears which queues a server's memory has people in: it says so when the state of a phone changes, and
// does not look into the database for it.
type observer struct {
	site   *site
	server int
	mu     sync.Mutex
	heard  map[string]map[string]string // by person and queue
}

func (s *site) observe(server int) *observer {
	GinkgoHelper()
	o := &observer{site: s, server: server, heard: map[string]map[string]string{}}
	pbx := s.servers[server]
	conn, err := ami.Dial(ctx(), ami.Config{
		Address: pbx.AMIAddress, Username: pbx.Username, Secret: pbx.Password, Events: "agent", OnEvent: o.hear,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	return o
}

func (o *observer) hear(m *ami.Message) {
	if !m.Is("Event", "QueueMemberStatus") {
		return
	}
	agent := strings.TrimPrefix(m.Get("Interface"), "PJSIP/")
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.heard[agent] == nil {
		o.heard[agent] = map[string]string{}
	}
	o.heard[agent][m.Get("Queue")] = "penalty " + m.Get("Penalty") + " paused " + m.Get("Paused")
}

// memory is what a server's memory has of a person whose phone is registered there: the queues, with penalty and
// pause. The phone signs out and in for it.
func (o *observer) memory(p *phone.Phone, agent string) map[string]string {
	GinkgoHelper()
	device := func() string { return o.site.device(o.server, agent) }
	o.mu.Lock()
	delete(o.heard, agent)
	o.mu.Unlock()
	status, err := p.Unregister(ctx())
	Expect(err).NotTo(HaveOccurred())
	Expect(status).To(Equal(200))
	Eventually(device).Should(Equal("Unavailable"))
	o.site.register(p)
	Eventually(device).Should(Equal("Not in use"))
	o.mu.Lock()
	defer o.mu.Unlock()
	heard := map[string]string{}
	for queue, state := range o.heard[agent] {
		heard[queue] = state
	}
	return heard
}

// calling has one phone call a number that another answers, and returns both ends.
func calling(from *phone.Phone, number string, to *phone.Phone) (out, in *phone.Call) {
	GinkgoHelper()
	out, err := from.Call(ctx(), number)
	Expect(err).NotTo(HaveOccurred())
	Expect(out.Status()).To(Equal(200))
	in, err = to.Next(within(10 * time.Second))
	Expect(err).NotTo(HaveOccurred())
	happens(in.Answered())
	return out, in
}

var _ = Describe("Several servers on one database", Label("B10"), func() {
	onPostgreSQL(func(kind kindOfPBX) {
		It("log a person out of the one where the phone is, and take over every change", Label("G1"), func() {
			s := newSite(kind, 3, nil)
			alice := person("alice", "1001")
			support := line("support", "600")
			support.Spec.Competency = v1alpha1.CompetencyEnabled
			s.create(alice, person("bob", "1002"), support)
			s.ready("alice", "bob")
			bob := make([]*phone.Phone, 3)
			observers := make([]*observer, 3)
			for i := range bob {
				bob[i] = s.phoneAt(i, "bob", s.password("bob"))
				s.register(bob[i])
				observers[i] = s.observe(i)
				Eventually(func() string { return s.device(i, "bob") }).Should(Equal("Not in use"))
				Expect(observers[i].memory(bob[i], "bob")).To(BeEmpty())
			}
			inMemory := func(want map[string]string) {
				GinkgoHelper()
				for i := range bob {
					Eventually(func() map[string]string { return observers[i].memory(bob[i], "bob") }).Should(Equal(want), serverName(i))
				}
			}

			By("a member, a penalty, a pause, and a member who goes, in the memory of all")
			s.edit(support, func() { support.Spec.Agents = []v1alpha1.QueueEntry{{Name: "bob", Stars: 3}} })
			inMemory(map[string]string{"support": "penalty 1 paused 0"})
			s.edit(support, func() { support.Spec.Agents = []v1alpha1.QueueEntry{{Name: "bob", Stars: 1}} })
			inMemory(map[string]string{"support": "penalty 3 paused 0"})
			leaver := s.agent("bob")
			s.edit(leaver, func() {
				leaver.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Minute))}}
			})
			inMemory(map[string]string{"support": "penalty 3 paused 1"})
			s.edit(support, func() { support.Spec.Agents = nil })
			inMemory(map[string]string{})

			By("deactivating a person whose phone is at the second server")
			a := s.phoneAt(1, "alice", s.password("alice"))
			s.register(a)
			Expect(s.registrations(1, "alice")()).To(HaveLen(1), "the second server has a table of its own")
			Expect(s.registrations(0, "alice")()).To(BeEmpty())
			Eventually(func() string { return s.device(1, "alice") }).Should(Equal("Not in use"))
			s.deactivate(alice)
			Eventually(func() string { return s.device(1, "alice") }, 2500*time.Millisecond).Should(Equal("Unavailable"))
			Expect(s.registrations(1, "alice")()).To(BeEmpty())
			Eventually(s.phase("alice"), 5*time.Second).Should(Equal(v1alpha1.PhaseDeactivated))
			Expect(s.offlineAt("alice")()).NotTo(BeNil())
			Expect(s.offline("alice")()).To(BeEmpty())
			for i := range s.servers {
				Expect(registering(s.phoneAt(i, "alice", s.password("alice")))()).To(Equal(403), serverName(i))
			}
		})

		It("hold nobody up when one is killed, and it is caught up when it returns", Label("G1"), func() {
			s := newSite(kind, 3, nil)
			alice := person("alice", "1001")
			support := line("support", "600", "alice")
			s.create(alice, person("bob", "1002"), support)
			s.ready("alice", "bob")
			a := s.phoneAt(1, "alice", s.password("alice"))
			s.register(a)
			s.register(s.phoneAt(0, "bob", s.password("bob")))

			By("killing the second")
			killed := time.Now()
			s.servers[1].Kill()
			Eventually(s.managers, 3*time.Second).Should(Equal([]string{"pbx-1 Connected", "pbx-2 Unreachable", "pbx-3 Connected"}))
			c := s.center()
			Expect(c.Status.ManagerSummary).To(Equal("2/3"))
			Expect(c.Status.Managers[1].Since.Time).To(BeTemporally("~", killed, 3*time.Second))
			Expect(conditionOf(c.Status.Conditions, v1alpha1.ConditionServersConnected)).To(Equal("False/ServersUnreachable"))
			Expect(message(c.Status.Conditions, v1alpha1.ConditionServersConnected)).To(ContainSubstring("pbx-2 since "))
			Expect(conditionOf(c.Status.Conditions, v1alpha1.ConditionReady)).To(Equal("True/Committed"))
			Eventually(s.told("ContactCenter", "default")).Should(ContainElement(HavePrefix("ServerUnreachable: server pbx-2")))

			By("people going on being changed")
			began := time.Now()
			carol := person("carol", "1003")
			s.create(carol)
			s.edit(support, func() { support.Spec.Agents = append(support.Spec.Agents, v1alpha1.QueueEntry{Name: "carol"}) })
			s.ready("carol")
			Eventually(s.members("support")).Should(Equal([]string{"PJSIP/alice|0|0", "PJSIP/carol|0|0"}))
			Expect(time.Since(began)).To(BeNumerically("<", 3*time.Second))
			s.deactivate(alice)
			Eventually(s.phase("alice"), 3*time.Second).Should(Equal(v1alpha1.PhaseDeactivated))
			Expect(s.agent("alice").Status.Deactivation.CompletedAt).NotTo(BeNil())
			Expect(s.offline("alice")()).To(Equal("Unknown/ServersUnreachable"))
			Expect(message(s.agent("alice").Status.Conditions, v1alpha1.ConditionOffline)).To(ContainSubstring("pbx-2"))
			Expect(conditionOf(s.agent("alice").Status.Conditions, v1alpha1.ConditionReady)).To(Equal("True/Committed"))

			By("starting it again")
			Expect(s.servers[1].Start(ctx())).To(Succeed())
			Eventually(s.summary).Should(Equal("3/3"))
			Expect(conditionOf(s.center().Status.Conditions, v1alpha1.ConditionServersConnected)).To(Equal("True/Connected"))
			Eventually(s.offline("alice")).Should(BeEmpty())
			Expect(s.phase("alice")()).To(Equal(v1alpha1.PhaseDeactivated))
			Expect(registering(a)()).To(Equal(403))
			p, o := s.phoneAt(1, "carol", s.password("carol")), s.observe(1)
			s.register(p)
			Eventually(func() string { return s.device(1, "carol") }).Should(Equal("Not in use"))
			Expect(o.memory(p, "carol")).To(Equal(map[string]string{"support": "penalty 0 paused 0"}))
		})
	})

	It("hold nobody up when one hangs", Label("G1"), func() {
		s := newSite(several, 2, nil)
		alice, bob := person("alice", "1001"), person("bob", "1002")
		support := line("support", "600", "alice")
		s.create(alice, bob, person("dave", "1004"), support)
		s.ready("alice", "bob", "dave")
		a, b, d := s.phoneAt(1, "alice", s.password("alice")), s.phoneAt(0, "bob", s.password("bob")), s.phoneAt(1, "dave", s.password("dave"))
		for _, p := range []*phone.Phone{a, b, d} {
			s.register(p)
		}
		o := s.observe(1)
		Eventually(func() string { return s.device(1, "alice") }).Should(Equal("Not in use"))
		Expect(o.memory(a, "alice")).To(HaveKey("support"))
		call, _ := calling(d, "1001", a)

		By("stopping the second server's process in its tracks")
		pid := s.servers[1].PID()
		Expect(syscall.Kill(pid, syscall.SIGSTOP)).To(Succeed())
		DeferCleanup(func() { _ = syscall.Kill(pid, syscall.SIGCONT) })
		began := time.Now()
		carol := person("carol", "1003")
		s.create(carol)
		s.edit(support, func() { support.Spec.Agents = append(support.Spec.Agents, v1alpha1.QueueEntry{Name: "carol"}) })
		s.ready("carol")
		Expect(time.Since(began)).To(BeNumerically("<", 3*time.Second), "it is not waited for")
		s.deactivate(bob)
		Eventually(registering(b), 3*time.Second).Should(Equal(403))
		Eventually(s.phase("bob"), 5*time.Second).Should(Equal(v1alpha1.PhaseDeactivated), "the other server is enough")

		By("a person who is in a call at the server that hangs")
		s.deactivate(alice)
		Eventually(s.registrations(1, "alice"), 3*time.Second).Should(BeEmpty(), "access is lost at once")
		Eventually(s.managers, 25*time.Second).Should(Equal([]string{"pbx-1 Connected", "pbx-2 Unreachable"}))
		Expect(s.center().Status.Managers[1].Message).To(ContainSubstring("no answer in time"))
		Eventually(s.phase("alice"), 3*time.Second).Should(Equal(v1alpha1.PhaseDeactivated))
		Expect(s.offline("alice")()).To(Equal("Unknown/ServersUnreachable"))

		By("having it go on")
		Expect(syscall.Kill(pid, syscall.SIGCONT)).To(Succeed())
		Eventually(s.summary).Should(Equal("2/2"))
		Eventually(s.offline("alice")).Should(Equal("False/Draining"), "the call is still there")
		Expect(s.offlineAt("alice")()).To(BeNil())
		Expect(s.phase("alice")()).To(Equal(v1alpha1.PhaseDeactivating))
		Expect(registering(a)()).To(Equal(403))
		Expect(call.HangUp(ctx())).To(Succeed())
		Eventually(s.phase("alice")).Should(Equal(v1alpha1.PhaseDeactivated))
		Expect(s.offline("alice")()).To(BeEmpty())
		p := s.phoneAt(1, "carol", s.password("carol"))
		s.register(p)
		o = s.observe(1)
		Eventually(func() string { return s.device(1, "carol") }).Should(Equal("Not in use"))
		Expect(o.memory(p, "carol")).To(HaveKey("support"))
	})

	It("show a person as offline when the call has ended on all of them, and not before", Label("G1", "B5"), func() {
		s := newSite(several, 2, nil)
		alice := person("alice", "1001")
		s.create(alice, person("bob", "1002"))
		s.ready("alice", "bob")
		first, second := s.phoneAt(0, "alice", s.password("alice")), s.phoneAt(1, "alice", s.password("alice"))
		s.register(first)
		s.register(second)
		b := s.phoneAt(1, "bob", s.password("bob"))
		s.register(b)
		out, _ := calling(b, "1001", second)

		s.deactivate(alice)
		for i := range s.servers {
			Eventually(func() string { return s.device(i, "alice") }, 2500*time.Millisecond).ShouldNot(Equal("Not in use"))
		}
		Eventually(s.offline("alice")).Should(Equal("False/Draining"))
		Consistently(s.offlineAt("alice"), 3*time.Second).Should(BeNil())
		Expect(message(s.agent("alice").Status.Conditions, v1alpha1.ConditionOffline)).To(ContainSubstring("pbx-2"))
		Expect(s.channels(1, "alice")).To(HaveLen(1))
		Expect(out.HangUp(ctx())).To(Succeed())
		ended := time.Now()
		Eventually(s.offlineAt("alice"), 1500*time.Millisecond).ShouldNot(BeNil())
		Expect(s.offlineAt("alice")().Time).To(BeTemporally(">=", ended.Truncate(time.Second)))
		Expect(s.offlineAt("alice")().Time).To(BeTemporally("<=", ended.Add(time.Second)))
	})
})

var _ = Describe("The calls of a deactivated person", Label("G1"), func() {
	onEach(func(kind kindOfPBX) {
		It("are ended at once where the centre says so", func() {
			s := newSite(kind, 1, func(c *v1alpha1.ContactCenter) { c.Spec.CallsOnDeactivation = v1alpha1.CallsHangup })
			alice := person("alice", "1001")
			s.create(alice, person("bob", "1002"), line("support", "600", "alice"))
			s.ready("alice", "bob")
			a, b := s.registered("alice"), s.registered("bob")
			_, in := calling(b, "600", a)
			s.deactivate(alice)
			Eventually(in.Ended(), time.Second).Should(BeClosed())
			Expect(in.EndedBy()).To(Equal(phone.There))
			Eventually(s.phase("alice"), 5*time.Second).Should(Equal(v1alpha1.PhaseDeactivated))
			Expect(registering(a)()).To(Equal(403))
		})

		It("are ended when the time to drain is over, and not before", func() {
			s := newSite(kind, 1, func(c *v1alpha1.ContactCenter) { c.Spec.DrainSeconds = ptr.To[int32](3) })
			alice := person("alice", "1001")
			s.create(alice, person("bob", "1002"))
			s.ready("alice", "bob")
			a, b := s.registered("alice"), s.registered("bob")
			_, in := calling(b, "1001", a)
			s.deactivate(alice)
			Eventually(in.Ended(), 6*time.Second).Should(BeClosed())
			ended := time.Now()
			Expect(in.EndedBy()).To(Equal(phone.There))
			deadline := s.agent("alice").Status.Deactivation.RequestedAt.Add(3 * time.Second)
			Expect(ended).To(BeTemporally(">=", deadline))
			Expect(ended).To(BeTemporally("<", deadline.Add(time.Second)))
			Eventually(s.phase("alice"), 5*time.Second).Should(Equal(v1alpha1.PhaseDeactivated))
			Expect(s.offlineAt("alice")().Time).To(BeTemporally(">=", deadline))
		})
	})

	It("that only ring stop ringing, and the caller goes to the next", func() {
		s := newSite(several, 1, nil)
		alice := person("alice", "1001")
		support := line("support", "600", "alice", "carol")
		support.Spec.Competency = v1alpha1.CompetencyEnabled
		support.Spec.Agents[0].Stars = 4
		s.create(alice, person("bob", "1002"), person("carol", "1003"), support)
		s.ready("alice", "bob", "carol")
		a, b, c := s.registered("alice"), s.registered("bob"), s.registered("carol")
		a.Handle(phone.Ring())
		Eventually(func() string { return s.device(0, "alice") }).Should(Equal("Not in use"))
		Eventually(func() string { return s.device(0, "carol") }).Should(Equal("Not in use"))
		out, err := b.Call(ctx(), "600")
		Expect(err).NotTo(HaveOccurred())
		in, err := a.Next(within(10 * time.Second))
		Expect(err).NotTo(HaveOccurred())
		happens(in.Ringing())
		s.deactivate(alice)
		Eventually(in.Ended(), 2*time.Second).Should(BeClosed())
		next, err := c.Next(within(15 * time.Second))
		Expect(err).NotTo(HaveOccurred())
		happens(next.Answered())
		Expect(out.EndedBy()).To(Equal(phone.Nobody), "the caller is still there")
		Eventually(s.phase("alice"), 5*time.Second).Should(Equal(v1alpha1.PhaseDeactivated))
		Expect(a.Incoming()).To(HaveLen(1))
	})

	It("keep a deleted person's object until they end, and nothing stays then", func() {
		s := newSite(several, 1, nil)
		alice := person("alice", "1001")
		s.create(alice, person("bob", "1002"), line("support", "600", "alice"))
		s.ready("alice", "bob")
		a, b := s.registered("alice"), s.registered("bob")
		out, in := calling(b, "600", a)
		Expect(k8s.Delete(ctx(), alice)).To(Succeed())
		Eventually(registering(a), 5*time.Second).Should(Equal(403))
		Consistently(s.offlineAt("alice"), 2*time.Second).Should(BeNil())
		Expect(s.agent("alice").DeletionTimestamp).NotTo(BeNil())
		Expect(in.EndedBy()).To(Equal(phone.Nobody), "the call goes on")
		Expect(s.members("support")()).To(BeEmpty())
		Expect(out.HangUp(ctx())).To(Succeed())
		Eventually(func() string { return s.agent("alice").Name }, 3*time.Second).Should(BeEmpty())
		for _, table := range []string{"ps_endpoints", "ps_auths", "ps_aors"} {
			Expect(s.rows("SELECT id FROM " + table + " WHERE id = 'alice'")).To(BeEmpty())
		}
		Expect(s.rows("SELECT name FROM roster_agents WHERE name = 'alice'")).To(HaveLen(1), "reports still know her (G2)")
		Expect(registering(a)()).NotTo(Equal(200))
	})
})

var _ = Describe("Thirty people at once", Label("G8"), func() {
	onTwoKinds(func(kind kindOfPBX) {
		It("are signed out, and come back with their old passwords and without what they were in", Label("G1", "G3", "G4", "G5", "G7"), func() {
			s := newSite(kind, 1, nil)
			agents := make([]*v1alpha1.Agent, 30)
			names := make([]string, len(agents))
			phones := make([]*phone.Phone, len(agents))
			billing := &v1alpha1.Team{ObjectMeta: metav1.ObjectMeta{Name: "billing"}}
			for i := range agents {
				names[i] = fmt.Sprintf("agent-%02d", i)
				agents[i] = person(names[i], fmt.Sprint(1001+i))
				billing.Spec.Members = append(billing.Spec.Members, v1alpha1.Member{Name: v1alpha1.AgentName(names[i])})
				s.create(agents[i])
			}
			support, sales := line("support", "600", names...), line("sales", "601")
			sales.Spec.Teams = []v1alpha1.QueueEntry{{Name: "billing"}}
			s.create(billing, support, sales)
			s.ready(names...)
			Eventually(s.members("sales")).Should(HaveLen(len(agents)))
			for i := range phones {
				phones[i] = s.registered(names[i])
			}
			alive := func() []string { return s.rows("SELECT endpoint FROM ps_contacts WHERE expiration_time > 1") }
			Expect(alive()).To(HaveLen(len(agents)))
			all := func(change func(a *v1alpha1.Agent)) {
				for _, a := range agents {
					s.edit(a, func() { change(a) })
				}
			}
			registerAll := func(want int) {
				GinkgoHelper()
				for i, p := range phones {
					Expect(registering(p)()).To(Equal(want), names[i])
				}
			}

			By("deactivating them")
			all(func(a *v1alpha1.Agent) { a.Spec.State = v1alpha1.StateDeactivated })
			Eventually(alive, 2500*time.Millisecond).Should(BeEmpty())
			for _, name := range names {
				Eventually(s.phase(name)).Should(Equal(v1alpha1.PhaseDeactivated), name)
				Expect(s.offlineAt(name)()).NotTo(BeNil(), name)
			}
			registerAll(403)
			Expect(s.members("support")()).To(BeEmpty())
			Expect(s.members("sales")()).To(BeEmpty())

			By("reactivating them")
			all(func(a *v1alpha1.Agent) { a.Spec.State = v1alpha1.StateActive })
			s.ready(names...)
			registerAll(200)
			withoutEffect := func() {
				GinkgoHelper()
				for _, name := range names {
					Eventually(func() (list []string) {
						for _, r := range s.agent(name).Status.Revoked {
							list = append(list, string(r.Kind)+" "+string(r.Name))
						}
						return list
					}).Should(ConsistOf("Queue support", "Team billing"), name)
				}
				Expect(s.members("support")()).To(BeEmpty())
				Expect(s.members("sales")()).To(BeEmpty())
			}
			withoutEffect()

			By("losing every status while the manager is away")
			s.stopManager()
			for _, name := range names {
				a := s.agent(name)
				a.Status = v1alpha1.AgentStatus{}
				Expect(k8s.Status().Update(ctx(), a)).To(Succeed())
			}
			s.startManager()
			s.ready(names...)
			withoutEffect()
			Expect(alive()).To(HaveLen(len(agents)), "nobody was signed out by that")

			By("putting one back")
			s.edit(agents[0], func() { agents[0].Spec.OnReactivation = v1alpha1.OnReactivationRestore })
			Eventually(s.members("support")).Should(Equal([]string{"PJSIP/agent-00|0|0"}))
			Eventually(s.members("sales")).Should(Equal([]string{"PJSIP/agent-00|0|0"}))
			calling(phones[1], "600", phones[0])
		})
	})
})

// onTwoKinds has specs run where versions and databases differ most.
func onTwoKinds(specs func(kind kindOfPBX)) {
	for _, kind := range []kindOfPBX{newest, {"16", v1alpha1.DatabasePostgreSQL}} {
		Context("with "+kind.String(), func() { specs(kind) })
	}
}

// everySecond has a centre compared with what was applied once a second.
func everySecond(c *v1alpha1.ContactCenter) { c.Spec.DriftIntervalSeconds = ptr.To[int32](1) }

var _ = Describe("What somebody changes by hand", Label("B4"), func() {
	onEach(func(kind kindOfPBX) {
		It("is found, told and repaired, and phones and queues are as declared again", func() {
			s := newSite(kind, 1, everySecond)
			support, open := line("support", "600", "alice"), line("open", "601", "alice")
			open.Spec.Membership = v1alpha1.MembershipAdditive
			s.create(person("alice", "1001"), person("bob", "1002"), support, open)
			s.ready("alice", "bob")
			Eventually(s.members("support")).Should(Equal([]string{"PJSIP/alice|0|0"}))
			a, b := s.registered("alice"), s.registered("bob")
			Eventually(func() string { return s.device(0, "alice") }).Should(Equal("Not in use"))
			repairs := 0
			// repair changes a row by hand, which is to read again as it did before.
			repair := func(change, look, kind, name, told string) {
				GinkgoHelper()
				right := s.rows(look)
				Expect(right).NotTo(BeEmpty())
				s.exec(change)
				repairs++
				Eventually(func() []string { return s.rows(look) }, 3*time.Second).Should(Equal(right), change)
				Eventually(s.told(kind, name), 5*time.Second).Should(ContainElement(And(HavePrefix("Drift: "), ContainSubstring(told))), change)
			}

			By("a person's phone")
			repair("UPDATE ps_endpoints SET context = 'elsewhere' WHERE id = 'alice'",
				"SELECT context FROM ps_endpoints WHERE id = 'alice'", "Agent", "alice", "ps_endpoints.context")
			out, err := a.Call(ctx(), "1002")
			Expect(err).NotTo(HaveOccurred())
			Expect(out.Status()).To(Equal(200))
			Expect(out.HangUp(ctx())).To(Succeed())
			repair("UPDATE ps_aors SET max_contacts = 0 WHERE id = 'alice'",
				"SELECT max_contacts FROM ps_aors WHERE id = 'alice'", "Agent", "alice", "ps_aors.max_contacts")
			Expect(registering(a)()).To(Equal(200))
			repair("UPDATE ps_auths SET password = 'guessed' WHERE id = 'bob'",
				"SELECT password FROM ps_auths WHERE id = 'bob'", "Agent", "bob", "ps_auths.password")
			Expect(registering(b)()).To(Equal(200))

			By("an extension, which is to ring the one who has it")
			repair(fmt.Sprintf("UPDATE roster_extensions SET interface = 'PJSIP/bob' WHERE key = '%s/1001'", s.ns),
				fmt.Sprintf("SELECT interface FROM roster_extensions WHERE key = '%s/1001'", s.ns), "Agent", "alice", "roster_extensions")
			out, in := calling(b, "1001", a)
			Expect(out.HangUp(ctx())).To(Succeed())
			happens(in.Ended())

			By("members")
			look := "SELECT interface, penalty FROM queue_members WHERE queue_name = 'support' ORDER BY interface"
			repair("UPDATE queue_members SET penalty = 9 WHERE queue_name = 'support'", look, "Agent", "alice", "queue_members.penalty")
			repair("DELETE FROM queue_members WHERE queue_name = 'support'", look, "Agent", "alice", "queue_members")
			repair("INSERT INTO queue_members (queue_name, interface, membername, uniqueid) VALUES ('support', 'PJSIP/bob', 'bob', 4711)",
				look, "Queue", "support", "members")
			Eventually(func() string { return s.cli(0, "queue show support") }).ShouldNot(ContainSubstring("PJSIP/bob"))

			By("a queue")
			repair("UPDATE queues SET strategy = 'ringall' WHERE name = 'support'",
				"SELECT strategy FROM queues WHERE name = 'support'", "Queue", "support", "queue")
			Expect(s.cli(0, "queue show support")).To(ContainSubstring("'leastrecent' strategy"))
			Eventually(func() string { return s.device(0, "alice") }).Should(Equal("Not in use"))
			out, in = calling(b, "600", a)
			Expect(out.HangUp(ctx())).To(Succeed())
			happens(in.Ended())

			By("counting all")
			Eventually(func() int64 {
				if d := s.center().Status.Drift; d != nil {
					return d.Repaired
				}
				return 0
			}).Should(BeNumerically(">=", repairs))
		})

		It("in a server's memory is taken out where Roster alone decides, and left where not", func() {
			s := newSite(kind, 1, everySecond)
			support, open := line("support", "600", "alice"), line("open", "601", "alice")
			open.Spec.Membership = v1alpha1.MembershipAdditive
			s.create(person("alice", "1001"), person("bob", "1002"), support, open)
			s.ready("alice", "bob")
			Eventually(s.members("open")).Should(Equal([]string{"PJSIP/alice|0|0"}))
			show := func(queue string) func() string {
				return func() string { return s.cli(0, "queue show "+queue) }
			}
			Eventually(show("support")).Should(ContainSubstring("PJSIP/alice"))
			Eventually(show("open")).Should(ContainSubstring("PJSIP/alice"))

			By("a row that somebody adds to an Additive queue")
			s.exec("INSERT INTO queue_members (queue_name, interface, membername, uniqueid, penalty, paused) VALUES ('open', 'PJSIP/carol', 'carol', 4712, 0, 0)")

			By("a pause of their own")
			s.cli(0, "queue pause member PJSIP/alice queue support reason Lunch")
			Eventually(s.members("support")).Should(Equal([]string{"PJSIP/alice|0|1"}))
			Consistently(s.members("support"), 2500*time.Millisecond).Should(Equal([]string{"PJSIP/alice|0|1"}))
			Expect(s.members("open")()).To(Equal([]string{"PJSIP/alice|0|0", "PJSIP/carol|0|0"}))
			Expect(show("support")()).To(ContainSubstring("paused"))
			Expect(s.center().Status.Drift).To(BeNil())

			By("members that somebody adds at the console")
			s.cli(0, "queue add member PJSIP/bob to open")
			Expect(show("open")()).To(ContainSubstring("PJSIP/bob"))
			s.cli(0, "queue add member PJSIP/bob to support")
			Eventually(show("support"), 3*time.Second).ShouldNot(ContainSubstring("PJSIP/bob"))
			Eventually(s.told("Queue", "support")).Should(ContainElement(And(
				HavePrefix("Drift: "), ContainSubstring("PJSIP/bob"), ContainSubstring("pbx-1"))))
			Consistently(show("open"), 2500*time.Millisecond).Should(ContainSubstring("PJSIP/bob"))
			Expect(s.told("Queue", "open")()).NotTo(ContainElement(HavePrefix("Drift")))
			Eventually(func() *v1alpha1.DriftStatus { return s.center().Status.Drift }).ShouldNot(BeNil())
			Expect(s.told("Agent", "alice")()).NotTo(ContainElement(HavePrefix("Drift")))
			Expect(s.members("open")()).To(Equal([]string{"PJSIP/alice|0|0", "PJSIP/carol|0|0"}))
		})
	})
})

// state is everything that Roster has put into the database for phones and queues, registrations included.
func (s *site) state() (state []string) {
	for _, query := range []string{
		"SELECT 'queue', name, strategy FROM queues ORDER BY name",
		"SELECT 'member', queue_name, interface, penalty, paused FROM queue_members ORDER BY queue_name, interface",
		"SELECT 'endpoint', id, context, auth, aors FROM ps_endpoints ORDER BY id",
		"SELECT 'auth', id, password FROM ps_auths ORDER BY id",
		"SELECT 'aor', id, max_contacts FROM ps_aors ORDER BY id",
		"SELECT 'contact', endpoint FROM ps_contacts WHERE expiration_time > 1 ORDER BY endpoint",
		"SELECT 'extension', key, interface, queue FROM roster_extensions ORDER BY key",
		"SELECT 'membership', queue, agent, channel FROM roster_memberships ORDER BY queue, agent, channel",
	} {
		state = append(state, s.rows(query)...)
	}
	return state
}

func (s *site) connected() string {
	return conditionOf(s.center().Status.Conditions, v1alpha1.ConditionConnected)
}

var _ = Describe("A database that is away", Label("B4"), func() {
	var (
		cluster *postgrestest.Cluster
		s       *site
		zoe     *v1alpha1.Agent
		a, b, z *phone.Phone
		waiting *phone.Call
		before  []string
	)
	// begin has people registered, one of them deactivated, and a caller waiting for one who is busy.
	begin := func(kind kindOfPBX) {
		GinkgoHelper()
		cluster = postgrestest.Own(GinkgoTB())
		s = newSiteOn(cluster, kind, 1, everySecond)
		zoe = person("zoe", "1003")
		support := line("support", "600", "alice")
		support.Spec.TimeoutSeconds = 5
		s.create(person("alice", "1001"), person("bob", "1002"), zoe, support)
		s.ready("alice", "bob", "zoe")
		a, b, z = s.registered("alice"), s.registered("bob"), s.registered("zoe")
		s.deactivate(zoe)
		Eventually(s.phase("zoe")).Should(Equal(v1alpha1.PhaseDeactivated))
		Eventually(func() string { return s.device(0, "alice") }).Should(Equal("Not in use"))
		a.Handle(phone.Busy())
		var err error
		waiting, err = b.Call(ctx(), "600")
		Expect(err).NotTo(HaveOccurred())
		Eventually(a.Incoming).ShouldNot(BeEmpty())
		before = s.state()
	}
	// same is that nothing was taken for gone, and that who waited is served.
	same := func(more ...string) {
		GinkgoHelper()
		Eventually(s.state).Should(ConsistOf(append(slices.Clone(before), more...)))
		Expect(s.told("Agent", "alice")()).NotTo(ContainElement(HavePrefix("Drift")))
		Expect(s.told("Queue", "support")()).NotTo(ContainElement(HavePrefix("Drift")))
		Expect(s.center().Status.Drift).To(BeNil())
		Expect(waiting.EndedBy()).To(Equal(phone.Nobody))
		a.Handle(phone.Answer(0))
		Eventually(func() int { return len(s.channels(0, "alice")) }, 30*time.Second).Should(Equal(1))
		Expect(waiting.HangUp(ctx())).To(Succeed())
		Expect(registering(a)()).To(Equal(200))
		Expect(registering(z)()).To(Equal(403))
	}
	onPostgreSQL(func(kind kindOfPBX) {
		It("is not taken for an empty one when it is stopped", func() {
			begin(kind)
			cluster.Stop(GinkgoTB())
			Eventually(s.connected).Should(Equal("False/TelephonyUnreachable"))
			By("a person who is declared meanwhile")
			s.create(person("dave", "1004"))
			Eventually(func() string { return conditionOf(s.agent("dave").Status.Conditions, v1alpha1.ConditionReady) }).
				Should(Equal("False/TelephonyUnreachable"))
			Consistently(waiting.Ended(), 8*time.Second).ShouldNot(BeClosed())
			Expect(conditionOf(s.agent("alice").Status.Conditions, v1alpha1.ConditionReady)).To(Equal("True/Committed"))
			cluster.Restart(GinkgoTB())
			Eventually(s.connected).Should(Equal("True/Connected"))
			s.ready("dave")
			same(slices.DeleteFunc(s.state(), func(row string) bool { return !strings.Contains(row, "dave") && !strings.Contains(row, "1004") })...)
			Expect(registering(s.phone("dave"))()).To(Equal(200))
		})

		It("is not taken for an empty one when it hangs", func() {
			begin(kind)
			thaw := cluster.Freeze(GinkgoTB())
			DeferCleanup(thaw)
			Eventually(s.connected, 30*time.Second).Should(Equal("False/TelephonyUnreachable"))
			Consistently(waiting.Ended(), 3*time.Second).ShouldNot(BeClosed())
			thaw()
			Eventually(s.connected, 30*time.Second).Should(Equal("True/Connected"))
			same()
		})

		It("is filled again when it comes back empty", Label("G1", "G5"), func() {
			begin(kind)
			s.exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
			// Registrations are the phones' own, and who is out needs no phone.
			full := slices.DeleteFunc(slices.Clone(before), func(row string) bool {
				return strings.HasPrefix(row, "contact|") || strings.Contains(row, "zoe")
			})
			Eventually(s.state, 20*time.Second).Should(Equal(full))
			Eventually(registering(a), 5*time.Second).Should(Equal(200))
			Eventually(registering(b), 5*time.Second).Should(Equal(200))
			Expect(registering(z)()).To(BeElementOf(401, 403))
			Expect(s.phase("zoe")()).To(Equal(v1alpha1.PhaseDeactivated))
			s.edit(zoe, func() { zoe.Spec.State = v1alpha1.StateActive })
			s.ready("zoe")
			Eventually(registering(z), 5*time.Second).Should(Equal(200))
			Eventually(s.connected).Should(Equal("True/Connected"))
			Expect(waiting.HangUp(ctx())).To(Succeed())
			a.Handle(phone.Answer(0))
			Eventually(func() string { return s.device(0, "alice") }).Should(Equal("Not in use"))
			Eventually(func() int {
				call, err := b.Call(ctx(), "600")
				Expect(err).NotTo(HaveOccurred())
				defer func() { _ = call.HangUp(ctx()) }()
				return call.Status()
			}).Should(Equal(200))
			Eventually(a.Incoming, 10*time.Second).ShouldNot(BeEmpty())
		})
	})

	It("as a file that somebody deleted is made again, and told of", func() {
		s := newSite(newest, 1, everySecond)
		bob := person("bob", "1002")
		s.create(person("alice", "1001"), bob, line("support", "600", "alice"))
		s.ready("alice", "bob")
		a, b := s.registered("alice"), s.registered("bob")
		Eventually(func() string { return s.device(0, "bob") }).Should(Equal("Not in use"))
		full := slices.DeleteFunc(s.state(), func(row string) bool { return strings.HasPrefix(row, "contact|") })
		Expect(os.Remove(s.sqlite())).To(Succeed())
		Eventually(s.told("ContactCenter", "default")).Should(ContainElement(ContainSubstring("the file was removed or replaced")))
		Eventually(func() []string {
			if _, err := os.Stat(s.sqlite()); err != nil { // looking at it would make it
				return nil
			}
			return s.state()
		}).Should(Equal(full))
		Eventually(s.connected).Should(Equal("True/Connected"))
		By("not taking a person for offline whom Asterisk, which has the old file open, still lets call")
		s.deactivate(bob)
		Eventually(s.offline("bob")).Should(Equal("False/Draining"))
		Consistently(s.offlineAt("bob"), 3*time.Second).Should(BeNil())
		Expect(message(s.agent("bob").Status.Conditions, v1alpha1.ConditionOffline)).To(Equal("the phone is still registered"))
		By("restarting Asterisk")
		Expect(s.servers[0].Restart(ctx())).To(Succeed())
		Eventually(s.phase("bob")).Should(Equal(v1alpha1.PhaseDeactivated))
		Expect(registering(b)()).To(Equal(403))
		Eventually(registering(a), 5*time.Second).Should(Equal(200))
		Expect(s.rows("SELECT endpoint FROM ps_contacts")).To(Equal([]string{"alice"}))
	})
})

// authority is a certificate authority of nobody's.
func authority() []byte {
	GinkgoHelper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Somebody else"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	Expect(err).NotTo(HaveOccurred())
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

var _ = Describe("The connection to a server", Label("B10"), func() {
	var s *site
	status := func() string {
		if m := s.center().Status.Managers; len(m) == 1 {
			return string(m[0].State) + ": " + m[0].Message
		}
		return ""
	}
	declare := func(change func(m *v1alpha1.Manager)) {
		GinkgoHelper()
		c := &v1alpha1.ContactCenter{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
		s.edit(c, func() { change(&c.Spec.Telephony.AsteriskRealtime.Managers[0]) })
	}
	// silent is that the secret is nowhere to be read.
	silent := func(secrets ...string) {
		GinkgoHelper()
		log, err := os.ReadFile(s.log.Name())
		Expect(err).NotTo(HaveOccurred())
		texts := append(s.told("ContactCenter", "default")(), string(log), fmt.Sprint(s.center().Status))
		for _, secret := range secrets {
			Expect(texts).NotTo(ContainElement(ContainSubstring(secret)))
		}
	}

	for _, version := range []string{"22", "16"} {
		kind := kindOfPBX{version, v1alpha1.DatabaseSQLite}
		It("is made over TLS as declared, and else says why not, with "+kind.String(), func() {
			s = newSite(kind, 1, nil)
			pbx := s.servers[0]
			authorities := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pbx-ca"}, Data: map[string][]byte{"ca.crt": authority()}}
			s.create(authorities)

			By("an authority that did not sign the server's certificate")
			declare(func(m *v1alpha1.Manager) {
				m.Address = pbx.AMITLSAddress
				m.TLS = &v1alpha1.ManagerTLS{Mode: v1alpha1.TLSVerify, CASecretRef: &v1alpha1.SecretKeyReference{Name: "pbx-ca", Key: "ca.crt"}}
			})
			Eventually(status).Should(Equal("Refused: server pbx-1 refused: its certificate is signed by nobody who is trusted"))
			Eventually(s.told("ContactCenter", "default")).Should(ContainElement(ContainSubstring("signed by nobody who is trusted")))

			By("the one that did")
			s.edit(authorities, func() { authorities.Data["ca.crt"] = pbx.CACert })
			Eventually(status, 3*time.Second).Should(Equal("Connected: "))

			By("a name that is not the server's, and one that is")
			declare(func(m *v1alpha1.Manager) { m.TLS.ServerName = "pbx-9" })
			Eventually(status).Should(Equal("Refused: server pbx-1 refused: its certificate is for another name"))
			declare(func(m *v1alpha1.Manager) { m.TLS.ServerName = "pbx-1" })
			Eventually(status, 3*time.Second).Should(Equal("Connected: "))

			By("the port that does not speak TLS")
			declare(func(m *v1alpha1.Manager) { m.Address = pbx.AMIAddress })
			Eventually(status).Should(Equal("Refused: server pbx-1 refused: it does not speak TLS"))

			By("no authority at all")
			declare(func(m *v1alpha1.Manager) {
				m.Address, m.TLS = pbx.AMITLSAddress, &v1alpha1.ManagerTLS{Mode: v1alpha1.TLSVerify}
			})
			Eventually(status).Should(Equal("Refused: server pbx-1 refused: its certificate is signed by nobody who is trusted"))
			declare(func(m *v1alpha1.Manager) { m.TLS.Mode = v1alpha1.TLSSkipVerify })
			Eventually(status, 3*time.Second).Should(Equal("Connected: "))

			By("people being served over it")
			s.create(person("alice", "1001"), line("support", "600", "alice"))
			s.ready("alice")
			silent(pbx.Password)
		})
	}

	It("is refused with a wrong password, and made by itself with the right one", func() {
		s = newSite(newest, 1, nil)
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pbx-1-ami"}}
		right := s.servers[0].Password
		s.edit(secret, func() { secret.Data["password"] = []byte("Xq7-not-the-password") })
		// Asterisk itself waits for a second before it says so.
		Eventually(status, 2*time.Second).Should(HavePrefix("Refused: server pbx-1 refused: the username or the password is wrong"))
		Expect(conditionOf(s.center().Status.Conditions, v1alpha1.ConditionServersConnected)).To(HavePrefix("False/"))
		s.create(person("alice", "1001"))
		s.ready("alice")
		s.edit(secret, func() { secret.Data["password"] = []byte(right) })
		Eventually(status, time.Second).Should(Equal("Connected: "))
		silent(right, "Xq7-not-the-password")
	})
})
