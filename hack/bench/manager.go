package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// managerProcess is `roster manager` in a process of its own.
type managerProcess struct {
	plane   *plane
	dataDir string
	logPath string
	metrics string
	cmd     *exec.Cmd
	started time.Time
	exited  chan struct{}
}

// startManager starts a manager. The context that it returns ends when the manager does.
func (l *lab) startManager(ctx context.Context, p *plane, dataDir string) (*managerProcess, context.Context, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, nil, err
	}
	m := &managerProcess{
		plane: p, dataDir: dataDir, logPath: filepath.Join(dataDir, "manager.log"),
		metrics: address, exited: make(chan struct{}),
	}
	log, err := os.OpenFile(m.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	m.cmd = exec.CommandContext(ctx, l.programs["roster"], "manager", "--kubeconfig", p.kubeconfig, "--data-dir", dataDir,
		"--metrics-bind-address", m.metrics, "--agent-concurrency", strconv.Itoa(l.concurrency))
	if l.wantsCases() {
		m.cmd.Args = append(m.cmd.Args, "--case-concurrency", strconv.Itoa(l.concurrency))
	}
	m.cmd.Stdout, m.cmd.Stderr = log, log
	m.cmd.Cancel = func() error { return m.cmd.Process.Signal(syscall.SIGTERM) }
	m.started = time.Now()
	if err := m.cmd.Start(); err != nil {
		return nil, nil, err
	}
	running, cancel := context.WithCancelCause(ctx)
	go func() {
		err := m.cmd.Wait()
		close(m.exited)
		cancel(fmt.Errorf("the manager ended: %w; its last words: %s", err, m.lastWords()))
	}()
	return m, running, nil
}

// freeAddress is a local address that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// stop ends the manager as Kubernetes does.
func (m *managerProcess) stop() error {
	select {
	case <-m.exited:
		return nil
	default:
	}
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-m.exited:
		return nil
	case <-time.After(30 * time.Second):
	}
	_ = m.cmd.Process.Kill()
	<-m.exited
	return errors.New("the manager did not end within 30 s of SIGTERM")
}

func (m *managerProcess) lastWords() string {
	const length = 2000
	log, err := os.ReadFile(m.logPath)
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-length):])
}

// samples are the manager's metrics, added up over their labels.
type samples map[string]float64

func (m *managerProcess) scrape(ctx context.Context) (samples, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.metrics+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept-Encoding", "identity") // to compress them is work for what is measured
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	s := samples{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			continue
		}
		space := strings.LastIndexByte(line, ' ')
		if space < 0 {
			continue
		}
		name, labels, _ := strings.Cut(line[:space], "{")
		value, err := strconv.ParseFloat(line[space+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("the manager's metrics: %w", err)
		}
		s[name] += value
		if name == reconcilesMetric && strings.HasPrefix(labels, caseController) {
			s[caseReconciles] += value
		}
	}
	return s, lines.Err()
}

// The manager's counters of what it asked of telephone systems.
const (
	statementsMetric   = "roster_telephony_statements_total"
	rowsMetric         = "roster_telephony_rows_total"
	transactionsMetric = "roster_telephony_transactions_total"
)

// What controllers have done, all of them and the one of cases.
const (
	reconcilesMetric = "controller_runtime_reconcile_total"
	caseController   = `controller="caseassignment"`
	caseReconciles   = reconcilesMetric + "{" + caseController + "}"
)

// since is how much a counter grew; unknown where the manager does not have it.
func (s samples) since(before samples, name string) number {
	v, ok := s[name]
	if !ok {
		return unknown
	}
	return number(v - before[name])
}

// untilQuiet waits until the manager has done nothing for a while, and returns when it last did something: made a
// request, reconciled, or had something to reconcile. A manager that computes is not quiet either, but when it
// stopped is not seen as exactly.
func (m *managerProcess) untilQuiet(ctx context.Context, from int64, gap time.Duration) (last time.Time, err error) {
	const (
		idle     = 0.3 // of a processor
		patience = 5 * time.Minute
	)
	interval, start := gap/20, time.Now()
	last = m.started
	busy, reconciled := time.Now(), 0.0
	used, err := m.cpu()
	if err != nil {
		return last, err
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		var requests []request
		if requests, from, err = m.plane.audit.managerRequests(from); err != nil {
			return last, err
		}
		for _, r := range requests {
			last = later(last, r.at)
		}
		now := time.Now()
		s, err := m.scrape(ctx)
		switch {
		case err != nil:
			busy = now // it does not listen yet
		case s["workqueue_depth"] > 0 || s["controller_runtime_active_workers"] > 0 ||
			s[reconcilesMetric] > reconciled:
			last, reconciled = later(last, now), s[reconcilesMetric]
		}
		was := used
		if used, err = m.cpu(); err != nil {
			return last, err
		}
		if (used - was).Seconds() > idle*interval.Seconds() {
			busy = now
		}
		if now.Sub(later(last, busy)) >= gap {
			return last, nil
		}
		if now.Sub(start) > patience {
			return last, fmt.Errorf("the manager is not quiet after %s", patience)
		}
		select {
		case <-ctx.Done():
			return last, context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// cpu is how much processor time the manager has used.
func (m *managerProcess) cpu() (time.Duration, error) { return processorTime(m.cmd.Process.Pid) }

// memory is how much memory the manager has in KiB, and the most that it ever had.
func (m *managerProcess) memory() (rss, peak float64, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		target := map[string]*float64{"VmRSS": &rss, "VmHWM": &peak}[name]
		if target == nil {
			continue
		}
		if *target, err = strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64); err != nil {
			return 0, 0, err
		}
	}
	return rss, peak, nil
}
