package authsvc

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/session"
)

// signedIn returns the cookie header of someone who has just signed in.
func signedIn(r *rig, subject string) http.Header {
	r.t.Helper()
	r.visitor.Store(subject)
	defer r.visitor.Store("alice")
	b := r.browser()
	b.signIn()
	return http.Header{"Cookie": {"authsvc=" + b.sessionCookie()}}
}

// checkVerdict holds an answer of /auth against its contract: one of four statuses, no body, no cookie, no redirect.
func checkVerdict(t testing.TB, status int, h http.Header, body int) {
	t.Helper()
	if !slices.Contains([]int{200, 401, 403, 503}, status) {
		t.Errorf("status %d", status)
	}
	if body != 0 || h.Get("Content-Length") != "0" {
		t.Errorf("a body of %d bytes, Content-Length %q", body, h.Get("Content-Length"))
	}
	if h.Get("Set-Cookie") != "" || h.Get("Location") != "" {
		t.Errorf("Set-Cookie or Location: %v", h)
	}
	if refused := status != http.StatusOK; refused != (h.Get("Cache-Control") == "no-store") {
		t.Errorf("status %d with Cache-Control %q", status, h.Get("Cache-Control"))
	}
	if (status == http.StatusServiceUnavailable) != (h.Get("Retry-After") != "") {
		t.Errorf("status %d with Retry-After %q", status, h.Get("Retry-After"))
	}
	if (status == http.StatusUnauthorized) != (h.Get("X-Auth-Login-Url") != "") {
		t.Errorf("status %d with X-Auth-Login-Url %q", status, h.Get("X-Auth-Login-Url"))
	}
}

// TestAuthMethods asks with every method, and some that are none.
func TestAuthMethods(t *testing.T) {
	r := newRig(t, 1, nil)
	cookie := signedIn(r, "alice")
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "get", "X-OWN"} {
		for _, test := range []struct {
			header http.Header
			want   int
		}{{cookie, http.StatusOK}, {nil, http.StatusUnauthorized}} {
			answer := ask(r.replicas[0], method, "/auth", trustedPeer, test.header)
			if answer.Code != test.want {
				t.Errorf("%s: %d, want %d", method, answer.Code, test.want)
			}
			checkVerdict(t, answer.Code, answer.Header(), answer.Body.Len())
		}
	}
}

// TestAuthHeaders tells the whole header of each outcome.
func TestAuthHeaders(t *testing.T) {
	r := newRig(t, 1, nil)
	for _, test := range []struct {
		name, query string
		subject     string
		down        bool
		want        int
		header      map[string]string
	}{
		{"allow", "", "alice", false, 200, map[string]string{
			"X-Auth-Request-User": "alice", "X-Auth-Request-Email": "alice@example.com",
			"X-Auth-Request-Preferred-Username": "alice", "X-Auth-Request-Groups": "staff,admins",
		}},
		{"allow, and nothing to tell: empty, but there", "", "carol", false, 200, map[string]string{
			"X-Auth-Request-User": "carol", "X-Auth-Request-Email": "carol@partner.example",
			"X-Auth-Request-Preferred-Username": "", "X-Auth-Request-Groups": "",
		}},
		{"login", "", "", false, 401, map[string]string{"Cache-Control": "no-store", "X-Auth-Login-Url": r.url + "/start"}},
		{"deny", "?allowed_groups=root", "alice", false, 403, map[string]string{"Cache-Control": "no-store"}},
		{"unavailable", "", "alice", true, 503, map[string]string{"Cache-Control": "no-store", "Retry-After": "2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r.t = t
			var header http.Header
			if test.subject != "" {
				header = signedIn(r, test.subject)
			}
			r.store.down.Store(test.down)
			defer r.store.down.Store(false)
			answer := ask(r.replicas[0], http.MethodGet, "/auth"+test.query, trustedPeer, header)
			if answer.Code != test.want {
				t.Errorf("%d, want %d", answer.Code, test.want)
			}
			checkVerdict(t, answer.Code, answer.Header(), answer.Body.Len())
			got := answer.Header().Clone()
			if len(got["X-Request-Id"]) != 1 || got.Get("X-Request-Id") == "" {
				t.Errorf("X-Request-Id %q", got["X-Request-Id"])
			}
			got.Del("X-Request-Id")
			got.Del("Content-Length")
			for name, want := range test.header {
				if values := got[name]; len(values) != 1 || values[0] != want {
					t.Errorf("%s: %q, want %q", name, values, want)
				}
				delete(got, name)
			}
			if len(got) > 0 {
				t.Errorf("more than expected: %v", got)
			}
		})
	}
}

