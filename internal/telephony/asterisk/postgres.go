package asterisk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// memberSequence makes uniqueids where the column has no sequence of its own, as after Asterisk's migrations.
const memberSequence = "roster_member_ids"

// schemaLock is the key of the advisory lock under which the schema changes.
const schemaLock = 0x726f73746572

type postgresDialect struct {
	config *pgx.ConnConfig
}

// newPostgres parses a connection string. Its error says nothing of the string.
func newPostgres(dsn string, timeout time.Duration, readOnly bool) (*postgresDialect, error) {
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, errors.New("the connection string cannot be read: write postgres://user:password@host:port/database, or key=value pairs")
	}
	config.ConnectTimeout = min(timeout/2, 5*time.Second)
	// Types are inferred from the columns, so that Asterisk's enumerations take texts; one round trip a
	// statement, and no session state, for the poolers' sake.
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: timeout / 20}
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "roster"
	}
	if readOnly {
		config.RuntimeParams["default_transaction_read_only"] = "on"
	}
	return &postgresDialect{config: config}, nil
}

// identity is where the database is.
func (d *postgresDialect) identity() string {
	hosts := []string{net.JoinHostPort(d.config.Host, strconv.Itoa(int(d.config.Port)))}
	for _, f := range d.config.Fallbacks {
		// Each host comes twice where TLS is optional.
		if h := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); h != hosts[len(hosts)-1] {
			hosts = append(hosts, h)
		}
	}
	return "postgres:" + strings.Join(hosts, ",") + "/" + d.config.Database
}

func (d *postgresDialect) String() string {
	return "PostgreSQL database " + d.config.Database + " at " + net.JoinHostPort(d.config.Host, strconv.Itoa(int(d.config.Port)))
}

func (d *postgresDialect) goose() goose.Dialect   { return goose.DialectPostgres }
func (d *postgresDialect) maxParameters() int     { return 65535 }
func (d *postgresDialect) open() (*sql.DB, error) { return stdlib.OpenDB(*d.config), nil }
func (d *postgresDialect) present() error         { return nil }

func (d *postgresDialect) place(sql []byte, n int) []byte {
	return strconv.AppendInt(append(sql, '$'), int64(n), 10)
}

func (d *postgresDialect) types() map[string]string {
	return map[string]string{
		"int": "INTEGER", "bigint": "BIGINT", "float": "FLOAT", "decimal": "NUMERIC(5, 2)", "timestamp": "TIMESTAMP",
		"bool": "VARCHAR(5)", "text": "TEXT", "counter": "SERIAL", "serial": "SERIAL PRIMARY KEY",
	}
}

func (d *postgresDialect) columns(ctx context.Context, q queryer, table string) (map[string]column, error) {
	rows, err := q.QueryContext(ctx, `SELECT a.attname, format_type(a.atttypid, NULL),
			CASE WHEN a.atttypid = 'varchar'::regtype AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END,
			COALESCE(pg_get_serial_sequence($1, a.attname), '')
		FROM pg_attribute a WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`, quote(table))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := map[string]column{}
	for rows.Next() {
		var name string
		var c column
		if err := rows.Scan(&name, &c.cast, &c.limit, &c.sequence); err != nil {
			return nil, err
		}
		c.whole = c.cast == "smallint" || c.cast == "integer" || c.cast == "bigint"
		columns[name] = c
	}
	return columns, rows.Err()
}

func (d *postgresDialect) exclusively(ctx context.Context, db *sql.DB, f func() error) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1)", schemaLock); err != nil {
		return err
	}
	// Asked for first, because IF NOT EXISTS needs the right to create all the same.
	var missing bool
	if err := tx.QueryRowContext(ctx, "SELECT to_regclass($1) IS NULL", memberSequence).Scan(&missing); err != nil {
		return err
	}
	if missing {
		if _, err := db.ExecContext(ctx, "CREATE SEQUENCE "+memberSequence); err != nil {
			return err
		}
	}
	return f()
}

// begin takes repeatable reads: a row that somebody else changes between reading and writing, such as a
// pause by phone, makes the transaction run again instead of being overwritten.
func (d *postgresDialect) begin(ctx context.Context, q queryer, _ bool) error {
	_, err := q.ExecContext(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ")
	return err
}

// beginReading has tables joined by hashing: where statistics are behind, as after many people came at once, the
// planner takes nested loops whose time grows with the square of the people.
func (d *postgresDialect) beginReading(ctx context.Context, q queryer) error {
	if _, err := q.ExecContext(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"); err != nil {
		return err
	}
	_, err := q.ExecContext(ctx, "SET LOCAL enable_nestloop = off")
	return err
}

func (d *postgresDialect) memberIDs(ctx context.Context, q queryer, uniqueID column, n int) ([]string, error) {
	sequence, highest := uniqueID.sequence, "MAX(uniqueid)"
	if sequence == "" {
		sequence = memberSequence
	}
	if strings.HasPrefix(uniqueID.cast, "character") {
		highest = "MAX(CASE WHEN uniqueid ~ '^[0-9]{1,9}$' THEN uniqueid::bigint END)"
	}
	for {
		ids, above, err := d.nextIDs(ctx, q, sequence, highest, n)
		if err != nil || above == 0 {
			return ids, err
		}
		if _, err := q.ExecContext(ctx, "SELECT setval($1::text::regclass, $2::bigint)", sequence, above); err != nil {
			return nil, err
		}
	}
}

// nextIDs are the sequence's next n values; where others wrote higher ones, above is the highest of those.
func (d *postgresDialect) nextIDs(ctx context.Context, q queryer, sequence, highest string, n int) (ids []string, above int64, err error) {
	rows, err := q.QueryContext(ctx, fmt.Sprintf(`SELECT COALESCE((SELECT %s FROM queue_members), 0), nextval($1::text::regclass)
		FROM generate_series(1, $2::int)`, highest), sequence, n)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var used, id int64
		if err := rows.Scan(&used, &id); err != nil {
			return nil, 0, err
		}
		if id <= used {
			above = used
		}
		ids = append(ids, strconv.FormatInt(id, 10))
	}
	return ids, above, rows.Err()
}

func (d *postgresDialect) judge(err error) verdict {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		// What is no answer of the server is a connection that failed, whatever the driver calls it.
		text := plain(err)
		var connect *pgconn.ConnectError
		if errors.As(err, &connect) || !isTimeout(err) {
			text = "no answer"
		}
		return verdict{unreachable: true, text: text}
	}
	v := verdict{text: e.Message}
	switch e.Code {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		v.passing, v.unreachable = true, true
	case "23505": // unique_violation: somebody was faster
		v.passing = true
	case "42P01", "42703", "3F000": // undefined_table, undefined_column, invalid_schema_name
		v.missing = true
	case "57014", "25006": // query_canceled; read_only_sql_transaction: a standby
		v.unreachable = true
	case "55P03": // lock_not_available
		v.passing, v.unreachable = true, true
	default:
		switch e.Code[:min(2, len(e.Code))] {
		case "08", "53", "57", "58": // connection, resources, operator intervention, system error
			v.unreachable = true
		}
	}
	return v
}
