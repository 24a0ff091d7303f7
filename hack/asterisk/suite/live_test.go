//go:build pbx

package suite

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
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

// staffPath is where a namespace's list is.
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
	over   chan struct{}
}

// follow follows a list from its STATE on, until the spec ends.
func (s *site) follow(token, query string) *follower {
	GinkgoHelper()
	f := &follower{
		rows: map[string]live.Row{}, came: map[string]time.Time{}, passed: map[string][]string{}, over: make(chan struct{}),
	}
	following, stop := context.WithCancel(ctx())
	request, err := http.NewRequestWithContext(following, http.MethodGet, "https://"+s.live+staffPath(s.ns, "?watch=1"+query), http.NoBody)
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

// now is a row's state.
func (f *follower) now(key string) func() string {
	return func() string {
		state, _ := f.state(key)
		return state
	}
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

// staffed has three people and two queues: alice is in both, carol in one, bob calls.
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
	for _, q := range []*v1alpha1.Queue{support, sales} {
		Eventually(func() string {
			if err := k8s.Get(ctx(), client.ObjectKeyFromObject(q), q); err != nil || q.Status.ObservedGeneration != q.Generation {
				return "stale"
			}
			return conditionOf(q.Status.Conditions, v1alpha1.ConditionReady)
		}).Should(Equal("True/Committed"), q.Name)
	}
}

// inSupport, inSales and inChat are alice's rows.
const (
	inSupport = "support/Voice/alice"
	inSales   = "sales/Voice/alice"
	inChat    = "support/Chat/alice"
)

// showsCallOfSupport has one person call queue support and another take it, and returns when the caller hung up.
func (f *follower) showsCallOfSupport(from, to *phone.Phone) (ended time.Time) {
	GinkgoHelper()
	call := dialing(from, "600")
	in := comes(to)
	f.shows(time.Now(), moment, both(ringing))
	began := time.Now()
	Expect(in.Answer()).To(Succeed())
	f.shows(began, moment, map[string]string{inSupport: servingHere, inSales: busyElsewhere})
	ended = time.Now()
	Expect(call.HangUp(ctx())).To(Succeed())
	f.shows(ended, moment, both(available))
	return ended
}

// both is a state in either queue.
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
				"sales||Voice|carol|carol||1|[Direct]|[]|" + notRegistered,
				"support|Support|Voice|alice|Alice Martin|north|4|[Direct Group/north]|[carol]|" + notRegistered,
				"support|Support|Chat|alice|Alice Martin|north|4|[Direct Group/north]|[carol]|" + notServed,
			}))

			By("the phone registering")
			a, b := s.phone("alice"), s.registered("bob")
			a.Handle(phone.Ring())
			began := time.Now()
			s.register(a)
			f.shows(began, firstMoment, both(available))
			Expect(f.row(inSupport).Since).To(BeTemporally("~", time.Now(), 3*time.Second))
			f.forget()

			By("a call of one queue")
			began = f.showsCallOfSupport(b, a)
			Expect(f.row(inSales).Since).To(BeTemporally(">=", began.Truncate(time.Second)))

			By("a call of another queue")
			call := dialing(b, "601")
			in := comes(a)
			f.shows(time.Now(), moment, both(ringing))
			began = time.Now()
			Expect(in.Answer()).To(Succeed())
			f.shows(began, moment, map[string]string{inSupport: busyElsewhere, inSales: servingHere})
			began = time.Now()
			Expect(call.HangUp(ctx())).To(Succeed())
			f.shows(began, moment, both(available))

			By("a call of the extension")
			call = dialing(b, "1001")
			in = comes(a)
			f.shows(time.Now(), moment, both(ringing))
			began = time.Now()
			Expect(in.Answer()).To(Succeed())
			f.shows(began, moment, both(busyElsewhere))
			began = time.Now()
			Expect(call.HangUp(ctx())).To(Succeed())
			f.shows(began, moment, both(available))

			By("a call of her own")
			began = time.Now()
			own, err := a.Call(ctx(), "1002")
			Expect(err).NotTo(HaveOccurred())
			f.shows(began, moment, both(busyElsewhere))
			began = time.Now()
			Expect(own.HangUp(ctx())).To(Succeed())
			f.shows(began, moment, both(available))

			By("a pause in one queue, then in both")
			panel := s.panel(0)
			began = time.Now()
			panel.pause("support", "alice", true, "Lunch")
			f.shows(began, moment, map[string]string{inSupport: "Orange: paused: Lunch", inSales: available})
			began = time.Now()
			panel.pause("sales", "alice", true, "Lunch")
			f.shows(began, moment, both("Red: paused: Lunch"))
			began = time.Now()
			panel.pause("support", "alice", false, "")
			f.shows(began, moment, map[string]string{inSupport: available, inSales: "Orange: paused: Lunch"})
			panel.pause("sales", "alice", false, "")
			f.shows(began, moment, both(available))

			By("a leave, and its end")
			alice := s.agent("alice")
			s.edit(alice, func() {
				alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Minute)), Reason: v1alpha1.ReasonVacation}}
			})
			onLeave := "Red: paused: Vacation"
			if kind.version == "16" {
				onLeave = "Red: paused" // it reads no reasons from a database
			}
			f.shows(time.Now(), moment, both(onLeave))
			s.edit(alice, func() { alice.Spec.Leaves = nil })
			f.shows(time.Now(), moment, both(available))

			By("signing out and in")
			began = time.Now()
			Expect(a.Unregister(ctx())).To(Equal(200))
			f.shows(began, moment, both(notRegistered))
			began = time.Now()
			s.register(a)
			f.shows(began, moment, both(available))

			By("being deactivated")
			Expect(f.history(inChat)).To(BeEmpty(), "nobody tells of the channel")
			s.deactivate(alice)
			f.shows(time.Now(), moment, map[string]string{inSupport: noRow, inSales: noRow, inChat: noRow})
			f.shows(time.Now(), moment, map[string]string{"sales/Voice/carol": notRegistered})
			Expect(s.looks(viewer)).To(Equal(map[string]string{
				"sales/Voice/carol": notRegistered, "support/Voice/": ": nobody", "support/Chat/": ": nobody",
			}))
		})

		It("is green for a queue from before its call until after it", func() {
			s := newSite(kind, 1, nil)
			s.staffed()
			f := s.follow(token(s.ns, "wallboard", "roster-live-viewer"), "")
			a, b := s.registered("alice"), s.registered("bob")
			a.Handle(phone.Ring())
			f.shows(time.Now(), firstMoment, both(available))
			f.forget()
			since := f.row(inSupport).Since
			for range 3 {
				// since is told in whole seconds: a color that came anew now has another.
				Eventually(time.Now).Should(BeTemporally(">", since.Add(time.Second)))
				call := dialing(b, "600")
				in := comes(a)
				Expect(in.Answer()).To(Succeed())
				f.shows(time.Now(), moment, map[string]string{inSupport: servingHere, inSales: busyElsewhere})
				Expect(f.row(inSupport).Since).To(BeTemporally("==", since), "when the call came")
				Expect(call.HangUp(ctx())).To(Succeed())
				f.shows(time.Now(), moment, both(available))
				Expect(f.row(inSupport).Since).To(BeTemporally("==", since), "when the call went")
			}
			Expect(f.history(inSupport)).NotTo(ContainElement(HavePrefix("Red")))
		})

		It("writes none of it into objects", func() {
			s := newSite(kind, 1, nil)
			s.staffed()
			f := s.follow(token(s.ns, "wallboard", "roster-live-viewer"), "")
			a, b, panel := s.registered("alice"), s.registered("bob"), s.panel(0)
			a.Handle(phone.Ring())
			f.shows(time.Now(), firstMoment, both(available))
			before := s.versions()

			const rounds = 25
			var took []time.Duration
			change := func(state map[string]string, act func()) {
				GinkgoHelper()
				began := time.Now()
				act()
				took = append(took, f.shows(began, moment, state))
			}
			for range rounds {
				change(map[string]string{inSupport: "Orange: paused: Tea", inSales: available}, func() {
					panel.pause("support", "alice", true, "Tea")
				})
				change(both("Red: paused: Tea"), func() { panel.pause("sales", "alice", true, "Tea") })
				change(map[string]string{inSupport: available, inSales: "Orange: paused: Tea"}, func() {
					panel.pause("support", "alice", false, "")
				})
				change(both(available), func() { panel.pause("sales", "alice", false, "") })
				call := dialing(b, "600")
				in := comes(a)
				change(map[string]string{inSupport: servingHere, inSales: busyElsewhere}, func() { Expect(in.Answer()).To(Succeed()) })
				change(both(available), func() { Expect(call.HangUp(ctx())).To(Succeed()) })
				change(both(notRegistered), func() { Expect(a.Unregister(ctx())).To(Equal(200)) })
				change(both(available), func() { s.register(a) })
			}
			Expect(took).To(HaveLen(8 * rounds))
			Expect(s.versions()).To(Equal(before))
			Consistently(s.versions).Should(Equal(before))
			slices.Sort(took)
			AddReportEntry("from what was done to the stream", fmt.Sprintf("%d changes, p50 %s, p99 %s, longest %s",
				len(took), took[len(took)/2], took[len(took)*99/100], took[len(took)-1]))
		})

		It("says that nobody tells while Asterisk is away, and is right again without a call", func() {
			s := newSite(kind, 1, nil)
			s.staffed()
			viewer := token(s.ns, "wallboard", "roster-live-viewer")
			f := s.follow(viewer, "")
			s.registered("alice")
			b, c := s.registered("bob"), s.registered("carol")
			f.shows(time.Now(), firstMoment, map[string]string{inSupport: available, "sales/Voice/carol": available})
			s.panel(0).pause("support", "alice", true, "Lunch")
			f.shows(time.Now(), moment, map[string]string{inSupport: "Orange: paused: Lunch", inSales: available})

			By("killing it")
			killed := time.Now()
			s.servers[0].Kill()
			f.shows(killed, 2*moment, map[string]string{inSupport: noServer, inSales: noServer, inChat: notServed, "sales/Voice/carol": noServer})

			By("starting it")
			Expect(s.servers[0].Start(ctx())).To(Succeed())
			back := time.Now()
			Eventually(f.now(inSupport), 15*time.Second).Should(HavePrefix("Orange: paused"))
			f.shows(back, 10*time.Second, map[string]string{inSales: available, "sales/Voice/carol": available, inChat: notServed})
			AddReportEntry("right again after Asterisk's start", time.Since(back))

			By("starting the manager again, in a call of a queue")
			panel := s.panel(0)
			panel.pause("support", "alice", true, "Dinner")
			f.shows(time.Now(), moment, map[string]string{inSupport: "Orange: paused: Dinner"})
			s.panel(0).pause("sales", "alice", true, "Dinner")
			f.shows(time.Now(), moment, both("Red: paused: Dinner"))
			calling(b, "601", c)
			f.shows(time.Now(), moment, map[string]string{"sales/Voice/carol": servingHere})
			before := s.looks(viewer)
			Expect(before).To(HaveLen(4))
			s.stopManager()
			Eventually(f.over).Should(BeClosed())
			began := time.Now()
			s.startManager()
			Eventually(func() map[string]string {
				looks := s.looks(viewer)
				if looks != nil {
					Expect(looks).To(HaveLen(len(before)), "it does not serve a list that is not whole")
				}
				return looks
			}, 10*time.Second, time.Millisecond).Should(Equal(before))
			AddReportEntry("right after the manager's start", time.Since(began))
		})
	})

	It("says that a phone which went without a word is gone, when Asterisk misses it", func() {
		s := newSite(newest, 1, nil)
		s.staffed()
		f := s.follow(token(s.ns, "wallboard", "roster-live-viewer"), "")
		a := s.registered("alice")
		f.shows(time.Now(), firstMoment, both(available))
		began := time.Now()
		Expect(a.Close()).To(Succeed())
		// Asterisk asks every 60 seconds (ps_aors.qualify_frequency) and waits 3 for the answer.
		const missed = 65 * time.Second
		Eventually(f.now(inSupport), missed).Should(Equal(notRegistered))
		longest := f.shows(began, missed, both(notRegistered))
		AddReportEntry("from the phone's end to Grey", longest)
	})

	It("sees a person at whichever server the phone is", Label("B10"), func() {
		s := newSite(several, 2, nil)
		s.staffed()
		viewer := token(s.ns, "wallboard", "roster-live-viewer")
		f := s.follow(viewer, "")
		a, b := s.phoneAt(1, "alice", s.password("alice")), s.phoneAt(1, "bob", s.password("bob"))
		a.Handle(phone.Ring())
		s.register(b)
		began := time.Now()
		s.register(a)
		f.shows(began, firstMoment, both(available))

		By("a call at the second server")
		began = f.showsCallOfSupport(b, a)

		By("a pause at the first")
		began = time.Now()
		s.panel(0).pause("support", "alice", true, "Lunch")
		f.shows(began, moment, map[string]string{inSupport: "Orange: paused: Lunch", inSales: available})
		Consistently(f.now(inSupport), 2*time.Second).Should(HavePrefix("Orange: paused"))
		s.panel(1).pause("support", "alice", false, "")
		f.shows(time.Now(), moment, both(available))

		By("a phone at each")
		first := s.phoneAt(0, "alice", s.password("alice"))
		s.register(first)
		Eventually(func() string { return s.device(0, "alice") }).Should(Equal("Not in use"))
		Expect(a.Unregister(ctx())).To(Equal(200))
		Eventually(func() string { return s.device(1, "alice") }).Should(Equal("Unavailable"))
		Consistently(f.now(inSales)).Should(Equal(available))
		s.register(a)
		Eventually(func() string { return s.device(1, "alice") }).Should(Equal("Not in use"))

		By("the second server away")
		s.servers[1].Kill()
		Eventually(s.summary).Should(Equal("1/2"))
		Consistently(f.now(inSales)).Should(Equal(available))
		Expect(s.servers[1].Start(ctx())).To(Succeed())
		Eventually(s.summary).Should(Equal("2/2"))
		Expect(first.Unregister(ctx())).To(Equal(200))
		Eventually(func() string { return s.device(0, "alice") }).Should(Equal("Unavailable"))
		Eventually(f.now(inSales)).Should(Equal(available))
	})

	It("is for those alone to whom the cluster gives the right", Label("S4"), func() {
		s := newSite(newest, 1, nil)
		s.staffed()
		other := s.ns + "-other"
		Expect(k8s.Create(ctx(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: other}})).To(Succeed())
		viewer := token(s.ns, "wallboard", "roster-live-viewer")
		get := func(token, ns, query string) func() answer {
			return func() answer { return ask(http.MethodGet, s.live, staffPath(ns, query), token, "") }
		}
		code := func(of func() answer) func() int { return func() int { return of().code } }
		refuses := func(of func() answer, code int, what string) {
			GinkgoHelper()
			a := of()
			Expect(a.code).To(Equal(code), a.body)
			Expect(a.message()).To(ContainSubstring(what))
			Expect(a.body).NotTo(ContainSubstring("alice"))
		}

		By("the right token")
		Expect(get(viewer, s.ns, "")().code).To(Equal(200))

		By("none, one that is no token, one that is over, one signed by somebody else")
		refuses(get("", s.ns, ""), 401, "Authorization: Bearer")
		Expect(get("", s.ns, "")().header.Get("WWW-Authenticate")).To(Equal("Bearer"))
		refuses(get("nonsense", s.ns, ""), 401, "not valid")
		key := clusterKey()
		Expect(get(signed(key, viewer, time.Now()), s.ns, "")().code).To(Equal(200), "the same token, signed anew")
		refuses(get(signed(key, viewer, time.Now().Add(-2*time.Hour)), s.ns, ""), 401, "not valid")
		forger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		Expect(err).NotTo(HaveOccurred())
		refuses(get(signed(forger, viewer, time.Now()), s.ns, ""), 401, "not valid")

		By("another namespace, no right at all, a right to less")
		refuses(get(viewer, other, ""), 403, "may not get agents/live in namespace "+other)
		refuses(get(token(s.ns, "stranger"), s.ns, ""), 403, "may not get agents/live in namespace "+s.ns)
		refuses(get(token(s.ns, "shifts", "roster-editor", "roster-viewer"), s.ns, ""), 403, "may not")
		own := token(s.ns, "carol")
		Expect(k8s.Create(ctx(), &rbacv1.Role{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "own"},
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{"staff.roster.dev"}, Resources: []string{"agents/live"},
				ResourceNames: []string{"carol"}, Verbs: []string{"get"},
			}},
		})).To(Succeed())
		bind(s.ns, "carol", rbacv1.RoleRef{Kind: "Role", Name: "own"})
		Eventually(code(get(own, s.ns, "?agent=carol")), 15*time.Second).Should(Equal(200))
		Expect(get(own, s.ns, "?agent=carol")().body).NotTo(ContainSubstring("alice"))
		refuses(get(own, s.ns, ""), 403, "may not")
		refuses(get(own, s.ns, "?agent=bob"), 403, "for bob")
		refuses(get(own, s.ns, "?agent=carol&watch=1"), 403, "may not watch")

		By("a way that is not secure")
		request, err := http.NewRequestWithContext(ctx(), http.MethodGet, "http://"+s.live+staffPath(s.ns, ""), http.NoBody)
		Expect(err).NotTo(HaveOccurred())
		request.Header.Set("Authorization", "Bearer "+viewer)
		response, err := web.Do(request)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(response.Body.Close)
		Expect(response.StatusCode).To(Equal(http.StatusBadRequest))
		_, err = tls.Dial("tcp", s.live, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
		Expect(err).To(MatchError(ContainSubstring("protocol version")))

		By("writing")
		Expect(ask(http.MethodPost, s.live, staffPath(s.ns, ""), viewer, "{}").code).To(Equal(http.StatusMethodNotAllowed))

		By("a right that is taken, and an account that is")
		leaver := token(s.ns, "leaver", "roster-live-viewer")
		Expect(get(leaver, s.ns, "")().code).To(Equal(200))
		Expect(k8s.Delete(ctx(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "wallboard-roster-live-viewer"},
		})).To(Succeed())
		Expect(k8s.Delete(ctx(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: s.ns, Name: "leaver"}})).To(Succeed())
		Eventually(code(get(viewer, s.ns, "")), 12*time.Second, 100*time.Millisecond).Should(Equal(403))
		Eventually(code(get(leaver, s.ns, "")), 12*time.Second, 100*time.Millisecond).Should(Equal(401))
	})

	It("is served by a manager that stands by, which goes on when the leading one dies", Label("G1"), func() {
		s := newSite(several, 1, nil)
		s.staffed()
		viewer := token(s.ns, "wallboard", "roster-live-viewer")
		holder := func() string {
			lease := &coordinationv1.Lease{}
			_ = k8s.Get(ctx(), client.ObjectKey{Namespace: s.ns, Name: "roster.staff.roster.dev"}, lease)
			return ptr.Deref(lease.Spec.HolderIdentity, "")
		}
		s.flags = []string{"--leader-elect", "--leader-election-namespace", s.ns}
		s.stopManager()
		s.startManager()
		Eventually(holder).ShouldNot(BeEmpty())
		leader := holder()
		standby, address := s.launch()
		DeferCleanup(func() {
			_ = standby.Process.Kill()
			_ = standby.Wait()
		})
		list := func(address string) func() map[string]string {
			return func() map[string]string {
				rows, _ := staffAt(address, s.ns, viewer)
				told := map[string]string{}
				for i := range rows {
					rows[i].Since = time.Time{}
					text, _ := json.Marshal(rows[i])
					told[place(&rows[i])] = string(text)
				}
				return told
			}
		}
		shows := func(key, state string) {
			GinkgoHelper()
			for _, at := range []string{address, s.live} {
				Eventually(func() string {
					rows, _ := staffAt(at, s.ns, viewer)
					for i := range rows {
						if place(&rows[i]) == key {
							return look(&rows[i])
						}
					}
					return noRow
				}).Should(Equal(state))
			}
		}
		a, b := s.registered("alice"), s.registered("bob")
		a.Handle(phone.Ring())
		shows(inSupport, available)
		shows("sales/Voice/carol", notRegistered)
		Expect(list(address)()).To(Equal(list(s.live)()))

		By("a call, a pause of her own, and one that the leading manager writes")
		call := dialing(b, "600")
		in := comes(a)
		Expect(in.Answer()).To(Succeed())
		shows(inSupport, servingHere)
		shows(inSales, busyElsewhere)
		Expect(call.HangUp(ctx())).To(Succeed())
		s.panel(0).pause("support", "alice", true, "Lunch")
		shows(inSupport, "Orange: paused: Lunch")
		s.panel(0).pause("support", "alice", false, "")
		shows(inSupport, available)
		alice := s.agent("alice")
		s.edit(alice, func() {
			alice.Spec.Leaves = []v1alpha1.Leave{{StartTime: metav1.NewTime(time.Now().Add(-time.Minute)), Reason: v1alpha1.ReasonTraining}}
		})
		shows(inSupport, "Red: paused: Training")
		shows(inSales, "Red: paused: Training")
		s.edit(alice, func() { alice.Spec.Leaves = nil })
		shows(inSupport, available)
		Expect(list(address)()).To(Equal(list(s.live)()))
		Expect(holder()).To(Equal(leader))

		By("the leading manager dying, and a deactivation")
		s.stopManager()
		s.manager, s.live = standby, address
		died := time.Now()
		Expect(s.looks(viewer)).To(HaveKeyWithValue(inSupport, available), "it is served meanwhile")
		s.deactivate(alice)
		Eventually(registering(a), 30*time.Second, 250*time.Millisecond).Should(Equal(403))
		AddReportEntry("from the leading manager's end to the refusal", time.Since(died))
		Expect(holder()).NotTo(Equal(leader))
		Eventually(s.phase("alice")).Should(Equal(v1alpha1.PhaseDeactivated))
		Expect(s.agent("alice").Status.Deactivation.OfflineAt).NotTo(BeNil())
		Eventually(func() map[string]string { return s.looks(viewer) }).ShouldNot(HaveKey(inSupport))
		Expect(s.looks(viewer)).To(HaveKey("sales/Voice/carol"))
	})
})

