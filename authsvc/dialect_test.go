package authsvc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// visit is what a browser sends to an application.
type visit struct {
	method string // "" is GET
	uri    string
	header []string // "Name: value"
	body   string
}

// gateway asks about visits as one family of gateways does.
type gateway struct {
	name     string
	verbatim bool // it passes a refusal on as it is
	// check is the request line's method and target, and the headers that the gateway sets. host and scheme are the visit's.
	check func(prefix, query, scheme, host string, v visit) (method, target string, header []string)
}

var gateways = []gateway{
	{"nginx", false, func(prefix, query, scheme, host string, v visit) (string, string, []string) {
		return "GET", prefix + "/auth" + query, []string{"Host: authsvc", "X-Original-URL: " + scheme + "://" + host + v.uri, "X-Original-Method: " + v.method}
	}},
	{"traefik", true, func(prefix, query, scheme, host string, v visit) (string, string, []string) {
		return "GET", prefix + "/forward" + query, []string{
			"Host: authsvc", "X-Forwarded-Proto: " + scheme, "X-Forwarded-Host: " + host, "X-Forwarded-Uri: " + v.uri, "X-Forwarded-Method: " + v.method,
			"X-Forwarded-For: 192.0.2.7", "X-Forwarded-Port: 80", "X-Forwarded-Server: gateway",
		}
	}},
	{"envoy", true, func(prefix, _, scheme, host string, v visit) (string, string, []string) {
		return v.method, prefix + "/envoy" + v.uri, []string{"Host: " + host, "X-Forwarded-Proto: " + scheme}
	}},
}

// checked is the answer to a check.
type checked struct {
	status int
	header http.Header
	body   string
}

