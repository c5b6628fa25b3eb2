package e2e

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/nginx/nginxtest"
	"authsvc/session"
	"authsvc/session/storetest"
)

// contract is what gateways rely on of the check.
var contract = []advisory{
	{"A1", "a session passes with identity headers and no cookie", (*lab).passes},
	{"A2", "whatever is no session gets 401", (*lab).noSession},
	{"A3", "who may not gets 403 and no login", (*lab).mayNot},
	{"A4", "without the store 503 in time", (*lab).withoutStore},
	{"A5", "a panic lets nobody in and ends nothing", (*lab).panics},
	{"A6", "verdicts within the bound while the store hangs", (*lab).withinBound},
	{"A7", "nginx lets nothing but 2xx pass", (*lab).nginxStatuses},
	{"A8", "200 groups fit in the answer", (*lab).manyGroups},
	{"A9", "Envoy with a dead service lets nobody in", (*lab).envoyFailsClosed},
	{"A10", "Traefik reads no more than it must", (*lab).traefikBounds},
}

func TestSecurityContract(t *testing.T) { runAdvisories(t) }

// head is the size of an answer's header block.
func (a answered) head() (size int) {
	for name, values := range a.header {
		for _, value := range values {
			size += len(name) + len(": \r\n") + len(value)
		}
	}
	return size
}

func (l *lab) passes() {
	f := l.anyone()
	_, line := f.signedInLine("alice")
	for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS", "DELETE"} {
		a := f.sure(f.replicas[0].address, method, "/auth", []string{line}, "")
		want := map[string]string{"X-Auth-Request-User": "alice", "X-Auth-Request-Email": "alice@example.com", "X-Auth-Request-Preferred-Username": "alice", "X-Auth-Request-Groups": "staff,team-alice", "Content-Length": "0"}
		for name, value := range want {
			if got := a.header[name]; len(got) != 1 || got[0] != value {
				l.Errorf("%s: %s is %q, want %q", method, name, got, value)
			}
		}
		if a.status != http.StatusOK || len(a.header["Set-Cookie"]) > 0 || a.body != "" || a.head() > 3584 {
			l.Errorf("%s: %d with %d bytes of headers, cookies %q", method, a.status, a.head(), a.header["Set-Cookie"])
		}
	}
}

func (l *lab) noSession() {
	f := l.anyone()
	v, _ := f.signedInLine("alice")
	ended := v.cookie(sessionCookie)
	_, err := v.logOut()
	check(l.T, err)
	good, _ := f.signedInLine("bob")
	cookie := good.cookie(sessionCookie)
	for what, header := range map[string]string{
		"none": "", "ended": "authsvc=" + ended, "never there": "authsvc=" + keyring(l.T, f.settings["cookie.secret"]).NewToken(session.PurposeSession, "main").Reveal(), "malformed": "authsvc=%%%", "empty": "authsvc=", "cut": "authsvc=" + cookie[:20], "of another service": "authsvc=" + keyring(l.T, newSecret()).NewToken(session.PurposeSession, "main").Reveal(),
		"too many": strings.Repeat("a=b; ", 3500) + "authsvc=" + cookie, "under another name": "__Host-authsvc=" + cookie, "in another case": "Authsvc=" + cookie,
	} {
		for _, r := range f.replicas {
			answer := surely(l.T, func() (reply, error) { // auth also checks Content-Length and Cache-Control
				return r.auth("", http.Header{"Cookie": {header}, "Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html"}})
			})
			if answer.status != http.StatusUnauthorized || answer.header.Get("Location") != "" {
				l.Errorf("%s: %s, want 401", what, answer)
			}
		}
	}
}

func (l *lab) mayNot() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	for _, address := range []string{"/bob/x", "/nowhere"} {
		a := f.ask(f.url+address, append([]string{alice}, pageHeaders...)...)
		if a.status != http.StatusForbidden || a.header.Get("Location") != "" || a.header.Get("X-Auth-Login-Url") != "" || a.header.Get("Cache-Control") != "no-store" {
			l.Errorf("%s: %d %v", address, a.status, a.header)
		}
		through := f.sure(f.site, "GET", address, append([]string{alice}, pageHeaders...), "")
		through.is(l.T, http.StatusForbidden, false)
	}
}

