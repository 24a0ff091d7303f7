// Package asterisk is the adapter for Asterisk Realtime: the tables that Asterisk reads live, in an SQLite file
// or in PostgreSQL, and beside them Roster's own roster_* tables.
//
// Every write goes one way: the calls that come together are taken together, what the database holds of them is
// read with a few statements, a pure plan says what should be there, and the difference is written and committed
// at once.
package asterisk

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"roster.dev/roster/internal/telephony"
)

// The types of databases, as the API calls them.
const (
	TypeSQLite     = "SQLite"
	TypePostgreSQL = "PostgreSQL"
)

// Config is where a centre's tables are.
type Config struct {
	// Center is the contact centre's name, its namespace.
	Center string
	// Type is TypeSQLite or TypePostgreSQL.
	Type string
	// Path is the absolute path of the SQLite file.
	Path string
	// DSN is PostgreSQL's connection string. It is never part of an error or a log line.
	DSN string
	// ContactsTables are the tables of registrations, one a server; ps_contacts is always among them.
	ContactsTables []string
	// ReadOnly makes nothing and writes nothing: Apply and Remove are refused.
	ReadOnly bool
	// Timeout bounds every call; 0 is ten seconds.
	Timeout time.Duration
	Logger  logr.Logger
}

// DefaultTimeout bounds calls where Config does not say.
const DefaultTimeout = 10 * time.Second

// Backend is the Asterisk Realtime tables of one centre.
type Backend struct {
	config   Config
	dialect  dialect
	counters counters

	// ctx ends when the backend is closed.
	ctx     context.Context
	cancel  context.CancelFunc
	wake    chan struct{}
	hurry   chan struct{}
	stopped chan struct{}
	loading sync.Mutex

	mu      sync.Mutex
	closed  bool
	pending []*call
	session *session
	// failure is the Unreachable error that ended the session, and since when.
	failure   error
	failureAt time.Time
}

var _ telephony.Backend = (*Backend)(nil)

// Open makes the backend. It connects to nothing: Load does.
func Open(_ context.Context, config Config) (*Backend, error) {
	if config.Timeout == 0 {
		config.Timeout = DefaultTimeout
	}
	if !slices.Contains(config.ContactsTables, "ps_contacts") {
		config.ContactsTables = append([]string{"ps_contacts"}, config.ContactsTables...)
	}
	d, err := config.dialect()
	if err != nil {
		return nil, err
	}
	b := &Backend{config: config, dialect: d, wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), stopped: make(chan struct{})}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	go b.work()
	return b, nil
}

// Identity names the database of a configuration, without credentials: sqlite:<path>, or
// postgres:<host>:<port>/<database>.
func Identity(config Config) (string, error) {
	d, err := config.dialect()
	if err != nil {
		return "", err
	}
	if p, ok := d.(*postgresDialect); ok {
		return p.identity(), nil
	}
	return "sqlite:" + filepath.Clean(config.Path), nil
}

func (c Config) dialect() (dialect, error) {
	switch c.Type {
	case TypeSQLite:
		if !filepath.IsAbs(c.Path) {
			return nil, telephony.Errorf(telephony.Refused, nil, "the path of an SQLite database must be absolute")
		}
		return &sqliteDialect{path: c.Path, timeout: c.Timeout, readOnly: c.ReadOnly}, nil
	case TypePostgreSQL:
		d, err := newPostgres(c.DSN, c.Timeout, c.ReadOnly)
		if err != nil {
			return nil, telephony.Errorf(telephony.Refused, nil, "%s", err)
		}
		return d, nil
	}
	return nil, telephony.Errorf(telephony.Refused, nil, "database type %q is none of SQLite, PostgreSQL", c.Type)
}

