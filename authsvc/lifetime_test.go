package authsvc

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/session"
)

// TestIdleTimeout uses a session, and then does not (Q39).
func TestIdleTimeout(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	for range 20 {
		r.advance(25 * time.Minute)
		if reply := b.auth(""); reply.StatusCode != http.StatusOK {
			t.Fatalf("a session in use: %s", reply.Status)
		}
	}
	r.advance(34 * time.Minute) // 1.1 times the idle time, and more
	if reply := b.auth(""); reply.StatusCode != http.StatusUnauthorized {
		t.Errorf("a session out of use: %s", reply.Status)
	}
}

// TestAbsoluteTimeout uses a session for longer than any may live.
func TestAbsoluteTimeout(t *testing.T) {
	r := newRig(t, 2, nil)
	b := r.browser()
	b.signIn()
	for range 12*4 - 1 {
		r.advance(15 * time.Minute)
		if reply := b.auth(""); reply.StatusCode != http.StatusOK {
			t.Fatalf("before the end: %s", reply.Status)
		}
	}
	r.advance(15*time.Minute + time.Second)
	if reply := b.auth(""); reply.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the end: %s", reply.Status)
	}
}

// TestAskingDoesNotExtend ends a session that is asked about but not used, each way of asking in turn.
func TestAskingDoesNotExtend(t *testing.T) {
	r := newRig(t, 1, nil)
	for _, path := range []string{"/session", "/userinfo"} {
		t.Run(path, func(t *testing.T) {
			r.t = t
			b := r.browser()
			b.signIn()
			for range 3 {
				r.advance(10 * time.Minute)
				if reply := b.get(path); reply.StatusCode != http.StatusOK || len(reply.Cookies()) > 0 {
					t.Fatalf("%s with %d cookies", reply.Status, len(reply.Cookies()))
				}
			}
			r.advance(4 * time.Minute)
			if reply := b.auth(""); reply.StatusCode != http.StatusUnauthorized {
				t.Errorf("/auth: %s", reply.Status)
			}
		})
	}
}

// persistStore forgets no record, as if someone had said PERSIST to Redis.
type persistStore struct {
	*faultyStore
	mu   sync.Mutex
	kept map[session.ID]session.Record
}

func (p *persistStore) Create(ctx context.Context, r session.Record) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.kept[r.ID] = r
	return p.faultyStore.Create(ctx, r)
}

func (p *persistStore) Load(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := p.faultyStore.Load(ctx, id)
	p.mu.Lock()
	defer p.mu.Unlock()
	if kept, has := p.kept[id]; has && errors.Is(err, session.ErrNotFound) {
		kept.Tokens, kept.TTL = nil, 1000*time.Hour
		return kept, nil
	}
	return r, err
}

func (p *persistStore) LoadWithoutTTL(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := p.Load(ctx, id)
	r.TTL = 0
	return r, err
}

// TestPersistedRecord ends a session by the record's own expiry when the store's is gone.
func TestPersistedRecord(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	service := r.another(config, &persistStore{faultyStore: r.store, kept: map[session.ID]session.Record{}})
	run(t, service)
	r.replicas[0] = service
	r.provider.EditTokenResponse(withoutRefreshToken) // a refresh would find that the underlying store forgets
	b := r.browser()
	b.signIn()
	r.advance(12*time.Hour - time.Minute)
	if reply := b.auth(""); reply.StatusCode != http.StatusOK {
		t.Fatalf("the test's store forgets: %s", reply.Status)
	}
	r.advance(time.Minute + time.Second)
	if reply := b.auth(""); reply.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s", reply.Status)
	}
}

