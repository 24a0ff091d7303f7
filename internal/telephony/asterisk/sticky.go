package asterisk

import (
	"context"
	"strconv"
	"strings"

	"roster.dev/roster/internal/telephony"
)

// kindSticky are calls about known callers. They are not in the registry: all that is Roster's of one is its row.
const kindSticky = "Sticky"

// ApplySticky makes the row of a known caller.
func (b *Backend) ApplySticky(ctx context.Context, sticky *telephony.Sticky) (changed bool, err error) {
	c := &call{kind: kindSticky, name: sticky.Phone, sticky: sticky}
	err = b.submit(ctx, c)
	return err == nil && c.result.Changed, err
}

// RemoveSticky takes the row of a known caller out.
func (b *Backend) RemoveSticky(ctx context.Context, phone string) (changed bool, err error) {
	c := &call{kind: kindSticky, name: phone}
	err = b.submit(ctx, c)
	return err == nil && c.result.Changed, err
}

// stickyPrefix begins the keys of a centre's known callers: <centre>/<number>, because the dialplan can look for one
// column only.
func stickyPrefix(center string) string { return center + "/" }

// sticky reads the rows of known callers.
func (r *reader) sticky(st *state, center string, calls []*call) {
	keys := make([]string, len(calls))
	for i, c := range calls {
		keys[i] = stickyPrefix(center) + c.name
	}
	r.where(st.sticky, "key", keys)
}

// stick plans the row of a known caller; nil is none. A row under the centre's key is the centre's, whoever wrote it.
func (p *planner) stick(phone string, s *telephony.Sticky) error {
	k := key{stickyPrefix(p.center) + phone}
	if s == nil {
		p.sticky.drop(k)
		return nil
	}
	return p.sticky.put(k, []cell{text(p.center), stickyInterface(s.Agent), text(s.Agent), text(s.Group), text(s.Queue),
		text(s.Case), text(s.Assignment)})
}

// stickyColumns are read of a known caller, in stickyOf's order.
const stickyColumns = 7

// selectSticky reads the rows under the centre's keys. One without a centre was written by hand.
func selectSticky(d dialect, center string) *statement {
	prefix := stickyPrefix(center)
	return newStatement(d).add("SELECT key, interface, agent, agent_group, queue, case_id, assignment FROM roster_sticky",
		" WHERE (center = ").arg(center).add(" OR center IS NULL) AND SUBSTR(key, 1, ", strconv.Itoa(len(prefix)), ") = ").arg(prefix)
}

// stickyOf is the known caller of a row. An interface that is not the agent's shows in Agent, as the name of nobody:
// the row is not as it was applied.
func stickyOf(center, key, iface, agent, group, queue, caseID, assignment string) telephony.Sticky {
	if iface != stickyInterface(agent).text {
		agent += "=" + iface
	}
	return telephony.Sticky{Phone: strings.TrimPrefix(key, stickyPrefix(center)), Agent: agent, Group: group, Queue: queue,
		Case: caseID, Assignment: assignment}
}

// stickyInterface is what rings the agent who is responsible for a caller.
func stickyInterface(agent string) cell {
	if agent == "" {
		return null
	}
	return text(interfaceOf(agent))
}
