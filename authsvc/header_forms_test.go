package authsvc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authsvc/session"
)

// TestHeaderForms renders one claim with each of a header's options.
func TestHeaderForms(t *testing.T) {
	s := &session.Session{Subject: "alice", Claims: map[string]any{
		"groups": []any{"app-a", "app-b", "other", "app-c,d", "Zoë"},
		"name":   "Zoë 李 😀, \"x\"", "flag": true, "count": int64(5), "address": map[string]any{"city": "Köln"}, "objects": []any{map[string]any{"a": int64(1)}, "b"},
	}}
	for _, test := range []struct {
		header  Header
		want    string
		dropped int
	}{
		{Header{Claim: "@groups"}, "app-a,app-b,other,Zoë", 1},
		{Header{Claim: "@groups", Filter: "^app-"}, "app-a,app-b", 1},
		{Header{Claim: "@groups", Filter: "^(other|Zoë)$"}, "other,Zoë", 0},
		{Header{Claim: "@groups", Filter: "nobody"}, "", 0},
		{Header{Claim: "@groups", Most: 1}, "app-a", 4},
		{Header{Claim: "groups", Filter: "^app-", Most: 2}, "app-a,app-b", 1},
		{Header{Claim: "@groups", Most: 9}, "app-a,app-b,other,Zoë", 1},
		{Header{Claim: "@groups", Encoding: "percent"}, "app-a,app-b,other,app-c%2Cd,Zo%C3%AB", 0},
		{Header{Claim: "@groups", Encoding: "base64url"}, "YXBwLWE,YXBwLWI,b3RoZXI,YXBwLWMsZA,Wm_Dqw", 0},
		{Header{Claim: "@groups", Encoding: "json"}, `["app-a","app-b","other","app-c,d","Zo\u00eb"]`, 0},
		{Header{Claim: "name"}, "Zoë 李 😀, \"x\"", 0},
		{Header{Claim: "name", Filter: "^Z"}, "Zoë 李 😀, \"x\"", 0},
		{Header{Claim: "name", Filter: "^z"}, "", 0},
		{Header{Claim: "name", Encoding: "percent"}, "Zo%C3%AB%20%E6%9D%8E%20%F0%9F%98%80%2C%20%22x%22", 0},
		{Header{Claim: "name", Encoding: "base64url"}, "Wm_DqyDmnY4g8J-YgCwgIngi", 0},
		{Header{Claim: "name", Encoding: "json"}, `"Zo\u00eb \u674e \ud83d\ude00, \"x\""`, 0},
		{Header{Claim: "flag", Encoding: "json"}, "true", 0},
		{Header{Claim: "count", Encoding: "json"}, "5", 0},
		{Header{Claim: "address"}, "", 0},
		{Header{Claim: "address", Encoding: "json"}, `{"city":"K\u00f6ln"}`, 0},
		{Header{Claim: "objects", Encoding: "json"}, `[{"a":1},"b"]`, 0},
		{Header{Claim: "missing", Encoding: "json"}, "", 0},
	} {
		got, dropped := renderAt(time.Now(), map[string]Header{"X-Test": test.header}, s, session.Tokens{})
		if got[0] != test.want || dropped != test.dropped {
			t.Errorf("%+v: %s and %d dropped, want %s and %d", test.header, got[0], dropped, test.want, test.dropped)
		}
		if test.header.Encoding != "json" || test.want == "" {
			continue
		}
		var value any
		if err := json.Unmarshal([]byte(got[0]), &value); err != nil || strings.ContainsFunc(got[0], func(r rune) bool { return r >= 0x7f }) {
			t.Errorf("%+v: %s is no JSON in ASCII: %v", test.header, got[0], err)
		}
	}
}

// TestHeadersInTheFile writes headers in both forms, and reads what is printed again.
func TestHeadersInTheFile(t *testing.T) {
	const text = `
public_url: https://app.example.com
oidc: {issuer: https://id.example.com, client_id: app, client_secret: x}
cookie: {secret: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=}
headers:
  x-team: team.name
  X-Auth-Request-Email: ""
  X-App-Groups:
    claim: "@groups"
    filter: ^app-
    most: 20
    encoding: json
  X-Plain: {claim: name, encoding: plain, most: 0}
`
	want := map[string]Header{
		"X-Auth-Request-User": {Claim: "sub"}, "X-Auth-Request-Preferred-Username": {Claim: "preferred_username"}, "X-Auth-Request-Groups": {Claim: "@groups"},
		"X-Team": {Claim: "team.name"}, "X-App-Groups": {"@groups", "^app-", 20, "json"}, "X-Plain": {Claim: "name"},
	}
	load := func(text string) *Config {
		t.Helper()
		file := filepath.Join(t.TempDir(), "authsvc.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		config, err := Load(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		return config
	}
	config := load(text)
	if !maps.Equal(config.Headers, want) {
		t.Errorf("%+v, want %+v", config.Headers, want)
	}
	var printed bytes.Buffer
	if err := config.WriteYAML(&printed); err != nil {
		t.Fatal(err)
	}
	if line := `X-App-Groups: {claim: '@groups', filter: ^app-, most: 20, encoding: json}`; !strings.Contains(printed.String(), line) || !strings.Contains(printed.String(), "X-Team: team.name\n") {
		t.Errorf("printed:\n%s", printed.String())
	}
	again := printed.String()
	again = again[strings.Index(again, "headers:"):]
	again = again[:strings.Index(again, "\nrules:")]
	head, _, _ := strings.Cut(text, "headers:")
	if reread := load(head + again + "\n  X-Auth-Request-Email: \"\"\n"); !maps.Equal(reread.Headers, want) {
		t.Errorf("printed and read again: %+v", reread.Headers)
	}
	inJSON, err := json.Marshal(config.Headers)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(inJSON), `"X-Team":"team.name"`) {
		t.Errorf("%s", inJSON)
	}

	for entry, wrong := range map[string]string{
		"X-A: {filter: a}":                           "has no claim",
		"X-A: {}":                                    "has no claim",
		"X-A: {claim: a, fliter: b}":                 "fliter",
		"X-A: {claim: a, most: many}":                "whole number",
		"X-A: {claim: a, most: -1}":                  "negative",
		"X-A: {claim: a, encoding: rot13}":           "words",
		"X-A: {claim: a, filter: '('}":               "regular expression",
		"X-A: {claim: '@access_token', most: 1}":     "as it is",
		"X-A: {claim: '@assertion', encoding: json}": "as it is",
		"X-A: [a]": "single value",
		"X-A: {claim: a, filter: " + longFilter() + "}": "regular expression",
	} {
		file := filepath.Join(t.TempDir(), "authsvc.yaml")
		if err := os.WriteFile(file, []byte(text+"  "+entry+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Load(file, nil)
		if place := fmt.Sprintf("%s:%d: headers.X-A", file, strings.Count(text, "\n")+1); err == nil || !strings.Contains(err.Error(), wrong) || !strings.Contains(err.Error(), place) {
			t.Errorf("%.60s: %v", entry, err)
		}
	}
}

func longFilter() string { return strings.Repeat("a", maxFilter+1) }
