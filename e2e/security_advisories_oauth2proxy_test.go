package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

// ofOAuth2Proxy are the advisories on oauth2-proxy.
var ofOAuth2Proxy = []advisory{
	{"CVE-2017-1000069", "a good code with the state of another browser", (*lab).anothersState},
	{"CVE-2017-1000070 GHSA-jm34-xm8m-w958", "every vector at start and at sign-out", func(l *lab) {
		l.anyone().returnsTo(returnVectors(l.T, nil))
		l.open.logoutStays(returnVectors(l.T, nil)[:80])
	}},
	{"CVE-2020-5233 GHSA-qqxw-m5fj-f7gv", "a backslash in the return address", func(l *lab) { l.anyone().returnsTo(returnVectors(l.T, hasBackslash)) }},
	{"CVE-2020-11053 GHSA-j7px-6hwj-hpjg", "control characters in the return address", func(l *lab) { l.anyone().returnsTo(returnVectors(l.T, hasControl)) }},
	{"CVE-2020-4037 GHSA-5m6c-jp6f-2vcv", "a path that cleaning makes unsafe", (*lab).locationsAreNotCleaned},
	{"CVE-2021-21291 GHSA-4mf2-f3wh-gvf2", "a host that ends as an allowed one does", (*lab).hostsByLabel},
	{"CVE-2021-21411 GHSA-652x-m2gr-hppm", "each restriction restricts", (*lab).restrictionsHold},
	{"CVE-2025-54576 GHSA-7rh7-c77v-6434", "a public path in the query of another", (*lab).publicPathInQuery},
	{"CVE-2025-64484 GHSA-vjrc-mh2v-45x6", "eight spellings of identity headers through nginx", func(l *lab) { l.gate("nginx").spelled() }},
	{"CVE-2026-34457 GHSA-5hvv-m4w4-gf6v", "health checks by their user agent", (*lab).healthCheckers},
	{"CVE-2026-40575 GHSA-7x63-xv5r-3p2x", "an address in headers of who is not trusted", (*lab).forwardedByAnyone},
	{"CVE-2026-41059 GHSA-pxq7-h93f-9jrg", "a public rule does not widen", (*lab).publicRuleHolds},
	{"CVE-2026-40574 GHSA-c5c4-8r6x-56w3", "odd addresses do not belong to a domain", (*lab).oddEmails},
	{"CVE-2026-34454 GHSA-f24x-5g9q-753f", "the old cookie after a logout and a new login", (*lab).oldCookie},
}

func TestSecurityAdvisoriesOAuth2Proxy(t *testing.T) { runAdvisories(t) }

func (l *lab) anothersState() {
	f := l.anyone()
	alice, mallory := f.visitor("alice"), f.visitor("bob")
	theirs, err := mallory.toCallback("/page")
	check(l.T, err)
	_, err = alice.toCallback("/page") // she has a login of her own under way
	check(l.T, err)
	records, before := f.records(), f.tokenRequests()
	for what, v := range map[string]*visitor{"another browser": alice, "a browser that has another session": f.visitor("carol")} {
		answer, err := v.send(http.MethodGet, theirs, nil)
		check(l.T, err)
		if what == "another browser" {
			f.refusedLogin(v, what, answer, before)
		} else if answer.status == http.StatusOK || v.cookie(sessionCookie) != "" || f.tokenRequests() != before {
			l.Errorf("a browser without a login: %s", answer)
		}
	}
	if n := f.records(); n != records {
		l.Errorf("%d records, before %d", n, records)
	}
	// The code was good all the time.
	answer, err := mallory.open(theirs)
	if err == nil {
		_, err = mallory.arrived(answer, "/page")
	}
	check(l.T, err)
}

