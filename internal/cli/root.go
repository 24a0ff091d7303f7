// Package cli is roster's command line: one file a subcommand.
package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// Run carries out a command line until ctx ends and returns the process's exit code.
func Run(ctx context.Context, version string, args []string) int {
	root := newRoot(version, os.Args[0])
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if ctx.Err() != nil {
		err = fmt.Errorf("interrupted: %w", err)
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", root.DisplayName(), err)
	return 1
}

// newRoot is the tree of commands of a program. In texts of commands {roster} is how the program is called.
func newRoot(version, program string) *cobra.Command {
	root := &cobra.Command{
		Use:   "roster",
		Short: "GitOps for contact-centre staff",
		Long: "Roster makes a telephone system match the staff that a Git repository declares.\n" +
			"`{roster} manager` is the operator; the other commands ask and change the objects of a cluster.",
		Version:       version,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: calledAs(program)},
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(newManagerCommand(version), newCaseCommand(version), newBookCommand(version), newAgendaCommand(version))
	nameProgram(root, root.DisplayName())
	return root
}

// calledAs is what people type to call a program: kubectl finds one named kubectl-roster as its own subcommand.
func calledAs(program string) string {
	if strings.TrimSuffix(filepath.Base(program), ".exe") == "kubectl-roster" {
		return "kubectl roster"
	}
	return "roster"
}

func nameProgram(cmd *cobra.Command, name string) {
	for _, text := range []*string{&cmd.Long, &cmd.Example} {
		*text = strings.ReplaceAll(*text, "{roster}", name)
	}
	for _, sub := range cmd.Commands() {
		nameProgram(sub, name)
	}
}

// newGroup is a command that only has subcommands.
func newGroup(use, short string, commands ...*cobra.Command) *cobra.Command {
	group := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("%s has no command %q; see %s --help", cmd.CommandPath(), args[0], cmd.CommandPath())
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	group.AddCommand(commands...)
	return group
}

// needs asks for exactly these arguments.
func needs(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		for i, name := range names {
			if i >= len(args) || args[i] == "" {
				return fmt.Errorf("%s: say %s; see %s --help", cmd.CommandPath(), name, cmd.CommandPath())
			}
		}
		if len(args) > len(names) {
			return fmt.Errorf("%s: %q is too much; see %s --help", cmd.CommandPath(), args[len(names)], cmd.CommandPath())
		}
		return nil
	}
}
