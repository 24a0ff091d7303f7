//go:build pbx

package asterisk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"roster.dev/roster/hack/asterisk/lab"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony"
)

// What Asterisk itself does to the tables while it works is no drift, and it takes what is written for it (B4, C5, C8).
func TestPBXCompare(t *testing.T) {
	for _, c := range []struct {
		name, version string
		reasons       bool
	}{
		{"22", "22", true}, {"16", "16", true}, {"16 with the tables of its own migrations", "16", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSQLiteSystem(t)
			if !c.reasons {
				s.exec(t, `CREATE TABLE queue_members (queue_name VARCHAR(80) NOT NULL, interface VARCHAR(80) NOT NULL, membername VARCHAR(80),
					state_interface VARCHAR(80), penalty INTEGER, paused INTEGER, uniqueid INTEGER NOT NULL UNIQUE, wrapuptime INTEGER,
					PRIMARY KEY (queue_name, interface))`)
			}
			b := s.loaded(t)
			must(t, b.ApplyQueue(t.Context(), &telephony.Queue{Name: "support", Settings: acme, Voice: true, Extension: "600",
				Strategy: "RingAll", TimeoutSeconds: 15}))
			alice, bob := agentIn("alice-martin", "support"), agentIn("bob-lee", "support")
			alice.Extension, alice.SpyGroups = "1001", "aaaa:bbbb"
			bob.PauseReason = "Vacation"
			apply(t, b, alice)
			apply(t, b, bob)

			server := lab.ForTest(t, lab.Options{Version: c.version, SQLite: s.config.Path})
			says := func(command, want string) {
				t.Helper()
				var got string
				for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
					out, err := server.CLI(t.Context(), command)
					must(t, err)
					if got = out; strings.Contains(got, want) {
						return
					}
				}
				t.Errorf("%s does not say %q but %s", command, want, got)
			}
			says("queue show support", "alice-martin (PJSIP/alice-martin)")
			says("pjsip show endpoint alice-martin", ": aaaa:bbbb\n") // SPYGROUP
			if status, err := phone.ForTest(t, phone.Config{Server: server.SIPAddress, User: "alice-martin", Password: *alice.Password}).
				Register(t.Context()); err != nil || status != 200 {
				t.Fatal(status, err)
			}
			says("queue show support", "(Not in use)")
			wantDrift(t, b, nil, nil)
			if !apply(t, b, alice).Online {
				t.Error("not online")
			}

			says("queue pause member PJSIP/alice-martin queue support reason Lunch", "paused")
			if got := s.one(t, `SELECT paused FROM queue_members WHERE membername = 'alice-martin'`)[0]; got != "1" {
				t.Errorf("paused %q", got)
			}
			wantDrift(t, b, nil, nil)
			if apply(t, b, alice).Changed {
				t.Error("the person's own pause is drift")
			}
			says("queue unpause member PJSIP/bob-lee queue support", "paused")
			wantDrift(t, b, []string{"bob-lee"}, nil)
			result := apply(t, b, bob)
			if !result.Changed || fmt.Sprint(result.Queues) != "[support]" {
				t.Errorf("got %+v", result)
			}
			wantDrift(t, b, nil, nil)

			alice.Orders = []telephony.Order{{Kind: telephony.OrderUnpause, Value: "1"}, {Kind: telephony.OrderLogout, Value: "1"}}
			apply(t, b, alice)
			says("pjsip show contacts", "No objects found")
			says("queue show support", "(Unavailable)")
			if out, _ := server.CLI(t.Context(), "queue show support"); strings.Count(out, "paused") != 1 {
				t.Errorf("bob alone is paused: %s", out)
			}
			wantDrift(t, b, nil, nil)
		})
	}
}
