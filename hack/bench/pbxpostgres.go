package main

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
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// postgres is a PostgreSQL of the bench's own, with its default settings: it syncs every commit.
type postgres struct {
	dsn    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// postgresPrograms is the folder of PostgreSQL's programs, empty where there is none.
func postgresPrograms() string {
	folders, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.Sort(folders)
	slices.Reverse(folders)
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			folders = append(folders, filepath.Dir(path))
		}
	}
	for _, f := range folders {
		if _, err := os.Stat(filepath.Join(f, "postgres")); err != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(f, "initdb")); err == nil {
			return f
		}
	}
	return ""
}

// startPostgres starts PostgreSQL, as a user who is not root.
func (l *lab) startPostgres(ctx context.Context, programs string) (_ *postgres, err error) {
	uid, gid, err := unprivileged()
	if err != nil {
		return nil, err
	}
	dir, err := l.newDir("postgresql")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.Chown(dir, uid, gid), os.Chmod(l.dir, 0o711)); err != nil { // to pass through it is enough
		return nil, err
	}
	command := func(name string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, filepath.Join(programs, name), args...)
		cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "HOME=" + dir}
		cmd.SysProcAttr = asUser(uid, gid)
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGQUIT) }
		return cmd
	}
	data := filepath.Join(dir, "data")
	initdb := command("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	p := &postgres{dsn: "postgres://postgres@" + address + "/postgres?sslmode=disable", exited: make(chan struct{})}
	p.cmd = command("postgres", "-D", data, "-h", host, "-p", port, "-c", "unix_socket_directories=")
	output := &bytes.Buffer{}
	p.cmd.Stdout, p.cmd.Stderr = output, output
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	db, err := sql.Open("pgx", p.dsn)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	for give := time.Now().Add(30 * time.Second); ; {
		err := db.PingContext(ctx)
		if err == nil {
			return p, nil
		}
		select {
		case <-p.exited:
			return nil, fmt.Errorf("PostgreSQL ended: %s", output)
		default:
		}
		if time.Now().After(give) {
			return nil, fmt.Errorf("PostgreSQL does not answer: %w", err)
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

func (p *postgres) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGQUIT)
	select {
	case <-p.exited:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// unprivileged is whom PostgreSQL runs as: it refuses root.
func unprivileged() (uid, gid int, err error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		return uid, gid, errors.Join(err1, err2)
	}
	return 0, 0, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}
