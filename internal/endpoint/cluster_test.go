package endpoint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/book"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony"
)

// cluster is a real API server with a manager that serves the endpoint.
type cluster struct {
	*rig
	k8s  client.Client
	logs *lockedBuffer
	// tokens handed out, which no log may hold.
	tokens []string
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newCluster(t *testing.T) *cluster {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("no control plane: run `make test`, or set KUBEBUILDER_ASSETS to what `make assets` prints")
	}
	c := &cluster{rig: &rig{T: t, GomegaWithT: NewWithT(t), sights: map[string]live.Sight{}}, logs: &lockedBuffer{}}
	log := zap.New(zap.WriteTo(c.logs), zap.UseDevMode(true))
	ctrl.SetLogger(log)
	environment := &envtest.Environment{
		CRDDirectoryPaths: []string{filepath.Join("..", "..", "config", "crd", "bases")}, ErrorIfCRDPathMissing: true,
		ControlPlaneStopTimeout: time.Minute,
	}
	config, err := environment.Start()
	c.Expect(err).NotTo(HaveOccurred())
	t.Cleanup(func() { c.Expect(environment.Stop()).To(Succeed()) })
	config.QPS = -1
	config.WarningHandler = rest.NoWarnings{}
	c.k8s, err = client.New(config, client.Options{Scheme: scheme})
	c.Expect(err).NotTo(HaveOccurred())

	c.roles("role.yaml")
	c.Expect(c.k8s.Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "manager"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "roster-manager"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "roster-manager"}},
	})).To(Succeed())
	own := rest.CopyConfig(config)
	own.Impersonate.UserName = "roster-manager" // with the rights of the shipped role, and no others
	mgr, err := ctrl.NewManager(own, manager.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, Logger: log,
		Client: client.Options{Cache: &client.CacheOptions{EnableReadYourWritesConsistency: ptr.To(true)}},
	})
	c.Expect(err).NotTo(HaveOccurred())
	c.staffed, c.books = live.NewStaff(c.sight), book.New()
	c.Expect(mgr.Add(&book.Feed{Cache: mgr.GetCache(), Index: c.books})).To(Succeed())
	informer, err := mgr.GetCache().GetInformer(t.Context(), &v1alpha1.Agent{})
	c.Expect(err).NotTo(HaveOccurred())
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { c.staffed.SetAgent(o.(*v1alpha1.Agent)) },
		UpdateFunc: func(_, o any) { c.staffed.SetAgent(o.(*v1alpha1.Agent)) },
	})
	c.Expect(err).NotTo(HaveOccurred())
	c.server, err = New(Options{
		Address: "127.0.0.1:0", Staff: c.staffed, Book: c.books, Client: mgr.GetClient(), Live: mgr.GetAPIReader(),
		Recorder: mgr.GetEventRecorder("roster"), Log: log.WithName("live"), Review: 300 * time.Millisecond, Now: c.now,
	})
	c.Expect(err).NotTo(HaveOccurred())
	c.Expect(mgr.Add(c.server)).To(Succeed())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() { cancel(); c.Expect(<-done).To(Succeed()) })
	c.url = "https://" + c.server.Addr().String()
	c.client = clientTrusting(c.GomegaWithT, c.server)
	t.Cleanup(c.client.CloseIdleConnections)
	c.Expect(mgr.GetCache().WaitForCacheSync(ctx)).To(BeTrue())
	return c
}

// roles installs those of a file of config/rbac.
func (c *cluster) roles(file string) {
	text, err := os.ReadFile(filepath.Join("..", "..", "config", "rbac", file))
	c.Expect(err).NotTo(HaveOccurred())
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		role := &rbacv1.ClusterRole{}
		err := decoder.Decode(role)
		if errors.Is(err, io.EOF) {
			return
		}
		c.Expect(err).NotTo(HaveOccurred())
		c.Expect(c.k8s.Create(c.Context(), role)).To(Succeed())
	}
}

// hire makes a service account with a role in namespace acme, and returns a token of it.
func (c *cluster) hire(name string, role rbacv1.RoleRef) string {
	c.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: name}}
	c.Expect(c.k8s.Create(c.Context(), account)).To(Succeed())
	if role.Name != "" {
		role.APIGroup = rbacv1.GroupName
		c.Expect(c.k8s.Create(c.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: name}, RoleRef: role,
			Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "acme", Name: name}},
		})).To(Succeed())
	}
	request := &authenticationv1.TokenRequest{}
	c.Expect(c.k8s.SubResource("token").Create(c.Context(), account, request)).To(Succeed())
	c.tokens = append(c.tokens, request.Status.Token)
	return request.Status.Token
}

