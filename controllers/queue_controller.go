package controllers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

// +kubebuilder:rbac:groups=staff.roster.dev,resources=queues,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=staff.roster.dev,resources=queues/status,verbs=get;update;patch

// queueReconciler makes the telephone system match one queue at a time; its members come with each person.
type queueReconciler struct {
	*operator
	*pace
}

// queueScope is one reconcile of one queue.
type queueScope struct {
	*queueReconciler
	queue  *v1alpha1.Queue
	before *v1alpha1.QueueStatus
	site   *site
	center *center.Center
	record telephony.QueueRecord
	// registered where the telephone system has a record, known where it could be asked.
	registered, known bool
	report            roster.QueueReport
	desired           *telephony.Queue
	committed         bool
	verdict           verdict
	result            ctrl.Result
}

// Reconcile brings one queue to what is declared of it.
func (r *queueReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	if roster.IsGroupQueue(req.Name) {
		return r.reconcileGroupQueue(ctx, req.NamespacedName)
	}
	queue := &v1alpha1.Queue{}
	if err := r.Get(ctx, req.NamespacedName, queue); err != nil {
		if apierrors.IsNotFound(err) {
			return r.reconcileVanished(ctx, req.NamespacedName)
		}
		return ctrl.Result{}, err
	}
	s := &queueScope{
		queueReconciler: r, queue: queue, before: queue.Status.DeepCopy(),
		site: r.sites.get(queue.Namespace), center: r.centers.Get(queue.Namespace),
		report: r.feed.Directory(queue.Namespace).Queue(queue.Name),
	}
	if s.site == nil || connecting(s.center) {
		return ctrl.Result{}, nil // its ContactCenter comes first, and brings everybody back
	}
	if s.center != nil {
		s.record, s.registered, s.known = s.center.RecordedQueue(queue.Name)
	}
	if !queue.DeletionTimestamp.IsZero() {
		return s.reconcileDeletion(ctx)
	}
	for _, phase := range []func(context.Context) error{s.hold, s.apply} {
		if err := phase(ctx); err != nil {
			return ctrl.Result{}, err
		}
	}
	return s.reportStatus(ctx)
}

// writable says whether anything may be written for the queue, and else why not.
func (s *queueScope) writable() (verdict, bool) {
	return s.site.writable(s.center, s.known)
}

// observed is a queue of which Roster writes nothing.
func (s *queueScope) observed() bool {
	return s.queue.Spec.Membership == v1alpha1.MembershipObserve
}

func (s *queueScope) hold(ctx context.Context) error {
	if _, ok := s.writable(); !ok {
		return nil
	}
	return s.ensureFinalizer(ctx, s.queue)
}

// apply makes the telephone system match the queue, if it does not already.
func (s *queueScope) apply(ctx context.Context) error {
	s.desire()
	v, ok := s.writable()
	if !ok {
		s.verdict = v
		return nil
	}
	if s.observed() {
		s.committed = true
		return nil
	}
	suspect := s.center.IsSuspectQueue(s.queue.Name)
	same := s.registered && s.record.Fingerprint == s.desired.Fingerprint()
	if same && !suspect {
		s.committed = true
		return nil
	}
	if err := s.center.ApplyQueue(ctx, s.desired); err != nil {
		if s.verdict = verdictOf(err); s.verdict.ready() {
			return err
		}
		if s.verdict.stalled {
			s.result = retry(retryRefused)
		}
		return nil
	}
	s.committed = true
	s.fleet.Refresh(s.queue.Namespace, "", s.queue.Name)
	if same {
		s.drift.repaired(s.queue.Namespace, 1)
		s.warning(s.queue, reasonDrift, "Repair",
			"the queue, its extension or its members were changed on the telephone system by somebody else, and made as declared again")
		s.feed.recount(s.queue.Namespace)
	}
	return nil
}

// desire makes the desired state of the queue.
func (s *queueScope) desire() {
	spec := &s.queue.Spec
	view := roster.ViewQueue(s.queue)
	d := &telephony.Queue{
		Name: s.queue.Name, Settings: s.site.settings, Strategy: string(spec.Strategy),
		TimeoutSeconds: int(spec.TimeoutSeconds), WrapUpSeconds: orZero(spec.WrapUpSeconds),
		ServiceLevelSeconds: orZero(spec.ServiceLevelSeconds), MaxCallers: orZero(spec.MaxCallers),
	}
	for _, c := range view.Channels {
		d.Voice = d.Voice || c == v1alpha1.ChannelVoice
	}
	if s.report.ExtensionTakenBy == "" {
		d.Extension = string(spec.Extension)
	}
	if spec.Membership == v1alpha1.MembershipAdditive {
		d.Members = telephony.MembersAdditive
	}
	s.desired = d
}

func orZero(n *int32) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

