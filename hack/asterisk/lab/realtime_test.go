//go:build pbx

package lab

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/textproto"
	"strings"
	"testing"

	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony"
)

type agent = telephony.Agent

// memberOf is what QueueStatus says of a member.
func memberOf(t *testing.T, m *manager, queue, iface string) textproto.MIMEHeader {
	t.Helper()
	_, list := ask(t, m, "QueueStatus", "Queue", queue)
	for _, event := range list {
		if event.Get("Event") == "QueueMember" && event.Get("Location") == iface {
			return event
		}
	}
	return nil
}

// A server reads what Roster writes, without being told.
func TestReadsWhatRosterWrites(t *testing.T) {
	onAll(t, func(t *testing.T, s *site) {
		s.queue(t, "support", "600")
		s.agent(t, "alice-martin", "1001", nil)
		if out := s.cli(t, "pjsip show endpoint alice-martin"); !strings.Contains(out, `"Name of alice-martin" <1001>`) {
			t.Errorf("the endpoint is not as written:\n%s", out)
		}
		if out := s.cli(t, "pjsip show aor alice-martin"); !strings.Contains(out, "max_contacts") {
			t.Errorf("the AOR is not there:\n%s", out)
		}
		if out := s.cli(t, "pjsip show auth alice-martin"); !strings.Contains(out, "alice-martin") {
			t.Errorf("the auth is not there:\n%s", out)
		}
		m := s.manager(t)
		if got := memberOf(t, m, "support", "PJSIP/alice-martin"); got != nil {
			t.Errorf("a member before she is one: %v", got)
		}
		s.agent(t, "alice-martin", "1001", func(a *agent) { a.Memberships = in("support") })
		got := memberOf(t, m, "support", "PJSIP/alice-martin")
		if got == nil || got.Get("Name") != "alice-martin" || got.Get("Membership") != "static" || got.Get("Penalty") != "3" || got.Get("Paused") != "0" {
			t.Fatalf("the member is %v", got)
		}
	})
}

// A pause that is written is in the server's memory after QueueSummary, and QueuePause writes to the database.
func TestPauses(t *testing.T) {
	onAll(t, func(t *testing.T, s *site) {
		s.queue(t, "support", "600")
		s.agent(t, "alice-martin", "1001", func(a *agent) { a.Memberships = in("support") })
		s.phone(t, "alice-martin", phone.Busy())
		m := s.manager(t)
		available := func() string {
			_, list := ask(t, m, "QueueSummary", "Queue", "support")
			if len(list) != 1 {
				t.Fatalf("QueueSummary is %v", list)
			}
			return list[0].Get("Available")
		}
		until(t, "alice can be called", func() bool { return available() == "1" })
		s.exec(t, "UPDATE queue_members SET paused = 1, reason_paused = 'Training' WHERE interface = ?", "PJSIP/alice-martin")
		if got := available(); got != "0" {
			t.Errorf("Available is %q after the pause was written", got)
		}
		want := "Training"
		if s.Version == "16" {
			want = "" // that version has no such column
		}
		if got := memberOf(t, m, "support", "PJSIP/alice-martin"); got.Get("Paused") != "1" || got.Get("Pausedreason") != want {
			t.Errorf("the member is %v, its reason should be %q", got, want)
		}

		s.exec(t, "UPDATE queue_members SET paused = 0, reason_paused = NULL WHERE interface = ?", "PJSIP/alice-martin")
		ask(t, m, "QueueSummary", "Queue", "support")
		response, _ := ask(t, m, "QueuePause", "Queue", "support", "Interface", "PJSIP/alice-martin", "Paused", "true", "Reason", "Lunch")
		if response.Get("Response") != "Success" {
			t.Fatalf("QueuePause: %v", response)
		}
		if got := s.value(t, "SELECT paused FROM queue_members WHERE interface = ?", "PJSIP/alice-martin"); got != "1" {
			t.Errorf("paused is %q in the database", got)
		}
		if want = "Lunch"; s.Version == "16" {
			want = ""
		}
		if got := s.value(t, "SELECT reason_paused FROM queue_members WHERE interface = ?", "PJSIP/alice-martin"); got != want {
			t.Errorf("reason_paused is %q in the database, want %q", got, want)
		}
		if got := memberOf(t, m, "support", "PJSIP/alice-martin").Get("PausedReason"); got != "Lunch" {
			t.Errorf("PausedReason is %q", got)
		}
	})
}

