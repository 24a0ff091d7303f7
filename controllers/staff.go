package controllers

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/live"
)

// staffFeed tells the staff list of every change of an object. It runs on every replica.
type staffFeed struct {
	manager.Manager
	staff *live.Staff
	fleet *live.Fleet
}

// NeedLeaderElection says no: every replica serves the staff list.
func (f *staffFeed) NeedLeaderElection() bool { return false }

// Start watches until ctx ends.
func (f *staffFeed) Start(ctx context.Context) error {
	var synced []toolscache.InformerSynced
	for _, w := range []struct {
		object  client.Object
		handler toolscache.ResourceEventHandlerFuncs
	}{
		{&v1alpha1.Queue{}, toolscache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { f.staff.SetQueue(obj.(*v1alpha1.Queue)) },
			UpdateFunc: func(_, obj any) { f.staff.SetQueue(obj.(*v1alpha1.Queue)) },
			DeleteFunc: func(obj any) {
				queue, _ := deleted[*v1alpha1.Queue](obj)
				f.staff.RemoveQueue(queue.Namespace, queue.Name)
			},
		}},
		{&v1alpha1.Agent{}, toolscache.ResourceEventHandlerFuncs{
			AddFunc: func(obj any) { f.staff.SetAgent(obj.(*v1alpha1.Agent)) },
			UpdateFunc: func(before, obj any) {
				f.staff.SetAgent(obj.(*v1alpha1.Agent))
				f.look(before.(*v1alpha1.Agent), obj.(*v1alpha1.Agent))
			},
			DeleteFunc: func(obj any) {
				agent, _ := deleted[*v1alpha1.Agent](obj)
				f.staff.RemoveAgent(agent.Namespace, agent.Name)
			},
		}},
	} {
		informer, err := f.GetCache().GetInformer(ctx, w.object)
		if err != nil {
			return fmt.Errorf("watching %T for the staff list: %w", w.object, err)
		}
		registration, err := informer.AddEventHandler(w.handler)
		if err != nil {
			return fmt.Errorf("watching %T for the staff list: %w", w.object, err)
		}
		synced = append(synced, registration.HasSynced)
	}
	if toolscache.WaitForCacheSync(ctx.Done(), synced...) {
		f.staff.Complete()
	}
	<-ctx.Done()
	return nil
}

// look has the servers tell of a person whom the leading replica put elsewhere; the leader's own knows already.
func (f *staffFeed) look(before, after *v1alpha1.Agent) {
	if f.fleet.Leads() || before.Status.Phase == after.Status.Phase &&
		equality.Semantic.DeepEqual(before.Status.Queues, after.Status.Queues) {
		return
	}
	var queues []string
	for _, list := range [][]v1alpha1.QueueMembership{before.Status.Queues, after.Status.Queues} {
		for i := range list {
			if slices.Contains(list[i].Channels, v1alpha1.ChannelVoice) {
				queues = append(queues, string(list[i].Name))
			}
		}
	}
	slices.Sort(queues)
	f.fleet.Refresh(after.Namespace, after.Name, slices.Compact(queues)...)
}
