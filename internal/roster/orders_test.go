package roster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"roster.dev/roster/api/v1alpha1"
)

func printOrders(orders []Order) string {
	var list []string
	for _, o := range orders {
		s := o.Kind + " " + o.At.UTC().Format("15:04:05")
		if o.Reason != "" {
			s += " (" + o.Reason + ")"
		}
		if o.Skip {
			s += " skipped"
		}
		list = append(list, s)
	}
	return strings.Join(list, ", ")
}

func TestOrdersC8(t *testing.T) {
	const (
		logout, pause     = v1alpha1.AnnotationLogoutAt, v1alpha1.AnnotationPauseAt
		unpause, look     = v1alpha1.AnnotationUnpauseAt, v1alpha1.AnnotationReconcileAt
		noon, unreadable  = "2027-02-01T12:00:00Z", " cannot be read: write a time such as 2027-02-01T09:00:00Z, and after a space, where you like, a reason"
		morning, sometime = "2027-02-01T09:00:00Z", "2027-02-01T12:00:05Z"
	)
	type values = map[string]string
	tests := []struct {
		name        string
		reason      string
		annotations values
		handled     values
		due         string
		next        string
		invalid     []string
	}{
		{"None", "nothing ordered, nothing done", nil, nil, "", "", nil},
		{"Others", "other annotations are no orders", values{"staff.roster.dev/approve": noon, "pause-at": noon}, nil, "", "", nil},
		{"Now", "an order is due at its time", values{logout: noon}, nil, "logout-at 12:00:00", "", nil},
		{"Reason", "after a space", values{logout: noon + " lost phone"}, nil, "logout-at 12:00:00 (lost phone)", "", nil},
		{"PauseReason", "", values{pause: noon + " Lunch"}, nil, "pause-at 12:00:00 (Lunch)", "", nil},
		{"PauseNoReason", "a pause has one always", values{pause: noon}, nil, "pause-at 12:00:00 (Paused)", "", nil},
		{"PauseBlankReason", "a blank one is none", values{pause: noon + "  ; |"}, nil, "pause-at 12:00:00 (Paused)", "", nil},
		{"Zone", "any offset", values{unpause: "2027-02-01T13:59:30+02:00"}, nil, "unpause-at 11:59:30", "", nil},
		{"Fraction", "any precision", values{look: "2027-02-01T11:59:59.25Z"}, nil, "reconcile-at 11:59:59", "", nil},
		{"Handled", "once is enough", values{pause: noon + " Lunch"}, values{"pause-at": noon + " Lunch"}, "", "", nil},
		{"HandledOther", "each kind has its own record", values{pause: noon}, values{"logout-at": noon}, "pause-at 12:00:00 (Paused)", "", nil},
		{"NewReason", "another value is another order", values{pause: noon + " Lunch"}, values{"pause-at": noon}, "pause-at 12:00:00 (Lunch)", "", nil},
		{"NewerTime", "", values{pause: noon}, values{"pause-at": morning}, "pause-at 12:00:00 (Paused)", "", nil},
		{"OlderTime", "what was written last is meant, as long as it is young", values{pause: "2027-02-01T11:55:00Z"}, values{"pause-at": noon}, "pause-at 11:55:00 (Paused)", "", nil},
		{"TooOld", "recorded, not done", values{pause: "2027-02-01T11:49:59Z"}, nil, "pause-at 11:49:59 (Paused) skipped", "", nil},
		{"JustYoungEnough", "ten minutes are not older than ten minutes", values{pause: "2027-02-01T11:50:00Z"}, nil, "pause-at 11:50:00 (Paused)", "", nil},
		{"AncientTime", "", values{logout: "0001-01-01T00:00:00Z"}, nil, "logout-at 00:00:00 skipped", "", nil},
		{"Future", "done then", values{logout: sometime}, nil, "", sometime, nil},
		{"FutureHandled", "and not twice", values{logout: sometime}, values{"logout-at": sometime}, "", "", nil},
		{"Futures", "the next is the earliest", values{logout: "2027-02-03T00:00:00Z", pause: sometime, unpause: "9999-12-31T23:59:59Z"}, nil, "", sometime, nil},
		{"NowAndLater", "a break of an hour", values{pause: noon + " Lunch", unpause: "2027-02-01T13:00:00Z"}, nil, "pause-at 12:00:00 (Lunch)", "2027-02-01T13:00:00Z", nil},
		{"InTheirOrder", "pause, then unpause", values{pause: "2027-02-01T11:58:00Z", unpause: "2027-02-01T11:59:00Z"}, nil, "pause-at 11:58:00 (Paused), unpause-at 11:59:00", "", nil},
		{"InTheirOrderToo", "unpause, then pause", values{unpause: "2027-02-01T11:58:00Z", pause: "2027-02-01T11:59:00Z"}, nil, "unpause-at 11:58:00, pause-at 11:59:00 (Paused)", "", nil},
		{"InTheirOrderByZone", "times, not texts", values{unpause: "2027-02-01T13:58:00+02:00", pause: "2027-02-01T11:59:00Z"}, nil, "unpause-at 11:58:00, pause-at 11:59:00 (Paused)", "", nil},
		{
			"AtOnce", "by name, then", values{unpause: noon, pause: noon, logout: noon, look: noon}, nil,
			"logout-at 12:00:00, pause-at 12:00:00 (Paused), reconcile-at 12:00:00, unpause-at 12:00:00", "", nil,
		},
		{"Empty", "an empty value orders nothing", values{pause: "", unpause: " \n"}, nil, "", "", nil},
		{"LineBreak", "as a block in YAML ends", values{pause: noon + " Lunch\n"}, nil, "pause-at 12:00:00 (Lunch)", "", nil},
		{"Word", "", values{pause: "now"}, nil, "", "", []string{"annotation " + pause + unreadable}},
		{"DateAlone", "", values{unpause: "2027-02-01"}, nil, "", "", []string{"annotation " + unpause + unreadable}},
		{"NoZone", "", values{logout: "2027-02-01T12:00:00"}, nil, "", "", []string{"annotation " + logout + unreadable}},
		{"NoSuchDay", "", values{logout: "2027-02-30T12:00:00Z"}, nil, "", "", []string{"annotation " + logout + unreadable}},
		{"Comma", "a space parts time and reason", values{look: noon + ",Lunch"}, nil, "", "", []string{"annotation " + look + unreadable}},
		{
			"OneBad", "the others are done", values{pause: "true", logout: "yes", unpause: noon}, nil, "unpause-at 12:00:00", "",
			[]string{"annotation " + logout + unreadable, "annotation " + pause + unreadable},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			due, next, invalid := Orders(tt.annotations, tt.handled, at("08:00:00"), at("12:00:00"))
			var wantNext time.Time
			if tt.next != "" {
				wantNext, _ = time.Parse(time.RFC3339, tt.next)
			}
			if got := printOrders(due); got != tt.due || !next.Equal(wantNext) || !slices.Equal(invalid, tt.invalid) {
				t.Errorf("%s:\ngot  %s; next %s; %q\nwant %s; next %s; %q", tt.reason, got, stampOf(next), invalid, tt.due, stampOf(wantNext), tt.invalid)
			}
		})
	}
}

