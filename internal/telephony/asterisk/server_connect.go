package asterisk

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk/ami"
)

// What the account must be allowed; each right by an action that needs no other and that every Asterisk has from its
// start.
var serverRights = []struct{ action, right string }{
	{"Filter", "system"},
	{"Redirect", "call"},
}

// serverRightsText is what to write into manager.conf.
const serverRightsText = "give it read = agent,call,system and write = agent,call,system"

// connect connects and returns when the server has started and the account is known to be allowed what is needed.
// Of events, only those of the class system are on then.
func (s *Server) connect(ctx context.Context, onEvent func(*ami.Message)) (_ *ami.Conn, err error) {
	ctx, stop := s.during(ctx)
	defer stop()
	booted := make(chan struct{})
	boot := sync.OnceFunc(func() { close(booted) })
	conn, err := ami.Dial(ctx, ami.Config{
		Address: s.config.Address, Username: s.config.Username, Secret: s.config.Password, TLS: s.tls,
		Events: "system", Timeout: s.config.Timeout,
		OnEvent: func(m *ami.Message) {
			if m.Is("Event", "FullyBooted") {
				boot()
			} else if onEvent != nil {
				onEvent(m)
			}
		},
	})
	if err != nil {
		return nil, s.explain(ctx, err)
	}
	defer func() {
		if err != nil {
			_ = conn.Close()
		}
	}()
	deadline := time.NewTimer(s.config.Timeout)
	defer deadline.Stop()
	for {
		// A server that has started says so before it answers what is asked after the login.
		started := isClosed(booted)
		commands, err := conn.Do(ctx, ami.NewAction("ListCommands"))
		if err != nil {
			return nil, s.explain(ctx, err)
		}
		err = s.permits(commands)
		switch {
		case isClosed(booted) && (err == nil || started):
			return conn, err
		case isClosed(booted):
			continue // it started just now, and knows more than it said
		case err != nil && !errors.Is(err, errUnfinished):
			return nil, err
		}
		select {
		case <-booted:
		case <-deadline.C:
			if err == nil {
				return nil, s.refused(nil, "it does not say that it has started: the account lacks read = system: %s", serverRightsText)
			}
			return nil, s.unreachable(nil, "it has not finished starting")
		case <-conn.Done():
			return nil, s.explain(ctx, conn.Err())
		case <-ctx.Done():
			return nil, s.explain(ctx, context.Cause(ctx))
		}
	}
}

// errUnfinished is the cause of an error that may mend itself while a server starts.
var errUnfinished = errors.New("it may not have finished starting")

// permits says what is missing in the actions that the account may carry out.
func (s *Server) permits(commands *ami.Message) error {
	lacks := func(action string) bool { _, ok := commands.Lookup(action); return !ok }
	for _, r := range serverRights {
		if lacks(r.action) {
			return s.refused(nil, "the account lacks the right to %s: %s", r.right, serverRightsText)
		}
	}
	switch {
	case lacks("QueueSummary"):
		return s.refused(errUnfinished, "its module app_queue is not loaded")
	case lacks("DeviceStateList"):
		return s.refused(errUnfinished, "its module res_manager_devicestate is not loaded")
	case lacks("QueueRemove"):
		return s.refused(errUnfinished, "the account lacks the right to agent: %s", serverRightsText)
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// during is ctx, ended with the server too.
func (s *Server) during(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(s.ctx, func() { cancel(ami.ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

func (s *Server) refused(cause error, format string, args ...any) error {
	return telephony.Errorf(telephony.Refused, cause, "server %s refused: "+format, append([]any{s.config.Name}, args...)...)
}

func (s *Server) unreachable(cause error, reason string) error {
	return telephony.Errorf(telephony.Unreachable, cause, "server %s cannot be reached: %s", s.config.Name, reason)
}

func (s *Server) closed() error { return s.unreachable(ami.ErrClosed, "it was closed") }

// explain makes an error of a connection one of the port's, with a text that does not vary.
func (s *Server) explain(ctx context.Context, err error) error {
	var known *telephony.Error
	var no *ami.ResponseError
	var unknownAuthority x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	var alert tls.AlertError
	var dns *net.DNSError
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case s.ctx.Err() != nil:
		return s.closed()
	case errors.Is(err, ami.ErrLogin):
		return s.refused(err, "the username or the password is wrong, or the account may not come from here")
	case errors.Is(err, ami.ErrDenied):
		return s.refused(err, "the account lacks a right: %s", serverRightsText)
	case errors.As(err, &no):
		return s.refused(err, "%s", no)
	case errors.Is(err, ami.ErrNotAMI):
		return s.refused(err, "it is no Asterisk Manager Interface")
	case errors.As(err, &unknownAuthority):
		return s.refused(err, "its certificate is signed by nobody who is trusted")
	case errors.As(err, &hostname):
		return s.refused(err, "its certificate is for another name")
	case errors.As(err, &invalid), errors.As(err, &verification):
		return s.refused(err, "its certificate is not valid")
	case errors.As(err, &record):
		return s.refused(err, "it does not speak TLS")
	case errors.As(err, &alert):
		return s.refused(err, "TLS: %s", alert)
	case ctx.Err() != nil || isTimeout(err) || errors.Is(err, ami.ErrTimeout):
		return s.unreachable(err, "no answer in time")
	case errors.As(err, &dns):
		return s.unreachable(err, "its address is not known")
	case errors.Is(err, syscall.ECONNREFUSED):
		return s.unreachable(err, "connection refused")
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return s.unreachable(err, "no way leads to it")
	case errors.Is(err, ami.ErrIncomplete):
		return s.unreachable(err, "it broke off an answer")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, ami.ErrClosed), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return s.unreachable(err, "the connection broke")
	}
	return s.unreachable(err, "the network failed")
}

// isFine says whether err is an answer that says what was wanted.
func isFine(err error, fine []string) bool {
	var no *ami.ResponseError
	return errors.As(err, &no) && slices.Contains(fine, no.Message)
}
