package e2e

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/nginx/nginxtest"
)

// gateway is a gateway, run with the files of its example as they are, or with what the program renders.
type gateway struct {
	name string
	// start runs it for the site at address, in front of these replicas and this application. restrict is a query of the check.
	start func(t *testing.T, address string, replicas []string, app, restrict string)
	gatewayDiffers
}

// gatewayDiffers is what a gateway does in another way than the others. Nothing of it lets anybody in.
type gatewayDiffers struct {
	says            words  // its own pages and texts, the same for whoever asks; zero: those of authsvc
	passesOurCookie bool   // to the application, as it cannot take one out of several
	narrowsByRules  bool   // who may stands in the replicas' rules, as its check has no query of its own
	semicolon       string // what becomes of one in a query; "": it stays
	obeysConnection bool   // takes out what a visitor's Connection lists, the cookie too: RFC 9110, section 7.6.1
}

// words are titles of pages, and the text of a 401.
type words struct{ signIn, denied, unavailable string }

var gateways = []gateway{
	{"nginx", startRenderedNginx, gatewayDiffers{says: words{"Please sign in.\n", "Not allowed", "Back in a moment"}}},
	{"caddy", func(t *testing.T, address string, replicas []string, app, restrict string) {
		startGateway(t, address, "caddy", []string{"run", "--adapter", "caddyfile", "--config", caddyfile},
			"SITE=http://"+address, "BIND=127.0.0.1", "ADMIN=off", "REPLICAS="+strings.Join(replicas, " "), "APP="+app, "RESTRICT="+restrict,
			"XDG_DATA_HOME="+t.TempDir(), "XDG_CONFIG_HOME="+t.TempDir())
	}, gatewayDiffers{}},
	{"haproxy", func(t *testing.T, address string, replicas []string, app, restrict string) {
		startGateway(t, address, "haproxy", []string{"-db", "-f", haproxyConfig},
			"BIND="+address, "CHECK="+nginxtest.FreeAddress(t), "REPLICA_1="+replicas[0], "REPLICA_2="+replicas[1], "APP="+app, "RESTRICT="+restrict,
			"LUA="+haproxyScript)
	}, gatewayDiffers{}},
	envoyContract,
}

// moveExample copies a file, and puts other texts in the place of some, each of which stands there once.
func moveExample(t *testing.T, from, to string, texts map[string]string) {
	t.Helper()
	content, err := os.ReadFile(from)
	check(t, err)
	var pairs []string
	for old, text := range texts {
		if n := strings.Count(string(content), old); n != 1 {
			t.Fatalf("%s: %q stands there %d times, want once", from, old, n)
		}
		pairs = append(pairs, old, text)
	}
	check(t, os.WriteFile(to, []byte(strings.NewReplacer(pairs...).Replace(string(content))), 0o600))
}

// startRenderedNginx runs nginx with what the program renders.
func startRenderedNginx(t *testing.T, address string, replicas []string, app, restrict string) {
	t.Helper()
	args := fmt.Sprintf("nginx render --server-name 127.0.0.1 --prefix /oauth2 --listen %s --upstream %s --replica %s", address, app, strings.Join(replicas, ","))
	if group, found := strings.CutPrefix(restrict, "?allowed_groups="); found {
		args += " --allowed-group " + group
	}
	rendered := run(t, args)
	if rendered.code != 0 {
		t.Fatalf("authsvc %s: %s", args, rendered.stderr)
	}
	nginxtest.Start(t, rendered.stdout)
}

const caddyfile, haproxyConfig, haproxyScript = "../examples/caddy/Caddyfile", "../examples/haproxy/haproxy.cfg", "../examples/haproxy/authsvc.lua"

