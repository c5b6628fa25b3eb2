package authsvc

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"authsvc/session"
	"authsvc/session/memstore"
)

func fuzzKeyring(f *testing.F) *session.Keyring {
	f.Helper()
	ring, err := session.NewKeyring([][]byte{[]byte(strings.Repeat("k", session.MasterKeySize))})
	if err != nil {
		f.Fatal(err)
	}
	return ring
}

// FuzzCookie reads any Cookie header: a token that comes out stood in it letter by letter, and a genuine one behind it is found
// unless another one was there.
func FuzzCookie(f *testing.F) {
	ring := fuzzKeyring(f)
	good, other := ring.NewToken(session.PurposeSession, mainSite), ring.NewToken(session.PurposeSession, mainSite)
	c := cookie{name: "authsvc", purpose: session.PurposeSession}
	for _, seed := range []string{
		"", "authsvc=", "authsvc=junk", "authsvc=" + good.Reveal(), "authsvc=" + other.Reveal(), `authsvc="` + other.Reveal() + `"`, "authsvc=" + other.Reveal()[:50],
		";;=;authsvc", "authsvc_login=" + good.Reveal(), "a=b; authsvc=%00\x00", "authsvc=" + ring.NewToken(session.PurposeLogin, mainSite).Reveal(), strings.Repeat("a=b;", 100),
		"authsvc=%s%n", "authsvc=a\r\nFLUSHALL", "authsvc=a,b", "authsvc=x y", `authsvc="; authsvc=""; authsvc="a`, " authsvc = \ta ;\tauthsvc\v=b", strings.Repeat("a=b;", 2998), strings.Repeat(";", 1499), strings.Repeat(";", 1498), "authsvc_0=a; authsvc_99999999=b", "authsvc=" + good.Reveal() + "; authsvc=" + other.Reveal(),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		read := func(header string) (session.Token, error) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header["Cookie"] = []string{header}
			return c.read(ring, mainSite, r)
		}
		several := &http.Request{Header: http.Header{"Cookie": {header, "a=b", "authsvc=last; " + header}}}
		found := cookiesNamed(several.Header, "authsvc")
		for _, want := range several.CookiesNamed("authsvc") {
			if !found.next() || found.value != want.Value {
				t.Fatalf("%q: %q, and net/http reads %q", header, found.value, want.Value)
			}
		}
		if found.next() {
			t.Fatalf("%q: %q, which net/http does not read", header, found.value)
		}
		token, err := read(header)
		switch {
		case err == nil && (token.IsZero() || !strings.Contains(header, token.Reveal())):
			t.Fatalf("%q gives a token that is not in it", header)
		case err != nil && !token.IsZero():
			t.Fatalf("%q gives an error and a token", header)
		case err != nil && !errors.Is(err, errNoCookie) && !errors.Is(err, session.ErrTokenInvalid) && !errors.Is(err, errCookieDoubled):
			t.Fatalf("%q: %v", header, err)
		}
		if strings.Count(header, ";") > 2900 || strings.Count(header, `"`)%2 == 1 {
			return // net/http refuses 3,000 cookies
		}
		again, err2 := read(header + "; authsvc=" + good.Reveal())
		switch {
		case errors.Is(err, errCookieDoubled), err == nil && token != good:
			if !errors.Is(err2, errCookieDoubled) {
				t.Fatalf("%q and a second genuine cookie: %v", header, err2)
			}
		case err2 != nil || again != good:
			t.Fatalf("%q hides a genuine cookie: %v", header, err2)
		}
	})
}

