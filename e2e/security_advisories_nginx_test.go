package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// ofNginx are what nginx 1.22 was seen to do with what visitors send.
var ofNginx = []advisory{
	{"N1", "a return address that a recipe builds of what visitors write", (*lab).builtAddresses},
	{"N2", "paths that nginx passes on as they are", (*lab).rawPaths},
	{"N3", "a fragment in the asked address", (*lab).fragments},
	{"N4", "Cookie headers that are too long", (*lab).longCookies},
	{"N5", "several cookies of one name", (*lab).cookieTossing},
}

func TestSecurityNginx(t *testing.T) { runAdvisories(t) }

func (l *lab) builtAddresses() {
	f := l.anyone()
	for query, want := range map[string]string{ // "" is a refusal
		"rd=http://evil.com/a":                                       "",
		"rd=http://app@evil.com/a":                                   "",
		"rd=http://" + f.site + "@evil.com/a":                        "",
		"rd=" + f.url + "/evil.com/":                                 f.url + "/evil.com/",
		"rd=" + f.url + "//evil.com/":                                "",
		"rd=/a%3Fx=1&rd=https://evil.com":                            "/a?x=1",
		"rd=/a?x=1&rd=https://evil.com":                              "/a?x=1",
		"rd=https://evil.com&rd=/a":                                  "",
		"x=1&rd=/a":                                                  "/a",
		"RD=https://evil.com&rd=/a":                                  "/a",
		"rd%20=https://evil.com&rd=/a":                               "/a",
		"rd=/a&r%64=https://evil.com":                                "/a",
		"rd=/a%26b%3Dc":                                              "/a&b=c",
		"rd=" + url.QueryEscape("/a?b=c&d=e&rd=https://evil.com"):    "/a?b=c&d=e&rd=https://evil.com",
		"rd=" + url.QueryEscape("/a?rd="+url.QueryEscape("//evil")):  "/a?rd=%2F%2Fevil",
		"rd=;https://evil.com":                                       "",
		"rd=/a;rd=https://evil.com":                                  "/a;rd=https://evil.com",
		"url=https://evil.com&redirect=https://evil.com&next=//evil": "/",
		"rd=&rd=https://evil.com":                                    "/",
		"rd=%2568ttps://evil.com":                                    "",
		"rd=http://foo.bar:80/a":                                     "http://foo.bar:80/a",
		"rd=http://" + strings.ToUpper("foo.bar") + "/a?b=c&d=e&f=g": "http://FOO.BAR/a?b=c",
	} {
		v := f.visitor("alice")
		answer := f.endOfLogin(v, query)
		if got := answer.header.Get("Location"); got != want || want == "" && answer.status != http.StatusBadRequest {
			l.Errorf("?%s: the login ends at %q, want %q: %s", query, got, want, answer)
		}
	}
	// Through nginx as it is rendered there is no such address to be built: authsvc names it.
	for _, target := range []string{"/a?b=c&d=e&rd=https://evil.com", "//evil.com/", "/a?rd=//evil"} {
		a := f.sure(f.site, "GET", target, pageHeaders, "")
		location := a.header.Get("Location")
		want := f.url + "/start?rd=" + url.QueryEscape(f.url+target)
		if target == "//evil.com/" {
			want = f.url + "/start" // which is refused as an address to come back to
		}
		if a.status != http.StatusFound || location != want {
			l.Errorf("%s: %d, Location %q, want %q", target, a.status, location, want)
		}
		if at := f.landing(location); at != f.site {
			l.Errorf("%s: a browser goes to %s", target, at)
		}
	}
}

func (l *lab) rawPaths() {
	f := l.rules()
	f.sure(f.site, "GET", "/open/x", nil, "").is(l.T, http.StatusOK, true)
	for _, target := range []string{"/open/..;/page", `/open/..\page`, "/open/%2e%2e/page", "/open/..%2fpage", "/open/../page", "/open/./../page", `/open\..\page`, "/open/.;/page", "/open/%5c../page", "/open/x\x00", "/open/x%00", "/open/;/../page", "/open//page"} {
		f.sure(f.site, "GET", target, nil, "").nobody(l.T, fmt.Sprintf("%q", target))
	}
	if a := f.sure(f.site, "GET", "/open/\x00", nil, ""); a.status != http.StatusBadRequest {
		l.Errorf("NUL: %d", a.status)
	}
	if a := f.sure(f.site, "GET", "/open/x", []string{"Host: public.example.com"}, ""); a.status != http.StatusBadRequest {
		l.Errorf("two Host headers: %d", a.status)
	}
}

