package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"authsvc/authsvc/idptest"
	"authsvc/session"
	"authsvc/session/redisstore"
	"authsvc/session/storetest"
)

// ofPeers are the advisories on Authelia, Pomerium, Vouch and traefik-forward-auth.
var ofPeers = []advisory{
	{"CVE-2021-29456", "vectors at the logout", func(l *lab) { l.anyone().logoutStays(returnVectors(l.T, nil)[80:160]) }},
	{"CVE-2021-32637", "addresses that cannot be read", (*lab).unreadableAddresses},
	{"GHSA-x883-2vmg-xwf7", "a group that is taken away", func(l *lab) { l.groupsChange([]string{"others"}) }},
	{"CVE-2026-48794", "other spellings of a host", (*lab).hostSpellings},
	{"CVE-2026-47203 CVE-2025-24806 CVE-2026-33525", "a script in what the provider or a visitor writes", (*lab).scripts},
	{"CVE-2021-29651", "an address in each parameter", (*lab).addressEverywhere},
	{"CVE-2021-29652", "each bit of what is sealed", (*lab).bitFlips},
	{"CVE-2021-41230", "groups that a refresh does not tell any more", func(l *lab) { l.groupsChange(nil) }},
	{"CVE-2022-24797 CVE-2024-39315", "no page tells a token", (*lab).crawl},
	{"CVE-2023-33189", "the judged path is that of the application through nginx", func(l *lab) { gatewayPaths(l.T, gateways[0]) }},
	{"CVE-2024-47616 CVE-2021-39162", "a credential for something else and HTTP2 frames out of turn", (*lab).otherCredentials},
	{"vouch-proxy-redirect-uri", "two sites have each its own redirect address", (*lab).redirectURIs},
	{"traefik-forward-auth-PR-77", "each character of state", (*lab).stateBytes},
}

func TestSecurityAdvisoriesPeers(t *testing.T) { runAdvisories(t) }

// plainOpen are targets below /open/ that everybody reads alike, unless there are two dots in them.
var plainOpen = regexp.MustCompile(`^/open/[!$&-:<-Z_a-z~]{0,190}$`)

