package controllers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"roster.dev/roster/api/v1alpha1"
)

// lastApplied is where client-side apply keeps a whole copy of the object.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Slim takes out of an object, before it is cached, what no controller reads. Objects are written by patches and
// by their status only, so nothing is lost.
func Slim(obj any) (any, error) {
	if _, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		return obj, nil
	}
	object, ok := obj.(metav1.Object)
	if !ok {
		return obj, nil
	}
	object.SetManagedFields(nil)
	delete(object.GetAnnotations(), lastApplied)
	switch o := obj.(type) {
	case *metav1.PartialObjectMetadata: // of a Secret: its version, and whether Roster made it
		owner, ours := o.Labels[v1alpha1.LabelAgent]
		o.Annotations, o.Labels, o.Finalizers = nil, nil, nil
		if ours {
			o.Labels = map[string]string{v1alpha1.LabelAgent: owner}
		}
		intern(&o.Kind)
		intern(&o.APIVersion)
		intern(&o.Namespace)
	case *v1alpha1.Agent:
		internAgent(o)
	case *v1alpha1.CaseAssignment:
		internCase(o)
	}
	return obj, nil
}
