package controllers

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/roster"
)

// +kubebuilder:rbac:groups=staff.roster.dev,resources=caseassignments,verbs=get;list;watch
// +kubebuilder:rbac:groups=staff.roster.dev,resources=caseassignments/status,verbs=get;update;patch

// caseReconciler says of one case at a time who holds it.
type caseReconciler struct{ *operator }

// caseScope is one reconcile of one case.
type caseScope struct {
	*caseReconciler
	object *v1alpha1.CaseAssignment
	before *v1alpha1.CaseAssignmentStatus
	now    time.Time
	site   *site
	center *center.Center
	report roster.CaseReport
	// verdict of the rows of the client's phones.
	verdict verdict
	result  ctrl.Result
}

// caseHistoryLimit is the CRD's.
const caseHistoryLimit = 50

// Reconcile brings one case to whoever is to hold it.
func (r *caseReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &v1alpha1.CaseAssignment{}
	if err := r.Get(ctx, req.NamespacedName, object); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	s := &caseScope{
		caseReconciler: r, object: object, before: object.Status.DeepCopy(), now: r.options.Now(),
		site: r.sites.get(req.Namespace), center: r.centers.Get(req.Namespace),
	}
	if s.site == nil || connecting(s.center) {
		return ctrl.Result{}, nil // its ContactCenter comes first, and brings everybody back
	}
	report, touched, known := r.feed.Directory(req.Namespace).DecideCase(req.Name, s.now)
	if !known {
		return ctrl.Result{}, nil // on its way out
	}
	r.feed.touch(req.Namespace, touched, priorityNormal)
	s.report = report
	if !report.Next.IsZero() {
		s.result = retry(until(s.now, report.Next))
	}
	if report.Unsettled || !s.rowsSettled() {
		return s.result, nil
	}
	return s.write(ctx)
}

// rowsSettled says whether there is an answer for the rows of the client's phones; while there is none the status
// waits, because it would be written twice. The callers bring the case back, also when a row that was refused is written.
func (s *caseScope) rowsSettled() bool {
	settled, ns := true, s.object.Namespace
	for _, phone := range s.report.Phones {
		v, state := s.rowOf(ns, phone, s.object.Name)
		if state == rowSettled {
			continue
		}
		s.callers.await(ns, phone, s.object.Name)
		if state == rowPending {
			s.feed.enqueue(kindCaller, ns, priorityNormal, 0, phone)
			settled = false
		}
		s.verdict = s.verdict.worse(v)
	}
	return settled
}

// write writes the status, if its meaning changed, and tells the events.
func (s *caseScope) write(ctx context.Context) (ctrl.Result, error) {
	status := &s.object.Status
	status.Phase, status.Assignees = s.report.Phase, s.report.Holders
	status.ObservedGeneration = s.object.Generation
	history := roster.CaseHistory(&s.object.Spec, s.before.Assignees, &s.report.CaseDecision, s.report.At)
	status.History = append(status.History, history...)
	if n := len(status.History); n > caseHistoryLimit {
		status.History = status.History[n-caseHistoryLimit:]
	}
	s.setConditions(status)
	if !equality.Semantic.DeepEqual(s.before, status) {
		if err := s.Status().Update(ctx, s.object); err != nil {
			return ctrl.Result{}, ignoreStale(err)
		}
		s.feed.wrote(kindCase, s.object)
		if s.before.Phase != status.Phase {
			s.feed.recount(s.object.Namespace)
		}
	}
	if again := s.tell(kindCase, s.object, s.before.Conditions, status.Conditions); s.result.IsZero() {
		s.result = again
	}
	return s.result, nil
}

