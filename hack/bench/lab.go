package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// lab is where everything is measured: a folder that goes away, and the programs to start.
type lab struct {
	*options
	dir      string
	programs map[string]string
	start    time.Time
}

func newLab(ctx context.Context, o *options) (_ *lab, err error) {
	dir, err := os.MkdirTemp("", "roster-bench-")
	if err != nil {
		return nil, err
	}
	l := &lab{options: o, dir: dir, programs: map[string]string{}, start: time.Now()}
	defer func() {
		if err != nil {
			_ = l.close()
		}
	}()
	// The control plane's own folders go there too.
	if err := os.Setenv("TMPDIR", dir); err != nil {
		return nil, err
	}
	roster := o.roster
	if roster == "" {
		l.say("building bin/roster")
		build := exec.CommandContext(ctx, "make", "--no-print-directory", "build")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return nil, fmt.Errorf("building bin/roster: %w", err)
		}
		roster = filepath.Join("bin", "roster")
	}
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	for name, path := range map[string]string{
		"etcd": filepath.Join(assets, "etcd"), "kube-apiserver": filepath.Join(assets, "kube-apiserver"), "roster": roster,
	} {
		if path, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		if l.programs[name], err = linkProgram(dir, name, path); err != nil {
			return nil, err
		}
	}
	return l, nil
}

func (l *lab) close() error { return os.RemoveAll(l.dir) }

// say tells of progress.
func (l *lab) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "[%7.1fs] %s\n", time.Since(l.start).Seconds(), fmt.Sprintf(format, args...))
}

// newDir is a new folder of the lab.
func (l *lab) newDir(name string) (string, error) {
	return os.MkdirTemp(l.dir, name+"-")
}
