package e2e

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
	"authsvc/session/storetest"
)

// TestSecurityRequirementsTokens: what a relying party has to get right about the token endpoint, ID tokens, userinfo and discovery.
func TestSecurityRequirementsTokens(t *testing.T) {
	p := newProver(t, options{noReplica: true, settings: map[string]string{
		"rules": `[{"name":"fresh","paths":["/fresh"],"max_age":"1h"},{"name":"high","paths":["/high"],"acr":["high"]},{"name":"rest"}]`,
	}, provider: func(o *idptest.Options) { o.ACRValues = []string{"high", "low"} }})
	p.tellCanaries()
	publishMore(t, p.provider)
	bomb() // takes a while, which a provider does not have
	p.startReplicas(2)
	p.prove(t, tokenRequirements)
}

var tokenRequirements = []requirement{
	{"Q12 the client authenticates as registered, and its secret stays secret", clientAuthentication},
	{"Q13 iss of the ID token is the issuer, exactly", issuerOfTheToken},
	{"Q14 aud and azp are the client", audienceOfTheToken},
	{"Q15 the signature is by a key of the issuer, with a listed algorithm", signatureOfTheToken},
	{"Q16 kid chooses the key", keyOfTheToken},
	{"Q17 keys rotate, and are fetched seldom", rotatingKeys},
	{"Q18 exp, iat and nbf", timesOfTheToken},
	{"Q19 sub", subjectOfTheToken},
	{"Q20 nonce and at_hash", hashesOfTheToken},
	{"Q21 max_age and acr, where asked for, are enforced", demandedLogins},
	{"Q22 userinfo is about the same sub, or discarded", userinfoAnswers},
	{"Q23 the token response", tokenResponses},
	{"Q26 discovery", discoveries},
	{"Q27 size and shape of tokens", shapesOfTokens},
}

// Keys that the provider publishes besides the one that signs, by their kid. Some are a trap.
var publishedKeys = map[string]string{
	"p256": "ES256", "p384": "ES384", "ed25519": "EdDSA", "weak": "RS256 of 1024 bits", "for-encryption": "RS256", "for-PS256": "RS256", "twins": "RS256",
}

// thieves are the keys of publishedKeys, and "nobody", which is not published.
var thieves = map[string]*idptest.Thief{}

// publishMore makes the provider list every algorithm and publish keys of all kinds.
func publishMore(t *testing.T, p *idptest.Provider) {
	t.Helper()
	var extra []any
	for kid, algorithm := range publishedKeys {
		thief, err := idptest.NewThief(algorithm, kid)
		check(t, err)
		thieves[kid] = thief
		key := thief.JWK()
		switch kid {
		case "for-encryption":
			key["use"] = "enc"
		case "for-PS256":
			key["alg"] = "PS256"
		case "p384":
			delete(key, "alg")
		case "twins":
			other, err := idptest.NewThief(algorithm, kid)
			check(t, err)
			extra = append(extra, other.JWK())
		}
		extra = append(extra, key)
	}
	nobody, err := idptest.NewThief("RS256", "nobody")
	check(t, err)
	thieves["nobody"] = nobody
	extra = append(extra, map[string]any{"kty": "oct", "kid": "shared", "k": base64.RawURLEncoding.EncodeToString([]byte("shared-secret"))},
		map[string]any{"kty": "XXX", "kid": "unknown-kind"}, map[string]any{"kty": "RSA", "kid": "unparseable", "n": "!", "e": "AQAB"}, 5, nil)
	p.EditJWKS(func(d map[string]any) { d["keys"] = append(slices.Clone(extra), d["keys"].([]any)...) })
	p.EditDiscovery(func(d map[string]any) {
		d["id_token_signing_alg_values_supported"] = []string{"none", "HS256", "RS256", "PS256", "ES256", "ES384", "EdDSA"}
	})
}

// by is the conduct that has another key sign.
func by(kid string, edit func(header map[string]any)) idptest.Conduct {
	return idptest.Conduct{SignedIDToken: thieves[kid].Sign(edit)}
}

// withoutHash leaves at_hash out, whose length depends on the algorithm.
func withoutHash(c idptest.Conduct) idptest.Conduct {
	c.IDToken = claim("at_hash", nil).IDToken
	return c
}

// forged is the conduct that puts another text in the place of the signed token.
func forged(forger idptest.Forger) idptest.Conduct { return idptest.Conduct{SignedIDToken: forger} }

// header is the conduct that sets a header of the ID token; nil leaves it out.
func header(name string, value any) idptest.Conduct {
	return idptest.Conduct{IDToken: func(h, _ map[string]any) { setOrDelete(h, name, value) }}
}

// oddSecret has everything that one encoding or the other changes.
const oddClient, oddSecret = "app: +%&=/?", "s3cret: +%&=ü/?#\"'"

// tokenChoices is a stack with providers that differ in how clients authenticate to them, and in their keys.
func (p *prover) tokenChoices() *choices {
	p.t.Helper()
	if p.others != nil {
		return p.others
	}
	odd := func(method, setting string) choice {
		secret := oddSecret
		if setting == "none" {
			secret = ""
		}
		settings := map[string]any{"client_id": oddClient, "client_secret": secret, "client_auth": setting}
		return choice{oidc: settings, options: func(o *idptest.Options) {
			o.Clients[0].ID, o.Clients[0].Secret, o.Clients[0].AuthMethod = oddClient, secret, method
		}}
	}
	p.others = newChoices(p.t, map[string]choice{
		"basic": odd(idptest.AuthBasic, "basic"), "post": odd(idptest.AuthPost, "post"), "public": odd("", "none"),
		"multiple": {options: func(o *idptest.Options) { o.ExtraKeys = 2 }},
		"single":   {}, "unknown": {}, "rotating": {}, "just-before": {}, "flooded": {}, "unreachable": {}, "one": {}, "two": {},
	})
	return p.others
}

