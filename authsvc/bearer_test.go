package authsvc

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

func formBody(pairs ...string) io.Reader {
	form := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return strings.NewReader(form.Encode())
}

// TestBearerTokens holds tokens of one issuer against a service that takes them. Nobody of the store is asked, whatever comes.
func TestBearerTokens(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	in := func(d time.Duration) int64 { return b.now().Add(d).Unix() }
	type fields = map[string]any
	plain := fields{"typ": "JWT"}
	tests := []struct {
		name   string
		header fields
		claims fields
		want   string // the reason; "" when it passes
	}{
		{"RFC 9068", nil, nil, ""},
		{"the whole media type", fields{"typ": "application/at+jwt"}, nil, ""},
		{"type in other letters", fields{"typ": "AT+JWT"}, nil, ""},
		{"type JWT", plain, nil, ""},
		{"no type", fields{"typ": nil}, nil, ""},
		{"no kid", fields{"kid": nil}, nil, ""},
		{"Keycloak", plain, fields{"typ": "Bearer", "nonce": "n", "azp": "batch", "aud": []string{"account", "batch-api"}}, ""},
		{"Keycloak, by azp", plain, fields{"typ": "Bearer", "azp": "batch-api", "aud": "account"}, ""},
		{"Keycloak, by azp without aud", plain, fields{"typ": "Bearer", "azp": "batch-api", "aud": nil}, ""},
		{"Cognito", plain, fields{"token_use": "access"}, ""},
		{"one of several audiences", nil, fields{"aud": []string{"a", testAudience}}, ""},
		{"no subject, a client", nil, fields{"sub": nil}, ""},
		{"ended a moment ago", nil, fields{"exp": in(-30 * time.Second)}, ""},
		{"made in a moment", nil, fields{"iat": in(30 * time.Second), "nbf": in(30 * time.Second)}, ""},
		{"no iat", nil, fields{"iat": nil}, ""},

		{"ID token type", fields{"typ": "id_token+jwt"}, nil, reasonKind},
		{"logout token type", fields{"typ": "logout+jwt"}, nil, reasonKind},
		{"a type that is a number", fields{"typ": 5}, fields{"nonce": "n"}, reasonKind},
		{"ID token with a nonce", plain, fields{"nonce": "n"}, reasonKind},
		{"ID token with at_hash", plain, fields{"at_hash": "h"}, reasonKind},
		{"Keycloak's ID token", plain, fields{"typ": "ID"}, reasonKind},
		{"Keycloak's refresh token", plain, fields{"typ": "Refresh"}, reasonKind},
		{"Keycloak's ID token of type at+jwt", nil, fields{"typ": "ID"}, reasonKind},
		{"Cognito's ID token", plain, fields{"token_use": "id"}, reasonKind},
		{"logout token", plain, fields{"events": fields{backchannelEvent: fields{}}}, reasonKind},
		{"bound to a key", nil, fields{"cnf": fields{"jkt": "k"}}, reasonKind},

		{"another issuer", nil, fields{"iss": "https://id.example.com"}, reasonIssuer},
		{"the issuer with a slash", nil, fields{"iss": b.issuer.Issuer() + "/"}, reasonIssuer},
		{"the site's own provider", nil, fields{"iss": b.provider.Issuer()}, reasonIssuer},
		{"no issuer", nil, fields{"iss": nil}, reasonIssuer},
		{"issuers", nil, fields{"iss": []string{b.issuer.Issuer()}}, reasonIssuer},
		{"another audience", nil, fields{"aud": "account"}, reasonAudience},
		{"part of an audience", nil, fields{"aud": testAudience + "/"}, reasonAudience},
		{"no audience", nil, fields{"aud": nil}, reasonAudience},
		{"RFC 9068 by azp", nil, fields{"aud": "account", "azp": "batch-api"}, reasonAudience},
		{"by client_id", plain, fields{"aud": "account", "client_id": "batch-api"}, reasonAudience},
		{"ended", nil, fields{"exp": in(-61 * time.Second)}, reasonTime},
		{"no end", nil, fields{"exp": nil}, reasonTime},
		{"an end in words", nil, fields{"exp": "tomorrow"}, reasonTime},
		{"an end in another age", nil, fields{"exp": 1e300}, reasonTime},
		{"not yet", nil, fields{"nbf": in(2 * time.Minute)}, reasonTime},
		{"made tomorrow", nil, fields{"iat": in(24 * time.Hour)}, reasonTime},
		{"signed in tomorrow", nil, fields{"auth_time": in(24 * time.Hour)}, reasonTime},
		{"no subject and no client", nil, fields{"sub": nil, "client_id": nil}, reasonSubject},
		{"no subject, a person", nil, fields{"sub": nil, "sid": "s"}, reasonSubject},
		{"no subject, a person who signed in", nil, fields{"sub": nil, "auth_time": in(0)}, reasonSubject},
		{"an empty subject", nil, fields{"sub": ""}, reasonSubject},
		{"a subject that is a number", nil, fields{"sub": 5}, reasonSubject},
		{"a long subject", nil, fields{"sub": strings.Repeat("a", 256)}, reasonSubject},
		{"a subject with a line", nil, fields{"sub": "a\r\nX: y"}, reasonSubject},
		{"an unknown key", fields{"kid": "unknown"}, nil, reasonSignature},
		{"alg none over a signature", fields{"alg": "none"}, nil, reasonSignature},
		{"alg HS256 over a signature", fields{"alg": "HS256"}, nil, reasonSignature},
		{"alg ES256 over a signature", fields{"alg": "ES256"}, nil, reasonSignature},
		{"crit", fields{"crit": []string{"exp"}}, nil, reasonSignature},
		{"b64", fields{"b64": false}, nil, reasonSignature},
		{"zip", fields{"zip": "DEF"}, nil, reasonSignature},
		{"jku", fields{"jku": "http://127.0.0.1:1/"}, nil, reasonSignature},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b.t = t
			b.takes(b.sign(test.header, test.claims), test.want)
		})
	}
	b.t = t
	for name, token := range map[string]string{
		"unsigned":      idptest.Unsigned("none")("", b.claims()),
		"HMAC":          idptest.HMACSigned(b.issuer.KeyID(), b.issuer.PublicKeyPEM())("", b.claims()),
		"bad signature": idptest.BadSignature(b.sign(nil, nil), nil),
	} {
		t.Run(name, func(t *testing.T) { b.t = t; b.takes(token, reasonSignature) })
	}
	t.Run("encrypted", func(t *testing.T) {
		b.t = t
		encrypted, err := idptest.Encrypted(b.issuer.PublicKey())
		if err != nil {
			t.Fatal(err)
		}
		b.takes(encrypted(b.sign(nil, nil), nil), reasonInactive) // no JWS: its issuer is asked
	})
	if n := b.store.commands.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// takes checks what becomes of a token, and that nothing tells it.
