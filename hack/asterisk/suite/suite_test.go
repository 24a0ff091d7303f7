//go:build pbx

// Package suite proves Roster's rows on running Asterisk servers with real phones: a real API server, the real
// manager's process, and every assertion about what a phone, a server or a row shows.
package suite

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/lab"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony/postgrestest"
	"roster.dev/roster/internal/telephony/sqltest"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

var (
	environment *envtest.Environment
	config      *rest.Config
	scheme      = runtime.NewScheme()
	k8s         client.Client
	binary      string
	kubeconfig  string
	namespaces  atomic.Int64
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

func TestPBX(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("no control plane: run `make test-pbx`, or set KUBEBUILDER_ASSETS to what `make assets` prints")
	}
	missing(t, "Asterisk", func() error {
		if ok, why := lab.Supported(); !ok {
			return fmt.Errorf("%s", why)
		}
		return nil
	})
	missing(t, "phones", phone.Supported)
	RegisterFailHandler(Fail)
	SetDefaultEventuallyTimeout(15 * time.Second)
	SetDefaultEventuallyPollingInterval(25 * time.Millisecond)
	SetDefaultConsistentlyDuration(time.Second)
	SetDefaultConsistentlyPollingInterval(50 * time.Millisecond)
	RunSpecs(t, "Asterisk with real phones")
}

// missing skips everything, loudly, where something is not there; with ROSTER_REQUIRE_ALL=1 it fails.
func missing(t *testing.T, what string, supported func() error) {
	if err := supported(); err != nil {
		text := fmt.Sprintf("NOTHING WAS PROVEN ON %s: %s", strings.ToUpper(what), err)
		if os.Getenv("ROSTER_REQUIRE_ALL") == "1" {
			t.Fatal(text)
		}
		t.Skip(text)
	}
}

var _ = BeforeSuite(func() {
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	environment = &envtest.Environment{
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
	}
	var err error
	config, err = environment.Start()
	Expect(err).NotTo(HaveOccurred())
	config.QPS = -1
	k8s, err = client.New(config, client.Options{Scheme: scheme})
	Expect(err).NotTo(HaveOccurred())
	binary, err = gexec.Build("roster.dev/roster", "-buildvcs=false")
	Expect(err).NotTo(HaveOccurred())
	user, err := environment.AddUser(envtest.User{Name: "roster-manager", Groups: []string{"system:masters"}}, nil)
	Expect(err).NotTo(HaveOccurred())
	content, err := user.KubeConfig()
	Expect(err).NotTo(HaveOccurred())
	kubeconfig = filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(os.WriteFile(kubeconfig, content, 0o600)).To(Succeed())
})

var _ = AfterSuite(func() {
	gexec.CleanupBuildArtifacts()
	if environment != nil {
		Expect(environment.Stop()).To(Succeed())
	}
})

func ctx() context.Context { return context.Background() }

// kindOfPBX is an Asterisk version on a database.
type kindOfPBX struct {
	version  string
	database v1alpha1.DatabaseType
}

func (k kindOfPBX) String() string { return fmt.Sprintf("Asterisk %s on %s", k.version, k.database) }

// newest is what specs run on that do not depend on version and database.
var newest = kindOfPBX{"22", v1alpha1.DatabaseSQLite}

// matrix is what the others run on.
var matrix = []kindOfPBX{
	newest, {"22", v1alpha1.DatabasePostgreSQL}, {"16", v1alpha1.DatabaseSQLite}, {"16", v1alpha1.DatabasePostgreSQL},
}

// onEach has specs run on every version and database.
func onEach(specs func(kind kindOfPBX)) {
	for _, kind := range matrix {
		Context("with "+kind.String(), func() { specs(kind) })
	}
}

// site is a contact centre with a manager of its own, its servers and its phones.
type site struct {
	kind    kindOfPBX
	ns      string
	dataDir string
	dsn     string
	// contexts are the namespaces that share the servers, the site's own first.
	contexts []string
	servers  []*lab.Server
	manager  *exec.Cmd
	// flags of the manager, besides those that every one has.
	flags []string
	// live is the address of the manager's endpoint.
	live  string
	log   *os.File
	shape func(*v1alpha1.ContactCenter)
}

