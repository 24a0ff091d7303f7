// Package phone makes SIP phones for tests: real ones, that register, ring, answer and call over UDP.
//
// Every SIP message is sent and answered by sipp, one process a phone, on one port for as long as the phone is there. It
// runs one scenario for whatever comes: calls, the server's questions, and orders of this package, which are datagrams to
// the same port. What happened is read from sipp's log, which is a pipe: nothing is told from time passing by.
package phone

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Config of a phone.
type Config struct {
	// Server is the IP address and port of the server's UDP transport.
	Server string
	// User is the name that the phone registers and calls as; Password is what it answers challenges with. sipp takes the
	// password on its command line: it is for tests.
	User, Password string
	// Address is the phone's own IP address, and its port where that is not 5060; empty for a loopback address of
	// Network that nobody uses.
	Address string
	// Network is the part of the loopback network to take an address from, no smaller than a /24; 127.32.0.0/11 where it
	// is not set.
	Network netip.Prefix
	// Dir is a folder for what sipp writes, messages.log above all; a folder of the phone's own is made in it.
	Dir string
	// Expires is for how long the phone registers, in whole seconds; 0 is an hour.
	Expires time.Duration
}

// Handling is what a phone does with calls that come.
type Handling struct {
	answer handling
	after  time.Duration
}

type handling int

const (
	handleAnswer handling = iota
	handleRing
	handleBusy
	handleDecline
)

// Answer rings, and answers after a while. 0 is at once.
func Answer(after time.Duration) Handling { return Handling{answer: handleAnswer, after: after} }

// Ring rings until the caller gives up, or Answer, Busy or HangUp is called on the call.
func Ring() Handling { return Handling{answer: handleRing} }

// Busy refuses with 486, without a ring.
func Busy() Handling { return Handling{answer: handleBusy} }

// Decline rings, and refuses with 603 after a while.
func Decline(after time.Duration) Handling { return Handling{answer: handleDecline, after: after} }

// Phone is one SIP phone. All methods are safe for concurrent use.
type Phone struct {
	config  Config
	address netip.AddrPort
	dir     string
	cmd     *exec.Cmd
	orders  net.Conn
	// done is closed when sipp has ended, with err.
	done chan struct{}
	err  error

	mu       sync.Mutex
	serial   int64
	handling Handling
	calls    map[string]*Call
	incoming []*Call
	// taken is how many of incoming Next has returned; changed is closed and made anew when there is one more.
	taken   int
	changed chan struct{}
	// answers are those who wait for a line of sipp's that is about no call, by its Call-ID.
	answers map[string]chan string
}

// New starts a phone, which answers calls as soon as it is called. It is not registered.
func New(ctx context.Context, config Config) (*Phone, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	server, err := netip.ParseAddrPort(config.Server)
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	config.Server = server.String()
	if config.Expires == 0 {
		config.Expires = time.Hour
	}
	if !config.Network.IsValid() {
		config.Network = usualNetwork
	}
	if config.Address != "" {
		address, err := parseAddress(config.Address)
		if err != nil {
			return nil, fmt.Errorf("address: %w", err)
		}
		return start(ctx, config, address)
	}
	// Two phones may come to want one address: then the second cannot be started.
	for attempt := 1; ; attempt++ {
		p, err := start(ctx, config, someAddress(config.Network))
		if err == nil || ctx.Err() != nil || attempt == 3 {
			return p, err
		}
	}
}

// sipPort is the standard port.
const sipPort = 5060

// usualNetwork is where phones are.
var usualNetwork = netip.MustParsePrefix("127.32.0.0/11")

// parseAddress is an IP address with a port, the standard one where there is none.
func parseAddress(s string) (netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(ip, sipPort), nil
	}
	return netip.ParseAddrPort(s)
}

// someAddress is an address of a network that no one is known to use. A phone with an address of its own shares
// no port with others: sipp finds ports for media by itself, and on one address for fifty phones only.
func someAddress(network netip.Prefix) netip.AddrPort {
	address, random := network.Masked().Addr().As4(), make([]byte, 4)
	_, _ = rand.Read(random) // never fails
	for i := range address {
		host := byte(0xff >> min(8, max(0, network.Bits()-8*i)))
		address[i] |= random[i] & host
	}
	address[3] = 1 + random[3]%254
	return netip.AddrPortFrom(netip.AddrFrom4(address), sipPort)
}