// malformed are request targets of which each is no path, or one that two readers may read differently.
var malformed = []string{
	"%", "%zz", "%2", "/%", "/%zz", "/%2", "/open/%", "/open/%zz", "/open/x%0", `\`, `\open\x`, `/open\..\page`, "/open/\x00", "/open/%00", "\x00", "/open/\x80", "/open/\xff\xfe", "/open/\xc0\xae\xc0\xae/page",
	"http://127.0.0.1/open/x", "http://public.example.com/public/x", "//public.example.com/public/x", "*", "", " ", "open/x", "/open/x /page/x", "/open/\tx", "/open/x\x7f", ":80", "://", "http:///open/x", "http://[::1/open/x",
	"/open/" + strings.Repeat("a", 64<<10), "/" + strings.Repeat("%2e", 1000) + "/open/x", "/open/../page/x", "/open/./../page", "/open//../page", "/open/%2e%2e/page", "/open/..;/page", "/open/x#/page", "?/open/x", "/page?/../open/x", "/open/%ff", "/open/%252e%252e/page",
}

func (l *lab) unreadableAddresses() {
	f := l.rules()
	if a := f.ask(f.url + "/open/x"); a.status != http.StatusOK {
		l.Fatalf("a public path: %d", a.status)
	}
	at := f.replicas[0].address
	for _, target := range malformed {
		name := fmt.Sprintf("%.60q", target)
		if plainOpen.MatchString(target) && !strings.Contains(target, "..") {
			l.Fatalf("%s is a plain path", name)
		}
		for what, lines := range map[string][]string{
			"X-Original-URL":  {"X-Original-URL: " + f.url + target, "X-Original-Method: GET"},
			"X-Original-URI":  {"X-Original-URI: " + target, "X-Forwarded-Proto: http", "X-Forwarded-Host: " + f.site, "X-Original-Method: GET"},
			"X-Forwarded-Uri": {"X-Forwarded-Uri: " + target, "X-Forwarded-Proto: http", "X-Forwarded-Host: " + f.site, "X-Forwarded-Method: GET"},
		} {
			endpoint := "/auth"
			if what == "X-Forwarded-Uri" {
				endpoint = "/forward"
			}
			f.sure(at, "GET", endpoint, lines, "").nobody(l.T, what+" "+name)
		}
		f.sure(at, "GET", "/envoy"+target, nil, "").nobody(l.T, "/envoy"+name)
	}
	for what, lines := range map[string][]string{"no header": nil, "an empty header": {"X-Original-URL:", "X-Original-Method: GET"}, "no method": {"X-Original-URL: " + f.url + "/open/x"}, "two": append(about(f.url+"/open/x"), "X-Original-URL: "+f.url+"/open/x")} {
		f.sure(at, "GET", "/auth", lines, "").nobody(l.T, what)
	}
	l.Logf("%d targets", len(malformed))
}

// briefly is a fleet whose access tokens live for two seconds.
func (l *lab) briefly() *fleet {
	return l.part(&l.brief, func(t *testing.T) *fleet {
		return newOpenFleet(t, options{provider: func(o *idptest.Options) { o.AccessTokenLife = 2 * time.Second }})
	})
}

// groupsChange takes alice's groups away at the provider. With the next refresh they do not count any more, and stay so.
func (l *lab) groupsChange(groups []string) {
	f := l.briefly()
	f.provider.SetPerson(person("alice"))
	v, _ := f.signedInLine("alice")
	cookie := v.cookie(sessionCookie)
	if answer := f.judged(f.replicas[0], "?allowed_groups=staff", cookie); answer.status != http.StatusOK {
		l.Fatalf("%v", answer)
	}
	changed := person("alice")
	changed.Groups = groups
	f.provider.SetPerson(changed)
	for _, r := range f.replicas {
		storetest.WaitFor(l.T, "the group to be gone", func() error {
			if answer := f.judged(r, "?allowed_groups=staff", cookie); answer.status != http.StatusForbidden {
				return fmt.Errorf("%d", answer.status)
			}
			return nil
		})
	}
	for _, r := range f.replicas {
		if answer := f.judged(r, "?allowed_groups=staff", cookie); answer.status != http.StatusForbidden {
			l.Errorf("the group is back: %d", answer.status)
		}
		answer := f.judged(r, "", cookie)
		if got := answer.header.Get("X-Auth-Request-Groups"); answer.status != http.StatusOK || got != strings.Join(groups, ",") {
			l.Errorf("the application is told %q", got)
		}
	}
	f.provider.SetPerson(person("alice"))
}

func (l *lab) hostSpellings() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	for _, host := range []string{
		"strict.example.com", "STRICT.example.com", "strict.EXAMPLE.com", "strict.example.com.", "strict.example.com:80", "strict.example.com:443", "strict.example.com:8080", "Strict.Example.Com.:80", "strict.example.com..",
		"xn--bcher-kva.example.com", "XN--BCHER-KVA.example.com", "b\u00fccher.example.com", "B\u00dcCHER.example.com", "bu\u0308cher.example.com", "%73trict.example.com", "user@strict.example.com", "strict\u3002example.com", "strict.example.com\u3002", " strict.example.com", "strict.example.com\t",
	} {
		for what, lines := range map[string][]string{
			"X-Original-URL":   about("http://" + host + "/"),
			"X-Forwarded-Host": {"X-Original-URI: /", "X-Original-Method: GET", "X-Forwarded-Proto: http", "X-Forwarded-Host: " + host},
			"/forward":         {"X-Forwarded-Uri: /", "X-Forwarded-Method: GET", "X-Forwarded-Proto: http", "X-Forwarded-Host: " + host},
		} {
			endpoint := "/auth"
			if what == "/forward" {
				endpoint = what
			}
			f.sure(f.replicas[0].address, "GET", endpoint, lines, "").nobody(l.T, fmt.Sprintf("%s %q", what, host))
			f.sure(f.replicas[0].address, "GET", endpoint, append(lines, alice), "").nobody(l.T, fmt.Sprintf("alice, %s %q", what, host))
		}
	}
	if a := f.ask("http://anything.example.com/"); a.status != http.StatusOK {
		l.Errorf("the looser rule: %d", a.status)
	}
	// nginx has one site, and is the first server for every host.
	for _, host := range []string{"evil.example", "public.example.com", "127.0.0.1.evil.example"} {
		if a := f.sure(f.site, "GET", "http://"+host+"/open/x", []string{alice}, ""); a.status != http.StatusMisdirectedRequest || len(a.seen) > 0 {
			l.Errorf("%s through nginx: %d; the application saw %d requests", host, a.status, len(a.seen))
		}
	}
}

// scripts: nothing that comes from outside stands in a page as it came, and no page may run a script.
func (l *lab) scripts() {
	f := l.anyone()
	const script = `"'><script>alert(1)</script><img src=x onerror=alert(1)>`
	v := f.visitor("alice")
	callback, err := v.toCallback("/page")
	check(l.T, err)
	good := queryOf(l.T, callback)
	look := func(what string, answer reply, err error) {
		l.Helper()
		check(l.T, err)
		policy := answer.header.Get("Content-Security-Policy")
		if strings.Contains(answer.body, "<script>") || strings.Contains(answer.body, "<img") || strings.Contains(answer.body, `"'>`) {
			l.Errorf("%s: the page holds it: %.300s", what, answer.body)
		}
		if answer.body != "" && (!strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") || answer.header.Get("X-Content-Type-Options") != "nosniff") {
			l.Errorf("%s: %d with the policy %q", what, answer.status, policy)
		}
	}
	for _, name := range []string{"error", "error_description", "error_uri", "state", "code", "iss", "session_state"} {
		for _, keep := range []bool{true, false} { // the rest of a good answer
			query := url.Values{}
			if keep {
				query = maps.Clone(good)
				query.Del("code")
			}
			query.Set(name, script)
			if name == "error_description" {
				query.Set("error", "access_denied")
			}
			answer, err := v.send(http.MethodGet, "/callback?"+query.Encode(), nil)
			look("callback, "+name, answer, err)
			if answer.status < 400 && answer.next() == "" {
				l.Errorf("callback, %s: %s", name, answer)
			}
		}
	}
	for _, address := range []string{"/start?rd=", "/sign_in?rd=", "/logout?rd=", "/signed_out?rd=", "/sessions?x=", "/nowhere?x=", "/callback/", "/start/", "/start?restart=", "/userinfo?x="} {
		answer, err := v.send(http.MethodGet, address+url.QueryEscape(script), http.Header{"User-Agent": {script}, "Referer": {"http://" + script}})
		if answer.status == http.StatusFound || strings.HasPrefix(answer.header.Get("Content-Type"), "application/json") {
			check(l.T, err)
			continue // no page of ours
		}
		look(address, answer, err)
	}
	// As its name in the list of sessions.
	f.provider.SetPerson(idptest.Person{Subject: "script", Name: script, PreferredUsername: script, Email: "a@example.com"})
	named := f.visitor("script")
	named.client.Transport = agent{named.client.Transport, script}
	_, err = named.open("/page")
	check(l.T, err)
	answer, err := named.send(http.MethodGet, "/sessions", nil)
	if look("/sessions", answer, err); answer.status != http.StatusOK {
		l.Errorf("%s", answer)
	}
}

