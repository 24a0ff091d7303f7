package endpoint

import (
	"context"
	"net/url"
	"strings"

	"roster.dev/roster/internal/live"
)

// staffQuery is what the parameters of a staff request ask for.
type staffQuery struct {
	query
	filter live.Filter
}

func parseStaff(values url.Values, accept string) (*staffQuery, *failure) {
	q := &staffQuery{}
	f := q.parse(values, accept,
		parameter{"queue", texts(&q.filter.Queues)}, parameter{"group", texts(&q.filter.Groups)},
		parameter{"channel", some(&q.filter.Channels, live.Channels)}, parameter{"color", some(&q.filter.Colors, live.Colors)})
	if f != nil {
		return nil, f
	}
	q.filter.Agents = q.agents
	return q, nil
}

// staff is the staff list.
func (s *Server) staff(namespace string, values url.Values, accept string) (*list[*live.Row], *failure) {
	q, f := parseStaff(values, accept)
	if f != nil {
		return nil, f
	}
	return &list[*live.Row]{
		query: q.query, kind: "StaffList", synced: s.options.Synced,
		columns: "QUEUE\tCHANNEL\tAGENT\tNAME\tGROUP\tSTARS\tVIA\tCOLOR\tSINCE\tDETAIL",
		cells: func(r *live.Row) []string {
			return []string{r.Queue, r.Channel, r.Agent, r.DisplayName, r.Group, strings.Repeat("*", int(r.Stars)),
				joined(r.Via), string(r.Color), clock(r.Since), r.Detail}
		},
		rows: func(yield func([]*live.Row) bool) { s.options.Staff.Rows(namespace, q.filter, yield) },
		subscribe: func() subscription[*live.Row] {
			return staffSubscription{s.options.Staff.Subscribe(namespace, q.filter)}
		},
	}, nil
}

// staffSubscription follows the staff list.
type staffSubscription struct{ *live.Subscription }

func (s staffSubscription) Next(ctx context.Context) ([]event, error) {
	changes, err := s.Subscription.Next(ctx)
	events := make([]event, len(changes))
	for i, c := range changes {
		events[i] = event{string(c.Type), c.Row}
	}
	return events, err
}
