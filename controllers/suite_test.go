package controllers_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/controllers"
	"roster.dev/roster/internal/center"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk"
	"roster.dev/roster/internal/telephony/fake"
	"roster.dev/roster/internal/telephony/postgrestest"
	"roster.dev/roster/internal/telephony/sqltest"

	_ "modernc.org/sqlite"
)

var (
	environment *envtest.Environment
	config      *rest.Config
	scheme      = runtime.NewScheme()
	k8s         client.Client
	namespaces  atomic.Int64
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func TestControllers(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("no control plane: run `make test`, or set KUBEBUILDER_ASSETS to what `make assets` prints")
	}
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(15 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	SetDefaultConsistentlyDuration(700 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "controllers")
}

var _ = BeforeSuite(func() {
	ctrl.SetLogger(zap.New(zap.WriteTo(GinkgoWriter), zap.UseDevMode(true)))
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())
	config.QPS = -1
	k8s, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	role := &rbacv1.ClusterRole{}
	content, err := os.ReadFile(filepath.Join("..", "config", "rbac", "role.yaml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(yaml.Unmarshal(content, role)).To(Succeed())
	Expect(k8s.Create(context.Background(), role)).To(Succeed())
	Expect(k8s.Create(context.Background(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "roster-manager"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "roster-manager"}},
	})).To(Succeed())
})

var _ = AfterSuite(func() {
	if environment != nil {
		Expect(environment.Stop()).To(Succeed())
	}
})

// world is one namespace with an operator that looks after it alone, and the operator's telephone system.
type world struct {
	ns      string
	dataDir string
	// open replaces the way to the telephone system; nil: the real adapter.
	open     center.Opener
	embedded bool
	clock    func() time.Time
	// servers of the telephone system, by address.
	servers map[string]*fake.Server

	stop func()
	// what the operator did
	calls *calls
}

// calls counts the operator's requests to the API server.
type calls struct {
	mu    sync.Mutex
	lines []string
}

func (c *calls) add(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
}

// writes are the requests that write objects; events are told apart, because they say and do not do.
func (c *calls) writes() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var result []string
	for _, l := range c.lines {
		if l[:3] != "GET" {
			result = append(result, l)
		}
	}
	return result
}

// reads of one kind of object.
func (c *calls) all() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.lines...)
}

func (c *calls) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = nil
}

type countingTransport struct {
	next  http.RoundTripper
	calls *calls
}

func (t countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.calls.add(r.Method + " " + r.URL.Path)
	return t.next.RoundTrip(r)
}

// newWorld makes a namespace with an operator on the embedded default.
func newWorld() *world {
	GinkgoHelper()
	w := &world{
		ns: fmt.Sprintf("center-%d", namespaces.Add(1)), dataDir: GinkgoT().TempDir(), embedded: true, calls: &calls{},
	}
	Expect(k8s.Create(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.ns}})).To(Succeed())
	DeferCleanup(func() { w.stopOperator() })
	return w
}

// startOperator starts, or starts again, the operator.
func (w *world) startOperator() {
	GinkgoHelper()
	Expect(w.stop).To(BeNil(), "the operator runs already")
	counted := rest.CopyConfig(config)
	counted.Impersonate.UserName = "roster-manager" // with the rights of the shipped role, and no others
	counted.Wrap(func(next http.RoundTripper) http.RoundTripper { return countingTransport{next, w.calls} })
	yes := true
	mgr, err := ctrl.NewManager(counted, manager.Options{
		Scheme:  scheme,
		Cache:   cache.Options{DefaultTransform: controllers.Slim, DefaultNamespaces: map[string]cache.Config{w.ns: {}}},
		Client:  client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: &yes}},
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	Expect(err).NotTo(HaveOccurred())
	open := w.open
	if open == nil {
		open = func(ns string, t center.Target) (telephony.Backend, error) {
			return asterisk.Open(context.Background(), asteriskConfig(ns, t))
		}
	}
	fleet := live.New(func(c telephony.ServerConfig) (telephony.Server, error) {
		if s := w.servers[c.Address]; s != nil {
			return s, nil
		}
		return nil, telephony.Errorf(telephony.Refused, nil, "no server %s in this test", c.Address)
	}, logr.Discard())
	Expect(controllers.Setup(mgr, controllers.Options{
		DataDir: w.dataDir, EmbeddedDefault: w.embedded, AgentConcurrency: 16, QueueConcurrency: 4, CaseConcurrency: 16,
		Open: open, Now: w.clock, SkipNameValidation: true, Fleet: fleet,
		Identify: func(t center.Target) (string, error) { return asterisk.Identity(asteriskConfig("", t)) },
	})).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	w.stop = func() {
		cancel()
		Eventually(done, 20*time.Second).Should(Receive(Succeed()))
		fleet.Close()
	}
}

func (w *world) stopOperator() {
	GinkgoHelper()
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

func asteriskConfig(ns string, t center.Target) asterisk.Config {
	return asterisk.Config{
		Center: ns, Type: string(t.Type), Path: t.Path, DSN: t.DSN, ContactsTables: strings.Split(t.ContactsTables, ","),
		Timeout: 3 * time.Second,
	}
}

// database is the SQLite file of the embedded default, read from outside.
func (w *world) database() *sql.DB {
	GinkgoHelper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dataDir, w.ns+".sqlite3")+"?_pragma=busy_timeout(5000)")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(db.Close)
	return db
}

