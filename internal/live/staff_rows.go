package live

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unique"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

// Row is a person in one queue and channel, as they were at one moment; it does not change. Of a channel of a queue that
// nobody serves there is one row without a person.
type Row struct {
	Queue string `json:"queue"`
	// QueueDisplayName is empty where the queue has none.
	QueueDisplayName string   `json:"queueDisplayName,omitempty"`
	Supervisors      []string `json:"supervisors,omitempty"`
	Channel          string   `json:"channel"`
	Agent            string   `json:"agent,omitempty"`
	DisplayName      string   `json:"displayName,omitempty"`
	Group            string   `json:"group,omitempty"`
	Stars            int32    `json:"stars,omitempty"`
	// Via is how the person came in: Direct, Group/<name>, Team/<name>; sorted.
	Via   []v1alpha1.Way `json:"via,omitempty"`
	Color roster.Color   `json:"color,omitempty"`
	// Detail says in a few words why the color.
	Detail string `json:"detail,omitempty"`
	// Since is when the color became this, or when it was first seen by this process; zero while no server was
	// ever watched.
	Since time.Time `json:"since,omitzero"`
}

// Filter lets rows through that have one of the values in each of its lists that is not empty.
type Filter struct {
	Queues, Groups, Agents, Channels, Colors []string
}

// Colors are the names of all colors.
var Colors = []string{
	string(roster.Grey), string(roster.Orange), string(roster.Red), string(roster.Green), string(roster.NotObserved),
}

// Channels are the names of all channels, in the order of rows.
var Channels = []string{
	string(v1alpha1.ChannelVoice), string(v1alpha1.ChannelChat), string(v1alpha1.ChannelEmail),
	string(v1alpha1.ChannelSMS), string(v1alpha1.ChannelFax), string(v1alpha1.ChannelVoicemail),
}

var voiceOnly = []v1alpha1.Channel{v1alpha1.ChannelVoice}

func (f *Filter) lets(r *Row) bool {
	in := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	return in(f.Queues, r.Queue) && in(f.Channels, r.Channel) && in(f.Agents, r.Agent) &&
		in(f.Groups, r.Group) && in(f.Colors, string(r.Color))
}

// rowKey tells rows apart.
type rowKey struct{ queue, channel, agent string }

func (r *Row) key() rowKey { return rowKey{r.Queue, r.Channel, r.Agent} }

func (k rowKey) compare(other rowKey) int {
	switch {
	case k.queue != other.queue:
		return strings.Compare(k.queue, other.queue)
	case k.channel != other.channel:
		return cmp.Compare(slices.Index(Channels, k.channel), slices.Index(Channels, other.channel))
	}
	return strings.Compare(k.agent, other.agent)
}

func (r *Row) equal(other *Row) bool {
	return r.key() == other.key() && r.QueueDisplayName == other.QueueDisplayName &&
		slices.Equal(r.Supervisors, other.Supervisors) && r.DisplayName == other.DisplayName &&
		r.Group == other.Group && r.Stars == other.Stars && slices.Equal(r.Via, other.Via) &&
		r.Color == other.Color && r.Detail == other.Detail && r.Since.Equal(other.Since)
}

// state is a color and why.
type state struct {
	color  roster.Color
	detail string
}

// mark is the state of one row and since when, in Unix seconds. Most rows share their states with many others.
type mark struct {
	state unique.Handle[state]
	since int64
}

// sighted are the states of a person's rows.
type sighted struct {
	observed bool
	states   []unique.Handle[state]
}

// statesOf decides what a person's rows tell, in the order of places.
func statesOf(agent *v1alpha1.Agent, sight Sight) sighted {
	result := sighted{observed: sight.Observed, states: make([]unique.Handle[state], 0, len(agent.Status.Queues))}
	everywhere := pausedEverywhere(agent, sight)
	places(agent, func(m *v1alpha1.QueueMembership, channel v1alpha1.Channel) {
		here := sight.Members[string(m.Name)]
		color, detail := roster.LiveState(&roster.Observation{
			Phase: agent.Status.Phase, Channel: channel, Observed: sight.Observed,
			Registered: sight.Device != telephony.DeviceUnavailable,
			Ringing:    sight.Device == telephony.DeviceRinging, InUse: sight.Device == telephony.DeviceInUse,
			InCallHere: here.InCall, PausedHere: here.Paused, PausedEverywhere: everywhere, PauseReason: here.PauseReason,
		})
		result.states = append(result.states, unique.Make(state{color, detail}))
	})
	return result
}

// places goes through the queues and channels that a person serves.
func places(agent *v1alpha1.Agent, visit func(*v1alpha1.QueueMembership, v1alpha1.Channel)) {
	for i := range agent.Status.Queues {
		m := &agent.Status.Queues[i]
		for _, channel := range m.Channels {
			visit(m, channel)
		}
	}
}

func pausedEverywhere(agent *v1alpha1.Agent, sight Sight) bool {
	voice := false
	for i := range agent.Status.Queues {
		m := &agent.Status.Queues[i]
		if !slices.Contains(m.Channels, v1alpha1.ChannelVoice) {
			continue
		}
		if !sight.Members[string(m.Name)].Paused {
			return false
		}
		voice = true
	}
	return voice
}

