package asterisk

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/postgrestest"
	"roster.dev/roster/internal/telephony/telephonytest"
)

func TestConformanceSQLite(t *testing.T) {
	telephonytest.Run(t, func(t *testing.T) telephonytest.System { return newSQLiteSystem(t) })
}

func TestConformancePostgreSQL(t *testing.T) {
	postgrestest.Start(t)
	telephonytest.Run(t, func(t *testing.T) telephonytest.System { return newPostgresSystem(t) })
}

// TestConformanceAsteriskTables runs the suite on tables that Asterisk's own migrations made.
func TestConformanceAsteriskTables(t *testing.T) {
	postgrestest.Start(t)
	telephonytest.Run(t, func(t *testing.T) telephonytest.System {
		s := newPostgresSystem(t)
		s.exec(t, asteriskMigrations(t))
		return s
	})
}

// tables is a database as the suite sees it: everything goes by plain SQL.
type tables struct {
	db     *sql.DB
	config Config
	number func(n int) string
	outage func(t *testing.T) func()
}

func newSQLiteSystem(t *testing.T) *tables {
	path := filepath.Join(t.TempDir(), "pbx.sqlite3")
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: "_busy_timeout=10000"}).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &tables{
		db: db, config: Config{Type: TypeSQLite, Path: path},
		number: func(int) string { return "?" },
		outage: func(t *testing.T) func() {
			must(t, os.Rename(path, path+".away"))
			must(t, os.Mkdir(path, 0o700))
			return func() {
				must(t, os.Remove(path))
				must(t, os.Rename(path+".away", path))
			}
		},
	}
}

func newPostgresSystem(t *testing.T) *tables {
	dsn := postgrestest.Start(t).Database(t)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	p := newProxy(t, u.Host)
	u.Host = p.address
	return &tables{
		db: db, config: Config{Type: TypePostgreSQL, DSN: u.String()},
		number: func(n int) string { return fmt.Sprintf("$%d", n) },
		outage: func(t *testing.T) func() {
			p.cut()
			return func() { p.listen(t) }
		},
	}
}

// proxy is a connection to a server that can be cut.
type proxy struct {
	address, target string
	mu              sync.Mutex
	listener        net.Listener
	conns           []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	p := &proxy{address: "127.0.0.1:0", target: target}
	p.listen(t)
	t.Cleanup(p.cut)
	return p
}

func (p *proxy) listen(t *testing.T) {
	l, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	p.address, p.listener = l.Addr().String(), l
	p.mu.Unlock()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", p.target)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.conns = append(p.conns, in, out)
			p.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
}

