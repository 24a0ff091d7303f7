package ami_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony/asterisk/ami"
	"roster.dev/roster/internal/telephony/asterisk/ami/amitest"
)

// soon bounds what must not take long, on a machine that is busy.
const soon = 10 * time.Second

func config(s *amitest.Server) ami.Config {
	return ami.Config{Address: s.Address(), Username: amitest.Username, Secret: amitest.Secret, Timeout: soon}
}

func dial(t *testing.T, c ami.Config) *ami.Conn {
	t.Helper()
	conn, err := ami.Dial(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(); <-conn.Done() })
	return conn
}

func TestLogin(t *testing.T) {
	s := amitest.Start(t)
	conn := dial(t, config(s))
	if conn.Version() != "11.0.0" {
		t.Errorf("version %q", conn.Version())
	}
	login := s.Asked("Login")
	if len(login) != 1 || login[0].Header.Get("Events") != "off" {
		t.Errorf("logged in with %v", login)
	}
	if _, err := conn.Do(t.Context(), ami.NewAction("Ping")); err != nil {
		t.Error(err)
	}
	if text := fmt.Sprintf("%v %+v %#v", conn, conn, conn); strings.Contains(text, amitest.Secret) {
		t.Errorf("%q shows the secret", text)
	}
}

func TestLoginRefused(t *testing.T) {
	s := amitest.Start(t)
	s.Handle("Login", func(r *amitest.Request) {
		r.Error("Authentication failed for " + r.Get("Username") + " with " + r.Get("Secret"))
	})
	c := config(s)
	_, err := ami.Dial(t.Context(), c)
	if !errors.Is(err, ami.ErrLogin) {
		t.Fatalf("got %v", err)
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%v %+v %#v %s", c, c, c, &c)} {
		if strings.Contains(text, c.Secret) || strings.Contains(text, c.Username) {
			t.Errorf("%q shows credentials", text)
		}
	}
	if text := fmt.Sprintf("%v %#v", ami.NewAction("Login", "Secret", "xyzzy"), ami.NewAction("Login", "Secret", "xyzzy")); strings.Contains(text, "xyzzy") {
		t.Errorf("%q shows a value", text)
	}
}

