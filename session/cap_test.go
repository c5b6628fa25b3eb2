package session_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// capped begins a session and keeps to the cap, as a login does.
func capped(ctx context.Context, m *session.Manager) (session.Token, error) {
	token, s, err := m.Begin(ctx, jane, janesTokens)
	if err != nil {
		return token, err
	}
	return token, m.KeepNewest(ctx, s)
}

func beginCapped(t *testing.T, m *session.Manager) (session.Token, session.Session) {
	t.Helper()
	token, err := capped(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	s, err := m.Load(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return token, s
}

// TestMaxPerUser signs one user in again and again: the newest stay, whichever replica looks.
func TestMaxPerUser(t *testing.T) {
	for _, most := range []int{0, 1, 2, 5} {
		t.Run(fmt.Sprint(most), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := memstore.New(nil)
				var replicas []*session.Manager
				for _, ring := range [][]byte{{1, 2}, {2, 1}, {1, 2}} { // a key is being rotated
					m, _ := listing(t, store, ring...)
					m.MaxPerUser = most
					replicas = append(replicas, m)
				}
				joe := beginAs(t, replicas[0], jane.Issuer, "joe", "j")
				namesake := beginAs(t, replicas[0], "https://b.example", jane.Subject, "j")
				var tokens []session.Token
				for i := range 8 {
					time.Sleep(time.Second)
					token, _ := beginCapped(t, replicas[i%3])
					tokens = append(tokens, token)
					for age := range tokens {
						for _, m := range replicas {
							if got, want := lives(t, m, tokens[i-age]), most == 0 || age < most; got != want {
								t.Fatalf("after login %d the one %d before it lives: %v", i+1, age, got)
							}
						}
					}
				}
				if !lives(t, replicas[1], joe) || !lives(t, replicas[1], namesake) {
					t.Error("another user's session ended")
				}
				if n := noted(t, replicas[0], userOf(jane.Issuer, jane.Subject)); most > 0 && n != most {
					t.Errorf("%d entries on the list", n)
				}
			})
		})
	}
}

// TestDeadDoNotCount has sessions on the list whose records are gone, by a logout that told the index nothing or out of use: they end nobody
// else's, and are taken off.
func TestDeadDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := listing(t, memstore.New(nil), 1)
		m.MaxPerUser = 2
		oldest, _ := beginCapped(t, m)
		time.Sleep(time.Second)
		_, s := beginCapped(t, m)
		if err := m.End(t.Context(), s.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute) // one that has just begun may be about to store its record
		newest, _ := beginCapped(t, m)
		if !lives(t, m, oldest) || !lives(t, m, newest) {
			t.Error("a session that is gone was counted")
		}
		if n := noted(t, m, userOf(jane.Issuer, jane.Subject)); n != 2 {
			t.Errorf("%d entries", n)
		}
		time.Sleep(idle + idle/10)
		beginCapped(t, m)
		if n := noted(t, m, userOf(jane.Issuer, jane.Subject)); n != 1 {
			t.Errorf("%d entries after the others fell out of use", n)
		}
	})
}

// TestUnreadableRecords has records on the list that this release cannot read. Garbage is no session; what a later release wrote is
// one. Neither keeps the user out.
func TestUnreadableRecords(t *testing.T) {
	for _, test := range []struct {
		name  string
		err   error
		lives bool // the oldest, beside the unreadable one and the new one
	}{
		{"garbage", session.ErrCorrupt, true},
		{"a later release's", session.ErrLaterFormat, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _ := listing(t, memstore.New(nil), 1)
				m.MaxPerUser = 2
				oldest, _ := beginCapped(t, m)
				time.Sleep(time.Second)
				_, s := beginCapped(t, m)
				time.Sleep(time.Second)
				m.Store = &unreadable{Store: m.Store, id: s.ID, err: test.err}
				newest, _ := beginCapped(t, m)
				if !lives(t, m, newest) || lives(t, m, oldest) != test.lives {
					t.Errorf("the newest lives: %v, the oldest: %v", lives(t, m, newest), lives(t, m, oldest))
				}
			})
		})
	}
}

