package authsvc

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

const theEvent = "http://schemas.openid.net/event/backchannel-logout"

// TestLogoutTokens holds the checks of OpenID Connect Back-Channel Logout 1.0, sections 2.5 to 2.8, against logout tokens of all
// kinds (Q30, Q31). The names are those of the conformance suite where it has one.
func TestLogoutTokens(t *testing.T) {
	r := newRig(t, 2, nil)
	signedIDToken := ""
	r.provider.ReplaceIDToken(func(signed string, _ map[string]any) string { signedIDToken = signed; return signed })
	var accessToken string
	r.provider.EditTokenResponse(func(answer map[string]any) { accessToken, _ = answer["access_token"].(string) })
	alice := r.browser()
	alice.signIn()
	sid := r.provider.SessionIDs("alice")[0]

	type edit = func(header, claims map[string]any)
	token := func(change edit) func() string {
		return func() string { return r.provider.LogoutToken("app", "alice", "", change) }
	}
	claim := func(name string, value any) func() string {
		return token(func(_, claims map[string]any) {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		})
	}
	header := func(name string, value any) func() string {
		return token(func(header, _ map[string]any) {
			if header[name] = value; value == nil {
				delete(header, name)
			}
		})
	}
	forged := func(forger idptest.Forger) func() string {
		return func() string {
			var honest map[string]any
			signed := token(func(_, claims map[string]any) { honest = claims })()
			return forger(signed, honest)
		}
	}
	another := func(algorithm, kid string) func() string {
		forger, err := idptest.SignedByAnother(algorithm, kid)
		if err != nil {
			t.Fatal(err)
		}
		return forged(forger)
	}
	encrypted, err := idptest.Encrypted(r.provider.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string, ago time.Duration) func() string { return claim(name, r.now().Add(-ago).Unix()) }
	kid := r.provider.KeyID()
	null := any((*int)(nil))

	bad := []struct {
		name  string
		token func() string
	}{
		{"oidcc-client-test-rp-backchannel-rpinitlogout-alg-none", forged(idptest.Unsigned("none"))},
		{"alg nOnE", forged(idptest.Unsigned("nOnE"))},
		{"RS256 without a signature", forged(idptest.Unsigned("RS256"))},
		{"HS256 with the public key", forged(idptest.HMACSigned(kid, r.provider.PublicKeyPEM()))},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-wrong-alg, HS256 with the client's secret", forged(idptest.HMACSigned("", []byte(testClientSecret)))},
		{"ES256 under the kid", another("ES256", kid)},
		{"header ES256 over an RSA signature", header("alg", "ES256")},
		{"another RSA key under the kid", another("RS256", kid)},
		{"another RSA key under its own kid", another("RS256", "thief")},
		{"another RSA key without kid", another("RS256", "")},
		{"one bit of the signature", forged(idptest.BadSignature)},
		{"encrypted", forged(encrypted)},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-no-event", claim("events", nil)},
		{"events null", claim("events", null)},
		{"events an array", claim("events", []any{theEvent})},
		{"events a text", claim("events", theEvent)},
		{"events empty", claim("events", map[string]any{})},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-wrong-event", claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-login": map[string]any{}})},
		{"the event's member null", claim("events", map[string]any{theEvent: nil})},
		{"the event's member an array", claim("events", map[string]any{theEvent: []any{}})},
		{"the event's member a text", claim("events", map[string]any{theEvent: "{}"})},
		{"the event in capitals", claim("events", map[string]any{strings.ToUpper(theEvent): map[string]any{}})},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-with-nonce", claim("nonce", "n")},
		{"nonce empty", claim("nonce", "")},
		{"nonce null", claim("nonce", null)},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-wrong-aud", claim("aud", "another")},
		{"aud missing", claim("aud", nil)},
		{"aud an array of others", claim("aud", []string{"another", "third"})},
		{"aud part of the client", claim("aud", "ap")},
		{"oidcc-client-test-rp-backchannel-rpinitlogout-wrong-iss", claim("iss", "https://id.example.com")},
		{"iss with a slash", claim("iss", r.provider.Issuer()+"/")},
		{"iss missing", claim("iss", nil)},
		{"exp missing", claim("exp", nil)},
		{"exp null", claim("exp", null)},
		{"exp a text", claim("exp", fmt.Sprint(r.now().Add(time.Minute).Unix()))},
		{"exp 61 s ago", at("exp", 61*time.Second)},
		{"iat 1 h old", at("iat", time.Hour)},
		{"iat just over five minutes old", at("iat", 5*time.Minute+2*time.Second)},
		{"iat in two minutes", at("iat", -2*time.Minute)},
		{"iat missing", claim("iat", nil)},
		{"iat a text", claim("iat", "now")},
		{"neither sub nor sid", claim("sub", nil)},
		{"sub empty", claim("sub", "")},
		{"sub a number", claim("sub", 5)},
		{"sub with a control byte", claim("sub", "alice\n")},
		{"sub too long", claim("sub", strings.Repeat("a", 256))},
		{"sid a number beside a good sub", claim("sid", 5)},
		{"Sub for sub", token(func(_, claims map[string]any) { claims["Sub"] = claims["sub"]; delete(claims, "sub") })},
		{"jti missing", claim("jti", nil)},
		{"jti empty", claim("jti", "")},
		{"jti a number", claim("jti", 7)},
		{"jti too long", claim("jti", strings.Repeat("j", 256))},
		{"an ID token", func() string { return signedIDToken }},
		{"an access token", func() string { return accessToken }},
		{"typ at+jwt", header("typ", "at+jwt")},
		{"typ dpop+jwt", header("typ", "dpop+jwt")},
		{"crit", header("crit", []string{"exp"})},
		{"enc in a token of three parts", header("enc", "A128GCM")},
		{"jku", header("jku", r.provider.URL("/elsewhere"))},
		{"a payload that is no object", func() string {
			return r.provider.Sign([]byte(`{"alg":"RS256","kid":"`+kid+`","typ":"logout+jwt"}`), []byte(`["alice"]`))
		}},
		{"not a token", func() string { return "alice" }},
		{"dots", func() string { return strings.Repeat("a.", 20_000) }},
		{"white space around", func() string { return " " + token(nil)() + "\n" }},
		{"empty", func() string { return "" }},
	}
	for _, test := range bad {
		t.Run(test.name, func(t *testing.T) {
			raw := test.token()
			checkBackchannel(t, r.backchannel(0, raw), http.StatusBadRequest)
			if answer := alice.auth(""); answer.StatusCode != http.StatusOK {
				t.Fatalf("alice was signed out: %s", answer.Status)
			}
		})
	}

	good := []struct {
		name  string
		token func() string
	}{
		{"by sub", token(nil)},
		{"by sid", func() string { return r.provider.LogoutToken("app", "", sid, nil) }},
		{"by both", func() string { return r.provider.LogoutToken("app", "alice", sid, nil) }},
		{"claims that nobody knows", claim("ignored_claim", map[string]any{"a": 1})},
		{"aud an array with us", claim("aud", []string{"another", "app"})},
		{"an event that says more", claim("events", map[string]any{theEvent: map[string]any{"a": 1}, "https://b.example/event": 1})},
		{"typ JWT", header("typ", "JWT")},
		{"typ in full", header("typ", "application/logout+jwt")},
		{"typ missing", header("typ", nil)},
		{"exp 30 s ago, by another clock", at("exp", 30*time.Second)},
		{"iat in 30 s, by another clock", at("iat", -30*time.Second)},
		{"iat some minutes old", at("iat", 4*time.Minute)},
		{"exp far away", at("exp", -20*365*24*time.Hour)},
	}
	for _, test := range good {
		t.Run(test.name, func(t *testing.T) {
			r.t = t
			r.advance(time.Second) // the login is not of the moment of the last logout
			alice.signIn()
			cookie := alice.sessionCookie()
			raw := test.token()
			checkBackchannel(t, r.backchannel(0, raw), http.StatusOK)
			r.everywhere(cookie, http.StatusUnauthorized)
			checkBackchannel(t, r.backchannel(1, raw), http.StatusBadRequest)
		})
	}
	r.t = t
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
	r.keepsSecrets(sid, kid)
}

// TestLogoutTokenAsIDToken answers a code with a logout token (RFC 8725, section 2.8).
func TestLogoutTokenAsIDToken(t *testing.T) {
	r := newRig(t, 1, nil)
	b := r.browser()
	address := b.toCallback()
	r.provider.ReplaceIDToken(func(string, map[string]any) string {
		return r.provider.LogoutToken("app", "alice", "sid", nil)
	})
	if reply := b.open(address); reply.StatusCode != http.StatusBadGateway || sessionCookieOf(reply) != nil {
		t.Errorf("%s", reply.Status)
	}
	if n := r.store.records.Load(); n != 0 {
		t.Errorf("%d records", n)
	}
	r.keepsSecrets()
}
