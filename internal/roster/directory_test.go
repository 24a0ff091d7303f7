package roster

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"roster.dev/roster/api/v1alpha1"
)

func agent(name string, edits ...func(*v1alpha1.Agent)) *v1alpha1.Agent {
	a := &v1alpha1.Agent{ObjectMeta: metav1.ObjectMeta{Name: name, CreationTimestamp: stamp("08:00:00")}}
	for _, edit := range edits {
		edit(a)
	}
	return a
}

func withExtension(extension v1alpha1.Extension, created string) func(*v1alpha1.Agent) {
	return func(a *v1alpha1.Agent) {
		a.CreationTimestamp = stamp(created)
		a.Spec.Endpoint = &v1alpha1.Endpoint{Extension: extension}
	}
}

func withPhase(phase v1alpha1.AgentPhase) func(*v1alpha1.Agent) {
	return func(a *v1alpha1.Agent) { a.Status.Phase = phase }
}

func list(name, created string, members ...v1alpha1.AgentName) ListView {
	l := ListView{Name: name, Created: at(created)}
	for _, m := range members {
		l.Members = append(l.Members, v1alpha1.Member{Name: m})
	}
	return l
}

func selecting(l ListView, key, value string) ListView {
	l.Selector = labels.SelectorFromSet(labels.Set{key: value})
	return l
}

func wantAffected(t *testing.T, got Affected, agents, groups, teams, queues []string) {
	t.Helper()
	for _, x := range []struct {
		kind      string
		got, want []string
	}{{"agents", got.Agents, agents}, {"groups", got.Groups, groups}, {"teams", got.Teams, teams}, {"queues", got.Queues, queues}} {
		if !slices.Equal(x.got, x.want) {
			t.Errorf("touched %s %v, want %v", x.kind, x.got, x.want)
		}
	}
}

// One member changed in a group of thousands costs that person and the two groups.
func TestRelabelOneOfThousandsO2(t *testing.T) {
	d := NewDirectory()
	d.SetGroup(selecting(list("north", "08:00:00"), "dept", "north"))
	d.SetGroup(selecting(list("south", "08:00:01"), "dept", "south"))
	support := queue("support")
	support.Spec.Groups = []v1alpha1.QueueEntry{entry("north", 1)}
	support.Spec.MinimumStaff = new(int32(10))
	d.SetQueue(support)
	member := func(i int, dept string) *v1alpha1.Agent {
		return agent(fmt.Sprintf("agent-%04d", i), withPhase(v1alpha1.PhaseActive), func(a *v1alpha1.Agent) {
			a.Labels = map[string]string{"dept": dept}
			a.Status.Group = "north"
			a.Status.Queues = []v1alpha1.QueueMembership{{Name: "support", Stars: 1}}
		})
	}
	for i := range 5000 {
		d.SetAgent(ViewAgent(member(i, "north")))
	}
	if r := d.Group("north", 50); r.Members != 5000 || r.Unsettled {
		t.Fatalf("got %+v", r)
	}

	moved := member(1234, "south")
	wantAffected(t, d.SetAgent(ViewAgent(moved)), []string{"agent-1234"}, []string{"north", "south"}, nil, nil)
	if r := d.Group("north", 50); r.Members != 5000 || !r.Unsettled {
		t.Errorf("until the person's status says otherwise they count in the old group: %+v", r)
	}
	moved.Status.Group, moved.Status.Queues = "south", nil
	wantAffected(t, d.SetAgent(ViewAgent(moved)), []string{"agent-1234"}, []string{"north", "south"}, nil, nil)
	if r := d.Group("north", 50); r.Members != 4999 || r.Unsettled {
		t.Errorf("got %+v", r)
	}
	if r := d.Group("south", 50); r.Members != 1 || r.Unsettled {
		t.Errorf("got %+v", r)
	}
	wantAffected(t, d.SetAgent(ViewAgent(moved)), []string{"agent-1234"}, nil, nil, nil)
}

