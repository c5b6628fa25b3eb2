package authsvc

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the tests see into the text files under testdata")

// TestLoadCases runs the text files of testdata/config: a case is a comment, an environment, files, and what Load
// tells, all under "-- name --" lines. The configuration is authsvc.yaml, if there is one.
func TestLoadCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/config/*_*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			head, want, found := strings.Cut(string(content), "-- want --\n")
			if !found {
				t.Fatal("no -- want -- section")
			}
			got := runCase(t, head)
			if strings.HasPrefix(filepath.Base(path), "good_") != strings.HasPrefix(got, "good\n") {
				t.Errorf("the name of the case says otherwise:\n%s", got)
			}
			if strings.Contains(got, "hush") {
				t.Errorf("a secret is told:\n%s", got)
			}
			if *update {
				if err := os.WriteFile(path, []byte(head+"-- want --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// runCase loads what a case describes, and returns the problems, or the warnings and all that is not a default.
func runCase(t *testing.T, head string) string {
	t.Helper()
	t.Chdir(t.TempDir())
	var config string
	var environ []string
	for name, content := range sections(head) {
		switch name {
		case "env":
			environ = strings.Split(strings.TrimSpace(content), "\n")
			continue
		case "authsvc.yaml":
			config = name
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(config, environ)
	if err != nil {
		return err.Error() + "\n"
	}
	got := "good\n"
	_, warnings := c.Validate()
	for _, warning := range warnings {
		got += "warning: " + warning.String() + "\n"
	}
	var printed bytes.Buffer
	if err := c.WriteYAML(&printed); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(printed.String()) {
		if !strings.Contains(line, "# default") {
			got += line
		}
	}
	return got
}

// sections returns the "-- name --" sections of a case.
func sections(text string) map[string]string {
	found := make(map[string]string)
	var name string
	for line := range strings.Lines(text) {
		if inner, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(inner, " --\n") {
			name = strings.TrimSuffix(inner, " --\n")
			found[name] = ""
		} else if name != "" {
			found[name] += line
		}
	}
	return found
}
