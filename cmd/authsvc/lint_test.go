package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const corpus = "../../nginx/lint/testdata/"

func TestLint(t *testing.T) {
	got := call(t, "nginx lint "+corpus+"good.conf")
	if got.code != 0 || got.stdout != "no findings\n" || got.stderr != "" {
		t.Errorf("good: got %+v", got)
	}
	got = call(t, "nginx lint "+corpus+"no-check.conf")
	if got.code != 0 || got.stdout != "no findings; no server here has an auth_request\n" {
		t.Errorf("nothing to look at: got %+v", got)
	}
	got = call(t, "nginx lint "+corpus+"auth-off.conf")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if got.code != 1 || got.stderr != "" || len(lines) != 2 || !strings.HasPrefix(lines[0], corpus+"auth-off.conf:36: info: auth_request off in location /health; ") ||
		lines[1] != "0 errors, 0 warnings, 1 info; 1 ignored by comments" {
		t.Errorf("findings: got %+v", got)
	}
	got = call(t, "nginx lint "+corpus+"good.conf /nowhere.conf")
	if got.code != 2 || got.stdout != "" || got.stderr != "/nowhere.conf: cannot be read: no such file or directory\n" {
		t.Errorf("unreadable: got %+v", got)
	}
	broken := filepath.Join(t.TempDir(), "broken.conf")
	if err := os.WriteFile(broken, []byte("server {\n  listen 80\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got = call(t, "nginx lint "+broken)
	if got.code != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, broken+":2: ") {
		t.Errorf("broken: got %+v", got)
	}
	if got = call(t, "nginx lint"); got.code != 2 || got.stdout != "" || !strings.HasPrefix(got.stderr, "authsvc: ") {
		t.Errorf("no file: got %+v", got)
	}
}

func TestLintOptions(t *testing.T) {
	got := call(t, "nginx lint --header Remote-User "+corpus+"good.conf")
	if got.code != 0 {
		t.Errorf("another header: got %+v", got)
	}
	got = call(t, "nginx lint --header X-Auth-Request-User,X-Extra "+corpus+"good.conf")
	if got.code != 1 || !strings.Contains(got.stdout, "error: the application gets the visitor's own X-Extra; ") {
		t.Errorf("one header more: got %+v", got)
	}
	got = call(t, "nginx lint --prefix /elsewhere "+corpus+"buffers.conf")
	if got.code != 1 || strings.Contains(got.stdout, "/logout") {
		t.Errorf("another prefix: got %+v", got)
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"main/a.conf": "root /srv;", "sites/b.conf": "include a.conf;"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got = call(t, "nginx lint "+dir+"/sites/b.conf"); got.code != 2 {
		t.Errorf("an include that is elsewhere: got %+v", got)
	}
	if got = call(t, "nginx lint --conf-dir "+dir+"/main "+dir+"/sites/b.conf"); got.code != 0 {
		t.Errorf("with its folder: got %+v", got)
	}
}

func TestLintJSON(t *testing.T) {
	got := call(t, "nginx lint --json "+corpus+"auth-off.conf")
	var report struct {
		Servers  int
		Findings []struct {
			File, Severity, Rule, What, Why, Fix string
			Line                                 int
		}
		Ignored []struct {
			Line         int
			Rule, Reason string
		}
	}
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != 1 {
		t.Fatalf("got %+v, %v", got, err)
	}
	if report.Servers != 1 || len(report.Findings) != 1 || report.Findings[0].Severity != "info" || report.Findings[0].Rule != "auth-off" ||
		report.Findings[0].Line != 36 || len(report.Ignored) != 1 || report.Ignored[0].Reason != "feeds are public" {
		t.Errorf("got %+v", report)
	}
	got = call(t, "nginx lint --json "+corpus+"good.conf")
	if got.code != 0 || strings.Contains(got.stdout, "null") {
		t.Errorf("nothing found: got %+v", got)
	}
}

// What one command prints is what the other is content with.
func TestLintTakesWhatRenderPrints(t *testing.T) {
	for _, flags := range []string{"", " --prefix /oauth2", certificateFlags, " --header Remote-User --cookie-name sso", " --replica unix:/run/a.sock --upstream unix:/run/b.sock"} {
		rendered := call(t, "nginx render --server-name app.example.com --upstream 127.0.0.1:3000 --replica 127.0.0.1:4180"+flags)
		file := filepath.Join(t.TempDir(), "site.conf")
		if err := os.WriteFile(file, []byte(rendered.stdout), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := call(t, "nginx lint "+file); rendered.code != 0 || got.code != 0 || got.stdout != "no findings\n" {
			t.Errorf("%s: got %+v", flags, got)
		}
	}
}

// The README shows what the command prints.
func TestLintReadme(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, found := strings.Cut(string(readme), "$ bin/authsvc nginx lint ")
	args, shown, _ := strings.Cut(shown, "\n")
	shown, _, _ = strings.Cut(shown, "```")
	if !found {
		t.Fatal("the README does not show nginx lint")
	}
	const root = "../../"
	got := call(t, "nginx lint "+root+strings.Join(strings.Fields(args), " "+root))
	if printed := strings.ReplaceAll(got.stdout, root, ""); printed != shown {
		t.Errorf("the README shows\n%s\nthe command prints\n%s", shown, printed)
	}
}
