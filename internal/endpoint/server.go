// Package endpoint is the manager's own HTTPS endpoint: the staff list, client books and agendas as they are now, and
// the change of one's own phone password. Callers show a token of the cluster, and their rights are those that RBAC gives them.
//
// Every replica serves it, from its own memory.
package endpoint

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/internal/book"
	"roster.dev/roster/internal/live"
)

const (
	headerTimeout = 10 * time.Second
	// requestTimeout bounds the reading of a request and each piece of writing to a client.
	requestTimeout  = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	// maximumHeader leaves room for a long token.
	maximumHeader = 64 << 10
	maximumBody   = 4 << 10
)

// Options are the endpoint's settings.
type Options struct {
	// Address to listen on, such as :8443.
	Address string
	// CertFile and KeyFile are the server's certificate, read again when they change. Without them it makes one for
	// itself.
	CertFile, KeyFile string
	// Staff is the staff list.
	Staff *live.Staff
	// Synced says whether Staff has been told of everybody since the start; nil: it has.
	Synced func() bool
	// Book is the client books and agendas.
	Book *book.Index
	// Client reads Agents and ContactCenters, from a cache where it has one, and writes Secrets and reviews.
	Client client.Client
	// Live reads Secrets past any cache.
	Live client.Reader
	// Recorder tells events.
	Recorder events.EventRecorder
	Log      logr.Logger

	// Reviewer replaces the API server's reviews; nil: Client is asked.
	Reviewer Reviewer
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Heartbeat and Review are how often a follower is sent a sign of life, and their token reviewed again; 0: every
	// 15 seconds, and every minute.
	Heartbeat, Review time.Duration
}

// Server is the endpoint. It is a Runnable of a manager.
type Server struct {
	options   Options
	access    *access
	byAgent   *limiter
	byCaller  *limiter
	followers chan struct{}
	listener  net.Listener
}

// New listens on the address and serves nothing until Start: who gives a wrong address learns it at once.
func New(options Options) (*Server, error) {
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Reviewer == nil {
		options.Reviewer = kubernetesReviewer{options.Client}
	}
	if options.Heartbeat == 0 {
		options.Heartbeat = 15 * time.Second
	}
	if options.Review == 0 {
		options.Review = time.Minute
	}
	if (options.CertFile == "") != (options.KeyFile == "") {
		return nil, errors.New("live endpoint: give both of certificate and key, or none")
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", options.Address)
	if err != nil {
		return nil, fmt.Errorf("live endpoint: %w", err)
	}
	return &Server{
		options: options, access: newAccess(options.Reviewer, options.Now, options.Log),
		byAgent: newLimiter(attemptsByAgent, options.Now), byCaller: newLimiter(attemptsByCaller, options.Now),
		followers: make(chan struct{}, maximumFollowers), listener: listener,
	}, nil
}

// Addr is where the endpoint listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// NeedLeaderElection is false: every replica serves.
func (s *Server) NeedLeaderElection() bool { return false }

// Start serves until ctx ends.
func (s *Server) Start(ctx context.Context) error {
	defer func() { _ = s.listener.Close() }()
	config, err := s.tls(ctx)
	if err != nil {
		return fmt.Errorf("live endpoint: %w", err)
	}
	server := &http.Server{
		Handler: s.Handler(), TLSConfig: config,
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maximumHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    stdlog.New(handshakes{s.options.Log}, "", 0),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		// Those who follow end with ctx; the others may finish.
		last, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		_ = server.Shutdown(last)
	}()
	s.options.Log.Info("serving the live endpoint", "address", s.Addr().String())
	if err := server.ServeTLS(s.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("live endpoint: %w", err)
	}
	<-stopped
	return nil
}

func (s *Server) tls(ctx context.Context) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.options.CertFile == "" {
		certificate, err := selfSigned(s.options.Now(), ownNames()...)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{*certificate}
		return config, nil
	}
	watcher, err := certwatcher.New(s.options.CertFile, s.options.KeyFile)
	if err != nil {
		return nil, err
	}
	go func() {
		if err := watcher.Start(ctx); err != nil {
			s.options.Log.Error(err, "the certificate is not read again when it changes")
		}
	}()
	config.GetCertificate = watcher.GetCertificate
	return config, nil
}

// handshakes logs what net/http complains about, such as failed handshakes. None of it is anything to act on.
type handshakes struct{ log logr.Logger }

func (h handshakes) Write(line []byte) (int, error) {
	h.log.V(1).Info(strings.TrimSpace(string(line)))
	return len(line), nil
}

// handler answers a request, or returns why it did not.
type handler func(http.ResponseWriter, *http.Request) *failure

// Handler serves every route.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern, route, method string, h handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { s.answer(w, r, route, method, h) })
	}
	handle("/v1alpha1/namespaces/{namespace}/staff", "staff", http.MethodGet, serve(s, s.staff))
	handle("/v1alpha1/namespaces/{namespace}/book", "book", http.MethodGet, serve(s, s.book))
	handle("/v1alpha1/namespaces/{namespace}/agenda", "agenda", http.MethodGet, serve(s, s.agenda))
	handle("/v1alpha1/namespaces/{namespace}/agents/{agent}/password", "password", http.MethodPost, s.password)
	handle("/", "other", "", func(http.ResponseWriter, *http.Request) *failure {
		return notFound("there are, below /v1alpha1/namespaces/{namespace}: staff, book, agenda, agents/{agent}/password")
	})
	return mux
}

// answer serves one request and counts it.
func (s *Server) answer(w http.ResponseWriter, r *http.Request, route, method string, h handler) {
	began := s.options.Now()
	answer := &answer{ResponseWriter: w, code: http.StatusOK}
	deadlines := http.NewResponseController(w)
	// Wall clock time, whatever the clock of the options tells.
	_ = deadlines.SetReadDeadline(time.Now().Add(requestTimeout))
	_ = deadlines.SetWriteDeadline(time.Now().Add(requestTimeout))
	answer.Header().Set("Cache-Control", "no-store")
	answer.Header().Set("X-Content-Type-Options", "nosniff")
	var f *failure
	switch {
	case r.TLS == nil:
		f = forbidden("use https")
	case method != "" && r.Method != method:
		answer.Header().Set("Allow", method)
		f = &failure{code: http.StatusMethodNotAllowed, reason: "MethodNotAllowed", message: "use " + method}
	case method != "" && !validNames(r):
		f = notFound("there is no namespace or agent of such a name")
	default:
		f = h(answer, r)
	}
	if f != nil {
		f.write(answer)
	}
	requests.WithLabelValues(route, strconv.Itoa(answer.code)).Inc()
	s.options.Log.V(1).Info("answered", "route", route, "namespace", r.PathValue("namespace"), "code", answer.code,
		"remote", r.RemoteAddr, "took", s.options.Now().Sub(began).String())
}

func validNames(r *http.Request) bool {
	for _, name := range []string{r.PathValue("namespace"), r.PathValue("agent")} {
		if name != "" && len(utilvalidation.IsDNS1123Label(name)) > 0 {
			return false
		}
	}
	return true
}

// answer knows what was answered.
type answer struct {
	http.ResponseWriter
	code int
}

// WriteHeader notes the code.
func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap lets a ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
