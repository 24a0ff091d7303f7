package controllers

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

// callerConcurrency is how many callers are worked on at once. They wait for the database together, in its batches.
const callerConcurrency = 128

// callerReconciler keeps the row of one known caller at a time, by phone number. Several cases may know a caller: the
// row is of one of them, and a caller's own key orders what is written of it.
type callerReconciler struct{ *operator }

// Reconcile brings one caller's row to what the case says that counts.
func (r *callerReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	ns, phone := req.Namespace, req.Name
	site, c := r.sites.get(ns), r.centers.Get(ns)
	if site == nil || c == nil || connecting(c) || r.callers.isClosing(ns) {
		return ctrl.Result{}, nil // its ContactCenter comes first, and brings everybody back
	}
	record, registered, known := c.RecordedSticky(phone)
	desired, wanted, decided := r.sticky(ns, phone)
	if !decided {
		r.settled(ns, phone)
		return ctrl.Result{}, nil // its case is decided first, and brings the caller back
	}
	if _, ok := site.writable(c, known); !ok {
		r.settled(ns, phone)
		return ctrl.Result{}, nil
	}
	suspect := c.IsSuspectSticky(phone)
	if !suspect && wanted == registered && (!wanted || record == desired) {
		r.callers.settle(ns, phone, verdict{})
		r.settled(ns, phone)
		return ctrl.Result{}, nil
	}
	if !wanted && record.Assignment != "" && !r.feed.Directory(ns).HasCase(record.Assignment) {
		if gone, err := r.feed.isGone(ctx, kindCase, ns, record.Assignment); err != nil || !gone {
			return retry(time.Second), err
		}
	}
	write := func() (bool, error) { return c.RemoveSticky(ctx, phone) }
	if wanted {
		write = func() (bool, error) { return c.ApplySticky(ctx, &desired) }
	}
	changed, err := write()
	v := verdictOf(err)
	if err != nil && v.ready() {
		return ctrl.Result{}, err
	}
	r.callers.settle(ns, phone, v)
	r.settled(ns, phone)
	if changed && suspect {
		r.tellRepairedCaller(ctx, ns, phone, &desired)
	}
	if v.stalled {
		return retry(retryRefused), nil
	}
	return ctrl.Result{}, nil
}

// settled looks again at the cases whose status waits for a caller's row: what is begun comes before what is not.
func (r *callerReconciler) settled(ns, phone string) {
	r.feed.enqueue(kindCase, ns, priorityEdit, 0, r.callers.awaiting(ns, phone)...)
}

// tellRepairedCaller tells of a row that somebody else had changed.
func (r *callerReconciler) tellRepairedCaller(ctx context.Context, ns, phone string, s *telephony.Sticky) {
	r.drift.repaired(ns, 1)
	r.feed.recount(ns)
	object := &v1alpha1.CaseAssignment{}
	if s.Assignment == "" || r.Get(ctx, types.NamespacedName{Namespace: ns, Name: s.Assignment}, object) != nil {
		return
	}
	r.warning(object, reasonDrift, "Repair roster_sticky",
		"where the calls of "+phone+" go was changed on the telephone system by somebody else, and made as declared again")
}

// sticky is where a caller's calls should go. wanted is false for a caller whom no open case knows, decided while it
// is not decided yet who holds it.
func (op *operator) sticky(ns, phone string) (s telephony.Sticky, wanted, decided bool) {
	d := op.feed.Directory(ns)
	caller, wanted, decided := d.Sticky(phone)
	if !wanted || !decided {
		return s, wanted, decided
	}
	s = telephony.Sticky{
		Phone: phone, Agent: caller.Agent, Group: caller.Group, Case: caller.Case, Assignment: caller.Assignment,
	}
	if caller.Group != "" {
		s.Queue = roster.GroupQueue(ns, caller.Group)
	}
	return s, true, true
}

// rowState is how far the row of a caller is.
type rowState int

const (
	// rowSettled is as it should be, or another case's.
	rowSettled rowState = iota
	// rowPending is to be written.
	rowPending
	// rowRefused cannot be written, now or at all.
	rowRefused
)

