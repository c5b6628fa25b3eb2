package session_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// seenCounter remembers who was seen.
type seenCounter struct {
	session.Counter
	seen []string
}

func (c *seenCounter) Seen(user session.IndexName, life time.Duration) {
	c.seen = append(c.seen, fmt.Sprintf("%s %x %v", user.Kind, user.Hash[:4], life))
}

// Each write that gives a session a longer life tells that its user has one, under the name of the user's list.
func TestUsersAreSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		counter := &seenCounter{}
		store, ring := memstore.New(nil), newRing(t, 1, 2)
		m := &session.Manager{Store: store, Index: store, Counter: counter, Keyring: ring, Site: "main", IdleTimeout: idle, AbsoluteTimeout: absolute}
		token, s, err := m.Begin(t.Context(), session.Session{Issuer: "https://issuer", Subject: "jane"}, session.Tokens{})
		if err != nil {
			t.Fatal(err)
		}
		use := func(after time.Duration) {
			time.Sleep(after)
			if s, err = m.Load(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			if err := m.Touch(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		use(time.Minute) // too early to be written
		use(idle / 2)
		if _, err = m.Rotate(t.Context(), token, s, session.Tokens{}); err != nil {
			t.Fatal(err)
		}
		name := ring.Names(session.KindUser, "main", "https://issuer", "jane")[0]
		want := fmt.Sprintf("user %x %v", name[:4], idle*11/10)
		if len(counter.seen) != 3 {
			t.Errorf("seen were %q, want three", counter.seen)
		}
		for _, seen := range counter.seen {
			if seen != want {
				t.Errorf("seen was %s, want %s", seen, want)
			}
		}
	})
}
