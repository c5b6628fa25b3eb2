package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
)

// TB lets storetest start Redis servers for a program that is no test. What would fail a test is a panic with a failure, which
// Try makes an error.
type TB struct {
	testing.TB // none: what is not below is not called

	mu       sync.Mutex
	cleanups []func()
	failed   bool
}

// failure is what a part could not do.
type failure struct{ err error }

// Try runs something that may fail as tests do.
func Try(do func() error) (err error) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case failure:
			err = v.err
		default:
			panic(v)
		}
	}()
	return do()
}

func (t *TB) fail(err error) {
	t.mu.Lock()
	t.failed = true
	t.mu.Unlock()
	panic(failure{err})
}

func (t *TB) Helper()                           {}
func (t *TB) Fatal(args ...any)                 { t.fail(errors.New(fmt.Sprint(args...))) }
func (t *TB) Fatalf(format string, args ...any) { t.fail(fmt.Errorf(format, args...)) }
func (t *TB) Logf(format string, args ...any)   { fmt.Fprintf(os.Stderr, format+"\n", args...) }
func (t *TB) Context() context.Context          { return context.Background() }

func (t *TB) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *TB) Cleanup(do func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, do)
}

func (t *TB) TempDir() string {
	dir, err := os.MkdirTemp("", "rig-")
	if err != nil {
		t.fail(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// End runs what was to be cleaned up, the last first.
func (t *TB) End() {
	t.mu.Lock()
	cleanups := t.cleanups
	t.cleanups = nil
	t.mu.Unlock()
	for _, do := range slices.Backward(cleanups) {
		do()
	}
}