// TestSessionJSON reads what a page is told about its session.
func TestSessionJSON(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Headers["X-Auth-Request-User"] = Header{Claim: "email"} })
	b := r.browser()
	check := func(reply reply, status int, exact string) {
		t.Helper()
		if reply.StatusCode != status || exact != "" && reply.body != exact {
			t.Errorf("%s %q, want %d %q", reply.Status, reply.body, status, exact)
		}
		if reply.Header.Get("Content-Type") != "application/json" || reply.Header.Get("Cache-Control") != "no-store" || reply.Header.Get("X-Content-Type-Options") != "nosniff" || len(reply.Cookies()) > 0 {
			t.Errorf("headers %v", reply.Header)
		}
	}
	check(b.get("/session"), http.StatusUnauthorized, `{"authenticated":false}`+"\n")
	check(b.get("/userinfo"), http.StatusUnauthorized, `{"authenticated":false}`+"\n")

	before := r.now().Truncate(time.Second)
	b.signIn()
	after := r.now()
	reply := b.get("/session")
	check(reply, http.StatusOK, "")
	var got map[string]any
	if err := json.Unmarshal([]byte(reply.body), &got); err != nil || len(got) != 4 {
		t.Fatalf("%v: %s", err, reply.body)
	}
	if got["authenticated"] != true || got["user"] != "alice@example.com" {
		t.Errorf("%s", reply.body)
	}
	for name, life := range map[string][2]time.Duration{"expires_at": {12 * time.Hour, 12 * time.Hour}, "idle_expires_at": {30 * time.Minute, 33 * time.Minute}} {
		text, _ := got[name].(string)
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || !strings.HasSuffix(text, "Z") || at.Before(before.Add(life[0])) || at.After(after.Add(life[1])) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	check(b.get("/userinfo"), http.StatusOK, `{"email":"alice@example.com","groups":["staff","admins"],"preferred_username":"alice"}`+"\n")
	if head := b.do(http.MethodHead, "/session", nil); head.StatusCode != http.StatusOK || head.body != "" || head.ContentLength != int64(len(reply.body)) {
		t.Errorf("HEAD: %s, %d bytes, Content-Length %d", head.Status, len(head.body), head.ContentLength)
	}

	r.store.down.Store(true)
	for _, path := range []string{"/session", "/userinfo"} {
		reply := b.get(path)
		check(reply, http.StatusServiceUnavailable, "")
		if reply.Header.Get("Retry-After") == "" || strings.Contains(reply.body, "authenticated") {
			t.Errorf("%s: %v %s", path, reply.Header, reply.body)
		}
	}
}

// TestUserinfoHasNoToken asks for the claims where a header carries a token.
func TestUserinfoHasNoToken(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Headers["X-Auth-Request-Access-Token"] = Header{Claim: "@access_token"} })
	b := r.browser()
	b.signIn()
	if token := b.auth("").Header.Get("X-Auth-Request-Access-Token"); !strings.HasPrefix(token, "eyJ") {
		t.Fatalf("the test needs the token in the header, not %q", token)
	}
	for _, path := range []string{"/userinfo", "/session", "/logout", "/signed_out", "/nowhere"} {
		checkSecrets(t, path, b.get(path).body, []string{"eyJ", "access_token", b.sessionCookie(), testClientSecret})
	}
}

// TestMethodsAndPaths asks every endpoint with every method, and paths that are none.
func TestMethodsAndPaths(t *testing.T) {
	r := newRig(t, 1, nil)
	allowed := map[string]string{
		"/start": "GET, HEAD", "/sign_in": "GET, HEAD", "/callback": "GET", "/logout": "GET, HEAD, POST", "/sign_out": "GET, HEAD, POST",
		"/signed_out": "GET, HEAD", "/session": "GET, HEAD", "/userinfo": "GET, HEAD",
	}
	for path, allow := range allowed {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "get"} {
			answer := ask(r.replicas[0], method, path, trustedPeer, nil)
			refused := !strings.Contains(", "+allow+",", ", "+method+",")
			if (answer.Code == http.StatusMethodNotAllowed) != refused {
				t.Errorf("%s %s: %d", method, path, answer.Code)
			}
			if refused && answer.Header().Get("Allow") != allow {
				t.Errorf("%s %s: Allow %q, want %q", method, path, answer.Header().Get("Allow"), allow)
			}
			if answer.Header().Get("X-Request-Id") == "" {
				t.Errorf("%s %s: no X-Request-Id", method, path)
			}
		}
	}
	for _, path := range []string{"/", "/nowhere", "/debug/pprof/", "/metrics", "/readyz", "/livez", "/start/", "/.well-known/x", "/session/x", "/START", "/callback%2f", "/jwks"} {
		for _, method := range []string{"GET", "POST", "OPTIONS", "PROPFIND"} {
			answer := ask(r.replicas[0], method, path, trustedPeer, nil)
			if answer.Code != http.StatusNotFound || answer.Header().Get("X-Request-Id") == "" || answer.Header().Get("Content-Security-Policy") == "" {
				t.Errorf("%s %s: %d %v", method, path, answer.Code, answer.Header())
			}
			if len(answer.Result().Cookies()) > 0 {
				t.Errorf("%s %s sets cookies", method, path)
			}
		}
	}
}
