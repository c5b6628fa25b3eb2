package session_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// TestEndGroup ends by user and by the provider's session, and nothing else: not the same names of another issuer, nor on
// another site, nor a user whose subject is another's sid.
func TestEndGroup(t *testing.T) {
	const a, b = "https://a.example", "https://b.example"
	tests := []struct {
		group session.Group
		want  []string // the sessions that end
	}{
		{userOf(a, "jane"), []string{"jane 1", "jane 2", "jane without sid"}},
		{sidOf(a, "s1"), []string{"jane 1"}},
		{sidOf(a, "shared"), []string{"joe", "jill"}},
		{userOf(b, "jane"), []string{"jane of b"}},
		{userOf(a, "s1"), []string{"user s1"}},
		{userOf(a, "nobody"), nil},
		{sidOf(a, "nothing"), nil},
		{sidOf(a, ""), nil},
	}
	for _, test := range tests {
		t.Run(fmt.Sprint(test.group), func(t *testing.T) {
			store := memstore.New(nil)
			m, _ := listing(t, store, 1)
			other, _ := listing(t, store, 1)
			other.Site = "other"
			tokens := map[string]session.Token{
				"jane 1": beginAs(t, m, a, "jane", "s1"), "jane 2": beginAs(t, m, a, "jane", "s2"), "jane without sid": beginAs(t, m, a, "jane", ""),
				"joe": beginAs(t, m, a, "joe", "shared"), "jill": beginAs(t, m, a, "jill", "shared"),
				"jane of b": beginAs(t, m, b, "jane", "s1"), "user s1": beginAs(t, m, a, "s1", "s9"),
			}
			elsewhere := beginAs(t, other, a, "jane", "s1")
			found, err := m.EndGroup(t.Context(), test.group)
			if err != nil || found != len(test.want) {
				t.Errorf("found %d, error %v; want %d", found, err, len(test.want))
			}
			for name, token := range tokens {
				if lives(t, m, token) == slices.Contains(test.want, name) {
					t.Errorf("%s lives: %v", name, lives(t, m, token))
				}
			}
			if !lives(t, other, elsewhere) {
				t.Error("a session of another site ended")
			}
			if n := noted(t, m, test.group); n != 0 {
				t.Errorf("%d entries are left on the list", n)
			}
		})
	}
}

// TestEndGroupAcrossKeys ends what was begun under another signing key, as replicas do while a key is rotated; a login under way
// finds the mark of another key too.
func TestEndGroupAcrossKeys(t *testing.T) {
	for _, rings := range [][2][]byte{{{1, 2}, {2, 1}}, {{2, 1}, {1, 2}}, {{1}, {2, 1}}, {{1, 2, 3}, {3, 1, 2}}} {
		for _, group := range []session.Group{userOf(jane.Issuer, jane.Subject), sidOf(jane.Issuer, jane.ProviderSession)} {
			t.Run(fmt.Sprint(rings, group.Kind), func(t *testing.T) {
				store := memstore.New(nil)
				first, _ := listing(t, store, rings[0]...)
				second, _ := listing(t, store, rings[1]...)
				token, _ := begin(t, first)
				began := time.Now()
				if found, err := second.EndGroup(t.Context(), group); err != nil || found != 1 {
					t.Fatalf("found %d, error %v", found, err)
				}
				if lives(t, first, token) {
					t.Error("the session lives")
				}
				if ended, err := second.Ended(t.Context(), jane, began); err != nil || !ended {
					t.Errorf("the replica that ended it: ended %v, error %v", ended, err)
				}
				if len(rings[0]) == 1 {
					return // it has not got the second key yet, so that nobody may sign with that one
				}
				if ended, err := first.Ended(t.Context(), jane, began); err != nil || !ended {
					t.Errorf("the other replica: ended %v, error %v", ended, err)
				}
			})
		}
	}
}

// TestMark holds moments of logins against the moment of a logout.
func TestMark(t *testing.T) {
	const second = time.Second
	tests := []struct {
		name   string
		ends   []session.Group
		begins time.Duration // of the login, after the last logout
		asked  time.Duration // after the last logout
		want   bool
	}{
		{"no logout", nil, 0, 0, false},
		{"before", []session.Group{userOf(jane.Issuer, jane.Subject)}, -second, 0, true},
		{"in the same moment", []session.Group{userOf(jane.Issuer, jane.Subject)}, 0, 0, true},
		{"after, by a clock that is ahead", []session.Group{userOf(jane.Issuer, jane.Subject)}, 250 * time.Millisecond, 0, true},
		{"after", []session.Group{userOf(jane.Issuer, jane.Subject)}, 251 * time.Millisecond, second, false},
		{"before, by sid", []session.Group{sidOf(jane.Issuer, jane.ProviderSession)}, -second, 0, true},
		{"after, by sid", []session.Group{sidOf(jane.Issuer, jane.ProviderSession)}, second, second, false},
		{"between two", []session.Group{userOf(jane.Issuer, jane.Subject), userOf(jane.Issuer, jane.Subject)}, -second / 2, 0, true},
		{"another user", []session.Group{userOf(jane.Issuer, "joe")}, -second, 0, false},
		{"another issuer", []session.Group{userOf("https://b.example", jane.Subject)}, -second, 0, false},
		{"another sid", []session.Group{sidOf(jane.Issuer, "another")}, -second, 0, false},
		{"much later", []session.Group{userOf(jane.Issuer, jane.Subject)}, -second, absolute - second, true},
		{"when no session from before can live", []session.Group{userOf(jane.Issuer, jane.Subject)}, -second, absolute, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, _ := listing(t, memstore.New(nil), 1)
				for _, group := range test.ends {
					time.Sleep(2 * second)
					if _, err := m.EndGroup(t.Context(), group); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now().Add(test.begins)
				time.Sleep(test.asked)
				if ended, err := m.Ended(t.Context(), jane, began); err != nil || ended != test.want {
					t.Errorf("ended %v, error %v", ended, err)
				}
			})
		})
	}
}

