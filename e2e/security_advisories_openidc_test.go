package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session"
	"authsvc/session/storetest"
)

// ofOpenIDC are the advisories on mod_auth_openidc, lua-resty-openidc and NGINX's OpenID Connect reference.
var ofOpenIDC = []advisory{
	{"CVE-2017-6059 CVE-2017-6062 CVE-2017-6413", "identity headers on every path", (*lab).spelledEverywhere},
	{"CVE-2019-1010247 CVE-2021-32792", "a script in a posted callback and in a kept form", (*lab).postedScripts},
	{"CVE-2019-14857 CVE-2019-20479 CVE-2021-32786 CVE-2021-39191 CVE-2022-23527", "five rounds of return addresses", func(l *lab) {
		var list []vector
		for _, raw := range []string{"///evil.com", "////evil.com", `/\evil.com`, `/\/evil.com`, `\/\/evil.com`, `https://evil\.foo.bar/`, `https://foo.bar\@evil.com/`, "/\t/evil.com", "/\t\\evil.com", "https:evil.com", "https:/evil.com", "https:///evil.com", "http:\\\\evil.com",
			"//foo.bar@evil.com", "javascript://foo.bar/%0aalert(1)", "data:text/html,x", "https://foo.bar%2f@evil.com/", "https://foo.bar%5c@evil.com/", "https://[foo.bar]/", "https://foo.bar:x@evil.com", "/%09//evil.com\\", "https://evil.com\x00.foo.bar/"} {
			list = append(list, vector{url.QueryEscape(raw), raw, false})
		}
		l.anyone().returnsTo(list)
		l.open.logoutStays(list)
	}},
	{"CVE-2021-20718 CVE-2023-28625 CVE-2024-24814", "crafted Cookie headers", (*lab).craftedCookies},
	{"CVE-2021-32785", "cookies that mean something to a format or to Redis", (*lab).cookiesInCommands},
	{"CVE-2021-32791", "two sessions of one person share no block", (*lab).noSharedBlock},
	{"CVE-2025-31492 GHSA-59jp-rwph-878r", "an unauthenticated answer holds nothing of the application", (*lab).nothingOfTheApplication},
	{"CVE-2025-3891", "empty and chunked and huge bodies at every endpoint", (*lab).bodiesEverywhere},
	{"GHSA-wcvh-g65p-v576", "bearer tokens for others or without an end", (*lab).bearerClaims},
	{"mod_auth_openidc-2026-08", "fixation and doubled parameters and logout by subject", (*lab).hardening},
	{"lua-resty-openidc-485 CVE-2024-33531", "ID tokens in another dress", (*lab).dressedTokens},
	{"CVE-2024-10318", "ID tokens with another nonce or none", (*lab).otherNonces},
}

func TestSecurityAdvisoriesOpenIDC(t *testing.T) { runAdvisories(t) }

// spelled is forgedIdentity for a person who signs in for it.
func (f *fleet) spelled() {
	_, line := f.signedInLine("alice")
	f.forgedIdentity(line)
}

