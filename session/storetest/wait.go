package storetest

import (
	"testing"
	"time"
)

// WaitFor waits until the condition gives no error, at most 10 seconds.
func WaitFor(tb testing.TB, what string, condition func() error) {
	tb.Helper()
	waitFor(tb, 10*time.Second, what, condition)
}

func waitFor(tb testing.TB, limit time.Duration, what string, condition func() error) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("waited too long for %s: %v", what, err)
		}
		time.Sleep(2 * time.Millisecond) // the pace of asking, not of what is waited for
	}
}