func (b *bearerRig) takes(token, reason string) {
	b.t.Helper()
	logged := len(b.log.String())
	answer := b.bring(token)
	log := b.log.String()[logged:]
	if reason == "" {
		if answer.Code != http.StatusOK || answer.Header().Get("X-Auth-Request-User") != "batch" || answer.Header().Get("X-Issuer") != b.issuer.Issuer() ||
			answer.Header().Get("X-Scope") != "read write" || answer.Header().Get("Www-Authenticate") != "" {
			b.t.Errorf("%d %v\n%s", answer.Code, answer.Header(), log)
		}
		return
	}
	want := http.StatusUnauthorized
	if answer.Code != want || answer.Header().Get("X-Auth-Request-User") != "" || !strings.Contains(log, `"reason":"`+reason+`"`) {
		b.t.Errorf("%d %v, want %d for %s\n%s", answer.Code, answer.Header(), want, reason, log)
	}
	if challenge := answer.Header().Get("Www-Authenticate"); !strings.Contains(challenge, `error="invalid_token", error_description="`) {
		b.t.Errorf("the challenge is %q", challenge)
	}
	checkSecrets(b.t, "the log", log, []string{"eyJ", token, gateSecret})
	checkSecrets(b.t, "the answer", jsonText(answer.Header()), []string{"eyJ", token, gateSecret})
}

