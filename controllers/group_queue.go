package controllers

import (
	"context"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

// groupRingSeconds is how long the free people of a group ring for a known caller.
const groupRingSeconds = 20

// reconcileGroupQueue keeps the queue of a group that cases name: known callers reach the group's free people by it.
// Its members come with each person.
func (r *queueReconciler) reconcileGroupQueue(ctx context.Context, key types.NamespacedName) (ctrl.Result, error) {
	c, site := r.centers.Get(key.Namespace), r.sites.get(key.Namespace)
	if c == nil || site == nil || connecting(c) || r.callers.isClosing(key.Namespace) {
		return ctrl.Result{}, nil // its ContactCenter comes first, and brings everybody back
	}
	record, registered, known := c.RecordedQueue(key.Name)
	if _, ok := site.writable(c, known); !ok {
		return ctrl.Result{}, nil
	}
	d := r.feed.Directory(key.Namespace)
	if !r.isSticky(key) {
		// Of a name that was cut the group cannot be told; then the caches, which are complete, have to do.
		group, whole := strings.CutPrefix(key.Name, key.Namespace+".")
		if !registered {
			return ctrl.Result{}, nil
		}
		if whole && roster.GroupQueue(key.Namespace, group) == key.Name && !d.HasGroup(group) {
			if gone, err := r.feed.isGone(ctx, kindGroup, key.Namespace, group); err != nil || !gone {
				return retry(time.Second), err
			}
		}
		if err := c.RemoveQueue(ctx, key.Name); err != nil {
			return afterFailure(err)
		}
		r.fleet.Refresh(key.Namespace, "", key.Name)
		return ctrl.Result{}, nil
	}
	desired := &telephony.Queue{
		Name: key.Name, Settings: site.settings, Voice: true, Strategy: "RingAll", TimeoutSeconds: groupRingSeconds,
	}
	suspect := c.IsSuspectQueue(key.Name)
	same := registered && record.Fingerprint == desired.Fingerprint()
	if same && !suspect {
		return ctrl.Result{}, nil
	}
	if err := c.ApplyQueue(ctx, desired); err != nil {
		return afterFailure(err)
	}
	r.fleet.Refresh(key.Namespace, "", key.Name)
	if same {
		r.drift.repaired(key.Namespace, 1)
		r.feed.recount(key.Namespace)
	}
	return ctrl.Result{}, nil
}

// isSticky says whether a queue is that of a group that cases name.
func (r *queueReconciler) isSticky(key types.NamespacedName) bool {
	for _, group := range r.feed.Directory(key.Namespace).StickyGroups() {
		if roster.GroupQueue(key.Namespace, group) == key.Name {
			return true
		}
	}
	return false
}

// groupQueues are the queues of a namespace's groups.
func groupQueues(namespace string, groups []string) []string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = roster.GroupQueue(namespace, g)
	}
	return names
}