var _ = Describe("A person's password", Label("S3"), func() {
	onTwo(func(kind kindOfPBX) {
		It("is changed by whoever knows the current one, under the rules of the centre", Label("C6"), func() {
			s := newSite(kind, 1, func(c *v1alpha1.ContactCenter) {
				c.Spec.PasswordPolicy = &v1alpha1.PasswordPolicy{
					MinimumLength: ptr.To[int32](12), Require: []v1alpha1.CharacterClass{v1alpha1.ClassDigit, v1alpha1.ClassUpper},
				}
			})
			// What a careless line would tell, it would tell at this level.
			s.flags = []string{"--log-level", "debug"}
			s.stopManager()
			s.startManager()
			const kept, foreign = "Kept-in-Git-2026", "Somebody-Else-2026"
			bob := person("bob", "1002")
			bob.Spec.Endpoint.PasswordSecretRef = &v1alpha1.SecretKeyReference{Name: "bob-phone", Key: "secret"}
			s.create(
				&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "bob-phone"}, StringData: map[string]string{"secret": kept}},
				&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "carol-sip"}, StringData: map[string]string{"password": foreign}},
				person("alice", "1001"), bob, person("carol", "1003"))
			s.ready("alice", "bob")
			portal := token(s.ns, "portal", "roster-password-changer")
			change := func(token, agent, current, next string) answer {
				GinkgoHelper()
				body, err := json.Marshal(map[string]string{"current": current, "new": next})
				Expect(err).NotTo(HaveOccurred())
				return ask(http.MethodPost, s.live, "/v1alpha1/namespaces/"+s.ns+"/agents/"+agent+"/password", token, string(body))
			}
			old, next, short, plain, wrong := s.password("alice"), "Quite-Another-2026", "Shrt-1", "no-digit-in-this-one", "Not-The-Password-1"
			before, after := s.phoneAt(0, "alice", old), s.phoneAt(0, "alice", next)
			s.register(before)
			Expect(registering(after)()).To(Equal(401))
			Eventually(func() int { return change(portal, "nobody", old, next).code }).Should(Equal(404), "the endpoint answers")

			By("those who may not")
			Expect(change("", "alice", old, next).code).To(Equal(401))
			Expect(change(token(s.ns, "wallboard", "roster-live-viewer"), "alice", old, next).code).To(Equal(403))

			By("passwords against the rules")
			a := change(portal, "alice", old, short)
			Expect(a.code).To(Equal(422))
			Expect(a.message()).To(ContainSubstring("shorter than 12 characters"))
			a = change(portal, "alice", old, plain)
			Expect(a.code).To(Equal(422))
			Expect(a.message()).To(And(ContainSubstring("no digit"), ContainSubstring("no upper-case letter")))
			Expect(s.password("alice")).To(Equal(old))

			By("a password that Git or somebody else keeps")
			a = change(portal, "bob", kept, next)
			Expect(a.code).To(Equal(409))
			Expect(a.message()).To(ContainSubstring("Secret bob-phone"))
			a = change(portal, "carol", foreign, next)
			Expect(a.code).To(Equal(409))
			Expect(a.message()).To(ContainSubstring("Secret carol-sip"))
			s.register(s.phoneAt(0, "bob", kept))

			By("the change")
			a = change(portal, "alice", old, next)
			Expect(a.code).To(Equal(200), a.body)
			changed := time.Now()
			Eventually(registering(after), moment).Should(Equal(200))
			Expect(time.Since(changed)).To(BeNumerically("<", moment))
			Expect(registering(before)()).To(Equal(401))
			Expect(s.password("alice")).To(Equal(next))
			Eventually(s.told("Agent", "alice")).Should(ContainElement(
				"PasswordChanged: system:serviceaccount:" + s.ns + ":portal changed the phone's password"))

			By("guessing")
			for range 4 {
				a = change(portal, "alice", wrong, "Third-Password-2026")
				Expect(a.code).To(Equal(403), a.body)
				Expect(a.message()).To(ContainSubstring("the current password is another one"))
			}
			a = change(portal, "alice", wrong, "Third-Password-2026")
			Expect(a.code).To(Equal(429), a.body)
			Expect(a.header.Get("Retry-After")).To(MatchRegexp("^([1-9]|[1-5][0-9]|60)$"))
			Expect(change(portal, "alice", next, "Third-Password-2026").code).To(Equal(429), "the right one does not help then")
			Expect(registering(after)()).To(Equal(200))

			By("what was written down")
			log, err := os.ReadFile(s.log.Name())
			Expect(err).NotTo(HaveOccurred())
			Expect(strings.Count(string(log), `"route":"password"`)).To(BeNumerically(">", 10), "requests are logged")
			texts := []string{string(log)}
			for _, name := range []string{"alice", "bob", "carol"} {
				texts = append(texts, s.told("Agent", name)()...)
				status, err := json.Marshal(s.agent(name))
				Expect(err).NotTo(HaveOccurred())
				texts = append(texts, string(status))
			}
			for i, secret := range []string{old, next, short, plain, wrong, "Third-Password-2026", kept, foreign, portal, s.servers[0].Password} {
				Expect(strings.Join(texts, "\n")).NotTo(ContainSubstring(secret), "secret %d", i)
			}
		})
	})
})

