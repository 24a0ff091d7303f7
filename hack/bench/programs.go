package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// A program of the control plane, and the manager, is started through a link to this binary, which first asks the
// kernel to be ended with its parent and then becomes the program. So nothing outlives the bench, however it ends.

const programVariable = "ROSTER_BENCH_PROGRAM_"

// linkProgram makes a link that starts a program, and returns its path.
func linkProgram(dir, name, path string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	link := filepath.Join(dir, name)
	if err := os.Symlink(self, link); err != nil {
		return "", err
	}
	return link, os.Setenv(programVariable+name, path)
}

// becomeProgram returns, unless the bench was called by one of those links.
func becomeProgram() {
	path, ok := os.LookupEnv(programVariable + filepath.Base(os.Args[0]))
	if !ok {
		return
	}
	err := dieWithParent()
	if err == nil {
		err = syscall.Exec(path, append([]string{path}, os.Args[1:]...), os.Environ())
	}
	fmt.Fprintf(os.Stderr, "bench: starting %s: %v\n", path, err)
	os.Exit(1)
}
