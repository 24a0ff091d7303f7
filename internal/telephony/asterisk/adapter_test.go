package asterisk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/postgrestest"
)

var both = []struct {
	name   string
	system func(t *testing.T) *tables
}{
	{"SQLite", newSQLiteSystem},
	{"PostgreSQL", newPostgresSystem},
}

func onBoth(t *testing.T, test func(t *testing.T, s *tables)) {
	for _, c := range both {
		t.Run(c.name, func(t *testing.T) { test(t, c.system(t)) })
	}
}

// loaded is a backend of centre acme that was loaded.
func (s *tables) loaded(t *testing.T) *Backend {
	t.Helper()
	b := s.Open(t, "acme").(*Backend)
	if _, err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

var acme = &telephony.Settings{Context: "acme"}

func agentIn(name string, queues ...string) *telephony.Agent {
	password := "secret of " + name
	a := &telephony.Agent{Name: name, UID: "uid-" + name, Settings: acme, DisplayName: "Name of " + name,
		Access: telephony.AccessGranted, Phone: true, Password: &password, Phase: "Active"}
	for _, q := range queues {
		a.Memberships = append(a.Memberships, telephony.Membership{Queue: q, Channels: []string{"Voice"}, Stars: 1, Penalty: 3})
	}
	return a
}

func apply(t *testing.T, b *Backend, a *telephony.Agent) telephony.AgentResult {
	t.Helper()
	result, err := b.ApplyAgent(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func wantKind(t *testing.T, err error, kind telephony.Kind, words ...string) {
	t.Helper()
	if telephony.KindOf(err) != kind {
		t.Fatalf("got %v (%v), want %v", err, telephony.KindOf(err), kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%q does not say %q", err, w)
		}
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		if strings.Contains(fmt.Sprintf("%+v", e), "secret") {
			t.Errorf("%q tells a secret", e)
		}
	}
}

func TestConvergedWritesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		a := agentIn("alice-martin", "sales", "support")
		apply(t, b, a)
		before := b.Stats()
		for range 3 {
			apply(t, b, a)
		}
		after := b.Stats()
		if after.Transactions != before.Transactions || after.RowsWritten != before.RowsWritten {
			t.Errorf("before %+v, after %+v", before, after)
		}
	})
}

// Columns that Roster does not write are neither changed nor drift (rule 9).
func TestForeignColumnsStay(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		a := agentIn("alice-martin", "support")
		q := &telephony.Queue{Name: "support", Settings: acme, Voice: true, Strategy: "RingAll"}
		apply(t, b, a)
		if err := b.ApplyQueue(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		s.exec(t, `UPDATE ps_endpoints SET moh_suggest = 'jazz', transport = 'transport-udp'`)
		s.exec(t, `UPDATE ps_aors SET default_expiration = 77`)
		s.exec(t, `UPDATE queues SET musiconhold = 'jazz', joinempty = 'yes'`)
		s.exec(t, `UPDATE queue_members SET wrapuptime = 9, state_interface = 'x'`)
		if apply(t, b, a).Changed {
			t.Error("foreign columns are drift")
		}
		a.DisplayName, a.PauseReason, a.Memberships[0].Penalty = "Alice", "Vacation", 0
		apply(t, b, a)
		q.TimeoutSeconds = 5
		if err := b.ApplyQueue(t.Context(), q); err != nil {
			t.Fatal(err)
		}
		for query, want := range map[string]string{
			`SELECT callerid, moh_suggest, transport FROM ps_endpoints`:                                                `["Alice" jazz transport-udp]`,
			`SELECT default_expiration, max_contacts FROM ps_aors`:                                                     `[77 1]`,
			`SELECT musiconhold, joinempty, timeout FROM queues`:                                                       `[jazz yes 5]`,
			`SELECT wrapuptime, state_interface, penalty, paused FROM queue_members WHERE membername = 'alice-martin'`: `[9 x 0 1]`,
		} {
			if got := fmt.Sprint(s.one(t, query)); got != want {
				t.Errorf("%s: got %s, want %s", query, got, want)
			}
		}
	})
}

