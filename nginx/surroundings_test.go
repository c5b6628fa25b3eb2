package nginx_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"authsvc/nginx"
)

// The promises hold whatever else stands in http{}.
func TestSurroundings(t *testing.T) {
	others := `
underscores_in_headers on;
ignore_invalid_headers off;
proxy_intercept_errors on;
recursive_error_pages on;
error_page 401 403 404 500 502 503 =200 /oops;
default_type application/octet-stream;
satisfy any;
allow all;
proxy_set_header X-Auth-Request-User mallory;
proxy_redirect / /other/;
proxy_next_upstream off;
proxy_next_upstream_tries 1;
proxy_busy_buffers_size 4k;
proxy_buffers 4 4k;
proxy_cache_path ` + t.TempDir() + ` keys_zone=others:1m;
proxy_cache others;
proxy_cache_valid any 10m;
`
	// One dead replica is met by the first verdict, one by the first request to an endpoint.
	first, second := newStub(t, allow), newStub(t, allow)
	first.kill()
	second.kill()
	g := newGateWith(t, allow, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, appPage)
	}, func(s *nginx.Site) {
		s.Replicas = []string{first.address(), s.Replicas[0], second.address()}
	}, func(config string) string { return others + config })

	for range 3 {
		got := g.send(t, "GET /page HTTP/1.1", "", append([]string{"X_Auth_Request_User: mallory", "X.Auth.Request.User: mallory"}, navigate...)...)
		if got.Status != 401 || got.Body != appPage || got.Header.Get("Location") != "/elsewhere" {
			t.Errorf("the browser saw %d %v %q, want the application's own 401", got.Status, got.Header, got.Body)
		}
		g.auth.one(t)
		s := g.app.one(t)
		wantAlice(t, s)
		for name, values := range s.Header {
			if strings.Contains(strings.Join(values, " "), "mallory") {
				t.Errorf("the application saw %s: %q", name, values)
			}
		}
		if got := g.send(t, "POST /oauth2/logout HTTP/1.1", "", "Content-Length: 0"); got.Status != 200 {
			t.Errorf("/oauth2/logout: the browser saw %d", got.Status)
		}
		g.auth.one(t)
	}
	for _, test := range []struct {
		verdict, status int
		client          []string
		kind            string
	}{
		{401, 302, navigate, "text/html"},
		{401, 401, fetch, "text/plain"},
		{403, 403, navigate, "text/html"},
		{503, 503, navigate, "text/html"},
	} {
		g.auth.answers(refuse(test.verdict))
		got := g.send(t, "GET /page HTTP/1.1", "", test.client...)
		if got.Status != test.status || got.Header.Get("Content-Type") != test.kind || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("verdict %d: the browser saw %d %v, want %d %s", test.verdict, got.Status, got.Header, test.status, test.kind)
		}
		g.auth.one(t)
		g.app.none(t, "the application")
	}
}

// A location that somebody adds is protected as the others are, and may have limits of its own.
func TestAddedLocation(t *testing.T) {
	g := newGateWith(t, allow, page, nil, func(config string) string {
		return strings.Replace(config, "    location / {", `
    location /upload {
        client_max_body_size 3m;
        proxy_pass http://authsvc_app_example_com-app;
    }
    location / {`, 1)
	})
	large := strings.Repeat("x", 2<<20)
	length := fmt.Sprintf("Content-Length: %d", len(large))
	got := g.send(t, "POST /upload HTTP/1.1", large, length, "X-Auth-Request-User: mallory", "Cookie: __Host-authsvc=secret; a=1")
	if got.Status != 200 {
		t.Errorf("the browser saw %d", got.Status)
	}
	g.auth.one(t)
	s := g.app.one(t)
	wantAlice(t, s)
	if len(s.Body) != len(large) || s.Header.Get("Cookie") != "a=1" {
		t.Errorf("the application saw %d bytes, Cookie %q", len(s.Body), s.Header.Get("Cookie"))
	}

	g.auth.answers(login)
	if got := g.send(t, "GET /upload HTTP/1.1", "", navigate...); got.Status != 302 {
		t.Errorf("signed out: the browser saw %d, want 302", got.Status)
	}
	g.app.none(t, "the application")
}
