package asterisk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"roster.dev/roster/internal/telephony"
)

func caller(phone string) *telephony.Sticky {
	return &telephony.Sticky{Phone: phone, Agent: "alice-martin", Group: "north", Queue: "acme.north", Case: "CASE-7", Assignment: "refund"}
}

func stick(t *testing.T, b *Backend, c *telephony.Sticky) (changed bool) {
	t.Helper()
	changed, err := b.ApplySticky(t.Context(), c)
	must(t, err)
	return changed
}

// compared are the known callers that Compare and Load find, which are the same.
func compared(t *testing.T, b *Backend) map[string]telephony.Sticky {
	t.Helper()
	drift, err := b.Compare(t.Context())
	must(t, err)
	records, err := b.Load(t.Context())
	must(t, err)
	if !maps.Equal(drift.Sticky, records.Sticky) {
		t.Errorf("compared %+v, loaded %+v", drift.Sticky, records.Sticky)
	}
	return drift.Sticky
}

// What the dialplan and reports read of a known caller (O8).
func TestStickyRow(t *testing.T) {
	everywhere(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		stick(t, b, caller("+390699999"))
		row := `SELECT key, center, interface, agent, agent_group, queue, case_id, assignment FROM roster_sticky`
		if got := fmt.Sprint(s.rows(t, row)); got != "[[acme/+390699999 acme PJSIP/alice-martin alice-martin north acme.north CASE-7 refund]]" {
			t.Error(got)
		}
		stick(t, b, &telephony.Sticky{Phone: "+390699999", Case: "CASE-7", Assignment: "refund"})
		if got := fmt.Sprint(s.rows(t, row)); got != "[[acme/+390699999 acme     CASE-7 refund]]" {
			t.Error(got)
		}
		if got := s.one(t, `SELECT COUNT(*) FROM roster_registry`)[0]; got != "0" {
			t.Errorf("%s rows in the registry", got)
		}
	})
}

// Each column that Roster writes shows where somebody else changed it, and is repaired (O8, B4).
func TestStickyDrift(t *testing.T) {
	everywhere(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		nobody := caller("+390611111")
		nobody.Agent = ""
		stick(t, b, nobody)
		stick(t, b, caller("+390699999"))
		want := map[string]telephony.Sticky{nobody.Phone: *nobody, "+390699999": *caller("+390699999")}
		if got := compared(t, b); !maps.Equal(got, want) {
			t.Fatalf("got %+v", got)
		}
		for _, change := range []string{
			`SET interface = 'PJSIP/mallory' WHERE key = 'acme/+390699999'`,
			`SET interface = NULL WHERE key = 'acme/+390699999'`,
			`SET interface = 'PJSIP/mallory' WHERE key = 'acme/+390611111'`,
			`SET agent = NULL WHERE key = 'acme/+390699999'`,
			`SET agent = 'mallory' WHERE key = 'acme/+390699999'`,
			`SET agent = 'mallory' WHERE key = 'acme/+390611111'`,
			`SET agent = 'mallory', interface = 'PJSIP/mallory' WHERE key = 'acme/+390611111'`,
			`SET agent_group = NULL WHERE key = 'acme/+390699999'`,
			`SET queue = 'elsewhere' WHERE key = 'acme/+390699999'`,
			`SET case_id = 'x' WHERE key = 'acme/+390699999'`,
			`SET assignment = NULL WHERE key = 'acme/+390699999'`,
			`SET center = 'other' WHERE key = 'acme/+390699999'`,
		} {
			s.exec(t, `UPDATE roster_sticky `+change)
			if maps.Equal(compared(t, b), want) {
				t.Errorf("%s: not seen", change)
			}
			changed := 0
			for _, c := range want {
				if stick(t, b, &c) {
					changed++
				}
			}
			if got := compared(t, b); changed != 1 || !maps.Equal(got, want) {
				t.Errorf("%s: %d repaired, then %+v", change, changed, got)
			}
		}
		// NULL says the same as nothing, and a row without a centre under the centre's key is the centre's.
		s.exec(t, `UPDATE roster_sticky SET interface = '', agent = '' WHERE key = 'acme/+390611111'`)
		if stick(t, b, nobody) {
			t.Error("an empty column is drift")
		}
		s.exec(t, `UPDATE roster_sticky SET center = NULL`)
		if got := compared(t, b); !maps.Equal(got, want) {
			t.Errorf("without a centre: %+v", got)
		}
		if !stick(t, b, nobody) || s.one(t, `SELECT center FROM roster_sticky WHERE key = 'acme/+390611111'`)[0] != "acme" {
			t.Error("the centre is not written")
		}
		// Keys of other centres', and of nobody's, are not the centre's.
		for _, key := range []string{"acme-2/+1", "acm/+1", "+1", "ACME/+1"} {
			s.exec(t, `INSERT INTO roster_sticky (key, agent) VALUES (?, 'mallory')`, key)
		}
		if got := compared(t, b); !maps.Equal(got, want) {
			t.Errorf("among others: %+v", got)
		}
	})
}

