package cli

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/book"
)

func newAgendaCommand(version string) *cobra.Command {
	c := &connection{version: version}
	var days int
	var zoneName string
	var out form
	cmd := &cobra.Command{
		Use:   "agenda PERSON",
		Short: "Show what a person has to do next, in order",
		Long: "Show what a person has to do next, in order: next actions and appointments of the open cases that the person\n" +
			"holds, as declared or in somebody's place. Next actions whose time has passed come first; appointments that are\n" +
			"over are left out.",
		Example: `  {roster} agenda alice-martin
  {roster} agenda alice-martin --days 30 --time-zone Europe/Rome`,
		Args: needs("PERSON"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if days < 0 {
				return errors.New("--days counts from now on: write 1 or more, or 0 for all there is")
			}
			zone, err := loadZone(zoneName)
			if err != nil {
				return err
			}
			s, err := c.open(cmd)
			if err != nil {
				return err
			}
			held, err := s.held(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			now := time.Now()
			entries, later := agenda(held, s.namespace, args[0], now.In(zone), days)
			return s.showAgenda(args[0], entries, later, days, out, zone, now)
		},
	}
	f := cmd.Flags()
	f.IntVar(&days, "days", 7, "how many days from now on; 0 for all there is")
	f.StringVar(&zoneName, "time-zone", "", "`zone` in which times are shown, such as Europe/Rome; default: this machine's")
	outputFlag(cmd, &out, anyForm)
	return connected(c, cmd)
}

// agenda is what is not done at now and begins within days, and how much there is later.
func agenda(held *book.Index, namespace, agent string, now time.Time, days int) (entries []*book.AgendaEntry, later int) {
	held.Agenda(namespace, time.Time{}, time.Time{}, agent).Rows(func(e []*book.AgendaEntry) bool {
		entries = append(entries, e...)
		return true
	})
	end := now.AddDate(0, 0, days)
	entries = slices.DeleteFunc(entries, func(e *book.AgendaEntry) bool {
		if days > 0 && !e.Time.Before(end) {
			later++
			return true
		}
		return e.Kind == book.Appointment && !e.End.After(now)
	})
	return entries, later
}

func (s *session) showAgenda(agent string, entries []*book.AgendaEntry, later, days int, out form, zone *time.Location, now time.Time) error {
	if out != asTable {
		return writeList(s.out, out, v1alpha1.GroupVersion.String(), "AgendaList", entries)
	}
	if len(entries) == 0 {
		s.note("%s has nothing to do%s", agent, within(days))
	} else {
		t := newTable(s.out, "TIME", "WHAT", "CASE", "CLIENT", "PHONES", "ASSIGNMENT")
		for _, e := range entries {
			t.row(e.Time.In(zone).Format("Mon "+wallClock+" MST"), whatToDo(e, zone, now), caseName(e.Case), clientName(e.Client), phones(e.Client), e.Assignment)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if later > 0 {
		s.note("%d later: --days 0 shows all", later)
	}
	return nil
}

func within(days int) string {
	if days == 0 {
		return ""
	}
	return fmt.Sprintf(" in the next %d days", days)
}

// whatToDo says what an entry of an agenda is about; an appointment also in the client's time zone, if that is another.
func whatToDo(e *book.AgendaEntry, zone *time.Location, now time.Time) string {
	if e.Kind == book.NextAction {
		if e.Time.Before(now) {
			return "next action, overdue"
		}
		return "next action"
	}
	what := "appointment until " + e.End.In(zone).Format("15:04")
	theirs := appointmentZone(e.TimeZone, zone)
	if e.Time.In(theirs).Format(wallClock) != e.Time.In(zone).Format(wallClock) {
		what += ", for the client " + showSpan(e.Time, e.End, theirs)
	}
	return what
}
