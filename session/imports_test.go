package session_test

import (
	"go/build"
	"slices"
	"strings"
	"testing"
)

func TestImports(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pkg.Imports {
		root, _, _ := strings.Cut(path, "/")
		switch {
		case root == "net" || root == "database":
			t.Errorf("session imports %s: it says what a session is, and must stay usable and testable without network, HTTP or Redis; "+
				"what speaks to the outside implements its interfaces", path)
		case strings.Contains(root, ".") && !slices.Contains([]string{"github.com/fxamacker/cbor/v2", "github.com/maypok86/otter/v2"}, path), root == "authsvc":
			t.Errorf("session imports %s: everything else imports session, so it may import only the standard library, cbor for what is sealed "+
				"and otter for the cache", path)
		}
	}
}