func (l *lab) fragments() {
	f := l.rules()
	for _, target := range []string{"/page#/x", "/page%23/x", "/page#/../open/x", "/page/x#/open/x", "/open/x#/../../page", "/open#/../page", "/open/%23/../page", "/open/x#/page", "/open/x%23/page"} {
		f.ask(f.url+target).nobody(l.T, target)
		f.sure(f.site, "GET", target, nil, "").nobody(l.T, target+" through nginx")
		f.sure(f.replicas[0].address, "GET", "/forward", []string{"X-Forwarded-Uri: " + target, "X-Forwarded-Host: " + f.site, "X-Forwarded-Proto: http", "X-Forwarded-Method: GET"}, "").nobody(l.T, target+" at /forward")
	}
}

func (l *lab) longCookies() {
	f := l.anyone()
	_, line := f.signedInLine("alice")
	m := f.redis.Monitor(l.T)
	m.Commands(l.T)
	for what, test := range map[string]struct {
		address string
		lines   []string
		want    int
	}{
		"30 KB through nginx":            {f.site, []string{"Cookie: a=" + strings.Repeat("b", 30<<10)}, http.StatusBadRequest},
		"1,500 lines through nginx":      {f.site, append(strings.Split(strings.Repeat("Cookie: a=bcdefghijklmnopqrstuvwxyz\n", 1500), "\n")[:1500], line), http.StatusBadRequest},
		"1.1 MB to the service":          {f.replicas[0].address, []string{"Cookie: a=" + strings.Repeat("b", 1100<<10)}, http.StatusRequestHeaderFieldsTooLarge},
		"3,001 cookies to the service":   {f.replicas[0].address, []string{line + strings.Repeat("; a=b", 3000)}, http.StatusUnauthorized},
		"3,001 cookies, ours at the end": {f.replicas[0].address, []string{"Cookie: " + strings.Repeat("a=b; ", 3000) + strings.TrimPrefix(line, "Cookie: ")}, http.StatusUnauthorized},
	} {
		f.backend.forget()
		path := "/auth"
		if test.address == f.site {
			path = "/page"
		}
		if status := f.post(test.address, "GET", path, test.lines, ""); status != test.want || len(f.backend.requests()) > 0 {
			l.Errorf("%s: %d, want %d; the application saw %d requests", what, status, test.want, len(f.backend.requests()))
		}
	}
	quiet(l.T, m, "cookies that are too long")
	if a := f.sure(f.replicas[0].address, "GET", "/auth", []string{line + strings.Repeat("; a=b", 2000)}, ""); a.status != http.StatusOK {
		l.Errorf("2,001 cookies: %d", a.status)
	}
}

// cookieTossing: a sibling host may plant a cookie of our name, before ours or behind it.
func (l *lab) cookieTossing() {
	f := l.anyone()
	_, line := f.signedInLine("alice")
	_, other := f.signedInLine("bob")
	alice, bob := strings.TrimPrefix(line, "Cookie: "), strings.TrimPrefix(other, "Cookie: ")
	value := strings.TrimPrefix(alice, sessionCookie+"=")
	for cookies, want := range map[string]string{ // who passes; "" is nobody
		alice: "alice", alice + "; " + alice: "alice", "authsvc=junk; " + alice: "alice", alice + "; authsvc=junk": "alice", "authsvc=; " + alice: "alice", alice + "; authsvc": "alice",
		alice + "; " + bob: "", bob + "; " + alice: "", "authsvc=junk; " + alice + "; " + bob: "", alice + "; authsvc=junk; " + bob: "",
		"authsvc=" + value + ",b": "", "authsvc=" + value + " b": "", "authsvc=a," + value: "", "authsvc=" + value + value: "", "xauthsvc=" + value: "", "authsvc =" + value + "x": "",
		`authsvc="` + value + `"; ` + bob: "",
	} {
		for _, r := range f.replicas {
			a := f.sure(r.address, "GET", "/auth", []string{"Cookie: " + cookies}, "")
			status := http.StatusOK
			if want == "" {
				status = http.StatusUnauthorized
			}
			if a.status != status || a.header.Get("X-Auth-Request-User") != want {
				l.Errorf("%q: %d %q, want %q", strings.NewReplacer(value, "ALICE", strings.TrimPrefix(bob, sessionCookie+"="), "BOB").Replace(cookies), a.status, a.header.Get("X-Auth-Request-User"), want)
			}
		}
		if want == "" {
			f.sure(f.site, "GET", "/page", []string{"Cookie: " + cookies}, "").nobody(l.T, "through nginx")
		}
	}
}
