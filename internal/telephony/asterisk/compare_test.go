package asterisk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/postgrestest"
)

// everywhere tests on every kind of tables.
func everywhere(t *testing.T, test func(t *testing.T, s *tables)) {
	onBoth(t, test)
	t.Run("Asterisk's tables", func(t *testing.T) {
		s := newPostgresSystem(t)
		s.exec(t, asteriskMigrations(t))
		test(t, s)
	})
}

// wantDrift expects Compare to find these, and no strays.
func wantDrift(t *testing.T, b *Backend, agents, queues []string) {
	t.Helper()
	drift, err := b.Compare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(drift.Agents, agents) || !slices.Equal(drift.Queues, queues) || len(drift.Strays) > 0 {
		t.Errorf("got %+v, want agents %v, queues %v", drift, agents, queues)
	}
}

// staffed is a backend with people and a queue of every column that Roster writes.
func staffed(t *testing.T, s *tables) (b *Backend, alice *telephony.Agent, support *telephony.Queue) {
	t.Helper()
	b = s.loaded(t)
	settings := &telephony.Settings{Context: "acme", Template: map[string]string{"transport": "t1", "webrtc": "yes", "rtp_timeout": "030"}}
	support = &telephony.Queue{Name: "support", Settings: settings, Voice: true, Extension: "600", Strategy: "LeastRecent",
		TimeoutSeconds: 15, WrapUpSeconds: 10, ServiceLevelSeconds: 20, MaxCallers: 50}
	if err := b.ApplyQueue(t.Context(), support); err != nil {
		t.Fatal(err)
	}
	alice = agentIn("alice-martin", "sales", "support")
	alice.Settings, alice.Email, alice.Extension, alice.Group = settings, "alice@acme.example", "1001", "north"
	alice.Mailbox, alice.PIN, alice.SpyGroups, alice.Monitors = "1001", pointer("4711"), "a:b", "b"
	alice.Seat = "Held"
	alice.Memberships[0].Channels = []string{"Voice", "Chat"}
	alice.Revoked = []telephony.Revocation{{Kind: "Team", Name: "billing", Since: time.Unix(1_800_000_000, 0)}}
	apply(t, b, alice)
	bob := agentIn("bob-lee", "support")
	bob.PauseReason = "Vacation"
	apply(t, b, bob)
	wantDrift(t, b, nil, nil)
	return b, alice, support
}

