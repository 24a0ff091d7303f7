//go:build pbx

package suite

import (
	"bufio"
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony/asterisk/ami"
)

// The states of a row, as color and detail.
const (
	available     = "Green: available"
	ringing       = "Green: ringing"
	servingHere   = "Green: in a call of this queue"
	busyElsewhere = "Red: in another call"
	notRegistered = "Grey: not registered"
	notServed     = "NotObserved: not served by the telephone system"
	noServer      = "NotObserved: no server is connected"
	noRow         = "no row"
)

// moment is how long what a phone does may take to be seen.
const moment = time.Second

// firstMoment is that of a phone's first registration: Asterisk itself takes up to a second more to see that the phone
// answers (max_initial_qualify_time of the shipped configuration).
const firstMoment = 2 * time.Second

// shippedRoles makes the ClusterRoles that the project ships for people.
func shippedRoles() {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "rbac", "people.yaml"))
	Expect(err).NotTo(HaveOccurred())
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		role := &rbacv1.ClusterRole{}
		err := decoder.Decode(role)
		if errors.Is(err, io.EOF) {
			return
		}
		Expect(err).NotTo(HaveOccurred())
		Expect(client.IgnoreAlreadyExists(k8s.Create(ctx(), role))).To(Succeed())
	}
}

// token is that of a new account of a namespace, with shipped roles there.
func token(ns, account string, roles ...string) string {
	GinkgoHelper()
	shippedRoles()
	sa := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: account}}
	Expect(k8s.Create(ctx(), sa)).To(Succeed())
	for _, role := range roles {
		bind(ns, account, rbacv1.RoleRef{Kind: "ClusterRole", Name: role})
	}
	request := &authenticationv1.TokenRequest{}
	Expect(k8s.SubResource("token").Create(ctx(), sa, request)).To(Succeed())
	return request.Status.Token
}

// bind gives a role to an account.
func bind(ns, account string, role rbacv1.RoleRef) {
	GinkgoHelper()
	role.APIGroup = rbacv1.GroupName
	Expect(k8s.Create(ctx(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: account + "-" + role.Name}, RoleRef: role,
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: ns, Name: account}},
	})).To(Succeed())
}

// web trusts the certificate that each manager makes for itself at its start.
var web = &http.Client{
	Timeout:   10 * time.Second,
	Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
}

// answer is what a manager's endpoint answered.
type answer struct {
	code   int
	header http.Header
	body   string
}

// message is the message of a Kubernetes Status.
func (a answer) message() string {
	status := &metav1.Status{}
	if json.Unmarshal([]byte(a.body), status) != nil || status.Kind != "Status" {
		return "no Status: " + a.body
	}
	return status.Message
}

