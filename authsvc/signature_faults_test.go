package authsvc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"authsvc/authsvc/idptest"
)

// TestSignatureFaults holds the signature and its header against everything that is not the issuer's own. Each row of this rig
// has the same key, published with its kid.
func TestSignatureFaults(t *testing.T) {
	r := newRig(t, 1, nil)
	bad := func(name string, arm func(*idptest.Provider)) fault {
		return fault{name: name, arm: arm, want: http.StatusBadGateway, spends: true}
	}
	replace := func(forger idptest.Forger) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.ReplaceIDToken(forger) }
	}
	header := func(name string, value any) func(*idptest.Provider) {
		return func(p *idptest.Provider) { p.EditIDToken(func(h, _ map[string]any) { h[name] = value }) }
	}
	forged := func(algorithm, kid string) func(*idptest.Provider) {
		forger, err := idptest.SignedByAnother(algorithm, kid)
		if err != nil {
			t.Fatal(err)
		}
		return replace(forger)
	}
	encrypted, err := idptest.Encrypted(r.provider.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	kid := r.provider.KeyID()
	thiefKey, thief := theKeyThatSigns(t)

	runFaults(t, r, []fault{
		bad("Q15 alg none, oidcc-client-test-idtoken-sig-none", replace(idptest.Unsigned("none"))),
		bad("Q15 alg None", replace(idptest.Unsigned("None"))),
		bad("Q15 alg nOnE", replace(idptest.Unsigned("nOnE"))),
		bad("Q15 alg empty", replace(idptest.Unsigned(""))),
		bad("Q15 alg RS256 and no signature", replace(idptest.Unsigned("RS256"))),
		bad("Q15 HS256 with the public key as its secret", replace(idptest.HMACSigned(kid, r.provider.PublicKeyPEM()))),
		bad("Q15 HS256 with the client's secret, oidcc-client-test-invalid-sig-hs256", replace(idptest.HMACSigned("", []byte(testClientSecret)))),
		bad("Q15 HS256 with no secret", replace(idptest.HMACSigned(kid, nil))),
		bad("Q15 one bit of the signature, oidcc-client-test-invalid-sig-rs256", replace(idptest.BadSignature)),
		bad("Q15 another RSA key under the kid", forged("RS256", kid)),
		bad("Q15 an EC key under the kid, oidcc-client-test-invalid-sig-es256", forged("ES256", kid)),
		bad("Q15 an Ed25519 key under the kid", forged("EdDSA", kid)),
		bad("Q15 another RSA key without kid", forged("RS256", "")),
		bad("Q15 header ES256 over an RSA signature", header("alg", "ES256")),
		bad("Q15 header PS256 over an RS256 signature", header("alg", "PS256")),
		bad("Q15 header RS512 over an RS256 signature", header("alg", "RS512")),
		bad("Q15 header alg an array", header("alg", []string{"RS256"})),
		bad("Q15 jwk with the signing key", replace(thief(func(h map[string]any) { h["jwk"] = thiefKey }))),
		bad("Q15 jwk in an honest token", header("jwk", thiefKey)),
		bad("Q15 jku to the thief's keys", replace(thief(func(h map[string]any) { h["jku"] = r.provider.URL("/elsewhere") }))),
		bad("Q15 jku in an honest token", header("jku", "http://127.0.0.1:1/jwks")),
		bad("Q15 x5u in an honest token", header("x5u", "http://127.0.0.1:1/chain.pem")),
		bad("Q15 x5c with another key", replace(thief(func(h map[string]any) { h["x5c"] = []string{"MIIB"} }))),
		bad("Q15 crit with an unknown name", header("crit", []string{"exp"})),
		bad("Q15 crit empty", header("crit", []string{})),
		bad("Q15 b64 false", header("b64", false)),
		bad("Q15 b64 false and crit", func(p *idptest.Provider) {
			p.EditIDToken(func(h, _ map[string]any) { h["b64"], h["crit"] = false, []string{"b64"} })
		}),
		bad("Q31 typ of a logout token", header("typ", "logout+jwt")),
		bad("Q31 typ of an access token", header("typ", "application/AT+JWT")),
		{name: "typ as a media type", arm: header("typ", "application/jwt"), want: http.StatusFound},
		bad("Q15 enc in a token of three parts", header("enc", "A128GCM")),
		bad("Q15 zip in a token of three parts", header("zip", "DEF")),
		bad("Q15 alg RSA-OAEP in a token of three parts", header("alg", "RSA-OAEP")),
		bad("Q27 JWE for a key that we could have", replace(encrypted)),
		bad("Q27 JSON serialization", replace(func(signed string, _ map[string]any) string {
			part := strings.Split(signed, ".")
			return fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, part[0], part[1], part[2])
		})),
		bad("Q27 a good token and one more part", replace(func(signed string, _ map[string]any) string { return signed + "." })),
		bad("Q27 a good token with padding", replace(func(signed string, _ map[string]any) string { return strings.Replace(signed, ".", "=.", 1) })),
		bad("Q27 a token of 1 MB", replace(idptest.Text(strings.Repeat("a", 1<<20)))),
		bad("Q27 a token of 100 KB with a good signature", setClaim("padding", strings.Repeat("a", 100<<10))),
		bad("Q27 900,000 dots", replace(idptest.Text(strings.Repeat(".", 900_000)))),
		bad("Q27 two dots", replace(idptest.Text(".."))),
		bad("Q27 an access token in its place", func(p *idptest.Provider) {
			p.EditTokenResponse(func(a map[string]any) { a["id_token"] = a["access_token"] })
		}),
		bad("Q27 a logout token in its place", func(p *idptest.Provider) {
			p.EditTokenResponse(func(a map[string]any) { a["id_token"] = p.LogoutToken("app", "alice", "", nil) })
		}),
		{name: "and still the honest one", want: http.StatusFound},
	})
	if n := r.provider.Count("/elsewhere"); n != 0 {
		t.Errorf("the thief's keys were fetched %d times", n)
	}
}

