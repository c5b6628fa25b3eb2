package storetest

import "syscall"

// dieWithTest makes the kernel end a server whose test was killed.
func dieWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
