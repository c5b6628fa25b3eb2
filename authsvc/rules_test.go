package authsvc

import (
	"bufio"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"authsvc/session"
)

var noon = time.Date(2030, 1, 2, 12, 0, 0, 0, time.UTC)

// askers are who asks in testdata/rules.txt, in the order of its columns; nil is signed out.
var askers = []*session.Session{
	nil,
	{
		Subject: "alice", Issuer: "https://id.example.com", ACR: "gold", AuthTime: noon.Add(-5 * time.Minute),
		Claims: map[string]any{
			"email": "alice@example.com", "email_verified": true, "groups": []any{"staff", "admins"}, "level": int64(5),
			"realm": map[string]any{"roles": []any{"deep"}}, "admin": "yes",
		},
	},
	{
		Subject: "bob", Issuer: "https://id.example.com", ACR: "silver", AuthTime: noon.Add(-2 * time.Hour),
		Claims: map[string]any{"email": "bob@partner.example", "groups": []any{"staff"}, "level": int64(2), "admin": true},
	},
	{
		Subject: "carol", Issuer: "https://id.example.com",
		Claims: map[string]any{"email": "carol@example.com", "email_verified": false},
	},
}

var askerNames = []string{"signed out", "alice", "bob", "carol"}

// TestRules goes through the table of testdata/rules.txt.
func TestRules(t *testing.T) {
	file, err := os.Open("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var set *ruleSet
	var name, text string
	inRules, verdicts := false, 0
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "rules "):
			name, text, inRules = strings.TrimPrefix(line, "rules "), "", true
		case line == "verdicts":
			set, inRules = mustCompile(t, text), false
		case inRules:
			text += line + "\n"
		default:
			verdicts += checkVerdicts(t, name, set, line)
		}
	}
	if verdicts < 300 {
		t.Errorf("only %d verdicts", verdicts)
	}
}

// checkVerdicts checks one line, and returns how many verdicts it has.
func checkVerdicts(t *testing.T, name string, set *ruleSet, line string) int {
	t.Helper()
	left, right, _ := strings.Cut(line, " = ")
	question, want := strings.Fields(left), strings.Fields(right)
	if len(want) != 1+len(askers) || len(question) < 2 {
		t.Fatalf("%s: no line of the table: %s", name, line)
	}
	r := httptest.NewRequest(http.MethodGet, "/auth", nil)
	r.Host = ""
	r.Header["X-Original-Method"] = []string{question[0]}
	if question[1] != "-" {
		r.Header["X-Original-Url"] = []string{question[1]}
	}
	var query string
	if len(question) > 2 {
		query = strings.TrimPrefix(question[2], "?")
	}
	a, err := askedOfAuth(r, requestInfo{}, nil)
	for i, s := range askers {
		m, n := set.match(a, err == nil), parseNarrowing(query)
		if m.isPublic() && decide(m, nil, n, noon).Outcome == Allow {
			s = nil // nobody looks
		}
		d := decide(m, s, n, noon)
		got := d.Reason
		switch {
		case d.Outcome == Allow && d.Reason == "session":
			got = "pass"
		case d.Outcome == Login && d.Reason == reasonStepUp:
			got = "step"
		case d.Outcome == Login && s == nil:
			got = "login"
		case d.Outcome == Deny && s == nil, d.Outcome == Unavailable, d.Outcome == Login:
			t.Errorf("%s: %s: %s: %v is no verdict here", name, left, askerNames[i], d.Outcome)
		}
		rule := d.Rule
		if rule == "" {
			rule = "-"
		}
		if got != want[1+i] || rule != want[0] && s != nil || d.open() != s {
			t.Errorf("%s: %s: %s: %s by %s; want %s by %s", name, left, askerNames[i], got, rule, want[1+i], want[0])
		}
	}
	return len(askers)
}

// parseRules reads rules as the configuration file has them.
func parseRules(t testing.TB, text string) []Rule {
	t.Helper()
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(text), &node); err != nil {
		t.Fatal(err)
	}
	var rules []Rule
	if len(node.Content) > 0 {
		var d decoder
		d.decode(node.Content[0], Key{Path: "rules", kind: reflect.TypeFor[[]Rule]()}, reflect.ValueOf(&rules).Elem())
		if len(d.problems) > 0 {
			t.Fatalf("%v\n%s", d.problems, text)
		}
	}
	return rules
}

func mustCompile(t testing.TB, text string) *ruleSet {
	t.Helper()
	set, problems := compileRules(parseRules(t, text), []string{"groups"})
	for _, p := range problems {
		if !p.warning {
			t.Fatalf("rules%s: %s\n%s", p.place(), p.wrong, text)
		}
	}
	return set
}
