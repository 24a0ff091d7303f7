package endpoint

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"roster.dev/roster/internal/live"
)

// staffQuery is what the parameters of a staff request ask for.
type staffQuery struct {
	filter       live.Filter
	watch, table bool
}

// demand is what a query needs the right to.
func (q *staffQuery) demand(namespace string) Demand {
	d := Demand{Namespace: namespace, Verb: "get", Subresource: "live"}
	if q.watch {
		d.Verb = "watch"
	}
	if len(q.filter.Agents) == 1 {
		d.Agent = q.filter.Agents[0]
	}
	return d
}

const staffParameters = "queue, group, agent, channel, color, watch (1), format (json, table)"

// parseStaff reads parameters. A filter may be given several times, and each time several values, with commas.
func parseStaff(values url.Values, accept string) (*staffQuery, *failure) {
	q := &staffQuery{table: strings.Contains(accept, "text/plain") && !strings.Contains(accept, "json")}
	for name, given := range values {
		var f *failure
		switch name {
		case "queue":
			q.filter.Queues = split(given)
		case "group":
			q.filter.Groups = split(given)
		case "agent":
			q.filter.Agents = split(given)
		case "channel":
			q.filter.Channels, f = choose(name, split(given), live.Channels)
		case "color":
			q.filter.Colors, f = choose(name, split(given), live.Colors)
		case "watch":
			var chosen []string
			chosen, f = choose(name, given[:1], []string{"0", "1", "false", "true"})
			q.watch = f == nil && (chosen[0] == "1" || chosen[0] == "true")
		case "format":
			var chosen []string
			chosen, f = choose(name, given[:1], []string{"json", "table"})
			q.table = f == nil && chosen[0] == "table"
		default:
			f = badRequest(fmt.Sprintf("there is no parameter %.64q: there are %s", name, staffParameters))
		}
		if f != nil {
			return nil, f
		}
	}
	if q.watch && values.Get("format") == "table" {
		return nil, badRequest("format=table is for a list: leave out watch or format")
	}
	return q, nil
}

// split is the values of a parameter without the empty ones.
func split(given []string) (values []string) {
	for _, text := range given {
		for value := range strings.SplitSeq(text, ",") {
			if value = strings.TrimSpace(value); value != "" && !slices.Contains(values, value) {
				values = append(values, value)
			}
		}
	}
	return values
}

// choose finds values among those that there are, in whatever case they are written.
func choose(parameter string, values, among []string) ([]string, *failure) {
	for i, value := range values {
		j := slices.IndexFunc(among, func(a string) bool { return strings.EqualFold(a, value) })
		if j < 0 {
			return nil, badRequest(fmt.Sprintf("parameter %s is one of %s", parameter, strings.Join(among, ", ")))
		}
		values[i] = among[j]
	}
	return values, nil
}

func (s *Server) staff(w http.ResponseWriter, r *http.Request) *failure {
	token, f := bearer(r)
	if f != nil {
		return f
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return badRequest("the parameters cannot be read")
	}
	q, f := parseStaff(values, r.Header.Get("Accept"))
	if f != nil {
		return f
	}
	namespace := r.PathValue("namespace")
	demand := q.demand(namespace)
	if _, f := s.access.check(r.Context(), token, demand); f != nil {
		return f
	}
	if s.options.Synced != nil && !s.options.Synced() {
		return unavailable("the manager has just started and does not know everybody yet: try again")
	}
	out := newOutput(w)
	switch {
	case q.watch:
		return s.follow(out, r, token, demand, q.filter)
	case q.table:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		writeTable(out, func(yield func([]*live.Row) bool) { s.options.Staff.Rows(namespace, q.filter, yield) })
	default:
		w.Header().Set("Content-Type", "application/json")
		writeList(out, func(yield func([]*live.Row) bool) { s.options.Staff.Rows(namespace, q.filter, yield) })
		_, _ = out.WriteString("\n")
	}
	_ = out.flush()
	return nil
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