// newSite starts a manager, a centre and its servers.
func newSite(kind kindOfPBX, servers int, shape func(*v1alpha1.ContactCenter)) *site {
	GinkgoHelper()
	return newSiteOn(nil, kind, servers, shape)
}

// newSiteOn does the same on a PostgreSQL of the spec's own, and opens more centres on the same servers: see centre.
func newSiteOn(
	cluster *postgrestest.Cluster, kind kindOfPBX, servers int, shape func(*v1alpha1.ContactCenter), others ...string,
) *site {
	GinkgoHelper()
	s := &site{kind: kind, ns: fmt.Sprintf("acme-%d", namespaces.Add(1)), dataDir: GinkgoT().TempDir(), shape: shape}
	s.contexts = []string{s.ns}
	for _, other := range others {
		s.contexts = append(s.contexts, s.ns+"-"+other)
	}
	if kind.database == v1alpha1.DatabasePostgreSQL {
		if cluster == nil {
			cluster = postgrestest.Start(GinkgoTB())
		}
		s.dsn = cluster.Database(GinkgoTB())
	}
	var err error
	s.log, err = os.Create(filepath.Join(s.dataDir, "manager.log"))
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() {
		s.stopManager()
		if CurrentSpecReport().Failed() {
			content, _ := os.ReadFile(s.log.Name())
			GinkgoWriter.Printf("manager:\n%s\n", content)
		}
	})
	s.startManager()
	for _, ns := range s.contexts {
		s.open(ns, servers)
	}
	return s
}

// centre is the site as the people of one of its centres see it; 0 is the first.
func (s *site) centre(i int) *site {
	c := *s
	c.ns = s.contexts[i]
	return &c
}

// open makes a namespace a contact centre on the site's servers, which are started if there are none yet.
func (s *site) open(ns string, servers int) {
	GinkgoHelper()
	Expect(k8s.Create(ctx(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}})).To(Succeed())
	database := v1alpha1.Database{Type: s.kind.database}
	if s.dsn != "" {
		database.DSNSecretRef = &v1alpha1.SecretKeyReference{Name: "pbx-db", Key: "dsn"}
		s.createIn(ns, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "pbx-db"}, StringData: map[string]string{"dsn": s.dsn}})
	} else {
		database.Path = filepath.Base(s.sqlite())
	}
	c := &v1alpha1.ContactCenter{
		ObjectMeta: metav1.ObjectMeta{Name: "default"},
		Spec: v1alpha1.ContactCenterSpec{Telephony: v1alpha1.Telephony{
			Type: v1alpha1.TelephonyAsteriskRealtime, AsteriskRealtime: &v1alpha1.AsteriskRealtime{Database: database},
		}},
	}
	// The tables of all servers are made before these start.
	for i := range servers {
		c.Spec.Telephony.AsteriskRealtime.Managers = append(c.Spec.Telephony.AsteriskRealtime.Managers, v1alpha1.Manager{
			Name: v1alpha1.ObjectName(serverName(i)), Address: "127.0.0.1:1", ContactsTable: contactsTable(i),
			CredentialsSecretRef: v1alpha1.SecretReference{Name: serverName(i) + "-ami"},
		})
	}
	if s.shape != nil {
		s.shape(c)
	}
	s.createIn(ns, c)
	Eventually(func() string { return s.conditionIn(ns, c, v1alpha1.ConditionConnected) }).Should(HavePrefix("True"))
	for i := len(s.servers); i < servers; i++ {
		server, err := lab.Start(ctx(), lab.Options{
			Version: s.kind.version, Name: serverName(i), Centers: s.contexts, ContactsTable: contactsTable(i),
			SQLite: s.sqlite(), PostgreSQL: s.dsn, TLS: true, Trunk: s.contexts[0],
			Local: map[string]string{"extensions_local.conf": "[globals](+)\nKNOWN_CALLER_SECONDS = 3\n"},
		})
		Expect(err).NotTo(HaveOccurred())
		s.servers = append(s.servers, server)
		DeferCleanup(func() {
			if CurrentSpecReport().Failed() {
				GinkgoWriter.Printf("%s:\n%s\n", server.Name, server.LogTail(100))
			}
			server.Close()
		})
	}
	for i, server := range s.servers {
		s.createIn(ns, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: serverName(i) + "-ami"},
			StringData: map[string]string{"username": server.Username, "password": server.Password},
		})
	}
	s.editIn(ns, c, func() {
		for i := range c.Spec.Telephony.AsteriskRealtime.Managers {
			c.Spec.Telephony.AsteriskRealtime.Managers[i].Address = s.servers[i].AMIAddress
		}
	})
	Eventually(func() string {
		Expect(k8s.Get(ctx(), client.ObjectKeyFromObject(c), c)).To(Succeed())
		return c.Status.ManagerSummary
	}).Should(Equal(fmt.Sprintf("%d/%d", servers, servers)))
}

