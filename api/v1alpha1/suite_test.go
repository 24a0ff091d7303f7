package v1alpha1_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"roster.dev/roster/api/v1alpha1"
)

// namespace holds every object that these tests create; what only has to be refused or accepted is a dry run.
const namespace = "acme"

var (
	environment *envtest.Environment
	scheme      = runtime.NewScheme()
	// api refuses unknown fields, so that a slip in a test's YAML is not mistaken for an accepted field.
	api client.Client
	ctx context.Context
)

func TestAPI(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("no API server to test against: run `make test`, or set KUBEBUILDER_ASSETS to what `make assets` prints")
	}
	RegisterFailHandler(Fail)
	RunSpecs(t, "API")
}

var _ = BeforeSuite(func() {
	var cancel context.CancelFunc
	ctx, cancel = context.WithCancel(context.Background())
	DeferCleanup(cancel)

	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())

	environment = &envtest.Environment{
		CRDDirectoryPaths:       []string{"../../config/crd/bases"},
		ErrorIfCRDPathMissing:   true,
		ControlPlaneStopTimeout: time.Minute,
	}
	DeferCleanup(func() error { return environment.Stop() })
	config, err := environment.Start()
	Expect(err).NotTo(HaveOccurred(), "the API server must accept every CRD of config/crd/bases")
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}

	plain, err := client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	api = client.WithFieldValidation(plain, metav1.FieldValidationStrict)
	Expect(api.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})).To(Succeed())
})

// object is what a user would write: a kind, a name, and the rest in YAML. An empty spec is none.
func object(kind, name, spec string) *unstructured.Unstructured {
	GinkgoHelper()
	content := map[string]any{}
	if spec != "" {
		var value any
		Expect(yaml.UnmarshalStrict([]byte(spec), &value)).To(Succeed())
		content["spec"] = value
	}
	u := &unstructured.Unstructured{Object: content}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	u.SetNamespace(namespace)
	u.SetName(name)
	return u
}

// typed is an empty object of the Go type that controllers read the kind into.
func typed(kind string) client.Object {
	GinkgoHelper()
	o, err := scheme.New(v1alpha1.GroupVersion.WithKind(kind))
	Expect(err).NotTo(HaveOccurred())
	return o.(client.Object)
}

// expectAccepted asks the API server, writing nothing, and decodes what it would have stored as a controller would:
// an object that is accepted but cannot be decoded blinds a controller for the whole kind.
func expectAccepted(kind, name, spec string) *unstructured.Unstructured {
	GinkgoHelper()
	u := object(kind, name, spec)
	Expect(api.Create(ctx, u, client.DryRunAll)).To(Succeed())
	Expect(runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, typed(kind))).To(Succeed())
	return u
}

// expectRefused asks the API server and expects a complaint for each message, and none besides.
func expectRefused(kind, name, spec string, messages ...string) {
	GinkgoHelper()
	err := api.Create(ctx, object(kind, name, spec), client.DryRunAll)
	Expect(err).To(HaveOccurred(), "accepted")
	Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
	expected := make([]any, len(messages))
	for i, message := range messages {
		expected[i] = ContainSubstring(message)
	}
	Expect(complaints(err)).To(ConsistOf(expected...))
}

// complaints are an Invalid error's causes, without the note that the first of them kept CEL rules from being asked.
func complaints(err error) []string {
	GinkgoHelper()
	var status apierrors.APIStatus
	Expect(errors.As(err, &status)).To(BeTrue())
	var out []string
	for _, cause := range status.Status().Details.Causes {
		if !strings.Contains(cause.Message, "some validation rules were not checked") {
			out = append(out, cause.Field+": "+cause.Message)
		}
	}
	return out
}

// expectNoTime expects complaints about a time. There may be several: of its form, its type, and its order with others.
func expectNoTime(kind, spec, time string) {
	GinkgoHelper()
	err := api.Create(ctx, object(kind, "some", spec), client.DryRunAll)
	Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%s: %v", spec, err)
	Expect(complaints(err)).To(ContainElement(MatchRegexp(`Time|time`)))
	Expect(complaints(err)).To(HaveEach(ContainSubstring(time)))
}

// expectAppliedOnce applies a manifest and expects that applying it again, updating with it and updating with what a
// controller read leave the object as it is. A manifest without any spec is no example: to the API server it declares
// nothing, so it notes at the second apply that somebody else did.
func expectAppliedOnce(kind, name, spec string) {
	GinkgoHelper()
	type version struct {
		resourceVersion string
		generation      int64
	}
	read := func() (*unstructured.Unstructured, version) {
		GinkgoHelper()
		u := object(kind, name, "")
		Expect(api.Get(ctx, client.ObjectKeyFromObject(u), u)).To(Succeed())
		return u, version{u.GetResourceVersion(), u.GetGeneration()}
	}
	apply := func() {
		GinkgoHelper()
		Expect(api.Apply(ctx, client.ApplyConfigurationFromUnstructured(object(kind, name, spec)), client.FieldOwner("git"))).To(Succeed())
	}

	apply()
	DeferCleanup(func() error { return client.IgnoreNotFound(api.Delete(ctx, object(kind, name, ""))) })
	_, first := read()
	Expect(first.generation).To(BeEquivalentTo(1))

	apply()
	_, again := read()
	Expect(again).To(Equal(first), "server-side apply")

	u := object(kind, name, spec)
	u.SetResourceVersion(first.resourceVersion)
	Expect(api.Update(ctx, u)).To(Succeed())
	_, again = read()
	Expect(again).To(Equal(first), "update")

	o := typed(kind)
	Expect(api.Get(ctx, client.ObjectKeyFromObject(u), o)).To(Succeed())
	Expect(api.Update(ctx, o)).To(Succeed())
	_, again = read()
	Expect(again).To(Equal(first), "update with the Go type: a field is missing there, or written differently")
}

// many is a YAML flow list of n items, each of format with its number.
func many(n int, format string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(format, i)
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// manyKeys is a YAML flow map of n keys, each of format with its number.
func manyKeys(n int, format string) string {
	list := many(n, format)
	return "{" + list[1:len(list)-1] + "}"
}

// long is a string of n letters.
func long(n int) string { return strings.Repeat("a", n) }

// badTimes are users' mistakes, and what the API server takes for a date-time although Go does not read it: one object
// that Go cannot read would hide all of its kind from the controllers.
var badTimes = []TableEntry{
	Entry("in lower case", "2026-12-01t08:00:00z"),
	Entry("with something else before the fraction", "2026-12-01T08:00:00x5Z"),
	Entry("with a comma before the fraction", "2026-12-01T08:00:00,5Z"),
	Entry("with a zone that does not exist", "2026-12-01T08:00:00+25:00"),
	Entry("without a zone", "2026-12-01T08:00:00"),
	Entry("without a time of day", "2026-12-01"),
	Entry("on a day that does not exist", "2026-02-30T08:00:00Z"),
	Entry("at an hour that does not exist", "2026-12-01T24:00:00Z"),
	Entry("in words", "tomorrow"),
}