// Each column that Roster writes is compared, and repaired by applying once more (B4).
func TestDrift(t *testing.T) {
	everywhere(t, func(t *testing.T, s *tables) {
		b, alice, support := staffed(t, s)
		for _, c := range []struct{ written, change string }{
			{"ps_endpoints.context", `UPDATE ps_endpoints SET context = 'elsewhere' WHERE id = 'alice-martin'`},
			{"ps_endpoints.aors", `UPDATE ps_endpoints SET aors = 'x' WHERE id = 'alice-martin'`},
			{"ps_endpoints.auth", `UPDATE ps_endpoints SET auth = NULL WHERE id = 'alice-martin'`},
			{"ps_endpoints.callerid", `UPDATE ps_endpoints SET callerid = 'x' WHERE id = 'alice-martin'`},
			{"ps_endpoints.mailboxes", `UPDATE ps_endpoints SET mailboxes = 'x' WHERE id = 'alice-martin'`},
			{"ps_endpoints.allow", `UPDATE ps_endpoints SET allow = 'ulaw' WHERE id = 'alice-martin'`},
			{"ps_endpoints.disallow", `UPDATE ps_endpoints SET disallow = NULL WHERE id = 'alice-martin'`},
			{"ps_endpoints.set_var", `UPDATE ps_endpoints SET set_var = 'SPYGROUP=all' WHERE id = 'alice-martin'`},
			{"ps_endpoints.transport", `UPDATE ps_endpoints SET transport = 't2' WHERE id = 'alice-martin'`},
			{"ps_endpoints.webrtc", `UPDATE ps_endpoints SET webrtc = 'no' WHERE id = 'alice-martin'`},
			{"ps_endpoints.rtp_timeout", `UPDATE ps_endpoints SET rtp_timeout = 31 WHERE id = 'alice-martin'`},
			{"ps_endpoints", `DELETE FROM ps_endpoints WHERE id = 'alice-martin'`},
			{"ps_auths.password", `UPDATE ps_auths SET password = 'by hand' WHERE id = 'alice-martin'`},
			{"ps_auths.username", `UPDATE ps_auths SET username = 'x' WHERE id = 'alice-martin'`},
			{"ps_auths.auth_type", `UPDATE ps_auths SET auth_type = 'md5' WHERE id = 'alice-martin'`},
			{"ps_auths", `DELETE FROM ps_auths WHERE id = 'alice-martin'`},
			{"ps_aors.max_contacts", `UPDATE ps_aors SET max_contacts = 9 WHERE id = 'alice-martin'`},
			{"ps_aors.remove_existing", `UPDATE ps_aors SET remove_existing = 'no' WHERE id = 'alice-martin'`},
			{"ps_aors.qualify_frequency", `UPDATE ps_aors SET qualify_frequency = 0 WHERE id = 'alice-martin'`},
			{"ps_aors", `DELETE FROM ps_aors WHERE id = 'alice-martin'`},
			{"queue_members.membername", `UPDATE queue_members SET membername = 'x' WHERE queue_name = 'sales'`},
			{"queue_members.penalty", `UPDATE queue_members SET penalty = NULL WHERE queue_name = 'sales'`},
			{"queue_members.ringinuse", `UPDATE queue_members SET ringinuse = 'yes' WHERE queue_name = 'sales'`},
			{"queue_members", `DELETE FROM queue_members WHERE queue_name = 'sales'`},
			{"voicemail.fullname", `UPDATE voicemail SET fullname = 'x'`},
			{"voicemail.email", `UPDATE voicemail SET email = 'x'`},
			{"voicemail", `DELETE FROM voicemail`},
			{"roster_agents.email", `UPDATE roster_agents SET email = NULL WHERE name = 'alice-martin'`},
			{"roster_agents.center", `UPDATE roster_agents SET center = 'x' WHERE name = 'alice-martin'`},
			{"roster_agents.monitors", `UPDATE roster_agents SET monitors = 'all' WHERE name = 'alice-martin'`},
			{"roster_agents.phase", `UPDATE roster_agents SET phase = 'Deactivated' WHERE name = 'alice-martin'`},
			{"roster_agents.seat", `UPDATE roster_agents SET seat = 'Waiting' WHERE name = 'alice-martin'`},
			{"roster_agents", `DELETE FROM roster_agents WHERE name = 'alice-martin'`},
			{"roster_memberships.stars", `UPDATE roster_memberships SET stars = 9 WHERE channel = 'Chat'`},
			{"roster_memberships", `DELETE FROM roster_memberships WHERE channel = 'Chat'`},
			{"roster_memberships", `INSERT INTO roster_memberships (center, queue, agent, channel, stars) VALUES ('acme', 'x', 'alice-martin', 'SMS', 1)`},
			{"roster_extensions.interface", `UPDATE roster_extensions SET interface = 'PJSIP/nobody' WHERE key = 'acme/1001'`},
			{"roster_extensions", `INSERT INTO roster_extensions (key, center, interface) VALUES ('acme/1009', 'acme', 'PJSIP/alice-martin')`},
			{"roster_revocations.since", `UPDATE roster_revocations SET since = NULL`},
			{"roster_revocations", `DELETE FROM roster_revocations`},
		} {
			s.exec(t, c.change)
			wantDrift(t, b, []string{"alice-martin"}, nil)
			result := apply(t, b, alice)
			named := slices.Equal(result.Written, []string{c.written})
			if c.written == "queue_members.membername" { // its uniqueid goes along
				named = slices.Contains(result.Written, c.written)
			}
			if !result.Changed || !named {
				t.Errorf("%s: changed %v, written %v", c.change, result.Changed, result.Written)
			}
			drift, err := b.Compare(t.Context())
			if err != nil || len(drift.Agents) > 0 {
				t.Fatalf("%s: not repaired: %+v, %v", c.change, drift, err)
			}
		}
		for _, change := range []string{
			`UPDATE queues SET strategy = 'ringall'`,
			`UPDATE queues SET timeout = 1`,
			`UPDATE queues SET wrapuptime = 1`,
			`UPDATE queues SET maxlen = NULL`,
			`UPDATE queues SET servicelevel = 1`,
			`UPDATE queues SET ringinuse = 'yes'`,
			`DELETE FROM queues`,
			`DELETE FROM roster_extensions WHERE key = 'acme/600'`,
			`INSERT INTO roster_extensions (key, center, queue) VALUES ('acme/609', 'acme', 'support')`,
		} {
			s.exec(t, change)
			wantDrift(t, b, nil, []string{"support"})
			if err := b.ApplyQueue(t.Context(), support); err != nil {
				t.Fatal(err)
			}
			wantDrift(t, b, nil, nil)
		}
	})
}

