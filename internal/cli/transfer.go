package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// atOnce is how many assignments a transfer works on at the same time.
const atOnce = 16

// transferRounds is how often a transfer lists the book again, to find what came into it meanwhile.
const transferRounds = 3

// transfer moves one person's book to another.
type transfer struct {
	*session
	from, to string
	// cases are moved too that have no client.
	cases bool
	// progress is how often to say how far it is.
	progress time.Duration

	mu sync.Mutex
	// moved are the assignments that were moved, as they were written.
	moved map[string]*v1alpha1.CaseAssignment
	// failed is why assignments could not be moved.
	failed map[string]error
}

// transferOptions are the flags of `book transfer`.
type transferOptions struct {
	dryRun, force, cases, wait bool
	timeout                    time.Duration
	form                       form
}

func newBookTransferCommand(c *connection) *cobra.Command {
	o := &transferOptions{}
	cmd := &cobra.Command{
		Use:   "transfer FROM TO",
		Short: "Move a person's whole client book to another person",
		Long: "Move a person's whole client book to another person: in every open case with a client to which FROM is assigned,\n" +
			"TO takes FROM's place and reason. Completed cases stay as they are.\n\n" +
			"Either all of them are moved, or those that are left are named, each with the reason, and the exit code is 1. It may\n" +
			"be interrupted and repeated: what is moved stays moved. What FROM holds only in somebody else's place is reported and\n" +
			"stays, because it is that person's." + editingHelp,
		Example: `  {roster} book transfer alice-martin bob-lee
  {roster} book transfer alice-martin bob-lee --dry-run -o yaml > book.yaml`,
		Args: needs("FROM", "TO"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(args[0], args[1]); err != nil {
				return err
			}
			s, err := c.open(cmd)
			if err != nil {
				return err
			}
			t := &transfer{session: s, from: args[0], to: args[1], cases: o.cases, progress: 2 * time.Second}
			return t.run(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.dryRun, "dry-run", false, "change nothing, and show what would be moved")
	f.BoolVar(&o.force, "force", false, "even if TO cannot take cases now: their cover gets them meanwhile")
	f.BoolVar(&o.cases, "cases", false, "move the open cases without a client too")
	f.BoolVar(&o.wait, "wait", true, "wait until Roster has given the cases to TO")
	f.DurationVar(&o.timeout, "timeout", time.Minute, "how long to wait")
	outputFlag(cmd, &o.form, "with --dry-run: yaml or json prints the manifests")
	return cmd
}

func (o *transferOptions) check(from, to string) error {
	for _, name := range []string{from, to} {
		if len(validation.IsDNS1123Label(name)) > 0 {
			return fmt.Errorf("%q is no Agent's name: those have lower-case letters, digits and '-'", name)
		}
	}
	if from == to {
		return fmt.Errorf("%s has their book already: name two people", from)
	}
	if o.form != asTable && !o.dryRun {
		return fmt.Errorf("-o %s prints the manifests instead of changing the cluster: add --dry-run", o.form)
	}
	return nil
}

func (t *transfer) run(ctx context.Context, o *transferOptions) error {
	t.moved, t.failed = map[string]*v1alpha1.CaseAssignment{}, map[string]error{}
	if err := t.checkSuccessor(ctx, o.force); err != nil {
		return err
	}
	if o.dryRun {
		return t.plan(ctx, o.form)
	}
	left, err := t.move(ctx)
	if err == nil || len(t.moved)+len(t.failed) > 0 {
		t.say("moved %d from %s to %s", len(t.moved), t.from, t.to)
	}
	if err := errors.Join(t.tellLeft(left), err); err != nil {
		return err
	}
	if len(t.moved) == 0 {
		t.tellNothing(ctx, left)
		return nil
	}
	if !o.wait {
		return nil
	}
	return t.await(ctx, o.timeout)
}

// checkSuccessor refuses a person who could not take the cases.
func (t *transfer) checkSuccessor(ctx context.Context, force bool) error {
	if force {
		return nil
	}
	to, err := t.agent(ctx, t.to)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("%w.\nDeclare them first, or transfer the book all the same with --force", err)
	case err != nil:
		return fmt.Errorf("whether %s can take the cases is not known: %w.\n--force transfers the book all the same", t.to, err)
	}
	if why := notAble(to, time.Local, time.Now()); why != "" {
		return fmt.Errorf("%s.\nNothing was moved: name somebody else, or transfer the book all the same with --force", why)
	}
	return nil
}

// declared says whether an assignment is one to move.
func (t *transfer) declared(a *v1alpha1.CaseAssignment) bool {
	return t.concerns(a) && assigneeIndex(&a.Spec, t.from) >= 0
}

// covered says whether the person holds an assignment in somebody's place, and so not to give away. A status that
// still has them as declared is only not up to date.
func (t *transfer) covered(a *v1alpha1.CaseAssignment) bool {
	h := holder(a, t.from)
	return t.concerns(a) && assigneeIndex(&a.Spec, t.from) < 0 && h != nil && h.Via != v1alpha1.ViaDeclared
}

func (t *transfer) concerns(a *v1alpha1.CaseAssignment) bool {
	return a.Spec.State != v1alpha1.CaseCompleted && a.DeletionTimestamp.IsZero() && (t.cases || a.Spec.Client != nil)
}

// handOver is a list of assignees in which to has the place of from. Whoever is on it already keeps the better place,
// and the reason of their own.
func handOver(assignees []v1alpha1.Assignee, from, to string) []v1alpha1.Assignee {
	index := func(list []v1alpha1.Assignee, name string) int {
		return slices.IndexFunc(list, func(a v1alpha1.Assignee) bool { return string(a.Name) == name })
	}
	leaving, there := index(assignees, from), index(assignees, to)
	if leaving < 0 {
		return assignees
	}
	list := slices.Clone(assignees)
	entry := v1alpha1.Assignee{Name: v1alpha1.AgentName(to), Reason: list[leaving].Reason}
	if there < 0 {
		list[leaving] = entry
		return list
	}
	if list[there].Reason != "" {
		entry.Reason = list[there].Reason
	}
	list[min(leaving, there)] = entry
	return slices.Delete(list, max(leaving, there), max(leaving, there)+1)
}

// book lists the assignments to move, and those that the person holds in somebody's place.
func (t *transfer) book(ctx context.Context) (declared, covered []assignment, err error) {
	found, err := t.list(ctx, stillOpen, func(a *v1alpha1.CaseAssignment) bool { return t.declared(a) || t.covered(a) })
	for _, a := range found {
		if t.declared(a.CaseAssignment) {
			declared = append(declared, a)
		} else {
			covered = append(covered, a)
		}
	}
	return declared, covered, err
}

// remains is what a transfer did not move.
type remains struct{ declared, covered []assignment }

// move moves the book, and what comes into it meanwhile, and returns what is left.
func (t *transfer) move(ctx context.Context) (left remains, err error) {
	for round := 0; round == 0 || ctx.Err() == nil; round++ {
		declared, covered, err := t.book(ctx)
		switch {
		case err != nil && round > 0:
			return left, fmt.Errorf("more may be left, repeat the transfer: %w", err)
		case err != nil:
			return left, err
		}
		left = remains{declared, covered}
		todo := slices.DeleteFunc(slices.Clone(declared), func(a assignment) bool { return t.failed[a.Name] != nil })
		if len(todo) == 0 || round == transferRounds {
			return left, nil
		}
		if round == 0 {
			t.warn(todo)
		}
		t.work(ctx, todo)
		left.declared = slices.DeleteFunc(declared, func(a assignment) bool { return t.failed[a.Name] == nil })
	}
	return left, nil
}

// warn says that a GitOps tool will undo the transfer.
func (t *transfer) warn(todo []assignment) {
	managed := map[string]int{}
	for _, a := range todo {
		if by := managedBy(a.raw); by != "" {
			managed[by]++
		}
	}
	for _, by := range slices.Sorted(maps.Keys(managed)) {
		t.note("warning: %d of %d are managed by %s, which will undo this: change them in the repository (--dry-run -o yaml prints the manifests)",
			managed[by], len(todo), by)
	}
}

// Why a transfer did not come to an assignment.
var (
	errInterrupted = errors.New("interrupted before its turn: repeat the transfer")
	errUnreachable = errors.New("not tried, because the cluster could not be reached any more: repeat the transfer")
)

// errNoLonger is an assignment that was taken from the person by somebody else.
var errNoLonger = errors.New("assigned no more")

// work moves assignments, several at once. When ctx ends, or the cluster does not answer, it begins no other, and carries
// through those that it began.
func (t *transfer) work(ctx context.Context, todo []assignment) {
	var done atomic.Int64
	stop := t.report("moved", len(todo), &done)
	defer stop()
	var gone atomic.Bool
	inParallel(todo, func(a assignment) {
		defer done.Add(1)
		var after *v1alpha1.CaseAssignment
		var err error
		switch {
		case ctx.Err() != nil:
			err = errInterrupted
		case gone.Load():
			err = errUnreachable
		default:
			after, err = t.moveOne(context.WithoutCancel(ctx), a)
		}
		var answered apierrors.APIStatus
		t.mu.Lock()
		defer t.mu.Unlock()
		switch {
		case err == nil:
			t.moved[a.Name] = after
		case !errors.Is(err, errNoLonger):
			t.failed[a.Name] = err
			if !errors.As(err, &answered) {
				gone.Store(true)
			}
		}
	})
}

// inParallel does something with each of several things, some of them at once.
func inParallel[T any](things []T, do func(T)) {
	queue := make(chan T)
	var workers sync.WaitGroup
	for range min(atOnce, len(things)) {
		workers.Go(func() {
			for thing := range queue {
				do(thing)
			}
		})
	}
	for _, thing := range things {
		queue <- thing
	}
	close(queue)
	workers.Wait()
}

// report says from time to time how far the work is, until the function that it returns is called.
func (t *transfer) report(what string, all int, done *atomic.Int64) (stop func()) {
	quit, quitted := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(quitted)
		ticker := time.NewTicker(t.progress)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				t.note("%s %d of %d ...", what, done.Load(), all)
			case <-quit:
				return
			}
		}
	}()
	return func() { close(quit); <-quitted }
}

