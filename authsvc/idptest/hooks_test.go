package idptest_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"

	"authsvc/authsvc/idptest"
)

func TestEditHooks(t *testing.T) {
	rp := newRelyingParty(t, idptest.Start(t, options()))
	p := rp.provider

	p.EditDiscovery(func(d map[string]any) { d["issuer"] = "http://evil.test" })
	if _, err := oidc.NewProvider(t.Context(), p.Issuer()); err == nil {
		t.Error("EditDiscovery: another issuer passed")
	}
	p.EditCallback(func(v url.Values) { v.Set("iss", "http://evil.test"); v.Add("state", "second") })
	if values := back(t, pressed(t, rp)); values.Get("iss") != "http://evil.test" || !slices.Equal(values["state"], []string{"a-state", "second"}) {
		t.Errorf("EditCallback: %v", values)
	}
	p.EditCallback(nil)
	p.EditTokenResponse(func(answer map[string]any) { delete(answer, "id_token"); answer["token_type"] = "bEARER" })
	if token := rp.login("1"); token.Extra("id_token") != nil || token.TokenType != "bEARER" {
		t.Errorf("EditTokenResponse: %v", token)
	}
	p.EditTokenResponse(nil)
	p.EditUserinfo(func(claims map[string]any) { claims["sub"] = "2" })
	if _, claims := rp.userinfo(rp.login("1").AccessToken); claims["sub"] != "2" {
		t.Errorf("EditUserinfo: %v", claims)
	}
	p.EditIDToken(func(header, claims map[string]any) {
		header["x5u"] = "http://evil.test"
		claims["nonce"] = []string{"a-nonce"}
	})
	if token := rp.login("1"); !strings.Contains(idTokenHeader(t, token.Extra("id_token")), "x5u") {
		t.Error("EditIDToken did not change the header")
	} else if _, err := rp.verify(t.Context(), token); err == nil {
		t.Error("EditIDToken: a nonce that is a list passed")
	}
	p.EditJWKS(func(d map[string]any) { d["keys"] = d["keys"].([]any)[:0] })
	p.EditIDToken(nil)
	if _, err := rp.verify(t.Context(), rp.login("1")); err == nil {
		t.Error("EditJWKS: a token passed without keys")
	}
	p.BeHonest()
	rp = newRelyingParty(t, p)
	if _, err := rp.verify(t.Context(), rp.login("1")); err != nil {
		t.Errorf("after BeHonest: %v", err)
	}
}

// pressed is the answer to a press on alice's button.
func pressed(t *testing.T, rp *relyingParty) *http.Response {
	t.Helper()
	answer, err := idptest.Press(rp.browser, rp.get(rp.authURL()), "1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	return answer
}

func idTokenHeader(t *testing.T, raw any) string {
	t.Helper()
	head, _, _ := strings.Cut(raw.(string), ".")
	return string(decode(t, head))
}

func TestForgedIDTokens(t *testing.T) {
	o := options()
	o.Algorithm = "RS256"
	o.SignIn = func(*http.Request) string { return "1" }
	rp := newRelyingParty(t, idptest.Start(t, o))
	another, err := idptest.SignedByAnother("RS256", rp.provider.KeyID())
	if err != nil {
		t.Fatal(err)
	}
	curve, err := idptest.SignedByAnother("ES256", rp.provider.KeyID())
	if err != nil {
		t.Fatal(err)
	}
	mine, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	encrypted, err := idptest.Encrypted(mine.Public())
	if err != nil {
		t.Fatal(err)
	}
	shape := func(header string, dots int) func(string) bool {
		return func(token string) bool {
			return strings.Contains(idTokenHeader(t, token), header) && strings.Count(token, ".") == dots
		}
	}
	for name, row := range map[string]struct {
		forge idptest.Forger
		looks func(token string) bool
	}{
		"none":      {idptest.Unsigned("nOnE"), shape(`"alg":"nOnE"`, 2)},
		"hmac":      {idptest.HMACSigned(rp.provider.KeyID(), rp.provider.PublicKeyPEM()), shape(`"alg":"HS256"`, 2)},
		"another":   {another, shape(rp.provider.KeyID(), 2)},
		"curve":     {curve, shape(`"alg":"ES256"`, 2)},
		"signature": {idptest.BadSignature, shape(`"alg":"RS256"`, 2)},
		"encrypted": {encrypted, shape(`"enc":"A128GCM"`, 4)},
		"garbage":   {idptest.Text("garbage"), func(token string) bool { return token == "garbage" }},
		"twice": {func(_ string, claims map[string]any) string {
			payload, err := json.Marshal(claims)
			if err != nil {
				t.Error(err)
			}
			payload = append(payload[:len(payload)-1], `,"sub":7}`...)
			return rp.provider.Sign([]byte(`{"alg":"RS256"}`), payload)
		}, shape(`{"alg":"RS256"}`, 2)},
	} {
		rp.provider.ReplaceIDToken(row.forge)
		token := rp.login("1")
		if raw := token.Extra("id_token").(string); !row.looks(raw) {
			t.Errorf("%s does not look like one: %s", name, raw)
		}
		if _, err := rp.verify(t.Context(), token); err == nil {
			t.Errorf("%s passed", name)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		for _, noID := range []bool{false, true} {
			o := options()
			o.Algorithm, o.NoKeyID, o.ExtraKeys = algorithm, noID, 1
			o.SignIn = func(*http.Request) string { return "1" }
			rp := newRelyingParty(t, idptest.Start(t, o))
			old := rp.login("1")
			if _, err := rp.verify(t.Context(), old); err != nil {
				t.Fatalf("%s: %v", algorithm, err)
			}
			if hasID := strings.Contains(idTokenHeader(t, old.Extra("id_token")), `"kid"`); hasID == noID || (rp.provider.KeyID() == "") != noID {
				t.Errorf("%s, NoKeyID %t: kid in the token %t", algorithm, noID, hasID)
			}
			if err := rp.provider.RotateKeys(); err != nil {
				t.Fatal(err)
			}
			rp = newRelyingParty(t, rp.provider)
			for _, token := range []any{old.Extra("id_token"), rp.login("1").Extra("id_token")} {
				if _, err := rp.oidc.Verifier(&oidc.Config{ClientID: "rp"}).Verify(t.Context(), token.(string)); err != nil {
					t.Errorf("%s, after the rotation: %v", algorithm, err)
				}
			}
			rp.provider.RetireKeys()
			rp = newRelyingParty(t, rp.provider)
			if _, err := rp.verify(t.Context(), old); err == nil {
				t.Errorf("%s: a token of a retired key passed", algorithm)
			}
			if _, err := rp.verify(t.Context(), rp.login("1")); err != nil {
				t.Errorf("%s, after retiring: %v", algorithm, err)
			}
		}
	}
}