// dialing is a call that was begun.
func dialing(from *phone.Phone, number string) *phone.Call {
	GinkgoHelper()
	call, err := from.Dial(number)
	Expect(err).NotTo(HaveOccurred())
	return call
}

// comes is the next call that a phone rings for.
func comes(to *phone.Phone) *phone.Call {
	GinkgoHelper()
	in, err := to.Next(within(10 * time.Second))
	Expect(err).NotTo(HaveOccurred())
	happens(in.Ringing())
	return in
}

// clusterKey is the key that the API server signs accounts' tokens with.
func clusterKey() *ecdsa.PrivateKey {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(environment.ControlPlane.APIServer.CertDir, "sa-signer.key"))
	Expect(err).NotTo(HaveOccurred())
	block, _ := pem.Decode(text)
	Expect(block).NotTo(BeNil())
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	key, ok := parsed.(*ecdsa.PrivateKey)
	Expect(ok).To(BeTrue(), "%T", parsed)
	return key
}

// signed is an account's token as it would be had it been given out at a time, for an hour, signed with a key (ES256).
func signed(key *ecdsa.PrivateKey, token string, issued time.Time) string {
	GinkgoHelper()
	parts := strings.Split(token, ".")
	Expect(parts).To(HaveLen(3))
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	Expect(err).NotTo(HaveOccurred())
	claims := map[string]any{}
	Expect(json.Unmarshal(text, &claims)).To(Succeed())
	claims["iat"], claims["nbf"], claims["exp"] = issued.Unix(), issued.Unix(), issued.Add(time.Hour).Unix()
	text, err = json.Marshal(claims)
	Expect(err).NotTo(HaveOccurred())
	content := parts[0] + "." + base64.RawURLEncoding.EncodeToString(text)
	hash := sha256.Sum256([]byte(content))
	r, t, err := ecdsa.Sign(rand.Reader, key, hash[:])
	Expect(err).NotTo(HaveOccurred())
	signature := append(r.FillBytes(make([]byte, 32)), t.FillBytes(make([]byte, 32))...)
	return content + "." + base64.RawURLEncoding.EncodeToString(signature)
}
