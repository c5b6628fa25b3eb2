package e2e

import (
	"os/exec"
	"strings"
	"testing"
)

// TestNothingImportsTheOutermost: tests from outside and examples may know everything, so whatever imported one of them would know
// everything too, and bring a provider that signs anyone in as anyone. Among themselves they may share what lies below them.
func TestNothingImportsTheOutermost(t *testing.T) {
	const format = `{{range .Imports}}{{$.ImportPath}} {{.}}
{{end}}{{range .TestImports}}{{$.ImportPath}} {{.}}
{{end}}{{range .XTestImports}}{{$.ImportPath}} {{.}}
{{end}}`
	out, err := exec.Command("go", "list", "-f", format, "authsvc/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	pairs := strings.FieldsFunc(string(out), func(r rune) bool { return r == '\n' })
	if len(pairs) < 100 {
		t.Fatalf("only %d imports: %q", len(pairs), pairs)
	}
	for _, pair := range pairs {
		importer, path, _ := strings.Cut(pair, " ")
		for _, outermost := range []string{"authsvc/e2e", "authsvc/examples"} {
			if under(outermost, path) && (path == outermost || !under(outermost, importer)) {
				t.Errorf("%s imports %s: nothing imports e2e or the examples; what it needs of them belongs further in", importer, path)
			}
		}
	}
}

func under(parent, path string) bool { return path == parent || strings.HasPrefix(path, parent+"/") }
