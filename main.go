// Command roster is an operator for contact-centre staff, and its command line.
package main

import (
	"os"

	"roster.dev/roster/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(cli.Run(version, os.Args[1:])) }
