package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// caseEdits is what one run of edits showed, in milliseconds.
type caseEdits struct {
	// Cases that were open.
	Cases int `json:"cases"`
	// Row and Status are the times from the API server's answer to the caller's row, and to the status.
	Row    []float64 `json:"rowMs"`
	Status []float64 `json:"statusMs"`
	// BareRow is a commit of one row by the bare client, BareStatus that and the write of a status.
	BareRow    []float64 `json:"bareRowMs"`
	BareStatus []float64 `json:"bareStatusMs"`
	*caseWork
}

// editCases measures one run of section k.
func (s *caseSite) editCases(ctx context.Context) (_ *caseEdits, err error) {
	// The bare client commits to a database of the same size.
	dir, err := s.lab.newDir("bare")
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, database)
	rows, err := readDump(ctx, s.rows)
	if err != nil {
		return nil, err
	}
	if _, err := rows.write(ctx, path); err != nil {
		return nil, err
	}
	bare, err := openSQLite(path, true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, bare.Close()) }()

	const pause = 20 * time.Millisecond
	if _, err := s.manager.untilQuiet(ctx, s.mark, lateGap); err != nil {
		return nil, err
	}
	before, err := s.manager.scrape(ctx)
	if err != nil {
		return nil, err
	}
	if s.mark, err = s.plane.audit.end(); err != nil {
		return nil, err
	}
	result := &caseEdits{Cases: s.cases}
	for range s.lab.samples {
		row, status, err := s.editCase(ctx, s.edited%s.spread)
		if err != nil {
			return nil, err
		}
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
		bareRow, bareBoth, err := s.editBare(ctx, bare, s.spread-1-s.edited%s.spread)
		if err != nil {
			return nil, err
		}
		s.edited++
		result.Row, result.Status = append(result.Row, milliseconds(row)), append(result.Status, milliseconds(status))
		result.BareRow, result.BareStatus = append(result.BareRow, milliseconds(bareRow)), append(result.BareStatus, milliseconds(bareBoth))
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
	result.caseWork, _, err = s.quiet(ctx, s.mark, before)
	return result, err
}

// caseOf reads one of the cases that are spread.
func (s *caseSite) caseOf(ctx context.Context, i int) (*v1alpha1.CaseAssignment, error) {
	c := &v1alpha1.CaseAssignment{}
	return c, s.plane.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: fmt.Sprintf("case-%06d", i)}, c)
}

// editCase gives a case to a colleague, or back, and waits until status and row say so.
func (s *caseSite) editCase(ctx context.Context, i int) (row, status time.Duration, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("case %d is where it was a minute after the edit", i))
	defer cancel()
	object, err := s.caseOf(ctx, i)
	if err != nil {
		return 0, 0, err
	}
	home := s.home(i)
	target := s.staff.agent(home)
	if string(object.Spec.Assignees[0].Name) == target {
		target = s.staff.agent((home + groups) % s.staff.agents)
	}
	told, err := s.plane.watch(ctx, sought{
		resource: "caseassignments", selector: "metadata.name=" + object.Name, want: 1,
		is: func(o *watchedObject) bool {
			return o.isObserved() && len(o.Status.Assignees) == 1 && o.Status.Assignees[0].Name == target
		},
	})
	if err != nil {
		return 0, 0, err
	}
	defer told.stop()
	type outcome struct {
		at  time.Time
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		at, err := s.awaitCaller(ctx, i, target)
		done <- outcome{at, err}
	}()
	patch := fmt.Appendf(nil, `{"spec":{"assignees":[{"name":%q}]}}`, target)
	if err := s.plane.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		cancel()
		<-done
		return 0, 0, err
	}
	answered := time.Now()
	o := <-done
	if o.err != nil {
		return 0, 0, o.err
	}
	at, err := told.wait(ctx, func(int) {})
	return max(0, o.at.Sub(answered)), max(0, at.Sub(answered)), err
}

// awaitCaller looks every half millisecond whether a client's calls go to a person.
func (s *caseSite) awaitCaller(ctx context.Context, number int, agent string) (time.Time, error) {
	look, err := s.rows.PrepareContext(ctx, "SELECT agent FROM roster_sticky WHERE key = ?")
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = look.Close() }()
	for {
		found := ""
		err := look.QueryRowContext(ctx, callerKey(number)).Scan(&found)
		if now := time.Now(); err != nil || found == agent {
			return now, err
		}
		if err := sleep(ctx, 500*time.Microsecond); err != nil {
			return time.Now(), err
		}
	}
}

// editBare writes a case's status and commits one row. What it adds to the status means nothing to the operator,
// which leaves it there.
func (s *caseSite) editBare(ctx context.Context, bare *sql.DB, i int) (row, both time.Duration, err error) {
	object, err := s.caseOf(ctx, i)
	if err != nil {
		return 0, 0, err
	}
	object.Status.History = append(object.Status.History, v1alpha1.HistoryEntry{
		Time: metav1.Now(), Type: "Bare", From: s.staff.agent(i % s.staff.agents), To: s.staff.agent((i + 1) % s.staff.agents),
	})
	if len(object.Status.History) > 50 {
		object.Status.History = object.Status.History[1:]
	}
	begin := time.Now()
	_, err = bare.ExecContext(ctx, "UPDATE roster_sticky SET agent = ?, interface = 'PJSIP/' || ? WHERE key = ?",
		object.ResourceVersion, object.ResourceVersion, callerKey(i))
	if err != nil {
		return 0, 0, err
	}
	row = time.Since(begin)
	err = s.plane.client.Status().Update(ctx, object)
	return row, time.Since(begin), err
}
