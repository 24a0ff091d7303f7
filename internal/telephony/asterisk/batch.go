package asterisk

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"math/rand/v2"
	"slices"
	"time"

	"roster.dev/roster/internal/telephony"
)

// maxBatch is the most calls that share a transaction. One that comes while a batch runs waits for it.
const maxBatch = 256

// While calls come in crowds, a batch begins at most every crowdedPause, so that more of them share its statements,
// or when there are enough. What ends somebody's access waits for nobody, and takes along who is there.
const (
	crowdedPause = 40 * time.Millisecond
	crowd        = 4
	enough       = 32
)

// call is one call of the port's that writes. agent, queue and sticky are nil where it removes.
type call struct {
	kind   string
	name   string
	agent  *telephony.Agent
	queue  *telephony.Queue
	sticky *telephony.Sticky
	at     time.Time

	done   chan struct{}
	result telephony.AgentResult
	err    error
}

// submit hands a call to the worker and waits for its answer. A caller who stops waiting stops nobody else.
func (b *Backend) submit(ctx context.Context, c *call) error {
	if b.config.ReadOnly {
		return errReadOnly
	}
	timedOut := func() error {
		return telephony.Errorf(telephony.Unreachable, ctx.Err(), "%s cannot be reached: no answer in time", b.dialect)
	}
	if ctx.Err() != nil {
		return timedOut()
	}
	c.done = make(chan struct{})
	timer := time.NewTimer(b.config.Timeout)
	defer timer.Stop()

	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed
	}
	b.pending = append(b.pending, c)
	enough := len(b.pending) >= enough
	b.mu.Unlock()
	b.rouse(b.wake)
	if enough || c.urgent() {
		b.rouse(b.hurry)
	}
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	case <-timer.C:
	}
	if !b.withdraw(c) {
		select {
		case <-c.done: // answered in the meantime
			return c.err
		default:
		}
	}
	return timedOut()
}

func (b *Backend) rouse(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// urgent calls end access.
func (c *call) urgent() bool {
	return c.kind == kindAgent && (c.agent == nil || c.agent.Access == telephony.AccessRefused)
}

// withdraw takes a call back that no batch has yet.
func (b *Backend) withdraw(c *call) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, p := range b.pending {
		if p == c {
			b.pending = append(b.pending[:i], b.pending[i+1:]...)
			return true
		}
	}
	return false
}

// take is the next batch: calls of one kind, no name twice. People come first where the access of one is to end.
func (b *Backend) take() []*call {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending) == 0 {
		return nil
	}
	kind := b.pending[0].kind
	if slices.ContainsFunc(b.pending, (*call).urgent) {
		kind = kindAgent
	}
	var batch, rest []*call
	names := map[string]bool{}
	for _, c := range b.pending {
		if c.kind == kind && len(batch) < maxBatch && !names[c.name] {
			names[c.name] = true
			batch = append(batch, c)
		} else {
			names[c.name] = names[c.name] || c.kind == kind
			rest = append(rest, c)
		}
	}
	b.pending = rest
	if len(rest) >= enough {
		b.rouse(b.hurry)
	}
	return batch
}

// work runs batches until the backend is closed.
func (b *Backend) work() {
	defer close(b.stopped)
	var began time.Time
	crowded := false
	for {
		select {
		case <-b.ctx.Done():
			b.refuseAll()
			return
		case <-b.wake:
		}
		if wait := crowdedPause - time.Since(began); crowded && wait > 0 {
			b.pause(wait)
		}
		select {
		case <-b.hurry: // whoever hurried is in the next batch
		default:
		}
		began = time.Now()
		batch := b.take()
		crowded = len(batch) >= crowd
		if len(batch) > 0 {
			b.runBatch(batch)
			b.rouse(b.wake) // somebody may have come meanwhile
		}
	}
}

// pause waits, until somebody is in a hurry.
func (b *Backend) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-b.ctx.Done():
	case <-b.hurry:
	case <-timer.C:
	}
}

