package roster

import (
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

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
	carried, _ := SpyGroups(target.Center, target.Role, target.Teams)
	heard, _ := Monitors(listener.Center, listener.Role, listener.Teams)
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
				listener := Monitored{"acme", "ada", v1alpha1.PhaseActive, row.role, []string{"billing"}}
				target := Monitored{"acme", "ben", v1alpha1.PhaseOnLeave, role, []string{teams}}
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
		return Monitored{"acme", name, v1alpha1.PhaseActive, role, teams}
	}
	with := func(m Monitored, edit func(*Monitored)) Monitored {
		edit(&m)
		return m
	}
	elsewhere := func(m *Monitored) { m.Center = "other" }
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
		Role:  rapid.SampledFrom(append([]v1alpha1.AgentRole{""}, roles...)).Draw(t, label+" role"),
		Teams: subset(t, label+" team", []string{"acme", "billing", "lead", "line", "sales"}),
	}
}

// TestLabelsAreTheRightC5B9: two people have a label in common exactly where one may listen to the other.
func TestLabelsAreTheRightC5B9(t *testing.T) {
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

// TestLabelsFitC5: whatever the number of teams, lists are whole labels that Asterisk does not cut, the first teams are in
// them, and where teams are left out, labels allow less than the rules and never more.
func TestLabelsFitC5(t *testing.T) {
	whole := regexp.MustCompile(`^([a-z2-7]{10}(:[a-z2-7]{10})*)?$`)
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) Monitored {
			m := drawMonitored(t, label)
			m.Teams = nil
			first := rapid.IntRange(0, 30).Draw(t, label+" first team")
			for i := range rapid.IntRange(0, 256).Draw(t, label+" teams") {
				m.Teams = append(m.Teams, fmt.Sprintf("team-%03d", first+i))
			}
			return m
		}
		kept := func(m Monitored, labels func(string, v1alpha1.AgentRole, []string) (string, int)) Monitored {
			list, leftOut := labels(m.Center, m.Role, m.Teams)
			if len(list) > 500 || !whole.MatchString(list) {
				t.Fatalf("%d bytes: %s", len(list), list)
			}
			m.Teams = m.Teams[:len(m.Teams)-leftOut]
			if again, none := labels(m.Center, m.Role, m.Teams); again != list || none != 0 {
				t.Fatalf("the first %d teams make %s, not %s, and leave %d out", len(m.Teams), again, list, none)
			}
			if leftOut > 0 && len(list) <= 500-2*11 {
				t.Fatalf("%d teams left out of %d bytes", leftOut, len(list))
			}
			return m
		}
		listener, target := draw("listener"), draw("target")
		if listener.Name == target.Name {
			return
		}
		got := hears(listener, target)
		if want := MayMonitor(kept(listener, Monitors), kept(target, SpyGroups)); got != want {
			t.Fatalf("labels say %t of the teams that fit, the rules %t", got, want)
		}
		if got && !MayMonitor(listener, target) {
			t.Fatal("labels allow what rules do not")
		}
	})
}

// TestRoomForTeamsC5 is what documentation says of how many teams fit.
func TestRoomForTeamsC5(t *testing.T) {
	var teams []string
	for i := range 100 {
		teams = append(teams, fmt.Sprintf("team-%02d", i))
	}
	for _, tt := range []struct {
		role           v1alpha1.AgentRole
		carried, heard int
	}{{cs, 44, 100}, {ts, 44, 45}, {tl, 44, 22}, {cv, 100, 100}, {cm, 100, 100}} {
		_, carried := SpyGroups("acme", tt.role, teams)
		_, heard := Monitors("acme", tt.role, teams)
		if 100-carried != tt.carried || 100-heard != tt.heard {
			t.Errorf("%s carries %d teams and hears %d", tt.role, 100-carried, 100-heard)
		}
	}
}

