package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
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
	queues        int
	members       int
	changes       int
	registrations int
	still         time.Duration
	sqlite        bool
	roster        string
	json          string
	markdown      bool
}

var errHelp = flag.ErrHelp

// planeSections need a control plane only; pbxSections a telephone system too.
const planeSections = "a,b,c,d,e"

func parseOptions(args []string) (*options, error) {
	o := &options{}
	agents := ""
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.runs, "runs", 3, "how often everything is measured; the medians are printed")
	f.StringVar(&o.sections, "sections", planeSections, "a: cold start, b: restart, c: deactivation, d: relabelling, e: memory; "+
		"on a real Asterisk f: pause, g: registration, h: membership changes, i: full read, j: nothing")
	f.StringVar(&agents, "agents", "1000,10000", "how many agents: sizes of a and e, smallest first; b, c and d take the largest")
	f.IntVar(&o.concurrency, "concurrency", 64, "of the bare client and of the manager's agents")
	f.BoolVar(&o.quick, "quick", false, "one run of 100 and 300 agents, or 20 queues with 200 members: shows that the bench works, and measures little")
	f.BoolVar(&o.sharedSecrets, "shared-secrets", false, "one Secret holds the passwords of 100 agents, instead of a Secret per agent")
	f.BoolVar(&o.etcdSync, "etcd-fsync", false, "let etcd sync to disk; without it floor and operator are bound by the processor alone")
	f.IntVar(&o.samples, "samples", 100, "deactivations measured in each run of c, idle and under load, and pauses of f")
	f.IntVar(&o.queues, "queues", 500, "how many queues there are in f, h, i and j")
	f.IntVar(&o.members, "members", 20000, "how many members these queues have together")
	f.IntVar(&o.changes, "changes", 1000, "how many people are brought into a queue in each run of h")
	f.IntVar(&o.registrations, "registrations", 20, "how many registered phones are measured in g")
	f.DurationVar(&o.still, "still", 5*time.Minute, "how long nothing changes in j")
	f.BoolVar(&o.sqlite, "sqlite", false, "f to j on SQLite, although PostgreSQL is there")
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
		for name, value := range map[string]string{
			"queues": "20", "members": "200", "changes": "20", "registrations": "3", "still": "10s",
		} {
			if given[name] {
				continue
			}
			if err := f.Set(name, value); err != nil {
				return nil, err
			}
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
		if all := planeSections + "," + pbxSections; !slices.Contains(strings.Split(all, ","), section) {
			return nil, fmt.Errorf("--sections: %q is none of %s", section, all)
		}
	}
	if o.runs < 1 || o.concurrency < 1 || o.samples < 1 {
		return nil, errors.New("--runs, --concurrency and --samples are at least 1")
	}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("no control plane: run `make bench`, or set KUBEBUILDER_ASSETS to what `make assets` prints")
	}
	if o.wantsPBX() {
		return o, errors.Join(o.checkPBX(), pbxSupported())
	}
	return o, nil
}

// checkPBX says what is wrong with the numbers of sections f to j.
func (o *options) checkPBX() error {
	switch {
	case o.queues < 1 || o.members < 1 || o.changes < 1 || o.registrations < 1 || o.still < time.Second:
		return errors.New("--queues, --members, --changes and --registrations are at least 1, --still at least 1s")
	case o.members%o.queues != 0:
		return errors.New("--members is a multiple of --queues")
	}
	if rest := o.queues - len(o.pausers().queues); rest < queuesEach {
		return fmt.Errorf("--members: too few for %d --samples, of which each takes four", o.samples)
	}
	if people := o.load().people.agents; o.changes > people || o.changes > membersLimit {
		return fmt.Errorf("--changes: there are only %d people for it, and a Team names at most %d", people, membersLimit)
	}
	return nil
}

// wantsPBX says whether a section was asked for that needs a telephone system.
func (o *options) wantsPBX() bool {
	return slices.ContainsFunc(strings.Split(pbxSections, ","), o.wants)
}

// wants says whether a section was asked for.
func (o *options) wants(section string) bool {
	return slices.Contains(strings.Split(o.sections, ","), section)
}

func (o *options) smallest() int { return o.sizes[0] }
func (o *options) largest() int  { return o.sizes[len(o.sizes)-1] }
