// Package ami is a client of the Asterisk Manager Interface: many actions at once on one connection, lists as they
// come, and events in order with them.
package ami

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Config is how a server is reached.
type Config struct {
	// Address is host:port.
	Address string
	// Username and Secret never appear in errors, nor where the Config is printed.
	Username, Secret string
	// TLS is nil for a plain connection. Without a ServerName, the address's host is meant.
	TLS *tls.Config
	// Events are the classes of events wanted from the login on, such as "call,agent"; empty is off.
	Events string
	// OnEvent is told every event, in the order in which the server says them, and in order with the items of lists.
	// The message is valid until it returns. It may be called before Dial returns; while it runs nothing is read.
	OnEvent func(*Message)
	// Timeout bounds connecting and logging in, each time that the server keeps us waiting for an answer, and
	// each time that it does not take what is sent; 0 is five seconds.
	Timeout time.Duration
	// KeepAlive is the silence after which the server is asked whether it is still there; 0 is 15 seconds.
	KeepAlive time.Duration
	// Window is how many actions may be under way; more wait. 0 is 32.
	Window int
}

// Defaults of a Config.
const (
	DefaultTimeout   = 5 * time.Second
	DefaultKeepAlive = 15 * time.Second
	DefaultWindow    = 32
)

func (c Config) String() string { return c.Address }

// GoString is String.
func (c Config) GoString() string { return c.Address }

// banner is what a server says first, before its version.
const banner = "Asterisk Call Manager/"

// Dial connects and logs in.
func Dial(ctx context.Context, config Config) (*Conn, error) {
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	if config.KeepAlive <= 0 {
		config.KeepAlive = DefaultKeepAlive
	}
	if config.Window <= 0 {
		config.Window = DefaultWindow
	}
	if config.Events == "" {
		config.Events = "off"
	}
	login := NewAction("Login", "Username", config.Username, "Secret", config.Secret, "Events", config.Events)
	if err := login.Check(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, config.Timeout, ErrTimeout)
	defer cancel()
	c, err := open(ctx, config)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	if _, err := c.Do(ctx, login); err != nil {
		_ = c.Close()
		<-c.Done()
		if no := (*ResponseError)(nil); errors.As(err, &no) {
			return nil, fmt.Errorf("%w: %s", ErrLogin, no.Message)
		}
		return nil, err
	}
	return c, nil
}

// open connects as far as the banner.
func open(ctx context.Context, config Config) (*Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", config.Address)
	if err != nil {
		return nil, err
	}
	if config.TLS != nil {
		settings := config.TLS.Clone()
		if settings.ServerName == "" {
			settings.ServerName, _, _ = net.SplitHostPort(config.Address)
		}
		secure := tls.Client(conn, settings)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, err
		}
		conn = secure
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	c := &Conn{
		config: config,
		conn:   conn,
		reader: newReader(conn),
		prefix: rand.Text()[:10] + "-",
		calls:  map[uint64]*call{},
		window: make(chan struct{}, config.Window),
		done:   make(chan struct{}),
	}
	err = c.greet()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	c.heard, c.waiting = time.Now(), time.Now()
	go c.read()
	go c.guard()
	return c, nil
}

// greet reads the banner.
func (c *Conn) greet() error {
	whole, err := c.reader.line()
	if err != nil {
		// Whoever hangs up without a word may be an Asterisk that has too many visitors.
		return err
	}
	version, ok := strings.CutPrefix(string(c.reader.message.text), banner)
	if !whole || !ok {
		return ErrNotAMI
	}
	c.version = version
	return nil
}

// causeOf is err, or why ctx ended if that is why.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
