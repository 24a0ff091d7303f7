package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"roster.dev/roster/api/v1alpha1"
)

func newCaseCommand(version string) *cobra.Command {
	c := &connection{version: version}
	return connected(c, newGroup("case", "Give cases to people, and see who holds them",
		newCaseCreateCommand(c), newCaseListCommand(c), newCaseShowCommand(c),
		newCaseAssignCommand(c), newCaseUnassignCommand(c), newCaseScheduleCommand(c), newCaseNextCommand(c),
		newCaseStateCommand(c, "complete", "Complete a case: it keeps its history and frees its people", v1alpha1.CaseCompleted, "completed"),
		newCaseStateCommand(c, "reopen", "Open a completed case again", v1alpha1.CaseOpen, "open")))
}

// newEditCommand is a command that changes one assignment, the first argument.
func newEditCommand(c *connection, cmd *cobra.Command, alter func(args []string) (change, error)) *cobra.Command {
	e := &editing{}
	editingFlags(cmd, e)
	cmd.Long = cmd.Short + "." + cmd.Long + editingHelp
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		alteration, err := alter(args)
		if err != nil {
			return err
		}
		s, err := c.open(cmd)
		if err != nil {
			return err
		}
		return s.edit(cmd.Context(), args[0], e, alteration)
	}
	return cmd
}

// newCase is what `case create` is told.
type newCase struct {
	caseID, title, url               string
	clientID, clientName             string
	phones, assignees                []string
	group, nextAction                string
	appointmentStart, appointmentEnd string
	zone                             string
}

func newCaseCreateCommand(c *connection) *cobra.Command {
	n, e := &newCase{}, &editing{}
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create a case, with people already assigned",
		Long: "Create a case, with people already assigned. It is about a case of some other system, a client, or both.\n" +
			"The first --assignee is the responsible person. Reasons are " + reasonList() + "." + editingHelp,
		Example: `  {roster} case create case-7 --case CASE-7 --title Refund --client C-99 --client-name 'Ada Byron' --phone +390699999 \
    --assignee alice-martin=Escalation --assignee bob-lee --group north --next-action '2026-12-01 09:00'`,
		Args: needs("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := n.spec()
			if err != nil {
				return err
			}
			if err := e.check(); err != nil {
				return err
			}
			s, err := c.open(cmd)
			if err != nil {
				return err
			}
			return s.create(cmd.Context(), args[0], e, spec)
		},
	}
	f := cmd.Flags()
	f.StringVar(&n.caseID, "case", "", "`id` of the case in the system where it lives")
	f.StringVar(&n.title, "title", "", "title of the case")
	f.StringVar(&n.url, "url", "", "web address of the case")
	f.StringVar(&n.clientID, "client", "", "`id` of the client in the system where clients are kept")
	f.StringVar(&n.clientName, "client-name", "", "name of the client")
	f.StringArrayVar(&n.phones, "phone", nil, "`number` the client calls from, such as +390699999; several by repeating the flag")
	f.StringArrayVar(&n.assignees, "assignee", nil, "`person` who should hold it, with a reason as in alice-martin=Escalation; several by repeating the flag")
	f.StringVar(&n.group, "group", "", "`group` whose people take it when the responsible person is not able")
	f.StringVar(&n.nextAction, "next-action", "", "`time` of the next action")
	f.StringVar(&n.appointmentStart, "start", "", "`time` at which an appointment begins")
	f.StringVar(&n.appointmentEnd, "end", "", "`time` at which it ends")
	f.StringVar(&n.zone, "time-zone", "", "`zone` of times without one, and of the appointment, such as Europe/Rome; default: this machine's")
	editingFlags(cmd, e)
	return cmd
}

