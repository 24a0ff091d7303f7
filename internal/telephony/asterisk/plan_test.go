package asterisk

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"roster.dev/roster/internal/telephony"
)

// memory is a database for plans: the cells of rows by table and key.
type memory map[string]map[key][]string

var planned = newSchema([]string{"ps_contacts"})

func init() {
	planned.endpointColumns = map[string]column{"transport": {}, "webrtc": {}, "mailboxes": {limit: 40}}
}

// state is everything that the memory holds.
func (m memory) state(template ...string) *state {
	st := newState(planned)
	st.endpoints = newRows(planned.endpointsWith(template), &st.journal)
	for _, t := range st.tables() {
		keys := slices.SortedFunc(maps.Keys(m[t.table]), func(a, b key) int { return slices.Compare(a[:], b[:]) })
		for _, k := range keys {
			cells := make([]cell, len(t.cols))
			for i := range cells {
				if cells[i] = null; i < len(m[t.table][k]) {
					cells[i] = text(m[t.table][k][i])
				}
			}
			t.read(k, cells)
		}
	}
	for _, r := range st.registry.order {
		if mailbox := r.now[regMailbox].text; mailbox != "" {
			st.mailboxes[mailbox] = r.key[1]
		}
	}
	return st
}

// write does to the memory what the differences say, as the databases do: guards, deletes before inserts.
func (m memory) write(t testing.TB, st *state) (written int) {
	ids := 0
	for _, r := range m["queue_members"] {
		ids = max(ids, len(r[memUniqueID]))
	}
	for _, rows := range st.tables() {
		if m[rows.table] == nil {
			m[rows.table] = map[key][]string{}
		}
		d := rows.diff()
		for _, r := range d.deletes {
			if m[rows.table][r.key] == nil {
				t.Fatalf("%s %v is deleted and was not there", rows.table, r.key)
			}
			delete(m[rows.table], r.key)
			written++
		}
		for _, u := range d.updates {
			for _, c := range u {
				row := m[rows.table][c.row.key]
				for len(row) < len(rows.cols) {
					row = append(row, "")
				}
				for _, col := range c.cols {
					row[col] = c.row.now[col].text
				}
				m[rows.table][c.row.key] = row
				written++
			}
		}
		for _, r := range d.inserts {
			if m[rows.table][r.key] != nil {
				t.Fatalf("%s %v is inserted and was there", rows.table, r.key)
			}
			var row []string
			for i, c := range r.now {
				if rows.table == "queue_members" && i == memUniqueID {
					ids++
					c.text = strings.Repeat("i", ids)
				}
				row = append(row, c.text)
			}
			m[rows.table][r.key] = row
			written++
		}
	}
	return written
}

// apply plans calls of a centre and writes what comes of it.
func (m memory) apply(t testing.TB, center string, calls ...*call) (written int) {
	st := m.state("transport", "webrtc")
	p := &planner{state: st, center: center, now: time.Unix(1_800_000_000, 0), endpointColumns: planned.endpointColumns}
	p.batch(calls)
	return m.write(t, st)
}

func agentCall(a *telephony.Agent) *call { return &call{kind: kindAgent, name: a.Name, agent: a} }

