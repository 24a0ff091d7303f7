package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"

	"roster.dev/roster/api/v1alpha1"
)

func newCaseListCommand(c *connection) *cobra.Command {
	var agent string
	var unassigned, all bool
	var out form
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List open cases and who holds them",
		Example: `  {roster} case list --agent alice-martin
  {roster} case list --unassigned`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.open(cmd)
			if err != nil {
				return err
			}
			selector := stillOpen
			if all {
				selector = nil
			}
			if unassigned {
				selector = fields.Set{"status.phase": string(v1alpha1.CaseUnassigned)}
			}
			cases, err := s.list(cmd.Context(), selector, func(a *v1alpha1.CaseAssignment) bool {
				return agent == "" || assigneeIndex(&a.Spec, agent) >= 0 || holder(a, agent) != nil
			})
			if err != nil {
				return err
			}
			return s.showCases(cases, out, time.Now())
		},
	}
	f := cmd.Flags()
	f.StringVar(&agent, "agent", "", "only those that this `person` holds or is assigned to")
	f.BoolVar(&unassigned, "unassigned", false, "only those that nobody holds")
	f.BoolVar(&all, "all", false, "completed ones too")
	outputFlag(cmd, &out, anyForm)
	cmd.MarkFlagsMutuallyExclusive("unassigned", "all")
	return cmd
}

// holder is a person's part in holding a case; nil where they do not.
func holder(a *v1alpha1.CaseAssignment, agent string) *v1alpha1.EffectiveAssignee {
	for i := range a.Status.Assignees {
		if string(a.Status.Assignees[i].Name) == agent {
			return &a.Status.Assignees[i]
		}
	}
	return nil
}

func (s *session) showCases(cases []assignment, out form, now time.Time) error {
	if out != asTable {
		raws := make([]*unstructured.Unstructured, len(cases))
		for i, a := range cases {
			a.raw.SetManagedFields(nil)
			raws[i] = a.raw
		}
		return writeList(s.out, out, "v1", "List", raws)
	}
	if len(cases) == 0 {
		s.note("no such case in namespace %s", s.namespace)
		return nil
	}
	t := newTable(s.out, "NAME", "PHASE", "CASE", "CLIENT", "HELD BY", "VIA", "ASSIGNED TO", "NEXT", "AGE")
	for _, a := range cases {
		var by, via, next string
		if len(a.Status.Assignees) > 0 {
			by, via = heldBy(a.CaseAssignment), string(a.Status.Assignees[0].Via)
		}
		if a.Spec.NextActionTime != nil {
			next = showTime(a.Spec.NextActionTime.Time, time.Local)
		}
		declared := ""
		if len(a.Spec.Assignees) > 0 {
			declared = assigneeList(&a.Spec)
		}
		t.row(a.Name, string(a.Status.Phase), caseName(a.Spec.Case), clientName(a.Spec.Client), by, via, declared, next,
			duration.HumanDuration(now.Sub(a.CreationTimestamp.Time)))
	}
	return t.Flush()
}

func heldBy(a *v1alpha1.CaseAssignment) string {
	names := make([]string, len(a.Status.Assignees))
	for i, h := range a.Status.Assignees {
		names[i] = string(h.Name)
	}
	return strings.Join(names, ", ")
}

func caseName(c *v1alpha1.Case) string {
	if c == nil {
		return ""
	}
	return strings.TrimSpace(c.ID + " " + c.Title)
}

func clientName(c *v1alpha1.Client) string {
	if c == nil {
		return ""
	}
	return strings.TrimSpace(c.ID + " " + c.Name)
}

func phones(c *v1alpha1.Client) string {
	if c == nil {
		return ""
	}
	numbers := make([]string, len(c.Phones))
	for i, p := range c.Phones {
		numbers[i] = string(p)
	}
	return strings.Join(numbers, ", ")
}