// rowOf says how far the row of a case's phone is.
func (op *operator) rowOf(ns, phone, assignment string) (verdict, rowState) {
	desired, wanted, decided := op.sticky(ns, phone)
	if wanted && !decided || op.callers.isClosing(ns) {
		return verdict{}, rowSettled
	}
	site, c := op.sites.get(ns), op.centers.Get(ns)
	record, known := telephony.Sticky{}, false
	if c != nil {
		record, _, known = c.RecordedSticky(phone)
	}
	// A row that was the case's and is another's now, or nobody's, has to go first.
	if mine := wanted && desired.Assignment == assignment; mine && known && record == desired ||
		!mine && record.Assignment != assignment {
		return verdict{}, rowSettled
	}
	if site == nil {
		return verdict{}, rowPending
	}
	if v, ok := site.writable(c, known); !ok {
		return v, rowRefused
	}
	if c.Status().State != v1alpha1.ConnectionConnected {
		return reconciling(reasonUnreachable, connectionMessage(c)), rowRefused
	}
	if v := op.callers.get(ns, phone); !v.ready() {
		return v, rowRefused
	}
	return verdict{}, rowPending
}

// forgetCallers takes out what no person and no queue takes along: the callers' rows, and the groups' queues. done is
// false while that is awaited.
func (s *centerScope) forgetCallers(ctx context.Context) (done bool, err error) {
	c := s.centers.Get(s.namespace)
	if c == nil || s.site.abandon {
		return true, nil
	}
	_, queues := c.RecordedNames()
	queues = slices.DeleteFunc(queues, func(queue string) bool { return !roster.IsGroupQueue(queue) })
	phones := c.RecordedPhones()
	if len(phones)+len(queues) == 0 {
		return true, nil
	}
	s.callers.close(s.namespace, true)
	s.result = retry(forgetRetry) // what was under way is found then
	work, ctx := errgroup.WithContext(ctx)
	work.SetLimit(callerConcurrency)
	for _, phone := range phones {
		work.Go(func() error {
			_, err := c.RemoveSticky(ctx, phone)
			return err
		})
	}
	for _, queue := range queues {
		work.Go(func() error { return c.RemoveQueue(ctx, queue) })
	}
	if err := work.Wait(); err != nil {
		v := verdictOf(err)
		if v.ready() {
			return false, err
		}
		s.verdict = awaiting(v)
		s.result = retry(retryRefused)
	}
	return false, nil
}

// forgetRetry is how soon it is made sure that nothing was written again meanwhile.
const forgetRetry = 200 * time.Millisecond

// callers are the rows that could not be written, and those that a status waits for.
type callers struct {
	mu      sync.Mutex
	refused map[types.NamespacedName]verdict
	// awaited leads from a caller to the cases whose status waits.
	awaited map[types.NamespacedName][]string
	// closing are the centres that are on their way out: nothing is written there any more.
	closing map[string]struct{}
}

func newCallers() *callers {
	return &callers{refused: map[types.NamespacedName]verdict{}, awaited: map[types.NamespacedName][]string{}, closing: map[string]struct{}{}}
}

func (c *callers) close(ns string, closing bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if closing {
		c.closing[ns] = struct{}{}
	} else {
		delete(c.closing, ns)
	}
}

func (c *callers) isClosing(ns string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, is := c.closing[ns]
	return is
}

// await notes that a case waits for a caller's row.
func (c *callers) await(ns, phone, assignment string) {
	key := types.NamespacedName{Namespace: ns, Name: phone}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !slices.Contains(c.awaited[key], assignment) {
		c.awaited[key] = append(c.awaited[key], assignment)
	}
}

// awaiting are the cases that wait for a caller's row. They wait no more.
func (c *callers) awaiting(ns, phone string) []string {
	key := types.NamespacedName{Namespace: ns, Name: phone}
	c.mu.Lock()
	defer c.mu.Unlock()
	cases := c.awaited[key]
	delete(c.awaited, key)
	return cases
}

func (c *callers) get(ns, phone string) verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused[types.NamespacedName{Namespace: ns, Name: phone}]
}

func (c *callers) settle(ns, phone string, v verdict) {
	key := types.NamespacedName{Namespace: ns, Name: phone}
	c.mu.Lock()
	defer c.mu.Unlock()
	if v.ready() {
		delete(c.refused, key)
	} else {
		c.refused[key] = v
	}
}
