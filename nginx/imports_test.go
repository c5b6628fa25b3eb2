package nginx_test

import (
	"go/build"
	"slices"
	"strings"
	"testing"
)

// The picture of the house: configuration is made from values alone, so that the file can be rendered,
// linted and tested without the service, and a change in the service cannot change it unseen.
func TestImports(t *testing.T) {
	for dir, allowed := range map[string][]string{
		".":         nil,
		"nginxtest": nil,
	} {
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range pkg.Imports {
			if first, _, _ := strings.Cut(path, "/"); first == "authsvc" && !slices.Contains(allowed, path) {
				t.Errorf("%s imports %s: nginx knows none of our packages; a site comes in as values, text goes out", pkg.Name, path)
			}
			if path == "testing" {
				t.Errorf("%s imports testing: the demo runs it too, and its binary must not carry test flags", pkg.Name)
			}
			if strings.Contains(path, ".") {
				t.Errorf("%s imports %s: the standard library is enough for a text", pkg.Name, path)
			}
		}
		for _, path := range slices.Concat(pkg.TestImports, pkg.XTestImports) {
			if first, rest, _ := strings.Cut(path, "/"); first == "authsvc" && rest != "nginx" && rest != "nginx/nginxtest" {
				t.Errorf("a test of %s imports %s: stubs stand in for authsvc here; what runs both belongs to e2e", pkg.Name, path)
			}
		}
	}
}
