// Command bench measures Roster against a real control plane and prints what it found as one table.
//
// Every measurement has a floor that was measured in the same run: what a bare client needs on the same machine
// for what cannot be avoided. The ratios count; the times are the machine's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"
)

func main() {
	becomeProgram()
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	ctrl.SetLogger(logr.Discard())
	options, err := parseOptions(args)
	if errors.Is(err, errHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := measure(ctx, options); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// measure runs the sections that were asked for and prints what they found.
func measure(ctx context.Context, o *options) (err error) {
	l, err := newLab(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.close()) }()

	r := newReport(o)
	for _, section := range []struct {
		name   string
		wanted bool
		run    func(context.Context, *lab, *report) error
	}{
		{"a", o.wants("a") || o.wants("e"), coldStarts}, // e is measured in cold starts
		{"b", o.wants("b"), restarts},
		{"c", o.wants("c"), deactivations},
		{"d", o.wants("d"), relabels},
		{caseSections, o.wantsCases(), cases},
		{pbxSections, o.wantsPBX(), telephones},
	} {
		if !section.wanted {
			continue
		}
		if err := section.run(ctx, l, r); err != nil {
			return fmt.Errorf("measuring %s: %w", section.name, err)
		}
	}
	if o.json != "" {
		if err := r.writeJSON(o.json); err != nil {
			return err
		}
	}
	return r.print(os.Stdout, o.markdown)
}
