package asterisk

import (
	"context"
	"database/sql"
	"slices"
	"strconv"
	"strings"
	"time"

	"roster.dev/roster/internal/telephony"
)

// Compare looks for rows that are not as they were last applied: one look at each table, in one state of the
// database, at the cost of one small entry a person in memory.
func (b *Backend) Compare(ctx context.Context) (*telephony.Drift, error) {
	s, err := b.usable()
	if err != nil {
		return nil, err
	}
	caller := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(b.ctx, cancel)
	defer stop()
	patience := time.AfterFunc(b.config.Timeout, cancel)
	defer patience.Stop()

	drift, err := s.compare(ctx, b.config.Center, func() { patience.Reset(b.config.Timeout) })
	if err == nil {
		return drift, nil
	}
	if b.ctx.Err() != nil {
		return nil, errClosed
	}
	if ctx.Err() != nil {
		err = telephony.Errorf(telephony.Unreachable, ctx.Err(), "%s cannot be reached: no answer in time", b.dialect)
	}
	err = explain(b.dialect, err)
	if telephony.KindOf(err) == telephony.Unreachable && caller.Err() == nil {
		b.failed(s, err)
	}
	return nil, err
}

// compare reads in a transaction that sees one state of the database and keeps nobody from writing.
func (s *session) compare(ctx context.Context, center string, progress func()) (*telephony.Drift, error) {
	raw, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = raw.Close() }()
	defer rollback(ctx, raw)
	if err := s.dialect.beginReading(ctx, raw); err != nil {
		return nil, err
	}
	conn := s.connection(raw)
	if err := s.confirm(ctx, conn); err != nil {
		return nil, err
	}
	c := &comparison{ctx: ctx, conn: conn, schema: s.schema, center: center, progress: progress,
		agents: map[string]int32{}, queues: map[string]int32{}, templateOf: map[string]int32{}, strays: map[string][]string{},
		sticky: map[string]telephony.Sticky{}}
	if !s.unwritten {
		c.run()
	}
	if c.err != nil {
		return nil, c.err
	}
	return c.drift(), s.dialect.present()
}

// comparison takes from what the registry says of each person and queue what their rows are. It stops at the
// first error.
type comparison struct {
	ctx      context.Context
	conn     *connection
	schema   *schema
	center   string
	progress func()
	err      error

	// agents and queues are places in entries, by name.
	agents, queues map[string]int32
	entries        []entry
	// templates are lists of template columns as the registry has them, and templateOf their places.
	templates  [][]string
	templateOf map[string]int32
	strays     map[string][]string
	sticky     map[string]telephony.Sticky
}

// entry is what the registry says of a person or queue, less the rows that were seen.
type entry struct {
	rest digest
	// template is the columns of the person's endpoint.
	template int32
	password uint16
	// known entries have a digest and checked ones the check of a password to compare with.
	known, checked bool
	// claimed entries own the rows of their name.
	claimed bool
	// paused persons are to be so in all queues.
	paused bool
	// drifted entries need no digest to tell.
	drifted bool
}

func (c *comparison) run() {
	c.knownCallers()
	c.registry()
	if len(c.entries) == 0 {
		return
	}
	c.endpoints()
	s := c.schema
	c.each(s.auths, []string{"password"}, c.ours, c.auth)
	c.each(s.aors, nil, c.ours, func(v []sql.RawBytes) { c.seen(c.agents, v[0], rawHash(s.aors, v)) })
	c.members()
	c.voicemail()
	c.each(s.agents, nil, c.ofCenter, func(v []sql.RawBytes) { c.seen(c.agents, v[0], rawHash(s.agents, v)) })
	c.each(s.memberships, nil, c.ofCenter, func(v []sql.RawBytes) { c.seen(c.agents, v[2], rawHash(s.memberships, v)) })
	c.each(s.revocations, nil, c.ofCenter, func(v []sql.RawBytes) { c.seen(c.agents, v[1], rawHash(s.revocations, v)) })
	c.each(s.extensions, nil, c.ofCenter, c.extension)
	c.each(s.queues, nil, func(sql *statement) {
		sql.add(" WHERE name IN (SELECT name FROM roster_registry WHERE kind = 'Queue' AND claimed = 1 AND center = ").arg(c.center).add(")")
	}, func(v []sql.RawBytes) { c.seen(c.queues, v[0], rawHash(s.queues, v)) })
}

