package roster

import "testing"

func TestHolderO3(t *testing.T) {
	old, older, young := Claim{Group: "m-old", Created: at("09:00:00")}, Claim{Group: "z-older", Created: at("08:00:00")}, Claim{Group: "a-young", Created: at("10:00:00")}
	tests := []struct {
		name     string
		reason   string
		claims   []Claim
		recorded string
		want     string
	}{
		{"Nobody", "no group lists the person", nil, "", ""},
		{"HolderLetGo", "a holder that lists the person no more holds them no more", nil, "m-old", ""},
		{"Only", "one claim wins", []Claim{young}, "", "a-young"},
		{"HolderStays", "the holder keeps the person against an older group", []Claim{old, older, young}, "a-young", "a-young"},
		{"Oldest", "without a holder the oldest group wins, whatever its name", []Claim{old, older, young}, "", "z-older"},
		{"NextOldest", "when the holder lets go the oldest of the rest gets the person", []Claim{old, young}, "z-older", "m-old"},
		{"SameAge", "of groups made together the first by name wins", []Claim{{Group: "b", Created: at("09:00:00")}, {Group: "a", Created: at("09:00:00")}, {Group: "c", Created: at("09:00:00")}}, "", "a"},
		{"GoneHolder", "a recorded holder that does not exist counts for nothing", []Claim{old}, "never-was", "m-old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			permute(tt.claims, func(claims []Claim) {
				if got := Holder(claims, tt.recorded); got != tt.want {
					t.Errorf("%s: of %v got %q, want %q", tt.reason, claims, got, tt.want)
				}
			})
		})
	}
}

// permute calls f with every order of list.
func permute[T any](list []T, f func([]T)) {
	var rest func(int)
	rest = func(k int) {
		if k >= len(list) {
			f(list)
			return
		}
		for i := k; i < len(list); i++ {
			list[k], list[i] = list[i], list[k]
			rest(k + 1)
			list[k], list[i] = list[i], list[k]
		}
	}
	rest(0)
}