func TestQueueEditsTouchWhomTheyConcern(t *testing.T) {
	d := NewDirectory()
	for _, n := range []string{"ada", "ben", "cy", "dora", "eve", "fay", "gil"} {
		d.SetAgent(ViewAgent(agent(n)))
	}
	d.SetGroup(list("north", "08:00:00", "ada", "ben"))
	d.SetTeam(list("billing", "08:00:00", "cy"))
	supervisors := func(names ...string) (list []v1alpha1.Member) {
		for _, n := range names {
			list = append(list, v1alpha1.Member{Name: v1alpha1.AgentName(n)})
		}
		return list
	}
	q := queue("support")
	q.Spec.Agents = []v1alpha1.QueueEntry{entry("dora", 2)}
	q.Spec.Groups = []v1alpha1.QueueEntry{entry("north", 1)}
	q.Spec.Teams = []v1alpha1.QueueEntry{entry("billing", 1)}
	all := []string{"ada", "ben", "cy", "dora"}
	wantAffected(t, d.SetQueue(q), all, nil, nil, []string{"support"})

	for _, tt := range []struct {
		name string
		edit func(*v1alpha1.QueueSpec)
		want []string
	}{
		{"what no person rests on", func(s *v1alpha1.QueueSpec) {
			s.DisplayName, s.Strategy, s.TimeoutSeconds = "Help", v1alpha1.StrategyRingAll, 30
			s.MinimumStaff, s.Extension = new(int32(3)), "600"
		}, nil},
		{"the first supervisor", func(s *v1alpha1.QueueSpec) { s.Supervisors = supervisors("eve") }, []string{"ada", "ben", "cy", "dora", "eve"}},
		{"one more", func(s *v1alpha1.QueueSpec) { s.Supervisors = supervisors("fay", "eve") }, []string{"fay"}},
		{"the same in another order", func(s *v1alpha1.QueueSpec) { s.Supervisors = supervisors("eve", "fay") }, nil},
		{"one for another", func(s *v1alpha1.QueueSpec) { s.Supervisors = supervisors("fay", "gil") }, []string{"eve", "gil"}},
		{"one who does not exist", func(s *v1alpha1.QueueSpec) { s.Supervisors = supervisors("fay", "gil", "nobody") }, nil},
		{"stars and a supervisor at once", func(s *v1alpha1.QueueSpec) {
			s.Agents[0].Stars, s.Supervisors = 4, supervisors("fay")
		}, []string{"dora", "gil"}},
		{"stars of one", func(s *v1alpha1.QueueSpec) { s.Agents[0].Stars = 3 }, []string{"dora"}},
		{"channels of a group", func(s *v1alpha1.QueueSpec) { s.Groups[0].Channels = []v1alpha1.Channel{"Voice"} }, []string{"ada", "ben"}},
		{"a team taken out", func(s *v1alpha1.QueueSpec) { s.Teams = nil }, []string{"cy"}},
		{"a team put in", func(s *v1alpha1.QueueSpec) { s.Teams = []v1alpha1.QueueEntry{entry("billing", 1)} }, []string{"cy"}},
		{"competency, on which no supervision rests", func(s *v1alpha1.QueueSpec) { s.Competency = v1alpha1.CompetencyEnabled }, all},
		{"channels and an entry that goes with them", func(s *v1alpha1.QueueSpec) {
			s.Channels, s.Agents = []v1alpha1.Channel{"Voice", "Chat"}, nil
		}, all},
		{"a campaign", func(s *v1alpha1.QueueSpec) {
			s.Type, s.Window = v1alpha1.QueueTypeCampaign, &v1alpha1.Window{EndTime: ptr("17:00:00")}
		}, []string{"ada", "ben", "cy", "fay"}},
		{"the last supervisor, who answers from now on", func(s *v1alpha1.QueueSpec) {
			s.Agents, s.Supervisors = []v1alpha1.QueueEntry{entry("fay", 1)}, nil
		}, []string{"ada", "ben", "cy", "fay"}},
		{"one who does both", func(s *v1alpha1.QueueSpec) { s.Supervisors = supervisors("fay", "gil") }, []string{"ada", "ben", "cy", "fay", "gil"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			q = q.DeepCopy()
			tt.edit(&q.Spec)
			wantAffected(t, d.SetQueue(q), tt.want, nil, nil, []string{"support"})
		})
	}
	wantAffected(t, d.RemoveQueue("support"), []string{"ada", "ben", "cy", "fay", "gil"}, nil, nil, []string{"support"})
	wantAffected(t, d.RemoveQueue("support"), nil, nil, nil, []string{"support"})
}

