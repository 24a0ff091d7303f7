package endpoint

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"roster.dev/roster/api/v1alpha1"
)

// list is a kind of list, as one request asks for it.
type list[T any] struct {
	query
	kind string
	// columns and cells are the list as a table.
	columns string
	cells   func(row T) []string
	// synced says whether all rows are known since the start; nil: they are.
	synced func() bool
	// rows gives all rows to yield, in order and some at a time, until it returns false.
	rows      func(yield func([]T) bool)
	subscribe func() subscription[T]
}

// subscription follows the rows of a list.
type subscription[T any] interface {
	// State gives all rows to yield as they are now.
	State(yield func([]T) bool)
	// Next waits for changes after State. Where there were too many, State has to be asked again.
	Next(ctx context.Context) ([]event, error)
	Close()
}

// serve answers requests for a kind of list: open makes it from a namespace, parameters and what the caller accepts.
func serve[T any](s *Server, open func(namespace string, values url.Values, accept string) (*list[T], *failure)) handler {
	return func(w http.ResponseWriter, r *http.Request) *failure {
		token, f := bearer(r)
		if f != nil {
			return f
		}
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return badRequest("the parameters cannot be read")
		}
		namespace := r.PathValue("namespace")
		l, f := open(namespace, values, r.Header.Get("Accept"))
		if f != nil {
			return f
		}
		demand := l.demand(namespace)
		if _, f := s.access.check(r.Context(), token, demand); f != nil {
			return f
		}
		if l.synced != nil && !l.synced() {
			return unavailable("the manager has just started and does not know everything yet: try again")
		}
		out := newOutput(w)
		switch {
		case l.watch:
			return follow(s, out, r, token, demand, l)
		case l.table:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			l.writeTable(out)
		default:
			w.Header().Set("Content-Type", "application/json")
			l.write(out, l.rows)
			_, _ = out.WriteString("\n")
		}
		_ = out.flush()
		return nil
	}
}

// write writes rows in the shape of a Kubernetes list, on one line, as they come.
func (l *list[T]) write(out *output, rows func(yield func([]T) bool)) {
	fmt.Fprintf(out, `{"kind":%q,"apiVersion":%q,"metadata":{},"items":[`, l.kind, v1alpha1.GroupVersion.String())
	separator := ""
	rows(func(batch []T) bool {
		out.patience()
		for _, r := range batch {
			text, err := json.Marshal(r)
			if err != nil {
				continue // a row is strings, numbers and times
			}
			_, _ = out.WriteString(separator)
			if _, err := out.Write(text); err != nil {
				return false
			}
			separator = ","
		}
		return true
	})
	_, _ = out.WriteString("]}")
}

// writeTable writes rows for people to read.
func (l *list[T]) writeTable(out *output) {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, l.columns)
	l.rows(func(batch []T) bool {
		for _, r := range batch {
			cells := l.cells(r)
			for i := range cells {
				cells[i] = plain(cells[i])
			}
			fmt.Fprintln(table, strings.Join(cells, "\t"))
		}
		return true
	})
	out.patience()
	_ = table.Flush()
}

// plain is a text without what would move a terminal's cursor; an empty one is a dash.
func plain(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// joined are several values in one cell.
func joined[S ~string](values []S) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ",")
}

// clock is a time in a cell.
func clock(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

// output is a way to a client that is given up when the client takes too long to read.
type output struct {
	*bufio.Writer
	response   http.ResponseWriter
	connection *http.ResponseController
}

func newOutput(w http.ResponseWriter) *output {
	return &output{bufio.NewWriterSize(w, 32<<10), w, http.NewResponseController(w)}
}

// patience begins anew the time that the client may take.
func (o *output) patience() { _ = o.connection.SetWriteDeadline(time.Now().Add(requestTimeout)) }

func (o *output) flush() error {
	o.patience()
	if err := o.Flush(); err != nil {
		return err
	}
	return o.connection.Flush()
}
