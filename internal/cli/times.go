package cli

import (
	"fmt"
	"time"
	_ "time/tzdata" // for machines that have no time zones of their own

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// wallClock is a time as people write it; it needs a time zone.
const wallClock = "2006-01-02 15:04"

// parseTime reads a time that a person wrote: with its zone as RFC 3339 has it, or as a clock in zone shows it.
func parseTime(text string, zone *time.Location) (metav1.Time, error) {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return metav1.NewTime(t), nil
	}
	t, err := time.ParseInLocation(wallClock, text, zone)
	if err != nil {
		return metav1.Time{}, fmt.Errorf("%q is no time: write \"2026-12-01 15:04\", or 2026-12-01T15:04:00+01:00", text)
	}
	if t.Format(wallClock) != text {
		return metav1.Time{}, fmt.Errorf("%q does not exist in %s, where clocks go forward then: write another time", text, zone)
	}
	for _, change := range []time.Duration{30 * time.Minute, time.Hour} {
		if t.Add(change).Format(wallClock) == text || t.Add(-change).Format(wallClock) == text {
			return metav1.Time{}, fmt.Errorf("%q is twice in %s, where clocks go back then: write which, such as %s",
				text, zone, t.Format(time.RFC3339))
		}
	}
	return metav1.NewTime(t), nil
}

// loadZone finds a time zone by its IANA name; without a name it is that of this machine.
func loadZone(name string) (*time.Location, error) {
	if name == "" {
		return time.Local, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("there is no time zone %q: write its IANA name, such as Europe/Rome", name)
	}
	return zone, nil
}

// showTime is a time as a clock in zone shows it.
func showTime(t time.Time, zone *time.Location) string { return t.In(zone).Format(wallClock + " MST") }

// showSpan is a span of time as a clock in zone shows it.
func showSpan(from, to time.Time, zone *time.Location) string {
	from, to = from.In(zone), to.In(zone)
	end := to.Format(wallClock)
	if from.Format(time.DateOnly) == to.Format(time.DateOnly) {
		end = to.Format("15:04")
	}
	return from.Format(wallClock) + " to " + end + " " + to.Format("MST")
}
