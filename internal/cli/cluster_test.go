package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"roster.dev/roster/api/v1alpha1"
)

// asProgram in the environment makes the test's own program behave as roster.
const asProgram = "ROSTER_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(Run(ctrl.SetupSignalHandler(), "v0.0.0-test", os.Args[1:]))
	}
	code := m.Run()
	if plane != nil {
		_ = plane.Stop()
	}
	os.Exit(code)
}

var (
	plane      *envtest.Environment
	startPlane sync.Once
)

// cluster is a real API server without a manager, and a namespace in it.
type cluster struct {
	*testing.T
	*GomegaWithT
	k8s        client.WithWatch
	namespace  string
	kubeconfig string
}

func newCluster(t *testing.T, namespace string) *cluster {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("no control plane: run `make test`, or set KUBEBUILDER_ASSETS to what `make assets` prints")
	}
	c := &cluster{T: t, GomegaWithT: NewWithT(t), namespace: namespace}
	startPlane.Do(func() {
		ctrl.SetLogger(zap.New(zap.WriteTo(t.Output())))
		environment := &envtest.Environment{
			CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
			ControlPlaneStopTimeout: time.Minute,
		}
		_, err := environment.Start()
		c.Expect(err).NotTo(HaveOccurred())
		plane = environment
	})
	c.Expect(plane).NotTo(BeNil(), "the API server did not start")
	config := rest.CopyConfig(plane.Config)
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	scheme := runtime.NewScheme()
	c.Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	c.Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	var err error
	c.k8s, err = client.NewWithWatch(config, client.Options{Scheme: scheme})
	c.Expect(err).NotTo(HaveOccurred())
	c.Expect(c.k8s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
	c.kubeconfig = c.user("admin", "system:masters")
	return c
}

// user makes a user of the cluster and returns the path of a kubeconfig of theirs.
func (c *cluster) user(name string, groups ...string) string {
	c.Helper()
	user, err := plane.AddUser(envtest.User{Name: name, Groups: groups}, nil)
	c.Expect(err).NotTo(HaveOccurred())
	content, err := user.KubeConfig()
	c.Expect(err).NotTo(HaveOccurred())
	path := filepath.Join(c.TempDir(), name)
	c.Expect(os.WriteFile(path, content, 0o600)).To(Succeed())
	return path
}

// allow gives a user rights in the namespace.
func (c *cluster) allow(user string, rules ...rbacv1.PolicyRule) {
	c.Helper()
	c.Expect(c.k8s.Create(c.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: user}, Rules: rules,
	})).To(Succeed())
	c.Expect(c.k8s.Create(c.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: user},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: user},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: user}},
	})).To(Succeed())
}

// answer is what a command wrote.
type answer struct {
	out, notes string
	err        error
}

func (c *cluster) run(args ...string) answer {
	c.Helper()
	return c.runAs(c.kubeconfig, args...)
}

// runAs carries out a command line with a kubeconfig, in the namespace.
func (c *cluster) runAs(kubeconfig string, args ...string) answer {
	c.Helper()
	root := newRoot("v0.0.0-test", "roster")
	var out, notes bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&notes)
	root.SetArgs(append(args, "--kubeconfig", kubeconfig, "-n", c.namespace))
	err := root.ExecuteContext(c.Context())
	return answer{out.String(), notes.String(), err}
}

// must carries out a command that has to succeed.
func (c *cluster) must(args ...string) answer {
	c.Helper()
	a := c.run(args...)
	c.Expect(a.err).NotTo(HaveOccurred(), "%v: %s", args, a.out+a.notes)
	return a
}

func (c *cluster) get(name string) *v1alpha1.CaseAssignment {
	c.Helper()
	a := &v1alpha1.CaseAssignment{}
	c.Expect(c.k8s.Get(c.Context(), client.ObjectKey{Namespace: c.namespace, Name: name}, a)).To(Succeed())
	return a
}

