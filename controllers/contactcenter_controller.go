package controllers

import (
	"context"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

// +kubebuilder:rbac:groups=staff.roster.dev,resources=contactcenters,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=staff.roster.dev,resources=contactcenters/status,verbs=get;update;patch

// centerReconciler looks after each namespace's ContactCenter, or its absence: which telephone system the centre
// uses, whether anything may be written, and what the connection is like.
type centerReconciler struct {
	*operator
	*pace
	bindings bindings

	mu        sync.Mutex
	firstSeen map[string]time.Time
}

func newCenterReconciler(op *operator) *centerReconciler {
	return &centerReconciler{
		operator: op, pace: newPace(), firstSeen: map[string]time.Time{},
		bindings: bindings{known: map[string]*binding{}},
	}
}

// embeddedGrace is how long a namespace without a ContactCenter waits for one before it gets the embedded
// default: whoever applies a folder may send the people first.
const embeddedGrace = time.Second

// switchOrder is the key of the switch-backend order in status.handled.
const switchOrder = "switch-backend"

// centerScope is one reconcile of one namespace's centre.
type centerScope struct {
	*centerReconciler
	namespace string
	// object is nil where there is no ContactCenter.
	object *v1alpha1.ContactCenter
	before *v1alpha1.ContactCenterStatus
	site   *site
	// verdict on the ContactCenter itself.
	verdict verdict
	result  ctrl.Result
}

// Reconcile brings one centre to what its ContactCenter says.
func (r *centerReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	s := &centerScope{centerReconciler: r, namespace: req.Namespace, site: &site{}}
	object := &v1alpha1.ContactCenter{}
	switch err := r.Get(ctx, req.NamespacedName, object); {
	case err == nil:
		s.object, s.before = object, object.Status.DeepCopy()
	case !apierrors.IsNotFound(err):
		return ctrl.Result{}, err
	}
	if s.object != nil && !s.object.DeletionTimestamp.IsZero() {
		if done, err := s.letGo(ctx); done || err != nil {
			return ctrl.Result{}, err
		}
	} else if s.object != nil {
		if err := s.ensureFinalizer(ctx, s.object); err != nil {
			return ctrl.Result{}, err
		}
	}
	wait, err := s.connect(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if wait > 0 {
		return retry(wait), nil
	}
	s.publish()
	return s.report(ctx)
}

// letGo removes the finalizer when nobody needs the centre any more.
func (s *centerScope) letGo(ctx context.Context) (done bool, err error) {
	if !held(s.object) {
		return true, nil
	}
	if s.object.Annotations[v1alpha1.AnnotationAbandon] == "true" {
		s.site.abandon = true
	}
	if needed, err := s.needed(ctx); err != nil {
		return false, err
	} else if needed {
		s.verdict = reconciling(roster.ReasonAwaitingTelephony,
			"deletion waits until no Agent and no Queue is left that has to be taken off the telephone system")
		return false, nil
	}
	if done, err := s.forgetCallers(ctx); err != nil || !done {
		return false, err
	}
	s.centers.Drop(s.namespace)
	s.callers.close(s.namespace, false)
	if err := s.bindings.remove(ctx, s.operator, s.namespace); err != nil {
		return false, err
	}
	return true, s.release(ctx, s.object)
}

// needed says whether an Agent or Queue is left that has something on the telephone system.
func (s *centerScope) needed(ctx context.Context) (bool, error) {
	agents, queues := &v1alpha1.AgentList{}, &v1alpha1.QueueList{}
	if err := s.List(ctx, agents, client.InNamespace(s.namespace), client.UnsafeDisableDeepCopy); err != nil {
		return false, err
	}
	for i := range agents.Items {
		if held(&agents.Items[i]) {
			return true, nil
		}
	}
	if err := s.List(ctx, queues, client.InNamespace(s.namespace), client.UnsafeDisableDeepCopy); err != nil {
		return false, err
	}
	for i := range queues.Items {
		if held(&queues.Items[i]) {
			return true, nil
		}
	}
	return false, nil
}

// connect makes the centre use the telephone system that is declared, if it may. A wait asks to be called again.
func (s *centerScope) connect(ctx context.Context) (wait time.Duration, err error) {
	bound, err := s.bindings.get(ctx, s.operator, s.namespace)
	if err != nil {
		return 0, err
	}
	s.site.empty = bound == nil
	s.policies()
	s.limitSeats()
	if s.object == nil {
		if !s.options.EmbeddedDefault {
			s.close(stalled(reasonNoContactCenter,
				"this namespace has no ContactCenter: create one named default, or run the manager with --embedded-default=on"))
			s.site.everybody = true
			return 0, nil
		}
		if bound == nil && s.feed.deserted(s.namespace) {
			s.site = nil
			return 0, nil
		}
		if wait := s.grace(); bound == nil && wait > 0 {
			return wait, nil
		}
	}
	if v := s.unsupported(); !v.ready() {
		s.centers.Drop(s.namespace)
		s.close(v)
		return 0, nil
	}
	target, v, err := s.target(ctx)
	if err != nil {
		return 0, err
	}
	if !v.ready() {
		s.verdict = s.verdict.worse(v)
		if s.centers.Get(s.namespace) == nil {
			s.close(v)
		} // else what is open stays open: a Secret that went does not stop the centre
		return 0, nil
	}
	if v, err = s.bind(ctx, bound, target); err != nil {
		return 0, err
	}
	if !v.ready() {
		s.centers.Drop(s.namespace)
		s.close(v)
		return 0, nil
	}
	s.site.empty = false
	s.centers.Use(s.namespace, target)
	s.centers.Get(s.namespace).CompareEvery(driftInterval(s.object))
	return 0, nil
}

// close forbids every write in the namespace.
func (s *centerScope) close(v verdict) {
	s.verdict = s.verdict.worse(v)
	s.site.gate = v
	if s.object != nil {
		s.site.gate = verdict{
			stalled: v.stalled, reason: reasonCenterStalled, message: "ContactCenter default: " + v.message,
		}
	}
}

// grace is how much longer a namespace waits for a ContactCenter.
func (s *centerScope) grace() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.firstSeen[s.namespace].IsZero() {
		s.firstSeen[s.namespace] = time.Now()
	}
	return embeddedGrace - time.Since(s.firstSeen[s.namespace])
}

// policies takes over what the ContactCenter says about people.
func (s *centerScope) policies() {
	s.site.onReactivation, s.site.drain = v1alpha1.OnReactivationReadd, defaultDrain
	s.site.settings = &telephony.Settings{Context: s.namespace, ContactsTables: contactsTables(s.object)}
	d := s.feed.Directory(s.namespace)
	if s.object == nil {
		s.feed.touch(s.namespace, d.SetCasePolicy(false, ""), priorityNormal)
		return
	}
	spec := &s.object.Spec
	separate := spec.SeparateOperators == v1alpha1.ToggleEnabled
	s.feed.touch(s.namespace, d.SetCasePolicy(separate, spec.Country), priorityNormal)
	s.site.onReactivation, s.site.passwordPolicy = spec.OnReactivation, spec.PasswordPolicy
	s.site.servers = len(managersOf(s.object))
	s.site.hangUp = spec.CallsOnDeactivation == v1alpha1.CallsHangup
	if spec.DrainSeconds != nil {
		s.site.drain = time.Duration(*spec.DrainSeconds) * time.Second
	}
	s.site.settings.Adopt = spec.Adoption == v1alpha1.AdoptionAdopt
	if a := spec.Telephony.AsteriskRealtime; a != nil {
		if a.Context != "" {
			s.site.settings.Context = a.Context
		}
		for column, value := range a.EndpointTemplate {
			if s.site.settings.Template == nil {
				s.site.settings.Template = map[string]string{}
			}
			s.site.settings.Template[column] = string(value)
		}
	}
}

const (
	// defaultContactsTable is Asterisk's own name of the table.
	defaultContactsTable = "ps_contacts"
	// defaultDrain is that of the CRD, for a namespace without a ContactCenter.
	defaultDrain = time.Hour
	// contextLength is the length of Asterisk's context columns.
	contextLength = 40
)

// unsupported names a declared value that this version cannot honour yet. It writes nothing meanwhile.
func (s *centerScope) unsupported() verdict {
	if len(s.site.settings.Context) > contextLength {
		return stalled(reasonNotBuilt, fmt.Sprintf(
			"the namespace's name is longer than %d characters, which Asterisk's context columns hold: set telephony.asteriskRealtime.context", contextLength))
	}
	if s.object == nil {
		return verdict{}
	}
	spec := &s.object.Spec
	for _, x := range []struct {
		declared bool
		field    string
	}{
		{spec.Management == v1alpha1.ManagementObserve, "management: Observe"},
		{spec.Brake != nil, "brake"},
	} {
		if x.declared {
			return stalled(reasonNotBuilt, fmt.Sprintf(
				"spec.%s is not supported by this version, and nothing is written while it is set: remove it, or run a version that supports it", x.field))
		}
	}
	return verdict{}
}

// target is the telephone system that is declared, or why it cannot be told.
func (s *centerScope) target(ctx context.Context) (center.Target, verdict, error) {
	t := center.Target{
		Type: v1alpha1.DatabaseSQLite, Path: filepath.Join(s.options.DataDir, s.namespace+".sqlite3"),
		ContactsTables: strings.Join(contactsTables(s.object), ","),
	}
	if s.object != nil {
		database := &s.object.Spec.Telephony.AsteriskRealtime.Database
		t.Type = database.Type
		if t.Type == v1alpha1.DatabaseSQLite {
			t.Path = filepath.Join(s.options.DataDir, filepath.FromSlash(database.Path))
		} else {
			t.Path = ""
			dsn, v, err := s.dsn(ctx, *database.DSNSecretRef)
			if err != nil || !v.ready() {
				return t, v, err
			}
			t.DSN = dsn
		}
	}
	identity, err := s.options.Identify(t)
	if err != nil {
		return t, stalled(reasonBadSecret, fmt.Sprintf("the database cannot be told from its connection string: %v", err)), nil
	}
	t.Identity = identity
	return t, verdict{}, nil
}

// bind makes sure that the centre does not switch from one database to another unasked.
func (s *centerScope) bind(ctx context.Context, bound *binding, target center.Target) (verdict, error) {
	next := binding{identity: target.Identity, declared: s.object != nil}
	switch {
	case bound != nil && *bound == next:
		return verdict{}, nil
	case bound == nil, bound.identity == target.Identity,
		!bound.declared && s.object != nil: // the first ContactCenter takes over from the embedded default
	default:
		order := ""
		if s.object != nil {
			order = s.object.Annotations[v1alpha1.AnnotationSwitchBackend]
		}
		if order == "" || string(s.object.Status.Handled[switchOrder]) == clip(order, 256) {
			return stalled(reasonSwitchBackend, fmt.Sprintf(
				"this centre has written to %s and does not go on in %s by itself: declare the former database again, or annotate the ContactCenter %s=%s",
				bound.identity, target.Identity, v1alpha1.AnnotationSwitchBackend, target.Identity)), nil
		}
		if s.object.Status.Handled == nil {
			s.object.Status.Handled = map[string]v1alpha1.HandledOrder{}
		}
		s.object.Status.Handled[switchOrder] = v1alpha1.HandledOrder(clip(order, 256))
		s.normal(s.object, "BackendSwitched", "Switch", fmt.Sprintf("goes on in %s; what %s holds stays there", target.Identity, bound.identity))
	}
	err := s.bindings.set(ctx, s.operator, s.namespace, bound != nil, next)
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		err = nil // nothing can be noted any more, but what was written has still to be taken back
	}
	return verdict{}, err
}