func (s *caseScope) setConditions(status *v1alpha1.CaseAssignmentStatus) {
	c, g, d := &status.Conditions, s.object.Generation, &s.report
	v := s.verdict
	if s.site.everybody {
		v = s.site.gate
	}
	missing, message := "", ""
	if len(d.Missing) > 0 {
		missing, message = reasonMissingReference, "waits for objects that do not exist: "+enumerate("", d.Missing)
		v = v.worse(reconciling(missing, message))
	}
	setOrRemove(c, g, v1alpha1.ConditionReferencesResolved, metav1.ConditionFalse, missing, message)
	v.set(c, g)

	switch d.Phase {
	case v1alpha1.CasePhaseCompleted:
		removeConditions(c, v1alpha1.ConditionAssigned)
	case v1alpha1.CaseUnassigned:
		setCondition(c, g, v1alpha1.ConditionAssigned, metav1.ConditionFalse, reasonNobodyAble, s.nobodyAble())
	default:
		setCondition(c, g, v1alpha1.ConditionAssigned, metav1.ConditionTrue, string(d.Phase), "")
	}
	reason, message := "", ""
	if d.Phase != v1alpha1.CasePhaseCompleted {
		reason, message = unableMessage(d)
	}
	setOrRemove(c, g, v1alpha1.ConditionAssigneesAble, metav1.ConditionFalse, reason, message)
	reason, message = "", ""
	if len(d.Surplus) > 0 {
		reason, message = reasonSeparateOperators, fmt.Sprintf(
			"without effect: %s; the contact centre has separateOperators: Enabled, and only the first of spec.assignees counts",
			enumerate("", d.Surplus))
	}
	setOrRemove(c, g, v1alpha1.ConditionAssigneesSeparate, metav1.ConditionFalse, reason, message)
	reason, message = "", ""
	if len(d.Unread) > 0 {
		reason, message = reasonNotANumber, fmt.Sprintf(
			"these are no telephone numbers, and their calls are not known: %s; write them with their country code, such as +390699999, or set spec.country on the ContactCenter",
			enumerate("", toStrings(d.Unread)))
	}
	setOrRemove(c, g, v1alpha1.ConditionPhonesValid, metav1.ConditionFalse, reason, message)
}

// nobodyAble says why nobody holds an open case, and what to do.
func (s *caseScope) nobodyAble() string {
	spec := &s.object.Spec
	var why []string
	if len(spec.Assignees) == 0 {
		why = append(why, "no assignee is declared")
	}
	for _, u := range s.report.Unable {
		why = append(why, u.Name+" "+inabilities[u.Cause])
	}
	for _, f := range spec.Fallback {
		switch {
		case f == v1alpha1.FallbackGroup && spec.Group != "":
			why = append(why, fmt.Sprintf("group %s has nobody who is Active and has a seat", spec.Group))
		case f == v1alpha1.FallbackGroup:
			why = append(why, "no group is declared")
		case f == v1alpha1.FallbackBackup && len(s.report.Unable) > 0 && s.report.Unable[0].Cause == v1alpha1.CauseOnLeave:
			why = append(why, "the leave names no backup who is able")
		}
	}
	return "nobody can take the case: " + enumerate("", why) + "; declare an assignee who is able, or a group"
}

// inabilities are the causes in words.
var inabilities = map[v1alpha1.CoverCause]string{
	v1alpha1.CauseOnLeave:     "is on leave",
	v1alpha1.CauseDeactivated: "is deactivated",
	v1alpha1.CausePending:     "has not begun to work",
	v1alpha1.CauseNoSeat:      "waits for a seat",
	v1alpha1.CauseNoLicense:   "has no licence (license: None)",
	v1alpha1.CauseUnknown:     "does not exist",
}

// unableMessage names each declared assignee who does not hold the case, with the reason.
func unableMessage(d *roster.CaseReport) (reason, message string) {
	var texts []string
	for _, u := range d.Unable {
		texts = append(texts, u.Name+" "+inabilities[u.Cause])
	}
	message = strings.Join(texts, "; ")
	if d.HandedOn != "" {
		if message != "" {
			message += "; "
		}
		message += fmt.Sprintf(
			"%s was deactivated meanwhile and does not get the case back by themself: declare %s, who looks after it, or take %s off spec.assignees and put them back",
			d.HandedOn, d.Holders[0].Name, d.HandedOn)
	}
	if message == "" {
		return "", ""
	}
	return reasonNotAble, message
}
