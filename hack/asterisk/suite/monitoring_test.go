//go:build pbx

package suite

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony/asterisk/ami"
	"roster.dev/roster/internal/telephony/postgrestest"
)

// oldestAndNewest are the two ends of the matrix.
var oldestAndNewest = []kindOfPBX{newest, {"16", v1alpha1.DatabasePostgreSQL}}

// spying is a session that listens, by the names of channels, as the server tells of it.
type spying struct {
	listener, target string
	over             bool
}

// spies are all sessions that listened on a server since it is being watched.
type spies struct {
	mu  sync.Mutex
	all []spying
}

// spies watches the sessions of the first server.
func (s *site) spies() *spies {
	GinkgoHelper()
	w := &spies{}
	server := s.servers[0]
	conn, err := ami.Dial(ctx(), ami.Config{
		Address: server.AMIAddress, Username: server.Username, Secret: server.Password, Events: "call", OnEvent: w.event,
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { _ = conn.Close() })
	return w
}

func (w *spies) event(m *ami.Message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case m.Is("Event", "ChanSpyStart"):
		w.all = append(w.all, spying{listener: m.Get("SpyerChannel"), target: m.Get("SpyeeChannel")})
	case m.Is("Event", "ChanSpyStop"):
		for i := range w.all {
			w.all[i].over = w.all[i].over || w.all[i].listener == m.Get("SpyerChannel")
		}
	}
}

// of are a person's sessions, those that are over included, in the order in which they began.
func (w *spies) of(listener string) (list []spying) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.all {
		if owner := x.listener[:max(strings.LastIndex(x.listener, "-"), 0)]; owner == "PJSIP/"+listener {
			list = append(list, x)
		}
	}
	return list
}

// open are how many sessions go on.
func (w *spies) open() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.all {
		if !x.over {
			n++
		}
	}
	return n
}

// channel is the only channel of a person's phone.
func (s *site) channel(agent string) string {
	GinkgoHelper()
	var list []string
	Eventually(func() []string { list = s.channels(0, agent); return list }).Should(HaveLen(1), agent)
	return list[0]
}

// listen has a person listen to an extension, which is to be joined to exactly that channel.
func (w *spies) listen(p *phone.Phone, listener, extension, channel string) *phone.Call {
	GinkgoHelper()
	before := len(w.of(listener))
	call, err := p.Call(within(10*time.Second), "*55"+extension)
	Expect(err).NotTo(HaveOccurred())
	Expect(call.Status()).To(Equal(200), "%s listens to %s", listener, extension)
	Eventually(func() int { return len(w.of(listener)) }).Should(Equal(before + 1))
	Expect(w.of(listener)[before].target).To(Equal(channel))
	return call
}

// dialling is the final answer to a call, which is hung up where it was taken.
func dialling(p *phone.Phone, number string) func() int {
	return func() int {
		call, err := p.Call(within(10*time.Second), number)
		if err != nil {
			return -1
		}
		if call.Status() == 200 && call.HangUp(within(5*time.Second)) != nil {
			return -1
		}
		return call.Status()
	}
}

// talk has somebody call somebody who answers and speaks, and returns when both are in the call.
func talk(from, to *phone.Phone, extension string) *phone.Call {
	GinkgoHelper()
	call, err := from.Call(within(10*time.Second), extension)
	Expect(err).NotTo(HaveOccurred())
	Expect(call.Status()).To(Equal(200), extension)
	in, err := to.Next(within(5 * time.Second))
	Expect(err).NotTo(HaveOccurred())
	happens(in.Answered())
	speak(to, in)
	return call
}

// ofRole is a person with an extension and a role.
func ofRole(name, extension string, role v1alpha1.AgentRole) *v1alpha1.Agent {
	a := person(name, extension)
	a.Spec.Role = role
	return a
}

// team is a Team of people.
func team(name string, members ...string) *v1alpha1.Team {
	t := &v1alpha1.Team{ObjectMeta: metav1.ObjectMeta{Name: name}}
	t.Spec.Members = membersOf(members...)
	return t
}

