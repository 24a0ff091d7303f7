package endpoint

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/book"
	"roster.dev/roster/internal/live"
	"roster.dev/roster/internal/telephony"
)

var scheme = runtime.NewScheme()

func init() {
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
}

// desk is the reviewer of tests: each token is of the user of that name, who may do what is listed.
type desk struct {
	mu      sync.Mutex
	may     map[string][]Demand
	err     error
	reviews int
}

func (d *desk) allow(user string, demands ...Demand) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.may == nil {
		d.may = map[string][]Demand{}
	}
	d.may[user] = demands
}

func (d *desk) dismiss(user string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.may, user)
}

func (d *desk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.err = err
}

func (d *desk) asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reviews
}

func (d *desk) Authenticate(_ context.Context, token string) (User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reviews++
	if d.err != nil {
		return User{}, d.err
	}
	if _, known := d.may[token]; !known {
		return User{}, errUnauthenticated
	}
	return User{Username: token}, nil
}

func (d *desk) Authorize(_ context.Context, user User, demand Demand) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, may := range d.may[user.Username] {
		if may == demand || may.Agent == "" && may.Namespace == demand.Namespace &&
			may.Verb == demand.Verb && may.Subresource == demand.Subresource {
			return true, nil
		}
	}
	return false, nil
}

// rig is an endpoint with simulated sights.
type rig struct {
	*testing.T
	*GomegaWithT
	desk    *desk
	api     client.WithWatch
	events  *events.FakeRecorder
	staffed *live.Staff
	books   *book.Index
	server  *Server
	url     string
	client  *http.Client
	offset  atomic.Int64

	mu     sync.Mutex
	sights map[string]live.Sight
	// beforeUpdate may fail the update of a Secret.
	beforeUpdate func() error
}

// now is the endpoint's clock.
func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.offset.Load())) }

func (r *rig) later(d time.Duration) { r.offset.Add(int64(d)) }

var (
	mayRead   = Demand{Namespace: "acme", Verb: "get", Subresource: "live"}
	mayFollow = Demand{Namespace: "acme", Verb: "watch", Subresource: "live"}
)

func mayChange(agent string) Demand {
	return Demand{Namespace: "acme", Verb: "update", Subresource: "password", Agent: agent}
}

func newRig(t *testing.T, change func(*Options), objects ...client.Object) *rig {
	t.Helper()
	r := &rig{
		T: t, GomegaWithT: NewWithT(t), desk: &desk{}, events: events.NewFakeRecorder(100), sights: map[string]live.Sight{},
	}
	r.desk.allow("carla", mayRead, mayFollow)
	r.staffed, r.books = live.NewStaff(r.sight), book.New()
	r.books.Complete()
	r.api = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithInterceptorFuncs(interceptor.Funcs{
			Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
				if r.beforeUpdate != nil {
					if err := r.beforeUpdate(); err != nil {
						return err
					}
				}
				return c.Update(ctx, o, opts...)
			},
		}).Build()
	options := Options{
		Address: "127.0.0.1:0", Staff: r.staffed, Book: r.books, Client: r.api, Live: r.api, Recorder: r.events, Log: logr.Discard(),
		Reviewer: r.desk, Now: r.now,
	}
	if change != nil {
		change(&options)
	}
	server, err := New(options)
	r.Expect(err).NotTo(HaveOccurred())
	_ = server.listener.Close() // the test's own server serves
	r.server = server
	web := httptest.NewTLSServer(server.Handler())
	t.Cleanup(web.Close)
	r.url, r.client = web.URL, web.Client()
	return r
}

func (r *rig) sight(_, agent string) live.Sight {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sights[agent]
}

func (r *rig) see(agent string, device telephony.DeviceState) {
	r.mu.Lock()
	r.sights[agent] = live.Sight{Observed: true, Device: device}
	r.mu.Unlock()
	r.staffed.Moved("acme", agent)
}

// do makes a request and returns the code and the body.
func (r *rig) do(method, path, token, body string) (int, string) {
	r.Helper()
	response := r.send(context.Background(), method, path, token, body)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	r.Expect(err).NotTo(HaveOccurred())
	return response.StatusCode, string(text)
}

func (r *rig) send(ctx context.Context, method, path, token, body string) *http.Response {
	r.Helper()
	request, err := http.NewRequestWithContext(ctx, method, r.url+path, strings.NewReader(body))
	r.Expect(err).NotTo(HaveOccurred())
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := r.client.Do(request)
	r.Expect(err).NotTo(HaveOccurred())
	return response
}

// statusOf reads a Kubernetes status.
func statusOf(g *GomegaWithT, body string) *metav1.Status {
	s := &metav1.Status{}
	g.Expect(json.Unmarshal([]byte(body), s)).To(Succeed(), body)
	g.Expect(s.Kind).To(Equal("Status"))
	return s
}

// stream is what a follower is sent.
type stream struct {
	lines chan string
	close func()
}

func (r *rig) follow(path, token string) *stream {
	r.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	response := r.send(ctx, http.MethodGet, path, token, "")
	r.Expect(response.StatusCode).To(Equal(http.StatusOK))
	r.Expect(response.Header.Get("Content-Type")).To(Equal("text/event-stream"))
	return readStream(r.T, response, cancel)
}

func readStream(t *testing.T, response *http.Response, cancel func()) *stream {
	s := &stream{lines: make(chan string, 1024), close: cancel}
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(s.lines)
		defer response.Body.Close()
		reader := bufio.NewReader(response.Body)
		for {
			text, err := reader.ReadString('\n')
			if err != nil {
				return
			}
			select {
			case s.lines <- strings.TrimSuffix(text, "\n"):
			case <-t.Context().Done():
				return
			}
		}
	})
	t.Cleanup(func() { cancel(); reading.Wait() })
	return s
}

type sent struct {
	Type   string
	Object json.RawMessage
}

// next is the next event; one without a type where the stream ended.
func (s *stream) next(g *GomegaWithT, within time.Duration) (e sent, row live.Row) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	name := ""
	for {
		select {
		case <-timer.C:
			g.Expect("").To(Equal("an event"), "nothing came within %s", within)
		case text, open := <-s.lines:
			if !open {
				return sent{}, row
			}
			if rest, ok := strings.CutPrefix(text, "event: "); ok {
				name = rest
			}
			if rest, ok := strings.CutPrefix(text, "data: "); ok {
				g.Expect(json.Unmarshal([]byte(rest), &e)).To(Succeed())
				g.Expect(e.Type).To(Equal(name))
				_ = json.Unmarshal(e.Object, &row)
				return e, row
			}
		}
	}
}

type staffList struct {
	Kind, APIVersion string
	Items            []live.Row
}

func member(name string, queues ...string) *v1alpha1.Agent {
	a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Namespace: "acme", Name: name, UID: "uid-1"}}
	a.Status.Phase = v1alpha1.PhaseActive
	for _, q := range queues {
		a.Status.Queues = append(a.Status.Queues, v1alpha1.QueueMembership{
			Name: v1alpha1.ObjectName(q), Stars: 3, Channels: []v1alpha1.Channel{v1alpha1.ChannelVoice}, Via: []v1alpha1.Way{"Team/north"},
		})
	}
	return a
}

func made(agent *v1alpha1.Agent, password string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: agent.Namespace, Name: agent.Name + "-sip",
			Labels: map[string]string{v1alpha1.LabelAgent: agent.Name},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "Agent", Name: agent.Name, UID: agent.UID,
			}},
		},
		Data: map[string][]byte{"password": []byte(password)},
	}
}