// startGateway runs a program until the test ends, and waits until it listens at address.
func startGateway(t *testing.T, address, name string, args []string, environ ...string) {
	t.Helper()
	for _, file := range []string{caddyfile, haproxyConfig, haproxyScript} {
		_, err := os.Stat(file) // so that go test does not take a result from before they changed
		check(t, err)
	}
	path, err := exec.LookPath(name)
	if err != nil {
		path = filepath.Join("/usr/sbin", name)
	}
	var log logBuffer
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = append(environment(), environ...), &log, &log, dieWithTest()
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; to install it: sh examples/demo/install.sh %s", err, name)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Errorf("%s does not leave", name)
			cmd.Process.Kill()
		}
		if t.Failed() {
			text := log.String()
			t.Logf("%s ended with %v and wrote:\n%s", name, cmd.ProcessState, text[max(0, len(text)-4000):])
		}
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		select {
		case <-done:
			t.Fatalf("%s ended", name)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not listen at %s", name, address)
		}
	}
}

// fleet is two replicas with the sign-in below /oauth2, behind a gateway, and a backend that tells what comes through.
type fleet struct {
	*stack
	t          *testing.T // of the subtest under way
	backend    *backend
	restricted string // the address of a second gateway, at which only the group root may
}

func newFleet(t *testing.T, g gateway) *fleet {
	s := newStack(t, options{noReplica: true, provider: func(o *idptest.Options) {
		c := &o.Clients[0]
		for _, list := range [][]string{c.RedirectURIs, c.PostLogoutRedirectURIs} {
			u, err := url.Parse(list[0])
			check(t, err)
			u.Path = "/oauth2" + u.Path
			list[0] = u.String()
		}
		big := person("many")
		for i := range 500 { // of 60 characters each
			big.Groups = append(big.Groups, fmt.Sprintf("group-%03d-%s", i, strings.Repeat("x", 50)))
		}
		o.People = append(o.People, big)
	}})
	s.settings["public_url"] = s.url + "/oauth2"
	s.settings["session.cache_ttl"] = "0" // so that a store that is down shows at once
	s.gatewayDiffers = g.gatewayDiffers
	f := &fleet{stack: s, t: t, backend: newBackend(t), restricted: nginxtest.FreeAddress(t)}
	app := f.backend.Listener.Addr().String()
	replicas := s.addReplicas(2)
	g.start(t, s.site, replicas, app, "?")
	if !g.narrowsByRules {
		g.start(t, f.restricted, replicas, app, "?allowed_groups=root")
		return f
	}
	s.settings["rules"] = `[{"name": "root", "groups": ["root"]}]`
	g.start(t, f.restricted, s.addReplicas(2), app, "?")
	s.replicas = s.replicas[:2] // of the site
	return f
}

// addReplicas starts replicas with the stack's settings, and returns their addresses when they are ready.
func (s *stack) addReplicas(n int) (addresses []string) {
	s.t.Helper()
	for range n {
		r := newReplica(s.t, s.settings)
		s.replicas = append(s.replicas, r)
		addresses = append(addresses, r.address)
	}
	for _, r := range s.replicas {
		r.awaitReady()
	}
	return addresses
}

// answered is an answer, and what the backend saw of the request.
type answered struct {
	status int
	header http.Header
	body   string
	seen   []seen
}

// send sends a request as it stands to the gateway at address, and reads the answer. A status of 0 is a connection that was closed.
func (f *fleet) send(address, method, target string, header []string, body string) answered {
	f.t.Helper()
	f.backend.forget()
	conn, err := net.Dial("tcp", address)
	check(f.t, err)
	defer conn.Close()
	check(f.t, conn.SetDeadline(time.Now().Add(patience)))
	if body != "" && !slices.Contains(header, chunked) {
		header = append(slices.Clone(header), fmt.Sprintf("Content-Length: %d", len(body)))
	}
	lines := slices.Concat([]string{method + " " + target + " HTTP/1.1", "Host: " + address}, header, []string{"", body})
	_, err = io.WriteString(conn, strings.Join(lines, "\r\n"))
	check(f.t, err)
	from := bufio.NewReader(conn)
	response, err := http.ReadResponse(from, &http.Request{Method: method})
	for err == nil && response.StatusCode == http.StatusContinue {
		response, err = http.ReadResponse(from, &http.Request{Method: method})
	}
	if err != nil {
		f.t.Logf("no answer: %v", err)
		return answered{seen: f.backend.requests()}
	}
	defer response.Body.Close()
	var text []byte
	if response.StatusCode != http.StatusSwitchingProtocols {
		text, err = io.ReadAll(response.Body)
		check(f.t, err)
	}
	return answered{response.StatusCode, response.Header, string(text), f.backend.requests()}
}

