package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // whatever way of signing in a kubeconfig names
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/pager"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// connection is which cluster, as whom, and which centre of it: kubectl's own flags.
type connection struct {
	version, kubeconfig, context, namespace string
}

// connected gives the commands of a group the flags of a connection.
func connected(c *connection, cmd *cobra.Command) *cobra.Command {
	f := cmd.PersistentFlags()
	f.StringVar(&c.kubeconfig, "kubeconfig", "", "path of the kubeconfig `file`; default: $KUBECONFIG, ~/.kube/config")
	f.StringVar(&c.context, "context", "", "`name` of the kubeconfig's context")
	f.StringVarP(&c.namespace, "namespace", "n", "", "`namespace` of the contact centre; default: the context's")
	return cmd
}

// session is a command at work: the API server with the user's own rights, and where to write.
type session struct {
	client.Client
	namespace string
	// program is how the program is called.
	program  string
	out, err io.Writer
}

func (c *connection) open(cmd *cobra.Command) (*session, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	overrides := &clientcmd.ConfigOverrides{CurrentContext: c.context}
	overrides.Context.Namespace = c.namespace
	kubeconfig := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides)
	config, err := kubeconfig.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to talk to: %w; name one with --kubeconfig and --context", err)
	}
	namespace, _, err := kubeconfig.Namespace()
	if err != nil {
		return nil, err
	}
	config.UserAgent = "roster/" + c.version
	config.QPS = -1 // the API server's own priority and fairness is the limit; client-go's default is five a second
	config.WarningHandler = rest.NewWarningWriter(cmd.ErrOrStderr(), rest.WarningWriterOptions{Deduplicate: true})
	ctrl.SetLogger(logr.Discard()) // a command says itself what is to be said
	scheme := apiruntime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	api, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	return &session{
		Client: client.WithFieldOwner(api, "roster-cli"), namespace: namespace, program: cmd.Root().DisplayName(),
		out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(),
	}, nil
}

// say writes a line of what a command answers.
func (s *session) say(format string, a ...any) { fmt.Fprintf(s.out, format+"\n", a...) }

// note writes a line that is no part of the answer.
func (s *session) note(format string, a ...any) { fmt.Fprintf(s.err, format+"\n", a...) }

// hint is a command to try, as it is to be typed.
func (s *session) hint(command string) string {
	return fmt.Sprintf("`%s %s -n %s`", s.program, command, s.namespace)
}

// assignment is a CaseAssignment, and the object as the API server has it: a field that this version does not know
// is not lost, and a time is written as it was.
type assignment struct {
	*v1alpha1.CaseAssignment
	raw *unstructured.Unstructured
}

func asAssignment(raw *unstructured.Unstructured) (assignment, error) {
	a := assignment{&v1alpha1.CaseAssignment{}, raw}
	err := apiruntime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, a.CaseAssignment)
	return a, err
}

// get reads one assignment.
func (s *session) get(ctx context.Context, name string) (assignment, error) {
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CaseAssignment"))
	if err := s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, raw); err != nil {
		return assignment{}, s.explain(err)
	}
	return asAssignment(raw)
}

// stillOpen selects what is not completed.
var stillOpen = fields.Set{"spec.state": string(v1alpha1.CaseOpen)}

// list reads, page by page, the centre's assignments that a selector lets through, and returns those to keep.
func (s *session) list(ctx context.Context, selector fields.Set, keep func(*v1alpha1.CaseAssignment) bool) ([]assignment, error) {
	var kept []assignment
	pages := pager.New(func(ctx context.Context, options metav1.ListOptions) (apiruntime.Object, error) {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CaseAssignmentList"))
		return list, s.List(ctx, list, &client.ListOptions{
			Namespace: s.namespace, FieldSelector: selector.AsSelector(), Limit: options.Limit, Continue: options.Continue,
		})
	})
	read := func() error {
		kept = nil
		return pages.EachListItem(ctx, metav1.ListOptions{}, func(o apiruntime.Object) error {
			a, err := asAssignment(o.(*unstructured.Unstructured))
			if err == nil && keep(a.CaseAssignment) {
				kept = append(kept, a)
			}
			return err
		})
	}
	err := read()
	if apierrors.IsResourceExpired(err) {
		err = read() // the API server forgot the state whose pages were read: a slow connection
	}
	return kept, s.explain(err)
}

// agent reads a person.
func (s *session) agent(ctx context.Context, name string) (*v1alpha1.Agent, error) {
	a := &v1alpha1.Agent{}
	return a, s.explain(s.Get(ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, a))
}

// requestTimeout is for a request that is to be carried through although the user does not want to wait any longer.
const requestTimeout = 15 * time.Second

// explained is an error with what to do about it.
type explained struct {
	error
	text string
}

func (e *explained) Error() string { return e.text }

func (e *explained) Unwrap() error { return e.error }

// explain says what to do about an error of the API server. What it said itself is kept.
func (s *session) explain(err error) error {
	var already *explained
	if err == nil || errors.As(err, &already) {
		return err
	}
	with := func(format string, a ...any) error { return &explained{err, fmt.Sprintf(format, a...)} }
	var status apierrors.APIStatus
	var unreachable *url.Error
	switch {
	case meta.IsNoMatchError(err):
		return with("the cluster does not know CaseAssignments: install Roster's CRDs first (make install)")
	case apierrors.IsNotFound(err) && errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name != "":
		d := status.Status().Details
		switch d.Kind {
		case "caseassignments":
			return with("there is no CaseAssignment %q in namespace %q: %s shows those there are", d.Name, s.namespace, s.hint("case list --all"))
		case "agents":
			return with("there is no Agent %q in namespace %q: see `kubectl get ag -n %s`", d.Name, s.namespace, s.namespace)
		}
	case apierrors.IsForbidden(err):
		return with("%v\nAsk for the role roster-editor, or roster-profile-viewer to read Agents, in namespace %s", err, s.namespace)
	case apierrors.IsUnauthorized(err):
		return with("the cluster does not accept the kubeconfig's credentials: sign in again, or name another --context")
	case apierrors.IsAlreadyExists(err):
		return with("%v: choose another name, or change that one", err)
	case errors.As(err, &unreachable) && !errors.Is(err, context.Canceled):
		var refused *net.OpError
		if errors.As(err, &refused) {
			return with("the cluster at %s cannot be reached: %v", unreachable.URL, refused)
		}
	}
	return err
}
