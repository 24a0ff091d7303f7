package book

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

var monday = time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC)

// held is an open case in namespace acme with a client, held by people: the first is the responsible one.
func held(name, client string, people ...string) *v1alpha1.CaseAssignment {
	a := &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: name}}
	if client != "" {
		a.Spec.Client = &v1alpha1.Client{ID: "id-" + client, Name: client}
	}
	a.Spec.State = v1alpha1.CaseOpen
	a.Status.Phase = v1alpha1.CaseUnassigned
	for _, p := range people {
		a.Status.Phase = v1alpha1.CaseAssigned
		a.Status.Assignees = append(a.Status.Assignees, v1alpha1.EffectiveAssignee{
			Name: v1alpha1.AgentName(p), Via: v1alpha1.ViaDeclared, Since: metav1.NewTime(monday),
		})
	}
	return a
}

func dated(a *v1alpha1.CaseAssignment, next, start, end time.Duration) *v1alpha1.CaseAssignment {
	if next != 0 {
		a.Spec.NextActionTime = ptr.To(metav1.NewTime(monday.Add(next)))
	}
	if end != 0 {
		a.Spec.Appointment = &v1alpha1.Appointment{
			StartTime: metav1.NewTime(monday.Add(start)), EndTime: metav1.NewTime(monday.Add(end)), TimeZone: "Europe/Rome",
		}
	}
	return a
}

func rows[T Entry[T]](v View[T]) (all []T) {
	v.Rows(func(batch []T) bool { all = append(all, batch...); return true })
	return all
}

func clients(x *Index, agents ...string) (lines []string) {
	for _, e := range rows(x.Clients("acme", agents...)) {
		lines = append(lines, fmt.Sprintf("%s %s %s", e.Agent, e.Client.Name, e.Assignment))
	}
	return lines
}

func TestClientBookS7(t *testing.T) {
	g := NewWithT(t)
	x := New()
	refund := held("refund", "Zoe", "alice", "bob")
	refund.Spec.Case = &v1alpha1.Case{ID: "CASE-7", Title: "Refund", URL: "https://crm.example/7"}
	refund.Spec.Client.Phones = []v1alpha1.PhoneNumber{"+390699999"}
	refund.Spec.Group = "north"
	cover := &refund.Status.Assignees[0]
	cover.Via, cover.Covers, cover.Since = v1alpha1.ViaGroup, "carla", metav1.NewTime(monday.In(time.FixedZone("CET", 3600)))
	x.Set(refund)
	x.Set(held("b", "Ada", "alice"))
	x.Set(held("a", "Ada", "alice"))
	x.Set(held("matter-without-client", "", "alice"))
	x.Set(held("nobody", "Ada"))
	elsewhere := held("a", "Ada", "alice")
	elsewhere.Namespace = "other"
	x.Set(elsewhere)

	g.Expect(clients(x, "alice")).To(Equal([]string{"alice Ada a", "alice Ada b", "alice Zoe refund"}))
	g.Expect(clients(x, "bob", "alice", "bob")).To(Equal([]string{"alice Ada a", "alice Ada b", "alice Zoe refund", "bob Zoe refund"}))
	g.Expect(clients(x)).To(Equal(clients(x, "alice", "bob")))
	g.Expect(clients(x, "nobody")).To(BeEmpty())
	g.Expect(rows(x.Clients("nowhere"))).To(BeEmpty())
	g.Expect(json.Marshal(rows(x.Clients("acme", "alice"))[2])).To(MatchJSON(`{
		"agent": "alice", "client": {"id": "id-Zoe", "name": "Zoe", "phones": ["+390699999"]},
		"case": {"id": "CASE-7", "title": "Refund", "url": "https://crm.example/7"}, "assignment": "refund",
		"via": "Group", "since": "2026-11-30T08:00:00Z", "covers": "carla", "responsible": true, "group": "north"}`))
	g.Expect(json.Marshal(rows(x.Clients("acme", "bob"))[0])).To(MatchJSON(`{
		"agent": "bob", "client": {"id": "id-Zoe", "name": "Zoe", "phones": ["+390699999"]},
		"case": {"id": "CASE-7", "title": "Refund", "url": "https://crm.example/7"}, "assignment": "refund",
		"via": "Declared", "since": "2026-11-30T08:00:00Z", "responsible": false, "group": "north"}`))

	x.Set(held("refund", "Zoe", "bob"))
	x.Remove("acme", "b")
	x.Remove("acme", "b")
	x.Remove("nowhere", "b")
	g.Expect(clients(x)).To(Equal([]string{"alice Ada a", "bob Zoe refund"}))
	x.Set(held("refund", "Zoe"))
	g.Expect(clients(x)).To(Equal([]string{"alice Ada a"}))
	g.Expect(x.centers["acme"].held).To(HaveLen(1), "who holds nothing is forgotten")
	g.Expect(x.centers["acme"].cases).To(HaveLen(2), "a case that nobody holds is forgotten")
}