func (l *lab) locationsAreNotCleaned() {
	f := l.anyone()
	f.returnsTo(returnVectors(l.T, hasDots))
	var list []vector
	for _, raw := range []string{`/./\evil.com`, `/.//evil.com`, `/../\evil.com`, `/a/../\evil.com`, `/a/..//evil.com`, `/%2e/\evil.com`, "/./\t/evil.com", "/.;//evil.com"} {
		list = append(list, vector{url.QueryEscape(raw), raw, raw == "/.;//evil.com"}) // the last is a path that no browser changes
	}
	for _, raw := range []string{"/a/./b", "/a/../b?c=d", "/a//b", "/a/.../b", "/a/b/../../c/"} {
		list = append(list, vector{url.QueryEscape(raw), raw, true})
	}
	f.returnsTo(list)
}

func (l *lab) hostsByLabel() {
	f := l.anyone()
	f.returnsTo(returnVectors(l.T, namesHost))
	var list []vector
	for host, allowed := range map[string]bool{
		"foo.bar": true, "bar.foo": true, "a.bar.foo": true, "a.b.bar.foo": true, "FOO.bar": true,
		"notbar.foo": false, "xfoo.bar": false, "a.foo.bar": false, "foo.bar.evil.com": false, "foo.bar.": false, ".bar.foo": false, "bar.foo.": false, "a..bar.foo": false, "foo": false,
		"-bar.foo": false, "foo.bar:8080": false, "port.bar": false, "port.bar:8080": true, "port.bar:80801": false, "foo.bar:80@evil.com": false, "evil.com#.bar.foo": false, "evil.com?.bar.foo": false,
	} {
		raw := "http://" + host + "/x"
		list = append(list, vector{url.QueryEscape(raw), raw, allowed})
	}
	f.returnsTo(list)
}

func (l *lab) restrictionsHold() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	_, bob := f.signedInLine("bob")
	for address, want := range map[string][2]int{ // alice, bob
		"http://groups.example.com/":  {200, 403},
		"http://emails.example.com/":  {200, 403},
		"http://domains.example.com/": {403, 403},
		"http://when.example.com/":    {200, 403},
		"http://strict.example.com/":  {403, 403},
		"http://methods.example.org/": {200, 200},
		"http://acr.example.com/":     {401, 401}, // a login may help
		"http://elsewhere.invalid/":   {403, 403},
	} {
		for i, cookie := range []string{alice, bob} {
			if a := f.ask(address, cookie); a.status != want[i] {
				l.Errorf("%s, %s: %d, want %d", address, []string{"alice", "bob"}[i], a.status, want[i])
			}
		}
		f.ask(address).nobody(l.T, "signed out at "+address)
	}
	if a := f.sure(f.replicas[0].address, "GET", "/auth", []string{alice, "X-Original-URL: http://methods.example.org/", "X-Original-Method: POST"}, ""); a.status != http.StatusForbidden {
		l.Errorf("another method: %d", a.status)
	}
	for query, want := range map[string][2]int{
		"allowed_groups=team-alice": {200, 403}, "allowed_emails=alice@example.com": {200, 403}, "allowed_email_domains=example.com": {200, 200},
		"allowed_email_domains=alice.example": {403, 403}, "rule=for-alice": {200, 403}, "rule=groups": {403, 403}, "rule=nobody": {403, 403}, "allowed_groups=": {403, 403}, "allowed_roles=staff": {403, 403},
		"Rule=for-alice": {403, 403}, "rules=for-alice": {403, 403}, "Allowed_Groups=staff": {403, 403},
	} {
		for i, cookie := range []string{alice, bob} {
			if a := f.sure(f.replicas[0].address, "GET", "/auth?"+query, append(about(f.url+"/page/x"), cookie), ""); a.status != want[i] {
				l.Errorf("?%s, %s: %d, want %d", query, []string{"alice", "bob"}[i], a.status, want[i])
			}
		}
	}
	// What cannot be enforced is not started with.
	for what, rules := range map[string]string{
		"a key that is misspelt": `[{"group": ["a"]}]`, "nobody": `[{"groups": []}]`, "an unknown way to allow": `[{"allow": "publik"}]`, "a wrong expression": `[{"when": "claims.sub ="}]`,
		"an expression about nothing": `[{"when": "person.sub == 'a'"}]`, "a domain that is none": `[{"email_domains": ["@example.com"]}]`, "a public rule for some": `[{"allow": "public", "groups": ["a"]}]`,
		"a path that is a pattern": `[{"paths": ["^/a.*$"]}]`, "a host that is none": `[{"hosts": ["http://a"]}]`, "no method": `[{"methods": ["get"]}]`,
	} {
		file := filepath.Join(l.TempDir(), "authsvc.yaml")
		check(l.T, os.WriteFile(file, fmt.Appendf(nil, "public_url: https://app.example.com\noidc: {issuer: https://id.example.com, client_id: a, client_secret: b}\ncookie: {secret: %s}\nrules: %s\n", newSecret(), rules), 0o600))
		if got := run(l.T, "serve --config "+file); got.code != 2 || !strings.Contains(got.stderr, ": rules[0]") {
			l.Errorf("%s: %+v", what, got)
		}
	}
}

