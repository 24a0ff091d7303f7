package controllers

import (
	"context"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony"
)

// offlineKnown says whether nothing more is to be found out about a person who is out.
func (s *agentScope) offlineKnown() bool {
	unknown, _ := conditionIs(s.before.Conditions, v1alpha1.ConditionOffline, metav1.ConditionUnknown)
	return !unknown
}

// seeOut ends what is left of the connection of a person who was put out, and notes when that is over. registered
// says that a registration is alive.
func (s *agentScope) seeOut(ctx context.Context, registered bool) error {
	ns, name := s.agent.Namespace, s.agent.Name
	p := s.fleet.Presence(ns, name)
	if p.Connecting || len(s.fleet.Servers(ns)) != s.site.servers {
		// Whoever has not been asked yet is not out of reach.
		s.drain("the servers are being connected", time.Second)
		return nil
	}
	s.endCalls(&p)
	s.unwatched = p.Unwatched
	active := registered || len(p.Channels) > 0 || p.Device != telephony.DeviceUnavailable
	s.leaving.set(ns, name, active || len(p.Unwatched) > 0)
	if active {
		again := s.untilHangUp()
		if p.Device == telephony.DeviceRinging {
			again = min(again, ringLag)
		}
		s.drain(drainMessage(&p), again)
		if s.desired.OfflineAt.IsZero() {
			return nil
		}
		// A server that came back shows that the person was not offline.
		s.desired.OfflineAt, s.desired.CompletedAt = time.Time{}, time.Time{}
		s.desired.Phase = string(v1alpha1.PhaseDeactivating)
		_, err := s.commit(ctx)
		return err
	}
	if !s.desired.OfflineAt.IsZero() {
		return nil
	}
	s.desired.OfflineAt = s.moment()
	s.desired.CompletedAt = s.desired.OfflineAt
	s.desired.Phase = string(v1alpha1.PhaseDeactivated)
	_, err := s.commit(ctx)
	return err
}

func (s *agentScope) drain(message string, again time.Duration) {
	s.draining = message
	s.verdict = s.verdict.worse(reconciling(reasonDraining, message))
	s.result = retry(again)
}

// endCalls hangs up what may not go on: at once sessions that listen to others and calls that only ring, which the
// person could still take; running calls as the centre has it.
func (s *agentScope) endCalls(p *live.Presence) {
	over := s.site.hangUp || !s.now.Before(s.effective.RequestedAt.Add(s.site.drain))
	rings := s.leaving.ringing(s.agent.Namespace, s.agent.Name, p.Device == telephony.DeviceRinging) >= ringLag
	for _, c := range p.Channels {
		if over || c.ListensTo != "" || rings {
			s.fleet.HangUp(s.agent.Namespace, c.Server, c.Name)
		}
	}
}

// ringLag is how long a phone has to ring before its call is taken for one that only rings: a server tells some
// milliseconds late that it was answered.
const ringLag = 200 * time.Millisecond

// drainRetry is how often a person on their way out is looked at whatever the servers tell.
const drainRetry = 5 * time.Second

// untilHangUp is when to look again; what the servers tell comes earlier.
func (s *agentScope) untilHangUp() time.Duration {
	deadline := s.effective.RequestedAt.Add(s.site.drain)
	if s.site.hangUp || !s.now.Before(deadline) {
		return time.Second
	}
	return min(drainRetry, until(s.now, deadline))
}

func drainMessage(p *live.Presence) string {
	if len(p.Channels) == 0 {
		return "the phone is still registered"
	}
	servers := make([]string, 0, len(p.Channels))
	for _, c := range p.Channels {
		servers = append(servers, c.Server)
	}
	slices.Sort(servers)
	return "a call is still running on " + enumerate("server", slices.Compact(servers))
}