// TestBearerHeader brings what is not one well-formed token.
func TestBearerHeader(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	good := b.sign(nil, nil)
	send := func(values ...string) (code int, reason, challenge string) {
		logged := len(b.log.String())
		answer := ask(b.replicas[0], http.MethodGet, "/auth", trustedPeer, http.Header{"Authorization": values})
		if _, after, found := strings.Cut(b.log.String()[logged:], `"reason":"`); found {
			reason, _, _ = strings.Cut(after, `"`)
		}
		checkSecrets(t, "the log", b.log.String()[logged:], []string{"eyJ"})
		return answer.Code, reason, answer.Header().Get("Www-Authenticate")
	}
	for _, value := range []string{"Bearer " + good, "bearer " + good, "BEARER  " + good} {
		if code, _, _ := send(value); code != http.StatusOK {
			t.Errorf("%.12q: %d", value, code)
		}
	}
	for _, values := range [][]string{
		{"Bearer"}, {"Bearer "}, {"Bearer\t" + good}, {"Bearer " + good + " "}, {"Bearer " + good + ", Bearer " + good}, {"Bearer " + good + ",x=y"},
		{"Bearer token=" + good}, {`Bearer "` + good + `"`}, {"Bearer =" + good}, {"Bearer a=b"}, {"Bearer ="}, {"Bearer a%20b"}, {"Bearer \xff"}, {"Bearer a\x00b"},
		{"Bearer " + strings.Repeat("a", maxBearer+1)}, {"Bearer " + good, "Bearer " + good}, {"Bearer " + good, "Basic YTpi"}, {"Basic YTpi", "Bearer " + good}, {"Bearer:" + good}, {"Bearer,"},
	} {
		code, reason, challenge := send(values...)
		if code != http.StatusUnauthorized || reason != reasonMalformed || !strings.Contains(challenge, `error="invalid_request"`) {
			t.Errorf("%.30q: %d, %s, %q", values, code, reason, challenge)
		}
	}
	for _, values := range [][]string{nil, {""}, {"Basic YTpi"}, {"Bearertoken " + good}, {"Bearer-" + good}, {"DPoP " + good}, {good}, {"Negotiate a"}, {"Basic a", "Basic b"}} {
		code, reason, challenge := send(values...)
		if code != http.StatusUnauthorized || reason != "no_cookie" || challenge != `Bearer realm="`+strings.TrimPrefix(b.url, "http://")+`"` {
			t.Errorf("%.30q: %d, %s, %q", values, code, reason, challenge)
		}
	}
}

// TestBearerOff has a service without the setting: the header is nobody's business.
func TestBearerOff(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	off := newRig(t, 1, nil)
	for _, value := range []string{"Bearer " + b.sign(nil, nil), "Bearer ", "Bearer x"} {
		answer := ask(off.replicas[0], http.MethodGet, "/auth", trustedPeer, http.Header{"Authorization": {value}})
		if answer.Code != http.StatusUnauthorized || answer.Header().Get("Www-Authenticate") != "" {
			t.Errorf("%d %v", answer.Code, answer.Header())
		}
	}
	if strings.Contains(off.log.String(), "bearer") {
		t.Errorf("the log: %s", off.log)
	}
	v := off.browser()
	v.signIn()
	if answer := v.do(http.MethodGet, "/auth", http.Header{"Authorization": {"Bearer x"}}); answer.StatusCode != http.StatusOK {
		t.Errorf("a session beside the header: %s", answer.Status)
	}
}