func clientAuthentication(t *testing.T, p *prover) {
	c := p.tokenChoices()
	for name, row := range map[string]struct {
		provider         string
		inHeader, inForm bool
	}{
		"oidcc-client-test-client-secret-basic": {"basic", true, false},
		"client_secret_post":                    {"post", false, true},
		"no secret at all":                      {"public", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			at := c.at[row.provider]
			at.ForgetRequests()
			v := c.newcomer(idptest.Conduct{})
			c.finish(t, v, c.begin(t, v, row.provider), http.StatusFound)
			asked := at.Requests(idptest.Token)[0]
			if asked.Header.Get("Authorization") != "" != row.inHeader || asked.Form.Has("client_secret") != row.inForm || len(asked.Query) > 0 {
				t.Errorf("Authorization %v, in the form %v, query %v", asked.Header.Get("Authorization") != "", asked.Form.Has("client_secret"), asked.Query)
			}
			if row.inHeader {
				text, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(asked.Header.Get("Authorization"), "Basic "))
				if want := url.QueryEscape(oddClient) + ":" + url.QueryEscape(oddSecret); err != nil || string(text) != want {
					t.Errorf("the credentials are %q, %v; want %q", text, err, want)
				}
			}
			for _, request := range at.Requests("") {
				if text := request.Path + fmt.Sprint(request.Query); strings.Contains(text, "s3cret") {
					t.Errorf("the secret is in an address: %s", text)
				}
			}
		})
	}
	c.secrets = append(c.secrets, "s3cret")
	p.try(t, []attack{
		refuses("invalid_client", answers(idptest.Token, idptest.OAuthError("invalid_client"))),
		refuses("invalid_client with 401", answers(idptest.Token, idptest.Answer(http.StatusUnauthorized, "application/json", `{"error":"invalid_client"}`))),
		refuses("an error that quotes the secret", answers(idptest.Token, idptest.Answer(http.StatusBadRequest, "application/json", `{"error":"`+clientSecret+`","error_description":"`+clientSecret+`"}`))),
	})
}

func issuerOfTheToken(t *testing.T, p *prover) {
	issuer := p.provider.Issuer()
	p.try(t, []attack{
		accepts("oidcc-client-test", idptest.Conduct{}),
		refuses("oidcc-client-test-invalid-iss", claim("iss", "https://login.example.com")),
		refuses("missing", claim("iss", nil)),
		refuses("with a slash behind", claim("iss", issuer+"/")),
		refuses("in capitals", claim("iss", strings.ToUpper(issuer))),
		refuses("on https", claim("iss", strings.Replace(issuer, "http:", "https:", 1))),
		refuses("with another port", claim("iss", issuer[:strings.LastIndexByte(issuer, ':')]+":1")),
		refuses("without its scheme", claim("iss", strings.TrimPrefix(issuer, "http://"))),
		refuses("an array with the right one", claim("iss", []string{issuer})),
		refuses("under the name Iss", idToken(func(c map[string]any) { c["Iss"] = c["iss"]; delete(c, "iss") })),
	})
}

func audienceOfTheToken(t *testing.T, p *prover) {
	both := func(aud []string, azp any) idptest.Conduct {
		return idToken(func(c map[string]any) { c["aud"] = aud; setOrDelete(c, "azp", azp) })
	}
	p.try(t, []attack{
		refuses("oidcc-client-test-invalid-aud", claim("aud", "other")),
		refuses("oidcc-client-test-missing-aud", claim("aud", nil)),
		accepts("fapi2-security-profile-id2-client-test-valid-aud-as-array", both([]string{clientID}, nil)),
		refuses("fapi2-security-profile-id2-client-test-invalid-secondary-aud", both([]string{clientID, "other"}, nil)),
		refuses("an empty array", both([]string{}, nil)),
		refuses("in capitals", claim("aud", strings.ToUpper(clientID))),
		refuses("ours and another in one text", claim("aud", clientID+" other")),
		refuses("a number", claim("aud", 5)),
		refuses("an object", claim("aud", map[string]any{clientID: true})),
		accepts("another beside ours, and our azp", both([]string{clientID, "other"}, clientID)),
		refuses("another beside ours, and its azp", both([]string{clientID, "other"}, "other")),
		refuses("another alone, and our azp", both([]string{"other"}, clientID)),
		accepts("azp ours", claim("azp", clientID)),
		refuses("azp another", claim("azp", "other")),
		refuses("azp empty", claim("azp", "")),
		refuses("azp an array with ours", claim("azp", []string{clientID})),
	})
}

func signatureOfTheToken(t *testing.T, p *prover) {
	kid := p.provider.KeyID()
	own := thieves["nobody"].JWK()
	b64 := func(h, _ map[string]any) { h["b64"], h["crit"] = false, []string{"b64"} }
	p.try(t, []attack{
		accepts("oidcc-client-test-idtoken-sig-rs256", idptest.Conduct{}),
		refuses("oidcc-client-test-idtoken-sig-none", forged(idptest.Unsigned("none"))),
		refuses("None", forged(idptest.Unsigned("None"))),
		refuses("nOnE", forged(idptest.Unsigned("nOnE"))),
		refuses("alg empty", forged(idptest.Unsigned(""))),
		refuses("alg missing", header("alg", nil)),
		refuses("alg an array", header("alg", []string{"RS256"})),
		refuses("RS256 and no signature", forged(idptest.Unsigned("RS256"))),
		refuses("oidcc-client-test-invalid-sig-rs256", forged(idptest.BadSignature)),
		refuses("oidcc-client-test-invalid-sig-es256", forged(func(_ string, claims map[string]any) string {
			return idptest.BadSignature(thieves["p256"].Sign(nil)("", claims), nil)
		})),
		refuses("oidcc-client-test-invalid-sig-hs256", forged(idptest.HMACSigned("", []byte("another secret")))),
		refuses("HS256 with the client's secret", forged(idptest.HMACSigned("", []byte(clientSecret)))),
		refuses("HS256 with the public key as its secret", forged(idptest.HMACSigned(kid, p.provider.PublicKeyPEM()))),
		refuses("HS256 with a published symmetric key", forged(idptest.HMACSigned("shared", []byte("shared-secret")))),
		refuses("HS256 with an empty secret", forged(idptest.HMACSigned(kid, nil))),
		refuses("another RSA key under the kid", by("nobody", func(h map[string]any) { h["kid"] = kid })),
		refuses("an EC key under the kid, as ES256", by("p256", func(h map[string]any) { h["kid"] = kid })),
		refuses("an EC key under the kid, as RS256", by("p256", func(h map[string]any) { h["kid"], h["alg"] = kid, "RS256" })),
		accepts("ES256 by the published P-256 key", by("p256", nil)),
		accepts("ES384 by the published P-384 key", withoutHash(by("p384", nil))),
		accepts("EdDSA by the published Ed25519 key", withoutHash(by("ed25519", nil))),
		refuses("ES256 by the P-384 key: the wrong curve", by("p384", func(h map[string]any) { h["alg"] = "ES256" })),
		refuses("ES256 over an RSA signature", header("alg", "ES256")),
		refuses("PS256 over an RS256 signature", header("alg", "PS256")),
		refuses("RS512, which is not listed", header("alg", "RS512")),
		refuses("jwk with the key that signed", by("nobody", func(h map[string]any) { h["jwk"] = own })),
		refuses("jwk with the key that signed, without kid", by("nobody", func(h map[string]any) { h["jwk"] = own; delete(h, "kid") })),
		refuses("jwk in an honest token", header("jwk", own)),
		refuses("jku to the thief's keys", by("nobody", func(h map[string]any) { h["jku"] = p.provider.URL("/elsewhere") })),
		refuses("jku in an honest token", header("jku", p.provider.URL("/elsewhere"))),
		refuses("x5u in an honest token", header("x5u", p.provider.URL("/elsewhere"))),
		refuses("x5c with another key", by("nobody", func(h map[string]any) { h["x5c"] = []string{"MIIB"} })),
		refuses("crit with a name that nobody knows", header("crit", []string{"exp"})),
		refuses("crit empty", header("crit", []string{})),
		refuses("b64 false", header("b64", false)),
		refuses("b64 false, and crit", idptest.Conduct{IDToken: b64}),
		refuses("enc in a token of three parts", header("enc", "A128GCM")),
		refuses("zip in a token of three parts", header("zip", "DEF")),
		refuses("alg RSA-OAEP in a token of three parts", header("alg", "RSA-OAEP")),
	})
	if n := p.provider.Count("/elsewhere"); n != 0 {
		t.Errorf("keys of a token's choice were fetched %d times", n)
	}
}

