package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
)

// kind is a queue of work: one for each controller.
type kind int

const (
	kindAgent kind = iota
	kindGroup
	kindTeam
	kindQueue
	kindCenter
	kindCase
	kindCaller
	kinds
)

// Priorities of work. What ends somebody's access goes first; what probably changes nothing goes last.
const (
	priorityAccess = 100
	priorityEdit   = 10
	priorityNormal = 0
	// priorityReport is for a status whose rows are written, while others wait for theirs.
	priorityReport = -1
	priorityLow    = -100
)

const (
	// reportDelay gathers changes of many people into one report of their group.
	reportDelay = 200 * time.Millisecond
	// countDelay does the same for the centre's counts.
	countDelay = 3 * time.Second
)

// Feed tells the directories of every change of an object, and the controllers of everything that the change
// touches. It is the only watcher: the directory has always taken in a change before anybody works on it.
type Feed struct {
	cache cache.Cache
	live  client.Reader

	mu          sync.Mutex
	directories map[string]*roster.Directory
	started     [kinds]bool
	queues      [kinds]priorityqueue.PriorityQueue[reconcile.Request]
	synced      []toolscache.InformerSynced
	err         error
	ready       chan struct{}
	gone        map[objectKey]struct{}
	own         map[objectKey]string
	// empty are namespaces that were found deserted.
	empty map[string]struct{}
}

type objectKey struct {
	kind            kind
	namespace, name string
}

// NewFeed makes a feed of the objects in a cache. live reads past it.
func NewFeed(objects cache.Cache, live client.Reader) *Feed {
	return &Feed{
		cache: objects, live: live,
		directories: map[string]*roster.Directory{},
		ready:       make(chan struct{}),
		gone:        map[objectKey]struct{}{},
		own:         map[objectKey]string{},
		empty:       map[string]struct{}{},
	}
}

// Directory of a namespace. The first time, the namespace's ContactCenter is looked at.
func (f *Feed) Directory(namespace string) *roster.Directory {
	f.mu.Lock()
	d := f.directories[namespace]
	isNew := d == nil
	if isNew {
		d = roster.NewDirectory()
		f.directories[namespace] = d
	}
	f.mu.Unlock()
	if isNew {
		f.enqueue(kindCenter, namespace, priorityEdit, 0, centerName)
	}
	return d
}

// feedSource is one controller's end of the feed.
type feedSource struct {
	*Feed
	kind kind
}

// source is where a controller gets its work from.
func (f *Feed) source(k kind) feedSource { return feedSource{f, k} }

func (s feedSource) String() string { return fmt.Sprintf("feed source: %d", s.kind) }

// Start takes a controller's queue. Watching begins when every controller has handed over its own,
// because a change may touch any of them.
func (s feedSource) Start(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	pq, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request])
	if !ok {
		return fmt.Errorf("controller queue is a %T; the feed needs a priority queue", queue)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues[s.kind], s.started[s.kind] = pq, true
	for _, started := range s.started {
		if !started {
			return nil
		}
	}
	go func() {
		s.Feed.err = s.watch(ctx)
		close(s.ready)
	}()
	return nil
}

// WaitForSync returns when the directories hold every object that there was at the start.
func (s feedSource) WaitForSync(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.ready:
	}
	if s.err != nil {
		return s.err
	}
	if !toolscache.WaitForCacheSync(ctx.Done(), s.synced...) {
		return fmt.Errorf("waiting for the staff objects: %w", ctx.Err())
	}
	return nil
}

func (f *Feed) watch(ctx context.Context) error {
	for _, w := range []struct {
		object  client.Object
		handler toolscache.ResourceEventHandler
	}{
		{&v1alpha1.AgentGroup{}, listHandler(f, kindGroup)},
		{&v1alpha1.Team{}, listHandler(f, kindTeam)},
		{&v1alpha1.Queue{}, f.queueHandler()},
		{&v1alpha1.ContactCenter{}, f.centerHandler()},
		{secretMetadata(), f.secretHandler()},
		{&v1alpha1.Agent{}, f.agentHandler()},
		{&v1alpha1.CaseAssignment{}, f.caseHandler()},
	} {
		informer, err := f.cache.GetInformer(ctx, w.object, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watching %T: %w", w.object, err)
		}
		registration, err := informer.AddEventHandler(w.handler)
		if err != nil {
			return fmt.Errorf("watching %T: %w", w.object, err)
		}
		f.synced = append(f.synced, registration.HasSynced)
	}
	return nil
}

