package main

import (
	"context"
	"errors"
)

// pbxSections are measured on one server, one after the other.
const pbxSections = "f,g,h,i,j"

// telephones measures sections f to j.
func telephones(ctx context.Context, l *lab, report *report) (err error) {
	s, ctx, err := l.openPBX(ctx, report)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if l.wants("g") {
		result, err := s.loseRegistrations(ctx)
		if err != nil {
			return err
		}
		l.say("registrations gone: max %.2f s of %d; bare %.2f s",
			percentile(result.gone(), 100), len(result.Device), percentile(result.bareGone(), 100))
		report.Registrations = result
	}
	if !l.wants("f") && !l.wants("h") && !l.wants("i") && !l.wants("j") {
		return nil
	}
	if err := s.populate(ctx, l.pausers()); err != nil {
		return err
	}
	if l.wants("f") {
		if err := s.measurePauses(ctx, report, 0); err != nil {
			return err
		}
	}
	if err := s.populate(ctx, l.load()); err != nil {
		return err
	}
	if l.wants("f") {
		if err := s.measurePauses(ctx, report, 2*l.samples); err != nil {
			return err
		}
	}
	if l.wants("i") {
		for run := range l.runs {
			result, err := s.readAll(ctx)
			if err != nil {
				return err
			}
			l.say("run %d: %d members in %d queues read in %.2f s; bare %.2f s",
				run+1, result.Members, result.Queues, result.Seconds, result.BareSeconds)
			report.FullReads = append(report.FullReads, result)
		}
	}
	if l.wants("j") {
		if report.Stillness, err = s.standStill(ctx); err != nil {
			return err
		}
		l.say("while nothing changed: %d bytes, actions: %s", report.Stillness.Traffic.bytes(), report.Stillness.Traffic.Actions)
	}
	if !l.wants("h") {
		return nil
	}
	if err := s.createCrowd(ctx); err != nil {
		return err
	}
	for run := range l.runs {
		result, err := s.change(ctx, run)
		if err != nil {
			return err
		}
		l.say("run %d: %d memberships in %.2f s, rows after %.2f s, seen after %.2f s; bare %.2f s, one after the other %.2f s, rows %.2f s",
			run+1, result.People, result.Effective, result.Rows, result.Seen, result.Pipelined, result.Sequential, result.Bulk)
		l.say("       the manager's actions: %s", result.Traffic.Actions)
		report.Changes = append(report.Changes, result)
	}
	return nil
}

// measurePauses pauses people from one on.
func (s *pbxSite) measurePauses(ctx context.Context, report *report, from int) error {
	s.lab.say("pausing %d people of %d queues with %d members", s.lab.samples, s.queues, s.members)
	result, err := s.pause(ctx, from)
	if err != nil {
		return err
	}
	s.lab.say("paused: p50 %.1f ms, p99 %.1f ms; bare p50 %.1f ms, p99 %.1f ms; %d actions",
		percentile(result.Accepted, 50), percentile(result.Accepted, 99), percentile(result.Bare, 50), percentile(result.Bare, 99), result.Actions)
	report.Pauses = append(report.Pauses, result)
	return nil
}