func TestDanglingReferencesHealBothWays(t *testing.T) {
	d := NewDirectory()
	q := queue("support")
	q.Spec.Agents, q.Spec.Supervisors = []v1alpha1.QueueEntry{entry("ada", 1)}, []v1alpha1.Member{{Name: "ben"}}
	q.Spec.Groups, q.Spec.Teams = []v1alpha1.QueueEntry{entry("north", 1)}, []v1alpha1.QueueEntry{entry("billing", 1)}
	d.SetQueue(q)
	missing := func(want ...string) {
		t.Helper()
		if got := d.Queue("support").Missing; !slices.Equal(got, want) {
			t.Errorf("missing %v, want %v", got, want)
		}
	}
	missing("Agent ada", "Agent ben", "AgentGroup north", "Team billing")
	wantAffected(t, d.SetAgent(ViewAgent(agent("ada"))), []string{"ada"}, nil, nil, []string{"support"})
	wantAffected(t, d.SetGroup(list("north", "08:00:00", "ada", "cy", "cy-two")), []string{"ada"}, []string{"north"}, nil, []string{"support"})
	wantAffected(t, d.SetTeam(list("billing", "08:00:00", "cy")), nil, nil, []string{"billing"}, []string{"support"})
	missing("Agent ben")
	if r := d.Group("north", 1); !slices.Equal(r.Missing, []string{"cy"}) || r.MissingTotal != 2 {
		t.Errorf("a report names as many as were asked for, and the total: %+v", r)
	}
	wantAffected(t, d.SetAgent(ViewAgent(agent("cy"))), []string{"cy"}, []string{"north"}, []string{"billing"}, nil)
	if r := d.Team("billing", 50); r.MissingTotal != 0 || !r.Unsettled {
		t.Errorf("got %+v", r)
	}
	wantAffected(t, d.RemoveAgent("cy"), []string{"cy"}, []string{"north"}, []string{"billing"}, nil)
	wantAffected(t, d.RemoveTeam("billing"), nil, nil, []string{"billing"}, []string{"support"})
	wantAffected(t, d.RemoveGroup("north"), []string{"ada"}, []string{"north"}, nil, []string{"support"})
	wantAffected(t, d.RemoveAgent("ada"), []string{"ada"}, nil, nil, []string{"support"})
	missing("Agent ada", "Agent ben", "AgentGroup north", "Team billing")
}

// When a holder lets go, the groups that waited hear of it, and the next one gets the person with no edit.
func TestConflictPassesOnO3O4(t *testing.T) {
	d := NewDirectory()
	held := agent("ada", withPhase(v1alpha1.PhaseActive), func(a *v1alpha1.Agent) { a.Status.Group = "north" })
	d.SetAgent(ViewAgent(held))
	d.SetGroup(list("north", "08:00:00", "ada"))
	wantAffected(t, d.SetGroup(list("south", "07:00:00", "ada")), []string{"ada"}, []string{"south"}, nil, nil)
	if r := d.Group("south", 50); !slices.Equal(r.Conflicts, []Conflict{{"ada", "north"}}) || r.Members != 0 || r.Unsettled {
		t.Errorf("got %+v", r)
	}
	if r := d.Group("south", 0); len(r.Conflicts) != 0 || r.ConflictsTotal != 1 {
		t.Errorf("got %+v", r)
	}
	// Deleting a group deletes nobody: the person goes on, to the next one.
	wantAffected(t, d.RemoveGroup("north"), []string{"ada"}, []string{"north", "south"}, nil, nil)
	if !d.Has("ada") {
		t.Error("ada went with her group")
	}
	if r := d.Group("south", 50); !r.Unsettled {
		t.Errorf("ada's status names a group that is gone: %+v", r)
	}
	declared, _ := d.Declared("ada")
	if got := Holder(declared.Claims, "north"); got != "south" {
		t.Errorf("held by %q", got)
	}
	held.Status.Group = "south"
	wantAffected(t, d.SetAgent(ViewAgent(held)), []string{"ada"}, []string{"north", "south"}, nil, nil)
	if r := d.Group("south", 50); r.ConflictsTotal != 0 || r.Members != 1 || r.Unsettled {
		t.Errorf("got %+v", r)
	}
}