// publish tells everybody in the namespace what changed for them.
func (s *centerScope) publish() {
	if s.site == nil {
		s.sites.drop(s.namespace)
		return
	}
	if old := s.sites.get(s.namespace); old != nil && reflect.DeepEqual(old, s.site) {
		return
	}
	s.sites.set(s.namespace, s.site)
	s.feed.everything(s.namespace, priorityNormal, nil, nil, nil)
}

// report writes the ContactCenter's status, if its meaning changed, and tells the events.
func (s *centerScope) report(ctx context.Context) (ctrl.Result, error) {
	if s.object == nil || connecting(s.centers.Get(s.namespace)) {
		return ctrl.Result{}, nil
	}
	status, g := &s.object.Status, s.object.Generation
	status.ObservedGeneration = g
	status.Database = nil
	connected := false
	if c := s.centers.Get(s.namespace); c != nil {
		st := c.Status()
		since := metav1.NewTime(st.Since.UTC().Truncate(time.Second))
		status.Database = &v1alpha1.DatabaseStatus{Type: st.Type, Identity: st.Identity, State: st.State, Since: &since}
		if was := s.before.Database; was != nil && was.State == st.State && was.Identity == st.Identity {
			status.Database.Since = was.Since // a restart of the manager begins no new state
		}
		connected = st.State == v1alpha1.ConnectionConnected
		if !connected {
			v := reconciling(reasonUnreachable, connectionMessage(c))
			if st.State == v1alpha1.ConnectionRefused {
				v = stalled(reasonRefused, st.Message)
			}
			s.verdict = s.verdict.worse(v)
		}
	}
	if connected {
		setCondition(&status.Conditions, g, v1alpha1.ConditionConnected, metav1.ConditionTrue, "Connected", "")
	} else {
		setCondition(&status.Conditions, g, v1alpha1.ConditionConnected, metav1.ConditionFalse, s.verdict.reason, s.verdict.message)
	}
	s.reportServers(status)
	compareNow := s.obey(status)
	s.verdict.set(&status.Conditions, g)
	drifted := s.drift.pending(s.namespace)
	drifted.addTo(status, metav1.NewTime(s.options.Now().UTC().Truncate(time.Second)))

	counts, seats := s.feed.Directory(s.namespace).Counts(), status.Seats
	if connected { // else it may not be known who has one
		seats = new(s.feed.Directory(s.namespace).Seats())
	}
	if onlyCounts := equality.Semantic.DeepEqual(s.before, status); onlyCounts {
		if status.Counts != nil && *status.Counts == counts && equality.Semantic.DeepEqual(status.Seats, seats) {
			return s.result, nil
		}
		if wait := s.wait(client.ObjectKeyFromObject(s.object), true); wait > 0 {
			return retry(wait), nil
		}
	}
	status.Counts, status.Seats = &counts, seats
	if err := s.Status().Update(ctx, s.object); err != nil {
		return ctrl.Result{}, ignoreStale(err)
	}
	s.feed.wrote(kindCenter, s.object)
	s.drift.counted(s.namespace, drifted)
	if compareNow {
		s.centers.Get(s.namespace).CompareNow()
	}
	s.tellConnection()
	s.tellServers()
	s.tellSeats()
	s.tell(kindCenter, s.object, s.before.Conditions, status.Conditions)
	return s.result, nil
}