// ask makes a request to the endpoint at an address. The code is 0 where nobody answers.
func ask(method, address, path, token, body string) answer {
	GinkgoHelper()
	request, err := http.NewRequestWithContext(ctx(), method, "https://"+address+path, strings.NewReader(body))
	Expect(err).NotTo(HaveOccurred())
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := web.Do(request)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// staffList is a path's query.
func staffPath(ns, query string) string { return "/v1alpha1/namespaces/" + ns + "/staff" + query }

// staffAt are the rows that the endpoint at an address serves, as far as it answers with any.
func staffAt(address, ns, token string) (rows []live.Row, served bool) {
	GinkgoHelper()
	a := ask(http.MethodGet, address, staffPath(ns, ""), token, "")
	if a.code != http.StatusOK {
		return nil, false
	}
	list := struct{ Items []live.Row }{}
	Expect(json.Unmarshal([]byte(a.body), &list)).To(Succeed(), a.body)
	return list.Items, true
}

// place is which row it is.
func place(r *live.Row) string { return r.Queue + "/" + r.Channel + "/" + r.Agent }

// look is a row's state.
func look(r *live.Row) string { return string(r.Color) + ": " + r.Detail }

// looks are the states of all rows that the site's manager serves; nil while it serves none.
func (s *site) looks(token string) map[string]string {
	GinkgoHelper()
	rows, served := staffAt(s.live, s.ns, token)
	if !served {
		return nil
	}
	all := map[string]string{}
	for i := range rows {
		all[place(&rows[i])] = look(&rows[i])
	}
	return all
}

// follower follows the staff list and notes when each row came.
type follower struct {
	mu sync.Mutex
	// rows are the newest, came is when each changed last, and passed is every state that it was in.
	rows   map[string]live.Row
	came   map[string]time.Time
	passed map[string][]string
	count  int
	over   chan struct{}
}

// follow follows a list from its STATE on, until the spec ends.
func (s *site) follow(token, query string) *follower {
	GinkgoHelper()
	f := &follower{
		rows: map[string]live.Row{}, came: map[string]time.Time{}, passed: map[string][]string{}, over: make(chan struct{}),
	}
	following, stop := context.WithCancel(ctx())
	request, err := http.NewRequestWithContext(following, http.MethodGet, "https://"+s.live+staffPath(s.ns, "?watch=1"+query), nil)
	Expect(err).NotTo(HaveOccurred())
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := (&http.Client{Transport: web.Transport}).Do(request)
	Expect(err).NotTo(HaveOccurred())
	Expect(response.StatusCode).To(Equal(http.StatusOK))
	Expect(response.Header.Get("Content-Type")).To(Equal("text/event-stream"))
	state := make(chan struct{})
	go f.read(response.Body, state)
	DeferCleanup(func() {
		stop()
		<-f.over
	})
	Eventually(state).Should(BeClosed())
	return f
}

// read takes in what comes, and closes state at the first whole list.
func (f *follower) read(body io.ReadCloser, state chan struct{}) {
	defer close(f.over)
	defer func() { _ = body.Close() }()
	reader := bufio.NewReader(body)
	for first := true; ; {
		text, err := reader.ReadString('\n')
		if err != nil {
			return
		}
		data, ok := strings.CutPrefix(text, "data: ")
		if !ok {
			continue
		}
		e := struct {
			Type   string
			Object json.RawMessage
		}{}
		if json.Unmarshal([]byte(data), &e) != nil {
			return
		}
		f.take(e.Type, e.Object)
		if first {
			first = false
			close(state)
		}
	}
}

func (f *follower) take(kind string, object json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := struct{ Items []live.Row }{}
	switch kind {
	case "STATE":
		clear(f.rows)
		_ = json.Unmarshal(object, &list)
	case "ERROR":
		return
	default:
		row := live.Row{}
		_ = json.Unmarshal(object, &row)
		list.Items = append(list.Items, row)
	}
	for _, row := range list.Items {
		key, state := place(&row), look(&row)
		f.count++
		f.came[key] = time.Now()
		if kind == "DELETED" {
			delete(f.rows, key)
			state = noRow
		} else {
			f.rows[key] = row
		}
		f.passed[key] = append(f.passed[key], state)
	}
}

// state of a row, and when it became this.
func (f *follower) state(key string) (state string, came time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	row, ok := f.rows[key]
	if !ok {
		return noRow, f.came[key]
	}
	return look(&row), f.came[key]
}

// row is the newest that came.
func (f *follower) row(key string) live.Row {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rows[key]
}

// shows waits until rows are in their states, each of which came within a time since something began. It returns the
// longest of these times; what was so before took none.
func (f *follower) shows(began time.Time, limit time.Duration, states map[string]string) (longest time.Duration) {
	GinkgoHelper()
	for _, key := range slices.Sorted(maps.Keys(states)) {
		var came time.Time
		Eventually(func() (state string) {
			state, came = f.state(key)
			return state
		}, limit+10*time.Second, 5*time.Millisecond).Should(Equal(states[key]), key)
		took := max(0, came.Sub(began))
		Expect(took).To(BeNumerically("<", limit), "%s: %s came late", key, states[key])
		longest = max(longest, took)
	}
	return longest
}

// forget forgets the states passed, and history is those that a row passed since then.
func (f *follower) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.passed)
}

func (f *follower) history(key string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.passed[key])
}

// operatorPanel is what a person's own panel uses to pause them: a session of their own at a server.
type operatorPanel struct{ conn *ami.Conn }

func (s *site) panel(server int) *operatorPanel {
	GinkgoHelper()
	pbx := s.servers[server]
	conn, err := ami.Dial(ctx(), ami.Config{Address: pbx.AMIAddress, Username: pbx.Username, Secret: pbx.Password})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(conn.Close)
	return &operatorPanel{conn}
}

// pause pauses a person in a queue, or lifts it.
func (p *operatorPanel) pause(queue, agent string, paused bool, reason string) {
	GinkgoHelper()
	_, err := p.conn.Do(ctx(), ami.NewAction("QueuePause",
		"Queue", queue, "Interface", "PJSIP/"+agent, "Paused", fmt.Sprint(paused), "Reason", reason))
	Expect(err).NotTo(HaveOccurred())
}

