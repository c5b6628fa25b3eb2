package authsvc

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var updateReadme = flag.Bool("update-readme", false, "rewrite the README's table of configuration")

// TestReadmeTable holds the README's table of configuration against the one table of keys.
func TestReadmeTable(t *testing.T) {
	const begin, end = "<!-- configuration: go test ./authsvc -run ReadmeTable -update-readme -->\n", "<!-- end of configuration -->"
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(readme), begin)
	table, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatal("the README has lost the marks around its table of configuration")
	}
	want := keyTable()
	if *updateReadme {
		if err := os.WriteFile("../README.md", []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if table != want {
		t.Error("the README's table differs from the keys: go test ./authsvc -run ReadmeTable -update-readme")
	}
}

func keyTable() string {
	var b strings.Builder
	b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	for _, k := range Keys() {
		if k.Later {
			continue
		}
		name, fallback := "`"+k.Path+"`", ""
		if k.Twin {
			name += ", `" + k.Path + "_file`"
		}
		if k.Default != "" {
			fallback = "`" + k.Default + "`"
		}
		if k.Path == "headers" {
			fallback = "see [Headers](#headers)"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", name, fallback, strings.ReplaceAll(k.Doc, "|", "\\|"))
	}
	return b.String()
}
