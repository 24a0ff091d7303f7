package live

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony"
)

// sights are what simulated servers see.
type sights struct {
	mu  sync.Mutex
	all map[string]Sight
}

func (s *sights) set(agent string, sight Sight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]Sight{}
	}
	s.all[agent] = sight
}

func (s *sights) get(_, agent string) Sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[agent]
}

// floor is a staff list with its sights and clock.
type floor struct {
	*Staff
	sights
	clock time.Time
}

func newFloor() *floor {
	f := &floor{clock: time.Date(2027, 2, 1, 9, 0, 0, 0, time.UTC)}
	f.Staff = NewStaff(f.get)
	f.now = func() time.Time { return f.clock }
	f.settling = 0
	return f
}

// see shows a person another way.
func (f *floor) see(agent string, sight Sight) {
	f.set(agent, sight)
	f.Moved("acme", agent)
}

func (f *floor) lines(filter Filter) []string {
	var lines []string
	f.Rows("acme", filter, func(rows []*Row) bool {
		for _, r := range rows {
			lines = append(lines, line(r))
		}
		return true
	})
	return lines
}

func line(r *Row) string {
	return strings.TrimSpace(fmt.Sprintf("%s/%s %s %s %s", r.Queue, r.Channel, r.Agent, r.Color, r.Detail))
}

func change(c Change) string { return string(c.Type) + " " + line(c.Row) }

// staffAgent is a person in queues, each written "queue" or "queue:Voice,Chat".
func staffAgent(name string, memberships ...string) *v1alpha1.Agent {
	a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: name}}
	a.Status.Phase = v1alpha1.PhaseActive
	for _, m := range memberships {
		queue, channels, _ := strings.Cut(m, ":")
		q := v1alpha1.QueueMembership{Name: v1alpha1.ObjectName(queue), Stars: 1, Via: []v1alpha1.Way{"Direct"}}
		for _, c := range strings.Split(channels, ",") {
			if c == "" {
				c = "Voice"
			}
			q.Channels = append(q.Channels, v1alpha1.Channel(c))
		}
		a.Status.Queues = append(a.Status.Queues, q)
	}
	return a
}

func staffQueueObject(name string, channels ...v1alpha1.Channel) *v1alpha1.Queue {
	q := &v1alpha1.Queue{ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: name}}
	q.Spec.Channels = channels
	return q
}

func signedIn(device telephony.DeviceState, members map[string]MemberSight) Sight {
	return Sight{Observed: true, Device: device, Members: members}
}

// read takes what a subscription has now.
func read(s *Subscription) ([]string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	changes, err := s.Next(ctx)
	var lines []string
	for _, c := range changes {
		lines = append(lines, change(c))
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = nil
	}
	return lines, err
}

func stateLines(s *Subscription) (lines []string) {
	s.State(func(rows []*Row) bool {
		for _, r := range rows {
			lines = append(lines, line(r))
		}
		return true
	})
	return lines
}

