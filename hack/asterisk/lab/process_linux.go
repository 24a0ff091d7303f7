package lab

import "syscall"

// ownGroup keeps the terminal's signals from a child, and ends the child with this process.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
