package authsvc

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// fault is one way in which a provider, or who stands between it and us, can misbehave. Its name starts with the row of
// the requirements (Q1 to Q27) and has the conformance suite's name of the case, where there is one.
type fault struct {
	name string
	// arm makes the provider misbehave; the login then begins.
	arm func(p *idptest.Provider)
	// tamper changes what the browser brings back; nil changes nothing.
	tamper func(callback url.Values)
	// want is the callback's status. 302 means that the misbehaviour is none and the login ends well.
	want int
	// spends says that the code reaches the token endpoint. A good login spends it always.
	spends bool
}

// refreshTokenCanary is the refresh token of every login whose row does not change the token response.
const refreshTokenCanary = "refresh-token-canary"

// runFaults holds each row against one rig: who is refused has no session, left no record, cost no code unless the row says so,
// and reads a page that can be reported and tells no secret.
func runFaults(t *testing.T, r *rig, faults []fault) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			r.t = t
			r.provider.BeHonest()
			r.provider.EditTokenResponse(func(answer map[string]any) { answer["refresh_token"] = refreshTokenCanary })
			if f.arm != nil {
				f.arm(r.provider)
			}
			r.provider.ForgetRequests()
			logged, records := len(r.log.String()), r.store.records.Load()

			b := r.browser()
			address := b.toCallback()
			code := parameter(t, address, "code")
			if f.tamper != nil {
				address = tamperWith(t, address, f.tamper)
			}
			reply := b.open(address)

			if reply.StatusCode != f.want {
				t.Errorf("the callback: %s, want %d\n%s", reply.Status, f.want, r.log.String()[logged:])
			}
			canaries := []string{testClientSecret, refreshTokenCanary, "eyJ", "alice@example.com", "Alice Example", code, b.loginCookie().Value}
			spent := r.provider.Count(idptest.Token)
			if f.want == http.StatusFound {
				checkLanded(t, r, b, reply)
				canaries = append(canaries, b.sessionCookie())
			} else {
				checkRefused(t, r, b, reply, canaries)
				if n := r.store.records.Load() - records; n != 0 {
					t.Errorf("%d records more than before", n)
				}
				if f.spends != (spent == 1) || spent > 1 {
					t.Errorf("the token endpoint was asked %d times", spent)
				}
			}
			if f.spends && f.want != http.StatusFound {
				// The attempt is over: honesty comes too late for it.
				r.provider.BeHonest()
				if again := b.open(address); sessionCookieOf(again) != nil || r.provider.Count(idptest.Token) != spent {
					t.Errorf("the same callback again: %s, and %d token requests", again.Status, r.provider.Count(idptest.Token))
				}
			}
			checkSecrets(t, "the log", r.log.String()[logged:], canaries)
		})
	}
}

func checkLanded(t *testing.T, r *rig, b *browser, reply reply) {
	t.Helper()
	if location := reply.Header.Get("Location"); location != "/landed" {
		t.Errorf("the login ended at %q", location)
	}
	if sessionCookieOf(reply) == nil {
		t.Fatal("no session cookie")
	}
	if verdict := b.auth(""); verdict.StatusCode != http.StatusOK {
		t.Errorf("/auth afterwards: %s", verdict.Status)
	}
}

func checkRefused(t *testing.T, r *rig, b *browser, reply reply, canaries []string) {
	t.Helper()
	for _, cookie := range reply.Cookies() {
		if cookie.Name == "authsvc" {
			t.Errorf("the refusal sets the session cookie: %d bytes", len(cookie.Value))
		}
	}
	if verdict := b.auth(""); verdict.StatusCode != http.StatusUnauthorized {
		t.Errorf("/auth afterwards: %s", verdict.Status)
	}
	id := reply.Header.Get("X-Request-Id")
	if id == "" || !strings.Contains(reply.body, id) {
		t.Errorf("the page does not tell the request's name %q", id)
	}
	if reply.Header.Get("Cache-Control") != "no-store" || reply.Header.Get("Referrer-Policy") == "" || !strings.Contains(reply.Header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("the page's headers: %v", reply.Header)
	}
	if unavailable := reply.StatusCode == http.StatusServiceUnavailable; unavailable != (reply.Header.Get("Retry-After") != "") {
		t.Errorf("%s with Retry-After %q", reply.Status, reply.Header.Get("Retry-After"))
	}
	checkSecrets(t, "the page", reply.body, canaries)
}

func checkSecrets(t testing.TB, where, text string, canaries []string) {
	t.Helper()
	for _, canary := range canaries {
		if canary != "" && strings.Contains(text, canary) {
			t.Errorf("%s tells %.24q:\n%.2000s", where, canary, text)
		}
	}
}

func parameter(t *testing.T, address, name string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get(name)
}

func tamperWith(t *testing.T, address string, change func(url.Values)) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	change(query)
	u.RawQuery = query.Encode()
	return u.String()
}

