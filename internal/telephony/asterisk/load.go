package asterisk

import (
	"context"
	"slices"
	"strings"

	"roster.dev/roster/internal/telephony"
)

// records reads what is recorded of a centre.
func (s *session) records(ctx context.Context, center string) (*telephony.Records, error) {
	records := &telephony.Records{Agents: map[string]telephony.AgentRecord{}, Queues: map[string]telephony.QueueRecord{},
		Sticky: map[string]telephony.Sticky{}}
	if s.unwritten {
		return records, nil
	}
	conn := s.connection(s.pinned)
	revoked := map[string][]telephony.Revocation{}
	err := conn.query(ctx, newStatement(s.dialect).
		add("SELECT agent, kind, name, since FROM roster_revocations WHERE center = ").arg(center), 4, func(c []cell) {
		revoked[c[0].text] = append(revoked[c[0].text],
			telephony.Revocation{Kind: c[1].text, Name: c[2].text, Since: parseInstant(c[3].text)})
	})
	if err != nil {
		return nil, err
	}
	err = conn.query(ctx, newStatement(s.dialect).
		add(`SELECT r.name, r.uid, r.fingerprint, r.credentials, p.id, a.phase, a.agent_group,
			a.requested_at, a.offline_at, a.completed_at, r.spy_groups, a.monitors, r.handled, a.seat
			FROM roster_registry r LEFT JOIN roster_agents a ON a.name = r.name
			LEFT JOIN ps_auths p ON p.id = r.name AND p.password <> '' AND r.claimed = 1
			WHERE r.kind = 'Agent' AND r.center = `).arg(center), 14, func(c []cell) {
		name := c[0].text
		list := revoked[name]
		slices.SortFunc(list, func(a, b telephony.Revocation) int {
			return strings.Compare(a.Kind+"/"+a.Name, b.Kind+"/"+b.Name)
		})
		records.Agents[name] = telephony.AgentRecord{
			UID: c[1].text, Fingerprint: c[2].text, CredentialVersions: c[3].text, HasPhone: !c[4].null,
			Phase: c[5].text, Group: c[6].text, Seat: c[13].text, Revoked: list,
			SpyGroups: c[10].text, Monitors: c[11].text, Handled: parseHandled(c[12].text),
			Deactivation: telephony.Deactivation{RequestedAt: parseInstant(c[7].text),
				OfflineAt: parseInstant(c[8].text), CompletedAt: parseInstant(c[9].text)},
		}
	})
	if err != nil {
		return nil, err
	}
	err = conn.query(ctx, newStatement(s.dialect).
		add("SELECT name, fingerprint FROM roster_registry WHERE kind = 'Queue' AND center = ").arg(center), 2, func(c []cell) {
		records.Queues[c[0].text] = telephony.QueueRecord{Fingerprint: c[1].text}
	})
	if err != nil {
		return nil, err
	}
	err = conn.query(ctx, selectSticky(s.dialect, center), stickyColumns, func(c []cell) {
		sticky := stickyOf(center, c[0].text, c[1].text, c[2].text, c[3].text, c[4].text, c[5].text, c[6].text)
		records.Sticky[sticky.Phone] = sticky
	})
	return records, err
}
