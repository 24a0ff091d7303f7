//go:build !linux

package main

import "syscall"

// ownGroup keeps the terminal's signals from a child.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// dieWithParent is not to be had here: `make run` must not be killed with SIGKILL.
func dieWithParent() {}
