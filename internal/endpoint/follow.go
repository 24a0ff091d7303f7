package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"roster.dev/roster/internal/book"
	"roster.dev/roster/internal/live"
)

const (
	// maximumFollowers is how many clients may follow lists at once.
	maximumFollowers = 256
	// pace is the least time between two deliveries to a follower: of rows that change meanwhile, each comes once.
	pace = 50 * time.Millisecond
	// maximumUnreviewed is how many reviews in a row may get no answer while a follower goes on: an API server that
	// restarts must not turn every wallboard dark.
	maximumUnreviewed = 3
)

// The types of events besides those of changes.
const (
	eventState = "STATE"
	eventError = "ERROR"
)

// event is what a follower is sent.
type event struct {
	Type   string `json:"type"`
	Object any    `json:"object"`
}

// ending is why a follower is sent no more.
type ending struct{ why *failure }

func (e ending) Error() string { return e.why.message }

// follow sends the rows of a list as they are, and then every change, until the client goes or may not any more.
func follow[T any](s *Server, out *output, r *http.Request, token string, demand Demand, l *list[T]) *failure {
	select {
	case s.followers <- struct{}{}:
		defer func() { <-s.followers }()
	default:
		return tooMany("too many clients follow lists: close one", idleTimeout)
	}
	subscribers.Inc()
	defer subscribers.Dec()
	// A read deadline would end the connection of somebody who has only to listen.
	_ = out.connection.SetReadDeadline(time.Time{})
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	go s.reviewAgain(ctx, token, demand, end)

	following := l.subscribe()
	defer following.Close()
	out.header("text/event-stream")
	if l.writeState(out, following) != nil {
		return nil
	}
	beat := time.Now().Add(s.options.Heartbeat)
	for {
		waiting, cancel := context.WithDeadline(ctx, beat)
		changes, err := following.Next(waiting)
		cancel()
		var ended ending
		switch {
		case errors.Is(err, live.ErrBehind), errors.Is(err, book.ErrBehind):
			err = l.writeState(out, following)
		case errors.As(context.Cause(ctx), &ended):
			_ = out.event(event{eventError, ended.why.status()})
			_ = out.flush()
			return nil
		case ctx.Err() != nil:
			return nil
		case err != nil: // nothing changed for a while
			_, _ = out.WriteString(": alive\n\n")
			err = out.flush()
		default:
			err = out.changes(changes)
		}
		if err != nil {
			return nil // the client is gone
		}
		beat = time.Now().Add(s.options.Heartbeat)
		select {
		case <-ctx.Done():
		case <-time.After(pace):
		}
	}
}

// reviewAgain ends a follower whose token or right is gone.
func (s *Server) reviewAgain(ctx context.Context, token string, demand Demand, end context.CancelCauseFunc) {
	ticker := time.NewTicker(s.options.Review)
	defer ticker.Stop()
	unanswered := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		_, f := s.access.review(ctx, token, demand)
		switch {
		case f == nil:
			unanswered = 0
			continue
		case f.code == http.StatusServiceUnavailable:
			if unanswered++; unanswered < maximumUnreviewed {
				continue
			}
		}
		end(ending{f})
		return
	}
}

func (o *output) header(contentType string) {
	o.response.Header().Set("Content-Type", contentType)
	o.response.Header().Set("X-Accel-Buffering", "no") // proxies that collect what they pass on would delay it
	o.response.WriteHeader(http.StatusOK)
}

// writeState sends all rows.
func (l *list[T]) writeState(out *output, following subscription[T]) error {
	_, _ = out.WriteString("event: " + eventState + "\ndata: {\"type\":\"" + eventState + "\",\"object\":")
	l.write(out, following.State)
	_, _ = out.WriteString("}\n\n")
	return out.flush()
}

func (o *output) changes(changes []event) error {
	for i, e := range changes {
		if i%1000 == 0 {
			o.patience()
		}
		if err := o.event(e); err != nil {
			return err
		}
	}
	return o.flush()
}

func (o *output) event(e event) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, _ = o.WriteString("event: " + e.Type + "\ndata: ")
	_, _ = o.Write(text)
	_, err = o.WriteString("\n\n")
	return err
}