func TestStickyLengths(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		for column, c := range map[string]*telephony.Sticky{
			"key":         {Phone: "+" + strings.Repeat("1", 76)},
			"interface":   {Phone: "+1", Agent: strings.Repeat("a", 75)},
			"agent_group": {Phone: "+1", Group: strings.Repeat("a", 254)},
			"queue":       {Phone: "+1", Queue: strings.Repeat("a", 81)},
			"case_id":     {Phone: "+1", Case: strings.Repeat("é", 257)},
			"assignment":  {Phone: "+1", Assignment: strings.Repeat("a", 254)},
		} {
			_, err := b.ApplySticky(t.Context(), c)
			wantKind(t, err, telephony.Refused, "roster_sticky", column)
		}
		fits := &telephony.Sticky{Phone: "+" + strings.Repeat("1", 74), Agent: strings.Repeat("a", 74), Group: strings.Repeat("a", 253),
			Queue: strings.Repeat("a", 80), Case: strings.Repeat("é", 256), Assignment: strings.Repeat("a", 253)}
		stick(t, b, fits)
		if got := compared(t, b); len(got) != 1 || got[fits.Phone] != *fits {
			t.Errorf("got %+v", got)
		}
		a := agentIn("alice-martin")
		a.Seat = strings.Repeat("x", 21)
		_, err := b.ApplyAgent(t.Context(), a)
		wantKind(t, err, telephony.Refused, "roster_agents", "seat", "20")
	})
}

// A crowd of known callers shares transactions, writes one row each, and none where nothing changed (O8).
func TestManySticky(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		const callers = 1000
		round := func(f func(phone string) (bool, error)) (changed int, stats Stats) {
			t.Helper()
			before := b.Stats()
			var mu sync.Mutex
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					did, err := f(fmt.Sprintf("+3906%04d", i))
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						t.Error(err)
					} else if did {
						changed++
					}
				})
			}
			wg.Wait()
			after := b.Stats()
			return changed, Stats{Statements: after.Statements - before.Statements, RowsWritten: after.RowsWritten - before.RowsWritten,
				Transactions: after.Transactions - before.Transactions}
		}
		apply := func(agent string) func(string) (bool, error) {
			return func(phone string) (bool, error) {
				c := caller(phone)
				c.Agent = agent
				return b.ApplySticky(t.Context(), c)
			}
		}
		for _, c := range []struct {
			what string
			do   func(string) (bool, error)
			rows int
		}{
			{"made", apply("alice-martin"), callers},
			{"applied again", apply("alice-martin"), 0},
			{"handed on", apply("bob-lee"), callers},
			{"removed", func(phone string) (bool, error) { return b.RemoveSticky(t.Context(), phone) }, callers},
			{"removed again", func(phone string) (bool, error) { return b.RemoveSticky(t.Context(), phone) }, 0},
		} {
			changed, stats := round(c.do)
			if changed != c.rows || stats.RowsWritten != int64(c.rows) || stats.Transactions > callers/10 || stats.Statements > 3*callers/10 {
				t.Errorf("%s: %d changed, %+v", c.what, changed, stats)
			}
		}
	})
}