// rows are a query's rows, each with its columns joined by a bar; a missing database or table has none.
func (w *world) rows(query string, args ...any) []string {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.dataDir, w.ns+".sqlite3")+"?_pragma=busy_timeout(5000)")
	if err != nil {
		return nil
	}
	defer func() { _ = db.Close() }()
	return sqltest.Rows(db, query, args...)
}

// exec changes the database as somebody else would.
func (w *world) exec(query string, args ...any) {
	GinkgoHelper()
	_, err := w.database().Exec(query, args...)
	Expect(err).NotTo(HaveOccurred())
}

// members are the rows that Asterisk serves calls from, as "queue|interface|penalty|paused".
func (w *world) members() []string {
	return w.rows(`SELECT queue_name, interface, penalty, coalesce(paused, 0) FROM queue_members
		WHERE queue_name <> 'roster_sentinel' ORDER BY 1, 2`)
}

// access is "context|max_contacts" of a phone; empty where it has none.
func (w *world) access(agent string) string {
	r := w.rows(`SELECT e.context, a.max_contacts FROM ps_endpoints e JOIN ps_aors a ON a.id = e.id WHERE e.id = ?`, agent)
	if len(r) != 1 {
		return ""
	}
	return r[0]
}

func (w *world) granted() string { return w.ns + "|1" }

const refused = "roster-refused|0"

// create makes objects in the world's namespace.
func (w *world) create(objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		o.SetNamespace(w.ns)
		Expect(k8s.Create(context.Background(), o)).To(Succeed())
	}
}

// edit changes an object, whatever else changes it meanwhile.
func edit[T client.Object](w *world, object T, change func()) {
	GinkgoHelper()
	Eventually(func() error {
		if err := k8s.Get(context.Background(), client.ObjectKey{Namespace: w.ns, Name: object.GetName()}, object); err != nil {
			return err
		}
		change()
		return k8s.Update(context.Background(), object)
	}).Should(Succeed())
}

func (w *world) delete(objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		Expect(k8s.Delete(context.Background(), o)).To(Succeed())
	}
}

func (w *world) agent(name string) *v1alpha1.Agent {
	a := &v1alpha1.Agent{}
	if err := k8s.Get(context.Background(), client.ObjectKey{Namespace: w.ns, Name: name}, a); err != nil {
		return &v1alpha1.Agent{}
	}
	return a
}

func (w *world) group(name string) *v1alpha1.AgentGroup {
	g := &v1alpha1.AgentGroup{}
	if err := k8s.Get(context.Background(), client.ObjectKey{Namespace: w.ns, Name: name}, g); err != nil {
		return &v1alpha1.AgentGroup{}
	}
	return g
}

// condition is "Status/Reason" of a condition of an agent; empty where there is none.
func condition(conditions []metav1.Condition, conditionType string) string {
	for _, c := range conditions {
		if c.Type == conditionType {
			return string(c.Status) + "/" + c.Reason
		}
	}
	return ""
}

func message(conditions []metav1.Condition, conditionType string) string {
	for _, c := range conditions {
		if c.Type == conditionType {
			return c.Message
		}
	}
	return ""
}

// ready is the Ready condition of an agent for the generation that it has.
func (w *world) ready(agent string) func() string {
	return func() string {
		a := w.agent(agent)
		if a.Status.ObservedGeneration != a.Generation {
			return "stale"
		}
		return condition(a.Status.Conditions, v1alpha1.ConditionReady)
	}
}

const isReady = "True/Committed"

// quiet waits until the operator has made no request that writes for longer than a centre's counts wait.
func (w *world) quiet() {
	GinkgoHelper()
	last, since := -1, time.Now()
	Eventually(func() bool {
		if n := len(w.calls.writes()); n != last {
			last, since = n, time.Now()
		}
		return time.Since(since) > 5*time.Second
	}, 60*time.Second).Should(BeTrue(), "the operator goes on writing")
}

func agent(name string) *v1alpha1.Agent {
	return &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func labelled(name string, labels map[string]string) *v1alpha1.Agent {
	return &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func group(name string, members ...string) *v1alpha1.AgentGroup {
	g := &v1alpha1.AgentGroup{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, m := range members {
		g.Spec.Members = append(g.Spec.Members, v1alpha1.Member{Name: v1alpha1.AgentName(m)})
	}
	return g
}

func team(name string, members ...string) *v1alpha1.Team {
	t := &v1alpha1.Team{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, m := range members {
		t.Spec.Members = append(t.Spec.Members, v1alpha1.Member{Name: v1alpha1.AgentName(m)})
	}
	return t
}

func queue(name string) *v1alpha1.Queue {
	return &v1alpha1.Queue{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func entries(names ...string) []v1alpha1.QueueEntry {
	var list []v1alpha1.QueueEntry
	for _, n := range names {
		list = append(list, v1alpha1.QueueEntry{Name: v1alpha1.ObjectName(n)})
	}
	return list
}
