package roster

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"roster.dev/roster/api/v1alpha1"
)

const (
	cs = v1alpha1.RoleCustomerService
	ts = v1alpha1.RoleTeamSupervisor
	tl = v1alpha1.RoleTeamLeader
	cv = v1alpha1.RoleCallCenterSupervisor
	cm = v1alpha1.RoleCallCenterManager
)

var roles = []v1alpha1.AgentRole{cs, ts, tl, cv, cm}

// hears says by labels what MayMonitor says by rules; whoever is not working has none.
func hears(listener, target Monitored) bool {
	if !Working(listener.Phase) || !Working(target.Phase) {
		return false
	}
	carried, _ := SpyGroups(target.Center, target.Role, target.Teams, target.Queues)
	heard, _ := Monitors(listener.Center, listener.Role, listener.Teams, listener.Supervises)
	return Shares(carried, heard)
}

func TestMayMonitorC5B9(t *testing.T) {
	// What a role (first) hears of each role, in the order of roles, in the same team and in no common team.
	matrix := []struct {
		role          v1alpha1.AgentRole
		same, another string
	}{
		{cs, "-----", "-----"},
		{ts, "x----", "-----"},
		{tl, "xxx--", "-----"},
		{cv, "x----", "x----"},
		{cm, "xxxxx", "xxxxx"},
	}
	for _, row := range matrix {
		for i, role := range roles {
			for teams, want := range map[string]byte{"billing": row.same[i], "sales": row.another[i]} {
				listener := Monitored{Center: "acme", Name: "ada", Phase: v1alpha1.PhaseActive, Role: row.role, Teams: []string{"billing"}}
				target := Monitored{Center: "acme", Name: "ben", Phase: v1alpha1.PhaseOnLeave, Role: role, Teams: []string{teams}}
				name := fmt.Sprintf("%s of billing, %s of %s", row.role, role, teams)
				if got := MayMonitor(listener, target); got != (want == 'x') {
					t.Errorf("%s: may listen %t", name, got)
				}
				if got := hears(listener, target); got != (want == 'x') {
					t.Errorf("%s: labels say %t", name, got)
				}
			}
		}
	}
}

