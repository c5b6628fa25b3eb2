package session_test

import (
	"crypto/rand"
	"encoding/base64"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// What a login or a refresh costs, and what a verdict that the cache does not know; the store is memory.
func BenchmarkRecord(b *testing.B) {
	encode := base64.RawURLEncoding.EncodeToString
	signature := make([]byte, 256)
	rand.Read(signature)
	jwt := encode([]byte(`{"alg":"RS256","typ":"JWT","kid":"nZ9Q5dJ0rPqX1kW7uY3bL8mC2vT6sE4a"}`)) + "." + encode([]byte(
		`{"exp":1900000300,"iat":1900000000,"auth_time":1900000000,"jti":"0a6b1de4-5b0f-4a54-8c35-5f2a3a2f6b1c","iss":"https://sso.company.net/realms/main","aud":"portal",`+
			`"sub":"f47ac10b-58cc-4372-a567-0e02b2c3d479","typ":"ID","azp":"portal","nonce":"`+rand.Text()+rand.Text()[:17]+`","sid":"3a2c7f0e-9b1d-4f6a-8e5c-7d4b6a1f2e90","acr":"1",`+
			`"email_verified":true,"name":"Jane Doe","preferred_username":"jane.doe","given_name":"Jane","family_name":"Doe","email":"jane.doe@company.net"}`)) + "." + encode(signature)
	keys, err := session.NewKeyring([][]byte{make([]byte, session.MasterKeySize)})
	if err != nil {
		b.Fatal(err)
	}
	m := &session.Manager{Store: memstore.New(nil), Keyring: keys, Site: "main", IdleTimeout: 8 * time.Hour, AbsoluteTimeout: 24 * time.Hour}
	token, _, err := m.Begin(b.Context(), session.Session{
		Issuer: "https://sso.company.net/realms/main", Subject: "f47ac10b-58cc-4372-a567-0e02b2c3d479", ProviderSession: "3a2c7f0e-9b1d-4f6a-8e5c-7d4b6a1f2e90", ACR: "1", AuthTime: time.Now(),
		Claims: map[string]any{"email": "jane.doe@company.net", "email_verified": true, "preferred_username": "jane.doe", "groups": []any{"staff", "engineering"}},
		Label:  "jane.doe", Address: "203.0.113.7", UserAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
	}, session.Tokens{AccessToken: jwt, RefreshToken: encode(signature), IDToken: jwt, Expiry: time.Now().Add(5 * time.Minute)})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("load", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := m.Load(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("load with tokens", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := m.LoadWithTokens(b.Context(), token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rotate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s, t, err := m.LoadWithTokens(b.Context(), token)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := m.Rotate(b.Context(), token, s, t); err != nil {
				b.Fatal(err)
			}
		}
	})
}
