package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidFile lists the processes that were started: one a line, its number, when it started, its program.
var pidFile = filepath.Join(runDir, "pids")

// child is a process of the quickstart.
type child struct {
	name, log string
	cmd       *exec.Cmd
	// done is closed when it has ended, with err.
	done chan struct{}
	err  error
}

// startChild starts a program in a process group of its own: Ctrl-C is for the quickstart, which ends its children in order.
func startChild(path string, env []string, args ...string) (*child, error) {
	name := filepath.Base(path)
	if name == "roster" {
		name = "manager"
	}
	c := &child{name: name, log: logPath(name), done: make(chan struct{})}
	out, err := os.OpenFile(c.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	c.cmd = exec.CommandContext(context.Background(), path, args...) // ended in order by stop
	c.cmd.Env, c.cmd.Stdout, c.cmd.Stderr, c.cmd.SysProcAttr = env, out, out, ownGroup()
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		c.err = c.cmd.Wait()
		if c.err == nil {
			c.err = errors.New("exit status 0")
		}
		close(c.done)
	}()
	return c, notePID(c.cmd.Process.Pid, programOf(c.cmd.Process.Pid))
}

func logPath(name string) string { return filepath.Join(runDir, name+".log") }

// newLog begins a log anew.
func newLog(name string) (*os.File, error) {
	return os.OpenFile(logPath(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o640)
}

// patience is how long a process may take to end when asked to.
const patience = 12 * time.Second

// stop ends the child, if there is one.
func (c *child) stop() {
	if c == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// lastLines of the child's log, or the first ones of a panic.
func (c *child) lastLines(n int) string {
	content, err := os.ReadFile(c.log)
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimSpace(content), []byte("\n"))
	from := max(0, len(lines)-n)
	for i, line := range lines {
		if bytes.HasPrefix(line, []byte("panic: ")) {
			from = i
		}
	}
	return "  " + string(bytes.Join(lines[from:min(from+n, len(lines))], []byte("\n  ")))
}

// notePID notes a process: for killAll, and for the next quickstart should this one be killed.
func notePID(pid int, program string) error {
	f, err := os.OpenFile(pidFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintln(f, pid, startOf(pid), program)
	return err
}

// programOf is the program that a process runs; empty where there is no such process, or where that cannot be told.
func programOf(pid int) string {
	program, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(program, " (deleted)") // built anew since
}

// killAll kills every process that was noted, and returns their names. A number that now belongs to another
// process is left alone.
func killAll() []string {
	content, err := os.ReadFile(pidFile)
	if err != nil {
		return nil
	}
	var ended []string
	for line := range strings.Lines(string(content)) {
		fields := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(fields) != 3 {
			continue
		}
		pid, err := strconv.Atoi(fields[0])
		program := fields[2]
		if err != nil || pid <= 1 || program == "" || programOf(pid) != program || startOf(pid) != fields[1] {
			continue
		}
		if syscall.Kill(pid, syscall.SIGKILL) != nil {
			continue
		}
		for range 50 {
			if programOf(pid) == "" {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		ended = append(ended, filepath.Base(program))
	}
	_ = os.Remove(pidFile)
	return ended
}

// startOf is when a process started, as the system counts it; no two processes of one number have it in common.
func startOf(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the name before may hold anything
	if fields := strings.Fields(after); len(fields) > 19 {
		return fields[19]
	}
	return ""
}
