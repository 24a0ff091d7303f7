package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony/asterisk/ami"
)

// changes is what it took to bring many people into a queue by one edit, in seconds from the API server's answer.
type changes struct {
	People int `json:"people"`
	// Rows is when the last row was seen.
	Rows float64 `json:"rowsSeconds"`
	// Effective is when the server had answered a refresh that it was asked for after that.
	Effective float64 `json:"effectiveSeconds"`
	// Seen is when it had told the manager of all of them.
	Seen    float64 `json:"seenSeconds"`
	Traffic traffic `json:"traffic"`
	// Refreshes are all that the manager asked for.
	Refreshes []askedRefresh `json:"refreshes"`
	// What a bare client took: with an action for each, all at once or one after the other, and with all rows in one
	// transaction and one refresh.
	Pipelined  float64 `json:"pipelinedSeconds"`
	Sequential float64 `json:"sequentialSeconds"`
	Bulk       float64 `json:"bulkSeconds"`
}

// askedRefresh is a refresh, in seconds from the API server's answer.
type askedRefresh struct {
	Asked    float64 `json:"askedSeconds"`
	Answered float64 `json:"answeredSeconds"`
	// Look is one that asked for all members, and Told how many the server told of.
	Look bool `json:"look"`
	Told int  `json:"told"`
}

const crowdTeam = "crowd"

// createCrowd creates the Team that is brought into queues, and these, empty.
func (s *pbxSite) createCrowd(ctx context.Context) error {
	people := s.lab.load().people
	team := &v1alpha1.Team{ObjectMeta: meta(crowdTeam, nil)}
	for i := range s.lab.changes {
		s.crowd = append(s.crowd, people.agent(i))
		team.Spec.Members = append(team.Spec.Members, v1alpha1.Member{Name: v1alpha1.AgentName(people.agent(i))})
	}
	mark, err := s.plane.audit.end()
	if err != nil {
		return err
	}
	objects := []client.Object{team}
	for run := range s.lab.runs {
		objects = append(objects, queueWith(crowdQueue(run), nil))
		s.queues++
	}
	if err := createAll(ctx, s.plane.client, 1, objects); err != nil {
		return err
	}
	return s.settle(ctx, mark)
}

func crowdQueue(run int) string { return fmt.Sprintf("crowd-%d", run) }

// refresh is a question about a queue that makes the server take over its members.
type refresh struct {
	asked, answered time.Time
	// look is one that asks for all members, and told how many the server told of.
	look bool
	told int
}

// refreshes are those of one queue, by the actions' IDs and in the order in which they were asked.
type refreshes struct {
	queue string
	byID  map[string]*refresh
	list  []*refresh
	// people are those whom the server told of; allTold is when these were want.
	people  map[string]struct{}
	want    int
	allTold time.Time
}

// view takes what passes.
func (r *refreshes) view(m *passed) {
	id := m.get("ActionID")
	if m.asked {
		action := m.get("Action")
		if (action == "QueueSummary" || action == "QueueStatus") && m.get("Queue") == r.queue {
			x := &refresh{asked: m.at, look: action == "QueueStatus" && m.get("Member") == ""}
			r.byID[id] = x
			r.list = append(r.list, x)
		}
		return
	}
	x := r.byID[id]
	switch {
	case x == nil:
	case m.is("Event", "QueueMember"):
		x.told++
		if r.people[m.get("Location")] = struct{}{}; len(r.people) == r.want && r.allTold.IsZero() {
			r.allTold = m.at
		}
	case m.get("EventList") == "Complete":
		x.answered = m.at
	}
}

// effective is when the server had all rows for sure, of which none was there before notAll and all were at all.
func (r *refreshes) effective(notAll, all time.Time) (time.Time, bool) {
	var between, late *refresh
	for _, x := range r.list {
		switch {
		case x.answered.IsZero() || x.asked.Before(notAll):
		case x.asked.Before(all):
			// Whether the last row was there by then was not seen. The manager refreshes after it: what counts is its last.
			if !x.look {
				between = x
			}
		case !x.look:
			return x.answered, true
		case late == nil:
			late = x
		}
	}
	switch {
	case between != nil:
		return between.answered, true
	case late != nil:
		return late.answered, true
	}
	return time.Time{}, false
}

// change brings the crowd into a queue, by the manager and by the bare client.
func (s *pbxSite) change(ctx context.Context, run int) (*changes, error) {
	result := &changes{People: len(s.crowd)}
	if err := s.changeOnce(ctx, crowdQueue(run), result); err != nil {
		return nil, err
	}
	// The manager would take an interest in members that others add: it is kept out.
	s.ours.hangUp(true)
	bare := fmt.Sprintf("bare-%d", run)
	err := s.exec(ctx, "INSERT INTO queues (name, strategy) VALUES (?, 'fewestcalls')", bare)
	if err == nil {
		err = s.changeBare(ctx, bare, result)
	}
	if err = errors.Join(err, s.exec(ctx, "DELETE FROM queues WHERE name = ?", bare)); err != nil {
		return nil, err
	}
	mark, err := s.plane.audit.end()
	if err != nil {
		return nil, err
	}
	read := s.newFullRead()
	s.ours.open()
	if _, err = read.wait(ctx); err != nil {
		return nil, err
	}
	if err := s.awaitConnected(ctx); err != nil {
		return nil, err
	}
	return result, s.settle(ctx, mark)
}