func TestMayMonitorExceptionsC5(t *testing.T) {
	person := func(name string, role v1alpha1.AgentRole, teams ...string) Monitored {
		return Monitored{Center: "acme", Name: name, Phase: v1alpha1.PhaseActive, Role: role, Teams: teams}
	}
	with := func(m Monitored, edit func(*Monitored)) Monitored {
		edit(&m)
		return m
	}
	elsewhere := func(m *Monitored) { m.Center = "other" }
	serves := func(m *Monitored) { m.Queues = []string{"support"} }
	servesAnother := func(m *Monitored) { m.Queues = []string{"orders", "supports"} }
	supervises := func(m *Monitored) { m.Supervises = []string{"support"} }
	phase := func(p v1alpha1.AgentPhase) func(*Monitored) { return func(m *Monitored) { m.Phase = p } }
	tests := []struct {
		name             string
		reason           string
		listener, target Monitored
		want             bool
	}{
		{"Self", "nobody listens to themself", person("ada", cm), person("ada", cm), false},
		{"SelfInTeam", "nor a leader in a team of their own", person("ada", tl, "billing"), person("ada", tl, "billing"), false},
		{"OtherCenter", "a centre ends at its border", person("ada", cm), with(person("ben", cs), elsewhere), false},
		{"OtherCenterSameName", "so do its teams", person("ada", ts, "billing"), with(person("ben", cs, "billing"), elsewhere), false},
		{"ListenerOut", "who is out hears nobody", with(person("ada", cm), phase("Deactivated")), person("ben", cs), false},
		{"ListenerGoing", "not even while going", with(person("ada", cm), phase("Deactivating")), person("ben", cs), false},
		{"ListenerPending", "nor before the start", with(person("ada", cm), phase("Pending")), person("ben", cs), false},
		{"ListenerUnseen", "nor before anybody looked", with(person("ada", cm), phase("")), person("ben", cs), false},
		{"TargetOut", "a refused phone has no label", person("ada", cm), with(person("ben", cs), phase("Deactivated")), false},
		{"ListenerOnLeave", "a leave takes no right", with(person("ada", cm), phase("OnLeave")), person("ben", cs), true},
		{"NoTeams", "without a team there is no same team", person("ada", tl), person("ben", cs), false},
		{"OneOfMany", "one common team is enough", person("ada", ts, "a", "m", "z"), person("ben", cs, "b", "m", "y"), true},
		{"DefaultRole", "no role is Customer Service", person("ada", cv), person("ben", ""), true},
		{"DefaultRoleHearsNobody", "no role is Customer Service", person("ada", "", "billing"), person("ben", cs, "billing"), false},
		{"UnknownRole", "a role that the rules do not know hears nobody", person("ada", "Auditor", "billing"), person("ben", cs, "billing"), false},
		{"SupervisorS9", "whoever supervises a queue hears its people, whatever the roles",
			with(person("ada", cs), supervises), with(person("ben", cm), serves), true},
		{"SupervisorOnLeaveS9", "a leave takes no right", with(with(person("ada", cs), supervises), phase("OnLeave")), with(person("ben", cs), serves), true},
		{"SupervisorUnknownRoleS9", "whatever the role is", with(person("ada", "Auditor"), supervises), with(person("ben", "Auditor"), serves), true},
		{"SupervisorBesidesS9", "the role's right is not less for it", with(person("ada", cm), supervises), person("ben", cs), true},
		{"SupervisorOutS9", "who is out hears nobody", with(with(person("ada", cs), supervises), phase("Deactivated")), with(person("ben", cs), serves), false},
		{"MemberOutS9", "who is out is not heard", with(person("ada", cs), supervises), with(with(person("ben", cs), serves), phase("Deactivating")), false},
		{"SupervisorOfAnotherS9", "of that queue only", with(person("ada", cs), supervises), with(person("ben", cs), servesAnother), false},
		{"SupervisorsS9", "supervisors do not hear each other for it", with(person("ada", cs), supervises), with(person("ben", cs), supervises), false},
		{"MembersS9", "nor members each other", with(person("ada", cs), serves), with(person("ben", cs), serves), false},
		{"HeardS9", "nor does a member hear the supervisor", with(person("ada", cs), serves), with(person("ben", cs), supervises), false},
		{"SupervisorBothS9", "nobody listens to themself by being both",
			with(with(person("ada", cs), supervises), serves), with(with(person("ada", cs), supervises), serves), false},
		{"SupervisorsBothS9", "but they do to another who is both",
			with(with(person("ada", cs), supervises), serves), with(with(person("ben", cs), supervises), serves), true},
		{"SupervisorElsewhereS9", "a queue of the same name in another centre is another queue",
			with(person("ada", cs), supervises), with(with(person("ben", cs), serves), elsewhere), false},
		{"QueueNamedAsTeamS9", "a queue's name is no team's", with(person("ada", ts, "support"), supervises), person("ben", cm, "support"), false},
		{"TeamNamedAsCenter", "a team's name is no centre's", person("ada", ts, "acme"), person("ben", cs, "billing"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := MayMonitor(tt.listener, tt.target); got != tt.want {
				t.Errorf("%s: may listen %t", tt.reason, got)
			}
			if tt.listener.Name != tt.target.Name && hears(tt.listener, tt.target) != tt.want {
				t.Errorf("%s: labels disagree", tt.reason)
			}
		})
	}
}

