package lint

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/nginx/nginxtest"
)

// Each dangerous rule's file of the corpus, run by the real nginx: the hole that the finding tells of is there, and it is not in the
// file that the rule is content with.
func TestHolesAreReal(t *testing.T) {
	stranger := []string{"Cookie", "none=1"}
	alice := []string{"Cookie", "session=alice"}
	for _, test := range []struct {
		file, good string   // of the corpus; good is good.conf unless said
		replace    []string // pairs, in file
		hole       func(t *testing.T, g *gate) bool
	}{
		{file: "return-bypass", hole: func(t *testing.T, g *gate) bool {
			return strings.Contains(g.ask(t, "GET", "/report", stranger...).body, "figures")
		}},
		{file: "return-bypass", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/api/x", append(stranger, "X-Debug", "1")...).body == "debug"
		}},
		{file: "rewrite-bypass", replace: []string{"/srv/files/", secretFolder(t)}, hole: func(t *testing.T, g *gate) bool {
			if got := g.ask(t, "GET", "/stored/plan.txt", stranger...); strings.Contains(got.body, "secret") {
				t.Errorf("the internal location is open: %+v", got)
			}
			return strings.Contains(g.ask(t, "GET", "/files/plan.txt", stranger...).body, "secret")
		}},
		{file: "satisfy-any", replace: []string{"192.0.2.0/24", "127.0.0.0/8"}, hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/", stranger...).body == applicationPage
		}},
		{file: "unprotected-ending", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/report;x.css", stranger...).body == applicationPage
		}},
		{file: "upgrade-unfiltered", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/", append(alice, "Upgrade", "h2c", "Connection", "Upgrade")...)
			return g.app.last().Header.Get("Upgrade") == "h2c"
		}},
		{file: "check-nowhere-missing", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/", stranger...).body == applicationPage
		}},
		{file: "check-body", replace: []string{"proxy_read_timeout 3s", "proxy_read_timeout 500ms"}, hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "POST", "/", alice...).StatusCode == 503
		}},
		{file: "check-internal", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/oauth2/auth", alice...).Header.Get("X-Auth-Request-User") == "alice"
		}},
		{file: "check-address", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/oauth2/signed_out", stranger...).body == applicationPage
		}},
		{file: "check-asked", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/private", append(stranger, "X-Original-URL", "http://app.example.com/public")...)
			return g.auth.last().Header.Get("X-Original-Url") == "http://app.example.com/public"
		}},
		{file: "check-asked-uri", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/private", stranger...)
			return strings.HasSuffix(g.auth.last().Header.Get("X-Original-Url"), "/oauth2/auth")
		}},
		{file: "cache-key", good: "cache-good", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/", alice...)
			return g.ask(t, "GET", "/", stranger...).body == applicationPage && g.app.last().Header.Get("X-Auth-Request-User") == "alice"
		}},
		{file: "cache-refusal", good: "cache-good", hole: func(t *testing.T, g *gate) bool {
			const soon = "session=soon"
			g.ask(t, "GET", "/", "Cookie", soon)
			g.signIn(soon)
			return g.ask(t, "GET", "/", "Cookie", soon).body != applicationPage
		}},
		{file: "error-500", hole: func(t *testing.T, g *gate) bool {
			g.auth.close()
			return g.ask(t, "GET", "/", alice...).StatusCode == http.StatusInternalServerError
		}},
		{file: "endpoints-protected", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/oauth2/start", stranger...).body != "welcome"
		}},
		{file: "login-success", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/", stranger...).StatusCode == http.StatusOK
		}, replace: []string{"/login.html {\n        auth_request off;\n        root /srv;", "/login.html {\n        auth_request off;\n        empty_gif;"}},
		{file: "login-proxied", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/", stranger...).body == applicationPage
		}},
		{file: "login-protected", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/", stranger...).StatusCode == http.StatusUnauthorized
		}},
		{file: "login-address", hole: func(t *testing.T, g *gate) bool {
			to, err := g.ask(t, "GET", "/a?b=1&c=2", stranger...).Location()
			return err == nil && to.Query().Get("c") == "2"
		}},
		{file: "intercept-errors", hole: func(t *testing.T, g *gate) bool {
			return g.ask(t, "GET", "/", stranger...).StatusCode != http.StatusFound
		}},
		{file: "identity-dropped", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/api/x", append(alice, "X-Auth-Request-User", "root")...)
			return g.app.last().Header.Get("X-Auth-Request-User") == "root"
		}},
		{file: "identity-unset", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/", alice...)
			return g.app.last().Header.Get("X-Auth-Request-User") == ""
		}},
		{file: "identity-forgeable", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/", append(alice, "X-Auth-Request-Groups", "admins")...)
			return g.app.last().Header.Get("X-Auth-Request-Groups") == "admins"
		}},
		{file: "identity-from-client", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/", append(alice, "X-Auth-Request-Groups", "admins")...)
			return g.app.last().Header.Get("X-Auth-Request-Groups") == "admins"
		}},
		{file: "forwarded-from-client", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/", append(alice, "X-Forwarded-Proto", "gopher")...)
			return g.auth.last().Header.Get("X-Original-Url") == "gopher://app.example.com/"
		}},
		{file: "underscore-headers", hole: func(t *testing.T, g *gate) bool {
			g.ask(t, "GET", "/", append(alice, "X_Auth_Request_User", "root")...)
			return len(g.app.last().Header["X_auth_request_user"]) > 0
		}},
	} {
		t.Run(test.file, func(t *testing.T) {
			if test.good == "" {
				test.good = "good"
			}
			if !test.hole(t, newGate(t, test.file, test.replace...)) {
				t.Errorf("%s.conf does not have the hole that the finding tells of", test.file)
			}
			if test.hole(t, newGate(t, test.good)) {
				t.Errorf("%s.conf has the same hole", test.good)
			}
		})
	}
}