// unreadable is a store with a record that cannot be read.
type unreadable struct {
	session.Store
	id  session.ID
	err error
}

func (u *unreadable) Load(ctx context.Context, id session.ID) (session.Record, error) {
	if id == u.id {
		return session.Record{}, u.err
	}
	return u.Store.Load(ctx, id)
}

// TestLoginsAtOnce lets the store operations of two logins of one user come in every order: one of them stays, the younger, and
// never none.
func TestLoginsAtOnce(t *testing.T) {
	const steps = 9 // and then each to its end
	for _, most := range []int{1, 2} {
		for _, apart := range []time.Duration{0, time.Millisecond} {
			t.Run(fmt.Sprintf("%d, %v apart", most, apart), func(t *testing.T) {
				for order := range 1 << steps {
					synctest.Test(t, func(t *testing.T) { loginsAtOnce(t, most, apart, order, steps) })
					if t.Failed() {
						return
					}
				}
			})
		}
	}
}

func loginsAtOnce(t *testing.T, most int, apart time.Duration, order, steps int) {
	store := memstore.New(nil)
	m, _ := listing(t, store, 1)
	former, _ := beginCapped(t, m)
	time.Sleep(time.Second)
	var actors [2]*actor
	var tokens [2]session.Token
	var errs [2]error
	for i := range actors {
		replica, link := listing(t, store, 1)
		replica.MaxPerUser = most
		actors[i] = act(link, func() { tokens[i], errs[i] = capped(t.Context(), replica) })
		time.Sleep(apart)
	}
	interleave(order, steps, actors)
	if errs != [2]error{} {
		t.Fatalf("order %b: %v", order, errs)
	}
	younger := 1
	if first, second := tokens[0].ID(), tokens[1].ID(); apart == 0 && bytes.Compare(first[:], second[:]) > 0 {
		younger = 0
	}
	if !lives(t, m, tokens[younger]) || most == 2 && !lives(t, m, tokens[1-younger]) || lives(t, m, former) {
		t.Fatalf("order %b: they live: %v %v, the former %v; the younger is %d", order, lives(t, m, tokens[0]), lives(t, m, tokens[1]), lives(t, m, former), younger)
	}
	// Whoever was not seen then is seen now.
	m.MaxPerUser = most
	time.Sleep(time.Second)
	beginCapped(t, m)
	if n := noted(t, m, userOf(jane.Issuer, jane.Subject)); n != most {
		t.Fatalf("order %b: %d entries after the next login", order, n)
	}
}

// TestShorterTimeout keeps to the cap when an earlier configuration made sessions that end later than new ones.
func TestShorterTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := listing(t, memstore.New(nil), 1)
		m.MaxPerUser = 2
		m.AbsoluteTimeout = 2 * absolute
		beginCapped(t, m)
		beginCapped(t, m)
		m.AbsoluteTimeout = absolute
		for range 3 {
			time.Sleep(time.Minute)
			if token, _ := beginCapped(t, m); !lives(t, m, token) || noted(t, m, userOf(jane.Issuer, jane.Subject)) != 2 {
				t.Errorf("the new session lives: %v; %d entries", lives(t, m, token), noted(t, m, userOf(jane.Issuer, jane.Subject)))
			}
		}
	})
}

// TestCapFails tells when the cap could not be kept.
func TestCapFails(t *testing.T) {
	for _, operation := range []string{"note", "create", "noted", "load", "delete", "forget"} {
		t.Run(operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, link := listing(t, memstore.New(nil), 1)
				m.MaxPerUser = 2
				beginCapped(t, m)
				beginCapped(t, m)
				time.Sleep(time.Second)
				link.before(failing(operation))
				if _, err := capped(t.Context(), m); !errors.Is(err, errCut) {
					t.Errorf("error %v", err)
				}
				link.mend()
				time.Sleep(time.Second)
			})
		})
	}
}
