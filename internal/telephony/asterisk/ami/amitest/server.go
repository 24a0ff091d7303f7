// Package amitest is a Manager Interface without an Asterisk behind it, for tests: it answers as it is told, and can be
// slow, silent, half dead, or gone.
package amitest

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Username and Secret are the credentials that a Server takes.
const (
	Username = "roster"
	Secret   = "s3cret/of=roster"
)

// Banner is a recent Asterisk's first line.
const Banner = "Asterisk Call Manager/11.0.0"

// Server is a Manager Interface on a loopback address.
type Server struct {
	mu       sync.Mutex
	address  string
	tls      *tls.Config
	listener net.Listener
	sessions map[*Session]bool
	handlers map[string]func(*Request)
	asked    []Asked
	changed  chan struct{}
	running  sync.WaitGroup
	frozen   chan struct{} // closed when it thaws
	banner   string
}

// Asked is an action that a Server was asked, in the order of arrival.
type Asked struct {
	Action string
	Header textproto.MIMEHeader
}

// Session is a client's connection.
type Session struct {
	server  *Server
	conn    net.Conn
	writing sync.Mutex

	mu     sync.Mutex
	events bool
}

// Request is an action of a client's, to be answered.
type Request struct {
	*Session
	// Header is the action's fields; Asterisk's own keys are in textproto's canonical form here.
	Header textproto.MIMEHeader
}

// Option changes a Server before it starts.
type Option func(*Server)

// WithTLS makes the server speak TLS.
func WithTLS(config *tls.Config) Option { return func(s *Server) { s.tls = config } }

// WithBanner makes the server greet with another line, which ends as the text ends.
func WithBanner(text string) Option { return func(s *Server) { s.banner = text } }

// Start starts a server that knows Login, Logoff, Events, Filter, Ping and what Handle teaches it. It ends with the test.
func Start(t testing.TB, options ...Option) *Server {
	t.Helper()
	s := &Server{
		sessions: map[*Session]bool{},
		handlers: map[string]func(*Request){},
		changed:  make(chan struct{}),
		banner:   Banner + "\r\n",
	}
	s.Handle("Login", Login)
	s.Handle("Logoff", func(r *Request) { r.Respond("Goodbye", "Message", "Thanks for all the fish."); r.Drop() })
	s.Handle("Events", func(r *Request) {
		on := r.SetEvents(r.Get("EventMask"))
		r.Respond("Success", "Events", map[bool]string{true: "On", false: "Off"}[on])
	})
	s.Handle("Filter", func(r *Request) { r.Respond("Success", "Message", "Success") })
	s.Handle("Ping", func(r *Request) { r.Respond("Success", "Ping", "Pong", "Timestamp", "1795321731.102023") })
	for _, option := range options {
		option(s)
	}
	s.address = "127.0.0.1:0"
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Login takes Username and Secret, and says FullyBooted to those who want events about the system.
func Login(r *Request) {
	if r.Get("Username") != Username || r.Get("Secret") != Secret {
		r.Error("Authentication failed")
		return
	}
	on := r.SetEvents(r.Get("Events"))
	r.Respond("Success", "Message", "Authentication accepted")
	if on {
		r.Event("FullyBooted", "Privilege", "system,all", "Status", "Fully Booted")
	}
}

// Address is host:port.
func (s *Server) Address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.address
}

// Handle teaches the server an action, in place of what it did. Actions of one connection are handled one after another.
func (s *Server) Handle(action string, handler func(*Request)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handlers[action] = handler
}

func (s *Server) listen() error {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", s.address)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener, s.address = l, l.Addr().String()
	s.running.Go(func() { s.accept(l) })
	return nil
}

func (s *Server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if s.tls != nil {
			conn = tls.Server(conn, s.tls)
		}
		session := &Session{server: s, conn: conn}
		s.mu.Lock()
		s.sessions[session] = true
		stopped := s.listener != l
		s.mu.Unlock()
		if stopped {
			session.Drop()
		}
		s.running.Go(session.serve)
	}
}

// Drop ends every connection at once; new ones are taken.
func (s *Server) Drop() {
	for _, session := range s.all() {
		session.Drop()
	}
}

// Stop ends every connection and takes no new ones.
func (s *Server) Stop() {
	s.mu.Lock()
	l := s.listener
	s.listener = nil
	s.mu.Unlock()
	if l == nil {
		return
	}
	_ = l.Close()
	s.Thaw()
	s.Drop()
	s.running.Wait()
}