// drawAgent is any person of a small centre.
func drawAgent(t *rapid.T) *telephony.Agent {
	a := &telephony.Agent{
		Name:        rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name"),
		DisplayName: rapid.SampledFrom([]string{"Alice", "", `Bób "the" <best>`}).Draw(t, "display name"),
		Email:       rapid.SampledFrom([]string{"", "x@y"}).Draw(t, "email"),
		Extension:   rapid.SampledFrom([]string{"", "10", "11", "12"}).Draw(t, "extension"),
		Access:      telephony.Access(rapid.IntRange(0, 1).Draw(t, "access")),
		Phone:       rapid.Bool().Draw(t, "phone"),
		Group:       rapid.SampledFrom([]string{"", "north", "south"}).Draw(t, "group"),
		Mailbox:     rapid.SampledFrom([]string{"", "10", "11"}).Draw(t, "mailbox"),
		PauseReason: rapid.SampledFrom([]string{"", "Vacation", "SickLeave"}).Draw(t, "pause"),
		SpyGroups:   rapid.SampledFrom([]string{"", "x", "x:y"}).Draw(t, "spy groups"),
		Monitors:    rapid.SampledFrom([]string{"", "x"}).Draw(t, "monitors"),
		ReuseName:   true,
	}
	for range rapid.IntRange(0, 2).Draw(t, "orders") {
		a.Orders = append(a.Orders, telephony.Order{
			Kind:  rapid.SampledFrom([]telephony.OrderKind{telephony.OrderLogout, telephony.OrderPause, telephony.OrderUnpause, telephony.OrderReconcile}).Draw(t, "order"),
			Value: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "order's value"), Reason: "Meeting",
			Skip: rapid.IntRange(0, 3).Draw(t, "too late") == 0,
		})
	}
	if len(a.Orders) == 2 && a.Orders[0].Kind == a.Orders[1].Kind { // of a kind there is one
		a.Orders = a.Orders[:1]
	}
	a.Settings = &telephony.Settings{Context: rapid.SampledFrom([]string{"acme", "other"}).Draw(t, "context"),
		Template: map[string]string{}, Adopt: rapid.Bool().Draw(t, "adopt")}
	if rapid.Bool().Draw(t, "template") {
		a.Settings.Template["webrtc"] = "yes"
	}
	if rapid.Bool().Draw(t, "password") {
		a.Password, a.PIN = pointer("p"+a.Name), pointer("1"+a.Name)
	}
	for _, q := range []string{"q1", "q2", "q3"} {
		if rapid.Bool().Draw(t, q) {
			a.Memberships = append(a.Memberships, telephony.Membership{
				Queue: q, Stars: 1, Penalty: rapid.IntRange(0, 3).Draw(t, "penalty"),
				Channels: rapid.SampledFrom([][]string{{"Voice"}, {"Chat"}, {"Voice", "Chat"}}).Draw(t, "channels"),
				Observed: rapid.IntRange(0, 5).Draw(t, "observed") == 0,
			})
		}
	}
	if a.Access == telephony.AccessRefused {
		a.Memberships = nil
	}
	return a
}

// drawQueue is any queue of a small centre, whose members stay.
func drawQueue(t *rapid.T) *call {
	q := &telephony.Queue{
		Name: rapid.SampledFrom([]string{"q1", "q2"}).Draw(t, "queue"), Voice: true, Members: telephony.MembersAdditive,
		Extension: rapid.SampledFrom([]string{"", "10", "11", "20"}).Draw(t, "queue's extension"), Strategy: "RingAll",
	}
	return &call{kind: kindQueue, name: q.Name, queue: q}
}

// meddle changes what people change by hand on a telephone system.
func meddle(t *rapid.T, m memory) {
	switch rapid.IntRange(0, 5).Draw(t, "meddling") {
	case 0:
		for _, r := range m["queue_members"] {
			r[memPaused], r[memReason] = rapid.SampledFrom([]string{"0", "1", ""}).Draw(t, "paused"), rapid.SampledFrom([]string{"", "Lunch"}).Draw(t, "reason")
		}
	case 1:
		clear(m["queue_members"])
	case 2:
		clear(m["ps_auths"])
	case 3:
		clear(m["roster_extensions"])
	case 4:
		for _, r := range m["ps_endpoints"] {
			r[endContext] = "elsewhere"
		}
	}
}

// What is planned and written leaves nothing to plan, whatever was there; and the invariants of the rows hold.
func TestPlanConverges(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := memory{}
		steps := rapid.IntRange(1, 12).Draw(rt, "steps")
		for range steps {
			meddle(rt, m)
			drifted := m.drift()
			var calls []*call
			names := map[string]bool{}
			for range rapid.IntRange(1, 3).Draw(rt, "calls") {
				a := drawAgent(rt)
				if names[a.Name] {
					continue
				}
				names[a.Name] = true
				if rapid.IntRange(0, 4).Draw(rt, "remove") == 0 {
					calls = append(calls, &call{kind: kindAgent, name: a.Name, at: time.Unix(1_700_000_000, 0)})
				} else {
					calls = append(calls, agentCall(a))
				}
			}
			m.apply(t, "acme", calls...)
			checkInvariants(rt, m, calls)
			checkDrift(rt, m, drifted, calls)
			drifted = m.drift()
			queue := drawQueue(rt)
			m.apply(t, "acme", queue)
			checkDrift(rt, m, drifted, []*call{queue})
			for _, c := range calls {
				// One by one: of two who want one extension, each takes it.
				if c.err != nil || c.agent == nil {
					continue
				}
				again := agentCall(c.agent)
				m.apply(t, "acme", again)
				if again.err != nil {
					rt.Fatalf("again %s: %v", c.name, again.err)
				}
				if n := m.apply(t, "acme", agentCall(c.agent)); n != 0 {
					rt.Fatalf("a second plan for %s writes %d rows", c.name, n)
				}
			}
		}
	})
}