func TestWhatIsNotOpenIsInNoBookS6S7(t *testing.T) {
	for name, change := range map[string]func(*v1alpha1.CaseAssignment){
		"completed":                  func(a *v1alpha1.CaseAssignment) { a.Spec.State = v1alpha1.CaseCompleted },
		"reopened and not yet given": func(a *v1alpha1.CaseAssignment) { a.Status.Phase = v1alpha1.CasePhaseCompleted },
		"about to be deleted":        func(a *v1alpha1.CaseAssignment) { a.DeletionTimestamp = ptr.To(metav1.NewTime(monday)) },
		"declared, and given to nobody": func(a *v1alpha1.CaseAssignment) {
			a.Spec.Assignees, a.Status.Assignees = []v1alpha1.Assignee{{Name: "alice"}}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := NewWithT(t)
			x := New()
			x.Set(dated(held("a", "Ada", "alice"), time.Hour, time.Hour, 2*time.Hour))
			g.Expect(rows(x.Clients("acme"))).To(HaveLen(1))
			g.Expect(rows(x.Agenda("acme", time.Time{}, time.Time{}))).To(HaveLen(2))
			after := dated(held("a", "Ada", "alice"), time.Hour, time.Hour, 2*time.Hour)
			change(after)
			x.Set(after)
			g.Expect(rows(x.Clients("acme"))).To(BeEmpty())
			g.Expect(rows(x.Agenda("acme", time.Time{}, time.Time{}))).To(BeEmpty())
		})
	}
}

func agenda(x *Index, from, to time.Duration, agents ...string) (lines []string) {
	bound := func(d time.Duration) time.Time {
		if d == 0 {
			return time.Time{}
		}
		return monday.Add(d)
	}
	for _, e := range rows(x.Agenda("acme", bound(from), bound(to), agents...)) {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", e.Agent, e.Time.Sub(monday), e.Kind, e.Assignment))
	}
	return lines
}

func TestAgendaS6(t *testing.T) {
	g := NewWithT(t)
	x := New()
	call := dated(held("call", "Ada", "alice"), 3*time.Hour, time.Hour, 2*time.Hour)
	x.Set(call)
	x.Set(dated(held("before", "", "alice"), 3*time.Hour, 0, 0))
	x.Set(dated(held("soon", "", "alice", "bob"), -time.Hour, 0, 0))
	x.Set(held("without-a-time", "Ada", "alice"))
	everything := []string{"alice -1h0m0s NextAction soon", "alice 1h0m0s Appointment call", "alice 3h0m0s NextAction before", "alice 3h0m0s NextAction call"}
	g.Expect(agenda(x, 0, 0, "alice")).To(Equal(everything))
	g.Expect(agenda(x, 0, 0)).To(Equal(append(everything, "bob -1h0m0s NextAction soon")))

	for _, c := range []struct {
		from, to time.Duration
		want     []string
		reason   string
	}{
		{from: time.Minute, want: everything[1:], reason: "what was due is over"},
		{from: -time.Hour, want: everything, reason: "what is due at from is not over"},
		{from: 90 * time.Minute, want: everything[1:], reason: "an appointment goes on"},
		{from: 2 * time.Hour, want: everything[2:], reason: "an appointment is over at its end"},
		{to: time.Hour, want: everything[:1], reason: "what begins at to is not before it"},
		{from: time.Minute, to: time.Hour + 1, want: everything[1:2], reason: "both bounds"},
	} {
		g.Expect(agenda(x, c.from, c.to, "alice")).To(Equal(c.want), c.reason)
	}

	entry := rows(x.Agenda("acme", time.Time{}, time.Time{}, "alice"))[1]
	g.Expect(json.Marshal(entry)).To(MatchJSON(`{
		"agent": "alice", "time": "2026-11-30T09:00:00Z", "kind": "Appointment", "end": "2026-11-30T10:00:00Z",
		"timeZone": "Europe/Rome", "client": {"id": "id-Ada", "name": "Ada"}, "assignment": "call"}`))
	g.Expect(json.Marshal(rows(x.Agenda("acme", time.Time{}, time.Time{}, "bob"))[0])).To(MatchJSON(`{
		"agent": "bob", "time": "2026-11-30T07:00:00Z", "kind": "NextAction", "assignment": "soon"}`))
}

