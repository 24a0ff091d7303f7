package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	toolswatch "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// each calls f for 0 to n-1, so many at once, until the first error.
func each(ctx context.Context, n, concurrency int, f func(context.Context, int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(concurrency, n) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// createAll creates objects, so many at once.
func createAll[T client.Object](ctx context.Context, c client.Client, concurrency int, objects []T) error {
	return each(ctx, len(objects), concurrency, func(ctx context.Context, i int) error {
		return c.Create(ctx, objects[i])
	})
}

// finalizerPatch is a patch that sets Roster's finalizer.
var finalizerPatch = fmt.Appendf(nil, `{"metadata":{"finalizers":[%q]}}`, v1alpha1.Finalizer)

// establish does to one agent what no operator can do without: it is created, gets its finalizer and its status.
func establish(ctx context.Context, c client.Client, agent *v1alpha1.Agent, status []byte) error {
	if err := c.Create(ctx, agent); err != nil {
		return err
	}
	if err := c.Patch(ctx, agent, client.RawPatch(types.MergePatchType, finalizerPatch)); err != nil {
		return err
	}
	return c.Status().Patch(ctx, agent, client.RawPatch(types.MergePatchType, status))
}

// statuses are patches that give each agent the status that it has now.
func statuses(ctx context.Context, c client.Client) (map[string][]byte, error) {
	agents := &v1alpha1.AgentList{}
	if err := c.List(ctx, agents, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	patches := make(map[string][]byte, len(agents.Items))
	for i := range agents.Items {
		patch, err := json.Marshal(map[string]any{"status": &agents.Items[i].Status})
		if err != nil {
			return nil, err
		}
		patches[agents.Items[i].Name] = patch
	}
	return patches, nil
}

// watchAll keeps a watch of a kind open, whose events are decoded and dropped. Like an informer's it is opened again
// where the API server closes it.
func (p *plane) watchAll(ctx context.Context, kind client.ObjectList) (stop func(), err error) {
	version, err := p.version(ctx, kind)
	if err != nil {
		return nil, err
	}
	watcher, err := toolswatch.NewRetryWatcherWithContext(ctx, version, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return p.client.Watch(ctx, kind, client.InNamespace(namespace), &client.ListOptions{Raw: &o})
		},
	})
	if err != nil {
		return nil, err
	}
	go func() {
		for range watcher.ResultChan() {
			continue
		}
	}()
	return watcher.Stop, nil
}

// version is the newest of a kind.
func (p *plane) version(ctx context.Context, kind client.ObjectList) (string, error) {
	err := p.client.List(ctx, kind, client.InNamespace(namespace), client.Limit(1))
	return kind.GetResourceVersion(), err
}