// drift is by how much the rows of each person and queue are not what was recorded of them.
func (m memory) drift() map[key]digest {
	st := m.state("transport", "webrtc")
	p := &planner{state: st, center: "acme"}
	found := map[key]digest{}
	for _, r := range st.registry.order {
		recorded, ok := parseDigest(r.now[regRowsHash].text)
		switch {
		case !ok:
		case r.key[0] == kindAgent:
			found[r.key] = p.agentDigest(r.key[1], r.now) - recorded
		default:
			found[r.key] = p.queueDigest(r.key[1], r.now) - recorded
		}
	}
	return found
}

// checkDrift: who was applied has none, and nobody else's changed.
func checkDrift(t *rapid.T, m memory, before map[key]digest, calls []*call) {
	applied := map[key]bool{}
	for _, c := range calls {
		applied[key{c.kind, c.name}] = c.err == nil
	}
	for k, d := range m.drift() {
		if applied[k] && d != 0 {
			t.Fatalf("%v has drifted when it is applied", k)
		}
		if was, ok := before[k]; ok && !applied[k] && d != was {
			t.Fatalf("%v drifts where others are applied", k)
		}
	}
}

func checkInvariants(t *rapid.T, m memory, calls []*call) {
	for _, r := range m["ps_auths"] {
		if r[authPassword] == "" {
			t.Fatal("a phone without a password")
		}
	}
	for k, r := range m["ps_endpoints"] {
		if r[endAuth] == "" && m["roster_registry"][key{kindAgent, k[0]}] != nil {
			t.Fatal("an endpoint without auth")
		}
	}
	ids := map[string]bool{}
	for _, r := range m["queue_members"] {
		if ids[r[memUniqueID]] {
			t.Fatal("a uniqueid twice")
		}
		ids[r[memUniqueID]] = true
	}
	for _, c := range calls {
		a := c.agent
		if a == nil || c.err != nil {
			continue
		}
		member := func(q string) []string { return m["queue_members"][key{q, interfaceOf(a.Name)}] }
		for _, ms := range a.Memberships {
			row := member(ms.Queue)
			if !ms.Voice() {
				continue
			}
			if row == nil {
				t.Fatalf("%s has no row in %s", a.Name, ms.Queue)
			}
			if a.PauseReason != "" && row[memPaused] != "1" {
				t.Fatalf("%s is not paused in %s", a.Name, ms.Queue)
			}
			if row[memPenalty] != fmt.Sprint(ms.Penalty) {
				t.Fatalf("penalty %s", row[memPenalty])
			}
		}
		if a.Access != telephony.AccessRefused {
			continue
		}
		for k := range m["queue_members"] {
			if k[1] == interfaceOf(a.Name) {
				t.Fatalf("%s may not work and is in %s", a.Name, k[0])
			}
		}
		if r := m["ps_aors"][key{a.Name}]; r != nil && r[aorMaxContacts] != "0" {
			t.Fatalf("%s may register", a.Name)
		}
		if r := m["ps_endpoints"][key{a.Name}]; r != nil && r[endContext] != refusedContext {
			t.Fatalf("%s may call", a.Name)
		}
	}
}