// Everything that Roster asks of the manager interface is allowed to the user that config/asterisk ships.
func TestManagerRights(t *testing.T) {
	onAll(t, func(t *testing.T, s *site) {
		s.queue(t, "support", "600")
		s.agent(t, "alice-martin", "1001", func(a *agent) { a.Memberships = in("support") })
		m := s.manager(t)
		for _, c := range []struct {
			action string
			fields []string
			want   string // of a refusal for another reason than rights
		}{
			{"QueueSummary", []string{"Queue", "support"}, ""},
			{"QueueStatus", []string{"Queue", "support"}, ""},
			{"QueuePause", []string{"Queue", "support", "Interface", "PJSIP/alice-martin", "Paused", "true"}, ""},
			{"QueueRemove", []string{"Queue", "support", "Interface", "PJSIP/alice-martin"}, "Member not dynamic"},
			{"DeviceStateList", nil, ""},
			{"CoreShowChannels", nil, ""},
			{"Hangup", []string{"Channel", "PJSIP/nobody-00000000"}, "No such channel"},
			{"Filter", []string{"Operation", "Add", "Filter", "!Event: RTCPSent"}, ""},
			{"Ping", nil, ""},
		} {
			response, list := ask(t, m, c.action, c.fields...)
			if refused := response.Get("Response") == "Error"; refused != (c.want != "") || !strings.Contains(response.Get("Message"), c.want) {
				t.Errorf("%s: %v", c.action, response)
			}
			t.Logf("%s: %s %s, %d events", c.action, response.Get("Response"), response.Get("Message"), len(list))
		}
		for _, action := range []string{"Command", "Originate", "UpdateConfig", "CreateConfig", "UserEvent"} {
			if response, _ := ask(t, m, action); response.Get("Message") != "Permission denied" {
				t.Errorf("%s is not denied: %v", action, response)
			}
		}
	})
}

// A server keeps its address and its password through its ends.
func TestComesBack(t *testing.T) {
	s := newSite(t, "22", "SQLite")
	for name, end := range map[string]func(){"stopped": s.Stop, "killed": s.Kill} {
		end()
		if s.PID() != 0 {
			t.Errorf("%s: it still runs", name)
		}
		if _, err := s.login(t.Context()); err == nil {
			t.Errorf("%s: it still answers", name)
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, _ := ask(t, s.manager(t), "Ping"); got.Get("Response") != "Success" {
			t.Errorf("%s and started: %v", name, got)
		}
	}
	if err := s.Start(t.Context()); err == nil {
		t.Error("a server that runs was started")
	}
}

func TestTLS(t *testing.T) {
	for _, version := range []string{"22", "16"} {
		t.Run(version, func(t *testing.T) {
			s := newSite(t, version, "SQLite")
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(s.CACert)
			for _, name := range []string{"", s.Name} {
				d := tls.Dialer{Config: &tls.Config{RootCAs: pool, ServerName: name}}
				conn, err := d.DialContext(t.Context(), "tcp", s.AMITLSAddress)
				if err != nil {
					t.Fatal(err)
				}
				banner := make([]byte, 8)
				if _, err := conn.Read(banner); err != nil || string(banner) != "Asterisk" {
					t.Errorf("the banner begins with %q: %v", banner, err)
				}
				_ = conn.Close()
			}
			d := tls.Dialer{Config: &tls.Config{}}
			if conn, err := d.DialContext(t.Context(), "tcp", s.AMITLSAddress); err == nil {
				_ = conn.Close()
				t.Error("a certificate of nobody's was taken")
			}
		})
	}
}

// Two servers at once have nothing in common but the database.
func TestTwoServers(t *testing.T) {
	first := newSite(t, "22", "PostgreSQL")
	second := newSite(t, "16", "PostgreSQL")
	if first.IP == second.IP {
		t.Fatalf("both have %s", first.IP)
	}
	if _, err := Start(context.Background(), Options{SQLite: "/dev/null", Address: first.IP}); err == nil {
		t.Error("an address was given twice")
	}
	if _, err := net.Dial("udp", first.SIPAddress); err != nil {
		t.Error(err)
	}
}