func TestDialFailures(t *testing.T) {
	t.Run("nobody listens", func(t *testing.T) {
		s := amitest.Start(t)
		s.Stop()
		if _, err := ami.Dial(t.Context(), config(s)); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no banner", func(t *testing.T) {
		s := amitest.Start(t)
		s.Freeze()
		c := config(s)
		c.Timeout = 50 * time.Millisecond
		if _, err := ami.Dial(t.Context(), c); !errors.Is(err, ami.ErrTimeout) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no answer to the login", func(t *testing.T) {
		s := amitest.Start(t)
		s.Handle("Login", func(*amitest.Request) {})
		c := config(s)
		c.Timeout = 50 * time.Millisecond
		if _, err := ami.Dial(t.Context(), c); !errors.Is(err, ami.ErrTimeout) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the caller gives up", func(t *testing.T) {
		s := amitest.Start(t)
		s.Freeze()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := ami.Dial(ctx, config(s)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("hung up without a word", func(t *testing.T) {
		s := amitest.Start(t, amitest.WithBanner(""))
		go func() {
			for s.Connections() == 0 {
				time.Sleep(time.Millisecond)
			}
			s.Drop()
		}()
		if _, err := ami.Dial(t.Context(), config(s)); !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("got %v", err)
		}
	})
	for name, banner := range map[string]string{
		"another service":       "SSH-2.0-OpenSSH_9.2\r\n",
		"a banner without end":  strings.Repeat("Asterisk Call Manager/1.0", 10000) + "\r\n",
		"an empty first line":   "\r\n",
		"HTTP instead of lines": "HTTP/1.1 400 Bad Request\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := amitest.Start(t, amitest.WithBanner(banner))
			if _, err := ami.Dial(t.Context(), config(s)); !errors.Is(err, ami.ErrNotAMI) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTLS(t *testing.T) {
	certificate, ca := amitest.Certificate(t, "pbx.example")
	s := amitest.Start(t, amitest.WithTLS(&tls.Config{Certificates: []tls.Certificate{certificate}}))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for _, tt := range []struct {
		name   string
		client *tls.Config
		ok     bool
	}{
		{"verified", &tls.Config{RootCAs: roots, ServerName: "pbx.example"}, true},
		{"not verified", &tls.Config{InsecureSkipVerify: true}, true},
		{"by an authority that is not known", &tls.Config{ServerName: "pbx.example"}, false},
		{"for another name", &tls.Config{RootCAs: roots}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := config(s)
			c.TLS = tt.client
			conn, err := ami.Dial(t.Context(), c)
			if tt.ok != (err == nil) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				defer conn.Close()
				if _, err := conn.Do(t.Context(), ami.NewAction("Ping")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	plain := config(amitest.Start(t))
	plain.TLS = &tls.Config{RootCAs: roots}
	if _, err := ami.Dial(t.Context(), plain); !errors.As(err, new(tls.RecordHeaderError)) {
		t.Errorf("a server without TLS: %v", err)
	}
}

// Nothing of an action that would be read as more than it is may reach the server.
func TestHeaderInjection(t *testing.T) {
	s := amitest.Start(t)
	conn := dial(t, config(s))
	for _, a := range []ami.Action{
		ami.NewAction("Ping\r\nAction: Hangup"),
		ami.NewAction("QueueStatus", "Queue", "a\r\nMember: b"),
		ami.NewAction("QueueStatus", "Queue", "a\nMember: b"),
		ami.NewAction("QueueStatus", "Queue", "a\rMember: b"),
		ami.NewAction("QueueStatus", "Queue", "a\r\n\r\nAction: Hangup"),
		ami.NewAction("QueueStatus", "Queue", "a\x00"),
		ami.NewAction("QueueStatus", "Queue: a\r\nMember", "b"),
		ami.NewAction("QueueStatus", "Queue: a", "b"),
		ami.NewAction("QueueStatus", "", "b"),
		ami.NewAction("QueueStatus", "Queue"),
		ami.NewAction("QueueStatus", "Queue", strings.Repeat("a", 2000)),
	} {
		if _, err := conn.Do(t.Context(), a); err == nil {
			t.Errorf("%s was sent", a)
		}
	}
	if _, err := conn.Do(t.Context(), ami.NewAction("Ping")); err != nil {
		t.Error(err)
	}
	if got := s.Asked(""); len(got) != 2 || got[1].Action != "Ping" {
		t.Errorf("the server was asked %v", got)
	}
	c := config(s)
	c.Secret = "x\r\nEvents: on"
	if _, err := ami.Dial(t.Context(), c); err == nil || strings.Contains(err.Error(), "Events") {
		t.Errorf("a secret of two lines: %v", err)
	}
	if got := s.Asked("Login"); len(got) != 1 {
		t.Errorf("%d logins reached the server", len(got))
	}
}

// Answers are matched by ActionID, in whatever order they come.
func TestPipelining(t *testing.T) {
	s := amitest.Start(t)
	var mu sync.Mutex
	var held []*amitest.Request
	const n = 20
	s.Handle("Echo", func(r *amitest.Request) {
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, r); len(held) < n {
			return
		}
		for _, r := range slices.Backward(held) {
			r.Respond("Success", "Value", r.Get("Value"))
		}
	})
	conn := dial(t, config(s))
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			m, err := conn.Do(t.Context(), ami.NewAction("Echo", "Value", strconv.Itoa(i)))
			if err != nil || m.Get("Value") != strconv.Itoa(i) {
				t.Errorf("%d was answered with %v, %v", i, m, err)
			}
		})
	}
	all.Wait()
}

// A slow server pushes back on its callers, and one who gives up neither breaks the connection nor makes room.
func TestWindow(t *testing.T) {
	s := amitest.Start(t)
	release := make(chan struct{})
	s.Handle("Slow", func(r *amitest.Request) {
		<-release
		r.Respond("Success")
	})
	c := config(s)
	c.Window = 2
	conn := dial(t, c)
	ctx, giveUp := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var abandoned, answered atomic.Int32
	for range 2 {
		all.Go(func() {
			if _, err := conn.Do(ctx, ami.NewAction("Slow")); errors.Is(err, context.Canceled) {
				abandoned.Add(1)
			}
		})
	}
	if err := s.Await(t.Context(), "Slow", 1); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // the second one is on its way
	giveUp()
	all.Wait()
	for range 3 {
		all.Go(func() {
			if _, err := conn.Do(t.Context(), ami.NewAction("Slow")); err == nil {
				answered.Add(1)
			}
		})
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := conn.Send(short, ami.NewAction("Slow"), nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a full window let another in: %v", err)
	}
	close(release)
	all.Wait()
	if abandoned.Load() != 2 || answered.Load() != 3 {
		t.Errorf("%d abandoned, %d answered", abandoned.Load(), answered.Load())
	}
	if got := len(s.Asked("Slow")); got != 5 {
		t.Errorf("%d actions were sent", got)
	}
}

func list(n int) [][]string {
	items := make([][]string, n)
	for i := range items {
		items[i] = []string{"Event", "Item", "Number", strconv.Itoa(i)}
	}
	return items
}

func TestList(t *testing.T) {
	s := amitest.Start(t)
	s.Handle("Long", func(r *amitest.Request) { r.List("LongComplete", list(500)...) })
	s.Handle("Empty", func(r *amitest.Request) { r.List("EmptyComplete") })
	s.Handle("NoList", func(r *amitest.Request) { r.Respond("Success", "Message", "Nothing to tell") })
	s.Handle("Refused", func(r *amitest.Request) { r.Error("No such thing") })
	s.Handle("Short", func(r *amitest.Request) {
		r.Respond("Success", "EventList", "start")
		r.Event("Item", "ActionID", r.ID())
		r.Event("ShortComplete", "ActionID", r.ID(), "EventList", "Complete", "ListItems", "2")
	})
	s.Handle("Cancelled", func(r *amitest.Request) {
		r.Respond("Success", "EventList", "start")
		r.Event("Item", "ActionID", r.ID())
		r.Event("CancelledComplete", "ActionID", r.ID(), "EventList", "cancelled")
	})
	s.Handle("Uncounted", func(r *amitest.Request) {
		r.Respond("Success", "EventList", "Start")
		r.Event("Item", "ActionID", r.ID())
		r.Event("UncountedComplete", "ActionID", r.ID(), "EventList", "Complete")
	})
	conn := dial(t, config(s))
	for name, want := range map[string]struct {
		items int
		err   error
	}{
		"Long": {500, nil}, "Empty": {0, nil}, "NoList": {0, nil}, "Uncounted": {1, nil},
		"Short": {1, ami.ErrIncomplete}, "Cancelled": {1, ami.ErrIncomplete}, "Unknown": {0, ami.ErrUnknownAction},
	} {
		var numbers []string
		err := conn.List(t.Context(), ami.NewAction(name), func(m *ami.Message) { numbers = append(numbers, m.Get("Number")) })
		if !errors.Is(err, want.err) || len(numbers) != want.items {
			t.Errorf("%s: %d items and %v, want %d and %v", name, len(numbers), err, want.items, want.err)
		}
		for i, n := range numbers {
			if name == "Long" && n != strconv.Itoa(i) {
				t.Fatalf("item %d is %s", i, n)
			}
		}
	}
	var no *ami.ResponseError
	err := conn.List(t.Context(), ami.NewAction("Refused"), func(*ami.Message) { t.Error("an item of nothing") })
	if !errors.As(err, &no) || no.Message != "No such thing" || errors.Is(err, ami.ErrDenied) {
		t.Errorf("refused: %v", err)
	}
}

// Events and the items of lists are told in the order in which the server said them, and another client's ActionID is
// not taken for one of ours.
func TestOrder(t *testing.T) {
	s := amitest.Start(t)
	s.Handle("Mixed", func(r *amitest.Request) {
		r.Event("E", "N", "0")
		r.Respond("Success", "EventList", "start")
		r.Event("OriginateResponse", "ActionID", "1", "Response", "Success", "N", "1")
		for i := 2; i < 40; i += 2 {
			r.Event("Item", "N", strconv.Itoa(i), "ActionID", r.ID())
			r.Event("E", "N", strconv.Itoa(i+1))
		}
		r.Event("MixedComplete", "ActionID", r.ID(), "EventList", "Complete", "ListItems", "19")
		r.Event("Item", "N", "late", "ActionID", r.ID())
		r.Event("E", "N", "last")
	})
	var told []string
	last := make(chan struct{})
	c := config(s)
	c.Events = "all"
	c.OnEvent = func(m *ami.Message) {
		told = append(told, m.Get("N"))
		if m.Get("N") == "last" {
			close(last)
		}
	}
	conn := dial(t, c)
	err := conn.Send(t.Context(), ami.NewAction("Mixed"),
		func(m *ami.Message) { told = append(told, m.Get("N")) },
		func(_ *ami.Message, err error) { told = append(told, fmt.Sprint("end ", err)) })
	if err != nil {
		t.Fatal(err)
	}
	<-last
	want := []string{""} // FullyBooted
	for i := range 40 {
		want = append(want, strconv.Itoa(i))
	}
	if want = append(want, "end <nil>", "last"); !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// A list whose caller gave up tells nothing more, and the connection goes on.
func TestAbandonedList(t *testing.T) {
	s := amitest.Start(t)
	release := make(chan struct{})
	s.Handle("Long", func(r *amitest.Request) {
		r.Respond("Success", "EventList", "start")
		r.Event("Item", "ActionID", r.ID())
		<-release
		r.Event("Item", "ActionID", r.ID())
		r.Event("LongComplete", "ActionID", r.ID(), "EventList", "Complete", "ListItems", "2")
	})
	conn := dial(t, config(s))
	ctx, cancel := context.WithCancel(t.Context())
	items := 0
	err := conn.List(ctx, ami.NewAction("Long"), func(*ami.Message) { items++; cancel() })
	if !errors.Is(err, context.Canceled) || items != 1 {
		t.Errorf("%d items and %v", items, err)
	}
	close(release)
	if _, err := conn.Do(t.Context(), ami.NewAction("Ping")); err != nil {
		t.Error(err)
	}
	if items != 1 {
		t.Errorf("%d items were told after the end", items-1)
	}
}

// A server that says nothing more is noticed, at work and at rest.
func TestDeadPeer(t *testing.T) {
	for _, busy := range []bool{true, false} {
		s := amitest.Start(t)
		c := config(s)
		c.KeepAlive = 100 * time.Millisecond
		conn := dial(t, c)
		if err := s.Await(t.Context(), "Ping", 2); err != nil {
			t.Fatal(err) // at rest it is asked again and again
		}
		_ = conn.Close()
		c.Timeout = 200 * time.Millisecond
		if busy {
			c.KeepAlive = time.Hour
		}
		conn = dial(t, c)
		s.Freeze()
		if busy {
			if _, err := conn.Do(t.Context(), ami.NewAction("Slow")); !errors.Is(err, ami.ErrTimeout) {
				t.Errorf("at work: %v", err)
			}
		}
		select {
		case <-conn.Done():
		case <-time.After(soon):
			t.Fatal("a dead peer was not noticed")
		}
		if !errors.Is(conn.Err(), ami.ErrTimeout) {
			t.Errorf("ended with %v", conn.Err())
		}
		if _, err := conn.Do(t.Context(), ami.NewAction("Ping")); !errors.Is(err, ami.ErrTimeout) {
			t.Errorf("afterwards: %v", err)
		}
	}
}

// A list that takes longer than the timeout is fine as long as it goes on; events alone are no answer.
func TestProgress(t *testing.T) {
	s := amitest.Start(t)
	s.Handle("Long", func(r *amitest.Request) {
		r.Respond("Success", "EventList", "start")
		for range 8 {
			time.Sleep(100 * time.Millisecond)
			r.Event("Item", "ActionID", r.ID())
		}
		r.Event("LongComplete", "ActionID", r.ID(), "EventList", "Complete", "ListItems", "8")
	})
	s.Handle("Chatty", func(r *amitest.Request) {
		for range 100 {
			time.Sleep(20 * time.Millisecond)
			r.Event("E")
		}
	})
	c := config(s)
	c.Timeout = 500 * time.Millisecond
	conn := dial(t, c)
	if err := conn.List(t.Context(), ami.NewAction("Long"), func(*ami.Message) {}); err != nil {
		t.Error(err)
	}
	if _, err := conn.Do(t.Context(), ami.NewAction("Chatty")); !errors.Is(err, ami.ErrTimeout) {
		t.Errorf("got %v", err)
	}
}

// A server that does not take what it is sent is as dead as one that does not answer.
func TestServerThatDoesNotRead(t *testing.T) {
	s := amitest.Start(t)
	c := config(s)
	c.Timeout, c.Window = 300*time.Millisecond, 1<<20
	conn := dial(t, c)
	s.Freeze()
	big := strings.Repeat("x", 900)
	var err error
	for err == nil {
		err = conn.Send(t.Context(), ami.NewAction("Big", "Value", big), nil, nil)
	}
	if !errors.Is(err, ami.ErrTimeout) {
		t.Errorf("got %v", err)
	}
}

// Each action is told its end once, however a connection ends.
func TestEveryActionEnds(t *testing.T) {
	ends := map[string]func(*amitest.Server, *ami.Conn){
		"the server drops it": func(s *amitest.Server, _ *ami.Conn) { s.Drop() },
		"it is closed":        func(_ *amitest.Server, c *ami.Conn) { _ = c.Close() },
		"both":                func(s *amitest.Server, c *ami.Conn) { go s.Drop(); _ = c.Close() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			s := amitest.Start(t)
			s.Handle("Silent", func(*amitest.Request) {})
			conn := dial(t, config(s))
			var sent, ended atomic.Int32
			var all sync.WaitGroup
			for range 8 {
				all.Go(func() {
					for {
						var once atomic.Bool
						err := conn.Send(t.Context(), ami.NewAction("Silent"), nil, func(_ *ami.Message, err error) {
							if err == nil || !once.CompareAndSwap(false, true) {
								t.Errorf("told twice, or no failure: %v", err)
							}
							ended.Add(1)
						})
						if err != nil {
							return
						}
						sent.Add(1)
					}
				})
			}
			if err := s.Await(t.Context(), "Silent", 20); err != nil {
				t.Fatal(err)
			}
			end(s, conn)
			all.Wait()
			<-conn.Done()
			if sent.Load() != ended.Load() || sent.Load() < 20 {
				t.Errorf("%d actions were sent, %d ended", sent.Load(), ended.Load())
			}
			if err := conn.Err(); err == nil || name == "it is closed" && !errors.Is(err, ami.ErrClosed) {
				t.Errorf("the connection ended with %v", err)
			}
		})
	}
}

func TestServerThatTalksNonsense(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, amitest.Banner+"\r\n")
		junk := []byte(strings.Repeat("\r\n: \r\nActionID\x00\r\nResponse: Success\r\nActionID: 99\r\n\r\n", 100))
		for {
			if _, err := conn.Write(junk); err != nil {
				return
			}
		}
	}()
	_, err = ami.Dial(t.Context(), ami.Config{Address: l.Addr().String(), Username: "u", Secret: "p", Timeout: 200 * time.Millisecond})
	if !errors.Is(err, ami.ErrTimeout) {
		t.Errorf("got %v", err)
	}
}
