package controllers

import (
	"context"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
)

// ensureFinalizer makes sure that nothing is written for an object that could vanish without a trace.
func (op *operator) ensureFinalizer(ctx context.Context, object client.Object) error {
	if controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(object.DeepCopyObject().(client.Object), client.MergeFromWithOptimisticLock{})
	controllerutil.AddFinalizer(object, v1alpha1.Finalizer)
	return op.Patch(ctx, object, patch)
}

// release lets an object go.
func (op *operator) release(ctx context.Context, object client.Object) error {
	patch := client.MergeFromWithOptions(object.DeepCopyObject().(client.Object), client.MergeFromWithOptimisticLock{})
	controllerutil.RemoveFinalizer(object, v1alpha1.Finalizer)
	return ignoreStale(op.Patch(ctx, object, patch))
}

// held says whether Roster holds an object that is to go.
func held(object client.Object) bool {
	return controllerutil.ContainsFinalizer(object, v1alpha1.Finalizer)
}

// abandoned says whether somebody lets an object go although its rows cannot be taken back.
func (s *site) abandoned(object client.Object) bool {
	return s.abandon || object.GetAnnotations()[v1alpha1.AnnotationAbandon] == "true"
}

// awaiting says on an object that cannot be let go what is awaited, and what lets go without it.
func awaiting(v verdict) verdict {
	v.message = fmt.Sprintf("deletion waits for the telephone system: %s; annotate %s=true to leave its rows behind",
		v.message, v1alpha1.AnnotationAbandon)
	v.reason = roster.ReasonAwaitingTelephony
	return v
}