// knownCallers reads them as they are.
func (c *comparison) knownCallers() {
	c.stream(selectSticky(c.conn.dialect, c.center), stickyColumns, func(v []sql.RawBytes) {
		sticky := stickyOf(c.center, string(v[0]), string(v[1]), string(v[2]), string(v[3]), string(v[4]), string(v[5]), string(v[6]))
		c.sticky[sticky.Phone] = sticky
	})
}

// ofCenter are the rows of a table of Roster's that are the centre's.
func (c *comparison) ofCenter(s *statement) { s.add(" WHERE center = ").arg(c.center) }

// ours are the rows of a table of phones that are the centre's.
func (c *comparison) ours(s *statement) {
	s.add(" WHERE id IN (SELECT name FROM roster_registry WHERE kind = 'Agent' AND claimed = 1 AND center = ").arg(c.center).add(")")
}

// registry reads what is to be there.
func (c *comparison) registry() {
	s := newStatement(c.conn.dialect).add("SELECT kind, name, claimed, rows_hash, password_check, pause_reason, endpoint_columns",
		" FROM roster_registry WHERE center = ").arg(c.center)
	c.stream(s, 7, func(v []sql.RawBytes) {
		e := entry{claimed: string(v[2]) == "1", paused: len(v[5]) > 0}
		e.rest, e.known = parseDigest(string(v[3]))
		if check, err := strconv.ParseUint(string(v[4]), 16, 16); err == nil {
			e.password, e.checked = uint16(check), true
		}
		place, ok := c.templateOf[string(v[6])]
		if !ok {
			place = int32(len(c.templates))
			c.templateOf[string(v[6])] = place
			c.templates = append(c.templates, split(string(v[6])))
		}
		e.template = place
		index := c.agents
		if string(v[0]) == kindQueue {
			index = c.queues
		}
		index[string(v[1])] = int32(len(c.entries))
		c.entries = append(c.entries, e)
	})
}

// endpoints reads them with the columns of every template.
func (c *comparison) endpoints() {
	r := c.schema.endpoints
	place := map[string]int{} // of a column in the row
	for i, k := range slices.Concat(r.key, r.cols) {
		place[k] = i
	}
	var more []string
	for _, template := range c.templates {
		for _, column := range template {
			_, exists := c.schema.endpointColumns[column]
			if _, ok := place[column]; exists && !ok {
				place[column] = len(r.key) + len(r.cols) + len(more)
				more = append(more, column)
			}
		}
	}
	width := len(r.key) + len(r.watched)
	c.each(r, more, c.ours, func(v []sql.RawBytes) {
		i, ok := c.agents[string(v[0])]
		if !ok {
			return
		}
		h := rawHash(r, v[:width])
		for _, column := range c.templates[c.entries[i].template] {
			h = hashed(h, column)
			if at, ok := place[column]; ok {
				h = hashed(h, v[at])
			} else {
				h = hashed(h, "")
			}
		}
		c.entries[i].rest -= h.digest()
	})
}

func (c *comparison) auth(v []sql.RawBytes) {
	password := len(v) - 1
	c.seen(c.agents, v[0], rawHash(c.schema.auths, v[:password]))
	if i, ok := c.agents[string(v[0])]; ok {
		e := &c.entries[i]
		e.drifted = e.drifted || e.checked && e.password != passwordCheck(string(v[0]), v[password])
	}
}

// members reads the members that persons' memberships put there, and in the centre's queues all.
func (c *comparison) members() {
	r := c.schema.members
	s := newStatement(c.conn.dialect).add("SELECT queue_name, interface, ", strings.Join(r.names(r.watched), ", "),
		", paused, m.agent FROM queue_members LEFT JOIN (SELECT queue, agent FROM roster_memberships",
		" WHERE channel = 'Voice' AND penalty IS NOT NULL AND center = ").arg(c.center).
		add(") m ON m.queue = queue_name AND m.agent = SUBSTR(interface, 7) AND interface = '", sipPrefix, "' || m.agent").
		add(" WHERE m.agent IS NOT NULL OR queue_name IN (SELECT name FROM roster_registry WHERE kind = 'Queue' AND claimed = 1 AND center = ").
		arg(c.center).add(")")
	width := len(r.key) + len(r.watched)
	c.stream(s, width+2, func(v []sql.RawBytes) {
		agent := v[width+1]
		if agent == nil {
			c.strays[string(v[0])] = append(c.strays[string(v[0])], string(v[1]))
			return
		}
		i, ok := c.agents[string(agent)]
		if !ok {
			return
		}
		h := rawHash(r, v[:width])
		if c.entries[i].paused {
			h = h.paused(string(v[width]))
		}
		c.entries[i].rest -= h.digest()
	})
}

