package session_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// The pieces of a verdict, each by itself: the token, the record, the cache.

// benchmarked is a manager with a session of a realistic size, the token that opens it, and a cache that hears of every change.
func benchmarked(b *testing.B) (*session.Manager, session.Token) {
	b.Helper()
	ring, err := session.NewKeyring([][]byte{bytes.Repeat([]byte{1}, session.MasterKeySize)})
	if err != nil {
		b.Fatal(err)
	}
	cache := session.NewCache(session.CacheOptions{TTL: time.Hour, Bytes: 1 << 20})
	cache.Armed()
	m := &session.Manager{
		Store: memstore.New(nil), Keyring: ring, Site: "main", IdleTimeout: idle, AbsoluteTimeout: absolute, Cache: cache,
	}
	s := jane
	s.Claims = map[string]any{
		"email": "jane@example.com", "email_verified": true, "preferred_username": "jane", "name": "Jane Example",
		"groups": []any{"staff", "engineering", "on-call"},
	}
	token, _, err := m.Begin(b.Context(), s, session.Tokens{
		AccessToken: strings.Repeat("access", 170), RefreshToken: strings.Repeat("refresh", 75), IDToken: strings.Repeat("id", 600), Expiry: time.Now().Add(time.Hour),
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return m, token
}

// BenchmarkParseToken checks the MAC of a cookie's token.
func BenchmarkParseToken(b *testing.B) {
	m, token := benchmarked(b)
	text := token.Reveal()
	for b.Loop() {
		if _, err := m.Keyring.ParseToken(session.PurposeSession, "main", text); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParseForgedToken refuses one that nobody has signed.
func BenchmarkParseForgedToken(b *testing.B) {
	m, token := benchmarked(b)
	text := token.Reveal()
	forged := text[:20] + "AAAAAAAA" + text[28:] // of our key, with another secret
	for b.Loop() {
		if _, err := m.Keyring.ParseToken(session.PurposeSession, "main", forged); err == nil {
			b.Fatal("a forged token passes")
		}
	}
}

// BenchmarkTokenID names the record of a token.
func BenchmarkTokenID(b *testing.B) {
	_, token := benchmarked(b)
	for b.Loop() {
		if token.ID().IsZero() {
			b.Fatal("no ID")
		}
	}
}

// BenchmarkOpen takes a record from a store in memory, opens the part that a verdict needs, and decodes it.
func BenchmarkOpen(b *testing.B) {
	m, token := benchmarked(b)
	for b.Loop() {
		if _, err := m.Load(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpenWithTokens opens both parts, as a refresh does.
func BenchmarkOpenWithTokens(b *testing.B) {
	m, token := benchmarked(b)
	for b.Loop() {
		if _, _, err := m.LoadWithTokens(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSeal begins a session: it encodes and seals both parts, and stores them in memory.
func BenchmarkSeal(b *testing.B) {
	m, token := benchmarked(b)
	s, tokens, err := m.LoadWithTokens(b.Context(), token)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		_, begun, err := m.Begin(b.Context(), s, tokens)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer() // the next one finds the store as small
		if err := m.End(b.Context(), begun.ID); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkRecall takes a session from the cache.
func BenchmarkRecall(b *testing.B) {
	m, token := benchmarked(b)
	for b.Loop() {
		if r, err := m.Recall(b.Context(), token, false); err != nil || r.IsZero() {
			b.Fatal(err)
		}
	}
}

// BenchmarkRecallParallel has all cores do so.
func BenchmarkRecallParallel(b *testing.B) {
	m, token := benchmarked(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := m.Recall(b.Context(), token, false); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