func (l *lab) withoutStore() {
	f := l.anyone()
	v, line := f.signedInLine("alice")
	cookie := v.cookie(sessionCookie)
	f.redis.Kill()
	defer f.redis.Start()
	for _, r := range f.replicas {
		storetest.WaitFor(l.T, "the outage to be noticed", func() error { // a cached session may pass until then
			answer, err := r.authCookie(cookie)
			if err == nil && answer.status != http.StatusServiceUnavailable {
				err = fmt.Errorf("%d", answer.status)
			}
			return err
		})
		answer, err := r.authCookie(cookie)
		check(l.T, err)
		if answer.status != http.StatusServiceUnavailable || len(answer.header["Set-Cookie"]) > 0 || answer.header.Get("X-Auth-Request-User") != "" || answer.header.Get("X-Auth-Login-Url") != "" {
			l.Errorf("%s", answer)
		}
	}
	a := f.send(f.site, "GET", "/page", append([]string{line}, pageHeaders...), "")
	a.is(l.T, http.StatusServiceUnavailable, false)
	if a.header.Get("Location") != "" || a.header.Get("Retry-After") == "" {
		l.Errorf("through nginx: %v", a.header)
	}
}

// withinBound asks replicas whose store may take as long as it likes as well: what bounds a verdict then is the verdict's own limit alone.
func (l *lab) withinBound() {
	f := l.anyone()
	v, _ := f.signedInLine("alice")
	cookie := v.cookie(sessionCookie)
	settings := maps.Clone(f.settings)
	settings["store.timeout"] = "2s" // longer than we are patient
	slow := newReplica(l.T, settings)
	slow.awaitReady()
	asked := append(slices.Clone(f.replicas), slow)
	f.redis.Pause()
	defer f.redis.Resume()
	refused := 0
	for range 6 {
		for _, r := range asked {
			answer, err := r.authCookie(cookie)
			check(l.T, err)
			if answer.took > patient || answer.status != http.StatusOK && answer.status != http.StatusServiceUnavailable {
				l.Errorf("%d after %v", answer.status, answer.took)
			}
			if answer.status == http.StatusServiceUnavailable {
				refused++
			}
		}
	}
	ring := keyring(l.T, f.settings["cookie.secret"])
	for range 3 { // whom no cache knows
		for _, r := range asked {
			answer, err := r.authCookie(ring.NewToken(session.PurposeSession, "main").Reveal())
			check(l.T, err)
			if answer.status != http.StatusServiceUnavailable || answer.took > patient {
				l.Errorf("a session that nobody can look up: %d after %v", answer.status, answer.took)
			}
		}
	}
	l.Logf("%d of 18 were refused", refused)
	f.redis.Resume()
	storetest.WaitFor(l.T, "the store to be back", func() error { return f.signedInAs("alice", cookie) })
}

