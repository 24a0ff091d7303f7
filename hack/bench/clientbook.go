package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// clientBook is what one run of sections l and m showed: a person's client book was created at once, and handed on
// when they were deactivated.
type clientBook struct {
	// Cases in the book, and those open in the centre.
	Cases int `json:"cases"`
	All   int `json:"all"`
	// CreateSeconds are from the first create to the last case assigned, and of the bare client.
	CreateSeconds      float64   `json:"createSeconds"`
	CreateFloorSeconds float64   `json:"createFloorSeconds,omitempty"`
	Created            *caseWork `json:"created"`
	// AccessMs is from the API server's answer to the rows that end access; FirstRowMs, LastRowMs, FirstCaseMs and
	// LastCaseMs to the first and last caller's row that moved, and to the first and last case's status.
	AccessMs    float64 `json:"accessMs"`
	FirstRowMs  float64 `json:"firstRowMs"`
	LastRowMs   float64 `json:"lastRowMs"`
	FirstCaseMs float64 `json:"firstCaseMs"`
	LastCaseMs  float64 `json:"lastCaseMs"`
	// FloorMs is what the bare client needs for as many writes of status.
	FloorMs float64 `json:"floorMs,omitempty"`
	// Waited is how many of the book's callers were still the person's when access had ended.
	Waited  int       `json:"waited"`
	Covered *caseWork `json:"covered"`
	// OthersWrites are those to cases of others.
	OthersWrites float64 `json:"othersWrites"`

	first int
	list  []*v1alpha1.CaseAssignment
	// assigned and covering are the statuses before and after the deactivation.
	assigned, covering map[string]*v1alpha1.CaseAssignmentStatus
}

// measureBooks measures sections l and m. The floors come when the manager has been stopped, with the statuses that
// it wrote; then another is started.
func (s *caseSite) measureBooks(ctx, managed context.Context, report *report) (context.Context, error) {
	l := s.lab
	for run := range l.runs {
		b, err := s.createBook(managed, run)
		if err != nil {
			return nil, err
		}
		l.say("run %d: %d cases created and assigned in %.2f s; %s", run+1, b.Cases, b.CreateSeconds, b.Created.Requests)
		if l.wants("l") {
			if err := s.handOn(managed, run, b); err != nil {
				return nil, err
			}
			l.say("       deactivated: access gone after %.1f ms, rows moved after %.1f to %.1f ms, cases after %.1f to %.1f ms; %s",
				b.AccessMs, b.FirstRowMs, b.LastRowMs, b.FirstCaseMs, b.LastCaseMs, b.Covered.Requests)
		}
		report.Books = append(report.Books, b)
	}
	if err := s.manager.stop(); err != nil {
		return nil, err
	}
	stopWatch, err := s.plane.watchAll(ctx, &v1alpha1.CaseAssignmentList{})
	if err != nil {
		return nil, err
	}
	defer stopWatch()
	for run, b := range report.Books {
		if l.wants("l") {
			if err := s.handOnBare(ctx, b); err != nil {
				return nil, err
			}
		}
		if err := s.createBare(ctx, b); err != nil {
			return nil, err
		}
		l.say("floors of run %d: %.2f s to create, %.1f ms to hand on", run+1, b.CreateFloorSeconds, b.FloorMs)
	}
	if s.manager, managed, err = l.startManager(ctx, s.plane, s.dataDir); err != nil {
		return nil, err
	}
	if err := s.awaitCentre(managed); err != nil {
		return nil, err
	}
	_, err = s.manager.untilQuiet(managed, s.mark, lateGap)
	return managed, err
}

// createBook creates a person's client book. Its sticky group is another one than the person's.
func (s *caseSite) createBook(ctx context.Context, run int) (*clientBook, error) {
	b := &clientBook{Cases: s.lab.book, first: bookPhones + run*phonesEach}
	for i := range b.Cases {
		b.list = append(b.list, newCase(fmt.Sprintf("book-%d-%05d", run, i), b.first+i, s.staff.agent(run*groups), s.staff.group(1+run)))
	}
	if _, err := s.manager.untilQuiet(ctx, s.mark, lateGap); err != nil {
		return nil, err
	}
	before, err := s.manager.scrape(ctx)
	if err != nil {
		return nil, err
	}
	took, err := s.create(ctx, copies(b.list))
	if err != nil {
		return nil, err
	}
	b.CreateSeconds, b.All = took.Seconds(), s.cases
	if b.Created, _, err = s.quiet(ctx, s.mark, before); err != nil {
		return nil, err
	}
	b.assigned, err = s.statuses(ctx, b)
	return b, err
}

// copies are objects that no API server has filled in.
func copies(list []*v1alpha1.CaseAssignment) []*v1alpha1.CaseAssignment {
	result := make([]*v1alpha1.CaseAssignment, len(list))
	for i, c := range list {
		result[i] = c.DeepCopy()
	}
	return result
}

// read is the book as it is now.
func (s *caseSite) read(ctx context.Context, b *clientBook) ([]*v1alpha1.CaseAssignment, error) {
	list := make([]*v1alpha1.CaseAssignment, len(b.list))
	return list, each(ctx, len(list), s.lab.concurrency, func(ctx context.Context, i int) error {
		list[i] = &v1alpha1.CaseAssignment{}
		return s.plane.client.Get(ctx, client.ObjectKeyFromObject(b.list[i]), list[i])
	})
}

