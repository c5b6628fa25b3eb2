package authsvc

import (
	"errors"
	"strings"
	"testing"
)

const explained = `
- {name: open, paths: [/status, /static/**], allow: public}
- {name: home, hosts: app.example.com, paths: /, allow: optional}
- {name: write, paths: /reports/**, methods: [POST], groups: [editors]}
- {paths: /reports/**, when: claims.level > 3}
- {name: gold, paths: /gold, acr: gold}
`

func TestExplain(t *testing.T) {
	const jane = `{"sub":"jane","groups":["staff","editors"],"level":5}`
	c := goodConfig()
	c.Rules = parseRules(t, explained)
	c.Complete()
	for _, test := range []struct {
		what, claims string
		want         []string // lines, in this order
	}{
		{"GET https://app.example.com/status?x", "", []string{
			"GET https://app.example.com/status?x", "by somebody who is signed out", "rules see the path /status",
			"open                 decides: everyone passes, and nobody looks for a session", "200 allow, reason public",
		}},
		{"GET https://app.example.com", "", []string{
			"open                 is about other paths", "home                 decides: everyone passes, here without an identity", "200 allow, reason optional",
		}},
		{"GET https://app.example.com/", jane, []string{"by jane, in the groups staff, editors", "home                 decides: who is signed in passes, with their identity", "200 allow, reason session"}},
		{"POST https://app.example.com/reports/%61", jane, []string{
			"rules see the path /reports/a", "open                 is about other paths", "home                 is about other paths",
			"write                decides: who is signed in passes, with their identity", "200 allow, reason session",
		}},
		{"POST https://app.example.com/reports/a", `{"sub":"x"}`, []string{"by x, in no groups", "write                decides: it wants one of its groups", "403 deny, reason groups"}},
		{"GET https://app.example.com/reports/a", `{"sub":"x"}`, []string{
			"write                is about other methods", "#4                   decides: its when has no value: no such key: level", "403 deny, reason when_error",
		}},
		{"GET https://app.example.com/gold", jane, []string{"gold                 decides: it wants a login with one of its acr, or not older than its max_age", "401 login, reason step_up"}},
		{"GET https://other.example.com/", jane, []string{
			"open                 is about other paths", "home                 is about other hosts", "gold                 is about other paths",
			"no rule decides: none is about this request", "403 deny, reason no_rule",
		}},
		{"GET https://app.example.com/static/../reports", jane, []string{"no rule decides: two readers could read this path differently, so it is refused", "403 deny, reason path_refused"}},
		{"GET https://app.example.com/static/../reports", "", []string{"401 login, reason path_refused"}},
	} {
		var claims []byte
		if test.claims != "" {
			claims = []byte(test.claims)
		}
		var b strings.Builder
		if err := Explain(&b, c, test.what, claims, noon); err != nil {
			t.Errorf("%s: %v", test.what, err)
		}
		rest := b.String()
		for _, line := range test.want {
			before, after, found := strings.Cut(rest, line+"\n")
			if !found || before != "" && !strings.HasSuffix(before, "\n") {
				t.Errorf("%s: no line %q, or not in its place, in\n%s", test.what, line, b.String())
			}
			rest = after
		}
	}
	for what, claims := range map[string]string{
		"https://app.example.com/": jane, "GET /": jane, "": jane, "GET ftp://app.example.com/": jane, "get https://app.example.com/": jane,
		"GET https://app.example.com:x/": jane, "GET https:///": jane, "GET https://app.example.com/a b": jane,
		"GET https://app.example.com/": "{}", "GET https://app.example.com/a": `["sub"]`, "GET https://app.example.com/b": `{"sub":5}`, "GET https://app.example.com/c": "null",
	} {
		if err := Explain(new(strings.Builder), c, what, []byte(claims), noon); !errors.Is(err, ErrExplain) {
			t.Errorf("%s with %s: %v", what, claims, err)
		}
	}
}

// TestExplainSites takes the rules of the site that the host belongs to.
func TestExplainSites(t *testing.T) {
	c, err := load("sites.yaml", nil, func(string, int64) ([]byte, error) {
		return []byte(`public_url: https://app.example.com
oidc: {issuer: https://id.example.com, client_id: app, client_secret: hush}
cookie: {secret: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=}
rules: [{name: here, groups: staff}]
sites:
  - hosts: [b.example.org]
    public_url: https://b.example.org
    oidc: {issuer: https://id.example.org, groups_claim: roles}
    rules: [{name: there, groups: staff}]
`), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"https://app.example.com/":    "here                 decides: it wants one of its groups",
		"https://b.example.org:8443/": "there                decides: who is signed in passes",
	} {
		var b strings.Builder
		if err := Explain(&b, c, "GET "+address, []byte(`{"sub":"jane","roles":["staff"]}`), noon); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v\n%s", address, err, b.String())
		}
	}
	// Of several providers the claims tell which it is.
	c.Sites[0].OIDC.Issuer, c.Sites[0].Providers = "", []Provider{{OIDC: OIDC{Issuer: "https://a.example.org"}}, {OIDC: OIDC{Issuer: "https://z.example.org"}}}
	c.Sites[0].Rules = parseRules(t, `[{name: theirs, when: 'session.issuer == "https://z.example.org"'}]`)
	for claims, want := range map[string]string{
		`{"sub":"jane","iss":"https://z.example.org"}`: "200 allow", `{"sub":"jane","iss":"https://a.example.org"}`: "403 deny", `{"sub":"jane","iss":"https://x.example.org"}`: "403 deny",
	} {
		var b strings.Builder
		if err := Explain(&b, c, "GET https://b.example.org/", []byte(claims), noon); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%s: %v\n%s", claims, err, b.String())
		}
	}
	if err := Explain(new(strings.Builder), c, "GET https://c.example.org/", nil, noon); !errors.Is(err, ErrExplain) {
		t.Errorf("a host of no site: %v", err)
	}
}