func drawMonitored(t *rapid.T, label string) Monitored {
	return Monitored{
		Center: rapid.SampledFrom([]string{"acme", "other"}).Draw(t, label+" center"),
		Name:   rapid.SampledFrom(agentNames).Draw(t, label),
		Phase: rapid.SampledFrom([]v1alpha1.AgentPhase{
			v1alpha1.PhaseActive, v1alpha1.PhaseActive, v1alpha1.PhaseOnLeave, v1alpha1.PhasePending,
			v1alpha1.PhaseDeactivating, v1alpha1.PhaseDeactivated, "",
		}).Draw(t, label+" phase"),
		Role:       rapid.SampledFrom(append([]v1alpha1.AgentRole{""}, roles...)).Draw(t, label+" role"),
		Teams:      subset(t, label+" team", []string{"acme", "billing", "lead", "line", "sales"}),
		Queues:     subset(t, label+" queue", []string{"acme", "billing", "claims", "members"}),
		Supervises: subset(t, label+" supervises", []string{"acme", "billing", "claims", "members"}),
	}
}

// TestLabelsAreTheRightC5B9S9: two people have a label in common exactly where one may listen to the other.
func TestLabelsAreTheRightC5B9S9(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		listener, target := drawMonitored(t, "listener"), drawMonitored(t, "target")
		if listener.Center == target.Center && listener.Name == target.Name {
			if MayMonitor(listener, target) {
				t.Fatal("somebody may listen to themself")
			}
			return
		}
		if may, labels := MayMonitor(listener, target), hears(listener, target); may != labels {
			t.Fatalf("may listen %t, labels say %t", may, labels)
		}
	})
}

// TestLabelsFitC5S9: whatever the number of teams and queues, lists are whole labels that Asterisk does not cut, the first
// teams are in them, then the first queues, and where some are left out, labels allow less than the rules and never more.
func TestLabelsFitC5S9(t *testing.T) {
	whole := regexp.MustCompile(`^([a-z2-7]{10}(:[a-z2-7]{10})*)?$`)
	rapid.Check(t, func(t *rapid.T) {
		names := func(label string) (list []string) {
			first := rapid.IntRange(0, 30).Draw(t, "first "+label)
			for i := range rapid.SampledFrom([]int{0, 1, 3, 20, 40, 256}).Draw(t, label+"s") {
				list = append(list, fmt.Sprintf("%s-%03d", label, first+i))
			}
			return list
		}
		draw := func(label string) Monitored {
			m := drawMonitored(t, label)
			m.Teams, m.Queues, m.Supervises = names("team"), names("queue"), names("queue")
			return m
		}
		keep := func(m *Monitored, labels func(string, v1alpha1.AgentRole, []string, []string) (string, LeftOut), queues *[]string) {
			list, leftOut := labels(m.Center, m.Role, m.Teams, *queues)
			if len(list) > 500 || !whole.MatchString(list) {
				t.Fatalf("%d bytes: %s", len(list), list)
			}
			teams, some := m.Teams[:len(m.Teams)-len(leftOut.Teams)], (*queues)[:len(*queues)-len(leftOut.Queues)]
			if !slices.Equal(slices.Concat(teams, leftOut.Teams), m.Teams) || !slices.Equal(slices.Concat(some, leftOut.Queues), *queues) {
				t.Fatalf("left out %v", leftOut)
			}
			m.Teams, *queues = teams, some
			if again, none := labels(m.Center, m.Role, m.Teams, *queues); again != list || len(none.Teams)+len(none.Queues) > 0 {
				t.Fatalf("the first %d teams and %d queues make %s, not %s, and leave %v out", len(m.Teams), len(*queues), again, list, none)
			}
			if len(leftOut.Teams) > 0 && len(list) <= 500-2*11 || len(leftOut.Queues) > 0 && len(list) <= 500-11 {
				t.Fatalf("%v left out of %d bytes", leftOut, len(list))
			}
		}
		listener, target := draw("listener"), draw("target")
		if listener.Name == target.Name {
			return
		}
		got, may := hears(listener, target), MayMonitor(listener, target)
		keep(&listener, Monitors, &listener.Supervises)
		keep(&target, SpyGroups, &target.Queues)
		if want := MayMonitor(listener, target); got != want {
			t.Fatalf("labels say %t of what fits, the rules %t", got, want)
		}
		if got && !may {
			t.Fatal("labels allow what rules do not")
		}
	})
}

