package main

import (
	"context"
	"fmt"
	"time"

	"roster.dev/roster/internal/telephony/asterisk/ami"
)

// fullRead is what it took to read every member of every queue.
type fullRead struct {
	Queues  int `json:"queues"`
	Members int `json:"members"`
	// Seconds from the manager's connecting to the end of the last queue's list.
	Seconds float64 `json:"seconds"`
	Traffic traffic `json:"traffic"`
	// BareSeconds are those of one list of everything.
	BareSeconds float64 `json:"bareSeconds"`
	BareTraffic traffic `json:"bareTraffic"`
}

// fullReading follows a read of every queue, from the manager's next connecting on.
type fullReading struct {
	ours *proxy
	want int
	stop func()

	// Of these only view knows, until done.
	read, members int
	begin, end    time.Time
	done          chan struct{}
}

func (s *pbxSite) newFullRead() *fullReading {
	r := &fullReading{ours: s.ours, want: s.queues, done: make(chan struct{})}
	r.stop = s.ours.view(r.view)
	return r
}

func (r *fullReading) view(m *passed) {
	switch {
	case m.is("Proxy", "Connected"):
		if r.begin.IsZero() {
			r.begin = m.at
		}
	case m.asked || r.begin.IsZero() || r.read == r.want:
	case m.is("Event", "QueueMember"):
		r.members++
	case m.is("Event", "QueueStatusComplete"):
		if r.read++; r.read == r.want {
			r.end = m.at
			close(r.done)
		}
	}
}

// wait waits for the end, and returns how long it took.
func (r *fullReading) wait(ctx context.Context) (time.Duration, error) {
	const patience = 2 * time.Minute
	timer := time.NewTimer(patience)
	defer timer.Stop()
	defer r.stop()
	select {
	case <-r.done:
		return r.end.Sub(r.begin), nil
	case <-timer.C:
		return 0, fmt.Errorf("the manager has not read %d queues within %s", r.want, patience)
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
}

// readAll breaks the manager's connections, and has the bare client read everything too.
func (s *pbxSite) readAll(ctx context.Context) (*fullRead, error) {
	mark, err := s.plane.audit.end()
	if err != nil {
		return nil, err
	}
	result := &fullRead{Queues: s.queues, Members: s.members}
	before, read := s.ours.traffic(), s.newFullRead()
	s.ours.hangUp(false)
	took, err := read.wait(ctx)
	if err != nil {
		return nil, err
	}
	if read.members != s.members {
		return nil, fmt.Errorf("the server told the manager of %d members, not %d", read.members, s.members)
	}
	result.Seconds, result.Traffic = took.Seconds(), s.ours.traffic().since(before)
	if err := s.settle(ctx, mark); err != nil {
		return nil, err
	}
	took, result.BareTraffic, err = s.readBare(ctx)
	result.BareSeconds = took.Seconds()
	return result, err
}

// readBare reads every member of every queue with one action.
func (s *pbxSite) readBare(ctx context.Context) (time.Duration, traffic, error) {
	before, members := s.theirs.traffic(), 0
	begin := time.Now()
	err := s.bare.List(ctx, ami.NewAction("QueueStatus"), func(m *ami.Message) {
		if m.Is("Event", "QueueMember") {
			members++
		}
	})
	took := time.Since(begin)
	if err == nil && members != s.members {
		err = fmt.Errorf("the server has %d members, not %d", members, s.members)
	}
	return took, s.theirs.traffic().since(before), err
}

// stillness is what passed while nothing changed.
type stillness struct {
	Queues  int     `json:"queues"`
	Members int     `json:"members"`
	Seconds float64 `json:"seconds"`
	Traffic traffic `json:"traffic"`
	// Bare is what one list of everything is.
	Bare traffic `json:"bareTraffic"`
}

// hourly scales a number to an hour.
func (x *stillness) hourly(n int64) float64 { return float64(n) * 3600 / x.Seconds }

// standStill watches while nothing changes.
func (s *pbxSite) standStill(ctx context.Context) (*stillness, error) {
	mark, err := s.plane.audit.end()
	if err != nil {
		return nil, err
	}
	if err := s.settle(ctx, mark); err != nil {
		return nil, err
	}
	s.lab.say("watching for %s what passes while nothing changes", s.lab.still)
	result := &stillness{Queues: s.queues, Members: s.members}
	before, begin := s.ours.traffic(), time.Now()
	if err := sleep(ctx, s.lab.still); err != nil {
		return nil, err
	}
	result.Traffic, result.Seconds = s.ours.traffic().since(before), time.Since(begin).Seconds()
	_, result.Bare, err = s.readBare(ctx)
	return result, err
}
