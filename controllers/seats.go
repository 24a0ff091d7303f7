package controllers

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/telephony"
)

// recordsLoaded takes in what a telephone system has recorded, before anybody decides by it: who has a seat.
func (op *operator) recordsLoaded(namespace string, records *telephony.Records) {
	op.feed.Directory(namespace).LoadSeats(func(yield func(string) bool) {
		for name, record := range records.Agents {
			if record.Seat == string(v1alpha1.SeatHeld) && !yield(name) {
				return
			}
		}
	}, op.options.Now())
}

// freeSeat notes that the telephone system holds a person without a seat, and looks at those who move up.
func (op *operator) freeSeat(namespace, agent string, now time.Time) {
	op.feed.enqueue(kindAgent, namespace, priorityEdit, 0, op.feed.Directory(namespace).ReleaseSeat(agent, now)...)
}

// limitSeats takes over how many people may have a seat, and looks at those whom a change concerns.
func (s *centerScope) limitSeats() {
	var limit *int32
	if s.object != nil {
		limit = s.object.Spec.Seats
	}
	called := s.feed.Directory(s.namespace).SetSeats(limit, s.options.Now())
	s.feed.enqueue(kindAgent, s.namespace, priorityEdit, 0, called...)
}

// tellSeats tells the event of seats that have run out.
func (s *centerScope) tellSeats() {
	was, is := s.before.Seats, s.object.Status.Seats
	if is == nil || is.Waiting == 0 || was != nil && was.Waiting > 0 || s.object.Spec.Seats == nil {
		return
	}
	s.warning(s.object, reasonWaitingForSeat, "Seats", fmt.Sprintf(
		"waiting for a seat: %d, because all %d are taken: raise spec.seats, deactivate somebody, or set license: None on whoever needs none",
		is.Waiting, *s.object.Spec.Seats))
}

// askForSeat asks for the person's seat. Where it is not known who has one, everybody keeps what their status says.
func (s *agentScope) askForSeat() (held bool) {
	if !s.known {
		return s.before.Seat != v1alpha1.SeatWaiting
	}
	answer := s.feed.Directory(s.agent.Namespace).AskSeat(s.agent.Name, s.now)
	s.feed.enqueue(kindAgent, s.agent.Namespace, priorityEdit, 0, answer.Called...)
	s.seats = answer.Limit
	return answer.Held
}

// seatCommitted notes what is committed of the person's seat.
func (s *agentScope) seatCommitted() {
	if s.effective.Seat != v1alpha1.SeatHeld {
		s.freeSeat(s.agent.Namespace, s.agent.Name, s.now)
	}
}

// rememberSeat adds to the history that a person who works has to wait for a seat, or waits no more.
func (s *agentScope) rememberSeat(status *v1alpha1.AgentStatus, add func(what, from, to, reason string)) {
	switch was, is := s.before.Seat, status.Seat; {
	case was == is:
	case is == v1alpha1.SeatWaiting:
		add("Seat", string(was), string(is), reasonWaitingForSeat)
	case was == v1alpha1.SeatWaiting:
		add("Seat", string(was), string(is), "")
	}
}

// setSeated says of a person who waits for a seat what would help.
func (s *agentScope) setSeated(status *v1alpha1.AgentStatus) {
	reason, message := "", ""
	if s.effective.Seat == v1alpha1.SeatWaiting && s.seats != nil {
		reason = reasonWaitingForSeat
		message = fmt.Sprintf("waits for one of the centre's %d seats, and has until then a phone but no memberships and no cases; %s", *s.seats,
			"the next free seat goes to the Agent that was created first: raise spec.seats of the ContactCenter, deactivate somebody, or set license: None on whoever needs none")
	}
	setOrRemove(&status.Conditions, s.agent.Generation, v1alpha1.ConditionSeated, metav1.ConditionFalse, reason, message)
}

// tellSeat tells the event of a seat that is waited for, or that came.
func (s *agentScope) tellSeat() {
	switch was, is := s.before.Seat, s.agent.Status.Seat; {
	case was == is:
	case is == v1alpha1.SeatWaiting:
		if waits, message := conditionIs(s.agent.Status.Conditions, v1alpha1.ConditionSeated, metav1.ConditionFalse); waits {
			s.warning(s.agent, reasonWaitingForSeat, "Seat", message)
		}
	case was == v1alpha1.SeatWaiting && is == v1alpha1.SeatHeld:
		s.normal(s.agent, "Seated", "Seat", "has a seat now, and all declared memberships")
	}
}
