package asterisk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk/ami"
)

// Server is one Asterisk server, by its Manager Interface. Watch has a connection of its own, on which Read asks too; what
// acts goes over another, which is made when it is needed first and again after it broke.
type Server struct {
	config telephony.ServerConfig
	tls    *tls.Config

	// ctx ends when the server is closed.
	ctx    context.Context
	cancel context.CancelFunc
	// dialling is held by whoever makes the connection for actions.
	dialling chan struct{}

	mu      sync.Mutex
	actions *ami.Conn
	watch   *watch
}

var _ telephony.Server = (*Server)(nil)

// OpenServer makes the server. It connects to nothing: the first call does.
func OpenServer(config telephony.ServerConfig) (telephony.Server, error) {
	if config.Timeout <= 0 {
		config.Timeout = ami.DefaultTimeout
	}
	s := &Server{config: config, dialling: make(chan struct{}, 1)}
	if _, _, err := net.SplitHostPort(config.Address); err != nil {
		return nil, s.refused(nil, "its address is not host:port")
	}
	if strings.ContainsAny(config.Username+config.Password, "\r\n\x00") {
		return nil, s.refused(nil, "its username or password holds the end of a line")
	}
	if t := config.TLS; t != nil {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.SkipVerify, ServerName: t.ServerName} //nolint:gosec // the user says so
		if len(t.CA) > 0 {
			s.tls.RootCAs = x509.NewCertPool()
			if !s.tls.RootCAs.AppendCertsFromPEM(t.CA) {
				return nil, s.refused(nil, "its CA holds no PEM certificate")
			}
		}
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// String is the server's name: no credentials are printed with it.
func (s *Server) String() string { return s.config.Name }

// GoString is String.
func (s *Server) GoString() string { return s.config.Name }

// Refresh asks for each queue's summary: whatever is asked of one queue makes the server read its row and its members'
// rows, and theirs alone. A queue that is nowhere is no error: then the server has dropped it.
func (s *Server) Refresh(ctx context.Context, queues ...string) error {
	actions := make([]ami.Action, 0, len(queues))
	for _, queue := range queues {
		if queue == "" {
			return s.refused(nil, "a queue has no name") // that would mean all
		}
		actions = append(actions, ami.NewAction("QueueSummary", "Queue", queue))
	}
	return s.act(ctx, actions)
}

// HangUp implements telephony.Server. A channel that listens (ChanSpy) ends with the next sound of the call that it
// listens to, or with that call: until then there is nothing to hear, but the channel is there.
func (s *Server) HangUp(ctx context.Context, channels ...string) error {
	actions := make([]ami.Action, 0, len(channels))
	for _, channel := range channels {
		if channel == "" || strings.HasPrefix(channel, "/") {
			return s.refused(nil, "a channel's name is none") // between slashes it would be a pattern
		}
		actions = append(actions, ami.NewAction("Hangup", "Channel", channel))
	}
	return s.act(ctx, actions, "No such channel")
}

// RemoveMember implements telephony.Server.
func (s *Server) RemoveMember(ctx context.Context, queue, iface string) error {
	return s.act(ctx, []ami.Action{ami.NewAction("QueueRemove", "Queue", queue, "Interface", iface)},
		"Unable to remove interface: Not there", "Unable to remove interface from queue: No such queue")
}

// Ping implements telephony.Server.
func (s *Server) Ping(ctx context.Context) error {
	return s.act(ctx, []ami.Action{ami.NewAction("Ping")})
}

// Close implements telephony.Server.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.actions != nil {
		_ = s.actions.Close()
	}
	return nil
}

// act carries out actions, many at a time, and returns when all were answered, with the first failure. An answer
// in fine is none.
func (s *Server) act(ctx context.Context, actions []ami.Action, fine ...string) error {
	for _, a := range actions {
		if err := a.Check(); err != nil {
			return s.refused(err, "a name holds what cannot be sent to it")
		}
	}
	if len(actions) == 0 {
		return nil
	}
	conn, err := s.acting(ctx)
	if err != nil {
		return err
	}
	answers := make(chan error, len(actions))
	sent := 0
	for _, a := range actions {
		err = conn.Send(ctx, a, func(*ami.Message) {}, func(_ *ami.Message, err error) { answers <- err })
		if err != nil {
			break
		}
		sent++
	}
	first := err
	for range sent {
		select {
		case err = <-answers:
		case <-ctx.Done():
			return s.explain(ctx, context.Cause(ctx))
		}
		if err != nil && first == nil && !isFine(err, fine) {
			first = err
		}
	}
	return s.explain(ctx, first)
}

// acting is the connection for actions.
func (s *Server) acting(ctx context.Context) (*ami.Conn, error) {
	select {
	case s.dialling <- struct{}{}:
		defer func() { <-s.dialling }()
	case <-ctx.Done():
		return nil, s.explain(ctx, context.Cause(ctx))
	case <-s.ctx.Done():
		return nil, s.closed()
	}
	s.mu.Lock()
	conn := s.actions
	s.mu.Unlock()
	if conn != nil && conn.Err() == nil {
		return conn, nil
	}
	conn, err := s.connect(ctx, nil)
	if err == nil {
		if _, err = conn.Do(ctx, ami.NewAction("Events", "EventMask", "off")); err != nil {
			_ = conn.Close()
			err = s.explain(ctx, err)
		}
	}
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		_ = conn.Close()
		return nil, s.closed()
	}
	s.actions = conn
	return conn, nil
}