// refuseAll answers what is left when the backend is closed.
func (b *Backend) refuseAll() {
	for batch := b.take(); len(batch) > 0; batch = b.take() {
		answer(batch, errClosed)
	}
}

func answer(batch []*call, err error) {
	for _, c := range batch {
		if err != nil {
			c.err = err
		}
		close(c.done)
	}
}

// runBatch carries calls out in one transaction and answers them. Where the database refuses, halves tell who
// is to blame.
func (b *Backend) runBatch(batch []*call) {
	ctx, cancel := context.WithTimeout(b.ctx, b.config.Timeout)
	defer cancel()
	b.counters.batches.Add(1)
	b.counters.items.Add(int64(len(batch)))
	s, err := b.usable()
	if err == nil {
		b.carryOut(ctx, s, batch)
		return
	}
	answer(batch, err)
}

func (b *Backend) carryOut(ctx context.Context, s *session, batch []*call) {
	err := s.transact(ctx, b.config.Center, batch)
	if err == nil {
		answer(batch, nil)
		return
	}
	err = explain(s.dialect, err)
	if telephony.KindOf(err) == telephony.Unreachable {
		if b.ctx.Err() != nil {
			err = errClosed
		}
		b.failed(s, err)
		answer(batch, err)
		return
	}
	if len(batch) > 1 {
		b.carryOut(ctx, s, batch[:len(batch)/2])
		b.carryOut(ctx, s, batch[len(batch)/2:])
		return
	}
	if a := batch[0].agent; a != nil {
		err = conceal(err, a.Password, a.PIN)
	}
	answer(batch, err)
}

// transact carries a batch out, again where it loses against others.
func (s *session) transact(ctx context.Context, center string, batch []*call) error {
	const attempts = 8
	for i := 1; ; i++ {
		err := s.try(ctx, center, batch, i > 1)
		if err == nil || i == attempts || ctx.Err() != nil {
			return err
		}
		if v := s.dialect.judge(err); !v.passing || (v.waited && i > 1) {
			return err
		}
		if i > 1 {
			time.Sleep(time.Duration(rand.IntN(i * int(5*time.Millisecond))))
		}
	}
}

// try reads, plans and writes once. Where nothing is to be written, nothing is.
func (s *session) try(ctx context.Context, center string, batch []*call, write bool) (err error) {
	raw, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = raw.Close() }()
	if err := s.dialect.begin(ctx, raw, write); err != nil {
		return err
	}
	conn := s.connection(raw)
	committed := false
	defer func() {
		if !committed {
			rollback(ctx, raw)
		}
	}()
	if err := s.confirm(ctx, conn); err != nil {
		return err
	}
	st, err := s.plan(ctx, conn, center, batch)
	if err != nil || len(st.journal) == 0 {
		return err
	}
	written, err := s.write(ctx, conn, st)
	if err != nil {
		return err
	}
	if _, err := raw.ExecContext(ctx, "COMMIT"); err != nil {
		return err
	}
	committed = true
	s.counters.transactions.Add(1)
	s.counters.rows.Add(int64(written))
	// What was committed to a file that somebody has replaced is lost.
	return s.dialect.present()
}

// rollback ends a transaction. A connection on which that fails is not used again.
func rollback(ctx context.Context, raw *sql.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := raw.ExecContext(ctx, "ROLLBACK"); err != nil {
		_ = raw.Raw(func(any) error { return driver.ErrBadConn })
	}
}

// plan reads the rows of the calls and plans each call. A call that cannot be planned has its error; those
// that ran into what a later one gives up are planned once more.
func (s *session) plan(ctx context.Context, conn *connection, center string, batch []*call) (*state, error) {
	st := newState(s.schema)
	r := &reader{ctx: ctx, conn: conn}
	switch batch[0].kind {
	case kindAgent:
		r.agents(st, s.schema, center, batch)
	case kindQueue:
		r.queues(st, center, batch)
	case kindSticky:
		r.sticky(st, center, batch)
	}
	if r.err != nil {
		return nil, r.err
	}
	p := &planner{state: st, center: center, now: time.Now(), endpointColumns: s.schema.endpointColumns}
	p.batch(batch)
	return st, nil
}

