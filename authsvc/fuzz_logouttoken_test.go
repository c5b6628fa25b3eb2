package authsvc

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"authsvc/session"
)

// FuzzLogoutToken signs any claims as the provider would, under any typ: what is taken for a logout token is one by a second reading of section 2.6 of OpenID Connect
// Back-Channel Logout 1.0. And nothing that the provider has not signed is.
func FuzzLogoutToken(f *testing.F) {
	const good = `{"iss":"https://id.example.com","aud":"app","iat":1800000000,"exp":1800000120,"jti":"a","sub":"alice","events":{"` + theEvent + `":{}}}`
	f.Add(good, "logout+jwt", "")
	for _, change := range [][2]string{
		{`"sub":"alice"`, `"sid":"s"`}, {`"sub":"alice"`, `"sub":"alice","sid":"s"`}, {`"sub":"alice"`, `"sub":"alice","nonce":null`}, {`"aud":"app"`, `"aud":["x","app"]`},
		{`"events":{`, `"events":[`}, {`":{}}`, `":null}`}, {`1800000120`, `1e300`}, {`1800000000`, `1799999000`}, {`"jti":"a",`, ``}, {`"sub":"alice"`, `"Sub":"alice"`},
		{`"sub":"alice"`, `"sub":"alice","sub":""`}, {`"iss"`, `"iss":1,"iss"`},
	} {
		f.Add(strings.Replace(good, change[0], change[1], 1), "JWT", "a.b.c")
	}
	f.Add("{}", "at+jwt", "eyJhbGciOiJub25lIn0.e30.")
	f.Add("[]", "", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA")

	private := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	now := time.Unix(1_800_000_000, 0)
	set := &keySet{algorithms: []jose.SignatureAlgorithm{jose.EdDSA}}
	set.keys.Store(&[]jose.JSONWebKey{{Key: private.Public(), Algorithm: string(jose.EdDSA)}})
	set.now = func() time.Time { return time.Time{} } // a moment after it asked: an unknown key is not asked for
	p, meta := &provider{issuer: "https://id.example.com", clientID: "app", now: func() time.Time { return now }}, &metadata{keys: set}

	f.Fuzz(func(t *testing.T, payload, typ, raw string) {
		if raw != "" && !strings.HasPrefix(raw, "eyJhbGciOiJFZERTQSI") {
			if _, err := p.verifyLogoutToken(t.Context(), meta, raw); err == nil {
				t.Fatalf("%q is a logout token", raw)
			}
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: private}, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			t.Fatal(err)
		}
		signed, err := signer.Sign([]byte(payload))
		if err != nil {
			return
		}
		compact, err := signed.CompactSerialize()
		if err != nil {
			return
		}
		token, err := p.verifyLogoutToken(t.Context(), meta, compact)
		if err != nil {
			if !errors.Is(err, errLogoutToken) {
				t.Fatalf("%s: %v", payload, err)
			}
			return
		}
		var claims map[string]any
		if err := json.Unmarshal([]byte(payload), &claims); err != nil {
			t.Fatalf("%s is a logout token, and no JSON: %v", payload, err)
		}
		audience, _ := claims["aud"].([]any)
		events, _ := claims["events"].(map[string]any)
		_, hasEvent := events[theEvent].(map[string]any)
		_, hasNonce := claims["nonce"]
		issued, _ := claims["iat"].(float64)
		expires, _ := claims["exp"].(float64)
		id, _ := claims["jti"].(string)
		if !slices.Contains([]string{"", "jwt", "logout+jwt", "application/logout+jwt"}, lowerASCII(typ)) || claims["iss"] != p.issuer || claims["aud"] != "app" && !slices.Contains(audience, any("app")) ||
			!hasEvent || hasNonce || issued < 1_799_999_600 || issued > 1_800_000_060 || expires < 1_799_999_940 || id == "" || token.id != id {
			t.Fatalf("%s under %q is a logout token", payload, typ)
		}
		want := session.Group{Kind: session.KindUser, Issuer: p.issuer}
		if want.Value, _ = claims["sub"].(string); claims["sid"] != nil {
			want.Kind, want.Value = session.KindSID, claims["sid"].(string)
		}
		if len(token.groups) != 1 || token.groups[0] != want || want.Value == "" {
			t.Fatalf("%s ends %+v", payload, token.groups)
		}
		if left := token.expires.Sub(now); left < 0 || left > maxLogoutTokenAge+2*clockSkew {
			t.Fatalf("%s is remembered for %v", payload, left)
		}
	})
}