// A page that nginx finds by an index costs two verdicts, and one by its name costs one.
func TestCheckedTwice(t *testing.T) {
	dir := secretFolder(t)
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("welcome"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newGate(t, "checked-twice", "/srv;", dir+";")
	for path, want := range map[string]int64{"/": 2, "/index.html": 1} {
		before := g.auth.asked.Load()
		got := g.ask(t, "GET", path, "Cookie", "session=alice")
		if asked := g.auth.asked.Load() - before; got.body != "welcome" || asked != want {
			t.Errorf("%s: %q after %d verdicts, want %d", path, got.body, asked, want)
		}
	}
}

func secretFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "plan.txt"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir + "/"
}

const applicationPage = "the application's page"

// gate is the real nginx with a file of the corpus, between a stub of authsvc and a stub of the application.
type gate struct {
	address   string
	auth, app *stub

	mu       sync.Mutex
	sessions map[string]string // user by Cookie header
}

func newGate(t *testing.T, file string, replace ...string) *gate {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file+".conf"))
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{address: nginxtest.FreeAddress(t), sessions: map[string]string{"session=alice": "alice"}}
	g.app = newStub(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, applicationPage) })
	g.auth = newStub(t, func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		user, signedIn := g.sessions[r.Header.Get("Cookie")]
		g.mu.Unlock()
		switch {
		case r.URL.Path != "/oauth2/auth": // a page that everyone may see
			io.WriteString(w, "welcome")
		case signedIn:
			w.Header().Set("X-Auth-Request-User", user)
		default:
			w.Header().Set("X-Auth-Login-Url", "/oauth2/start")
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	pairs := append([]string{"listen 80", "listen " + g.address, "127.0.0.1:4180", g.auth.address(), "127.0.0.1:3000", g.app.address()}, replace...)
	nginxtest.Start(t, strings.NewReplacer(pairs...).Replace(string(text)))
	return g
}

// signIn makes a Cookie header one of somebody.
func (g *gate) signIn(cookie string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sessions[cookie] = "somebody"
}

type answer struct {
	*http.Response
	body string
}

// ask sends a request with the headers, in pairs; a POST has a body. Redirects are not followed.
func (g *gate) ask(t *testing.T, method, path string, headers ...string) answer {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("a=b")
	}
	request, err := http.NewRequestWithContext(t.Context(), method, "http://"+g.address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "app.example.com"
	for i := 0; i < len(headers); i += 2 {
		request.Header[headers[i]] = []string{headers[i+1]}
	}
	client := &http.Client{
		Transport:     &http.Transport{},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       30 * time.Second,
	}
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response, string(text)}
}

// stub is an HTTP server that keeps the last request.
type stub struct {
	server *httptest.Server
	asked  atomic.Int64
	mu     sync.Mutex
	seen   *http.Request
}

func newStub(t *testing.T, handler http.HandlerFunc) *stub {
	t.Helper()
	s := &stub{seen: &http.Request{}}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		s.mu.Lock()
		s.seen = r.Clone(r.Context())
		s.mu.Unlock()
		handler(w, r)
	}))
	t.Cleanup(s.close)
	return s
}

func (s *stub) close() {
	s.server.CloseClientConnections()
	s.server.Close()
}

func (s *stub) address() string { return s.server.Listener.Addr().String() }

func (s *stub) last() *http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}
