package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// deactivation is what one run of deactivations showed, in milliseconds: from the API server's answer to the rows,
// and of the bare client for both together.
type deactivation struct {
	// Load is how many other agents were starting meanwhile.
	Load int `json:"load"`
	// Accepted are the times from the API server's answer to the rows.
	Accepted []float64 `json:"acceptedMs"`
	// Sent are the times from the request to the rows.
	Sent []float64 `json:"sentMs"`
	Bare []float64 `json:"bareMs"`
}

// deactivations measures section c.
func deactivations(ctx context.Context, l *lab, report *report) error {
	for run := range l.runs {
		idle, busy, err := l.measureDeactivations(ctx)
		if err != nil {
			return err
		}
		for _, d := range []*deactivation{idle, busy} {
			l.say("run %d: %d deactivations while %d others start: p50 %.1f ms, p99 %.1f ms; bare p50 %.1f ms, p99 %.1f ms",
				run+1, len(d.Sent), d.Load, percentile(d.Accepted, 50), percentile(d.Accepted, 99), percentile(d.Bare, 50), percentile(d.Bare, 99))
			report.Deactivations = append(report.Deactivations, d)
		}
	}
	return nil
}

// measureDeactivations deactivates people of a converged centre, first alone and then while others start.
func (l *lab) measureDeactivations(ctx context.Context) (idle, busy *deactivation, err error) {
	// Half of the people are deactivated, the other half are there for the bare client.
	core := &staff{prefix: "core", agents: max(4*l.samples, 400), base: 100_000, sharedSecrets: l.sharedSecrets}
	others := &staff{prefix: "other", agents: l.largest(), base: 200_000, sharedSecrets: l.sharedSecrets}
	site, ctx, err := l.openSite(ctx, core, others)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	if _, err := site.start(ctx, core); err != nil {
		return nil, nil, err
	}
	d, err := site.newDeactivator(ctx, core)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, d.close()) }()

	l.say("deactivating %d agents", l.samples)
	idle = &deactivation{}
	for range l.samples {
		if err := d.sample(ctx, idle, 20*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
	l.say("deactivating %d agents while %d others start", l.samples, others.agents)
	busy = &deactivation{Load: others.agents}
	started := make(chan error, 1)
	go func() {
		_, err := site.start(ctx, others)
		started <- err
	}()
	all, err := site.plane.watchReady(ctx, others)
	if err != nil {
		return nil, nil, err
	}
	defer all.stop()
	for len(busy.Sent) < l.samples && !all.complete() {
		if err := d.sample(ctx, busy, 100*time.Millisecond); err != nil {
			return nil, nil, err
		}
	}
	return idle, busy, <-started
}

// deactivator deactivates one person after the other, and does the same as a bare client.
type deactivator struct {
	site  *site
	staff *staff
	// next person to deactivate.
	next int
	bare *sql.DB
}

func (s *site) newDeactivator(ctx context.Context, staff *staff) (*deactivator, error) {
	// The bare client commits to a database of the same size.
	path := filepath.Join(s.dataDir, "bare.sqlite3")
	rows, err := readDump(ctx, s.rows)
	if err != nil {
		return nil, err
	}
	if _, err := rows.write(ctx, path); err != nil {
		return nil, err
	}
	bare, err := openSQLite(path, true)
	return &deactivator{site: s, staff: staff, bare: bare}, err
}

func (d *deactivator) close() error { return d.bare.Close() }

// sample measures one deactivation by the operator and one by the bare client, and pauses after each.
func (d *deactivator) sample(ctx context.Context, into *deactivation, pause time.Duration) error {
	accepted, sent, err := d.operator(ctx, d.staff.agent(d.next))
	if err != nil {
		return err
	}
	if err := sleep(ctx, pause); err != nil {
		return err
	}
	bare, err := d.client(ctx, d.staff.agent(d.staff.agents-1-d.next))
	if err != nil {
		return err
	}
	d.next++
	into.Accepted = append(into.Accepted, milliseconds(accepted))
	into.Sent = append(into.Sent, milliseconds(sent))
	into.Bare = append(into.Bare, milliseconds(bare))
	return sleep(ctx, pause)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func (d *deactivator) patch(ctx context.Context, agent, patch string) error {
	object := &v1alpha1.Agent{ObjectMeta: meta(agent, nil)}
	return d.site.plane.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(patch)))
}

// operator deactivates a person and waits until the rows say so.
func (d *deactivator) operator(ctx context.Context, agent string) (accepted, sent time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("%s still has access a minute after the deactivation", agent))
	defer cancel()
	type outcome struct {
		at  time.Time
		err error
	}
	done := make(chan outcome, 1)
	begin := time.Now()
	go func() {
		at, err := awaitRefusal(ctx, d.site.rows, agent)
		done <- outcome{at, err}
	}()
	if err := d.patch(ctx, agent, `{"spec":{"state":"Deactivated"}}`); err != nil {
		cancel()
		<-done
		return 0, 0, err
	}
	answered := time.Now()
	o := <-done
	// The rows may be there before the answer.
	return max(0, o.at.Sub(answered)), o.at.Sub(begin), o.err
}

// awaitRefusal looks every half millisecond whether a person's phone is refused. All rows of a deactivation are
// committed together.
func awaitRefusal(ctx context.Context, db *sql.DB, agent string) (time.Time, error) {
	look, err := db.PrepareContext(ctx, "SELECT max_contacts FROM ps_aors WHERE id = ?")
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = look.Close() }()
	for {
		contacts := 0
		err := look.QueryRowContext(ctx, agent).Scan(&contacts)
		if now := time.Now(); err != nil || contacts == 0 {
			return now, err
		}
		if err := sleep(ctx, 500*time.Microsecond); err != nil {
			return time.Now(), err
		}
	}
}

// client patches a person and commits the rows of a deactivation. The patch is of something that the operator
// does not act on, and costs the API server the same.
func (d *deactivator) client(ctx context.Context, agent string) (time.Duration, error) {
	begin := time.Now()
	if err := d.patch(ctx, agent, `{"metadata":{"annotations":{"bench.roster.dev/bare":"Deactivated"}}}`); err != nil {
		return 0, err
	}
	tx, err := d.bare.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	now := time.Now().UTC().Format(time.RFC3339)
	for _, statement := range []struct {
		text string
		args []any
	}{
		{"UPDATE roster_registry SET fingerprint = ? WHERE kind = 'Agent' AND name = ?", []any{now, agent}},
		{"UPDATE roster_agents SET phase = 'Deactivating', requested_at = ?, updated_at = ? WHERE name = ?", []any{now, now, agent}},
		{"DELETE FROM roster_memberships WHERE agent = ?", []any{agent}},
		{"DELETE FROM roster_extensions WHERE interface = ?", []any{"PJSIP/" + agent}},
		{"INSERT INTO roster_revocations (center, agent, kind, name, since) VALUES (?, ?, 'Team', 'a', ?), (?, ?, 'Queue', 'b', ?)",
			[]any{namespace, agent, now, namespace, agent, now}},
		{"UPDATE ps_aors SET max_contacts = 0 WHERE id = ?", []any{agent}},
		{"UPDATE ps_endpoints SET context = 'roster-refused' WHERE id = ?", []any{agent}},
		{"DELETE FROM queue_members WHERE interface = ?", []any{"PJSIP/" + agent}},
	} {
		if _, err := tx.ExecContext(ctx, statement.text, statement.args...); err != nil {
			return 0, err
		}
	}
	err = tx.Commit()
	return time.Since(begin), err
}
