package pages

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestImports keeps the package able to speak when everything else has failed: it knows the standard library and
// golang.org/x/text, none of ours.
func TestImports(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(name, "/")
			standard := first != "authsvc" && !strings.Contains(first, ".")
			forTests := strings.HasSuffix(file, "_test.go") && (name == "golang.org/x/net/html" || name == "github.com/nlnwa/whatwg-url/url")
			if !standard && !strings.HasPrefix(name, "golang.org/x/text/") && !forTests {
				t.Errorf("%s imports %s: pages must be able to say what has failed, so it depends on nothing that can", file, name)
			}
		}
	}
}