// asks sends what g makes of a visit, byte by byte, and returns the answer.
func (r *rig) asks(g gateway, query string, v visit) checked {
	r.t.Helper()
	public, err := url.Parse(r.url)
	if err != nil {
		r.t.Fatal(err)
	}
	if v.method == "" {
		v.method = http.MethodGet
	}
	method, target, header := g.check(public.Path, query, public.Scheme, public.Host, v)
	if v.body != "" && g.name == "traefik" {
		header = append(header, fmt.Sprintf("Content-Length: %d", len(v.body))) // with forwardBody
	} else {
		v.body = ""
		header = append(header, "Content-Length: 0")
	}
	conn, err := net.Dial("tcp", r.front.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	lines := slices.Concat([]string{method + " " + target + " HTTP/1.1"}, header, v.header, []string{"", v.body})
	if _, err := io.WriteString(conn, strings.Join(lines, "\r\n")); err != nil {
		r.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return checked{response.StatusCode, response.Header, string(body)}
}

// meets holds an answer against the contract of its dialect. status is the verdict's, as /auth tells it; person says that the visit is a page
// load; login is where a login begins.
func (c checked) meets(t *testing.T, g gateway, status int, person bool, login string) {
	t.Helper()
	person = person && g.verbatim && status != http.StatusOK
	want := status
	if person && status == http.StatusUnauthorized {
		want = http.StatusFound
	}
	if c.status != want {
		t.Fatalf("%s: %d, want %d; %v", g.name, c.status, want, c.header)
	}
	is := func(name, value string, expected bool) {
		t.Helper()
		if got := c.header[name]; expected && (len(got) != 1 || got[0] != value) || !expected && got != nil {
			t.Errorf("%s, %d: %s is %q, want %q: %t", g.name, c.status, name, got, value, expected)
		}
	}
	is("Set-Cookie", "", false)
	is("Cache-Control", "no-store", want != http.StatusOK)
	is("Retry-After", "2", want == http.StatusServiceUnavailable)
	is("X-Auth-Login-Url", login, want == http.StatusUnauthorized)
	is("Location", login, want == http.StatusFound)
	page := person && want != http.StatusFound
	is("Content-Type", "text/html; charset=utf-8", page)
	if page != strings.HasPrefix(c.body, "<!DOCTYPE html>") || !page && c.body != "" || c.header.Get("Content-Length") != strconv.Itoa(len(c.body)) {
		t.Errorf("%s, %d: the body %.80q of %s bytes, want a page: %t", g.name, c.status, c.body, c.header.Get("Content-Length"), page)
	}
	for _, name := range []string{"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups"} {
		if got := c.header[name]; (want == http.StatusOK) != (len(got) == 1) {
			t.Errorf("%s, %d: %s is %q", g.name, c.status, name, got)
		}
	}
	if c.header.Get("X-Request-Id") == "" {
		t.Errorf("%s, %d: no X-Request-Id", g.name, c.status)
	}
}

const browserAccept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// TestDialects is one table for all gateways: one verdict, and an answer that suits who gets it.
func TestDialects(t *testing.T) {
	visits := []struct {
		name   string
		person bool // it is a page load
		visit  visit
	}{
		{"page", true, visit{header: []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", browserAccept}}},
		{"page in a frame", true, visit{header: []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe", browserAccept}}},
		{"page of an old browser", true, visit{header: []string{browserAccept}}},
		{"Accept in upper case and behind another", true, visit{header: []string{"Accept: application/json", "Accept: TEXT/HTML;q=0.1"}}},
		{"form", true, visit{method: "POST", header: []string{"Sec-Fetch-Mode: navigate", browserAccept}}},
		{"form of an old browser", false, visit{method: "POST", header: []string{browserAccept}}},
		{"HEAD", false, visit{method: "HEAD", header: []string{browserAccept}}},
		{"fetch", false, visit{header: []string{"Sec-Fetch-Mode: cors", browserAccept}}},
		{"XHR", false, visit{header: []string{"X-Requested-With: XMLHttpRequest", browserAccept}}},
		{"XHR of a new browser", false, visit{header: []string{"Sec-Fetch-Mode: same-origin", "X-Requested-With: XMLHttpRequest"}}},
		{"WebSocket", false, visit{header: []string{"Sec-Fetch-Mode: websocket", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: a2V5"}}},
		{"WebSocket of an old browser", false, visit{header: []string{"Connection: Upgrade", "Upgrade: websocket", browserAccept}}},
		{"image", false, visit{header: []string{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image", browserAccept}}},
		{"prefetch", false, visit{header: []string{"Sec-Purpose: prefetch", "Sec-Fetch-Mode: no-cors", browserAccept}}},
		{"a mode that is told twice", false, visit{header: []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: cors", browserAccept}}},
		{"script", false, visit{header: []string{"Accept: */*"}}},
		{"a type that begins alike", false, visit{header: []string{"Accept: text/html+xml, x-text/html"}}},
		{"nothing said", false, visit{}},
		{"request body", false, visit{method: "PUT", body: strings.Repeat("b", 100_000), header: []string{"Content-Type: application/octet-stream"}}},
		{"preflight", false, visit{method: "OPTIONS", header: []string{"Sec-Fetch-Mode: cors", "Origin: https://other.example.com"}}},
	}
	for _, prefix := range []string{"", "/oauth2"} {
		r := newRig(t, 1, func(c *Config) { c.PublicURL += prefix })
		cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
		for _, test := range visits {
			t.Run(prefix+" "+test.name, func(t *testing.T) {
				r.t = t
				v := test.visit
				v.uri = "/a?b=c&d=e"
				login := r.url + "/start?rd=" + url.QueryEscape(r.front.URL+v.uri)
				known := visit{v.method, v.uri, append(slices.Clone(v.header), cookie), v.body}
				for _, g := range gateways {
					r.asks(g, "", v).meets(t, g, http.StatusUnauthorized, test.person, login)
					allowed := r.asks(g, "", known)
					allowed.meets(t, g, http.StatusOK, test.person, "")
					if got := allowed.header.Get("X-Auth-Request-User"); got != "alice" {
						t.Errorf("%s: %q", g.name, got)
					}
					if g.name != "envoy" { // it has no query of its own
						r.asks(g, "?allowed_groups=root", known).meets(t, g, http.StatusForbidden, test.person, "")
						r.asks(g, "?allowed_groups=staff", known).meets(t, g, http.StatusOK, test.person, "")
						r.asks(g, "?rule=unknown", known).meets(t, g, http.StatusForbidden, test.person, "")
					}
					r.store.down.Store(true)
					r.asks(g, "", known).meets(t, g, http.StatusServiceUnavailable, test.person, "")
					r.asks(g, "", v).meets(t, g, http.StatusUnauthorized, test.person, login)
					r.store.down.Store(false)
				}
			})
		}
	}
}

// TestVisitorsQueryNarrowsNothing: only what the gateway's own configuration says narrows.
func TestVisitorsQueryNarrowsNothing(t *testing.T) {
	r := newRig(t, 1, nil)
	cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
	for _, query := range []string{"?allowed_groups=root", "?allowed_groups=", "?rule=x", "?allowed=", "?%zz", "?a;b", "?rd=https://evil.example/"} {
		for _, g := range gateways {
			r.asks(g, "", visit{uri: "/a" + query, header: []string{cookie}}).meets(t, g, http.StatusOK, false, "")
		}
	}
}

// TestDeepLinks: a login ends where the visitor wanted to go, to the letter; or nowhere in particular.
func TestDeepLinks(t *testing.T) {
	for _, prefix := range []string{"", "/oauth2"} {
		r := newRig(t, 1, func(c *Config) { c.PublicURL += prefix })
		cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
		for uri, returns := range map[string]bool{
			"/": true, "/a?b=c&d=e": true, "/a?b=c&d=e&rd=https://evil.example/": true, "/a%2Fb%25?c=%26%2B+d": true, "/%2Fa": true, "/grüße?ä=ö": true,
			"/a//b": true, "/a//": true, "/a/%2F/b": true, "/a;b=c?d;e": true, "/a/../b": true, "/a/%2e%2e/b": true, "/a/./b/": true, "/a#b": true, "/%23/x": true, "/%00": true,
			"/a?%zz": true, "/a??": true, "/?": true, "/envoy/a": true, "/envoy/envoy/": true, "/forward/a": true, "/*": true, "/{a}": true, "/\xff": true,
			"//evil.example/": false, "//": false, "/..//evil.example": false, "/\\evil.example": false, "/a\\b": false, prefix + "/start?rd=/a": false, prefix + "/callback": false,
		} {
			for _, g := range gateways {
				login := r.url + "/start"
				if returns {
					login += "?rd=" + url.QueryEscape(r.front.URL+uri)
				}
				page := r.asks(g, "", visit{uri: uri, header: []string{"Sec-Fetch-Mode: navigate"}})
				allowed := r.asks(g, "", visit{uri: uri, header: []string{cookie}})
				page.meets(t, g, http.StatusUnauthorized, true, login)
				allowed.meets(t, g, http.StatusOK, false, "")
			}
		}
	}
}

// TestUnreadablePath: net/http does not take a request line with half an escape, so Envoy's check gets a 400. It lets nobody in.
func TestUnreadablePath(t *testing.T) {
	r := newRig(t, 1, nil)
	cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
	for _, uri := range []string{"/%", "/%zz", "/a/%2"} {
		for _, g := range gateways {
			page := r.asks(g, "", visit{uri: uri, header: []string{"Sec-Fetch-Mode: navigate"}})
			allowed := r.asks(g, "", visit{uri: uri, header: []string{cookie}})
			if g.name == "envoy" {
				if page.status != http.StatusBadRequest || allowed.status != http.StatusBadRequest {
					t.Errorf("%q: %d, signed in %d", uri, page.status, allowed.status)
				}
				continue
			}
			page.meets(t, g, http.StatusUnauthorized, true, r.url+"/start?rd="+url.QueryEscape(r.url+uri))
			allowed.meets(t, g, http.StatusOK, false, "")
		}
	}
}

// TestAnyMethod asks with every method, and some that are none.
func TestAnyMethod(t *testing.T) {
	r := newRig(t, 1, nil)
	cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PROPFIND", "M-SEARCH", "get", "X-OWN", "X_OWN!", "PRI"} {
		login := r.url + "/start"
		if !strings.ContainsAny(method, "get_") { // what is no method makes the request unknown
			login += "?rd=" + url.QueryEscape(r.front.URL+"/a")
		}
		for _, g := range gateways {
			r.asks(g, "", visit{method: method, uri: "/a"}).meets(t, g, http.StatusUnauthorized, false, login)
			r.asks(g, "", visit{method: method, uri: "/a", header: []string{"Sec-Fetch-Mode: navigate"}}).meets(t, g, http.StatusUnauthorized, true, login)
			r.asks(g, "", visit{method: method, uri: "/a", header: []string{cookie}}).meets(t, g, http.StatusOK, false, "")
		}
	}
}

// TestStrangersAreNotBelieved: what a peer says that is no trusted proxy counts for nothing but the session.
func TestStrangersAreNotBelieved(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.TrustedProxies = []string{"192.0.2.0/24"} })
	cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
	for _, g := range gateways {
		page := []string{"Sec-Fetch-Mode: navigate", browserAccept}
		r.asks(g, "", visit{uri: "/a", header: page}).meets(t, g, http.StatusUnauthorized, true, r.url+"/start")
		r.asks(g, "", visit{uri: "/a", header: []string{browserAccept}}).meets(t, g, http.StatusUnauthorized, false, r.url+"/start")
		r.asks(g, "", visit{uri: "/a", header: []string{cookie}}).meets(t, g, http.StatusOK, false, "")
		r.store.down.Store(true)
		unavailable := r.asks(g, "", visit{uri: "/evil", header: append(page, cookie)})
		r.store.down.Store(false)
		unavailable.meets(t, g, http.StatusServiceUnavailable, true, "")
		if strings.Contains(unavailable.body, "/evil") {
			t.Errorf("%s: the page leads to what a stranger said:\n%s", g.name, unavailable.body)
		}
	}
	if n := strings.Count(r.log.String(), "trusted_proxies"); n != 4*len(gateways) { // at debug also of who passes
		t.Errorf("%d of the verdicts tell that the peer is not trusted:\n%s", n, r.log)
	}
}

// TestForgedHeaders sends along what belongs to another dialect, to nobody, or to the gateway itself, in the eight spellings of CVE-2025-64484.
// Each changes nothing, or makes the request unknown: no login ends elsewhere, and nobody is somebody else.
func TestForgedHeaders(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.Redirect.AllowedHosts = []string{"forged.example.com"} })
	cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
	spellings := map[string]func(name, value string) []string{
		"-": func(name, value string) []string { return []string{name + ": " + value} },
		"_": func(name, value string) []string { return []string{strings.ReplaceAll(name, "-", "_") + ": " + value} },
		".": func(name, value string) []string { return []string{strings.ReplaceAll(name, "-", ".") + ": " + value} },
		"mixed case": func(name, value string) []string {
			return []string{strings.ToLower(name[:4]) + strings.ToUpper(name[4:]) + ": " + value}
		},
		"duplicate":      func(name, value string) []string { return []string{name + ": " + value, name + ": " + value} },
		"empty":          func(name, _ string) []string { return []string{name + ":"} },
		"trailing space": func(name, value string) []string { return []string{name + ": " + value + " \t"} },
		"obs-fold":       func(name, value string) []string { return []string{name + ":", "\t" + value} },
	}
	forged := map[string]string{
		"X-Original-URL": "https://forged.example.com/", "X-Original-URI": "/forged", "X-Original-Method": "DELETE",
		"X-Forwarded-Proto": "https", "X-Forwarded-Host": "forged.example.com", "X-Forwarded-Uri": "/forged", "X-Forwarded-Method": "DELETE",
		"X-Forwarded-Prefix": "/forged", "X-Forwarded-Port": "444", "X-Rewrite-URL": "/forged", "Forwarded": "host=forged.example.com;proto=https",
		"X-Auth-Request-Redirect": "https://forged.example.com/", "X-Auth-Request-User": "root", "X-Auth-Request-Email": "root@example.com",
		"X-Auth-Request-Groups": "root", "X-Auth-Request-Preferred-Username": "root", "X-Forwarded-User": "root", "Authorization": "Bearer root",
		"Connection": "X-Forwarded-Host, X-Original-URL, X-Auth-Request-User", "X-HTTP-Method-Override": "DELETE",
	}
	// What the dialect of each gateway reads.
	own := map[string][]string{
		"nginx":   {"X-Original-URL", "X-Original-URI", "X-Original-Method", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Method"},
		"traefik": {"X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Uri", "X-Forwarded-Method"},
		"envoy":   {"X-Forwarded-Proto"},
	}
	known := r.url + "/start?rd=" + url.QueryEscape(r.url+"/a")
	for name, value := range forged {
		for spelling, spell := range spellings {
			lines := spell(name, value)
			for _, g := range gateways {
				login := known
				other := spelling == "_" || spelling == "."
				agrees := g.name == "nginx" && spelling == "empty" && !slices.Contains([]string{"X-Original-URL", "X-Original-Method"}, name)
				if slices.Contains(own[g.name], name) && !other && !agrees {
					login = r.url + "/start"
				}
				t.Run(g.name+" "+name+" "+spelling, func(t *testing.T) {
					r.t = t
					r.asks(g, "", visit{uri: "/a", header: append(lines, "Sec-Fetch-Mode: navigate")}).meets(t, g, http.StatusUnauthorized, true, login)
					allowed := r.asks(g, "", visit{uri: "/a", header: append(lines, cookie)})
					allowed.meets(t, g, http.StatusOK, false, "")
					if user, groups := allowed.header.Get("X-Auth-Request-User"), allowed.header.Get("X-Auth-Request-Groups"); user != "alice" || groups != "staff,admins" {
						t.Errorf("%q in %q", user, groups)
					}
				})
			}
		}
	}
}

// TestForwardedHeadersMissing: what Traefik and Caddy always send, without one of them.
func TestForwardedHeadersMissing(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.PublicURL = "https://app.example.com" })
	whole := http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"}, "X-Forwarded-Uri": {"/a"}, "X-Forwarded-Method": {"GET"}}
	const bare, back = "https://app.example.com/start", "https://app.example.com/start?rd=https%3A%2F%2Fapp.example.com%2Fa"
	for _, test := range []struct {
		name   string
		change func(http.Header)
		want   string
	}{
		{"whole", func(http.Header) {}, back},
		{"no scheme", func(h http.Header) { h.Del("X-Forwarded-Proto") }, bare},
		{"no host, and Host does not stand in", func(h http.Header) { h.Del("X-Forwarded-Host"); h["Host"] = []string{"app.example.com"} }, bare},
		{"no URI", func(h http.Header) { h.Del("X-Forwarded-Uri") }, bare},
		{"no method: the verdict's matter, not the login's", func(h http.Header) { h.Del("X-Forwarded-Method") }, back},
		{"Traefik's WebSocket", func(h http.Header) { h.Set("X-Forwarded-Proto", "wss") }, back},
		{"the scheme's port", func(h http.Header) { h.Set("X-Forwarded-Host", "App.example.com:443") }, back},
		{"a list", func(h http.Header) { h.Set("X-Forwarded-Host", "app.example.com, app.example.com") }, bare},
		{"another scheme", func(h http.Header) { h.Set("X-Forwarded-Proto", "ftp") }, bare},
	} {
		header := whole.Clone()
		test.change(header)
		answer := ask(r.replicas[0], http.MethodGet, "/forward", trustedPeer, header)
		if got := answer.Header().Get("X-Auth-Login-Url"); answer.Code != http.StatusUnauthorized || got != test.want {
			t.Errorf("%s: %d, %q, want %q", test.name, answer.Code, got, test.want)
		}
	}
}

// TestEnvoyScheme: Envoy passes X-Forwarded-Proto only where it is told to.
func TestEnvoyScheme(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.PublicURL = "https://app.example.com" })
	for scheme, want := range map[string]string{"": "https://app.example.com/a", "https": "https://app.example.com/a", "HTTPS": "https://app.example.com/a", "http": "http://app.example.com/a", "ws": "", "https,http": ""} {
		header := http.Header{"Host": {"app.example.com"}}
		if scheme != "" {
			header["X-Forwarded-Proto"] = []string{scheme}
		}
		login := "https://app.example.com/start"
		if want != "" {
			login += "?rd=" + url.QueryEscape(want)
		}
		answer := ask(r.replicas[0], http.MethodGet, "/envoy/a", trustedPeer, header)
		if got := answer.Header().Get("X-Auth-Login-Url"); answer.Code != http.StatusUnauthorized || got != login {
			t.Errorf("%q: %d, %q, want %q", scheme, answer.Code, got, login)
		}
	}
	for _, path := range []string{"/envoy", "/envoyx", "/Envoy/", "//envoy/a", "/x/../envoy/a", "/%65nvoy/a", "/forward/", "/forward/a"} {
		if answer := ask(r.replicas[0], http.MethodGet, path, trustedPeer, nil); answer.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, answer.Code)
		}
	}
}

// TestPagesOfRefusals: the pages lead back, and to a sign-out only where that can be reached by a form.
func TestPagesOfRefusals(t *testing.T) {
	r := newRig(t, 1, func(c *Config) {
		c.PublicURL = "https://login.example.com/oauth2"
		c.Redirect.AllowedHosts = []string{"app.example.com"}
	})
	s := r.replicas[0]
	for _, test := range []struct {
		asked   asked
		outcome Outcome
		has     []string
		hasNot  []string
	}{
		{asked{"GET", "https", "app.example.com", `/a"<b>&c`}, Unavailable, []string{`href="https://app.example.com/a%22%3cb%3e&amp;c"`, "Try again"}, nil},
		{asked{"GET", "https", "evil.example", "/a"}, Unavailable, []string{`href="/"`}, []string{"evil"}},
		{asked{}, Unavailable, []string{`href="/"`}, nil},
		{asked{"GET", "https", "app.example.com", "/a"}, Deny, []string{`href="https://login.example.com/oauth2/start?rd=https%3A%2F%2Fapp.example.com%2Fa"`}, []string{"<form"}},
		{asked{"GET", "https", "evil.example", "/a"}, Deny, []string{`href="https://login.example.com/oauth2/start"`}, []string{"<form", "evil"}},
		{asked{"GET", "https", "login.example.com", "/a"}, Deny, []string{`<form method="post" action="/oauth2/logout">`}, nil},
		{asked{}, Deny, []string{`href="https://login.example.com/oauth2/start"`}, []string{"<form"}},
	} {
		for path, d := range dialects {
			answer := askOutcome(s, d, test.asked, test.outcome)
			if !d.verbatim {
				if answer.body != "" || answer.header.Get("Content-Length") != "0" {
					t.Errorf("%s: a body: %q", path, answer.body)
				}
				continue
			}
			for _, text := range test.has {
				if !strings.Contains(answer.body, text) {
					t.Errorf("%s, %+v: no %s in\n%s", path, test.asked, text, answer.body)
				}
			}
			for _, text := range test.hasNot {
				if strings.Contains(answer.body, text) {
					t.Errorf("%s, %+v: %s in\n%s", path, test.asked, text, answer.body)
				}
			}
		}
	}
}

// TestDialectsPanic: a bug is a 503 in the form of each dialect, and counted as one.
func TestDialectsPanic(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
	r.replicas[0] = r.another(config, panickyStore{r.store})
	for _, g := range gateways {
		r.asks(g, "", visit{uri: "/a", header: []string{cookie}}).meets(t, g, http.StatusServiceUnavailable, false, "")
		r.asks(g, "", visit{uri: "/a", header: []string{cookie, "Sec-Fetch-Mode: navigate"}}).meets(t, g, http.StatusServiceUnavailable, true, "")
	}
	text := askAdmin(r.replicas[0], http.MethodGet, "/metrics").Body.String()
	if want := fmt.Sprintf("authsvc_decisions_total{outcome=\"unavailable\",reason=\"panic\"} %d\n", 2*len(gateways)); !strings.Contains(text, want) {
		t.Errorf("no %s", want)
	}
}

// TestDialectsTellAlike: who asked changes neither the metrics nor what the log says, but for the endpoint.
func TestDialectsTellAlike(t *testing.T) {
	r := newRig(t, 1, nil)
	for _, g := range gateways {
		r.asks(g, "", visit{uri: "/private?canary", header: []string{"Sec-Fetch-Mode: navigate"}})
	}
	text := askAdmin(r.replicas[0], http.MethodGet, "/metrics").Body.String()
	for _, want := range []string{`authsvc_decisions_total{outcome="login",reason="no_cookie"} 3`, `authsvc_decision_seconds_count{outcome="login"} 3`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s", want)
		}
	}
	for _, endpoint := range []string{`"/auth"`, `"/forward"`, `"/envoy/*"`} {
		if want := `"endpoint":` + endpoint + `,"outcome":"login","reason":"no_cookie","message":"decision"`; !strings.Contains(r.log.String(), want) {
			t.Errorf("no %s in\n%s", want, r.log)
		}
	}
	checkSecrets(t, "the log", r.log.String(), []string{"canary"})
}

// askOutcome has d answer a page load with an outcome.
func askOutcome(s *Service, d dialect, a asked, outcome Outcome) checked {
	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Sec-Fetch-Mode", "navigate")
	answer := httptest.NewRecorder()
	s.answer(answer, request, requestInfo{}, d, s.sites.Load().main, decision{Outcome: outcome}, a)
	return checked{answer.Code, answer.Header(), answer.Body.String()}
}

// TestEnvoyWaitsLittle: Envoy gives a check 200 ms, so /envoy/ does not wait as long as the others may.
func TestEnvoyWaitsLittle(t *testing.T) {
	r := newRig(t, 1, func(c *Config) {
		withAccessToken(c)
		c.Session.RefreshWait = 30 * time.Second
	})
	cookie := "Cookie: " + signedIn(r, "alice").Get("Cookie")
	release := make(chan struct{})
	r.provider.Intercept(idptest.Token, idptest.Hold(release))
	r.advance(6 * time.Minute)
	envoy := gateways[2]
	began := time.Now()
	answer := r.asks(envoy, "", visit{uri: "/a", header: []string{cookie}})
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the answer came after %v", took)
	}
	answer.meets(t, envoy, http.StatusOK, false, "")
	if got := answer.header[accessHeader]; len(got) != 1 || got[0] != "" {
		t.Errorf("an access token that has expired: %q", got)
	}
	close(release)
	traefik := gateways[1]
	if got := r.asks(traefik, "", visit{uri: "/a", header: []string{cookie}}).header.Get(accessHeader); got == "" {
		t.Error("/forward did not wait for the new access token")
	}
}