// What is not Roster's is no drift (rules 7 and 9).
func TestNoDrift(t *testing.T) {
	everywhere(t, func(t *testing.T, s *tables) {
		b, alice, _ := staffed(t, s)
		alice.Password, alice.PIN = nil, nil
		for _, change := range []string{
			`UPDATE ps_endpoints SET moh_suggest = 'jazz', language = 'it'`,
			`UPDATE ps_aors SET default_expiration = 77`,
			`UPDATE ps_auths SET realm = 'x'`,
			`UPDATE queues SET musiconhold = 'jazz', joinempty = 'yes'`,
			`UPDATE queue_members SET wrapuptime = 9, uniqueid = uniqueid + 1000`,
			`UPDATE queue_members SET paused = 1, reason_paused = 'Lunch' WHERE queue_name = 'sales'`,
			`UPDATE queue_members SET paused = NULL, reason_paused = NULL WHERE queue_name = 'sales'`,
			`UPDATE queue_members SET reason_paused = 'Training' WHERE membername = 'bob-lee'`,
			`UPDATE voicemail SET password = '0815', pager = 'x'`,
			`UPDATE roster_agents SET updated_at = '2001-01-01T00:00:00Z'`,
			`UPDATE roster_extensions SET queue = '' WHERE queue IS NULL`, // which says the same to Asterisk
			`UPDATE ps_endpoints SET mailboxes = '' WHERE mailboxes IS NULL`,
			`INSERT INTO ps_endpoints (id, context) VALUES ('somebody', 'x')`,
			`INSERT INTO roster_sticky (key, agent) VALUES ('acme/+39', 'alice-martin')`,
		} {
			s.exec(t, change)
			drift, err := b.Compare(t.Context())
			if err != nil || len(drift.Agents)+len(drift.Queues)+len(drift.Strays) > 0 {
				t.Errorf("%s: %+v, %v", change, drift, err)
			}
			if apply(t, b, alice).Changed {
				t.Errorf("%s: applied again, it changes something", change)
			}
		}
	})
}

// Compare sees one state of the database and keeps nobody from writing.
func TestCompareSnapshot(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b, alice, support := staffed(t, s)
		session, err := b.usable()
		must(t, err)
		looks := 0
		drift, err := session.compare(t.Context(), "acme", func() {
			looks++
			alice.DisplayName, alice.Memberships[0].Penalty, alice.Extension = fmt.Sprint("Alice ", looks), looks, fmt.Sprint(2000+looks)
			start := time.Now()
			apply(t, b, alice)
			support.TimeoutSeconds = looks
			must(t, b.ApplyQueue(t.Context(), support))
			if took := time.Since(start); took > time.Second {
				t.Errorf("writing took %v", took)
			}
		})
		must(t, err)
		if looks < 11 || len(drift.Agents)+len(drift.Queues)+len(drift.Strays) > 0 {
			t.Errorf("%d looks found %+v", looks, drift)
		}
		wantDrift(t, b, nil, nil)
	})
}