// Load opens the database anew, makes or checks its tables, and reads what is recorded of the centre.
func (b *Backend) Load(ctx context.Context) (*telephony.Records, error) {
	ctx, cancel := context.WithTimeout(ctx, b.config.Timeout)
	defer cancel()
	type outcome struct {
		records *telephony.Records
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		records, err := b.load(ctx)
		done <- outcome{records, err}
	}()
	select {
	case o := <-done:
		return o.records, o.err
	case <-ctx.Done():
		return nil, telephony.Errorf(telephony.Unreachable, ctx.Err(), "%s cannot be reached: no answer in time", b.dialect)
	}
}

func (b *Backend) load(ctx context.Context) (*telephony.Records, error) {
	b.loading.Lock()
	defer b.loading.Unlock()
	s, err := openSession(ctx, b.dialect, &b.counters, b.config.ContactsTables, b.config.ReadOnly)
	if err != nil {
		return nil, explain(b.dialect, err)
	}
	records, err := s.records(ctx, b.config.Center)
	if err != nil {
		s.close()
		return nil, explain(b.dialect, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		s.close()
		return nil, errClosed
	}
	if b.session != nil {
		go b.session.close()
	}
	b.session, b.failure = s, nil
	return records, nil
}

// patience is how long after a failure calls fail at once instead of each waiting for the database.
const patience = time.Second

// usable is the session to work with.
func (b *Backend) usable() (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, errClosed
	case b.session == nil:
		return nil, errNotLoaded
	case b.failure != nil && time.Since(b.failureAt) < patience:
		return nil, b.failure
	}
	return b.session, nil
}

// failed notes that the session's database cannot be reached.
func (b *Backend) failed(s *session, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session == s {
		b.failure, b.failureAt = err, time.Now()
	}
	b.config.Logger.V(1).Info("Database not reachable", "center", b.config.Center, "reason", err.Error())
}

// Ping says whether the database that was loaded answers.
func (b *Backend) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, b.config.Timeout)
	defer cancel()
	b.mu.Lock()
	s, closed := b.session, b.closed
	b.mu.Unlock()
	if closed {
		return errClosed
	}
	if s == nil {
		return errNotLoaded
	}
	if err := s.confirm(ctx, s.connection(s.db)); err != nil {
		err = explain(b.dialect, err)
		if telephony.KindOf(err) == telephony.Unreachable {
			b.failed(s, err)
		}
		return err
	}
	b.mu.Lock()
	if b.session == s {
		b.failure = nil
	}
	b.mu.Unlock()
	return nil
}

// Close lets go of the database. Calls under way return an Unreachable error.
func (b *Backend) Close() error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return nil
	}
	b.closed = true
	s := b.session
	b.mu.Unlock()
	b.cancel()
	<-b.stopped
	if s != nil {
		s.close()
	}
	return nil
}

// ApplyAgent makes the rows match one person.
func (b *Backend) ApplyAgent(ctx context.Context, agent *telephony.Agent) (telephony.AgentResult, error) {
	c := &call{kind: kindAgent, name: agent.Name, agent: agent}
	if err := b.submit(ctx, c); err != nil {
		return telephony.AgentResult{}, err
	}
	return c.result, nil
}

// RemoveAgent takes a person's rows out, but for the reporting row.
func (b *Backend) RemoveAgent(ctx context.Context, name string, at time.Time) ([]string, error) {
	c := &call{kind: kindAgent, name: name, at: at}
	if err := b.submit(ctx, c); err != nil {
		return nil, err
	}
	return c.result.Queues, nil
}

// ApplyQueue makes the rows match one queue.
func (b *Backend) ApplyQueue(ctx context.Context, queue *telephony.Queue) error {
	return b.submit(ctx, &call{kind: kindQueue, name: queue.Name, queue: queue})
}

// RemoveQueue takes a queue out, and members that nobody registered.
func (b *Backend) RemoveQueue(ctx context.Context, name string) error {
	return b.submit(ctx, &call{kind: kindQueue, name: name})
}

// Stats is what the backend has asked of its database so far.
func (b *Backend) Stats() Stats {
	c := &b.counters
	return Stats{Statements: c.statements.Load(), RowsWritten: c.rows.Load(), Transactions: c.transactions.Load(),
		Batches: c.batches.Load(), Calls: c.items.Load()}
}
