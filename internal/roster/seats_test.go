package roster

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"roster.dev/roster/api/v1alpha1"
)

// workplace is a centre with seats: what is declared, what the telephone system has recorded, and the people whose
// reconciles are due or under way. Every reconcile asks, commits some time later, and tells of a commit without a seat.
type workplace struct {
	now    time.Time
	limit  *int32
	people map[string]*v1alpha1.Agent
	// recorded are those who work on the telephone system.
	recorded map[string]bool
	// due are people to be reconciled, and asked what those under way were told.
	due, asked map[string]bool
	// answered are those who were told that they have a seat, until a commit without one is told of.
	answered map[string]bool
	// warned are those who were told that they lose theirs, until then.
	warned map[string]bool
	// safe are holders who must keep their seats while they are entitled to them.
	safe map[string]bool
	// ceiling is how many may work: the limit, or as many as did when it was lowered and have not gone since.
	ceiling int
	d       *Directory
}

var officers = []string{"ada", "ben", "cy", "dora", "eve", "fay"}

const unlimited = 1000

func newWorkplace() *workplace {
	return &workplace{
		now: at("12:00:00"), people: map[string]*v1alpha1.Agent{}, recorded: map[string]bool{}, due: map[string]bool{},
		asked: map[string]bool{}, answered: map[string]bool{}, warned: map[string]bool{},
		safe: map[string]bool{}, ceiling: unlimited, d: NewDirectory(),
	}
}

// entitled says, by the rules for a person alone, whether they are entitled to a seat.
func (o *workplace) entitled(name string) bool {
	a := o.people[name]
	return a != nil && a.Spec.License != v1alpha1.LicenseNone &&
		Working(StandingAt(&a.Spec, !a.DeletionTimestamp.IsZero(), o.now).Phase)
}

func (o *workplace) older(a, b string) bool {
	x, y := o.people[a].CreationTimestamp, o.people[b].CreationTimestamp
	return x.Before(&y) || x.Equal(&y) && a < b
}

func (o *workplace) taken(name string) bool {
	c := o.d.seats.people[name]
	return c != nil && c.taken
}

