package memstore

import (
	"go/build"
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
		if (strings.Contains(root, ".") || root == "authsvc") && path != "authsvc/session" {
			t.Errorf("memstore imports %s: an adapter knows the contract that it keeps, package session, and nothing else of ours; a map needs no library", path)
		}
	}
}
