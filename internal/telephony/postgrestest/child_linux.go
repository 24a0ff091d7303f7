package postgrestest

import "syscall"

// childOf runs a child as somebody else, and ends it with its parent.
func childOf(who *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: who, Setpgid: true, Pdeathsig: syscall.SIGQUIT}
}