// Restart starts a server that was stopped again, at the same address.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	if err := s.listen(); err != nil {
		t.Fatal(err)
	}
}

// Freeze makes the server read and say nothing any more, on new connections too, until Thaw.
func (s *Server) Freeze() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen == nil {
		s.frozen = make(chan struct{})
	}
}

// Thaw ends a Freeze.
func (s *Server) Thaw() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frozen != nil {
		close(s.frozen)
		s.frozen = nil
	}
}

// warm waits while the server is frozen.
func (s *Server) warm() {
	s.mu.Lock()
	frozen := s.frozen
	s.mu.Unlock()
	if frozen != nil {
		<-frozen
	}
}

func (s *Server) all() []*Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*Session
	for session := range s.sessions {
		all = append(all, session)
	}
	return all
}

// Connections is how many clients are connected.
func (s *Server) Connections() int { return len(s.all()) }

// Emit says an event to every client that wants events.
func (s *Server) Emit(event string, keysAndValues ...string) {
	s.EmitText(Text(append([]string{"Event", event}, keysAndValues...)...))
}

// EmitText says a text, such as a recorded one, to every client that wants events.
func (s *Server) EmitText(text string) {
	for _, session := range s.all() {
		session.mu.Lock()
		on := session.events
		session.mu.Unlock()
		if on {
			session.Raw(text)
		}
	}
}

// Asked is every action of a name so far, all where the name is empty.
func (s *Server) Asked(action string) []Asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.asked), func(a Asked) bool { return action != "" && a.Action != action })
}

// Await waits until n actions of a name were asked.
func (s *Server) Await(ctx context.Context, action string, n int) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if have := len(s.Asked(action)); have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s was asked %d times of %d", action, len(s.Asked(action)), n)
		}
	}
}

func (session *Session) serve() {
	s := session.server
	defer func() {
		session.Drop()
		s.mu.Lock()
		delete(s.sessions, session)
		s.mu.Unlock()
	}()
	s.warm()
	session.Raw(s.banner)
	in := textproto.NewReader(bufio.NewReader(session.conn))
	for {
		header, err := in.ReadMIMEHeader()
		if err != nil {
			return
		}
		s.warm()
		name := header.Get("Action")
		s.mu.Lock()
		s.asked = append(s.asked, Asked{name, header})
		close(s.changed)
		s.changed = make(chan struct{})
		handler := s.handlers[name]
		s.mu.Unlock()
		r := &Request{session, header}
		if handler == nil {
			r.Error("Invalid/unknown command: " + name + ". Use Action: ListCommands to show available commands.")
			continue
		}
		handler(r)
	}
}

// Drop ends the connection.
func (session *Session) Drop() { _ = session.conn.Close() }

// SetEvents sets a mask of events and says whether any are wanted.
func (session *Session) SetEvents(mask string) bool {
	session.mu.Lock()
	defer session.mu.Unlock()
	session.events = mask != "" && mask != "off"
	return session.events
}

// Raw says bytes as they are.
func (session *Session) Raw(text string) {
	session.server.warm()
	session.writing.Lock()
	defer session.writing.Unlock()
	_, _ = io.WriteString(session.conn, text)
}

// Event says an event to this client.
func (session *Session) Event(event string, keysAndValues ...string) {
	session.Raw(Text(append([]string{"Event", event}, keysAndValues...)...))
}

// Text is a message of keys and values in turn.
func Text(keysAndValues ...string) string {
	var b strings.Builder
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		fmt.Fprintf(&b, "%s: %s\r\n", keysAndValues[i], keysAndValues[i+1])
	}
	return b.String() + "\r\n"
}

// Get is a field of the action.
func (r *Request) Get(key string) string { return r.Header.Get(key) }

// ID is the action's ActionID.
func (r *Request) ID() string { return r.Header.Get("ActionID") }

// Respond answers the action.
func (r *Request) Respond(response string, keysAndValues ...string) {
	r.Raw(Text(append([]string{"Response", response, "ActionID", r.ID()}, keysAndValues...)...))
}

// Error answers no.
func (r *Request) Error(message string) { r.Respond("Error", "Message", message) }

// List answers with a list of messages, each of keys and values in turn, and its end.
func (r *Request) List(complete string, items ...[]string) {
	r.Respond("Success", "EventList", "start", "Message", "It will follow")
	for _, item := range items {
		r.Raw(Text(append(slices.Clone(item), "ActionID", r.ID())...))
	}
	r.Event(complete, "ActionID", r.ID(), "EventList", "Complete", "ListItems", fmt.Sprint(len(items)))
}
