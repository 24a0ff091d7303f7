package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"roster.dev/roster/api/v1alpha1"
)

// namespace is the contact centre that is measured.
const namespace = "bench"

// auditPolicy records every request of everybody once, when it is answered.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// plane is a control plane with Roster's CRDs, and nothing else in it.
type plane struct {
	environment *envtest.Environment
	dir         string
	kubeconfig  string
	config      *rest.Config
	client      client.WithWatch
	audit       *auditLog
}

// newPlane starts a control plane. Its flags are envtest's, those of the API server itself where envtest has none,
// and an audit log, in which requests are counted.
func (l *lab) newPlane(ctx context.Context) (_ *plane, err error) {
	dir, err := l.newDir("plane")
	if err != nil {
		return nil, err
	}
	p := &plane{dir: dir, kubeconfig: filepath.Join(dir, "kubeconfig"), audit: &auditLog{path: filepath.Join(dir, "audit.log")}}
	policy := filepath.Join(dir, "audit.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return nil, err
	}
	p.environment = &envtest.Environment{
		CRDDirectoryPaths:        []string{filepath.Join("config", "crd", "bases")},
		ErrorIfCRDPathMissing:    true,
		ControlPlaneStartTimeout: 2 * time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}
	api := p.environment.ControlPlane.GetAPIServer()
	api.Path = l.programs["kube-apiserver"]
	api.Configure().Set("audit-policy-file", policy).Set("audit-log-path", p.audit.path).
		Set("audit-log-maxsize", "100000") // one file, however long
	p.environment.ControlPlane.Etcd = &envtest.Etcd{Path: l.programs["etcd"]}
	if l.etcdSync {
		p.environment.ControlPlane.Etcd.Configure().Set("unsafe-no-fsync", "false")
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()
	if _, err := p.environment.Start(); err != nil {
		return nil, fmt.Errorf("starting the control plane: %w", err)
	}
	if err := os.WriteFile(p.kubeconfig, p.environment.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	p.config = rest.CopyConfig(p.environment.Config)
	p.config.QPS, p.config.UserAgent = -1, "roster-bench"
	if p.client, err = p.newClient(); err != nil {
		return nil, err
	}
	if err := p.client.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}); err != nil {
		return nil, err
	}
	return p, p.settle(ctx)
}

// settle takes out of the measurements what an API server does once for a new kind: it holds creates back for two
// seconds after the CRD was established, and makes ready to serve a kind at the first request for it.
func (p *plane) settle(ctx context.Context) error {
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	_, err := p.listAll(ctx)
	return err
}

// newClient is a bare client with a connection of its own.
func (p *plane) newClient() (client.WithWatch, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	own := rest.CopyConfig(p.config)
	own.Dial = (&net.Dialer{}).DialContext // clients of equal configurations would share a connection
	http, err := rest.HTTPClientFor(own)
	if err != nil {
		return nil, err
	}
	return client.NewWithWatch(own, client.Options{Scheme: scheme, HTTPClient: http})
}

func (p *plane) stop() error {
	return errors.Join(p.environment.Stop(), os.RemoveAll(p.dir))
}