func serverName(i int) string { return fmt.Sprintf("pbx-%d", i+1) }

func contactsTable(i int) string {
	if i == 0 {
		return "ps_contacts"
	}
	return fmt.Sprintf("ps_contacts_%d", i+1)
}

func (s *site) sqlite() string {
	if s.dsn != "" {
		return ""
	}
	return filepath.Join(s.dataDir, s.contexts[0]+".sqlite3")
}

func (s *site) startManager() {
	GinkgoHelper()
	s.manager, s.live = s.launch()
}

// launch starts one more manager, and returns it with the address of its endpoint.
func (s *site) launch() (manager *exec.Cmd, live string) {
	GinkgoHelper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	Expect(err).NotTo(HaveOccurred())
	live = listener.Addr().String()
	Expect(listener.Close()).To(Succeed())
	manager = exec.Command(binary, append([]string{
		"manager", "--kubeconfig", kubeconfig, "--data-dir", s.dataDir, "--live-bind-address", live,
	}, s.flags...)...)
	manager.Stdout, manager.Stderr = s.log, s.log
	manager.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	Expect(manager.Start()).To(Succeed())
	return manager, live
}

func (s *site) stopManager() {
	if s.manager != nil {
		_ = s.manager.Process.Kill()
		_ = s.manager.Wait()
		s.manager = nil
	}
}

// create makes objects in the site's namespace.
func (s *site) create(objects ...client.Object) {
	GinkgoHelper()
	for _, o := range objects {
		s.createIn(s.ns, o)
	}
}

func (s *site) createIn(ns string, o client.Object) {
	GinkgoHelper()
	o.SetNamespace(ns)
	Expect(k8s.Create(ctx(), o)).To(Succeed())
}

// edit changes an object.
func (s *site) edit(o client.Object, change func()) {
	GinkgoHelper()
	s.editIn(s.ns, o, change)
}