// FuzzState opens any state: what opens is what seal made, and has one spelling. And it seals any address: the state stays short, opens again, and keeps
// the address or what shorten leaves of it. The seeds are good states; whatever a change leaves open must still say what they said.
func FuzzState(f *testing.F) {
	ring := fuzzKeyring(f)
	state, _ := attempt{Expires: time.Unix(1<<31, 0), ReturnTo: "/a", Browser: session.ID{1}}.seal(ring, mainSite)
	foreign, _ := attempt{Expires: time.Unix(1<<31, 0), ReturnTo: "/a", Browser: session.ID{1}}.seal(ring, "other")
	for _, seed := range []string{"", "A", state, foreign, state[:len(state)-1], state + "\n", state[:9] + "\r\n" + state[9:], state + "=", strings.Repeat("A", maxState+1)} {
		f.Add(seed, "/", 1, []byte("former"))
	}
	for _, seed := range []string{"/", "/a?b=c#d", "https://app.example.com/" + strings.Repeat("a", 3000), "https://app.example.com?" + strings.Repeat("ä", 2000), "/\x00\xff"} {
		f.Add("", seed, 1, []byte("former"))
	}
	f.Fuzz(func(t *testing.T, text, returnTo string, restarts int, former []byte) {
		a, err := openAttempt(ring, mainSite, text)
		raw, _ := base64.RawURLEncoding.DecodeString(text)
		switch {
		case err == nil && base64.RawURLEncoding.EncodeToString(raw) != text:
			t.Fatalf("%q opens: a second spelling of one state", text)
		case err == nil && (a.ReturnTo != "/a" || a.Browser != session.ID{1}):
			t.Fatalf("%+v", a)
		case err != nil && !errors.Is(err, errState):
			t.Fatalf("%v", err)
		}
		sealsAndOpens(t, ring, returnTo, restarts, former)
	})
}

func sealsAndOpens(t *testing.T, ring *session.Keyring, returnTo string, restarts int, former []byte) {
	t.Helper()
	before := attempt{Expires: time.Unix(1<<31, 0), Restarts: restarts, ReturnTo: returnTo, Browser: session.ID{1}}
	copy(before.Former[:], former)
	state, shortened := before.seal(ring, mainSite)
	if len(state) >= maxState {
		t.Fatalf("%d bytes of state", len(state))
	}
	after, err := openAttempt(ring, mainSite, state)
	if err != nil {
		t.Fatalf("it does not open: %v", err)
	}
	if !after.Expires.Equal(before.Expires) || after.Restarts != restarts || after.Former != before.Former || after.Browser != before.Browser {
		t.Fatalf("%+v became %+v", before, after)
	}
	if !shortened && after.ReturnTo != returnTo {
		t.Fatalf("%q became %q", returnTo, after.ReturnTo)
	}
	if shortened && len(after.ReturnTo) >= len(returnTo) && after.ReturnTo != "/" {
		t.Fatalf("%q was shortened to %q", returnTo, after.ReturnTo)
	}
	if len(returnTo) < 1000 && shortened {
		t.Fatalf("%d bytes of address were shortened", len(returnTo))
	}
}

// FuzzAsked reads any headers of /auth and of /forward: what is told to have been asked agrees with each of them, and is an address that a browser could
// have asked for. Where the browser is stands in the headers as told, whatever a stranger wrote before that.
func FuzzAsked(f *testing.F) {
	f.Add("https://app.example.com/a?b", "", "", "", "GET", "app.example.com", "")
	f.Add("", "https", "app.example.com:8443", "/a//b%2f", "POST", "x", "203.0.113.7")
	f.Add("http://[::1]:80", "http", "[::1]", "/", "M-SEARCH", "", "203.0.113.7, 10.0.0.2")
	f.Add("", "https", "a@b", "?", "GET", "b", "2001:db8::1, [::1]:80")
	f.Add("", "ftp", "a", "b", "GET", "", "10.0.0.1,,10.0.0.2")
	f.Add("https://a\\b/", "ftp", "a", ".b/", "", "a", "unknown, 10.0.0.2")
	f.Add("", "https", "", "/a", "GET", "", "::ffff:203.0.113.7")
	f.Fuzz(func(t *testing.T, original, proto, host, uri, method, ownHost, forwardedFor string) {
		r := httptest.NewRequest(http.MethodGet, "/auth", nil)
		r.Host = ownHost
		for name, value := range map[string]string{"X-Original-Url": original, "X-Forwarded-Proto": proto, "X-Forwarded-Host": host, "X-Original-Uri": uri, "X-Original-Method": method} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		comesFromWhereItIsTold(t, r, forwardedFor)
		forwardAgrees(t, proto, host, uri, method)
		a, err := askedOfAuth(r, requestInfo{}, nil)
		if err != nil {
			if !errors.Is(err, errRequestUnknown) {
				t.Fatalf("%v", err)
			}
			if a.URI == "" {
				return // nothing is told
			}
		}
		if a.Scheme != "http" && a.Scheme != "https" || !strings.HasPrefix(a.URI, "/") {
			t.Fatalf("%+v", a)
		}
		if strings.ContainsFunc(a.url(), func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			t.Fatalf("%q", a.url())
		}
		scheme, authority, rest, ok := splitURL(a.url())
		if !ok || scheme != a.Scheme || authority != a.Host || rest != a.URI {
			t.Fatalf("%q is read as %q, %q, %q", a.url(), scheme, authority, rest)
		}
		at, err := parseHostPort(a.Scheme, a.Host)
		if err != nil || at.standard && strings.Contains(strings.TrimSuffix(a.Host, "]"), "]:") {
			t.Fatalf("host %q: %v", a.Host, err)
		}
		if uri != "" && a.URI != uri || proto != "" && a.Scheme != lowerASCII(proto) || method != a.Method {
			t.Fatalf("%+v disagrees with %q, %q, %q", a, uri, proto, method)
		}
	})
}

var gatewayNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func comesFromWhereItIsTold(t *testing.T, r *http.Request, forwardedFor string) {
	t.Helper()
	r.RemoteAddr = "10.1.2.3:4567"
	at := func(forwardedFor string) string {
		r.Header["X-Forwarded-For"] = []string{forwardedFor}
		return addressText(browserAddress(gatewayNetworks, r))
	}
	found := at(forwardedFor)
	if found == "" {
		return
	}
	address, err := netip.ParseAddr(found)
	if err != nil || address.String() != found || address.Zone() != "" || address.Is4In6() {
		t.Fatalf("%q gives %q", forwardedFor, found)
	}
	if slices.ContainsFunc(gatewayNetworks, func(network netip.Prefix) bool { return network.Contains(address) }) {
		return // only proxies are named: the first of them counts
	}
	for _, forged := range []string{"198.51.100.1", "unknown", "10.0.0.9", "a, b"} {
		if again := at(forged + ", " + forwardedFor); again != found {
			t.Fatalf("%q gives %q, and with %q before it %q", forwardedFor, found, forged, again)
		}
	}
}

func forwardAgrees(t *testing.T, proto, host, uri, method string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/forward", nil)
	for name, value := range map[string]string{"X-Forwarded-Proto": proto, "X-Forwarded-Host": host, "X-Forwarded-Uri": uri, "X-Forwarded-Method": method} {
		r.Header[name] = []string{value}
	}
	a, err := askedOfForward(r, requestInfo{}, nil)
	if err != nil && !errors.Is(err, errRequestUnknown) {
		t.Fatal(err)
	}
	if a.URI == "" {
		return
	}
	at, err := parseHostPort(a.Scheme, host)
	if a.URI != uri || a.Method != method || a.Scheme != "http" && a.Scheme != "https" || err != nil || !strings.HasPrefix(a.Host, at.host) {
		t.Fatalf("%q, %q, %q, %q are read as %+v", proto, host, uri, method, a)
	}
}

