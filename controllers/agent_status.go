package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

// The CRD's limits: what is beyond them is on the telephone system all the same.
const (
	teamLimit       = 256
	queueLimit      = 512
	viaLimit        = 258
	revocationLimit = 1024
	superviseLimit  = 512
)

// reasonTooManyQueues is reasonTooManyTeams of somebody whose teams all have room.
const reasonTooManyQueues = "TooManyQueues"

const (
	historyLimit  = 20
	summaryLimit  = 48
	listedInTexts = 10
)

// report writes the status, if its meaning changed, and tells the events.
func (s *agentScope) report(ctx context.Context) (ctrl.Result, error) {
	status := &s.agent.Status
	if s.committed {
		s.project(status)
	} else if !s.site.everybody && !s.pending() {
		// Nothing waits: an outage must not rewrite every status.
		return s.result, nil
	} else if s.effective.GoingOut {
		asked := metav1.NewTime(s.effective.RequestedAt)
		status.Deactivation = &v1alpha1.Deactivation{RequestedAt: &asked}
	}
	status.ObservedGeneration = s.agent.Generation
	s.setConditions(status)
	cases := s.feed.Directory(s.agent.Namespace).CasesHeld(s.agent.Name) // they move when the status is seen
	if err := s.writeStatus(ctx); err != nil {
		return ctrl.Result{}, ignoreStale(err)
	}
	s.tellPhase(cases)
	s.tellSeat()
	if again := s.tell(kindAgent, s.agent, s.before.Conditions, status.Conditions); s.result.IsZero() {
		s.result = again
	}
	return s.result, nil
}

// writeStatus writes the status where it changed.
func (s *agentScope) writeStatus(ctx context.Context) error {
	if equality.Semantic.DeepEqual(s.before, &s.agent.Status) {
		return nil
	}
	if err := s.Status().Update(ctx, s.agent); err != nil {
		return err
	}
	s.feed.wrote(kindAgent, s.agent)
	return nil
}

// pending says whether the decision differs from what is known to be committed.
func (s *agentScope) pending() bool {
	if s.known {
		return !s.registered || s.record.Fingerprint != s.desired.Fingerprint()
	}
	would := s.before.DeepCopy()
	s.project(would)
	would.History = s.before.History
	return s.before.ObservedGeneration != s.agent.Generation || !equality.Semantic.DeepEqual(would, s.before)
}

// project writes what is committed into a status, conditions excepted.
func (s *agentScope) project(status *v1alpha1.AgentStatus) {
	e := s.effective
	status.Phase = v1alpha1.AgentPhase(s.desired.Phase)
	status.Group, status.Seat = v1alpha1.ObjectName(e.Group), e.Seat
	status.Teams = nil
	for _, t := range e.Teams[:min(len(e.Teams), teamLimit)] {
		status.Teams = append(status.Teams, v1alpha1.ObjectName(t))
	}
	status.Queues = nil
	names := make([]string, 0, len(e.Queues))
	for _, m := range e.Queues[:min(len(e.Queues), queueLimit)] {
		q := v1alpha1.QueueMembership{Name: v1alpha1.ObjectName(m.Queue.Name), Stars: m.Stars, Channels: m.Channels}
		for _, w := range m.Via[:min(len(m.Via), viaLimit)] {
			q.Via = append(q.Via, v1alpha1.Way(w))
		}
		status.Queues = append(status.Queues, q)
		names = append(names, m.Queue.Name)
	}
	status.QueueSummary = summarize(names, summaryLimit)
	status.Supervises = nil
	for _, q := range e.Supervises[:min(len(e.Supervises), superviseLimit)] {
		status.Supervises = append(status.Supervises, v1alpha1.ObjectName(q))
	}
	status.Revoked = nil
	for _, r := range e.Revoked[:min(len(e.Revoked), revocationLimit)] {
		status.Revoked = append(status.Revoked, v1alpha1.Revocation{
			Kind: r.Kind, Name: v1alpha1.ObjectName(r.Name), Since: metav1.NewTime(r.Since),
		})
	}
	status.Interface = ""
	if s.desired.Phone {
		status.Interface = "PJSIP/" + s.agent.Name
	}
	status.Deactivation = nil
	if d := s.desired.Deactivation; !d.RequestedAt.IsZero() {
		status.Deactivation = &v1alpha1.Deactivation{
			RequestedAt: timeOrNil(d.RequestedAt), OfflineAt: timeOrNil(d.OfflineAt), CompletedAt: timeOrNil(d.CompletedAt),
		}
	}
	status.Handled = nil
	for kind, value := range s.record.Handled {
		if status.Handled == nil {
			status.Handled = map[string]v1alpha1.HandledOrder{}
		}
		status.Handled[string(kind)] = v1alpha1.HandledOrder(value)
	}
	s.remember(status)
}

func timeOrNil(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	m := metav1.NewTime(t)
	return &m
}

// summarize joins names up to a length and says how many more there are.
func summarize(names []string, limit int) string {
	text := ""
	for i, name := range names {
		if i > 0 && len(text)+1+len(name) > limit {
			return fmt.Sprintf("%s +%d", text, len(names)-i)
		}
		if i > 0 {
			text += ","
		}
		text += name
	}
	return text
}

