package roster

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"roster.dev/roster/api/v1alpha1"
)

// The kinds of orders, as a person's status names them.
const (
	OrderLogout    = "logout-at"
	OrderPause     = "pause-at"
	OrderUnpause   = "unpause-at"
	OrderReconcile = "reconcile-at"
)

// Order is something to be done once.
type Order struct {
	Kind string
	// At is when it is to be done.
	At time.Time
	// Value tells the order from others of its kind: the annotation's, as it can be recorded.
	Value string
	// Reason is empty where none was given; a pause always has one.
	Reason string
	// Skip records the order and does not carry it out: it came too late.
	Skip bool
}

const (
	// orderLife is how long after its time an order is still carried out.
	orderLife = 10 * time.Minute
	// maximumOrder is a status's room for an order's value, in bytes.
	maximumOrder = 256
	// maximumReason is Asterisk's room for a pause's reason, in bytes: longer ones would come back cut.
	maximumReason = 79
	// defaultPauseReason is for pauses ordered without a reason.
	defaultPauseReason = "Paused"
)

var orderKinds = [...]struct{ kind, annotation string }{
	{OrderLogout, v1alpha1.AnnotationLogoutAt},
	{OrderPause, v1alpha1.AnnotationPauseAt},
	{OrderReconcile, v1alpha1.AnnotationReconcileAt},
	{OrderUnpause, v1alpha1.AnnotationUnpauseAt},
}

// Orders are those of a person's annotations that are due at now and not in handled, in the order of their times;
// next is when another will be, zero for never. invalid says, for each that cannot be read, what to write.
// created is when the object was made: an older order was meant for another.
func Orders[K, V ~string](
	annotations map[string]string, handled map[K]V, created, now time.Time,
) (due []Order, next time.Time, invalid []string) {
	for _, k := range orderKinds {
		value := recordable(annotations[k.annotation])
		text := strings.TrimSpace(value)
		if text == "" || value == string(handled[K(k.kind)]) {
			continue
		}
		moment, reason, _ := strings.Cut(text, " ")
		at, err := time.Parse(time.RFC3339, moment)
		if err != nil {
			invalid = append(invalid, "annotation "+k.annotation+" cannot be read: write a time such as "+
				"2027-02-01T09:00:00Z, and after a space, where you like, a reason")
			continue
		}
		if at.After(now) {
			next = earliestAfter(now, next, at)
			continue
		}
		o := Order{
			Kind: k.kind, At: at, Value: value, Reason: cleanReason(reason),
			Skip: at.Before(created) || now.Sub(at) > orderLife,
		}
		if o.Reason == "" && o.Kind == OrderPause {
			o.Reason = defaultPauseReason
		}
		due = append(due, o)
	}
	slices.SortFunc(due, func(a, b Order) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind)) })
	return due, next, invalid
}

// recordable is a value as any database takes it: without control characters, cut to the room there is.
func recordable(value string) string {
	spaced := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value, " "))
	return cut(spaced, maximumOrder)
}

// cleanReason is a reason that Asterisk gives back as it was given. It reads ; and ^ in a database's values as signs
// of its own, | parts the fields of its queue log, and a line break those of its events.
func cleanReason(text string) string {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(" ;^|", r) })
	return strings.TrimSpace(cut(strings.Join(words, " "), maximumReason))
}

// cut shortens text to a number of bytes, and leaves characters whole.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