// FuzzEnvoyPath asks /envoy/ with whatever request line net/http can read: a verdict, and a login that ends at exactly what was asked,
// at what is left of it where it is too long, or nowhere in particular.
func FuzzEnvoyPath(f *testing.F) {
	config := DefaultConfig()
	config.PublicURL, config.OIDC.Issuer, config.OIDC.ClientID = "https://app.example.com/oauth2", "https://login.example.com", "app"
	config.Cookie.Secret, config.Redirect.AllowedHosts = []Secret{cookieSecret(1)}, []string{"*.shop.example.com"}
	config.Complete()
	store := &faultyStore{Store: memstore.New(time.Now)}
	service, err := New(Options{Config: config, Store: store, Log: zerolog.Nop(), Metrics: prometheus.NewRegistry()})
	if err != nil {
		f.Fatal(err)
	}
	handler := service.Handler()
	for _, uri := range []string{"/", "//", "/a//b", "/a%2Fb;c?d;e&f=%zz", "/../x", "/%2e%2e/", "/grüße", "/#a", "/\\evil.example", "/?", "/oauth2/envoy/", "/*", "/{a}", "?a", "/" + strings.Repeat("a", 4000)} {
		f.Add(uri, "app.example.com", "", true)
	}
	f.Add("/a", "a.shop.example.com", "http", false)
	f.Add("//evil.example", "evil.example:443", "HTTPS", false)
	f.Add("@evil.example/", "app.example.com", "https,http", true)
	f.Fuzz(func(t *testing.T, uri, host, proto string, page bool) {
		const prefix = "/oauth2/envoy"
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("GET " + prefix + uri + " HTTP/1.1\r\nHost: h\r\n\r\n")))
		if err != nil || r.RequestURI != prefix+uri || !strings.HasPrefix(uri, "/") {
			return // net/http answers 400, or it is none of ours
		}
		r.RemoteAddr, r.Host = trustedPeer, host
		r.Header["X-Forwarded-Proto"] = []string{proto}
		status, name := http.StatusUnauthorized, "X-Auth-Login-Url"
		if page {
			r.Header.Set("Sec-Fetch-Mode", "navigate")
			status, name = http.StatusFound, "Location"
		}
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		login, ours := strings.CutPrefix(answer.Header().Get(name), config.PublicURL+"/start")
		if answer.Code != status || !ours || answer.Body.Len() > 0 {
			t.Fatalf("%d, %v", answer.Code, answer.Header())
		}
		escaped, returns := strings.CutPrefix(login, "?rd=")
		if !returns {
			if login != "" {
				t.Fatalf("%q", login)
			}
			return
		}
		scheme := lowerASCII(proto)
		if scheme == "" {
			scheme = "https"
		}
		at, err := parseHostPort(scheme, host)
		returnTo, wrong := url.QueryUnescape(escaped)
		if err != nil || wrong != nil || at.host != "app.example.com" && !strings.HasSuffix(at.host, ".shop.example.com") && at.host != "shop.example.com" || !at.standard {
			t.Fatalf("%q, %q: a login ends at %q", host, proto, returnTo)
		}
		if whole := scheme + "://" + at.host + uri; returnTo != whole && (len(url.QueryEscape(whole)) < 2900 || !strings.HasPrefix(whole, returnTo)) {
			t.Fatalf("%q became %q", whole, returnTo)
		}
	})
}

// FuzzQuery reads any query. Of /auth it decides for somebody in no group and without an address: any query that names a restriction refuses them, and any that
// does not lets them pass. Of /start it agrees with net/url on the first parameter, wherever that can read the query.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{
		"", "a=b", "allowed_groups=x", "allowed_groups=", "rule7", "%20Rules=x", "arule", "%61llowed_emails=", "rule", "a=b&allowed_email_domains=*", "ALLOWED", "%zz", "a;b", "=allowed", "a=allowed_groups",
		"rd", "rd=", "rd=/a", "x=y&rd=%2Fa%3Fb%26c&rd=no", "rd=a+b", "rd=%", "RD=a", "&&rd=a=b", "rd=/a;b", "rd=/a?x=1&rd=https://evil.com",
	} {
		f.Add(seed)
	}
	anybody, _ := compileRules(nil, []string{"groups"})
	nobody := &session.Session{Subject: "nobody", Claims: map[string]any{}}
	f.Fuzz(func(t *testing.T, query string) {
		restricts, readable := false, true
		for pair := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(pair, "=")
			key, err := url.QueryUnescape(name)
			if _, valueErr := url.QueryUnescape(value); err != nil || valueErr != nil || strings.Contains(pair, ";") {
				readable = false
			}
			for _, begins := range []string{"allowed", "rule"} { // also where it is no name of ours: who wrote it meant to restrict
				if start := strings.TrimLeftFunc(key, unicode.IsSpace); len(start) >= len(begins) && lowerASCII(start[:len(begins)]) == begins {
					restricts = true
				}
			}
		}
		d := decide(anybody.match(asked{}, false), nobody, parseNarrowing(query), time.Time{})
		if want := !restricts && readable; (d.Outcome == Allow) != want || d.Outcome != Allow && d.Outcome != Deny {
			t.Fatalf("%q: %v, %s", query, d.Outcome, d.Reason)
		}
		got, err := firstParameter(query, "rd")
		if values, parseErr := url.ParseQuery(query); parseErr == nil && !strings.Contains(query, "%72") && !strings.Contains(query, "%64") {
			if want := values.Get("rd"); err != nil || got != want {
				t.Fatalf("%q: %q, %v; net/url reads %q", query, got, err, want)
			}
		}
		if escaped, err := firstParameter("rd="+url.QueryEscape(query)+"&rd=second", "rd"); err != nil || escaped != query {
			t.Fatalf("%q comes back as %q, %v", query, escaped, err)
		}
	})
}