func keyOfTheToken(t *testing.T, p *prover) {
	c := p.tokenChoices()
	for name, provider := range map[string]string{"oidcc-client-test-kid-absent-single-jwks": "single", "oidcc-client-test-kid-absent-multiple-jwks": "multiple"} {
		t.Run(name, func(t *testing.T) {
			v := c.newcomer(header("kid", nil))
			c.finish(t, v, c.begin(t, v, provider), http.StatusFound)
		})
	}
	t.Run("kid unknown: one fetch, then no", func(t *testing.T) {
		v := c.newcomer(header("kid", "unknown"))
		c.at["unknown"].ForgetRequests()
		c.finish(t, v, c.begin(t, v, "unknown"), http.StatusBadGateway)
		if n := c.at["unknown"].Count(idptest.JWKS); n != 1 {
			t.Errorf("%d fetches of the keys", n)
		}
	})
	noKid := func(h map[string]any) { delete(h, "kid") }
	p.try(t, []attack{
		accepts("oidcc-client-test-ignores-unparseable-key-in-jwks", idptest.Conduct{}),
		accepts("kid absent among keys of all kinds", header("kid", nil)),
		accepts("two keys with the same kid", by("twins", nil)),
		refuses("a key for encryption", by("for-encryption", nil)),
		refuses("a key for encryption, without kid", by("for-encryption", noKid)),
		refuses("a key for another algorithm", by("for-PS256", nil)),
		refuses("a key for another algorithm, without kid", by("for-PS256", noKid)),
		refuses("an RSA key of 1024 bits", by("weak", nil)),
		refuses("an RSA key of 1024 bits, without kid", by("weak", noKid)),
		refuses("the kid of another published key", header("kid", "p256")),
		refuses("a key that is not published", by("nobody", nil)),
		refuses("a key that is not published, without kid", by("nobody", noKid)),
		refuses("kid an object", header("kid", map[string]any{})),
		refuses("kid of 10 KB", header("kid", strings.Repeat("k", 10<<10))),
		refuses("kid a path", header("kid", "../../../../dev/null")),
	})
}

func rotatingKeys(t *testing.T, p *prover) {
	c := p.tokenChoices()
	rotate := func(t *testing.T, name string) {
		check(t, c.at[name].RotateKeys())
		c.at[name].RetireKeys()
		c.at[name].ForgetRequests()
	}
	t.Run("oidcc-client-test-signing-key-rotation", func(t *testing.T) {
		for _, rotated := range []bool{false, true} {
			if rotated {
				rotate(t, "rotating")
			}
			v := c.newcomer(idptest.Conduct{})
			c.finish(t, v, c.begin(t, v, "rotating"), http.StatusFound)
		}
		if n := c.at["rotating"].Count(idptest.JWKS); n != 1 {
			t.Errorf("%d fetches of the keys", n)
		}
	})
	t.Run("oidcc-client-test-signing-key-rotation-just-before-signing", func(t *testing.T) {
		v := c.newcomer(idptest.Conduct{})
		address := c.begin(t, v, "just-before")
		rotate(t, "just-before")
		c.finish(t, v, address, http.StatusFound)
	})
	t.Run("the keys cannot be fetched: nobody can tell, and the old ones stay good", func(t *testing.T) {
		at := c.at["unreachable"]
		at.Intercept(idptest.JWKS, idptest.Status(http.StatusInternalServerError))
		v := c.newcomer(header("kid", "unknown"))
		c.finish(t, v, c.begin(t, v, "unreachable"), http.StatusServiceUnavailable)
		v = c.newcomer(idptest.Conduct{})
		c.finish(t, v, c.begin(t, v, "unreachable"), http.StatusFound)
	})
	t.Run("1,000 tokens with random kids, by logins and back-channel", func(t *testing.T) {
		at, began := c.at["flooded"], time.Now()
		at.ForgetRequests()
		unknown := func(h, _ map[string]any) { h["kid"] = rand.Text() }
		for range 20 {
			v := c.newcomer(idptest.Conduct{IDToken: unknown})
			c.finish(t, v, c.begin(t, v, "flooded"), http.StatusBadGateway)
		}
		check(t, together(980, 8, func(int) error {
			response, err := direct.PostForm(c.url+"/backchannel-logout", url.Values{"logout_token": {at.LogoutToken(clientID, "alice", "", unknown)}})
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusBadRequest {
				return fmt.Errorf("the back-channel answers %s", response.Status)
			}
			return nil
		}))
		if n, most := at.Count(idptest.JWKS), 1+int(time.Since(began)/(10*time.Second)); n == 0 || n > most {
			t.Errorf("%d fetches of the keys, want 1 to %d", n, most)
		}
		v := c.newcomer(idptest.Conduct{})
		c.finish(t, v, c.begin(t, v, "flooded"), http.StatusFound)
	})
}