// is checks the status, and that the request came to the backend, or did not.
func (a answered) is(t *testing.T, status int, passed bool) {
	t.Helper()
	if a.status != status || (len(a.seen) == 1) != passed || len(a.seen) > 1 {
		t.Fatalf("%d, want %d; the application saw %d requests, want some: %t\n%v\n%.300s", a.status, status, len(a.seen), passed, a.header, a.body)
	}
	if len(a.header["Set-Cookie"]) > 0 {
		t.Errorf("a cookie: %q", a.header["Set-Cookie"])
	}
}

// leadsTo checks that a page load is sent to a login that ends where it wanted to go.
func (a answered) leadsTo(t *testing.T, f *fleet, uri string) {
	t.Helper()
	a.is(t, http.StatusFound, false)
	want := f.url + "/oauth2/start?rd=" + url.QueryEscape(f.url+uri)
	if got := a.header["Location"]; len(got) != 1 || got[0] != want || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("Location %q, want %q; %v", got, want, a.header)
	}
}

var pageHeaders = []string{"Sec-Fetch-Mode: navigate", "Accept: text/html,*/*;q=0.8"}

// TestGateways is one table of cases, through each gateway: what the browser and the application see.
func TestGateways(t *testing.T) {
	for _, g := range gateways {
		t.Run(g.name, func(t *testing.T) {
			f := newFleet(t, g)
			v := f.visitor("alice")
			v.signIn()
			session := "Cookie: a=b; " + sessionCookie + "=" + v.cookie(sessionCookie) + "; myauthsvc=c; " + loginCookie + "=x; d=e"
			for _, test := range []struct {
				name string
				run  func(*fleet, string)
			}{
				{"signed out", (*fleet).signedOut}, {"signed in", (*fleet).signedIn}, {"two cookies", (*fleet).twoCookies},
				{"deep links", (*fleet).deepLinks}, {"WebSocket", (*fleet).webSocket},
				{"not allowed", (*fleet).notAllowed}, {"what the application answers", (*fleet).applicationAnswers}, {"forged identity", (*fleet).forgedIdentity},
				{"forged address", (*fleet).forgedAddress}, {"Connection lists ours", (*fleet).connectionLists}, {"many groups", (*fleet).manyGroups}, {"bodies", (*fleet).bodies},
				{"the check from outside", (*fleet).checkFromOutside}, {"one replica gone", (*fleet).oneReplicaGone}, {"store down", (*fleet).storeDown},
				{"service dead", (*fleet).serviceDead}, // the last: nothing comes back
			} {
				t.Run(test.name, func(t *testing.T) {
					f.t = t
					test.run(f, session)
				})
				f.t = t
			}
		})
	}
}

func (f *fleet) signedOut(string) {
	f.send(f.site, "GET", "/a?b=c", pageHeaders, "").leadsTo(f.t, f, "/a?b=c")
	f.send(f.site, "GET", "/a?b=c", pageHeaders[1:], "").leadsTo(f.t, f, "/a?b=c") // of an old browser
	for _, test := range []struct {
		method, body string
		header       []string
	}{
		{"GET", "", []string{"Sec-Fetch-Mode: cors", "Accept: text/html"}},
		{"GET", "", []string{"X-Requested-With: XMLHttpRequest", "Accept: text/html"}},
		{"GET", "", nil},
		{"POST", strings.Repeat("b", 50_000), []string{"Accept: text/html"}},
		{"DELETE", "", nil},
		{"OPTIONS", "", []string{"Sec-Fetch-Mode: cors", "Origin: https://other.example.com"}},
	} {
		a := f.send(f.site, test.method, "/a", test.header, test.body)
		a.is(f.t, http.StatusUnauthorized, false)
		if want := f.url + "/oauth2/start?rd=" + url.QueryEscape(f.url+"/a"); a.header.Get("X-Auth-Login-Url") != want || a.body != f.says.signIn || a.header.Get("Cache-Control") != "no-store" {
			f.t.Errorf("%s: X-Auth-Login-Url %q, want %q; a body %.40q", test.method, a.header.Get("X-Auth-Login-Url"), want, a.body)
		}
	}
}