// FuzzClaims decodes any JSON and looks a path up: it accepts what encoding/json accepts as an object, gives only the kinds that a session
// promises, and what it gives survives being written and read.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1,"b":[1.5,{"c":"d"}],"e":null,"f":true}`, `{"a.b":{"c":1}}`, `{"a":1e400}`, `{"a":-0}`, `{"a":1}x`, `null`, `[]`, `{"a":1,"a":2}`} {
		f.Add([]byte(seed), "a.b.c")
	}
	f.Fuzz(func(t *testing.T, text []byte, path string) {
		claims, err := decodeClaims(text)
		var reference map[string]any
		if wrong := json.Unmarshal(text, &reference); reference != nil && wrong == nil && err != nil {
			t.Fatalf("%q: %v", text, err)
		} else if wrong != nil && err == nil && !strings.Contains(wrong.Error(), "float64") {
			t.Fatalf("%q is accepted, and is not JSON: %v", text, wrong)
		}
		if err != nil {
			return
		}
		if len(claims) != len(reference) && reference != nil {
			t.Fatalf("%q: %d claims, not %d", text, len(claims), len(reference))
		}
		checkKinds(t, claims)
		if written, err := json.Marshal(claims); err != nil {
			t.Fatalf("%q cannot be written: %v", text, err)
		} else if again, err := decodeClaims(written); err != nil || !sameClaims(claims, again) {
			t.Fatalf("%q comes back as %v, %v", written, again, err)
		}
		if found, has := claims[path]; has && path != "" && !reflect.DeepEqual(lookup(claims, path), found) {
			t.Fatalf("a claim named %q is not found", path)
		}
		claimTexts(lookup(claims, path))
	})
}

func checkKinds(t *testing.T, v any) {
	switch v := v.(type) {
	case nil, string, bool, int64, float64:
	case []any:
		for _, e := range v {
			checkKinds(t, e)
		}
	case map[string]any:
		for _, e := range v {
			checkKinds(t, e)
		}
	default:
		t.Fatalf("a claim of type %T", v)
	}
}

