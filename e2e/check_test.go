package e2e

import (
	"maps"
	"strings"
	"testing"
)

// TestCheckOnline looks at a whole stack through its gateway, which nginx render made, and finds nothing; then it finds a replica that differs, and
// an eviction policy that ends sessions.
func TestCheckOnline(t *testing.T) {
	s := newStack(t, options{})
	environ := variables(s.settings)
	got := run(t, "check --online --via "+s.url+"/reports?a=b", environ...)
	if got.code != 0 || strings.Count(got.stdout, "\nok ") != 15 || strings.Count(got.stdout, "\n") != 16 ||
		!strings.Contains(got.stdout, "replicas: 2 ready; they agree") {
		t.Errorf("%d\n%s%s", got.code, got.stdout, got.stderr)
	}
	other := maps.Clone(s.settings)
	other["session.idle_timeout"] = "20m"
	newReplica(t, other).awaitReady()
	got = run(t, "check --online", environ...)
	if got.code != 1 || strings.Count(got.stdout, "\nwarning ") != 1 || !strings.Contains(got.stdout, "differs from the others in session.idle_timeout; ") {
		t.Errorf("%d\n%s%s", got.code, got.stdout, got.stderr)
	}
	s.redis.Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	got = run(t, "check --online", environ...)
	if got.code != 1 || strings.Count(got.stdout, "\nwarning  redis eviction: ") != 1 || strings.Contains(got.stdout, "gateway") {
		t.Errorf("%d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if n := s.records(); n != 0 {
		t.Errorf("the check left %d sessions", n)
	}
}