func (s *site) editIn(ns string, o client.Object, change func()) {
	GinkgoHelper()
	o.SetNamespace(ns)
	Eventually(func() error {
		if err := k8s.Get(ctx(), client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		change()
		return k8s.Update(ctx(), o)
	}).Should(Succeed())
}

// agent is a person as the API server has them.
func (s *site) agent(name string) *v1alpha1.Agent {
	a := &v1alpha1.Agent{}
	_ = k8s.Get(ctx(), client.ObjectKey{Namespace: s.ns, Name: name}, a)
	return a
}

// ready waits until people are as declared.
func (s *site) ready(names ...string) {
	GinkgoHelper()
	for _, name := range names {
		Eventually(func() string {
			a := s.agent(name)
			if a.Status.ObservedGeneration != a.Generation {
				return "stale"
			}
			return conditionOf(a.Status.Conditions, v1alpha1.ConditionReady)
		}).Should(Equal("True/Committed"), name)
	}
}

func conditionOf(conditions []metav1.Condition, name string) string {
	for _, c := range conditions {
		if c.Type == name {
			return string(c.Status) + "/" + c.Reason
		}
	}
	return ""
}

func (s *site) conditionIn(ns string, c *v1alpha1.ContactCenter, name string) string {
	if k8s.Get(ctx(), client.ObjectKey{Namespace: ns, Name: c.Name}, c) != nil {
		return ""
	}
	return conditionOf(c.Status.Conditions, name)
}

// password of a person's phone, as the Secret that Roster made has it.
func (s *site) password(agent string) string {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Eventually(func() error {
		return k8s.Get(ctx(), client.ObjectKey{Namespace: s.ns, Name: agent + "-sip"}, secret)
	}).Should(Succeed())
	return string(secret.Data["password"])
}

// phone is a person's phone, not registered.
func (s *site) phone(agent string) *phone.Phone { return s.phoneAt(0, agent, s.password(agent)) }

// phoneAt is a phone on a server with a password.
func (s *site) phoneAt(server int, user, password string) *phone.Phone {
	GinkgoHelper()
	p, err := phone.New(ctx(), phone.Config{
		Server: s.servers[server].SIPAddress, User: user, Password: password, Dir: GinkgoT().TempDir(),
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	return p
}

// client is the phone of somebody outside, who is shown with a number.
func (s *site) client(number string) *phone.Phone {
	GinkgoHelper()
	p, err := phone.New(ctx(), phone.Config{
		Server: s.servers[0].SIPAddress, User: number, Network: lab.Outside, Dir: GinkgoT().TempDir(),
	})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(p.Close)
	return p
}

// registered is a person's phone, registered.
func (s *site) registered(agent string) *phone.Phone {
	GinkgoHelper()
	p := s.phone(agent)
	s.register(p)
	return p
}

// register has a phone register, which is to succeed.
func (s *site) register(p *phone.Phone) {
	GinkgoHelper()
	status, err := p.Register(ctx())
	Expect(err).NotTo(HaveOccurred())
	Expect(status).To(Equal(200))
}

// registering is the answer to a phone's REGISTER.
func registering(p *phone.Phone) func() int {
	return func() int {
		status, err := p.Register(ctx())
		if err != nil {
			return -1
		}
		return status
	}
}

// cli is what a command line on a server answers.
func (s *site) cli(server int, command string) string {
	out, err := s.servers[server].CLI(ctx(), command)
	if err != nil {
		return "error: " + err.Error()
	}
	return out
}

// device is the state of a person's phone as a server sees it, such as "Not in use" and "Unavailable".
func (s *site) device(server int, agent string) string {
	for line := range strings.SplitSeq(s.cli(server, "pjsip show endpoint "+agent), "\n") {
		if fields := strings.Fields(line); len(fields) >= 6 && fields[0] == "Endpoint:" && strings.HasPrefix(fields[1], agent) {
			return strings.Join(fields[2:len(fields)-3], " ")
		}
	}
	return ""
}

// channels are the names of a server's channels that a phone of a person has.
func (s *site) channels(server int, agent string) (list []string) {
	for line := range strings.SplitSeq(s.cli(server, "core show channels concise"), "\n") {
		if name, _, ok := strings.Cut(line, "!"); ok && strings.HasPrefix(name, "PJSIP/"+agent+"-") && len(name) == len("PJSIP/"+agent+"-00000000") {
			list = append(list, name)
		}
	}
	return list
}

// database opens the site's database as somebody else would.
func (s *site) database() *sql.DB {
	GinkgoHelper()
	driver, source := "pgx", s.dsn
	if s.dsn == "" {
		driver, source = "sqlite", "file:"+s.sqlite()+"?_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, source)
	Expect(err).NotTo(HaveOccurred())
	return db
}

// exec changes rows by hand.
func (s *site) exec(query string) {
	GinkgoHelper()
	db := s.database()
	defer func() { _ = db.Close() }()
	_, err := db.Exec(query)
	Expect(err).NotTo(HaveOccurred())
}

// rows are a query's rows, each with its columns joined by a bar.
func (s *site) rows(query string) []string {
	db := s.database()
	defer func() { _ = db.Close() }()
	return sqltest.Rows(db, query)
}

// person is an Agent with an extension.
func person(name, extension string) *v1alpha1.Agent {
	return &v1alpha1.Agent{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.AgentSpec{Endpoint: &v1alpha1.Endpoint{Extension: v1alpha1.Extension(extension)}},
	}
}

// line is a Queue with an extension and people.
func line(name, extension string, agents ...string) *v1alpha1.Queue {
	q := &v1alpha1.Queue{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.QueueSpec{Extension: v1alpha1.Extension(extension)}}
	for _, a := range agents {
		q.Spec.Agents = append(q.Spec.Agents, v1alpha1.QueueEntry{Name: v1alpha1.ObjectName(a)})
	}
	return q
}

// happens waits for something of a call's.
func happens(what <-chan struct{}) {
	GinkgoHelper()
	Eventually(what, 10*time.Second).Should(BeClosed())
}

// within is a context that ends after a while.
func within(d time.Duration) context.Context {
	c, cancel := context.WithTimeout(ctx(), d)
	DeferCleanup(cancel)
	return c
}