func TestExtensionClaimsC6(t *testing.T) {
	d := NewDirectory()
	old := agent("old", withExtension("600", "08:00:00"), withPhase(v1alpha1.PhaseActive))
	young := agent("young", withExtension("600", "10:00:00"))
	q := queue("support")
	q.Spec.Extension, q.CreationTimestamp = "600", stamp("09:00:00")
	takenBy := func(wantOld, wantQueue, wantYoung string) {
		t.Helper()
		if a, b, c := d.ExtensionTakenBy(old), d.Queue("support").ExtensionTakenBy, d.ExtensionTakenBy(young); a != wantOld || b != wantQueue || c != wantYoung {
			t.Errorf("taken by %q, %q, %q; want %q, %q, %q", a, b, c, wantOld, wantQueue, wantYoung)
		}
	}
	d.SetAgent(ViewAgent(young))
	takenBy("", "", "")
	wantAffected(t, d.SetQueue(q), []string{"young"}, nil, nil, []string{"support"})
	takenBy("", "", "Queue support")
	wantAffected(t, d.SetAgent(ViewAgent(old)), []string{"old", "young"}, nil, nil, []string{"support"})
	takenBy("", "Agent old", "Agent old")

	old.Status.Phase = v1alpha1.PhaseDeactivating
	wantAffected(t, d.SetAgent(ViewAgent(old)), []string{"old", "young"}, nil, nil, []string{"support"})
	takenBy("", "", "Queue support")
	third := agent("third", withExtension("600", "11:00:00"))
	wantAffected(t, d.SetAgent(ViewAgent(third)), []string{"third"}, nil, nil, nil)

	// One who may not work yet is told when the extension is free: their status may be written before they hear of it.
	young.Status.Phase = v1alpha1.PhasePending
	d.SetAgent(ViewAgent(young))
	wantAffected(t, d.RemoveQueue("support"), []string{"old", "third", "young"}, nil, nil, []string{"support"})

	if got := d.ExtensionTakenBy(agent("none")); got != "" {
		t.Errorf("a person without a phone is refused for %q", got)
	}
	tie := agent("tie", withExtension("601", "08:00:00"))
	d.SetAgent(ViewAgent(tie))
	q2 := queue("a-queue")
	q2.Spec.Extension = "601"
	d.SetQueue(q2)
	if got := d.Queue("a-queue").ExtensionTakenBy; got != "Agent tie" {
		t.Errorf("of equal age the person has it, got %q", got)
	}
	declaredOut := agent("tie", withExtension("601", "08:00:00"), func(a *v1alpha1.Agent) { a.Spec.State = v1alpha1.StateDeactivated })
	wantAffected(t, d.SetAgent(ViewAgent(declaredOut)), []string{"tie"}, nil, nil, []string{"a-queue"})
	if got := d.Queue("a-queue").ExtensionTakenBy; got != "" {
		t.Errorf("taken by %q, who is out", got)
	}
}

