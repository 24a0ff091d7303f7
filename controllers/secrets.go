package controllers

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

// secretCache keeps the few Secrets that ContactCenters name, so that one is read only when its version changed. What
// is watched of Secrets is their metadata.
type secretCache struct {
	mu    sync.Mutex
	byKey map[types.NamespacedName]*corev1.Secret
}

func newSecretCache() *secretCache {
	return &secretCache{byKey: map[types.NamespacedName]*corev1.Secret{}}
}

// get is nil for a Secret that does not exist. It is not to be changed.
func (c *secretCache) get(ctx context.Context, op *operator, namespace, name string) (*corev1.Secret, error) {
	key := types.NamespacedName{Namespace: namespace, Name: name}
	m := secretMetadata()
	if err := op.Get(ctx, key, m); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	c.mu.Lock()
	known := c.byKey[key]
	c.mu.Unlock()
	if known != nil && known.ResourceVersion == m.ResourceVersion {
		return known, nil
	}
	secret := &corev1.Secret{}
	if err := op.live.Get(ctx, key, secret); apierrors.IsNotFound(err) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byKey[key] = secret
	return secret, nil
}