// remember adds to the history what changed between the status as read and the status as it is to be.
func (s *agentScope) remember(status *v1alpha1.AgentStatus) {
	add := func(what, from, to, reason string) {
		status.History = append(status.History, v1alpha1.HistoryEntry{
			Time: metav1.NewTime(s.moment()), Type: what, From: from, To: to, Reason: reason,
		})
	}
	if s.before.Phase != status.Phase {
		add("Phase", string(s.before.Phase), string(status.Phase), s.phaseReason(status.Phase))
	}
	if s.before.Phase != "" { // what a person begins with is no change
		if s.before.Group != status.Group {
			add("Group", string(s.before.Group), string(status.Group), "")
		}
		s.rememberSeat(status, add)
		membershipReason := ""
		if s.effective.GoingOut {
			membershipReason = reasonDeactivated
		}
		addDifference(s.before.Teams, status.Teams, func(from, to v1alpha1.ObjectName) {
			add("Team", string(from), string(to), membershipReason)
		})
		addDifference(queueNames(s.before.Queues), queueNames(status.Queues), func(from, to v1alpha1.ObjectName) {
			add("Queue", string(from), string(to), membershipReason)
		})
		addDifference(s.before.Supervises, status.Supervises, func(from, to v1alpha1.ObjectName) {
			add("Supervises", string(from), string(to), membershipReason)
		})
	}
	if n := len(status.History); n > historyLimit {
		status.History = slices.Clone(status.History[n-historyLimit:])
	}
}

func addDifference(before, after []v1alpha1.ObjectName, add func(from, to v1alpha1.ObjectName)) {
	for _, x := range before {
		if !slices.Contains(after, x) {
			add(x, "")
		}
	}
	for _, x := range after {
		if !slices.Contains(before, x) {
			add("", x)
		}
	}
}

func queueNames(queues []v1alpha1.QueueMembership) []v1alpha1.ObjectName {
	names := make([]v1alpha1.ObjectName, len(queues))
	for i := range queues {
		names[i] = queues[i].Name
	}
	return names
}

func (s *agentScope) phaseReason(phase v1alpha1.AgentPhase) string {
	switch {
	case phase == v1alpha1.PhaseOnLeave:
		return s.effective.PauseReason
	case roster.Out(phase):
		return string(s.effective.Cause)
	case s.before.Phase == "":
		return "Created"
	case s.before.Phase == v1alpha1.PhaseOnLeave:
		return "LeaveEnded"
	case s.before.Phase == v1alpha1.PhasePending:
		return "EmploymentStarted"
	case roster.Out(s.before.Phase):
		return "Reactivated"
	}
	return ""
}

// setConditions writes the verdict and what there is to say besides.
func (s *agentScope) setConditions(status *v1alpha1.AgentStatus) {
	c, g := &status.Conditions, s.agent.Generation
	s.verdict.set(c, g)

	problem := s.credentials.problem
	missing, rejected, text := "", "", s.missing
	if text != "" {
		missing = reasonMissingReference
	}
	switch {
	case problem.ready():
	case s.credentials.rejected:
		rejected = problem.reason
	default:
		missing, text = problem.reason, problem.message
	}
	setOrRemove(c, g, v1alpha1.ConditionPasswordAccepted, metav1.ConditionFalse, rejected, problem.message)
	setOrRemove(c, g, v1alpha1.ConditionReferencesResolved, metav1.ConditionFalse, missing, text)

	if !s.committed {
		if s.verdict.reason == roster.ReasonNameTaken {
			setCondition(c, g, v1alpha1.ConditionConflicted, metav1.ConditionTrue, roster.ReasonNameTaken, s.verdict.message)
		}
		return // the others tell of what is committed
	}
	reason, message := s.conflict()
	setOrRemove(c, g, v1alpha1.ConditionConflicted, metav1.ConditionTrue, reason, message)
	reason, message = s.revocations()
	setOrRemove(c, g, v1alpha1.ConditionRevoked, metav1.ConditionTrue, reason, message)
	s.setOffline(status)
	s.setSeated(status)
	reason, message = s.unmonitored()
	setOrRemove(c, g, v1alpha1.ConditionMonitoringComplete, metav1.ConditionFalse, reason, message)
	reason = ""
	if len(s.invalidOrders) > 0 {
		reason = reasonInvalidOrder
	}
	setOrRemove(c, g, v1alpha1.ConditionOrdersValid, metav1.ConditionFalse, reason, strings.Join(s.invalidOrders, "; "))
}

// setOffline says of a person who is out whether the phone is known to be off.
func (s *agentScope) setOffline(status *v1alpha1.AgentStatus) {
	c, g := &status.Conditions, s.agent.Generation
	switch {
	case !roster.Out(status.Phase):
		removeConditions(c, v1alpha1.ConditionOffline)
	case s.draining != "":
		setCondition(c, g, v1alpha1.ConditionOffline, metav1.ConditionFalse, reasonDraining, s.draining)
	case len(s.unwatched) > 0:
		setCondition(c, g, v1alpha1.ConditionOffline, metav1.ConditionUnknown, reasonServersDown,
			enumerate("server", s.unwatched)+" cannot be asked whether the phone is off; it is settled when they return")
	default:
		removeConditions(c, v1alpha1.ConditionOffline)
	}
}

