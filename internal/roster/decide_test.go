package roster

import (
	"fmt"
	"testing"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// staffed is a person with everything: two groups that list them, a team, a queue by every way, a phone.
func staffed() Person {
	support := ViewQueue(queue("support"))
	return Person{
		Spec:   &v1alpha1.AgentSpec{Endpoint: &v1alpha1.Endpoint{Extension: "1001"}},
		Seated: true,
		Declared: Declared{
			Claims: []Claim{{Group: "south", Created: at("08:00:01")}, {Group: "north", Created: at("08:00:00")}, {Group: "east", Created: at("08:00:02")}},
			Teams:  []string{"billing"},
			Ways: []Way{
				{ViewQueue(queue("orders")), WayGroup, "south", new(entry("south", 1))},
				{support, WayDirect, "", new(entry("alice", 3))},
				{support, WayGroup, "north", new(entry("north", 1))},
				{support, WayTeam, "billing", new(entry("billing", 1))},
			},
		},
		Recorded: Recorded{Phase: v1alpha1.PhaseActive},
	}
}

func TestDecideWhatAPersonKeepsC1G3G4B2(t *testing.T) {
	vacation := []v1alpha1.Leave{leave("09:00:00", "17:00:00", v1alpha1.ReasonVacation)}
	const all = `group=north lost=[east south] teams=[billing] queues=[support[Direct Group/north Team/billing]] extension=1001 pause=`
	tests := []struct {
		name   string
		reason string
		edit   func(*Person)
		want   string
	}{
		{"Active", "all that is declared, through the group that holds the person alone", func(*Person) {}, all},
		{"NeverSeen", "the first decision is as any", func(p *Person) { p.Recorded = Recorded{} }, all},
		{
			"HolderStays", "the recorded holder stays, and its queues with it",
			func(p *Person) { p.Recorded.Group = "south" },
			`group=south lost=[east north] teams=[billing] queues=[orders[Group/south] support[Direct Team/billing]] extension=1001 pause=`,
		},
		{"OnLeave", "who is away keeps everything, paused with the reason", func(p *Person) { p.Spec.Leaves = vacation }, all + "Vacation"},
		{
			"OnLeaveNoReason", "a pause always has a reason",
			func(p *Person) { p.Spec.Leaves = []v1alpha1.Leave{leave("09:00:00", "", "")} }, all + "Other",
		},
		{
			"Unlicensed", "the phone works, no memberships in queues",
			func(p *Person) { p.Spec.License = v1alpha1.LicenseNone },
			`group=north lost=[east south] teams=[billing] queues=[] extension=1001 pause=`,
		},
		{
			"WaitsForASeat", "the same goes for who has none yet",
			func(p *Person) { p.Seated = false },
			`group=north lost=[east south] teams=[billing] queues=[] extension=1001 pause=`,
		},
		{
			"Pending", "no phone and no queues; groups and teams are known already",
			func(p *Person) { p.Spec.Employment = &v1alpha1.Employment{StartTime: ptr("13:00:00")} },
			`group=north lost=[east south] teams=[billing] queues=[] extension= pause=`,
		},
		{
			"Deactivated", "the group stays, all else goes",
			func(p *Person) { p.Spec.State = v1alpha1.StateDeactivated },
			`group=north lost=[east south] teams=[] queues=[] extension= pause=`,
		},
		{
			"DeactivatedOnLeave", "who is out is not paused as well",
			func(p *Person) { p.Spec.State, p.Spec.Leaves = v1alpha1.StateDeactivated, vacation },
			`group=north lost=[east south] teams=[] queues=[] extension= pause=`,
		},
		{"Deleted", "nothing is left", func(p *Person) { p.Deleted = true }, `group= lost=[] teams=[] queues=[] extension= pause=`},
		{
			"ExtensionTaken", "an older claim has the extension; all else stays",
			func(p *Person) { p.Declared.ExtensionTakenBy = "Agent bob-lee" },
			`group=north lost=[east south] teams=[billing] queues=[support[Direct Group/north Team/billing]] extension= pause=`,
		},
		{
			"NoPhoneDeclared", "a person without an extension is none the less",
			func(p *Person) { p.Spec.Endpoint = nil },
			`group=north lost=[east south] teams=[billing] queues=[support[Direct Group/north Team/billing]] extension= pause=`,
		},
		{
			"RevokedEntry", "the individual entry counts as absent, the group still leads there",
			func(p *Person) {
				p.Recorded.Revoked = []Revocation{{Entry{v1alpha1.EntryQueue, "support"}, at("08:00:00")}, {Entry{v1alpha1.EntryTeam, "billing"}, at("08:00:00")}}
			},
			`group=north lost=[east south] teams=[] queues=[support[Group/north]] extension=1001 pause=`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := staffed()
			tt.edit(&p)
			e := Decide(&p, at("12:00:00"))
			var queues []string
			for _, m := range e.Queues {
				queues = append(queues, m.Queue.Name+fmt.Sprint(m.Via))
			}
			got := fmt.Sprintf("group=%s lost=%v teams=%v queues=%v extension=%s pause=%s", e.Group, e.LostTo, e.Teams, queues, e.Extension, e.PauseReason)
			if got != tt.want {
				t.Errorf("%s:\ngot  %s\nwant %s", tt.reason, got, tt.want)
			}
		})
	}
}

