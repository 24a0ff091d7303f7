package roster

import (
	"cmp"
	"slices"
	"time"

	"roster.dev/roster/api/v1alpha1"
)

// Entry is a membership that a deactivation revokes: a team's, or an individual entry in a queue.
type Entry struct {
	Kind v1alpha1.EntryKind
	Name string
}

func compareEntries(a, b Entry) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// Revocation is an entry without effect since a deactivation.
type Revocation struct {
	Entry
	Since time.Time
}

// revoke is what stays revoked of recorded, and, where the person is being put out at now, what is there to take.
// An entry leaves the list when it is gone, when it is reinstated, or when the person is back and policy restores.
func revoke(recorded []Revocation, present []Entry, reinstated []v1alpha1.Reinstatement,
	goingOut, out, restore bool, now time.Time,
) []Revocation {
	var result []Revocation
	for _, r := range recorded {
		if !slices.Contains(present, r.Entry) || isReinstated(r, reinstated) || restore && !out {
			continue
		}
		result = append(result, r)
	}
	if goingOut {
		for _, e := range present {
			r := Revocation{Entry: e, Since: now}
			if !revoked(result, e) && !isReinstated(r, reinstated) {
				result = append(result, r)
			}
		}
	}
	slices.SortFunc(result, func(a, b Revocation) int { return compareEntries(a.Entry, b.Entry) })
	return result
}

func isReinstated(r Revocation, reinstated []v1alpha1.Reinstatement) bool {
	return slices.ContainsFunc(reinstated, func(x v1alpha1.Reinstatement) bool {
		return x.Kind == r.Kind && string(x.Name) == r.Name && !x.Time.Time.Before(r.Since)
	})
}

func revoked(list []Revocation, e Entry) bool {
	return slices.ContainsFunc(list, func(r Revocation) bool { return r.Entry == e })
}
