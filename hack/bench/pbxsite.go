package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
	pbxlab "roster.dev/roster/hack/asterisk/lab"
	"roster.dev/roster/hack/asterisk/phone"
	"roster.dev/roster/internal/telephony/asterisk"
	"roster.dev/roster/internal/telephony/asterisk/ami"
	"roster.dev/roster/internal/telephony/postgrestest"
)

// pbxSupported says why no telephone system can be measured on this machine, nil where one can.
func pbxSupported() error {
	if ok, why := pbxlab.Supported(); !ok {
		return fmt.Errorf("sections %s: %s", pbxSections, why)
	}
	if err := phone.Supported(); err != nil {
		return fmt.Errorf("section g: %w", err)
	}
	return nil
}

// queuesEach is in how many queues most people are.
const queuesEach = 5

// pbxSite is a centre with a server at its side, to which manager and bare client each go by a proxy.
type pbxSite struct {
	*site
	postgres *postgrestest.Cluster
	db       *sql.DB
	// numbered says that parameters of statements have numbers.
	numbered bool
	server   *pbxlab.Server
	// ours is the manager's way to the server, theirs the bare client's.
	ours, theirs *proxy
	bare         *ami.Conn
	// queues are how many the manager knows, and members how many these have.
	queues, members int
	// crowd are people whom a Team names that serves no queue yet.
	crowd []string
}