// panics: in a program that can be made to panic, the request that does is refused, at the replica and through nginx, and the session goes on. No request is known that
// makes the program itself panic: those that have made peers do so must not.
func (l *lab) panics() {
	f := l.anyone()
	_, line := f.signedInLine("alice")
	trapped, set := buildTrapped(l.T)
	settings := maps.Clone(f.settings)
	settings["session.cache_ttl"] = "0"
	breaks, site := newReplica(l.T, settings), nginxtest.FreeAddress(l.T)
	breaks.awaitReady()
	breaks.becomes(trapped)
	breaks.awaitReady()
	rendered := run(l.T, fmt.Sprintf("nginx render --server-name 127.0.0.1 --listen %s --upstream %s --replica %s", site, f.backend.Listener.Addr(), breaks.address))
	nginxtest.Start(l.T, rendered.stdout)
	ways := map[string][]string{breaks.address: {"/auth", "/forward", "/envoy/page"}, site: {"/page"}}
	set("share")
	for address, targets := range ways {
		for _, target := range targets {
			a := f.send(address, "GET", target, []string{line, "X-Forwarded-Uri: /page", "X-Forwarded-Host: " + f.site}, "")
			a.nobody(l.T, "a panic, "+target)
			if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || len(a.header["Set-Cookie"]) > 0 {
				l.Errorf("a panic, %s: %d %v", target, a.status, a.header)
			}
		}
	}
	set()
	if n := breaks.metric("authsvc_panics_total"); n != "4" {
		l.Errorf("%s panics are counted, want 4", n)
	}
	f.sure(breaks.address, "GET", "/auth", []string{line}, "").is(l.T, http.StatusOK, false)
	f.sure(site, "GET", "/page", []string{line}, "").is(l.T, http.StatusOK, true)

	for _, r := range f.replicas {
		for _, request := range []string{
			"GET /auth?%zz HTTP/1.1\r\nHost: a\r\n\r\n", "GET /auth HTTP/1.1\r\nHost: \r\n\r\n", "GET /auth HTTP/1.0\r\n\r\n", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", "GET http://a/auth HTTP/1.1\r\nHost: b\r\n\r\n",
			"GET /envoy/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET /envoy HTTP/1.1\r\nHost: a\r\n\r\n", "GET /envoy// HTTP/1.1\r\nHost: [::1\r\n\r\n", "GET /callback?state&code&iss HTTP/1.1\r\nHost: a\r\n\r\n", "GET /auth HTTP/1.1\r\nHost: a\r\nX-Original-URL: :\r\n\r\n", "GET /auth HTTP/1.1\r\nHost: a\r\nX-Original-URL: http://\r\n\r\n",
			"GET /forward HTTP/1.1\r\nHost: a\r\nX-Forwarded-Uri: ?\r\nX-Forwarded-Host: :\r\nX-Forwarded-Proto: :\r\nX-Forwarded-Method: :\r\n\r\n", "GET /auth HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer\r\n\r\n", "GET /auth HTTP/1.1\r\nHost: a\r\nCookie: authsvc\r\n\r\n", "GET /start?rd&restart HTTP/1.1\r\nHost: a\r\n\r\n",
		} {
			conn, err := net.Dial("tcp", r.address)
			check(l.T, err)
			check(l.T, conn.SetDeadline(time.Now().Add(patience)))
			_, err = io.WriteString(conn, request)
			check(l.T, err)
			status := make([]byte, len("HTTP/1.1 200"))
			if _, err = io.ReadFull(conn, status); err != nil || string(status[9:]) == "200" || string(status[9:]) == "500" {
				l.Errorf("%q: %q, %v", request, status, err)
			}
			conn.Close()
		}
		if n := r.metric("authsvc_panics_total"); n != "0" {
			l.Errorf("%s panics", n)
		}
		if a := f.sure(r.address, "GET", "/auth", []string{line}, ""); a.status != http.StatusOK {
			l.Errorf("afterwards: %d", a.status)
		}
	}
}

// nginxStatuses: what a check answers that is no verdict, nginx as it is rendered takes for none.
func (l *lab) nginxStatuses() {
	check := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cookie, err := r.Cookie("answer")
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("X-Auth-Request-User", "mallory")
		var status int
		switch fmt.Sscan(cookie.Value, &status); cookie.Value {
		case "reset":
			conn, _, _ := w.(http.Hijacker).Hijack()
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		case "cut":
			conn, _, _ := w.(http.Hijacker).Hijack()
			io.WriteString(conn, "HTTP/1.1 200 OK\r\nX-Auth-Request-User: ro")
			conn.Close()
		case "large":
			w.Header().Set("X-Auth-Request-Groups", strings.Repeat("a", 20_000))
		default:
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(status)
		}
	}))
	l.Cleanup(check.Close)
	b, site := newBackend(l.T), nginxtest.FreeAddress(l.T)
	f := &fleet{stack: &stack{t: l.T, site: site}, t: l.T, backend: b}
	startRenderedNginx(l.T, site, []string{check.Listener.Addr().String()}, b.Listener.Addr().String(), "?")
	for answer, want := range map[string]int{
		"200": 200, "201": 200, "202": 200, "204": 200, "206": 200, "401": 401, "403": 403,
		"301": 503, "302": 503, "303": 503, "307": 503, "400": 503, "404": 503, "407": 503, "418": 503, "429": 503, "500": 503, "501": 503, "502": 503, "503": 503, "504": 503, "reset": 503, "cut": 503, "large": 503,
	} {
		a := f.send(site, "GET", "/a", []string{"Cookie: answer=" + answer}, "")
		if a.status != want || (len(a.seen) == 1) != (want == 200) || a.header.Get("Location") != "" {
			l.Errorf("%s: the visitor gets %d, want %d; the application saw %d requests; %v", answer, a.status, want, len(a.seen), a.header)
		}
		if want == 503 && a.header.Get("Retry-After") == "" {
			l.Errorf("%s: no Retry-After", answer)
		}
	}
}

