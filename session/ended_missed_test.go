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

// logOutUnlisted ends a group of which the store has lost the list, so that nothing is found.
func logOutUnlisted(t *testing.T, m *session.Manager, g session.Group, id session.ID) {
	t.Helper()
	for _, name := range m.Keyring.Names(g.Kind, m.Site, g.Issuer, g.Value) {
		if err := m.Index.Forget(t.Context(), session.IndexName{Kind: g.Kind, Hash: name}, id); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := m.EndGroup(t.Context(), g); found != 0 || err != nil {
		t.Fatalf("the logout found %d sessions, error %v", found, err)
	}
}

// TestLogoutThatFoundNothing: the store has evicted the list of a user, or of a provider's session. Who is at work is signed out when the
// idle time is next extended, and nobody else is.
func TestLogoutThatFoundNothing(t *testing.T) {
	for _, g := range []session.Group{userOf(jane.Issuer, jane.Subject), {Kind: session.KindSID, Issuer: jane.Issuer, Value: jane.ProviderSession}} {
		t.Run(g.Kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, link := listing(t, memstore.New(nil), 1, 2)
				token, _ := begin(t, m)
				bystander := beginAs(t, m, jane.Issuer, "another", "another-session")
				time.Sleep(time.Second)
				logOutUnlisted(t, m, g, token.ID())
				time.Sleep(time.Second)
				later, _ := begin(t, m)

				link.before(failing("readslot"))
				if err := m.Touch(t.Context(), alive(t, m, token)); err != nil {
					t.Errorf("a touch that is not due asks the store: %v", err)
				}
				time.Sleep(idle / 5)
				if err := m.Touch(t.Context(), alive(t, m, token)); !errors.Is(err, errCut) || !lives(t, m, token) {
					t.Errorf("touched while nobody can tell: %v", err)
				}
				link.mend()
				for _, other := range []session.Token{later, bystander} {
					if err := m.Touch(t.Context(), alive(t, m, other)); err != nil || time.Until(alive(t, m, other).IdleExpires) <= idle {
						t.Errorf("another session: %v", err)
					}
				}
				link.before(failing("delete"))
				if err := m.Touch(t.Context(), alive(t, m, token)); !errors.Is(err, errCut) {
					t.Errorf("ended while the store does not delete: %v", err)
				}
				over(t, m, token, session.ErrNotFound) // here, that is
				link.mend()
				synctest.Wait()
				time.Sleep(time.Second) // the endings are done with
				if _, err := link.Store.Load(t.Context(), token.ID()); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("its record: %v", err)
				}
			})
		})
	}
}

// TestTouchEndsWhatALogoutMissed is the same without any trouble.
func TestTouchEndsWhatALogoutMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, link := listing(t, memstore.New(nil), 1)
		token, _ := begin(t, m)
		logOutUnlisted(t, m, userOf(jane.Issuer, jane.Subject), token.ID())
		time.Sleep(idle / 5)
		if err := m.Touch(t.Context(), alive(t, m, token)); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("touched: %v", err)
		}
		if _, err := link.Store.Load(t.Context(), token.ID()); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("its record: %v", err)
		}
	})
}

// TestRefreshEndsWhatALogoutMissed: short-lived tokens leave no touch to do, since each refresh extends the idle time. The provider is not asked.
func TestRefreshEndsWhatALogoutMissed(t *testing.T) {
	for _, operation := range []string{"", "readslot"} {
		t.Run("failing: "+operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, link := listing(t, memstore.New(nil), 1)
				tokens := janesTokens
				tokens.Expiry = time.Now().Add(time.Minute)
				token, s, err := m.Begin(t.Context(), jane, tokens)
				if err != nil {
					t.Fatal(err)
				}
				logOutUnlisted(t, m, userOf(jane.Issuer, jane.Subject), token.ID())
				asked, results := 0, []string(nil)
				r := &session.Renewer{
					Manager: m, Slots: link.Store, Before: 10 * time.Second, Pause: time.Second,
					Refresh: func(context.Context, session.Session, session.Tokens) (session.Session, session.Tokens, error) {
						asked++
						return session.Session{}, session.Tokens{}, errCut
					},
					Report: func(result string, _ error) { results = append(results, result) },
				}
				time.Sleep(time.Minute)
				link.before(failing(operation))
				_, _, err = r.Renew(t.Context(), token, s, tokens, time.Second)
				want := session.RefreshRevoked
				if operation != "" { // nobody can tell: the session stays
					want = session.RefreshFailed
				}
				if ended := errors.Is(err, session.ErrNotFound); ended != (operation == "") || !ended && err != nil {
					t.Errorf("renewed: %v", err)
				}
				time.Sleep(10 * time.Second)
				synctest.Wait()
				link.mend()
				if lives(t, m, token) != (operation != "") || asked != 0 || len(results) != 1 || results[0] != want {
					t.Errorf("it lives: %t, %d requests, results %q", lives(t, m, token), asked, results)
				}
			})
		})
	}
}