func (f *fleet) signedIn(session string) {
	body := strings.Repeat("b", 300_000)
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PROPFIND"} {
		text := ""
		if method == "POST" || method == "PUT" {
			text = body
		}
		a := f.send(f.site, method, "/a?b=c", append([]string{session}, pageHeaders...), text)
		a.is(f.t, http.StatusOK, true)
		saw := a.seen[0]
		if saw.Method != method || saw.URI != "/a?b=c" || saw.Body != len(text) {
			f.t.Errorf("%s: the application saw %+v", method, saw)
		}
		want := "a=b; myauthsvc=c; d=e"
		if f.passesOurCookie {
			want = strings.TrimPrefix(session, "Cookie: ")
		}
		if got := saw.Header["Cookie"]; len(got) != 1 || got[0] != want {
			f.t.Errorf("%s: the application saw the cookies %q, want %q", method, got, want)
		}
		saw.isAlice(f.t)
	}
}

// twoCookies: a visitor may write two Cookie headers; all of them count.
func (f *fleet) twoCookies(session string) {
	_, ours, _ := strings.Cut(session, "; "+sessionCookie+"=")
	ours, _, _ = strings.Cut("Cookie: "+sessionCookie+"="+ours, ";")
	for _, header := range [][]string{{"Cookie: x=y", ours}, {ours, "Cookie: x=y"}} {
		a := f.send(f.site, "GET", "/a", header, "")
		a.is(f.t, http.StatusOK, true)
		a.seen[0].isAlice(f.t)
		if got := strings.Trim(strings.Join(a.seen[0].Header["Cookie"], "; "), "; "); !f.passesOurCookie && got != "x=y" {
			f.t.Errorf("the application saw the cookies %q", got)
		}
	}
}

func (f *fleet) deepLinks(string) {
	for _, uri := range []string{"/a?b=c&d=e&rd=https://evil.example/", "/a%2Fb%25?c=%26%2B+d", "/gr%C3%BC%C3%9Fe?%C3%A4", "/a//b", "/a;b=c?d;e", "/a?b=%zz"} {
		want := uri
		if path, query, found := strings.Cut(uri, "?"); found && f.semicolon != "" {
			want = path + "?" + strings.ReplaceAll(query, ";", f.semicolon)
		}
		f.send(f.site, "GET", uri, pageHeaders, "").leadsTo(f.t, f, want)
	}
	for _, uri := range []string{"/a?b=c&d=e", "/a%2Fb?c=%26", "/gr%C3%BC%C3%9Fe", "/a//b"} {
		v := f.visitor("bob")
		if _, err := v.arrive(uri); err != nil {
			f.t.Error(err)
		}
	}
}

func (f *fleet) webSocket(session string) {
	upgrade := []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
	f.send(f.site, "GET", "/socket", upgrade, "").is(f.t, http.StatusUnauthorized, false)
	f.send(f.site, "GET", "/socket", append([]string{"Sec-Fetch-Mode: websocket"}, upgrade...), "").is(f.t, http.StatusUnauthorized, false)
	a := f.send(f.site, "GET", "/socket", append([]string{session}, upgrade...), "")
	a.is(f.t, http.StatusSwitchingProtocols, true)
	a.seen[0].isAlice(f.t)
	a = f.send(f.site, "GET", "/socket", []string{session, "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"}, "")
	a.is(f.t, http.StatusOK, true)
	if got := a.seen[0].Header["Upgrade"]; got != nil {
		f.t.Errorf("the application may take the connection over for %q", got)
	}
}

func (f *fleet) notAllowed(session string) {
	a := f.send(f.restricted, "GET", "/a", append([]string{session}, pageHeaders...), "")
	a.is(f.t, http.StatusForbidden, false)
	if !strings.Contains(a.body, "<title>"+cmp.Or(f.says.denied, "No access")+"</title>") || a.header.Get("Cache-Control") != "no-store" {
		f.t.Errorf("no page: %v\n%.300s", a.header, a.body)
	}
	a = f.send(f.restricted, "GET", "/a", []string{session}, "")
	a.is(f.t, http.StatusForbidden, false)
	if f.says.denied == "" && a.body != "" {
		f.t.Errorf("a page for a script: %.100q", a.body)
	}
	f.send(f.site, "GET", "/a?allowed_groups=root", []string{session}, "").is(f.t, http.StatusOK, true)
}

