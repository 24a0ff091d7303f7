package asterisk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	sqlite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// errReplaced is a database file that is no longer the one that was opened.
var errReplaced = errors.New("the file was removed or replaced")

// sqliteDialect is an SQLite file.
type sqliteDialect struct {
	path     string
	timeout  time.Duration
	readOnly bool

	mu   sync.Mutex
	file os.FileInfo
}

func (d *sqliteDialect) String() string       { return "SQLite database " + filepath.Base(d.path) }
func (d *sqliteDialect) goose() goose.Dialect { return goose.DialectSQLite3 }
func (d *sqliteDialect) maxParameters() int   { return 32766 }

func (d *sqliteDialect) place(sql []byte, _ int) []byte { return append(sql, '?') }

func (d *sqliteDialect) types() map[string]string {
	return map[string]string{
		"int": "INTEGER", "bigint": "BIGINT", "float": "FLOAT", "decimal": "NUMERIC(5, 2)", "timestamp": "DATETIME",
		"bool": "VARCHAR(5)", "text": "VARCHAR(2048)", "counter": "INTEGER", "serial": "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL",
	}
}

// open opens the file, and makes it where it is missing.
func (d *sqliteDialect) open() (*sql.DB, error) {
	if !d.readOnly {
		if err := d.create(); err != nil {
			return nil, err
		}
	}
	file, err := os.Stat(d.path)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.file = file
	d.mu.Unlock()

	params := url.Values{
		"_busy_timeout": {strconv.Itoa(int((d.timeout / 2).Milliseconds()))},
		"_txlock":       {"immediate"},
		"mode":          {"rw"},
	}
	if d.readOnly {
		params.Set("mode", "ro")
	} else {
		// The cache holds what a batch of a centre with 10,000 people touches, and the log what several write.
		// A full sync makes a committed deactivation outlive a power cut; commits are shared, so it costs little.
		params.Set("_journal_mode", "WAL")
		params.Set("_synchronous", "FULL")
		params["_pragma"] = []string{"wal_autocheckpoint(4000)", "cache_size(-8000)"}
	}
	return sql.Open("sqlite", (&url.URL{Scheme: "file", Path: d.path, RawQuery: params.Encode()}).String())
}

// create makes an empty file that Asterisk's group may write. A file that is there is not opened here:
// closing it would drop the locks that SQLite holds on it in this process.
func (d *sqliteDialect) create() error {
	schemaChanges.Lock()
	defer schemaChanges.Unlock()
	if _, err := os.Stat(d.path); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(d.path), 0o770); err != nil {
		return err
	}
	// The log of a database that somebody deleted would be replayed into the new one.
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Remove(d.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(d.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o660)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

func (d *sqliteDialect) present() error {
	file, err := os.Stat(d.path)
	if err != nil {
		return errReplaced
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil || !os.SameFile(file, d.file) {
		return errReplaced
	}
	return nil
}

var varchar = regexp.MustCompile(`(?i)^[a-z ]*CHAR[a-z ]*\((\d+)\)$`)

func (d *sqliteDialect) columns(ctx context.Context, q queryer, table string) (map[string]column, error) {
	rows, err := q.QueryContext(ctx, "SELECT name, type FROM pragma_table_info(?)", table)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := map[string]column{}
	for rows.Next() {
		var name, declared string
		if err := rows.Scan(&name, &declared); err != nil {
			return nil, err
		}
		var c column
		if m := varchar.FindStringSubmatch(declared); m != nil {
			c.limit, _ = strconv.Atoi(m[1])
		}
		c.whole = strings.Contains(strings.ToUpper(declared), "INT") // SQLite's own rule
		columns[name] = c
	}
	return columns, rows.Err()
}

// schemaChanges is held by the one who changes a schema in this process. Another process's changes make a
// change fail, and it is tried again.
var schemaChanges sync.Mutex

func (d *sqliteDialect) exclusively(ctx context.Context, _ *sql.DB, f func() error) error {
	schemaChanges.Lock()
	defer schemaChanges.Unlock()
	const attempts = 5
	for i := 1; ; i++ {
		err := f()
		if err == nil || i == attempts || ctx.Err() != nil || d.judge(err).unreachable {
			return err
		}
		time.Sleep(time.Duration(i) * 20 * time.Millisecond)
	}
}

func (d *sqliteDialect) begin(ctx context.Context, q queryer, write bool) error {
	begin := "BEGIN"
	if write {
		begin = "BEGIN IMMEDIATE"
	}
	_, err := q.ExecContext(ctx, begin)
	return err
}

// beginReading starts a transaction that in WAL mode keeps nobody from writing.
func (d *sqliteDialect) beginReading(ctx context.Context, q queryer) error {
	return d.begin(ctx, q, false)
}

// memberIDs come from a counter of Roster's own, which stays above what others wrote.
func (d *sqliteDialect) memberIDs(ctx context.Context, q queryer, uniqueID column, n int) ([]string, error) {
	highest := "MAX(uniqueid)" // found in the index
	if uniqueID.limit > 0 {
		highest = "MAX(CAST(uniqueid AS INTEGER))"
	}
	rows, err := q.QueryContext(ctx, `INSERT INTO roster_state (name, value)
		VALUES ('member-id', CAST((SELECT COALESCE(`+highest+`, 0) FROM queue_members) + ? AS TEXT))
		ON CONFLICT (name) DO UPDATE SET value = CAST(MAX(CAST(value AS INTEGER), CAST(excluded.value AS INTEGER) - ?) + ? AS TEXT)
		RETURNING value`, n, n, n)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	last := 0
	for rows.Next() {
		if err := rows.Scan(&last); err != nil {
			return nil, err
		}
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(last - n + 1 + i)
	}
	return ids, rows.Err()
}

func (d *sqliteDialect) judge(err error) verdict {
	if errors.Is(err, fs.ErrPermission) {
		return verdict{text: "no right to open the file or its folder"}
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		return verdict{unreachable: true, text: path.Err.Error()}
	}
	if errors.Is(err, errReplaced) {
		return verdict{unreachable: true, text: errReplaced.Error()}
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return verdict{unreachable: isTimeout(err), text: plain(err)}
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return verdict{passing: true, waited: e.Code() != sqlite3.SQLITE_BUSY_SNAPSHOT, unreachable: true, text: "it is locked by another process"}
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_INTERRUPT,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOMEM:
		return verdict{unreachable: true, text: sqliteText(e)}
	case sqlite3.SQLITE_READONLY:
		return verdict{unreachable: e.Code() == sqlite3.SQLITE_READONLY_DBMOVED, text: "the file or its folder may not be written"}
	case sqlite3.SQLITE_ERROR:
		return verdict{missing: strings.Contains(e.Error(), "no such"), text: sqliteText(e)}
	}
	return verdict{text: sqliteText(e)}
}

// sqliteText is what SQLite says, without the words that the driver puts around it.
func sqliteText(e *sqlite.Error) string {
	s := strings.TrimSpace(e.Error())
	s = strings.TrimSuffix(s, fmt.Sprintf(" (%d)", e.Code()))
	if _, after, ok := strings.Cut(s, ": "); ok {
		s = after
	}
	return s
}
