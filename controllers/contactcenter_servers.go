package controllers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/roster"
)

// reportServers writes the states of the centre's servers. One that is down holds nobody up: the centre stays Ready.
func (s *centerScope) reportServers(status *v1alpha1.ContactCenterStatus) {
	status.Managers, status.ManagerSummary = nil, ""
	c, g := &status.Conditions, s.object.Generation
	servers := s.fleet.Servers(s.namespace)
	if len(servers) == 0 || slices.ContainsFunc(servers, func(v live.ServerStatus) bool { return v.State == v1alpha1.ConnectionConnecting }) {
		if len(managersOf(s.object)) == 0 {
			removeConditions(c, v1alpha1.ConditionServersConnected)
			return
		}
		status.Managers, status.ManagerSummary = s.before.Managers, s.before.ManagerSummary
		return // the first answers come at once
	}
	var down []string
	for _, v := range servers {
		since := metav1.NewTime(v.Since.UTC().Truncate(time.Second))
		m := v1alpha1.ManagerStatus{Name: v1alpha1.ObjectName(v.Name), State: v.State, Since: &since, Message: clip(v.Message, 1024)}
		for _, was := range s.before.Managers {
			if was.Name == m.Name && was.State == m.State {
				m.Since = was.Since // a restart of the manager begins no new state
			}
		}
		if v.State != v1alpha1.ConnectionConnected {
			down = append(down, fmt.Sprintf("%s since %s (%s)", v.Name, m.Since.UTC().Format(time.RFC3339), v.Message))
		}
		status.Managers = append(status.Managers, m)
	}
	status.ManagerSummary = fmt.Sprintf("%d/%d", len(servers)-len(down), len(servers))
	if len(down) == 0 {
		setCondition(c, g, v1alpha1.ConditionServersConnected, metav1.ConditionTrue, "Connected", "")
		return
	}
	setCondition(c, g, v1alpha1.ConditionServersConnected, metav1.ConditionFalse, reasonServersDown,
		strings.Join(down, "; ")+": what it holds in memory is refreshed when it returns")
}

// tellServers tells the events of servers that came or went.
func (s *centerScope) tellServers() {
	was := map[v1alpha1.ObjectName]v1alpha1.ConnectionState{}
	for _, m := range s.before.Managers {
		was[m.Name] = m.State
	}
	for _, m := range s.object.Status.Managers {
		is, connected := m.State, v1alpha1.ConnectionConnected
		switch {
		case is == connected && was[m.Name] != connected:
			s.normal(s.object, "ServerConnected", "Connect", fmt.Sprintf("server %s is connected and takes over what it missed", m.Name))
		case is != connected && (was[m.Name] == connected || was[m.Name] == ""):
			s.warning(s.object, "ServerUnreachable", "Connect", fmt.Sprintf("server %s: %s", m.Name, m.Message))
		}
	}
}

// obey carries out the ContactCenter's one-shot order reconcile-at: a comparison at once. It says whether one is due.
func (s *centerScope) obey(status *v1alpha1.ContactCenterStatus) (compareNow bool) {
	only := map[string]string{}
	if v, ok := s.object.Annotations[v1alpha1.AnnotationReconcileAt]; ok {
		only[v1alpha1.AnnotationReconcileAt] = v
	}
	now := s.options.Now()
	due, next, invalid := roster.Orders(only, status.Handled, s.object.CreationTimestamp.Time, now)
	for _, o := range due {
		if status.Handled == nil {
			status.Handled = map[string]v1alpha1.HandledOrder{}
		}
		status.Handled[o.Kind] = v1alpha1.HandledOrder(o.Value)
		compareNow = !o.Skip && s.centers.Get(s.namespace) != nil
	}
	if !next.IsZero() {
		s.result = retry(until(now, next))
	}
	reason := ""
	if len(invalid) > 0 {
		reason = reasonInvalidOrder
	}
	setOrRemove(&status.Conditions, s.object.Generation, v1alpha1.ConditionOrdersValid, metav1.ConditionFalse, reason, strings.Join(invalid, "; "))
	return compareNow
}
