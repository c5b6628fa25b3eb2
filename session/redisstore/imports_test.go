package redisstore

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
		ours := path == "authsvc/session" || strings.HasPrefix(path, "github.com/redis/go-redis/v9")
		if (strings.Contains(root, ".") || root == "authsvc") && !ours {
			t.Errorf("redisstore imports %s: an adapter stands between package session and go-redis and knows nothing else; "+
				"logs, metrics and configuration are its caller's", path)
		}
	}
}
