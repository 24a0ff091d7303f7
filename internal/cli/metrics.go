package cli

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"roster.dev/roster/internal/telephony/asterisk"
)

// telephonyMetrics sums up what all centres' backends have asked of their databases. A backend that was closed
// goes on counting: a counter never falls.
type telephonyMetrics struct {
	statements, rows, transactions *prometheus.Desc

	mu       sync.Mutex
	backends []*asterisk.Backend
}

var telephonyCounters = newTelephonyMetrics(metrics.Registry)

func newTelephonyMetrics(registry prometheus.Registerer) *telephonyMetrics {
	m := &telephonyMetrics{
		statements: prometheus.NewDesc("roster_telephony_statements_total",
			"Statements executed on telephone systems' databases, reads and writes.", nil, nil),
		rows: prometheus.NewDesc("roster_telephony_rows_total",
			"Rows inserted, updated or deleted on telephone systems' databases.", nil, nil),
		transactions: prometheus.NewDesc("roster_telephony_transactions_total",
			"Transactions that wrote to telephone systems' databases.", nil, nil),
	}
	registry.MustRegister(m)
	return m
}

func (m *telephonyMetrics) add(b *asterisk.Backend) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backends = append(m.backends, b)
}

// Describe implements prometheus.Collector.
func (m *telephonyMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.statements
	ch <- m.rows
	ch <- m.transactions
}

// Collect implements prometheus.Collector.
func (m *telephonyMetrics) Collect(ch chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum asterisk.Stats
	for _, b := range m.backends {
		s := b.Stats()
		sum.Statements += s.Statements
		sum.RowsWritten += s.RowsWritten
		sum.Transactions += s.Transactions
	}
	for desc, value := range map[*prometheus.Desc]int64{
		m.statements: sum.Statements, m.rows: sum.RowsWritten, m.transactions: sum.Transactions,
	} {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, float64(value))
	}
}