func (l *lab) publicPathInQuery() {
	f := l.rules()
	const host = "http://public.example.com"
	if a := f.ask(host + "/api/health/status"); a.status != http.StatusOK {
		l.Errorf("the public path itself: %d", a.status)
	}
	if a := f.ask(host + "/api/health/status?path=/private"); a.status != http.StatusOK {
		l.Errorf("the public path with a query: %d", a.status)
	}
	// At the site's own host, where nothing else is public.
	for _, target := range []string{"/page/x?path=/open/x", "/page/x?/open/x", "/page/x?x=/../open/x", "/page?/open/", "/alice/x?x=/open/status", "/page/x;/open/x", "/page/x#/open/x", "/page/x%3F/open/x", "/page/x%3f%2Fopen%2Fx"} {
		f.ask(f.url+target).signedOut(l.T, target)
		f.sure(f.site, "GET", target, nil, "").signedOut(l.T, target+" through nginx")
	}
}

func (l *lab) healthCheckers() {
	f := l.anyone()
	for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.33", "ELB-HealthChecker/2.0", "Amazon-Route53-Health-Check-Service", "Consul Health Check", "Prometheus/3.0", "oauth2-proxy/ping", "", "authsvc", "curl/8"} {
		for _, path := range []string{"/auth", "/forward", "/envoy/a", "/auth?ping", "/userinfo", "/session"} {
			for _, header := range [][]string{nil, {"X-Health-Check: 1"}, {"Host: 169.254.169.254"}} {
				lines := append([]string{"User-Agent: " + agent}, header...)
				if len(header) > 0 && strings.HasPrefix(header[0], "Host") {
					lines = lines[:1]
				}
				a := f.sure(f.replicas[0].address, "GET", path, lines, "")
				a.nobody(l.T, agent+" at "+path)
				if a.status != http.StatusUnauthorized {
					l.Errorf("%s at %s: %d, want 401", agent, path, a.status)
				}
			}
		}
		f.sure(f.site, "GET", "/healthz", []string{"User-Agent: " + agent}, "").nobody(l.T, agent+" through nginx")
	}
	for _, path := range []string{"/ping", "/ready", "/livez", "/readyz", "/metrics", "/healthz"} { // which a gateway could be told to ask by mistake
		f.sure(f.replicas[0].address, "GET", path, nil, "").nobody(l.T, path+" of the public listener")
	}
}

// forgeries are ways to say that another address was asked for.
func forgeries(host, target string) [][]string {
	list := [][]string{
		{"X-Forwarded-Uri: " + target}, {"X-Original-URI: " + target}, {"X-Original-URL: http://" + host + target}, {"X-Rewrite-URL: " + target}, {"Forwarded: host=" + host + ";proto=http"},
		{"X-Forwarded-Host: " + host, "X-Forwarded-Proto: http", "X-Forwarded-Method: GET", "X-Forwarded-Uri: " + target}, {"X-Forwarded-Path: " + target}, {"X-Forwarded-Prefix: " + target}, {"X-Auth-Request-Redirect: " + target},
	}
	return append(list, about("http://"+host+target))
}

