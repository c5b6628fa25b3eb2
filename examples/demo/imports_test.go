package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports: the demo may know everything of ours, and is a program for people all the same. That nothing imports it, Go sees to.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("only %d packages: %q", len(deps), deps)
	}
	for _, path := range []string{"testing", "net/http/httptest"} {
		if slices.Contains(deps, path) {
			t.Errorf("the demo contains %s: whoever starts it would be offered the flags of a test", path)
		}
	}
}
