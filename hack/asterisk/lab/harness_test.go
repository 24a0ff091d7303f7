//go:build pbx

package lab

import (
	"database/sql"
	"net/textproto"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk"
	"roster.dev/roster/internal/telephony/postgrestest"
)

func TestMain(m *testing.M) { postgrestest.Main(m) }

// site is a server with the database that it reads, and Roster's backend that writes it.
type site struct {
	*Server
	backend *asterisk.Backend
	db      *sql.DB
	// placeholder is the database's first parameter.
	placeholder string
}

// onAll runs a test on both versions with both databases.
func onAll(t *testing.T, test func(t *testing.T, s *site)) {
	for _, version := range []string{"22", "16"} {
		for _, database := range []string{asterisk.TypeSQLite, asterisk.TypePostgreSQL} {
			t.Run(version+"/"+database, func(t *testing.T) { test(t, newSite(t, version, database)) })
		}
	}
}

// newSite is one of centre acme, with a database of its own.
func newSite(t *testing.T, version, database string, change ...func(*Options)) *site {
	t.Helper()
	config, options := asterisk.Config{Center: "acme", Type: database}, Options{Version: version, TLS: true}
	for _, c := range change {
		c(&options)
	}
	if database == asterisk.TypeSQLite {
		config.Path = filepath.Join(t.TempDir(), "acme.sqlite3")
		options.SQLite = config.Path
	} else {
		config.DSN = postgrestest.Start(t).Database(t)
		options.PostgreSQL = config.DSN
	}
	return newSiteOf(t, config, options)
}

// newSiteOf makes the tables, then starts the server.
func newSiteOf(t *testing.T, config asterisk.Config, options Options) *site {
	t.Helper()
	s := &site{placeholder: "?"}
	driver, source := "sqlite", "file:"+config.Path+"?_busy_timeout=5000"
	if config.Type == asterisk.TypePostgreSQL {
		driver, source, s.placeholder = "pgx", config.DSN, "$1"
	}
	var err error
	if s.backend, err = asterisk.Open(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.backend.Close() })
	if _, err := s.backend.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.db, err = sql.Open(driver, source); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.db.Close() })
	s.Server = ForTest(t, options)
	return s
}

// queue writes a queue.
func (s *site) queue(t *testing.T, name, extension string) {
	t.Helper()
	err := s.backend.ApplyQueue(t.Context(), &telephony.Queue{Name: name, Voice: true, Extension: extension,
		Strategy: "RingAll", TimeoutSeconds: 15, Settings: &telephony.Settings{Context: "acme"}})
	if err != nil {
		t.Fatal(err)
	}
}

// agent writes a person who is able, with what change adds.
func (s *site) agent(t *testing.T, name, extension string, change func(*telephony.Agent)) {
	t.Helper()
	password := passwordOf(name)
	a := &telephony.Agent{Name: name, UID: "uid-" + name, Settings: &telephony.Settings{Context: "acme"}, DisplayName: "Name of " + name,
		Extension: extension, Access: telephony.AccessGranted, Phone: true, Password: &password, Phase: "Active"}
	if change != nil {
		change(a)
	}
	if _, err := s.backend.ApplyAgent(t.Context(), a); err != nil {
		t.Fatal(err)
	}
}

func passwordOf(name string) string { return "secret-of-" + name }

// in is a membership with one star.
func in(queue string) []telephony.Membership {
	return []telephony.Membership{{Queue: queue, Channels: []string{"Voice"}, Stars: 1, Penalty: 3}}
}

// value reads one value by a key, as text; NULL is empty.
func (s *site) value(t *testing.T, query, key string) string {
	t.Helper()
	var v sql.NullString
	if err := s.db.QueryRowContext(t.Context(), strings.Replace(query, "?", s.placeholder, 1), key).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v.String
}

func (s *site) exec(t *testing.T, statement string, key ...any) {
	t.Helper()
	if _, err := s.db.ExecContext(t.Context(), strings.Replace(statement, "?", s.placeholder, 1), key...); err != nil {
		t.Fatal(err)
	}
}

// cli runs a command of the console.
func (s *site) cli(t *testing.T, command string) string {
	t.Helper()
	out, err := s.CLI(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// manager logs in.
func (s *site) manager(t *testing.T) *manager {
	t.Helper()
	m, err := s.login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	_ = m.conn.SetDeadline(time.Now().Add(20 * time.Second))
	return m
}

// ask sends an action and returns its response, and of a list the events up to its end.
func ask(t *testing.T, m *manager, action string, fields ...string) (response textproto.MIMEHeader, list []textproto.MIMEHeader) {
	t.Helper()
	id := "ask-" + secret()
	if err := m.send(action, append(fields, "ActionID", id)...); err != nil {
		t.Fatal(err)
	}
	for {
		message, err := m.next()
		if err != nil {
			t.Fatalf("%s: %v", action, err)
		}
		if message.Get("ActionID") != id {
			continue
		}
		switch {
		case message.Get("Response") != "":
			if response = message; response.Get("Response") != "Success" || response.Get("EventList") != "start" {
				return response, nil
			}
		case message.Get("EventList") == "Complete":
			return response, list
		default:
			list = append(list, message)
		}
	}
}

// until asks again and again, until it is so or too late.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !so(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
