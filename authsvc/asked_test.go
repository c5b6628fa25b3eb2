package authsvc

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// nginxHeaders are what the rendered nginx configuration sends with a check.
func nginxHeaders(address string) http.Header {
	return http.Header{"X-Original-Url": {address}, "X-Original-Method": {"GET"}}
}

// TestLoginURL tells where a 401 says to sign in: back to what was asked, when that is known and allowed.
func TestLoginURL(t *testing.T) {
	r := newRig(t, 1, func(c *Config) {
		c.PublicURL = "https://app.example.com"
		c.Redirect.AllowedHosts = []string{"*.shop.example.com", "other.example.com:8443"}
	})
	merge := func(headers ...http.Header) http.Header {
		all := http.Header{}
		for _, h := range headers {
			for name, values := range h {
				all[name] = append(all[name], values...)
			}
		}
		return all
	}
	one := func(name, value string) http.Header { return http.Header{name: {value}} }
	forwarded := func(scheme, host, uri string) http.Header {
		return http.Header{"X-Forwarded-Proto": {scheme}, "X-Forwarded-Host": {host}, "X-Forwarded-Uri": {uri}, "X-Forwarded-Method": {"GET"}}
	}
	const app = "https://app.example.com"
	tests := []struct {
		name, peer string
		header     http.Header
		want       string // the address behind rd; "" for none
	}{
		{"X-Original-URL", trustedPeer, nginxHeaders(app + "/a"), app + "/a"},
		{"X-Original-URL without a path", trustedPeer, nginxHeaders(app), app + "/"},
		{"X-Original-URL with the scheme's port", trustedPeer, nginxHeaders(app + ":443/a"), app + "/a"},
		{"X-Original-URL in upper case", trustedPeer, nginxHeaders("HTTPS://APP.Example.COM/A"), app + "/A"},
		{"deep link", trustedPeer, nginxHeaders(app + "/a?b=c&d=e&rd=https://evil.example/"), app + "/a?b=c&d=e&rd=https://evil.example/"},
		{"an encoded slash and percent", trustedPeer, nginxHeaders(app + "/a%2Fb%25?c=%26%2B+d"), app + "/a%2Fb%25?c=%26%2B+d"},
		{"two slashes", trustedPeer, nginxHeaders(app + "/a//b"), app + "/a//b"},
		{"beyond ASCII", trustedPeer, nginxHeaders(app + "/grüße"), app + "/grüße"},
		{"a hash", trustedPeer, nginxHeaders(app + "/a#/x"), app + "/a#/x"},
		{"markup", trustedPeer, nginxHeaders(app + `/<script>"'`), app + `/<script>"'`},
		{"an allowed host", trustedPeer, nginxHeaders("https://a.b.shop.example.com/x"), "https://a.b.shop.example.com/x"},
		{"an allowed port", trustedPeer, nginxHeaders("https://other.example.com:8443/x"), "https://other.example.com:8443/x"},
		{"the dialect of others", trustedPeer, forwarded("https", "app.example.com", "/a?b=c&d"), app + "/a?b=c&d"},
		{"Host when nothing else names one", trustedPeer, merge(one("Host", "app.example.com"), http.Header{"X-Forwarded-Proto": {"https"}, "X-Original-Uri": {"/a"}, "X-Original-Method": {"GET"}}), app + "/a"},
		{"Host is not asked when another names one", trustedPeer, merge(one("Host", "authsvc.internal"), nginxHeaders(app+"/a")), app + "/a"},
		{"headers that agree", trustedPeer, merge(nginxHeaders(app+"/a"), forwarded("HTTPS", "App.Example.Com:443", "/a"), one("X-Original-Uri", "/a")), app + "/a"},
		{"no method: the verdict's matter, not the login's", trustedPeer, one("X-Original-Url", app+"/a"), app + "/a"},

		{"a stranger", strangePeer, nginxHeaders(app + "/a"), ""},
		{"nothing", trustedPeer, nil, ""},
		{"no URI", trustedPeer, http.Header{"X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"}}, ""},
		{"no scheme", trustedPeer, http.Header{"X-Original-Uri": {"/a"}, "X-Forwarded-Host": {"app.example.com"}}, ""},
		{"another host", trustedPeer, nginxHeaders("https://evil.example/"), ""},
		{"the host in another port", trustedPeer, nginxHeaders(app + ":444/"), ""},
		{"a host with a user", trustedPeer, nginxHeaders("https://app.example.com@evil.example/"), ""},
		{"a user with our host", trustedPeer, nginxHeaders("https://evil.example@app.example.com/"), ""},
		{"a backslash", trustedPeer, nginxHeaders(`https://app.example.com\@evil.example/`), ""},
		{"two slashes at the start", trustedPeer, merge(one("X-Forwarded-Proto", "https"), one("X-Original-Uri", "//evil.example/"), one("X-Forwarded-Host", "app.example.com")), ""},
		{"our own endpoint", trustedPeer, nginxHeaders(app + "/start?rd=/a"), ""},
		{"another scheme", trustedPeer, nginxHeaders("javascript://app.example.com/%0aalert(1)"), ""},
		{"no URL", trustedPeer, nginxHeaders("/a"), ""},
		{"hosts that disagree", trustedPeer, merge(nginxHeaders(app+"/a"), one("X-Forwarded-Host", "a.shop.example.com")), ""},
		{"schemes that disagree", trustedPeer, merge(nginxHeaders(app+"/a"), one("X-Forwarded-Proto", "http")), ""},
		{"URIs that disagree", trustedPeer, merge(nginxHeaders(app+"/a"), one("X-Original-Uri", "/b")), ""},
		{"URIs that differ in case", trustedPeer, merge(nginxHeaders(app+"/a"), one("X-Forwarded-Uri", "/A")), ""},
		{"methods that disagree", trustedPeer, merge(nginxHeaders(app+"/a"), one("X-Forwarded-Method", "POST")), ""},
		{"X-Original-URL without a host", trustedPeer, merge(nginxHeaders("https:///a"), one("X-Forwarded-Host", "app.example.com")), ""},
		{"repeated", trustedPeer, merge(nginxHeaders(app+"/a"), one("X-Original-Url", app+"/a")), ""},
		{"repeated method", trustedPeer, merge(nginxHeaders(app+"/a"), one("X-Original-Method", "GET")), ""},
		{"a list of hosts", trustedPeer, forwarded("https", "app.example.com, evil.example", "/a"), ""},
		{"a list of schemes", trustedPeer, forwarded("https,http", "app.example.com", "/a"), ""},
		{"no method, and a URI without a slash", trustedPeer, merge(one("X-Forwarded-Proto", "https"), one("X-Forwarded-Host", "a"), one("X-Original-Uri", ".shop.example.com/")), ""},
		{"no method, and a URI that adds a port", trustedPeer, merge(one("X-Forwarded-Proto", "https"), one("X-Forwarded-Host", "other.example.com"), one("X-Original-Uri", ":8443/")), ""},
		{"Prefix and Port mean nothing", trustedPeer, merge(nginxHeaders(app+"/a"), one("X-Forwarded-Prefix", "/evil"), one("X-Forwarded-Port", "444")), app + "/a"},

		{"too long: without the query", trustedPeer, nginxHeaders(app + "/a?" + strings.Repeat("q", 3000)), app + "/a"},
		{"too long: without the path", trustedPeer, nginxHeaders(app + "/" + strings.Repeat("p", 3000) + "?" + strings.Repeat("q", 3000)), app + "/"},
		{"too long once encoded", trustedPeer, nginxHeaders(app + "/a?" + strings.Repeat("ä", 600)), app + "/a"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := ask(r.replicas[0], http.MethodGet, "/auth", test.peer, test.header)
			if answer.Code != http.StatusUnauthorized {
				t.Fatalf("%d", answer.Code)
			}
			want := app + "/start"
			if test.want != "" {
				want += "?rd=" + url.QueryEscape(test.want)
			}
			if got := answer.Header()["X-Auth-Login-Url"]; len(got) != 1 || got[0] != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	checkSecrets(t, "the log", r.log.String(), []string{"/grüße", "evil.example", "shop.example.com"})
}

// TestMalformedURIs asks with what no gateway should ever send (Authelia's CVE-2021-32637): never an allow, never anything but a verdict,
// and never a login that ends elsewhere.
func TestMalformedURIs(t *testing.T) {
	r := newRig(t, 1, func(c *Config) { c.PublicURL = "https://app.example.com" })
	uris := []string{
		"", "%", "%z", "%zz", "/%", "/%zz", "/%0", "\\", "/\\", "\\\\evil.example", "/\x00", "\x00", "/a\x00b", "/\x80", "\xff\xfe", "/\xc3\x28", "/\xed\xa0\x80",
		"*", "http://evil.example/", "https://evil.example", "//", "///", "//evil.example/%2f..", "/..", "/../..", "/.%2e/", "/%2e%2e//evil.example", "?", "?a=b", "#",
		"/ /", " /", "/a b", "/\t", "/\r\nSet-Cookie: a=b", "\n", ":", "://", "a", "@evil.example", "/;", "/%00", "/%23", "/" + strings.Repeat("a", 64<<10), strings.Repeat("/", 1000),
	}
	if len(uris) < 40 {
		t.Fatalf("only %d", len(uris))
	}
	for _, uri := range uris {
		for _, header := range []http.Header{
			{"X-Original-Uri": {uri}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"}},
			{"X-Original-Uri": {uri}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"app.example.com"}, "X-Original-Method": {"GET"}},
			{"X-Original-Url": {uri}, "X-Original-Method": {"GET"}},
			{"X-Original-Url": {"https://app.example.com" + uri}, "X-Original-Method": {"GET"}},
			{"X-Forwarded-Uri": {uri}, "X-Original-Method": {uri}, "X-Forwarded-Proto": {uri}, "X-Forwarded-Host": {uri}},
		} {
			answer := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, header)
			if answer.Code != http.StatusUnauthorized {
				t.Fatalf("%.80q: %d", header, answer.Code)
			}
			checkVerdict(t, answer.Code, answer.Header(), answer.Body.Len())
			login, err := url.Parse(answer.Header().Get("X-Auth-Login-Url"))
			if err != nil || login.Host != "app.example.com" || login.Path != "/start" {
				t.Fatalf("%.80q: %q", header, answer.Header().Get("X-Auth-Login-Url"))
			}
			if rd := login.Query().Get("rd"); rd != "" && !strings.HasPrefix(rd, "https://app.example.com/") {
				t.Errorf("%.80q: the login ends at %q", header, rd)
			}
		}
	}
	checkSecrets(t, "the log", r.log.String(), []string{"evil.example"})
}

