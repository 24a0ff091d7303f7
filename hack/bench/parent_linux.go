package main

import (
	"runtime"
	"syscall"
)

// dieWithParent lets the kernel end this process with its parent. It holds for what the process becomes.
func dieWithParent() error {
	runtime.LockOSThread()
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	if errno != 0 {
		return errno
	}
	return nil
}