func (l *lab) spelledEverywhere() {
	f := l.rules()
	_, alice := f.signedInLine("alice")
	for _, name := range []string{"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups", "X-Auth-Request-Access-Token", "Remote-User", "X-Forwarded-User"} {
		for spelling, lines := range spellings(name, "root") {
			for _, request := range []struct {
				method, target string
				lines          []string
			}{
				{"GET", "/open/x", nil}, {"POST", "/open/x", nil}, {"GET", "/open/x", []string{alice}}, {"OPTIONS", "/open/x", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}},
				{"OPTIONS", "/page/x", []string{"Origin: https://a.example", "Access-Control-Request-Method: PUT"}}, {"OPTIONS", "/page/x", []string{alice}}, {"HEAD", "/page/x", []string{alice}},
				{"GET", "/page/x", nil}, {"GET", "/bob/x", []string{alice}}, {"GET", "/logout", []string{alice}}, {"GET", "/nowhere", []string{alice}}, {"GET", "/callback?error=x", []string{alice}},
			} {
				a := f.sure(f.site, request.method, request.target, append(lines, request.lines...), "")
				for _, saw := range a.seen {
					for header, values := range saw.Header {
						folded := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(header))
						public := strings.HasPrefix(request.target, "/open/") && len(request.lines) != 1
						if strings.Contains(strings.Join(values, " "), "root") || public && strings.HasPrefix(folded, "x-auth-request-") && strings.Join(values, "") != "" {
							l.Errorf("%s %s with %s, %s: the application is told %s: %q", request.method, request.target, name, spelling, header, values)
						}
					}
				}
				if len(a.seen) > 0 && strings.HasPrefix(request.target, "/page/") && len(request.lines) != 1 || len(a.seen) > 0 && strings.HasPrefix(request.target, "/bob/") {
					l.Errorf("%s %s passes", request.method, request.target)
				}
			}
		}
	}
}

func (l *lab) postedScripts() {
	l.scripts()
	f := l.anyone()
	for _, path := range []string{"/callback", "/start", "/sign_in", "/signed_out", "/logout", "/sessions", "/session", "/userinfo", "/nowhere", "/backchannel-logout"} {
		for _, kind := range []string{"application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=b"} {
			a := f.sure(f.replicas[0].address, "POST", path, []string{"Content-Type: " + kind, "Sec-Fetch-Site: cross-site"}, `state=<script>alert(1)</script>&error=<script>alert(1)</script>&a"'><img onerror=alert(1)>=b`)
			if strings.Contains(a.body, "alert(1)") || a.status >= 200 && a.status < 400 {
				l.Errorf("POST %s as %s: %d %.200s", path, kind, a.status, a.body)
			}
		}
	}
}

// craftedCookies sends what has brought peers down. Each answer is 401 or a refusal of the request as it is, in time, and memory stays.
func (l *lab) craftedCookies() {
	f := l.anyone()
	r := f.replicas[0]
	good := f.visitor("alice")
	good.signIn()
	lines := map[string]string{
		"chunks": "authsvc_session_chunks=99999999; authsvc_chunks=99999999; mod_auth_openidc_session_chunks=99999999; authsvc_0=a; authsvc_99999999=b; authsvc_-1=c", "negative chunks": "authsvc_session_chunks=-1; authsvc_0=a",
		"gaps": "authsvc_0=a; authsvc_2=b; authsvc_4=c", "no name": "=a; =b; =", "equals signs": "=; ==; ===; authsvc==; authsvc=====", "semicolons": ";;;;;;;; ; ;authsvc;", "commas": "authsvc=a,authsvc=b", "quotes": `authsvc="`, "spaces": "   authsvc  =  a  ",
		"a huge value": "authsvc=" + strings.Repeat("A", 60_000), "a huge name": strings.Repeat("A", 60_000) + "=a", "a NUL": "authsvc=a\x00b", "high bytes": "authsvc=\xff\xfe\x80", "a tab": "authsvc=\ta\t",
	}
	for _, n := range []int{0, 1, 10, 100, 1000, 2999, 3000, 3001, 10_000} {
		lines[fmt.Sprintf("%d cookies", n)] = strings.Repeat("authsvc=x; ", min(n, 5_000)) + strings.Repeat("a=; ", max(0, n-5_000))
		lines[fmt.Sprintf("%d of them numbered", n)] = func() string {
			var b strings.Builder
			for i := 0; i < n && b.Len() < 60_000; i++ {
				fmt.Fprintf(&b, "authsvc_%d=x; ", i)
			}
			return b.String()
		}()
	}
	lines["a megabyte"] = "authsvc=" + strings.Repeat("A", 1<<20)
	resident := func() float64 {
		size, err := strconv.ParseFloat(r.metric("process_resident_memory_bytes"), 64)
		check(l.T, err)
		return size
	}
	round := func() {
		for what, line := range lines {
			conn, err := net.Dial("tcp", r.address)
			check(l.T, err)
			check(l.T, conn.SetDeadline(time.Now().Add(patience)))
			begun := time.Now()
			wrote := make(chan struct{})
			go func() {
				io.WriteString(conn, "GET /auth HTTP/1.1\r\nHost: a\r\nCookie: "+line+"\r\nConnection: close\r\n\r\n") // an error: it has heard enough
				close(wrote)
			}()
			status := make([]byte, len("HTTP/1.1 401"))
			_, err = io.ReadFull(conn, status)
			took := time.Since(begun)
			conn.Close()
			<-wrote
			if code := string(status[9:]); err != nil || code != "401" && code != "400" && code != "431" {
				l.Errorf("%s: %q, %v", what, status, err)
			}
			if took > 10*50*time.Millisecond {
				l.Errorf("%s: an answer after %v", what, took)
			}
		}
	}
	round()
	before := resident()
	for range 5 {
		round()
	}
	if grown := resident() - before; grown > 64<<20 {
		l.Errorf("the service has grown by %.0f bytes", grown)
	}
	f.knows("alice", good.cookie(sessionCookie))
}

