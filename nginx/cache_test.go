package nginx_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"authsvc/nginx"
)

// cached turns the cache on for as long as it may be on, so that a slow machine does not lose what a test counts on.
func cached(t *testing.T) func(*nginx.Site) {
	dir, err := os.MkdirTemp("", "cache") // letters, digits and slashes only, unlike a test's own folder
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return func(s *nginx.Site) { s.MicroCache, s.MicroCachePath = 5*time.Second, filepath.Join(dir, "verdicts") }
}

func cachedWithoutRules(t *testing.T) func(*nginx.Site) {
	change := cached(t)
	return func(s *nginx.Site) { change(s); s.NoRules = true }
}

// byCookie is a verdict that names whoever the request's credentials name, and refuses those without.
func byCookie(w http.ResponseWriter, r *http.Request) {
	who := r.Header.Get("Cookie") + "|" + r.Header.Get("Authorization")
	if who == "|" {
		refuse(http.StatusUnauthorized)(w, r)
		return
	}
	w.Header().Set("X-Auth-Request-User", who)
	w.Header().Set("X-Auth-Request-Groups", "staff,"+who)
	w.Header().Set("Content-Length", "0")
}

// A kept verdict lets in as a fresh one does, with the same identity and nothing else.
func TestCacheKeepsVerdicts(t *testing.T) {
	g := newGate(t, allow, page, cached(t))
	for i := range 3 {
		got := g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=1", "X-Auth-Request-User: mallory", "Range: bytes=0-1", "If-None-Match: *", "If-Modified-Since: Sun, 06 Nov 2044 08:49:37 GMT")
		if got.Status != 200 || got.Body != appPage {
			t.Errorf("request %d: the browser saw %d %q", i, got.Status, got.Body)
		}
		s := g.app.one(t)
		wantAlice(t, s)
		if s.Header.Get("Range") == "" || s.Header.Get("Cookie") != "a=1" {
			t.Errorf("request %d: the application saw %v", i, s.Header)
		}
		for _, name := range []string{"X-Auth-Request-Access-Token", "X-Forwarded-User"} {
			if s.Header[name] != nil {
				t.Errorf("request %d: the application saw %s", i, name)
			}
		}
	}
	g.auth.one(t)
}

// Whatever a verdict depends on has one of its own.
func TestCacheKey(t *testing.T) {
	type ask struct {
		line    string
		headers []string
	}
	first := ask{"GET /page?a=1 HTTP/1.1", []string{"Cookie: a=1"}}
	always := map[string]ask{
		"another cookie":           {first.line, []string{"Cookie: a=2"}},
		"a longer cookie":          {first.line, []string{"Cookie: a=1; b=2"}},
		"another header of cookie": {first.line, []string{"Cookie: a=1", "Cookie: b=2"}},
		"a bearer token":           {first.line, []string{"Cookie: a=1", "Authorization: Bearer x"}},
		"a bearer token alone":     {first.line, []string{"Authorization: a=1"}},
		"another host":             {first.line, []string{"Cookie: a=1", "Host: other.example.com"}},
		"a port":                   {first.line, []string{"Cookie: a=1", "Host: app.example.com:8080"}},
	}
	byRules := map[string]ask{
		"another path":   {"GET /other?a=1 HTTP/1.1", first.headers},
		"another query":  {"GET /page?a=2 HTTP/1.1", first.headers},
		"another method": {"POST /page?a=1 HTTP/1.1", append(first.headers, "Content-Length: 0")},
	}
	send := func(t *testing.T, g *gate, a ask) {
		t.Helper()
		if got := g.send(t, a.line, "", a.headers...); got.Status != 200 {
			t.Errorf("the browser saw %d", got.Status)
		}
		joined := strings.Join(a.headers, "\n")
		s := g.app.one(t)
		if user := s.Header.Get("X-Auth-Request-User"); !strings.Contains(joined, strings.Split(strings.Trim(user, "|"), "|")[0]) || user == "" {
			t.Errorf("the application saw %q for %s", user, joined)
		}
	}
	for name, other := range always {
		t.Run(name, func(t *testing.T) {
			for _, change := range []func(*nginx.Site){cached(t), cachedWithoutRules(t)} {
				g := newGate(t, byCookie, page, func(s *nginx.Site) { change(s); s.ServerName = "*.example.com" })
				send(t, g, first)
				send(t, g, other)
				send(t, g, other)
				if asked := g.auth.take(); len(asked) != 2 {
					t.Errorf("authsvc was asked %d times, want 2", len(asked))
				}
			}
		})
	}
	for name, other := range byRules {
		t.Run(name, func(t *testing.T) {
			for want, change := range map[int]func(*nginx.Site){2: cached(t), 1: cachedWithoutRules(t)} {
				g := newGate(t, byCookie, page, change)
				send(t, g, first)
				send(t, g, other)
				send(t, g, other)
				if asked := g.auth.take(); len(asked) != want {
					t.Errorf("authsvc was asked %d times, want %d", len(asked), want)
				}
			}
		})
	}
}