// theKeyThatSigns is a key of a thief: its public half as a JWK, and forgers of tokens that it signs.
func theKeyThatSigns(t *testing.T) (public map[string]any, forger func(func(header map[string]any)) idptest.Forger) {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jose.JSONWebKey{Key: private.Public(), Algorithm: "RS256"}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &public); err != nil {
		t.Fatal(err)
	}
	return public, func(edit func(map[string]any)) idptest.Forger {
		header := map[string]any{}
		edit(header)
		options := &jose.SignerOptions{}
		for name, value := range header {
			options = options.WithHeader(jose.HeaderKey(name), value)
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: private}, options)
		if err != nil {
			t.Fatal(err)
		}
		return func(_ string, claims map[string]any) string {
			signed, err := signer.Sign([]byte(jsonText(claims)))
			if err != nil {
				panic(err)
			}
			compact, err := signed.CompactSerialize()
			if err != nil {
				panic(err)
			}
			return compact
		}
	}
}

// TestKeySelection changes the published keys, which each row fetches first.
func TestKeySelection(t *testing.T) {
	r := newRig(t, 1, nil)
	noKeyID := func(p *idptest.Provider) { p.EditIDToken(func(h, _ map[string]any) { delete(h, "kid") }) }
	editKeys := func(edit func(keys []any) []any) func(*idptest.Provider) {
		return func(p *idptest.Provider) {
			p.EditJWKS(func(document map[string]any) { document["keys"] = edit(document["keys"].([]any)) })
		}
	}
	// change edits the key that signs, which is the last one.
	change := func(name string, value any) func(*idptest.Provider) {
		return editKeys(func(keys []any) []any {
			keys[len(keys)-1].(map[string]any)[name] = value
			return keys
		})
	}
	thiefKey, _ := theKeyThatSigns(t)
	both := func(arms ...func(*idptest.Provider)) func(*idptest.Provider) {
		return func(p *idptest.Provider) {
			for _, arm := range arms {
				arm(p)
			}
		}
	}
	row := func(name string, want int, arm func(*idptest.Provider)) {
		runFaults(t, r, []fault{{name: name, want: want, spends: true, arm: func(p *idptest.Provider) { arm(p); r.rediscover() }}})
	}

	row("Q16 kid absent with one key, kid-absent-single-jwks", http.StatusFound, noKeyID)
	if err := r.provider.RotateKeys(); err != nil {
		t.Fatal(err)
	}
	row("Q16 kid absent with several keys, kid-absent-multiple-jwks", http.StatusFound, noKeyID)
	row("Q16 two keys with the same kid", http.StatusFound, editKeys(func(keys []any) []any {
		twin := thiefKey
		twin["kid"] = keys[len(keys)-1].(map[string]any)["kid"]
		return append([]any{twin}, keys...)
	}))
	row("Q16 the key is for encryption", http.StatusBadGateway, change("use", "enc"))
	row("Q16 the key is for encryption, without kid", http.StatusBadGateway, both(change("use", "enc"), noKeyID))
	row("Q16 the key is for another algorithm", http.StatusBadGateway, change("alg", "PS256"))
	row("Q16 the key names no algorithm and no use", http.StatusFound, editKeys(func(keys []any) []any {
		for _, key := range keys {
			delete(key.(map[string]any), "alg")
			delete(key.(map[string]any), "use")
		}
		return keys
	}))
	row("Q16 keys of unknown kinds beside it", http.StatusFound, editKeys(func(keys []any) []any {
		return append([]any{map[string]any{"kty": "XXX", "kid": "?"}, map[string]any{"kty": "oct", "k": "c2VjcmV0"}, 5, nil}, keys...)
	}))
	row("Q15 HS256 with a published symmetric key", http.StatusBadGateway, both(
		editKeys(func(keys []any) []any {
			return append(keys, map[string]any{"kty": "oct", "kid": "shared", "k": base64.RawURLEncoding.EncodeToString([]byte("secret"))})
		}),
		func(p *idptest.Provider) { p.ReplaceIDToken(idptest.HMACSigned("shared", []byte("secret"))) }))
}

