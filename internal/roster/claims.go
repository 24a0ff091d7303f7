package roster

import "time"

// Claim is a group that lists a person.
type Claim struct {
	Group string
	// Created is when the group was created; of two new claims the older group's wins.
	Created time.Time
	// Sticky says that a case names the group: its people are reached together.
	Sticky bool
}

// groupQueueOf is the own queue of the group that holds a person; empty where it has none.
func groupQueueOf(p *Person, holder string) string {
	for _, c := range p.Declared.Claims {
		if c.Group == holder && c.Sticky {
			return GroupQueue(p.Center, holder)
		}
	}
	return ""
}

// Holder decides which of the groups that list a person holds them: the recorded holder as long as it lists
// them, else the oldest group, else the first by name. No claims, no holder.
func Holder(claims []Claim, recorded string) string {
	var best *Claim
	for i := range claims {
		c := &claims[i]
		if c.Group == recorded {
			return recorded
		}
		if best == nil || c.Created.Before(best.Created) ||
			c.Created.Equal(best.Created) && c.Group < best.Group {
			best = c
		}
	}
	if best == nil {
		return ""
	}
	return best.Group
}