func TestTeamReportG3(t *testing.T) {
	revoked := func(teams ...v1alpha1.ObjectName) func(*v1alpha1.Agent) {
		return func(a *v1alpha1.Agent) {
			for _, name := range teams {
				a.Status.Revoked = append(a.Status.Revoked, v1alpha1.Revocation{Kind: v1alpha1.EntryTeam, Name: name})
			}
		}
	}
	d := NewDirectory()
	d.SetTeam(list("billing", "08:00:00", "ada"))
	d.SetTeam(list("sales", "08:00:00", "ada"))
	both := []string{"billing", "sales"}
	wantAffected(t, d.SetAgent(ViewAgent(agent("ada"))), []string{"ada"}, nil, both, nil)
	if r := d.Team("billing", 50); !r.Unsettled || r.Members != 0 {
		t.Errorf("nobody looked at ada yet: %+v", r)
	}
	wantAffected(t, d.SetAgent(ViewAgent(agent("ada", withPhase("Deactivated"), revoked("billing", "sales")))), []string{"ada"}, nil, both, nil)
	if r := d.Team("billing", 50); r.Unsettled {
		t.Errorf("who is out is in no team, and that is settled: %+v", r)
	}
	wantAffected(t, d.SetAgent(ViewAgent(agent("ada", withPhase("Active"), revoked("billing")))), []string{"ada"}, nil, []string{"sales"}, nil)
	// As many revocations as before, and others.
	wantAffected(t, d.SetAgent(ViewAgent(agent("ada", withPhase("Active"), revoked("sales")))), []string{"ada"}, nil, both, nil)
	wantAffected(t, d.SetAgent(ViewAgent(agent("ada", withPhase("OnLeave"), revoked("sales")))), []string{"ada"}, nil, nil, nil)
}

func TestSelectors(t *testing.T) {
	d := NewDirectory()
	d.SetAgent(ViewAgent(agent("ada")))
	g := list("all", "08:00:00")
	for _, tt := range []struct {
		name     string
		selector labels.Selector
		want     bool
	}{{"none", nil, false}, {"nothing", labels.Nothing(), false}, {"everything", labels.Everything(), true}, {"nothing again", labels.Nothing(), false}} {
		g.Selector = tt.selector
		d.SetGroup(g)
		if declared, _ := d.Declared("ada"); (len(declared.Claims) > 0) != tt.want {
			t.Errorf("%s: claims %v", tt.name, declared.Claims)
		}
	}
	g.Selector = labels.Everything()
	wantAffected(t, d.SetGroup(g), []string{"ada"}, []string{"all"}, nil, nil)
	leaving := agent("ada", func(a *v1alpha1.Agent) { a.DeletionTimestamp = ptr("12:00:00") })
	wantAffected(t, d.SetAgent(ViewAgent(leaving)), []string{"ada"}, []string{"all"}, nil, nil)
	if declared, ok := d.Declared("ada"); !ok || len(declared.Claims) > 0 {
		t.Errorf("nothing lists who is on the way out, got %v", declared.Claims)
	}
	g.Color = "#1F77B4"
	wantAffected(t, d.SetGroup(g), nil, []string{"all"}, nil, nil)
	d.SetAgent(ViewAgent(agent("ben")))
	g.Color = "#000000"
	wantAffected(t, d.SetGroup(g), []string{"ben"}, []string{"all"}, nil, nil)
}

func TestSecretUsers(t *testing.T) {
	d := NewDirectory()
	with := func(password, pin string) func(*v1alpha1.Agent) {
		return func(a *v1alpha1.Agent) {
			a.Spec.Endpoint = &v1alpha1.Endpoint{}
			if password != "" {
				a.Spec.Endpoint.PasswordSecretRef = &v1alpha1.SecretKeyReference{Name: password}
			}
			if pin != "" {
				a.Spec.Endpoint.Voicemail = &v1alpha1.Voicemail{PINSecretRef: v1alpha1.SecretKeyReference{Name: pin}}
			}
		}
	}
	for _, a := range []*v1alpha1.Agent{
		agent("ada"), agent("ben", with("vault", "vault")), agent("cy", with("vault", "ada-sip")), agent("dora", with("", "dora-sip")),
	} {
		d.SetAgent(ViewAgent(a))
	}
	want := func(secret string, users ...string) {
		t.Helper()
		if got := d.SecretUsers(secret); !slices.Equal(got, users) {
			t.Errorf("%s is used by %v, want %v", secret, got, users)
		}
	}
	want("ada-sip", "ada", "cy")
	want("vault", "ben", "cy")
	want("dora-sip", "dora")
	want("ben-sip")
	want("nobody-sip")
	d.SetAgent(ViewAgent(agent("cy", with("", ""))))
	want("vault", "ben")
	want("cy-sip", "cy")
	d.RemoveAgent("ben")
	d.RemoveAgent("ada")
	want("vault")
	want("ada-sip")
}

