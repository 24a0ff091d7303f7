// Package controllers reconciles the objects of package v1alpha1 with the telephone system, one controller a kind.
//
// Data runs one way: objects → the feed's directories → the rules (package roster) → the desired state of one
// person or queue → the port (package telephony). What comes back is status.
package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/live"
)

// centerName is the name of a namespace's one ContactCenter.
const centerName = v1alpha1.ContactCenterName

// Options are the operator's settings.
type Options struct {
	// DataDir holds the SQLite files of centres that use SQLite.
	DataDir string
	// EmbeddedDefault gives a namespace without a ContactCenter a SQLite file of its own.
	EmbeddedDefault bool
	// AgentConcurrency, QueueConcurrency and CaseConcurrency are how many people, queues and cases are worked on at once.
	AgentConcurrency, QueueConcurrency, CaseConcurrency int
	// Open opens a centre's telephone system.
	Open center.Opener
	// Identify names a telephone system without its credentials.
	Identify func(center.Target) (string, error)
	// Fleet is the servers of all centres.
	Fleet *live.Fleet
	// Staff is the list to keep up to date, on every replica; nil for none.
	Staff *live.Staff
	// Now is the clock; default: time.Now.
	Now func() time.Time
	// SkipNameValidation lets several operators run in one process, as tests do.
	SkipNameValidation bool
}

const (
	// reconcileTimeout bounds one reconcile: the telephone system's own timeout and a few API calls.
	reconcileTimeout = 30 * time.Second
	// retryRefused is how long to wait before asking a telephone system again that said no.
	retryRefused = 30 * time.Second
)

// operator is what all controllers share.
type operator struct {
	client.Client
	live     client.Reader
	feed     *Feed
	centers  *center.Centers
	fleet    *live.Fleet
	sites    *sites
	secrets  *secretCache
	recorder events.EventRecorder
	// announced is what events have told.
	announced *announcements
	// leaving are people whose way out waits for what the servers tell.
	leaving *leaving
	presses *presses
	callers *callers
	drift   *driftCounts
	options Options
}

// Setup adds Roster's controllers to a manager.
func Setup(mgr manager.Manager, options Options) error {
	if options.Now == nil {
		options.Now = time.Now
	}
	op := &operator{
		Client: mgr.GetClient(), live: mgr.GetAPIReader(), feed: NewFeed(mgr.GetCache(), mgr.GetAPIReader()),
		sites: newSites(), secrets: newSecretCache(), recorder: mgr.GetEventRecorder("roster"), options: options,
		announced: &announcements{held: map[heldKey]struct{}{}},
		fleet:     options.Fleet, leaving: newLeaving(), presses: newPresses(), callers: newCallers(), drift: newDriftCounts(),
	}
	op.centers = center.New(options.Open, op.recordsLoaded, op.centerChanged, op.drifted, mgr.GetLogger().WithName("center"))
	op.fleet.Hook(op.hooks())
	if err := mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		<-ctx.Done()
		op.centers.Close()
		return nil
	})); err != nil {
		return err
	}
	if err := op.addServersController(mgr); err != nil {
		return err
	}
	if options.Staff != nil {
		if err := mgr.Add(&staffFeed{mgr, options.Staff, op.fleet}); err != nil {
			return err
		}
	}
	for _, c := range []struct {
		name        string
		kind        kind
		concurrency int
		reconciler  reconcile.Reconciler
	}{
		{"contactcenter", kindCenter, 4, newCenterReconciler(op)},
		{"queue", kindQueue, options.QueueConcurrency, &queueReconciler{op, newPace()}},
		{"agentgroup", kindGroup, 4, newGroupReconciler(op)},
		{"team", kindTeam, 4, newTeamReconciler(op)},
		{"agent", kindAgent, options.AgentConcurrency, &agentReconciler{op}},
		{"caseassignment", kindCase, options.CaseConcurrency, &caseReconciler{op}},
		{"caller", kindCaller, callerConcurrency, &callerReconciler{op}},
	} {
		err := ctrl.NewControllerManagedBy(mgr).Named(c.name).
			WatchesRawSource(op.feed.source(c.kind)).
			WithOptions(controller.Options{
				MaxConcurrentReconciles: max(c.concurrency, 1),
				ReconciliationTimeout:   reconcileTimeout,
				SkipNameValidation:      &options.SkipNameValidation,
			}).
			Complete(calmly(c.reconciler))
		if err != nil {
			return fmt.Errorf("adding the %s controller: %w", c.name, err)
		}
	}
	return nil
}

// centerChanged is told of every change of a connection. What is recorded there but not declared is looked at too.
func (op *operator) centerChanged(namespace string, status center.Status) {
	op.feed.enqueue(kindCenter, namespace, priorityEdit, 0, centerName)
	var agents, queues, phones []string
	if c := op.centers.Get(namespace); c != nil && status.State == v1alpha1.ConnectionConnected {
		agents, queues = c.RecordedNames()
		agents = append(agents, op.feed.Directory(namespace).SeatsLeft()...)
		phones = c.RecordedPhones()
		// Until the records are there nobody can tell who may listen to whom, and what is right there is not written again.
		op.judgeAll(namespace, "")
	}
	op.feed.everything(namespace, priorityLow, agents, queues, phones)
}

// until is how long from now to a moment that was decided on; never zero, which would mean never.
func until(now, moment time.Time) time.Duration {
	return max(moment.Sub(now), time.Millisecond)
}

// calmly wraps a reconciler: a write that met a newer version of the object is no error, the newer one comes at once.
func calmly(next reconcile.Reconciler) reconcile.Reconciler {
	return reconcile.Func(func(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
		result, err := next.Reconcile(ctx, req)
		switch {
		case apierrors.IsConflict(err):
			return retry(20 * time.Millisecond), nil
		case ctx.Err() != nil && errors.Is(err, context.Canceled):
			return ctrl.Result{}, nil // the manager stops
		}
		return result, err
	})
}

// retry is a requeue that is no error: nothing is wrong here that trying again at once would mend.
func retry(after time.Duration) ctrl.Result { return ctrl.Result{RequeueAfter: after} }
