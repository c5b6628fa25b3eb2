package nginx_test

import (
	"net/http"
	"strings"
	"testing"

	"authsvc/nginx"
)

// A visitor cannot tell the application who he is, in any spelling that a backend may fold into an
// identity header (CVE-2025-64484).
func TestForgedIdentity(t *testing.T) {
	spellings := map[string]func(string) []string{
		"exact":      func(n string) []string { return []string{n + ": mallory"} },
		"lower case": func(n string) []string { return []string{strings.ToLower(n) + ": mallory"} },
		"mixed case": func(n string) []string {
			return []string{"x-" + strings.ToUpper(n[2:]) + ": mallory", strings.ToUpper(n) + ": mallory"}
		},
		"underscores":     func(n string) []string { return []string{strings.ReplaceAll(n, "-", "_") + ": mallory"} },
		"one underscore":  func(n string) []string { return []string{strings.Replace(n, "-", "_", 1) + ": mallory"} },
		"dots":            func(n string) []string { return []string{strings.ReplaceAll(n, "-", ".") + ": mallory"} },
		"duplicate":       func(n string) []string { return []string{n + ": mallory", n + ": mallory2"} },
		"empty":           func(n string) []string { return []string{n + ":", n + ": mallory"} },
		"trailing space":  func(n string) []string { return []string{n + " : mallory"} },
		"trailing tab":    func(n string) []string { return []string{n + "\t: mallory"} },
		"folded line":     func(n string) []string { return []string{"X-Other: a", " " + n + ": mallory"} },
		"hop by hop":      func(n string) []string { return []string{n + ": mallory", "Connection: close, " + n} },
		"keep-alive name": func(n string) []string { return []string{n + ": mallory", "Keep-Alive: " + n, "TE: trailers, " + n} },
	}
	names := []string{
		"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups",
		"X-Auth-Request-Access-Token", "X-Auth-Request-Jwt",
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token",
	}
	// fold is how the most lenient backend reads a header's name.
	fold := func(name string) string {
		return strings.NewReplacer("_", "-", ".", "-", " ", "", "\t", "").Replace(strings.ToLower(name))
	}
	g := newGate(t, allow, page, nil)
	anonymous := newGate(t, refuse(200), page, nil) // a public page: a verdict without an identity
	for spelling, forge := range spellings {
		t.Run(spelling, func(t *testing.T) {
			for _, name := range names {
				lines := forge(name)
				for gateName, g := range map[string]*gate{"signed in": g, "anonymous": anonymous} {
					got := g.send(t, "GET /page HTTP/1.1", "", lines...)
					saw := g.app.take()
					if got.Status == 400 && len(saw) == 0 {
						continue // nginx refuses the request whole
					}
					if got.Status != 200 || len(saw) != 1 {
						t.Fatalf("%s, %s: the browser saw %d, the application %d requests", gateName, name, got.Status, len(saw))
					}
					for seenName, values := range saw[0].Header {
						for _, value := range values {
							if strings.Contains(value, "mallory") {
								t.Errorf("%s: the application saw %s: %q", gateName, seenName, value)
							}
						}
						if gateName == "anonymous" && fold(seenName) == fold(name) {
							t.Errorf("the application saw %s: %q without an identity", seenName, values)
						}
					}
					if gateName == "signed in" {
						wantAlice(t, saw[0])
					}
				}
			}
		})
	}
	t.Run("trailer", func(t *testing.T) {
		g.send(t, "POST /page HTTP/1.1", "1\r\nx\r\n0\r\nX-Auth-Request-User: mallory\r\n\r\n", "Transfer-Encoding: chunked", "Trailer: X-Auth-Request-User")
		for _, s := range g.app.take() {
			wantAlice(t, s)
		}
	})
}

// Identity headers of the site's own choice.
func TestChosenHeaders(t *testing.T) {
	longName := "X-" + strings.Repeat("Very-", 11) + "Long"
	g := newGate(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Remote-User", "alice")
		w.Header().Set(longName, "long")
		allow(w, r)
	}, page, func(s *nginx.Site) { s.Headers = []string{"Remote-User", longName} })
	g.send(t, "GET / HTTP/1.1", "", "Remote-User: mallory", longName+": mallory", "X-Auth-Request-User: mallory", "X-Forwarded-User: mallory")
	s := g.app.one(t)
	for name, want := range map[string]string{"Remote-User": "alice", longName: "long", "X-Auth-Request-User": "", "X-Forwarded-User": ""} {
		if got := s.Header.Get(name); got != want {
			t.Errorf("the application saw %s: %q, want %q", name, got, want)
		}
	}
}
