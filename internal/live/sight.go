package live

import (
	"sync"

	"roster.dev/roster/internal/telephony"
)

// Sight is what the servers of a centre see of one person now.
type Sight struct {
	// Observed says that at least one server is being watched.
	Observed bool
	// Device is the most active state of the person's phone on any server.
	Device telephony.DeviceState
	// Members are the person's places in queues, by queue, as the servers hold them. It is not to be changed.
	Members map[string]MemberSight
}

// MemberSight is what the servers see of a person in one queue.
type MemberSight struct {
	Paused      bool
	PauseReason string
	// InCall says that the person is in a call of this queue.
	InCall bool
}

// Channel is a call of a person's phone.
type Channel struct {
	Server, Name string
	// ListensTo is the person whose call it listens to; empty where it does not.
	ListensTo string
}

// board is what the servers of one centre see.
type board struct {
	mu      sync.RWMutex
	servers map[string]*view
	// The servers read one database: of what they say about a member the last word counts.
	people map[string]map[string]*seat // agent → queue
	queues map[string]map[string]*seat // queue → agent
}

// view is what one server sees.
type view struct {
	watched  bool
	devices  map[string]telephony.DeviceState
	channels map[string]call
	byAgent  map[string]map[string]struct{} // agent → channels
	// told are the people told of since a question was asked.
	told map[telephony.Query]map[string]struct{}
}

type call struct{ agent, target, targetAgent string }

// seat is a person's place in one queue.
type seat struct {
	MemberSight
	// inCall are the servers on which the person is in a call of the queue.
	inCall map[string]struct{}
}

func newBoard() *board {
	return &board{servers: map[string]*view{}, people: map[string]map[string]*seat{}, queues: map[string]map[string]*seat{}}
}

func newView() *view {
	return &view{
		devices: map[string]telephony.DeviceState{}, channels: map[string]call{},
		byAgent: map[string]map[string]struct{}{}, told: map[telephony.Query]map[string]struct{}{},
	}
}

// sight is what is seen of a person.
func (b *board) sight(agent string) Sight {
	b.mu.RLock()
	defer b.mu.RUnlock()
	s := Sight{}
	for _, v := range b.servers {
		s.Observed = s.Observed || v.watched
		s.Device = max(s.Device, v.devices[agent])
	}
	if places := b.people[agent]; len(places) > 0 {
		s.Members = make(map[string]MemberSight, len(places))
		for queue, p := range places {
			s.Members[queue] = p.MemberSight
		}
	}
	return s
}