// sameClaims compares, with whole floats the same as integers: JSON has one kind of number.
func sameClaims(a, b any) bool {
	switch a := a.(type) {
	case float64:
		if n, ok := b.(int64); ok {
			return a == float64(n)
		}
	case []any:
		list, ok := b.([]any)
		return ok && slices.EqualFunc(a, list, sameClaims)
	case map[string]any:
		object, ok := b.(map[string]any)
		if !ok || len(a) != len(object) {
			return false
		}
		for name := range a {
			if !sameClaims(a[name], object[name]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a, b)
}

// FuzzProviderAnswer reads any answer of the provider, as tokens, as keys and as its metadata: tokens come with a life that is bounded, keys can only verify and are
// strong, and every endpoint is one that we may ask.
func FuzzProviderAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"keys":[]}`, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, `{"keys":[null,5,{}]}`, `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`,
		`{"issuer":"https://id.example.com","authorization_endpoint":"https://id.example.com/a","token_endpoint":"https://id.example.com/t","jwks_uri":"https://id.example.com/k"}`,
		`{"issuer":"https://id.example.com","authorization_endpoint":"https://id.example.com/a","token_endpoint":"http://169.254.169.254/","jwks_uri":"file:///etc/passwd"}`,
		`{"access_token":"a","token_type":"Bearer","expires_in":300,"id_token":"i","refresh_token":"r"}`, `{"access_token":"a","token_type":"bearer","expires_in":"1e9"}`,
		`{"error":"invalid_grant"}`, "access_token=a&token_type=bearer&expires_in=3600", "access_token=a&access_token=b&token_type=bearer", "", "null", "[]", "%", `{"expires_in":1e400}`,
	} {
		f.Add([]byte(seed), "application/json")
		f.Add([]byte(seed), "application/x-www-form-urlencoded")
	}
	f.Fuzz(func(t *testing.T, body []byte, mediaType string) {
		tokensAreSound(t, body, mediaType)
		keysAreSound(t, body)
		var d discoveryDocument
		p := &provider{issuer: "https://id.example.com"}
		if json.Unmarshal(body, &d) != nil || p.checkEndpoints(&d) != nil {
			return
		}
		for _, address := range []string{d.Authorization, d.Token, d.JWKS, d.Userinfo, d.EndSession, d.Revocation, d.Pushed} {
			u, err := url.Parse(address)
			if err != nil || address != "" && u.Scheme != "https" && !(u.Scheme == "http" && isLoopbackHost(lowerASCII(u.Hostname()))) {
				t.Fatalf("%q is an endpoint", address)
			}
		}
	})
}

func tokensAreSound(t *testing.T, body []byte, mediaType string) {
	t.Helper()
	began := time.Unix(1700000000, 0)
	tokens, err := readTokens(&clientAnswer{status: http.StatusOK, mediaType: mediaType, body: body}, began)
	switch {
	case err != nil && tokens != (session.Tokens{}):
		t.Fatalf("%q gives an error and tokens", body)
	case err != nil && !errors.Is(err, errProviderAnswer):
		t.Fatalf("%q: %v", body, err)
	case err == nil && (tokens.AccessToken == "" || !tokens.Expiry.IsZero() && (tokens.Expiry.Before(began) || tokens.Expiry.After(began.Add(maxTokenLife)))):
		t.Fatalf("%q gives %d bytes until %v", body, len(tokens.AccessToken), tokens.Expiry)
	}
}

func keysAreSound(t *testing.T, body []byte) {
	t.Helper()
	keys, err := parseKeys(body)
	if (err == nil) != (len(keys) > 0) || len(keys) > 100 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, key := range keys {
		if !key.IsPublic() || !key.Valid() || key.Use != "" && key.Use != "sig" {
			t.Fatalf("%+v", key)
		}
		set := &keySet{algorithms: []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA}}
		set.keys.Store(&keys)
		if _, err := set.VerifySignature(t.Context(), "eyJhbGciOiJIUzI1NiJ9.e30.AAAA"); err == nil {
			t.Fatal("a token with a shared secret is good")
		}
	}
}

// FuzzIdentity renders any claims, in headers alone and beside an assertion: no value can end its header or begin another, all fit, beside an assertion for the
// longest audience there is place for, and the assertion says what the headers say.
func FuzzIdentity(f *testing.F) {
	f.Add("a", "b,c", "d\r\nX: y", 10)
	f.Add("", " ", "ä\x00", 1000)
	f.Add("\u2028<>&", "\"\\", "ä\x00\x7f", 900)
	f.Add(strings.Repeat("x", 2000), "", "e", 1)
	config := DefaultConfig()
	withAssertion(config)
	config.Headers["X-Name"] = Header{Claim: "name", Encoding: "base64url"}
	config.Headers["X-Some"] = Header{Claim: "groups", Encoding: "percent", Most: 3}
	asserter, err := newAsserter(mainSite, "https://app.example.com", fuzzKeyring(f), newKeptAssertions(1<<20))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, one, two, three string, many int) {
		if many < 0 || many > 1000 {
			return
		}
		list := []any{one, two, three}
		for i := range many {
			list = append(list, fmt.Sprint(one, i))
		}
		s := &session.Session{Subject: one, Claims: map[string]any{"email": two, "name": three, "groups": list}}
		headers := map[string]Header{
			"A": {Claim: "sub"}, "B": {Claim: "email"}, "C": {Claim: "name"}, "D": {Claim: "groups"}, "E": {Claim: "@groups"}, "F": {Claim: "@access_token"},
			"G": {Claim: "groups", Encoding: "json", Most: 9}, "H": {Claim: "groups", Encoding: "percent", Filter: "."}, "I": {Claim: "name", Encoding: "base64url"},
		}
		plan := planOf(headers)
		values, _ := renderAt(time.Now(), headers, s, session.Tokens{AccessToken: three})
		size := 0
		for i, value := range values {
			size += len(plan.headers[i].Name) + len(": \r\n") + len(value)
			if strings.ContainsFunc(value, func(c rune) bool { return c < ' ' || c == 0x7f }) || strings.TrimSpace(value) != value {
				t.Fatalf("%s: %q", plan.headers[i].Name, value)
			}
		}
		if len(values) != len(plan.headers) || size > maxIdentity {
			t.Fatalf("%d values of %d bytes", len(values), size)
		}
		if validSubject(one) && utf8.ValidString(two+three) {
			fitsBesideAssertion(t, planOf(config.Headers), asserter, s)
		}
	})
}

func fitsBesideAssertion(t *testing.T, plan *identityPlan, asserter *asserter, s *session.Session) {
	t.Helper()
	audience := "https://" + strings.Repeat("a", maxAudience-len("https://"))
	id, _ := plan.render(s, session.Tokens{})
	size, told := 0, 0
	for i, value := range id.values {
		size += len(plan.headers[i].Name) + len(": \r\n") + len(value)
		if plan.headers[i].Claim == groupsValue && value != "" {
			told = strings.Count(value, ",") + 1
		}
	}
	if beside := id.beside.Load(); beside != nil && beside.asserted {
		made, err := asserter.assert(&asker{session: s}, id, audience, time.Now())
		text := made.text
		if err != nil || text == "" {
			t.Fatal(err)
		}
		size += len(text)
		claims, err := payloadOf(text)
		if err != nil || claims["sub"] != s.Subject || claims["aud"] != audience {
			t.Fatalf("%v, %v", claims, err)
		}
		if asserted, _ := claims["groups"].([]any); len(asserted) < told {
			t.Fatalf("%d groups in the header, and %v", told, asserted)
		}
	}
	if size > maxIdentity {
		t.Fatalf("%d bytes", size)
	}
}

// FuzzBearer reads any Authorization headers: what comes out is one token of the form that RFC 6750 says, as it was sent. And it reads the claims of any token that
// an issuer signed or told of: who passes has a subject, an end and an audience.
func FuzzBearer(f *testing.F) {
	for _, seed := range []string{"Bearer abc", "bearer  a.b-c_~+/==", "Bearer", "Bearer a b", "Basic YTpi", "Bearer\ta", "Bearer a,Bearer b", "Bearer =", "BEARER eyJ.eyJ.x"} {
		f.Add(seed, "", []byte("{}"), true)
	}
	f.Add("Bearer a", "Bearer a", []byte("[]"), false)
	for _, seed := range []string{
		`{"aud":"api","sub":"a","exp":1800000300,"iat":1800000000}`, `{"aud":["x","api"],"client_id":"a","exp":1800000300}`, `{"azp":"api","sub":"a"}`,
		`{"aud":"api","sub":"a","exp":1e300}`, `{"aud":{"api":1},"sub":5}`, `{"aud":"api","sub":"a","nbf":null}`, `[]`, `{}`,
	} {
		f.Add("Bearer a", "", []byte(seed), true)
	}
	now := time.Unix(1_800_000_000, 0)
	issuer := &bearerIssuer{provider: &provider{issuer: "https://id.example.com", now: func() time.Time { return now }}, audiences: []string{"api"}}
	form := regexp.MustCompile(`^(?i:bearer) +([A-Za-z0-9._~+/-]+=*)$`)
	f.Fuzz(func(t *testing.T, first, second string, payload []byte, certain bool) {
		header := http.Header{"Authorization": {first}}
		if second != "" {
			header.Add("Authorization", second)
		}
		token, wrong, has := readBearer(header)
		if (token != "") != (has && wrong == "") || wrong != "" && !has {
			t.Fatalf("%q, %q, %t", token, wrong, has)
		}
		want := ""
		if match := form.FindStringSubmatch(first); match != nil && second == "" && len(match[1]) <= maxBearer {
			want = match[1]
		}
		if token != want {
			t.Fatalf("%q of %q and %q, want %q", token, first, second, want)
		}
		b := &bearers{realm: "app.example.com"}
		challenge := b.challenge(refuseBearer(reasonAudience, gotAndWant("audience", []string{first, second}, []string{second}).Error(), nil))
		description, _ := strings.CutPrefix(challenge, `Bearer realm="app.example.com", error="invalid_token", error_description="`)
		description, _ = strings.CutSuffix(description, `"`)
		if len(description) > maxDescription || strings.ContainsAny(description, `"\`) || strings.ContainsFunc(description, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q", challenge)
		}
		claims, err := decodeClaims(payload)
		if err != nil || claims == nil || otherKind(claims, certain) != "" {
			return
		}
		named := slices.Contains(append(claimTexts(claims["aud"]), claimTexts(claims["azp"])...), "api")
		s, refusal := issuer.principal(claims, claimTexts(claims["azp"]))
		if (s == nil) == (refusal == nil) {
			t.Fatalf("%v and %v", s, refusal)
		}
		if s == nil {
			return
		}
		if !named || !validSubject(s.Subject) || s.Issuer != issuer.issuer || !now.Before(s.Expires.Add(clockSkew)) || s.Created.After(now.Add(clockSkew)) || s.Created.IsZero() {
			t.Fatalf("%s: %+v", payload, s)
		}
	})
}
