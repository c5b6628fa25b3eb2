package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// backend is an application that remembers each request to the letter. It answers below /status/ with that status, and at /socket
// takes a WebSocket's connection.
type backend struct {
	*httptest.Server
	mu  sync.Mutex
	got []seen
}

// seen is a request as a backend saw it.
type seen struct {
	identity
	Method, URI string
	Header      http.Header
	Body        int // bytes
}

func newBackend(t *testing.T) *backend {
	b := &backend{}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body) // what has come is what counts
	who := identity{
		User: r.Header.Get("X-Auth-Request-User"), Email: r.Header.Get("X-Auth-Request-Email"),
		Groups: r.Header.Get("X-Auth-Request-Groups"), Path: r.RequestURI, Cookie: r.Header.Get("Cookie"),
	}
	s := seen{who, r.Method, r.RequestURI, r.Header, int(n)}
	b.mu.Lock()
	b.got = append(b.got, s)
	b.mu.Unlock()
	if r.URL.Path == "/socket" && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
		w.WriteHeader(http.StatusSwitchingProtocols)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if text, ok := strings.CutPrefix(r.URL.Path, "/status/"); ok {
		if status, err := strconv.Atoi(text); err == nil {
			w.WriteHeader(status)
		}
	}
	json.NewEncoder(w).Encode(s) // an error means that the client has gone
}

func (b *backend) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = nil
}

func (b *backend) requests() []seen {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got
}

// isAlice checks that the request tells of alice and of nobody else, whichever way a backend may fold the names of headers.
func (s seen) isAlice(t *testing.T) {
	t.Helper()
	want := map[string]string{
		"x-auth-request-user": "alice", "x-auth-request-email": "alice@example.com", "x-auth-request-preferred-username": "alice",
		"x-auth-request-groups": "staff,team-alice",
	}
	found := 0
	for name, values := range s.Header {
		folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
		if !strings.HasPrefix(folded, "x-auth-request-") {
			continue
		}
		found++
		if len(values) != 1 || values[0] != want[folded] {
			t.Errorf("the application is told %s: %q, want %q", name, values, want[folded])
		}
	}
	if found != len(want) {
		t.Errorf("the application is told %d identity headers: %v", found, s.Header)
	}
}