func TestStaffC9(t *testing.T) {
	g := NewWithT(t)
	f := newFloor()
	support := staffQueueObject("support", v1alpha1.ChannelVoice, v1alpha1.ChannelChat, v1alpha1.ChannelFax)
	support.Spec.DisplayName = "Support"
	support.Spec.Supervisors = []v1alpha1.Member{{Name: "carla"}}
	alice := staffAgent("alice", "support:Voice,Chat", "billing")
	alice.Spec.DisplayName, alice.Status.Group = "Alice Martin", "north"
	alice.Status.Queues[0].Stars, alice.Status.Queues[0].Via = 4, []v1alpha1.Way{"Direct", "Group/north"}
	f.SetAgent(staffAgent("bob", "support"))
	f.SetAgent(alice)
	f.SetQueue(support)
	f.SetQueue(staffQueueObject("empty"))

	f.set("alice", signedIn(telephony.DeviceIdle, map[string]MemberSight{"support": {}, "billing": {}}))
	f.Moved("acme", "alice")
	g.Expect(f.lines(Filter{})).To(Equal([]string{
		"billing/Voice alice Green available",
		"empty/Voice   nobody",
		"support/Voice alice Green available",
		"support/Voice bob NotObserved no server is connected",
		"support/Chat alice NotObserved not served by the telephone system",
		"support/Fax   nobody",
	}))
	var first *Row
	f.Rows("acme", Filter{Queues: []string{"support"}}, func(rows []*Row) bool { first = rows[0]; return false })
	g.Expect(first).To(Equal(&Row{
		Queue: "support", QueueDisplayName: "Support", Supervisors: []string{"carla"}, Channel: "Voice", Agent: "alice",
		DisplayName: "Alice Martin", Group: "north", Stars: 4, Via: []v1alpha1.Way{"Direct", "Group/north"},
		Color: "Green", Detail: "available", Since: f.clock,
	}))
	f.Rows("other", Filter{}, func([]*Row) bool { t.Error("rows of another namespace"); return true })
}

func TestStaffColors(t *testing.T) {
	paused := MemberSight{Paused: true, PauseReason: "Lunch"}
	for _, c := range []struct {
		name             string
		sight            Sight
		billing, support string
	}{
		{"disconnected", signedIn(telephony.DeviceUnavailable, nil), "Grey not registered", "Grey not registered"},
		{"paused in one", signedIn(telephony.DeviceIdle, map[string]MemberSight{"support": paused, "billing": {}}),
			"Green available", "Orange paused: Lunch"},
		{"the other is not known to the server", signedIn(telephony.DeviceIdle, map[string]MemberSight{"support": paused}),
			"Green available", "Orange paused: Lunch"},
		{"paused in all", signedIn(telephony.DeviceIdle, map[string]MemberSight{"support": paused, "billing": {Paused: true}}),
			"Red paused", "Red paused: Lunch"},
		{"in a call of one", signedIn(telephony.DeviceInUse, map[string]MemberSight{"support": {InCall: true}, "billing": {}}),
			"Red in another call", "Green in a call of this queue"},
		{"called", signedIn(telephony.DeviceRinging, nil), "Green ringing", "Green ringing"},
		{"out of view", Sight{}, "NotObserved no server is connected", "NotObserved no server is connected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := NewWithT(t)
			f := newFloor()
			// A channel that no server serves has no say in what is paused.
			f.SetAgent(staffAgent("alice", "billing", "mail:Email", "support"))
			f.see("alice", c.sight)
			g.Expect(f.lines(Filter{})).To(Equal([]string{
				"billing/Voice alice " + c.billing, "mail/Email alice NotObserved not served by the telephone system",
				"support/Voice alice " + c.support,
			}))
		})
	}
}

func TestStaffSince(t *testing.T) {
	g := NewWithT(t)
	f := newFloor()
	begin := f.clock
	since := func(queue string) (at time.Time) {
		f.Rows("acme", Filter{Queues: []string{queue}}, func(rows []*Row) bool { at = rows[0].Since; return true })
		return at
	}
	f.SetAgent(staffAgent("alice", "support"))
	g.Expect(since("support")).To(BeZero(), "nobody watched")
	f.see("alice", signedIn(telephony.DeviceIdle, nil))
	g.Expect(since("support")).To(Equal(begin))
	f.clock = begin.Add(time.Minute)
	f.see("alice", signedIn(telephony.DeviceRinging, nil))
	g.Expect(since("support")).To(Equal(begin), "green as before")
	f.SetAgent(staffAgent("alice", "billing", "support"))
	g.Expect(since("support")).To(Equal(begin), "another queue changes nothing here")
	g.Expect(since("billing")).To(Equal(f.clock))
	f.see("alice", signedIn(telephony.DeviceUnavailable, nil))
	g.Expect(since("support")).To(Equal(f.clock))
	f.clock = begin.Add(time.Hour)
	f.see("alice", Sight{})
	g.Expect(since("support")).To(Equal(f.clock), "out of view is another color")
}