// spec is what was told as a spec.
func (n *newCase) spec() (*v1alpha1.CaseAssignmentSpec, error) {
	spec := &v1alpha1.CaseAssignmentSpec{Group: v1alpha1.ObjectName(n.group)}
	switch {
	case n.caseID != "":
		spec.Case = &v1alpha1.Case{ID: n.caseID, Title: n.title, URL: n.url}
	case n.title != "" || n.url != "":
		return nil, errors.New("--title and --url are a case's: add --case with its id")
	}
	switch {
	case n.clientID != "":
		spec.Client = &v1alpha1.Client{ID: n.clientID, Name: n.clientName}
		for _, p := range n.phones {
			spec.Client.Phones = append(spec.Client.Phones, v1alpha1.PhoneNumber(p))
		}
	case n.clientName != "" || len(n.phones) > 0:
		return nil, errors.New("--client-name and --phone are a client's: add --client with their id")
	}
	if spec.Case == nil && spec.Client == nil {
		return nil, errors.New("say what is assigned: --case, or --client, or both")
	}
	for _, text := range n.assignees {
		name, why, _ := strings.Cut(text, "=")
		reason, err := parseReason(why)
		if err != nil {
			return nil, err
		}
		if name == "" {
			return nil, fmt.Errorf("--assignee %q names nobody: write a person, as in alice-martin or alice-martin=Escalation", text)
		}
		spec.Assignees = append(spec.Assignees, v1alpha1.Assignee{Name: v1alpha1.AgentName(name), Reason: reason})
	}
	if n.appointmentStart != "" || n.appointmentEnd != "" {
		booking := booking{start: n.appointmentStart, end: n.appointmentEnd, zone: n.zone}
		if _, err := booking.book(spec); err != nil {
			return nil, err
		}
	}
	if n.nextAction != "" {
		zone, err := loadZone(n.zone)
		if err != nil {
			return nil, err
		}
		at, err := parseTime(n.nextAction, zone)
		if err != nil {
			return nil, fmt.Errorf("--next-action: %w", err)
		}
		spec.NextActionTime = &at
	}
	return spec, nil
}

func (s *session) create(ctx context.Context, name string, e *editing, spec *v1alpha1.CaseAssignmentSpec) error {
	a := &v1alpha1.CaseAssignment{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: name}, Spec: *spec}
	a.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("CaseAssignment"))
	if !e.dryRun {
		if err := s.Create(ctx, a); err != nil {
			return s.explain(err)
		}
		s.say("%s: created", name)
		return s.settle(ctx, a, e.wait)
	}
	if e.form == asTable {
		s.say("%s: would be created (dry run: nothing was changed)", name)
		return nil
	}
	raw, err := apiruntime.DefaultUnstructuredConverter.ToUnstructured(a)
	if err != nil {
		return err
	}
	return writeManifests(s.out, e.form, []*unstructured.Unstructured{manifest(&unstructured.Unstructured{Object: raw})})
}

// reasons are those that the API knows.
var reasons = []v1alpha1.Reason{
	v1alpha1.ReasonVacation, v1alpha1.ReasonSickLeave, v1alpha1.ReasonEscalation, v1alpha1.ReasonBackup,
	v1alpha1.ReasonTraining, v1alpha1.ReasonOther,
}

