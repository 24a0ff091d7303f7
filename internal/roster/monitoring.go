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
	// Teams, queues served and queues supervised, all in effect and sorted.
	Teams, Queues, Supervises []string
}

// MayMonitor says whether one person may listen to another's calls.
func MayMonitor(listener, target Monitored) bool {
	if listener.Center != target.Center || listener.Name == target.Name ||
		!Working(listener.Phase) || !Working(target.Phase) {
		return false
	}
	if overlap(target.Queues, listener.Supervises) {
		return true // besides what the role gives
	}
	line := roleOf(target.Role) == v1alpha1.RoleCustomerService
	switch roleOf(listener.Role) {
	case v1alpha1.RoleTeamSupervisor:
		return line && overlap(listener.Teams, target.Teams)
	case v1alpha1.RoleTeamLeader:
		lead := target.Role == v1alpha1.RoleTeamSupervisor || target.Role == v1alpha1.RoleTeamLeader
		return (line || lead) && overlap(listener.Teams, target.Teams)
	case v1alpha1.RoleCallCenterSupervisor:
		return line
	case v1alpha1.RoleCallCenterManager:
		return true
	}
	return false
}

// overlap says whether two sorted lists have a name in common.
func overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(name string) bool { return containsSorted(b, name) })
}

// roleOf is the role, or the API's default where none is given.
func roleOf(role v1alpha1.AgentRole) v1alpha1.AgentRole {
	return cmp.Or(role, v1alpha1.RoleCustomerService)
}

// labelKind is a sort of people, of a centre, a team or a queue. Each has its own label.
type labelKind string

const (
	centerLine   labelKind = "center/line" // the Customer Service people of a centre
	centerStaff  labelKind = "center/staff"
	teamLine     labelKind = "team/line"     // the Customer Service people of a team
	teamLead     labelKind = "team/lead"     // its supervisors and leaders
	queueMembers labelKind = "queue/members" // whoever serves a queue that has supervisors
)

// labelKinds are of the centre, and of each team that a person is in.
type labelKinds struct{ center, team []labelKind }

// labelsOfRole is what MayMonitor says of roles, as labels: what a role's calls carry, and what it hears.
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

// LeftOut are the teams and queues for which a list of labels had no room.
type LeftOut struct{ Teams, Queues []string }

// SpyGroups are the labels that a working person's calls carry, joined with colons, as Asterisk's SPYGROUP has them.
// The queues are those that the person serves and that have supervisors. Where there is not room for all, the first
// teams have it, then the first queues: being in a queue takes nothing from what roles give.
func SpyGroups(center string, role v1alpha1.AgentRole, teams, queues []string) (labels string, leftOut LeftOut) {
	return joinLabels(center, labelsOfRole[roleOf(role)].carries, teams, queues)
}

// Monitors are the labels of the calls that a working person may hear, joined with colons, as ChanSpy's option g has
// them; empty for nobody's. The queues are those that the person supervises. Of room it is as with SpyGroups.
//
// Labels stand for people together, so that the call of a leader, or of a supervisor who also serves the queue, is
// among those they may hear: no label says that it is their own. The dialplan refuses it, and Roster ends it. Asterisk
// itself lets no channel listen to itself, nor to one that listens.
func Monitors(center string, role v1alpha1.AgentRole, teams, queues []string) (labels string, leftOut LeftOut) {
	return joinLabels(center, labelsOfRole[roleOf(role)].hears, teams, queues)
}

const (
	// labelLength is in characters of five bits: chance gives no two teams or queues of a telephone system one label.
	labelLength = 10
	// maximumLabels is in bytes. Asterisk cuts either list at 511 and says nothing.
	maximumLabels = 500
)

func joinLabels(center string, kinds labelKinds, teams, queues []string) (labels string, leftOut LeftOut) {
	list := make([]byte, 0, maximumLabels)
	for _, k := range kinds.center {
		list = appendLabel(list, center, k, "")
	}
	list, leftOut.Teams = appendLabels(list, center, kinds.team, teams)
	list, leftOut.Queues = appendLabels(list, center, []labelKind{queueMembers}, queues)
	return string(list), leftOut
}

// appendLabels adds the labels of teams or queues to a list, as far as there is room.
func appendLabels(list []byte, center string, kinds []labelKind, names []string) (labels []byte, leftOut []string) {
	for i, name := range names {
		if len(list)+len(kinds)*(labelLength+1) > maximumLabels {
			return list, names[i:]
		}
		for _, k := range kinds {
			list = appendLabel(list, center, k, name)
		}
	}
	return list, nil
}

var labelAlphabet = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567")

// appendLabel adds the label of a sort of people to a list. Names hold no line break, so that no two make one text.
func appendLabel(list []byte, center string, kind labelKind, name string) []byte {
	text := make([]byte, 0, 192)
	text = append(text, "staff.roster.dev/spygroup\n"...)
	text = append(append(text, kind...), '\n')
	text = append(append(text, center...), '\n')
	text = append(text, name...)
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
