package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/book"
)

func newBookCommand(version string) *cobra.Command {
	c := &connection{version: version}
	return connected(c, newGroup("book", "See and move the clients that a person looks after",
		newBookListCommand(c), newBookTransferCommand(c)))
}

func newBookListCommand(c *connection) *cobra.Command {
	var out form
	cmd := &cobra.Command{
		Use:   "list PERSON",
		Short: "List the clients that a person looks after now",
		Long: "List the clients that a person looks after now: of every open case with a client that the person holds, as\n" +
			"declared or in somebody's place. Clients are added with `{roster} case create` or `{roster} case assign`, and\n" +
			"leave the book with `{roster} case unassign` or `{roster} case complete`.",
		Example: "  {roster} book list alice-martin",
		Args:    needs("PERSON"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := c.open(cmd)
			if err != nil {
				return err
			}
			held, err := s.held(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			var entries []*book.ClientEntry
			held.Clients(s.namespace, args[0]).Rows(func(e []*book.ClientEntry) bool {
				entries = append(entries, e...)
				return true
			})
			return s.showBook(args[0], entries, out)
		},
	}
	outputFlag(cmd, &out, anyForm)
	return cmd
}

// held reads what a person holds.
func (s *session) held(ctx context.Context, agent string) (*book.Index, error) {
	cases, err := s.list(ctx, stillOpen, func(a *v1alpha1.CaseAssignment) bool { return holder(a, agent) != nil })
	index := book.New()
	for _, a := range cases {
		index.Set(a.CaseAssignment)
	}
	return index, err
}

func (s *session) showBook(agent string, entries []*book.ClientEntry, out form) error {
	if out != asTable {
		return writeList(s.out, out, v1alpha1.GroupVersion.String(), "BookList", entries)
	}
	if len(entries) == 0 {
		s.note("%s looks after no client in namespace %s", agent, s.namespace)
		return nil
	}
	t := newTable(s.out, "CLIENT", "NAME", "PHONES", "CASE", "ASSIGNMENT", "VIA", "SINCE", "COVERS")
	for _, e := range entries {
		t.row(e.Client.ID, e.Client.Name, phones(e.Client), caseName(e.Case), e.Assignment, string(e.Via),
			showTime(e.Since, time.Local), e.Covers)
	}
	return t.Flush()
}
