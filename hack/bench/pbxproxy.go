package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"sync"
	"time"
)

// proxy is a way to a server's Manager Interface that sees what passes, and when.
type proxy struct {
	target   string
	listener net.Listener

	mu      sync.Mutex
	shut    bool
	conns   map[net.Conn]struct{}
	viewers map[*viewer]struct{}
	tally   traffic
	// waiting are the IDs of actions that are not answered yet, and active is when something was asked or answered
	// last. Whether the server is still there is no such question.
	waiting map[net.Conn]map[string]struct{}
	active  time.Time
}

// traffic is what has passed.
type traffic struct {
	// Asked and Told are bytes to the server and from it.
	Asked int64 `json:"askedBytes"`
	Told  int64 `json:"toldBytes"`
	// Actions are how many were asked, by name.
	Actions tally `json:"actions"`
}

func (t traffic) since(before traffic) traffic {
	grown := traffic{Asked: t.Asked - before.Asked, Told: t.Told - before.Told, Actions: tally{}}
	for name, n := range t.Actions {
		if n -= before.Actions[name]; n > 0 {
			grown.Actions[name] = n
		}
	}
	return grown
}

func (t traffic) bytes() int64 { return t.Asked + t.Told }

func (t traffic) actions() (n int) {
	for _, of := range t.Actions {
		n += of
	}
	return n
}

// passed is an action, a response or an event that has passed.
type passed struct {
	at time.Time
	// asked is an action; else the server says it.
	asked  bool
	client net.Conn
	// text begins with the end of a line, and is valid until who looks at it returns.
	text []byte
}

// get is the value of a key, empty where there is none.
func (m *passed) get(key string) string {
	_, rest, found := bytes.Cut(m.text, []byte("\r\n"+key+": "))
	if !found {
		return ""
	}
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return string(value)
}

// is says whether it begins with a key and value: that is what it is.
func (m *passed) is(key, value string) bool {
	begin := "\r\n" + key + ": " + value
	return len(m.text) >= len(begin) && string(m.text[:len(begin)]) == begin &&
		(len(m.text) == len(begin) || m.text[len(begin)] == '\r')
}

type viewer struct{ look func(*passed) }

// newProxy listens on an address of its own.
func newProxy(ctx context.Context, target string) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{
		target: target, listener: listener, conns: map[net.Conn]struct{}{}, viewers: map[*viewer]struct{}{},
		tally: traffic{Actions: tally{}}, waiting: map[net.Conn]map[string]struct{}{},
	}
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(client)
		}
	}()
	return p, nil
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	_ = p.listener.Close()
	p.hangUp(true)
}

// hangUp ends all connections; with shut, those that come too, until open.
func (p *proxy) hangUp(shut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = shut
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.shut = false
}

// keep notes a connection, so that it can be ended.
func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shut {
		p.conns[c] = struct{}{}
	}
	return !p.shut
}

func (p *proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	delete(p.waiting, c)
	_ = c.Close()
}

func (p *proxy) serve(client net.Conn) {
	defer p.drop(client)
	if !p.keep(client) {
		return
	}
	p.show(&passed{at: time.Now(), client: client, text: []byte("\r\n" + connectedMark)})
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(server) {
		return
	}
	go func() {
		defer client.Close()
		p.pass(client, server, client, false)
	}()
	p.pass(server, client, client, true)
}

// connectedMark is shown for a client that comes; no server says it.
const connectedMark = "Proxy: Connected"

// pass copies and shows each message that is whole: an action before it is passed on, since the answer may be faster
// than who passed it, and what the server says after that, so that nobody waits for who looks.
func (p *proxy) pass(to io.Writer, from io.Reader, client net.Conn, asked bool) {
	chunk, rest := make([]byte, 64<<10), []byte("\r\n")
	for {
		n, err := from.Read(chunk)
		if n > 0 {
			m := &passed{at: time.Now(), asked: asked, client: client}
			p.counted(n, asked)
			rest = append(rest, chunk[:n]...)
			if asked {
				rest = p.showAll(m, rest)
			}
			if _, err := to.Write(chunk[:n]); err != nil {
				return
			}
			if !asked {
				rest = p.showAll(m, rest)
			}
		}
		if err != nil {
			return
		}
	}
}

