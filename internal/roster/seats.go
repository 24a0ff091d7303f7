package roster

import (
	"cmp"
	"container/heap"
	"iter"
	"slices"
	"sync"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// seats says who of a centre's people has one of its seats. Entitled to one is who works and needs a licence for it.
// Who has one keeps it; a free one goes to the first of the others in the order of creation, whoever asks. It is taken
// from the moment in which it is given, and free again only when the telephone system has recorded that the person
// has none: at no moment more people work there than there are seats.
//
// Unlike the rest of the directory this rests on what is recorded of people as well, and on what was given since.
type seats struct {
	mu sync.Mutex
	// limit is how many there are; nil for no limit.
	limit  *int32
	people map[string]*seatClaim
	// waiting are those who are entitled and have none, the oldest first; ahead those who may become so by the
	// time, the earliest first.
	waiting, ahead seatLine
	// taken counts the seats that somebody has, and kept those whose holders are to keep them.
	taken, kept int
}

// seatClaim is what is known of one person's seat.
type seatClaim struct {
	name string
	// created is in seconds, as Kubernetes keeps it.
	created    int64
	employment *v1alpha1.Employment
	// known says that the person exists: a seat outlives its holder's object for a while.
	known bool
	// wants says that the declaration entitles the person while employed, and span where in the employment they
	// were when the time was looked at last.
	wants bool
	span  span
	// taken is a seat that the person has; used, that they know, or that it is recorded; revoked, that they are to
	// lose it although they are entitled to one.
	taken, used, revoked bool
	// told says that the person asked in vain, and has to be called.
	told bool
	// line that the person stands in, at place; nil for none.
	line  *seatLine
	place int
}

// span is where in an employment a moment is.
type span int8

const (
	spanWithin span = iota
	spanAhead
	spanOver
)

func (c *seatClaim) spanAt(now time.Time) span {
	e := c.employment
	switch {
	case e == nil:
		return spanWithin
	case e.EndTime != nil && !now.Before(e.EndTime.Time):
		return spanOver
	case e.StartTime != nil && now.Before(e.StartTime.Time):
		return spanAhead
	}
	return spanWithin
}

func (c *seatClaim) entitled() bool { return c.wants && c.span == spanWithin }

func (c *seatClaim) keeps() bool { return c.taken && !c.revoked && c.entitled() }

func (c *seatClaim) compareAge(o *seatClaim) int {
	return cmp.Or(cmp.Compare(c.created, o.created), cmp.Compare(c.name, o.name))
}

func (c *seatClaim) compareStart(o *seatClaim) int {
	return c.employment.StartTime.Compare(o.employment.StartTime.Time)
}

// seatLine is a heap of claims.
type seatLine struct {
	claims  []*seatClaim
	compare func(a, b *seatClaim) int
}

func (l *seatLine) Len() int           { return len(l.claims) }
func (l *seatLine) Less(i, j int) bool { return l.compare(l.claims[i], l.claims[j]) < 0 }

func (l *seatLine) Swap(i, j int) {
	l.claims[i], l.claims[j] = l.claims[j], l.claims[i]
	l.claims[i].place, l.claims[j].place = i, j
}

// Push is called by package heap.
func (l *seatLine) Push(x any) {
	c := x.(*seatClaim)
	c.line, c.place = l, len(l.claims)
	l.claims = append(l.claims, c)
}

// Pop is called by package heap.
func (l *seatLine) Pop() any {
	last := len(l.claims) - 1
	c := l.claims[last]
	l.claims[last], l.claims, c.line = nil, l.claims[:last], nil
	return c
}

// first in line; nil for nobody.
func (l *seatLine) first() *seatClaim {
	if len(l.claims) == 0 {
		return nil
	}
	return l.claims[0]
}

func newSeats() *seats {
	return &seats{
		people:  map[string]*seatClaim{},
		waiting: seatLine{compare: (*seatClaim).compareAge},
		ahead:   seatLine{compare: (*seatClaim).compareStart},
	}
}

// claim of a person, made where there is none.
func (s *seats) claim(name string) *seatClaim {
	c := s.people[name]
	if c == nil {
		c = &seatClaim{name: name}
		s.people[name] = c
	}
	return c
}

// edit changes a claim, and settles what counts it.
func (s *seats) edit(c *seatClaim, change func()) {
	if c.line != nil {
		heap.Remove(c.line, c.place)
	}
	taken, kept := c.taken, c.keeps()
	change()
	c.taken = c.taken && (c.used || c.entitled()) // nothing has to be taken back from who never knew
	s.taken += one(c.taken) - one(taken)
	s.kept += one(c.keeps()) - one(kept)
	switch {
	case c.taken:
	case !c.known:
		delete(s.people, c.name)
	case c.entitled():
		heap.Push(&s.waiting, c)
	case c.wants && c.span == spanAhead:
		heap.Push(&s.ahead, c)
	}
}

// look takes in the time.
func (s *seats) look(c *seatClaim, now time.Time) {
	if at := c.spanAt(now); at != c.span {
		s.edit(c, func() { c.span = at })
	}
}

// set takes in a person as they are now.
func (s *seats) set(v *AgentView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.claim(v.Name)
	created, wants := v.Created.Unix(), !v.Leaving && !v.Deactivated && v.License != v1alpha1.LicenseNone
	if c.known && c.created == created && c.wants == wants && sameEmployment(c.employment, v.Employment) {
		c.employment = v.Employment // that of the object which is kept anyway
		return
	}
	s.edit(c, func() {
		c.known, c.created, c.wants, c.employment = true, created, wants, v.Employment
		c.told = c.told && wants
		c.span = spanWithin
		if v.Employment != nil && v.Employment.StartTime != nil {
			c.span = spanAhead // until the time is looked at
		}
	})
}

func sameEmployment(a, b *v1alpha1.Employment) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.StartTime.Equal(b.StartTime) && a.EndTime.Equal(b.EndTime)
}