// agent is a browser with a name of its own.
type agent struct {
	http.RoundTripper
	name string
}

func (a agent) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", a.name)
	return a.RoundTripper.RoundTrip(r)
}

func (l *lab) addressEverywhere() {
	f := l.anyone()
	provider, err := url.Parse(f.provider.Issuer())
	check(l.T, err)
	v, _ := f.signedInLine("alice")
	const evil = "https://evil.example/x"
	for _, name := range []string{"rd", "url", "redirect", "redirect_uri", "redirect_url", "return_to", "returnTo", "next", "continue", "target", "pomerium_redirect_uri", "post_logout_redirect_uri", "login_hint", "RelayState", "state", "iss", "restart", "provider"} {
		for _, endpoint := range []string{"/start", "/sign_in", "/callback", "/logout", "/sign_out", "/signed_out", "/sessions", "/session", "/auth", "/forward"} {
			answer, err := v.at(f.replicas[0], http.MethodGet, endpoint+"?"+name+"="+url.QueryEscape(evil))
			check(l.T, err)
			next := answer.next()
			if at := f.landing(next); next != "" && at != provider.Host && at != f.site || strings.Contains(answer.body, "evil.example") {
				l.Errorf("%s?%s: %s", endpoint, name, answer)
			}
			if u, err := url.Parse(next); err == nil && u.Host == provider.Host && endpoint != "/logout" && (u.Query().Get("redirect_uri") != f.url+"/callback" || strings.Contains(next, "evil")) {
				l.Errorf("%s?%s leads the provider elsewhere: %s", endpoint, name, next)
			}
		}
	}
	for _, lines := range [][]string{{"X-Auth-Request-Redirect: " + evil}, {"X-Forwarded-Host: evil.example"}, {"X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example", "X-Forwarded-Uri: /x"}, {"Forwarded: host=evil.example"}, {"Referer: " + evil}, {"Origin: https://evil.example"}} {
		a := f.sure(f.replicas[0].address, "GET", "/start", lines, "")
		if u, err := url.Parse(a.header.Get("Location")); err != nil || a.status == http.StatusFound && (u.Host != provider.Host || u.Query().Get("redirect_uri") != f.url+"/callback" || strings.Contains(u.String(), "evil")) {
			l.Errorf("%v: %v", lines, a.header)
		}
	}
}

