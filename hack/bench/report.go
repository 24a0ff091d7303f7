package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is everything that was measured.
type report struct {
	Taken         time.Time       `json:"taken"`
	Arguments     string          `json:"arguments"`
	Machine       string          `json:"machine"`
	Runs          int             `json:"runs"`
	Concurrency   int             `json:"concurrency"`
	SharedSecrets bool            `json:"sharedSecrets"`
	EtcdSync      bool            `json:"etcdSync"`
	ColdStarts    []*coldStart    `json:"coldStarts,omitempty"`
	Restarts      []*restart      `json:"restarts,omitempty"`
	Deactivations []*deactivation `json:"deactivations,omitempty"`
	Relabels      []*relabel      `json:"relabels,omitempty"`
	// CaseEdits to CaseRestarts are of sections k to o.
	CaseEdits    []*caseEdits  `json:"caseEdits,omitempty"`
	Books        []*clientBook `json:"books,omitempty"`
	CaseMemory   []*caseMemory `json:"caseMemory,omitempty"`
	CaseRestarts []*restart    `json:"caseRestarts,omitempty"`
	// PBX is the telephone system of all that follows.
	PBX           string         `json:"pbx,omitempty"`
	Pauses        []*pauses      `json:"pauses,omitempty"`
	Registrations *registrations `json:"registrations,omitempty"`
	Changes       []*changes     `json:"changes,omitempty"`
	FullReads     []*fullRead    `json:"fullReads,omitempty"`
	Stillness     *stillness     `json:"stillness,omitempty"`
	Table         []line         `json:"table"`

	options *options
}

func newReport(o *options) *report {
	return &report{
		Taken: time.Now().UTC().Truncate(time.Second), Arguments: strings.Join(os.Args[1:], " "), Machine: machine(),
		Runs: o.runs, Concurrency: o.concurrency, SharedSecrets: o.sharedSecrets, EtcdSync: o.etcdSync, options: o,
	}
}

// machine is what kind of machine this is.
func machine() string {
	memory := ""
	if data, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib float64
		if _, err := fmt.Sscanf(string(data), "MemTotal: %f kB", &kib); err == nil {
			memory = fmt.Sprintf(", %.0f GiB of memory", kib/(1<<20))
		}
	}
	return fmt.Sprintf("%d processors%s, %s/%s", runtime.NumCPU(), memory, runtime.GOOS, runtime.GOARCH)
}

// line is one line of the table.
type line struct {
	Section string `json:"section"`
	What    string `json:"what"`
	// Measured and Floor are texts with a unit; Floor and Ratio are empty where there is no such thing.
	Measured string `json:"measured"`
	Floor    string `json:"floor,omitempty"`
	Ratio    string `json:"ratio,omitempty"`
	Target   string `json:"target,omitempty"`
	// Verdict is "met", "not met" or, where there is no target, empty.
	Verdict string `json:"verdict,omitempty"`
}

// judged is a line with a target, which value meets up to limit.
func judged(l line, value, limit float64) line {
	l.Verdict = "not met"
	if value <= limit {
		l.Verdict = "met"
	}
	return l
}

// table makes the lines of what was measured.
func (r *report) table() []line {
	var lines []line
	for _, size := range r.options.sizes {
		lines = append(lines, r.coldStartLines(size)...)
	}
	lines = append(lines, restartLines("b", "agents", func(x *restart) int { return x.Agents }, r.Restarts)...)
	lines = append(lines, r.deactivationLines()...)
	lines = append(lines, r.relabelLines()...)
	lines = append(lines, r.memoryLines()...)
	lines = append(lines, r.caseLines()...)
	return append(lines, r.pbxLines()...)
}

// coldStartsOf are the cold starts of a size.
func (r *report) coldStartsOf(size int) []*coldStart {
	var list []*coldStart
	for _, c := range r.ColdStarts {
		if c.Agents == size {
			list = append(list, c)
		}
	}
	return list
}