// conflict says which of the person's claims somebody else holds.
func (s *agentScope) conflict() (reason, message string) {
	var texts []string
	if lost := s.effective.LostTo; len(lost) > 0 {
		reason = reasonHeldByOther
		texts = append(texts, fmt.Sprintf("%s is held by group %s and listed in vain by %s: take them off all but one",
			s.agent.Name, s.effective.Group, enumerate("group", lost)))
	}
	if by := s.declared.ExtensionTakenBy; by != "" && roster.Working(s.effective.Phase) {
		reason = reasonExtensionTaken
		texts = append(texts, fmt.Sprintf("extension %s is held by %s, which is older: choose another",
			s.agent.Spec.Endpoint.Extension, by))
	}
	return reason, strings.Join(texts, "; ")
}

// revocations says what is without effect, and how it is given back.
func (s *agentScope) revocations() (reason, message string) {
	if len(s.effective.Revoked) == 0 {
		return "", ""
	}
	names := make([]string, 0, len(s.effective.Revoked))
	for _, r := range s.effective.Revoked {
		names = append(names, string(r.Kind)+" "+r.Name)
	}
	return reasonDeactivated, fmt.Sprintf(
		"without effect since a deactivation: %s; to give them back list them in spec.reinstated with a time at or after status.revoked[].since, or set spec.onReactivation: Restore",
		enumerate("", names))
}

// unmonitored says for which of the person's teams and queues there is no room in the labels.
func (s *agentScope) unmonitored() (reason, message string) {
	var in []string
	if queues := s.effective.Unmonitored.Queues; len(queues) > 0 {
		reason, in = reasonTooManyQueues, append(in, enumerate("queue", queues))
	}
	if teams := s.effective.Unmonitored.Teams; len(teams) > 0 {
		reason, in = reasonTooManyTeams, append(in, enumerate("team", teams))
	}
	if reason == "" {
		return "", ""
	}
	return reason, "Asterisk has no room in the list of who may listen to whom for " + strings.Join(in, ", nor for ") +
		": supervisors of those cannot listen, nor be listened to there; take the person out of some"
}

// enumerate lists names, at most a readable number of them.
func enumerate(noun string, names []string) string {
	text := strings.Join(names[:min(len(names), listedInTexts)], ", ")
	if more := len(names) - listedInTexts; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	if noun != "" {
		text = noun + " " + text
	}
	return text
}

// tellOrders tells the events of the orders that were carried out.
func (s *agentScope) tellOrders() {
	for _, o := range s.orders {
		because := ""
		if o.Reason != "" {
			because = " (" + o.Reason + ")"
		}
		switch {
		case o.Skip:
		case o.Kind == roster.OrderLogout:
			s.normal(s.agent, "LoggedOut", "Logout", "the phone's registrations were ended"+because+"; it may register again")
		case o.Kind == roster.OrderPause:
			s.normal(s.agent, "Paused", "Pause", "paused in every voice queue"+because)
		case o.Kind == roster.OrderUnpause:
			s.normal(s.agent, "Unpaused", "Unpause", "every pause was lifted"+because)
		}
	}
	s.orders = nil
}

// tellRepair tells the event of rows that somebody else had changed.
func (s *agentScope) tellRepair(before *telephony.AgentRecord, result *telephony.AgentResult) {
	if !s.suspect {
		return
	}
	s.suspect = false
	onlyNoted := slices.Equal(result.Written, []string{"roster_registry"})
	if !result.Changed || onlyNoted || before.Fingerprint != result.Record.Fingerprint {
		return
	}
	s.operator.drift.repaired(s.agent.Namespace, 1)
	s.warning(s.agent, reasonDrift, "Repair "+enumerate("", result.Written),
		"changed on the telephone system by somebody else, and made as declared again: "+enumerate("", result.Written))
	s.feed.recount(s.agent.Namespace)
}

// tellPhase tells the event of a changed phase, and of so many open cases that the person held until then.
func (s *agentScope) tellPhase(cases int) {
	before, after := s.before, &s.agent.Status
	handedOn := ""
	if cases > 0 && before.Phase == v1alpha1.PhaseActive {
		handedOn = fmt.Sprintf("; %d open cases are handed on", cases)
	}
	if before.Phase != after.Phase && before.Phase != "" {
		switch {
		case after.Phase == v1alpha1.PhaseDeactivated:
			s.normal(s.agent, "Deactivated", "Deactivate",
				fmt.Sprintf("access ended (%s); every queue and team membership is gone, the group stays%s", s.effective.Cause, handedOn))
		case roster.Out(before.Phase):
			s.normal(s.agent, "Reactivated", "Reactivate", "access is back, with the old password")
		default:
			s.normal(s.agent, "PhaseChanged", "Reconcile", fmt.Sprintf("%s, was %s%s", after.Phase, before.Phase, handedOn))
		}
	}
}
