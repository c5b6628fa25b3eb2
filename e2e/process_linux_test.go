package e2e

import "syscall"

// dieWithTest makes the kernel end a process whose test was killed.
func dieWithTest() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