func TestTemplateColumns(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		a := agentIn("alice-martin")
		a.Settings = &telephony.Settings{Context: "acme", Template: map[string]string{"webrtc": "yes", "allow": "ulaw", "transport": "t1"}}
		apply(t, b, a)
		columns := `SELECT webrtc, allow, transport, direct_media FROM ps_endpoints`
		if got := fmt.Sprint(s.one(t, columns)); got != "[yes ulaw t1 ]" {
			t.Error(got)
		}
		s.exec(t, `UPDATE ps_endpoints SET webrtc = 'no'`)
		if !apply(t, b, a).Changed {
			t.Error("a template column is no drift")
		}
		// What leaves the template is no longer there.
		a.Settings = &telephony.Settings{Context: "acme", Template: map[string]string{"direct_media": "no"}}
		apply(t, b, a)
		if got := fmt.Sprint(s.one(t, columns)); got != "[ opus,g722,alaw,ulaw  no]" {
			t.Error(got)
		}
		a.Settings = &telephony.Settings{Context: "acme", Template: map[string]string{"no_such_column": "1"}}
		_, err := b.ApplyAgent(t.Context(), a)
		wantKind(t, err, telephony.Refused, "ps_endpoints", "no_such_column")
	})
}

// For a uniqueid it knows Asterisk ignores another interface or membername: none is ever used twice.
func TestMemberIDs(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		used := map[string]bool{}
		ids := func() {
			t.Helper()
			for _, r := range s.rows(t, `SELECT uniqueid FROM queue_members WHERE queue_name = 'support'`) {
				if used[r[0]] {
					t.Errorf("uniqueid %s comes again", r[0])
				}
				used[r[0]] = true
			}
		}
		for range 3 {
			apply(t, b, agentIn("alice-martin", "support"))
			ids()
			apply(t, b, agentIn("alice-martin"))
		}
		s.AddMember(t, "other", "PJSIP/other") // somebody else counts, too
		apply(t, b, agentIn("alice-martin", "support"))
		ids()
		s.exec(t, `UPDATE queue_members SET membername = 'x', paused = 1, reason_paused = 'Lunch' WHERE queue_name = 'support'`)
		apply(t, b, agentIn("alice-martin", "support"))
		ids()
		if got := fmt.Sprint(s.one(t, `SELECT membername, paused, reason_paused FROM queue_members WHERE queue_name = 'support'`)); got != "[alice-martin 1 Lunch]" {
			t.Error(got)
		}
		// NULL is not paused.
		s.exec(t, `UPDATE queue_members SET paused = NULL, reason_paused = NULL WHERE queue_name = 'support'`)
		if apply(t, b, agentIn("alice-martin", "support")).Changed {
			t.Error("paused NULL is drift")
		}
		away := agentIn("alice-martin", "support")
		away.PauseReason = "Vacation"
		apply(t, b, away)
		if got := fmt.Sprint(s.one(t, `SELECT paused, reason_paused FROM queue_members WHERE queue_name = 'support'`)); got != "[1 Vacation]" {
			t.Error(got)
		}
	})
}

// Asterisk writes reason_paused back only where it found a non-empty one when it started.
func TestSentinel(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		s.loaded(t)
		s.loaded(t)
		rows := s.rows(t, `SELECT queue_name, reason_paused FROM queue_members WHERE reason_paused <> ''`)
		if len(rows) != 1 || rows[0][0] != sentinel.queue {
			t.Error(rows)
		}
	})
}

// A row that the database refuses fails its agent and nobody else.
func TestBadRowFailsAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		if s.config.Type == TypeSQLite {
			s.exec(t, `CREATE TRIGGER bad BEFORE INSERT ON ps_auths WHEN NEW.id = 'agent-33' BEGIN SELECT RAISE(ABORT, 'not this one'); END`)
		} else {
			s.exec(t, `ALTER TABLE ps_auths ADD CONSTRAINT bad CHECK (id <> 'agent-33')`)
		}
		var wg sync.WaitGroup
		errs := make([]error, 64)
		for i := range errs {
			wg.Go(func() { _, errs[i] = b.ApplyAgent(t.Context(), agentIn(fmt.Sprintf("agent-%02d", i), "support")) })
		}
		wg.Wait()
		for i, err := range errs {
			if i == 33 {
				wantKind(t, err, telephony.Refused)
			} else if err != nil {
				t.Errorf("agent-%02d: %v", i, err)
			}
		}
		if got := s.one(t, `SELECT COUNT(*) FROM roster_agents`)[0]; got != "63" {
			t.Errorf("%s people", got)
		}
		if got := s.one(t, `SELECT COUNT(*) FROM ps_endpoints WHERE id = 'agent-33'`)[0]; got != "0" {
			t.Error("half a person was written")
		}
	})
}