// carry gives states to an agent's places; a color that was there before goes on from when it was.
func carry(before *person, agent *v1alpha1.Agent, states []unique.Handle[state], now int64) []mark {
	marks := make([]mark, len(states))
	for i, s := range states {
		marks[i] = mark{s, now}
	}
	if before.marks == nil {
		return marks
	}
	keep := func(to, from int) {
		if old := before.marks[from]; old.state.Value().color == marks[to].state.Value().color {
			marks[to].since = old.since
		}
	}
	if before.agent == agent {
		for i := range marks {
			keep(i, i)
		}
		return marks
	}
	type place struct {
		queue   v1alpha1.ObjectName
		channel v1alpha1.Channel
	}
	was := make(map[place]int, len(before.marks))
	places(before.agent, func(m *v1alpha1.QueueMembership, channel v1alpha1.Channel) {
		was[place{m.Name, channel}] = len(was)
	})
	i := 0
	places(agent, func(m *v1alpha1.QueueMembership, channel v1alpha1.Channel) {
		if from, ok := was[place{m.Name, channel}]; ok {
			keep(i, from)
		}
		i++
	})
	return marks
}

// rowsOf are a person's rows.
func (c *staffCenter) rowsOf(p *person, yield func(*Row)) {
	var blind []unique.Handle[state]
	if p.marks == nil {
		blind = statesOf(p.agent, Sight{}).states
	}
	i := 0
	places(p.agent, func(m *v1alpha1.QueueMembership, channel v1alpha1.Channel) {
		r := &Row{
			Queue: string(m.Name), Channel: string(channel), Agent: p.agent.Name,
			DisplayName: string(p.agent.Spec.DisplayName), Group: string(p.agent.Status.Group), Stars: m.Stars, Via: m.Via,
		}
		if q := c.queues[r.Queue]; q != nil {
			r.QueueDisplayName, r.Supervisors = q.displayName, q.supervisors
		}
		if r.DisplayName == "" {
			r.DisplayName = r.Agent
		}
		var s state
		if p.marks == nil {
			s = blind[i].Value()
		} else {
			s = p.marks[i].state.Value()
			r.Since = time.Unix(p.marks[i].since, 0).UTC()
		}
		r.Color, r.Detail = s.color, s.detail
		i++
		yield(r)
	})
}

// vacant are the rows of a queue's channels that nobody serves.
func (c *staffCenter) vacant(queue string, yield func(*Row)) {
	q := c.queues[queue]
	if q == nil {
		return
	}
	for _, channel := range q.channels {
		if q.serving[channel] == 0 {
			yield(&Row{
				Queue: q.name, QueueDisplayName: q.displayName, Supervisors: q.supervisors,
				Channel: string(channel), Detail: "nobody",
			})
		}
	}
}

// rowsAround are the rows that a change of one person in these queues can touch.
func (c *staffCenter) rowsAround(agent string, queues []string) func(func(*Row)) {
	return func(yield func(*Row)) {
		if p := c.people[agent]; p != nil && p.agent != nil {
			c.rowsOf(p, yield)
		}
		for _, q := range queues {
			c.vacant(q, yield)
		}
	}
}

// rowsOfQueue are all rows of a queue.
func (c *staffCenter) rowsOfQueue(queue string) func(func(*Row)) {
	return func(yield func(*Row)) {
		q := c.queues[queue]
		if q == nil {
			return
		}
		for p := range q.people {
			c.rowsOf(p, func(r *Row) {
				if r.Queue == queue {
					yield(r)
				}
			})
		}
		c.vacant(queue, yield)
	}
}

// list gives the rows that a filter lets through to yield, one queue at a time.
func (c *staffCenter) list(filter *Filter, sub *Subscription, yield func([]*Row) bool) {
	cursor := ""
	for {
		c.mu.RLock()
		q := c.after(cursor, filter)
		if q == nil {
			if sub != nil {
				sub.listed()
			}
			c.mu.RUnlock()
			return
		}
		cursor = q.name
		var rows []*Row
		c.some(q, filter, func(r *Row) {
			if filter.lets(r) {
				rows = append(rows, r)
			}
		})
		if sub != nil {
			sub.reach(cursor)
		}
		c.mu.RUnlock()
		slices.SortFunc(rows, func(a, b *Row) int { return a.key().compare(b.key()) })
		if len(rows) > 0 && !yield(rows) {
			return
		}
	}
}

// some are rows of a queue, all among them that a filter lets through.
func (c *staffCenter) some(q *staffQueue, filter *Filter, yield func(*Row)) {
	if len(filter.Agents) == 0 {
		c.rowsOfQueue(q.name)(yield)
		return
	}
	for i, name := range filter.Agents {
		if p := c.people[name]; p != nil && !slices.Contains(filter.Agents[:i], name) {
			c.rowsOf(p, func(r *Row) {
				if r.Queue == q.name {
					yield(r)
				}
			})
		}
	}
}

// after is the first queue after a name that a filter lets through; nil where there is none.
func (c *staffCenter) after(name string, filter *Filter) (next *staffQueue) {
	consider := func(q *staffQueue) {
		if q != nil && q.name > name && (next == nil || q.name < next.name) {
			next = q
		}
	}
	if len(filter.Queues) > 0 {
		for _, wanted := range filter.Queues {
			consider(c.queues[wanted])
		}
		return next
	}
	for _, q := range c.queues {
		consider(q)
	}
	return next
}