// TestCookieFirst brings a cookie and a token: the session of a valid cookie counts, and nothing but a valid token stands in for another.
func TestCookieFirst(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	v := b.browser()
	v.signIn()
	cookie, good := v.sessionCookie(), "Bearer "+b.sign(nil, nil)
	ended := b.browser()
	ended.signIn()
	endedCookie := ended.sessionCookie()
	b.logout(0, endedCookie)
	twice := b.browser()
	twice.signIn()
	for name, test := range map[string]struct {
		cookie, authorization string
		code                  int
		user, challenge       string
	}{
		"both":                          {"authsvc=" + cookie, good, 200, "alice", ""},
		"a cookie and a bad token":      {"authsvc=" + cookie, "Bearer x", 200, "alice", ""},
		"a cookie and no token at all":  {"authsvc=" + cookie, "Bearer", 200, "alice", ""},
		"a forged cookie and a token":   {"authsvc=" + cookie[:len(cookie)-4] + "AAAA", good, 200, "batch", ""},
		"an ended session and a token":  {"authsvc=" + endedCookie, good, 200, "batch", ""},
		"two sessions and a token":      {"authsvc=" + cookie + "; authsvc=" + twice.sessionCookie(), good, 401, "", "realm"},
		"an ended session, a bad token": {"authsvc=" + endedCookie, "Bearer x", 401, "", "invalid_token"},
	} {
		answer := ask(b.replicas[0], http.MethodGet, "/auth", trustedPeer, http.Header{"Cookie": {test.cookie}, "Authorization": {test.authorization}})
		if answer.Code != test.code || answer.Header().Get("X-Auth-Request-User") != test.user || !strings.Contains(answer.Header().Get("Www-Authenticate"), test.challenge) || answer.Header()["Set-Cookie"] != nil {
			t.Errorf("%s: %d %v", name, answer.Code, answer.Header())
		}
	}
	// With the store down nobody can say whose request it is, unless there is a token alone.
	b.store.down.Store(true)
	for cookie, code := range map[string]int{"authsvc=" + cookie: 503, "": 200, "authsvc=x": 200} {
		answer := ask(b.replicas[0], http.MethodGet, "/auth", trustedPeer, http.Header{"Cookie": {cookie}, "Authorization": {good}})
		if answer.Code != code {
			t.Errorf("the store is down, %.10q: %d", cookie, answer.Code)
		}
	}
}

// TestBearerAnswers has tokens at every endpoint that knows who somebody is.
func TestBearerAnswers(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	good, bad := b.sign(nil, map[string]any{"groups": []string{"robots"}, "email": "batch@example.com"}), b.sign(nil, map[string]any{"aud": "account"})
	page := http.Header{"Sec-Fetch-Mode": {"navigate"}, "Accept": {"text/html"}, "X-Forwarded-Method": {"GET"}, "X-Forwarded-Proto": {"http"},
		"X-Forwarded-Host": {strings.TrimPrefix(b.url, "http://")}, "X-Forwarded-Uri": {"/a"}}
	send := func(target, token string) *httptest.ResponseRecorder {
		header := page.Clone()
		if token != "" {
			header.Set("Authorization", "Bearer "+token)
		}
		return ask(b.replicas[0], http.MethodGet, target, trustedPeer, header)
	}
	for _, target := range []string{"/auth", "/forward", "/envoy/a"} {
		if answer := send(target, good); answer.Code != http.StatusOK || answer.Header().Get("X-Auth-Request-Groups") != "robots" || answer.Header().Get("X-Auth-Request-User") != "batch" {
			t.Errorf("%s: %d %v", target, answer.Code, answer.Header())
		}
		answer := send(target, bad)
		want := `error="invalid_token", error_description="audience is 'account', want 'https://api.example.com' or 'batch-api'"`
		if challenge := answer.Header().Get("Www-Authenticate"); answer.Code != http.StatusUnauthorized || answer.Header().Get("Location") != "" || !strings.HasSuffix(challenge, want) {
			t.Errorf("%s: %d %v", target, answer.Code, answer.Header())
		}
		if answer.Body.Len() != 0 {
			t.Errorf("%s: a page for a machine", target)
		}
		b.issuer.Intercept(idptest.Introspection, idptest.Status(http.StatusBadGateway))
		if answer := send(target, "opaque"+target[1:2]); answer.Code != http.StatusServiceUnavailable || answer.Body.Len() != 0 {
			t.Errorf("%s, nobody tells: %d %v", target, answer.Code, answer.Header())
		}
	}
	for target, want := range map[string]int{"/auth?allowed_groups=robots": 200, "/forward?allowed_groups=people": 403, "/auth?allowed_emails=batch@example.com": 200} {
		if answer := send(target, good); answer.Code != want || want == 403 && answer.Body.Len() != 0 {
			t.Errorf("%s: %d %q", target, answer.Code, answer.Body)
		}
	}
	if answer := send("/forward", ""); answer.Code != http.StatusFound {
		t.Errorf("a page load without a token: %d", answer.Code)
	}
	if answer := send("/userinfo", good); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"sub":"batch"`) {
		t.Errorf("/userinfo: %d %s", answer.Code, answer.Body)
	}
	if answer := send("/session", good); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"authenticated":true,"user":"batch","expires_at":"20`) {
		t.Errorf("/session: %d %s", answer.Code, answer.Body)
	}
	for _, target := range []string{"/session", "/userinfo"} {
		if answer := send(target, bad); answer.Code != http.StatusUnauthorized || !strings.Contains(answer.Header().Get("Www-Authenticate"), "audience") {
			t.Errorf("%s: %d %v", target, answer.Code, answer.Header())
		}
	}
	// What only a browser does, a token opens nothing of.
	if answer := send("/sessions", good); answer.Code != http.StatusFound || !strings.Contains(answer.Header().Get("Location"), "/start") {
		t.Errorf("/sessions: %d %v", answer.Code, answer.Header())
	}
	if n := b.store.commands.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestChallengeFits holds the longest refusal against the room that gateways have for an answer's headers.