func (f *fleet) applicationAnswers(session string) {
	for _, status := range []int{400, 401, 403, 404, 418, 500, 502, 503, 302} {
		a := f.send(f.site, "GET", fmt.Sprint("/status/", status), append([]string{session}, pageHeaders...), "")
		a.is(f.t, status, true)
		if !strings.Contains(a.body, `"URI"`) {
			f.t.Errorf("%d: not the application's answer: %.200q", status, a.body)
		}
	}
}

// spellings are those of CVE-2025-64484: what a backend may take for a header.
func spellings(name, value string) map[string][]string {
	line := func(name string) string { return name + ": " + value }
	return map[string][]string{
		"-": {line(name)}, "_": {line(strings.ReplaceAll(name, "-", "_"))}, ".": {line(strings.ReplaceAll(name, "-", "."))},
		"mixed case": {line(strings.ToLower(name[:4]) + strings.ToUpper(name[4:]))}, "duplicate": {line(name), line(name)}, "empty": {name + ":"},
		"trailing space": {line(name) + " \t"}, "obs-fold": {name + ":", "\t" + value}, "one _": {line(strings.Replace(name, "-", "_", 1))},
	}
}

func (f *fleet) forgedIdentity(session string) {
	for _, name := range []string{"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups", "X-Auth-Request-Access-Token",
		"X-Auth-Request-Jwt", "X-Forwarded-User", "X-Forwarded-Email", "Remote-User"} {
		for spelling, lines := range spellings(name, "root") {
			a := f.send(f.site, "GET", "/a", append([]string{session}, lines...), "")
			if a.status == http.StatusBadRequest && len(a.seen) == 0 {
				continue // refused as it stands
			}
			if a.is(f.t, http.StatusOK, true); f.t.Failed() {
				f.t.Fatalf("%s, %s", name, spelling)
			}
			a.seen[0].isAlice(f.t)
			for header, values := range a.seen[0].Header {
				if slices.Contains(values, "root") {
					f.t.Errorf("%s, %s: the application is told %s: %q", name, spelling, header, values)
				}
			}
			a = f.send(f.site, "GET", "/a", lines, "")
			if len(a.seen) > 0 || a.status != http.StatusUnauthorized {
				f.t.Errorf("signed out, %s, %s: %d", name, spelling, a.status)
			}
		}
	}
}

func (f *fleet) forgedAddress(session string) {
	for name, value := range map[string]string{
		"X-Forwarded-Uri": "/oauth2/start", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Forwarded-Method": "POST", "X-Forwarded-Prefix": "/evil",
		"X-Original-URL": "https://evil.example/", "X-Original-URI": "/evil", "X-Rewrite-URL": "/evil", "Forwarded": "host=evil.example", "X-Auth-Request-Redirect": "https://evil.example/",
	} {
		for _, lines := range spellings(name, value) {
			a := f.send(f.site, "GET", "/a", append(slices.Clone(lines), pageHeaders...), "")
			if a.status == http.StatusBadRequest && len(a.seen) == 0 {
				continue
			}
			a.leadsTo(f.t, f, "/a")
			a = f.send(f.site, "GET", "/a", append([]string{session}, lines...), "")
			a.is(f.t, http.StatusOK, true)
			for header, values := range a.seen[0].Header {
				if folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(header)); folded == strings.ToLower(name) && slices.Contains(values, value) {
					f.t.Errorf("the application is told %s: %q", header, values)
				}
			}
		}
	}
}

