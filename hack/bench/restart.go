package main

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// restart is what one restart on a converged centre showed.
type restart struct {
	Agents int `json:"agents"`
	Cases  int `json:"cases,omitempty"`
	// Seconds from the start of the process to the last thing that it did.
	Seconds     float64 `json:"seconds"`
	ListSeconds float64 `json:"listSeconds"`
	Requests    tally   `json:"requests"`
	Writes      float64 `json:"writes"`
	SecretReads float64 `json:"secretReads"`
	// Commits is 1 where the database changed, as an independent reader sees it.
	Commits float64 `json:"commits"`
	// Written are the rows written by the manager's own count.
	Written number `json:"rowsWritten"`
	// CPUSeconds is what the process used of the processors.
	CPUSeconds float64 `json:"cpuSeconds"`
	RSSKiB     float64 `json:"rssKiB"`
	PeakKiB    float64 `json:"peakKiB"`
}

// restarts measures section b.
func restarts(ctx context.Context, l *lab, report *report) (err error) {
	s := &staff{prefix: "agent", agents: l.largest(), base: 100_000, sharedSecrets: l.sharedSecrets}
	site, managed, err := l.openSite(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	if _, err := site.start(managed, s); err != nil {
		return err
	}
	if _, err := site.manager.untilQuiet(managed, site.mark, lateGap); err != nil {
		return err
	}
	for run := range l.runs {
		result, err := site.restart(ctx, s)
		if err != nil {
			return err
		}
		l.say("run %d: quiet %.2f s after a restart on %d agents; bare list %.2f s: %.2f; %.0f API writes, %.0f Secret reads",
			run+1, result.Seconds, s.agents, result.ListSeconds, result.Seconds/result.ListSeconds, result.Writes, result.SecretReads)
		l.say("       manager's requests: %s", result.Requests)
		report.Restarts = append(report.Restarts, result)
	}
	return nil
}

func (s *site) restart(ctx context.Context, staff *staff) (*restart, error) {
	if err := s.manager.stop(); err != nil {
		return nil, err
	}
	if err := sleep(ctx, time.Second); err != nil { // until the end of its watches is recorded
		return nil, err
	}
	mark, err := s.plane.audit.end()
	if err != nil {
		return nil, err
	}
	before, err := dataVersion(ctx, s.rows)
	if err != nil {
		return nil, err
	}
	if s.manager, ctx, err = s.lab.startManager(ctx, s.plane, s.dataDir); err != nil {
		return nil, err
	}
	last, err := s.manager.untilQuiet(ctx, mark, quietGap)
	if err != nil {
		return nil, err
	}
	if _, err := s.manager.untilQuiet(ctx, mark, lateGap); err != nil { // what is written late counts too
		return nil, err
	}
	requests, _, err := s.plane.audit.managerRequests(mark)
	if err != nil {
		return nil, err
	}
	after, err := dataVersion(ctx, s.rows)
	if err != nil {
		return nil, err
	}
	metrics, err := s.manager.scrape(ctx)
	if err != nil {
		return nil, err
	}
	result := &restart{
		Agents: staff.agents, Seconds: last.Sub(s.manager.started).Seconds(), Requests: count(requests),
		Writes: sum(requests, isWrite), SecretReads: sum(requests, isSecretRead), Written: metrics.since(nil, rowsMetric),
	}
	if after != before {
		result.Commits = 1
	}
	if result.RSSKiB, result.PeakKiB, err = s.manager.memory(); err != nil {
		return nil, err
	}
	used, err := s.manager.cpu()
	if err != nil {
		return nil, err
	}
	result.CPUSeconds = used.Seconds()
	took, err := s.plane.listAll(ctx)
	result.ListSeconds = took.Seconds()
	return result, err
}

// listAll lists what a manager has to know, all kinds at once as informers do, with a new connection.
func (p *plane) listAll(ctx context.Context) (time.Duration, error) {
	c, err := p.newClient()
	if err != nil {
		return 0, err
	}
	metas, err := metadata.NewForConfig(p.config)
	if err != nil {
		return 0, err
	}
	lists := []client.ObjectList{
		&v1alpha1.AgentList{}, &v1alpha1.AgentGroupList{}, &v1alpha1.TeamList{}, &v1alpha1.QueueList{}, &v1alpha1.ContactCenterList{},
		&v1alpha1.CaseAssignmentList{},
	}
	start := time.Now()
	err = each(ctx, len(lists)+1, len(lists)+1, func(ctx context.Context, i int) error {
		if i < len(lists) {
			return c.List(ctx, lists[i])
		}
		_, err := metas.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).List(ctx, metav1.ListOptions{})
		return err
	})
	return time.Since(start), err
}
