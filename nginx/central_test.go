package nginx_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"authsvc/nginx"
)

const centralLogin = "https://login.example.com/sso"

func central(s *nginx.Site) { s.LoginURL, s.Prefix = centralLogin, "" }

// An application whose login is elsewhere asks there, and sends people there.
func TestCentralApplication(t *testing.T) {
	there := centralLogin + "/start?rd=" + url.QueryEscape("http://"+siteName+"/page")
	g := newGate(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Auth-Login-Url", there)
		refuse(http.StatusUnauthorized)(w, r)
	}, page, central)
	if got := g.send(t, "GET /page HTTP/1.1", "", navigate...); got.Status != 302 || got.Header.Get("Location") != there {
		t.Errorf("the browser saw %d, Location %q", got.Status, got.Header.Get("Location"))
	}
	if s := g.auth.one(t); s.URI != "/sso/auth" || s.Header.Get("X-Original-Url") != "http://"+siteName+"/page" {
		t.Errorf("authsvc saw %+v", s)
	}
	if got := g.send(t, "GET /page HTTP/1.1", "", fetch...); got.Status != 401 || got.Header.Get("X-Auth-Login-Url") != there {
		t.Errorf("the script saw %d %v", got.Status, got.Header)
	}
	g.app.none(t, "the application")

	g.auth.answers(refuse(http.StatusUnauthorized))
	if got := g.send(t, "GET /page HTTP/1.1", "", navigate...); got.Status != 302 || got.Header.Get("Location") != centralLogin+"/start" {
		t.Errorf("no address: the browser saw %d, Location %q", got.Status, got.Header.Get("Location"))
	}
	g.auth.answers(refuse(http.StatusForbidden))
	if got := g.send(t, "GET /page HTTP/1.1", "", navigate...); got.Status != 403 || !strings.Contains(got.Body, `href="`+centralLogin+`/logout"`) {
		t.Errorf("not allowed: the browser saw %d %q", got.Status, got.Body)
	}
	g.auth.answers(refuse(http.StatusServiceUnavailable))
	if got := g.send(t, "GET /page HTTP/1.1", "", navigate...); got.Status != 503 {
		t.Errorf("no verdict: the browser saw %d", got.Status)
	}
	g.auth.take()
	g.app.none(t, "the application")

	// All paths are the application's, those of our endpoints too.
	g.auth.answers(allow)
	for _, path := range []string{"/", "/auth", "/sso/auth", "/start", "/sso/start", "/logout", "/callback?code=x"} {
		if got := g.send(t, "GET "+path+" HTTP/1.1", "", navigate...); got.Status != 200 || got.Body != appPage {
			t.Errorf("%s: the browser saw %d %q", path, got.Status, got.Body)
		}
		s := g.app.one(t)
		wantAlice(t, s)
		if s.URI != path {
			t.Errorf("%s: the application saw %s", path, s.URI)
		}
		if asked := g.auth.one(t); asked.URI != "/sso/auth" {
			t.Errorf("%s: authsvc saw %s", path, asked.URI)
		}
	}
	if got := g.send(t, "GET /.authsvc/auth HTTP/1.1", "", navigate...); got.Status != 404 {
		t.Errorf("the question from outside: the browser saw %d, want 404", got.Status)
	}
	g.auth.none(t, "authsvc")
}

// A host of the login alone serves the endpoints and nothing else.
func TestLoginHost(t *testing.T) {
	g := newGate(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen", r.RequestURI)
	}, page, func(s *nginx.Site) { s.LoginOnly, s.Upstreams, s.Prefix = true, nil, "/sso" })
	for _, path := range []string{"/sso/start?rd=x", "/sso/callback?code=x&state=y", "/sso/logout", "/sso/sessions", "/sso/jwks.json"} {
		got := g.send(t, "GET "+path+" HTTP/1.1", "", "X-Forwarded-Host: evil.example", "X-Original-URL: http://evil.example/")
		s := g.auth.one(t)
		if got.Status != 200 || got.Header.Get("X-Seen") != path || s.Header.Get("X-Forwarded-Host") != siteName || s.Header.Get("X-Original-Url") != "" {
			t.Errorf("%s: the browser saw %d, authsvc %+v", path, got.Status, s)
		}
	}
	for path, want := range map[string]int{"/sso/auth": 404, "/auth": 404, "/start": 404, "/other": 404, "/": 302} {
		got := g.send(t, "GET "+path+" HTTP/1.1", "", navigate...)
		if got.Status != want || want == 302 && got.Header.Get("Location") != "/sso/sessions" {
			t.Errorf("%s: the browser saw %d, Location %q", path, got.Status, got.Header.Get("Location"))
		}
	}
	g.auth.none(t, "authsvc")
	g.app.none(t, "the application")
	g.auth.kill()
	if got := g.send(t, "GET /sso/start HTTP/1.1", "", navigate...); got.Status != 503 || got.Header.Get("Retry-After") != "5" {
		t.Errorf("dead: the browser saw %d %v", got.Status, got.Header)
	}
}