func TestOrdersOlderThanTheObjectC8(t *testing.T) {
	for clock, want := range map[string]string{
		"11:59:59": "logout-at 11:59:59 skipped", // meant for a namesake
		"12:00:00": "logout-at 12:00:00",
		"12:00:01": "logout-at 12:00:01",
	} {
		annotations := map[string]string{v1alpha1.AnnotationLogoutAt: at(clock).Format(time.RFC3339)}
		due, _, _ := Orders(annotations, map[string]string(nil), at("12:00:00"), at("12:00:01"))
		if got := printOrders(due); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestOrderTextC8(t *testing.T) {
	const noon = "2027-02-01T12:00:00Z "
	tests := []struct {
		name         string
		reason       string
		text         string
		value, reads string
	}{
		{name: "Plain", reason: "as it is", text: "Lunch, then a call", value: "Lunch, then a call", reads: "Lunch, then a call"},
		{name: "Spaces", reason: "the value is the annotation's", text: " a  b ", value: " a  b ", reads: "a b"},
		{name: "Injection", reason: "no line of its own in a protocol of lines", text: "a\r\nAction: Hangup", value: "a  Action: Hangup", reads: "a Action: Hangup"},
		{name: "Nul", reason: "no database takes it", text: "a\x00b", value: "a b", reads: "a b"},
		{name: "Signs", reason: "Asterisk reads ; ^ and | as its own", text: "a;b^3Bc|d", value: "a;b^3Bc|d", reads: "a b 3Bc d"},
		{name: "Invisible", reason: "no text that runs backwards", text: "a\u202eb\u200bc", value: "a\u202eb\u200bc", reads: "a b c"},
		{name: "BrokenText", reason: "not UTF-8", text: "a\xffb", value: "a b", reads: "a b"},
		{name: "Letters", reason: "of all scripts", text: "Обед 昼休み", value: "Обед 昼休み", reads: "Обед 昼休み"},
		{
			name: "Long", reason: "cut to Asterisk's room", text: strings.Repeat("long ", 80),
			value: strings.Repeat("long ", 47), reads: strings.TrimSpace(strings.Repeat("long ", 16)),
		},
		{
			name: "LongLetters", reason: "no half letters", text: strings.Repeat("昼", 100),
			value: strings.Repeat("昼", 78), reads: strings.Repeat("昼", 26),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			annotations := map[string]string{v1alpha1.AnnotationPauseAt: noon + tt.text}
			due, _, _ := Orders(annotations, map[string]string(nil), at("08:00:00"), at("12:00:00"))
			if len(due) != 1 {
				t.Fatalf("%d orders", len(due))
			}
			if due[0].Reason != tt.reads || due[0].Value != noon+tt.value {
				t.Errorf("%s: reason %q of value %q", tt.reason, due[0].Reason, due[0].Value)
			}
			if due, _, _ := Orders(annotations, map[string]string{"pause-at": due[0].Value}, at("08:00:00"), at("12:00:00")); len(due) > 0 {
				t.Errorf("%s: done a second time", tt.reason)
			}
		})
	}
}

func TestOrdersChangeNothingAndCostNothingC8(t *testing.T) {
	annotations := map[string]string{v1alpha1.AnnotationPauseAt: "2027-02-01T12:00:00Z Lunch", "other": "x"}
	handled := map[string]v1alpha1.HandledOrder{OrderPause: "2027-02-01T12:00:00Z Lunch"}
	created, now := at("08:00:00"), at("12:00:00")
	if n := testing.AllocsPerRun(100, func() { Orders(annotations, handled, created, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	before := fmt.Sprint(annotations, handled)
	annotations[v1alpha1.AnnotationPauseAt] += "!"
	Orders(annotations, handled, created, now)
	annotations[v1alpha1.AnnotationPauseAt] = strings.TrimSuffix(annotations[v1alpha1.AnnotationPauseAt], "!")
	if after := fmt.Sprint(annotations, handled); after != before {
		t.Errorf("before %s\nafter  %s", before, after)
	}
}

// TestOrderHistoriesC8 gives random orders, carries out what is due, and holds the outcome to what the contract says of
// each value: done once at its time, or as soon as it is seen after that; recorded when it comes too late; else nothing.
func TestOrderHistoriesC8(t *testing.T) {
	names := []string{v1alpha1.AnnotationLogoutAt, v1alpha1.AnnotationPauseAt, v1alpha1.AnnotationUnpauseAt, v1alpha1.AnnotationReconcileAt}
	rapid.Check(t, func(t *rapid.T) {
		created := at("12:00:00")
		now := created.Add(time.Duration(rapid.IntRange(0, 1200).Draw(t, "age")) * time.Second)
		annotations, handled := map[string]string{}, map[string]string{}
		reconcile := func() time.Time {
			due, next, invalid := Orders(annotations, handled, created, now)
			kinds, unreadable := map[string]bool{}, 0
			for i, o := range due {
				kinds[o.Kind] = true
				if i > 0 && (o.At.Before(due[i-1].At) || o.At.Equal(due[i-1].At) && o.Kind <= due[i-1].Kind) {
					t.Fatalf("out of order: %v", due)
				}
				if len(o.Value) > 256 || utf8.RuneCountInString(o.Reason) > 80 || len(o.Reason) > 79 ||
					!utf8.ValidString(o.Value+o.Reason) || strings.ContainsFunc(o.Value+o.Reason, unicode.IsControl) {
					t.Fatalf("cannot be recorded: %+v", o)
				}
			}
			for _, name := range names {
				kind := strings.TrimPrefix(name, "staff.roster.dev/")
				value := annotations[name]
				first, _, _ := strings.Cut(value, " ")
				moment, err := time.Parse(time.RFC3339, first)
				pending := value != "" && err == nil && value != handled[kind]
				if err != nil && value != "" {
					unreadable++
				}
				if kinds[kind] != (pending && !moment.After(now)) {
					t.Fatalf("at %s, after %v, %s=%q: %v", now, handled, name, value, due)
				}
				if pending && moment.After(now) && (next.IsZero() || next.After(moment)) {
					t.Fatalf("%s=%q, and yet next is %s", name, value, next)
				}
				for _, o := range due {
					late := moment.Before(created) || moment.Add(10*time.Minute).Before(now)
					if o.Kind == kind && (o.Value != value || o.Skip != late || !o.At.Equal(moment)) {
						t.Fatalf("at %s, made %s, %s=%q: %+v", now, created, name, value, o)
					}
				}
			}
			if len(invalid) != unreadable || !slices.IsSorted(invalid) {
				t.Fatalf("%v: %q", annotations, invalid)
			}
			for _, o := range due {
				handled[o.Kind] = o.Value
			}
			if again, _, same := Orders(annotations, handled, created, now); len(again) > 0 || !slices.Equal(same, invalid) {
				t.Fatalf("a second time: %v %q", again, same)
			}
			return next
		}
		t.Repeat(map[string]func(*rapid.T){
			"order": func(t *rapid.T) {
				name := rapid.SampledFrom(names).Draw(t, "order")
				value := now.Add(time.Duration(rapid.IntRange(-900, 300).Draw(t, "in")) * time.Second).
					In(time.FixedZone("", rapid.IntRange(-12, 12).Draw(t, "zone")*3600)).Format(time.RFC3339)
				value += rapid.SampledFrom([]string{"", " ", " Lunch", " a;b|c"}).Draw(t, "reason")
				if rapid.IntRange(0, 9).Draw(t, "garbled") == 0 {
					value = rapid.SampledFrom([]string{"now", "2027-02-01", value + "x"}).Draw(t, "garbage")
					if _, _, spaced := strings.Cut(value, " "); spaced {
						value = "x" + value
					}
				}
				annotations[name] = value
			},
			"withdraw": func(t *rapid.T) { delete(annotations, rapid.SampledFrom(names).Draw(t, "order")) },
			"recreate": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "really") == 0 {
					created = now
					clear(handled)
				}
			},
			"outage": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(t, "seconds")) * time.Second)
			},
			"wait": func(t *rapid.T) {
				next := reconcile()
				if next.IsZero() {
					return
				}
				if !next.After(now) {
					t.Fatalf("next %s is not after %s", next, now)
				}
				before := maps.Clone(handled)
				now = next.Add(-time.Nanosecond)
				if reconcile(); !maps.Equal(before, handled) {
					t.Fatalf("due before %s: %v, then %v", next, before, handled)
				}
				now = next
				if reconcile(); maps.Equal(before, handled) {
					t.Fatalf("nothing was due at %s: %v", next, annotations)
				}
			},
			"": func(*rapid.T) { reconcile() },
		})
	})
}