// TestDecideSeatB11: who works and needs a seat has one or waits for one.
func TestDecideSeatB11(t *testing.T) {
	for _, tt := range []struct {
		name  string
		edit  func(*Person)
		want  v1alpha1.SeatState
		group string
	}{
		{"Active", func(*Person) {}, v1alpha1.SeatHeld, "acme.north"},
		{"OnLeave", func(p *Person) { p.Spec.Leaves = []v1alpha1.Leave{leave("09:00:00", "", "")} }, v1alpha1.SeatHeld, "acme.north"},
		{"NoneFree", func(p *Person) { p.Seated = false }, v1alpha1.SeatWaiting, ""},
		{"Unlicensed", func(p *Person) { p.Spec.License = v1alpha1.LicenseNone }, "", ""},
		{"Pending", func(p *Person) { p.Spec.Employment = &v1alpha1.Employment{StartTime: ptr("13:00:00")} }, "", ""},
		{"Deactivated", func(p *Person) { p.Spec.State = v1alpha1.StateDeactivated }, "", ""},
		{"Deleted", func(p *Person) { p.Deleted = true }, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := staffed()
			p.Center, p.Declared.Claims[1].Sticky = "acme", true
			tt.edit(&p)
			e := Decide(&p, at("12:00:00"))
			if e.Seat != tt.want || e.GroupQueue != tt.group || len(e.Queues) > 0 != (tt.want == v1alpha1.SeatHeld) {
				t.Errorf("seat %q, group queue %q, queues %v", e.Seat, e.GroupQueue, e.Queues)
			}
		})
	}
}

// TestDecideTurnsB5: when somebody goes out or comes back, and since when they were to be out.
func TestDecideTurnsB5(t *testing.T) {
	earlier := at("08:00:00")
	tests := []struct {
		name        string
		reason      string
		recorded    Recorded
		out         bool
		going, back bool
		requestedAt time.Time
	}{
		{"Stays", "an active person stays", Recorded{Phase: "Active"}, false, false, false, time.Time{}},
		{"GoesOut", "to the second", Recorded{Phase: "Active"}, true, true, false, at("12:00:00")},
		{"GoesOutOfLeave", "a leave is work", Recorded{Phase: "OnLeave"}, true, true, false, at("12:00:00")},
		{"NeverBegan", "pending people can be put out", Recorded{Phase: "Pending"}, true, true, false, at("12:00:00")},
		{"BornOut", "an object that says so from the start", Recorded{}, true, true, false, at("12:00:00")},
		{"GoesOutAgain", "the new request counts", Recorded{Phase: "Active", RequestedAt: earlier}, true, true, false, at("12:00:00")},
		{"StillGoing", "the request is not made anew", Recorded{Phase: "Deactivating", RequestedAt: earlier}, true, false, false, earlier},
		{"StaysOut", "the request is not made anew", Recorded{Phase: "Deactivated", RequestedAt: earlier}, true, false, false, earlier},
		{"TimeLost", "a time that was lost is as good as it gets", Recorded{Phase: "Deactivated"}, true, false, false, at("12:00:00")},
		{"ComesBack", "the last request stays on record", Recorded{Phase: "Deactivated", RequestedAt: earlier}, false, false, true, earlier},
		{"ComesBackEarly", "before all was done", Recorded{Phase: "Deactivating", RequestedAt: earlier}, false, false, true, earlier},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := staffed()
			p.Recorded = tt.recorded
			if tt.out {
				p.Spec.State = v1alpha1.StateDeactivated
			}
			e := Decide(&p, at("12:00:00").Add(600*time.Millisecond).In(time.FixedZone("", 3600)))
			if e.GoingOut != tt.going || e.ComingBack != tt.back || !e.RequestedAt.Equal(tt.requestedAt) {
				t.Errorf("%s: going %t, back %t, requested %s", tt.reason, e.GoingOut, e.ComingBack, stampOf(e.RequestedAt))
			}
			if taken := tt.going && tt.recorded.Phase != ""; (len(e.Revoked) > 0) != taken {
				t.Errorf("%s: revoked %v", tt.reason, e.Revoked)
			}
		})
	}
}