func timesOfTheToken(t *testing.T, p *prover) {
	in := func(name string, d time.Duration) idptest.Conduct {
		return idToken(func(c map[string]any) { c[name] = time.Now().Add(d).Unix() })
	}
	null := func(name string) idptest.Conduct { return idToken(func(c map[string]any) { c[name] = nil }) }
	var attacks []attack
	for _, name := range []string{"exp", "iat", "nbf"} {
		attacks = append(attacks,
			refuses(name+" a text", claim(name, fmt.Sprint(time.Now().Unix()+60))),
			refuses(name+" null", null(name)),
			refuses(name+" an array", claim(name, []int64{time.Now().Unix()})),
			refuses(name+" a boolean", claim(name, true)),
			refuses(name+" 1e300", claim(name, 1e300)),
			refuses(name+" 2^53", claim(name, int64(1)<<53)),
			refuses(name+" in milliseconds", claim(name, time.Now().UnixMilli())),
			accepts(name+" a float", idToken(func(c map[string]any) { c[name] = float64(time.Now().Add(30*time.Second).Unix()) + .5 })),
		)
	}
	p.try(t, append(attacks,
		refuses("exp missing", claim("exp", nil)),
		refuses("exp negative", claim("exp", -1)),
		refuses("exp zero", claim("exp", 0)),
		accepts("exp after 2038", claim("exp", int64(1)<<32)),
		refuses("expired by 61 s", in("exp", -61*time.Second)),
		accepts("expired by 10 s", in("exp", -10*time.Second)),
		refuses("oidcc-client-test-missing-iat", claim("iat", nil)),
		refuses("iat negative", claim("iat", -1)),
		refuses("iat in 10 minutes", in("iat", 10*time.Minute)),
		accepts("iat in 30 s", in("iat", 30*time.Second)),
		refuses("iat a week ago", in("iat", -7*24*time.Hour)),
		refuses("nbf in 10 minutes", in("nbf", 10*time.Minute)),
		accepts("nbf in 30 s", in("nbf", 30*time.Second)),
		accepts("nbf a year ago", in("nbf", -365*24*time.Hour)),
	))
}

func subjectOfTheToken(t *testing.T, p *prover) {
	as := func(name, subject string) attack {
		a := accepts(name, claim("sub", subject))
		a.as = subject
		return a
	}
	p.try(t, []attack{
		as("of 255 characters", strings.Repeat("a", 255)),
		as("with spaces and signs", `a b|c"d'e<f>{g}`),
		refuses("oidcc-client-test-missing-sub", claim("sub", nil)),
		refuses("empty", claim("sub", "")),
		refuses("null", idToken(func(c map[string]any) { c["sub"] = nil })),
		refuses("a number", claim("sub", 5)),
		refuses("an array", claim("sub", []string{"alice"})),
		refuses("an object", claim("sub", map[string]any{"a": "b"})),
		refuses("of 256 characters", claim("sub", strings.Repeat("a", 256))),
		refuses("of 10 KB", claim("sub", strings.Repeat("a", 10<<10))),
		refuses("with a line end", claim("sub", "alice\r\nX-Auth-Request-Groups: admins")),
		refuses("with a NUL", claim("sub", "alice\x00")),
		refuses("with DEL", claim("sub", "alice\x7f")),
		refuses("beyond ASCII", claim("sub", "älice")),
		refuses("under the name Sub", idToken(func(c map[string]any) { c["Sub"] = c["sub"]; delete(c, "sub") })),
	})
	t.Run("the same sub at two issuers is two people", func(t *testing.T) {
		c := p.tokenChoices()
		one := c.newcomer(idptest.Conduct{})
		two := c.visitor(one.person)
		c.finish(t, one, c.begin(t, one, "one"), http.StatusFound)
		c.finish(t, two, c.begin(t, two, "two"), http.StatusFound)
		page, err := one.send(http.MethodGet, "/sessions", nil)
		if err != nil || page.status != http.StatusOK || strings.Count(page.body, "<h2") != 1 {
			t.Errorf("one's sessions: %v, %v\n%s", page, err, page.body)
		}
		response, err := direct.PostForm(c.url+"/backchannel-logout", url.Values{"logout_token": {c.at["one"].LogoutToken(clientID, one.person, "", nil)}})
		check(t, err)
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Fatalf("the sign-out at one: %s", response.Status)
		}
		check(t, c.refused(one.cookie(sessionCookie)))
		check(t, c.signedInAs(two.person, two.cookie(sessionCookie)))
	})
}

func hashesOfTheToken(t *testing.T, p *prover) {
	p.try(t, []attack{
		accepts("its own", idptest.Conduct{}),
		refuses("oidcc-client-test-nonce-invalid", claim("nonce", "another")),
		refuses("oidcc-client-test-invalid-athash", claim("at_hash", "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y")),
		accepts("at_hash missing, as the code flow allows", claim("at_hash", nil)),
		refuses("at_hash empty", claim("at_hash", "")),
		refuses("at_hash a number", claim("at_hash", 5)),
		refuses("at_hash null", idToken(func(c map[string]any) { c["at_hash"] = nil })),
		refuses("at_hash cut", idToken(func(c map[string]any) { c["at_hash"] = c["at_hash"].(string)[:10] })),
		refuses("another access token beside it", idptest.Conduct{TokenResponse: func(a map[string]any) { a["access_token"] = "another" }}),
	})
}