func (f *fleet) connectionLists(session string) {
	for _, list := range []string{"X-Auth-Request-User, X-Auth-Request-Groups", "close, X-Auth-Request-Email", "cookie", "X-Forwarded-Uri, X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Method", "x-auth-request-user"} {
		a := f.send(f.site, "GET", "/a", []string{session, "Connection: " + list}, "")
		if f.obeysConnection && list == "cookie" {
			a.is(f.t, http.StatusUnauthorized, false)
			continue
		}
		a.is(f.t, http.StatusOK, true)
		a.seen[0].isAlice(f.t)
		f.send(f.site, "GET", "/a", append([]string{"Connection: " + list}, pageHeaders...), "").leadsTo(f.t, f, "/a")
		upgrade := []string{session, "Upgrade: websocket", "Connection: Upgrade, " + list, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"}
		a = f.send(f.site, "GET", "/socket", upgrade, "")
		a.is(f.t, http.StatusSwitchingProtocols, true)
		a.seen[0].isAlice(f.t)
	}
}

func (f *fleet) manyGroups(string) {
	v := f.visitor("many")
	v.signIn()
	a := f.send(f.site, "GET", "/a", []string{"Cookie: " + sessionCookie + "=" + v.cookie(sessionCookie)}, "")
	a.is(f.t, http.StatusOK, true)
	if groups := strings.Split(a.seen[0].Header.Get("X-Auth-Request-Groups"), ","); len(groups) < 40 || len(groups) > 50 || len(groups[2]) != 60 || !strings.HasPrefix(groups[2], "group-000-") {
		f.t.Errorf("%d groups: %.200q", len(groups), groups)
	}
}

func (f *fleet) checkFromOutside(session string) {
	for _, path := range []string{"/oauth2/auth", "/oauth2/forward", "/oauth2/forward?a=b", "/oauth2/envoy/a", "/oauth2//forward", "/oauth2/%66orward", "/x/../oauth2/forward", "/oauth2/x/../forward"} {
		a := f.send(f.site, "GET", path, []string{session}, "")
		if a.header.Get("X-Auth-Request-User") != "" {
			f.t.Errorf("%s: %d %v", path, a.status, a.header)
		}
	}
	a := f.send(f.site, "GET", "/oauth2/callback/staff", nil, "") // where one of several providers answers; here is one alone
	a.is(f.t, http.StatusNotFound, false)
	a = f.send(f.site, "GET", "/oauth2/../a", nil, "")
	if len(a.seen) > 0 || a.status == http.StatusOK {
		f.t.Errorf("around the check: %d", a.status)
	}
}

func (f *fleet) oneReplicaGone(session string) {
	f.replicas[0].kill()
	for range 6 {
		f.send(f.site, "GET", "/a", []string{session}, "").is(f.t, http.StatusOK, true)
		f.send(f.site, "GET", "/a", pageHeaders, "").leadsTo(f.t, f, "/a")
	}
	f.replicas[0].start()
	f.replicas[0].awaitReady()
}

func (f *fleet) storeDown(session string) {
	f.redis.Kill()
	a := f.send(f.site, "GET", "/a", append([]string{session}, pageHeaders...), "")
	a.is(f.t, http.StatusServiceUnavailable, false)
	if a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "<title>"+cmp.Or(f.says.unavailable, "Not available right now")+"</title>") || a.header.Get("Cache-Control") != "no-store" {
		f.t.Errorf("no page: %v\n%.300s", a.header, a.body)
	}
	a = f.send(f.site, "POST", "/a", []string{session}, "body")
	a.is(f.t, http.StatusServiceUnavailable, false)
	if a.header.Get("Retry-After") == "" || f.says.unavailable == "" && a.body != "" {
		f.t.Errorf("%v %.100q", a.header, a.body)
	}
	f.send(f.site, "GET", "/a", pageHeaders, "").leadsTo(f.t, f, "/a") // who has no cookie needs no store
	f.redis.Start()
}

func (f *fleet) serviceDead(session string) {
	for _, r := range f.replicas {
		r.kill()
	}
	for _, header := range [][]string{{session}, append([]string{session}, pageHeaders...), pageHeaders, nil} {
		a := f.send(f.site, "GET", "/a", header, "")
		if len(a.seen) > 0 || a.status != http.StatusBadGateway && a.status != http.StatusServiceUnavailable {
			f.t.Errorf("nobody can tell, and the answer is %d; the application saw %d requests", a.status, len(a.seen))
		}
	}
}
