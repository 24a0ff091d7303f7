package asterisk

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/postgrestest"
)

// benchAgent is a person in five queues.
func benchAgent(settings *telephony.Settings, i int) *telephony.Agent {
	password, pin := "Secret-"+fmt.Sprint(i), "4711"
	a := &telephony.Agent{
		Name: fmt.Sprintf("agent-%05d", i), UID: fmt.Sprintf("uid-%d", i), Settings: settings,
		DisplayName: fmt.Sprintf("Agent Number %d", i), Email: fmt.Sprintf("agent%d@acme.example", i),
		Role: "CustomerService", Phase: "Active", Group: fmt.Sprintf("group-%d", i%40),
		Extension: fmt.Sprint(10000 + i), Access: telephony.AccessGranted, Phone: true,
		Password: &password, PIN: &pin, Mailbox: fmt.Sprint(10000 + i), CredentialVersions: "1",
	}
	for q := range 5 {
		a.Memberships = append(a.Memberships, telephony.Membership{
			Queue: fmt.Sprintf("queue-%02d", q*10+i%10), Channels: []string{"Voice"}, Stars: 1, Penalty: 3, Via: []string{"Direct"},
		})
	}
	return a
}

// BenchmarkApplyAgents applies 10,000 people to an empty database, 64 at a time, and once more when nothing is
// to be done.
func BenchmarkApplyAgents(b *testing.B) {
	b.Run("SQLite", func(b *testing.B) {
		benchmarkApplyAgents(b, func() Config {
			return Config{Type: TypeSQLite, Path: filepath.Join(b.TempDir(), "pbx.sqlite3")}
		})
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		cluster := postgrestest.Start(b)
		benchmarkApplyAgents(b, func() Config { return Config{Type: TypePostgreSQL, DSN: cluster.Database(b)} })
	})
}

func benchmarkApplyAgents(b *testing.B, newConfig func() Config) {
	const people = 10_000
	for b.Loop() {
		config := newConfig()
		config.Center = "acme"
		backend, err := Open(context.Background(), config)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := backend.Load(context.Background()); err != nil {
			b.Fatal(err)
		}
		for _, round := range []string{"write", "verify"} {
			before, start := backend.Stats(), time.Now()
			applyPeople(b, backend, people)
			took, after := time.Since(start), backend.Stats()
			b.ReportMetric(float64(took.Microseconds())/people, "µs/"+round)
			b.ReportMetric(float64(after.Statements-before.Statements)/people, "statements/"+round)
			b.ReportMetric(float64(after.RowsWritten-before.RowsWritten)/took.Seconds(), "rows/s/"+round)
		}
		start := time.Now()
		records, err := backend.Load(context.Background())
		if err != nil || len(records.Agents) != people {
			b.Fatal(len(records.Agents), err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms/load")
		_ = backend.Close()
	}
}

// applyPeople applies many people, many at a time.
func applyPeople(b *testing.B, backend *Backend, people int) {
	const concurrency = 64
	settings := &telephony.Settings{Context: "acme", Template: map[string]string{"transport": "transport-wss", "webrtc": "yes"}}
	var wg sync.WaitGroup
	for w := range concurrency {
		wg.Go(func() {
			for i := w; i < people; i += concurrency {
				if _, err := backend.ApplyAgent(context.Background(), benchAgent(settings, i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
