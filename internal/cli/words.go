package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
)

// people finds an Agent by name; nil where it does not exist or may not be read.
type people func(name string) *v1alpha1.Agent

// holding says in words who holds a case and why, the most important first.
func holding(a *v1alpha1.CaseAssignment, find people, zone *time.Location, now time.Time) []string {
	var lines []string
	switch {
	case a.Status.Phase == "":
		return []string{"Roster has not looked at it yet"}
	case a.Status.Phase == v1alpha1.CasePhaseCompleted:
		lines = append(lines, "completed: nobody holds it")
	case len(a.Status.Assignees) == 0:
		lines = append(lines, "nobody holds it")
	default:
		lines = append(lines, responsible(a, find, zone, now))
	}
	for _, complaint := range complaints(a) {
		if !strings.Contains(lines[0], complaint) {
			lines = append(lines, complaint)
		}
	}
	return lines
}

// responsible says who has the responsible person's place, and who holds the case beside.
func responsible(a *v1alpha1.CaseAssignment, find people, zone *time.Location, now time.Time) string {
	first := a.Status.Assignees[0]
	line := string(first.Name) + " is responsible"
	if first.Covers != "" {
		line = fmt.Sprintf("%s: %s covers%s", absence(first, find, zone, now), first.Name, way(a, first.Via))
	}
	var beside []string
	for _, h := range a.Status.Assignees[1:] {
		beside = append(beside, string(h.Name))
	}
	if len(beside) > 0 {
		line += ", with " + strings.Join(beside, ", ")
	}
	return line
}

func way(a *v1alpha1.CaseAssignment, via v1alpha1.AssignedVia) string {
	switch via {
	case v1alpha1.ViaBackup:
		return " as the backup"
	case v1alpha1.ViaGroup:
		return " out of group " + string(a.Spec.Group)
	}
	return ""
}

// absence says why somebody else is in a person's place, and how long.
func absence(h v1alpha1.EffectiveAssignee, find people, zone *time.Location, now time.Time) string {
	line := string(h.Covers) + " " + causeWords(h.Cause)
	if h.Cause != v1alpha1.CauseOnLeave {
		return line
	}
	if agent := find(string(h.Covers)); agent != nil {
		leave := roster.StandingAt(&agent.Spec, !agent.DeletionTimestamp.IsZero(), now).Leave
		if leave != nil && leave.EndTime != nil {
			line += " until " + showTime(leave.EndTime.Time, zone)
		}
	}
	return line
}

func causeWords(cause v1alpha1.CoverCause) string {
	switch cause {
	case v1alpha1.CauseOnLeave:
		return "is on leave"
	case v1alpha1.CauseDeactivated:
		return "was deactivated"
	case v1alpha1.CausePending:
		return "has not started to work yet"
	case v1alpha1.CauseNoSeat:
		return "waits for a seat"
	case v1alpha1.CauseNoLicense:
		return "has no license for a seat"
	case v1alpha1.CauseUnknown:
		return "is not an Agent of this centre"
	}
	return "cannot take it"
}

// complaints are the conditions that say that something is not as it should be.
func complaints(a *v1alpha1.CaseAssignment) []string {
	var lines []string
	for _, c := range a.Status.Conditions {
		if isComplaint(&c) {
			lines = append(lines, strings.TrimSuffix(c.Message, "."))
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines)
}

// isComplaint says whether a condition is one of which people want to hear: work in progress is not.
func isComplaint(c *metav1.Condition) bool {
	switch c.Type {
	case v1alpha1.ConditionStalled, v1alpha1.ConditionConflicted:
		return c.Status == metav1.ConditionTrue && c.Message != ""
	case v1alpha1.ConditionReady, v1alpha1.ConditionReconciling:
		return false
	}
	return c.Status == metav1.ConditionFalse && c.Message != ""
}

// whatHappened says in words what a line of a case's history tells.
func whatHappened(e v1alpha1.HistoryEntry) string {
	switch {
	case e.Type == roster.HistoryResponsible && e.From == "":
		return e.To + " became responsible"
	case e.Type == roster.HistoryResponsible && e.To == "":
		return e.From + " gave it up, nobody is responsible"
	case e.Type == roster.HistoryResponsible:
		return e.To + " became responsible in place of " + e.From
	case e.Type == roster.HistoryAssignee && e.From == "":
		return e.To + " joined"
	case e.Type == roster.HistoryAssignee && e.To == "":
		return e.From + " left"
	}
	return fmt.Sprintf("%s: %s to %s", e.Type, dash(e.From), dash(e.To))
}

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// notAble says why a person cannot take cases and what to do about it; empty: they can.
func notAble(agent *v1alpha1.Agent, zone *time.Location, now time.Time) string {
	name := agent.Name
	standing := roster.StandingAt(&agent.Spec, !agent.DeletionTimestamp.IsZero(), now)
	switch {
	case !agent.DeletionTimestamp.IsZero():
		return name + " is being deleted"
	case agent.Spec.License == v1alpha1.LicenseNone:
		return name + " has license None, and cases need a seat: set spec.license to Seat"
	case standing.Phase == v1alpha1.PhaseOnLeave && standing.Leave.EndTime != nil:
		return fmt.Sprintf("%s is on leave until %s", name, showTime(standing.Leave.EndTime.Time, zone))
	case standing.Phase == v1alpha1.PhaseOnLeave:
		return name + " is on leave: see spec.leaves"
	case standing.Phase == v1alpha1.PhasePending:
		return fmt.Sprintf("%s does not work here before %s", name, showTime(agent.Spec.Employment.StartTime.Time, zone))
	case standing.Phase == v1alpha1.PhaseDeactivated:
		return name + " is deactivated: see spec.state and spec.employment"
	case agent.Status.Phase == "":
		return "Roster has not looked at " + name + " yet: try again in a moment, and see that the manager runs"
	case agent.Status.Phase != v1alpha1.PhaseActive:
		return fmt.Sprintf("%s is %s: try again when the status says Active", name, agent.Status.Phase)
	case agent.Status.Seat == v1alpha1.SeatWaiting:
		return name + " waits for a seat: raise spec.seats of the ContactCenter, or free a seat"
	case agent.Status.Seat != v1alpha1.SeatHeld:
		return name + " holds no seat yet: try again when status.seat says Held"
	}
	return ""
}
