package fake

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"roster.dev/roster/internal/telephony"
)

// picture is what of a person's rows is drift where it changes, as text. Extensions and the password are kept apart.
type picture string

// picture is that of the rows as they are.
func (b *Backend) picture(name string, reg *agent) picture {
	var p strings.Builder
	if phone := clone(b.phones[name]); phone != nil && reg.claimed {
		phone.Password = ""
		fmt.Fprintf(&p, "phone %+v\n", *phone)
	}
	places := b.members["PJSIP/"+name]
	for _, queue := range slices.Sorted(maps.Keys(places)) {
		if m := *places[queue]; b.added(name, queue) {
			m.Reason, m.Paused = "", m.Paused && reg.pauseReason != "" // others' pauses are theirs
			fmt.Fprintf(&p, "member of %s %+v\n", queue, m)
		}
	}
	if m := clone(b.mailboxes[reg.mailbox]); m != nil {
		m.PIN = ""
		fmt.Fprintf(&p, "mailbox %+v\n", *m)
	}
	if r := b.reports[name]; r != nil && r.Center == b.center {
		fmt.Fprintf(&p, "report %+v\n", *r)
	}
	fmt.Fprintf(&p, "memberships %+v\n", b.memberships[name])
	return picture(p.String())
}

// Compare looks for what was changed behind Roster's back.
func (b *Backend) Compare(ctx context.Context) (*telephony.Drift, error) {
	if err := b.begin(ctx, "Compare", ""); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	drift := &telephony.Drift{Strays: map[string][]string{}, Sticky: b.stickyOf(b.center)}
	for name, a := range b.agents {
		if a.center != b.center {
			continue
		}
		phone := b.phones[name]
		if b.picture(name, a) != a.left || !b.holds(a.extension, "PJSIP/"+name) ||
			(a.claimed && phone != nil && phone.Password != a.password) {
			drift.Agents = append(drift.Agents, name)
		}
	}
	for name, q := range b.queues {
		if q.center != b.center {
			continue
		}
		if q.applied && (!b.holds(q.extension, "queue "+name) ||
			q.claimed && !same(q.row, b.queueRows[name], func(x, y QueueRow) bool { return x == y })) {
			drift.Queues = append(drift.Queues, name)
		}
		if nobody := b.nobody(name); q.claimed {
			for iface, places := range b.members {
				if places[name] != nil && nobody(iface) {
					drift.Strays[name] = append(drift.Strays[name], iface)
				}
			}
			slices.Sort(drift.Strays[name])
		}
	}
	slices.Sort(drift.Agents)
	slices.Sort(drift.Queues)
	return drift, nil
}

// holds says that a target has its extension, where it has one.
func (b *Backend) holds(extension, target string) bool {
	return extension == "" || b.extensions[b.center+"/"+extension] == target
}
