package endpoint

import (
	"context"
	"net/url"
	"time"

	"k8s.io/utils/ptr"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/book"
)

// book is the client books.
func (s *Server) book(namespace string, values url.Values, accept string) (*list[*book.ClientEntry], *failure) {
	q := query{}
	if f := q.parse(values, accept); f != nil {
		return nil, f
	}
	l := listOf(s.options.Book, s.options.Book.Clients(namespace, q.agents...))
	l.query, l.kind = q, "BookList"
	l.columns = "AGENT\tCLIENT\tNAME\tPHONES\tCASE\tTITLE\tASSIGNMENT\tVIA\tCOVERS\tRESPONSIBLE\tGROUP\tSINCE"
	l.cells = func(e *book.ClientEntry) []string {
		matter := ptr.Deref(e.Case, v1alpha1.Case{})
		responsible := ""
		if e.Responsible {
			responsible = "yes"
		}
		return []string{e.Agent, e.Client.ID, e.Client.Name, joined(e.Client.Phones), matter.ID, matter.Title,
			e.Assignment, string(e.Via), e.Covers, responsible, e.Group, clock(e.Since)}
	}
	return l, nil
}

// agenda is the agendas.
func (s *Server) agenda(namespace string, values url.Values, accept string) (*list[*book.AgendaEntry], *failure) {
	q, from, to := query{}, time.Time{}, time.Time{}
	if f := q.parse(values, accept, parameter{"from", moment(&from)}, parameter{"to", moment(&to)}); f != nil {
		return nil, f
	}
	if !from.IsZero() && !to.IsZero() && !from.Before(to) {
		return nil, badRequest("parameter to is a time after from")
	}
	l := listOf(s.options.Book, s.options.Book.Agenda(namespace, from, to, q.agents...))
	l.query, l.kind = q, "AgendaList"
	l.columns = "AGENT\tTIME\tEND\tTIMEZONE\tKIND\tCLIENT\tNAME\tCASE\tTITLE\tASSIGNMENT"
	l.cells = func(e *book.AgendaEntry) []string {
		client, matter := ptr.Deref(e.Client, v1alpha1.Client{}), ptr.Deref(e.Case, v1alpha1.Case{})
		return []string{e.Agent, clock(e.Time), clock(e.End), e.TimeZone, string(e.Kind), client.ID, client.Name,
			matter.ID, matter.Title, e.Assignment}
	}
	return l, nil
}

// listOf is a list over a view of the index.
func listOf[T book.Entry[T]](index *book.Index, v book.View[T]) *list[T] {
	return &list[T]{
		synced: index.IsComplete, rows: v.Rows,
		subscribe: func() subscription[T] { return bookSubscription[T]{v.Subscribe()} },
	}
}

// bookSubscription follows a view of the index.
type bookSubscription[T book.Entry[T]] struct{ *book.Subscription[T] }

func (s bookSubscription[T]) Next(ctx context.Context) ([]event, error) {
	changes, err := s.Subscription.Next(ctx)
	events := make([]event, len(changes))
	for i, c := range changes {
		events[i] = event{string(c.Type), c.Entry}
	}
	return events, err
}