// tellConnection tells the event of a connection that came or went.
func (s *centerScope) tellConnection() {
	after := s.object.Status.Conditions
	was, _ := conditionIs(s.before.Conditions, v1alpha1.ConditionConnected, metav1.ConditionTrue)
	is, _ := conditionIs(after, v1alpha1.ConditionConnected, metav1.ConditionTrue)
	switch {
	case is && !was:
		s.normal(s.object, "Connected", "Connect", "the telephone system is connected; everything pending is being written")
	case !is && was:
		_, message := conditionIs(after, v1alpha1.ConditionConnected, metav1.ConditionFalse)
		s.warning(s.object, reasonUnreachable, "Connect", message)
	}
}

// dsn is the connection string that a Secret holds, or why there is none.
func (s *centerScope) dsn(ctx context.Context, ref v1alpha1.SecretKeyReference) (string, verdict, error) {
	secret, err := s.secrets.get(ctx, s.operator, s.namespace, ref.Name)
	if err != nil {
		return "", verdict{}, err
	}
	if secret == nil {
		return "", stalled(reasonMissingReference, fmt.Sprintf(
			"Secret %s, which holds the database's connection string, does not exist: create it", ref.Name)), nil
	}
	value := string(secret.Data[ref.Key])
	if value == "" {
		return "", stalled(reasonBadSecret, fmt.Sprintf("Secret %s has no value under key %s: add the connection string", ref.Name, ref.Key)), nil
	}
	return value, verdict{}, nil
}
