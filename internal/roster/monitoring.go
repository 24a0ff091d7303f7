package roster

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"

	"roster.dev/roster/api/v1alpha1"
)

// Monitored is what the right to listen rests on, of either side.
type Monitored struct {
	Center, Name string
	Phase        v1alpha1.AgentPhase
	Role         v1alpha1.AgentRole
	// Teams in effect, sorted.
	Teams []string
}

// MayMonitor says whether one person may listen to another's calls.
func MayMonitor(listener, target Monitored) bool {
	if listener.Center != target.Center || listener.Name == target.Name ||
		!Working(listener.Phase) || !Working(target.Phase) {
		return false
	}
	line := roleOf(target.Role) == v1alpha1.RoleCustomerService
	switch roleOf(listener.Role) {
	case v1alpha1.RoleTeamSupervisor:
		return line && teammates(listener, target)
	case v1alpha1.RoleTeamLeader:
		lead := target.Role == v1alpha1.RoleTeamSupervisor || target.Role == v1alpha1.RoleTeamLeader
		return (line || lead) && teammates(listener, target)
	case v1alpha1.RoleCallCenterSupervisor:
		return line
	case v1alpha1.RoleCallCenterManager:
		return true
	}
	return false
}

func teammates(a, b Monitored) bool {
	return slices.ContainsFunc(a.Teams, func(team string) bool { return containsSorted(b.Teams, team) })
}

// roleOf is the role, or the API's default where none is given.
func roleOf(role v1alpha1.AgentRole) v1alpha1.AgentRole {
	return cmp.Or(role, v1alpha1.RoleCustomerService)
}

// labelKind is a sort of people, of a centre or of a team. Each has its own label.
type labelKind string

const (
	centerLine  labelKind = "center/line" // the Customer Service people of a centre
	centerStaff labelKind = "center/staff"
	teamLine    labelKind = "team/line" // the Customer Service people of a team
	teamLead    labelKind = "team/lead" // its supervisors and leaders
)

// labelKinds are of the centre, and of each team that a person is in.
type labelKinds struct{ center, team []labelKind }

// labelsOfRole is MayMonitor as labels: what a role's calls carry, and what it hears.
var labelsOfRole = map[v1alpha1.AgentRole]struct{ carries, hears labelKinds }{
	v1alpha1.RoleCustomerService: {
		carries: labelKinds{[]labelKind{centerLine}, []labelKind{teamLine}},
	},
	v1alpha1.RoleTeamSupervisor: {
		carries: labelKinds{[]labelKind{centerStaff}, []labelKind{teamLead}},
		hears:   labelKinds{nil, []labelKind{teamLine}},
	},
	v1alpha1.RoleTeamLeader: {
		carries: labelKinds{[]labelKind{centerStaff}, []labelKind{teamLead}},
		hears:   labelKinds{nil, []labelKind{teamLine, teamLead}},
	},
	v1alpha1.RoleCallCenterSupervisor: {
		carries: labelKinds{[]labelKind{centerStaff}, nil},
		hears:   labelKinds{[]labelKind{centerLine}, nil},
	},
	v1alpha1.RoleCallCenterManager: {
		carries: labelKinds{[]labelKind{centerStaff}, nil},
		hears:   labelKinds{[]labelKind{centerLine, centerStaff}, nil},
	},
}

// SpyGroups are the labels that a working person's calls carry, joined with colons, as Asterisk's SPYGROUP has them.
// Teams for which there was no room, in the order given, are left out, and counted.
func SpyGroups(center string, role v1alpha1.AgentRole, teams []string) (labels string, leftOut int) {
	return joinLabels(center, labelsOfRole[roleOf(role)].carries, teams)
}

// Monitors are the labels of the calls that a working person may hear, joined with colons, as ChanSpy's option g has
// them; empty for nobody's. Teams for which there was no room, in the order given, are left out, and counted.
//
// Labels stand for people together, so that a leader's own call is among those they may hear: Asterisk itself lets no
// channel listen to itself, nor to one that listens.
func Monitors(center string, role v1alpha1.AgentRole, teams []string) (labels string, leftOut int) {
	return joinLabels(center, labelsOfRole[roleOf(role)].hears, teams)
}

const (
	// labelLength is in characters of five bits: chance gives no two teams of a telephone system one label.
	labelLength = 10
	// maximumLabels is in bytes. Asterisk cuts either list at 511 and says nothing.
	maximumLabels = 500
)

func joinLabels(center string, kinds labelKinds, teams []string) (labels string, leftOut int) {
	list := make([]byte, 0, maximumLabels)
	for _, k := range kinds.center {
		list = appendLabel(list, center, k, "")
	}
	for i, team := range teams {
		if len(list)+len(kinds.team)*(labelLength+1) > maximumLabels {
			return string(list), len(teams) - i
		}
		for _, k := range kinds.team {
			list = appendLabel(list, center, k, team)
		}
	}
	return string(list), 0
}

var labelAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// appendLabel adds the label of a sort of people to a list. Names hold no line break, so that no two make one text.
func appendLabel(list []byte, center string, kind labelKind, team string) []byte {
	text := make([]byte, 0, 192)
	text = append(text, "staff.roster.dev/spygroup\n"...)
	text = append(append(text, kind...), '\n')
	text = append(append(text, center...), '\n')
	text = append(text, team...)
	sum := sha256.Sum256(text)
	var label [16]byte
	labelAlphabet.Encode(label[:], sum[:10])
	if len(list) > 0 {
		list = append(list, ':')
	}
	return append(list, label[:labelLength]...)
}

// Shares says whether what a call carries and what a person may hear have a label in common: whether they may hear it.
func Shares(spyGroups, monitors string) bool {
	for spyGroups != "" {
		var carried string
		carried, spyGroups, _ = strings.Cut(spyGroups, ":")
		for rest := monitors; rest != ""; {
			var heard string
			if heard, rest, _ = strings.Cut(rest, ":"); heard == carried && heard != "" {
				return true
			}
		}
	}
	return false
}
