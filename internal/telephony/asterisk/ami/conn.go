package ami

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Conn is a connection that is logged in. All methods are safe for concurrent use.
type Conn struct {
	config  Config
	conn    net.Conn
	reader  *reader
	version string
	// prefix begins the ActionIDs of this connection: an event may carry another client's.
	prefix string
	window chan struct{}
	done   chan struct{}

	writing sync.Mutex

	mu    sync.Mutex
	next  uint64
	calls map[uint64]*call
	cause error
	// heard is when the server said something last, and waiting since when its next answer is awaited.
	heard, waiting time.Time
}

// call is an action under way.
type call struct {
	action Action
	item   func(*Message)
	done   func(*Message, error)
	// items counts those of a list that has begun.
	list  bool
	items int
}

// String is the server's address: no credentials are printed with it.
func (c *Conn) String() string { return c.config.Address }

// GoString is String.
func (c *Conn) GoString() string { return c.config.Address }

// Version is that of the server's Manager Interface.
func (c *Conn) Version() string { return c.version }

// Done is closed when the connection is over and nothing will be told any more.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err is why the connection is over, nil while it is not.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Close ends the connection. Actions under way fail with ErrClosed.
func (c *Conn) Close() error {
	c.fail(ErrClosed)
	return nil
}

// Do carries out an action and returns its answer. When ctx ends first, the connection goes on without it.
func (c *Conn) Do(ctx context.Context, action Action) (*Message, error) {
	type outcome struct {
		answer *Message
		err    error
	}
	answered := make(chan outcome, 1)
	err := c.Send(ctx, action, nil, func(m *Message, err error) {
		if m != nil {
			m = m.clone()
		}
		answered <- outcome{m, err}
	})
	if err != nil {
		return nil, err
	}
	select {
	case o := <-answered:
		return o.answer, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// List carries out an action that is answered with a list, and returns at its end. item is called for each item,
// never after List has returned.
func (c *Conn) List(ctx context.Context, action Action, item func(*Message)) error {
	var mu sync.Mutex
	left := false
	answered := make(chan error, 1)
	err := c.Send(ctx, action, func(m *Message) {
		mu.Lock()
		defer mu.Unlock()
		if !left {
			item(m)
		}
	}, func(_ *Message, err error) { answered <- err })
	if err != nil {
		return err
	}
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		mu.Lock()
		defer mu.Unlock()
		left = true
		return context.Cause(ctx)
	}
}

// Send sends an action and returns when it is under way; it waits, as long as ctx lets it, while too many are. item is
// called for each item of a list, and then done, once, with the answer or what ended a list, or the failure.
// Both may be nil. They are called as OnEvent is, from the connection's own goroutine, in the server's order:
// they must not wait for an answer themselves. Where Send fails neither is called.
func (c *Conn) Send(ctx context.Context, action Action, item func(*Message), done func(*Message, error)) error {
	if err := action.Check(); err != nil {
		return err
	}
	select {
	case c.window <- struct{}{}:
	case <-c.done:
		return c.Err()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return c.send(&call{action: action, item: item, done: done})
}

// send sends a call that has its place in the window.
func (c *Conn) send(call *call) error {
	c.mu.Lock()
	if c.cause != nil {
		defer c.mu.Unlock()
		<-c.window
		return c.cause
	}
	c.next++
	id := c.next
	if len(c.calls) == 0 {
		c.waiting = time.Now()
	}
	c.calls[id] = call
	c.mu.Unlock()

	text := call.action.encode(c.prefix + strconv.FormatUint(id, 10))
	c.writing.Lock()
	_ = c.conn.SetWriteDeadline(time.Now().Add(c.config.Timeout))
	_, err := c.conn.Write(text)
	c.writing.Unlock()
	if err == nil {
		return nil
	}
	c.fail(err)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[id] != call {
		return nil // it was told already
	}
	delete(c.calls, id)
	<-c.window
	return c.cause
}

// fail ends the connection for a cause. The first cause counts.
func (c *Conn) fail(cause error) {
	if timeout := net.Error(nil); errors.As(cause, &timeout) && timeout.Timeout() {
		cause = ErrTimeout
	}
	c.mu.Lock()
	if c.cause == nil {
		c.cause = cause
	}
	c.mu.Unlock()
	_ = c.conn.Close()
}

// read reads until the connection ends, and then fails what is under way.
func (c *Conn) read() {
	defer close(c.done)
	for {
		m, err := c.reader.read()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			c.fail(err)
			break
		}
		c.take(m)
	}
	c.mu.Lock()
	calls, cause := c.calls, c.cause
	c.calls = nil
	c.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(calls)) {
		c.finish(calls[id], nil, cause)
	}
}

