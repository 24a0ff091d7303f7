//go:build !linux

package main

import "syscall"

// asUser is of no use where no Asterisk is started.
func asUser(int, int) *syscall.SysProcAttr { return nil }