// TestMarkUnreadable takes a mark that is none for an end: whoever wrote it wanted one.
func TestMarkUnreadable(t *testing.T) {
	store := memstore.New(nil)
	m, _ := listing(t, store, 1)
	name := session.SlotName{Kind: "endeduser", Hash: m.Keyring.Names(session.KindUser, m.Site, jane.Issuer, jane.Subject)[0]}
	if _, _, err := store.Claim(t.Context(), name, []byte("?"), time.Hour); err != nil {
		t.Fatal(err)
	}
	if ended, err := m.Ended(t.Context(), jane, time.Now()); err != nil || !ended {
		t.Errorf("ended %v, error %v", ended, err)
	}
	if _, err := m.EndGroup(t.Context(), userOf(jane.Issuer, jane.Subject)); err != nil {
		t.Error(err)
	}
}

// TestEndGroupFails lets each operation of a logout fail in its turn: the caller hears of it, and a second try ends what is left.
func TestEndGroupFails(t *testing.T) {
	for _, operation := range []string{"claim", "noted", "delete", "forget", "replace"} {
		t.Run(operation, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, link := listing(t, memstore.New(nil), 1, 2)
				if _, err := m.EndGroup(t.Context(), userOf(jane.Issuer, jane.Subject)); err != nil { // so that a mark is to be replaced
					t.Fatal(err)
				}
				var tokens []session.Token
				for range 3 {
					token, _ := begin(t, m)
					tokens = append(tokens, token)
				}
				time.Sleep(time.Second)
				link.before(failing(operation))
				if _, err := m.EndGroup(t.Context(), userOf(jane.Issuer, jane.Subject)); !errors.Is(err, errCut) {
					t.Errorf("error %v", err)
				}
				link.mend()
				if _, err := m.EndGroup(t.Context(), userOf(jane.Issuer, jane.Subject)); err != nil {
					t.Fatal(err)
				}
				for i, token := range tokens {
					if lives(t, m, token) {
						t.Errorf("session %d lives", i)
					}
				}
				time.Sleep(time.Second) // the endings are done with
			})
		})
	}
}

// TestBeginIsNoted makes no session that the index does not know, and none when the index cannot be asked.
func TestBeginIsNoted(t *testing.T) {
	m, link := listing(t, memstore.New(nil), 1)
	begin(t, m)
	for _, group := range []session.Group{userOf(jane.Issuer, jane.Subject), sidOf(jane.Issuer, jane.ProviderSession)} {
		if n := noted(t, m, group); n != 1 {
			t.Errorf("%d entries by %s", n, group.Kind)
		}
	}
	created := 0
	link.before(func(operation string) error {
		if operation == "create" {
			created++
		}
		return failing("note")(operation)
	})
	if _, _, err := m.Begin(t.Context(), jane, janesTokens); !errors.Is(err, errCut) || created != 0 {
		t.Errorf("error %v after %d records", err, created)
	}
}

// TestEndSession takes a session off its lists, and leaves the others of the user on them.
func TestEndSession(t *testing.T) {
	store := memstore.New(nil)
	old, _ := listing(t, store, 1)
	token, _ := begin(t, old)
	m, link := listing(t, store, 2, 1) // the key was rotated meanwhile
	other, _ := begin(t, m)
	s, err := m.Load(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.EndSession(t.Context(), s); err != nil || lives(t, m, token) || !lives(t, m, other) {
		t.Fatalf("error %v; lives: %v, the other: %v", err, lives(t, m, token), lives(t, m, other))
	}
	for _, group := range []session.Group{userOf(jane.Issuer, jane.Subject), sidOf(jane.Issuer, jane.ProviderSession)} {
		if n := noted(t, m, group); n != 1 {
			t.Errorf("%d entries by %s", n, group.Kind)
		}
	}
	link.before(failing("forget"))
	if s, err = m.Load(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if err := m.EndSession(t.Context(), s); err != nil || lives(t, m, other) {
		t.Errorf("an index that does not answer: error %v, lives %v", err, lives(t, m, other))
	}
}

// TestEndGroupWithAKeyTooMany: whoever ends sessions may hold a key that the replica of a login under way does not have yet.
func TestEndGroupWithAKeyTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(nil)
		replica, _ := listing(t, store, 1)
		command, _ := listing(t, store, 2, 1)
		began := time.Now()
		_, s, err := replica.Begin(t.Context(), session.Session{Issuer: jane.Issuer, Subject: jane.Subject}, janesTokens)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := command.EndGroup(t.Context(), userOf(jane.Issuer, jane.Subject)); err != nil {
			t.Fatal(err)
		}
		if ended, err := replica.Ended(t.Context(), s, began); !ended || err != nil {
			t.Errorf("the replica takes the login for %v, %v", ended, err)
		}
	})
}
