package authsvc

import (
	"net/http"
	"strings"
	"testing"
)

// TestNobodyPassesNowhere: with several sites nobody passes where it cannot be told which one is meant, and no site's endpoints are where it is not.
func TestNobodyPassesNowhere(t *testing.T) {
	s := newSiteRig(t, 1, nil)
	b := s.browser("a")
	b.signIn()
	cookie := "authsvc=" + b.sessionCookie()
	own := "http://a.localhost" + s.front.URL[len("http://127.0.0.1"):] + "/page"
	for name, row := range map[string]struct {
		header      http.Header
		status, out int // signed in at the main site, and not
	}{
		"the main site":    {http.Header{"X-Original-Url": {own}, "X-Original-Method": {"GET"}}, 200, 401},
		"no method":        {http.Header{"X-Original-Url": {own}}, 200, 401},
		"nothing is told":  {http.Header{}, 403, 401},
		"no host":          {http.Header{"X-Original-Uri": {"/page"}, "X-Original-Method": {"GET"}}, 403, 401},
		"another host":     {http.Header{"X-Original-Url": {"http://d.localhost/page"}, "X-Original-Method": {"GET"}}, 403, 401},
		"two hosts":        {http.Header{"X-Original-Url": {own}, "X-Forwarded-Host": {"b.localhost"}, "X-Original-Method": {"GET"}}, 403, 401},
		"a host in a host": {http.Header{"X-Original-Url": {"http://a.localhost@d.localhost/page"}, "X-Original-Method": {"GET"}}, 403, 401},
	} {
		for value, want := range map[string]int{cookie: row.status, "": row.out} {
			header := row.header.Clone()
			header.Set("Cookie", value)
			reply := s.rig.browser().do(http.MethodGet, s.front.URL+"/auth", header)
			if reply.StatusCode != want {
				t.Errorf("%s, signed in %t: %s, want %d", name, value != "", reply.Status, want)
			}
			if login := reply.Header.Get("X-Auth-Login-Url"); want == http.StatusUnauthorized && !strings.HasPrefix(login, s.sites["a"].url+"/start") {
				t.Errorf("%s: the login is at %q", name, login)
			}
		}
	}
	if !strings.Contains(s.log.String(), `"reason":"request_unknown"`) || !strings.Contains(s.log.String(), errHostOfNoSite.Error()) {
		t.Error("the log does not tell what is missing")
	}
	for _, address := range []string{s.front.URL + "/start", s.sites["a"].url + "/oauth2/start", strings.TrimSuffix(s.sites["c"].url, "/oauth2") + "/start"} {
		if reply := s.at(http.MethodGet, address, "", nil); reply.StatusCode != http.StatusNotFound || len(reply.Cookies()) > 0 {
			t.Errorf("%s: %s", address, reply.Status)
		}
	}
}

// TestHostsOfAPlainConfiguration: to what the main site had before others were added it has a right, unless one of them names it.
func TestHostsOfAPlainConfiguration(t *testing.T) {
	c := DefaultConfig()
	c.PublicURL, c.Cookie.Domain, c.Redirect.AllowedHosts = "https://login.example.com", "example.com", []string{"app.example.org:8443", "*.example.net"}
	site := c.forSite()
	site.PublicURL, site.Hosts, site.Cookie.Domain = "https://login.b.example.com/x", []string{"*.b.example.com", "b.example.net"}, ""
	c.Sites = []SiteConfig{{site}}
	for host, want := range map[string]*Config{
		"login.example.com": c, "wiki.example.com": c, "example.com": c, "b.example.com": c, "app.example.org": c, "a.example.net": c, "example.net": c,
		"login.b.example.com": site, "a.b.example.com": site, "B.example.net:444": site, "example.org": nil, "evil.example": nil,
	} {
		if got := c.SiteAt(host); got != want {
			t.Errorf("%s: wrong site", host)
		}
	}
	if alone := DefaultConfig(); alone.SiteAt("whoever") != alone {
		t.Error("a single site does not take all")
	}
}

// TestSecretsOfSites: those of every site and provider are replaced, each by its own, and nothing else.
func TestSecretsOfSites(t *testing.T) {
	load := func(app, b, staff string) *Config {
		t.Helper()
		c, err := Load("", []string{
			"AUTHSVC_PUBLIC_URL=https://a.example.com", "AUTHSVC_OIDC_ISSUER=https://id.example.com", "AUTHSVC_OIDC_CLIENT_ID=app", "AUTHSVC_OIDC_CLIENT_SECRET=" + app,
			"AUTHSVC_COOKIE_SECRET=" + cookieSecret(1).Reveal(),
			`AUTHSVC_SITES=[{"hosts":["b.example.com"],"public_url":"https://b.example.com","oidc":{"client_secret":"` + b + `"}},` +
				`{"hosts":["c.example.com"],"public_url":"https://c.example.com","providers":[{"name":"staff","issuer":"https://id.example.com","client_id":"c","client_secret":"` + staff + `"}]}]`,
		})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	old := load("one", "two", "three")
	for _, next := range []*Config{load("ONE", "two", "three"), load("one", "TWO", "three"), load("one", "two", "THREE")} {
		if old.SameSecrets(next) || !old.SameSecrets(old) {
			t.Error("a secret that changed is not seen")
		}
		replaced := old.WithSecretsOf(next)
		if !replaced.SameSecrets(next) || replaced.SameSecrets(old) || old.SameSecrets(next) {
			t.Error("it is not replaced, or in the wrong place")
		}
	}
	moved := load("ONE", "two", "three")
	moved.OIDC.Issuer = "https://other.example.com"
	if !old.SameSecrets(moved) || old.WithSecretsOf(moved).OIDC.ClientSecret != "one" {
		t.Error("the secret of another client is taken")
	}
}
