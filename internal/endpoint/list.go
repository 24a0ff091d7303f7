package endpoint

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"roster.dev/roster/api/v1alpha1"
	"roster.dev/roster/internal/live"
)

// writeList writes rows in the shape of a Kubernetes list, on one line, as they come.
func writeList(out *output, rows func(yield func([]*live.Row) bool)) {
	fmt.Fprintf(out, `{"kind":"StaffList","apiVersion":%q,"metadata":{},"items":[`, v1alpha1.GroupVersion.String())
	separator := ""
	rows(func(batch []*live.Row) bool {
		out.patience()
		for _, r := range batch {
			text, err := json.Marshal(r)
			if err != nil {
				continue // a row is strings and numbers
			}
			_, _ = out.WriteString(separator)
			if _, err := out.Write(text); err != nil {
				return false
			}
			separator = ","
		}
		return true
	})
	_, _ = out.WriteString("]}")
}

// writeTable writes rows for people to read.
func writeTable(out *output, rows func(yield func([]*live.Row) bool)) {
	table := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "QUEUE\tCHANNEL\tAGENT\tNAME\tGROUP\tSTARS\tVIA\tCOLOR\tSINCE\tDETAIL")
	rows(func(batch []*live.Row) bool {
		for _, r := range batch {
			via := make([]string, len(r.Via))
			for i, way := range r.Via {
				via[i] = string(way)
			}
			stars, since := "", ""
			if r.Stars > 0 {
				stars = strings.Repeat("*", int(r.Stars))
			}
			if !r.Since.IsZero() {
				since = r.Since.Format(time.RFC3339)
			}
			for _, cell := range []string{r.Queue, r.Channel, r.Agent, r.DisplayName, r.Group, stars,
				strings.Join(via, ","), string(r.Color), since} {
				fmt.Fprint(table, plain(cell), "\t")
			}
			fmt.Fprintln(table, plain(r.Detail))
		}
		return true
	})
	out.patience()
	_ = table.Flush()
}

// plain is a text without what would move a terminal's cursor; an empty one is a dash.
func plain(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