func (r *report) coldStartLines(size int) []line {
	starts := r.coldStartsOf(size)
	if len(starts) == 0 || starts[0].floor() == 0 {
		return nil
	}
	of := func(f func(*coldStart) float64) float64 { return medianOf(starts, f) }
	agents := fmt.Sprintf("%d agents", size)
	perAgent := func(f func(*coldStart) float64) float64 { return of(f) / float64(size) }
	ratio := of(func(c *coldStart) float64 { return c.Seconds / c.floor() })
	writes := perAgent(func(c *coldStart) float64 { return c.AgentWrites })
	lines := []line{
		judged(line{
			Section: "a", What: "cold start of " + agents, Measured: seconds(of(func(c *coldStart) float64 { return c.Seconds })),
			Floor: seconds(of((*coldStart).floor)), Ratio: times(ratio), Target: "≤ 1.4 × floor",
		}, ratio, 1.4),
		{
			Section: "a", What: "— processor time of all programs", Measured: seconds(of(func(c *coldStart) float64 { return c.CPUSeconds.total() })),
			Floor: seconds(of(func(c *coldStart) float64 { return c.FloorCPUSeconds.total() })),
			Ratio: times(of(func(c *coldStart) float64 { return c.CPUSeconds.total() / c.FloorCPUSeconds.total() })),
		},
		judged(line{
			Section: "a", What: "— API writes to an agent", Measured: decimal(writes), Floor: "2", Ratio: times(writes / 2), Target: "≤ 2",
		}, writes, 2),
		{Section: "a", What: "— API writes to all else, per agent", Measured: decimal(perAgent(func(c *coldStart) float64 { return c.Writes - c.AgentWrites }))},
		{Section: "a", What: "— Secret reads per agent", Measured: decimal(perAgent(func(c *coldStart) float64 { return c.SecretReads }))},
	}
	for _, x := range []struct {
		what string
		get  func(*coldStart) number
	}{
		{"— PBX statements per agent", func(c *coldStart) number { return c.Statements }},
		{"— PBX transactions per agent", func(c *coldStart) number { return c.Transactions }},
		{"— PBX rows written per agent", func(c *coldStart) number { return c.Written }},
	} {
		text := "unknown"
		if x.get(starts[0]) != unknown {
			text = decimal(perAgent(func(c *coldStart) float64 { return float64(x.get(c)) }))
		}
		lines = append(lines, line{Section: "a", What: x.what, Measured: text})
	}
	return lines
}

// restartLines are those of restarts; number is how many of what there were.
func restartLines(section, what string, number func(*restart) int, restarts []*restart) []line {
	if len(restarts) == 0 {
		return nil
	}
	of := func(f func(*restart) float64) float64 { return medianOf(restarts, f) }
	zero := func(what string, f func(*restart) float64) line {
		n := of(f)
		return judged(line{Section: section, What: what, Measured: decimal(n), Target: "0"}, n, 0)
	}
	ratio := of(func(x *restart) float64 { return x.Seconds / x.ListSeconds })
	lines := []line{
		judged(line{
			Section: section, What: fmt.Sprintf("restart on %d %s, to quiet", number(restarts[0]), what),
			Measured: seconds(of(func(x *restart) float64 { return x.Seconds })),
			Floor:    seconds(of(func(x *restart) float64 { return x.ListSeconds })), Ratio: times(ratio), Target: "≤ 2 × bare list",
		}, ratio, 2),
		zero("— API writes", func(x *restart) float64 { return x.Writes }),
		zero("— Secret reads", func(x *restart) float64 { return x.SecretReads }),
		zero("— changes of the database, as a reader sees them", func(x *restart) float64 { return x.Commits }),
	}
	if restarts[0].Written != unknown {
		lines = append(lines, zero("— PBX rows written", func(x *restart) float64 { return float64(x.Written) }))
	}
	return lines
}

func (r *report) deactivationLines() []line {
	var idle, busy []*deactivation
	for _, d := range r.Deactivations {
		if d.Load == 0 {
			idle = append(idle, d)
		} else {
			busy = append(busy, d)
		}
	}
	var lines []line
	for _, set := range [][]*deactivation{idle, busy} {
		if len(set) == 0 {
			continue
		}
		n := 0
		for _, d := range set {
			n += len(d.Sent)
		}
		when := "idle"
		if set[0].Load > 0 {
			when = fmt.Sprintf("while %d others start", set[0].Load)
		}
		for _, p := range []float64{50, 99} {
			of := func(f func(*deactivation) []float64) float64 {
				return medianOf(set, func(d *deactivation) float64 { return percentile(f(d), p) })
			}
			accepted := of(func(d *deactivation) []float64 { return d.Accepted })
			sent, bare := of(func(d *deactivation) []float64 { return d.Sent }), of(func(d *deactivation) []float64 { return d.Bare })
			l := line{
				Section: "c", What: fmt.Sprintf("deactivation accepted → rows, %s, p%.0f of %d", when, p, n),
				Measured: fmt.Sprintf("%.1f ms", accepted), Floor: fmt.Sprintf("%.1f ms", bare), Ratio: times(accepted / bare),
			}
			if p == 99 && set[0].Load > 0 {
				l.Target = "≤ 10 × bare"
				l = judged(l, accepted/bare, 10)
			}
			lines = append(lines, l, line{
				Section: "c", What: "— from the request on", Measured: fmt.Sprintf("%.1f ms", sent),
				Floor: fmt.Sprintf("%.1f ms", bare), Ratio: times(sent / bare),
			})
		}
	}
	return lines
}

