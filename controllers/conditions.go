package controllers

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"roster.dev/roster/api/v1alpha1"
)

// Reasons of conditions and events.
const (
	reasonReady             = "Committed"
	reasonUnreachable       = "TelephonyUnreachable"
	reasonRefused           = "TelephonyRefused"
	reasonNoContactCenter   = "NoContactCenter"
	reasonCenterStalled     = "ContactCenterStalled"
	reasonMissingReference  = "MissingReference"
	reasonSettling          = "Settling"
	reasonDraining          = "Draining"
	reasonHeldByOther       = "HeldByOther"
	reasonExtensionTaken    = "ExtensionTaken"
	reasonPolicyViolation   = "PolicyViolation"
	reasonBadSecret         = "BadSecret"
	reasonInvalidSelector   = "InvalidSelector"
	reasonNotBuilt          = "NotSupportedYet"
	reasonSwitchBackend     = "BackendSwitch"
	reasonDeactivated       = "Deactivated"
	reasonDrift             = "Drift"
	reasonServersDown       = "ServersUnreachable"
	reasonTooManyTeams      = "TooManyTeams"
	reasonInvalidOrder      = "InvalidOrder"
	reasonNobodyAble        = "NobodyAble"
	reasonNotAble           = "NotAble"
	reasonSeparateOperators = "SeparateOperators"
	reasonNotANumber        = "NotANumber"
	reasonWaitingForSeat    = "WaitingForSeat"
)

// verdict is the outcome of a reconcile in kstatus' terms. The zero value is Ready.
type verdict struct {
	// stalled tells what needs a human from what passes by itself.
	stalled bool
	// reason is empty where all is committed.
	reason  string
	message string
}

func reconciling(reason, message string) verdict { return verdict{reason: reason, message: message} }

func stalled(reason, message string) verdict {
	return verdict{stalled: true, reason: reason, message: message}
}

func (v verdict) ready() bool { return v.reason == "" }

// worse is the verdict that weighs more: what needs a human, then what passes by itself, then Ready.
func (v verdict) worse(o verdict) verdict {
	switch {
	case v.ready() || o.stalled && !v.stalled:
		return o
	default:
		return v
	}
}

// set writes the verdict as Ready, Reconciling and Stalled; of the last two at most one is there, and only while True.
func (v verdict) set(conditions *[]metav1.Condition, generation int64) {
	if v.ready() {
		setCondition(conditions, generation, v1alpha1.ConditionReady, metav1.ConditionTrue, reasonReady, "")
		removeConditions(conditions, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled)
		return
	}
	setCondition(conditions, generation, v1alpha1.ConditionReady, metav1.ConditionFalse, v.reason, v.message)
	present, absent := v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled
	if v.stalled {
		present, absent = absent, present
	}
	setCondition(conditions, generation, present, metav1.ConditionTrue, v.reason, v.message)
	removeConditions(conditions, absent)
}

// setCondition writes one condition; its time changes only with its status.
func setCondition(conditions *[]metav1.Condition, generation int64, conditionType string, status metav1.ConditionStatus, reason, message string) {
	meta.SetStatusCondition(conditions, metav1.Condition{
		Type: conditionType, Status: status, Reason: reason, Message: clip(message, 1024), ObservedGeneration: generation,
	})
}

// setOrRemove writes a condition that is present only while it says something.
func setOrRemove(conditions *[]metav1.Condition, generation int64, conditionType string, status metav1.ConditionStatus, reason, message string) {
	if reason == "" {
		removeConditions(conditions, conditionType)
		return
	}
	setCondition(conditions, generation, conditionType, status, reason, message)
}

func removeConditions(conditions *[]metav1.Condition, types ...string) {
	*conditions = slices.DeleteFunc(*conditions, func(c metav1.Condition) bool { return slices.Contains(types, c.Type) })
}

// conditionIs says whether a condition is there with a status, and returns its message.
func conditionIs(conditions []metav1.Condition, conditionType string, status metav1.ConditionStatus) (bool, string) {
	c := meta.FindStatusCondition(conditions, conditionType)
	if c == nil || c.Status != status {
		return false, ""
	}
	return true, c.Message
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:limit-3] + "..."
}