func TestDecideNextB1S9Window(t *testing.T) {
	campaign := func(start, end string) *QueueView {
		q := queue("campaign")
		window(start, end)(q)
		return ViewQueue(q)
	}
	tests := []struct {
		name   string
		reason string
		edit   func(*Person)
		now    string
		queues int
		next   string
	}{
		{"Opens", "a campaign ahead is what comes next", func(p *Person) {}, "08:59:59", 0, "09:00:00"},
		{"Open", "then its end", func(p *Person) {}, "09:00:00", 1, "17:00:00"},
		{"Closed", "then nothing", func(p *Person) {}, "17:00:00", 0, ""},
		{
			"EmploymentFirst", "the earliest counts",
			func(p *Person) { p.Spec.Employment = &v1alpha1.Employment{EndTime: ptr("12:00:00")} }, "10:00:00", 1, "12:00:00",
		},
		{
			"NotTheirs", "a campaign that the person is kept out of wakes nobody",
			func(p *Person) {
				p.Recorded.Revoked = []Revocation{{Entry{v1alpha1.EntryQueue, "campaign"}, at("08:00:00")}}
			}, "10:00:00", 0, "",
		},
		{"Unlicensed", "nor one who needs no seat", func(p *Person) { p.Spec.License = v1alpha1.LicenseNone }, "10:00:00", 0, ""},
		{"WaitsForASeat", "nor one who waits for a seat", func(p *Person) { p.Seated = false }, "10:00:00", 0, ""},
		{"Out", "nor one who is out", func(p *Person) { p.Spec.State = v1alpha1.StateDeactivated }, "10:00:00", 0, ""},
		{
			"Pending", "who has not begun waits for the start alone",
			func(p *Person) { p.Spec.Employment = &v1alpha1.Employment{StartTime: ptr("16:00:00")} }, "10:00:00", 0, "16:00:00",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := Person{Spec: &v1alpha1.AgentSpec{}, Seated: true, Recorded: Recorded{Phase: "Active"}}
			p.Declared.Ways = []Way{{campaign("09:00:00", "17:00:00"), WayDirect, "", new(entry("alice", 1))}}
			tt.edit(&p)
			e := Decide(&p, at(tt.now))
			var next time.Time
			if tt.next != "" {
				next = at(tt.next)
			}
			if len(e.Queues) != tt.queues || !e.Next.Equal(next) {
				t.Errorf("%s: %d queues, next %s", tt.reason, len(e.Queues), stampOf(e.Next))
			}
		})
	}
}

func TestDecideChangesNothingItIsGiven(t *testing.T) {
	p := staffed()
	p.Recorded.Revoked = []Revocation{{Entry{v1alpha1.EntryTeam, "billing"}, at("08:00:00")}, {Entry{v1alpha1.EntryTeam, "gone"}, at("08:00:00")}}
	before := fmt.Sprintf("%v %v", p.Declared, p.Recorded)
	Decide(&p, at("12:00:00"))
	if after := fmt.Sprintf("%v %v", p.Declared, p.Recorded); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}
