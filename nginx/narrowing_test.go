package nginx_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"authsvc/nginx"
)

// Whom a site lets in reaches authsvc as it was written, in every form, and is no part of what the application is asked.
func TestNarrowing(t *testing.T) {
	groups := []string{"staff", "café & co", `a$b;{}#"'\%2F`, "a b", "x=y?z"}
	for name, form := range map[string]func(*nginx.Site){
		"one host":  func(*nginx.Site) {},
		"no prefix": func(s *nginx.Site) { s.Prefix = "" },
		"central":   central,
		"cache":     cached(t),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, allow, page, func(s *nginx.Site) {
				form(s)
				s.AllowedGroups, s.AllowedEmails, s.AllowedEmailDomains = groups, []string{"a+b@example.com"}, []string{}
			})
			if got := g.send(t, "GET /page?allowed_groups=other HTTP/1.1", "", "Cookie: a=1"); got.Status != 200 {
				t.Fatalf("the browser saw %d", got.Status)
			}
			asked := g.auth.one(t)
			path, query, _ := strings.Cut(asked.URI, "?")
			values, err := url.ParseQuery(query)
			if err != nil || !strings.HasSuffix(path, "/auth") || len(values) != 3 ||
				!slices.Equal(strings.Split(values.Get("allowed_groups"), ","), groups) ||
				values.Get("allowed_emails") != "a+b@example.com" || !slices.Equal(values["allowed_email_domains"], []string{""}) {
				t.Errorf("authsvc was asked %s: %q, %v", asked.URI, values, err)
			}
			if s := g.app.one(t); s.URI != "/page?allowed_groups=other" {
				t.Errorf("the application saw %s", s.URI)
			}
			g.auth.answers(refuse(http.StatusForbidden))
			if got := g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=2"); got.Status != 403 {
				t.Errorf("not allowed: the browser saw %d", got.Status)
			}
			g.app.none(t, "the application")
		})
	}
}
