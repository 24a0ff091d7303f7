package main

import (
	"fmt"
	"time"
)

// pbxLines are the lines of sections f to j.
func (r *report) pbxLines() []line {
	var lines []line
	for i, p := range r.Pauses {
		lines = append(lines, p.lines(i == 0)...)
	}
	if r.Registrations != nil {
		lines = append(lines, r.Registrations.lines()...)
	}
	lines = append(lines, r.changeLines()...)
	lines = append(lines, r.fullReadLines()...)
	if r.Stillness != nil {
		lines = append(lines, r.Stillness.lines()...)
	}
	return lines
}

func (p *pauses) lines(idle bool) []line {
	when := fmt.Sprintf("with %d queues and %d members", p.Queues, p.Members)
	if idle {
		when = "idle"
	}
	var lines []line
	for _, rank := range []float64{50, 99} {
		pair := func(what string, measured, floor []float64) (line, float64) {
			m, f := percentile(measured, rank), percentile(floor, rank)
			return line{
				Section: "f", What: what, Measured: fmt.Sprintf("%.1f ms", m), Floor: fmt.Sprintf("%.1f ms", f), Ratio: times(m / f),
			}, m / f
		}
		first, ratio := pair(fmt.Sprintf("pause accepted → in Asterisk's memory, %s, p%.0f of %d", when, rank, len(p.Accepted)), p.Accepted, p.Bare)
		if rank == 99 {
			first.Target = "≤ 3 × bare"
			first = judged(first, ratio, 3)
		}
		request, _ := pair("— from the request on", p.Sent, p.Bare)
		answer, _ := pair("— bare without its request", p.Accepted, p.BareAccepted)
		lines = append(lines, first, request, answer)
	}
	n := float64(len(p.Accepted))
	return append(lines, line{
		Section: "f", What: "— AMI actions for each", Measured: decimal(float64(p.Actions) / n), Floor: "1", Ratio: times(float64(p.Actions) / n),
	})
}

func (x *registrations) lines() []line {
	row := func(what string, rank float64, measured, floor []float64) line {
		m, f := percentile(measured, rank), percentile(floor, rank)
		return line{Section: "g", What: what, Measured: seconds(m), Floor: seconds(f), Ratio: times(m / f)}
	}
	most := row("— most", 100, x.gone(), x.bareGone())
	most.Target = "≤ 2.5 s"
	return []line{
		row(fmt.Sprintf("deactivation accepted → registration gone, p50 of %d", len(x.Device)), 50, x.gone(), x.bareGone()),
		judged(most, percentile(x.gone(), 100), 2.5),
		row("— phone shown as unavailable, most", 100, x.Device, x.BareDevice),
		row("— contact row gone, most", 100, x.Row, x.BareRow),
	}
}

func (r *report) changeLines() []line {
	if len(r.Changes) == 0 {
		return nil
	}
	of := func(f func(*changes) float64) float64 { return medianOf(r.Changes, f) }
	effective := func(c *changes) float64 { return c.Effective }
	against := func(what string, floor func(*changes) float64) (line, float64) {
		ratio := of(func(c *changes) float64 { return c.Effective / floor(c) })
		return line{Section: "h", What: what, Measured: seconds(of(effective)), Floor: seconds(of(floor)), Ratio: times(ratio)}, ratio
	}
	people := r.Changes[0].People
	first, ratio := against(fmt.Sprintf("%d people into a queue by one edit, accepted → in Asterisk's memory; bare: QueueAdd", people),
		func(c *changes) float64 { return c.Pipelined })
	first.Target = "≤ 2 × bare"
	sequential, _ := against("— bare: QueueAdd one after the other", func(c *changes) float64 { return c.Sequential })
	bulk, _ := against("— bare: rows in one transaction, one QueueSummary", func(c *changes) float64 { return c.Bulk })
	actions := of(func(c *changes) float64 { return float64(c.Traffic.actions()) })
	return []line{
		judged(first, ratio, 2), sequential, bulk,
		{Section: "h", What: "— until the last row", Measured: seconds(of(func(c *changes) float64 { return c.Rows }))},
		{Section: "h", What: "— until Asterisk has told the manager of all", Measured: seconds(of(func(c *changes) float64 { return c.Seen }))},
		{
			Section: "h", What: "— AMI actions", Measured: decimal(actions), Floor: fmt.Sprint(people), Ratio: times(actions / float64(people)),
		},
	}
}

func (r *report) fullReadLines() []line {
	if len(r.FullReads) == 0 {
		return nil
	}
	of := func(f func(*fullRead) float64) float64 { return medianOf(r.FullReads, f) }
	first := r.FullReads[0]
	read := func(x *fullRead) float64 { return x.Seconds }
	bare := func(x *fullRead) float64 { return x.BareSeconds }
	told := func(x *fullRead) float64 { return float64(x.Traffic.bytes()) }
	bareTold := func(x *fullRead) float64 { return float64(x.BareTraffic.bytes()) }
	return []line{
		{
			Section: "i", What: fmt.Sprintf("full read of %d members in %d queues, on connecting", first.Members, first.Queues),
			Measured: seconds(of(read)), Floor: seconds(of(bare)),
			Ratio: times(of(func(x *fullRead) float64 { return x.Seconds / x.BareSeconds })),
		},
		{
			Section: "i", What: "— bytes", Measured: bytesText(of(told)), Floor: bytesText(of(bareTold)), Ratio: times(of(told) / of(bareTold)),
		},
	}
}

func (x *stillness) lines() []line {
	hourly, bare := x.hourly(x.Traffic.bytes()), float64(x.Bare.bytes())
	return []line{
		{
			Section: "j",
			What: fmt.Sprintf("AMI bytes an hour, nothing changing in %d queues with %d members (watched for %s); bare: one QueueStatus",
				x.Queues, x.Members, (time.Duration(x.Seconds) * time.Second)),
			Measured: bytesText(hourly), Floor: bytesText(bare), Ratio: times(hourly / bare),
		},
		{Section: "j", What: "— AMI actions an hour", Measured: fmt.Sprintf("%.0f", x.hourly(int64(x.Traffic.actions())))},
	}
}

func bytesText(n float64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", n/(1<<10))
	}
	return fmt.Sprintf("%.2f MiB", n/(1<<20))
}
