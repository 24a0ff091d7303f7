//go:build !linux

package lab

import "syscall"

// ownGroup is for Linux: see Supported.
func ownGroup() *syscall.SysProcAttr { return nil }
