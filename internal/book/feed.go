package book

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"roster.dev/roster/api/v1alpha1"
)

// +kubebuilder:rbac:groups=staff.roster.dev,resources=caseassignments,verbs=get;list;watch

// Feed tells an index of every change of a case. It is a Runnable of a manager.
type Feed struct {
	Cache cache.Cache
	Index *Index
}

// NeedLeaderElection is false: every replica serves the books.
func (f *Feed) NeedLeaderElection() bool { return false }

// Start watches until ctx ends.
func (f *Feed) Start(ctx context.Context) error {
	informer, err := f.Cache.GetInformer(ctx, &v1alpha1.CaseAssignment{})
	if err != nil {
		return fmt.Errorf("watching CaseAssignments for the client books: %w", err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { f.Index.Set(obj.(*v1alpha1.CaseAssignment)) },
		UpdateFunc: func(_, obj any) { f.Index.Set(obj.(*v1alpha1.CaseAssignment)) },
		DeleteFunc: func(obj any) {
			if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = tombstone.Obj
			}
			a := obj.(*v1alpha1.CaseAssignment)
			f.Index.Remove(a.Namespace, a.Name)
		},
	})
	if err != nil {
		return fmt.Errorf("watching CaseAssignments for the client books: %w", err)
	}
	if toolscache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		f.Index.Complete()
	}
	<-ctx.Done()
	return nil
}
