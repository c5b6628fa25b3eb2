package idptest_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"authsvc/authsvc/idptest"
)

// TestConduct: one person is treated badly, by each means, and nobody else is.
func TestConduct(t *testing.T) {
	person := "1"
	o := options()
	o.SignIn = func(*http.Request) string { return person }
	rp := newRelyingParty(t, idptest.Start(t, o))
	claimsOf := func(raw any) (claims map[string]any) {
		part := strings.Split(raw.(string), ".")
		if err := json.Unmarshal(decode(t, part[1]), &claims); err != nil {
			t.Fatal(err)
		}
		return claims
	}
	rp.provider.Treat("1", idptest.Conduct{
		IDToken:       func(_, claims map[string]any) { claims["iss"] = "http://evil.test" },
		SignedIDToken: func(signed string, _ map[string]any) string { return signed + "AA" },
		TokenResponse: func(answer map[string]any) { answer["token_type"] = "bEARER" },
		Userinfo:      func(claims map[string]any) { claims["sub"] = "mallory" },
	})
	for _, person = range []string{"1", "2"} {
		bad := person == "1"
		token := rp.login(person)
		raw := token.Extra("id_token").(string)
		if got := claimsOf(raw)["iss"] == "http://evil.test"; got != bad {
			t.Errorf("%s: another issuer: %t", person, got)
		}
		if _, err := rp.verify(t.Context(), token); (err != nil) != bad {
			t.Errorf("%s: %v", person, err)
		}
		if (token.TokenType == "bEARER") != bad {
			t.Errorf("%s: token type %s", person, token.TokenType)
		}
		if _, claims := rp.userinfo(token.AccessToken); (claims["sub"] == "mallory") != bad {
			t.Errorf("%s: userinfo %v", person, claims)
		}
	}
	rp.provider.Treat("1", idptest.Conduct{Answers: map[idptest.Endpoint]idptest.Interceptor{idptest.Userinfo: idptest.Status(http.StatusTeapot)}})
	for _, person = range []string{"1", "2"} {
		status, _ := rp.userinfo(rp.login(person).AccessToken)
		if got := status == http.StatusTeapot; got != (person == "1") {
			t.Errorf("%s: userinfo answers %d", person, status)
		}
	}
	rp.provider.BeHonest()
	person = "1"
	if _, err := rp.verify(t.Context(), rp.login("1")); err != nil {
		t.Errorf("after BeHonest: %v", err)
	}
}

// TestThief: a thief's tokens are good under the key that it shows, and under no other.
func TestThief(t *testing.T) {
	for algorithm, kind := range map[string]string{"RS256": "RSA", "RS256 of 1024 bits": "RSA", "ES256": "EC", "ES384": "EC", "EdDSA": "OKP"} {
		thief, err := idptest.NewThief(algorithm, "stolen")
		if err != nil {
			t.Fatal(err)
		}
		shown := thief.JWK()
		if shown["kty"] != kind || shown["kid"] != "stolen" || slices.Contains(slices.Collect(maps.Keys(shown)), "d") {
			t.Errorf("%s: %v", algorithm, shown)
		}
		text, err := json.Marshal(shown)
		if err != nil {
			t.Fatal(err)
		}
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(text); err != nil {
			t.Fatal(err)
		}
		token := thief.Sign(func(h map[string]any) { h["jku"] = "http://evil.test" })("", map[string]any{"sub": "1"})
		name, _, _ := strings.Cut(algorithm, " ")
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(name)})
		if err != nil {
			t.Fatal(err)
		}
		if payload, err := signed.Verify(key); err != nil || string(payload) != `{"sub":"1"}` || !strings.Contains(idTokenHeader(t, token), "evil.test") {
			t.Errorf("%s: %s, %v", algorithm, payload, err)
		}
	}
	if _, err := idptest.NewThief("HS256", ""); err == nil {
		t.Error("a thief with a shared secret")
	}
}