// patience is how often and how long to try a request that may yet succeed.
var patience = wait.Backoff{Steps: 8, Duration: 20 * time.Millisecond, Factor: 2, Jitter: 0.2}

// moveOne moves one assignment, reading it again where somebody else changed it meanwhile.
func (t *transfer) moveOne(ctx context.Context, a assignment) (*v1alpha1.CaseAssignment, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	before, tried := a.CaseAssignment, false
	var after *v1alpha1.CaseAssignment
	err := retry.OnError(patience, mayYetSucceed, func() error {
		if before == nil {
			now := &v1alpha1.CaseAssignment{}
			if err := t.Get(ctx, client.ObjectKeyFromObject(a.CaseAssignment), now); err != nil {
				return err
			}
			if !t.declared(now) {
				if after = now; tried && assigneeIndex(&now.Spec, t.to) >= 0 {
					return nil // the answer was lost, not the request
				}
				return errNoLonger
			}
			before = now
		}
		after = before.DeepCopy()
		after.Spec.Assignees = handOver(before.Spec.Assignees, t.from, t.to)
		err := t.patch(ctx, before, after)
		before, tried = nil, !apierrors.IsConflict(err)
		return err
	})
	if apierrors.IsNotFound(err) {
		err = errNoLonger
	}
	return after, err
}

