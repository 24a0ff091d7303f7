package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// openSQLite opens a database file. To write, it syncs every commit, as Roster does.
func openSQLite(path string, write bool) (*sql.DB, error) {
	params := url.Values{"_busy_timeout": {"10000"}, "mode": {"ro"}}
	if write {
		params = url.Values{"_journal_mode": {"WAL"}, "_synchronous": {"FULL"}, "_txlock": {"immediate"}}
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path, RawQuery: params.Encode()}).String())
	if err == nil {
		db.SetMaxOpenConns(1) // what is asked of a connection, such as data_version, holds for it alone
	}
	return db, err
}

// rowsOf counts a staff's rows where an Asterisk looks for them.
func rowsOf(ctx context.Context, db *sql.DB, s *staff) (phones, members int, err error) {
	err = db.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM ps_endpoints e JOIN ps_aors a ON a.id = e.id JOIN ps_auths h ON h.id = e.id
			WHERE e.id LIKE ?1 AND e.context = ?2 AND h.password <> ''),
		(SELECT count(*) FROM queue_members WHERE interface LIKE 'PJSIP/' || ?1)`, s.prefix+"-%", namespace).Scan(&phones, &members)
	return phones, members, err
}

// awaitRows waits until a staff's rows are all there, and none besides. It returns since when they are known to
// be: from, where the first look finds them.
func awaitRows(ctx context.Context, db *sql.DB, s *staff, from time.Time) (time.Time, error) {
	const patience = time.Minute
	want := s.memberships()
	for seen, start := from, time.Now(); ; seen = time.Now() {
		phones, members, err := rowsOf(ctx, db, s)
		switch {
		case err != nil:
			return seen, err
		case phones == s.agents && members == want:
			return seen, nil
		case time.Since(start) > patience:
			return seen, fmt.Errorf("the database has %d phones and %d memberships of %s, not %d and %d",
				phones, members, s.prefix, s.agents, want)
		}
		if err := sleep(ctx, 5*time.Millisecond); err != nil {
			return seen, err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// dataVersion changes with every commit that another connection makes.
func dataVersion(ctx context.Context, db *sql.DB) (version int64, err error) {
	err = db.QueryRowContext(ctx, "PRAGMA data_version").Scan(&version)
	return version, err
}

// dump is everything in a database.
type dump struct {
	schema []string
	tables []dumpedTable
}

type dumpedTable struct {
	name  string
	width int
	// values of all rows, one after the other.
	values []any
}

func (d *dump) rows() int {
	n := 0
	for _, t := range d.tables {
		n += len(t.values) / t.width
	}
	return n
}

// readDump reads everything in a database.
func readDump(ctx context.Context, db *sql.DB) (*dump, error) {
	d := &dump{}
	var names []string
	err := query(ctx, db, "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY rowid",
		func(row []any) {
			d.schema = append(d.schema, fmt.Sprint(row[2]))
			if row[0] == "table" {
				names = append(names, fmt.Sprint(row[1]))
			}
		})
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t := dumpedTable{name: name}
		if err := query(ctx, db, "SELECT * FROM "+name, func(row []any) {
			t.width, t.values = len(row), append(t.values, row...)
		}); err != nil {
			return nil, err
		}
		if t.width > 0 {
			d.tables = append(d.tables, t)
		}
	}
	return d, nil
}

func query(ctx context.Context, db *sql.DB, text string, each func(row []any)) error {
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for rows.Next() {
		row, targets := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			targets[i] = &row[i]
		}
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		each(row)
	}
	return rows.Err()
}

// write makes a database of the dump, and returns how long all its rows took in one transaction.
func (d *dump) write(ctx context.Context, path string) (took time.Duration, err error) {
	db, err := openSQLite(path, true)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, statement := range d.schema {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return 0, err
		}
	}
	start := time.Now()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }()
	for _, t := range d.tables {
		if err := t.insert(ctx, tx); err != nil {
			return 0, err
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// insert writes the table's rows, many with each statement.
func (t *dumpedTable) insert(ctx context.Context, tx *sql.Tx) error {
	const parameters = 32766
	row := "(?" + strings.Repeat(",?", t.width-1) + ")"
	for values := t.values; len(values) > 0; {
		n := min(len(values)/t.width, parameters/t.width, 500)
		text := "INSERT INTO " + t.name + " VALUES " + row + strings.Repeat(","+row, n-1)
		if _, err := tx.ExecContext(ctx, text, values[:n*t.width]...); err != nil {
			return err
		}
		values = values[n*t.width:]
	}
	return nil
}
