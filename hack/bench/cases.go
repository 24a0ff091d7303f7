package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// caseSections are measured in one centre, the cases of which become more and more.
const caseSections = "k,l,m,n,o"

const (
	// teamSize is how many people each group of a case centre has.
	teamSize = 7
	// bookPhones is the first number of the clients in client books, each of which has phonesEach to itself.
	bookPhones = 5_000_000
	phonesEach = 10_000
)

// caseSite is a site with open cases. All of them are assigned, and each has a client with one phone.
type caseSite struct {
	*site
	staff *staff
	// spread are the cases that are spread over everybody outside the first group, whose people have the client
	// books: cases are all there are.
	spread, cases int
	// edited is how many cases section k has edited.
	edited int
}

// cases measures sections k to o.
func cases(ctx context.Context, l *lab, report *report) (err error) {
	people := &staff{prefix: "agent", agents: teamSize * groups, base: 100_000, sharedSecrets: l.sharedSecrets}
	opened, managed, err := l.openSite(ctx, people)
	if err != nil {
		return err
	}
	s := &caseSite{site: opened, staff: people}
	defer func() { err = errors.Join(err, s.close()) }()
	if _, err := s.start(managed, people); err != nil {
		return err
	}
	for i, size := range l.openCases {
		if last := i == len(l.openCases)-1; !l.wants("k") && (!last || !l.wantsBooks()) {
			continue
		}
		if _, err := s.grow(managed, size); err != nil {
			return err
		}
		for run := range l.runs {
			if !l.wants("k") {
				break
			}
			result, err := s.editCases(managed)
			if err != nil {
				return err
			}
			l.say("run %d: %d edits with %d cases: p50 %.1f ms to the row and %.1f ms to the status; bare %.1f and %.1f ms",
				run+1, len(result.Status), size, percentile(result.Row, 50), percentile(result.Status, 50),
				percentile(result.BareRow, 50), percentile(result.BareStatus, 50))
			l.say("       manager's requests: %s", result.Requests)
			report.CaseEdits = append(report.CaseEdits, result)
		}
	}
	if l.wantsBooks() {
		if managed, err = s.measureBooks(ctx, managed, report); err != nil {
			return err
		}
	}
	if l.wants("n") || l.wants("o") {
		return s.measureMost(ctx, managed, report)
	}
	return nil
}

// caseMemory is the manager's memory with so many cases.
type caseMemory struct {
	Cases      int     `json:"cases"`
	SettledKiB float64 `json:"settledKiB"`
	PeakKiB    float64 `json:"peakKiB"`
	// LiveKiB is what the collector last found in use.
	LiveKiB float64 `json:"liveKiB"`
}

// liveHeapMetric is Go's own.
const liveHeapMetric = "go_gc_heap_live_bytes"

// measureMost measures sections n and o: the manager that is there works on more and more cases, and is then
// restarted on them.
func (s *caseSite) measureMost(ctx, managed context.Context, report *report) error {
	l := s.lab
	for _, size := range []int{max(s.cases, l.openCases[0]), l.mostCases} {
		took, err := s.grow(managed, size-s.cases+s.spread)
		if err != nil {
			return err
		}
		memory, err := s.memory(managed)
		if err != nil {
			return err
		}
		l.say("%d cases (the last of them in %.1f s): %.0f MiB settled, %.0f MiB live, %.0f MiB at most",
			size, took.Seconds(), memory.SettledKiB/1024, memory.LiveKiB/1024, memory.PeakKiB/1024)
		report.CaseMemory = append(report.CaseMemory, memory)
	}
	for run := range l.runs {
		if !l.wants("o") {
			break
		}
		result, err := s.restart(ctx, s.staff)
		if err != nil {
			return err
		}
		result.Cases = s.cases
		l.say("run %d: quiet %.2f s after a restart on %d cases, %.2f s of processor; bare list %.2f s; %.0f API writes, %.0f rows; %.0f MiB at most",
			run+1, result.Seconds, s.cases, result.CPUSeconds, result.ListSeconds, result.Writes, result.Written, result.PeakKiB/1024)
		l.say("       manager's requests: %s", result.Requests)
		report.CaseRestarts = append(report.CaseRestarts, result)
	}
	return nil
}

// memory is the manager's when it has done nothing for long.
func (s *caseSite) memory(ctx context.Context) (*caseMemory, error) {
	if _, err := s.manager.untilQuiet(ctx, s.mark, settling); err != nil {
		return nil, err
	}
	m := &caseMemory{Cases: s.cases}
	var err error
	if m.SettledKiB, m.PeakKiB, err = s.manager.memory(); err != nil {
		return nil, err
	}
	metrics, err := s.manager.scrape(ctx)
	m.LiveKiB = metrics[liveHeapMetric] / 1024
	return m, err
}

// grow brings the cases that are spread to a number, and waits until all of them are assigned.
func (s *caseSite) grow(ctx context.Context, size int) (time.Duration, error) {
	var list []*v1alpha1.CaseAssignment
	for i := s.spread; i < size; i++ {
		group := 1 + i%(groups-1)
		list = append(list, newCase(fmt.Sprintf("case-%06d", i), i, s.staff.agent(s.home(i)), s.staff.group(group)))
	}
	s.spread = max(s.spread, size)
	return s.create(ctx, list)
}

