package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// The forms of what a command writes.
const (
	asTable = "table"
	asJSON  = "json"
	asYAML  = "yaml"
)

// form is the value of -o.
type form string

func outputFlag(cmd *cobra.Command, f *form, usage string) {
	*f = asTable
	cmd.Flags().VarP(f, "output", "o", usage)
}

// anyForm is the usage of -o where it is only about the form.
const anyForm = "table, json or yaml"

// String implements pflag.Value.
func (f *form) String() string { return string(*f) }

// Type implements pflag.Value.
func (f *form) Type() string { return "format" }

// Set implements pflag.Value.
func (f *form) Set(text string) error {
	switch text {
	case asTable, asJSON, asYAML:
		*f = form(text)
		return nil
	}
	return fmt.Errorf("it is table, json or yaml")
}

// write writes anything that has a JSON form.
func (f form) write(w io.Writer, o any) error {
	text, err := json.MarshalIndent(o, "", "  ")
	if err != nil {
		return err
	}
	if f != asYAML {
		_, err = fmt.Fprintln(w, string(text))
		return err
	}
	if text, err = yaml.JSONToYAML(text); err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

// writeList writes things as a list of a kind.
func writeList[T any](w io.Writer, f form, apiVersion, kind string, items []T) error {
	if items == nil {
		items = []T{}
	}
	return f.write(w, map[string]any{"apiVersion": apiVersion, "kind": kind, "items": items})
}

// writeManifests writes objects for a repository: in YAML one after the other, in JSON as a list.
func writeManifests(w io.Writer, f form, manifests []*unstructured.Unstructured) error {
	if f == asJSON {
		return writeList(w, f, "v1", "List", manifests)
	}
	for i, m := range manifests {
		if i > 0 {
			fmt.Fprintln(w, "---")
		}
		if err := f.write(w, m); err != nil {
			return err
		}
	}
	return nil
}

// table writes rows in columns.
type table struct{ *tabwriter.Writer }

func newTable(w io.Writer, head ...string) table {
	t := table{tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)}
	if len(head) > 0 {
		t.row(head...)
	}
	return t
}

func (t table) row(cells ...string) {
	for i := range cells {
		if cells[i] = printable(cells[i]); cells[i] == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(t, strings.Join(cells, "\t"))
}

// printable is a text without what would disturb a terminal or a table.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}
