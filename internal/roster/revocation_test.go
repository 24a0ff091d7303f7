package roster

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"roster.dev/roster/api/v1alpha1"
)

// step is one moment of a person's history; what is left out is as it was the moment before.
type step struct {
	at         string
	state      v1alpha1.AgentState
	teams      []string // the teams that list the person; nil: as before
	direct     []string // the queues that name the person; nil: as before
	reinstated []v1alpha1.Reinstatement
	policy     v1alpha1.OnReactivation // the person's
	lost       bool                    // the status is lost, and refilled with what the revocations table has
	deleted    bool

	// want is what is in effect and what is revoked since when, as "billing support | Team/sales@10:00:00".
	want string
	why  string
}

func again(kind v1alpha1.EntryKind, name, clock string) v1alpha1.Reinstatement {
	return v1alpha1.Reinstatement{Kind: kind, Name: v1alpha1.ObjectName(name), Time: stamp(clock)}
}

const (
	in  = v1alpha1.StateActive
	out = v1alpha1.StateDeactivated
)

func TestReactivationG3G4G7B12(t *testing.T) {
	both := []step{
		{at: "09:00:00", state: in, teams: []string{"billing"}, direct: []string{"support"}, want: "billing support |", why: "all is in effect"},
		{at: "10:00:00", state: out, want: "| Queue/support@10:00:00 Team/billing@10:00:00", why: "the person leaves every team and individual queue"},
	}
	const gone = "| Queue/support@10:00:00 Team/billing@10:00:00"
	tests := []struct {
		name   string
		centre v1alpha1.OnReactivation
		steps  []step
	}{
		{"Readd", v1alpha1.OnReactivationReadd, []step{
			{at: "11:00:00", state: in, want: gone, why: "nothing comes back silently"},
			{at: "11:00:01", want: gone, why: "nor when looked at again"},
		}},
		{"DefaultIsReadd", "", []step{{at: "11:00:00", state: in, want: gone, why: "no policy is Readd"}}},
		{"CentreRestores", v1alpha1.OnReactivationRestore, []step{
			{at: "10:30:00", want: gone, why: "while the person is out nothing is restored"},
			{at: "11:00:00", state: in, want: "billing support |", why: "the centre gives back"},
		}},
		{"PersonRestores", v1alpha1.OnReactivationReadd, []step{
			{at: "11:00:00", state: in, policy: v1alpha1.OnReactivationRestore, want: "billing support |", why: "the person's own word wins"},
		}},
		{"PersonReadds", v1alpha1.OnReactivationRestore, []step{
			{at: "11:00:00", state: in, policy: v1alpha1.OnReactivationReadd, want: gone, why: "the person's own word wins"},
		}},
		{"RestoreLater", v1alpha1.OnReactivationReadd, []step{
			{at: "11:00:00", state: in, want: gone, why: "not yet"},
			{at: "12:00:00", policy: v1alpha1.OnReactivationRestore, want: "billing support |", why: "said later, it counts later"},
		}},
		{"ReinstatedBefore", "", []step{
			{at: "11:00:00", state: in, reinstated: []v1alpha1.Reinstatement{again("Team", "billing", "09:59:59")}, want: gone, why: "an order from before the revocation is about an earlier one"},
		}},
		{"ReinstatedAt", "", []step{
			{at: "11:00:00", state: in, reinstated: []v1alpha1.Reinstatement{again("Team", "billing", "10:00:00")}, want: "billing | Queue/support@10:00:00", why: "at the revocation counts, for the entry that is named alone"},
		}},
		{"ReinstatedAfter", "", []step{
			{at: "11:00:00", state: in, reinstated: []v1alpha1.Reinstatement{again("Queue", "support", "11:00:00"), again("Team", "billing", "10:00:01")}, want: "billing support |", why: "both are named"},
		}},
		{"ReinstatedOtherKind", "", []step{
			{at: "11:00:00", state: in, reinstated: []v1alpha1.Reinstatement{again("Queue", "billing", "11:00:00")}, want: gone, why: "a queue of the team's name is not the team"},
		}},
		{"ReinstatedWhileOut", "", []step{
			{at: "10:30:00", reinstated: []v1alpha1.Reinstatement{again("Team", "billing", "10:30:00")}, want: "| Queue/support@10:00:00", why: "the order is heard at once, without effect yet"},
			{at: "11:00:00", state: in, want: "billing | Queue/support@10:00:00", why: "and counts from reactivation on"},
		}},
		{"OrderTakenBack", "", []step{
			{at: "11:00:00", state: in, reinstated: []v1alpha1.Reinstatement{again("Team", "billing", "11:00:00")}, want: "billing | Queue/support@10:00:00", why: "reinstated"},
			{at: "12:00:00", reinstated: []v1alpha1.Reinstatement{}, want: "billing | Queue/support@10:00:00", why: "a list tidied up takes nothing"},
		}},
		{"GoneAndBack", "", []step{
			{at: "11:00:00", state: in, want: gone, why: "revoked"},
			{at: "12:00:00", teams: []string{}, want: "| Queue/support@10:00:00", why: "an entry that is gone is revoked no more"},
			{at: "13:00:00", teams: []string{"billing"}, want: "billing | Queue/support@10:00:00", why: "and counts when it is back"},
		}},
		{"GoneAndBackWhileOut", "", []step{
			{at: "10:20:00", direct: []string{}, want: "| Team/billing@10:00:00", why: "gone"},
			{at: "10:40:00", direct: []string{"support"}, want: "| Team/billing@10:00:00", why: "back, while the person is out"},
			{at: "11:00:00", state: in, want: "support | Team/billing@10:00:00", why: "an entry added while deactivated counts from reactivation on"},
		}},
		{"AddedWhileOut", "", []step{
			{at: "10:30:00", teams: []string{"billing", "sales"}, direct: []string{"orders", "support"}, want: gone, why: "new entries are not revoked, and without effect while the person is out"},
			{at: "11:00:00", state: in, want: "sales orders " + gone, why: "they count from reactivation on"},
		}},
		{"SecondDeactivation", "", []step{
			{at: "11:00:00", state: in, teams: []string{"billing", "sales"}, want: "sales " + gone, why: "a new team after the first"},
			{at: "12:00:00", state: out, want: "| Queue/support@10:00:00 Team/billing@10:00:00 Team/sales@12:00:00", why: "what is revoked stays so since the first; the new team since the second"},
			{at: "13:00:00", state: in, reinstated: []v1alpha1.Reinstatement{again("Team", "sales", "11:30:00"), again("Team", "billing", "11:30:00")}, want: "billing | Queue/support@10:00:00 Team/sales@12:00:00", why: "each order is held against its own revocation"},
		}},
		{"ReinstatedThenOutAgain", "", []step{
			{at: "11:00:00", state: in, reinstated: []v1alpha1.Reinstatement{again("Team", "billing", "11:00:00")}, want: "billing | Queue/support@10:00:00", why: "reinstated"},
			{at: "12:00:00", state: out, want: "| Queue/support@10:00:00 Team/billing@12:00:00", why: "an old order does not outlast a new deactivation"},
			{at: "13:00:00", state: in, want: "| Queue/support@10:00:00 Team/billing@12:00:00", why: "nor bring the person back"},
		}},
		{"LostStatus", "", []step{
			{at: "10:30:00", lost: true, want: gone, why: "what was lost is refilled"},
			{at: "11:00:00", state: in, want: gone, why: "nothing comes back silently after a lost status"},
		}},
		{"LostStatusWithNewEntry", "", []step{
			{at: "10:30:00", lost: true, teams: []string{"billing", "sales"}, want: gone, why: "an entry first seen after the loss was not there to be taken"},
			{at: "11:00:00", state: in, want: "sales " + gone, why: "so it counts"},
		}},
		{"Deleted", "", []step{
			{at: "11:00:00", state: in, want: gone, why: "revoked"},
			{at: "12:00:00", deleted: true, want: gone, why: "what is revoked stays noted, for a successor of the name"},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Person{Spec: &v1alpha1.AgentSpec{}, Seated: true, OnReactivation: tt.centre}
			p.Declared.Claims = []Claim{{Group: "north", Created: at("08:00:00")}}
			for _, s := range slices.Concat(both, tt.steps) {
				if s.state != "" {
					p.Spec.State = s.state
				}
				if s.policy != "" {
					p.Spec.OnReactivation = s.policy
				}
				if s.reinstated != nil {
					p.Spec.Reinstated = s.reinstated
				}
				if s.teams != nil {
					p.Declared.Teams = s.teams
				}
				if s.direct != nil {
					p.Declared.Ways = nil
					for _, q := range s.direct {
						p.Declared.Ways = append(p.Declared.Ways, Way{Queue: ViewQueue(queue(q)), Kind: WayDirect, Entry: new(entry("alice", 1))})
					}
				}
				if s.lost {
					p.Recorded = Recorded{Revoked: p.Recorded.Revoked}
				}
				p.Deleted = s.deleted

				e := Decide(&p, at(s.at))
				if got := effect(e); got != s.want {
					t.Fatalf("%s: %s:\ngot  %s\nwant %s", s.at, s.why, got, s.want)
				}
				if !s.deleted && e.Group != "north" {
					t.Fatalf("%s: groups stay, got %q", s.at, e.Group)
				}
				p.Recorded = feedback(e, e.Phase)
			}
		})
	}
}

func effect(e *Effective) string {
	var parts []string
	parts = append(parts, e.Teams...)
	for _, m := range e.Queues {
		parts = append(parts, m.Queue.Name)
	}
	parts = append(parts, "|")
	for _, r := range e.Revoked {
		parts = append(parts, fmt.Sprintf("%s/%s@%s", r.Kind, r.Name, r.Since.Format("15:04:05")))
	}
	return strings.Join(parts, " ")
}
