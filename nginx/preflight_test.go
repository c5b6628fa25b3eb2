package nginx_test

import (
	"testing"

	"authsvc/nginx"
)

// A browser's question whether a page of another site may ask passes without a verdict and without identity; what only looks like
// one is judged.
func TestPreflight(t *testing.T) {
	origin, method := "Origin: https://other.example", "Access-Control-Request-Method: PUT"
	g := newGate(t, login, page, func(s *nginx.Site) { s.CORSPreflight = true })
	for name, headers := range map[string][]string{
		"as a browser asks": {origin, method, "Access-Control-Request-Headers: x-a, content-type", "Sec-Fetch-Mode: cors", "Accept: */*"},
		"no body":           {origin, method, "Content-Length: 0"},
		"sandboxed page":    {"Origin: null", method},
		"forged identity":   {origin, method, "X-Auth-Request-User: mallory", "Remote-User: mallory", "X-Forwarded-User: mallory"},
	} {
		got := g.send(t, "OPTIONS /api?a=1 HTTP/1.1", "", headers...)
		if got.Status != 200 || got.Body != appPage {
			t.Errorf("%s: the browser saw %d %q", name, got.Status, got.Body)
		}
		g.auth.none(t, name+": authsvc")
		s := g.app.one(t)
		if s.Method != "OPTIONS" || s.URI != "/api?a=1" || s.Header.Get("Access-Control-Request-Method") != "PUT" {
			t.Errorf("%s: the application saw %+v", name, s)
		}
		for _, header := range append(nginx.DefaultHeaders(), "Remote-User", "X-Forwarded-User") {
			if s.Header.Values(header) != nil {
				t.Errorf("%s: the application saw %s: %q", name, header, s.Header.Values(header))
			}
		}
	}
	for name, row := range map[string]struct {
		line, body string
		headers    []string
	}{
		"no method asked for":  {"OPTIONS /api HTTP/1.1", "", []string{origin}},
		"an empty method":      {"OPTIONS /api HTTP/1.1", "", []string{origin, "Access-Control-Request-Method: "}},
		"two words":            {"OPTIONS /api HTTP/1.1", "", []string{origin, "Access-Control-Request-Method: PUT x"}},
		"no origin":            {"OPTIONS /api HTTP/1.1", "", []string{method}},
		"GET":                  {"GET /api HTTP/1.1", "", []string{origin, method}},
		"POST":                 {"POST /api HTTP/1.1", "", []string{origin, method, "Content-Length: 0"}},
		"another method meant": {"OPTIONS /api HTTP/1.1", "", []string{origin, method, "X-HTTP-Method-Override: DELETE"}},
		"and another":          {"OPTIONS /api HTTP/1.1", "", []string{origin, method, "X-HTTP-Method: DELETE"}},
		"and yet another":      {"OPTIONS /api HTTP/1.1", "", []string{origin, method, "X-Method-Override: DELETE"}},
		"cookie":               {"OPTIONS /api HTTP/1.1", "", []string{origin, method, "Cookie: a=1"}},
		"bearer token":         {"OPTIONS /api HTTP/1.1", "", []string{origin, method, "Authorization: Bearer x"}},
		"WebSocket":            {"OPTIONS /api HTTP/1.1", "", []string{origin, method, "Upgrade: websocket", "Connection: Upgrade"}},
		"body":                 {"OPTIONS /api HTTP/1.1", "x", []string{origin, method, "Content-Length: 1"}},
		"chunked body":         {"OPTIONS /api HTTP/1.1", "1\r\nx\r\n0\r\n\r\n", []string{origin, method, "Transfer-Encoding: chunked"}},
	} {
		if got := g.send(t, row.line, row.body, row.headers...); got.Status != 401 {
			t.Errorf("%s: the browser saw %d, want 401", name, got.Status)
		}
		g.auth.one(t)
		g.app.none(t, name+": the application")
	}
	// Not asked for: a browser's question is judged as any request.
	g = newGate(t, login, page, nil)
	if got := g.send(t, "OPTIONS /api HTTP/1.1", "", origin, method); got.Status != 401 {
		t.Errorf("without the option: the browser saw %d, want 401", got.Status)
	}
}

// Beside a cache, the question neither gets a kept verdict nor leaves one.
func TestPreflightBesideCache(t *testing.T) {
	change := cachedWithoutRules(t)
	g := newGate(t, allow, page, func(s *nginx.Site) { change(s); s.CORSPreflight = true })
	preflight := func() {
		t.Helper()
		g.send(t, "OPTIONS /api HTTP/1.1", "", "Origin: https://other.example", "Access-Control-Request-Method: PUT")
		g.auth.none(t, "authsvc")
		if s := g.app.one(t); s.Header.Get("X-Auth-Request-User") != "" {
			t.Errorf("the application saw %v", s.Header)
		}
	}
	preflight()
	g.send(t, "GET /api HTTP/1.1", "") // allow lets in whoever asks
	g.auth.one(t)
	wantAlice(t, g.app.one(t))
	preflight()
}