// changes are those that a subscription has now.
func changes[T Entry[T]](g *GomegaWithT, s *Subscription[T], line func(T) string) (lines []string) {
	taken, err := s.take()
	g.Expect(err).NotTo(HaveOccurred())
	for _, c := range taken {
		lines = append(lines, string(c.Type)+" "+line(c.Entry))
	}
	return lines
}

func TestFollowingABookS7(t *testing.T) {
	g := NewWithT(t)
	x := New()
	follow := func(agents ...string) func() []string {
		s := x.Clients("acme", agents...).Subscribe()
		t.Cleanup(s.Close)
		s.State(func([]*ClientEntry) bool { return true })
		return func() []string {
			return changes(g, s, func(e *ClientEntry) string { return e.Agent + " " + e.Client.Name + " " + e.Assignment })
		}
	}
	alice, bob, both, all := follow("alice"), follow("bob"), follow("alice", "bob"), follow()
	x.Set(held("refund", "Zoe", "alice"))
	for _, told := range []func() []string{alice, both, all} {
		g.Expect(told()).To(Equal([]string{"ADDED alice Zoe refund"}))
	}
	g.Expect(bob()).To(BeEmpty())

	x.Set(held("refund", "Zoe", "bob"))
	g.Expect(alice()).To(Equal([]string{"DELETED alice Zoe refund"}))
	g.Expect(bob()).To(Equal([]string{"ADDED bob Zoe refund"}))
	for _, told := range []func() []string{both, all} {
		g.Expect(told()).To(Equal([]string{"DELETED alice Zoe refund", "ADDED bob Zoe refund"}))
	}

	silent := held("refund", "Zoe", "bob")
	silent.Status.History = []v1alpha1.HistoryEntry{{Type: "Responsible"}}
	x.Set(silent)
	g.Expect(bob()).To(BeEmpty(), "nothing that a book shows has changed")
	x.Set(held("refund", "Zoe", "alice", "bob"))
	g.Expect(bob()).To(Equal([]string{"MODIFIED bob Zoe refund"}), "they are no longer the responsible one")
	g.Expect(alice()).To(Equal([]string{"ADDED alice Zoe refund"}))

	x.Set(held("refund", "Zoe", "alice"))
	x.Set(held("refund", "Zoe", "bob"))
	g.Expect(bob()).To(Equal([]string{"MODIFIED bob Zoe refund"}), "only the newest state is told: the responsible one again")
	x.Set(held("other", "Ada", "bob"))
	x.Remove("acme", "other")
	g.Expect(bob()).To(BeEmpty(), "it came and went")
	completed := held("refund", "Zoe", "bob")
	completed.Spec.State = v1alpha1.CaseCompleted
	x.Set(completed)
	g.Expect(bob()).To(Equal([]string{"DELETED bob Zoe refund"}))
}

func TestFollowingAnAgendaS6(t *testing.T) {
	g := NewWithT(t)
	x := New()
	s := x.Agenda("acme", monday, monday.Add(24*time.Hour), "alice").Subscribe()
	defer s.Close()
	told := func() []string {
		return changes(g, s, func(e *AgendaEntry) string { return fmt.Sprintf("%s %s", e.Kind, e.Time.Sub(monday)) })
	}
	x.Set(dated(held("a", "Ada", "alice"), time.Hour, 2*time.Hour, 3*time.Hour))
	g.Expect(told()).To(Equal([]string{"ADDED NextAction 1h0m0s", "ADDED Appointment 2h0m0s"}))
	x.Set(dated(held("a", "Ada", "alice"), time.Hour, 4*time.Hour, 5*time.Hour))
	g.Expect(told()).To(Equal([]string{"MODIFIED Appointment 4h0m0s"}), "moved")
	x.Set(dated(held("a", "Ada", "alice"), time.Hour, 25*time.Hour, 26*time.Hour))
	g.Expect(told()).To(Equal([]string{"DELETED Appointment 4h0m0s"}), "moved out of sight")
	x.Set(dated(held("a", "Ada", "bob"), time.Hour, 25*time.Hour, 26*time.Hour))
	g.Expect(told()).To(Equal([]string{"DELETED NextAction 1h0m0s"}), "another's now")
}