// openPBX starts all of it, with nobody in the centre. The context that it returns ends when the manager does.
func (l *lab) openPBX(ctx context.Context, report *report) (_ *pbxSite, _ context.Context, err error) {
	s := &pbxSite{site: &site{lab: l}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dataDir, err = l.newDir("data"); err != nil {
		return nil, nil, err
	}
	databaseName, spec, err := s.openDatabase(ctx)
	if err != nil {
		return nil, nil, err
	}
	l.say("starting Asterisk on %s", databaseName)
	if err := s.startAsterisk(ctx); err != nil {
		return nil, nil, err
	}
	version, err := s.server.CLI(ctx, "core show version")
	if err != nil {
		return nil, nil, err
	}
	version, _, _ = strings.Cut(version, "+") // what comes is Debian's
	report.PBX = strings.Join(strings.Fields(version)[:2], " ") + " on " + databaseName
	l.say("%s; starting a control plane", report.PBX)
	if s.plane, err = l.newPlane(ctx); err != nil {
		return nil, nil, err
	}
	if err := s.createCentre(ctx, spec); err != nil {
		return nil, nil, err
	}
	if s.manager, ctx, err = l.startManager(ctx, s.plane, s.dataDir); err != nil {
		return nil, nil, err
	}
	if err := errors.Join(s.awaitCentre(ctx), s.awaitConnected(ctx)); err != nil {
		return nil, nil, err
	}
	_, err = s.manager.untilQuiet(ctx, 0, quietGap)
	return s, ctx, err
}

// openDatabase makes the database and Roster's tables in it: Asterisk reads some of that once, when it starts.
func (s *pbxSite) openDatabase(ctx context.Context) (name string, spec v1alpha1.Database, err error) {
	config := asterisk.Config{Center: namespace}
	var driver, source string
	if !s.lab.sqlite {
		if err := s.startPostgres(); err != nil {
			return "", spec, err
		}
	}
	if s.postgres != nil {
		config.Type, config.DSN = asterisk.TypePostgreSQL, s.dsn()
		driver, source, s.numbered = "pgx", config.DSN, true
		spec = v1alpha1.Database{
			Type: v1alpha1.DatabasePostgreSQL, DSNSecretRef: &v1alpha1.SecretKeyReference{Name: "pbx-db", Key: "dsn"},
		}
	} else {
		config.Type, config.Path = asterisk.TypeSQLite, filepath.Join(s.dataDir, database)
		driver, source = "sqlite", "file:"+config.Path+"?_txlock=immediate&_pragma=busy_timeout(10000)"
		spec = v1alpha1.Database{Type: v1alpha1.DatabaseSQLite, Path: database}
	}
	tables, err := asterisk.Open(ctx, config)
	if err != nil {
		return "", spec, err
	}
	_, err = tables.Load(ctx)
	if err = errors.Join(err, tables.Close()); err != nil {
		return "", spec, err
	}
	if s.db, err = sql.Open(driver, source); err != nil {
		return "", spec, err
	}
	name = config.Type
	if s.numbered {
		version := ""
		if err := s.db.QueryRowContext(ctx, "SHOW server_version").Scan(&version); err != nil {
			return "", spec, err
		}
		version, _, _ = strings.Cut(version, " ")
		name += " " + version
	}
	return name, spec, nil
}

// startPostgres starts PostgreSQL with its own settings, so that it syncs every commit. Without it SQLite has to do.
func (s *pbxSite) startPostgres() (err error) {
	if err := os.Chmod(s.lab.dir, 0o711); err != nil { // it runs as somebody else, who passes through
		return err
	}
	s.postgres, err = postgrestest.Run()
	if errors.Is(err, postgrestest.ErrNoBinaries) {
		s.lab.say("PostgreSQL is not found: the database is SQLite")
		return nil
	}
	return err
}

// dsn is PostgreSQL's connection string.
func (s *pbxSite) dsn() string { return s.postgres.DSN("postgres") }

// startAsterisk starts the server and the ways to it.
func (s *pbxSite) startAsterisk(ctx context.Context) (err error) {
	options := pbxlab.Options{Version: "22", Centers: []string{namespace}}
	if s.postgres != nil {
		options.PostgreSQL = s.dsn()
	} else {
		options.SQLite = filepath.Join(s.dataDir, database)
	}
	if s.server, err = pbxlab.Start(ctx, options); err != nil {
		return err
	}
	if s.ours, err = newProxy(ctx, s.server.AMIAddress); err != nil {
		return err
	}
	if s.theirs, err = newProxy(ctx, s.server.AMIAddress); err != nil {
		return err
	}
	s.bare, err = ami.Dial(ctx, ami.Config{
		Address: s.theirs.address(), Username: s.server.Username, Secret: s.server.Password,
		Timeout: time.Minute, Window: max(ami.DefaultWindow, s.lab.changes),
	})
	return err
}

// createCentre creates the ContactCenter and what it refers to.
func (s *pbxSite) createCentre(ctx context.Context, database v1alpha1.Database) error {
	center := centre()
	realtime := center.Spec.Telephony.AsteriskRealtime
	realtime.Database = database
	realtime.Managers = []v1alpha1.Manager{{
		Name: "pbx-1", Address: s.ours.address(), ContactsTable: "ps_contacts",
		CredentialsSecretRef: v1alpha1.SecretReference{Name: "pbx-ami"},
	}}
	objects := []client.Object{
		&corev1.Secret{
			ObjectMeta: meta("pbx-ami", nil),
			StringData: map[string]string{"username": s.server.Username, "password": s.server.Password},
		},
		center,
	}
	if s.postgres != nil {
		objects = append(objects, &corev1.Secret{
			ObjectMeta: meta("pbx-db", nil), StringData: map[string]string{"dsn": s.dsn()},
		})
	}
	return createAll(ctx, s.plane.client, len(objects), objects)
}

// awaitConnected waits until the manager watches the server.
func (s *pbxSite) awaitConnected(ctx context.Context) error {
	center := &v1alpha1.ContactCenter{}
	for give := time.Now().Add(time.Minute); time.Now().Before(give); {
		if err := s.plane.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "default"}, center); err != nil {
			return err
		}
		if center.Status.ManagerSummary == "1/1" {
			return nil
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("the manager is not connected to the server: %+v", center.Status)
}

func (s *pbxSite) close() error {
	var err error
	if s.bare != nil {
		_ = s.bare.Close()
	}
	if s.plane != nil {
		err = s.site.close()
	}
	if s.server != nil {
		s.server.Close()
	}
	for _, p := range []*proxy{s.ours, s.theirs} {
		if p != nil {
			p.close()
		}
	}
	if s.db != nil {
		_ = s.db.Close()
	}
	if s.postgres != nil {
		s.postgres.Close()
	}
	return err
}

// statement is a statement as the database takes it, whose parameters are question marks.
func (s *pbxSite) statement(text string) string {
	if !s.numbered {
		return text
	}
	parts := strings.Split(text, "?")
	for i := range parts[1:] {
		parts[i] += fmt.Sprintf("$%d", i+1)
	}
	return strings.Join(parts, "")
}

func (s *pbxSite) exec(ctx context.Context, text string, args ...any) error {
	_, err := s.db.ExecContext(ctx, s.statement(text), args...)
	return err
}

func (s *pbxSite) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = s.db.QueryRowContext(ctx, s.statement(query), args...).Scan(&n)
	return n, err
}

