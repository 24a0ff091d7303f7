package main

import "syscall"

// asUser runs a child as somebody else, and ends it with the bench.
func asUser(uid, gid int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
		Setpgid:    true, Pdeathsig: syscall.SIGQUIT,
	}
}