// TestAuthWithoutSession asks in all the ways in which peers have been talked into an allow.
func TestAuthWithoutSession(t *testing.T) {
	r := newRig(t, 1, nil)
	ask401 := func(name, target, peer string, header http.Header) {
		t.Helper()
		answer := ask(r.replicas[0], http.MethodGet, target, peer, header)
		if answer.Code != http.StatusUnauthorized {
			t.Errorf("%s: %d", name, answer.Code)
		}
		checkVerdict(t, answer.Code, answer.Header(), answer.Body.Len())
	}
	for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0", "Pingdom.com_bot", "oauth2-proxy-ping", ""} {
		ask401("CVE-2026-34457 "+agent, "/auth", trustedPeer, http.Header{"User-Agent": {agent}})
	}
	for _, name := range []string{"X-Forwarded-Uri", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "Forwarded"} {
		for _, value := range []string{"/public", "/livez", "/ping", "/auth", "https://app.example.com/public"} {
			ask401("CVE-2026-40575 "+name, "/auth", strangePeer, http.Header{name: {value}})
			ask401("CVE-2026-40575 "+name, "/auth", trustedPeer, http.Header{name: {value}})
		}
	}
	for _, name := range []string{"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Groups", "X-Forwarded-User", "Remote-User", "Authorization"} {
		ask401("forged "+name, "/auth", trustedPeer, http.Header{name: {"Bearer alice"}})
	}
	for _, accept := range []string{"text/html", "application/json", "*/*"} {
		ask401("Q44 "+accept, "/auth", trustedPeer, http.Header{"Accept": {accept}, "Sec-Fetch-Mode": {"cors"}, "Upgrade": {"websocket"}, "Connection": {"Upgrade"}})
	}
	ask401("signed out, and a group asked for", "/auth?allowed_groups=staff", trustedPeer, nil)
	ask401("signed out, and a query that cannot be read", "/auth?%zz", trustedPeer, nil)
	if n := r.store.commands.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestAuthPaths asks beside the one path that is the check.
func TestAuthPaths(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.PublicURL += "/oauth2" })
	cookie := signedIn(r, "alice")
	for path, want := range map[string]int{
		"/oauth2/auth": 200, "/auth": 404, "/oauth2/auth/": 404, "/oauth2/AUTH": 404, "/oauth2/auth/x": 404, "/oauth2//auth": 404,
		"/oauth2/x/../auth": 404, "/oauth2/%61uth": 404, "/oauth2/auth;x": 404, "/oauth2/auth%00": 404, "/debug/pprof/": 404, "/metrics": 404, "/livez": 404, "/": 404,
	} {
		answer := ask(r.replicas[0], http.MethodGet, path, trustedPeer, cookie)
		if answer.Code != want && !(path == "/oauth2/%61uth" && answer.Code == 200) {
			t.Errorf("%s: %d, want %d", path, answer.Code, want)
		}
	}
}