// A row that the database refuses fails its caller and nobody else.
func TestBadStickyFailsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		if s.config.Type == TypeSQLite {
			s.exec(t, `CREATE TRIGGER bad BEFORE INSERT ON roster_sticky WHEN NEW.key = 'acme/+33' BEGIN SELECT RAISE(ABORT, 'not this one'); END`)
		} else {
			s.exec(t, `ALTER TABLE roster_sticky ADD CONSTRAINT bad CHECK (key <> 'acme/+33')`)
		}
		var wg sync.WaitGroup
		errs := make([]error, 64)
		for i := range errs {
			wg.Go(func() { _, errs[i] = b.ApplySticky(t.Context(), caller(fmt.Sprint("+", i))) })
		}
		wg.Wait()
		for i, err := range errs {
			if i == 33 {
				wantKind(t, err, telephony.Refused)
			} else if err != nil {
				t.Errorf("+%d: %v", i, err)
			}
		}
		if got := compared(t, b); len(got) != len(errs)-1 {
			t.Errorf("%d callers", len(got))
		}
	})
}

// Whose access is to end does not wait behind known callers.
func TestTake(t *testing.T) {
	refused := agentIn("carla-diaz")
	refused.Access = telephony.AccessRefused
	sticky := func(phone string) *call { return &call{kind: kindSticky, name: phone, sticky: caller(phone)} }
	for _, c := range []struct {
		reason  string
		pending []*call
		want    []string
	}{
		{"nothing", nil, nil},
		{"in the order of their coming, a kind at a time",
			[]*call{sticky("+1"), agentCall(agentIn("alice")), sticky("+2"), {kind: kindQueue, name: "q"}, agentCall(agentIn("bob"))},
			[]string{"+1 +2", "alice bob", "q"}},
		{"no name twice", []*call{sticky("+1"), sticky("+2"), sticky("+1"), {kind: kindSticky, name: "+1"}},
			[]string{"+1 +2", "+1", "+1"}},
		{"one name of two kinds", []*call{agentCall(agentIn("x")), {kind: kindQueue, name: "x"}, {kind: kindQueue, name: "x"}},
			[]string{"x", "x", "x"}},
		{"a deactivation first", []*call{sticky("+1"), {kind: kindQueue, name: "q"}, agentCall(agentIn("alice")), agentCall(refused)},
			[]string{"alice carla-diaz", "+1", "q"}},
		{"a removal first", []*call{sticky("+1"), {kind: kindAgent, name: "dan-roe"}, sticky("+2")},
			[]string{"dan-roe", "+1 +2"}},
	} {
		b := &Backend{pending: c.pending, hurry: make(chan struct{}, 1)}
		var got []string
		for batch := b.take(); len(batch) > 0; batch = b.take() {
			var names []string
			for _, c := range batch {
				names = append(names, c.name)
			}
			got = append(got, strings.Join(names, " "))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.reason, got, c.want)
		}
	}
}

// Known callers do not keep a deactivation waiting (G1).
func TestDeactivationAmongSticky(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		a := agentIn("alice-martin", "support")
		apply(t, b, a)
		a.Access, a.Memberships = telephony.AccessRefused, nil
		calls := make([]*call, 20*maxBatch)
		for i := range calls {
			phone := fmt.Sprintf("+39%05d", i)
			calls[i] = &call{kind: kindSticky, name: phone, sticky: caller(phone), done: make(chan struct{})}
		}
		b.mu.Lock()
		b.pending = append(b.pending, calls...)
		b.mu.Unlock()
		b.rouse(b.wake)
		apply(t, b, a)
		b.mu.Lock()
		left := len(b.pending)
		b.mu.Unlock()
		if left < len(calls)/2 {
			t.Errorf("%d of %d known callers are left when access has ended", left, len(calls))
		}
		for _, c := range calls {
			if <-c.done; c.err != nil {
				t.Error(c.err)
			}
		}
	})
}

// Rows that were there before the columns were are the centre's (O8).
func TestStickyAfterUpgrade(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		s.loaded(t)
		s.downgrade(t, 2)
		s.exec(t, `INSERT INTO roster_sticky (key, interface, agent) VALUES ('acme/+1', 'PJSIP/alice-martin', 'alice-martin')`)
		b := s.loaded(t)
		if got, want := compared(t, b), map[string]telephony.Sticky{"+1": {Phone: "+1", Agent: "alice-martin"}}; !maps.Equal(got, want) {
			t.Errorf("got %+v", got)
		}
		if !stick(t, b, caller("+1")) || stick(t, b, caller("+1")) {
			t.Error("it is not taken over")
		}
		if changed, err := b.RemoveSticky(t.Context(), "+1"); !changed || err != nil {
			t.Error(changed, err)
		}
	})
}
