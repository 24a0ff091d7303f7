package roster

import (
	"testing"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

func leave(start, end string, reason v1alpha1.Reason) v1alpha1.Leave {
	l := v1alpha1.Leave{StartTime: stamp(start), Reason: reason}
	if end != "" {
		l.EndTime = ptr(end)
	}
	return l
}

func TestStandingAtC1B1B2(t *testing.T) {
	employed := &v1alpha1.Employment{StartTime: ptr("08:00:00"), EndTime: ptr("18:00:00")}
	tests := []struct {
		name    string
		reason  string
		spec    v1alpha1.AgentSpec
		deleted bool
		now     string
		phase   v1alpha1.AgentPhase
		cause   Cause
		leave   v1alpha1.Reason // of the leave that rules
		next    string
	}{
		{name: "EmptySpec", reason: "a person of whom nothing is said works, for ever", now: "12:00:00", phase: "Active"},
		{
			name: "BeforeStart", reason: "the last second before the start is not work",
			spec: v1alpha1.AgentSpec{Employment: employed}, now: "07:59:59", phase: "Pending", next: "08:00:00",
		},
		{
			name: "AtStart", reason: "the start itself is work, and the end is what comes next",
			spec: v1alpha1.AgentSpec{Employment: employed}, now: "08:00:00", phase: "Active", next: "18:00:00",
		},
		{
			name: "LastSecond", reason: "the second before the end is work",
			spec: v1alpha1.AgentSpec{Employment: employed}, now: "17:59:59", phase: "Active", next: "18:00:00",
		},
		{
			name: "AtEnd", reason: "from the end on the person is out, and no clock brings them back",
			spec: v1alpha1.AgentSpec{Employment: employed}, now: "18:00:00", phase: "Deactivated", cause: CauseEnded,
		},
		{
			name: "OpenStart", reason: "a start left out is open",
			spec: v1alpha1.AgentSpec{Employment: &v1alpha1.Employment{EndTime: ptr("18:00:00")}}, now: "00:00:00", phase: "Active", next: "18:00:00",
		},
		{
			name: "OpenEnd", reason: "an end left out is open",
			spec: v1alpha1.AgentSpec{Employment: &v1alpha1.Employment{StartTime: ptr("08:00:00")}}, now: "23:00:00", phase: "Active",
		},
		{
			name: "DeclaredOut", reason: "state rules over employment, leaves and start",
			spec: v1alpha1.AgentSpec{
				State: v1alpha1.StateDeactivated, Employment: employed,
				Leaves: []v1alpha1.Leave{leave("09:00:00", "", v1alpha1.ReasonVacation)},
			},
			now: "07:00:00", phase: "Deactivated", cause: CauseDeclared,
		},
		{
			name: "Deleted", reason: "an object on its way out rules over everything",
			spec: v1alpha1.AgentSpec{State: v1alpha1.StateDeactivated}, deleted: true, now: "12:00:00", phase: "Deactivated", cause: CauseDeleted,
		},
		{
			name: "LeaveAhead", reason: "the leave's start comes before the employment's end",
			spec: v1alpha1.AgentSpec{Employment: employed, Leaves: []v1alpha1.Leave{leave("13:00:00", "14:00:00", "Vacation")}},
			now:  "12:59:59", phase: "Active", next: "13:00:00",
		},
		{
			name: "LeaveBegins", reason: "the first second of the leave is leave",
			spec: v1alpha1.AgentSpec{Employment: employed, Leaves: []v1alpha1.Leave{leave("13:00:00", "14:00:00", "Vacation")}},
			now:  "13:00:00", phase: "OnLeave", leave: "Vacation", next: "14:00:00",
		},
		{
			name: "LeaveOver", reason: "at its end the person is back",
			spec: v1alpha1.AgentSpec{Employment: employed, Leaves: []v1alpha1.Leave{leave("13:00:00", "14:00:00", "Vacation")}},
			now:  "14:00:00", phase: "Active", next: "18:00:00",
		},
		{
			name: "LeaveWithoutEnd", reason: "lasts until it is edited",
			spec: v1alpha1.AgentSpec{Leaves: []v1alpha1.Leave{leave("13:00:00", "", "SickLeave")}},
			now:  "23:00:00", phase: "OnLeave", leave: "SickLeave",
		},
		{
			name: "EndOfWorkOnLeave", reason: "a leave holds nobody in",
			spec: v1alpha1.AgentSpec{Employment: employed, Leaves: []v1alpha1.Leave{leave("13:00:00", "", "SickLeave")}},
			now:  "18:00:00", phase: "Deactivated", cause: CauseEnded,
		},
		{
			name: "LeaveWithoutEndEmployed", reason: "the employment's end is what comes next",
			spec: v1alpha1.AgentSpec{Employment: employed, Leaves: []v1alpha1.Leave{leave("13:00:00", "", "SickLeave")}},
			now:  "14:00:00", phase: "OnLeave", leave: "SickLeave", next: "18:00:00",
		},
		{
			name: "LeaveBeforeStart", reason: "who has not begun is not away",
			spec: v1alpha1.AgentSpec{Employment: employed, Leaves: []v1alpha1.Leave{leave("06:00:00", "09:00:00", "Training")}},
			now:  "07:00:00", phase: "Pending", next: "08:00:00",
		},
		{
			name: "OverlapFirstBegunRules", reason: "the earlier start rules, wherever it stands in the list",
			spec: v1alpha1.AgentSpec{Leaves: []v1alpha1.Leave{leave("13:00:00", "15:00:00", "Vacation"), leave("12:00:00", "14:00:00", "SickLeave")}},
			now:  "13:30:00", phase: "OnLeave", leave: "SickLeave", next: "14:00:00",
		},
		{
			name: "OverlapFirstEnds", reason: "when the first is over the second rules, with no day between",
			spec: v1alpha1.AgentSpec{Leaves: []v1alpha1.Leave{leave("13:00:00", "15:00:00", "Vacation"), leave("12:00:00", "14:00:00", "SickLeave")}},
			now:  "14:00:00", phase: "OnLeave", leave: "Vacation", next: "15:00:00",
		},
		{
			name: "OverlapSecondBegins", reason: "the second's start is named although the first goes on",
			spec: v1alpha1.AgentSpec{Leaves: []v1alpha1.Leave{leave("13:00:00", "15:00:00", "Vacation"), leave("12:00:00", "14:00:00", "SickLeave")}},
			now:  "12:30:00", phase: "OnLeave", leave: "SickLeave", next: "13:00:00",
		},
		{
			name: "SameStart", reason: "of two that began together the first in the list rules",
			spec: v1alpha1.AgentSpec{Leaves: []v1alpha1.Leave{leave("12:00:00", "15:00:00", "Vacation"), leave("12:00:00", "14:00:00", "SickLeave")}},
			now:  "12:30:00", phase: "OnLeave", leave: "Vacation", next: "14:00:00",
		},
		{
			name: "BackToBack", reason: "one leave ends where the next begins: no moment of work between",
			spec: v1alpha1.AgentSpec{Leaves: []v1alpha1.Leave{leave("12:00:00", "13:00:00", "Vacation"), leave("13:00:00", "14:00:00", "SickLeave")}},
			now:  "13:00:00", phase: "OnLeave", leave: "SickLeave", next: "14:00:00",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := StandingAt(&tt.spec, tt.deleted, at(tt.now))
			if s.Phase != tt.phase || s.Cause != tt.cause {
				t.Errorf("%s: got %s %s, want %s %s", tt.reason, s.Phase, s.Cause, tt.phase, tt.cause)
			}
			var ruling v1alpha1.Reason
			if s.Leave != nil {
				ruling = s.Leave.Reason
			}
			if ruling != tt.leave {
				t.Errorf("%s: leave %q rules, want %q", tt.reason, ruling, tt.leave)
			}
			var next time.Time
			if tt.next != "" {
				next = at(tt.next)
			}
			if !s.Next.Equal(next) {
				t.Errorf("%s: next is %s, want %s", tt.reason, stampOf(s.Next), stampOf(next))
			}
		})
	}
}

func TestPhases(t *testing.T) {
	for phase, want := range map[v1alpha1.AgentPhase]struct{ out, working bool }{
		"":                         {false, false},
		v1alpha1.PhasePending:      {false, false},
		v1alpha1.PhaseActive:       {false, true},
		v1alpha1.PhaseOnLeave:      {false, true},
		v1alpha1.PhaseDeactivating: {true, false},
		v1alpha1.PhaseDeactivated:  {true, false},
	} {
		if Out(phase) != want.out || Working(phase) != want.working {
			t.Errorf("%q: out %t, working %t", phase, Out(phase), Working(phase))
		}
	}
}