// TestKeyRotation signs with keys that are newer than those that the service holds.
func TestKeyRotation(t *testing.T) {
	rotate := func(t *testing.T, p *idptest.Provider) {
		if err := p.RotateKeys(); err != nil {
			t.Fatal(err)
		}
		p.RetireKeys()
	}
	t.Run("Q17 signing-key-rotation", func(t *testing.T) {
		r := newRig(t, 1, nil)
		rotate(t, r.provider)
		r.provider.ForgetRequests()
		runFaults(t, r, []fault{{name: "first login", want: http.StatusFound}})
		if n := r.provider.Count(idptest.JWKS); n != 1 {
			t.Errorf("%d fetches of the keys", n)
		}
	})
	t.Run("Q17 signing-key-rotation-just-before-signing", func(t *testing.T) {
		r := newRig(t, 1, nil)
		b := r.browser()
		address := b.toCallback()
		rotate(t, r.provider)
		checkLanded(t, r, b, b.open(address))
	})
	t.Run("Q16 kid unknown: one fetch, and no", func(t *testing.T) {
		r := newRig(t, 1, nil)
		fetches := 0
		runFaults(t, r, []fault{{name: "kid", want: http.StatusBadGateway, spends: true, arm: func(p *idptest.Provider) {
			p.EditIDToken(func(h, _ map[string]any) { h["kid"] = "unknown" })
			p.EditJWKS(func(map[string]any) { fetches++ })
		}}})
		if fetches != 1 {
			t.Errorf("%d fetches of the keys", fetches)
		}
	})
	t.Run("F36 keys unreachable when a new one is needed", func(t *testing.T) {
		for name, interceptor := range map[string]idptest.Interceptor{
			"500": idptest.Status(http.StatusInternalServerError), "garbage": idptest.Garbage(), "closed": idptest.Close(),
			"endless": idptest.Endless(), "redirect": idptest.Redirect("/elsewhere"), "empty": idptest.Answer(http.StatusOK, "application/json", `{"keys":[]}`),
		} {
			r := newRig(t, 1, nil)
			runFaults(t, r, []fault{
				{name: name, want: http.StatusServiceUnavailable, spends: true, arm: func(p *idptest.Provider) {
					p.EditIDToken(func(h, _ map[string]any) { h["kid"] = "unknown" })
					p.Intercept(idptest.JWKS, interceptor)
				}},
				{name: name + ": the last good keys stay", want: http.StatusFound, arm: func(p *idptest.Provider) { p.Intercept(idptest.JWKS, interceptor) }},
			})
			if n := r.provider.Count("/elsewhere"); n != 0 {
				t.Errorf("%s: a redirect was followed", name)
			}
		}
	})
}

// TestKeyFetchesAreBounded brings 1,000 tokens whose kid is random: some by logins, the rest straight to the keys that the logins use.
func TestKeyFetchesAreBounded(t *testing.T) {
	r := newRig(t, 1, nil)
	r.provider.EditIDToken(func(h, _ map[string]any) { h["kid"] = rand.Text() })
	r.provider.ForgetRequests()
	for range 20 {
		b := r.browser()
		if reply := b.open(b.toCallback()); reply.StatusCode != http.StatusBadGateway {
			t.Fatalf("%s", reply.Status)
		}
	}
	if n := r.provider.Count(idptest.JWKS); n > 1 {
		t.Errorf("20 logins fetched the keys %d times", n)
	}

	clock := time.Now()
	keys := &keySet{url: r.provider.URL(idptest.JWKS), client: r.replicas[0].sites.Load().main.providers[0].client, algorithms: signatureAlgorithms(nil), now: func() time.Time { return clock }}
	if err := keys.fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.provider.ForgetRequests()
	for i := range 1000 {
		if i == 500 {
			clock = clock.Add(keysRefetchInterval)
		}
		token := r.provider.Sign([]byte(`{"alg":"RS256","kid":"`+rand.Text()+`"}`), []byte("{}"))
		if _, err := keys.VerifySignature(t.Context(), token); err == nil {
			t.Fatal("a token of an unknown key is good")
		}
	}
	if n := r.provider.Count(idptest.JWKS); n != 2 {
		t.Errorf("1,000 tokens in two intervals fetched the keys %d times, want 2", n)
	}
}

