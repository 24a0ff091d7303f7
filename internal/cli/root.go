// Package cli is roster's command line: one file a subcommand.
package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// Run carries out a command line until ctx ends and returns the process's exit code.
func Run(ctx context.Context, version string, args []string) int {
	root := &cobra.Command{
		Use:   "roster",
		Short: "GitOps for contact-centre staff",
		Long: "Roster makes a telephone system match the staff that a Git repository declares.\n" +
			"`roster manager` is the operator.",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newManagerCommand(version))
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "roster:", err)
		return 1
	}
	return 0
}
