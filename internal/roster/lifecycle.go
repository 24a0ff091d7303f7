package roster

import (
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// Cause says what puts a person out.
type Cause string

// The causes of a deactivation.
const (
	CauseDeclared Cause = "Declared"
	CauseEnded    Cause = "EmploymentEnded"
	CauseDeleted  Cause = "Deleted"
)

// Standing is where declaration and calendar put a person at one moment.
type Standing struct {
	// Phase is Pending, Active, OnLeave or Deactivated; how far a deactivation has come is not the calendar's to say.
	Phase v1alpha1.AgentPhase
	// Leave is the absence that rules while OnLeave.
	Leave *v1alpha1.Leave
	// Cause is set while Deactivated.
	Cause Cause
	// Next is the next moment at which the standing may change by itself; zero for never.
	Next time.Time
}

// StandingAt says where spec puts a person at now. deleted is an object on its way out.
func StandingAt(spec *v1alpha1.AgentSpec, deleted bool, now time.Time) Standing {
	switch {
	case deleted:
		return Standing{Phase: v1alpha1.PhaseDeactivated, Cause: CauseDeleted}
	case spec.State == v1alpha1.StateDeactivated:
		return Standing{Phase: v1alpha1.PhaseDeactivated, Cause: CauseDeclared}
	}
	var start, end time.Time
	if e := spec.Employment; e != nil {
		if e.StartTime != nil {
			start = e.StartTime.Time
		}
		if e.EndTime != nil {
			end = e.EndTime.Time
		}
	}
	if !end.IsZero() && !now.Before(end) {
		return Standing{Phase: v1alpha1.PhaseDeactivated, Cause: CauseEnded}
	}
	if now.Before(start) {
		return Standing{Phase: v1alpha1.PhasePending, Next: start}
	}

	s := Standing{Phase: v1alpha1.PhaseActive, Next: end}
	if s.Leave, s.Next = leaveAt(spec.Leaves, now, s.Next); s.Leave != nil {
		s.Phase = v1alpha1.PhaseOnLeave
	}
	return s
}

// leaveAt is the leave that rules at now, of several the one that began first; nil for none. The next moment at which
// that may change is returned where it is earlier than next.
func leaveAt(leaves []v1alpha1.Leave, now, next time.Time) (rules *v1alpha1.Leave, change time.Time) {
	for i := range leaves {
		leave := &leaves[i]
		next = earliestAfter(now, next, leave.StartTime.Time)
		if leave.EndTime != nil {
			next = earliestAfter(now, next, leave.EndTime.Time)
		}
		if leaveCovers(leave, now) && (rules == nil || leave.StartTime.Time.Before(rules.StartTime.Time)) {
			rules = leave
		}
	}
	return rules, next
}

func leaveCovers(leave *v1alpha1.Leave, now time.Time) bool {
	return !now.Before(leave.StartTime.Time) && (leave.EndTime == nil || now.Before(leave.EndTime.Time))
}

// earliestAfter is the earlier of next (zero: none yet) and candidate, where the candidate is after now.
func earliestAfter(now, next, candidate time.Time) time.Time {
	if candidate.After(now) && (next.IsZero() || candidate.Before(next)) {
		return candidate
	}
	return next
}

// Out says whether a recorded phase is that of a person who has been put out.
func Out(phase v1alpha1.AgentPhase) bool {
	return phase == v1alpha1.PhaseDeactivating || phase == v1alpha1.PhaseDeactivated
}

// Working says whether a person of this phase may hold memberships.
func Working(phase v1alpha1.AgentPhase) bool {
	return phase == v1alpha1.PhaseActive || phase == v1alpha1.PhaseOnLeave
}
