//go:build pbx

package phone

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pair is two phones that are each other's server: what one does reaches the other with nothing in between.
func pair(t *testing.T) (a, b *Phone) {
	t.Helper()
	one, other := someAddress(usualNetwork).String(), someAddress(usualNetwork).String()
	a = ForTest(t, Config{Server: other, Address: one, User: "alice-martin", Password: "s3cret"})
	b = ForTest(t, Config{Server: one, Address: other, User: "bob-lee", Password: "s3cret"})
	return a, b
}

// within fails a test where something is not told in time.
func within(t *testing.T, what string, told <-chan struct{}) {
	t.Helper()
	select {
	case <-told:
	case <-time.After(10 * time.Second):
		t.Fatalf("not in time: %s", what)
	}
}

// unexpected is a request that was lost to sipp in the state that it was in. Orders may come too late, and so may the
// answer to a CANCEL when the call was answered meanwhile.
var unexpected = regexp.MustCompile(`Unexpected [^\n]*\n\n(INVITE|ACK|BYE|CANCEL|UPDATE|OPTIONS|NOTIFY|INFO|MESSAGE) `)

func noSurprise(t *testing.T, phones ...*Phone) {
	t.Helper()
	for _, p := range phones {
		content, err := os.ReadFile(p.Messages())
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range unexpected.FindAllSubmatch(content, -1) {
			t.Errorf("%s had no place for %s", p.config.User, m[1])
		}
	}
}

func next(t *testing.T, p *Phone) *Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	call, err := p.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

func dial(t *testing.T, p *Phone, number string) *Call {
	t.Helper()
	call, err := p.Dial(number)
	if err != nil {
		t.Fatal(err)
	}
	return call
}

// hangUp ends a call, within ten seconds.
func hangUp(t *testing.T, call *Call) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := call.HangUp(ctx); err != nil {
		t.Error(err)
	}
}

// Whatever crosses on the way, both sides see the call end.
func TestCrossing(t *testing.T) {
	a, b := pair(t)
	for i := range 40 {
		t.Run(fmt.Sprint("both hang up ", i), func(t *testing.T) {
			out := dial(t, a, "1002")
			in := next(t, b)
			within(t, "an answer", out.Answered())
			within(t, "its confirmation", in.Answered())
			done := make(chan struct{})
			go func() { defer close(done); hangUp(t, in) }()
			hangUp(t, out)
			<-done
			if out.EndedBy() == Nobody || in.EndedBy() == Nobody {
				t.Errorf("ended by %s and %s", out.EndedBy(), in.EndedBy())
			}
		})
		t.Run(fmt.Sprint("given up while it is answered ", i), func(t *testing.T) {
			out := dial(t, a, "1002")
			in := next(t, b)
			within(t, "ringing", out.Ringing())
			hangUp(t, out)
			within(t, "the other end", in.Ended())
			if out.EndedBy() != Here || in.EndedBy() != There {
				t.Errorf("ended by %s and %s", out.EndedBy(), in.EndedBy())
			}
		})
		t.Run(fmt.Sprint("hung up as soon as it is answered ", i), func(t *testing.T) {
			out := dial(t, a, "1002")
			in := next(t, b)
			hangUp(t, in)
			within(t, "the other end", out.Ended())
		})
	}
	noSurprise(t, a, b)
}

// A phone that goes away says so to who waits for it, and to nobody a secret.
func TestLostPhone(t *testing.T) {
	a, b := pair(t)
	b.Handle(Ring())
	call := dial(t, a, "1002")
	within(t, "ringing", call.Ringing())
	failed := make(chan error)
	go func() { _, err := a.Next(t.Context()); failed <- err }()
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	within(t, "the call's end", call.Ended())
	if call.EndedBy() != Nobody {
		t.Errorf("ended by %s", call.EndedBy())
	}
	for what, err := range map[string]error{"next": <-failed, "hang up": call.HangUp(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "sipp of alice-martin has ended") {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := New(t.Context(), Config{Server: a.config.Server, Address: b.config.Address, User: "carla-diaz", Password: "s3cret", Dir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "sipp of carla-diaz has ended") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("an address that is taken: %v", err)
	}
}