// put creates an Agent with its status, and the Secret that Roster would make.
func (c *cluster) put(agent *v1alpha1.Agent, password string) *v1alpha1.Agent {
	c.Helper()
	agent.UID = ""
	status := agent.Status
	c.Expect(c.k8s.Create(c.Context(), agent)).To(Succeed())
	agent.Status = status
	c.Expect(c.k8s.Status().Update(c.Context(), agent)).To(Succeed())
	if password != "" {
		c.Expect(c.k8s.Create(c.Context(), made(agent, password))).To(Succeed())
	}
	return agent
}

func (c *cluster) password(secret string) string {
	s := &corev1.Secret{}
	c.Expect(c.k8s.Get(c.Context(), client.ObjectKey{Namespace: "acme", Name: secret}, s)).To(Succeed())
	return string(s.Data["password"])
}

// What callers may is what RBAC of a real API server says, of tokens that it gave out.
func TestEndpointOnACluster(t *testing.T) {
	c := newCluster(t)
	c.Expect(c.k8s.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "acme"}})).To(Succeed())
	c.roles("people.yaml")
	c.Expect(c.k8s.Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: "own-password"},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"staff.roster.dev"}, Resources: []string{"agents/password"},
			ResourceNames: []string{"alice", "git", "foreign"}, Verbs: []string{"update"},
		}},
	})).To(Succeed())
	center := strictCenter()
	center.Spec.Telephony = v1alpha1.Telephony{
		Type:             v1alpha1.TelephonyAsteriskRealtime,
		AsteriskRealtime: &v1alpha1.AsteriskRealtime{Database: v1alpha1.Database{Type: v1alpha1.DatabaseSQLite, Path: "acme.sqlite3"}},
	}
	c.Expect(c.k8s.Create(t.Context(), center)).To(Succeed())
	c.put(member("alice", "support"), oldPassword)
	c.put(member("bob", "support"), oldPassword)
	git := member("git")
	git.Spec.Endpoint = &v1alpha1.Endpoint{PasswordSecretRef: &v1alpha1.SecretKeyReference{Name: "git-own", Key: "password"}}
	c.put(git, "")
	c.put(member("foreign"), "")
	c.Expect(c.k8s.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: "foreign-sip"}, StringData: map[string]string{"password": oldPassword},
	})).To(Succeed())

	supervisor := c.hire("supervisor", rbacv1.RoleRef{Kind: "ClusterRole", Name: "roster-live-viewer"})
	viewer := c.hire("viewer", rbacv1.RoleRef{Kind: "ClusterRole", Name: "roster-viewer"})
	alice := c.hire("alice", rbacv1.RoleRef{Kind: "Role", Name: "own-password"})
	admin := c.hire("admin", rbacv1.RoleRef{Kind: "ClusterRole", Name: "roster-admin"})
	c.Expect(c.k8s.Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: "own-book"},
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{"staff.roster.dev"}, Resources: []string{"agents/live"},
			ResourceNames: []string{"bob"}, Verbs: []string{"get", "watch"},
		}},
	})).To(Succeed())
	bob := c.hire("bob", rbacv1.RoleRef{Kind: "Role", Name: "own-book"})
	// The API server's authorizer learns of new bindings by watching them.
	c.Eventually(func() int {
		c.later(decisionLife)
		code, _ := c.do(http.MethodPost, passwordPath("nobody"), admin, body("x", "y"))
		return code
	}, 10*time.Second).Should(Equal(http.StatusNotFound))

	t.Run("C9: the staff list is for those who may see it", func(t *testing.T) {
		g := NewWithT(t)
		for _, k := range []struct {
			token, path string
			code        int
		}{
			{"", staffPath, 401},
			{"bogus", staffPath, 401},
			{supervisor[:len(supervisor)-6] + "AAAAAA", staffPath, 401},
			{viewer, staffPath, 403},
			{alice, staffPath, 403},
			{supervisor, "/v1alpha1/namespaces/default/staff", 403},
			{admin, staffPath, 200},
			{supervisor, staffPath, 200},
		} {
			code, text := c.do(http.MethodGet, k.path, k.token, "")
			g.Expect(code).To(Equal(k.code), text)
		}
		var list staffList
		g.Eventually(func() []live.Row {
			_, text := c.do(http.MethodGet, staffPath, supervisor, "")
			g.Expect(json.Unmarshal([]byte(text), &list)).To(Succeed())
			return list.Items
		}, 5*time.Second).Should(HaveLen(2))
		g.Expect(list.Items[0].Agent).To(Equal("alice"))
	})

	t.Run("C9: a change arrives within a second, until the token is gone", func(t *testing.T) {
		g := NewWithT(t)
		guest := c.hire("guest", rbacv1.RoleRef{Kind: "ClusterRole", Name: "roster-live-viewer"})
		c.Eventually(func() int {
			c.later(decisionLife)
			code, _ := c.do(http.MethodGet, staffPath, guest, "")
			return code
		}, 10*time.Second).Should(Equal(http.StatusOK))
		s := c.follow(staffPath+"?watch=1&queue=support", guest)
		e, _ := s.next(g, time.Second)
		g.Expect(e.Type).To(Equal("STATE"))
		c.see("alice", telephony.DeviceInUse)
		e, row := s.next(g, time.Second)
		g.Expect(e.Type).To(Equal("MODIFIED"))
		g.Expect(row.Agent + " " + string(row.Color)).To(Equal("alice Red"))
		time.Sleep(2 * c.server.options.Review)
		c.see("alice", telephony.DeviceIdle)
		e, row = s.next(g, time.Second)
		g.Expect(e.Type + " " + string(row.Color)).To(Equal("MODIFIED Green"))
		g.Expect(c.k8s.Delete(t.Context(), &corev1.ServiceAccount{
			ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: "guest"},
		})).To(Succeed())
		e, _ = s.next(g, 20*time.Second)
		g.Expect(e.Type).To(Equal("ERROR"))
		g.Expect(statusOf(g, string(e.Object)).Reason).To(Equal(metav1.StatusReasonUnauthorized))
		e, _ = s.next(g, time.Second)
		g.Expect(e.Type).To(BeEmpty())
	})

	t.Run("S6 S7: a case that moves from one person to another is in the book and agenda of its holder", func(t *testing.T) {
		g := NewWithT(t)
		ownBook, ownAgenda := bookPath+"?agent=bob", agendaPath+"?agent=bob"
		for path, code := range map[string]int{
			ownBook: 200, ownAgenda: 200, bookPath: 403, agendaPath: 403, bookPath + "?agent=alice": 403, agendaPath + "?agent=alice,bob": 403,
		} {
			g.Eventually(func() int {
				c.later(decisionLife)
				got, _ := c.do(http.MethodGet, path, bob, "")
				return got
			}, 10*time.Second).Should(Equal(code), path)
		}
		follow := func(path, token string) *stream {
			s := c.follow(path+"&watch=1", token)
			e, _ := s.next(g, 5*time.Second)
			g.Expect(e.Type).To(Equal("STATE"))
			g.Expect(read[any](g, string(e.Object)).Items).To(BeEmpty())
			return s
		}
		alicesBook, alicesAgenda := follow(bookPath+"?agent=alice", supervisor), follow(agendaPath+"?agent=alice", supervisor)
		bobsBook, bobsAgenda := follow(ownBook, bob), follow(ownAgenda, bob)

		refund := held("refund")
		refund.Spec.Appointment = nil
		refund.Spec.Assignees = []v1alpha1.Assignee{{Name: "alice"}}
		c.Expect(c.k8s.Create(t.Context(), refund)).To(Succeed())
		give := func(phase v1alpha1.CasePhase, people ...string) {
			t.Helper()
			refund.Status.Phase, refund.Status.Assignees = phase, holders(people...)
			g.Expect(c.k8s.Status().Update(t.Context(), refund)).To(Succeed())
		}
		give(v1alpha1.CaseAssigned, "alice")
		g.Expect(told(g, alicesBook, 5*time.Second, clientLine)).To(Equal("ADDED alice refund"))
		g.Expect(told(g, alicesAgenda, 5*time.Second, agendaLine)).To(Equal("ADDED alice NextAction refund"))

		give(v1alpha1.CaseCovered, "bob")
		g.Expect(told(g, alicesBook, 5*time.Second, clientLine)).To(Equal("DELETED alice refund"))
		g.Expect(told(g, alicesAgenda, 5*time.Second, agendaLine)).To(Equal("DELETED alice NextAction refund"))
		g.Expect(told(g, bobsBook, 5*time.Second, clientLine)).To(Equal("ADDED bob refund"))
		g.Expect(told(g, bobsAgenda, 5*time.Second, agendaLine)).To(Equal("ADDED bob NextAction refund"))
		_, text := c.do(http.MethodGet, ownBook, bob, "")
		g.Expect(read[book.ClientEntry](g, text).Items).To(HaveLen(1))

		refund.Spec.State = v1alpha1.CaseCompleted
		g.Expect(c.k8s.Update(t.Context(), refund)).To(Succeed())
		g.Expect(told(g, bobsBook, 5*time.Second, clientLine)).To(Equal("DELETED bob refund"))
		g.Expect(told(g, bobsAgenda, 5*time.Second, agendaLine)).To(Equal("DELETED bob NextAction refund"))
		refund.Spec.State = v1alpha1.CaseOpen
		g.Expect(c.k8s.Update(t.Context(), refund)).To(Succeed())
		give(v1alpha1.CaseAssigned, "bob")
		g.Expect(told(g, bobsBook, 5*time.Second, clientLine)).To(Equal("ADDED bob refund"))
		g.Expect(c.k8s.Delete(t.Context(), refund)).To(Succeed())
		g.Expect(told(g, bobsBook, 5*time.Second, clientLine)).To(Equal("DELETED bob refund"))
		g.Expect(alicesBook.lines).NotTo(Receive(HavePrefix("event:")))
	})

	t.Run("S3: a person changes their password, and no other's", func(t *testing.T) {
		g := NewWithT(t)
		try := func(agent, token, current, next string) (int, string) {
			code, text := c.do(http.MethodPost, passwordPath(agent), token, body(current, next))
			return code, statusOf(g, text).Message
		}
		code, _ := try("alice", supervisor, oldPassword, newPassword)
		g.Expect(code).To(Equal(http.StatusForbidden))
		code, _ = try("bob", alice, oldPassword, newPassword)
		g.Expect(code).To(Equal(http.StatusForbidden))
		g.Expect(c.password("bob-sip")).To(Equal(oldPassword))
		code, message := try("alice", alice, "wrong-Passw0rd", newPassword)
		g.Expect(code).To(Equal(http.StatusForbidden))
		g.Expect(message).To(ContainSubstring("current password"))
		code, message = try("alice", alice, oldPassword, "short1")
		g.Expect(code).To(Equal(http.StatusUnprocessableEntity))
		g.Expect(message).To(ContainSubstring("12 characters"))
		g.Expect(c.password("alice-sip")).To(Equal(oldPassword))
		code, message = try("alice", alice, oldPassword, newPassword)
		g.Expect(code).To(Equal(http.StatusOK), message)
		g.Expect(c.password("alice-sip")).To(Equal(newPassword))
		g.Eventually(func() []string {
			list := &eventsv1.EventList{}
			g.Expect(c.k8s.List(t.Context(), list, client.InNamespace("acme"))).To(Succeed())
			var notes []string
			for _, e := range list.Items {
				notes = append(notes, e.Regarding.Kind+"/"+e.Regarding.Name+" "+e.Reason+": "+e.Note)
			}
			return notes
		}, 5*time.Second).Should(Equal([]string{
			"Agent/alice PasswordChanged: system:serviceaccount:acme:alice changed the phone's password",
		}))

		code, message = try("git", alice, oldPassword, newPassword)
		g.Expect(code).To(Equal(http.StatusConflict))
		g.Expect(message).To(ContainSubstring("git-own"))
		code, message = try("foreign", alice, oldPassword, newPassword)
		g.Expect(code).To(Equal(http.StatusConflict))
		g.Expect(message).To(ContainSubstring("foreign-sip was not made by Roster"))
		g.Expect(c.password("foreign-sip")).To(Equal(oldPassword))
	})

	t.Run("S3: guessing ends soon", func(t *testing.T) {
		g := NewWithT(t)
		codes := map[int]int{}
		for range 10 {
			code, _ := c.do(http.MethodPost, passwordPath("bob"), admin, body("guess", newPassword))
			codes[code]++
		}
		g.Expect(codes).To(Equal(map[int]int{http.StatusForbidden: attemptsByAgent, http.StatusTooManyRequests: 10 - attemptsByAgent}))
		g.Expect(c.password("bob-sip")).To(Equal(oldPassword))
	})

	logs := c.logs.String()
	c.Expect(logs).To(ContainSubstring("answered"))
	c.Expect(logs).NotTo(ContainSubstring("Passw0rd"))
	for _, token := range c.tokens {
		c.Expect(logs).NotTo(ContainSubstring(token[strings.LastIndex(token, ".")+1:]))
	}
}