// TestHeaderBlock measures what a gateway has to read for people with much to tell: less than 3.5 KB (section 0).
func TestHeaderBlock(t *testing.T) {
	r := newRig(t, 1, func(c *Config) {
		for i := range 10 {
			c.Headers[fmt.Sprintf("X-Custom-Header-Number-%d", i)] = Header{Claim: "name"}
		}
		c.Headers["X-Auth-Request-Access-Token"] = Header{Claim: "@access_token"}
	})
	alice := people[0]
	alice.Groups = nil
	for i := range 200 {
		alice.Groups = append(alice.Groups, fmt.Sprintf("group-%03d-%s", i, strings.Repeat("g", 50)))
	}
	alice.Name = strings.Repeat("Alice ", 20) + "Example"
	r.provider.SetPerson(alice)
	cookie := signedIn(r, "alice").Get("Cookie")

	read := func(request string) (size int, header http.Header) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET %s\r\nHost: %s\r\nX-Request-Id: %s\r\n", request, strings.TrimPrefix(r.url, "http://"), strings.Repeat("i", 64))
		fmt.Fprintf(conn, "X-Forwarded-Proto: http\r\nX-Original-Method: GET\r\nX-Original-Uri: /%s?%s\r\n\r\n", strings.Repeat("p", 3000), strings.Repeat("q", 3000))
		header = http.Header{}
		reader := bufio.NewReader(conn)
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if size += len(line); line == "\r\n" {
				return size, header
			}
			name, value, _ := strings.Cut(line, ":")
			header.Add(name, strings.TrimSpace(value))
		}
	}
	size, header := read("/auth HTTP/1.1\r\nCookie: " + cookie)
	if size >= 3500 {
		t.Errorf("an allow has a header block of %d bytes", size)
	}
	got := strings.Split(header.Get("X-Auth-Request-Groups"), ",")
	if len(got) < 10 || !slices.Equal(got, alice.Groups[:len(got)]) {
		t.Errorf("%d groups, not the first ones of the provider: %.200q", len(got), got)
	}
	if header.Get("X-Auth-Request-Email") != alice.Email {
		t.Errorf("the groups crowded out the address: %v", header)
	}
	if _, has := header["X-Auth-Request-Access-Token"]; !has {
		t.Error("a header without a value is left out: a client's own copy would pass")
	}
	if size, header := read("/auth HTTP/1.1"); size >= 3500 || !strings.HasPrefix(header.Get("X-Auth-Login-Url"), r.url+"/start") {
		t.Errorf("a login has a header block of %d bytes: %v", size, header)
	}
}

// TestRequestID takes a gateway's name for a request when the gateway is trusted and the name can do no harm.
func TestRequestID(t *testing.T) {
	r := newRig(t, 1, nil)
	for _, test := range []struct {
		name, peer string
		ids        []string
		taken      bool
	}{
		{"a gateway's", trustedPeer, []string{"0123456789abcdef0123456789ABCDEF"}, true},
		{"a UUID", trustedPeer, []string{"c0ffee00-0000-4000-8000-000000000000"}, true},
		{"64 characters", trustedPeer, []string{strings.Repeat("a", 64)}, true},
		{"65 characters", trustedPeer, []string{strings.Repeat("a", 65)}, false},
		{"a stranger's", strangePeer, []string{"0123456789abcdef"}, false},
		{"empty", trustedPeer, []string{""}, false},
		{"none", trustedPeer, nil, false},
		{"a line end", trustedPeer, []string{"a\nb"}, false},
		{"markup", trustedPeer, []string{"<script>"}, false},
		{"a space", trustedPeer, []string{"a b"}, false},
		{"beyond ASCII", trustedPeer, []string{"ä"}, false},
		{"an address", trustedPeer, []string{"alice@example.com"}, false},
		{"two: the first", trustedPeer, []string{"one", "two"}, true},
	} {
		for _, path := range []string{"/auth", "/callback", "/nowhere", "/session"} {
			answer := ask(r.replicas[0], http.MethodGet, path, test.peer, http.Header{"X-Request-Id": test.ids})
			got := answer.Header()["X-Request-Id"]
			if len(got) != 1 || !isHarmlessID(got[0]) {
				t.Fatalf("%s: %q", test.name, got)
			}
			if taken := len(test.ids) > 0 && got[0] == test.ids[0]; taken != test.taken {
				t.Errorf("%s at %s: %q", test.name, path, got)
			}
		}
	}
}

// hangingStore gives Load up after as long as it may take.
type hangingStore struct{ *faultyStore }

func (h hangingStore) Load(ctx context.Context, _ session.ID) (session.Record, error) {
	most := session.StoreTime(ctx, 100*time.Millisecond)
	time.Sleep(most)
	session.SpendStoreTime(ctx, most)
	return session.Record{}, context.DeadlineExceeded
}

