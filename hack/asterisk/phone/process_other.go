//go:build !linux

package phone

import "syscall"

// ownGroup keeps the terminal's signals from sipp.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