// flipped are all texts that a text in base64url becomes with one bit changed of what it encodes.
func flipped(t *testing.T, text string) (list []string) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	check(t, err)
	for i := range len(raw) * 8 {
		changed := bytes.Clone(raw)
		changed[i/8] ^= 1 << (i % 8)
		list = append(list, base64.RawURLEncoding.EncodeToString(changed))
	}
	return list
}

func (l *lab) bitFlips() {
	f := l.anyone()
	v, _ := f.signedInLine("alice")
	callback, err := v.toCallback("/page")
	check(l.T, err)
	good, login := v.cookie(sessionCookie), v.cookie(loginCookie)
	query := queryOf(l.T, callback)
	records, before := f.records(), f.tokenRequests()
	sessions := flipped(l.T, good)
	check(l.T, together(len(sessions), 4, func(i int) error {
		answer, err := f.replicas[i%2].authCookie(sessions[i])
		// The first bits are the format: only a genuine one may be a later one, which nobody can tell.
		if err == nil && answer.status != http.StatusUnauthorized {
			err = fmt.Errorf("the session cookie with bit %d changed: %d", i, answer.status)
		}
		return err
	}))
	states := flipped(l.T, query.Get("state"))
	check(l.T, together(len(states), 4, func(i int) error {
		changed := maps.Clone(query)
		changed.Set("state", states[i])
		answer, err := f.replicas[i%2].send("/callback?"+changed.Encode(), http.Header{"Cookie": {loginCookie + "=" + login}})
		if err == nil && answer.status != http.StatusBadRequest {
			err = fmt.Errorf("state with bit %d changed: %s", i, answer)
		}
		return err
	}))
	logins := flipped(l.T, login)
	check(l.T, together(len(logins), 4, func(i int) error {
		answer, err := f.replicas[i%2].send("/callback?"+query.Encode(), http.Header{"Cookie": {loginCookie + "=" + logins[i]}})
		begins := answer.status == http.StatusFound && strings.HasPrefix(answer.header.Get("Location"), f.url+"/start?")
		if err == nil && !begins && answer.status < 400 || strings.Contains(strings.Join(answer.header["Set-Cookie"], ";"), sessionCookie+"=") {
			err = fmt.Errorf("the login cookie with bit %d changed: %s", i, answer)
		}
		return err
	}))
	if n := f.tokenRequests() - before; n != 0 || f.records() != records {
		l.Errorf("%d codes were spent, %d records, before %d", n, f.records(), records)
	}
	l.Logf("%d bits", len(sessions)+len(states)+len(logins))
	answer, err := v.open(callback)
	if err == nil {
		_, err = v.arrived(answer, "/page")
	}
	check(l.T, err) // as it was all the time
}

