package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// login ends a login that began at a moment as a callback does, and returns the token, and whether the browser gets it.
func login(ctx context.Context, m *session.Manager, began time.Time) (token session.Token, given bool, err error) {
	token, made, err := m.Begin(ctx, jane, janesTokens)
	if err != nil {
		return token, false, err
	}
	ended, err := m.Ended(ctx, made, began)
	if err != nil || !ended {
		return token, err == nil, err
	}
	return token, false, m.End(ctx, made.ID)
}

// TestLogoutDuringLogin lets the store operations of a login and of a logout of the same user come in every order that there is. Whatever the
// order: the login began before the logout, so nobody passes afterwards.
func TestLogoutDuringLogin(t *testing.T) {
	const steps = 9 // of both together at most
	for _, group := range []session.Group{userOf(jane.Issuer, jane.Subject), sidOf(jane.Issuer, jane.ProviderSession)} {
		t.Run(group.Kind, func(t *testing.T) {
			results := map[bool]int{}
			for order := range 1 << steps {
				synctest.Test(t, func(t *testing.T) {
					store := memstore.New(nil)
					in, inLink := listing(t, store, 1)
					out, outLink := listing(t, store, 1)
					began := time.Now()
					time.Sleep(time.Millisecond) // the provider's answer
					var token session.Token
					var given bool
					var loginErr, logoutErr error
					interleave(order, steps, [2]*actor{
						act(inLink, func() { token, given, loginErr = login(t.Context(), in, began) }),
						act(outLink, func() { _, logoutErr = out.EndGroup(t.Context(), group) }),
					})
					if loginErr != nil || logoutErr != nil {
						t.Fatalf("order %b: %v, %v", order, loginErr, logoutErr)
					}
					m, _ := listing(t, store, 1)
					if lives(t, m, token) {
						t.Fatalf("order %b: the session lives, and the browser got it: %v", order, given)
					}
					results[given]++
				})
				if t.Failed() {
					return
				}
			}
			if results[true] == 0 || results[false] == 0 {
				t.Errorf("logins that gave a token or not: %v; the orders are not mixed", results)
			}
		})
	}
}

// TestRefreshAfterEndGroup writes what a refresh brought after the logout: nothing comes back.
func TestRefreshAfterEndGroup(t *testing.T) {
	m, _ := listing(t, memstore.New(nil), 1)
	token, _ := begin(t, m)
	s, tokens, err := m.LoadWithTokens(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.EndGroup(t.Context(), userOf(jane.Issuer, jane.Subject)); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Rotate(t.Context(), token, s, tokens); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("rotated: %v", err)
	}
	s.IdleExpires = time.Now()
	if err := m.Touch(t.Context(), s); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("touched: %v", err)
	}
	if lives(t, m, token) {
		t.Error("it came back")
	}
}