// A subscriber who does not read costs no more than a bound, and learns that the state has to be read again.
func TestBehind(t *testing.T) {
	g := NewWithT(t)
	x := New()
	s := x.Clients("acme").Subscribe()
	for i := range maximumPending + 10 {
		x.Set(held(fmt.Sprint("case-", i), "Ada", "alice"))
	}
	g.Expect(s.pending).To(BeEmpty())
	_, err := s.Next(t.Context())
	g.Expect(err).To(MatchError(ErrBehind))
	count := 0
	s.State(func(batch []*ClientEntry) bool { count += len(batch); return true })
	g.Expect(count).To(Equal(maximumPending + 10))
	hasty, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = s.Next(hasty)
	g.Expect(err).To(MatchError(context.DeadlineExceeded))
	x.Remove("acme", "case-7")
	taken, err := s.Next(t.Context())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(taken).To(HaveLen(1))
	g.Expect(taken[0].Type).To(Equal(Deleted))
	s.Close()
	g.Expect(x.centers["acme"].followers).To(BeEmpty())
}

// shelf is what a follower knows who applies the changes to the state.
type shelf map[string]ClientEntry

func (s shelf) state(batch []*ClientEntry) bool {
	for _, e := range batch {
		s[e.Agent+" "+e.Assignment] = *e
	}
	return true
}

// apply says what is wrong with a change.
func (s shelf) apply(c Change[*ClientEntry]) error {
	key := c.Entry.Agent + " " + c.Entry.Assignment
	if _, known := s[key]; known == (c.Type == Added) {
		return fmt.Errorf("%s %s, which was known: %t", c.Type, key, known)
	}
	if c.Type == Deleted {
		delete(s, key)
	} else {
		s[key] = *c.Entry
	}
	return nil
}

// Whatever happens to cases, the index has what a scan of all of them finds, and so have those who follow it.
func TestIndexAgreesWithAScanS6S7(t *testing.T) {
	people := []string{"alice", "bob", "carla"}
	rapid.Check(t, func(t *rapid.T) {
		g := NewWithT(t)
		x := New()
		objects := map[string]*v1alpha1.CaseAssignment{}
		followed := rapid.SampledFrom([][]string{nil, {"alice"}, {"alice", "carla"}}).Draw(t, "followed")
		s := x.Clients("acme", followed...).Subscribe()
		known := shelf{}
		s.State(known.state)
		catchUp := func() {
			taken, err := s.take()
			g.Expect(err).NotTo(HaveOccurred())
			for _, c := range taken {
				g.Expect(known.apply(c)).To(Succeed())
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "case")
			switch rapid.SampledFrom([]string{"set", "set", "set", "remove", "read", "begin anew"}).Draw(t, "step") {
			case "set":
				assigned := rapid.Permutation(people).Draw(t, "people")[:rapid.IntRange(0, 3).Draw(t, "how many")]
				a := held(name, rapid.SampledFrom([]string{"", "Ada", "Zoe"}).Draw(t, "client"), assigned...)
				a.Spec.State = rapid.SampledFrom([]v1alpha1.CaseState{v1alpha1.CaseOpen, v1alpha1.CaseOpen, v1alpha1.CaseCompleted}).Draw(t, "state")
				dated(a, time.Duration(rapid.IntRange(0, 2).Draw(t, "next"))*time.Hour, 0, 0)
				objects[name] = a
				x.Set(a)
			case "remove":
				delete(objects, name)
				x.Remove("acme", name)
			case "read":
				catchUp()
			case "begin anew":
				clear(known)
				s.State(known.state)
			}
		}
		catchUp()
		var wantBook, wantAgenda []string
		want := shelf{}
		for _, a := range objects {
			for i, h := range a.Status.Assignees {
				if a.Spec.State != v1alpha1.CaseOpen {
					continue
				}
				if at := a.Spec.NextActionTime; at != nil {
					wantAgenda = append(wantAgenda, fmt.Sprintf("%s %s NextAction %s", h.Name, at.Sub(monday), a.Name))
				}
				if a.Spec.Client == nil {
					continue
				}
				wantBook = append(wantBook, fmt.Sprintf("%s %s %s", h.Name, a.Spec.Client.Name, a.Name))
				if len(followed) == 0 || slices.Contains(followed, string(h.Name)) {
					want[string(h.Name)+" "+a.Name] = ClientEntry{
						Agent: string(h.Name), Client: a.Spec.Client, Assignment: a.Name, Via: v1alpha1.ViaDeclared,
						Since: monday, Responsible: i == 0,
					}
				}
			}
		}
		slices.Sort(wantBook)
		slices.Sort(wantAgenda)
		g.Expect(clients(x)).To(Equal(wantBook))
		g.Expect(agenda(x, 0, 0)).To(Equal(wantAgenda))
		g.Expect(known).To(Equal(want))
	})
}

