// Package book is what each person holds of the open cases, in memory: client books and agendas.
//
// It is made of the CaseAssignments' status, is kept by their events, and finds a person's cases, and who follows them,
// without looking at anybody else's.
package book

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"roster.dev/roster/api/v1alpha1"
)

// Index is who holds which open case, of every namespace. It is safe for concurrent use.
type Index struct {
	// complete says that the index has every object that there was at the start.
	complete atomic.Bool

	mu      sync.RWMutex
	centers map[string]*center
}

// center is the index of one namespace. Objects are those of the cache, and nothing that can be read from them is kept.
type center struct {
	// cases are those that somebody holds, by name.
	cases map[string]*v1alpha1.CaseAssignment
	// held are they by person, and then by name.
	held map[string]map[string]*v1alpha1.CaseAssignment
	// followers are told of a person's cases; those of nobody, "", of everybody's.
	followers map[string]map[follower]struct{}
}

// follower is told of what becomes of a person's part in a case. It does not wait, and must not ask the index.
type follower interface {
	offer(part part, before, after *v1alpha1.CaseAssignment)
}

// part is a person's part in a case.
type part struct{ agent, assignment string }

// everybody is under whom those are who follow all people.
const everybody = ""

// New makes an empty index.
func New() *Index { return &Index{centers: map[string]*center{}} }

// Complete notes that every object that there was at the start was taken in.
func (x *Index) Complete() { x.complete.Store(true) }

// IsComplete says so.
func (x *Index) IsComplete() bool { return x.complete.Load() }

// Set takes in a case as the cache has it. The object is kept and must not be changed.
func (x *Index) Set(a *v1alpha1.CaseAssignment) {
	if !open(a) {
		x.Remove(a.Namespace, a.Name)
		return
	}
	x.put(a.Namespace, a.Name, a)
}

// Remove takes a case out.
func (x *Index) Remove(namespace, name string) { x.put(namespace, name, nil) }

// open says whether a case is anybody's to work on. One that was reopened is not, until it was given out anew.
func open(a *v1alpha1.CaseAssignment) bool {
	return a.Spec.State != v1alpha1.CaseCompleted && a.Status.Phase != v1alpha1.CasePhaseCompleted &&
		a.DeletionTimestamp.IsZero()
}

// put replaces a case; nil is none.
func (x *Index) put(namespace, name string, after *v1alpha1.CaseAssignment) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.center(namespace)
	before := c.cases[name]
	for _, agent := range holders(before) {
		if holding(after, agent) < 0 {
			c.take(agent, name)
			c.tell(part{agent, name}, before, nil)
		}
	}
	delete(c.cases, name)
	for _, agent := range holders(after) {
		c.cases[name] = after
		c.give(agent, after)
		if holding(before, agent) < 0 {
			c.tell(part{agent, name}, nil, after)
		} else {
			c.tell(part{agent, name}, before, after)
		}
	}
}

func (x *Index) center(namespace string) *center {
	c := x.centers[namespace]
	if c == nil {
		c = &center{
			cases: map[string]*v1alpha1.CaseAssignment{}, held: map[string]map[string]*v1alpha1.CaseAssignment{},
			followers: map[string]map[follower]struct{}{},
		}
		x.centers[namespace] = c
	}
	return c
}

func (c *center) give(agent string, a *v1alpha1.CaseAssignment) {
	if c.held[agent] == nil {
		c.held[agent] = map[string]*v1alpha1.CaseAssignment{}
	}
	c.held[agent][a.Name] = a
}

func (c *center) take(agent, name string) {
	delete(c.held[agent], name)
	if len(c.held[agent]) == 0 {
		delete(c.held, agent)
	}
}

func (c *center) tell(p part, before, after *v1alpha1.CaseAssignment) {
	for _, agent := range []string{p.agent, everybody} {
		for f := range c.followers[agent] {
			f.offer(p, before, after)
		}
	}
}

// hand is what one person holds.
type hand struct {
	agent string
	cases []*v1alpha1.CaseAssignment
}

// hands copies what people hold, in the order of their names; without agents everybody's. Meanwhile nothing changes:
// begin, if there is one, is called at that moment.
func (x *Index) hands(namespace string, agents []string, begin func()) []hand {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if begin != nil {
		begin()
	}
	c := x.centers[namespace]
	if c == nil {
		return nil
	}
	if len(agents) == 0 {
		agents = slices.Collect(maps.Keys(c.held))
	} else {
		agents = slices.Clone(agents)
	}
	slices.Sort(agents)
	agents = slices.Compact(agents)
	hands := make([]hand, 0, len(agents))
	for _, agent := range agents {
		cases := make([]*v1alpha1.CaseAssignment, 0, len(c.held[agent]))
		for _, a := range c.held[agent] {
			cases = append(cases, a)
		}
		hands = append(hands, hand{agent, cases})
	}
	return hands
}

// follow has a follower told of people's cases; without agents of everybody's.
func (x *Index) follow(namespace string, agents []string, f follower) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.center(namespace)
	for _, agent := range followed(agents) {
		if c.followers[agent] == nil {
			c.followers[agent] = map[follower]struct{}{}
		}
		c.followers[agent][f] = struct{}{}
	}
}

func (x *Index) unfollow(namespace string, agents []string, f follower) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c := x.center(namespace)
	for _, agent := range followed(agents) {
		delete(c.followers[agent], f)
		if len(c.followers[agent]) == 0 {
			delete(c.followers, agent)
		}
	}
}

func followed(agents []string) []string {
	if len(agents) == 0 {
		return []string{everybody}
	}
	return agents
}

// holders are the people who hold a case; of none, nobody.
func holders(a *v1alpha1.CaseAssignment) []string {
	if a == nil {
		return nil
	}
	names := make([]string, len(a.Status.Assignees))
	for i := range a.Status.Assignees {
		names[i] = string(a.Status.Assignees[i].Name)
	}
	return names
}

// holding is a person's place among those who hold a case, beginning with 0; -1 where they do not.
func holding(a *v1alpha1.CaseAssignment, agent string) int {
	if a == nil {
		return -1
	}
	return slices.IndexFunc(a.Status.Assignees, func(h v1alpha1.EffectiveAssignee) bool { return string(h.Name) == agent })
}