// A server tells of a queue's call twice, of the phone and of the queue: between the two it is nobody else's call.
func TestStaffCallOfAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewWithT(t)
		f := newFloor()
		f.settling = settling
		begin := f.clock
		row := func(want string, since time.Time) {
			t.Helper()
			f.Rows("acme", Filter{}, func(rows []*Row) bool {
				g.Expect(line(rows[0])).To(Equal("support/Voice alice " + want))
				g.Expect(rows[0].Since).To(Equal(since))
				return true
			})
		}
		here := map[string]MemberSight{"support": {InCall: true}}
		f.SetAgent(staffAgent("alice", "support"))
		f.see("alice", signedIn(telephony.DeviceRinging, nil))
		f.clock = begin.Add(time.Minute)
		f.see("alice", signedIn(telephony.DeviceInUse, nil))
		row("Green ringing", begin)
		f.see("alice", signedIn(telephony.DeviceInUse, here))
		row("Green in a call of this queue", begin)
		time.Sleep(2 * settling)
		row("Green in a call of this queue", begin)
		f.see("alice", signedIn(telephony.DeviceInUse, nil))
		row("Green in a call of this queue", begin)
		f.see("alice", signedIn(telephony.DeviceIdle, nil))
		row("Green available", begin)
		time.Sleep(2 * settling)
		row("Green available", begin)

		// A call that is nobody's of these.
		f.see("alice", signedIn(telephony.DeviceInUse, nil))
		row("Green available", begin)
		time.Sleep(settling + time.Millisecond)
		row("Red in another call", f.clock)
		f.see("alice", signedIn(telephony.DeviceIdle, nil))
		row("Green available", f.clock)

		// One who goes meanwhile.
		f.see("alice", signedIn(telephony.DeviceInUse, nil))
		g.Expect(f.center("acme").held).To(HaveLen(1))
		f.see("alice", signedIn(telephony.DeviceUnavailable, nil))
		row("Grey not registered", f.clock)
		g.Expect(f.center("acme").held).To(BeEmpty())
		f.see("alice", signedIn(telephony.DeviceIdle, nil))
		f.see("alice", signedIn(telephony.DeviceInUse, nil))
		f.RemoveAgent("acme", "alice")
		g.Expect(f.center("acme").held).To(BeEmpty())
	})
}

func TestStaffFilters(t *testing.T) {
	f := newFloor()
	alice := staffAgent("alice", "billing", "support:Voice,Chat")
	alice.Status.Group = "north"
	f.SetAgent(alice)
	f.SetAgent(staffAgent("bob", "support"))
	f.SetQueue(staffQueueObject("empty"))
	f.see("bob", signedIn(telephony.DeviceIdle, nil))
	for _, c := range []struct {
		name   string
		filter Filter
		rows   int
	}{
		{"none", Filter{}, 5},
		{"queue", Filter{Queues: []string{"support"}}, 3},
		{"two queues", Filter{Queues: []string{"support", "empty", "nothing"}}, 4},
		{"group", Filter{Groups: []string{"north"}}, 3},
		{"agent", Filter{Agents: []string{"bob"}}, 1},
		{"the same agent twice", Filter{Agents: []string{"alice", "alice", "nobody"}}, 3},
		{"channel", Filter{Channels: []string{"Chat"}}, 1},
		{"color", Filter{Colors: []string{"Green", "Red"}}, 1},
		{"all of them", Filter{[]string{"support"}, []string{"north"}, []string{"alice"}, []string{"Voice"}, []string{"NotObserved"}}, 1},
		{"two that exclude each other", Filter{Groups: []string{"north"}, Agents: []string{"bob"}}, 0},
	} {
		t.Run(c.name, func(t *testing.T) { NewWithT(t).Expect(f.lines(c.filter)).To(HaveLen(c.rows)) })
	}
}

