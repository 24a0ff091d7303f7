package endpoint

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// query is what those parameters ask for that every list has.
type query struct {
	agents       []string
	watch, table bool
}

// demand is what a query needs the right to.
func (q *query) demand(namespace string) Demand {
	d := Demand{Namespace: namespace, Verb: "get", Subresource: "live"}
	if q.watch {
		d.Verb = "watch"
	}
	if len(q.agents) == 1 {
		d.Agent = q.agents[0]
	}
	return d
}

// parameter is one that may be given.
type parameter struct {
	name string
	// read takes in what was given.
	read func(name string, given []string) *failure
}

// parse reads parameters. One that takes several values may be given several times, and each time several, with commas.
func (q *query) parse(values url.Values, accept string, own ...parameter) *failure {
	q.table = strings.Contains(accept, "text/plain") && !strings.Contains(accept, "json")
	var watch, format []string
	all := slices.Concat(own, []parameter{
		{"agent", texts(&q.agents)}, {"watch", one(&watch, "0", "1", "false", "true")}, {"format", one(&format, "json", "table")},
	})
	for name, given := range values {
		i := slices.IndexFunc(all, func(p parameter) bool { return p.name == name })
		if i < 0 {
			return unknown(name, own)
		}
		if f := all[i].read(name, given); f != nil {
			return f
		}
	}
	q.watch = len(watch) > 0 && (watch[0] == "1" || watch[0] == "true")
	if len(format) > 0 {
		q.table = format[0] == "table"
		if q.watch && q.table {
			return badRequest("format=table is for a list: leave out watch or format")
		}
	}
	return nil
}

// unknown is the answer to a parameter that there is not.
func unknown(name string, own []parameter) *failure {
	var there strings.Builder
	for _, p := range own {
		there.WriteString(p.name + ", ")
	}
	return badRequest(fmt.Sprintf("there is no parameter %.64q: there are %sagent, watch (1), format (json, table)",
		name, there.String()))
}

// texts reads any values.
func texts(into *[]string) func(string, []string) *failure {
	return func(_ string, given []string) *failure {
		*into = split(given)
		return nil
	}
}

// some reads values among those that there are.
func some(into *[]string, among []string) func(string, []string) *failure {
	return func(name string, given []string) (f *failure) {
		*into, f = choose(name, split(given), among)
		return f
	}
}

// one reads one value among those that there are.
func one(into *[]string, among ...string) func(string, []string) *failure {
	return func(name string, given []string) (f *failure) {
		*into, f = choose(name, given[:1], among)
		return f
	}
}

// moment reads a time.
func moment(into *time.Time) func(string, []string) *failure {
	return func(name string, given []string) *failure {
		// In a query a plus that was not escaped is a space, and no other space can be in a time.
		at, err := time.Parse(time.RFC3339, strings.ReplaceAll(given[0], " ", "+"))
		if err != nil {
			return badRequest(fmt.Sprintf("parameter %s is a time such as 2026-12-01T08:00:00Z", name))
		}
		*into = at
		return nil
	}
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