func (r *report) relabelLines() []line {
	if len(r.Relabels) == 0 {
		return nil
	}
	writes := medianOf(r.Relabels, func(x *relabel) float64 { return x.Writes })
	return []line{
		judged(line{
			Section: "d", What: fmt.Sprintf("one agent relabelled into a group of %d: API writes", r.Relabels[0].Members),
			Measured: decimal(writes), Target: "≤ 3",
		}, writes, 3),
		{Section: "d", What: "— to rows", Measured: fmt.Sprintf("%.1f ms", medianOf(r.Relabels, func(x *relabel) float64 { return x.Milliseconds }))},
	}
}

func (r *report) memoryLines() []line {
	small, large := r.options.smallest(), r.options.largest()
	if !r.options.wants("e") || small == large {
		return nil
	}
	var lines []line
	for _, x := range []struct {
		what string
		get  func(*coldStart) float64
	}{
		{"settled", func(c *coldStart) float64 { return c.SettledKiB }},
		{"peak", func(c *coldStart) float64 { return c.PeakKiB }},
	} {
		from, to := medianOf(r.coldStartsOf(small), x.get), medianOf(r.coldStartsOf(large), x.get)
		perAgent := (to - from) / float64(large-small)
		lines = append(lines, judged(line{
			Section:  "e",
			What:     fmt.Sprintf("memory for an agent, %s (%.0f MiB at %d, %.0f MiB at %d)", x.what, from/1024, small, to/1024, large),
			Measured: fmt.Sprintf("%.1f KiB", perAgent), Target: "≤ 12 KiB",
		}, perAgent, 12))
	}
	return lines
}

func seconds(s float64) string { return fmt.Sprintf("%.2f s", s) }
func times(x float64) string   { return fmt.Sprintf("%.2f ×", x) }
func decimal(x float64) string { return strings.TrimSuffix(fmt.Sprintf("%.2f", x), ".00") }

// conditions say how the table was taken.
func (r *report) conditions() string {
	parts := []string{fmt.Sprintf("medians of %d", r.Runs), fmt.Sprintf("concurrency %d", r.Concurrency)}
	if slices.ContainsFunc(strings.Split(planeSections, ","), r.options.wants) {
		secrets := "one Secret per agent"
		if r.SharedSecrets {
			secrets = fmt.Sprintf("one Secret per %d agents", sharing)
		}
		parts = append(parts, secrets)
	}
	parts = append(parts,
		"etcd "+map[bool]string{true: "syncing to disk", false: "not syncing to disk, as envtest has it"}[r.EtcdSync])
	if r.PBX != "" {
		parts = append(parts, r.PBX+" syncing to disk")
	}
	return fmt.Sprintf("make bench ARGS='%s': %s, on %s", r.Arguments, strings.Join(parts, ", "), r.Machine)
}

func (r *report) writeJSON(path string) error {
	r.Table = r.table()
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

func (r *report) print(w io.Writer, markdown bool) error {
	if markdown {
		return r.printMarkdown(w)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\tWHAT\tMEASURED\tFLOOR\tRATIO\tTARGET\t")
	for _, l := range r.table() {
		fmt.Fprintln(t, strings.Join([]string{l.Section, l.What, l.Measured, l.Floor, l.Ratio, l.Target, l.Verdict}, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.conditions())
	return err
}

func (r *report) printMarkdown(w io.Writer) error {
	fmt.Fprintln(w, "| | | measured | floor | ratio | target | |\n|---|---|---|---|---|---|---|")
	for _, l := range r.table() {
		fmt.Fprintf(w, "| %s |\n", strings.Join([]string{l.Section, l.What, l.Measured, l.Floor, l.Ratio, l.Target, l.Verdict}, " | "))
	}
	_, err := fmt.Fprintf(w, "\n%s.\n", r.conditions())
	return err
}