func demandedLogins(t *testing.T, p *prover) {
	ago := func(d time.Duration) idptest.Conduct {
		return idToken(func(c map[string]any) { c["auth_time"] = time.Now().Add(-d).Unix() })
	}
	firstOnly := func() idptest.Conduct {
		tokens := 0
		return idToken(func(c map[string]any) {
			if tokens++; tokens == 1 {
				delete(c, "auth_time")
			}
		})
	}
	for _, row := range []struct {
		name, path string
		conduct    idptest.Conduct
		want       int // at the end; 403 and 200 after a second try of the service's own
		tries      int
	}{
		{"max_age, kept", "/fresh", idptest.Conduct{}, http.StatusOK, 1},
		{"max_age, auth_time missing", "/fresh", claim("auth_time", nil), http.StatusForbidden, 2},
		{"max_age, auth_time two hours ago", "/fresh", ago(2 * time.Hour), http.StatusForbidden, 2},
		{"max_age, auth_time missing at first", "/fresh", firstOnly(), http.StatusOK, 2},
		{"auth_time a text", "/fresh", claim("auth_time", "today"), http.StatusBadGateway, 1},
		{"auth_time in 10 minutes", "/fresh", ago(-10 * time.Minute), http.StatusBadGateway, 1},
		{"auth_time zero", "/fresh", claim("auth_time", 0), http.StatusBadGateway, 1},
		{"acr, kept", "/high", claim("acr", "high"), http.StatusOK, 1},
		{"acr missing", "/high", claim("acr", nil), http.StatusForbidden, 2},
		{"acr lower", "/high", claim("acr", "low"), http.StatusForbidden, 2},
		{"acr in capitals", "/high", claim("acr", "HIGH"), http.StatusForbidden, 2},
		{"acr an array with the right one", "/high", claim("acr", []string{"high"}), http.StatusForbidden, 2},
		{"nothing asked for, auth_time missing", "/landed", claim("auth_time", nil), http.StatusOK, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := p.newcomer(row.conduct)
			records := p.records()
			p.provider.ForgetRequests()
			answer, err := v.open("/start?rd=" + row.path)
			check(t, err)
			asked := p.provider.Requests(idptest.Authorize)
			if answer.status != row.want || len(asked) != row.tries || p.provider.Count(idptest.Token) != row.tries {
				t.Fatalf("it ends with %v after %d tries; want %d after %d", answer, len(asked), row.want, row.tries)
			}
			for parameter, path := range map[string]string{"max_age": "/fresh", "acr_values": "/high"} {
				if asked[0].Query.Has(parameter) != (path == row.path) {
					t.Errorf("%s: %q", parameter, asked[0].Query[parameter])
				}
			}
			if row.tries == 2 && asked[1].Query.Get("prompt") != "login" {
				t.Errorf("the second time with prompt %q", asked[1].Query.Get("prompt"))
			}
			if row.want == http.StatusOK {
				_, err := v.arrived(answer, row.path)
				check(t, err)
				return
			}
			p.refusedPage(t, v, answer, false)
			if p.records() != records {
				t.Error("it left a session")
			}
		})
	}
}

func userinfoAnswers(t *testing.T, p *prover) {
	const forgedBy = "intruder@example.com"
	good := func(sub string) string {
		return `{"sub":"` + sub + `","email":"` + forgedBy + `","email_verified":true}`
	}
	edit := func(change func(claims map[string]any)) idptest.Conduct { return idptest.Conduct{Userinfo: change} }
	answer := func(kind string, text func(sub string) string) func(sub string) idptest.Conduct {
		return func(sub string) idptest.Conduct {
			return answers(idptest.Userinfo, idptest.Answer(http.StatusOK, kind, text(sub)))
		}
	}
	// A signed answer (Core section 5.3.2).
	signed := func(change func(claims map[string]any), sign func(payload []byte) string) func(sub string) idptest.Conduct {
		return answer("application/jwt", func(sub string) string {
			claims := map[string]any{"iss": p.provider.Issuer(), "aud": clientID, "sub": sub, "email": forgedBy, "email_verified": true}
			if change != nil {
				change(claims)
			}
			payload, err := json.Marshal(claims)
			check(t, err)
			return sign(payload)
		})
	}
	sign := func(payload []byte) string {
		return p.provider.Sign([]byte(`{"alg":"RS256","kid":"`+p.provider.KeyID()+`"}`), payload)
	}
	unsigned := func(payload []byte) string {
		return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString(payload) + "."
	}
	always := func(c idptest.Conduct) func(string) idptest.Conduct {
		return func(string) idptest.Conduct { return c }
	}
	own := "its own"
	for _, row := range []struct {
		name    string
		conduct func(sub string) idptest.Conduct
		email   string // that passes afterwards
	}{
		{"oidcc-client-test-scope-userinfo-claims", always(idptest.Conduct{}), own},
		{"with a charset", answer("application/json; charset=utf-8", good), forgedBy},
		{"oidcc-client-test-userinfo-invalid-sub", always(edit(func(c map[string]any) { c["sub"] = "bob" })), ""},
		{"sub missing", always(edit(func(c map[string]any) { delete(c, "sub") })), ""},
		{"sub null", always(edit(func(c map[string]any) { c["sub"] = nil })), ""},
		{"sub an array", always(edit(func(c map[string]any) { c["sub"] = []any{c["sub"]} })), ""},
		{"sub in capitals", always(edit(func(c map[string]any) { c["sub"] = strings.ToUpper(c["sub"].(string)) })), ""},
		{"Sub in the place of sub", always(edit(func(c map[string]any) { c["Sub"] = c["sub"]; delete(c, "sub") })), ""},
		{"an array", answer("application/json", func(sub string) string { return "[" + good(sub) + "]" }), ""},
		{"two objects", answer("application/json", func(sub string) string { return good(sub) + good(sub) }), ""},
		{"HTML", answer("text/html", good), ""},
		{"no type", answer("", good), ""},
		{"401", always(answers(idptest.Userinfo, idptest.Status(http.StatusUnauthorized))), ""},
		{"500", always(answers(idptest.Userinfo, idptest.Status(http.StatusInternalServerError))), ""},
		{"50 MB", always(answers(idptest.Userinfo, padded)), ""},
		{"a gzip bomb", always(answers(idptest.Userinfo, gzipBomb)), ""},
		{"cut off", always(answers(idptest.Userinfo, idptest.CutOff())), ""},
		{"a redirect", always(answers(idptest.Userinfo, idptest.Redirect(p.provider.URL("/elsewhere")))), ""},
		{"oidcc-client-test-signed-userinfo", signed(nil, sign), forgedBy},
		{"signed, with another iss", signed(func(c map[string]any) { c["iss"] = "https://login.example.com" }, sign), ""},
		{"signed, with another aud", signed(func(c map[string]any) { c["aud"] = "other" }, sign), ""},
		{"signed, with another sub", signed(func(c map[string]any) { c["sub"] = "bob" }, sign), ""},
		{"signed by nobody", signed(nil, unsigned), ""},
		{"slow: it never comes", always(answers(idptest.Userinfo, idptest.Hang())), ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			v := p.newcomer(idptest.Conduct{})
			conduct := row.conduct(v.person)
			conduct.IDToken = claim("email", nil).IDToken // so that userinfo is asked
			p.provider.Treat(v.person, conduct)
			address, err := v.toCallback("/landed")
			check(t, err)
			p.provider.ForgetRequests()
			answer, err := v.send(http.MethodGet, address, nil)
			check(t, err)
			p.landed(t, v, answer, "")
			verdict, err := p.verdict(p.replicas[0], v.cookie(sessionCookie))
			check(t, err)
			want := row.email
			if want == own {
				want = v.person + "@example.com"
			}
			if email := verdict.header.Get("X-Auth-Request-Email"); email != want || verdict.header.Get("X-Auth-Request-Groups") != "staff,team-"+v.person {
				t.Errorf("e-mail %q, want %q; groups %q", email, want, verdict.header.Get("X-Auth-Request-Groups"))
			}
			if n := p.provider.Count(idptest.Userinfo); n != 1 || p.provider.Count("/elsewhere") != 0 {
				t.Errorf("%d userinfo requests, %d elsewhere", n, p.provider.Count("/elsewhere"))
			}
		})
	}
}