// Cases move between people while others read, follow, come and go.
func TestIndexIsSafeForConcurrentUse(t *testing.T) {
	g := NewWithT(t)
	x := New()
	people := []string{"alice", "bob", "carla", "dan"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var writers, readers sync.WaitGroup
	views := [][]string{{"alice"}, {"bob", "carla"}, nil}
	shelves := make([]shelf, len(views))
	for i, agents := range views {
		shelves[i] = shelf{}
		s := x.Clients("acme", agents...).Subscribe()
		t.Cleanup(s.Close)
		readers.Go(func() {
			for round := 0; ; round++ {
				if round%50 == 0 {
					clear(shelves[i])
					s.State(shelves[i].state)
				}
				taken, err := s.Next(ctx)
				if err != nil {
					return // and nothing is left to be told
				}
				for _, c := range taken {
					if err := shelves[i].apply(c); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for i := range 2000 {
				name := fmt.Sprintf("case-%d-%d", w, i%20)
				if i%7 == 0 {
					x.Remove("acme", name)
					continue
				}
				x.Set(held(name, "Ada", people[i%4], people[(i+w%3+1)%4]))
				if i%100 == 0 {
					guest := x.Clients("acme", people[w]).Subscribe()
					clients(x, people[w])
					guest.Close()
				}
			}
		})
	}
	writers.Wait()
	cancel()
	readers.Wait()
	for i, agents := range views {
		want := shelf{}
		x.Clients("acme", agents...).Rows(want.state)
		g.Expect(want).NotTo(BeEmpty())
		g.Expect(shelves[i]).To(Equal(want))
	}
}

// Reading one person's book, and a change of it, cost the same in a centre of ten cases and of fifty thousand.
func TestOneBookDoesNotGrowWithTheCentre(t *testing.T) {
	g := NewWithT(t)
	cost := func(cases int) (reading, changing float64) {
		x := filled(cases)
		s := x.Clients("acme", "reader").Subscribe()
		defer s.Close()
		reading = testing.AllocsPerRun(20, func() { x.Clients("acme", "reader").Rows(func([]*ClientEntry) bool { return true }) })
		turn := []*v1alpha1.CaseAssignment{held("reader-0", "Zoe", "reader"), held("reader-0", "Ada", "reader")}
		changing = testing.AllocsPerRun(20, func() {
			x.Set(turn[0])
			turn[0], turn[1] = turn[1], turn[0]
			if taken, _ := s.take(); len(taken) != 1 {
				t.Errorf("%d changes", len(taken))
			}
		})
		return reading, changing
	}
	reading, changing := cost(10)
	largeReading, largeChanging := cost(50_000)
	g.Expect(largeReading).To(BeNumerically("<=", reading+2))
	g.Expect(largeChanging).To(BeNumerically("<=", changing+2))
}

// source stands for a cache of CaseAssignments: its informer has the test tell the handler.
type source struct {
	cache.Cache
	handler chan toolscache.ResourceEventHandler
	synced  atomic.Bool
}

type informer struct {
	cache.Informer
	*source
}

type registration struct {
	toolscache.ResourceEventHandlerRegistration
	*source
}

func (s *source) GetInformer(context.Context, client.Object, ...cache.InformerGetOption) (cache.Informer, error) {
	return informer{source: s}, nil
}

func (i informer) AddEventHandler(h toolscache.ResourceEventHandler) (toolscache.ResourceEventHandlerRegistration, error) {
	i.handler <- h
	return registration{source: i.source}, nil
}

func (r registration) HasSynced() bool { return r.synced.Load() }

func TestFeed(t *testing.T) {
	g := NewWithT(t)
	s := &source{handler: make(chan toolscache.ResourceEventHandler, 1)}
	x := New()
	feed := &Feed{Cache: s, Index: x}
	g.Expect(feed.NeedLeaderElection()).To(BeFalse())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- feed.Start(ctx) }()
	h := <-s.handler
	a, b := held("a", "Ada", "alice"), held("b", "Ada", "alice")
	h.OnAdd(a, true)
	h.OnAdd(b, true)
	g.Expect(clients(x)).To(Equal([]string{"alice Ada a", "alice Ada b"}))
	g.Expect(x.IsComplete()).To(BeFalse())
	s.synced.Store(true)
	g.Eventually(x.IsComplete).Should(BeTrue())
	h.OnUpdate(a, held("a", "Ada", "bob"))
	g.Expect(clients(x)).To(Equal([]string{"alice Ada b", "bob Ada a"}))
	h.OnDelete(b)
	h.OnDelete(toolscache.DeletedFinalStateUnknown{Key: "acme/a", Obj: a})
	g.Expect(clients(x)).To(BeEmpty())
	cancel()
	g.Expect(<-done).To(Succeed())
}
