package main

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	_ "modernc.org/sqlite" // the driver
	"sigs.k8s.io/controller-runtime/pkg/client"

	"roster.dev/roster/api/v1alpha1"
)

// member is one person's place in one queue, as the database has it.
type member struct {
	queue, extension, person, channels, via, phase, group string
	stars                                                 int
	// paused is the reason of a pause on the telephone system; voice says that it has a row of the member at all.
	paused string
	voice  bool
}

// person is one line of the reporting table.
type person struct{ name, display, phase, note string }

// screen is what the closing screen shows.
type screen struct {
	database string
	members  []member
	away     []person
	counts   map[string]int
	// notes are what objects say of themselves although they are Ready.
	notes []string
}

// closingScreen shows the staff by queue from the database itself, and what to try next.
func (q *quickstart) closingScreen(s *samples) error {
	center := &v1alpha1.ContactCenter{}
	if err := s.client.Get(q.ctx, client.ObjectKey{Namespace: s.namespace, Name: "default"}, center); err != nil {
		return err
	}
	fmt.Println()
	if d := center.Spec.Telephony.AsteriskRealtime; d != nil && d.Database.Type == v1alpha1.DatabaseSQLite {
		view, err := readScreen(q.ctx, filepath.Join(runDir, "data", d.Database.Path), s.namespace)
		if err != nil {
			return fmt.Errorf("reading the database: %w", err)
		}
		if view.notes, err = readNotes(q.ctx, s); err != nil {
			return err
		}
		view.write(os.Stdout)
	}
	q.writeNext(os.Stdout, s.namespace)
	return nil
}

const (
	membersQuery = `
SELECT m.queue, COALESCE(e.key, ''), COALESCE(a.display_name, m.agent), MAX(m.stars), GROUP_CONCAT(m.channel, ','),
       MAX(m.via), a.phase, COALESCE(a.agent_group, ''), p.interface IS NOT NULL,
       CASE WHEN p.paused = 1 THEN COALESCE(NULLIF(p.reason_paused, ''), 'yes') ELSE '' END
FROM roster_memberships m
JOIN roster_agents a ON a.center = m.center AND a.name = m.agent
LEFT JOIN queue_members p ON p.queue_name = m.queue AND p.interface = a.interface
LEFT JOIN roster_extensions e ON e.center = m.center AND e.queue = m.queue
WHERE m.center = ? AND m.queue NOT LIKE '%.%'
GROUP BY m.queue, m.agent
ORDER BY m.queue, MAX(m.stars) DESC, m.agent`
	peopleQuery = `
SELECT name, COALESCE(display_name, ''), phase, COALESCE(requested_at, '') FROM roster_agents
WHERE center = ? AND phase <> 'Deleted' ORDER BY phase, name`
)

func readScreen(ctx context.Context, path, center string) (*screen, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: absolute, RawQuery: "mode=ro&_pragma=busy_timeout(5000)"}).String())
	if err != nil {
		return nil, err
	}
	defer db.Close()
	s := &screen{database: path, counts: map[string]int{}}
	rows, err := db.QueryContext(ctx, membersQuery, center)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var m member
		if err := rows.Scan(&m.queue, &m.extension, &m.person, &m.stars, &m.channels, &m.via, &m.phase, &m.group, &m.voice, &m.paused); err != nil {
			return nil, err
		}
		_, m.extension, _ = strings.Cut(m.extension, "/")
		m.channels = inOrder(m.channels)
		s.members = append(s.members, m)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	people, err := db.QueryContext(ctx, peopleQuery, center)
	if err != nil {
		return nil, err
	}
	defer people.Close()
	for people.Next() {
		var p person
		var requested string
		if err := people.Scan(&p.name, &p.display, &p.phase, &requested); err != nil {
			return nil, err
		}
		s.counts[p.phase]++
		if p.phase == string(v1alpha1.PhaseActive) {
			continue
		}
		if requested != "" {
			p.note = "asked for at " + requested
		}
		s.away = append(s.away, p)
	}
	return s, people.Err()
}

// inOrder puts channels into the order in which they are shown everywhere.
func inOrder(channels string) string {
	order := []string{"Voice", "Chat", "Email", "SMS", "Fax", "Voicemail"}
	list := strings.Split(channels, ",")
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
	return strings.Join(list, " ")
}