func (l *lab) manyGroups() {
	f := l.anyone()
	big := person("many")
	for i := range 200 {
		big.Groups = append(big.Groups, fmt.Sprintf("group-%03d-%s", i, strings.Repeat("x", 50)))
	}
	f.provider.SetPerson(big)
	_, line := f.signedInLine("many")
	for _, r := range f.replicas {
		a := f.sure(r.address, "GET", "/auth", []string{line}, "")
		groups := strings.Split(a.header.Get("X-Auth-Request-Groups"), ",")
		if a.status != http.StatusOK || a.head() > 3584 || len(groups) < 20 || len(groups[len(groups)-1]) != 60 {
			l.Errorf("%d with %d groups in %d bytes of headers", a.status, len(groups), a.head())
		}
	}
	f.sure(f.site, "GET", "/page", []string{line}, "").is(l.T, http.StatusOK, true)
	// The header is short, the decision is not.
	if answer := f.judged(f.replicas[0], "?allowed_groups="+big.Groups[199], strings.TrimPrefix(line, "Cookie: "+sessionCookie+"=")); answer.status != http.StatusOK {
		l.Errorf("a group that the header leaves out: %v", answer)
	}
}

// envoyFailsClosed plays examples/envoy, as it is, with a service that is gone.
func (l *lab) envoyFailsClosed() {
	text, err := os.ReadFile(envoyFile)
	check(l.T, err)
	if !strings.Contains(string(text), "failure_mode_allow: false") || strings.Contains(string(text), "failure_mode_allow: true") || !strings.Contains(string(text), "status_on_error") {
		l.Errorf("%s lets pass what nobody has judged, or does not say how it refuses", envoyFile)
	}
	b, site := newBackend(l.T), nginxtest.FreeAddress(l.T)
	f := &fleet{stack: &stack{t: l.T, site: site}, t: l.T, backend: b}
	gone := []string{nginxtest.FreeAddress(l.T), nginxtest.FreeAddress(l.T)} // where nobody listens
	envoyContract.start(l.T, site, gone, b.Listener.Addr().String(), "?")
	for range 20 {
		a := f.send(site, "GET", "/a", pageHeaders, "")
		if len(a.seen) > 0 || a.status != http.StatusForbidden && a.status != http.StatusServiceUnavailable {
			l.Fatalf("%d; the application saw %d requests", a.status, len(a.seen))
		}
	}
}

func (l *lab) traefikBounds() {
	text, err := os.ReadFile(traefikDynamic)
	check(l.T, err)
	if !strings.Contains(string(text), "maxResponseBodySize:") {
		l.Errorf("%s does not bound what it reads of a verdict", traefikDynamic)
	}
	f := l.anyone()
	for _, header := range [][]string{nil, pageHeaders, {"Cookie: authsvc=x"}} { // the pages are in CVE-2026-26998
		if a := f.send(f.replicas[0].address, "GET", "/auth", header, ""); a.body != "" || a.header.Get("Content-Length") != "0" {
			l.Errorf("a verdict of %d bytes, Content-Length %q", len(a.body), a.header.Get("Content-Length"))
		}
	}
}