func (l *lab) cookiesInCommands() {
	f := l.anyone()
	v, line := f.signedInLine("alice")
	good := v.cookie(sessionCookie)
	m := f.redis.Monitor(l.T)
	m.Commands(l.T)
	for _, value := range []string{"%s%n%x%d", "%s%s%s%s%s", good + "%s", "a b", "a\tb", `a\r\nFLUSHALL`, "a%0d%0aFLUSHALL", `"a"`, "*", "?", "[a-z]", "{a}", "authsvc:session:*", "../..", "\x00", "a\x00b", "\xff", "a\rFLUSHALL", "$6\x0bFLUSHALL", "'; FLUSHALL; '", "${jndi:ldap://127.0.0.1/}"} {
		for _, name := range []string{sessionCookie, loginCookie} {
			f.sure(f.replicas[0].address, "GET", "/auth", []string{"Cookie: " + name + "=" + value}, "").nobody(l.T, fmt.Sprintf("%s=%q", name, value))
		}
	}
	// A header that is two, were it read so.
	f.sure(f.replicas[0].address, "GET", "/auth", []string{"Cookie: " + sessionCookie + "=a\r\nFLUSHALL\r\nX: y"}, "").nobody(l.T, "CR LF")
	quiet(l.T, m, "such cookies")
	for _, r := range f.replicas {
		if a := f.sure(r.address, "GET", "/auth", []string{line}, ""); a.status != http.StatusOK {
			l.Errorf("the good cookie: %d", a.status)
		}
	}
	// A genuine one that no cache knows: the key is its hash, and nothing of it is in any command.
	m.Commands(l.T)
	unknown := keyring(l.T, f.settings["cookie.secret"]).NewToken(session.PurposeSession, "main")
	f.refuses(unknown.Reveal())
	want, asked := "authsvc:session:{"+unknown.ID().String()+"}", 0
	for _, command := range m.Commands(l.T) {
		for _, argument := range command.Args[1:] {
			if strings.Contains(argument, ":session:") {
				asked++
			}
			if strings.Contains(argument, unknown.Reveal()) || strings.Contains(argument, ":session:") && argument != want {
				l.Errorf("Redis was asked %s", command)
			}
		}
	}
	if asked == 0 {
		l.Error("Redis was not asked")
	}
}