// readNotes are what Ready objects say besides.
func readNotes(ctx context.Context, s *samples) ([]string, error) {
	agents, queues, cases := &v1alpha1.AgentList{}, &v1alpha1.QueueList{}, &v1alpha1.CaseAssignmentList{}
	for _, list := range []client.ObjectList{agents, queues, cases} {
		if err := s.client.List(ctx, list, client.InNamespace(s.namespace)); err != nil {
			return nil, err
		}
	}
	var notes []string
	for i := range agents.Items {
		for _, c := range agents.Items[i].Status.Conditions {
			if c.Type == v1alpha1.ConditionConflicted || c.Type == v1alpha1.ConditionRevoked {
				notes = append(notes, fmt.Sprintf("Agent %s is %s: %s", agents.Items[i].Name, c.Type, c.Message))
			}
		}
	}
	for i := range queues.Items {
		for _, c := range queues.Items[i].Status.Conditions {
			if c.Type == v1alpha1.ConditionConflicted || c.Type == v1alpha1.ConditionStaffed && c.Status == "False" {
				notes = append(notes, fmt.Sprintf("Queue %s: %s", queues.Items[i].Name, c.Message))
			}
		}
	}
	for i := range cases.Items {
		c := &cases.Items[i]
		switch c.Status.Phase {
		case v1alpha1.CaseCovered:
			a := &c.Status.Assignees[0]
			notes = append(notes, fmt.Sprintf("Case %s of %s is covered by %s: %s", c.Name, a.Covers, a.Name, a.Cause))
		case v1alpha1.CaseUnassigned:
			notes = append(notes, fmt.Sprintf("Case %s is nobody's", c.Name))
		}
	}
	return notes, nil
}

// write writes the screen.
func (s *screen) write(w io.Writer) {
	fmt.Fprintf(w, "STAFF BY QUEUE   (read from %s)\n", s.database)
	for len(s.members) > 0 {
		queue := s.members[0].queue
		n := 1
		for n < len(s.members) && s.members[n].queue == queue {
			n++
		}
		writeQueue(w, s.members[:n])
		s.members = s.members[n:]
	}
	fmt.Fprintf(w, "\nPEOPLE   %s\n", s.countText())
	rows := make([][]string, 0, len(s.away))
	for _, p := range s.away {
		rows = append(rows, []string{"  " + p.display, p.phase, p.note})
	}
	writeTable(w, rows)
	if len(s.notes) > 0 {
		fmt.Fprintln(w, "\nTHINGS TO KNOW")
		for _, n := range s.notes {
			fmt.Fprintln(w, "  "+n)
		}
	}
}

func (s *screen) countText() string {
	var parts []string
	for phase, n := range s.counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, phase))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

func writeQueue(w io.Writer, members []member) {
	title := members[0].queue
	if e := members[0].extension; e != "" {
		title += ", extension " + e
	}
	fmt.Fprintf(w, "\n%s\n", title)
	rows := make([][]string, 0, len(members))
	for _, m := range members {
		rows = append(rows, []string{"  " + m.person, m.group, strings.Repeat("*", m.stars), m.channels,
			"via " + strings.ReplaceAll(m.via, ",", ", "), m.state()})
	}
	writeTable(w, rows)
}

// state is what keeps a member from being called, if anything does.
func (m member) state() string {
	switch {
	case m.paused != "" && m.phase != string(v1alpha1.PhaseActive):
		return fmt.Sprintf("%s, paused: %s", m.phase, m.paused)
	case m.paused != "":
		return "paused: " + m.paused
	case m.phase != string(v1alpha1.PhaseActive):
		return m.phase
	}
	return ""
}

// writeTable writes rows in columns as wide as they need.
func writeTable(w io.Writer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			line += cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// writeNext says what to try next.
func (q *quickstart) writeNext(w io.Writer, namespace string) {
	kubectl, staff := filepath.Join(runDir, "kubectl"), ""
	if q.kubeconfig == "" {
		kubectl = "kubectl"
	} else {
		staff = fmt.Sprintf("\n  %s %s   who serves which queue, from the manager's live endpoint",
			filepath.Join(runDir, "staff"), namespace)
	}
	k := kubectl + " -n " + namespace
	fmt.Fprintf(w, `
WHAT TO TRY NEXT   (in another terminal, in this folder)
  %[1]s get ag,grp,tm,q                                        the whole centre
  %[1]s get ag --field-selector status.phase=OnLeave           who is away
  %[1]s get ca                                                 who holds which case, and in whose place
  %[1]s describe ag lars-nygaard                               the deliberate conflict
  %[1]s patch ag bob-lee --type merge -p '{"spec":{"state":"Deactivated"}}'
  %[1]s get ag bob-lee -o yaml                                 what became of it: status%[7]s
  edit a file of %[2]s, then: %[3]s apply --server-side -f %[2]s
  %[3]s explain agent.spec

  kubeconfig   %[4]s
  database     %[5]s
  logs         %[6]s
`, k, q.samples, kubectl, cmp.Or(q.kubeconfig, os.Getenv("KUBECONFIG")), filepath.Join(runDir, "data"), filepath.Join(runDir, "*.log"), staff)
	fmt.Fprintf(w, "\nRoster is up after %.0f s and stays up. Ctrl-C stops it.\n", q.elapsed().Seconds())
}