// batch plans calls that share a transaction.
func (p *planner) batch(batch []*call) {
	conflicts := p.calls(batch)
	if len(conflicts) > 0 && len(conflicts) < len(batch) {
		p.calls(conflicts)
	}
	for _, c := range batch {
		p.seal(c)
	}
}

// calls plans calls and returns those in conflict.
func (p *planner) calls(batch []*call) (conflicts []*call) {
	for _, c := range batch {
		start := len(p.journal)
		c.err = p.attempt(func() error { return p.call(c) })
		p.summarize(&c.result, p.journal[start:])
		if telephony.KindOf(c.err) == telephony.Conflict {
			conflicts = append(conflicts, c)
		}
	}
	return conflicts
}

// maximumWritten is the most names of what was written that a result has.
const maximumWritten = 10

// summarize says in a result what changes did. Roster's own books are named only where nothing else is.
func (p *planner) summarize(result *telephony.AgentResult, changes []undo) {
	result.Changed, result.Queues, result.Written = false, nil, nil
	if len(changes) == 0 {
		return
	}
	var queues, written wanted
	seen := map[*row]bool{}
	for _, u := range changes {
		if seen[u.row] {
			continue
		}
		seen[u.row] = true
		names := u.table.difference(u.now, u.row.now)
		result.Changed = result.Changed || len(names) > 0
		if u.table == p.registry {
			continue
		}
		for _, name := range names {
			written.add(name)
		}
		if u.table == p.members && len(names) > 0 {
			queues.add(u.row.key[0])
		}
	}
	if result.Changed && len(written.names) == 0 {
		written.add(p.registry.table)
	}
	slices.Sort(queues.names)
	slices.Sort(written.names)
	result.Queues, result.Written = queues.names, written.names[:min(len(written.names), maximumWritten)]
}

// difference names the columns in which a row differs from what it was, or its table where there was or is none.
func (t *rows) difference(was, now []cell) (names []string) {
	if was == nil && now == nil {
		return nil
	}
	if was == nil || now == nil {
		return []string{t.table}
	}
	for i, c := range t.cols {
		if i != t.stamp && !was[i].same(now[i]) {
			names = append(names, t.table+"."+c)
		}
	}
	return names
}

func (p *planner) call(c *call) (err error) {
	switch {
	case c.agent != nil:
		c.result, err = p.agent(c.agent)
	case c.queue != nil:
		err = p.queue(c.queue)
	case c.kind == kindSticky:
		err = p.stick(c.name, c.sticky)
	case c.kind == kindAgent:
		err = p.removeAgent(c.name, c.at)
	default:
		err = p.removeQueue(c.name)
	}
	return err
}

// write writes what the state plans.
func (s *session) write(ctx context.Context, conn *connection, st *state) (int, error) {
	if err := s.identify(ctx, conn, st.members); err != nil {
		return 0, err
	}
	w := &writer{ctx: ctx, conn: conn}
	for _, t := range st.tables() {
		w.write(t)
	}
	return w.rows, w.err
}

// identify gives new members their uniqueid.
func (s *session) identify(ctx context.Context, conn *connection, members *rows) error {
	var fresh []*row
	for _, r := range members.order {
		if r.now != nil && r.now[memUniqueID].text == newMemberID {
			fresh = append(fresh, r)
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	s.counters.statements.Add(1)
	ids, err := s.dialect.memberIDs(ctx, conn, s.schema.uniqueID, len(fresh))
	if err != nil {
		return err
	}
	for i, r := range fresh {
		r.now[memUniqueID] = text(ids[i])
	}
	return nil
}
