package roster

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"roster.dev/roster/api/v1alpha1"
)

const (
	benchAgents = 100_000
	benchGroups = 40
	benchTeams  = 20
	benchQueues = 50
)

func benchAgent(i int) *v1alpha1.Agent {
	group, team := fmt.Sprintf("group-%d", i%benchGroups), fmt.Sprintf("team-%d", i%benchTeams)
	a := &v1alpha1.Agent{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("agent-%06d", i), CreationTimestamp: metav1.NewTime(at("10:00:00")),
			Labels: map[string]string{"group": group, "team": team},
		},
		Spec: v1alpha1.AgentSpec{Endpoint: &v1alpha1.Endpoint{Extension: v1alpha1.Extension(fmt.Sprintf("%06d", i+100_000))}},
		Status: v1alpha1.AgentStatus{
			Phase: v1alpha1.PhaseActive, Group: v1alpha1.ObjectName(group), Teams: []v1alpha1.ObjectName{v1alpha1.ObjectName(team)},
		},
	}
	for q := i % benchGroups % 5; q < benchQueues; q += 10 {
		a.Status.Queues = append(a.Status.Queues, v1alpha1.QueueMembership{
			Name: v1alpha1.ObjectName(fmt.Sprintf("queue-%02d", q)), Stars: 1,
		})
	}
	return a
}

func benchLists() (groups, teams []ListView, queues []*v1alpha1.Queue) {
	list := func(kind string, i int) ListView {
		name := fmt.Sprintf("%s-%d", kind, i)
		return ListView{
			Name: name, Created: at("09:00:00"),
			Selector: labels.SelectorFromSet(labels.Set{kind: name}),
		}
	}
	for i := range benchGroups {
		groups = append(groups, list("group", i))
	}
	for i := range benchTeams {
		teams = append(teams, list("team", i))
	}
	for i := range benchQueues {
		q := queue(fmt.Sprintf("queue-%02d", i))
		q.Spec.MinimumStaff = new(int32(3))
		for g := i % 10; g < benchGroups; g += 5 {
			q.Spec.Groups = append(q.Spec.Groups, entry(fmt.Sprintf("group-%d", g), 2))
		}
		q.Spec.Teams = []v1alpha1.QueueEntry{entry(fmt.Sprintf("team-%d", i%benchTeams), 3)}
		for a := range 20 {
			q.Spec.Agents = append(q.Spec.Agents, entry(fmt.Sprintf("agent-%06d", i*20+a), 4))
		}
		queues = append(queues, q)
	}
	return groups, teams, queues
}

func benchDirectory() *Directory {
	d := NewDirectory()
	groups, teams, queues := benchLists()
	for _, g := range groups {
		d.SetGroup(g)
	}
	for _, t := range teams {
		d.SetTeam(t)
	}
	for _, q := range queues {
		d.SetQueue(q)
	}
	for i := range benchAgents {
		d.SetAgent(ViewAgent(benchAgent(i)))
	}
	return d
}

func BenchmarkSetAgent(b *testing.B) {
	d := benchDirectory()
	b.Run("status", func(b *testing.B) { // a new group, written into the status
		views := [2]AgentView{ViewAgent(benchAgent(7)), ViewAgent(benchAgent(7))}
		views[1].Group = "group-8"
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			d.SetAgent(views[i%2])
		}
	})
	b.Run("unchanged", func(b *testing.B) {
		view := ViewAgent(benchAgent(7))
		b.ReportAllocs()
		for b.Loop() {
			d.SetAgent(view)
		}
	})
	b.Run("relabelled", func(b *testing.B) {
		views := [2]AgentView{ViewAgent(benchAgent(7)), ViewAgent(benchAgent(7))}
		views[1].Labels = map[string]string{"group": "group-8", "team": "team-8"}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			d.SetAgent(views[i%2])
		}
	})
	b.Run("new", func(b *testing.B) {
		view := ViewAgent(benchAgent(benchAgents + 7))
		b.ReportAllocs()
		for b.Loop() {
			d.SetAgent(view)
			d.RemoveAgent(view.Name)
		}
	})
}

func BenchmarkSetGroup(b *testing.B) {
	d := benchDirectory()
	groups, _, _ := benchLists()
	moved := [2]ListView{groups[7], groups[7]}
	moved[1].Selector = labels.SelectorFromSet(labels.Set{"group": "group-8"})
	b.Run("unchanged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.SetGroup(groups[7])
		}
	})
	b.Run("selector", func(b *testing.B) {
		b.ReportAllocs()
		for i := 1; b.Loop(); i++ {
			d.SetGroup(moved[i%2])
		}
	})
}

func BenchmarkReport(b *testing.B) {
	d := benchDirectory()
	b.Run("group", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.Group("group-7", 50)
		}
	})
	b.Run("team", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.Team("team-7", 50)
		}
	})
	b.Run("counts", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.Counts()
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	d := benchDirectory()
	now := at("12:00:00")
	agent := benchAgent(27)
	b.Run("declared", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			d.Declared(agent.Name)
		}
	})
	declared, _ := d.Declared(agent.Name)
	p := &Person{Spec: &agent.Spec, Seated: true, Declared: declared, Recorded: Recorded{Phase: v1alpha1.PhaseActive, Group: "group-27"}}
	b.Run("decide", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Decide(p, now)
		}
	})
}

// BenchmarkDirectoryMemory reports what the directory itself costs a person: the objects are there already.
func BenchmarkDirectoryMemory(b *testing.B) {
	agents := make([]*v1alpha1.Agent, benchAgents)
	for i := range agents {
		agents[i] = benchAgent(i)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	for b.Loop() {
		d := NewDirectory()
		groups, teams, queues := benchLists()
		for _, g := range groups {
			d.SetGroup(g)
		}
		for _, t := range teams {
			d.SetTeam(t)
		}
		for _, q := range queues {
			d.SetQueue(q)
		}
		before := heap()
		start := time.Now()
		for _, a := range agents {
			d.SetAgent(ViewAgent(a))
		}
		took := time.Since(start)
		b.ReportMetric(float64(heap()-before)/benchAgents, "B/agent")
		b.ReportMetric(float64(took.Nanoseconds())/benchAgents, "ns/agent")
		runtime.KeepAlive(d)
	}
	runtime.KeepAlive(agents)
}
