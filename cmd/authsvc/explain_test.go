package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckExplain(t *testing.T) {
	dir := t.TempDir()
	config, claims := writeConfig(t, dir, "app"), filepath.Join(dir, "jane.json")
	if err := os.WriteFile(claims, []byte(`{"sub":"jane","groups":["staff"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		want string // in stdout, or in stderr where the code is not 0
	}{
		{[]string{"--explain", "GET https://app.example.com/reports", "--claims", claims}, 0, "staff                decides: who is signed in passes, with their identity\n\n200 allow, reason session\n"},
		{[]string{"--explain", "GET https://app.example.com/reports"}, 0, "\n401 login, reason signed_out\n"},
		{[]string{"--explain", "reports"}, 2, "write a method and an address"},
		{[]string{"--explain", "GET https://app.example.com/", "--claims", dir + "/nowhere.json"}, 2, "nowhere.json: no such file"},
		{[]string{"--explain", "GET https://app.example.com/", "--claims", config}, 2, "no JSON object"},
		{[]string{"--claims", claims}, 2, "--claims goes with --explain"},
		{[]string{"--explain", "GET https://app.example.com/", "--online"}, 2, "--explain asks nobody"},
	} {
		var stdout, stderr bytes.Buffer
		environ := []string{`AUTHSVC_RULES=[{"name":"staff","groups":["staff"]}]`}
		code := run(t.Context(), append([]string{"check", "--config", config}, test.args...), strings.NewReader(""), &stdout, &stderr, environ)
		got := stdout.String()
		if code != 0 {
			got = stderr.String()
		}
		if code != test.code || !strings.Contains(got, test.want) || strings.Contains(stdout.String(), "configuration is good") {
			t.Errorf("%q: %d\n%s\n%s", test.args, code, &stdout, &stderr)
		}
	}
}
