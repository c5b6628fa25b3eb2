package authsvc

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"authsvc/authsvc/idptest"
)

// TestSignedUserinfo has the provider send userinfo as a JWT, as Keycloak does where a client is registered so: it counts when it is signed by
// the issuer for this client, and is discarded whole otherwise.
func TestSignedUserinfo(t *testing.T) {
	r := newRig(t, 1, nil)
	sign := func(change func(header, claims map[string]any)) func(*idptest.Provider) {
		return func(p *idptest.Provider) {
			header := map[string]any{"alg": "RS256", "kid": p.KeyID()}
			claims := map[string]any{"iss": p.Issuer(), "aud": "app", "sub": "alice", "email": "signed@example.com"}
			if change != nil {
				change(header, claims)
			}
			h, err := json.Marshal(header)
			if err != nil {
				t.Fatal(err)
			}
			c, err := json.Marshal(claims)
			if err != nil {
				t.Fatal(err)
			}
			p.Intercept(idptest.Userinfo, idptest.Answer(http.StatusOK, "application/jwt", p.Sign(h, c)))
		}
	}
	claim := func(name string, value any) func(*idptest.Provider) {
		return sign(func(_, claims map[string]any) {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		})
	}
	const good = "signed@example.com"
	for _, row := range []struct {
		name  string
		arm   func(*idptest.Provider)
		email string
		says  string // in the log, why it was discarded
	}{
		{"honest", sign(nil), good, ""},
		{"aud a list", claim("aud", []string{"other", "app"}), good, ""},
		{"exp ahead", claim("exp", time.Now().Add(time.Hour).Unix()), good, ""},
		{"exp passed", claim("exp", time.Now().Add(-time.Hour).Unix()), "", "exp has passed"},
		{"exp a text", claim("exp", "soon"), "", "exp has passed"},
		{"Q22 iss of another", claim("iss", "https://evil.example"), "", "another issuer"},
		{"Q22 iss missing", claim("iss", nil), "", "another issuer"},
		{"Q22 aud of another", claim("aud", "other"), "", "not this client"},
		{"Q22 aud missing", claim("aud", nil), "", "not this client"},
		{"Q22 sub of another", claim("sub", "bob"), "", "not the ID token's"},
		{"alg none in its header", sign(func(header, _ map[string]any) { header["alg"] = "none" }), "", "not allowed"},
		{"another key", func(p *idptest.Provider) {
			forge, err := idptest.SignedByAnother("RS256", p.KeyID())
			if err != nil {
				t.Fatal(err)
			}
			signed := forge("", map[string]any{"iss": p.Issuer(), "aud": "app", "sub": "alice", "email": "intruder@example.com"})
			p.Intercept(idptest.Userinfo, idptest.Answer(http.StatusOK, "application/jwt", signed))
		}, "", "not by a key of the issuer"},
		{"encrypted", func(p *idptest.Provider) {
			seal, err := idptest.Encrypted(p.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			p.Intercept(idptest.Userinfo, idptest.Answer(http.StatusOK, "application/jwt", seal("x", nil)))
		}, "", "is encrypted"},
		{"JSON that says it is a JWT", intercept(idptest.Userinfo, idptest.Answer(http.StatusOK, "application/jwt", `{"sub":"alice","email":"intruder@example.com"}`)), "", "no signed JWT"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r.t = t
			r.provider.BeHonest()
			setClaim("email", nil)(r.provider)
			row.arm(r.provider)
			logged := len(r.log.String())
			b := r.browser()
			b.signIn()
			answer := b.auth("")
			if answer.StatusCode != http.StatusOK || answer.Header.Get("X-Auth-Request-Email") != row.email {
				t.Errorf("%s with e-mail %q, want %q", answer.Status, answer.Header.Get("X-Auth-Request-Email"), row.email)
			}
			if said := r.log.String()[logged:]; !strings.Contains(said, row.says) {
				t.Errorf("the log does not say why: %s", said)
			}
			checkSecrets(t, "the log", r.log.String()[logged:], []string{"eyJ", "example.com", "evil"})
		})
	}
}
