package nginx_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/nginx"
)

// Requests are spread over the replicas, and nobody notices that one is killed.
func TestReplicaKilled(t *testing.T) {
	who := func(name string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/oauth2/auth" {
				io.WriteString(w, name)
				return
			}
			allow(w, r)
		}
	}
	first, second := newStub(t, who("first")), newStub(t, who("second"))
	g := newGate(t, allow, page, func(s *nginx.Site) {
		s.Replicas = []string{first.address(), second.address()}
	})
	const rounds = 20
	ask := func() {
		t.Helper()
		for range rounds {
			for _, line := range []string{"GET /page HTTP/1.1", "POST /page HTTP/1.1"} {
				if got := g.send(t, line, "hello", "Content-Length: 5"); got.Status != 200 || got.Body != appPage {
					t.Errorf("%s: the browser saw %d", line, got.Status)
				}
			}
			for _, line := range []string{"GET /oauth2/callback?state=x HTTP/1.1", "POST /oauth2/logout HTTP/1.1"} {
				if got := g.send(t, line, "hello", "Content-Length: 5"); got.Status != 200 || (got.Body != "first" && got.Body != "second") {
					t.Errorf("%s: the browser saw %d %q", line, got.Status, got.Body)
				}
			}
		}
		if got := len(g.app.take()); got != 2*rounds {
			t.Errorf("the application saw %d requests, want %d", got, 2*rounds)
		}
	}
	ask()
	if a, b := len(first.take()), len(second.take()); a != b || a+b != 4*rounds {
		t.Errorf("the replicas were asked %d and %d times, want %d each", a, b, 2*rounds)
	}
	second.kill()
	ask()
	if got := len(first.take()); got != 4*rounds {
		t.Errorf("the replica that is left was asked %d times, want %d", got, 4*rounds)
	}
	first.kill()
	for _, line := range []string{"GET /page HTTP/1.1", "GET /oauth2/start HTTP/1.1", "POST /oauth2/logout HTTP/1.1"} {
		got := g.send(t, line, "", "Content-Length: 0")
		if got.Status != 503 || got.Header.Get("Retry-After") != "5" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: the browser saw %d %v, want 503", line, got.Status, got.Header)
		}
	}
	g.app.none(t, "the application")
}

// A replica that dies with the question in its hands costs nobody an answer either.
func TestReplicaKilledMidway(t *testing.T) {
	hangUp := func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	}
	for _, line := range []string{"GET /page HTTP/1.1", "POST /page HTTP/1.1", "GET /oauth2/callback HTTP/1.1", "POST /oauth2/callback HTTP/1.1", "POST /oauth2/logout HTTP/1.1"} {
		t.Run(line, func(t *testing.T) {
			first, second := newStub(t, hangUp), newStub(t, allow)
			g := newGate(t, allow, page, func(s *nginx.Site) {
				s.Replicas = []string{first.address(), second.address()}
			})
			if got := g.send(t, line, "hello", "Content-Length: 5"); got.Status != 200 {
				t.Errorf("the browser saw %d", got.Status)
			}
			first.one(t)
			second.one(t)
			if strings.Contains(line, "/page") {
				if s := g.app.one(t); s.Body != "hello" {
					t.Errorf("the application saw %q", s.Body)
				}
			}
		})
	}
}

// A replica that hangs (stopped, swapping, deadlocked) costs its first visitor a moment, and no answer.
func TestReplicaHangs(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	first, second := newStub(t, hang), newStub(t, allow)
	g := newGate(t, allow, page, func(s *nginx.Site) {
		s.Replicas = []string{first.address(), second.address()}
		s.CheckTimeout = 200 * time.Millisecond
	})
	for range 5 {
		if got := g.send(t, "POST /page HTTP/1.1", "hello", "Content-Length: 5"); got.Status != 200 {
			t.Errorf("the browser saw %d", got.Status)
		}
		if s := g.app.one(t); s.Body != "hello" {
			t.Errorf("the application saw %q", s.Body)
		}
	}
	if got := len(second.take()); got != 5 {
		t.Errorf("the other replica was asked %d times, want 5", got)
	}
}

// Where every replica hangs, nginx gives up before it has waited for each.
func TestAllReplicasHang(t *testing.T) {
	var replicas []*stub
	g := newGate(t, allow, page, func(s *nginx.Site) {
		s.Replicas, s.CheckTimeout = nil, 500*time.Millisecond
		for range 10 {
			replicas = append(replicas, newStub(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			s.Replicas = append(s.Replicas, replicas[len(replicas)-1].address())
		}
	})
	got := g.send(t, "GET /page HTTP/1.1", "", navigate...)
	if got.Status != 503 || got.Header.Get("Retry-After") != "5" {
		t.Errorf("the browser saw %d %v, want 503", got.Status, got.Header)
	}
	asked := 0
	for _, replica := range replicas {
		asked += len(replica.take())
	}
	if asked < 2 || asked == len(replicas) {
		t.Errorf("%d of %d replicas were asked, want some and not all", asked, len(replicas))
	}
	g.app.none(t, "the application")
}