func membersOf(names ...string) (list []v1alpha1.Member) {
	for _, name := range names {
		list = append(list, v1alpha1.Member{Name: v1alpha1.AgentName(name)})
	}
	return list
}

// eventsOn are the notes of the events with a reason about a person.
func (s *site) eventsOn(agent, reason string) func() []string {
	return func() (notes []string) {
		list := &eventsv1.EventList{}
		if err := k8s.List(ctx(), list, client.InNamespace(s.ns)); err != nil {
			return []string{"error: " + err.Error()}
		}
		for _, e := range list.Items {
			if e.Regarding.Kind == "Agent" && e.Regarding.Name == agent && e.Reason == reason {
				notes = append(notes, e.Note)
			}
		}
		return notes
	}
}

// listeningEnds waits for a session to be ended by the server as soon as a right is, and for the event that says so.
func (s *site) listeningEnds(call *phone.Call, listener, target string) {
	GinkgoHelper()
	Eventually(call.Ended(), 2*time.Second).Should(BeClosed(), "%s still listens", listener)
	Expect(call.EndedBy()).To(Equal(phone.There))
	Eventually(s.eventsOn(listener, "ListeningEnded"), 5*time.Second).Should(ContainElement(ContainSubstring("may not listen to " + target)))
}

// monitors is what a person may hear, as the dialplan reads it.
func (s *site) monitors(agent string) func() []string {
	return func() []string {
		return s.rows("SELECT COALESCE(monitors, '') FROM roster_agents WHERE name = '" + agent + "'")
	}
}

// spyGroups is what a person's next call carries.
func (s *site) spyGroups(agent string) func() []string {
	return func() []string {
		return s.rows("SELECT COALESCE(set_var, '') FROM ps_endpoints WHERE id = '" + agent + "'")
	}
}

const (
	customerService  = v1alpha1.RoleCustomerService
	teamSupervisor   = v1alpha1.RoleTeamSupervisor
	teamLeader       = v1alpha1.RoleTeamLeader
	centerSupervisor = v1alpha1.RoleCallCenterSupervisor
	centerManager    = v1alpha1.RoleCallCenterManager
)

// whoHearsWhom is the right to listen: a row for each role of the listener's, a column for each of the target's, in the
// order of the rows; first where they share a team, then where they do not.
var whoHearsWhom = []struct {
	role        v1alpha1.AgentRole
	short       string
	same, other string
}{
	{customerService, "cs", "no  no  no  no  no", "no  no  no  no  no"},
	{teamSupervisor, "ts", "yes no  no  no  no", "no  no  no  no  no"},
	{teamLeader, "tl", "yes yes yes no  no", "no  no  no  no  no"},
	{centerSupervisor, "ccs", "yes no  no  no  no", "yes no  no  no  no"},
	{centerManager, "ccm", "yes yes yes yes yes", "yes yes yes yes yes"},
}

// joinedInAll is how often the table says yes.
const joinedInAll = 16