// TestOrdersTakeAnythingC8: whatever stands in an annotation, it is one of nothing, an order, a time ahead, or a complaint,
// and what can be recorded is not done again.
func TestOrdersTakeAnythingC8(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.String().Draw(t, "value")
		if rapid.Bool().Draw(t, "time") {
			value = "2027-02-01T12:00:00Z" + value
		}
		annotations := map[string]string{v1alpha1.AnnotationPauseAt: value}
		due, next, invalid := Orders(annotations, map[string]string(nil), at("08:00:00"), at("12:00:00"))
		if n := len(due) + len(invalid) + one(!next.IsZero()); n > 1 || n == 0 && strings.TrimSpace(recordable(value)) != "" {
			t.Fatalf("%v %s %q", due, next, invalid)
		}
		for _, o := range due {
			again, _, _ := Orders(annotations, map[string]string{o.Kind: o.Value}, at("08:00:00"), at("12:00:00"))
			if len(again) > 0 || o.Reason == "" || len(o.Reason) > 79 || len(o.Value) > 256 ||
				strings.ContainsAny(o.Reason, ";^|") || strings.ContainsFunc(o.Reason, unprintable) || strings.TrimSpace(o.Reason) != o.Reason {
				t.Fatalf("%+v, then %+v", o, again)
			}
		}
	})
}

func BenchmarkOrders(b *testing.B) {
	now := at("12:00:00")
	annotations := map[string]string{"kubectl.kubernetes.io/last-applied-configuration": "{}"}
	b.Run("none", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Orders(annotations, map[string]string(nil), now, now)
		}
	})
	b.Run("handled", func(b *testing.B) {
		with := maps.Clone(annotations)
		with[v1alpha1.AnnotationPauseAt] = "2027-02-01T12:00:00Z Lunch"
		handled := map[string]string{OrderPause: "2027-02-01T12:00:00Z Lunch"}
		b.ReportAllocs()
		for b.Loop() {
			Orders(with, handled, now, now)
		}
	})
}
