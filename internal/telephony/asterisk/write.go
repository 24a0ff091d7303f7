package asterisk

import (
	"context"
	"slices"
	"strconv"
)

// change is a row to write.
type change struct {
	row *row
	// cols are the columns that an UPDATE sets.
	cols []int
}

// diff is what makes a relation's old rows the planned ones.
type diff struct {
	deletes, inserts []*row
	// updates by the columns that they set.
	updates [][]change
}

// diff compares the rows as read with those planned.
func (t *rows) diff() diff {
	var d diff
	byColumns := map[string]int{}
	for _, r := range t.order {
		switch {
		case r.old == nil && r.now == nil:
		case r.old == nil:
			d.inserts = append(d.inserts, r)
		case r.now == nil:
			d.deletes = append(d.deletes, r)
		case t.identity > 0 && r.old[t.identity] != r.now[t.identity]:
			d.deletes = append(d.deletes, r)
			d.inserts = append(d.inserts, r)
		default:
			var cols []int
			var id []byte
			for i := range r.now {
				if r.old[i] != r.now[i] {
					cols = append(cols, i)
					id = strconv.AppendInt(append(id, ' '), int64(i), 10)
				}
			}
			if len(cols) == 0 {
				continue
			}
			i, ok := byColumns[string(id)]
			if !ok {
				i = len(d.updates)
				byColumns[string(id)] = i
				d.updates = append(d.updates, nil)
			}
			d.updates[i] = append(d.updates[i], change{r, cols})
		}
	}
	return d
}

// writer writes differences. It stops at the first error.
type writer struct {
	ctx  context.Context
	conn *connection
	rows int
	err  error
}

// chunkRows is the most rows that a statement writes: more gains nothing, and the text grows.
const chunkRows = 500

func (w *writer) write(t *rows) {
	d := t.diff()
	w.deleteRows(t, d.deletes)
	for _, u := range d.updates {
		w.updateRows(t, u)
	}
	w.insertRows(t, d.inserts)
}

func (w *writer) run(s *statement, rows int) {
	if w.err == nil {
		w.err = w.conn.exec(w.ctx, s)
		w.rows += rows
	}
}

func chunks[T any](w *writer, list []T, width int, f func(chunk []T)) {
	for chunk := range slices.Chunk(list, max(1, min(chunkRows, w.conn.dialect.maxParameters()/width))) {
		if w.err != nil {
			return
		}
		f(chunk)
	}
}

func (w *writer) deleteRows(t *rows, list []*row) {
	identifiers := t.key
	if t.deleteGuard >= 0 {
		identifiers = append(slices.Clone(t.key), t.cols[t.deleteGuard])
	}
	chunks(w, list, len(identifiers), func(chunk []*row) {
		s := newStatement(w.conn.dialect).add("DELETE FROM ", quote(t.table), " WHERE (")
		for i, k := range t.key {
			if i > 0 {
				s.add(", ")
			}
			s.add(quote(k))
		}
		if t.deleteGuard >= 0 {
			s.add(", COALESCE(", quote(t.cols[t.deleteGuard]), ", '')")
		}
		s.add(") IN (VALUES ")
		for i, r := range chunk {
			if i > 0 {
				s.add(", ")
			}
			s.add("(")
			for i, k := range r.key[:len(t.key)] {
				if i > 0 {
					s.add(", ")
				}
				s.arg(k)
			}
			if t.deleteGuard >= 0 {
				s.add(", ").arg(r.old[t.deleteGuard].text)
			}
			s.add(")")
		}
		w.run(s.add(")"), len(chunk))
	})
}

func (w *writer) insertRows(t *rows, list []*row) {
	chunks(w, list, len(t.key)+len(t.cols), func(chunk []*row) {
		s := newStatement(w.conn.dialect).add("INSERT INTO ", quote(t.table), " (", columns(t.key, t.present()), ") VALUES ")
		for i, r := range chunk {
			if i > 0 {
				s.add(", ")
			}
			s.add("(")
			for i, k := range r.key[:len(t.key)] {
				if i > 0 {
					s.add(", ")
				}
				s.arg(k)
			}
			for i, c := range r.now {
				if !t.absent[i] {
					s.add(", ").cell(c)
				}
			}
			s.add(")")
		}
		w.run(s, len(chunk))
	})
}

// updateRows sets the same columns of many rows: UPDATE … FROM (VALUES …), whose columns both databases call
// column1, column2 and so on.
func (w *writer) updateRows(t *rows, list []change) {
	cols := list[0].cols
	guarded := t.guard >= 0 && slices.Contains(cols, t.guard)
	chunks(w, list, len(t.key)+len(cols)+1, func(chunk []change) {
		s := newStatement(w.conn.dialect).add("UPDATE ", quote(t.table), " SET ")
		for i, c := range cols {
			if i > 0 {
				s.add(", ")
			}
			value := "v.column" + strconv.Itoa(len(t.key)+i+1)
			if cast := t.casts[c]; cast != "" {
				value = "CAST(" + value + " AS " + cast + ")"
			}
			s.add(quote(t.cols[c]), " = ", value)
		}
		s.add(" FROM (VALUES ")
		for i, c := range chunk {
			if i > 0 {
				s.add(", ")
			}
			s.add("(")
			for i, k := range c.row.key[:len(t.key)] {
				if i > 0 {
					s.add(", ")
				}
				s.arg(k)
			}
			for _, col := range cols {
				s.add(", ").cell(c.row.now[col])
			}
			if guarded {
				old := c.row.old[t.guard].text
				if old == "" {
					old = "0"
				}
				s.add(", ").arg(old)
			}
			s.add(")")
		}
		s.add(") AS v WHERE ")
		for i, k := range t.key {
			if i > 0 {
				s.add(" AND ")
			}
			s.add(quote(t.table), ".", quote(k), " = v.column", strconv.Itoa(i+1))
		}
		if guarded {
			s.add(" AND COALESCE(", quote(t.table), ".", quote(t.cols[t.guard]), ", 0) = CAST(v.column",
				strconv.Itoa(len(t.key)+len(cols)+1), " AS INTEGER)")
		}
		w.run(s, len(chunk))
	})
}