// remove forgets a person. A seat that they have stays taken until it is given back.
func (s *seats) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.people[name]; c != nil {
		s.edit(c, func() { c.known, c.wants = false, false })
	}
}

// settle gives the seats that are free to those who are next, and takes seats from the youngest while there are
// fewer than people who are to keep theirs. It returns whom this concerns, who have to ask again.
func (s *seats) settle(now time.Time) (called []string) {
	if s.limit == nil {
		return nil
	}
	limit := int(*s.limit)
	for c := s.ahead.first(); c != nil && c.spanAt(now) != spanAhead; c = s.ahead.first() {
		s.look(c, now)
	}
	if s.kept > limit { // somebody may keep theirs again who was on their way out
		called = s.shrink(now)
	}
	for c := s.waiting.first(); c != nil && s.taken < limit; c = s.waiting.first() {
		if s.look(c, now); !c.entitled() {
			continue
		}
		s.edit(c, func() { c.taken = true })
		if c.told { // the others ask by themselves
			c.told = false
			called = append(called, c.name)
		}
	}
	return called
}

// shrink takes seats away where there are more than there may be: from whoever is entitled to none any more; those
// that nobody uses yet, which are free at once; then from the youngest, until those who are to keep theirs are few
// enough. It returns whom this concerns, who have to ask again.
func (s *seats) shrink(now time.Time) (called []string) {
	if s.limit == nil || s.taken <= int(*s.limit) {
		return nil
	}
	var keep []*seatClaim
	for _, c := range s.people {
		s.look(c, now)
		switch {
		case c.keeps():
			keep = append(keep, c)
		case c.taken:
			c.revoked = true
		}
	}
	slices.SortFunc(keep, func(a, b *seatClaim) int { return cmp.Or(one(a.used)-one(b.used), b.compareAge(a)) })
	for _, c := range keep {
		switch {
		case !c.used && s.taken > int(*s.limit):
			s.edit(c, func() { c.taken = false }) // and has still to ask
		case c.used && s.kept > int(*s.limit):
			s.edit(c, func() { c.revoked = true })
			called = append(called, c.name)
		}
	}
	return called
}

// SetSeats sets how many people may have a seat; nil for no limit. It returns the people whom that concerns, sorted,
// who have to ask again: those who lose theirs and all who wait. Nobody gets one before somebody asks, because it
// may not be known yet who has one.
func (d *Directory) SetSeats(limit *int32, now time.Time) []string {
	s := d.seats
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit == limit || s.limit != nil && limit != nil && *s.limit == *limit {
		return nil
	}
	s.limit = limit
	var called []string
	for _, c := range s.people {
		if c.told {
			called = append(called, c.name)
		}
		if at := c.spanAt(now); at != c.span || c.revoked {
			// Who has not heard yet of losing theirs keeps it, if there are enough now.
			s.edit(c, func() { c.span, c.revoked = at, c.revoked && c.told })
		}
	}
	called = append(called, s.shrink(now)...)
	slices.Sort(called)
	return called
}

// LoadSeats takes in who has a seat as far as the telephone system has recorded it. A seat given and not recorded yet
// stays given. Everybody has to ask afterwards.
func (d *Directory) LoadSeats(holders iter.Seq[string], now time.Time) {
	s := d.seats
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range holders {
		c := s.claim(name)
		s.edit(c, func() { c.taken, c.used = true, true })
	}
	s.shrink(now)
}

// SeatsLeft are the names of those who have a seat and exist no more, in no order.
func (d *Directory) SeatsLeft() (names []string) {
	s := d.seats
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, c := range s.people {
		if !c.known {
			names = append(names, name)
		}
	}
	return names
}

// Seating is the answer to a person who asks for a seat.
type Seating struct {
	// Held says that the person has one.
	Held bool
	// Limit is how many there are; nil for no limit.
	Limit *int32
	// Called are others whom the answer concerns, who have to ask again.
	Called []string
}

// AskSeat says whether a person has a seat at now.
func (d *Directory) AskSeat(agent string, now time.Time) Seating {
	s := d.seats
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.people[agent]
	if c == nil {
		return Seating{Limit: s.limit}
	}
	s.look(c, now)
	if s.limit == nil && c.entitled() && !c.taken {
		s.edit(c, func() { c.taken = true })
	}
	called := slices.DeleteFunc(s.settle(now), func(name string) bool { return name == agent })
	held := c.keeps()
	c.used, c.told = c.used || held, c.entitled() && !held
	return Seating{Held: held, Limit: s.limit, Called: called}
}

// ReleaseSeat notes that the telephone system has recorded that a person has no seat. It returns the people who have
// to ask again, because they have one now.
func (d *Directory) ReleaseSeat(agent string, now time.Time) []string {
	s := d.seats
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.people[agent]; c != nil && c.used {
		s.edit(c, func() { c.taken, c.used, c.revoked = false, false, false })
		c.told = c.entitled()
		if s.limit == nil && c.told {
			return []string{agent} // the limit was lifted meanwhile
		}
	} // a seat that was given since the person asked is still theirs
	return s.settle(now)
}

// Seats counts who has a seat and who waits for one.
func (d *Directory) Seats() v1alpha1.SeatsStatus {
	s := d.seats
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := v1alpha1.SeatsStatus{Used: int32(s.taken)}
	if s.limit != nil {
		free := max(0, int(*s.limit)-s.taken) // about to be given to those who are next
		counts.Waiting = int32(max(0, s.waiting.Len()-free))
	}
	return counts
}
