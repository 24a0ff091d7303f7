package roster

import (
	"slices"

	"github.com/nyaruka/phonenumbers"

	"roster.dev/roster/api/v1alpha1"
)

// PhoneNumbers are telephone numbers as people write them in E.164, sorted, each once, and those that cannot be read.
// country, as ISO 3166-1 alpha-2 has it, is that of numbers without a country code; empty for none.
func PhoneNumbers(written []v1alpha1.PhoneNumber, country string) (numbers []string, unread []v1alpha1.PhoneNumber) {
	for _, w := range written {
		number, err := phonenumbers.Parse(string(w), country)
		// Numbers that are too short or too long are nobody's. Whether a longer one is given out is not asked: the
		// lists of number ranges are older than the youngest range.
		if err != nil || !phonenumbers.IsPossibleNumber(number) {
			unread = append(unread, w)
			continue
		}
		numbers = append(numbers, phonenumbers.Format(number, phonenumbers.E164))
	}
	slices.Sort(numbers)
	return slices.Compact(numbers), unread
}