func (l *lab) noSharedBlock() {
	f := l.anyone()
	f.redis.Flush()
	for range 2 {
		f.visitor("alice").signIn()
	}
	const block = 16
	of := map[string]string{} // the ID of the session that a block belongs to
	compared := 0
	for key, values := range f.dump() {
		if !strings.Contains(key, ":session:") && !strings.Contains(key, ":tokens:") {
			continue
		}
		compared++
		_, id, _ := strings.Cut(key, "{")
		for _, value := range values {
			for i := 0; i+block <= len(value); i++ {
				text := string(value[i : i+block])
				if other, found := of[text]; found && other != id {
					l.Fatalf("the sessions %s and %s share the bytes %x", other, id, text)
				}
				of[text] = id
			}
		}
	}
	if compared != 4 || len(of) < 500 {
		l.Errorf("%d values with %d blocks", compared, len(of))
	}
}

func (l *lab) nothingOfTheApplication() {
	f := l.anyone()
	const canary = `"URI"` // of every answer of the application
	_, line := f.signedInLine("alice")
	if a := f.sure(f.site, "GET", "/page", []string{line}, ""); !strings.Contains(a.body, canary) {
		l.Fatalf("the application's own answer: %.200s", a.body)
	}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "TRACE"} {
		for _, target := range []string{"/page", "/", "/status/200", "/status/401", "/status/500", "/page/x", "/socket"} {
			for _, lines := range [][]string{nil, pageHeaders, {"Cookie: " + sessionCookie + "=forged"}, {"Upgrade: websocket", "Connection: Upgrade"}, {"Expect: 100-continue"}, {"Range: bytes=0-10"}} {
				body := ""
				if method == "POST" || method == "PUT" {
					body = "a=b"
				}
				a := f.sure(f.site, method, target, lines, body)
				a.nobody(l.T, method+" "+target)
				if strings.Contains(a.body, canary) {
					l.Errorf("%s %s %v: %.300s", method, target, lines, a.body)
				}
			}
		}
	}
}

// endpoints are all that the service has, below the path of public_url.
var endpoints = []string{"/auth", "/forward", "/envoy/a", "/start", "/sign_in", "/callback", "/callback/a", "/logout", "/sign_out", "/signed_out", "/backchannel-logout", "/session", "/sessions", "/userinfo", "/jwks.json", "/", "/nowhere"}

func (l *lab) bodiesEverywhere() {
	f := l.anyone()
	_, line := f.signedInLine("alice")
	r := f.replicas[0]
	huge := strings.Repeat("a=b&", 300_000)
	for _, endpoint := range endpoints {
		for what, test := range map[string]struct {
			lines []string
			body  string
		}{
			"no length":            {nil, ""},
			"a length of 0":        {[]string{"Content-Length: 0"}, ""},
			"chunked and empty":    {[]string{chunked}, "0\r\n\r\n"},
			"chunked":              {[]string{chunked}, "3\r\na=b\r\n0\r\n\r\n"},
			"a chunk of nonsense":  {[]string{chunked}, "zz\r\n"},
			"an empty form":        {[]string{"Content-Type: application/x-www-form-urlencoded", "Content-Length: 0"}, ""},
			"a form of semicolons": {[]string{"Content-Type: application/x-www-form-urlencoded"}, ";;;%zz=&=&"},
			"multipart of nothing": {[]string{"Content-Type: multipart/form-data"}, "--"},
			"JSON":                 {[]string{"Content-Type: application/json"}, `{"logout_token":`},
			"a megabyte":           {[]string{"Content-Type: application/x-www-form-urlencoded"}, huge},
			"a megabyte of logout": {[]string{"Content-Type: application/x-www-form-urlencoded"}, "logout_token=" + huge},
		} {
			for _, method := range []string{"POST", "PUT"} {
				for _, cookie := range []string{"A: b", line} {
					if cookie == line && (strings.Contains(endpoint, "out") || len(test.body) > 1000) {
						continue // signs out
					}
					status := f.post(r.address, method, endpoint, append([]string{cookie, "Sec-Fetch-Site: cross-site"}, test.lines...), test.body)
					if status < 200 || status >= 600 || status == http.StatusInternalServerError || status == http.StatusOK && !strings.HasPrefix(cookie, "Cookie") && endpoint != "/jwks.json" {
						l.Errorf("%s %s with %s: %d", method, endpoint, what, status)
					}
				}
			}
		}
	}
	if n := r.metric("authsvc_panics_total"); n != "0" {
		l.Errorf("%s panics", n)
	}
	if a := f.sure(r.address, "GET", "/auth", []string{line}, ""); a.status != http.StatusOK {
		l.Errorf("the session afterwards: %d", a.status)
	}
}

