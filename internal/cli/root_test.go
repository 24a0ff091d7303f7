package cli_test

import (
	"testing"

	"roster.dev/roster/internal/cli"
)

func TestCommandLine(t *testing.T) {
	for _, c := range []struct {
		reason string
		args   []string
		code   int
	}{
		{"the version is told without a cluster", []string{"--version"}, 0},
		{"every subcommand explains itself", []string{"manager", "--help"}, 0},
		{"an unknown subcommand is an error", []string{"manage"}, 1},
		{"a kubeconfig that is not there is an error, not another cluster", []string{"manager", "--kubeconfig", "/nowhere/kubeconfig"}, 1},
		{"a group of commands explains itself", []string{"case"}, 0},
		{"an unknown command of a group is an error", []string{"case", "shwo"}, 1},
		{"the manager takes no arguments", []string{"manager", "acme"}, 1},
	} {
		if code := cli.Run(t.Context(), "v0.0.0-test", c.args); code != c.code {
			t.Errorf("%s: roster %v ended with %d, not %d", c.reason, c.args, code, c.code)
		}
	}
}