// The number of questions does not grow with the people.
func TestCompareStatements(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		b, _, _ := staffed(t, s)
		count := func() int64 {
			before := b.Stats().Statements
			wantDrift(t, b, nil, nil)
			return b.Stats().Statements - before
		}
		few := count()
		for i := range 50 {
			apply(t, b, agentIn(fmt.Sprintf("agent-%02d", i), fmt.Sprintf("queue-%02d", i)))
		}
		if many := count(); many != few || many > 13 {
			t.Errorf("%d statements for two people, %d for fifty", few, many)
		}
	})
}

// What cannot be read, or is another database, is no drift (rule 8).
func TestCompareErrors(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		_, err := s.Open(t, "acme").Compare(t.Context())
		wantKind(t, err, telephony.Unreachable, "not been loaded")
		b, _, _ := staffed(t, s)
		for _, table := range []string{"ps_endpoints", "ps_auths", "ps_aors", "queues", "queue_members", "voicemail",
			"roster_agents", "roster_memberships", "roster_extensions", "roster_revocations", "roster_registry", "roster_sticky"} {
			s.exec(t, `ALTER TABLE `+table+` RENAME TO away`)
			drift, err := b.Compare(t.Context())
			wantKind(t, err, telephony.Refused, table)
			if drift != nil {
				t.Errorf("without %s it finds %+v", table, drift)
			}
			s.exec(t, `ALTER TABLE away RENAME TO `+table)
		}
		wantDrift(t, b, nil, nil)
		s.exec(t, `UPDATE roster_state SET value = 'another' WHERE name = 'instance'`)
		s.exec(t, `DELETE FROM ps_endpoints`)
		drift, err := b.Compare(t.Context())
		wantKind(t, err, telephony.Unreachable, "not the database")
		if drift != nil {
			t.Errorf("in another database it finds %+v", drift)
		}
	})
}

func TestCompareSQLiteReplaced(t *testing.T) {
	s := newSQLiteSystem(t)
	b, _, _ := staffed(t, s)
	must(t, os.Rename(s.config.Path, s.config.Path+".away"))
	_, err := b.Compare(t.Context())
	wantKind(t, err, telephony.Unreachable, "removed or replaced")
}

func TestComparePostgresFrozen(t *testing.T) {
	cluster := postgrestest.Own(t)
	s := &tables{config: Config{Type: TypePostgreSQL, DSN: cluster.Database(t), Timeout: time.Second}}
	b := s.loaded(t)
	apply(t, b, agentIn("alice-martin"))
	thaw := cluster.Freeze(t)
	start := time.Now()
	_, err := b.Compare(t.Context())
	wantKind(t, err, telephony.Unreachable)
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	thaw()
	if _, err := b.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantDrift(t, b, nil, nil)
}

// A centre that may only read compares, too, also where nothing was ever written.
func TestCompareReadOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, s *tables) {
		if s.config.Type == TypeSQLite {
			s.exec(t, `CREATE TABLE unrelated (x INTEGER)`)
		}
		config := s.config
		config.Center, config.ReadOnly = "acme", true
		reader, err := Open(t.Context(), config)
		must(t, err)
		defer reader.Close()
		load := func() {
			t.Helper()
			if _, err := reader.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		load()
		wantDrift(t, reader, nil, nil)
		staffed(t, s)
		load()
		wantDrift(t, reader, nil, nil)
		s.SetPenalty(t, "sales", "alice-martin", 9)
		wantDrift(t, reader, []string{"alice-martin"}, nil)

		for version, table := range map[int]string{2: "roster_agents", 1: "roster_registry"} {
			s.downgrade(t, version)
			_, err = reader.Load(t.Context())
			wantKind(t, err, telephony.Refused, table, "older version", "Manage")
			s.loaded(t)
		}
	})
}

