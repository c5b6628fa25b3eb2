//go:build !linux

package storetest

import "syscall"

// dieWithTest can promise nothing here; servers end by Cleanup.
func dieWithTest() *syscall.SysProcAttr { return nil }