// home is who first has one of the cases that are spread.
func (s *caseSite) home(i int) int { return 1 + i%(groups-1) + i/(groups-1)%teamSize*groups }

// newCase is an open case of a client who has a phone of their own.
func newCase(name string, number int, agent, group string) *v1alpha1.CaseAssignment {
	c := &v1alpha1.CaseAssignment{ObjectMeta: meta(name, nil)}
	c.Spec = v1alpha1.CaseAssignmentSpec{
		Case: &v1alpha1.Case{
			ID: fmt.Sprintf("CASE-%07d", number), Title: fmt.Sprintf("Refund of order %07d", number),
			URL: fmt.Sprintf("https://crm.bench.example/cases/%07d", number),
		},
		Client: &v1alpha1.Client{
			ID: fmt.Sprintf("C-%07d", number), Name: fmt.Sprintf("Client Number %d", number),
			Phones: []v1alpha1.PhoneNumber{v1alpha1.PhoneNumber(clientPhone(number))},
		},
		Assignees: []v1alpha1.Assignee{{Name: v1alpha1.AgentName(agent)}},
		Group:     v1alpha1.ObjectName(group),
	}
	return c
}

// clientPhone is that of the client with a number, in E.164.
func clientPhone(number int) string { return fmt.Sprintf("+39333%07d", number) }

// callerKey is the key of the row of the client with a number.
func callerKey(number int) string { return namespace + "/" + clientPhone(number) }

// create creates cases and waits until all are assigned, and their callers known.
func (s *caseSite) create(ctx context.Context, list []*v1alpha1.CaseAssignment) (time.Duration, error) {
	if len(list) == 0 {
		return 0, nil
	}
	s.lab.say("creating %d cases, which makes %d", len(list), s.cases+len(list))
	assigned, err := s.watchPhase(ctx, v1alpha1.CaseAssigned, list)
	if err != nil {
		return 0, err
	}
	if s.mark, err = s.plane.audit.end(); err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := createAll(ctx, s.plane.client, s.lab.concurrency, list); err != nil {
		return 0, err
	}
	end, err := assigned.wait(ctx, func(n int) { s.lab.say("%d are assigned", n) })
	if err != nil {
		return 0, err
	}
	s.cases += len(list)
	end, err = awaitCallers(ctx, s.rows, s.cases, end)
	return end.Sub(begin), err
}

// watchPhase watches from now on until all of some cases are in a phase.
func (s *caseSite) watchPhase(ctx context.Context, phase v1alpha1.CasePhase, list []*v1alpha1.CaseAssignment) (*readiness, error) {
	version, err := s.plane.version(ctx, &v1alpha1.CaseAssignmentList{})
	if err != nil {
		return nil, err
	}
	among := make(map[string]bool, len(list))
	for _, c := range list {
		among[c.Name] = true
	}
	return s.plane.watch(ctx, sought{
		resource: "caseassignments", selector: "status.phase=" + string(phase), version: version, want: len(list),
		is: func(o *watchedObject) bool { return among[o.Metadata.Name] && o.isObserved() },
	})
}

// awaitCallers waits until there are so many known callers. It returns since when there are known to be: from, where
// the first look finds them.
func awaitCallers(ctx context.Context, db *sql.DB, want int, from time.Time) (time.Time, error) {
	const patience = time.Minute
	for seen, start := from, time.Now(); ; seen = time.Now() {
		n := 0
		err := db.QueryRowContext(ctx, "SELECT count(*) FROM roster_sticky WHERE interface <> ''").Scan(&n)
		switch {
		case err != nil || n == want:
			return seen, err
		case time.Since(start) > patience:
			return seen, fmt.Errorf("the database knows %d callers, not %d", n, want)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return seen, err
		}
	}
}

// quiet waits until the manager has nothing left to do, and counts what it did meanwhile.
func (s *caseSite) quiet(ctx context.Context, mark int64, before samples) (*caseWork, []request, error) {
	if _, err := s.manager.untilQuiet(ctx, mark, lateGap); err != nil {
		return nil, nil, err
	}
	requests, _, err := s.plane.audit.managerRequests(mark)
	if err != nil {
		return nil, nil, err
	}
	after, err := s.manager.scrape(ctx)
	if err != nil {
		return nil, nil, err
	}
	return &caseWork{
		Requests: count(requests), CaseWrites: sum(requests, isCaseWrite), Writes: sum(requests, isWrite),
		Reconciles: after[caseReconciles] - before[caseReconciles], Statements: after.since(before, statementsMetric),
		Transactions: after.since(before, transactionsMetric), Written: after.since(before, rowsMetric),
	}, requests, nil
}

// caseWork is what the manager did.
type caseWork struct {
	Requests tally `json:"requests"`
	// CaseWrites are those to cases and their status, Writes those to everything.
	CaseWrites float64 `json:"caseWrites"`
	Writes     float64 `json:"writes"`
	// Reconciles of cases.
	Reconciles float64 `json:"reconciles"`
	// Statements, Transactions and Written are its work on the database.
	Statements   number `json:"statements"`
	Transactions number `json:"transactions"`
	Written      number `json:"rowsWritten"`
}