var _ = Describe("Who listens to whom", func() {
	for _, kind := range oldestAndNewest {
		It("follows role and team, in each of fifty calls, with "+kind.String(), Label("C5", "B9"), func() {
			s := newSite(kind, 1, nil)
			phones := map[string]*phone.Phone{}
			billing, support := team("billing"), team("support")
			join := func(t *v1alpha1.Team, name string) { t.Spec.Members = append(t.Spec.Members, membersOf(name)...) }
			extensions := map[string]string{}
			for i, x := range whoHearsWhom {
				for j, group := range []string{"listener", "same", "other"} {
					name := group + "-" + x.short
					extensions[name] = fmt.Sprintf("%d%02d", j+1, i)
					s.create(ofRole(name, extensions[name], x.role))
					if group == "other" {
						join(support, name)
					} else {
						join(billing, name)
					}
				}
			}
			s.create(billing, support)
			for name := range extensions {
				s.ready(name)
			}
			Eventually(func() []string {
				return s.rows("SELECT id FROM ps_endpoints WHERE set_var LIKE 'SPYGROUP=%:%'")
			}).Should(HaveLen(9), "all but the centre's supervisors and managers carry the label of their team")
			Eventually(func() []string {
				return s.rows("SELECT name FROM roster_agents WHERE monitors <> ''")
			}).Should(HaveLen(12), "all but the Customer Service people hear somebody")
			for name := range extensions {
				phones[name] = s.registered(name)
			}
			w := s.spies()

			By("putting all ten targets in calls, with each other")
			channels := map[string]string{}
			for _, x := range whoHearsWhom {
				talk(phones["other-"+x.short], phones["same-"+x.short], extensions["same-"+x.short])
			}
			for _, x := range whoHearsWhom {
				for _, name := range []string{"same-" + x.short, "other-" + x.short} {
					channels[name] = s.channel(name)
				}
			}

			By("having each of five listen to each of the ten")
			var wrong []string
			var joined []*phone.Call
			cells := 0
			for _, x := range whoHearsWhom {
				listener := "listener-" + x.short
				for group, row := range map[string][]string{"same": strings.Fields(x.same), "other": strings.Fields(x.other)} {
					for i, may := range row {
						target := group + "-" + whoHearsWhom[i].short
						before := len(w.of(listener))
						call, err := phones[listener].Call(within(10*time.Second), "*55"+extensions[target])
						Expect(err).NotTo(HaveOccurred())
						cells++
						if may == "no" {
							if call.Status() != 403 {
								wrong = append(wrong, fmt.Sprintf("%s to %s: %d", listener, target, call.Status()))
							}
							continue
						}
						if call.Status() != 200 {
							wrong = append(wrong, fmt.Sprintf("%s to %s: %d", listener, target, call.Status()))
							continue
						}
						joined = append(joined, call)
						Eventually(func() int { return len(w.of(listener)) }).Should(Equal(before+1), "%s to %s", listener, target)
						if got := w.of(listener)[before].target; got != channels[target] {
							wrong = append(wrong, fmt.Sprintf("%s to %s: heard %s, not %s", listener, target, got, channels[target]))
						}
					}
				}
			}
			Expect(wrong).To(BeEmpty())
			Expect(cells).To(Equal(50))
			Expect(joined).To(HaveLen(joinedInAll))

			By("all going on, until the calls end")
			Consistently(w.open, 2*time.Second).Should(Equal(joinedInAll))
			for _, x := range whoHearsWhom {
				for _, in := range phones["same-"+x.short].Incoming() {
					Expect(in.HangUp(within(5 * time.Second))).To(Succeed())
				}
			}
			for _, call := range joined {
				happens(call.Ended())
			}
			Eventually(w.open).Should(BeZero())
			for _, x := range whoHearsWhom {
				Expect(s.eventsOn("listener-"+x.short, "ListeningEnded")()).To(BeEmpty())
			}
		})

		It("never takes a name or an extension for a longer one, with "+kind.String(), Label("C5", "B9"), func() {
			s := newSite(kind, 1, nil)
			s.create(
				person("alice", "10"), person("alice-martin", "100"), person("alice-martin-2", "1001"),
				person("alice-00000000", "1002"), person("erin", "2000"),
				ofRole("lead", "3000", teamLeader), ofRole("boss", "3001", centerManager),
				team("blue", "alice", "lead"), team("red", "alice-martin", "alice-martin-2", "alice-00000000"),
			)
			s.ready("alice", "alice-martin", "alice-martin-2", "alice-00000000", "erin", "lead", "boss")
			Eventually(s.spyGroups("alice")).Should(ConsistOf(ContainSubstring(":")))
			Eventually(s.monitors("lead")).Should(ConsistOf(ContainSubstring(":")))
			alice, martin, second := s.registered("alice"), s.registered("alice-martin"), s.registered("alice-martin-2")
			alike, erin, lead, boss := s.registered("alice-00000000"), s.registered("erin"), s.registered("lead"), s.registered("boss")
			w := s.spies()

			By("only those with longer names being in calls")
			talk(erin, martin, "100")
			talk(erin, second, "1001")
			talk(erin, alike, "1002")
			channels := map[string]string{"100": s.channel("alice-martin"), "1001": s.channel("alice-martin-2"), "1002": s.channel("alice-00000000")}
			for _, p := range []*phone.Phone{lead, boss} {
				Expect(dialling(p, "*5510")()).To(Equal(486))
			}
			var sessions []*phone.Call
			for extension, channel := range channels {
				Expect(dialling(lead, "*55"+extension)()).To(Equal(403))
				sessions = append(sessions, w.listen(boss, "boss", extension, channel))
			}

			By("all being in calls")
			call := talk(erin, alice, "10")
			channels["10"] = s.channel("alice")
			first := []*phone.Call{w.listen(lead, "lead", "10", channels["10"])}
			for extension, channel := range channels {
				if extension != "10" {
					Expect(dialling(lead, "*55"+extension)()).To(Equal(403))
					sessions = append(sessions, w.listen(boss, "boss", extension, channel))
				} else {
					first = append(first, w.listen(boss, "boss", extension, channel))
				}
			}

			By("the one with the shortest name hanging up")
			Expect(call.HangUp(within(5 * time.Second))).To(Succeed())
			for _, session := range first {
				happens(session.Ended())
			}
			Consistently(w.open).Should(Equal(len(sessions)))
			Expect(dialling(boss, "*5510")()).To(Equal(486))
		})

		It("is asked at each call, and ends with the right, with "+kind.String(), Label("C5", "B9"), func() {
			s := newSite(kind, 1, nil)
			alice := person("alice", "1001")
			listeners := []*v1alpha1.Agent{
				ofRole("leaver", "2001", teamLeader), ofRole("changer", "2002", teamLeader), ofRole("goer", "2003", teamLeader),
				ofRole("stayer", "2004", teamLeader), ofRole("inspector", "2005", centerSupervisor), ofRole("boss", "2006", centerManager),
			}
			billing, support := team("billing", "alice", "leaver", "changer", "goer", "stayer"), team("support")
			s.create(alice, person("bob", "1002"), person("erin", "1003"), billing, support)
			names := []string{"alice", "bob", "erin"}
			for _, l := range listeners {
				s.create(l)
				names = append(names, l.Name)
			}
			s.ready(names...)
			for _, name := range []string{"leaver", "changer", "goer", "stayer"} {
				Eventually(s.monitors(name)).Should(ConsistOf(ContainSubstring(":")))
			}
			Eventually(s.spyGroups("alice")).Should(ConsistOf(ContainSubstring(":")))
			phones := map[string]*phone.Phone{}
			for _, name := range names {
				phones[name] = s.registered(name)
			}
			w := s.spies()

			By("whom nobody may hear, and who is not there")
			Expect(dialling(phones["boss"], "*551001")()).To(Equal(486), "not in a call")
			call := talk(phones["erin"], phones["alice"], "1001")
			channel := s.channel("alice")
			Expect(dialling(phones["bob"], "*551001")()).To(Equal(403), "Customer Service hears nobody")
			Expect(dialling(phones["alice"], "*551001")()).To(Equal(403), "not even themselves")
			Expect(dialling(phones["boss"], "*551009")()).To(Equal(404), "nobody's extension")

			sessions := map[string]*phone.Call{}
			for _, l := range listeners {
				sessions[l.Name] = w.listen(phones[l.Name], l.Name, "1001", channel)
			}
			goesOn := func(names ...string) {
				GinkgoHelper()
				for _, name := range names {
					Expect(sessions[name].Ended()).NotTo(BeClosed(), name)
				}
			}

			By("a listener leaving the team")
			s.edit(billing, func() { billing.Spec.Members = membersOf("alice", "changer", "goer", "stayer") })
			s.listeningEnds(sessions["leaver"], "leaver", "alice")
			Expect(dialling(phones["leaver"], "*551001")()).To(Equal(403))
			goesOn("changer", "goer", "stayer", "inspector", "boss")

			By("a listener's role changing")
			s.edit(listeners[1], func() { listeners[1].Spec.Role = customerService })
			s.listeningEnds(sessions["changer"], "changer", "alice")
			Expect(dialling(phones["changer"], "*551001")()).To(Equal(403))
			goesOn("goer", "stayer", "inspector", "boss")

			By("a listener being deactivated")
			s.edit(listeners[2], func() { listeners[2].Spec.State = v1alpha1.StateDeactivated })
			s.listeningEnds(sessions["goer"], "goer", "alice")
			Expect(dialling(phones["goer"], "*551001")()).To(BeElementOf(403, 404))
			goesOn("stayer", "inspector", "boss")

			By("the one listened to being moved to another team")
			s.edit(billing, func() { billing.Spec.Members = membersOf("changer", "goer", "stayer") })
			s.listeningEnds(sessions["stayer"], "stayer", "alice")
			s.edit(support, func() { support.Spec.Members = membersOf("alice") })
			again, err := phones["stayer"].Call(within(10*time.Second), "*551001")
			Expect(err).NotTo(HaveOccurred())
			if again.Status() == 200 { // the running call keeps the labels that it began with
				Eventually(again.Ended(), 2*time.Second).Should(BeClosed())
				Expect(again.EndedBy()).To(Equal(phone.There))
			} else {
				Expect(again.Status()).To(Equal(403))
			}
			goesOn("inspector", "boss")

			By("the role of the one listened to changing")
			s.edit(alice, func() { alice.Spec.Role = teamSupervisor })
			s.listeningEnds(sessions["inspector"], "inspector", "alice")
			goesOn("boss")

			By("the one listened to being deactivated in the call")
			s.edit(alice, func() { alice.Spec.State = v1alpha1.StateDeactivated })
			s.listeningEnds(sessions["boss"], "boss", "alice")
			Expect(dialling(phones["boss"], "*551001")()).To(Equal(404))
			Expect(call.Ended()).NotTo(BeClosed(), "the call itself goes on")
			Expect(s.channels(0, "alice")).To(ConsistOf(channel))
			Expect(call.HangUp(within(5 * time.Second))).To(Succeed())
		})

		It("is nobody's to their own calls, whatever their right, with "+kind.String(), Label("C5", "S9"), func() {
			s := newSite(kind, 1, nil)
			both := line("support", "600", "carla", "dora")
			both.Spec.Supervisors = []v1alpha1.Member{{Name: "carla"}}
			s.create(person("carla", "1001"), person("dora", "1002"), person("erin", "1003"), ofRole("boss", "2001", centerManager), both)
			s.ready("carla", "dora", "erin", "boss")
			Eventually(s.monitors("carla")).ShouldNot(ConsistOf(""))
			for _, name := range []string{"carla", "dora"} {
				Eventually(s.spyGroups(name)).Should(ConsistOf(ContainSubstring(":")))
			}
			carla, dora, erin, boss := s.registered("carla"), s.registered("dora"), s.registered("erin"), s.registered("boss")
			for p, extension := range map[*phone.Phone]string{carla: "1001", dora: "1002", boss: "2001"} {
				talk(erin, p, extension)
			}
			Expect(dialling(carla, "*551001")()).To(Equal(403))
			Expect(dialling(boss, "*552001")()).To(Equal(403))
			Expect(dialling(carla, "*551002")()).To(Equal(200))
			Expect(dialling(boss, "*551001")()).To(Equal(200))
		})

		It("begins with the right, for a target with the next call, with "+kind.String(), Label("C5", "B9"), func() {
			s := newSite(kind, 1, nil)
			billing := team("billing", "alice")
			s.create(person("alice", "1001"), person("bob", "1002"), person("erin", "1003"), ofRole("lead", "2001", teamLeader), billing)
			s.ready("alice", "bob", "erin", "lead")
			Eventually(s.spyGroups("alice")).Should(ConsistOf(ContainSubstring(":")))
			alice, bob, erin, lead := s.registered("alice"), s.registered("bob"), s.registered("erin"), s.registered("lead")
			w := s.spies()
			talk(erin, alice, "1001")
			running := talk(erin, bob, "1002")
			Expect(dialling(lead, "*551001")()).To(Equal(403))

			By("the listener joining the team")
			s.edit(billing, func() { billing.Spec.Members = membersOf("alice", "lead") })
			Eventually(dialling(lead, "*551001"), 2*time.Second).Should(Equal(200))
			Expect(dialling(lead, "*551002")()).To(Equal(403))

			By("a target joining the team in a call, which is not heard")
			before := s.spyGroups("bob")()
			s.edit(billing, func() { billing.Spec.Members = membersOf("alice", "bob", "lead") })
			Eventually(s.spyGroups("bob"), 2*time.Second).ShouldNot(Equal(before))
			Expect(dialling(lead, "*551002")()).To(Equal(403))

			By("the target's next call")
			Expect(running.HangUp(within(5 * time.Second))).To(Succeed())
			Eventually(func() []string { return s.channels(0, "bob") }).Should(BeEmpty())
			talk(erin, bob, "1002")
			w.listen(lead, "lead", "1002", s.channel("bob"))
			Consistently(w.open).Should(Equal(1))
			Expect(s.eventsOn("lead", "ListeningEnded")()).To(BeEmpty())
		})
	}

	for _, kind := range oldestAndNewest {
		It("is said by a campaign too, of its people and while it is open, with "+kind.String(), Label("S9", "C5", "B9"), func() {
			s := newSite(kind, 1, nil)
			s.create(person("alice", "1001"), person("bob", "1002"), person("erin", "1003"), person("frank", "1004"),
				person("carla", "2001"), person("gina", "2002"), person("dave", "2003"))
			s.ready("alice", "bob", "erin", "frank", "carla", "gina", "dave")
			alice, bob, erin, frank := s.registered("alice"), s.registered("bob"), s.registered("erin"), s.registered("frank")
			carla, gina, dave := s.registered("carla"), s.registered("gina"), s.registered("dave")
			s.idle("alice", "bob", "erin", "frank")
			w := s.spies()
			members := func() []string {
				return s.rows("SELECT interface FROM queue_members WHERE queue_name = 'spring'")
			}
			supervises := func(name string) func() []v1alpha1.ObjectName {
				return func() []v1alpha1.ObjectName { return s.agent(name).Status.Supervises }
			}

			By("before the window")
			opens := metav1.NewTime(time.Now().Add(8 * time.Second).Truncate(time.Second))
			spring := line("spring", "600", "alice")
			spring.Spec.Type, spring.Spec.Window = v1alpha1.QueueTypeCampaign, &v1alpha1.Window{StartTime: &opens}
			spring.Spec.Supervisors = []v1alpha1.Member{{Name: "carla"}, {Name: "gina"}}
			s.create(spring)
			talk(frank, bob, "1002")
			early := talk(erin, alice, "1001")
			Expect(dialling(carla, "*551001")()).To(Equal(403))
			Expect(members()).To(BeEmpty())
			Expect(early.HangUp(within(5 * time.Second))).To(Succeed())
			Expect(time.Now()).To(BeTemporally("<", opens.Time), "too slow to see what is before the window")

			By("its first second")
			Eventually(members, 15*time.Second, 10*time.Millisecond).Should(Equal([]string{"PJSIP/alice"}))
			Expect(time.Now()).To(And(BeTemporally(">=", opens.Time), BeTemporally("<", opens.Add(time.Second))))
			for _, name := range []string{"carla", "gina"} {
				Eventually(supervises(name)).Should(Equal([]v1alpha1.ObjectName{"spring"}))
			}
			s.idle("alice", "erin")
			call := talk(erin, alice, "600")
			channel := s.channel("alice")
			first := w.listen(carla, "carla", "1001", channel)
			second := w.listen(gina, "gina", "1001", channel)
			Expect(dialling(dave, "*551001")()).To(Equal(403), "who does not supervise it")
			Expect(dialling(carla, "*551002")()).To(Equal(403), "who does not serve it")

			By("a supervisor being taken off")
			s.edit(spring, func() { spring.Spec.Supervisors = spring.Spec.Supervisors[1:] })
			s.listeningEnds(first, "carla", "alice")
			Expect(dialling(carla, "*551001")()).To(Equal(403))
			Expect(second.Ended()).NotTo(BeClosed())

			By("its last second")
			closes := metav1.NewTime(time.Now().Add(4 * time.Second).Truncate(time.Second))
			s.edit(spring, func() { spring.Spec.Window.EndTime = &closes })
			Consistently(second.Ended(), time.Until(closes.Time)-100*time.Millisecond).ShouldNot(BeClosed())
			Eventually(members, 15*time.Second, 10*time.Millisecond).Should(BeEmpty())
			Expect(time.Now()).To(And(BeTemporally(">=", closes.Time), BeTemporally("<", closes.Add(time.Second))))
			s.listeningEnds(second, "gina", "alice")
			Expect(dialling(gina, "*551001")()).To(Equal(403))
			Eventually(supervises("gina")).Should(BeEmpty())

			By("after the window")
			Expect(call.Ended()).NotTo(BeClosed(), "the call itself goes on")
			Expect(call.HangUp(within(5 * time.Second))).To(Succeed())
			s.idle("alice", "erin")
			before := len(alice.Incoming())
			late := dialled(erin, "600")
			happens(late.Answered())
			Consistently(func() int { return len(alice.Incoming()) }, 2*time.Second).Should(Equal(before))
			hangUp(late)
		})
	}

	Context("when nobody watches while a right ends", Label("C5", "B9"), func() {
		var (
			s              *site
			billing        *v1alpha1.Team
			session, other *phone.Call
			center         *v1alpha1.ContactCenter
			address        string
		)

		open := func(on *site) {
			GinkgoHelper()
			s = on
			billing = team("billing", "alice", "lead", "stayer")
			s.create(person("alice", "1001"), person("erin", "1003"), billing,
				ofRole("lead", "2001", teamLeader), ofRole("stayer", "2002", teamLeader))
			s.ready("alice", "erin", "lead", "stayer")
			Eventually(s.spyGroups("alice")).Should(ConsistOf(ContainSubstring(":")))
			Eventually(s.monitors("lead")).Should(ConsistOf(ContainSubstring(":")))
			Eventually(s.monitors("stayer")).Should(ConsistOf(ContainSubstring(":")))
			alice, erin, lead, stayer := s.registered("alice"), s.registered("erin"), s.registered("lead"), s.registered("stayer")
			w := s.spies()
			talk(erin, alice, "1001")
			session = w.listen(lead, "lead", "1001", s.channel("alice"))
			other = w.listen(stayer, "stayer", "1001", s.channel("alice"))
			center = &v1alpha1.ContactCenter{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: s.ns}}
			address = s.servers[0].AMIAddress
		}

		takeRight := func() {
			GinkgoHelper()
			s.edit(billing, func() { billing.Spec.Members = membersOf("alice", "stayer") })
		}
		reach := func(address string) {
			GinkgoHelper()
			s.edit(center, func() { center.Spec.Telephony.AsteriskRealtime.Managers[0].Address = address })
		}
		summary := func() string {
			_ = k8s.Get(ctx(), client.ObjectKeyFromObject(center), center)
			return center.Status.ManagerSummary
		}
		settled := func() {
			GinkgoHelper()
			happens(session.Ended())
			Expect(session.EndedBy()).To(Equal(phone.There))
			Eventually(s.eventsOn("lead", "ListeningEnded")).Should(ContainElement(ContainSubstring("may not listen to alice")))
			Expect(other.Ended()).NotTo(BeClosed(), "who may listen goes on")
			Expect(s.eventsOn("stayer", "ListeningEnded")()).To(BeEmpty())
		}

		It("ends the session when the manager is back", func() {
			open(newSite(newest, 1, nil))
			s.stopManager()
			takeRight()
			Consistently(session.Ended()).ShouldNot(BeClosed())
			s.startManager()
			settled()
		})

		It("ends the session when the server is in reach again", func() {
			open(newSite(newest, 1, nil))
			reach("127.0.0.1:1")
			Eventually(summary).Should(Equal("0/1"))
			takeRight()
			Eventually(s.monitors("lead")).Should(ConsistOf(""))
			Consistently(session.Ended()).ShouldNot(BeClosed())
			reach(address)
			settled()
		})

		It("ends the session when both are back, and the database has long been right", func() {
			open(newSite(newest, 1, nil))
			reach("127.0.0.1:1")
			Eventually(summary).Should(Equal("0/1"))
			takeRight()
			Eventually(s.monitors("lead")).Should(ConsistOf(""))
			s.stopManager()
			reach(address)
			Consistently(session.Ended()).ShouldNot(BeClosed())
			s.startManager()
			settled()
		})

		It("ends the session when the database is back, the last of all", func() {
			cluster := postgrestest.Own(GinkgoTB())
			open(newSiteOn(cluster, kindOfPBX{"22", v1alpha1.DatabasePostgreSQL}, 1, nil))
			reach("127.0.0.1:1")
			Eventually(summary).Should(Equal("0/1"))
			takeRight()
			Eventually(s.monitors("lead")).Should(ConsistOf(""))
			s.stopManager()
			reach(address)
			cluster.Stop(GinkgoTB())
			s.startManager()
			Eventually(summary).Should(Equal("1/1"))
			cluster.Restart(GinkgoTB())
			settled()
		})
	})

	for _, kind := range oldestAndNewest {
		It("stays within a centre, with "+kind.String(), Label("C5", "B9"), func() {
			one := newSiteOn(nil, kind, 1, nil, "other")
			other := one.centre(1)
			// Names are unique on a telephone system; roles, teams and extensions are not.
			people := func(s *site, suffix string) {
				s.create(person("alice"+suffix, "1001"), person("erin"+suffix, "1003"),
					ofRole("lead"+suffix, "2001", teamLeader), ofRole("boss"+suffix, "2002", centerManager),
					team("billing", "alice"+suffix, "lead"+suffix))
				s.ready("alice"+suffix, "erin"+suffix, "lead"+suffix, "boss"+suffix)
				Eventually(s.spyGroups("alice" + suffix)).Should(ConsistOf(ContainSubstring(":")))
				Eventually(s.monitors("lead" + suffix)).Should(ConsistOf(ContainSubstring(":")))
			}
			people(one, "")
			people(other, "-too")
			other.create(person("dave", "1009"))
			other.ready("dave")
			alice, erin, lead, boss := one.registered("alice"), one.registered("erin"), one.registered("lead"), one.registered("boss")
			aliceToo, erinToo, leadToo, bossToo := other.registered("alice-too"), other.registered("erin-too"), other.registered("lead-too"), other.registered("boss-too")
			dave := other.registered("dave")
			w := one.spies()

			By("a call in the other centre only")
			talk(erinToo, aliceToo, "1001")
			talk(erinToo, dave, "1009")
			for _, p := range []*phone.Phone{lead, boss} {
				Expect(dialling(p, "*551001")()).To(Equal(486), "their own colleague is in no call")
				Expect(dialling(p, "*551009")()).To(Equal(404), "nobody here has that extension")
			}

			By("the same extension in a call in either centre")
			talk(erin, alice, "1001")
			here, there := one.channel("alice"), other.channel("alice-too")
			w.listen(lead, "lead", "1001", here)
			w.listen(boss, "boss", "1001", here)
			w.listen(leadToo, "lead-too", "1001", there)
			w.listen(bossToo, "boss-too", "1001", there)
			Consistently(w.open, 2*time.Second).Should(Equal(4), "neither centre ends what the other allows")
			Expect(slices.Concat(one.eventsOn("lead", "ListeningEnded")(), other.eventsOn("lead-too", "ListeningEnded")())).To(BeEmpty())
		})
	}
})
