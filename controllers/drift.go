package controllers

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/roster"
	"roster.dev/roster/internal/telephony"
)

var (
	driftFound = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "roster_drift_found_total", Help: "People and queues that somebody else changed on a telephone system.",
	}, []string{"namespace"})
	driftRepaired = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "roster_drift_repaired_total", Help: "People and queues that were made as declared again.",
	}, []string{"namespace"})
)

func init() { metrics.Registry.MustRegister(driftFound, driftRepaired) }

// driftCounts are what the ContactCenters' statuses do not count yet.
type driftCounts struct {
	mu   sync.Mutex
	byNS map[string]driftCount
}

type driftCount struct{ found, repaired int64 }

func newDriftCounts() *driftCounts { return &driftCounts{byNS: map[string]driftCount{}} }

func (d *driftCounts) add(namespace string, found, repaired int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.byNS[namespace]
	d.byNS[namespace] = driftCount{n.found + found, n.repaired + repaired}
}

func (d *driftCounts) found(namespace string, n int) {
	driftFound.WithLabelValues(namespace).Add(float64(n))
	d.add(namespace, int64(n), 0)
}

func (d *driftCounts) repaired(namespace string, n int) {
	driftRepaired.WithLabelValues(namespace).Add(float64(n))
	d.add(namespace, 0, int64(n))
}

// pending is what the status does not count yet.
func (d *driftCounts) pending(namespace string) driftCount {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byNS[namespace]
}

// counted takes off what was written into the status.
func (d *driftCounts) counted(namespace string, n driftCount) {
	d.add(namespace, -n.found, -n.repaired)
}

// addTo adds what is pending to a status.
func (n driftCount) addTo(status *v1alpha1.ContactCenterStatus, now metav1.Time) {
	if n == (driftCount{}) {
		return
	}
	if status.Drift == nil {
		status.Drift = &v1alpha1.DriftStatus{}
	}
	status.Drift.Found += n.found
	status.Drift.Repaired += n.repaired
	if n.found > 0 {
		status.Drift.LastTime = &now
	}
}

// drifted has what a comparison found looked at: each object repairs its own rows, and tells of it.
func (op *operator) drifted(namespace string, drift *telephony.Drift, phones []string, fresh int) {
	c := op.centers.Get(namespace)
	if c == nil {
		return
	}
	queues := slices.Clone(drift.Queues)
	for queue := range drift.Strays {
		if roster.IsGroupQueue(queue) || op.feed.Directory(namespace).Authoritative(queue) {
			queues = append(queues, queue)
		}
	}
	op.drift.found(namespace, c.Suspect(drift.Agents, queues)+fresh)
	op.feed.enqueue(kindQueue, namespace, priorityNormal, 0, queues...)
	op.feed.enqueue(kindAgent, namespace, priorityNormal, 0, drift.Agents...)
	op.feed.enqueue(kindCaller, namespace, priorityNormal, 0, phones...)
	op.feed.recount(namespace)
}