func (h hangingStore) LoadWithoutTTL(ctx context.Context, id session.ID) (session.Record, error) {
	return h.Load(ctx, id)
}

// panickyStore has a bug.
type panickyStore struct{ *faultyStore }

func (p panickyStore) Load(context.Context, session.ID) (session.Record, error) { panic("a bug") }
func (p panickyStore) Claim(context.Context, session.SlotName, []byte, time.Duration) ([]byte, bool, error) {
	panic("a bug")
}

// TestStoreFaults tells that unknown is not signed out: 503 in time, no cookie touched, nothing deleted.
func TestStoreFaults(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	header := signedIn(r, "alice")
	check := func(name string, s *Service) {
		t.Helper()
		began := time.Now()
		answer := ask(s, http.MethodGet, "/auth", trustedPeer, header)
		if took := time.Since(began); took > 10*150*time.Millisecond {
			t.Errorf("%s: %s", name, took)
		}
		if answer.Code != http.StatusServiceUnavailable {
			t.Errorf("%s: %d", name, answer.Code)
		}
		checkVerdict(t, answer.Code, answer.Header(), answer.Body.Len())
		if answer := ask(s, http.MethodGet, "/auth", trustedPeer, nil); answer.Code != http.StatusUnauthorized {
			t.Errorf("%s, without a cookie: %d", name, answer.Code)
		}
		for _, path := range []string{"/session", "/userinfo"} {
			answer := ask(s, http.MethodGet, path, trustedPeer, header)
			panicked := name == "panics" && answer.Code == http.StatusInternalServerError
			if answer.Code != http.StatusServiceUnavailable && !panicked {
				t.Errorf("%s, %s: %d", name, path, answer.Code)
			}
			if len(answer.Result().Cookies()) > 0 {
				t.Errorf("%s, %s: sets cookies", name, path)
			}
		}
	}
	r.store.down.Store(true)
	check("down", r.replicas[0])
	r.store.down.Store(false)
	check("hangs", r.another(config, hangingStore{r.store}))
	check("panics", r.another(config, panickyStore{r.store}))
	if answer := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, header); answer.Code != http.StatusOK || r.store.records.Load() != 1 {
		t.Errorf("afterwards: %d, %d records", answer.Code, r.store.records.Load())
	}
	checkSecrets(t, "the log", r.log.String(), []string{strings.TrimPrefix(header.Get("Cookie"), "authsvc="), "alice@example.com"})

	t.Run("a bug at the callback: a page, and the process lives", func(t *testing.T) {
		r.t = t
		b := r.browser()
		address, err := url.Parse(b.toCallback())
		if err != nil {
			t.Fatal(err)
		}
		cookie := http.Header{"Cookie": {"authsvc_login=" + b.loginCookie().Value}}
		service := r.another(config, panickyStore{r.store})
		run(t, service)
		answer := ask(service, http.MethodGet, address.RequestURI(), trustedPeer, cookie)
		if answer.Code != http.StatusInternalServerError || !strings.Contains(answer.Body.String(), answer.Header().Get("X-Request-Id")) {
			t.Errorf("%d\n%s", answer.Code, answer.Body)
		}
		checkSecrets(t, "the log", r.log.String(), []string{b.loginCookie().Value, address.Query().Get("code"), address.Query().Get("state")})
	})
}