// mayYetSucceed says whether a request is worth repeating: after a conflict, and where it did not reach the API server,
// or the server was not able to answer it.
func mayYetSucceed(err error) bool {
	var status apierrors.APIStatus
	switch {
	case errors.Is(err, errNoLonger), errors.Is(err, context.DeadlineExceeded):
		return false
	case !errors.As(err, &status):
		return true
	}
	code := status.Status().Code
	return apierrors.IsConflict(err) || apierrors.IsTooManyRequests(err) || apierrors.IsTimeout(err) || code >= 500
}

// tellLeft names what was not moved, each with the reason. It is an error where the person is still declared.
func (t *transfer) tellLeft(left remains) error {
	if len(left.declared)+len(left.covered) == 0 {
		return nil
	}
	table := newTable(t.out, "LEFT", "CASE", "CLIENT", "WHY")
	for _, a := range left.declared {
		why := "given to " + t.from + " meanwhile: repeat the transfer"
		if err := t.failed[a.Name]; err != nil {
			why = t.explain(err).Error()
		}
		table.row(a.Name, caseName(a.Spec.Case), clientName(a.Spec.Client), why)
	}
	for _, a := range left.covered {
		table.row(a.Name, caseName(a.Spec.Case), clientName(a.Spec.Client), coversWords(a.CaseAssignment, t.from))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if len(left.declared) > 0 {
		return fmt.Errorf("%d left with %s", len(left.declared), t.from)
	}
	return nil
}

// coversWords says why a person holds a case to which nobody assigned them.
func coversWords(a *v1alpha1.CaseAssignment, person string) string {
	h := holder(a, person)
	if h.Covers == "" {
		return "holds it" + way(a, h.Via) + ": assign it to somebody"
	}
	return fmt.Sprintf("covers for %s, who %s", h.Covers, causeWords(h.Cause))
}

// tellNothing says why a transfer found nothing to move, which may be a slip of the pen.
func (t *transfer) tellNothing(ctx context.Context, left remains) {
	if _, err := t.agent(ctx, t.from); apierrors.IsNotFound(err) && len(left.covered) == 0 {
		t.note("%s is assigned to no open case with a client, and is not an Agent of namespace %s: is the name right?", t.from, t.namespace)
	}
}

// plan shows what would be moved.
func (t *transfer) plan(ctx context.Context, out form) error {
	declared, covered, err := t.book(ctx)
	if err != nil {
		return err
	}
	if out != asTable {
		manifests := make([]*unstructured.Unstructured, len(declared))
		for i, a := range declared {
			after := a.DeepCopy()
			after.Spec.Assignees = handOver(after.Spec.Assignees, t.from, t.to)
			changed, err := a.with(after)
			if err != nil {
				return err
			}
			manifests[i] = manifest(changed)
		}
		if len(covered) > 0 {
			t.note("%d stay, which %s holds in somebody's place", len(covered), t.from)
		}
		return writeManifests(t.out, out, manifests)
	}
	if len(declared)+len(covered) > 0 {
		table := newTable(t.out, "ASSIGNMENT", "CASE", "CLIENT", "ASSIGNED TO", "WOULD BE")
		for _, a := range declared {
			after := v1alpha1.CaseAssignmentSpec{Assignees: handOver(a.Spec.Assignees, t.from, t.to)}
			table.row(a.Name, caseName(a.Spec.Case), clientName(a.Spec.Client), assigneeList(&a.Spec), assigneeList(&after))
		}
		for _, a := range covered {
			table.row(a.Name, caseName(a.Spec.Case), clientName(a.Spec.Client), assigneeList(&a.Spec), "the same: "+t.from+" "+coversWords(a.CaseAssignment, t.from))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	t.say("would move %d from %s to %s (dry run: nothing was changed)", len(declared), t.from, t.to)
	return nil
}

// await waits until Roster has looked at what was moved, and says who holds it where that is not the successor.
func (t *transfer) await(ctx context.Context, timeout time.Duration) error {
	waiting := slices.SortedFunc(maps.Values(t.moved), byName)
	var others []*v1alpha1.CaseAssignment
	all := len(waiting)
	var done atomic.Int64
	stop := t.report("Roster has looked at", all, &done)
	err := wait.PollUntilContextTimeout(ctx, 500*time.Millisecond, timeout, true, func(ctx context.Context) (bool, error) {
		var err error
		waiting, err = t.look(ctx, waiting, &others)
		done.Store(int64(all - len(waiting)))
		return len(waiting) == 0, err
	})
	stop()
	switch {
	case err == nil:
		return t.tellOthers(ctx, others, all)
	case wait.Interrupted(err) && ctx.Err() == nil:
		return fmt.Errorf("all are moved, but after %s Roster has not looked at %d of them, such as %s: see that its manager runs, "+
			"and that nobody takes the change back. Nothing has to be repeated", timeout, len(waiting), waiting[0].Name)
	}
	return fmt.Errorf("all are moved, but who holds them now is not known: %w", t.explain(err))
}

// look reads what was moved, and returns those at which Roster has not looked yet. others gets those that somebody else
// than the successor holds.
func (t *transfer) look(ctx context.Context, moved []*v1alpha1.CaseAssignment, others *[]*v1alpha1.CaseAssignment) ([]*v1alpha1.CaseAssignment, error) {
	var mu sync.Mutex
	var waiting []*v1alpha1.CaseAssignment
	var failed error
	inParallel(moved, func(a *v1alpha1.CaseAssignment) {
		now := &v1alpha1.CaseAssignment{}
		err := t.Get(ctx, client.ObjectKeyFromObject(a), now)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case apierrors.IsNotFound(err), err == nil && !t.concerns(now):
		case err != nil:
			failed = err
			waiting = append(waiting, a)
		case now.Status.ObservedGeneration < a.Generation:
			waiting = append(waiting, a)
		case !t.arrived(now):
			*others = append(*others, now)
		}
	})
	slices.SortFunc(waiting, byName)
	if failed != nil && mayYetSucceed(failed) {
		failed = nil
	}
	return waiting, failed
}

// arrived says whether the successor has the place that is declared for them: the first, or another.
func (t *transfer) arrived(a *v1alpha1.CaseAssignment) bool {
	h := holder(a, t.to)
	if assigneeIndex(&a.Spec, t.to) == 0 {
		return h != nil && h == &a.Status.Assignees[0]
	}
	return h != nil
}

func (t *transfer) tellOthers(ctx context.Context, others []*v1alpha1.CaseAssignment, all int) error {
	if len(others) == 0 {
		t.say("%s holds them", t.to)
		return nil
	}
	t.say("%s holds %d of them; the others:", t.to, all-len(others))
	slices.SortFunc(others, byName)
	find, now := t.people(ctx), time.Now()
	table := newTable(t.out, "ASSIGNMENT", "HELD BY", "WHY")
	for _, a := range others {
		why := slices.DeleteFunc(holding(a, find, time.Local, now), func(line string) bool { return !strings.Contains(line, t.to) })
		table.row(a.Name, heldBy(a), strings.Join(why, "; "))
	}
	return table.Flush()
}

func byName(a, b *v1alpha1.CaseAssignment) int { return strings.Compare(a.Name, b.Name) }