func (s *pbxSite) changeOnce(ctx context.Context, queue string, result *changes) error {
	mark, err := s.plane.audit.end()
	if err != nil {
		return err
	}
	before := s.ours.traffic()
	asked := &refreshes{queue: queue, byID: map[string]*refresh{}, people: map[string]struct{}{}, want: result.People}
	stop := s.ours.view(asked.view)
	defer stop()
	object := &v1alpha1.Queue{ObjectMeta: meta(queue, nil)}
	patch := fmt.Appendf(nil, `{"spec":{"teams":[{"name":%q}]}}`, crowdTeam)
	if err := s.plane.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return err
	}
	answered := time.Now()
	notAll, all, err := s.awaitMembers(ctx, queue, result.People)
	if err != nil {
		return err
	}
	s.members += result.People
	if err := s.settle(ctx, mark); err != nil {
		return err
	}
	stop()
	at, ok := asked.effective(notAll, all)
	if !ok {
		return fmt.Errorf("the manager did not refresh %s after its last member came", queue)
	}
	for _, x := range asked.list {
		result.Refreshes = append(result.Refreshes, askedRefresh{
			Asked: x.asked.Sub(answered).Seconds(), Answered: x.answered.Sub(answered).Seconds(), Look: x.look, Told: x.told,
		})
	}
	if asked.allTold.IsZero() {
		return fmt.Errorf("the server told the manager of %d members of %s, not of %d", len(asked.people), queue, result.People)
	}
	result.Seen = asked.allTold.Sub(answered).Seconds()
	result.Rows, result.Effective = all.Sub(answered).Seconds(), at.Sub(answered).Seconds()
	result.Traffic = s.ours.traffic().since(before)
	return nil
}

// awaitMembers looks until a queue has so many rows. They were not all there at notAll, and all at all.
func (s *pbxSite) awaitMembers(ctx context.Context, queue string, want int) (notAll, all time.Time, err error) {
	const patience = 2 * time.Minute
	for start := time.Now(); ; {
		begin := time.Now()
		n, err := s.count(ctx, "SELECT count(*) FROM queue_members WHERE queue_name = ?", queue)
		now := time.Now()
		switch {
		case err != nil || n == want:
			return notAll, now, err
		case now.Sub(start) > patience:
			return notAll, now, fmt.Errorf("%s has %d members and not %d after %s", queue, n, want, patience)
		}
		notAll = begin
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return notAll, now, err
		}
	}
}

// changeBare brings the crowd into a queue that is not the manager's, and out of it, in three ways.
func (s *pbxSite) changeBare(ctx context.Context, queue string, result *changes) error {
	refresh := ami.NewAction("QueueSummary", "Queue", queue)
	if err := s.bare.List(ctx, refresh, func(*ami.Message) {}); err != nil { // the server gets to know the queue
		return err
	}
	add := func(i int) ami.Action {
		return ami.NewAction("QueueAdd", "Queue", queue, "Interface", "PJSIP/"+s.crowd[i], "MemberName", s.crowd[i], "Penalty", "0")
	}
	remove := func(i int) ami.Action {
		return ami.NewAction("QueueRemove", "Queue", queue, "Interface", "PJSIP/"+s.crowd[i])
	}
	begin := time.Now()
	if err := s.pipeline(ctx, add); err != nil {
		return err
	}
	result.Pipelined = time.Since(begin).Seconds()
	if err := s.pipeline(ctx, remove); err != nil {
		return err
	}
	begin = time.Now()
	for i := range s.crowd {
		if _, err := s.bare.Do(ctx, add(i)); err != nil {
			return err
		}
	}
	result.Sequential = time.Since(begin).Seconds()
	if err := s.pipeline(ctx, remove); err != nil {
		return err
	}
	first, err := s.count(ctx, "SELECT COALESCE(MAX(uniqueid), 0) FROM queue_members")
	if err != nil {
		return err
	}
	begin = time.Now()
	if err := s.insertMembers(ctx, queue, first+1); err != nil {
		return err
	}
	if err := s.bare.List(ctx, refresh, func(*ami.Message) {}); err != nil {
		return err
	}
	result.Bulk = time.Since(begin).Seconds()
	told := 0
	if err := s.bare.List(ctx, ami.NewAction("QueueStatus", "Queue", queue), func(m *ami.Message) {
		if m.Is("Event", "QueueMember") {
			told++
		}
	}); err != nil {
		return err
	}
	if told != len(s.crowd) {
		return fmt.Errorf("the server has %d members in %s, not %d", told, queue, len(s.crowd))
	}
	if err := s.exec(ctx, "DELETE FROM queue_members WHERE queue_name = ?", queue); err != nil {
		return err
	}
	return s.bare.List(ctx, refresh, func(*ami.Message) {})
}

// pipeline asks for an action for each of the crowd without waiting, and returns when all are answered.
func (s *pbxSite) pipeline(ctx context.Context, action func(i int) ami.Action) error {
	answers := make(chan error, len(s.crowd))
	for i := range s.crowd {
		if err := s.bare.Send(ctx, action(i), nil, func(_ *ami.Message, err error) { answers <- err }); err != nil {
			return err
		}
	}
	var first error
	for range s.crowd {
		select {
		case err := <-answers:
			if first == nil {
				first = err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return first
}

// insertMembers writes the rows of the crowd, in one transaction.
func (s *pbxSite) insertMembers(ctx context.Context, queue string, uniqueID int) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	const row, most = "(?, ?, ?, ?, 0, 0, 'no')", 500
	for begin := 0; begin < len(s.crowd); begin += most {
		part := s.crowd[begin:min(begin+most, len(s.crowd))]
		text := "INSERT INTO queue_members (queue_name, interface, membername, uniqueid, penalty, paused, ringinuse) VALUES " +
			row + strings.Repeat(", "+row, len(part)-1)
		args := make([]any, 0, 4*len(part))
		for i, agent := range part {
			args = append(args, queue, "PJSIP/"+agent, agent, uniqueID+begin+i)
		}
		if _, err := tx.ExecContext(ctx, s.statement(text), args...); err != nil {
			return err
		}
	}
	return tx.Commit()
}