func TestLengths(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		a := agentIn("alice-martin")
		a.DisplayName = strings.Repeat("Ünï", 60)
		a.Extension, a.Mailbox, a.PIN = "1001", "1001", pointer("4711")
		a.Email = strings.Repeat("x", 90) + "@acme.example"
		apply(t, b, a)
		if apply(t, b, a).Changed {
			t.Error("cut values are drift")
		}
		got := s.one(t, `SELECT callerid FROM ps_endpoints`)[0]
		if n := len([]rune(got)); n != 40 || !strings.HasSuffix(got, `" <1001>`) {
			t.Errorf("%d characters: %s", n, got)
		}
		if got := s.one(t, `SELECT email FROM voicemail`)[0]; got != "" {
			t.Errorf("half an address: %s", got)
		}
		a.Password = pointer("secret" + strings.Repeat("s", 80))
		_, err := b.ApplyAgent(t.Context(), a)
		wantKind(t, err, telephony.Refused, "password", "ps_auths", "80")
	})
}

func pointer(s string) *string { return &s }

// Tables that exist are checked and never altered.
func TestMissingColumns(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		s.exec(t, `CREATE TABLE queue_members (queue_name VARCHAR(80) NOT NULL, interface VARCHAR(80) NOT NULL, uniqueid INTEGER NOT NULL UNIQUE,
			paused INTEGER, PRIMARY KEY (queue_name, interface))`)
		b := s.Open(t, "acme").(*Backend)
		_, err := b.Load(t.Context())
		wantKind(t, err, telephony.Refused, "queue_members", "membername", "penalty", "alembic")
		if strings.Contains(err.Error(), "reason_paused") {
			t.Errorf("%q names a column that may be missing", err)
		}
		_, err = b.ApplyAgent(t.Context(), agentIn("alice-martin"))
		wantKind(t, err, telephony.Unreachable)
		s.exec(t, `ALTER TABLE queue_members ADD COLUMN membername VARCHAR(80)`)
		s.exec(t, `ALTER TABLE queue_members ADD COLUMN penalty INTEGER`)
		if _, err := b.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		apply(t, b, agentIn("alice-martin", "support"))
	})
}

// After Asterisk 16's own migrations queue_members has no reason_paused, and in early versions no ringinuse.
func TestMembersWithoutReasons(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		s.exec(t, `CREATE TABLE queue_members (queue_name VARCHAR(80) NOT NULL, interface VARCHAR(80) NOT NULL, membername VARCHAR(80),
			state_interface VARCHAR(80), penalty INTEGER, paused INTEGER, uniqueid INTEGER NOT NULL UNIQUE, wrapuptime INTEGER,
			PRIMARY KEY (queue_name, interface))`)
		b := s.loaded(t)
		a := agentIn("alice-martin", "sales", "support")
		members := func(want string) {
			t.Helper()
			if got := fmt.Sprint(s.rows(t, `SELECT queue_name, membername, penalty, paused FROM queue_members ORDER BY queue_name`)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			if apply(t, b, a).Changed {
				t.Error("applied again, it changes something")
			}
			wantDrift(t, b, nil, nil)
		}
		apply(t, b, a)
		members("[[sales alice-martin 3 0] [support alice-martin 3 0]]") // and no sentinel: nothing is to be kept writable
		s.exec(t, `UPDATE queue_members SET paused = 1 WHERE queue_name = 'sales'`)
		members("[[sales alice-martin 3 1] [support alice-martin 3 0]]")
		a.PauseReason = "Vacation"
		apply(t, b, a)
		members("[[sales alice-martin 3 1] [support alice-martin 3 1]]")
		a.PauseReason = ""
		apply(t, b, a)
		members("[[sales alice-martin 3 1] [support alice-martin 3 0]]")
		a.Orders = []telephony.Order{{Kind: telephony.OrderPause, Value: "1", Reason: "Meeting"}}
		apply(t, b, a)
		members("[[sales alice-martin 3 1] [support alice-martin 3 1]]")
		a.Orders = []telephony.Order{{Kind: telephony.OrderUnpause, Value: "1"}}
		apply(t, b, a)
		members("[[sales alice-martin 3 0] [support alice-martin 3 0]]")

		// Whoever brings the table up to date gets the columns filled with the next change.
		s.exec(t, `ALTER TABLE queue_members ADD COLUMN reason_paused VARCHAR(80)`)
		s.exec(t, `ALTER TABLE queue_members ADD COLUMN ringinuse VARCHAR(5)`)
		if _, err := b.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantDrift(t, b, nil, nil) // nobody changed what was written
		a.PauseReason = "Vacation"
		apply(t, b, a)
		if got := fmt.Sprint(s.rows(t, `SELECT ringinuse, reason_paused FROM queue_members ORDER BY queue_name`)); got !=
			"[[ "+sentinel.reason+"] [no Vacation] [no Vacation]]" {
			t.Error(got)
		}
		wantDrift(t, b, nil, nil)
	})
}