// reconcileDeletion takes the queue and its memberships out, then lets go.
func (s *queueScope) reconcileDeletion(ctx context.Context) (ctrl.Result, error) {
	if !held(s.queue) {
		return ctrl.Result{}, nil
	}
	wasReady, _ := conditionIs(s.before.Conditions, v1alpha1.ConditionReady, metav1.ConditionTrue)
	nothingThere := s.site.empty && !wasReady || s.known && !s.registered
	if !nothingThere && !s.site.abandoned(s.queue) {
		v, ok := s.writable()
		if ok {
			if err := s.center.RemoveQueue(ctx, s.queue.Name); err != nil {
				v, ok = verdictOf(err), false
			} else {
				s.fleet.Refresh(s.queue.Namespace, "", s.queue.Name)
			}
		}
		if !ok {
			awaiting(v).set(&s.queue.Status.Conditions, s.queue.Generation)
			return retry(retryRefused), s.writeStatus(ctx)
		}
	}
	return ctrl.Result{}, s.release(ctx, s.queue)
}

// reconcileVanished takes out what is recorded of a queue whose object is gone, finalizer or not.
func (r *queueReconciler) reconcileVanished(ctx context.Context, key types.NamespacedName) (ctrl.Result, error) {
	c, site := r.centers.Get(key.Namespace), r.sites.get(key.Namespace)
	if c == nil || site == nil || !site.gate.ready() {
		return ctrl.Result{}, nil
	}
	if _, registered, _ := c.RecordedQueue(key.Name); !registered {
		return ctrl.Result{}, nil
	}
	if gone, err := r.feed.isGone(ctx, kindQueue, key.Namespace, key.Name); err != nil || !gone {
		return retry(time.Second), err
	}
	if err := c.RemoveQueue(ctx, key.Name); err != nil {
		return afterFailure(err)
	}
	r.fleet.Refresh(key.Namespace, "", key.Name)
	return ctrl.Result{}, nil
}

// reportStatus writes the status, if its meaning changed, and tells the events.
func (s *queueScope) reportStatus(ctx context.Context) (ctrl.Result, error) {
	if !s.committed && !s.site.everybody && s.known && s.registered && s.record.Fingerprint == s.desired.Fingerprint() {
		return s.result, nil // nothing waits: an outage must not rewrite every status
	}
	if !s.committed && !s.known && !s.site.everybody && s.before.ObservedGeneration == s.queue.Generation {
		return s.result, nil
	}
	c, g := &s.queue.Status.Conditions, s.queue.Generation
	s.queue.Status.ObservedGeneration = g
	missing, message := "", ""
	if len(s.report.Missing) > 0 {
		missing, message = reasonMissingReference, "waits for objects that do not exist: "+enumerate("", s.report.Missing)
		s.verdict = s.verdict.worse(reconciling(missing, message))
	}
	setOrRemove(c, g, v1alpha1.ConditionReferencesResolved, metav1.ConditionFalse, missing, message)
	s.verdict.set(c, g)

	conflict, text := "", ""
	switch {
	case s.verdict.reason == roster.ReasonNameTaken:
		conflict, text = roster.ReasonNameTaken, s.verdict.message
	case s.report.ExtensionTakenBy != "":
		conflict, text = reasonExtensionTaken, fmt.Sprintf("extension %s is held by %s, which is older: choose another",
			s.queue.Spec.Extension, s.report.ExtensionTakenBy)
	}
	if s.committed || conflict != "" {
		setOrRemove(c, g, v1alpha1.ConditionConflicted, metav1.ConditionTrue, conflict, text)
	}
	s.setStaffed()
	if !equality.Semantic.DeepEqual(s.before, &s.queue.Status) {
		if wait := s.wait(client.ObjectKeyFromObject(s.queue), missing != ""); wait > 0 && s.before.ObservedGeneration == g && s.committed {
			return retry(wait), nil
		}
		if err := s.writeStatus(ctx); err != nil {
			return ctrl.Result{}, ignoreStale(err)
		}
	}
	if again := s.tell(kindQueue, s.queue, s.before.Conditions, *c); s.result.IsZero() {
		s.result = again
	}
	return s.result, nil
}

// setStaffed says whether enough people serve the queue. It names no number, which would change with every person.
func (s *queueScope) setStaffed() {
	c, g := &s.queue.Status.Conditions, s.queue.Generation
	minimum := orZero(s.queue.Spec.MinimumStaff)
	switch {
	case minimum == 0:
		removeConditions(c, v1alpha1.ConditionStaffed)
	case s.report.Short:
		setCondition(c, g, v1alpha1.ConditionStaffed, metav1.ConditionFalse, "BelowMinimum",
			fmt.Sprintf("fewer than minimumStaff (%d) people who are Active serve the queue", minimum))
	default:
		setCondition(c, g, v1alpha1.ConditionStaffed, metav1.ConditionTrue, "MinimumMet", "")
	}
}

func (s *queueScope) writeStatus(ctx context.Context) error {
	if equality.Semantic.DeepEqual(s.before, &s.queue.Status) {
		return nil
	}
	if err := s.Status().Update(ctx, s.queue); err != nil {
		return err
	}
	s.feed.wrote(kindQueue, s.queue)
	return nil
}
