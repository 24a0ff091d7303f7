package asterisk

import (
	"strconv"
	"unicode/utf8"

	"roster.dev/roster/internal/telephony"
)

// cell is the value of a column, as text; the databases convert it to the column's type and back.
type cell struct {
	text string
	null bool
}

var null = cell{null: true}

// text is a cell that is NULL where there is nothing to say: Asterisk's ODBC driver skips NULL columns.
func text(s string) cell { return cell{text: s, null: s == ""} }

func number(i int) cell { return cell{text: strconv.Itoa(i)} }

// same says that a and b mean the same to Asterisk, which does not tell NULL from the empty string.
func (a cell) same(b cell) bool { return a.text == b.text }

// maxKey is the most columns that a primary key has.
const maxKey = 4

// wholeNumber is a cell as a column of whole numbers gives it back.
func wholeNumber(c cell) cell {
	if n, err := strconv.ParseInt(c.text, 10, 64); err == nil {
		return cell{text: strconv.FormatInt(n, 10)}
	}
	return c
}

// key is the values of a row's key columns.
type key [maxKey]string

// relation is a table as far as Roster reads and writes it.
type relation struct {
	table string
	key   []string
	cols  []string
	// limits are the lengths of cols in characters, and keyLimits those of key; 0 is no limit. They come from the database.
	limits, keyLimits []int
	// casts are the database's types of cols, for an UPDATE from a list of values.
	casts []string
	// whole are the cols of whole numbers, and absent those of the optional ones that the database lacks.
	whole, absent []bool
	// optional are columns that the table may lack.
	optional []int
	// watched are the columns that Compare compares as they are.
	watched []int
	// owner names what a row belongs to, for rows that are looked up by it.
	owner func(key, []cell) string
	// identity is a column whose change makes another row of it: Asterisk ignores what else changes
	// while it stays. 0 for none: no relation has it in the first column.
	identity int
	// guard is a column whose former value each UPDATE of it names. -1 for none.
	guard int
	// deleteGuard is a column whose former value each DELETE names. -1 for none.
	deleteGuard int
	// stamp is a column that is no change by itself. -1 for none.
	stamp int
}

// row is a row before and after; nil cells are no row.
type row struct {
	key key
	old []cell
	now []cell
}

// rows are the rows of a relation that a plan has read, and what becomes of them.
type rows struct {
	*relation
	byKey   map[key]*row
	order   []*row
	byOwner map[string][]*row
	journal *[]undo
}

// undo is what a row was before a change.
type undo struct {
	table *rows
	row   *row
	now   []cell
}

func newRows(r *relation, journal *[]undo) *rows {
	return &rows{relation: r, byKey: map[key]*row{}, byOwner: map[string][]*row{}, journal: journal}
}

func (t *rows) row(k key) *row {
	r := t.byKey[k]
	if r == nil {
		r = &row{key: k}
		t.byKey[k] = r
		t.order = append(t.order, r)
	}
	return r
}

// read records what the database holds.
func (t *rows) read(k key, cells []cell) {
	r := t.row(k)
	r.old, r.now = cells, cells
	t.index(r)
}

func (t *rows) index(r *row) {
	if t.owner == nil {
		return
	}
	o := t.owner(r.key, r.now)
	for _, other := range t.byOwner[o] {
		if other == r {
			return
		}
	}
	t.byOwner[o] = append(t.byOwner[o], r)
}

// get is the row of a key as planned so far, nil for none.
func (t *rows) get(k key) []cell {
	if r := t.byKey[k]; r != nil {
		return r.now
	}
	return nil
}

// owned are the rows that belong to an owner, as planned so far.
func (t *rows) owned(owner string) []*row {
	var found []*row
	for _, r := range t.byOwner[owner] {
		if r.now != nil && t.owner(r.key, r.now) == owner {
			found = append(found, r)
		}
	}
	return found
}

// put plans a row. Columns that stay keep what the database has, even where it writes it differently.
func (t *rows) put(k key, cells []cell) error {
	r := t.row(k)
	if r.now == nil {
		for i, limit := range t.keyLimits {
			if err := t.fits(t.key[i], k[i], limit); err != nil {
				return err
			}
		}
	}
	for i := range cells {
		switch {
		case t.absent[i]:
			cells[i] = null
		case t.whole[i]:
			cells[i] = wholeNumber(cells[i])
		}
		if r.now != nil && cells[i].same(r.now[i]) {
			cells[i] = r.now[i]
			continue
		}
		if err := t.fits(t.cols[i], cells[i].text, t.limits[i]); err != nil {
			return err
		}
	}
	if r.now != nil && !t.changed(r.now, cells) {
		return nil
	}
	t.set(r, cells)
	t.index(r)
	return nil
}

// fits says that a value is no longer than its column holds.
func (t *rows) fits(column, value string, limit int) error {
	if limit > 0 && len(value) > limit && utf8.RuneCountInString(value) > limit {
		return telephony.Errorf(telephony.Refused, nil, "column %s of table %s holds %d characters, which the value is longer than", column, t.table, limit)
	}
	return nil
}

// changed says that a and b differ in more than their stamp.
func (t *rows) changed(a, b []cell) bool {
	for i := range b {
		if i != t.stamp && !a[i].same(b[i]) {
			return true
		}
	}
	return false
}

// drop plans that there is no such row.
func (t *rows) drop(k key) {
	if r := t.byKey[k]; r != nil && r.now != nil {
		t.set(r, nil)
	}
}

func (t *rows) set(r *row, cells []cell) {
	*t.journal = append(*t.journal, undo{t, r, r.now})
	r.now = cells
}

// kindAgent and kindQueue are the kinds in the registry.
const (
	kindAgent = "Agent"
	kindQueue = "Queue"
)

// state is what a plan reads and writes.
type state struct {
	registry    *rows
	endpoints   *rows
	auths       *rows
	aors        *rows
	contacts    []*rows
	queues      *rows
	members     *rows
	voicemail   *rows
	agents      *rows
	memberships *rows
	extensions  *rows
	revocations *rows
	sticky      *rows
	// mailboxes are the names of registered people by mailbox.
	mailboxes map[string]string

	journal []undo
}

func newState(s *schema) *state {
	st := &state{mailboxes: map[string]string{}}
	rows := func(r *relation) *rows { return newRows(r, &st.journal) }
	st.registry, st.endpoints, st.auths, st.aors = rows(s.registry), rows(s.endpoints), rows(s.auths), rows(s.aors)
	st.queues, st.members, st.voicemail = rows(s.queues), rows(s.members), rows(s.voicemail)
	st.agents, st.memberships, st.extensions = rows(s.agents), rows(s.memberships), rows(s.extensions)
	st.revocations, st.sticky = rows(s.revocations), rows(s.sticky)
	for _, r := range s.contacts {
		st.contacts = append(st.contacts, rows(r))
	}
	return st
}

// tables are the tables in the order in which they are written: people are reported before they are reached.
func (s *state) tables() []*rows {
	tables := []*rows{s.registry, s.agents, s.memberships, s.extensions, s.revocations, s.sticky,
		s.auths, s.aors, s.endpoints, s.voicemail, s.queues, s.members}
	return append(tables, s.contacts...)
}

// attempt plans with f, all of it or nothing.
func (s *state) attempt(f func() error) error {
	start := len(s.journal)
	err := f()
	if err == nil {
		return nil
	}
	for i := len(s.journal) - 1; i >= start; i-- {
		s.journal[i].row.now = s.journal[i].now
	}
	s.journal = s.journal[:start]
	return err
}