// gzipBomb answers with 16 MB of JSON in some 16 KB.
func gzipBomb(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Encoding", "gzip")
	w.Write(bomb())
}

var bomb = sync.OnceValue(func() []byte {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	w.Write([]byte(`{"padding":"`))
	for range 16 {
		w.Write(bytes.Repeat([]byte("x"), 1<<20))
	}
	w.Write([]byte(`"}`))
	w.Close() // none of these fails: it is a buffer
	return packed.Bytes()
})

// padded gives the honest answer behind 50 MB of nothing, to whoever reads so far.
func padded(w http.ResponseWriter, r *http.Request, next http.Handler) {
	honest := httptest.NewRecorder()
	next.ServeHTTP(honest, r)
	w.Header().Set("Content-Type", "application/json")
	w.Write([]byte(`{"padding":"`))
	for range 50 {
		if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
			return // whoever asked has had enough
		}
	}
	w.Write([]byte(`",`))
	w.Write(honest.Body.Bytes()[1:])
}

func tokenResponses(t *testing.T, p *prover) {
	set := func(name string, value any) idptest.Conduct {
		return idptest.Conduct{TokenResponse: func(answer map[string]any) { setOrDelete(answer, name, value) }}
	}
	answer := func(status int, kind, text string) idptest.Conduct {
		return answers(idptest.Token, idptest.Answer(status, kind, text))
	}
	unavailable := func(name string, interceptor idptest.Interceptor) attack {
		return attack{name: name, conduct: answers(idptest.Token, interceptor), want: http.StatusServiceUnavailable, spends: true}
	}
	leaky := `{"access_token":"eyJ","id_token":"eyJ","error":"alice@example.com","error_description":"` + clientSecret + `"}`
	p.try(t, []attack{
		accepts("fapi2-security-profile-id2-client-test-token-type-case-insensitivity", set("token_type", "bEARER")),
		accepts("token_type bearer", set("token_type", "bearer")),
		refuses("token_type mac", set("token_type", "mac")),
		refuses("token_type DPoP", set("token_type", "DPoP")),
		refuses("token_type missing", set("token_type", nil)),
		refuses("token_type an array", set("token_type", []string{"Bearer"})),
		refuses("no id_token", set("id_token", nil)),
		refuses("id_token empty", set("id_token", "")),
		refuses("id_token a number", set("id_token", 5)),
		refuses("id_token an array", set("id_token", []string{"eyJ"})),
		refuses("no access_token", set("access_token", nil)),
		refuses("access_token a number", set("access_token", 5)),
		accepts("fapi2-security-profile-id2-client-test-token-endpoint-response-without-expires_in", set("expires_in", nil)),
		accepts("expires_in a text", set("expires_in", "300")),
		accepts("expires_in a million years", set("expires_in", int64(1e13))),
		accepts("expires_in 1e300", set("expires_in", 1e300)),
		accepts("parameters that nobody knows", set("x", map[string]any{"y": "z"})),
		refuses("expires_in a word", set("expires_in", "soon")),
		refuses("expires_in an array", set("expires_in", []int{300})),
		refuses("an error of status 200 that quotes secrets", answer(http.StatusOK, "application/json", leaky)),
		refuses("an error that quotes secrets", answer(http.StatusBadRequest, "application/json", leaky)),
		refuses("HTML", answer(http.StatusOK, "text/html", "<html>"+clientSecret+"</html>")),
		refuses("nothing", answer(http.StatusOK, "application/json", "")),
		refuses("null", answer(http.StatusOK, "application/json", "null")),
		refuses("an array", answer(http.StatusOK, "application/json", "[]")),
		refuses("garbage", answers(idptest.Token, idptest.Garbage())),
		refuses("truncated", answers(idptest.Token, idptest.Truncated())),
		refuses("without an end", answers(idptest.Token, idptest.Endless())),
		refuses("a gzip bomb", answers(idptest.Token, gzipBomb)),
		refuses("a redirect", answers(idptest.Token, idptest.Redirect(p.provider.URL("/elsewhere")))),
		unavailable("500", idptest.Status(http.StatusInternalServerError)),
		unavailable("429", idptest.Status(http.StatusTooManyRequests)),
		unavailable("closed", idptest.Close()),
		unavailable("closed after the code was spent", idptest.LoseAnswer()),
		unavailable("cut off", idptest.CutOff()),
	})
	// A life of 0 s, or less, falls due at once: nothing else is different.
	for name, value := range map[string]any{"expires_in 0": 0, "expires_in negative": -5} {
		t.Run(name, func(t *testing.T) {
			v := p.newcomer(set("expires_in", value))
			address, err := v.toCallback("/landed")
			check(t, err)
			answer, err := v.send(http.MethodGet, address, nil)
			check(t, err)
			if cookie := v.cookie(sessionCookie); answer.status != http.StatusFound || cookie == "" {
				t.Errorf("%v", answer)
			}
		})
	}
	if n := p.provider.Count("/elsewhere"); n != 0 {
		t.Errorf("a redirect was followed %d times: code and secret went elsewhere", n)
	}
}