// A refusal is never kept, and neither is anything else but 200, whatever the answer says about caching: whoever signs in, or whose store is
// back, passes at once.
func TestCacheKeepsNoRefusal(t *testing.T) {
	for _, status := range []int{202, 204, 301, 401, 403, 404, 500, 503} {
		for _, control := range []string{"no-store", "max-age=60", ""} {
			t.Run(fmt.Sprint(status, " ", control), func(t *testing.T) {
				g := newGate(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Cache-Control", control)
					w.Header().Set("Expires", "Sun, 06 Nov 2044 08:49:37 GMT")
					w.Header().Set("X-Accel-Expires", "60")
					w.WriteHeader(status)
				}, page, cached(t))
				g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=1")
				g.auth.one(t)
				g.auth.answers(allow)
				g.app.take()
				if got := g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=1"); got.Status != 200 {
					t.Errorf("the browser saw %d", got.Status)
				}
				g.auth.one(t)
				wantAlice(t, g.app.one(t))
			})
		}
	}
}

// A kept verdict ends by itself, whatever it says of its own life, and then no old one passes although authsvc is dead.
func TestCacheEnds(t *testing.T) {
	others := "proxy_cache_use_stale error timeout updating http_500 http_503;\nproxy_cache_background_update on;\n"
	g := newGateWith(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Expires", "Sun, 06 Nov 2044 08:49:37 GMT")
		w.Header().Set("X-Accel-Expires", "600")
		allow(w, r)
	}, page, func(s *nginx.Site) { cached(t)(s); s.MicroCache = time.Second }, func(config string) string { return others + config })
	g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=1")
	g.auth.kill()
	deadline := time.Now().Add(patience)
	for {
		got := g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=1")
		if got.Status == 503 {
			break
		}
		if got.Status != 200 {
			t.Fatalf("the browser saw %d", got.Status)
		}
		if time.Now().After(deadline) {
			t.Fatal("the verdict is kept for ever")
		}
	}
	g.app.take()
	for range 3 {
		if got := g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=1"); got.Status != 503 {
			t.Errorf("after its end the browser saw %d", got.Status)
		}
	}
	g.app.none(t, "the application")
}

// A verdict that was replaced, here before its end by that of a WebSocket, is told no more, although nginx keeps its file open.
func TestCacheTellsTheNext(t *testing.T) {
	name := func(user string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Auth-Request-User", user)
			w.Header().Set("Content-Length", "0")
		}
	}
	g := newGate(t, name("before"), page, cached(t))
	told := func(want string, headers ...string) {
		t.Helper()
		g.send(t, "GET /page HTTP/1.1", "", append(headers, "Cookie: a=1")...)
		if got := g.app.one(t).Header.Get("X-Auth-Request-User"); got != want {
			t.Fatalf("the application is told of %q, not of %q", got, want)
		}
	}
	for range 20 {
		told("before")
	}
	g.auth.answers(name("after"))
	told("before")
	told("after", socket...)
	for range 20 {
		told("after")
	}
}

// A WebSocket stays open when its session ends, so a kept verdict opens none.
func TestCacheOpensNoWebSocket(t *testing.T) {
	g := newGate(t, allow, page, cached(t))
	g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=1")
	g.auth.one(t)
	g.auth.answers(login)
	if got := g.send(t, "GET /page HTTP/1.1", "", append(socket, "Cookie: a=1")...); got.Status != 401 {
		t.Errorf("the browser saw %d", got.Status)
	}
	g.auth.one(t)
}

// Long credentials, with an answer as long as it may be, pass as short ones do; too long ones are not kept.
func TestCacheLongKeys(t *testing.T) {
	g := newGate(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Auth-Request-Groups", strings.Repeat("g", 3300))
		w.Header().Set("Content-Length", "0")
	}, page, cached(t))
	for length, times := range map[int]int{100: 1, 4000: 1, 7900: 1, 8100: 2} {
		// Two headers, as nginx takes 8 KB a line.
		cookie := []string{"Cookie: a=" + strings.Repeat("x", length/2), "Authorization: " + strings.Repeat("y", length/2-len("appexamplecomGET/page"))}
		for range 2 {
			if got := g.send(t, "GET /page HTTP/1.1", "", cookie...); got.Status != 200 {
				t.Errorf("%d bytes: the browser saw %d", length, got.Status)
			}
			if s := g.app.one(t); len(s.Header.Get("X-Auth-Request-Groups")) != 3300 {
				t.Errorf("%d bytes: the application saw %v", length, s.Header)
			}
		}
		if asked := g.auth.take(); len(asked) != times {
			t.Errorf("%d bytes: authsvc was asked %d times, want %d", length, len(asked), times)
		}
	}
}

// What stands in http{} for other sites changes nothing.
func TestCacheSurroundings(t *testing.T) {
	g := newGateWith(t, allow, page, cached(t), func(config string) string {
		return `
proxy_buffering off;
proxy_cache_valid any 10m;
proxy_cache_lock on;
proxy_cache_key same;
proxy_cache_min_uses 5;
proxy_ignore_headers Cache-Control Set-Cookie Vary;
` + config
	})
	for range 2 {
		g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=1")
		wantAlice(t, g.app.one(t))
	}
	g.auth.one(t)
	g.auth.answers(login)
	for range 2 {
		if got := g.send(t, "GET /page HTTP/1.1", "", "Cookie: a=2"); got.Status != 401 {
			t.Errorf("the browser saw %d", got.Status)
		}
		g.auth.one(t)
	}
}