// holders have a seat, the oldest first; last those who do not know of it yet, and those without an object.
func (o *workplace) holders() []string {
	var names []string
	for _, n := range officers {
		if o.taken(n) {
			names = append(names, n)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int {
		switch {
		case o.people[a] == nil || o.people[b] == nil:
			return one(o.people[a] == nil) - one(o.people[b] == nil)
		case o.d.seats.people[a].used != o.d.seats.people[b].used:
			return one(o.d.seats.people[b].used) - one(o.d.seats.people[a].used)
		case o.older(a, b):
			return -1
		}
		return 1
	})
	return names
}

// working counts those who work there, or may do so as far as anybody can tell.
func (o *workplace) working() int {
	n := len(o.recorded)
	for name := range o.answered {
		n += one(!o.recorded[name])
	}
	return n
}

func (o *workplace) seats() int {
	if o.limit == nil {
		return unlimited
	}
	return int(*o.limit)
}

// limited notes who keeps their seat under the present limit, of those who know of it, and how many may work.
func (o *workplace) limited() {
	o.ceiling = max(o.seats(), o.working())
	o.safe = map[string]bool{}
	left := o.seats()
	for _, n := range o.holders() {
		if o.entitled(n) && o.d.seats.people[n].used && !o.warned[n] && left > 0 {
			held, asked := o.asked[n]
			o.safe[n] = held == asked // else they were told that they are out
			left--
		}
	}
}

// call has those reconciled whom an answer concerns.
func (o *workplace) call(names []string) {
	for _, n := range names {
		o.due[n] = true
	}
}

// giving runs a step that may give seats, and holds it to the order of creation.
func (o *workplace) giving(t *rapid.T, step func()) {
	before := o.holders()
	step()
	if len(o.holders()) > max(o.seats(), len(before)) {
		t.Fatalf("%d seats, and given to %v", o.seats(), o.holders())
	}
	for _, n := range o.holders() {
		if slices.Contains(before, n) {
			continue
		}
		o.safe[n] = true
		if !o.entitled(n) {
			t.Fatalf("%s got a seat and is not entitled to one", n)
		}
		for _, other := range officers {
			if o.limit != nil && o.entitled(other) && !o.taken(other) && o.older(other, n) {
				t.Fatalf("%s got a seat before %s, who is older and waits", n, other)
			}
		}
	}
}

// ask begins a reconcile.
func (o *workplace) ask(t *rapid.T, name string) {
	if _, busy := o.asked[name]; busy || !o.due[name] {
		return
	}
	delete(o.due, name)
	if o.people[name] == nil { // takes out what is recorded
		o.asked[name] = false
		return
	}
	had := o.taken(name)
	o.giving(t, func() {
		answer := o.d.AskSeat(name, o.now)
		o.asked[name] = answer.Held
		o.call(answer.Called)
		if slices.Contains(answer.Called, name) {
			t.Fatalf("%s is called while asking", name)
		}
	})
	held := o.asked[name]
	if held {
		o.answered[name] = true
	}
	o.warned[name] = had && !held && o.entitled(name)
	switch {
	case held && !o.entitled(name):
		t.Fatalf("%s works and is not entitled to a seat", name)
	case had && !held && o.safe[name] && o.entitled(name):
		t.Fatalf("%s lost a seat: %v of %d", name, o.holders(), o.seats())
	}
}

// commit ends a reconcile. How it came out is not always told.
func (o *workplace) commit(t *rapid.T, name string, written, told bool) {
	held, busy := o.asked[name]
	if !busy {
		return
	}
	if written {
		delete(o.recorded, name)
		if held {
			o.recorded[name] = true
		}
	}
	delete(o.asked, name)
	switch {
	case !written || !told:
		o.due[name] = true // a failure brings the person back
	case !held:
		delete(o.answered, name)
		delete(o.warned, name)
		o.giving(t, func() { o.call(o.d.ReleaseSeat(name, o.now)) })
	}
}

// restart loses everything but the objects and what is recorded.
func (o *workplace) restart(t *rapid.T) {
	for _, n := range slices.Sorted(maps.Keys(o.asked)) { // what was under way is over, one way or the other
		o.commit(t, n, rapid.Bool().Draw(t, "written"), false)
	}
	o.d = NewDirectory()
	o.due, o.warned, o.answered = map[string]bool{}, map[string]bool{}, maps.Clone(o.recorded)
	steps := []func(){
		func() { o.d.LoadSeats(maps.Keys(o.recorded), o.now) },
		func() { o.d.SetSeats(o.limit, o.now) },
	}
	if rapid.Bool().Draw(t, "limit first") {
		slices.Reverse(steps)
	}
	names := slices.Sorted(maps.Keys(o.people))
	random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "order"), 0))
	random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, n := range names { // all objects come first: see the feed
		o.d.SetAgent(ViewAgent(o.people[n]))
	}
	for _, step := range steps {
		step()
	}
	o.callAll()
	o.limited()
}

func (o *workplace) callAll() {
	o.call(slices.Collect(maps.Keys(o.people)))
	o.call(slices.Collect(maps.Keys(o.recorded)))
	o.call(o.d.SeatsLeft())
}

// set takes in an edit. Who is entitled no more is not safe any longer, whatever comes after.
func (o *workplace) set(name string, a *v1alpha1.Agent) {
	o.people[name] = a
	o.d.SetAgent(ViewAgent(a))
	o.due[name] = true
	o.forgetUnentitled()
}

func (o *workplace) forgetUnentitled() {
	for n := range o.safe {
		if !o.entitled(n) || !o.taken(n) {
			delete(o.safe, n)
		}
	}
}

func (o *workplace) draw(t *rapid.T, name string) {
	a := o.people[name]
	if a == nil {
		a = &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: created(t)}}
		o.set(name, a)
		return
	}
	a = a.DeepCopy()
	switch rapid.IntRange(0, 7).Draw(t, "edit") {
	case 0, 1, 2:
		a.Spec.State = rapid.SampledFrom([]v1alpha1.AgentState{v1alpha1.StateActive, v1alpha1.StateDeactivated}).Draw(t, "state")
	case 3:
		a.Spec.License = rapid.SampledFrom([]v1alpha1.License{v1alpha1.LicenseSeat, v1alpha1.LicenseNone}).Draw(t, "license")
	case 4, 5:
		w := &world{now: o.now}
		start, end := w.span(t, "employment")
		a.Spec.Employment = &v1alpha1.Employment{StartTime: start, EndTime: end}
	case 6:
		a.DeletionTimestamp = &metav1.Time{Time: o.now}
	case 7: // deleted and made again, and only the second seen
		if a.DeletionTimestamp.IsZero() {
			a.CreationTimestamp = created(t)
		}
	}
	o.set(name, a)
}

