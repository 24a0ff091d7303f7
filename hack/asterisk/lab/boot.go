package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"time"
)

// awaitBoot returns when the server's manager interface says that it is fully booted.
func (s *Server) awaitBoot(ctx context.Context, p *process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case <-p.done:
			cancel(fmt.Errorf("it ended: %w", p.err))
		case <-ctx.Done():
		}
	}()
	for {
		err := s.booted(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// booted logs in and waits for the event that says so.
func (s *Server) booted(ctx context.Context) error {
	m, err := s.login(ctx)
	if err != nil {
		return err
	}
	defer m.close()
	for {
		message, err := m.next()
		if err != nil {
			return err
		}
		if message.Get("Event") == "FullyBooted" {
			return nil
		}
	}
}

// manager is a connection to a manager interface, as plain as it gets.
type manager struct {
	conn   net.Conn
	reader *textproto.Reader
	forget func() bool
}

// login connects. The connection ends with ctx.
func (s *Server) login(ctx context.Context) (*manager, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.AMIAddress)
	if err != nil {
		return nil, err
	}
	m := &manager{conn: conn, reader: textproto.NewReader(bufio.NewReader(conn))}
	m.forget = context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := m.greet(s); err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

func (m *manager) greet(s *Server) error {
	if _, err := m.reader.ReadLine(); err != nil { // the banner
		return err
	}
	if err := m.send("Login", "Username", s.Username, "Secret", s.Password); err != nil {
		return err
	}
	message, err := m.next()
	if err != nil {
		return err
	}
	if message.Get("Response") != "Success" {
		return errors.New("the manager interface refuses the lab: " + message.Get("Message"))
	}
	return nil
}

// send sends an action with its fields, names and values in turn.
func (m *manager) send(action string, fields ...string) error {
	text := "Action: " + action + "\r\n"
	for i := 0; i+1 < len(fields); i += 2 {
		text += fields[i] + ": " + fields[i+1] + "\r\n"
	}
	_, err := m.conn.Write([]byte(text + "\r\n"))
	return err
}

// next is the next message.
func (m *manager) next() (textproto.MIMEHeader, error) { return m.reader.ReadMIMEHeader() }

func (m *manager) close() {
	m.forget()
	_ = m.conn.Close()
}
