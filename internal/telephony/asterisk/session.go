package asterisk

import (
	"context"
	"crypto/rand"
	"database/sql"
	"embed"
	"errors"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"

	"roster.dev/roster/internal/telephony"
)

//go:embed migrations/*.sql
var migrations embed.FS

// versionTable records which of Roster's own migrations a database has had.
const versionTable = "roster_schema_version"

// session is a database from one Load to the next.
type session struct {
	dialect  dialect
	db       *sql.DB
	counters *counters
	schema   *schema
	readOnly bool
	// instance is the database's own random name: another one is another database.
	instance string
	// unwritten is a database that Roster never wrote to and may not.
	unwritten bool
	// pinned stays open as long as the session, so that the system gives the file's identity to no other file.
	pinned *sql.Conn
}

// openSession opens the database, makes what is missing and checks what is there.
func openSession(ctx context.Context, d dialect, c *counters, contacts []string, readOnly bool) (_ *session, err error) {
	db, err := d.open()
	if err != nil {
		return nil, err
	}
	db.SetMaxIdleConns(4)
	s := &session{dialect: d, db: db, counters: c, schema: newSchema(contacts), readOnly: readOnly}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.pinned, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	if !readOnly {
		if err := d.exclusively(ctx, db, func() error { return s.migrate(ctx) }); err != nil {
			return nil, err
		}
	}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if !readOnly {
		// Reading may go well where somebody keeps the lock for writing: that is no database to go on with.
		if err := s.probe(ctx); err != nil {
			return nil, err
		}
	}
	s.instance, err = s.connection(db).instance(ctx)
	if err != nil && readOnly && d.judge(err).missing {
		s.unwritten, err = true, nil
	}
	return s, err
}

// probe makes sure that a transaction that writes can begin.
func (s *session) probe(ctx context.Context) error {
	if err := s.dialect.begin(ctx, s.pinned, true); err != nil {
		return err
	}
	_, err := s.pinned.ExecContext(ctx, "ROLLBACK")
	return err
}

func (s *session) close() {
	if s.pinned != nil {
		_ = s.pinned.Close()
	}
	_ = s.db.Close()
}

func (s *session) connection(q queryer) *connection {
	return &connection{queryer: q, dialect: s.dialect, counters: s.counters}
}

// migrate makes Asterisk's tables where they are missing and Roster's own as of now.
func (s *session) migrate(ctx context.Context) error {
	for _, r := range s.schema.relations() {
		if strings.HasPrefix(r.table, "roster_") {
			continue
		}
		if err := s.create(ctx, r.table); err != nil {
			return err
		}
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(s.dialect.goose(), s.db, files,
		goose.WithTableName(versionTable), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return err
	}
	return s.seed(ctx)
}

// create makes one of Asterisk's tables, or one of the shape of ps_contacts.
func (s *session) create(ctx context.Context, table string) error {
	have, err := s.dialect.columns(ctx, s.db, table)
	if err != nil || len(have) > 0 {
		return err
	}
	definition, ok := asteriskTables[table]
	if !ok {
		definition = psContacts
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	for _, statement := range definition.statements(table, s.dialect.types()) {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// seed writes the rows that come with the schema.
func (s *session) seed(ctx context.Context) error {
	conn := s.connection(s.db)
	instance, err := conn.instance(ctx)
	if err != nil {
		return err
	}
	if instance == "" {
		if err := conn.exec(ctx, newStatement(s.dialect).add("INSERT INTO roster_state (name, value) VALUES ('instance', ").
			arg(rand.Text()).add(")")); err != nil {
			return err
		}
	}
	columns, err := s.dialect.columns(ctx, s.db, s.schema.members.table)
	if err != nil {
		return err
	}
	if _, ok := columns["reason_paused"]; !ok || len(s.schema.members.missing(columns)) > 0 {
		return nil // there is nothing to keep writable; what is missing, check says
	}
	written := false
	if err := conn.query(ctx, newStatement(s.dialect).add("SELECT reason_paused FROM queue_members WHERE queue_name = ").
		arg(sentinel.queue), 1, func([]cell) { written = true }); err != nil || written {
		return err
	}
	ids, err := s.dialect.memberIDs(ctx, s.db, columns["uniqueid"], 1)
	if err != nil {
		return err
	}
	return conn.exec(ctx, newStatement(s.dialect).
		add("INSERT INTO queue_members (queue_name, interface, membername, paused, reason_paused, uniqueid) VALUES (").
		arg(sentinel.queue).add(", ").arg(sentinel.iface).add(", ").arg(sentinel.name).add(", 1, ").
		arg(sentinel.reason).add(", ").arg(ids[0]).add(")"))
}

// check makes sure that every column that Roster writes is there, and learns their types.
func (s *session) check(ctx context.Context) error {
	for _, r := range s.schema.relations() {
		have, err := s.dialect.columns(ctx, s.db, r.table)
		if err != nil {
			return err
		}
		if len(have) == 0 && s.readOnly {
			continue
		}
		missing := r.missing(have)
		if len(missing) > 0 && strings.HasPrefix(r.table, "roster_") {
			return telephony.Errorf(telephony.Refused, nil,
				"table %s is of an older version of Roster and may only be read: it comes up to date once Roster may write (management: Manage)", r.table)
		}
		if len(missing) > 0 {
			return telephony.Errorf(telephony.Refused, nil,
				"table %s lacks the columns that Roster writes: %s; bring it up to date with Asterisk's database migrations (contrib/ast-db-manage, alembic upgrade head), or add them",
				r.table, strings.Join(missing, ", "))
		}
		r.learn(have)
		switch r {
		case s.schema.endpoints:
			s.schema.endpointColumns = have
		case s.schema.members:
			s.schema.uniqueID = have["uniqueid"]
		}
	}
	return nil
}

// instance is the database's own random name, empty for none.
func (c *connection) instance(ctx context.Context) (name string, err error) {
	err = c.query(ctx, newStatement(c.dialect).add("SELECT value FROM roster_state WHERE name = 'instance'"), 1,
		func(cells []cell) { name = cells[0].text })
	return name, err
}

// errOther is a database that is not the one that was loaded.
var errOther = errors.New("another database answers")

// confirm makes sure that the connection is to the database that was loaded.
func (s *session) confirm(ctx context.Context, c *connection) error {
	if err := s.dialect.present(); err != nil {
		return err
	}
	instance, err := c.instance(ctx)
	if err != nil && s.dialect.judge(err).missing {
		err, instance = nil, ""
	}
	if err == nil && instance != s.instance {
		return telephony.Errorf(telephony.Unreachable, errOther, "%s is not the database that was loaded", s.dialect)
	}
	return err
}
