package rig

import (
	"errors"
	"testing"
)

// What a part could not do is an error, what was to be cleaned up is, and a mistake of ours stays a panic.
func TestTry(t *testing.T) {
	b, cleaned := &TB{}, ""
	err := Try(func() error {
		b.Cleanup(func() { cleaned += "first" })
		b.Cleanup(func() { cleaned += "second " })
		b.Fatalf("no %s", "server")
		return nil
	})
	if err == nil || err.Error() != "no server" || !b.Failed() {
		t.Errorf("got %v, failed %v", err, b.Failed())
	}
	if b.End(); cleaned != "second first" {
		t.Errorf("cleaned up: %q", cleaned)
	}
	oops := errors.New("oops")
	if err := Try(func() error { return oops }); err != oops {
		t.Errorf("an error becomes %v", err)
	}
	defer func() {
		if recover() != oops {
			t.Error("a panic is swallowed")
		}
	}()
	Try(func() error { panic(oops) })
}
