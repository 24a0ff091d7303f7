// Package sqltest reads a telephone system's database as somebody else would, for tests of what is in it.
package sqltest

import (
	"context"
	"database/sql"
	"strings"
)

// Rows are a query's rows, each with its columns joined by a bar, never nil. Where the query fails, one row says so.
func Rows(db *sql.DB, query string, args ...any) []string {
	failed := func(err error) []string { return []string{"error: " + err.Error()} }
	rows, err := db.QueryContext(context.Background(), query, args...)
	if err != nil {
		return failed(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		return failed(err)
	}
	list := []string{}
	for rows.Next() {
		values, pointers := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err := rows.Scan(pointers...); err != nil {
			return failed(err)
		}
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = v.String
		}
		list = append(list, strings.Join(texts, "|"))
	}
	if err := rows.Err(); err != nil {
		return failed(err)
	}
	return list
}
