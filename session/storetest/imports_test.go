package storetest

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
		if (strings.Contains(root, ".") || root == "authsvc") && path != "authsvc/session" && path != "github.com/redis/go-redis/v9" {
			t.Errorf("storetest imports %s: the suite holds every store to one contract, so it must not know any of them; "+
				"go-redis is there for what tests do to a Redis behind a store's back", path)
		}
	}
}