func discoveries(t *testing.T, p *prover) {
	set := func(name string, value any) func(*idptest.Provider) {
		return func(p *idptest.Provider) {
			p.EditDiscovery(func(document map[string]any) { setOrDelete(document, name, value) })
		}
	}
	jwks := func(keys ...any) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.EditJWKS(func(document map[string]any) { document["keys"] = keys }) }
	}
	intercept := func(endpoint idptest.Endpoint, interceptor idptest.Interceptor) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.Intercept(endpoint, interceptor) }
	}
	release := make(chan struct{})
	rows := []struct {
		name string
		arm  func(*idptest.Provider)
		good bool
	}{
		{"oidcc-client-test-discovery-openid-config", func(*idptest.Provider) {}, true},
		{"oidcc-client-test-discovery-jwks-uri-keys", func(*idptest.Provider) {}, true},
		{"safe algorithms beside others", set("id_token_signing_alg_values_supported", []string{"none", "HS256", "ES256"}), true},
		{"oidcc-client-test-discovery-issuer-mismatch", set("issuer", "https://login.example.com"), false},
		{"issuer with a slash behind", func(p *idptest.Provider) { set("issuer", p.Issuer()+"/")(p) }, false},
		{"issuer in capitals", func(p *idptest.Provider) { set("issuer", strings.ToUpper(p.Issuer()))(p) }, false},
		{"issuer missing", set("issuer", nil), false},
		{"issuer a number", set("issuer", 5), false},
		{"authorization endpoint on http", set("authorization_endpoint", "http://login.example.com/authorize"), false},
		{"authorization endpoint of script", set("authorization_endpoint", "javascript:alert(1)"), false},
		{"authorization endpoint missing", set("authorization_endpoint", nil), false},
		{"token endpoint on http", set("token_endpoint", "http://login.example.com/token"), false},
		{"token endpoint with a password", set("token_endpoint", "https://user:password@login.example.com/token"), false},
		{"token endpoint of a name like this host", set("token_endpoint", "http://localhost.example.com/token"), false},
		{"token endpoint missing", set("token_endpoint", nil), false},
		{"userinfo endpoint on http", set("userinfo_endpoint", "http://login.example.com/userinfo"), false},
		{"end_session endpoint on http", set("end_session_endpoint", "http://login.example.com/logout"), false},
		{"jwks_uri on http", set("jwks_uri", "http://login.example.com/jwks"), false},
		{"jwks_uri a file", set("jwks_uri", "file:///etc/passwd"), false},
		{"jwks_uri of a metadata service", set("jwks_uri", "http://169.254.169.254/latest/meta-data"), false},
		{"jwks_uri without a host", set("jwks_uri", "/jwks"), false},
		{"jwks_uri missing", set("jwks_uri", nil), false},
		{"no safe algorithm", set("id_token_signing_alg_values_supported", []string{"none", "HS256"}), false},
		{"redirected to another address", func(p *idptest.Provider) {
			p.Intercept(idptest.Discovery, idptest.Redirect(p.URL("/elsewhere")))
		}, false},
		{"50 MB", intercept(idptest.Discovery, padded), false},
		{"without an end", intercept(idptest.Discovery, idptest.Endless()), false},
		{"a gzip bomb", intercept(idptest.Discovery, gzipBomb), false},
		{"garbage", intercept(idptest.Discovery, idptest.Garbage()), false},
		{"HTML", intercept(idptest.Discovery, idptest.Answer(http.StatusOK, "text/html", "<html>")), false},
		{"an array", intercept(idptest.Discovery, idptest.Answer(http.StatusOK, "application/json", "[]")), false},
		{"truncated", intercept(idptest.Discovery, idptest.Truncated()), false},
		{"500", intercept(idptest.Discovery, idptest.Status(http.StatusInternalServerError)), false},
		{"slow", intercept(idptest.Discovery, idptest.Hold(release)), false},
		{"keys redirected", func(p *idptest.Provider) { p.Intercept(idptest.JWKS, idptest.Redirect(p.URL("/elsewhere"))) }, false},
		{"keys of 50 MB", intercept(idptest.JWKS, padded), false},
		{"keys without an end", intercept(idptest.JWKS, idptest.Endless()), false},
		{"keys garbage", intercept(idptest.JWKS, idptest.Garbage()), false},
		{"keys 500", intercept(idptest.JWKS, idptest.Status(http.StatusInternalServerError)), false},
		{"keys slow", intercept(idptest.JWKS, idptest.Hold(release)), false},
		{"no keys", jwks(), false},
		{"symmetric keys alone", jwks(map[string]any{"kty": "oct", "k": "c2VjcmV0"}), false},
	}
	// Each has a site of its own on one replica.
	var sites []map[string]any
	providers := make([]*idptest.Provider, len(rows))
	host := func(i int) string { return fmt.Sprintf("site-%d.localhost", i) }
	for i, row := range rows {
		providers[i] = idptest.Start(t, idptest.Options{Algorithm: "ES256", Clients: []idptest.Client{{ID: clientID, Secret: clientSecret, RedirectURIs: []string{"http://" + host(i) + "/callback"}}}})
		row.arm(providers[i])
		sites = append(sites, map[string]any{"hosts": []string{host(i)}, "public_url": "http://" + host(i), "oidc": map[string]any{"issuer": providers[i].Issuer()}})
	}
	text, err := json.Marshal(sites)
	check(t, err)
	r := newReplica(t, map[string]string{
		"public_url": p.url, "oidc.issuer": p.provider.Issuer(), "oidc.client_id": clientID, "oidc.client_secret": clientSecret, "cookie.secret": newSecret(),
		"store.url": storetest.StartRedis(t).URL, "shutdown.delay": "0", "sites": string(text),
	})
	start := func(i int) (reply, error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+r.address+"/start?rd=/landed", nil)
		if err != nil {
			return reply{}, err
		}
		request.Host = host(i)
		return exchange(direct, request)
	}
	for i, row := range rows {
		tries := 2 // the first one has ended by then
		if strings.Contains(row.name, "slow") {
			tries = 1
		}
		storetest.WaitFor(t, row.name+" to be tried", func() error {
			answer, err := start(i)
			if n := providers[i].Count(idptest.Discovery); err == nil && answer.status != http.StatusFound && (row.good || n < tries) {
				err = fmt.Errorf("%v, %d of %d tries", answer, n, tries)
			}
			return err
		})
	}
	for i, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			answer, err := start(i)
			check(t, err)
			if row.good {
				if answer.status != http.StatusFound || !strings.HasPrefix(answer.next(), providers[i].URL(idptest.Authorize)+"?") {
					t.Errorf("%v", answer)
				}
				return
			}
			if answer.status != http.StatusServiceUnavailable || answer.header.Get("Retry-After") == "" || len(answer.cookies()) > 0 {
				t.Errorf("%v; want a 503 page", answer)
			}
		})
	}
	t.Run("all are well once their providers are", func(t *testing.T) {
		for _, provider := range providers {
			provider.BeHonest()
		}
		close(release)
		for i, row := range rows {
			storetest.WaitFor(t, row.name+" to be well", func() error {
				answer, err := start(i)
				if err == nil && answer.status != http.StatusFound {
					err = fmt.Errorf("%v", answer)
				}
				return err
			})
			if n := providers[i].Count("/elsewhere"); n != 0 {
				t.Errorf("%s: a redirect was followed %d times", row.name, n)
			}
		}
	})
	p.tellsNothing(t, "the log", r.log.String())
	t.Run("an issuer on http is refused at the start", func(t *testing.T) {
		for issuer, want := range map[string]int{
			"http://login.example.com": 2, "http://169.254.169.254": 2, "file:///etc/passwd": 2, "https://login.example.com/?a=b": 2, "https://user:password@login.example.com": 2,
			"https://login.example.com": 0, "http://127.0.0.1:8080": 0,
		} {
			got := run(t, "check", variables(map[string]string{
				"public_url": "https://app.example.com", "oidc.issuer": issuer, "oidc.client_id": clientID, "oidc.client_secret": clientSecret, "cookie.secret": newSecret(),
				"store.url": "redis://127.0.0.1:6379",
			})...)
			if got.code != want || want == 2 && !strings.Contains(got.stderr, "OIDC_ISSUER") {
				t.Errorf("%s: exit code %d, want %d: %s", issuer, got.code, want, got.stderr)
			}
		}
	})
}

