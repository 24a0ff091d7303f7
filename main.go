// Command roster is an operator for contact-centre staff, and its command line.
package main

import (
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"roster.dev/roster/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(cli.Run(ctrl.SetupSignalHandler(), version, os.Args[1:])) }
