package controllers

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

// apply makes the telephone system match the decision, if it does not already.
func (s *agentScope) apply(ctx context.Context) error {
	s.desire()
	v, ok := s.writable()
	if !ok {
		s.verdict = s.verdict.worse(v)
		return nil
	}
	out := s.effective.Phase == v1alpha1.PhaseDeactivated
	if !out {
		s.leaving.set(s.agent.Namespace, s.agent.Name, false) // whoever came back before they were gone
	}
	settled := !out || !s.desired.OfflineAt.IsZero() && s.offlineKnown()
	if s.registered && s.record.Fingerprint == s.desired.Fingerprint() && !s.suspect && len(s.orders) == 0 &&
		len(s.desired.OwnPauses) == 0 && settled {
		s.committed = true
		s.seatCommitted()
		return nil
	}
	online, err := s.commit(ctx)
	if err != nil || !s.committed || !out {
		return err
	}
	return s.seeOut(ctx, online)
}

// commit writes the desired state and takes over what is recorded then.
func (s *agentScope) commit(ctx context.Context) (online bool, err error) {
	before := s.record
	result, err := s.center.ApplyAgent(ctx, s.desired)
	if errors.Is(err, telephony.ErrCredentialsNeeded) && (s.desired.Password == nil || s.desired.PIN == nil) {
		// Somebody took the phone's credentials out of the database.
		if err := s.readCredentials(ctx); err != nil {
			return false, err
		}
		s.desire()
		result, err = s.center.ApplyAgent(ctx, s.desired)
	}
	if err != nil {
		s.committed = false
		v := verdictOf(err)
		if v.ready() {
			return false, err
		}
		s.verdict = s.verdict.worse(v)
		if v.stalled {
			s.result = retry(retryRefused)
		}
		return false, nil
	}
	s.edited = s.registered && result.Changed
	s.record, s.registered, s.committed = result.Record, true, true
	s.seatCommitted()
	s.presses.recorded(s.agent.Namespace, s.agent.Name, s.desired.OwnPauses)
	s.fleet.Refresh(s.agent.Namespace, s.agent.Name, result.Queues...)
	if before.SpyGroups != s.record.SpyGroups || before.Monitors != s.record.Monitors {
		s.judgeAll(s.agent.Namespace, s.agent.Name)
	}
	s.tellOrders()
	s.tellRepair(&before, &result)
	if len(result.ForeignQueues) > 0 {
		s.effective.Queues = slices.DeleteFunc(s.effective.Queues, func(m roster.Membership) bool {
			return slices.Contains(result.ForeignQueues, m.Queue.Name)
		})
	}
	return result.Online, nil
}

// moment is now as status and tables keep it: UTC, whole seconds.
func (s *agentScope) moment() time.Time { return s.now.UTC().Truncate(time.Second) }

// desire makes the desired state of the decision.
func (s *agentScope) desire() {
	a, e := s.agent, s.effective
	d := &telephony.Agent{
		Name: a.Name, UID: string(a.UID), Settings: s.site.settings,
		DisplayName: string(a.Spec.DisplayName), Email: a.Spec.Email, EmployeeID: a.Spec.EmployeeID,
		Role: string(a.Spec.Role), Phase: string(e.Phase), Seat: string(e.Seat),
		Group: e.Group, Color: s.feed.Directory(a.Namespace).GroupColor(e.Group),
		Extension: e.Extension, PauseReason: e.PauseReason, OwnPauses: s.presses.of(a.Namespace, a.Name),
		Phone: s.credentials.phone, Password: s.credentials.password, PIN: s.credentials.pin,
		CredentialVersions: s.credentials.versions,
		SpyGroups:          e.SpyGroups, Monitors: e.Monitors,
		ReuseName:    a.Annotations[v1alpha1.AnnotationReuseName] == "true",
		Deactivation: s.deactivation(),
	}
	if d.DisplayName == "" {
		d.DisplayName = a.Name
	}
	if v := a.Spec.Endpoint; v != nil && v.Voicemail != nil && d.Phone {
		d.Mailbox = string(v.Voicemail.Mailbox)
	}
	if roster.Working(e.Phase) && d.Phone {
		d.Access = telephony.AccessGranted
	}
	if e.Phase == v1alpha1.PhaseDeactivated {
		d.Phone, d.CredentialVersions = s.record.HasPhone, s.record.CredentialVersions
		if !s.suspect {
			d.Password, d.PIN = nil, nil
		}
		if d.CompletedAt.IsZero() {
			d.Phase = string(v1alpha1.PhaseDeactivating)
		}
	}
	if !d.Phone && roster.Working(e.Phase) {
		e.Queues = nil // nobody can be called who has no phone
	}
	for _, m := range e.Queues {
		d.Memberships = append(d.Memberships, telephony.Membership{
			Queue: m.Queue.Name, Channels: toStrings(m.Channels), Stars: int(m.Stars), Penalty: m.Penalty(),
			Via: m.Via, Observed: m.Queue.Observed,
		})
	}
	if e.GroupQueue != "" && d.Phone {
		d.Memberships = append(d.Memberships, telephony.Membership{
			Queue: e.GroupQueue, Channels: []string{string(v1alpha1.ChannelVoice)}, Stars: 1,
			Via: []string{roster.Way{Kind: roster.WayGroup, Through: e.Group}.String()},
		})
		slices.SortFunc(d.Memberships, func(a, b telephony.Membership) int { return strings.Compare(a.Queue, b.Queue) })
	}
	for _, r := range e.Revoked {
		d.Revoked = append(d.Revoked, telephony.Revocation{Kind: string(r.Kind), Name: r.Name, Since: r.Since})
	}
	for _, o := range s.orders {
		d.Orders = append(d.Orders, telephony.Order{
			Kind: telephony.OrderKind(o.Kind), Value: o.Value, Reason: o.Reason, Skip: o.Skip,
		})
	}
	s.desired = d
}

func toStrings[S ~string](list []S) []string {
	result := make([]string, len(list))
	for i, x := range list {
		result[i] = string(x)
	}
	return result
}

// deactivation is how far the current or last deactivation is, as far as that is recorded.
func (s *agentScope) deactivation() telephony.Deactivation {
	d := telephony.Deactivation{RequestedAt: s.effective.RequestedAt}
	if s.effective.GoingOut {
		return d
	}
	if s.registered {
		d.OfflineAt, d.CompletedAt = s.record.OfflineAt, s.record.CompletedAt
	} else if r := s.before.Deactivation; r != nil {
		if r.OfflineAt != nil {
			d.OfflineAt = r.OfflineAt.Time
		}
		if r.CompletedAt != nil {
			d.CompletedAt = r.CompletedAt.Time
		}
	}
	return d
}