// staffed is a staff and its queues.
type staffed struct {
	people *staff
	queues []*v1alpha1.Queue
}

// populate creates people and queues and waits until rows and servers have them all.
func (s *pbxSite) populate(ctx context.Context, x staffed) error {
	c, concurrency := s.plane.client, s.lab.concurrency
	mark, err := s.plane.audit.end()
	if err != nil {
		return err
	}
	if err := createAll(ctx, c, concurrency, x.people.secrets()); err != nil {
		return err
	}
	members := 0
	for _, q := range x.queues {
		members += len(q.Spec.Agents)
	}
	s.lab.say("creating %d people, and %d queues with %d members", x.people.agents, len(x.queues), members)
	ready, err := s.plane.watchReady(ctx, x.people)
	if err != nil {
		return err
	}
	if err := createAll(ctx, c, concurrency, x.queues); err != nil {
		return err
	}
	if err := createAll(ctx, c, concurrency, x.people.people()); err != nil {
		return err
	}
	if _, err := ready.wait(ctx, func(n int) { s.lab.say("%d are Ready", n) }); err != nil {
		return err
	}
	s.queues += len(x.queues)
	s.members += members
	if err := s.settle(ctx, mark); err != nil {
		return err
	}
	rows, err := s.count(ctx, "SELECT count(*) FROM queue_members WHERE interface LIKE 'PJSIP/%'")
	if err == nil && rows != s.members {
		err = fmt.Errorf("the database has %d members, not %d", rows, s.members)
	}
	return err
}

// settle waits until the manager is quiet, has nothing to write late, and the server has answered it.
func (s *pbxSite) settle(ctx context.Context, from int64) error {
	gap := lateGap
	if s.lab.quick {
		gap = quietGap
	}
	if _, err := s.manager.untilQuiet(ctx, from, gap); err != nil {
		return err
	}
	return s.ours.untilAnswered(ctx, quietGap)
}

// perQueue is how many members a queue has.
func (o *options) perQueue() int { return o.members / o.queues }

// pausers are those who are paused, each in one queue.
func (o *options) pausers() staffed {
	size := o.perQueue()
	queues := (4*o.samples + size - 1) / size
	x := staffed{people: &staff{prefix: "pause", agents: queues * size, base: 100_000, sharedSecrets: true}}
	for q := range queues {
		names := make([]string, size)
		for i := range names {
			names[i] = x.people.agent(q*size + i)
		}
		x.queues = append(x.queues, queueWith(x.people.queue(q), names))
	}
	return x
}

// load is everybody else, most of them in several queues.
func (o *options) load() staffed {
	size := o.perQueue()
	queues := o.queues - len(o.pausers().queues)
	places := queues * size
	x := staffed{people: &staff{
		prefix: "load", agents: (places + queuesEach - 1) / queuesEach, base: 200_000, sharedSecrets: true,
	}}
	names := make([][]string, queues)
	for place := range places {
		q := place % queues
		names[q] = append(names[q], x.people.agent(place/queuesEach))
	}
	for q := range names {
		x.queues = append(x.queues, queueWith(x.people.queue(q), names[q]))
	}
	return x
}

func queueWith(name string, agents []string) *v1alpha1.Queue {
	q := &v1alpha1.Queue{ObjectMeta: meta(name, nil), Spec: v1alpha1.QueueSpec{
		Channels: []v1alpha1.Channel{v1alpha1.ChannelVoice}, Strategy: v1alpha1.StrategyFewestCalls,
	}}
	for _, a := range agents {
		q.Spec.Agents = append(q.Spec.Agents, v1alpha1.QueueEntry{Name: v1alpha1.ObjectName(a)})
	}
	return q
}

// pauserQueue is the queue of somebody who is paused.
func (o *options) pauserQueue(people *staff, i int) string { return people.queue(i / o.perQueue()) }
