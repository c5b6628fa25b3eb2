package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNoTestCodeInTheBinary looks at all that the shipped binary is made of. The command may know everything that serves; what only a
// test or the demo needs would be code that nobody watches, reachable in production.
func TestNoTestCodeInTheBinary(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 50 {
		t.Fatalf("only %d packages: %q", len(deps), deps)
	}
	forbidden := map[string]string{
		"testing":                    "it brings the test flags into every command",
		"net/http/httptest":          "it is for tests",
		"authsvc/authsvc/idptest":    "a provider that signs anyone in as anyone must not be in the binary",
		"authsvc/session/storetest":  "it is for tests",
		"authsvc/nginx/nginxtest":    "it is for tests",
		"authsvc/e2e":                "it is for tests",
		"authsvc/examples":           "examples use the product, and not the other way round",
		"github.com/alicebob":        "miniredis is for tests and the demo",
		"github.com/yuin/gopher-lua": "it is a part of miniredis",
		"github.com/chromedp":        "the browser is for tests",
		"github.com/Shopify":         "toxiproxy is for tests",
		"net/http/pprof":             "it registers handlers that show the memory of the process (CVE-2022-24797 of a peer)",
	}
	for _, dep := range deps {
		for prefix, reason := range forbidden {
			if dep == prefix || strings.HasPrefix(dep, prefix+"/") && prefix != "testing" {
				t.Errorf("the binary contains %s: %s", dep, reason)
			}
		}
	}
}