func secretMetadata() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return m
}

// enqueue gives work to a controller. An empty list of names is no work.
func (f *Feed) enqueue(k kind, namespace string, priority int, after time.Duration, names ...string) {
	f.mu.Lock()
	queue := f.queues[k]
	f.mu.Unlock()
	if queue == nil || len(names) == 0 {
		return
	}
	requests := make([]reconcile.Request, len(names))
	for i, name := range names {
		requests[i].NamespacedName = types.NamespacedName{Namespace: namespace, Name: name}
	}
	queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority, After: after}, requests...)
}

// recount has a namespace's ContactCenter count again, a while after the first of many changes.
func (f *Feed) recount(namespace string) {
	f.enqueue(kindCenter, namespace, priorityLow, countDelay, centerName)
}

// waiting is how much work a controller has not begun.
func (f *Feed) waiting(k kind) int {
	f.mu.Lock()
	queue := f.queues[k]
	f.mu.Unlock()
	if queue == nil {
		return 0
	}
	return queue.Len()
}

// touch gives everything that a change touched to its controller.
func (f *Feed) touch(namespace string, touched roster.Affected, priority int) {
	f.enqueue(kindAgent, namespace, priority, 0, touched.Agents...)
	f.enqueue(kindGroup, namespace, priority, reportDelay, touched.Groups...)
	f.enqueue(kindTeam, namespace, priority, reportDelay, touched.Teams...)
	f.enqueue(kindQueue, namespace, priority, reportDelay, touched.Queues...)
	f.enqueue(kindQueue, namespace, priority, 0, groupQueues(namespace, touched.GroupQueues)...)
	f.enqueue(kindCase, namespace, priority, 0, touched.Cases...)
	f.enqueue(kindCaller, namespace, priority, 0, touched.Phones...)
}

// everything gives all of a namespace's people, queues, cases and callers to their controllers, with those named besides.
func (f *Feed) everything(namespace string, priority int, agents, queues, phones []string) {
	d := f.Directory(namespace)
	f.enqueue(kindQueue, namespace, priority+1, 0, slices.Concat(d.Queues(), groupQueues(namespace, d.StickyGroups()), queues)...)
	f.enqueue(kindAgent, namespace, priority, 0, append(d.Agents(), agents...)...)
	f.enqueue(kindCase, namespace, priority, 0, d.Cases()...)
	f.enqueue(kindCaller, namespace, priority, 0, append(d.Phones(), phones...)...)
}

// deserted says whether a namespace has nobody who needs a telephone system. If so, its centre is looked at again
// when somebody comes.
func (f *Feed) deserted(namespace string) bool {
	f.mu.Lock()
	f.empty[namespace] = struct{}{} // noted before looking, so that nobody comes in between unseen
	f.mu.Unlock()
	counts := f.Directory(namespace).Counts()
	return counts.Agents+counts.Queues+counts.Cases == 0
}

// populate has the centre of a namespace that was deserted looked at.
func (f *Feed) populate(namespace string) {
	f.mu.Lock()
	_, empty := f.empty[namespace]
	delete(f.empty, namespace)
	f.mu.Unlock()
	if empty {
		f.enqueue(kindCenter, namespace, priorityEdit, 0, centerName)
	}
}

func priorityOf(initial bool, otherwise int) int {
	if initial {
		return priorityLow
	}
	return otherwise
}

// wrote notes that an object's newest version is Roster's own: its echo is no news.
func (f *Feed) wrote(k kind, object client.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.own[objectKey{k, object.GetNamespace(), object.GetName()}] = object.GetResourceVersion()
}

func (f *Feed) isOwn(k kind, object client.Object) bool {
	key := objectKey{k, object.GetNamespace(), object.GetName()}
	f.mu.Lock()
	defer f.mu.Unlock()
	own, ok := f.own[key]
	delete(f.own, key)
	return ok && own == object.GetResourceVersion()
}

