package session_test

import (
	"strings"
	"testing"

	"authsvc/session"
)

//go:noinline
func panicsWith(secret [4]byte, list []int) int { return list[secret[0]] }

// TestPanicStack: the stack names where it was, and nothing of what the functions were called with.
func TestPanicStack(t *testing.T) {
	err := session.Catch(func() error { panicsWith([4]byte{0xa1, 0xb2, 0xc3, 0xd4}, nil); return nil })
	stack := string(session.Panicked(err).Stack)
	if !strings.Contains(stack, "session_test.panicsWith\n") || !strings.Contains(stack, "panic_test.go:") || !strings.Contains(stack, "TestPanicStack") {
		t.Errorf("the stack does not tell where it was:\n%s", stack)
	}
	if strings.Contains(stack, "0xa1") || strings.Contains(stack, "0xb2") || strings.Contains(stack, "0xc3") {
		t.Errorf("the stack tells arguments:\n%s", stack)
	}
}