// voicemail reads the mailboxes that the registry has. One that is there twice counts once. The registry is searched
// by mailbox: without the concatenations SQLite would take another index and read all of the centre's for each.
func (c *comparison) voicemail() {
	r := c.schema.voicemail
	names := r.names(r.watched)
	s := newStatement(c.conn.dialect).add("SELECT DISTINCT v.mailbox, v.context, ", strings.Join(names, ", "), ", r.name",
		" FROM voicemail v JOIN roster_registry r ON r.mailbox = v.mailbox || '@' || v.context",
		" WHERE r.kind || '' = 'Agent' AND r.center || '' = ").arg(c.center)
	width := len(r.key) + len(names)
	c.stream(s, width+1, func(v []sql.RawBytes) { c.seen(c.agents, v[width], rawHash(r, v[:width])) })
}

func (c *comparison) extension(v []sql.RawBytes) {
	cells := make([]cell, 0, len(v)-1)
	for _, value := range v[1:] {
		cells = append(cells, text(string(value)))
	}
	holder, ok := holderOf(cells)
	if !ok {
		return
	}
	index := c.agents
	if holder[0] == kindQueue {
		index = c.queues
	}
	c.seen(index, []byte(holder[1]), rawHash(c.schema.extensions, v))
}

// seen takes a row from what is to be there of a person or queue. Others' rows count for nothing.
func (c *comparison) seen(index map[string]int32, name []byte, h rowHash) {
	if i, ok := index[string(name)]; ok {
		c.entries[i].rest -= h.digest()
	}
}

// each reads the key, the watched columns and some more of those rows of a table that which says.
func (c *comparison) each(r *relation, more []string, which func(*statement), f func([]sql.RawBytes)) {
	names := r.names(r.watched)
	s := newStatement(c.conn.dialect).add("SELECT ", columns(r.key), ", ", strings.Join(names, ", "))
	if len(more) > 0 {
		s.add(", ", columns(more))
	}
	s.add(" FROM ", quote(r.table))
	which(s)
	c.stream(s, len(r.key)+len(names)+len(more), f)
}

// rawHash is the hash of a row as the database gives it: key and watched columns.
func rawHash(r *relation, values []sql.RawBytes) rowHash {
	h := newRowHash(r.table)
	for _, v := range values {
		h = hashed(h, v)
	}
	return h
}

// stream calls f with every row; what f is given is overwritten with the next.
func (c *comparison) stream(s *statement, width int, f func([]sql.RawBytes)) {
	if c.err != nil {
		return
	}
	c.progress()
	c.conn.counters.statements.Add(1)
	rows, err := c.conn.QueryContext(c.ctx, string(s.sql), s.args...)
	if err != nil {
		c.err = err
		return
	}
	defer rows.Close()
	values := make([]sql.RawBytes, width)
	targets := make([]any, width)
	for i := range values {
		targets[i] = &values[i]
	}
	for n := 1; rows.Next(); n++ {
		if c.err = rows.Scan(targets...); c.err != nil {
			return
		}
		f(values)
		if n%1000 == 0 {
			c.progress()
		}
	}
	c.err = rows.Err()
}

func (c *comparison) drift() *telephony.Drift {
	for _, list := range c.strays {
		slices.Sort(list)
	}
	return &telephony.Drift{Agents: c.drifted(c.agents), Queues: c.drifted(c.queues), Strays: c.strays, Sticky: c.sticky}
}

func (c *comparison) drifted(index map[string]int32) (names []string) {
	for name, i := range index {
		if e := &c.entries[i]; e.drifted || e.known && e.rest != 0 {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
