package asterisk

import (
	"context"
	"database/sql"

	"github.com/pressly/goose/v3"
)

// queryer is a connection, a pool or a transaction.
type queryer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// dialect is what the two databases do differently.
type dialect interface {
	goose() goose.Dialect
	// open makes a pool; it need not connect.
	open() (*sql.DB, error)
	// place appends the n-th parameter's placeholder.
	place(sql []byte, n int) []byte
	// maxParameters of a statement.
	maxParameters() int
	// types are the SQL types of asteriskTable's.
	types() map[string]string
	// columns are those of a table; none: there is no such table.
	columns(ctx context.Context, q queryer, table string) (map[string]column, error)
	// exclusively runs f while no other Roster changes the schema.
	exclusively(ctx context.Context, db *sql.DB, f func() error) error
	// begin starts a transaction that sees one state of the database. Where that is cheaper it may fail
	// with a passing error when it comes to write, unless it is begun for writing.
	begin(ctx context.Context, q queryer, write bool) error
	// beginReading starts a transaction that sees one state of the database, reads a lot and writes nothing.
	beginReading(ctx context.Context, q queryer) error
	// memberIDs are n values of queue_members.uniqueid that no row has had.
	memberIDs(ctx context.Context, q queryer, uniqueID column, n int) ([]string, error)
	// present says whether the database is still the one that was opened.
	present() error
	// judge tells what an error is.
	judge(err error) verdict
	// name of the database for messages: kind and place, no credentials.
	String() string
}

// verdict is what is to be done about an error.
type verdict struct {
	// passing: the transaction lost against another; it may be run again.
	passing bool
	// waited: the database has waited for the other as long as it may, unless the transaction only read.
	waited bool
	// unreachable: the database cannot be worked with.
	unreachable bool
	// missing: a table or column is not there.
	missing bool
	// text is what the database says, without any value of a row that is not the user's own input.
	text string
}
