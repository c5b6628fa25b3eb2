package nginx_test

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"authsvc/nginx"
)

// How different clients ask.
var (
	navigate = []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Accept: text/html,application/xhtml+xml,*/*;q=0.8"}
	oldPage  = []string{"Accept: application/xml, Text/HTML;q=0.9"}
	fetch    = []string{"Sec-Fetch-Mode: cors", "Accept: text/html"}
	xhr      = []string{"X-Requested-With: XMLHttpRequest", "Accept: text/html, */*"}
	script   = []string{"Accept: */*"}
	socket   = []string{"Upgrade: websocket", "Connection: Upgrade", "Accept: text/html"}
)

// Every verdict for every kind of client: what the browser sees, and whether the application is asked.
func TestVerdicts(t *testing.T) {
	loginPage := map[string]string{
		"Location":      loginURL("http://" + siteName + "/page?a=1&b=2"),
		"Cache-Control": "no-store",
		"X-App":         "",
	}
	signIn := map[string]string{
		"X-Auth-Login-Url": loginURL("http://" + siteName + "/page?a=1&b=2"),
		"Cache-Control":    "no-store",
		"Location":         "",
		"X-App":            "",
	}
	refusal := map[string]string{"Cache-Control": "no-store", "Retry-After": "", "Location": "", "X-Auth-Login-Url": "", "X-App": ""}
	unavailable := map[string]string{"Cache-Control": "no-store", "Retry-After": "5", "Location": "", "X-Auth-Login-Url": "", "X-App": ""}
	passed := map[string]string{"Cache-Control": "", "Retry-After": "", "Location": "", "X-Auth-Login-Url": "", "X-App": "yes"}

	tests := []struct {
		name    string
		verdict http.HandlerFunc
		method  string
		client  []string
		status  int
		header  map[string]string // "" means absent
		passes  bool
	}{
		{"signed in, page", allow, "GET", navigate, 200, passed, true},
		{"signed in, fetch", allow, "GET", fetch, 200, passed, true},
		{"signed in, POST", allow, "POST", script, 200, passed, true},
		{"signed in, HEAD", allow, "HEAD", navigate, 200, passed, true},
		{"signed in, OPTIONS", allow, "OPTIONS", fetch, 200, passed, true},
		{"any 2xx passes", refuse(202), "GET", navigate, 200, passed, true},

		{"signed out, page", login, "GET", navigate, 302, loginPage, false},
		{"signed out, page posted", login, "POST", navigate, 302, loginPage, false},
		{"signed out, page of an old browser", login, "GET", oldPage, 302, loginPage, false},
		{"signed out, fetch", login, "GET", fetch, 401, signIn, false},
		{"signed out, image", login, "GET", []string{"Sec-Fetch-Mode: no-cors", "Accept: text/html"}, 401, signIn, false},
		{"signed out, XHR of an old browser", login, "GET", xhr, 401, signIn, false},
		{"signed out, script", login, "GET", script, 401, signIn, false},
		{"signed out, nothing accepted", login, "GET", nil, 401, signIn, false},
		{"signed out, another type", login, "GET", []string{"Accept: application/text/html2"}, 401, signIn, false},
		{"signed out, POST of an old browser", login, "POST", oldPage, 401, signIn, false},
		{"signed out, WebSocket", login, "GET", socket, 401, signIn, false},
		{"signed out, WebSocket of a browser", login, "GET", append([]string{"Sec-Fetch-Mode: websocket"}, socket...), 401, signIn, false},
		{"signed out, OPTIONS", login, "OPTIONS", fetch, 401, signIn, false},

		{"signed out, no address of the login", refuse(401), "GET", navigate, 302, map[string]string{"Location": "/oauth2/start", "Cache-Control": "no-store"}, false},
		{"signed out, no address of the login, fetch", refuse(401), "GET", fetch, 401, map[string]string{"X-Auth-Login-Url": "/oauth2/start", "Cache-Control": "no-store"}, false},

		{"not allowed, page", refuse(403), "GET", navigate, 403, refusal, false},
		{"not allowed, fetch", refuse(403), "GET", fetch, 403, refusal, false},
		{"not allowed, POST", refuse(403), "POST", navigate, 403, refusal, false},

		{"no verdict, page", refuse(503), "GET", navigate, 503, unavailable, false},
		{"no verdict, fetch", refuse(503), "GET", fetch, 503, unavailable, false},
		{"no verdict, POST", refuse(503), "POST", script, 503, unavailable, false},
		{"no verdict, WebSocket", refuse(503), "GET", socket, 503, unavailable, false},
	}
	g := newGate(t, allow, page, nil)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g.auth.answers(test.verdict)
			got := g.send(t, test.method+" /page?a=1&b=2 HTTP/1.1", "", test.client...)
			if got.Status != test.status {
				t.Errorf("the browser saw %d, want %d", got.Status, test.status)
			}
			for name, want := range test.header {
				if value := got.Header.Get(name); value != want {
					t.Errorf("the browser saw %s: %q, want %q", name, value, want)
				}
			}
			asked := g.auth.one(t)
			if asked.Method != "GET" || asked.URI != "/oauth2/auth" || asked.Header.Get("X-Original-Method") != test.method {
				t.Errorf("authsvc was asked %+v, want GET /oauth2/auth about a %s", asked, test.method)
			}
			if !test.passes {
				g.app.none(t, "the application")
				if strings.Contains(got.Body, appPage) {
					t.Errorf("the browser saw the application's page: %q", got.Body)
				}
				return
			}
			if s := g.app.one(t); s.Method != test.method || s.URI != "/page?a=1&b=2" {
				t.Errorf("the application saw %s %s", s.Method, s.URI)
			}
		})
	}
}

