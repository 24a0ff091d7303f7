package asterisk

import (
	"context"
	"database/sql"
	"strings"
	"sync/atomic"
)

// counters count what a backend asks of its database.
type counters struct {
	statements, rows, transactions, batches, items atomic.Int64
}

// Stats is what a backend has asked of its database since it was opened.
type Stats struct {
	// Statements executed, reads and writes; BEGIN and COMMIT do not count.
	Statements int64
	// RowsWritten were inserted, updated or deleted.
	RowsWritten int64
	// Transactions that were committed with something written.
	Transactions int64
	// Batches of calls that shared a look at the database, and the Calls in them.
	Batches, Calls int64
}

// statement is a statement in the making.
type statement struct {
	dialect dialect
	sql     []byte
	args    []any
}

func newStatement(d dialect) *statement { return &statement{dialect: d} }

func (s *statement) add(parts ...string) *statement {
	for _, p := range parts {
		s.sql = append(s.sql, p...)
	}
	return s
}

// arg adds a placeholder and its value.
func (s *statement) arg(v any) *statement {
	s.args = append(s.args, v)
	s.sql = s.dialect.place(s.sql, len(s.args))
	return s
}

func (s *statement) cell(c cell) *statement {
	if c.null {
		return s.arg(nil)
	}
	return s.arg(c.text)
}

// list adds (v, v, …).
func (s *statement) list(values []string) *statement {
	s.add("(")
	for i, v := range values {
		if i > 0 {
			s.add(", ")
		}
		s.arg(v)
	}
	return s.add(")")
}

// columns are identifiers as a list.
func columns(lists ...[]string) string {
	var b strings.Builder
	for _, l := range lists {
		for _, c := range l {
			if b.Len() > 0 {
				b.WriteString(", ")
			}
			b.WriteString(quote(c))
		}
	}
	return b.String()
}

// connection is a connection with its dialect and counters.
type connection struct {
	queryer
	dialect  dialect
	counters *counters
}

func (c *connection) exec(ctx context.Context, s *statement) error {
	c.counters.statements.Add(1)
	_, err := c.ExecContext(ctx, string(s.sql), s.args...)
	return err
}

// query calls each with the values of every row; NULL is a null cell.
func (c *connection) query(ctx context.Context, s *statement, width int, each func([]cell)) error {
	c.counters.statements.Add(1)
	rows, err := c.QueryContext(ctx, string(s.sql), s.args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	values := make([]sql.NullString, width)
	targets := make([]any, width)
	for i := range values {
		targets[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		cells := make([]cell, width)
		for i, v := range values {
			cells[i] = cell{text: v.String, null: !v.Valid}
		}
		each(cells)
	}
	return rows.Err()
}