func TestShortQueueIsToldAtTheEdge(t *testing.T) {
	d := NewDirectory()
	q := queue("support")
	q.Spec.MinimumStaff = new(int32(2))
	d.SetQueue(q)
	serving := func(name string, phase v1alpha1.AgentPhase) AgentView {
		return ViewAgent(agent(name, withPhase(phase), func(a *v1alpha1.Agent) {
			a.Status.Queues = []v1alpha1.QueueMembership{{Name: "support", Stars: 1}}
		}))
	}
	for _, tt := range []struct {
		agent  string
		phase  v1alpha1.AgentPhase
		told   []string
		short  bool
		reason string
	}{
		{"ada", "Active", nil, true, "one is still too few"},
		{"ben", "OnLeave", nil, true, "who is away does not count"},
		{"cy", "Active", []string{"support"}, false, "two are enough"},
		{"ben", "Active", nil, false, "three are no news"},
		{"ada", "OnLeave", nil, false, "nor two again"},
		{"cy", "Deactivated", []string{"support"}, true, "one is too few"},
	} {
		touched := d.SetAgent(serving(tt.agent, tt.phase))
		if !slices.Equal(touched.Queues, tt.told) || d.Queue("support").Short != tt.short {
			t.Errorf("%s: told %v, short %t", tt.reason, touched.Queues, d.Queue("support").Short)
		}
	}
	// A queue that comes after its people counts them.
	late := NewDirectory()
	late.SetAgent(serving("ada", "Active"))
	late.SetAgent(serving("ben", "Active"))
	late.SetQueue(q)
	if late.Queue("support").Short {
		t.Error("a queue made last misses the staff that was there")
	}
}

func TestUnknownNames(t *testing.T) {
	d := NewDirectory()
	if _, ok := d.Declared("nobody"); ok || d.Has("nobody") {
		t.Error("knows somebody it was never told of")
	}
	if r := d.Group("none", 50); r.Members != 0 || r.Unsettled {
		t.Errorf("got %+v", r)
	}
	wantAffected(t, d.RemoveAgent("nobody"), []string{"nobody"}, nil, nil, nil)
	wantAffected(t, d.RemoveGroup("none"), nil, []string{"none"}, nil, nil)
	wantAffected(t, d.RemoveTeam("none"), nil, nil, []string{"none"}, nil)
}

// What a caller was given stays as it was, whatever happens meanwhile. Run with -race.
func TestConcurrentUse(t *testing.T) {
	d := NewDirectory()
	for i := range 50 {
		d.SetAgent(ViewAgent(agent(fmt.Sprintf("agent-%d", i))))
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 200 {
				name := fmt.Sprintf("list-%d", (i+worker)%3)
				switch {
				case i%7 == worker:
					d.RemoveTeam(name)
				case i%2 == 0:
					d.SetTeam(list(name, "08:00:00", v1alpha1.AgentName(fmt.Sprintf("agent-%d", i%50))))
				default:
					l := list(name, "08:00:00")
					l.Selector = labels.Everything()
					d.SetGroup(l)
				}
			}
		})
		wg.Go(func() {
			for i := range 400 {
				declared, _ := d.Declared(fmt.Sprintf("agent-%d", i%50))
				if !slices.IsSorted(declared.Teams) {
					t.Error("teams are not sorted")
				}
				d.Group("list-1", 10)
				d.Counts()
			}
		})
	}
	wg.Wait()
}
