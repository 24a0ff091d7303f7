//go:build pbx

package lab

import (
	"context"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk"
)

// phone is a phone of a person's that is registered.
func (s *site) phone(t *testing.T, name string, handling phone.Handling) *phone.Phone {
	t.Helper()
	p, err := phone.New(t.Context(), phone.Config{Server: s.SIPAddress, User: name, Password: passwordOf(name), Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	p.Handle(handling)
	status, err := p.Register(t.Context())
	if err != nil || status != 200 {
		t.Fatalf("%s is not registered: %d, %v", name, status, err)
	}
	return p
}

// dial calls a number and wants an answer with that status.
func dial(t *testing.T, from *phone.Phone, number string, status int) *phone.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := from.Call(ctx, number)
	if err != nil {
		t.Fatalf("%s: %v", number, err)
	}
	if c.Status() != status {
		t.Errorf("%s is answered with %d, not %d", number, c.Status(), status)
	}
	return c
}

func hangUp(t *testing.T, c *phone.Call) {
	t.Helper()
	if err := c.HangUp(t.Context()); err != nil {
		t.Error(err)
	}
}

// next is the call that comes to a phone.
func next(t *testing.T, p *phone.Phone) *phone.Call {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := p.Next(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answered(t *testing.T, c *phone.Call) {
	t.Helper()
	select {
	case <-c.Answered():
	case <-time.After(10 * time.Second):
		t.Fatal("the call is not answered")
	}
}

// ended waits for the end of a call.
func ended(t *testing.T, c *phone.Call, within time.Duration) bool {
	t.Helper()
	select {
	case <-c.Ended():
		return true
	case <-time.After(within):
		return false
	}
}

// onBoth runs a test on both versions, with SQLite.
func onBoth(t *testing.T, test func(t *testing.T, s *site), change ...func(*Options)) {
	for _, version := range []string{"22", "16"} {
		t.Run(version, func(t *testing.T) { test(t, newSite(t, version, "SQLite", change...)) })
	}
}

func TestDialling(t *testing.T) {
	onAll(t, func(t *testing.T, s *site) {
		s.queue(t, "support", "600")
		s.agent(t, "alice-martin", "1001", func(a *agent) { a.Memberships = in("support") })
		s.agent(t, "bob-lee", "1002", nil)
		s.agent(t, "carla-diaz", "1003", nil) // has no phone that is on
		alice, bob := s.phone(t, "alice-martin", phone.Answer(0)), s.phone(t, "bob-lee", phone.Busy())

		c := dial(t, bob, "1001", 200)
		if got := next(t, alice); got.CallerName() != "Name of bob-lee" || got.CallerNumber() != "1002" {
			t.Errorf("alice is shown %q <%s>", got.CallerName(), got.CallerNumber())
		}
		hangUp(t, c)
		until(t, "alice is seen as there", func() bool {
			return strings.Contains(s.cli(t, "queue show support"), "(Not in use)")
		})
		c = dial(t, bob, "600", 200)
		answered(t, next(t, alice))
		hangUp(t, c)
		dial(t, alice, "1002", 486)
		dial(t, alice, "1003", 480)
		for _, nobody := range []string{"1009", "5", "*1", "60000000000000"} {
			dial(t, alice, nobody, 404)
		}
	})
}

// Of what is dialled only digits and * reach the dialplan's functions.
func TestDialsNothingStrange(t *testing.T) {
	onBoth(t, func(t *testing.T, s *site) {
		s.agent(t, "alice-martin", "1001", nil)
		s.agent(t, "bob-lee", "1002", nil)
		alice, _ := s.phone(t, "alice-martin", phone.Answer(0)), s.phone(t, "bob-lee", phone.Busy())
		for number, status := range map[string]int{"1002": 486, "1002,center": 486, "1002)": 486, "1002'": 486, "1009'": 404, "10$%7BEXTEN%7D": 404} {
			dial(t, alice, number, status)
		}
	})
}

func TestRefusedPerson(t *testing.T) {
	onBoth(t, func(t *testing.T, s *site) {
		s.agent(t, "alice-martin", "1001", nil)
		alice := s.phone(t, "alice-martin", phone.Answer(0))
		s.agent(t, "alice-martin", "1001", func(a *agent) { a.Access = telephony.AccessRefused })
		dial(t, alice, "1001", 404)
		if status, err := alice.Register(t.Context()); err != nil || status != 403 {
			t.Errorf("REGISTER is answered with %d, %v", status, err)
		}
	})
}

func TestVoicemail(t *testing.T) {
	onBoth(t, func(t *testing.T, s *site) {
		if out := s.cli(t, "core show application VoiceMail"); !strings.Contains(out, "Synopsis") {
			why := "this Asterisk has no app_voicemail: remove its root filesystem, and rootfs.sh makes one that has"
			if os.Getenv("ROSTER_REQUIRE_ALL") == "1" {
				t.Fatal(why)
			}
			t.Skip("SKIPPED, NOT PROVEN: " + why)
		}
		pin := "4711"
		mailbox := func(a *agent) { a.Mailbox, a.PIN = "1001", &pin }
		s.agent(t, "alice-martin", "1001", mailbox)
		s.agent(t, "bob-lee", "1002", nil)
		alice, bob := s.phone(t, "alice-martin", phone.Busy()), s.phone(t, "bob-lee", phone.Busy())
		c := dial(t, bob, "1001", 200)
		until(t, "voicemail takes the call", func() bool { return s.running(t, "VoiceMail", "1001@acme") })
		hangUp(t, c)
		c = dial(t, alice, "*97", 200)
		until(t, "voicemail of her own", func() bool { return s.running(t, "VoiceMailMain", "1001@acme") })
		hangUp(t, c)
		dial(t, bob, "*97", 404)
	})
}

// running says whether a channel runs an application with data that begins so.
func (s *site) running(t *testing.T, application, data string) bool {
	t.Helper()
	for line := range strings.Lines(s.cli(t, "core show channels concise")) {
		fields := strings.Split(line, "!")
		if len(fields) > 6 && fields[5] == application && strings.HasPrefix(fields[6], data) {
			return true
		}
	}
	return false
}

// channels are the names of all channels, sorted.
func (s *site) channels(t *testing.T) []string {
	t.Helper()
	_, list := ask(t, s.manager(t), "CoreShowChannels")
	var names []string
	for _, event := range list {
		names = append(names, event.Get("Channel"))
	}
	slices.Sort(names)
	return names
}

// awaitEvent is the next event of a name.
func awaitEvent(t *testing.T, m *manager, name string) textproto.MIMEHeader {
	t.Helper()
	for {
		message, err := m.next()
		if err != nil {
			t.Fatalf("waiting for %s: %v", name, err)
		}
		if message.Get("Event") == name {
			return message
		}
	}
}

// Who may listen hears the call, and who may not is refused.
func TestListening(t *testing.T) {
	onBoth(t, func(t *testing.T, s *site) {
		labels := func(own, heard string) func(*agent) {
			return func(a *agent) { a.SpyGroups, a.Monitors = own, heard }
		}
		s.agent(t, "customer", "1000", nil)
		s.agent(t, "alice", "1001", labels("ab12:cd34", ""))
		s.agent(t, "alice-martin", "1002", labels("ef56", "ab"))
		s.agent(t, "alice-0000000a", "1003", labels("ef56", ""))
		s.agent(t, "carla-diaz", "1004", labels("", "cd34:9999"))
		s.agent(t, "dave-kim", "1005", labels("", "ab1:d34:12:ab123"))
		s.agent(t, "erin-woo", "1006", labels("", "ef56"))
		customer := s.phone(t, "customer", phone.Busy())
		alice, martin := s.phone(t, "alice", phone.Answer(0)), s.phone(t, "alice-martin", phone.Answer(0))
		similar := s.phone(t, "alice-0000000a", phone.Answer(0))
		carla, dave, erin := s.phone(t, "carla-diaz", phone.Busy()), s.phone(t, "dave-kim", phone.Busy()), s.phone(t, "erin-woo", phone.Busy())

		dial(t, customer, "*551001", 403) // no labels
		dial(t, carla, "*551009", 404)    // nobody's extension
		dial(t, carla, "*551001", 486)    // not in a call
		others := []*phone.Call{dial(t, customer, "1002", 200), dial(t, customer, "1003", 200)}
		next(t, martin)
		next(t, similar)
		dial(t, carla, "*551001", 486) // others with such a name are

		call := dial(t, customer, "1001", 200)
		answered(t, next(t, alice))
		dial(t, dave, "*551001", 403) // parts of labels
		dial(t, erin, "*551001", 403) // labels of others
		dial(t, martin, "*551001", 403)

		m := s.manager(t)
		listening := dial(t, carla, "*551001", 200)
		event := awaitEvent(t, m, "ChanSpyStart")
		if !strings.HasPrefix(event.Get("Spyeechannel"), "PJSIP/alice-") || len(event.Get("Spyeechannel")) != len("PJSIP/alice-00000000") ||
			!strings.HasPrefix(event.Get("Spyerchannel"), "PJSIP/carla-diaz-") {
			t.Errorf("who listens to whom: %v", event)
		}
		if ended(t, listening, time.Second) {
			t.Error("listening ended while the call goes on")
		}
		hangUp(t, call)
		if !ended(t, listening, 5*time.Second) {
			t.Error("listening goes on after the call")
		}
		awaitEvent(t, m, "ChanSpyStop")

		// Of several calls the newest that may be heard.
		first := dial(t, customer, "1001", 200)
		next(t, alice)
		second := dial(t, customer, "1001", 200)
		next(t, alice)
		listening = dial(t, carla, "*551001", 200)
		newest := ""
		for _, name := range s.channels(t) {
			if strings.HasPrefix(name, "PJSIP/alice-0") && len(name) == len("PJSIP/alice-00000000") {
				newest = name
			}
		}
		if got := awaitEvent(t, m, "ChanSpyStart").Get("Spyeechannel"); got != newest {
			t.Errorf("%s is listened to, not %s", got, newest)
		}
		hangUp(t, first)
		if ended(t, listening, 500*time.Millisecond) {
			t.Error("listening ended with another call")
		}
		hangUp(t, second)
		if !ended(t, listening, 5*time.Second) {
			t.Error("listening goes on after the call")
		}
		for _, c := range others {
			hangUp(t, c)
		}
	})
}

// A server keeps registrations in the table that it is given.
func TestContactsTable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acme.sqlite3")
	s := newSiteOf(t, asterisk.Config{Center: "acme", Type: asterisk.TypeSQLite, Path: path, ContactsTables: []string{"ps_contacts_2"}},
		Options{SQLite: path, ContactsTable: "ps_contacts_2"})
	s.agent(t, "alice-martin", "1001", nil)
	s.phone(t, "alice-martin", phone.Busy())
	for table, want := range map[string]string{"ps_contacts": "0", "ps_contacts_2": "1"} {
		if got := s.value(t, "SELECT count(*) FROM "+table+" WHERE endpoint = ?", "alice-martin"); got != want {
			t.Errorf("%s has %s contacts, not %s", table, got, want)
		}
	}
}
