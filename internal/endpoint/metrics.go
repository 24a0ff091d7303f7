package endpoint

import (
	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

var (
	requests = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "roster_endpoint_requests_total",
		Help: "Requests answered by the manager's own endpoint, by route and HTTP status.",
	}, []string{"route", "code"})
	subscribers = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "roster_endpoint_subscribers",
		Help: "Clients that follow a list.",
	})
)

func init() { metrics.Registry.MustRegister(requests, subscribers) }