func TestStaffSubscription(t *testing.T) {
	g := NewWithT(t)
	f := newFloor()
	f.SetQueue(staffQueueObject("support"))
	all, green := f.Subscribe("acme", Filter{}), f.Subscribe("acme", Filter{Colors: []string{"Green"}})
	g.Expect(stateLines(all)).To(Equal([]string{"support/Voice   nobody"}))
	g.Expect(stateLines(green)).To(BeEmpty())
	step := func(allWant, greenWant []string) {
		t.Helper()
		got, err := read(all)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(allWant))
		got, err = read(green)
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(got).To(Equal(greenWant))
	}
	f.SetAgent(staffAgent("alice", "support"))
	step([]string{"DELETED support/Voice   nobody", "ADDED support/Voice alice NotObserved no server is connected"}, nil)
	f.see("alice", signedIn(telephony.DeviceIdle, nil))
	step([]string{"MODIFIED support/Voice alice Green available"}, []string{"ADDED support/Voice alice Green available"})
	f.see("alice", signedIn(telephony.DeviceIdle, map[string]MemberSight{}))
	step(nil, nil)
	f.see("alice", signedIn(telephony.DeviceRinging, nil))
	f.see("alice", signedIn(telephony.DeviceInUse, nil))
	step([]string{"MODIFIED support/Voice alice Red in another call"}, []string{"DELETED support/Voice alice Green available"})
	f.see("alice", signedIn(telephony.DeviceIdle, nil))
	f.see("alice", signedIn(telephony.DeviceInUse, nil))
	step(nil, nil)
	named := staffQueueObject("support")
	named.Spec.DisplayName = "Support"
	f.SetQueue(named)
	step([]string{"MODIFIED support/Voice alice Red in another call"}, nil)
	f.RemoveAgent("acme", "alice")
	step([]string{"ADDED support/Voice   nobody", "DELETED support/Voice alice Red in another call"}, nil)
	f.RemoveQueue("acme", "support")
	step([]string{"DELETED support/Voice   nobody"}, nil)
	all.Close()
	f.SetAgent(staffAgent("bob", "support"))
	step(nil, nil)
}

func TestStaffSlowSubscriber(t *testing.T) {
	g := NewWithT(t)
	f := newFloor()
	f.SetQueue(staffQueueObject("support"))
	slow := f.Subscribe("acme", Filter{})
	stateLines(slow)
	for i := range maximumPending + 10 {
		f.SetAgent(staffAgent(fmt.Sprintf("p%d", i), "support"))
	}
	_, err := read(slow)
	g.Expect(err).To(MatchError(ErrBehind))
	g.Expect(slow.pending).To(BeEmpty(), "nothing is kept for whom reads everything anyway")
	g.Expect(stateLines(slow)).To(HaveLen(maximumPending + 10))
	f.RemoveAgent("acme", "p0")
	g.Expect(read(slow)).To(Equal([]string{"DELETED support/Voice p0 NotObserved no server is connected"}))
}

func TestStaffMovedAll(t *testing.T) {
	g := NewWithT(t)
	f := newFloor()
	for i := range 100 {
		name := fmt.Sprintf("p%d", i)
		f.SetAgent(staffAgent(name, "support"))
		f.set(name, signedIn(telephony.DeviceUnavailable, nil))
	}
	for range 3 {
		f.MovedAll("acme")
	}
	f.MovedAll("other")
	g.Eventually(func() []string { return f.lines(Filter{Colors: []string{"Grey"}}) }).Should(HaveLen(100))
}