// What the pages of nginx itself say, whatever the address ends in.
func TestRefusalsAreReadable(t *testing.T) {
	for status, want := range map[int]struct{ kind, text string }{
		401: {"text/plain", "sign in"},
		403: {"text/html", `href="/oauth2/logout"`},
		503: {"text/html", "try again"},
	} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			g := newGate(t, refuse(status), page, nil)
			got := g.send(t, "GET /picture.png HTTP/1.1", "")
			if got.Status != status || got.Header.Get("Content-Type") != want.kind || !strings.Contains(got.Body, want.text) {
				t.Errorf("got %d %s %q", got.Status, got.Header.Get("Content-Type"), got.Body)
			}
			g.app.none(t, "the application")
		})
	}
}

// A confused or broken authsvc lets nobody in, signs nobody out and starts no login.
func TestUnavailable(t *testing.T) {
	raw := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			io.WriteString(conn, text)
		}
	}
	answers := map[string]http.HandlerFunc{
		"garbage":           raw("\x16\x03\x01 what is this\n\nHTTP/1.1 200 OK\r\n\r\n"),
		"a page, no header": raw("<html>200 OK</html>"),
		"closed":            raw(""),
		"100 and no more":   raw("HTTP/1.1 100 Continue\r\n\r\n"),
		"cut short":         raw("HTTP/1.1 200 OK\r\nX-Auth-Request-User: al"),
		"status of letters": raw("HTTP/1.1 OK\r\n\r\n"),
		"headers too large": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Large", strings.Repeat("x", 9000))
			allow(w, r)
		},
		"reset": func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		},
		"silent": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	}
	for _, status := range []int{300, 301, 302, 304, 400, 404, 405, 407, 418, 429, 500, 502, 503, 504} {
		answers[strconv.Itoa(status)] = refuse(status)
	}

	check := func(t *testing.T, g *gate) {
		t.Helper()
		for _, client := range [][]string{navigate, fetch, socket} {
			got := g.send(t, "GET /secret HTTP/1.1", "", append(client, "Cookie: __Host-authsvc=token")...)
			if got.Status != 503 || got.Header.Get("Retry-After") != "5" || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("the browser saw %d %v, want 503 with Retry-After and no-store", got.Status, got.Header)
			}
			for _, name := range []string{"Set-Cookie", "Location", "X-Auth-Login-Url"} {
				if got.Header.Get(name) != "" {
					t.Errorf("the browser saw %s: %s", name, got.Header.Get(name))
				}
			}
			if !strings.Contains(got.Body, "try again") || strings.Contains(got.Body, appPage) {
				t.Errorf("the browser saw %q", got.Body)
			}
			g.app.none(t, "the application")
		}
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			check(t, newGate(t, answer, page, func(s *nginx.Site) { s.CheckTimeout = 200 * time.Millisecond }))
		})
	}
	t.Run("dead", func(t *testing.T) {
		g := newGate(t, allow, page, nil)
		g.auth.kill()
		check(t, g)
	})
}

// What the application answers is its own affair: it passes as it is, and none of it starts a login.
func TestApplicationAnswersPass(t *testing.T) {
	for _, status := range []int{200, 302, 400, 401, 403, 404, 500, 502, 503, 504} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			g := newGate(t, allow, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("WWW-Authenticate", `Basic realm="app"`)
				w.Header().Set("Location", "/elsewhere")
				w.Header().Set("Retry-After", "77")
				w.WriteHeader(status)
				io.WriteString(w, appPage)
			}, nil)
			got := g.send(t, "GET /page HTTP/1.1", "", navigate...)
			if got.Status != status || got.Body != appPage {
				t.Errorf("the browser saw %d %q, want the application's %d", got.Status, got.Body, status)
			}
			for name, want := range map[string]string{
				"WWW-Authenticate": `Basic realm="app"`, "Location": "/elsewhere", "Retry-After": "77",
				"Cache-Control": "", "X-Auth-Login-Url": "", "X-Auth-Request-User": "",
			} {
				if value := got.Header.Get(name); value != want {
					t.Errorf("the browser saw %s: %q, want %q", name, value, want)
				}
			}
			wantAlice(t, g.app.one(t))
		})
	}
	t.Run("dead", func(t *testing.T) {
		g := newGate(t, allow, page, nil)
		g.app.kill()
		if got := g.send(t, "GET /page HTTP/1.1", "", navigate...); got.Status != 502 {
			t.Errorf("the browser saw %d, want 502", got.Status)
		}
		if asked := g.auth.one(t); asked.Header.Get("X-Original-Url") != "http://"+siteName+"/page" {
			t.Errorf("authsvc was asked about %q", asked.Header.Get("X-Original-Url"))
		}
	})
}