func reasonList() string {
	names := make([]string, len(reasons))
	for i, r := range reasons {
		names[i] = string(r)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}

func parseReason(text string) (v1alpha1.Reason, error) {
	for _, r := range reasons {
		if strings.EqualFold(text, string(r)) {
			return r, nil
		}
	}
	if text != "" {
		return "", fmt.Errorf("%q is no reason: write one of %s", text, reasonList())
	}
	return "", nil
}

func newCaseAssignCommand(c *connection) *cobra.Command {
	var why string
	var first bool
	cmd := newEditCommand(c, &cobra.Command{
		Use:   "assign NAME PERSON",
		Short: "Assign a person to a case",
		Long:  " Whoever is assigned already gets the new reason, and with --responsible the first place.",
		Example: `  {roster} case assign case-7 bob-lee --reason Escalation
  {roster} case assign case-7 bob-lee --responsible`,
		Args: needs("NAME", "PERSON"),
	}, func(args []string) (change, error) {
		reason, err := parseReason(why)
		if err != nil {
			return nil, fmt.Errorf("--reason: %w", err)
		}
		return assign(args[1], reason, first), nil
	})
	cmd.Flags().StringVar(&why, "reason", "", "why: "+reasonList())
	cmd.Flags().BoolVar(&first, "responsible", false, "put the person first: the first is the responsible one")
	return cmd
}

func assign(person string, reason v1alpha1.Reason, first bool) change {
	return func(spec *v1alpha1.CaseAssignmentSpec) (string, error) {
		entry := v1alpha1.Assignee{Name: v1alpha1.AgentName(person), Reason: reason}
		at := assigneeIndex(spec, person)
		if at < 0 {
			at = len(spec.Assignees)
			spec.Assignees = append(spec.Assignees, entry)
		} else if reason == "" || reason == spec.Assignees[at].Reason {
			if at == 0 || !first {
				return person + " is assigned already", nil
			}
			entry = spec.Assignees[at]
		}
		spec.Assignees[at] = entry
		if first {
			spec.Assignees = slices.Insert(slices.Delete(spec.Assignees, at, at+1), 0, entry)
		}
		return person + " is assigned" + because(entry.Reason) + position(spec, person), nil
	}
}

func because(r v1alpha1.Reason) string {
	if r == "" {
		return ""
	}
	return " (" + string(r) + ")"
}

func position(spec *v1alpha1.CaseAssignmentSpec, person string) string {
	if assigneeIndex(spec, person) == 0 {
		return " as the responsible person"
	}
	return ""
}

func assigneeIndex(spec *v1alpha1.CaseAssignmentSpec, person string) int {
	return slices.IndexFunc(spec.Assignees, func(a v1alpha1.Assignee) bool { return string(a.Name) == person })
}

func newCaseUnassignCommand(c *connection) *cobra.Command {
	return newEditCommand(c, &cobra.Command{
		Use:     "unassign NAME PERSON",
		Short:   "Take a person off a case",
		Long:    " If it was the first, the next one is the responsible person.",
		Example: "  {roster} case unassign case-7 bob-lee",
		Args:    needs("NAME", "PERSON"),
	}, func(args []string) (change, error) { return unassign(args[1]), nil })
}

func unassign(person string) change {
	return func(spec *v1alpha1.CaseAssignmentSpec) (string, error) {
		at := assigneeIndex(spec, person)
		if at < 0 {
			return "", fmt.Errorf("%s is not among those who are assigned (%s). Whoever covers for somebody goes when that "+
				"person is back, or when somebody else is assigned", person, assigneeList(spec))
		}
		spec.Assignees = slices.Delete(spec.Assignees, at, at+1)
		return person + " is assigned no more", nil
	}
}

func assigneeList(spec *v1alpha1.CaseAssignmentSpec) string {
	if len(spec.Assignees) == 0 {
		return "nobody"
	}
	names := make([]string, len(spec.Assignees))
	for i, a := range spec.Assignees {
		names[i] = string(a.Name) + because(a.Reason)
	}
	return strings.Join(names, ", ")
}

// booking is what `case schedule` is told.
type booking struct {
	start, end, zone string
	clear            bool
}

func newCaseScheduleCommand(c *connection) *cobra.Command {
	b := &booking{}
	cmd := newEditCommand(c, &cobra.Command{
		Use:   "schedule NAME",
		Short: "Book an appointment on a case, move it or cancel it",
		Long: " Times are as in \"2026-12-01 15:00\",\nin --time-zone, else in the appointment's zone, else in this machine's; " +
			"or as in 2026-12-01T15:00:00+01:00.\n--start alone moves an appointment and keeps its length.",
		Example: `  {roster} case schedule case-7 --start '2026-12-01 15:00' --end '2026-12-01 15:30' --time-zone Europe/Rome
  {roster} case schedule case-7 --start '2026-12-02 10:00'
  {roster} case schedule case-7 --clear`,
		Args: needs("NAME"),
	}, func([]string) (change, error) {
		if b.start == "" && b.end == "" && b.zone == "" && !b.clear {
			return nil, errNoChange
		}
		if b.clear && (b.start != "" || b.end != "" || b.zone != "") {
			return nil, errors.New("--clear cancels the appointment: leave the other flags out")
		}
		return b.book, nil
	})
	f := cmd.Flags()
	f.StringVar(&b.start, "start", "", "`time` at which it begins")
	f.StringVar(&b.end, "end", "", "`time` at which it ends")
	f.StringVar(&b.zone, "time-zone", "", "`zone` in which the client reads the times, such as Europe/Rome")
	f.BoolVar(&b.clear, "clear", false, "cancel the appointment")
	return cmd
}

// book changes a spec's appointment.
func (b *booking) book(spec *v1alpha1.CaseAssignmentSpec) (string, error) {
	if b.clear {
		spec.Appointment = nil
		return "no appointment", nil
	}
	was := spec.Appointment
	is := ptr.Deref(was, v1alpha1.Appointment{})
	if b.zone != "" {
		is.TimeZone = b.zone
	}
	zone, err := loadZone(is.TimeZone)
	if err != nil {
		return "", err
	}
	if b.start != "" {
		if is.StartTime, err = parseTime(b.start, zone); err != nil {
			return "", fmt.Errorf("--start: %w", err)
		}
	}
	switch {
	case b.end != "":
		if is.EndTime, err = parseTime(b.end, zone); err != nil {
			return "", fmt.Errorf("--end: %w", err)
		}
	case b.start != "" && was != nil:
		is.EndTime = metav1.NewTime(is.StartTime.Add(was.EndTime.Sub(was.StartTime.Time)))
	}
	if is.StartTime.IsZero() || is.EndTime.IsZero() {
		return "", errors.New("there is no appointment yet: say both --start and --end")
	}
	if !is.StartTime.Before(&is.EndTime) {
		return "", fmt.Errorf("the appointment would end (%s) before it begins (%s): correct --start or --end",
			showTime(is.EndTime.Time, zone), showTime(is.StartTime.Time, zone))
	}
	spec.Appointment = &is
	return "appointment " + showSpan(is.StartTime.Time, is.EndTime.Time, zone), nil
}

func newCaseNextCommand(c *connection) *cobra.Command {
	var clearing bool
	var zoneName string
	cmd := newEditCommand(c, &cobra.Command{
		Use:   "next NAME TIME",
		Short: "Say when something is to be done next on a case",
		Long:  " It is in the agenda of whoever holds the case.",
		Example: `  {roster} case next case-7 '2026-12-01 09:00'
  {roster} case next case-7 --clear`,
		Args: func(cmd *cobra.Command, args []string) error {
			if clearing {
				return needs("NAME")(cmd, args)
			}
			return needs("NAME", "TIME, or --clear")(cmd, args)
		},
	}, func(args []string) (change, error) {
		if clearing {
			return func(spec *v1alpha1.CaseAssignmentSpec) (string, error) {
				spec.NextActionTime = nil
				return "no next action", nil
			}, nil
		}
		zone, err := loadZone(zoneName)
		if err != nil {
			return nil, err
		}
		at, err := parseTime(args[1], zone)
		if err != nil {
			return nil, err
		}
		return func(spec *v1alpha1.CaseAssignmentSpec) (string, error) {
			spec.NextActionTime = &at
			return "next action at " + showTime(at.Time, zone) + past(at.Time, time.Now()), nil
		}, nil
	})
	cmd.Flags().BoolVar(&clearing, "clear", false, "nothing is to be done next")
	cmd.Flags().StringVar(&zoneName, "time-zone", "", "`zone` of a TIME without one, such as Europe/Rome; default: this machine's")
	return cmd
}

func past(t, now time.Time) string {
	if t.Before(now) {
		return ", which has passed"
	}
	return ""
}

func newCaseStateCommand(c *connection, use, short string, state v1alpha1.CaseState, word string) *cobra.Command {
	return newEditCommand(c, &cobra.Command{
		Use:     use + " NAME",
		Short:   short,
		Example: "  {roster} case " + use + " case-7",
		Args:    needs("NAME"),
	}, func([]string) (change, error) {
		return func(spec *v1alpha1.CaseAssignmentSpec) (string, error) {
			if spec.State == state {
				return word + " already", nil
			}
			spec.State = state
			return word, nil
		}, nil
	})
}
