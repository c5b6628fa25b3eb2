package lint

import (
	"go/build"
	"slices"
	"strings"
	"testing"
)

// The picture of the house: lint reads files and knows what nginx' neighbours are called, so that it works on a machine
// without the service.
func TestImports(t *testing.T) {
	pkg, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range pkg.Imports {
		if strings.HasPrefix(path, "authsvc") && path != "authsvc/nginx" {
			t.Errorf("lint imports %s: it knows nginx and none of our other packages", path)
		}
		if strings.Contains(path, ".") && path != "github.com/nginxinc/nginx-go-crossplane" {
			t.Errorf("lint imports %s: the standard library and a parser are enough", path)
		}
	}
	for _, path := range slices.Concat(pkg.TestImports, pkg.XTestImports) {
		if first, rest, _ := strings.Cut(path, "/"); first == "authsvc" && !strings.HasPrefix(rest, "nginx") {
			t.Errorf("a test of lint imports %s: what runs more than nginx belongs to e2e", path)
		}
	}
}