// TestRoomC5S9 is what documentation says of how many teams and queues fit.
func TestRoomC5S9(t *testing.T) {
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprintf("name-%02d", i))
	}
	for _, tt := range []struct {
		role                         v1alpha1.AgentRole
		teams                        int
		carriedTeams, heardTeams     int
		carriedQueues, heardByQueues int
	}{
		{cs, 0, 0, 0, 44, 45}, {ts, 0, 0, 0, 44, 45}, {tl, 0, 0, 0, 44, 45}, {cv, 0, 0, 0, 44, 44}, {cm, 0, 0, 0, 44, 43},
		{cs, 3, 3, 3, 41, 45}, {ts, 3, 3, 3, 41, 42}, {tl, 3, 3, 3, 41, 39}, {cv, 3, 3, 3, 44, 44},
		{cs, 100, 44, 100, 0, 45}, {ts, 100, 44, 45, 0, 0}, {tl, 100, 44, 22, 0, 1}, {cv, 100, 100, 100, 44, 44}, {cm, 100, 100, 100, 44, 43},
	} {
		_, carried := SpyGroups("acme", tt.role, names[:tt.teams], names)
		_, heard := Monitors("acme", tt.role, names[:tt.teams], names)
		got := []int{tt.teams - len(carried.Teams), tt.teams - len(heard.Teams), 100 - len(carried.Queues), 100 - len(heard.Queues)}
		if want := []int{tt.carriedTeams, tt.heardTeams, tt.carriedQueues, tt.heardByQueues}; !slices.Equal(got, want) {
			t.Errorf("%s of %d teams: carries and hears teams, carries and hears queues: %v, want %v", tt.role, tt.teams, got, want)
		}
	}
}

// TestLabelsStayC5S9: a label is written into databases, so that a new version of Roster has to make the same.
func TestLabelsStayC5S9(t *testing.T) {
	label := func(kind, name string) string {
		sum := sha256.Sum256([]byte("staff.roster.dev/spygroup\n" + kind + "\nacme\n" + name))
		return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:10]
	}
	carried, _ := SpyGroups("acme", cs, []string{"billing"}, []string{"support"})
	if want := label("center/line", "") + ":" + label("team/line", "billing") + ":" + label("queue/members", "support"); carried != want {
		t.Errorf("got %s, want %s", carried, want)
	}
	heard, _ := Monitors("acme", tl, []string{"billing"}, []string{"support"})
	if want := label("team/line", "billing") + ":" + label("team/lead", "billing") + ":" + label("queue/members", "support"); heard != want {
		t.Errorf("got %s, want %s", heard, want)
	}
	if heard, _ := Monitors("acme", cs, []string{"billing"}, nil); heard != "" {
		t.Errorf("Customer Service hears %s", heard)
	}
}