// Whatever happens while a subscriber reads, what it holds in the end is the list.
func TestStaffSubscribersConverge(t *testing.T) {
	g := NewWithT(t)
	f := newFloor()
	queues := []string{"a", "b", "c", "d"}
	filters := []Filter{{}, {Colors: []string{"Green"}}, {Queues: []string{"b", "d"}}, {Agents: []string{"p1", "p2"}}, {Groups: []string{"north"}}}
	var writers, readers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for range 3000 {
				name := fmt.Sprintf("p%d", 2*random.IntN(4)+w) // of one person one writer tells, as the cache does
				q := queues[random.IntN(len(queues))]
				switch random.IntN(8) {
				case 0:
					f.RemoveAgent("acme", name)
				case 1, 2:
					a := staffAgent(name, q)
					if other := queues[random.IntN(len(queues))]; other != q {
						a = staffAgent(name, q, other+":Voice,Chat")
					}
					if random.IntN(2) == 0 {
						a.Status.Group = "north"
					}
					f.SetAgent(a)
				case 3:
					if w == 0 {
						f.SetQueue(staffQueueObject(q, v1alpha1.ChannelVoice, v1alpha1.ChannelSMS))
					}
				case 4:
					if w == 0 {
						f.RemoveQueue("acme", q)
					}
				default:
					f.see(name, signedIn(telephony.DeviceState(random.IntN(4)),
						map[string]MemberSight{q: {Paused: random.IntN(2) == 0}}))
				}
			}
		})
	}
	done := make(chan struct{})
	for _, filter := range filters {
		for range 2 {
			sub := f.Subscribe("acme", filter)
			readers.Go(func() {
				defer sub.Close()
				held := map[rowKey]*Row{}
				sub.State(func(rows []*Row) bool {
					for _, r := range rows {
						held[r.key()] = r
					}
					return true
				})
				for last := false; !last; {
					select {
					case <-done:
						last = true
					default:
					}
					ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
					changes, _ := sub.Next(ctx)
					cancel()
					for _, c := range changes {
						_, had := held[c.Row.key()]
						if had == (c.Type == Added) {
							t.Errorf("%s, had it: %t", change(c), had)
						}
						held[c.Row.key()] = c.Row
						if c.Type == Deleted {
							delete(held, c.Row.key())
						}
					}
				}
				var is, should []string
				for _, r := range held {
					is = append(is, line(r))
				}
				f.Rows("acme", filter, func(rows []*Row) bool {
					for _, r := range rows {
						should = append(should, line(r))
					}
					return true
				})
				slices.Sort(is)
				slices.Sort(should)
				if !slices.Equal(is, should) {
					t.Errorf("filter %v:\n%q\nshould be\n%q", filter, is, should)
				}
			})
		}
	}
	writers.Wait()
	close(done)
	readers.Wait()
	g.Expect(f.center("acme").subscribers).To(BeEmpty())
}

// Ten thousand people in three queues each, all of them moving, followed by five subscribers.
func BenchmarkStaffAllMoving(b *testing.B) {
	const people = 10_000
	sight := [2]Sight{}
	for i := range sight {
		sight[i] = signedIn(telephony.DeviceIdle+telephony.DeviceState(2*i), map[string]MemberSight{"q1": {}, "q2": {}, "q3": {}})
	}
	turn := 0
	staff := NewStaff(func(string, string) Sight { return sight[turn%2] })
	names := make([]string, people)
	for i := range names {
		names[i] = fmt.Sprintf("person-%d", i)
		staff.SetAgent(staffAgent(names[i], "q1", "q2", "q3"))
	}
	for _, readers := range []int{0, 5} {
		b.Run(fmt.Sprintf("subscribers=%d", readers), func(b *testing.B) {
			ctx, cancel := context.WithCancel(context.Background())
			var running sync.WaitGroup
			for range readers {
				sub := staff.Subscribe("acme", Filter{})
				running.Go(func() {
					defer sub.Close()
					for ctx.Err() == nil {
						sub.State(func([]*Row) bool { return true })
						for {
							if _, err := sub.Next(ctx); err != nil {
								break
							}
						}
					}
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				turn++
				for _, name := range names {
					staff.Moved("acme", name)
				}
			}
			cancel()
			running.Wait()
		})
	}
}
