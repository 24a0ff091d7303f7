package phone

import "syscall"

// ownGroup keeps the terminal's signals from sipp, and ends it when the test is killed.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
