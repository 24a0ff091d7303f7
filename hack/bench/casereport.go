package main

import "fmt"

// caseLines are the lines of sections k to o.
func (r *report) caseLines() []line {
	var lines []line
	base := 0.0
	for _, size := range r.options.openCases {
		more, p50 := r.caseEditLines(size, base)
		lines = append(lines, more...)
		if base == 0 {
			base = p50
		}
	}
	if r.options.wants("l") {
		lines = append(lines, r.handoverLines()...)
	}
	if r.options.wants("m") {
		lines = append(lines, r.bookLines()...)
	}
	if r.options.wants("n") {
		lines = append(lines, r.caseMemoryLines()...)
	}
	return append(lines, restartLines("o", "open cases", func(x *restart) int { return x.Cases }, r.CaseRestarts)...)
}

// against is a line that stands beside its floor, both in milliseconds.
func against(section, what string, measured, floor float64) line {
	return line{
		Section: section, What: what, Measured: fmt.Sprintf("%.1f ms", measured), Floor: fmt.Sprintf("%.1f ms", floor),
		Ratio: times(measured / floor),
	}
}

// atMost is a count that has a limit.
func atMost(section, what string, n, limit float64) line {
	return judged(line{Section: section, What: what, Measured: decimal(n), Target: "≤ " + decimal(limit)}, n, limit)
}

// caseEditLines are those of so many open cases. base is what p50 of fewer was in times its floor, 0 for none.
func (r *report) caseEditLines(size int, base float64) (lines []line, p50 float64) {
	var set []*caseEdits
	n := 0
	for _, e := range r.CaseEdits {
		if e.Cases == size {
			set, n = append(set, e), n+len(e.Status)
		}
	}
	if n == 0 {
		return nil, 0
	}
	of := func(p float64, f func(*caseEdits) []float64) float64 {
		return medianOf(set, func(e *caseEdits) float64 { return percentile(f(e), p) })
	}
	for _, p := range []float64{50, 99} {
		status, bare := of(p, func(e *caseEdits) []float64 { return e.Status }), of(p, func(e *caseEdits) []float64 { return e.BareStatus })
		if p == 50 {
			p50 = status / bare
		}
		lines = append(lines,
			against("k", fmt.Sprintf("case edited → row and status, %d open cases, p%.0f of %d", size, p, n), status, bare),
			against("k", "— row alone",
				of(p, func(e *caseEdits) []float64 { return e.Row }), of(p, func(e *caseEdits) []float64 { return e.BareRow })))
	}
	if base > 0 {
		lines = append(lines, judged(line{
			Section: "k", What: fmt.Sprintf("— its p50 in times bare, next to that of %d cases", r.options.openCases[0]),
			Measured: times(p50), Floor: times(base), Ratio: times(p50 / base), Target: "≤ 1.25 × that",
		}, p50/base, 1.25))
	}
	each := func(f func(*caseEdits) float64) float64 {
		return medianOf(set, func(e *caseEdits) float64 { return f(e) / float64(len(e.Status)) })
	}
	return append(lines,
		atMost("k", "— status writes for each", each(func(e *caseEdits) float64 { return e.CaseWrites }), 1),
		atMost("k", "— rows for each", each(func(e *caseEdits) float64 { return float64(e.Written) }), 1),
		line{Section: "k", What: "— API writes to all else, for each", Measured: decimal(each(func(e *caseEdits) float64 { return e.Writes - e.CaseWrites }))},
	), p50
}