func (s *caseSite) statuses(ctx context.Context, b *clientBook) (map[string]*v1alpha1.CaseAssignmentStatus, error) {
	list, err := s.read(ctx, b)
	if err != nil {
		return nil, err
	}
	statuses := make(map[string]*v1alpha1.CaseAssignmentStatus, len(list))
	for _, c := range list {
		statuses[c.Name] = &c.Status
	}
	return statuses, nil
}

// handOn deactivates the person and waits until all of the book is covered.
func (s *caseSite) handOn(ctx context.Context, run int, b *clientBook) error {
	person := s.staff.agent(run * groups)
	covered, err := s.watchPhase(ctx, v1alpha1.CaseCovered, b.list)
	if err != nil {
		return err
	}
	before, err := s.manager.scrape(ctx)
	if err != nil {
		return err
	}
	if s.mark, err = s.plane.audit.end(); err != nil {
		return err
	}
	watching, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, fmt.Errorf("%s still has cases five minutes after the deactivation", person))
	defer cancel()
	done := make(chan error, 1)
	seen := &handover{}
	go func() { done <- s.watchHandover(watching, person, b, seen) }()
	object := &v1alpha1.Agent{ObjectMeta: meta(person, nil)}
	err = s.plane.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"state":"Deactivated"}}`)))
	answered := time.Now()
	if err != nil {
		cancel()
		return errors.Join(err, <-done)
	}
	last, err := covered.wait(ctx, func(n int) { s.lab.say("%d are covered", n) })
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	after := func(t time.Time) float64 { return max(0, milliseconds(t.Sub(answered))) }
	b.AccessMs, b.FirstRowMs, b.LastRowMs = after(seen.access), after(seen.firstRow), after(seen.lastRow)
	b.FirstCaseMs, b.LastCaseMs, b.Waited = after(covered.first), after(last), seen.waited
	work, requests, err := s.quiet(ctx, s.mark, before)
	if err != nil {
		return err
	}
	b.Covered = work
	for _, r := range requests {
		if isCaseWrite(r) && b.assigned[r.name] == nil {
			b.OthersWrites++
		}
	}
	b.covering, err = s.statuses(ctx, b)
	return err
}

// handover is what the rows tell of a deactivation.
type handover struct {
	access, firstRow, lastRow time.Time
	waited                    int
}

// watchHandover looks when the rows end a person's access, how many callers are still theirs then, and when those
// move.
func (s *caseSite) watchHandover(ctx context.Context, person string, b *clientBook, seen *handover) (err error) {
	theirs := func() (n int, err error) {
		err = s.rows.QueryRowContext(ctx, "SELECT count(*) FROM roster_sticky WHERE key BETWEEN ? AND ? AND agent = ?",
			callerKey(b.first), callerKey(b.first+b.Cases-1), person).Scan(&n)
		return n, err
	}
	if seen.access, err = awaitRefusal(ctx, s.rows, person); err != nil {
		return err
	}
	if seen.waited, err = theirs(); err != nil {
		return err
	}
	for {
		n, err := theirs()
		if err != nil {
			return err
		}
		now := time.Now()
		if n < b.Cases && seen.firstRow.IsZero() {
			seen.firstRow = now
		}
		if n == 0 {
			seen.lastRow = now
			return nil
		}
		if err := sleep(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}

// handOnBare gives the cases of a book the statuses that they had before the deactivation, and measures how long a
// bare client needs for those of after it.
func (s *caseSite) handOnBare(ctx context.Context, b *clientBook) error {
	list, err := s.read(ctx, b)
	if err != nil {
		return err
	}
	if _, err := s.writeStatuses(ctx, list, b.assigned); err != nil {
		return err
	}
	took, err := s.writeStatuses(ctx, list, b.covering)
	b.FloorMs = milliseconds(took)
	return err
}

func (s *caseSite) writeStatuses(
	ctx context.Context, list []*v1alpha1.CaseAssignment, statuses map[string]*v1alpha1.CaseAssignmentStatus,
) (time.Duration, error) {
	begin := time.Now()
	err := each(ctx, len(list), s.lab.concurrency, func(ctx context.Context, i int) error {
		list[i].Status = *statuses[list[i].Name]
		return s.plane.client.Status().Update(ctx, list[i])
	})
	return time.Since(begin), err
}

// createBare measures how long a bare client needs to create the same cases under other names, each with its status,
// and takes them out again.
func (s *caseSite) createBare(ctx context.Context, b *clientBook) error {
	list := copies(b.list)
	begin := time.Now()
	if err := each(ctx, len(list), s.lab.concurrency, func(ctx context.Context, i int) error {
		status := b.assigned[list[i].Name]
		list[i].Name = "bare-" + list[i].Name
		if err := s.plane.client.Create(ctx, list[i]); err != nil {
			return err
		}
		list[i].Status = *status
		return s.plane.client.Status().Update(ctx, list[i])
	}); err != nil {
		return err
	}
	b.CreateFloorSeconds = time.Since(begin).Seconds()
	return each(ctx, len(list), s.lab.concurrency, func(ctx context.Context, i int) error {
		return s.plane.client.Delete(ctx, list[i])
	})
}
