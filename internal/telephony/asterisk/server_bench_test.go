package asterisk

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"roster.dev/roster/internal/telephony"
	"roster.dev/roster/internal/telephony/asterisk/ami/amitest"
)

// BenchmarkServerRead reads a centre of 20,000 memberships in 200 queues, and measures what stays of them in memory.
// The server that answers is in the same process.
func BenchmarkServerRead(b *testing.B) {
	const queues, perQueue = 200, 100
	p := amitest.StartPBX(b)
	var queries []telephony.Query
	for q := range queues {
		queue := fmt.Sprintf("queue-%d", q)
		queries = append(queries, telephony.Query{Queue: queue})
		for a := range perQueue {
			name := fmt.Sprintf("agent-%d", (q*7+a)%1000)
			p.SetMember(queue, amitest.Member{Interface: "PJSIP/" + name, Name: name, Penalty: 3, Status: 1})
		}
	}
	server, err := OpenServer(telephony.ServerConfig{Name: "pbx-1", Address: p.Address(),
		Username: amitest.Username, Password: amitest.Secret, Timeout: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	ready, members := make(chan struct{}), 0
	go func() {
		_ = server.Watch(b.Context(), func(e telephony.Event) {
			switch e.Kind {
			case telephony.EventSettled:
				close(ready)
			case telephony.EventMember:
				members++
			}
		})
	}()
	<-ready
	inUse := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := inUse()
	n := 0
	for b.Loop() {
		if err := server.Read(b.Context(), queries...); err != nil {
			b.Fatal(err)
		}
		n++
	}
	b.ReportMetric(float64(inUse()-before)/(queues*perQueue), "B/membership")
	if members != n*queues*perQueue {
		b.Fatalf("%d members were told in %d reads", members, n)
	}
}