// downgrade makes the tables, and what they hold, those of an older version.
func (s *tables) downgrade(t *testing.T, version int) {
	s.exec(t, `DROP INDEX roster_sticky_center`)
	s.exec(t, `ALTER TABLE roster_sticky DROP COLUMN center`)
	s.exec(t, `ALTER TABLE roster_sticky DROP COLUMN assignment`)
	s.exec(t, `ALTER TABLE roster_agents DROP COLUMN seat`)
	s.exec(t, `UPDATE roster_registry SET rows_hash = '1' || SUBSTR(rows_hash, 2)`)
	if version < 2 {
		for _, column := range []string{"spy_groups", "handled", "rows_hash", "password_check", "away"} {
			s.exec(t, `ALTER TABLE roster_registry DROP COLUMN `+column)
		}
	}
	s.exec(t, `DELETE FROM roster_schema_version WHERE version_id > ?`, version)
}

// What an older version wrote is no drift, and is compared once it was applied again.
func TestCompareAfterUpgrade(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("from ", version), func(t *testing.T) { testCompareAfterUpgrade(t, version) })
	}
}

func testCompareAfterUpgrade(t *testing.T, version int) {
	onBoth(t, func(t *testing.T, s *tables) {
		_, alice, support := staffed(t, s)
		s.downgrade(t, version)
		b := s.loaded(t)
		wantDrift(t, b, nil, nil)
		s.SetPenalty(t, "sales", "alice-martin", 9)
		s.exec(t, `UPDATE queues SET timeout = 1`)
		if version == 1 { // which recorded nothing to compare passwords with
			s.SetPassword(t, "alice-martin", "by hand")
		}
		wantDrift(t, b, nil, nil)
		alice.Password = nil
		if !apply(t, b, alice).Changed {
			t.Error("nothing changed")
		}
		must(t, b.ApplyQueue(t.Context(), support))
		wantDrift(t, b, nil, nil)
		s.SetPenalty(t, "sales", "alice-martin", 9)
		s.exec(t, `UPDATE queues SET timeout = 1`)
		wantDrift(t, b, []string{"alice-martin"}, []string{"support"})
	})
}

// A hash tells rows apart whose values were exchanged.
func TestDigest(t *testing.T) {
	row := func(values ...string) digest {
		h := newRowHash("t")
		for _, v := range values {
			h = hashed(h, v)
		}
		return h.digest()
	}
	if row("ab", "c") == row("a", "bc") || row("a", "") == row("a") {
		t.Error("values run into each other")
	}
	if row("q1", "1")+row("q2", "2") == row("q1", "2")+row("q2", "1") {
		t.Error("exchanged values are not told apart")
	}
	for _, d := range []digest{0, 1, 1<<64 - 1, row("x")} {
		if got, ok := parseDigest(d.cell().text); got != d || !ok || len(d.cell().text) > 20 {
			t.Errorf("%x comes back as %x", uint64(d), uint64(got))
		}
	}
	for _, s := range []string{"", "1", "0000000000000000", "1" + row("x").cell().text[1:], "1x"} {
		if _, ok := parseDigest(s); ok {
			t.Errorf("%q is a digest", s)
		}
	}
	if passwordCheck("alice", "a") == passwordCheck("alice", "b") || passwordCheck("alice", "a") == passwordCheck("bob", "a") {
		t.Error("passwords are not told apart")
	}
}

// BenchmarkCompare compares 20,000 people in five queues each.
func BenchmarkCompare(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) {
		benchmarkCompare(b, Config{Type: TypeSQLite, Path: filepath.Join(b.TempDir(), "pbx.sqlite3")})
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		benchmarkCompare(b, Config{Type: TypePostgreSQL, DSN: postgrestest.Start(b).Database(b)})
	})
}

func benchmarkCompare(b *testing.B, config Config) {
	const people = 20_000
	config.Center = "acme"
	backend, err := Open(context.Background(), config)
	if err != nil {
		b.Fatal(err)
	}
	defer backend.Close()
	if _, err := backend.Load(context.Background()); err != nil {
		b.Fatal(err)
	}
	applyPeople(b, backend, people)
	for b.Loop() {
		drift, err := backend.Compare(context.Background())
		if err != nil || len(drift.Agents)+len(drift.Queues)+len(drift.Strays) > 0 {
			b.Fatal(drift, err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/people, "µs/person")
	b.ReportAllocs()
}