func newCaseShowCommand(c *connection) *cobra.Command {
	var out form
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show a case: who holds it and who did, when and why",
		Example: "  {roster} case show case-7",
		Args:    needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.open(cmd)
			if err != nil {
				return err
			}
			a, err := s.get(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if out != asTable {
				a.raw.SetManagedFields(nil)
				return out.write(s.out, a.raw)
			}
			return s.showCase(a, s.people(cmd.Context()), time.Local, time.Now())
		},
	}
	outputFlag(cmd, &out, anyForm)
	return cmd
}

func (s *session) showCase(a assignment, find people, zone *time.Location, now time.Time) error {
	t := newTable(s.out)
	line := func(what, value string) {
		if value != "" {
			t.row(what+":", value)
		}
	}
	line("Name", a.Name)
	line("Namespace", a.Namespace)
	line("Case", caseName(a.Spec.Case))
	if a.Spec.Case != nil {
		line("Address", a.Spec.Case.URL)
	}
	line("Client", clientName(a.Spec.Client))
	line("Phones", phones(a.Spec.Client))
	line("Group", string(a.Spec.Group))
	line("State", string(a.Spec.State))
	line("Phase", string(a.Status.Phase))
	line("Assigned to", assigneeList(&a.Spec))
	if at := a.Spec.NextActionTime; at != nil {
		line("Next action", showTime(at.Time, zone)+past(at.Time, now))
	}
	if at := a.Spec.Appointment; at != nil {
		line("Appointment", showSpan(at.StartTime.Time, at.EndTime.Time, appointmentZone(at.TimeZone, zone)))
	}
	line("Managed by", managedBy(a.raw))
	for i, text := range holding(a.CaseAssignment, find, zone, now) {
		what := ""
		if i == 0 {
			what = "Now:"
		}
		fmt.Fprintf(t, "%s\t%s\n", what, printable(text))
	}
	if a.Status.ObservedGeneration < a.Generation {
		fmt.Fprintf(t, "\t%s\n", "(Roster has not looked at the last change yet)")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if err := s.showHolders(a.CaseAssignment, find, zone, now); err != nil {
		return err
	}
	if err := s.showHistory(a.Status.History, zone); err != nil {
		return err
	}
	return s.showConditions(a.CaseAssignment, zone)
}

// appointmentZone is the zone that an appointment names, where this machine knows it.
func appointmentZone(name string, otherwise *time.Location) *time.Location {
	if zone, err := loadZone(name); name != "" && err == nil {
		return zone
	}
	return otherwise
}

func (s *session) showHolders(a *v1alpha1.CaseAssignment, find people, zone *time.Location, now time.Time) error {
	if len(a.Status.Assignees) == 0 {
		return nil
	}
	s.say("\nHeld by:")
	t := newTable(s.out, "  PERSON", "SINCE", "VIA", "WHY")
	for _, h := range a.Status.Assignees {
		var why string
		if at := assigneeIndex(&a.Spec, string(h.Name)); at >= 0 {
			why = string(a.Spec.Assignees[at].Reason)
		}
		if h.Covers != "" {
			why = absence(h, find, zone, now)
		}
		t.row("  "+string(h.Name), showTime(h.Since.Time, zone), string(h.Via), why)
	}
	return t.Flush()
}

func (s *session) showHistory(history []v1alpha1.HistoryEntry, zone *time.Location) error {
	if len(history) == 0 {
		return nil
	}
	s.say("\nHistory:")
	t := newTable(s.out, "  TIME", "WHAT", "WHY")
	for _, e := range history {
		t.row("  "+showTime(e.Time.Time, zone), whatHappened(e), e.Reason)
	}
	return t.Flush()
}

func (s *session) showConditions(a *v1alpha1.CaseAssignment, zone *time.Location) error {
	if len(a.Status.Conditions) == 0 {
		return nil
	}
	s.say("\nConditions:")
	t := newTable(s.out, "  CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE")
	for _, c := range a.Status.Conditions {
		t.row("  "+c.Type, string(c.Status), showTime(c.LastTransitionTime.Time, zone), c.Reason, c.Message)
	}
	return t.Flush()
}
