package asterisk
import ("roster.dev/roster/internal/telephony/postgrestest";"testing";"fmt";"sort")
func TestTrace(t *testing.T) {
	testing.Benchmark(func(b *testing.B) { b.N = 1; clear(traces); runOne(b) })
	type kv struct { k string; v int64 }
	var l []kv
	for k, v := range traces { l = append(l, kv{k, v.Milliseconds()}) }
	sort.Slice(l, func(i, j int) bool { return l[i].v > l[j].v })
	for _, x := range l[:min(len(l),16)] { fmt.Println(x.v, x.k) }
}
func runOne(b *testing.B) {
	cluster := postgrestest.Start(b)
	benchmarkApplyAgents(b, func() Config { return Config{Type: TypePostgreSQL, DSN: cluster.Database(b)} })
}