// showAll shows all whole messages of a text, and returns what is left.
func (p *proxy) showAll(m *passed, text []byte) (rest []byte) {
	const end = "\r\n\r\n"
	begin := 0
	for {
		i := bytes.Index(text[begin:], []byte(end))
		if i < 0 {
			return text[:copy(text, text[begin:])]
		}
		m.text = text[begin : begin+i]
		if bytes.HasPrefix(m.text, []byte("\r\nAsterisk Call Manager/")) { // no end of a message comes after it
			m.text = m.text[bytes.IndexByte(m.text[2:], '\r')+2:]
		}
		p.show(m)
		begin += i + len(end) - len("\r\n") // the next begins with the end of a line too
	}
}

func (p *proxy) counted(n int, asked bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if asked {
		p.tally.Asked += int64(n)
	} else {
		p.tally.Told += int64(n)
	}
}

// show shows a message to everybody who looks, one at a time.
func (p *proxy) show(m *passed) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.follow(m)
	for v := range p.viewers {
		v.look(m)
	}
}

// follow counts actions, and keeps those that are not answered.
func (p *proxy) follow(m *passed) {
	id := m.get("ActionID")
	if m.asked {
		action := m.get("Action")
		p.tally.Actions[action]++
		if action == "Ping" {
			return
		}
		if p.waiting[m.client] == nil {
			p.waiting[m.client] = map[string]struct{}{}
		}
		p.waiting[m.client][id], p.active = struct{}{}, m.at
		return
	}
	if _, ok := p.waiting[m.client][id]; !ok {
		return
	}
	p.active = m.at
	if list := m.get("EventList"); list == "Complete" || list == "" && m.get("Response") != "" {
		delete(p.waiting[m.client], id)
	}
}

// untilAnswered waits until all that was asked is answered, and nothing was asked for a while.
func (p *proxy) untilAnswered(ctx context.Context, gap time.Duration) error {
	const patience = 5 * time.Minute
	for start := time.Now(); ; {
		p.mu.Lock()
		waiting, since := 0, time.Since(p.active)
		for _, ids := range p.waiting {
			waiting += len(ids)
		}
		p.mu.Unlock()
		switch {
		case waiting == 0 && since >= gap:
			return nil
		case time.Since(start) > patience:
			return fmt.Errorf("the server has not answered the manager within %s", patience)
		}
		if err := sleep(ctx, gap/20); err != nil {
			return err
		}
	}
}

// traffic is what has passed so far.
func (p *proxy) traffic() traffic {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.tally
	t.Actions = maps.Clone(t.Actions)
	return t
}

// view shows what passes from now on until stop. look must not block.
func (p *proxy) view(look func(*passed)) (stop func()) {
	v := &viewer{look}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.viewers[v] = struct{}{}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.viewers, v)
	}
}

// sighting is the time at which something passes for the first time.
type sighting struct {
	what string
	at   chan time.Time
	stop func()
}

// first looks out for something from now on.
func (p *proxy) first(what string, is func(*passed) bool) *sighting {
	s := &sighting{what: what, at: make(chan time.Time, 1)}
	seen := false
	s.stop = p.view(func(m *passed) {
		if !seen && is(m) {
			seen = true
			s.at <- m.at
		}
	})
	return s
}

// wait waits for it, and looks out no longer.
func (s *sighting) wait(ctx context.Context, patience time.Duration) (time.Time, error) {
	defer s.stop()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case at := <-s.at:
		return at, nil
	case <-timer.C:
		return time.Time{}, fmt.Errorf("not within %s: %s", patience, s.what)
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	}
}
