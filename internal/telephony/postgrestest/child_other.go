//go:build !linux && !windows

package postgrestest

import "syscall"

// childOf runs a child as somebody else.
func childOf(who *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Setpgid: true}
}
