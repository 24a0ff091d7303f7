package main

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// coldStart is what one cold start showed.
type coldStart struct {
	Agents int `json:"agents"`
	// Seconds from the first create to the last agent Ready, the rows counted.
	Seconds float64 `json:"seconds"`
	// FloorSeconds are those of the bare client: on the API, and for the rows.
	FloorAPISeconds float64 `json:"floorAPISeconds,omitempty"`
	FloorPBXSeconds float64 `json:"floorPBXSeconds,omitempty"`
	// Memberships and Rows are what the database held then, of queues and altogether.
	Memberships int `json:"memberships"`
	Rows        int `json:"rows"`
	// Requests of the manager by verb and resource, until it was quiet.
	Requests    tally   `json:"requests"`
	AgentWrites float64 `json:"agentWrites"`
	Writes      float64 `json:"writes"`
	SecretReads float64 `json:"secretReads"`
	// Statements, Transactions and Written are the manager's own count of its work on the database.
	Statements   number `json:"statements"`
	Transactions number `json:"transactions"`
	Written      number `json:"rowsWritten"`
	// CPUSeconds are what each program used of the processors until all was Ready, and FloorCPUSeconds in the floor.
	CPUSeconds      processors `json:"cpuSeconds"`
	FloorCPUSeconds processors `json:"floorCPUSeconds,omitempty"`
	// SettledKiB and PeakKiB are the manager's memory.
	SettledKiB float64 `json:"settledKiB,omitempty"`
	PeakKiB    float64 `json:"peakKiB,omitempty"`
}

func (c *coldStart) floor() float64 { return c.FloorAPISeconds + c.FloorPBXSeconds }

// settling is how long a manager is left alone before its memory is read.
const settling = 20 * time.Second

// coldStarts measures section a, and e with it.
func coldStarts(ctx context.Context, l *lab, report *report) error {
	for run := range l.runs {
		for _, size := range l.sizes {
			result, err := l.measureColdStart(ctx, size)
			if err != nil {
				return err
			}
			l.say("run %d: %d agents in %.2f s; %.2f API writes per agent; seconds of processor: %s",
				run+1, size, result.Seconds, result.AgentWrites/float64(size), result.CPUSeconds)
			l.say("       manager's requests: %s", result.Requests)
			if l.wants("a") {
				l.say("       floor %.2f s (API %.2f, rows %.2f); seconds of processor: %s",
					result.floor(), result.FloorAPISeconds, result.FloorPBXSeconds, result.FloorCPUSeconds)
			}
			report.ColdStarts = append(report.ColdStarts, result)
		}
	}
	return nil
}

func (l *lab) measureColdStart(ctx context.Context, size int) (*coldStart, error) {
	s := &staff{prefix: "agent", agents: size, base: 100_000, sharedSecrets: l.sharedSecrets}
	result, final, rows, err := l.operatorColdStart(ctx, s)
	if err != nil || !l.wants("a") {
		return result, err
	}
	return result, l.floorColdStart(ctx, s, result, final, rows)
}

// operatorColdStart is a cold start with the operator. It returns the statuses and rows that came of it.
func (l *lab) operatorColdStart(ctx context.Context, s *staff) (_ *coldStart, final map[string][]byte, rows *dump, err error) {
	site, ctx, err := l.openSite(ctx, s)
	if err != nil {
		return nil, nil, nil, err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	result, err := site.start(ctx, s)
	if err != nil {
		return nil, nil, nil, err
	}
	if l.wants("e") {
		if _, err := site.manager.untilQuiet(ctx, site.mark, settling); err != nil {
			return nil, nil, nil, err
		}
		if result.SettledKiB, result.PeakKiB, err = site.manager.memory(); err != nil {
			return nil, nil, nil, err
		}
	}
	if final, err = statuses(ctx, site.plane.client); err != nil {
		return nil, nil, nil, err
	}
	if rows, err = readDump(ctx, site.rows); err != nil {
		return nil, nil, nil, err
	}
	result.Rows = rows.rows()
	return result, final, rows, nil
}

// start creates a staff and waits until all of it is Ready and the manager quiet again.
func (s *site) start(ctx context.Context, staff *staff) (*coldStart, error) {
	l, c := s.lab, s.plane.client
	lists, people := staff.lists(), staff.people()
	before, err := s.manager.scrape(ctx)
	if err != nil {
		return nil, err
	}
	cpu, err := processorTimes()
	if err != nil {
		return nil, err
	}
	ready, err := s.plane.watchReady(ctx, staff)
	if err != nil {
		return nil, err
	}
	if s.mark, err = s.plane.audit.end(); err != nil {
		return nil, err
	}
	l.say("cold start of %d agents", staff.agents)
	begin := time.Now()
	if err := createAll(ctx, c, l.concurrency, lists); err != nil {
		return nil, err
	}
	if err := createAll(ctx, c, l.concurrency, people); err != nil {
		return nil, err
	}
	l.say("created after %.1f s", time.Since(begin).Seconds())
	end, err := ready.wait(ctx, func(n int) { l.say("%d are Ready", n) })
	if err != nil {
		return nil, err
	}
	used, err := processorTimes()
	if err != nil {
		return nil, err
	}
	if end, err = awaitRows(ctx, s.rows, staff, end); err != nil {
		return nil, err
	}
	if _, err := s.manager.untilQuiet(ctx, s.mark, quietGap); err != nil {
		return nil, err
	}
	requests, _, err := s.plane.audit.managerRequests(s.mark)
	if err != nil {
		return nil, err
	}
	after, err := s.manager.scrape(ctx)
	if err != nil {
		return nil, err
	}
	return &coldStart{
		Agents: staff.agents, Seconds: end.Sub(begin).Seconds(), Memberships: staff.memberships(),
		Requests: count(requests), AgentWrites: sum(requests, isAgentWrite), Writes: sum(requests, isWrite),
		SecretReads: sum(requests, isSecretRead),
		Statements:  after.since(before, statementsMetric), Transactions: after.since(before, transactionsMetric),
		Written: after.since(before, rowsMetric), CPUSeconds: used.since(cpu),
	}, nil
}

// floorColdStart is the same without an operator: a bare client, one watch, and one transaction.
func (l *lab) floorColdStart(ctx context.Context, s *staff, result *coldStart, final map[string][]byte, rows *dump) (err error) {
	p, err := l.newPlane(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	if err := createAll(ctx, p.client, l.concurrency, s.secrets()); err != nil {
		return err
	}
	lists, people := s.lists(), s.people()
	stopWatch, err := p.watchAll(ctx, &v1alpha1.AgentList{})
	if err != nil {
		return err
	}
	defer stopWatch()
	cpu, err := processorTimes()
	if err != nil {
		return err
	}
	l.say("floor of %d agents", s.agents)
	begin := time.Now()
	if err := createAll(ctx, p.client, l.concurrency, lists); err != nil {
		return err
	}
	if err := each(ctx, len(people), l.concurrency, func(ctx context.Context, i int) error {
		return establish(ctx, p.client, people[i], final[people[i].Name])
	}); err != nil {
		return err
	}
	result.FloorAPISeconds = time.Since(begin).Seconds()
	took, err := rows.write(ctx, filepath.Join(p.dir, "floor.sqlite3"))
	if err != nil {
		return err
	}
	result.FloorPBXSeconds = took.Seconds()
	used, err := processorTimes()
	result.FloorCPUSeconds = used.since(cpu)
	return err
}