func TestShares(t *testing.T) {
	tests := []struct {
		carried, heard string
		want           bool
	}{
		{"", "", false},
		{"a", "", false},
		{"", "a", false},
		{"a", "a", true},
		{"a:b", "c:b", true},
		{"a:b", "b", true},
		{"a", "c:a", true},
		{"a:b", "c:d", false},
		{"ab", "a", false},
		{"a", "ab", false},
		{"a:b", "a:b:", true},
		{"a::b", "c::d", false},
		{":", ":", false},
	}
	for _, tt := range tests {
		if got := Shares(tt.carried, tt.heard); got != tt.want {
			t.Errorf("%q and %q: %t", tt.carried, tt.heard, got)
		}
	}
	carried, heard := strings.Repeat("aaaaaaaaaa:", 44)+"x", strings.Repeat("bbbbbbbbbb:", 44)+"x"
	if n := testing.AllocsPerRun(100, func() { Shares(carried, heard) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestDecideMonitoringC5S9: the decision's labels are those of the teams and queues in effect, while the person works.
func TestDecideMonitoringC5S9(t *testing.T) {
	tests := []struct {
		name                      string
		reason                    string
		edit                      func(*Person)
		teams, queues, supervises string
		none                      bool
	}{
		{"Active", "team, role and queues", func(*Person) {}, "billing", "support", "claims", false},
		{"OnLeave", "who is away keeps them", func(p *Person) {
			p.Spec.Leaves = []v1alpha1.Leave{leave("09:00:00", "17:00:00", v1alpha1.ReasonVacation)}
		}, "billing", "support", "claims", false},
		{
			"Unlicensed", "the phone works, and so is heard; to supervise is no membership",
			func(p *Person) { p.Spec.License = v1alpha1.LicenseNone }, "billing", "", "claims", false,
		},
		{"Waiting", "so it is with who waits for a seat", func(p *Person) { p.Seated = false }, "billing", "", "claims", false},
		{"Revoked", "a revoked team does not count", func(p *Person) {
			p.Recorded.Revoked = []Revocation{{Entry{v1alpha1.EntryTeam, "billing"}, at("08:00:00")}}
		}, "", "support", "claims", false},
		{"RevokedEntry", "nor a queue to which no other way is left", func(p *Person) {
			p.Recorded.Revoked = []Revocation{{Entry{v1alpha1.EntryQueue, "support"}, at("08:00:00")}}
			p.Declared.Ways = p.Declared.Ways[:2]
		}, "billing", "", "claims", false},
		{"Closed", "outside a campaign's window there is nothing to hear", func(p *Person) {
			shut := queue("claims")
			window("13:00:00", "")(shut)
			p.Declared.Supervises = []*QueueView{ViewQueue(shut)}
			p.Declared.Ways = nil
		}, "billing", "", "", false},
		{"Foreign", "nor of a queue whose name is somebody else's", func(p *Person) {
			foreign := queue("claims")
			foreign.Status.Conditions = append(foreign.Status.Conditions, condition(ReasonNameTaken))
			p.Declared.Supervises = []*QueueView{ViewQueue(foreign)}
		}, "billing", "support", "", false},
		{"Pending", "not yet", func(p *Person) { p.Spec.Employment = &v1alpha1.Employment{StartTime: ptr("13:00:00")} }, "", "", "", true},
		{"Deactivated", "no more", func(p *Person) { p.Spec.State = v1alpha1.StateDeactivated }, "", "", "", true},
		{"Deleted", "no more", func(p *Person) { p.Deleted = true }, "", "", "", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := staffed()
			p.Center, p.Spec.Role = "acme", tl
			support := queue("support")
			support.Spec.Supervisors = []v1alpha1.Member{{Name: "ben"}} // nobody supervises the others
			for i := range p.Declared.Ways {
				if p.Declared.Ways[i].Queue.Name == support.Name {
					p.Declared.Ways[i].Queue = ViewQueue(support)
				}
			}
			p.Declared.Supervises = []*QueueView{ViewQueue(queue("claims"))}
			tt.edit(&p)
			e := Decide(&p, at("12:00:00"))
			carried, _ := SpyGroups("acme", tl, strings.Fields(tt.teams), strings.Fields(tt.queues))
			heard, _ := Monitors("acme", tl, strings.Fields(tt.teams), strings.Fields(tt.supervises))
			if tt.none {
				carried, heard = "", ""
			}
			if e.SpyGroups != carried || e.Monitors != heard || len(e.Unmonitored.Teams)+len(e.Unmonitored.Queues) > 0 {
				t.Errorf("%s: carries %q and hears %q, want %q and %q; left out %v",
					tt.reason, e.SpyGroups, e.Monitors, carried, heard, e.Unmonitored)
			}
			if got := strings.Join(e.Supervises, " "); got != tt.supervises {
				t.Errorf("%s: supervises %q, want %q", tt.reason, got, tt.supervises)
			}
		})
	}
}

func TestDecideUnmonitoredC5S9(t *testing.T) {
	p := staffed()
	p.Center, p.Spec.Role = "acme", tl
	p.Declared.Teams, p.Declared.Ways = nil, nil
	for i := range 50 {
		p.Declared.Teams = append(p.Declared.Teams, fmt.Sprintf("team-%02d", i))
	}
	for _, n := range []string{"claims", "orders"} {
		q := queue(n)
		q.Spec.Supervisors = []v1alpha1.Member{{Name: "ben"}}
		p.Declared.Ways = append(p.Declared.Ways, Way{ViewQueue(q), WayDirect, "", new(entry("ada", 1))})
	}
	for _, n := range []string{"orders", "support", "vip"} {
		p.Declared.Supervises = append(p.Declared.Supervises, ViewQueue(queue(n)))
	}
	e := Decide(&p, at("12:00:00"))
	if u := e.Unmonitored; len(e.Teams) != 50 || !slices.Equal(u.Teams, p.Declared.Teams[22:]) ||
		!slices.Equal(u.Queues, []string{"claims", "orders", "support", "vip"}) {
		t.Errorf("of %d teams and 5 queues these are left out: %v", len(e.Teams), u)
	}
}

// TestDecideSupervisesB1S9: the right comes and goes with the campaign, to the second.
func TestDecideSupervisesB1S9(t *testing.T) {
	campaign := queue("campaign")
	window("09:00:00", "17:00:00")(campaign)
	campaign.Spec.Supervisors = []v1alpha1.Member{{Name: "ada"}}
	view := ViewQueue(campaign)
	for _, tt := range []struct {
		now        string
		supervises bool
		next       string
	}{{"08:59:59", false, "09:00:00"}, {"09:00:00", true, "17:00:00"}, {"16:59:59", true, "17:00:00"}, {"17:00:00", false, ""}} {
		ada := Person{Center: "acme", Spec: &v1alpha1.AgentSpec{License: v1alpha1.LicenseNone}, Recorded: Recorded{Phase: "Active"}}
		ada.Declared.Supervises = []*QueueView{view}
		ben := Person{Center: "acme", Spec: &v1alpha1.AgentSpec{}, Seated: true, Recorded: Recorded{Phase: "Active"}}
		ben.Declared.Ways = []Way{{view, WayDirect, "", new(entry("ben", 1))}}
		listener, target := Decide(&ada, at(tt.now)), Decide(&ben, at(tt.now))
		if got := Shares(target.SpyGroups, listener.Monitors); got != tt.supervises || len(listener.Supervises) > 0 != got {
			t.Errorf("%s: hears %t, supervises %v", tt.now, got, listener.Supervises)
		}
		var next time.Time
		if tt.next != "" {
			next = at(tt.next)
		}
		if !listener.Next.Equal(next) {
			t.Errorf("%s: next %s", tt.now, stampOf(listener.Next))
		}
	}
}

func BenchmarkLabels(b *testing.B) {
	for _, n := range []int{1, 3, 22} {
		var teams []string
		for i := range n {
			teams = append(teams, fmt.Sprintf("team-%02d", i))
		}
		b.Run(fmt.Sprintf("teams=%d,queues=%d", n, n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				SpyGroups("acme", tl, teams, teams)
				Monitors("acme", tl, teams, teams)
			}
		})
	}
}

func BenchmarkShares(b *testing.B) {
	var teams []string
	for i := range 44 {
		teams = append(teams, fmt.Sprintf("team-%02d", i))
	}
	others := slices.Clone(teams)
	for i := range others {
		others[i] = "other-" + others[i]
	}
	carried, _ := SpyGroups("acme", cs, teams, nil)
	heard, _ := Monitors("acme", ts, others, nil)
	b.ReportAllocs()
	for b.Loop() {
		Shares(carried, heard)
	}
}