func (l *lab) stateBytes() {
	f := l.anyone()
	v := f.visitor("alice")
	callback, err := v.toCallback("/page")
	check(l.T, err)
	query, before := queryOf(l.T, callback), f.tokenRequests()
	state := query.Get("state")
	check(l.T, together(len(state), 4, func(i int) error {
		changed := maps.Clone(query)
		changed.Set("state", state[:i]+string(otherCharacter(state[i]))+state[i+1:])
		answer, err := f.replicas[i%2].send("/callback?"+changed.Encode(), http.Header{"Cookie": {loginCookie + "=" + v.cookie(loginCookie)}})
		if err == nil && (answer.status != http.StatusBadRequest || answer.next() != "") {
			err = fmt.Errorf("state with character %d changed: %s", i, answer)
		}
		return err
	}))
	for what, other := range map[string]string{"an address behind it": state + ":https://evil.example", "before it": "https://evil.example:" + state, "a part of it": state[:len(state)-4], "with another's": state + state} {
		changed := maps.Clone(query)
		changed.Set("state", other)
		f.refusedLogin(f.visitor("nobody"), what, f.callback(f.url+"/callback?"+changed.Encode(), loginCookie+"="+v.cookie(loginCookie)), before)
	}
	if n := f.tokenRequests() - before; n != 0 {
		l.Errorf("%d codes were spent", n)
	}
}

// crawl looks at all pages of both listeners, and at the logs, for tokens and other secrets.
func (l *lab) crawl() {
	f := l.anyone()
	c := &canaries{texts: map[string]string{}}
	f.provider.EditTokenResponse(func(answer map[string]any) {
		for _, name := range []string{"access_token", "refresh_token", "id_token"} {
			text, _ := answer[name].(string)
			c.add(name, signatureOf(text))
		}
	})
	defer f.provider.BeHonest()
	v, line := f.signedInLine("alice")
	c.add("session cookie", v.cookie(sessionCookie))
	c.add("login cookie", v.cookie(loginCookie))
	c.add("client secret", clientSecret)
	c.add("cookie secret", f.settings["cookie.secret"])
	paths := []string{"/auth", "/forward", "/envoy/a", "/session", "/sessions", "/userinfo", "/jwks.json", "/logout", "/signed_out", "/callback", "/backchannel-logout", "/debug/pprof/", "/debug/pprof/heap?debug=1",
		"/debug/pprof/goroutine?debug=2", "/debug/pprof/cmdline", "/debug/vars", "/metrics", "/livez", "/readyz", "/readyz?strict=1", "/replicas", "/stats", "/", "/config", "/.pomerium/", "/.well-known/openid-configuration", "/user_info", "/ping", "/env"}
	for _, r := range f.replicas {
		for _, path := range paths {
			for listener, address := range map[string]string{"public": r.address, "admin": r.admin} {
				a := f.sure(address, "GET", path, []string{line, "Accept: text/html"}, "")
				if hits := c.found(fmt.Sprint(a.header) + a.body); len(hits) > 0 {
					l.Errorf("%s of the %s listener tells %v", path, listener, hits)
				}
				if strings.HasPrefix(path, "/debug") && a.status == http.StatusOK && (listener == "public" || strings.Contains(a.body, "goroutine ")) {
					l.Errorf("%s of the %s listener: %d", path, listener, a.status)
				}
			}
		}
		if hits := c.found(r.log.String()); len(hits) > 0 {
			l.Errorf("the log tells %v", hits)
		}
	}
	if len(c.texts) < 12 {
		l.Errorf("only %d canaries", len(c.texts))
	}
}

