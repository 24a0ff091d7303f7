package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// managerAgent is how the manager's user agent begins.
const managerAgent = "roster/"

// auditLog is the API server's record of every request.
type auditLog struct{ path string }

// request is one answered request.
type request struct {
	// verb and what it was about, as "patch agents/status", and whose.
	verb, resource, name string
	at                   time.Time
}

func (r request) writes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, r.verb)
}

func (r request) String() string { return r.verb + " " + r.resource }

// end is the place behind the last record.
func (a *auditLog) end() (int64, error) {
	info, err := os.Stat(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// managerRequests are the manager's requests recorded from a place on, and the place behind them.
func (a *auditLog) managerRequests(from int64) ([]request, int64, error) {
	f, err := os.Open(a.path)
	if err != nil {
		return nil, from, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.NewSectionReader(f, from, 1<<62))
	if err != nil {
		return nil, from, err
	}
	data = data[:bytes.LastIndexByte(data, '\n')+1] // a record may be half written
	var requests []request
	for line := range bytes.Lines(data) {
		if !bytes.Contains(line, []byte(`"userAgent":"`+managerAgent)) {
			continue
		}
		var event struct {
			Verb      string
			ObjectRef struct{ Resource, Subresource, Name string }
			At        time.Time `json:"stageTimestamp"`
		}
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, from, fmt.Errorf("the audit log: %w", err)
		}
		requests = append(requests, request{
			verb: event.Verb, name: event.ObjectRef.Name, at: event.At,
			resource: strings.TrimSuffix(event.ObjectRef.Resource+"/"+event.ObjectRef.Subresource, "/"),
		})
	}
	return requests, from + int64(len(data)), nil
}

// tally is how many requests of a sort there were.
type tally map[string]int

func count(requests []request) tally {
	t := tally{}
	for _, r := range requests {
		t[r.String()]++
	}
	return t
}

// sum adds up what a test admits.
func sum(requests []request, admits func(request) bool) float64 {
	n := 0
	for _, r := range requests {
		if admits(r) {
			n++
		}
	}
	return float64(n)
}

func isWrite(r request) bool { return r.writes() }

func isAgentWrite(r request) bool {
	return r.writes() && (r.resource == "agents" || r.resource == "agents/status")
}

func isCaseWrite(r request) bool {
	return r.writes() && (r.resource == "caseassignments" || r.resource == "caseassignments/status")
}

// isSecretRead is a read of Secrets' content. Lists and watches of their metadata alone are no such thing, but an
// audit record does not tell them from others: those are counted by the verb get.
func isSecretRead(r request) bool { return r.resource == "secrets" && r.verb == "get" }

func (t tally) String() string {
	var parts []string
	for k, n := range t {
		parts = append(parts, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
