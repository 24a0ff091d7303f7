package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// options are the command line.
type options struct {
	runs          int
	sections      string
	sizes         []int
	concurrency   int
	quick         bool
	sharedSecrets bool
	etcdSync      bool
	samples       int
	roster        string
	json          string
	markdown      bool
}

var errHelp = flag.ErrHelp

const allSections = "a,b,c,d,e"

func parseOptions(args []string) (*options, error) {
	o := &options{}
	agents := ""
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.runs, "runs", 3, "how often everything is measured; the medians are printed")
	f.StringVar(&o.sections, "sections", allSections, "a: cold start, b: restart, c: deactivation, d: relabelling, e: memory")
	f.StringVar(&agents, "agents", "1000,10000", "how many agents: sizes of a and e, smallest first; b, c and d take the largest")
	f.IntVar(&o.concurrency, "concurrency", 64, "of the bare client and of the manager's agents")
	f.BoolVar(&o.quick, "quick", false, "one run of 100 and 300 agents: shows that the bench works, and measures little")
	f.BoolVar(&o.sharedSecrets, "shared-secrets", false, "one Secret holds the passwords of 100 agents, instead of a Secret per agent")
	f.BoolVar(&o.etcdSync, "etcd-fsync", false, "let etcd sync to disk; without it floor and operator are bound by the processor alone")
	f.IntVar(&o.samples, "samples", 100, "deactivations measured in each run of c, idle and under load")
	f.StringVar(&o.roster, "roster", "", "the roster `binary` to measure; default: the one of this source, built first")
	f.StringVar(&o.json, "json", "", "write everything that was measured to a `file`")
	f.BoolVar(&o.markdown, "markdown", false, "print the table as Markdown")
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	given := map[string]bool{}
	f.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick {
		if !given["runs"] {
			o.runs = 1
		}
		if !given["agents"] {
			agents = "100,300"
		}
		if !given["samples"] {
			o.samples = 20
		}
	}
	for field := range strings.SplitSeq(agents, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < groups {
			return nil, fmt.Errorf("--agents: %q is not a number of agents, at least %d", field, groups)
		}
		o.sizes = append(o.sizes, n)
	}
	slices.Sort(o.sizes)
	for section := range strings.SplitSeq(o.sections, ",") {
		if !slices.Contains(strings.Split(allSections, ","), section) {
			return nil, fmt.Errorf("--sections: %q is none of %s", section, allSections)
		}
	}
	if o.runs < 1 || o.concurrency < 1 || o.samples < 1 {
		return nil, errors.New("--runs, --concurrency and --samples are at least 1")
	}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("no control plane: run `make bench`, or set KUBEBUILDER_ASSETS to what `make assets` prints")
	}
	return o, nil
}

// wants says whether a section was asked for.
func (o *options) wants(section string) bool {
	return slices.Contains(strings.Split(o.sections, ","), section)
}

func (o *options) smallest() int { return o.sizes[0] }
func (o *options) largest() int  { return o.sizes[len(o.sizes)-1] }