// take gives a message to whom it is for.
func (c *Conn) take(m *Message) {
	value, _ := m.Lookup("ActionID")
	number, own := bytes.CutPrefix(value, []byte(c.prefix))
	if !own {
		c.mu.Lock()
		c.heard = time.Now()
		c.mu.Unlock()
		if _, ok := m.Lookup("Event"); ok && c.config.OnEvent != nil {
			c.config.OnEvent(m)
		}
		return
	}
	id, _ := strconv.ParseUint(string(number), 10, 64)
	c.mu.Lock()
	c.heard = time.Now()
	call := c.calls[id]
	if call == nil {
		c.mu.Unlock()
		return // more words to what has been answered
	}
	c.waiting = c.heard
	c.mu.Unlock()

	over, err := call.take(m, c.redact)
	if !over {
		return
	}
	c.mu.Lock()
	delete(c.calls, id)
	c.mu.Unlock()
	c.finish(call, m, err)
}

// take takes a word of the server's and says whether it is the last one, and how it went.
func (call *call) take(m *Message, redact func(string) string) (over bool, err error) {
	if response, ok := m.Lookup("Response"); ok && !call.list {
		switch {
		case string(response) == "Error":
			return true, newResponseError(call.action.name, m.Get("Message"), redact)
		case call.item != nil && listMark(m, "start"):
			call.list = true
			return false, nil
		}
		return true, nil
	}
	if !call.list {
		return false, nil
	}
	switch {
	case listMark(m, "Complete"):
		if items, ok := m.Lookup("ListItems"); ok && string(items) != strconv.Itoa(call.items) {
			return true, fmt.Errorf("%s: %w: %d items came of %s", call.action, ErrIncomplete, call.items, short(string(items)))
		}
		return true, nil
	case listMark(m, "Cancelled"):
		return true, fmt.Errorf("%s: %w: the server cancelled it", call.action, ErrIncomplete)
	}
	call.items++
	call.item(m)
	return false, nil
}

// listMark says whether a message begins or ends a list.
func listMark(m *Message, mark string) bool {
	value, ok := m.Lookup("EventList")
	return ok && strings.EqualFold(string(value), mark)
}

// finish tells a call's end, and makes room for another.
func (c *Conn) finish(call *call, m *Message, err error) {
	<-c.window
	if call.done != nil {
		call.done(m, err)
	}
}

// guard ends a connection whose peer is dead.
func (c *Conn) guard() {
	ticker := time.NewTicker(min(c.config.Timeout, c.config.KeepAlive) / 4)
	defer ticker.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		busy, waited, silence := len(c.calls) > 0, time.Since(c.waiting), time.Since(c.heard)
		c.mu.Unlock()
		switch {
		case busy && waited > c.config.Timeout:
			c.fail(ErrTimeout)
			return
		case !busy && silence > c.config.KeepAlive:
			select {
			case c.window <- struct{}{}:
				_ = c.send(&call{action: NewAction("Ping")})
			default: // somebody was faster
			}
		}
	}
}

// redact takes the credentials out of what a server said, and what is too much of it.
func (c *Conn) redact(text string) string {
	for _, secret := range []string{c.config.Secret, c.config.Username} {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "…")
		}
	}
	return short(text)
}

// short is a text of bearable length on one line.
func short(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?")))
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return text
}
