package controllers

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// told are the conditions whose coming somebody wants to be told.
var told = []struct {
	condition string
	status    metav1.ConditionStatus
	reason    string
	// patient conditions are usual while a folder is being applied, and told of a new object only if they last.
	patient bool
}{
	{v1alpha1.ConditionConflicted, metav1.ConditionTrue, "Conflicted", false},
	{v1alpha1.ConditionRevoked, metav1.ConditionTrue, "Revoked", false},
	{v1alpha1.ConditionReferencesResolved, metav1.ConditionFalse, reasonMissingReference, true},
	{v1alpha1.ConditionPasswordAccepted, metav1.ConditionFalse, reasonPolicyViolation, false},
	{v1alpha1.ConditionAssigned, metav1.ConditionFalse, "Unassigned", false},
	{v1alpha1.ConditionAssigneesSeparate, metav1.ConditionFalse, reasonSeparateOperators, false},
	{v1alpha1.ConditionPhonesValid, metav1.ConditionFalse, reasonNotANumber, false},
	{v1alpha1.ConditionStaffed, metav1.ConditionFalse, "BelowMinimum", true},
	{v1alpha1.ConditionStalled, metav1.ConditionTrue, "Stalled", false},
}

// patience is how long a new object may have patient conditions before they are told.
const patience = 10 * time.Second

// announcements tells events of conditions.
type announcements struct {
	mu sync.Mutex
	// held are conditions of new objects that are told if they last.
	held map[heldKey]struct{}
}

type heldKey struct {
	objectKey
	condition string
}

// tell tells the events of conditions that came between before and after. A result that is not zero asks for another
// look at what is held back.
func (op *operator) tell(k kind, object client.Object, before, after []metav1.Condition) (result ctrl.Result) {
	op.announced.mu.Lock()
	defer op.announced.mu.Unlock()
	age := op.options.Now().Sub(object.GetCreationTimestamp().Time)
	for _, t := range told {
		key := heldKey{objectKey{k, object.GetNamespace(), object.GetName()}, t.condition}
		_, held := op.announced.held[key]
		was, old := conditionIs(before, t.condition, t.status)
		is, message := conditionIs(after, t.condition, t.status)
		switch {
		case !is:
			delete(op.announced.held, key)
		case t.patient && age < patience && (held || !was):
			op.announced.held[key] = struct{}{}
			result = retry(patience - age)
		case held, !was, old != message && !t.patient:
			delete(op.announced.held, key)
			op.event(object, corev1.EventTypeWarning, t.reason, "Reconcile", message)
		}
	}
	return result
}

// actionLength is the longest action that an event may have.
const actionLength = 128

// event tells people something about an object. Events of one reason and action about one version of an object are
// counted as one, with the text of the first: what tells something else has an action of its own.
func (op *operator) event(object client.Object, eventType, reason, action, message string) {
	op.recorder.Eventf(object, nil, eventType, reason, clip(action, actionLength), "%s", clip(message, 1000))
}

func (op *operator) normal(object client.Object, reason, action, message string) {
	op.event(object, corev1.EventTypeNormal, reason, action, message)
}

func (op *operator) warning(object client.Object, reason, action, message string) {
	op.event(object, corev1.EventTypeWarning, reason, action, message)
}
