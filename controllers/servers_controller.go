package controllers

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony"
)

// usernameKey and passwordKey are the keys of a Secret that credentialsSecretRef names.
const usernameKey = "username"

// serversReconciler has the fleet watch the servers that a ContactCenter names. It runs on every replica, because
// each serves the live state.
type serversReconciler struct{ *operator }

func (op *operator) addServersController(mgr manager.Manager) error {
	onEveryReplica := false
	r := &serversReconciler{op}
	err := ctrl.NewControllerManagedBy(mgr).Named("servers").
		For(&v1alpha1.ContactCenter{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.users),
			builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WithOptions(controller.Options{
			NeedLeaderElection: &onEveryReplica, MaxConcurrentReconciles: 4,
			ReconciliationTimeout: reconcileTimeout, SkipNameValidation: &op.options.SkipNameValidation,
		}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("adding the servers controller: %w", err)
	}
	// A plain runnable waits for the election.
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		op.fleet.Lead()
		<-ctx.Done()
		return nil
	}))
}

// users is the ContactCenter that a Secret may be for.
func (r *serversReconciler) users(ctx context.Context, secret client.Object) []reconcile.Request {
	key := types.NamespacedName{Namespace: secret.GetNamespace(), Name: centerName}
	object := &v1alpha1.ContactCenter{}
	if err := r.Get(ctx, key, object); err != nil {
		return nil
	}
	for _, m := range managersOf(object) {
		if m.CredentialsSecretRef.Name == secret.GetName() ||
			m.TLS != nil && m.TLS.CASecretRef != nil && m.TLS.CASecretRef.Name == secret.GetName() {
			return []reconcile.Request{{NamespacedName: key}}
		}
	}
	return nil
}

// managersOf are the servers that a ContactCenter names; object may be nil.
func managersOf(object *v1alpha1.ContactCenter) []v1alpha1.Manager {
	if object == nil || object.Spec.Telephony.AsteriskRealtime == nil {
		return nil
	}
	return object.Spec.Telephony.AsteriskRealtime.Managers
}

// Reconcile has one namespace's servers watched.
func (r *serversReconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	object := &v1alpha1.ContactCenter{}
	if err := r.Get(ctx, req.NamespacedName, object); err != nil {
		if !apierrors.IsNotFound(err) {
			return ctrl.Result{}, err
		}
		r.fleet.Use(req.Namespace, nil, 0)
		return ctrl.Result{}, nil
	}
	managers := managersOf(object)
	configs := make([]live.Config, 0, len(managers))
	for i := range managers {
		c, err := r.config(ctx, req.Namespace, &managers[i])
		if err != nil {
			return ctrl.Result{}, err
		}
		configs = append(configs, c)
	}
	r.fleet.Use(req.Namespace, configs, driftInterval(object))
	r.feed.enqueue(kindCenter, req.Namespace, priorityNormal, 0, centerName)
	return ctrl.Result{}, nil
}

// defaultDriftInterval is that of the CRD, for a namespace without a ContactCenter.
const defaultDriftInterval = time.Minute

// driftInterval is how often a centre's telephone system is compared; object may be nil.
func driftInterval(object *v1alpha1.ContactCenter) time.Duration {
	if object == nil || object.Spec.DriftIntervalSeconds == nil {
		return defaultDriftInterval
	}
	return time.Duration(*object.Spec.DriftIntervalSeconds) * time.Second
}

// contactsTables are the tables that a centre's servers keep registrations in, sorted; object may be nil.
func contactsTables(object *v1alpha1.ContactCenter) []string {
	tables := []string{defaultContactsTable}
	for _, m := range managersOf(object) {
		if m.ContactsTable != "" {
			tables = append(tables, m.ContactsTable)
		}
	}
	slices.Sort(tables)
	return slices.Compact(tables)
}

// config is how a server is reached, or why it cannot be.
func (r *serversReconciler) config(ctx context.Context, namespace string, m *v1alpha1.Manager) (live.Config, error) {
	c := live.Config{ServerConfig: telephony.ServerConfig{Name: string(m.Name), Address: m.Address}}
	secret, problem, err := r.secret(ctx, namespace, m.CredentialsSecretRef.Name)
	if err != nil {
		return c, err
	}
	if problem == "" {
		c.Username, c.Password = string(secret.Data[usernameKey]), string(secret.Data[passwordKey])
		if c.Username == "" || c.Password == "" {
			problem = fmt.Sprintf("Secret %s lacks %s or %s: add the manager user of manager.conf", secret.Name, usernameKey, passwordKey)
		}
	}
	if t := m.TLS; t != nil && problem == "" {
		c.TLS = &telephony.ServerTLS{SkipVerify: t.Mode == v1alpha1.TLSSkipVerify, ServerName: t.ServerName}
		if ref := t.CASecretRef; ref != nil {
			if secret, problem, err = r.secret(ctx, namespace, ref.Name); err != nil {
				return c, err
			}
			if problem == "" {
				if c.TLS.CA = secret.Data[ref.Key]; len(c.TLS.CA) == 0 {
					problem = fmt.Sprintf("Secret %s has no value under key %s: add the certificate authority", ref.Name, ref.Key)
				}
			}
		}
	}
	c.Problem = problem
	return c, nil
}

// secret is a Secret, or the problem that there is none.
func (r *serversReconciler) secret(ctx context.Context, namespace, name string) (secret *corev1.Secret, problem string, err error) {
	secret, err = r.secrets.get(ctx, r.operator, namespace, name)
	if err == nil && secret == nil {
		problem = fmt.Sprintf("Secret %s does not exist: create it", name)
	}
	return secret, problem, err
}