// Several managers and centres may come to an empty database at once.
func TestConcurrentLoad(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		var wg sync.WaitGroup
		for i := range 6 {
			b := s.Open(t, fmt.Sprintf("center-%d", i%3)).(*Backend)
			wg.Go(func() {
				if _, err := b.Load(t.Context()); err != nil {
					t.Error(err)
					return
				}
				for j := range 10 {
					if _, err := b.ApplyAgent(t.Context(), agentIn(fmt.Sprintf("agent-%d-%d", i%3, j), fmt.Sprintf("queue-%d", i%3))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := s.one(t, `SELECT COUNT(*) FROM queue_members`)[0]; got != "31" {
			t.Errorf("%s members", got)
		}
	})
}

func TestReadOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		if s.config.Type == TypeSQLite {
			s.exec(t, `CREATE TABLE unrelated (x INTEGER)`)
		}
		config := s.config
		config.Center, config.ReadOnly = "acme", true
		b, err := Open(t.Context(), config)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		records, err := b.Load(t.Context())
		if err != nil || len(records.Agents) != 0 {
			t.Fatal(records, err)
		}
		if err := b.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		_, err = b.ApplyAgent(t.Context(), agentIn("alice-martin"))
		wantKind(t, err, telephony.Refused, "reading only")
		_, err = b.ApplySticky(t.Context(), caller("+390699999"))
		wantKind(t, err, telephony.Refused, "reading only")
		writer := s.loaded(t)
		apply(t, writer, agentIn("alice-martin"))
		if records, err = b.Load(t.Context()); err != nil || len(records.Agents) != 1 {
			t.Fatal(records, err)
		}
	})
}

func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Type: TypeSQLite, Path: "/data/a/../pbx.sqlite3"}, "sqlite:/data/pbx.sqlite3"},
		{Config{Type: TypePostgreSQL, DSN: "postgres://me:secret@pbx-db:5433/asterisk?sslmode=disable"}, "postgres:pbx-db:5433/asterisk"},
		{Config{Type: TypePostgreSQL, DSN: "host=pbx-db user=me password=secret dbname=asterisk"}, "postgres:pbx-db:5432/asterisk"},
		{Config{Type: TypePostgreSQL, DSN: "postgres://me:secret@a:1,b:2/asterisk"}, "postgres:a:1,b:2/asterisk"},
	} {
		if got, err := Identity(c.config); got != c.want || err != nil {
			t.Errorf("got %s, %v; want %s", got, err, c.want)
		}
	}
	for _, dsn := range []string{"postgres://me:secret@host:port/db", "secret", "host=x password='secret"} {
		_, err := Identity(Config{Type: TypePostgreSQL, DSN: dsn})
		wantKind(t, err, telephony.Refused)
	}
	_, err := Identity(Config{Type: TypeSQLite, Path: "relative"})
	wantKind(t, err, telephony.Refused)
	_, err = Identity(Config{Type: "MySQL"})
	wantKind(t, err, telephony.Refused, "MySQL")
}

// A file that was replaced is another database: nothing is written to the old one, and Load opens the new one.
func TestSQLiteReplaced(t *testing.T) {
	s := newSQLiteSystem(t)
	b := s.loaded(t)
	apply(t, b, agentIn("alice-martin"))
	must(t, os.Remove(s.config.Path))
	wantKind(t, b.Ping(t.Context()), telephony.Unreachable, "removed or replaced")
	_, err := b.ApplyAgent(t.Context(), agentIn("bob-lee"))
	wantKind(t, err, telephony.Unreachable)

	second := &tables{config: s.config}
	other := second.Open(t, "acme").(*Backend)
	if _, err := other.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantKind(t, b.Ping(t.Context()), telephony.Unreachable)
	records, err := b.Load(t.Context())
	if err != nil || len(records.Agents) != 0 {
		t.Fatal(records, err)
	}
	apply(t, b, agentIn("bob-lee"))
	if records, err = other.Load(t.Context()); err != nil || len(records.Agents) != 1 {
		t.Fatal(records, err)
	}
}