// TestWrongCurve signs with P-384 what the header calls ES256; the key is published.
func TestWrongCurve(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES384, Key: jose.JSONWebKey{Key: private, KeyID: "curve"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	honest, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	keys := &keySet{algorithms: signatureAlgorithms([]string{"ES256", "ES384"}), client: http.DefaultClient, url: "http://127.0.0.1:1"}
	published := []jose.JSONWebKey{{Key: private.Public(), KeyID: "curve"}}
	keys.keys.Store(&published)
	if payload, err := keys.VerifySignature(t.Context(), honest); err != nil || !bytes.Equal(payload, []byte("{}")) {
		t.Fatalf("ES384 by a P-384 key: %q, %v", payload, err)
	}
	part := strings.Split(honest, ".")
	confused := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","kid":"curve"}`)) + "." + part[1] + "." + part[2]
	if _, err := keys.VerifySignature(t.Context(), confused); err == nil {
		t.Error("ES256 by a P-384 key is good")
	}
}

// TestParseKeys tells which published keys count.
func TestParseKeys(t *testing.T) {
	good, _ := theKeyThatSigns(t)
	with := func(name string, value any) string {
		key := map[string]any{}
		for n, v := range good {
			key[n] = v
		}
		key[name] = value
		return jsonText(key)
	}
	weak := new(big.Int).Lsh(big.NewInt(1), 1023)
	weak.SetBit(weak, 0, 1)
	tests := []struct {
		name, set string
		want      int // keys; 0 means an error
	}{
		{"one", `{"keys":[` + jsonText(good) + `]}`, 1},
		{"for signatures", `{"keys":[` + with("use", "sig") + `]}`, 1},
		{"for encryption", `{"keys":[` + with("use", "enc") + `]}`, 0},
		{"one of 1024 bits", `{"keys":[` + with("n", base64.RawURLEncoding.EncodeToString(weak.Bytes())) + `]}`, 0},
		{"a weak one beside a good one", `{"keys":[` + with("n", base64.RawURLEncoding.EncodeToString(weak.Bytes())) + `,` + jsonText(good) + `]}`, 1},
		{"symmetric", `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, 0},
		{"unknown kind beside a good one", `{"keys":[{"kty":"??"},` + jsonText(good) + `]}`, 1},
		{"no modulus", `{"keys":[` + with("n", "") + `]}`, 0},
		{"none", `{"keys":[]}`, 0},
		{"no list", `{"keys":{}}`, 0},
		{"no set", `{}`, 0},
		{"null", `null`, 0},
		{"array", `[]`, 0},
		{"garbage", "\x00\xff", 0},
		{"nothing", "", 0},
		{"100", `{"keys":[` + strings.TrimSuffix(strings.Repeat(jsonText(good)+",", 100), ",") + `]}`, 100},
		{"101", `{"keys":[` + strings.TrimSuffix(strings.Repeat(jsonText(good)+",", 101), ",") + `]}`, 0},
	}
	for _, test := range tests {
		keys, err := parseKeys([]byte(test.set))
		if len(keys) != test.want || (err == nil) != (test.want > 0) {
			t.Errorf("%s: %d keys, %v; want %d", test.name, len(keys), err, test.want)
		}
	}
}

func TestSignatureAlgorithms(t *testing.T) {
	for _, test := range []struct {
		advertised string
		want       int
	}{
		{"", 1}, {"RS256", 1}, {"none", 0}, {"HS256 HS384 HS512", 0}, {"none HS256 RS256 ES256", 2}, {"rs256", 0}, {"EdDSA PS512", 2},
	} {
		if got := signatureAlgorithms(strings.Fields(test.advertised)); len(got) != test.want {
			t.Errorf("%q: %v, want %d", test.advertised, got, test.want)
		}
	}
}