// start starts sipp, and waits until it takes orders.
func start(ctx context.Context, config Config, address netip.AddrPort) (*Phone, error) {
	dir, err := os.MkdirTemp(config.Dir, "phone-"+filepath.Base(config.User)+"-")
	if err != nil {
		return nil, err
	}
	p := &Phone{
		config: config, address: address, dir: dir, done: make(chan struct{}),
		calls: map[string]*Call{}, changed: make(chan struct{}), answers: map[string]chan string{},
	}
	if err := p.startSipp(); err != nil {
		return nil, err
	}
	p.orders, err = (&net.Dialer{}).DialContext(ctx, "udp", address.String())
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := p.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Phone) startSipp() error {
	text, err := scenario()
	if err != nil {
		return err
	}
	file := filepath.Join(p.dir, "scenario.xml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(p.dir, "stderr.log"))
	if err != nil {
		return err
	}
	defer out.Close()
	events, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer write.Close()

	ip := p.address.Addr().String()
	p.cmd = exec.CommandContext(context.Background(), "sipp", p.config.Server, // ended by Close
		"-sf", file, "-rsa", p.config.Server,
		"-i", ip, "-p", strconv.Itoa(int(p.address.Port())), "-bind_local", "-mi", ip, "-ci", ip,
		"-key", "user", p.config.User, "-key", "server", p.config.Server,
		"-key", "password", p.config.Password, "-au", "[user]", "-ap", "[password]", // a keyword's value is taken as it is
		"-default_behaviors", "none", "-nostdin", "-skip_rlimit",
		"-max_recv_loops", "1", // each message is acted upon before the next is read
		"-watchdog_interval", "0", // a busy machine is no reason to end
		"-trace_logs", "-log_file", "/dev/fd/3",
		"-trace_msg", "-message_file", filepath.Join(p.dir, "messages.log"),
		"-trace_err", "-error_file", filepath.Join(p.dir, "errors.log"))
	p.cmd.Dir, p.cmd.Stderr, p.cmd.SysProcAttr = p.dir, out, ownGroup()
	p.cmd.ExtraFiles = []*os.File{write}
	if err := p.cmd.Start(); err != nil {
		events.Close()
		return fmt.Errorf("starting sipp: %w", err)
	}
	go p.follow(events)
	return nil
}

// awaitReady asks until sipp answers: what comes before it has its port is lost.
func (p *Phone) awaitReady(ctx context.Context) error {
	id, answer := p.expect("ready")
	defer p.forget(id)
	for {
		if err := p.order(orderReady, id); err != nil {
			return err
		}
		select {
		case <-answer:
			return nil
		case <-p.done:
			return p.err
		case <-ctx.Done():
			return fmt.Errorf("waiting for sipp: %w", context.Cause(ctx))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Address is where the phone receives.
func (p *Phone) Address() netip.AddrPort { return p.address }

// Messages is the file that holds every SIP message of the phone, and the orders to sipp.
func (p *Phone) Messages() string { return filepath.Join(p.dir, "messages.log") }

// Handle says what the phone does with calls that come from now on. A new phone answers at once.
func (p *Phone) Handle(handling Handling) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handling = handling
}

// Register registers the phone's address with the server, and returns the status of the final answer: 200 where it is registered.
func (p *Phone) Register(ctx context.Context) (status int, err error) {
	return p.enroll(ctx, p.config.Expires)
}

// Unregister ends the registration.
func (p *Phone) Unregister(ctx context.Context) (status int, err error) {
	return p.enroll(ctx, 0)
}

// enroll asks once more where the server refused the password: of a slow server that is asked twice by a repeated
// REGISTER, sipp takes the second question for the refusal.
func (p *Phone) enroll(ctx context.Context, expires time.Duration) (int, error) {
	status, err := p.enrollOnce(ctx, expires)
	if status == http.StatusUnauthorized {
		return p.enrollOnce(ctx, expires)
	}
	return status, err
}

func (p *Phone) enrollOnce(ctx context.Context, expires time.Duration) (int, error) {
	id, answer := p.expect("register")
	defer p.forget(id)
	if err := p.order(orderEnroll, id, fmt.Sprintf("Expires: %d", int(expires.Seconds()))); err != nil {
		return 0, err
	}
	select {
	case line := <-answer:
		return strconv.Atoi(line)
	case <-p.done:
		return 0, p.err
	case <-ctx.Done():
		return 0, fmt.Errorf("registering %s with %s: %w", p.config.User, p.config.Server, context.Cause(ctx))
	}
}

// Dial calls a number and returns at once.
func (p *Phone) Dial(number string) (*Call, error) {
	if number == "" || strings.ContainsAny(number, "\r\n <>@") {
		return nil, fmt.Errorf("%q is no number to dial", number)
	}
	p.mu.Lock()
	call := newCall(p, newID("call"), Outgoing)
	call.number = number
	p.calls[call.id] = call
	p.mu.Unlock()
	return call, p.order(orderDial, call.id, "Subject: "+number)
}

// Call calls a number and returns when it is answered or refused: see Status. A call that is neither when ctx ends is given up.
func (p *Phone) Call(ctx context.Context, number string) (*Call, error) {
	call, err := p.Dial(number)
	if err != nil {
		return nil, err
	}
	select {
	case <-call.Answered():
		return call, nil
	case <-call.Ended():
		return call, call.lost()
	case <-ctx.Done():
		return call, errors.Join(fmt.Errorf("%s calling %s: %w", p.config.User, number, context.Cause(ctx)), p.order(orderHangUp, call.id))
	}
}

// Next is the next call that came to the phone, in the order in which they came, each once.
func (p *Phone) Next(ctx context.Context) (*Call, error) {
	for {
		p.mu.Lock()
		changed := p.changed
		if p.taken < len(p.incoming) {
			p.taken++
			call := p.incoming[p.taken-1]
			p.mu.Unlock()
			return call, nil
		}
		p.mu.Unlock()
		select {
		case <-changed:
		case <-p.done:
			return nil, p.err
		case <-ctx.Done():
			return nil, fmt.Errorf("no call came to %s: %w", p.config.User, context.Cause(ctx))
		}
	}
}

// Incoming is every call that came to the phone so far.
func (p *Phone) Incoming() []*Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*Call(nil), p.incoming...)
}

// Close takes the phone away as if its cable were cut: it hangs up no call and ends no registration.
func (p *Phone) Close() error {
	if p.orders != nil {
		defer p.orders.Close()
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-p.done
	return nil
}

// order sends sipp an order about a call.
func (p *Phone) order(m method, id string, headers ...string) error {
	select {
	case <-p.done:
		return p.err
	default:
	}
	p.mu.Lock()
	p.serial++
	serial := p.serial
	p.mu.Unlock()
	_, err := p.orders.Write(order(m, id, serial, headers...))
	if err != nil && m == orderReady { // nobody has the port yet
		return nil
	}
	return err
}

// newID is a Call-ID that no other phone uses. The scenario makes branches of it, so that it must be a token to SIP.
func newID(what string) string { return what + "-" + rand.Text() }

// expect makes an ID whose event will be sent to the channel.
func (p *Phone) expect(what string) (string, <-chan string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, answer := newID(what), make(chan string, 1)
	p.answers[id] = answer
	return id, answer
}

func (p *Phone) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.answers, id)
}

// follow reads what happens until sipp has ended, and keeps it in events.log.
func (p *Phone) follow(events io.ReadCloser) {
	defer events.Close()
	p.readEvents(events)
	err := p.cmd.Wait()
	if err == nil {
		err = errors.New("exit status 0")
	}
	p.err = fmt.Errorf("sipp of %s has ended: %w%s", p.config.User, err, p.complaint())
	close(p.done)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, call := range p.calls {
		call.end(Nobody)
	}
}

// complaint is the last of what sipp said is wrong.
func (p *Phone) complaint() string {
	var said []string
	for _, name := range []string{"stderr.log", "errors.log"} {
		content, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			continue
		}
		lines := strings.Split(strings.TrimSpace(string(content)), "\n")
		said = append(said, lines[max(0, len(lines)-3):]...)
	}
	return strings.TrimRight("\n"+strings.Join(said, "\n"), "\n")
}