// check holds at every moment.
func (o *workplace) check(t *rapid.T) {
	if o.working() > o.ceiling {
		t.Fatalf("%v work, %v may do so, of %d seats", o.recorded, o.answered, o.seats())
	}
	o.ceiling = max(o.seats(), min(o.ceiling, o.working()))
	for n := range o.recorded {
		if !o.taken(n) {
			t.Fatalf("%s works without a seat", n)
		}
	}
	o.checkCounts(t)
}

// checkCounts compares what the ledger keeps along the way with its claims.
func (o *workplace) checkCounts(t *rapid.T) {
	s := o.d.seats
	taken, kept := 0, 0
	for name, c := range s.people {
		taken += one(c.taken)
		kept += one(c.keeps())
		if !c.known && !c.taken || c.used && !c.taken || c.revoked && !c.used {
			t.Fatalf("%s is kept in mind for nothing: %+v", name, c)
		}
		want := (*seatLine)(nil)
		switch {
		case c.taken || !c.wants:
		case c.span == spanWithin:
			want = &s.waiting
		case c.span == spanAhead:
			want = &s.ahead
		}
		if c.line != want || want != nil && want.claims[c.place] != c {
			t.Fatalf("%s stands in the wrong line", name)
		}
	}
	if s.taken != taken || s.kept != kept {
		t.Fatalf("counted %d taken and %d kept, are %d and %d", s.taken, s.kept, taken, kept)
	}
}

// quiet lets everything that is due come to its end, and looks at what that is.
func (o *workplace) quiet(t *rapid.T) {
	for round := 0; len(o.due)+len(o.asked) > 0; round++ {
		if round > 50 {
			t.Fatalf("no end: due %v, under way %v", o.due, o.asked)
		}
		for _, n := range rapid.Permutation(officers).Draw(t, "order") {
			o.ask(t, n)
		}
		for _, n := range rapid.Permutation(officers).Draw(t, "order of commits") {
			o.commit(t, n, true, true)
		}
		o.check(t)
	}
	var entitled []string
	for _, n := range officers {
		if o.entitled(n) {
			entitled = append(entitled, n)
		} else if o.recorded[n] {
			t.Fatalf("%s works and is not entitled to", n)
		}
	}
	if want := min(o.seats(), len(entitled)); len(o.recorded) != want {
		t.Fatalf("%v work of %v, with %d seats", o.recorded, entitled, o.seats())
	}
	for n, safe := range o.safe {
		if safe && o.entitled(n) && !o.recorded[n] {
			t.Fatalf("%s had a seat and lost it", n)
		}
	}
	want := v1alpha1.SeatsStatus{Used: int32(len(o.recorded)), Waiting: int32(len(entitled) - len(o.recorded))}
	if got := o.d.Seats(); got != want {
		t.Fatalf("counted %+v, are %+v", got, want)
	}
}

// TestSeatsB11: over random histories with commits that come late or are never told of, restarts and reconnects: at no
// moment more people work than there are seats, but for those whom a lower limit is about to take; who has a seat keeps
// it; the others come in the order of creation; in the end no seat is free while somebody waits.
func TestSeatsB11(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := newWorkplace()
		name := rapid.SampledFrom(officers)
		edit := func(t *rapid.T) { o.draw(t, name.Draw(t, "name")) }
		ask := func(t *rapid.T) { o.ask(t, name.Draw(t, "name")) }
		commit := func(t *rapid.T) { o.commit(t, name.Draw(t, "name"), true, true) }
		t.Repeat(map[string]func(*rapid.T){
			"edit": edit, "edit again": edit,
			"ask": ask, "ask again": ask,
			"commit": commit, "commit again": commit,
			"commit is not told": func(t *rapid.T) {
				o.commit(t, name.Draw(t, "name"), rapid.Bool().Draw(t, "written"), false)
			},
			"limit": func(t *rapid.T) {
				before := o.seats()
				o.limit = nil
				if rapid.IntRange(0, 4).Draw(t, "unlimited") > 0 {
					o.limit = new(rapid.Int32Range(0, 5).Draw(t, "seats"))
				}
				if o.seats() != before {
					o.limited()
				}
				o.giving(t, func() { o.call(o.d.SetSeats(o.limit, o.now)) })
			},
			"time": func(t *rapid.T) {
				before := o.now
				o.now = o.now.Add(time.Duration(rapid.IntRange(1, 4).Draw(t, "seconds")) * time.Second)
				for n, a := range o.people { // whose turn has come is reconciled: see Effective.Next
					if next := StandingAt(&a.Spec, false, before).Next; !next.IsZero() && !o.now.Before(next) {
						o.due[n] = true
					}
				}
				o.forgetUnentitled()
			},
			"gone": func(t *rapid.T) { // when the rows are gone, or by force
				n := name.Draw(t, "name")
				if a := o.people[n]; a != nil && (!a.DeletionTimestamp.IsZero() && !o.recorded[n] || rapid.IntRange(0, 3).Draw(t, "force") == 0) {
					delete(o.people, n)
					o.d.RemoveAgent(n)
					o.due[n] = true
					o.forgetUnentitled()
				}
			},
			"reconnect": func(t *rapid.T) {
				o.d.LoadSeats(maps.Keys(o.recorded), o.now)
				o.callAll()
				o.forgetUnentitled()
			},
			"restart": o.restart,
			"quiet":   o.quiet,
			"":        o.check,
		})
		o.quiet(t)
	})
}