func (l *lab) forwardedByAnyone() {
	f := l.rules()
	if a := f.ask(f.url + "/open/x"); a.status != http.StatusOK {
		l.Fatalf("the public path itself: %d", a.status)
	}
	// Through nginx, whose visitors may write what they like.
	for _, lines := range forgeries(f.site, "/open/x") {
		f.sure(f.site, "GET", "/page/x", lines, "").signedOut(l.T, strings.Join(lines, ", "))
	}
	// A header besides those that the gateway sets makes the request unknown.
	for _, lines := range forgeries(f.site, "/open/x")[:3] {
		f.ask(f.url+"/page/x", lines...).signedOut(l.T, "beside the gateway's: "+strings.Join(lines, ", "))
	}
	// To a replica that does not trust the peer.
	settings := map[string]string{"store.url": "memory:", "trusted_proxies": "192.0.2.0/24"}
	for name, value := range f.settings {
		if _, set := settings[name]; !set {
			settings[name] = value
		}
	}
	strict := newReplica(l.T, settings)
	strict.awaitReady()
	for _, path := range []string{"/auth", "/forward", "/envoy/open/x"} {
		for _, lines := range forgeries(f.site, "/open/x") {
			f.sure(strict.address, "GET", path, lines, "").signedOut(l.T, "from outside of trusted_proxies, "+path+": "+strings.Join(lines, ", "))
		}
	}
	a := f.sure(strict.address, "GET", "/start", []string{"X-Auth-Request-Redirect: /elsewhere", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https"}, "")
	if u, err := url.Parse(a.header.Get("Location")); err != nil || u.Query().Get("redirect_uri") != f.url+"/callback" {
		l.Errorf("a login from outside of trusted_proxies: %d %v", a.status, a.header)
	}
	// And whom a configuration trusts that does not say.
	config := run(l.T, "config", "AUTHSVC_PUBLIC_URL=https://app.example.com", "AUTHSVC_OIDC_ISSUER=https://id.example.com", "AUTHSVC_OIDC_CLIENT_ID=a", "AUTHSVC_OIDC_CLIENT_SECRET=b", "AUTHSVC_COOKIE_SECRET="+newSecret())
	_, list, _ := strings.Cut(config.stdout, "trusted_proxies:")
	list, _, _ = strings.Cut(list, "oidc:")
	if !strings.Contains(list, "127.0.0.0/8") || !strings.Contains(list, "::1") || strings.Contains(list, "0.0.0.0/0") || strings.Contains(list, "::/0") || strings.Contains(list, "10.") {
		l.Errorf("by default these are trusted: %s", list)
	}
}

func (l *lab) publicRuleHolds() {
	f := l.rules()
	const host = "http://paths.example.com"
	passed := 0
	for _, odd := range []string{"#", "?", "%23", "%3f", "%3F", "%2f", "%2F", "%5c", "%5C", "\\", "%2e", "%2E%2e", "%00", ";x=y", "%3bx=y", "//", "/./", "/../", "/%2e%2e/", "%252f", "%252e%252e/", "/..;/", "%ff", "%c0%af"} {
		for _, target := range around(odd) {
			a := f.sure(f.replicas[0].address, "GET", "/auth", about(host+target), "")
			if a.status == http.StatusOK {
				passed++
				checkReadings(l.T, target, target)
			}
			// The exact form of the advisory: what is public below one path only.
			if strings.HasPrefix(target, "/public") {
				inner := "/page/secret" + odd + "open/endpoint"
				f.ask(f.url+inner).nobody(l.T, inner)
			}
		}
	}
	for target, want := range map[string]int{"/open/secret%23/endpoint": 401, "/open/%23": 401, "/open/secret%3f/endpoint": 401, "/open/a%2fb": 401, "/open/a;b": 401, "/open/a%20b": 200, "/open/a?b=#c": 200} {
		if a := f.ask(f.url + target); a.status != want {
			l.Errorf("%s: %d, want %d", target, a.status, want)
		}
	}
	l.Logf("%d of the odd paths are public", passed)
}

func (l *lab) oddEmails() {
	f := l.anyone()
	for i, test := range []struct {
		email   any
		claims  map[string]any
		belongs bool
	}{
		{"a@company.com", nil, true}, {"a@COMPANY.com", nil, true},
		{"attacker@evil.com@company.com", nil, false}, {"a@company.com@evil.com", nil, false}, {"a@company.com.", nil, false}, {"a@company.com\n", nil, false}, {"a@company.com\r\nX: y", nil, false},
		{" a@company.com", nil, false}, {"a@company.com\x00", nil, false}, {"a@evil.com\n@company.com", nil, false}, {"", nil, false}, {"company.com", nil, false}, {"@company.com", nil, false},
		{"a@c\u03bfmpany.com", nil, false}, {"a@\u217dompany.com", nil, false}, {"a@xn--cmpany-0hd.com", nil, false}, {"a@company.com,b@evil.com", nil, false}, {"b@evil.com,a@company.com", nil, false},
		{`"b@evil.com"@company.com`, nil, false}, {"a@notcompany.com", nil, false}, {"a@evil.company.com", nil, false}, {"A <a@company.com>", nil, false}, {"a@company.com>", nil, false},
		{[]any{"a@company.com"}, nil, false}, {map[string]any{"value": "a@company.com"}, nil, false}, {true, nil, false},
		{"a@company.com", map[string]any{"email_verified": false}, false}, {"a@company.com", map[string]any{"email_verified": "false"}, false}, {"a@company.com", map[string]any{"email_verified": 0}, false},
	} {
		claims := map[string]any{"email": test.email, "email_verified": true}
		for name, value := range test.claims {
			claims[name] = value
		}
		name := fmt.Sprintf("person-%d", i)
		f.provider.SetPerson(idptest.Person{Subject: name, PreferredUsername: name, Claims: claims})
		v := f.visitor(name)
		answer, err := v.open("/page")
		check(l.T, err)
		if answer.status >= 400 {
			if test.belongs || v.cookie(sessionCookie) != "" {
				l.Errorf("%q: %s", test.email, answer)
			}
			continue // refused as it is
		}
		for _, query := range []string{"?allowed_email_domains=company.com", "?allowed_emails=a@company.com"} {
			verdict := f.judged(f.replicas[0], query, v.cookie(sessionCookie))
			if want := map[bool]int{true: 200, false: 403}[test.belongs]; verdict.status != want {
				l.Errorf("%q %v: %s gives %d, want %d", test.email, test.claims, query, verdict.status, want)
			}
		}
	}
}

func (l *lab) oldCookie() {
	f := l.anyone()
	v, line := f.signedInLine("alice")
	old := v.cookie(sessionCookie)
	check(l.T, v.signInAgain("/again"))
	f.refuses(old)
	f.sure(f.site, "GET", "/page", []string{line}, "").nobody(l.T, "the cookie of before the new login")

	last := v.cookie(sessionCookie)
	answer, err := v.logOut()
	check(l.T, err)
	var gone []*http.Cookie
	for _, c := range answer.cookies() {
		if c.Name == sessionCookie {
			gone = append(gone, c)
		}
	}
	if len(gone) != 1 || gone[0].MaxAge >= 0 || gone[0].Value != "" || gone[0].Path != "/" {
		l.Errorf("the logout's cookies: %v", answer.header["Set-Cookie"])
	}
	f.refuses(last)
	for _, cookie := range []string{old, last} {
		f.sure(f.site, "GET", "/page", []string{"Cookie: " + sessionCookie + "=" + cookie}, "").nobody(l.T, "an old cookie")
	}
}