func (f *Feed) agentHandler() toolscache.ResourceEventHandler {
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			agent := obj.(*v1alpha1.Agent)
			f.setAgent(agent, priorityOf(initial, priorityNormal), priorityOf(initial, priorityNormal), true)
			f.populate(agent.Namespace)
		},
		UpdateFunc: func(before, after any) {
			old, agent := before.(*v1alpha1.Agent), after.(*v1alpha1.Agent)
			priority, news := f.weigh(old, agent)
			// What a status of Roster's own says of a person, such as that they are out, is news for others.
			f.setAgent(agent, priority, priorityNormal, news)
		},
		DeleteFunc: func(obj any) {
			agent, unseen := deleted[*v1alpha1.Agent](obj)
			touched := f.Directory(agent.Namespace).RemoveAgent(agent.Name)
			if !unseen {
				f.confirm(kindAgent, agent.Namespace, agent.Name)
			}
			f.touch(agent.Namespace, touched, priorityAccess)
			f.enqueue(kindCenter, agent.Namespace, priorityNormal, reportDelay, centerName)
		},
	}
}

func (f *Feed) setAgent(agent *v1alpha1.Agent, priority, forCases int, news bool) {
	touched := f.Directory(agent.Namespace).SetAgent(roster.ViewAgent(agent))
	others := touched.Agents[:0]
	for _, name := range touched.Agents {
		if name != agent.Name {
			others = append(others, name)
		}
	}
	touched.Agents = others
	f.enqueue(kindCase, agent.Namespace, forCases, 0, touched.Cases...)
	touched.Cases = nil
	f.touch(agent.Namespace, touched, min(priority, priorityNormal))
	if news {
		f.forget(kindAgent, agent.Namespace, agent.Name)
		f.enqueue(kindAgent, agent.Namespace, priority, 0, agent.Name)
	}
	f.recount(agent.Namespace)
}

// weigh says how urgent a change of a person is, and whether it is news at all: the finalizer and the status that
// Roster wrote itself are not.
func (f *Feed) weigh(old, agent *v1alpha1.Agent) (priority int, news bool) {
	switch {
	case !agent.DeletionTimestamp.IsZero() && old.DeletionTimestamp.IsZero(),
		agent.Spec.State == v1alpha1.StateDeactivated && old.Spec.State != v1alpha1.StateDeactivated:
		return priorityAccess, true
	case agent.Generation != old.Generation, !agent.DeletionTimestamp.IsZero(),
		!equality.Semantic.DeepEqual(agent.Labels, old.Labels),
		!equality.Semantic.DeepEqual(agent.Annotations, old.Annotations):
		return priorityEdit, true
	case f.isOwn(kindAgent, agent):
		return priorityLow, false
	case equality.Semantic.DeepEqual(agent.Status, old.Status) && len(agent.Finalizers) > len(old.Finalizers):
		return priorityLow, false
	}
	return priorityLow, true
}

// deleted is the object of a delete event; unseen where the deletion itself was missed.
func deleted[T client.Object](obj any) (object T, unseen bool) {
	if tombstone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
		return tombstone.Obj.(T), true
	}
	return obj.(T), false
}

// listHandler handles Teams or AgentGroups.
func listHandler(f *Feed, k kind) toolscache.ResourceEventHandler {
	set := func(obj any, initial bool) {
		namespace, view := viewList(obj)
		d := f.Directory(namespace)
		f.forget(k, namespace, view.Name)
		var touched roster.Affected
		if k == kindGroup {
			touched = d.SetGroup(view)
		} else {
			touched = d.SetTeam(view)
		}
		f.touch(namespace, touched, priorityOf(initial, priorityNormal))
		f.recount(namespace)
	}
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: set,
		UpdateFunc: func(before, after any) {
			if before.(client.Object).GetGeneration() == after.(client.Object).GetGeneration() &&
				before.(client.Object).GetUID() == after.(client.Object).GetUID() {
				// Only the status, or what no rule reads: look whether the status is still ours.
				object := after.(client.Object)
				if !f.isOwn(k, object) {
					f.enqueue(k, object.GetNamespace(), priorityLow, reportDelay, object.GetName())
				}
				return
			}
			set(after, false)
		},
		DeleteFunc: func(obj any) {
			object, unseen := deleted[client.Object](obj)
			f.removed(k, object, unseen)
		},
	}
}