// seatsOf are a directory of people made one second after another, and how its seats are asked for.
type seatsOf struct {
	*testing.T
	d   *Directory
	now time.Time
}

func newSeatsOf(t *testing.T, limit int32, names ...string) *seatsOf {
	s := &seatsOf{t, NewDirectory(), at("12:00:00")}
	s.d.SetSeats(&limit, s.now)
	for i, n := range names {
		s.set(agent(n, func(a *v1alpha1.Agent) {
			a.CreationTimestamp = metav1.NewTime(at("08:00:00").Add(time.Duration(i) * time.Second))
		}))
	}
	return s
}

func (s *seatsOf) set(a *v1alpha1.Agent) { s.d.SetAgent(ViewAgent(a)) }

// ask is "held" or "waits", with those who are called.
func (s *seatsOf) ask(name string) string {
	answer := s.d.AskSeat(name, s.now)
	text := "waits"
	if answer.Held {
		text = "held"
	}
	return strings.Join(append([]string{text}, answer.Called...), " ")
}

func (s *seatsOf) want(what, got, want string) {
	s.Helper()
	if got != want {
		s.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestSeatsGoInOrderB11(t *testing.T) {
	s := newSeatsOf(t, 2, "ada", "ben", "cy", "dora")
	s.want("the youngest asks first and is not next", s.ask("dora"), "waits")
	s.want("nor the third", s.ask("cy"), "waits")
	s.want("the first has one", s.ask("ada"), "held")
	s.want("and the second", s.ask("ben"), "held")

	gone := agent("ada", func(a *v1alpha1.Agent) { a.Spec.State = v1alpha1.StateDeactivated })
	s.set(gone)
	s.want("a seat is not free before the rows are written", s.ask("cy"), "waits")
	s.want("who is put out has none", s.ask("ada"), "waits")
	s.want("the next is called, once", fmt.Sprint(s.d.ReleaseSeat("ada", s.now)), "[cy]")
	s.want("who gave it back has none to give", fmt.Sprint(s.d.ReleaseSeat("ada", s.now)), "[]")
	s.want("who moved up", s.ask("cy"), "held")
	gone.Spec.State = v1alpha1.StateActive
	s.set(gone)
	s.want("who comes back waits, however old", s.ask("ada"), "waits")
	s.want("those who have one keep it", s.ask("ben")+s.ask("cy"), "heldheld")

	s.d.RemoveAgent("ben")
	s.want("the seat of an object that is gone stays taken", s.ask("ada"), "waits")
	s.want("until its rows are, too", fmt.Sprint(s.d.ReleaseSeat("ben", s.now)), "[ada]")
	if got := s.d.Seats(); got != (v1alpha1.SeatsStatus{Used: 2, Waiting: 1}) {
		t.Errorf("counted %+v", got)
	}
}

func TestSeatsShrinkAndGrowB11(t *testing.T) {
	s := newSeatsOf(t, 4, "ada", "ben", "cy", "dora", "eve")
	for _, n := range []string{"ada", "ben", "cy", "dora", "eve"} {
		s.ask(n)
	}
	// Ben's seat is not needed any more, but still his on the telephone system: it goes first.
	s.set(agent("ben", func(a *v1alpha1.Agent) {
		a.CreationTimestamp, a.Spec.License = stamp("08:00:01"), v1alpha1.LicenseNone
	}))
	s.want("the youngest loses, and who waits hears of it", fmt.Sprint(s.d.SetSeats(new(int32(2)), s.now)), "[dora eve]")
	s.want("who stays", s.ask("ada")+s.ask("cy"), "heldheld")
	s.want("who loses", s.ask("dora"), "waits")
	s.want("nobody moves up", fmt.Sprint(s.d.ReleaseSeat("ben", s.now), s.d.ReleaseSeat("dora", s.now)), "[] []")
	s.want("nobody moves up", s.ask("eve"), "waits")
	s.want("the same limit concerns nobody", fmt.Sprint(s.d.SetSeats(new(int32(2)), s.now)), "[]")
	s.want("more seats", fmt.Sprint(s.d.SetSeats(new(int32(3)), s.now)), "[dora eve]")
	s.want("in order", s.ask("dora")+s.ask("eve"), "heldwaits")
	s.want("no limit", fmt.Sprint(s.d.SetSeats(nil, s.now)), "[eve]")
	s.want("for everybody", s.ask("eve"), "held")
	if got := s.d.Seats(); got != (v1alpha1.SeatsStatus{Used: 4}) {
		t.Errorf("counted %+v", got)
	}
	s.want("no seats", fmt.Sprint(s.d.SetSeats(new(int32(0)), s.now)), "[ada cy dora eve]")
	s.want("for anybody", s.ask("ada"), "waits")
	s.want("a limit taken back before the rows are written", fmt.Sprint(s.d.SetSeats(new(int32(4)), s.now)), "[ada]")
	s.want("takes nothing from who has not heard of it", s.ask("cy")+s.ask("dora")+s.ask("eve"), "heldheldheld")
	s.want("the others come back", s.ask("ada")+fmt.Sprint(s.d.ReleaseSeat("ada", s.now))+s.ask("ada"), "waits[ada]held")
}

func TestSeatsFollowEmploymentB11B1(t *testing.T) {
	s := newSeatsOf(t, 1, "ada", "ben")
	s.set(agent("ada", func(a *v1alpha1.Agent) {
		a.Spec.Employment = &v1alpha1.Employment{StartTime: ptr("12:00:10"), EndTime: ptr("12:00:20")}
	}))
	s.want("who has not begun", s.ask("ada"), "waits")
	s.want("does not keep others waiting", s.ask("ben"), "held")
	s.now = at("12:00:10")
	s.want("nor takes their seat", s.ask("ben")+s.ask("ada"), "heldwaits")
	if got := s.d.Seats(); got.Waiting != 1 {
		t.Errorf("counted %+v", got)
	}
	s.now = at("12:00:20")
	s.want("whose time is over", s.ask("ada"), "waits")
	if got := s.d.Seats(); got.Waiting != 0 {
		t.Errorf("waits for nothing: %+v", got)
	}
}

func TestSeatsSurviveARestartB11(t *testing.T) {
	s := newSeatsOf(t, 2, "ada", "ben", "cy", "dora")
	s.d.LoadSeats(slices.Values([]string{"cy", "dora", "gone"}), s.now)
	s.want("who is recorded keeps theirs, however young", s.ask("ada")+s.ask("cy"), "waitsheld")
	s.want("of too many the youngest loses", s.ask("dora"), "held")
	s.want("what is recorded of somebody without an object takes a seat", s.ask("ben"), "waits")
	s.want("until it is gone", fmt.Sprint(s.d.ReleaseSeat("gone", s.now), s.d.ReleaseSeat("cy", s.now)), "[] [ada]")
	s.d.LoadSeats(slices.Values([]string{"dora"}), s.now)
	s.want("a grant under way survives a reconnection", s.ask("ada")+s.ask("cy"), "heldwaits")
	s.d.RemoveAgent("ada")
	s.d.LoadSeats(slices.Values([]string{"dora"}), s.now)
	s.want("and the person", fmt.Sprint(s.d.SeatsLeft())+s.ask("ben"), "[ada]waits")
	s.want("until nothing is left of them", fmt.Sprint(s.d.ReleaseSeat("ada", s.now), s.d.SeatsLeft()), "[ben] []")
}

// BenchmarkSeats: one change costs what it touches, among 100,000 people of whom half wait.
func BenchmarkSeats(b *testing.B) {
	d := NewDirectory()
	d.SetSeats(new(int32(benchAgents/2)), at("12:00:00"))
	views := make([]AgentView, benchAgents)
	for i := range views {
		views[i] = ViewAgent(benchAgent(i))
		d.SetAgent(views[i])
	}
	now := at("12:00:00")
	for i := range views {
		d.AskSeat(views[i].Name, now)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ { // one is put out, the next moves up, and the first comes back to wait
		v := views[i%(benchAgents/2)]
		v.Deactivated = true
		d.seats.set(&v)
		d.AskSeat(v.Name, now)
		for _, n := range d.ReleaseSeat(v.Name, now) {
			d.AskSeat(n, now)
		}
		v.Deactivated = false
		d.seats.set(&v)
		d.AskSeat(v.Name, now)
	}
}
