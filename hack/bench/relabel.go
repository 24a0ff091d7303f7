package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// relabel is what it took to bring one person into a large group by a label.
type relabel struct {
	// Members the group had before.
	Members int `json:"members"`
	// Milliseconds from the API server's answer to the rows.
	Milliseconds float64 `json:"milliseconds"`
	Requests     tally   `json:"requests"`
	Writes       float64 `json:"writes"`
}

// relabels measures section d.
func relabels(ctx context.Context, l *lab, report *report) (err error) {
	s := &staff{prefix: "agent", agents: l.largest(), crowd: l.largest() / 2, base: 100_000, sharedSecrets: l.sharedSecrets}
	site, ctx, err := l.openSite(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	if _, err := site.start(ctx, s); err != nil {
		return err
	}
	if _, err := site.manager.untilQuiet(ctx, site.mark, lateGap); err != nil {
		return err
	}
	run := 0
	for i := s.agents - 1; i >= s.crowd && run < l.runs; i-- {
		if !selects(s.groupOf(i)) {
			continue // it would stay in the group that names it
		}
		result, err := site.relabel(ctx, s, s.agent(i))
		if err != nil {
			return err
		}
		result.Members = s.crowd + run
		run++
		l.say("run %d: relabelled into a group of %d: %.1f ms to rows, %.0f API writes (%s)",
			run, result.Members, result.Milliseconds, result.Writes, result.Requests)
		report.Relabels = append(report.Relabels, result)
	}
	return nil
}

func (s *site) relabel(ctx context.Context, staff *staff, agent string) (*relabel, error) {
	target := staff.group(0)
	mark, err := s.plane.audit.end()
	if err != nil {
		return nil, err
	}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{%q:%q}}}`, groupLabel, target)
	object := &v1alpha1.Agent{ObjectMeta: meta(agent, nil)}
	if err := s.plane.client.Patch(ctx, object, client.RawPatch(types.MergePatchType, patch)); err != nil {
		return nil, err
	}
	answered := time.Now()
	for group := ""; group != target; {
		if err := s.rows.QueryRowContext(ctx, "SELECT coalesce(agent_group, '') FROM roster_agents WHERE name = ?", agent).Scan(&group); err != nil {
			return nil, err
		}
		if time.Since(answered) > time.Minute {
			return nil, fmt.Errorf("%s is not in %s a minute after it was labelled", agent, target)
		}
		if err := sleep(ctx, 500*time.Microsecond); err != nil {
			return nil, err
		}
	}
	result := &relabel{Milliseconds: milliseconds(time.Since(answered))}
	if _, err := s.manager.untilQuiet(ctx, mark, lateGap); err != nil {
		return nil, err
	}
	requests, _, err := s.plane.audit.managerRequests(mark)
	result.Requests, result.Writes = count(requests), sum(requests, isWrite)
	return result, err
}
