package asterisk

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"roster.dev/roster/internal/telephony"
)

const (
	// refusedContext is a dialplan context that does not exist: calls into it are refused.
	refusedContext = "roster-refused"
	// codecs are offered where the template does not say otherwise. opus comes first for browsers; Asterisk
	// skips those it has no module for.
	codecs = "opus,g722,alaw,ulaw"
	// qualifySeconds is how often Asterisk asks a phone whether it is there.
	qualifySeconds = 60
	// callerIDLength is that of ps_endpoints.callerid in Asterisk's migrations.
	callerIDLength = 40
	// voicemailLength is that of fullname, email and password in Asterisk's voicemail table.
	voicemailLength = 80
	// unknownReason is for a pause of a person's own of which the database has no reason.
	unknownReason = "Paused"
	// newMemberID stands for a uniqueid that the database has yet to give.
	newMemberID = "new"
	// phaseDeleted is the phase of the reporting row of a person who was removed.
	phaseDeleted = "Deleted"

	sipPrefix = "PJSIP/"
)

// strategies are Asterisk's names of the API's.
var strategies = map[string]string{
	"LeastRecent":       "leastrecent",
	"RingAll":           "ringall",
	"FewestCalls":       "fewestcalls",
	"Random":            "random",
	"RoundRobinMemory":  "rrmemory",
	"RoundRobinOrdered": "rrordered",
	"Linear":            "linear",
	"WeightedRandom":    "wrandom",
}

// interfaceOf is the interface of a person's phone in queues.
func interfaceOf(agent string) string { return sipPrefix + agent }

// callerID is `"Display Name" <extension>`, the name cut so that it fits the column.
func callerID(name, extension string) string {
	suffix := ""
	if extension != "" {
		suffix = " <" + extension + ">"
	}
	name = cut(strings.Map(func(r rune) rune {
		if r == '"' || r == '<' || r == '>' || r == '\\' || r < ' ' {
			return -1
		}
		return r
	}, name), callerIDLength-len(suffix)-len(`""`))
	return `"` + strings.TrimSpace(name) + `"` + suffix
}

// cut is the first n characters of s.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// address is the voicemail address of a mailbox.
func address(mailbox, context string) string {
	if mailbox == "" {
		return ""
	}
	return mailbox + "@" + context
}

// instant is a time as the reporting table writes it; it sorts, and reads the same in both databases.
func instant(t time.Time) cell {
	if t.IsZero() {
		return null
	}
	return text(t.UTC().Format(time.RFC3339))
}

func parseInstant(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t
}

func flag(b bool) cell {
	if b {
		return cell{text: "1"}
	}
	return cell{text: "0"}
}

// registryCells are those of a registry entry, or of a new one.
func registryCells(was []cell) []cell {
	if was != nil {
		return slices.Clone(was)
	}
	cells := make([]cell, regWidth)
	for i := range cells {
		cells[i] = null
	}
	cells[regClaimed] = flag(false)
	return cells
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

// contextOf is the dialplan context of a person's phone.
func contextOf(a *telephony.Agent, s *telephony.Settings) string {
	if a.Access == telephony.AccessRefused {
		return refusedContext
	}
	return s.Context
}

// spyGroup gives a phone's channels the labels by which others may listen to them.
func spyGroup(labels string) cell {
	if labels == "" {
		return null
	}
	return text("SPYGROUP=" + labels)
}

// settingsOf are a's settings, never nil.
func settingsOf(s *telephony.Settings) *telephony.Settings {
	if s == nil {
		return &telephony.Settings{}
	}
	return s
}

// templateColumns are the template's columns that have no place of their own among an endpoint's, sorted.
func templateColumns(s *telephony.Settings) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(s.Template)), func(c string) bool {
		return c == "disallow" || c == "allow"
	})
}

// endpointCells are the columns that every endpoint has.
func endpointCells(a *telephony.Agent, s *telephony.Settings, cells []cell) {
	cells[endAORs], cells[endAuth] = text(a.Name), text(a.Name)
	cells[endCallerID] = text(callerID(a.DisplayName, a.Extension))
	cells[endContext] = text(contextOf(a, s))
	cells[endMailboxes] = text(address(a.Mailbox, s.Context))
	cells[endDisallow], cells[endAllow] = text("all"), text(codecs)
	if a.Access == telephony.AccessGranted {
		cells[endSetVar] = spyGroup(a.SpyGroups)
	}
	if v, ok := s.Template["disallow"]; ok {
		cells[endDisallow] = text(v)
	}
	if v, ok := s.Template["allow"]; ok {
		cells[endAllow] = text(v)
	}
}

func aorCells(access telephony.Access) []cell {
	contacts := 1
	if access == telephony.AccessRefused {
		contacts = 0
	}
	return []cell{number(contacts), text("yes"), number(qualifySeconds)}
}

func reportCells(center string, a *telephony.Agent, now time.Time) []cell {
	cells := make([]cell, repWidth)
	cells[repCenter], cells[repUID], cells[repInterface] = text(center), text(a.UID), text(interfaceOf(a.Name))
	cells[repExtension], cells[repDisplayName], cells[repEmail] = text(a.Extension), text(a.DisplayName), text(a.Email)
	cells[repEmployeeID], cells[repRole], cells[repPhase] = text(a.EmployeeID), text(a.Role), text(a.Phase)
	cells[repGroup], cells[repColor], cells[repMonitors] = text(a.Group), text(a.Color), text(a.Monitors)
	cells[repSeat] = text(a.Seat)
	cells[repRequestedAt], cells[repOfflineAt] = instant(a.RequestedAt), instant(a.OfflineAt)
	cells[repCompletedAt], cells[repDeletedAt] = instant(a.CompletedAt), null
	cells[repUpdatedAt] = instant(now)
	return cells
}

func queueCells(q *telephony.Queue) []cell {
	strategy := strategies[q.Strategy]
	if strategy == "" {
		strategy = strategies["LeastRecent"]
	}
	return []cell{text(strategy), number(q.TimeoutSeconds), number(q.WrapUpSeconds), number(q.MaxCallers),
		number(q.ServiceLevelSeconds), text("no")}
}

// fitting is an e-mail address where the column holds it whole: half of one is another person's.
func fitting(s string, n int) cell {
	if utf8.RuneCountInString(s) > n {
		return null
	}
	return text(s)
}