// handoverLines are those of section l.
func (r *report) handoverLines() []line {
	if len(r.Books) == 0 {
		return nil
	}
	first := r.Books[0]
	cases := float64(first.Cases)
	of := func(f func(*clientBook) float64) float64 { return medianOf(r.Books, f) }
	ms := func(what string, f func(*clientBook) float64) line {
		return line{Section: "l", What: what, Measured: fmt.Sprintf("%.1f ms", of(f))}
	}
	perCase := func(f func(*caseWork) float64) float64 {
		return of(func(b *clientBook) float64 { return f(b.Covered) }) / cases
	}
	last := against("l", fmt.Sprintf("person with %d of %d open cases deactivated → last case covered", first.Cases, first.All),
		of(func(b *clientBook) float64 { return b.LastCaseMs }), of(func(b *clientBook) float64 { return b.FloorMs }))
	ratio := of(func(b *clientBook) float64 { return b.LastCaseMs / b.FloorMs })
	last.Ratio, last.Target = times(ratio), "≤ 2 × bare writes"
	return []line{
		judged(last, ratio, 2),
		ms("— access ended", func(b *clientBook) float64 { return b.AccessMs }),
		ms("— first caller's row", func(b *clientBook) float64 { return b.FirstRowMs }),
		ms("— first case's status", func(b *clientBook) float64 { return b.FirstCaseMs }),
		ms("— last caller's row", func(b *clientBook) float64 { return b.LastRowMs }),
		atMost("l", "— callers' rows that moved before access ended",
			of(func(b *clientBook) float64 { return float64(b.Cases - b.Waited) }), 0),
		atMost("l", "— status writes for a case of the book",
			of(func(b *clientBook) float64 { return b.Covered.CaseWrites - b.OthersWrites })/cases, 1),
		atMost("l", "— writes to other people's cases", of(func(b *clientBook) float64 { return b.OthersWrites }), 0),
		atMost("l", "— reconciles of cases, for a case of the book", perCase(func(w *caseWork) float64 { return w.Reconciles }), 3),
		{Section: "l", What: "— PBX statements for a case", Measured: decimal(perCase(func(w *caseWork) float64 { return float64(w.Statements) }))},
		{Section: "l", What: "— PBX transactions for a case", Measured: decimal(perCase(func(w *caseWork) float64 { return float64(w.Transactions) }))},
		{Section: "l", What: "— PBX rows written for a case, the person's own with them", Measured: decimal(perCase(func(w *caseWork) float64 { return float64(w.Written) }))},
	}
}

// bookLines are those of section m.
func (r *report) bookLines() []line {
	if len(r.Books) == 0 {
		return nil
	}
	first := r.Books[0]
	of := func(f func(*clientBook) float64) float64 { return medianOf(r.Books, f) }
	perCase := func(f func(*caseWork) float64) float64 {
		return of(func(b *clientBook) float64 { return f(b.Created) / float64(b.Cases) })
	}
	return []line{
		{
			Section: "m", What: fmt.Sprintf("%d cases created at once → all assigned", first.Cases),
			Measured: seconds(of(func(b *clientBook) float64 { return b.CreateSeconds })),
			Floor:    seconds(of(func(b *clientBook) float64 { return b.CreateFloorSeconds })),
			Ratio:    times(of(func(b *clientBook) float64 { return b.CreateSeconds / b.CreateFloorSeconds })),
		},
		atMost("m", "— API writes to a case", perCase(func(w *caseWork) float64 { return w.CaseWrites }), 1),
		atMost("m", "— PBX rows written for a case", perCase(func(w *caseWork) float64 { return float64(w.Written) }), 1),
		{Section: "m", What: "— PBX transactions for a case", Measured: decimal(perCase(func(w *caseWork) float64 { return float64(w.Transactions) }))},
		{Section: "m", What: "— reconciles of cases, for a case", Measured: decimal(perCase(func(w *caseWork) float64 { return w.Reconciles }))},
	}
}

// caseMemoryLines are those of section n.
func (r *report) caseMemoryLines() []line {
	if len(r.CaseMemory) < 2 {
		return nil
	}
	small, large := r.CaseMemory[0], r.CaseMemory[1]
	var lines []line
	for _, x := range []struct {
		what     string
		from, to float64
	}{
		{"memory for a case, settled", small.SettledKiB, large.SettledKiB},
		{"— in use on the heap", small.LiveKiB, large.LiveKiB},
		{"— peak", small.PeakKiB, large.PeakKiB},
	} {
		lines = append(lines, line{
			Section: "n", What: fmt.Sprintf("%s (%.0f MiB at %d, %.0f MiB at %d)", x.what, x.from/1024, small.Cases, x.to/1024, large.Cases),
			Measured: fmt.Sprintf("%.1f KiB", (x.to-x.from)/float64(large.Cases-small.Cases)),
		})
	}
	return lines
}