// TestLabelsStayC5: a label is written into databases, so that a new version of Roster has to make the same.
func TestLabelsStayC5(t *testing.T) {
	label := func(kind, team string) string {
		sum := sha256.Sum256([]byte("staff.roster.dev/spygroup\n" + kind + "\nacme\n" + team))
		return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:10]
	}
	carried, _ := SpyGroups("acme", cs, []string{"billing"})
	if want := label("center/line", "") + ":" + label("team/line", "billing"); carried != want {
		t.Errorf("got %s, want %s", carried, want)
	}
	heard, _ := Monitors("acme", tl, []string{"billing"})
	if want := label("team/line", "billing") + ":" + label("team/lead", "billing"); heard != want {
		t.Errorf("got %s, want %s", heard, want)
	}
	if heard, _ := Monitors("acme", cs, []string{"billing"}); heard != "" {
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

// TestDecideMonitoringC5: the decision's labels are those of the teams in effect, while the person works.
func TestDecideMonitoringC5(t *testing.T) {
	tests := []struct {
		name   string
		reason string
		edit   func(*Person)
		teams  []string
		none   bool
	}{
		{"Active", "team and role", func(*Person) {}, []string{"billing"}, false},
		{"OnLeave", "who is away keeps them", func(p *Person) {
			p.Spec.Leaves = []v1alpha1.Leave{leave("09:00:00", "17:00:00", v1alpha1.ReasonVacation)}
		}, []string{"billing"}, false},
		{"Unlicensed", "the phone works, and so is heard", func(p *Person) { p.Spec.License = v1alpha1.LicenseNone }, []string{"billing"}, false},
		{"Revoked", "a revoked team does not count", func(p *Person) {
			p.Recorded.Revoked = []Revocation{{Entry{v1alpha1.EntryTeam, "billing"}, at("08:00:00")}}
		}, nil, false},
		{"Pending", "not yet", func(p *Person) { p.Spec.Employment = &v1alpha1.Employment{StartTime: ptr("13:00:00")} }, nil, true},
		{"Deactivated", "no more", func(p *Person) { p.Spec.State = v1alpha1.StateDeactivated }, nil, true},
		{"Deleted", "no more", func(p *Person) { p.Deleted = true }, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := staffed()
			p.Center, p.Spec.Role = "acme", tl
			tt.edit(&p)
			e := Decide(&p, at("12:00:00"))
			carried, _ := SpyGroups("acme", tl, tt.teams)
			heard, _ := Monitors("acme", tl, tt.teams)
			if tt.none {
				carried, heard = "", ""
			}
			if e.SpyGroups != carried || e.Monitors != heard || e.UnmonitoredTeams != 0 {
				t.Errorf("%s: carries %q and hears %q, want %q and %q; %d teams left out",
					tt.reason, e.SpyGroups, e.Monitors, carried, heard, e.UnmonitoredTeams)
			}
		})
	}
	p := staffed()
	p.Center, p.Spec.Role, p.Declared.Teams = "acme", tl, nil
	for i := range 50 {
		p.Declared.Teams = append(p.Declared.Teams, fmt.Sprintf("team-%02d", i))
	}
	if e := Decide(&p, at("12:00:00")); e.UnmonitoredTeams != 28 || len(e.Teams) != 50 {
		t.Errorf("of %d teams %d are left out", len(e.Teams), e.UnmonitoredTeams)
	}
}

func BenchmarkLabels(b *testing.B) {
	for _, n := range []int{1, 3, 22} {
		var teams []string
		for i := range n {
			teams = append(teams, fmt.Sprintf("team-%02d", i))
		}
		b.Run(fmt.Sprintf("teams=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				SpyGroups("acme", tl, teams)
				Monitors("acme", tl, teams)
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
	carried, _ := SpyGroups("acme", cs, teams)
	heard, _ := Monitors("acme", ts, others)
	b.ReportAllocs()
	for b.Loop() {
		Shares(carried, heard)
	}
}