func shapesOfTokens(t *testing.T, p *prover) {
	encrypted, err := idptest.Encrypted(p.provider.PublicKey())
	check(t, err)
	honestHeader := `{"alg":"RS256","kid":"` + p.provider.KeyID() + `"}`
	// payload signs a payload that a map cannot tell.
	payload := func(change func(text string) string) idptest.Conduct {
		return forged(func(_ string, claims map[string]any) string {
			text, err := json.Marshal(claims)
			if err != nil {
				panic(err)
			}
			return p.provider.Sign([]byte(honestHeader), []byte(change(string(text))))
		})
	}
	more := func(members string) idptest.Conduct {
		return payload(func(text string) string { return text[:len(text)-1] + "," + members + "}" })
	}
	deep := func(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }
	response := func(change func(answer map[string]any)) idptest.Conduct {
		return idptest.Conduct{TokenResponse: change}
	}
	last := accepts("sub twice: the last one, for all", more(`"sub":"mallory"`))
	last.as = "mallory"
	p.try(t, []attack{
		refuses("1 MB", forged(idptest.Text(strings.Repeat("a", 1<<20)))),
		refuses("1 MB in three parts", forged(idptest.Text(strings.Repeat("a", 1<<18)+"."+strings.Repeat("a", 1<<18)+"."+strings.Repeat("a", 1<<18)))),
		refuses("100 KB, well signed", claim("padding", strings.Repeat("x", 100<<10))),
		refuses("10^6 dots", forged(idptest.Text(strings.Repeat(".", 1_000_000)))),
		refuses("a.a.a…", forged(idptest.Text(strings.Repeat("a.", 400_000)))),
		refuses("two dots", forged(idptest.Text(".."))),
		refuses("a JWE, for a key that we could have", forged(encrypted)),
		refuses("in JSON", forged(idptest.JSONSerialized)),
		refuses("a part more", forged(func(signed string, _ map[string]any) string { return signed + "." })),
		refuses("with padding", forged(func(signed string, _ map[string]any) string { return strings.Replace(signed, ".", "=.", 1) })),
		refuses("with a line end", forged(func(signed string, _ map[string]any) string { return signed + "\n" })),
		refuses("claims nested 10^4 deep", more(`"deep":`+deep(10_000))),
		refuses("claims nested 10^4 deep, by objects", more(`"deep":`+strings.Repeat(`{"a":`, 10_000)+"1"+strings.Repeat("}", 10_000))),
		refuses("groups nested 40 deep", more(`"groups":`+deep(40))),
		refuses("a header nested 10^4 deep", forged(func(_ string, claims map[string]any) string {
			text, err := json.Marshal(claims)
			if err != nil {
				panic(err)
			}
			return p.provider.Sign([]byte(strings.TrimSuffix(honestHeader, "}")+`,"deep":`+deep(10_000)+"}"), text)
		})),
		refuses("claims that are an array", payload(func(text string) string { return "[" + text + "]" })),
		refuses("claims that are null", payload(func(string) string { return "null" })),
		refuses("claims and something behind", payload(func(text string) string { return text + text })),
		refuses("claims that are not UTF-8, in sub", more("\"sub\":\"a\xff\"")),
		last,
		refuses("iss twice, the last one another", more(`"iss":"https://login.example.com"`)),
		refuses("aud twice, the last one another", more(`"aud":"other"`)),
		refuses("nonce twice, the last one another", more(`"nonce":"another"`)),
		refuses("exp twice, the last one over", more(`"exp":1`)),
		accepts("Sub beside sub", more(`"Sub":"mallory"`)),
		accepts("a long s in sub beside sub", more(`"ſub":"mallory"`)),
		refuses("an access token in its place", response(func(a map[string]any) { a["id_token"] = a["access_token"] })),
		refuses("a logout token in its place", response(func(a map[string]any) { a["id_token"] = p.provider.LogoutToken(clientID, "alice", "", nil) })),
		refuses("a token response nested 10^4 deep", answers(idptest.Token, idptest.Answer(http.StatusOK, "application/json", `{"deep":`+deep(10_001)+`}`))),
		accepts("and still the honest one", idptest.Conduct{}),
	})
}
