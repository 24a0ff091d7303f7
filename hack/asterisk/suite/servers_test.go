//go:build pbx

package suite

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony/asterisk/ami"
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
		s.create(alice, bob, support)
		s.ready("alice", "bob")
		a, b := s.phoneAt(1, "alice", s.password("alice")), s.phoneAt(0, "bob", s.password("bob"))
		s.register(a)
		s.register(b)
		o := s.observe(1)
		Eventually(func() string { return s.device(1, "alice") }).Should(Equal("Not in use"))
		Expect(o.memory(a, "alice")).To(HaveKey("support"))

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

		By("a person whose phone is at the server that hangs")
		s.deactivate(alice)
		Eventually(s.registrations(1, "alice"), 3*time.Second).Should(BeEmpty(), "access is lost at once")
		Eventually(s.managers, 25*time.Second).Should(Equal([]string{"pbx-1 Connected", "pbx-2 Unreachable"}))
		Expect(s.center().Status.Managers[1].Message).To(ContainSubstring("no answer in time"))
		Eventually(s.phase("alice"), 3*time.Second).Should(Equal(v1alpha1.PhaseDeactivated))
		Expect(s.offline("alice")()).To(Equal("Unknown/ServersUnreachable"))

		By("having it go on")
		Expect(syscall.Kill(pid, syscall.SIGCONT)).To(Succeed())
		Eventually(s.summary).Should(Equal("2/2"))
		Eventually(s.offline("alice")).Should(BeEmpty())
		Expect(s.phase("alice")()).To(Equal(v1alpha1.PhaseDeactivated))
		Eventually(registering(a), 5*time.Second).Should(Equal(403))
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

	It("that listen to others are ended at once", Label("C5"), func() {
		s := newSite(several, 1, nil)
		carla := person("carla", "1003")
		carla.Spec.Role = v1alpha1.RoleCallCenterManager
		s.create(person("alice", "1001"), person("bob", "1002"), carla)
		s.ready("alice", "bob", "carla")
		a, b, c := s.registered("alice"), s.registered("bob"), s.registered("carla")
		_, in := calling(b, "1001", a)
		spy, err := c.Call(ctx(), "*551001")
		Expect(err).NotTo(HaveOccurred())
		Expect(spy.Status()).To(Equal(200))
		Eventually(func() string { return s.cli(0, "core show channels concise") }).Should(ContainSubstring("!ChanSpy!"))
		s.deactivate(carla)
		Eventually(spy.Ended(), 8*time.Second).Should(BeClosed(),"%s", s.cli(0,"core show channel PJSIP/carla-00000002"))
		Expect(in.EndedBy()).To(Equal(phone.Nobody), "the call that was listened to goes on")
		Eventually(s.phase("carla"), 5*time.Second).Should(Equal(v1alpha1.PhaseDeactivated))
	})
})