// otherCredentials: what is good somewhere else is not good here.
func (l *lab) otherCredentials() {
	f := l.anyone()
	v, _ := f.signedInLine("alice")
	ring := keyring(l.T, f.settings["cookie.secret"])
	store, err := redisstore.Open(redisstore.Options{URL: f.redis.URL})
	check(l.T, err)
	defer store.Close()
	check(l.T, store.ReadClock(l.Context()))
	elsewhere := &session.Manager{
		Store: store, Slots: store, Index: store, Keyring: ring, Site: "other", Now: store.Now, IdleTimeout: time.Hour, AbsoluteTimeout: time.Hour,
	}
	held, _, err := elsewhere.Begin(l.Context(), session.Session{Issuer: f.provider.Issuer(), Subject: "alice", Claims: map[string]any{"sub": "alice"}}, session.Tokens{})
	check(l.T, err)
	for what, value := range map[string]string{
		"a session of another site": held.Reveal(),
		"the login cookie":          v.cookie(loginCookie), "a token for another purpose": ring.NewToken(session.PurposeLogin, "main").Reveal(), "one of another site": ring.NewToken(session.PurposeSession, "other").Reveal(),
		"one of another service": keyring(l.T, newSecret()).NewToken(session.PurposeSession, "main").Reveal(), "a logout token": f.provider.LogoutToken(clientID, "alice", "", nil), "one of a session that is not there": ring.NewToken(session.PurposeSession, "main").Reveal(),
	} {
		for _, r := range f.replicas {
			if answer := f.judged(r, "", value); answer.status != http.StatusUnauthorized {
				l.Errorf("%s as session cookie: %v", what, answer)
			}
		}
		answer, err := f.replicas[0].auth("", http.Header{"Authorization": {"Bearer " + value}})
		if err != nil || answer.status != http.StatusUnauthorized {
			l.Errorf("%s as bearer token: %v, %v", what, answer, err)
		}
	}
	l.framesOutOfTurn()
}

// framesOutOfTurn speaks HTTP/2 as no client should, and asks after each whether the service still answers. This is no h2spec.
func (l *lab) framesOutOfTurn() {
	f := l.anyone()
	dir, settings := l.TempDir(), maps.Clone(f.settings)
	certificate, key := pair(l.T, 1)
	replace(l.T, filepath.Join(dir, "cert.pem"), certificate)
	replace(l.T, filepath.Join(dir, "key.pem"), key)
	settings["store.url"], settings["tls.cert_file"], settings["tls.key_file"] = "memory:", filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	r := newReplica(l.T, settings)
	r.awaitReady()
	var fields bytes.Buffer
	encoder := hpack.NewEncoder(&fields)
	for _, field := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", r.address}, {":path", "/auth"}} {
		check(l.T, encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]}))
	}
	block := bytes.Clone(fields.Bytes())
	ask := func(fr *http2.Framer, id uint32) error {
		return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndStream: true, EndHeaders: true})
	}
	for what, misbehave := range map[string]func(fr *http2.Framer) error{
		"GOAWAY at once": func(fr *http2.Framer) error { return fr.WriteGoAway(0, http2.ErrCodeNo, []byte("bye")) },
		"GOAWAY between requests": func(fr *http2.Framer) error {
			return cmp.Or(ask(fr, 1), fr.WriteGoAway(1, http2.ErrCodeInternal, nil), ask(fr, 3), fr.WriteGoAway(0, http2.ErrCodeProtocol, nil))
		},
		"1,000 resets": func(fr *http2.Framer) (err error) {
			for id := uint32(1); id < 2000 && err == nil; id += 2 {
				err = cmp.Or(ask(fr, id), fr.WriteRSTStream(id, http2.ErrCodeCancel))
			}
			return err
		},
		"endless headers": func(fr *http2.Framer) (err error) {
			err = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block})
			for i := 0; i < 1000 && err == nil; i++ {
				err = fr.WriteContinuation(1, false, bytes.Repeat([]byte{0x40, 1, 'a', 1, 'b'}, 200))
			}
			return err
		},
		"10,000 pings": func(fr *http2.Framer) (err error) {
			return times(10_000, func() error { return fr.WritePing(false, [8]byte{}) })
		},
		"10,000 settings": func(fr *http2.Framer) error { return times(10_000, func() error { return fr.WriteSettings() }) },
		"a window of nothing": func(fr *http2.Framer) error {
			return cmp.Or(fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}), ask(fr, 1), ask(fr, 3))
		},
		"an even stream":         func(fr *http2.Framer) error { return ask(fr, 2) },
		"data without a request": func(fr *http2.Framer) error { return fr.WriteData(1, true, []byte("a")) },
		"garbage":                func(fr *http2.Framer) error { return fr.WriteRawFrame(0xfe, 0xff, 1, bytes.Repeat([]byte{0xff}, 1000)) },
	} {
		conn, err := tls.Dial("tcp", r.address, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}) // nobody signed the certificate
		check(l.T, err)
		check(l.T, conn.SetDeadline(time.Now().Add(patience)))
		_, err = io.WriteString(conn, http2.ClientPreface)
		check(l.T, err)
		reading := make(chan struct{})
		go func() { io.Copy(io.Discard, conn); close(reading) }() // until it is closed
		writer := bufio.NewWriter(conn)
		fr := http2.NewFramer(writer, nil)
		fr.AllowIllegalWrites = true
		check(l.T, fr.WriteSettings())
		misbehave(fr)  // the service may have heard enough
		writer.Flush() // likewise
		a := f.overTLS(r.address)
		if a.StatusCode != http.StatusUnauthorized || a.ProtoMajor != 2 {
			l.Errorf("%s: afterwards %s %s", what, a.Proto, a.Status)
		}
		conn.Close()
		<-reading
	}
	if n := r.metric("authsvc_panics_total"); n != "0" {
		l.Errorf("%s panics", n)
	}
}