// post sends a request whose answer may come before its body has gone, and returns the status.
func (f *fleet) post(address, method, target string, lines []string, body string) int {
	f.t.Helper()
	conn, err := net.Dial("tcp", address)
	check(f.t, err)
	defer conn.Close()
	check(f.t, conn.SetDeadline(time.Now().Add(patience)))
	if body != "" && !strings.Contains(strings.Join(lines, ","), chunked) {
		lines = append(lines, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	wrote := make(chan struct{})
	go func() {
		io.WriteString(conn, method+" "+target+" HTTP/1.1\r\nHost: "+address+"\r\n"+strings.Join(lines, "\r\n")+"\r\n\r\n"+body) // an error: it has heard enough
		close(wrote)
	}()
	status := make([]byte, len("HTTP/1.1 401"))
	_, err = io.ReadFull(conn, status)
	conn.Close()
	<-wrote
	if err != nil {
		f.t.Errorf("%s %s: %v", method, target, err)
		return 0
	}
	code, err := strconv.Atoi(string(status[9:]))
	check(f.t, err)
	return code
}

func (l *lab) bearerClaims() {
	f := l.anyone()
	const audience = "https://api.example.com"
	bearer, err := json.Marshal([]map[string]any{{"issuer": f.provider.Issuer(), "audiences": []string{audience}}})
	check(l.T, err)
	settings := maps.Clone(f.settings)
	settings["store.url"], settings["bearer"] = "memory:", string(bearer)
	r := newReplica(l.T, settings)
	r.awaitReady()
	ask := func(edit func(header, claims map[string]any)) int {
		header := map[string]any{"alg": "RS256", "typ": "at+jwt", "kid": f.provider.KeyID()}
		claims := map[string]any{"iss": f.provider.Issuer(), "aud": audience, "sub": "machine", "client_id": "batch", "jti": rand.Text(), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
		if edit != nil {
			edit(header, claims)
		}
		write := func(v any) []byte {
			text, err := json.Marshal(v)
			check(l.T, err)
			return text
		}
		token := f.provider.Sign(write(header), write(claims))
		return surely(l.T, func() (reply, error) { return r.auth("", http.Header{"Authorization": {"Bearer " + token}}) }).status
	}
	storetest.WaitFor(l.T, "a good token to pass", func() error { // the keys may take a moment
		if status := ask(nil); status != http.StatusOK {
			return fmt.Errorf("%d", status)
		}
		return nil
	})
	set := func(name string, value any) func(_, claims map[string]any) {
		return func(_, claims map[string]any) {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
	}
	for what, edit := range map[string]func(header, claims map[string]any){
		"another aud": set("aud", "https://other.example.com"), "no aud": set("aud", nil), "an aud of several others": set("aud", []string{"a", "b"}), "an aud that begins so": set("aud", audience+"/v2"), "an empty aud": set("aud", ""),
		"another iss": set("iss", "https://evil.example"), "no iss": set("iss", nil), "iss with a slash": set("iss", f.provider.Issuer()+"/"),
		"no exp": set("exp", nil), "an exp of yesterday": set("exp", time.Now().Add(-24*time.Hour).Unix()), "an exp of text": set("exp", "never"), "an exp of 0": set("exp", 0), "an nbf of tomorrow": set("nbf", time.Now().Add(24*time.Hour).Unix()),
		"an ID token": func(header, claims map[string]any) {
			header["typ"] = "JWT"
			claims["aud"] = clientID
			claims["nonce"] = "a"
		},
		"alg none": func(header, _ map[string]any) { header["alg"] = "none" },
	} {
		if status := ask(edit); status != http.StatusUnauthorized {
			l.Errorf("%s: %d, want 401", what, status)
		}
	}
	// And where no configuration asks for it, the header means nothing.
	answer, err := f.replicas[0].auth("", http.Header{"Authorization": {"Bearer " + f.provider.Sign([]byte(`{"alg":"RS256","kid":"`+f.provider.KeyID()+`"}`), []byte(`{"iss":"`+f.provider.Issuer()+`","sub":"a","aud":"`+audience+`","exp":9999999999}`))}})
	if err != nil || answer.status != http.StatusUnauthorized {
		l.Errorf("without bearer: %v, %v", answer, err)
	}
}

func (l *lab) hardening() {
	f := l.anyone()
	f.redis.Flush()
	// Fixation: a login never goes on with the session or the token that the browser came with.
	mallory, _ := f.signedInLine("bob")
	planted := mallory.cookie(sessionCookie)
	victim := f.visitor("alice")
	victim.client.Jar.SetCookies(f.address(), []*http.Cookie{{Name: sessionCookie, Value: planted, Path: "/"}})
	check(l.T, victim.signInAgain("/page"))
	if got := victim.cookie(sessionCookie); got == planted || got == "" {
		l.Error("the login has kept the planted cookie")
	}
	f.refuses(planted)

	// Doubled parameters.
	v := f.visitor("carol")
	callback, err := v.toCallback("/page")
	check(l.T, err)
	before := f.tokenRequests()
	for _, name := range []string{"state", "code", "iss"} {
		answer, err := v.send(http.MethodGet, callback+"&"+name+"="+url.QueryEscape(queryOf(l.T, callback).Get(name)), nil)
		check(l.T, err)
		f.refusedLogin(v, "doubled "+name, answer, before)
	}

	// A logout token that lacks what makes it one, or is doubled; then a good one, which ends every session of its subject.
	second, _ := f.signedInLine("alice")
	logout := func(form url.Values) int {
		request, err := http.NewRequestWithContext(l.Context(), http.MethodPost, f.url+"/backchannel-logout", strings.NewReader(form.Encode()))
		check(l.T, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := exchange(direct, request)
		check(l.T, err)
		return answer.status
	}
	good := f.provider.LogoutToken(clientID, "alice", "", nil)
	for what, form := range map[string]url.Values{
		"no iat":  {"logout_token": {f.provider.LogoutToken(clientID, "alice", "", func(_, claims map[string]any) { delete(claims, "iat") })}},
		"no jti":  {"logout_token": {f.provider.LogoutToken(clientID, "alice", "", func(_, claims map[string]any) { delete(claims, "jti") })}},
		"doubled": {"logout_token": {good, good}},
		"nothing": {},
	} {
		if status := logout(form); status != http.StatusBadRequest {
			l.Errorf("a logout token with %s: %d, want 400", what, status)
		}
	}
	for _, v := range []*visitor{victim, second} {
		f.knows("alice", v.cookie(sessionCookie))
	}
	if status := logout(url.Values{"logout_token": {good}}); status != http.StatusOK {
		l.Errorf("a good logout token: %d", status)
	}
	for _, v := range []*visitor{victim, second} {
		if err := f.refused(v.cookie(sessionCookie)); err != nil {
			l.Error(err)
		}
	}
}

// failedLogin signs in while the provider misbehaves, and checks that this is why it ends without a session.
func (f *fleet) failedLogin(what string) {
	f.t.Helper()
	records := f.records()
	v := f.visitor("alice")
	answer := surely(f.t, func() (reply, error) { return v.open("/start?rd=%2Fpage") })
	if answer.status != http.StatusBadGateway || v.cookie(sessionCookie) != "" || f.records() != records {
		f.t.Errorf("%s: %s; cookies %v, %d records, before %d", what, answer, v.cookies(), f.records(), records)
	}
	if strings.Contains(answer.body, "eyJ") {
		f.t.Errorf("%s: the page holds a token", what)
	}
}

func (l *lab) dressedTokens() {
	f := l.anyone()
	defer f.provider.BeHonest()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	check(l.T, err)
	encrypted, err := idptest.Encrypted(key.Public())
	check(l.T, err)
	toThem, err := idptest.Encrypted(f.provider.PublicKey())
	check(l.T, err)
	header := func(extra string) func(string, map[string]any) string {
		return func(_ string, claims map[string]any) string {
			text, _ := json.Marshal(claims)
			return f.provider.Sign([]byte(`{"alg":"RS256","kid":"`+f.provider.KeyID()+`",`+extra+`}`), text)
		}
	}
	unsigned := func(header string) func(string, map[string]any) string {
		return func(_ string, claims map[string]any) string {
			text, _ := json.Marshal(claims)
			return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString(text) + ".AAAA"
		}
	}
	for what, forge := range map[string]func(string, map[string]any) string{
		"a JWE": encrypted, "a JWE for the provider": toThem, "a signed one with enc": header(`"enc":"A128GCM"`), "a signed one with zip": header(`"zip":"DEF"`), "an unsigned one with enc": unsigned(`{"alg":"dir","enc":"A128GCM"}`),
		"an unsigned one with enc and alg": unsigned(`{"alg":"RS256","enc":"A128CBC-HS256","kid":"` + f.provider.KeyID() + `"}`), "alg none": idptest.Unsigned("none"), "no alg": idptest.Unsigned(""),
		"a JWS in JSON": func(signed string, _ map[string]any) string {
			part := strings.Split(signed, ".")
			return fmt.Sprintf(`{"payload":%q,"protected":%q,"signature":%q}`, part[1], part[0], part[2])
		},
		"a JWS in general JSON": func(signed string, _ map[string]any) string {
			part := strings.Split(signed, ".")
			return fmt.Sprintf(`{"payload":%q,"signatures":[{"protected":%q,"signature":%q}]}`, part[1], part[0], part[2])
		},
		"no signature": func(signed string, _ map[string]any) string { return signed[:strings.LastIndexByte(signed, '.')+1] }, "a bad signature": idptest.BadSignature,
		"five parts": func(signed string, _ map[string]any) string { return signed + ".a.b" }, "two tokens": func(signed string, _ map[string]any) string { return signed + " " + signed },
	} {
		f.provider.ReplaceIDToken(forge)
		f.failedLogin(what)
	}
}

func (l *lab) otherNonces() {
	f := l.anyone()
	defer f.provider.BeHonest()
	other := f.visitor("bob")
	location, err := other.walk(f.url+"/start", f.atProvider)
	check(l.T, err)
	anothers := queryOf(l.T, location.header.Get("Location")).Get("nonce")
	if anothers == "" {
		l.Fatal("no nonce")
	}
	for what, nonce := range map[string]any{"another session's": anothers, "none": nil, "empty": "", "a list": []string{anothers}, "a number": 1} {
		f.provider.EditIDToken(func(_, claims map[string]any) {
			if claims["nonce"] = nonce; nonce == nil {
				delete(claims, "nonce")
			}
		})
		f.failedLogin("nonce: " + what)
	}
	// Nor one of the same browser's other login.
	f.provider.BeHonest()
	v := f.visitor("alice")
	first, err := v.toCallback("/first")
	check(l.T, err)
	second, err := v.toCallback("/second")
	check(l.T, err)
	mixed := queryOf(l.T, first)
	mixed.Set("code", queryOf(l.T, second).Get("code"))
	answer, err := v.send(http.MethodGet, "/callback?"+mixed.Encode(), nil)
	if err != nil || answer.status < 400 || v.cookie(sessionCookie) != "" {
		l.Errorf("the code of another login: %s, %v", answer, err)
	}
}