// TestAskedOfAuth is for what no answer shows yet: the method, and the word of the error.
func TestAskedOfAuth(t *testing.T) {
	for _, test := range []struct {
		method string
		good   bool
	}{
		{"GET", true}, {"POST", true}, {"M-SEARCH", true}, {"get", false}, {"GET ", false}, {"G\x00T", false}, {"GÉT", false}, {"", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/auth", nil)
		r.Header.Set("X-Original-Url", "https://app.example.com/a")
		r.Header["X-Original-Method"] = []string{test.method}
		a, err := askedOfAuth(r, requestInfo{}, nil)
		if (err == nil) != test.good || err != nil && !errors.Is(err, errRequestUnknown) {
			t.Errorf("%q: %v", test.method, err)
		}
		if test.good && (a.Method != test.method || a.url() != "https://app.example.com/a") {
			t.Errorf("%q: %+v", test.method, a)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/auth", nil)
	for _, missing := range []string{"X-Original-URL", "X-Forwarded-Proto", "X-Original-Method"} {
		_, err := askedOfAuth(r, requestInfo{}, nil)
		if err == nil || !strings.Contains(err.Error(), missing) {
			t.Errorf("%v does not name %s", err, missing)
		}
		switch missing {
		case "X-Original-URL":
			r.Header.Set("X-Original-Uri", "/a")
		case "X-Forwarded-Proto":
			r.Header.Set("X-Forwarded-Proto", "https")
		}
	}
}

func TestResolveDots(t *testing.T) {
	for raw, want := range map[string]string{
		"/": "/", "": "/", "/a": "/a", "/a/": "/a/", "/a/.": "/a/", "/a/..": "/", "/a/../b": "/b", "/a/./b": "/a/b", "/..": "/", "/../..": "/", "/../a": "/a",
		"/.": "/", "/%2e": "/", "/%2E%2e": "/", "/.%2e/a": "/a", "/a/%2e./b": "/b", "/a/%2E/b": "/a/b", "/./": "/", "/.//evil.example": "//evil.example", "/a/..//evil.example": "//evil.example",
		"/...": "/...", "/a/.../b": "/a/.../b", "/.a": "/.a", "/a.": "/a.", "//a": "//a", "/a//../b": "/a/b", "/%252e": "/%252e", "/a/%2e%2e%2f": "/a/%2e%2e%2f",
	} {
		if got := resolveDots(raw); got != want {
			t.Errorf("%q: %q, want %q", raw, got, want)
		}
	}
}

// TestSecFetchChangesNothing: /auth has one 401 for pages and for scripts; which of them becomes a login is the gateway's part.
func TestSecFetchChangesNothing(t *testing.T) {
	r := newRig(t, 1, nil)
	var first http.Header
	for _, header := range []http.Header{nil, {"Sec-Fetch-Mode": {"navigate"}}, {"Sec-Fetch-Mode": {"cors"}}, {"X-Requested-With": {"XMLHttpRequest"}}, {"Accept": {"text/html"}}} {
		got := ask(r.replicas[0], http.MethodGet, "/auth", trustedPeer, header).Header()
		got.Del("X-Request-Id")
		if first == nil {
			first = got
		}
		if fmt.Sprint(got) != fmt.Sprint(first) {
			t.Errorf("%v: %v, want %v", header, got, first)
		}
	}
}
