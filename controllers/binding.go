package controllers

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get;create;update;delete

// unwatched writes an object of a kind that is not watched. Otherwise the client would begin to watch it, so as to
// read its own writes: all ConfigMaps, or all Secrets with their data.
const unwatched = client.DisableReadYourWritesConsistency

// bindingName is the ConfigMap that notes which database a namespace's centre has been taken to. It outlives an
// edited, deleted or lost ContactCenter.
const bindingName = "roster-backend"

// binding is the database that a centre has been taken to.
type binding struct {
	identity string
	// declared by a ContactCenter, and not the embedded default.
	declared bool
}

// bindings keeps what the ConfigMaps say: each is read once.
type bindings struct {
	mu    sync.Mutex
	known map[string]*binding
}

// get is nil for a centre that was never taken anywhere.
func (b *bindings) get(ctx context.Context, op *operator, namespace string) (*binding, error) {
	b.mu.Lock()
	bound, ok := b.known[namespace]
	b.mu.Unlock()
	if ok {
		return bound, nil
	}
	cm := &corev1.ConfigMap{}
	err := op.live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: bindingName}, cm)
	switch {
	case err == nil:
		bound = &binding{identity: cm.Data["database"], declared: cm.Data["source"] == "ContactCenter"}
	case !apierrors.IsNotFound(err):
		return nil, err
	}
	b.remember(namespace, bound)
	return bound, nil
}

func (b *bindings) set(ctx context.Context, op *operator, namespace string, exists bool, next binding) error {
	source := "EmbeddedDefault"
	if next.declared {
		source = "ContactCenter"
	}
	cm := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: bindingName},
		Data:       map[string]string{"database": next.identity, "source": source},
	}
	write := func() error { return op.Create(ctx, cm, unwatched) }
	if exists {
		write = func() error { return op.Update(ctx, cm, unwatched) }
	}
	if err := write(); err != nil {
		return err
	}
	b.remember(namespace, &next)
	return nil
}

func (b *bindings) remove(ctx context.Context, op *operator, namespace string) error {
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: bindingName}}
	if err := client.IgnoreNotFound(op.Delete(ctx, cm, unwatched)); err != nil {
		return err
	}
	b.remember(namespace, nil)
	return nil
}

func (b *bindings) remember(namespace string, bound *binding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[namespace] = bound
}