// TestSessionCookies brings cookies that are forged, broken or too many. Nothing that is not genuine is worth a question to the store.
func TestSessionCookies(t *testing.T) {
	r := newRig(t, 1, nil)
	first, second := r.browser(), r.browser()
	first.signIn()
	second.signIn()
	good, other := first.sessionCookie(), second.sessionCookie()
	login := first.loginCookie().Value
	keyring := func(n byte) *session.Keyring {
		key, err := base64.StdEncoding.DecodeString(cookieSecret(n).Reveal())
		if err != nil {
			t.Fatal(err)
		}
		ring, err := session.NewKeyring([][]byte{key})
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	changed := []byte(good)
	changed[20] ^= 1
	junk := func(n int) string { return strings.Repeat("authsvc=junk; ", n) }

	tests := []struct {
		name    string
		cookies []string // Cookie headers
		want    int
		asked   bool // the store was
	}{
		{"good", []string{"authsvc=" + good}, 200, true},
		{"good, in quotes", []string{`authsvc="` + good + `"`}, 200, true},
		{"good, twice the same", []string{"authsvc=" + good + "; authsvc=" + good}, 200, true},
		{"good, junk before", []string{"authsvc=junk; authsvc=" + good}, 200, true},
		{"good, junk behind", []string{"authsvc=" + good + "; authsvc=junk"}, 200, true},
		{"good, junk in another header line", []string{"authsvc=junk", "authsvc=" + good}, 200, true},
		{"good, among 100 of junk", []string{junk(50) + "authsvc=" + good + "; " + junk(50)}, 200, true},
		{"good, beside the login cookie's value", []string{"authsvc=" + login + "; authsvc=" + good}, 200, true},
		{"genuine, but the store does not know it", []string{"authsvc=" + keyring(1).NewToken(session.PurposeSession, mainSite).Reveal()}, 401, true},

		{"none", nil, 401, false},
		{"empty", []string{"authsvc="}, 401, false},
		{"empty header", []string{""}, 401, false},
		{"two genuine ones", []string{"authsvc=" + good + "; authsvc=" + other}, 401, false},
		{"two genuine ones, the other way round", []string{"authsvc=" + other + "; authsvc=" + good}, 401, false},
		{"two genuine ones in two lines", []string{"authsvc=" + other, "authsvc=" + good}, 401, false},
		{"forged", []string{"authsvc=" + strings.Repeat("A", len(good))}, 401, false},
		{"one bit changed", []string{"authsvc=" + string(changed)}, 401, false},
		{"truncated", []string{"authsvc=" + good[:len(good)-1]}, 401, false},
		{"longer", []string{"authsvc=" + good + "A"}, 401, false},
		{"padded", []string{"authsvc=" + good + "="}, 401, false},
		{"another name", []string{"authsvc2=" + good}, 401, false},
		{"another case of the name", []string{"Authsvc=" + good}, 401, false},
		{"the login cookie's value", []string{"authsvc=" + login}, 401, false},
		{"of another key", []string{"authsvc=" + keyring(2).NewToken(session.PurposeSession, mainSite).Reveal()}, 401, false},
		{"of another site", []string{"authsvc=" + keyring(1).NewToken(session.PurposeSession, "other").Reveal()}, 401, false},
		{"of another purpose", []string{"authsvc=" + keyring(1).NewToken(session.PurposeLogin, mainSite).Reveal()}, 401, false},
		{"a format of Redis", []string{"authsvc=%s%n"}, 401, false},
		{"a command", []string{"authsvc=x\r\nFLUSHALL"}, 401, false},
		{"NUL", []string{"authsvc=\x00"}, 401, false},
		{"an ID", []string{"authsvc=" + session.ID{1}.String()}, 401, false},
		{"a number of chunks", []string{"session_chunks=99999999; authsvc_0=a; authsvc_-1=b"}, 401, false},
		{"semicolons", []string{";;;=;;= ;authsvc"}, 401, false},
		{"3,000 of junk", []string{junk(3000)}, 401, false},
		{"3,001 of junk and a good one", []string{junk(3001) + "authsvc=" + good}, 401, false},
		{"1 MB", []string{"authsvc=" + strings.Repeat("A", 1<<20)}, 401, false},
		{"1 MB of junk", []string{junk(1 << 20 / 14)}, 401, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			commands := r.store.commands.Load()
			answer := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, http.Header{"Cookie": test.cookies})
			if answer.Code != test.want {
				t.Errorf("%d, want %d", answer.Code, test.want)
			}
			checkVerdict(t, answer.Code, answer.Header(), answer.Body.Len())
			if n := r.store.commands.Load() - commands; (n > 0) != test.asked {
				t.Errorf("%d store commands", n)
			}
		})
	}
}