func TestSQLiteLocked(t *testing.T) {
	s := newSQLiteSystem(t)
	s.config.Timeout = time.Second
	b := s.loaded(t)
	apply(t, b, agentIn("alice-martin"))
	conn, err := s.db.Conn(t.Context())
	must(t, err)
	_, err = conn.ExecContext(t.Context(), "BEGIN EXCLUSIVE")
	must(t, err)
	start := time.Now()
	_, err = b.ApplyAgent(t.Context(), agentIn("bob-lee"))
	wantKind(t, err, telephony.Unreachable, "locked")
	if took := time.Since(start); took > 1500*time.Millisecond {
		t.Errorf("took %v", took)
	}
	_, err = conn.ExecContext(t.Context(), "ROLLBACK")
	must(t, err)
	must(t, conn.Close())
	if _, err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	apply(t, b, agentIn("bob-lee"))
}

func TestSQLiteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "pbx.sqlite3")
	s := &tables{config: Config{Type: TypeSQLite, Path: path}}
	s.loaded(t)
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode().Perm()&0o007 != 0 {
		t.Errorf("mode %v", info.Mode())
	}
	must(t, os.WriteFile(path+".txt", []byte(strings.Repeat("this is no database ", 100)), 0o600))
	b := (&tables{config: Config{Type: TypeSQLite, Path: path + ".txt"}}).Open(t, "acme")
	_, err = b.Load(t.Context())
	wantKind(t, err, telephony.Refused, "not a database")
}

func TestPostgresRestart(t *testing.T) {
	cluster := postgrestest.Own(t)
	s := &tables{config: Config{Type: TypePostgreSQL, DSN: cluster.Database(t), Timeout: 3 * time.Second}}
	b := s.loaded(t)
	apply(t, b, agentIn("alice-martin"))

	cluster.Stop(t)
	start := time.Now()
	_, err := b.ApplyAgent(t.Context(), agentIn("bob-lee"))
	wantKind(t, err, telephony.Unreachable)
	wantKind(t, b.Ping(t.Context()), telephony.Unreachable)
	_, err = b.Load(t.Context())
	wantKind(t, err, telephony.Unreachable)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("a stopped server took %v", took)
	}
	cluster.Restart(t)
	if records, err := b.Load(t.Context()); err != nil || len(records.Agents) != 1 {
		t.Fatal(records, err)
	}
	apply(t, b, agentIn("bob-lee"))

	thaw := cluster.Freeze(t)
	start = time.Now()
	_, err = b.ApplyAgent(t.Context(), agentIn("carla-diaz"))
	wantKind(t, err, telephony.Unreachable)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("a frozen server took %v", took)
	}
	start = time.Now()
	_, err = b.Load(t.Context())
	wantKind(t, err, telephony.Unreachable)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("a frozen server took %v", took)
	}
	thaw()
	if _, err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	apply(t, b, agentIn("carla-diaz"))
}

func TestPostgresRights(t *testing.T) {
	s := newPostgresSystem(t)
	s.loaded(t)
	s.exec(t, `CREATE ROLE limited LOGIN PASSWORD 'secret'`)
	t.Cleanup(func() { s.exec(t, `DROP OWNED BY limited`); s.exec(t, `DROP ROLE limited`) })
	s.exec(t, `GRANT ALL ON ALL TABLES IN SCHEMA public TO limited`)
	s.exec(t, `GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO limited`)
	s.exec(t, `REVOKE INSERT ON voicemail FROM limited`)
	s.config.DSN = strings.Replace(s.config.DSN, "postgres@", "limited:secret@", 1)
	b := s.loaded(t)
	apply(t, b, agentIn("alice-martin", "support"))
	a := agentIn("bob-lee")
	a.Mailbox, a.PIN = "1002", pointer("4711")
	_, err := b.ApplyAgent(t.Context(), a)
	wantKind(t, err, telephony.Refused, "permission denied", "voicemail")

	s.config.DSN = strings.Replace(s.config.DSN, "/test_", "/none_", 1)
	_, err = s.Open(t, "acme").Load(t.Context())
	wantKind(t, err, telephony.Refused, "does not exist")
}

// Members paused by Asterisk while Roster writes keep their pause.
func TestConcurrentPauses(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b := s.loaded(t)
		a := agentIn("alice-martin", "support")
		apply(t, b, a)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				a := agentIn("alice-martin", "support")
				a.Memberships[0].Penalty = i % 4
				if _, err := b.ApplyAgent(context.Background(), a); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for i := range 40 {
			s.SetPause(t, "support", "alice-martin", i%2 == 0, fmt.Sprintf("by hand %d", i))
			if m := s.Members(t, "support")[0]; m.Paused != (i%2 == 0) {
				t.Fatalf("pause %d was overwritten: %+v", i, m)
			}
		}
		cancel()
		wg.Wait()
	})
}
