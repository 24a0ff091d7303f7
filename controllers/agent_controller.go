package controllers

import (
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

// +kubebuilder:rbac:groups=staff.roster.dev,resources=agents,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=staff.roster.dev,resources=agents/status,verbs=get;update;patch
// +kubebuilder:rbac:groups=staff.roster.dev,resources=agents/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// agentReconciler makes the telephone system match one person at a time.
type agentReconciler struct{ *operator }

// agentScope is one reconcile of one person: what it starts from, what it decided, how it came out.
type agentScope struct {
	*operator
	agent  *v1alpha1.Agent
	before *v1alpha1.AgentStatus
	now    time.Time

	site   *site
	center *center.Center
	// record is what the telephone system has recorded; registered where it has, known where it could be asked.
	record            telephony.AgentRecord
	registered, known bool

	recorded  roster.Recorded
	declared  roster.Declared
	effective *roster.Effective
	// seats is how many the centre has; nil where there is no limit, or nobody can tell.
	seats *int32
	// suspect says that somebody else changed the person's rows, or that somebody wants to know.
	suspect bool
	// orders that are due, what is wrong with those that cannot be read.
	orders        []roster.Order
	invalidOrders []string
	// unwatched are the servers that cannot say whether a person who was put out is offline.
	unwatched []string
	// draining says what keeps such a person connected; empty for nothing.
	draining string
	// credentials that the phone's rows need.
	credentials credentials
	desired     *telephony.Agent

	// missing says which references lead nowhere; empty for none.
	missing string
	// verdict of all phases, and what is asked of the queue.
	verdict verdict
	// edited says that rows of a person whom the telephone system knew were written.
	edited bool
	// committed says that the telephone system holds the desired state.
	committed bool
	result    ctrl.Result
}

// Reconcile brings one person to what is declared of them.
func (r *agentReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	agent := &v1alpha1.Agent{}
	if err := r.Get(ctx, req.NamespacedName, agent); err != nil {
		if apierrors.IsNotFound(err) {
			return r.reconcileVanished(ctx, req.NamespacedName)
		}
		return ctrl.Result{}, err
	}
	s := r.scope(agent)
	if s == nil {
		// The ContactCenter, or this person, was not looked at yet. Both bring the person back.
		return ctrl.Result{}, nil
	}
	if settled, err := s.confirmGone(ctx); err != nil || !settled {
		return retry(time.Second), err
	}
	s.decide()
	if !agent.DeletionTimestamp.IsZero() {
		return s.reconcileDeletion(ctx)
	}
	for _, phase := range []func(context.Context) error{s.hold, s.ensureCredentials, s.apply} {
		if err := phase(ctx); err != nil {
			return ctrl.Result{}, err
		}
	}
	if s.reportsLater() {
		s.feed.enqueue(kindAgent, agent.Namespace, priorityReport, 0, agent.Name)
		return ctrl.Result{}, nil
	}
	return s.report(ctx)
}

// reportsLater says whether the person's status may wait: their rows are written, and a crowd waits for theirs. What
// turns a person's standing is told at once.
func (s *agentScope) reportsLater() bool {
	return s.edited && s.committed && s.verdict.ready() && s.recorded.Phase == s.effective.Phase &&
		s.feed.waiting(kindAgent) > s.options.AgentConcurrency
}

// scope gathers what a decision rests on, or is nil where that is not there yet.
func (r *agentReconciler) scope(agent *v1alpha1.Agent) *agentScope {
	s := &agentScope{
		operator: r.operator, agent: agent, before: agent.Status.DeepCopy(), now: r.options.Now(),
		site: r.sites.get(agent.Namespace), center: r.centers.Get(agent.Namespace),
	}
	directory := r.feed.Directory(agent.Namespace)
	declared, ok := directory.Declared(agent.Name)
	if s.site == nil || !ok || connecting(s.center) {
		return nil
	}
	s.declared = declared
	s.declared.ExtensionTakenBy = directory.ExtensionTakenBy(agent)
	if s.center != nil {
		s.record, s.registered, s.known = s.center.Recorded(agent.Name)
		s.suspect = s.center.IsSuspect(agent.Name)
	}
	s.recorded = recordedOf(&agent.Status)
	if s.registered {
		// The telephone system's tables are written before the status: they know better, and survive its loss.
		s.recorded = recordedOn(&s.record)
	}
	if d := agent.Status.Deactivation; d != nil && d.RequestedAt != nil && d.CompletedAt == nil && !roster.Out(s.recorded.Phase) {
		s.recorded.AskedAt = d.RequestedAt.Time // asked for while nothing could be written
	}
	return s
}

func recordedOf(status *v1alpha1.AgentStatus) roster.Recorded {
	r := roster.Recorded{Phase: status.Phase, Group: string(status.Group)}
	for _, x := range status.Revoked {
		r.Revoked = append(r.Revoked, roster.Revocation{
			Entry: roster.Entry{Kind: x.Kind, Name: string(x.Name)}, Since: x.Since.Time,
		})
	}
	if d := status.Deactivation; d != nil && d.RequestedAt != nil {
		r.RequestedAt = d.RequestedAt.Time
	}
	return r
}

func recordedOn(record *telephony.AgentRecord) roster.Recorded {
	r := roster.Recorded{
		Phase: v1alpha1.AgentPhase(record.Phase), Group: record.Group, RequestedAt: record.RequestedAt,
	}
	for _, x := range record.Revoked {
		r.Revoked = append(r.Revoked, roster.Revocation{
			Entry: roster.Entry{Kind: v1alpha1.EntryKind(x.Kind), Name: x.Name}, Since: x.Since,
		})
	}
	return r
}

// confirmGone makes sure that whatever the person was in, and the directory does not know, is gone for certain.
func (s *agentScope) confirmGone(ctx context.Context) (bool, error) {
	directory, ns := s.feed.Directory(s.agent.Namespace), s.agent.Namespace
	check := func(k kind, name string, has bool) (bool, error) {
		if has || name == "" {
			return true, nil
		}
		return s.feed.isGone(ctx, k, ns, name)
	}
	if ok, err := check(kindGroup, s.recorded.Group, directory.HasGroup(s.recorded.Group)); !ok || err != nil {
		return false, err
	}
	for _, t := range s.before.Teams {
		if ok, err := check(kindTeam, string(t), directory.HasTeam(string(t))); !ok || err != nil {
			return false, err
		}
	}
	for _, r := range s.recorded.Revoked {
		k, has := kindTeam, directory.HasTeam(r.Name)
		if r.Kind == v1alpha1.EntryQueue {
			k, has = kindQueue, directory.HasQueue(r.Name)
		}
		if ok, err := check(k, r.Name, has); !ok || err != nil {
			return false, err
		}
	}
	for _, q := range slices.Concat(queueNames(s.before.Queues), s.before.Supervises) {
		if ok, err := check(kindQueue, string(q), directory.HasQueue(string(q))); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// decide applies the rules and notes what they say about the person's claims.
func (s *agentScope) decide() {
	s.effective = roster.Decide(&roster.Person{
		Center: s.agent.Namespace, Spec: &s.agent.Spec, Deleted: !s.agent.DeletionTimestamp.IsZero(), Seated: s.askForSeat(),
		Declared: s.declared, Recorded: s.recorded, OnReactivation: s.site.onReactivation,
	}, s.now)
	if missing := s.missingBackups(); len(missing) > 0 {
		s.missing = "waits for Agents that do not exist: " + enumerate("", missing)
		s.verdict = reconciling(reasonMissingReference, s.missing)
	}
	next := s.readOrders()
	if e := s.effective.Next; !e.IsZero() && (next.IsZero() || e.Before(next)) {
		next = e
	}
	if !next.IsZero() {
		s.result.RequeueAfter = until(s.now, next)
	}
}

// readOrders finds the one-shot orders that are due, and returns when another will be.
func (s *agentScope) readOrders() (next time.Time) {
	s.orders, next, s.invalidOrders = roster.Orders(s.agent.Annotations, s.record.Handled, s.agent.CreationTimestamp.Time, s.now)
	for i := range s.orders {
		o := &s.orders[i]
		// The telephone system's tables know better, unless they were lost.
		o.Skip = o.Skip || string(s.before.Handled[o.Kind]) == o.Value
		s.suspect = s.suspect || o.Kind == roster.OrderReconcile && !o.Skip
	}
	return next
}

// missingBackups are the people who are to cover a leave that has not ended, and do not exist.
func (s *agentScope) missingBackups() []string {
	var missing []string
	for i := range s.agent.Spec.Leaves {
		leave := &s.agent.Spec.Leaves[i]
		name := string(leave.Backup)
		over := leave.EndTime != nil && !s.now.Before(leave.EndTime.Time)
		if name != "" && !over && !slices.Contains(missing, name) && !s.feed.Directory(s.agent.Namespace).Has(name) {
			missing = append(missing, name)
		}
	}
	slices.Sort(missing)
	return missing
}

// writable says whether anything may be written for the person, and else why not.
func (s *agentScope) writable() (verdict, bool) { return s.site.writable(s.center, s.known) }

// connecting says whether a first connection is under way; whatever becomes of it brings everybody back.
func connecting(c *center.Center) bool {
	return c != nil && c.Status().State == v1alpha1.ConnectionConnecting
}

func connectionMessage(c *center.Center) string {
	if c == nil {
		return "the telephone system is not connected yet"
	}
	if m := c.Status().Message; m != "" {
		return m
	}
	return "the telephone system is being connected"
}

func (s *agentScope) hold(ctx context.Context) error {
	if _, ok := s.writable(); !ok {
		return nil
	}
	return s.ensureFinalizer(ctx, s.agent)
}

// reconcileDeletion takes the person out: access first, then every row, then the finalizer.
func (s *agentScope) reconcileDeletion(ctx context.Context) (ctrl.Result, error) {
	if !held(s.agent) {
		return ctrl.Result{}, nil
	}
	// A status that tells of a phase was written after rows were.
	nothingThere := s.site.empty && s.before.Phase == "" || s.known && !s.registered
	if !nothingThere && !s.site.abandoned(s.agent) {
		if v, ok := s.writable(); !ok {
			return s.awaitTelephony(ctx, v)
		}
		if err := s.apply(ctx); err != nil {
			return ctrl.Result{}, err
		}
		switch {
		case !s.committed:
			return s.awaitTelephony(ctx, s.verdict)
		case s.draining != "":
			return s.report(ctx)
		}
		queues, err := s.center.RemoveAgent(ctx, s.agent.Name, s.now)
		if err != nil {
			return s.awaitTelephony(ctx, verdictOf(err))
		}
		s.fleet.Refresh(s.agent.Namespace, s.agent.Name, queues...)
	}
	s.leaving.set(s.agent.Namespace, s.agent.Name, false)
	if nothingThere {
		s.freeSeat(s.agent.Namespace, s.agent.Name, s.now)
	}
	return ctrl.Result{}, s.release(ctx, s.agent)
}

// awaitTelephony says on a person who cannot be let go what is awaited.
func (s *agentScope) awaitTelephony(ctx context.Context, v verdict) (ctrl.Result, error) {
	awaiting(v).set(&s.agent.Status.Conditions, s.agent.Generation)
	return retry(retryRefused), s.writeStatus(ctx)
}

// reconcileVanished takes out what is recorded of a person whose object is gone, finalizer or not.
func (r *agentReconciler) reconcileVanished(ctx context.Context, key types.NamespacedName) (ctrl.Result, error) {
	c, site := r.centers.Get(key.Namespace), r.sites.get(key.Namespace)
	if c == nil || site == nil || !site.gate.ready() {
		return ctrl.Result{}, nil
	}
	if _, registered, known := c.Recorded(key.Name); !registered {
		if known {
			r.freeSeat(key.Namespace, key.Name, r.options.Now())
		}
		return ctrl.Result{}, nil
	}
	if gone, err := r.feed.isGone(ctx, kindAgent, key.Namespace, key.Name); err != nil || !gone {
		return retry(time.Second), err
	}
	queues, err := c.RemoveAgent(ctx, key.Name, r.options.Now())
	if err != nil {
		return afterFailure(err)
	}
	r.fleet.Refresh(key.Namespace, key.Name, queues...)
	r.leaving.set(key.Namespace, key.Name, false)
	r.freeSeat(key.Namespace, key.Name, r.options.Now())
	r.feed.recount(key.Namespace)
	return ctrl.Result{}, nil
}

// afterFailure is what to do about a failure that no object can carry in its status.
func afterFailure(err error) (ctrl.Result, error) {
	switch telephony.KindOf(err) {
	case telephony.Unreachable:
		return ctrl.Result{}, nil // its return brings everybody back
	case telephony.Refused, telephony.Conflict:
		return retry(retryRefused), nil
	}
	return ctrl.Result{}, err
}

// verdictOf says what a telephone system's failure means for an object.
func verdictOf(err error) verdict {
	switch telephony.KindOf(err) {
	case telephony.Unreachable:
		return reconciling(reasonUnreachable, err.Error())
	case telephony.Conflict:
		return stalled(roster.ReasonNameTaken, err.Error())
	case telephony.Refused:
		return stalled(reasonRefused, err.Error())
	}
	return verdict{}
}

// ignoreStale drops the errors of a write that came too late: the newer object comes by itself.
func ignoreStale(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
