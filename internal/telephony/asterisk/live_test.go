package asterisk

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
)

// Each server keeps registrations in a table of its own: an end to them is an end in all (rule 3).
func TestContactsTables(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		config := s.config
		config.Center, config.ContactsTables = "acme", []string{"ps_contacts_2", "Contacts of server 3"}
		b, err := Open(t.Context(), config)
		must(t, err)
		defer b.Close()
		if _, err := b.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		a := agentIn("alice-martin", "support")
		tables := []string{"ps_contacts", "ps_contacts_2", "Contacts of server 3"}
		register := func(table string, life time.Duration) {
			t.Helper()
			s.exec(t, `DELETE FROM "`+table+`"`)
			for _, name := range []string{"alice-martin", "alice-martin-2"} {
				s.exec(t, `INSERT INTO "`+table+`" (id, uri, endpoint, expiration_time, qualify_frequency, reg_server, via_port, prune_on_boot)
					VALUES (?, 'sip:x@127.0.0.1', ?, ?, 60, 'pbx', 5060, 'no')`, name+"@@1", name, time.Now().Add(life).Unix())
			}
		}
		expired := func(table string) bool {
			t.Helper()
			rows := s.rows(t, `SELECT endpoint, expiration_time FROM "`+table+`" ORDER BY endpoint`)
			if rows[1][1] == "1" {
				t.Errorf("in %s somebody else's registration was ended", table)
			}
			return rows[0][1] == "1"
		}
		for i, table := range tables {
			for _, table := range tables {
				register(table, -time.Minute)
			}
			if apply(t, b, a).Online {
				t.Error("online by registrations that are over")
			}
			register(table, time.Hour)
			if !apply(t, b, a).Online {
				t.Errorf("a registration in %s alone is not online", table)
			}
			a.Orders = []telephony.Order{{Kind: telephony.OrderLogout, Value: fmt.Sprint(i)}}
			result := apply(t, b, a)
			if result.Online || !expired(table) || !slices.Equal(result.Written, []string{table + ".expiration_time"}) {
				t.Errorf("logged out of %s: online %v, written %v", table, result.Online, result.Written)
			}
			a.Orders = nil

			register(table, time.Hour)
			away := *a
			away.Access, away.Memberships = telephony.AccessRefused, nil
			if apply(t, b, &away).Online || !expired(table) {
				t.Errorf("deactivated, and registered in %s", table)
			}
			apply(t, b, a)
			register(table, time.Hour)
			if i == len(tables)-1 {
				if _, err := b.RemoveAgent(t.Context(), a.Name, time.Now()); err != nil {
					t.Fatal(err)
				}
				if !expired(table) {
					t.Errorf("removed, and registered in %s", table)
				}
			}
		}
	})
}

// What the registry holds of orders survives what people write there, and a second person's failure.
func TestHandled(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		a := agentIn("alice-martin", "support")
		value := `2027-02-01T09:00:00Z "Lunch", é\n` + strings.Repeat("x", 400)
		a.Orders = []telephony.Order{{Kind: telephony.OrderPause, Value: value, Reason: strings.Repeat("é", 100)}}
		result := apply(t, b, a)
		recorded := result.Record.Handled[telephony.OrderPause]
		if len([]rune(recorded)) != maximumOrder || !strings.HasPrefix(value, recorded) {
			t.Errorf("recorded %q", recorded)
		}
		if got := s.one(t, `SELECT reason_paused FROM queue_members WHERE queue_name = 'support'`)[0]; got != strings.Repeat("é", reasonLength) {
			t.Errorf("reason %q", got)
		}
		if apply(t, b, a).Changed {
			t.Error("a long order is carried out twice")
		}
		records, err := b.Load(t.Context())
		must(t, err)
		if got := records.Agents[a.Name].Handled[telephony.OrderPause]; got != recorded {
			t.Errorf("loaded %q", got)
		}
		for _, rubbish := range []string{"rubbish", "[]", "{}", ""} {
			s.exec(t, `UPDATE roster_registry SET handled = ? WHERE name = ?`, rubbish, a.Name)
			if _, err := b.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if result := apply(t, b, a); result.Record.Handled[telephony.OrderPause] != recorded {
				t.Errorf("after %q: %v", rubbish, result.Record.Handled)
			}
		}
	})
}

// A pause by order is guarded by the value that is expected: one that comes from a phone at the same moment stays.
func TestOrderBesidePauses(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		a := agentIn("alice-martin", "support")
		apply(t, b, a)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 40 {
				ordered := *a
				ordered.Orders = []telephony.Order{{Kind: telephony.OrderPause, Value: fmt.Sprint(i), Reason: "by order"}}
				if _, err := b.ApplyAgent(t.Context(), &ordered); err != nil {
					t.Error(err)
					return
				}
			}
		}()
		for busy := true; busy; {
			select {
			case <-done:
				busy = false
			default:
			}
			s.SetPause(t, "support", "alice-martin", false, "")
			s.SetPause(t, "support", "alice-martin", true, "by hand")
			if m := s.Members(t, "support")[0]; !m.Paused || m.Reason != "by hand" {
				t.Fatalf("the person's own pause was overwritten: %+v", m)
			}
		}
	})
}

// Written names at most ten, and no values.
func TestWrittenBound(t *testing.T) {
	m := memory{}
	a := agentIn("alice", "q1", "q2")
	a.Extension, a.Mailbox, a.PIN = "10", "10", pointer("1")
	m.apply(t, "acme", agentCall(a))
	for _, row := range m["ps_endpoints"] {
		for i := range row {
			row[i] = "x"
		}
	}
	for _, row := range m["roster_agents"] {
		for i := range row {
			row[i] = "acme"
		}
	}
	c := agentCall(a)
	m.apply(t, "acme", c)
	if n := len(c.result.Written); n != maximumWritten || !slices.IsSorted(c.result.Written) {
		t.Errorf("%d: %v", n, c.result.Written)
	}
	for _, w := range c.result.Written {
		if _, column, _ := strings.Cut(w, "."); column == "" || column == "updated_at" {
			t.Errorf("written %s", w)
		}
	}
}