func TestPlanPauses(t *testing.T) {
	for _, c := range []struct {
		reason      string // of the case
		own         bool   // the pause in the registry is Roster's, with reason Vacation
		paused, had string // what the row says
		want        string // the pause wanted
		wantPaused  string
		wantReason  string
		wantOwn     bool
	}{
		{"nobody pauses", false, "0", "", "", "0", "", false},
		{"NULL is not paused", false, "", "", "", "", "", false},
		{"a leave begins", false, "0", "", "Vacation", "1", "Vacation", true},
		{"a leave begins where the row says NULL", false, "", "", "Vacation", "1", "Vacation", true},
		{"a leave begins during the person's own pause", false, "1", "Lunch", "Vacation", "1", "Lunch", false},
		{"a leave begins during a pause that looks like Roster's", false, "1", "Vacation", "Vacation", "1", "Vacation", false},
		{"a leave goes on", true, "1", "Vacation", "Vacation", "1", "Vacation", true},
		{"a leave changes its reason", true, "1", "Vacation", "SickLeave", "1", "SickLeave", true},
		{"the pause was undone by hand", true, "0", "", "Vacation", "1", "Vacation", true},
		{"the person paused anew during the leave", true, "1", "Lunch", "Vacation", "1", "Lunch", false},
		{"a leave ends", true, "1", "Vacation", "", "0", "", false},
		{"a leave ends where the pause was undone by hand", true, "0", "", "", "0", "", false},
		{"a leave ends during the person's own pause", false, "1", "Lunch", "", "1", "Lunch", false},
		{"a leave ends during a pause that the person took over", true, "1", "Lunch", "", "1", "Lunch", false},
	} {
		t.Run(c.reason, func(t *testing.T) {
			m := memory{}
			a := agentIn("alice", "support")
			m.apply(t, "acme", agentCall(a))
			row := m["queue_members"][key{"support", interfaceOf("alice")}]
			row[memPaused], row[memReason] = c.paused, c.had
			reg := m["roster_registry"][key{kindAgent, "alice"}]
			if c.own {
				reg[regOwnPauses], reg[regPauseReason] = "support", "Vacation"
			}
			a.PauseReason = c.want
			m.apply(t, "acme", agentCall(a))
			row = m["queue_members"][key{"support", interfaceOf("alice")}]
			if row[memPaused] != c.wantPaused || row[memReason] != c.wantReason {
				t.Errorf("paused %q %q, want %q %q", row[memPaused], row[memReason], c.wantPaused, c.wantReason)
			}
			if own := m["roster_registry"][key{kindAgent, "alice"}][regOwnPauses] == "support"; own != c.wantOwn {
				t.Errorf("own %v, want %v", own, c.wantOwn)
			}
		})
	}
}

// A mailbox or extension that one person gives up in the same batch goes to the other, in either order.
func TestPlanHandover(t *testing.T) {
	for _, reversed := range []bool{false, true} {
		m := memory{}
		a, b := agentIn("a"), agentIn("b")
		a.Extension, a.Mailbox, a.PIN = "10", "10", pointer("1")
		m.apply(t, "acme", agentCall(a))
		a.Extension, a.Mailbox = "", ""
		b.Extension, b.Mailbox, b.PIN = "10", "10", pointer("2")
		calls := []*call{agentCall(a), agentCall(b)}
		if reversed {
			slices.Reverse(calls)
		}
		m.apply(t, "acme", calls...)
		for _, c := range calls {
			if c.err != nil {
				t.Errorf("%s: %v", c.name, c.err)
			}
		}
		if got := m["roster_extensions"][key{"acme/10"}]; got[extInterface] != "PJSIP/b" {
			t.Error(got)
		}
		if got := m["voicemail"][key{"10", "acme"}]; got[vmPassword] != "2" {
			t.Error(got)
		}
	}
}

func TestCallerID(t *testing.T) {
	for _, c := range []struct{ name, extension, want string }{
		{"Alice Martin", "1001", `"Alice Martin" <1001>`},
		{"Alice", "", `"Alice"`},
		{"", "1001", `"" <1001>`},
		{`A"l<i>c\e`, "1", `"Alice" <1>`},
		{strings.Repeat("é", 50), "1234567890", `"` + strings.Repeat("é", 25) + `" <1234567890>`},
		{"Twenty-five characters is", "1234567890", `"Twenty-five characters is" <1234567890>`},
		{"Maria Carolina von Habsburg-Lothringen", "123456", `"Maria Carolina von Habsburg-L" <123456>`},
	} {
		got := callerID(c.name, c.extension)
		if got != c.want || len([]rune(got)) > callerIDLength {
			t.Errorf("callerID(%q, %q) = %s, want %s", c.name, c.extension, got, c.want)
		}
	}
}