func times(n int, do func() error) (err error) {
	for i := 0; i < n && err == nil; i++ {
		err = do()
	}
	return err
}

// overTLS asks for a verdict over a new connection.
func (f *fleet) overTLS(address string) *http.Response {
	f.t.Helper()
	way := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	defer way.CloseIdleConnections()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, "https://"+address+"/auth", nil)
	check(f.t, err)
	answer, err := (&http.Client{Transport: way, Timeout: patience}).Do(request)
	check(f.t, err)
	answer.Body.Close()
	return answer
}

// redirectURIs begins logins at two sites at once.
func (l *lab) redirectURIs() {
	f := l.anyone()
	_, port, err := net.SplitHostPort(f.site)
	check(l.T, err)
	address := func(i int) string { return fmt.Sprintf("http://%s.localhost:%s", []string{"a", "b"}[i%2], port) }
	sites, err := json.Marshal([]map[string]any{{"hosts": []string{"b.localhost"}, "public_url": address(1)}})
	check(l.T, err)
	settings := maps.Clone(f.settings)
	settings["store.url"], settings["public_url"], settings["sites"] = "memory:", address(0), string(sites)
	delete(settings, "redirect.allowed_hosts")
	r := newReplica(l.T, settings)
	r.awaitReady()
	const logins = 200
	var states [logins]string
	check(l.T, together(logins, 32, func(i int) error {
		request, err := http.NewRequestWithContext(l.Context(), http.MethodGet, "http://"+r.address+"/start", nil)
		if err != nil {
			return err
		}
		request.Host = strings.TrimPrefix(address(i), "http://")
		answer, err := exchange(direct, request)
		if err != nil {
			return err
		}
		u, err := url.Parse(answer.header.Get("Location"))
		if err != nil || u.Query().Get("redirect_uri") != address(i)+"/callback" {
			return fmt.Errorf("a login at %s: %s, %v", address(i), answer, err)
		}
		states[i] = u.Query().Get("state")
		return nil
	}))
	slices.Sort(states[:])
	if n := len(slices.Compact(states[:])); n != logins {
		l.Errorf("%d different states", n)
	}
}
