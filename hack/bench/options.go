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
	openCases     []int
	book          int
	mostCases     int
	registrations int
	still         time.Duration
	sqlite        bool
	roster        string
	json          string
	markdown      bool
}

var errHelp = flag.ErrHelp

// planeSections need a control plane only; pbxSections a telephone system too.
const planeSections = "a,b,c,d,e," + caseSections

func parseOptions(args []string) (*options, error) {
	o := &options{}
	agents, openCases := "", ""
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.runs, "runs", 3, "how often everything is measured; the medians are printed")
	f.StringVar(&o.sections, "sections", planeSections, "a: cold start, b: restart, c: deactivation, d: relabelling, e: memory, "+
		"k: a case edited, l: a client book handed on, m: a client book created, n: memory for cases, o: restart on cases; on a real Asterisk f: pause, g: registration, h: membership changes, i: full read, j: nothing")
	f.StringVar(&agents, "agents", "1000,10000", "how many agents: sizes of a and e, smallest first; b, c and d take the largest")
	f.StringVar(&openCases, "cases", "1000,20000", "how many open cases there are in k, smallest first; l and m take the most")
	f.IntVar(&o.book, "book", 1000, "how many open cases the person of l and m has")
	f.IntVar(&o.mostCases, "most-cases", 100_000, "how many open cases there are in n and o")
	f.IntVar(&o.concurrency, "concurrency", 64, "of the bare client and of the manager's agents and cases")
	f.BoolVar(&o.quick, "quick", false, "one run of 100 and 300 agents, 5000 cases, or 20 queues with 200 members: shows that the bench works, and measures little")
	f.BoolVar(&o.sharedSecrets, "shared-secrets", false, "one Secret holds the passwords of 100 agents, instead of a Secret per agent")
	f.BoolVar(&o.etcdSync, "etcd-fsync", false, "let etcd sync to disk; without it floor and operator are bound by the processor alone")
	f.IntVar(&o.samples, "samples", 100, "deactivations measured in each run of c, idle and under load, pauses of f, and edits of k")
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
			"cases": "200,1000", "book": "100", "most-cases": "5000",
		} {
			if given[name] {
				continue
			}
			if err := f.Set(name, value); err != nil {
				return nil, err
			}
		}
	}
	var err error
	if o.sizes, err = numbers("agents", agents, groups); err != nil {
		return nil, err
	}
	if o.openCases, err = numbers("cases", openCases, 1); err != nil {
		return nil, err
	}
	for section := range strings.SplitSeq(o.sections, ",") {
		if all := planeSections + "," + pbxSections; !slices.Contains(strings.Split(all, ","), section) {
			return nil, fmt.Errorf("--sections: %q is none of %s", section, all)
		}
	}
	if o.runs < 1 || o.concurrency < 1 || o.samples < 1 {
		return nil, errors.New("--runs, --concurrency and --samples are at least 1")
	}
	if o.wantsCases() {
		if err := o.checkCases(); err != nil {
			return nil, err
		}
	}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return nil, errors.New("no control plane: run `make bench`, or set KUBEBUILDER_ASSETS to what `make assets` prints")
	}
	if o.wantsPBX() {
		return o, errors.Join(o.checkPBX(), pbxSupported())
	}
	return o, nil
}

// numbers reads a flag that is a list of numbers, and sorts them.
func numbers(flag, text string, least int) ([]int, error) {
	var list []int
	for field := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(field))
		if err != nil || n < least {
			return nil, fmt.Errorf("--%s: %q is not a number of %s, at least %d", flag, field, flag, least)
		}
		list = append(list, n)
	}
	slices.Sort(list)
	return list, nil
}

// checkCases says what is wrong with the numbers of sections k to o.
func (o *options) checkCases() error {
	before := o.openCases[0]
	if o.wants("k") || o.wantsBooks() {
		before = o.openCases[len(o.openCases)-1]
	}
	if o.wantsBooks() {
		before += o.runs * o.book
	}
	switch {
	case o.book < 1 || o.book > phonesEach:
		return fmt.Errorf("--book is 1 to %d", phonesEach)
	case o.runs > teamSize && o.wantsBooks():
		return fmt.Errorf("--runs: at most %d with sections l and m, one for each person who has a client book", teamSize)
	case o.mostCases <= before || o.mostCases > bookPhones:
		return fmt.Errorf("--most-cases is more than there are before n and o, which is %d, and at most %d", before, bookPhones)
	}
	return nil
}

// wantsBooks says whether a section was asked for in which somebody has a client book.
func (o *options) wantsBooks() bool { return o.wants("l") || o.wants("m") }

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

// wantsCases says whether a section was asked for that is about cases.
func (o *options) wantsCases() bool {
	return slices.ContainsFunc(strings.Split(caseSections, ","), o.wants)
}

// wants says whether a section was asked for.
func (o *options) wants(section string) bool {
	return slices.Contains(strings.Split(o.sections, ","), section)
}

func (o *options) smallest() int { return o.sizes[0] }
func (o *options) largest() int  { return o.sizes[len(o.sizes)-1] }