func viewList(obj any) (namespace string, view roster.ListView) {
	var selector *v1alpha1.LabelSelector
	switch o := obj.(type) {
	case *v1alpha1.AgentGroup:
		namespace, view.Name, view.Created, view.Members = o.Namespace, o.Name, o.CreationTimestamp.Time, o.Spec.Members
		selector, view.Color = o.Spec.Selector, o.Spec.Color
	case *v1alpha1.Team:
		namespace, view.Name, view.Created, view.Members = o.Namespace, o.Name, o.CreationTimestamp.Time, o.Spec.Members
		selector = o.Spec.Selector
	}
	// A selector that does not compile selects nobody; the list's own controller says so.
	view.Selector, _ = compileSelector(selector)
	return namespace, view
}

// compileSelector is nil for a nil selector.
func compileSelector(s *v1alpha1.LabelSelector) (labels.Selector, error) {
	if s == nil {
		return nil, nil
	}
	plain := &metav1.LabelSelector{}
	for k, v := range s.MatchLabels {
		plain = metav1.AddLabelToSelector(plain, k, string(v))
	}
	for _, e := range s.MatchExpressions {
		r := metav1.LabelSelectorRequirement{Key: e.Key, Operator: e.Operator}
		for _, v := range e.Values {
			r.Values = append(r.Values, string(v))
		}
		plain.MatchExpressions = append(plain.MatchExpressions, r)
	}
	return metav1.LabelSelectorAsSelector(plain)
}

func (f *Feed) queueHandler() toolscache.ResourceEventHandler {
	set := func(queue *v1alpha1.Queue, priority int) {
		d := f.Directory(queue.Namespace)
		f.forget(kindQueue, queue.Namespace, queue.Name)
		var touched roster.Affected
		if queue.DeletionTimestamp.IsZero() {
			touched = d.SetQueue(queue)
		} else {
			touched = d.RemoveQueue(queue.Name)
			f.confirm(kindQueue, queue.Namespace, queue.Name)
		}
		f.enqueue(kindQueue, queue.Namespace, max(priority, priorityNormal)+1, 0, queue.Name)
		f.touch(queue.Namespace, touched, priority)
		f.recount(queue.Namespace)
	}
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			queue := obj.(*v1alpha1.Queue)
			set(queue, priorityOf(initial, priorityNormal))
			f.populate(queue.Namespace)
		},
		UpdateFunc: func(_, after any) {
			queue := after.(*v1alpha1.Queue)
			if f.isOwn(kindQueue, queue) && queue.DeletionTimestamp.IsZero() {
				// Our own status, which may say that the name is somebody else's.
				f.touch(queue.Namespace, f.Directory(queue.Namespace).SetQueue(queue), priorityNormal)
				return
			}
			set(queue, priorityNormal)
		},
		DeleteFunc: func(obj any) {
			queue, unseen := deleted[*v1alpha1.Queue](obj)
			f.removed(kindQueue, queue, unseen)
			f.enqueue(kindCenter, queue.Namespace, priorityNormal, reportDelay, centerName)
		},
	}
}

func (f *Feed) caseHandler() toolscache.ResourceEventHandler {
	set := func(object *v1alpha1.CaseAssignment, priority int, news bool) {
		d := f.Directory(object.Namespace)
		var touched roster.Affected
		if object.DeletionTimestamp.IsZero() {
			f.forget(kindCase, object.Namespace, object.Name)
			touched = d.SetCase(roster.ViewCase(object))
		} else {
			f.confirm(kindCase, object.Namespace, object.Name)
			touched = d.RemoveCase(object.Name)
		}
		if !news {
			touched.Cases = nil
		}
		f.touch(object.Namespace, touched, priority)
	}
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) {
			object := obj.(*v1alpha1.CaseAssignment)
			set(object, priorityOf(initial, priorityNormal), true)
			f.populate(object.Namespace)
			f.recount(object.Namespace)
		},
		UpdateFunc: func(before, after any) {
			object, priority := after.(*v1alpha1.CaseAssignment), priorityNormal
			if object.Generation != before.(*v1alpha1.CaseAssignment).Generation {
				priority = priorityEdit
			}
			set(object, priority, !f.isOwn(kindCase, object))
		},
		DeleteFunc: func(obj any) {
			object, unseen := deleted[*v1alpha1.CaseAssignment](obj)
			f.removed(kindCase, object, unseen)
		},
	}
}