// rediscover makes every replica ask for metadata and keys again, as a restart would.
func (r *rig) rediscover() {
	r.t.Helper()
	for _, replica := range r.replicas {
		if err := replica.sites.Load().main.providers[0].discover(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
	}
}

// claims is an arm that changes the claims of the ID token.
func claims(change func(c map[string]any)) func(*idptest.Provider) {
	return func(p *idptest.Provider) {
		p.EditIDToken(func(_, c map[string]any) { change(c) })
	}
}

// setClaim is an arm that sets one claim; nil leaves it out.
func setClaim(name string, value any) func(*idptest.Provider) {
	return claims(func(c map[string]any) {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	})
}

// TestIDTokenFaults holds the checks of the ID token's claims against tokens with a good signature.
func TestIDTokenFaults(t *testing.T) {
	r := newRig(t, 1, nil)
	issuer := r.provider.Issuer()
	bad := func(name string, arm func(*idptest.Provider)) fault {
		return fault{name: name, arm: arm, want: http.StatusBadGateway, spends: true}
	}
	good := func(name string, arm func(*idptest.Provider)) fault {
		return fault{name: name, arm: arm, want: http.StatusFound}
	}
	at := func(d time.Duration) int64 { return r.now().Add(d).Unix() }
	later := func(name string, d time.Duration) func(*idptest.Provider) {
		return claims(func(c map[string]any) { c[name] = at(d) })
	}
	otherTab := parameter(t, startOf(r), "nonce")

	runFaults(t, r, []fault{
		good("honest", nil),

		bad("Q13 iss of another, oidcc-client-test-invalid-iss", setClaim("iss", "https://login.example.com")),
		bad("Q13 iss missing", setClaim("iss", nil)),
		bad("Q13 iss with a final slash", setClaim("iss", issuer+"/")),
		bad("Q13 iss in upper case", setClaim("iss", strings.ToUpper(issuer))),
		bad("Q13 iss on https", setClaim("iss", strings.Replace(issuer, "http:", "https:", 1))),
		bad("Q13 iss with another port", setClaim("iss", issuer[:strings.LastIndexByte(issuer, ':')]+":1")),
		bad("Q13 iss an array", setClaim("iss", []string{issuer})),
		bad("Q13 iss that is someone's address", setClaim("iss", "alice@example.com")),

		bad("Q14 aud missing, oidcc-client-test-missing-aud", setClaim("aud", nil)),
		bad("Q14 aud of another, oidcc-client-test-invalid-aud", setClaim("aud", "other")),
		bad("Q14 aud empty", setClaim("aud", []string{})),
		bad("Q14 aud in upper case", setClaim("aud", "APP")),
		bad("Q14 aud that contains ours as text", setClaim("aud", "app other")),
		bad("Q14 aud a number", setClaim("aud", 5)),
		bad("Q14 aud that is someone's address", setClaim("aud", "alice@example.com")),
		good("Q14 aud an array with ours alone, valid-aud-as-array", setClaim("aud", []string{"app"})),
		bad("Q14 several aud without azp, invalid-secondary-aud", setClaim("aud", []string{"app", "other"})),
		good("Q14 several aud with our azp", claims(func(c map[string]any) { c["aud"], c["azp"] = []string{"app", "other"}, "app" })),
		bad("Q14 several aud with another azp", claims(func(c map[string]any) { c["aud"], c["azp"] = []string{"app", "other"}, "other" })),
		bad("Q14 azp of another", setClaim("azp", "other")),
		bad("Q14 azp empty", setClaim("azp", "")),
		bad("Q14 azp an array", setClaim("azp", []string{"app"})),

		bad("Q18 exp missing", setClaim("exp", nil)),
		bad("Q18 exp a text", claims(func(c map[string]any) { c["exp"] = "4102444800" })),
		good("Q18 exp a float", claims(func(c map[string]any) { c["exp"] = float64(at(time.Minute)) + .5 })),
		bad("Q18 exp 1e300", setClaim("exp", 1e300)),
		bad("Q18 exp negative", setClaim("exp", -1)),
		bad("Q18 exp zero", setClaim("exp", 0)),
		bad("Q18 exp 2^53 s", setClaim("exp", int64(1)<<53)),
		good("Q18 exp after 2038", setClaim("exp", int64(1)<<32)),
		bad("Q18 exp null", claims(func(c map[string]any) { c["exp"] = nil })),
		bad("Q18 expired by 61 s", later("exp", -61*time.Second)),
		good("Q18 expired by 10 s", later("exp", -10*time.Second)),
		bad("Q18 iat missing, oidcc-client-test-missing-iat", setClaim("iat", nil)),
		bad("Q18 iat in 10 minutes", later("iat", 10*time.Minute)),
		good("Q18 iat in 30 s", later("iat", 30*time.Second)),
		bad("Q18 iat a week ago", later("iat", -7*24*time.Hour)),
		bad("Q18 iat a text", claims(func(c map[string]any) { c["iat"] = "now" })),
		bad("Q18 nbf in 10 minutes", later("nbf", 10*time.Minute)),
		good("Q18 nbf now", later("nbf", 0)),
		bad("Q18 nbf a text", setClaim("nbf", "soon")),

		bad("Q19 sub missing, oidcc-client-test-missing-sub", setClaim("sub", nil)),
		bad("Q19 sub empty", setClaim("sub", "")),
		bad("Q19 sub a number", setClaim("sub", 5)),
		bad("Q19 sub of 10 KB", setClaim("sub", strings.Repeat("a", 10<<10))),
		bad("Q19 sub of 256 characters", setClaim("sub", strings.Repeat("a", 256))),
		good("Q19 sub of 255 characters", setClaim("sub", strings.Repeat("a", 255))),
		bad("Q19 sub with a newline", setClaim("sub", "alice\nX-Auth-Request-Groups: admins")),
		bad("Q19 sub with a NUL", setClaim("sub", "alice\x00")),
		bad("Q19 sub beyond ASCII", setClaim("sub", "älice")),
		bad("Q19 sub an object", setClaim("sub", map[string]any{"a": "b"})),

		bad("Q20 nonce missing", setClaim("nonce", nil)),
		bad("Q20 nonce of another, oidcc-client-test-nonce-invalid", setClaim("nonce", "another")),
		bad("Q20 nonce empty", setClaim("nonce", "")),
		bad("Q20 nonce of a parallel login", setClaim("nonce", otherTab)),
		bad("Q20 nonce an array", claims(func(c map[string]any) { c["nonce"] = []any{c["nonce"]} })),
		bad("Q20 nonce in upper case", claims(func(c map[string]any) { c["nonce"] = strings.ToUpper(c["nonce"].(string)) })),
		bad("Q20 at_hash of another, oidcc-client-test-invalid-athash", setClaim("at_hash", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y")),
		bad("Q20 at_hash empty", setClaim("at_hash", "")),
		bad("Q20 at_hash a number", setClaim("at_hash", 5)),
		bad("Q20 at_hash null", claims(func(c map[string]any) { c["at_hash"] = nil })),
		good("Q20 at_hash missing", setClaim("at_hash", nil)),

		bad("Q21 auth_time a text", setClaim("auth_time", "today")),
		bad("Q21 auth_time in 10 minutes", later("auth_time", 10*time.Minute)),
		good("Q21 auth_time missing", setClaim("auth_time", nil)),

		bad("Q27 claims nested 10,000 deep", func(p *idptest.Provider) {
			p.ReplaceIDToken(func(_ string, c map[string]any) string {
				c["deep"] = "-"
				text := jsonText(c)
				return p.Sign([]byte(`{"alg":"RS256","kid":"`+p.KeyID()+`"}`), []byte(strings.Replace(text, `"deep":"-"`, `"deep":`+strings.Repeat("[", 10_001)+strings.Repeat("]", 10_001), 1)))
			})
		}),
		bad("Q27 claims nested 40 deep, more than a record takes", func(p *idptest.Provider) {
			p.EditIDToken(func(_, c map[string]any) {
				deep := any("core")
				for range 40 {
					deep = []any{deep}
				}
				c["groups"] = deep
			})
		}),
	})
}

// TestClaimNamesAreExact gives claims whose names differ from the standard ones in case alone, as a claim mapper of the provider may
// make them of what people say of themselves. encoding/json takes them for the standard ones.
func TestClaimNamesAreExact(t *testing.T) {
	r := newRig(t, 1, nil)
	for name, payload := range map[string]string{
		"Q27 Sub beside sub":         `"Sub":"mallory"`,
		"Q27 SUB and Groups":         `"SUB":"mallory","Groups":["admins"]`,
		"Q27 Email beside email":     `"Email":"mallory@example.com"`,
		"Q27 ſub, a long s in place": `"ſub":"mallory"`,
	} {
		t.Run(name, func(t *testing.T) {
			r.t = t
			r.provider.ReplaceIDToken(func(_ string, c map[string]any) string {
				text := jsonText(c)
				return r.provider.Sign([]byte(`{"alg":"RS256","kid":"`+r.provider.KeyID()+`"}`), []byte(text[:len(text)-1]+","+payload+"}"))
			})
			b := r.browser()
			if reply := b.signIn(); reply.StatusCode == http.StatusBadGateway {
				return // refused is fine too
			}
			header := b.auth("").Header
			if user, email := header.Get("X-Auth-Request-User"), header.Get("X-Auth-Request-Email"); user != "alice" || email != "alice@example.com" {
				t.Errorf("signed in as %q, %q", user, email)
			}
		})
	}
	t.Run("Q27 sub twice: the last one, for every reader", func(t *testing.T) {
		r.t = t
		r.provider.ReplaceIDToken(func(_ string, c map[string]any) string {
			text := jsonText(c)
			return r.provider.Sign([]byte(`{"alg":"RS256","kid":"`+r.provider.KeyID()+`"}`), []byte(text[:len(text)-1]+`,"sub":"bob"}`))
		})
		b := r.browser()
		b.signIn()
		if user := b.auth("").Header.Get("X-Auth-Request-User"); user != "bob" {
			t.Errorf("signed in as %q", user)
		}
	})
}