// put creates an assignment with its status.
func (c *cluster) put(a *v1alpha1.CaseAssignment) *v1alpha1.CaseAssignment {
	c.Helper()
	status := a.Status
	a.Namespace = c.namespace
	c.Expect(c.k8s.Create(c.Context(), a)).To(Succeed())
	if status.Phase == "" {
		return a
	}
	a.Status = status
	a.Status.ObservedGeneration = a.Generation
	c.Expect(c.k8s.Status().Update(c.Context(), a)).To(Succeed())
	return a
}

// person creates an Agent who works and has a seat.
func (c *cluster) person(name string, change func(*v1alpha1.Agent)) {
	c.Helper()
	a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: name}}
	a.Status.Phase, a.Status.Seat = v1alpha1.PhaseActive, v1alpha1.SeatHeld
	if change != nil {
		change(a)
	}
	status := a.Status
	c.Expect(c.k8s.Create(c.Context(), a)).To(Succeed())
	a.Status = status
	c.Expect(c.k8s.Status().Update(c.Context(), a)).To(Succeed())
}

// client is an open case of a client, and who is assigned to it.
func clientCase(name string, assignees ...string) *v1alpha1.CaseAssignment {
	a := &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Name: name}}
	a.Spec.Case = &v1alpha1.Case{ID: "CASE-" + name}
	a.Spec.Client = &v1alpha1.Client{ID: "C-" + name, Name: "Client " + name}
	a.Spec.Assignees = list(assignees...)
	return a
}

// holds gives an assignment the status of being held.
func holds(a *v1alpha1.CaseAssignment, holders ...v1alpha1.EffectiveAssignee) *v1alpha1.CaseAssignment {
	a.Status.Phase, a.Status.Assignees = v1alpha1.CaseAssigned, holders
	for i := range a.Status.Assignees {
		a.Status.Assignees[i].Since = at(noon)
	}
	return a
}

func declared(name string) v1alpha1.EffectiveAssignee {
	return v1alpha1.EffectiveAssignee{Name: v1alpha1.AgentName(name), Via: v1alpha1.ViaDeclared}
}

// roster does a manager's part until the test ends: it writes the status of what has changed. Those that decide answers
// with nil get the declared assignees.
func (c *cluster) roster(decide func(*v1alpha1.CaseAssignment) []v1alpha1.EffectiveAssignee) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	c.Cleanup(func() { cancel(); <-done })
	watch, err := c.k8s.Watch(ctx, &v1alpha1.CaseAssignmentList{}, client.InNamespace(c.namespace))
	c.Expect(err).NotTo(HaveOccurred())
	go func() {
		defer close(done)
		defer watch.Stop()
		for event := range watch.ResultChan() {
			a, ok := event.Object.(*v1alpha1.CaseAssignment)
			if !ok || a.Status.ObservedGeneration == a.Generation {
				continue
			}
			if err := c.writeStatus(ctx, a, decide); err != nil && !apierrors.IsConflict(err) && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "writing a status:", err)
			}
		}
	}()
}

func (c *cluster) writeStatus(ctx context.Context, a *v1alpha1.CaseAssignment, decide func(*v1alpha1.CaseAssignment) []v1alpha1.EffectiveAssignee) error {
	var holders []v1alpha1.EffectiveAssignee
	if decide != nil {
		holders = decide(a)
	}
	a.Status.Phase = v1alpha1.CaseCovered
	switch {
	case a.Spec.State == v1alpha1.CaseCompleted:
		a.Status.Phase, holders = v1alpha1.CasePhaseCompleted, nil
	case holders == nil:
		a.Status.Phase = v1alpha1.CaseAssigned
		for _, d := range a.Spec.Assignees {
			holders = append(holders, declared(string(d.Name)))
		}
	}
	a.Status.Assignees = nil
	holds := holds(&v1alpha1.CaseAssignment{}, holders...)
	a.Status.Assignees = holds.Status.Assignees
	a.Status.ObservedGeneration = a.Generation
	return c.k8s.Status().Update(ctx, a)
}