// versions are the versions of every object of the site that tells of people and queues.
func (s *site) versions() map[string]string {
	GinkgoHelper()
	all := map[string]string{}
	agents, queues := &v1alpha1.AgentList{}, &v1alpha1.QueueList{}
	Expect(k8s.List(ctx(), agents, client.InNamespace(s.ns))).To(Succeed())
	Expect(k8s.List(ctx(), queues, client.InNamespace(s.ns))).To(Succeed())
	for i := range agents.Items {
		all["agent "+agents.Items[i].Name] = agents.Items[i].ResourceVersion
	}
	for i := range queues.Items {
		all["queue "+queues.Items[i].Name] = queues.Items[i].ResourceVersion
	}
	return all
}

// onTwo has specs run on the newest version and on the oldest one with the other database.
func onTwo(specs func(kind kindOfPBX)) {
	for _, kind := range []kindOfPBX{newest, {"16", v1alpha1.DatabasePostgreSQL}} {
		Context("with "+kind.String(), func() { specs(kind) })
	}
}

// oneCallEach are two queues of alice's and one of carol's, as the specs below use them.
func (s *site) staffed() {
	GinkgoHelper()
	support := line("support", "600")
	support.Spec.DisplayName = "Support"
	support.Spec.Channels = []v1alpha1.Channel{v1alpha1.ChannelVoice, v1alpha1.ChannelChat}
	support.Spec.Agents = []v1alpha1.QueueEntry{{Name: "alice", Stars: 4}}
	support.Spec.Groups = []v1alpha1.QueueEntry{{Name: "north"}}
	support.Spec.Supervisors = []v1alpha1.Member{{Name: "carol"}}
	sales := line("sales", "601", "carol")
	sales.Spec.Teams = []v1alpha1.QueueEntry{{Name: "billing", Stars: 2}}
	alice := person("alice", "1001")
	alice.Spec.DisplayName = "Alice Martin"
	s.create(alice, person("bob", "1002"), person("carol", "1003"), support, sales,
		&v1alpha1.Team{
			ObjectMeta: metav1.ObjectMeta{Name: "billing"}, Spec: v1alpha1.TeamSpec{Members: []v1alpha1.Member{{Name: "alice"}}},
		},
		&v1alpha1.AgentGroup{
			ObjectMeta: metav1.ObjectMeta{Name: "north"}, Spec: v1alpha1.AgentGroupSpec{Members: []v1alpha1.Member{{Name: "alice"}}},
		})
	s.ready("alice", "bob", "carol")
	Eventually(func() int { return len(s.agent("alice").Status.Queues) }).Should(Equal(2))
}

// inSupport, inSales and inChat are alice's rows.
const (
	inSupport = "support/Voice/alice"
	inSales   = "sales/Voice/alice"
	inChat    = "support/Chat/alice"
)

func both(state string) map[string]string { return map[string]string{inSupport: state, inSales: state} }

var _ = Describe("The live staff list", Label("C9"), func() {
	onTwo(func(kind kindOfPBX) {
		It("tells by queue and channel who is there and what they do, within a second of the phone doing it", Label("O6"), func() {
			s := newSite(kind, 1, nil)
			s.staffed()
			viewer := token(s.ns, "wallboard", "roster-live-viewer")
			f := s.follow(viewer, "")

			By("who serves what, through which ways, with how many stars")
			rows, served := staffAt(s.live, s.ns, viewer)
			Expect(served).To(BeTrue())
			var told []string
			for _, r := range rows {
				told = append(told, fmt.Sprintf("%s|%s|%s|%s|%s|%s|%d|%v|%v|%s",
					r.Queue, r.QueueDisplayName, r.Channel, r.Agent, r.DisplayName, r.Group, r.Stars, r.Via, r.Supervisors, look(&r)))
				Expect(r.Since).To(BeTemporally("~", time.Now(), time.Minute), place(&r))
			}
			Expect(told).To(Equal([]string{
				"sales||Voice|alice|Alice Martin|north|2|[Team/billing]|[]|" + notRegistered,
				"sales||Voice|carol|||1|[Direct]|[]|" + notRegistered,
				"support|Support|Chat|alice|Alice Martin|north|4|[Direct Group/north]|[carol]|" + notServed,
				"support|Support|Voice|alice|Alice Martin|north|4|[Direct Group/north]|[carol]|" + notRegistered,
			}), "in some order of channels")
		})
	})
})

var _ = coordinationv1.Lease{}
var _ = apierrors.IsNotFound
var _ = ptr.To[int]
var _ = phone.Answer
var _ = crypto.SHA256
var _ = rand.Read
var _ = rsa.SignPKCS1v15
var _ = sha256.Size
var _ = x509.ParsePKCS1PrivateKey
var _ = base64.RawURLEncoding
var _ = pem.Decode