func (f *Feed) centerHandler() toolscache.ResourceEventHandler {
	enqueue := func(obj any) {
		object, _ := deleted[client.Object](obj)
		if object.GetName() == centerName {
			f.Directory(object.GetNamespace())
			f.enqueue(kindCenter, object.GetNamespace(), priorityEdit, 0, centerName)
		}
	}
	return toolscache.ResourceEventHandlerFuncs{
		AddFunc: enqueue,
		UpdateFunc: func(_, after any) {
			if object := after.(client.Object); !f.isOwn(kindCenter, object) {
				enqueue(after)
			}
		},
		DeleteFunc: enqueue,
	}
}

func (f *Feed) secretHandler() toolscache.ResourceEventHandler {
	changed := func(obj any, priority int) {
		secret, _ := deleted[client.Object](obj)
		f.mu.Lock()
		d := f.directories[secret.GetNamespace()]
		f.mu.Unlock()
		if d == nil {
			return // no staff there
		}
		f.enqueue(kindAgent, secret.GetNamespace(), priority, 0, d.SecretUsers(secret.GetName())...)
		if priority != priorityLow {
			f.enqueue(kindCenter, secret.GetNamespace(), priority, 0, centerName)
		}
	}
	return toolscache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(obj any, initial bool) { changed(obj, priorityOf(initial, priorityEdit)) },
		UpdateFunc: func(before, after any) {
			if before.(client.Object).GetResourceVersion() != after.(client.Object).GetResourceVersion() {
				changed(after, priorityEdit)
			}
		},
		DeleteFunc: func(obj any) { changed(obj, priorityEdit) },
	}
}

// removed takes an object out of the directory: at once where its deletion was seen, else when the API server
// itself says that it is gone.
func (f *Feed) removed(k kind, object client.Object, unseen bool) {
	namespace, name := object.GetNamespace(), object.GetName()
	if unseen {
		go f.removeWhenGone(k, namespace, name)
		return
	}
	f.remove(k, namespace, name)
}

func (f *Feed) remove(k kind, namespace, name string) {
	d := f.Directory(namespace)
	f.confirm(k, namespace, name)
	var touched roster.Affected
	switch k {
	case kindGroup:
		touched = d.RemoveGroup(name)
	case kindTeam:
		touched = d.RemoveTeam(name)
	case kindCase:
		touched = d.RemoveCase(name)
	default:
		touched = d.RemoveQueue(name)
	}
	f.touch(namespace, touched, priorityNormal)
	f.recount(namespace)
}

func (f *Feed) removeWhenGone(k kind, namespace, name string) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		gone, err := f.isGone(ctx, k, namespace, name)
		cancel()
		if err == nil {
			if gone {
				f.remove(k, namespace, name)
			}
			return
		}
		logf.Log.Error(err, "cannot tell whether an object is gone; its effects stay meanwhile", "namespace", namespace, "name", name)
		time.Sleep(wait)
	}
}

func (f *Feed) confirm(k kind, namespace, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone[objectKey{k, namespace, name}] = struct{}{}
}

func (f *Feed) forget(k kind, namespace, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.gone, objectKey{k, namespace, name})
}

// isGone says whether an object that the directory does not know is known to be gone: its deletion was seen,
// or the API server says that it does not exist. Not found in a cache alone is not gone.
func (f *Feed) isGone(ctx context.Context, k kind, namespace, name string) (bool, error) {
	f.mu.Lock()
	_, confirmed := f.gone[objectKey{k, namespace, name}]
	f.mu.Unlock()
	if confirmed {
		return true, nil
	}
	object := [...]client.Object{
		kindAgent: &v1alpha1.Agent{}, kindGroup: &v1alpha1.AgentGroup{},
		kindTeam: &v1alpha1.Team{}, kindQueue: &v1alpha1.Queue{}, kindCase: &v1alpha1.CaseAssignment{},
	}[k]
	err := f.live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, object)
	switch {
	case err == nil:
		return false, nil
	case apierrors.IsNotFound(err) && !apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse):
		f.confirm(k, namespace, name)
		return true, nil
	}
	return false, fmt.Errorf("asking the API server for %T %s: %w", object, name, err)
}
