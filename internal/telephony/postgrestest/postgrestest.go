// Package postgrestest starts a real PostgreSQL for tests and benchmarks: a private cluster from the binaries that the
// distribution installs; for tests one per test binary.
package postgrestest

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// Cluster is a running PostgreSQL of the test's own.
type Cluster struct {
	bin, folder, data string
	settings          []string
	port              int
	credential        *syscall.Credential
	server            *exec.Cmd
	exited            chan struct{}
}

var (
	once     sync.Once
	shared   *Cluster
	startErr error
	counter  struct {
		sync.Mutex
		n int
	}
)

// ErrNoBinaries says that PostgreSQL is not installed.
var ErrNoBinaries = errors.New("no PostgreSQL binaries (initdb, postgres) in PATH or /usr/lib/postgresql/*/bin: install the package postgresql")

// Main runs a package's tests and stops the cluster that they started. It is for TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if shared != nil {
		shared.Close()
	}
	os.Exit(code)
}

// Start returns the test binary's cluster and starts it first where it is not running. Without binaries the
// test is skipped, or fails where ROSTER_REQUIRE_ALL=1. The package's TestMain must be Main.
func Start(t testing.TB) *Cluster {
	t.Helper()
	once.Do(func() { shared, startErr = Run(fast...) })
	if errors.Is(startErr, ErrNoBinaries) && os.Getenv("ROSTER_REQUIRE_ALL") != "1" {
		t.Skipf("SKIPPED, NOT PROVEN ON POSTGRESQL: %v", startErr)
	}
	if startErr != nil {
		t.Fatal(startErr)
	}
	return shared
}

// Own starts a cluster for one test, which may stop and start it.
func Own(t testing.TB) *Cluster {
	t.Helper()
	Start(t)
	c, err := Run(fast...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// Database makes an empty database and returns its connection string.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	counter.Lock()
	counter.n++
	name := fmt.Sprintf("test_%d_%d", os.Getpid(), counter.n)
	counter.Unlock()
	db, err := sql.Open("pgx", c.DSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return c.DSN(name)
}

// DSN is the connection string of a database, as the superuser.
func (c *Cluster) DSN(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", c.port, database)
}

// fast are the settings of a database that may be lost.
var fast = []string{"fsync=off", "full_page_writes=off", "max_connections=200"}

// Run starts a cluster outside of a test, with settings of postgresql.conf besides PostgreSQL's own. Whoever runs it
// closes it; it ends with its process in any case.
func Run(settings ...string) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, settings: settings}
	if os.Getuid() == 0 {
		if c.credential, err = unprivileged(); err != nil {
			return nil, err
		}
	}
	if c.folder, err = os.MkdirTemp("", "pg"); err != nil {
		return nil, err
	}
	c.data = filepath.Join(c.folder, "data")
	if c.credential != nil {
		if err := os.Chown(c.folder, int(c.credential.Uid), int(c.credential.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := c.command("initdb", "-D", c.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		_ = os.RemoveAll(c.folder)
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := c.serve(); err != nil {
		_ = os.RemoveAll(c.folder)
		return nil, err
	}
	return c, nil
}

// binaries is the folder of initdb and postgres.
func binaries() (string, error) {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(folders)
	slices.Reverse(folders)
	if path, err := exec.LookPath("initdb"); err == nil {
		folders = append([]string{filepath.Dir(path)}, folders...)
	}
	for _, f := range folders {
		if _, err := os.Stat(filepath.Join(f, "postgres")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(f, "initdb")); err == nil {
			return f, nil
		}
	}
	return "", ErrNoBinaries
}

// unprivileged is a user to run as: PostgreSQL refuses root.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

func (c *Cluster) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), filepath.Join(c.bin, name), args...)
	cmd.Dir = c.folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + c.folder}
	cmd.SysProcAttr = childOf(c.credential)
	return cmd
}

// serve starts the server and waits until it answers.
func (c *Cluster) serve() error {
	if c.port == 0 {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		c.port = l.Addr().(*net.TCPAddr).Port
		_ = l.Close()
	}
	var output bytes.Buffer
	args := []string{"-D", c.data, "-p", strconv.Itoa(c.port), "-k", c.folder, "-h", "127.0.0.1"}
	for _, setting := range c.settings {
		args = append(args, "-c", setting)
	}
	cmd := c.command("postgres", args...)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return err
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	c.server, c.exited = cmd, exited
	db, err := sql.Open("pgx", c.DSN("postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := db.PingContext(ctx)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-exited:
			return fmt.Errorf("postgres ended: %s", output.String())
		default:
		}
		if time.Now().After(deadline) {
			c.kill(syscall.SIGQUIT)
			return fmt.Errorf("postgres does not answer: %w", err)
		}
	}
}

// Stop stops the server at once, as a crash of its machine does.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	c.kill(syscall.SIGQUIT)
}

// Restart starts the server again, at the same address.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	if err := c.serve(); err != nil {
		t.Fatal(err)
	}
}

// Freeze stops the server from answering, connections and all, until thaw.
func (c *Cluster) Freeze(t testing.TB) (thaw func()) {
	t.Helper()
	if err := syscall.Kill(-c.server.Process.Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// Each backend process leads no group of its own, but a session of its own: stop those by parent.
	children := c.children()
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
	return func() {
		for _, pid := range children {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
		_ = syscall.Kill(-c.server.Process.Pid, syscall.SIGCONT)
	}
}

// children are the server's processes.
func (c *Cluster) children() []int {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", c.server.Process.Pid))
	var pids []int
	for _, path := range tasks {
		list, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		for _, field := range bytes.Fields(list) {
			if pid, err := strconv.Atoi(string(field)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func (c *Cluster) kill(signal syscall.Signal) {
	_ = c.server.Process.Signal(signal)
	select {
	case <-c.exited:
	case <-time.After(10 * time.Second):
		_ = c.server.Process.Kill()
		<-c.exited
	}
}

// Close ends the server and removes its files.
func (c *Cluster) Close() {
	c.kill(syscall.SIGQUIT)
	_ = os.RemoveAll(c.folder)
}