func TestChallengeFits(t *testing.T) {
	b := newBearerRig(t, 1, func(c *Config) {
		c.PublicURL = "https://" + strings.Repeat("a", 60) + "." + strings.Repeat("b", 60) + ".example.com"
	})
	token := b.sign(nil, map[string]any{"aud": []string{strings.Repeat("\x01é\"\\", 1000), "b", "c", "d", "e"}})
	header := nginxHeaders(b.url + "/" + strings.Repeat("a", 2600))
	header["Authorization"] = []string{"Bearer " + token}
	answer := ask(b.replicas[0], http.MethodGet, "/auth", trustedPeer, header)
	challenge := answer.Header().Get("Www-Authenticate")
	_, described, _ := strings.Cut(challenge, `error_description="`)
	described = strings.TrimSuffix(described, `"`)
	if answer.Code != http.StatusUnauthorized || described == "" || len(described) > maxDescription || strings.ContainsAny(described, `"\`) || strings.ContainsFunc(described, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Errorf("%d %q", answer.Code, challenge)
	}
	size := len("HTTP/1.1 401 Unauthorized\r\nDate: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n")
	for name, values := range answer.Header() {
		size += len(name) + len(": \r\n") + len(values[0])
	}
	if size > 3584 || len(answer.Header().Get("X-Auth-Login-Url")) < 2500 {
		t.Errorf("the header block has %d bytes: %v", size, answer.Header())
	}
}

// TestBearerIssuerDown starts while the issuer of bearer tokens does not answer: browsers notice nothing, tokens get 503 until it does.
func TestBearerIssuerDown(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	issuer := idptest.Start(t, idptest.Options{})
	issuer.Intercept(idptest.Discovery, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if down.Load() {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		next.ServeHTTP(w, r)
	})
	r := newRig(t, 1, func(c *Config) { c.Bearer = []Bearer{{Issuer: issuer.Issuer(), Audiences: []string{testAudience}}} })
	b := &bearerRig{rig: r, issuer: issuer}
	v := r.browser()
	v.signIn()
	if answer := v.auth(""); answer.StatusCode != http.StatusOK {
		t.Errorf("a browser: %s", answer.Status)
	}
	if answer := b.bring(b.sign(nil, nil)); answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
		t.Errorf("a token: %d", answer.Code)
	}
	if answer := askAdmin(r.replicas[0], http.MethodGet, "/readyz"); answer.Code != http.StatusOK || !strings.Contains(answer.Body.String(), `"bearer":`) {
		t.Errorf("/readyz: %d %s", answer.Code, answer.Body)
	}
	down.Store(false)
	eventually(t, "a token passes", func() bool { return b.bring(b.sign(nil, nil)).Code == http.StatusOK })

	// Down again: what it has signed still passes, and of a key that nobody knows nobody can tell.
	issuer.Intercept(idptest.JWKS, idptest.Close())
	if answer := b.bring(b.sign(nil, map[string]any{"jti": "2"})); answer.Code != http.StatusOK {
		t.Errorf("a token of a known key: %d", answer.Code)
	}
	if answer := b.bring(b.sign(map[string]any{"kid": "new"}, nil)); answer.Code != http.StatusServiceUnavailable || !strings.Contains(r.log.String(), `"reason":"`+reasonKeys+`"`) {
		t.Errorf("a token of an unknown key: %d", answer.Code)
	}
}

// TestBearerOfTheProvider takes tokens of the site's own provider, whose metadata and keys are there already.
func TestBearerOfTheProvider(t *testing.T) {
	var config *Config
	r := newRig(t, 1, func(c *Config) { config = c })
	config.Bearer = []Bearer{{Issuer: r.provider.Issuer(), Audiences: []string{testAudience}}}
	if problems, _ := config.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	r.replicas[0] = r.another(config, r.store)
	run(t, r.replicas[0])
	b := &bearerRig{rig: r, issuer: r.provider}
	if answer := b.bring(b.sign(nil, nil)); answer.Code != http.StatusOK {
		t.Errorf("%d %v\n%s", answer.Code, answer.Header(), r.log)
	}
	if n := r.provider.Count(idptest.Discovery); n != 2 { // one for each replica
		t.Errorf("it was discovered %d times", n)
	}
	// Secrets that change take nothing away.
	next := *config
	next.OIDC.ClientSecret = "another"
	if err := r.replicas[0].ReplaceSecrets(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	if answer := b.bring(b.sign(nil, nil)); answer.Code != http.StatusOK {
		t.Errorf("after a reload: %d %v", answer.Code, answer.Header())
	}
}

// TestBearerIsPerSite brings a token that is good at one site to another, which shares what is remembered.
func TestBearerIsPerSite(t *testing.T) {
	b := newBearerRig(t, 1, nil)
	here := b.replicas[0].sites.Load().main.bearers
	there, issuer := *here, *here.issuers[0]
	issuer.audiences = []string{"another"}
	there.site, there.issuers = "there", []*bearerIssuer{&issuer}
	for _, token := range []string{b.sign(nil, nil), b.opaque()} {
		for range 2 {
			one, refusal := here.judge(t.Context(), token)
			if refusal != nil || one.Site != mainSite {
				t.Fatalf("%+v %+v", one, refusal)
			}
			if other, refusal := there.judge(t.Context(), token); other != nil || refusal.reason != reasonAudience {
				t.Fatalf("%+v %+v", other, refusal)
			}
		}
	}
}

// TestBearerIsNotRevised: where people's claims are asked for from time to time, a token's are what it says. Nothing is asked of the store, nor does a
// renewal that finds no record end what nobody has stored.
func TestBearerIsNotRevised(t *testing.T) {
	b := newBearerRig(t, 1, func(c *Config) { c.Session.UserinfoInterval = time.Minute })
	token := b.sign(nil, map[string]any{"exp": b.now().Add(time.Hour).Unix(), "iat": b.now().Add(-10 * time.Minute).Unix()})
	for range 200 {
		if answer := b.bring(token); answer.Code != http.StatusOK {
			t.Fatalf("the answer is %d", answer.Code)
		}
	}
	if n := b.store.commands.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

// TestRulesForMachines holds machines against the rules that people are held against.
func TestRulesForMachines(t *testing.T) {
	b := newBearerRig(t, 1, func(c *Config) {
		c.Rules = []Rule{
			{Name: "open", Paths: []string{"/open/**"}, Allow: "public"},
			{Name: "api", Paths: []string{"/api/**"}, When: `claims.client_id == "batch" && claims.scope.contains("write")`},
			{Name: "fresh", Paths: []string{"/fresh/**"}, MaxAge: time.Hour},
			{Name: "people", Groups: []string{"staff"}},
		}
	})
	batch, reader := b.sign(nil, nil), b.sign(nil, map[string]any{"scope": "read"})
	person := b.sign(nil, map[string]any{"sub": "alice", "groups": []string{"staff"}, "client_id": "app", "auth_time": b.now().Add(-time.Minute).Unix()})
	for _, test := range []struct {
		path, token string
		want        int
	}{
		{"/api/a", batch, 200}, {"/api/a", reader, 403}, {"/api/a", person, 403}, {"/a", batch, 403}, {"/a", person, 200},
		{"/fresh/a", person, 200}, {"/fresh/a", batch, 401}, // a client's token tells of no sign-in
		{"/open/a", "x", 200}, {"/api/a", "x", 401},
	} {
		header := nginxHeaders(b.url + test.path)
		header.Set("Authorization", "Bearer "+test.token)
		if answer := ask(b.replicas[0], http.MethodGet, "/auth", trustedPeer, header); answer.Code != test.want {
			t.Errorf("%s: %d %v, want %d\n%s", test.path, answer.Code, answer.Header(), test.want, b.log)
		}
	}
}
