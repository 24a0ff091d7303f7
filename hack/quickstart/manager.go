package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// startManager starts Roster itself. What it says goes to .run/manager.log.
func (q *quickstart) startManager() error {
	port, err := freePort(q.ctx)
	if err != nil {
		return err
	}
	q.metrics = "http://" + port + "/metrics"
	args := []string{"manager", "--data-dir=" + filepath.Join(runDir, "data"), "--metrics-bind-address=" + port}
	if q.kubeconfig != "" {
		args = append(args, "--kubeconfig="+q.kubeconfig)
	}
	if q.plane != nil {
		live, err := freePort(q.ctx)
		if err != nil {
			return err
		}
		args = append(args, "--live-bind-address="+live)
		if err := q.writeStaff(live); err != nil {
			return err
		}
	}
	q.manager, err = startChild(filepath.Join("bin", "roster"), os.Environ(), args...)
	return err
}

func freePort(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// idle says whether the manager has looked at as many people as there are, and has nothing left to do. What objects say
// of themselves may be from its last run.
func (q *quickstart) idle(agents int) bool {
	ctx, cancel := context.WithTimeout(q.ctx, 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, q.metrics, http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	looked, waiting := 0.0, 0.0
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "} ")
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case strings.HasPrefix(name, `controller_runtime_reconcile_total{controller="agent"`):
			looked += n
		case strings.HasPrefix(name, "workqueue_depth{"), strings.HasPrefix(name, "controller_runtime_active_workers{"):
			waiting += n
		}
	}
	return looked >= float64(agents) && waiting == 0
}

// ended is an error where a process that must run does not.
func (q *quickstart) ended() error {
	for _, c := range []*child{q.manager, q.controller} {
		if c == nil {
			continue
		}
		select {
		case <-c.done:
			return fmt.Errorf("%s ended: %w\n%s", c.name, c.err, c.lastLines(5))
		default:
		}
	}
	return nil
}