func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.listener.Close()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *tables) Open(t *testing.T, center string) telephony.Backend {
	config := s.config
	config.Center, config.ContactsTables = center, []string{"ps_contacts_1"}
	b, err := Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (s *tables) Outage(t *testing.T) func() { return s.outage(t) }

// sql numbers the placeholders of a statement.
func (s *tables) sql(query string) string {
	parts := strings.Split(query, "?")
	for i := range parts[1:] {
		parts[i] += s.number(i + 1)
	}
	return strings.Join(parts, "")
}

func (s *tables) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	if len(args) > 0 {
		query = s.sql(query)
	}
	if _, err := s.db.Exec(query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

// rows are the rows of a query, as text.
func (s *tables) rows(t *testing.T, query string, args ...any) (all [][]string) {
	t.Helper()
	rows, err := s.db.Query(s.sql(query), args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	must(t, err)
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		targets := make([]any, len(columns))
		for i := range values {
			targets[i] = &values[i]
		}
		must(t, rows.Scan(targets...))
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
		}
		all = append(all, row)
	}
	must(t, rows.Err())
	return all
}

// one is the only row of a query, nil for none.
func (s *tables) one(t *testing.T, query string, args ...any) []string {
	t.Helper()
	rows := s.rows(t, query, args...)
	if len(rows) == 0 {
		return nil
	}
	return rows[0]
}

func (s *tables) Phone(t *testing.T, agent string) *telephonytest.Phone {
	endpoint := s.one(t, `SELECT callerid, context, auth, aors, transport, webrtc, set_var FROM ps_endpoints WHERE id = ?`, agent)
	auth := s.one(t, `SELECT username, auth_type, password FROM ps_auths WHERE id = ?`, agent)
	aor := s.one(t, `SELECT max_contacts FROM ps_aors WHERE id = ?`, agent)
	if endpoint == nil && auth == nil && aor == nil {
		return nil
	}
	if endpoint[2] == "" || endpoint[3] == "" {
		t.Errorf("endpoint %s has auth %q and aors %q", agent, endpoint[2], endpoint[3])
	}
	granted := aor[0] != "0"
	if granted == (endpoint[1] == refusedContext) {
		t.Errorf("endpoint %s has context %s and %s contacts", agent, endpoint[1], aor[0])
	}
	return &telephonytest.Phone{Granted: granted, Password: auth[2], CallerID: endpoint[0],
		Columns:   map[string]string{"transport": endpoint[4], "webrtc": endpoint[5]},
		SpyGroups: strings.TrimPrefix(endpoint[6], "SPYGROUP=")}
}

func (s *tables) Queue(t *testing.T, queue string) *telephonytest.Queue {
	q := s.one(t, `SELECT strategy, timeout, wrapuptime, servicelevel, maxlen, ringinuse FROM queues WHERE name = ?`, queue)
	if q == nil {
		return nil
	}
	result := telephonytest.Queue{TimeoutSeconds: atoi(t, q[1]), WrapUpSeconds: atoi(t, q[2]), ServiceLevelSeconds: atoi(t, q[3]), MaxLength: atoi(t, q[4])}
	for api, asterisk := range strategies {
		if asterisk == q[0] {
			result.Strategy = api
		}
	}
	return &result
}

func atoi(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return n
}

func (s *tables) Members(t *testing.T, queue string) (members []telephonytest.Member) {
	seen := map[string]bool{}
	for _, m := range s.rows(t, `SELECT interface, membername, penalty, paused, reason_paused, uniqueid FROM queue_members WHERE queue_name = ? ORDER BY interface`, queue) {
		if m[5] == "" || seen[m[5]] {
			t.Errorf("uniqueid %q of %s in %s is not unique", m[5], m[0], queue)
		}
		seen[m[5]] = true
		members = append(members, telephonytest.Member{Interface: m[0], Name: m[1], Penalty: atoi(t, "0"+m[2]), Paused: m[3] == "1", Reason: m[4]})
	}
	slices.SortFunc(members, func(a, b telephonytest.Member) int { return strings.Compare(a.Interface, b.Interface) })
	return members
}

func (s *tables) Mailbox(t *testing.T, address string) *telephonytest.Mailbox {
	mailbox, context, _ := strings.Cut(address, "@")
	m := s.one(t, `SELECT fullname, email, password FROM voicemail WHERE mailbox = ? AND context = ?`, mailbox, context)
	if m == nil {
		return nil
	}
	return &telephonytest.Mailbox{Name: m[0], Email: m[1], PIN: m[2]}
}

func (s *tables) Extensions(t *testing.T, center string) map[string]string {
	found := map[string]string{}
	for _, e := range s.rows(t, `SELECT key, interface, queue FROM roster_extensions WHERE center = ?`, center) {
		extension, ok := strings.CutPrefix(e[0], center+"/")
		if !ok {
			t.Errorf("key %s of centre %s", e[0], center)
		}
		found[extension] = e[1]
		if e[2] != "" {
			found[extension] += "queue " + e[2]
		}
	}
	return found
}

func (s *tables) Report(t *testing.T, agent string) *telephonytest.Report {
	r := s.one(t, `SELECT center, display_name, email, phase, agent_group, interface, extension,
		requested_at, offline_at, completed_at, deleted_at, monitors, seat FROM roster_agents WHERE name = ?`, agent)
	if r == nil {
		return nil
	}
	return &telephonytest.Report{Center: r[0], DisplayName: r[1], Email: r[2], Phase: r[3], Group: r[4], Interface: r[5], Extension: r[6], Monitors: r[11], Seat: r[12],
		RequestedAt: parseInstant(r[7]), OfflineAt: parseInstant(r[8]), CompletedAt: parseInstant(r[9]), DeletedAt: parseInstant(r[10])}
}

func (s *tables) Memberships(t *testing.T, agent string) (list []telephonytest.Membership) {
	for _, m := range s.rows(t, `SELECT queue, channel, stars, via FROM roster_memberships WHERE agent = ? ORDER BY queue, channel`, agent) {
		list = append(list, telephonytest.Membership{Queue: m[0], Channel: m[1], Stars: atoi(t, m[2]), Via: m[3]})
	}
	return list
}

func (s *tables) Sticky(t *testing.T, center string) map[string]telephony.Sticky {
	found := map[string]telephony.Sticky{}
	for _, r := range s.rows(t, `SELECT key, interface, agent, agent_group, queue, case_id, assignment FROM roster_sticky WHERE key LIKE ?`, center+"/%") {
		if want := strings.TrimSuffix(interfaceOf(r[2]), interfaceOf("")); r[1] != want {
			t.Errorf("interface %q of agent %q", r[1], r[2])
		}
		phone := strings.TrimPrefix(r[0], center+"/")
		found[phone] = telephony.Sticky{Phone: phone, Agent: r[2], Group: r[3], Queue: r[4], Case: r[5], Assignment: r[6]}
	}
	return found
}

// SetSticky knows nothing of a column center.
func (s *tables) SetSticky(t *testing.T, center, phone string, c *telephony.Sticky) {
	key := center + "/" + phone
	if c == nil {
		s.exec(t, `DELETE FROM roster_sticky WHERE key = ?`, key)
		return
	}
	if s.one(t, `SELECT key FROM roster_sticky WHERE key = ?`, key) == nil {
		s.exec(t, `INSERT INTO roster_sticky (key) VALUES (?)`, key)
	}
	iface := strings.TrimSuffix(interfaceOf(c.Agent), interfaceOf(""))
	s.exec(t, `UPDATE roster_sticky SET interface = ?, agent = ?, agent_group = ?, queue = ?, case_id = ?, assignment = ? WHERE key = ?`,
		iface, c.Agent, c.Group, c.Queue, c.Case, c.Assignment, key)
}

func (s *tables) contacts() []string { return []string{"ps_contacts", "ps_contacts_1"} }

func (s *tables) Registered(t *testing.T, agent string) bool {
	for _, table := range s.contacts() {
		if len(s.rows(t, `SELECT id FROM `+table+` WHERE endpoint = ? AND expiration_time > ?`, agent, time.Now().Unix())) > 0 {
			return true
		}
	}
	return false
}

func (s *tables) Register(t *testing.T, agent string) {
	for i, table := range s.contacts() {
		s.exec(t, `DELETE FROM `+table+` WHERE endpoint = ?`, agent)
		s.exec(t, `INSERT INTO `+table+` (id, uri, endpoint, expiration_time) VALUES (?, ?, ?, ?)`,
			fmt.Sprintf("%s^3B@%d", agent, i), "sip:"+agent+"@127.0.0.1", agent, time.Now().Add(time.Hour).Unix())
	}
}

func (s *tables) SetPause(t *testing.T, queue, agent string, paused bool, reason string) {
	n := 0
	if paused {
		n = 1
	}
	s.exec(t, `UPDATE queue_members SET paused = ?, reason_paused = ? WHERE queue_name = ? AND interface = ?`, n, reason, queue, interfaceOf(agent))
}

func (s *tables) AddMember(t *testing.T, queue, iface string) {
	highest := atoi(t, s.one(t, `SELECT MAX(uniqueid) FROM queue_members`)[0])
	s.exec(t, `INSERT INTO queue_members (queue_name, interface, membername, uniqueid) VALUES (?, ?, ?, ?)`, queue, iface, iface, highest+1)
}

func (s *tables) RemoveMember(t *testing.T, queue, agent string) {
	s.exec(t, `DELETE FROM queue_members WHERE queue_name = ? AND interface = ?`, queue, interfaceOf(agent))
}

func (s *tables) AddPhone(t *testing.T, name, password string) {
	s.exec(t, `INSERT INTO ps_endpoints (id, aors, auth, context) VALUES (?, ?, ?, 'other')`, name, name, name)
	s.exec(t, `INSERT INTO ps_auths (id, auth_type, username, password) VALUES (?, 'userpass', ?, ?)`, name, name, password)
	s.exec(t, `INSERT INTO ps_aors (id, max_contacts) VALUES (?, 5)`, name)
}

func (s *tables) RemovePhone(t *testing.T, name string) {
	for _, table := range []string{"ps_endpoints", "ps_auths", "ps_aors"} {
		s.exec(t, `DELETE FROM `+table+` WHERE id = ?`, name)
	}
}

func (s *tables) AddQueue(t *testing.T, queue string) {
	s.exec(t, `INSERT INTO queues (name, strategy, timeout) VALUES (?, 'ringall', 99)`, queue)
}

func (s *tables) AddMailbox(t *testing.T, address, pin string) {
	mailbox, context, _ := strings.Cut(address, "@")
	s.exec(t, `INSERT INTO voicemail (mailbox, context, password) VALUES (?, ?, ?)`, mailbox, context, pin)
}

func (s *tables) SetPIN(t *testing.T, address, pin string) {
	mailbox, context, _ := strings.Cut(address, "@")
	s.exec(t, `UPDATE voicemail SET password = ? WHERE mailbox = ? AND context = ?`, pin, mailbox, context)
}

func (s *tables) OpenPhone(t *testing.T, agent string) {
	s.exec(t, `UPDATE ps_endpoints SET context = 'acme' WHERE id = ?`, agent)
	s.exec(t, `UPDATE ps_aors SET max_contacts = 1 WHERE id = ?`, agent)
}

func (s *tables) ClosePhone(t *testing.T, agent string) {
	s.exec(t, `UPDATE ps_endpoints SET context = 'roster-refused' WHERE id = ?`, agent)
	s.exec(t, `UPDATE ps_aors SET max_contacts = 0 WHERE id = ?`, agent)
}

func (s *tables) SetPassword(t *testing.T, agent, password string) {
	s.exec(t, `UPDATE ps_auths SET password = ? WHERE id = ?`, password, agent)
}

func (s *tables) SetPenalty(t *testing.T, queue, agent string, penalty int) {
	s.exec(t, `UPDATE queue_members SET penalty = ? WHERE queue_name = ? AND interface = ?`, penalty, queue, interfaceOf(agent))
}

func (s *tables) SetStrategy(t *testing.T, queue, strategy string) {
	s.exec(t, `UPDATE queues SET strategy = ? WHERE name = ?`, strategies[strategy], queue)
}

func (s *tables) RemoveQueue(t *testing.T, queue string) {
	s.exec(t, `DELETE FROM queues WHERE name = ?`, queue)
}

func (s *tables) RemoveExtension(t *testing.T, center, extension string) {
	s.exec(t, `DELETE FROM roster_extensions WHERE key = ?`, center+"/"+extension)
}

func (s *tables) SetReportGroup(t *testing.T, agent, group string) {
	s.exec(t, `UPDATE roster_agents SET agent_group = ? WHERE name = ?`, group, agent)
}
