package cli

import (
	"fmt"
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	fluxKustomize = "kustomize.toolkit.fluxcd.io/"
	fluxHelm      = "helm.toolkit.fluxcd.io/"
	argo          = "argocd.argoproj.io/"
)

// managedBy names what keeps an object as a Git repository has it, and so takes back what is edited in the cluster.
// It is empty for an object that is nobody's.
func managedBy(o *unstructured.Unstructured) string {
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	has := func(key, value string) bool { return labels[key] == value || annotations[key] == value }
	switch {
	case labels[fluxKustomize+"name"] != "":
		if has(fluxKustomize+"reconcile", "disabled") || has(fluxKustomize+"ssa", "Ignore") || has(fluxKustomize+"ssa", "IfNotPresent") {
			return ""
		}
		return fmt.Sprintf("Flux (Kustomization %s/%s)", labels[fluxKustomize+"namespace"], labels[fluxKustomize+"name"])
	case labels[fluxHelm+"name"] != "":
		return fmt.Sprintf("Flux (HelmRelease %s/%s)", labels[fluxHelm+"namespace"], labels[fluxHelm+"name"])
	case annotations[argo+"tracking-id"] != "":
		app, _, _ := strings.Cut(annotations[argo+"tracking-id"], ":")
		return fmt.Sprintf("Argo CD (Application %s)", app)
	case labels[argo+"instance"] != "":
		return fmt.Sprintf("Argo CD (Application %s)", labels[argo+"instance"])
	case labels["app.kubernetes.io/instance"] != "" && writtenBy(o, "argocd"):
		return fmt.Sprintf("Argo CD (Application %s)", labels["app.kubernetes.io/instance"])
	}
	return ""
}

// writtenBy says whether a program whose name begins so has written fields of an object.
func writtenBy(o *unstructured.Unstructured, program string) bool {
	for _, entry := range o.GetManagedFields() {
		if strings.HasPrefix(entry.Manager, program) {
			return true
		}
	}
	return false
}

// manifest is an object as a repository has it: what the cluster adds is left out.
func manifest(o *unstructured.Unstructured) *unstructured.Unstructured {
	m := &unstructured.Unstructured{Object: map[string]any{}}
	m.SetGroupVersionKind(o.GroupVersionKind())
	m.SetNamespace(o.GetNamespace())
	m.SetName(o.GetName())
	own := func(key, _ string) bool {
		return key == "kubectl.kubernetes.io/last-applied-configuration" || key == argo+"tracking-id" || key == argo+"instance" ||
			key == fluxKustomize+"name" || key == fluxKustomize+"namespace" || key == fluxHelm+"name" || key == fluxHelm+"namespace"
	}
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	maps.DeleteFunc(labels, own)
	maps.DeleteFunc(annotations, own)
	if len(labels) > 0 {
		m.SetLabels(labels)
	}
	if len(annotations) > 0 {
		m.SetAnnotations(annotations)
	}
	m.Object["spec"] = o.Object["spec"]
	return m
}
