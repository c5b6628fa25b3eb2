package session_test

import (
	"bytes"
	"errors"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// someone begins a session with all that a list may show of it.
func someone(t *testing.T, m *session.Manager, subject string) session.Session {
	t.Helper()
	_, s, err := m.Begin(t.Context(), session.Session{
		Issuer: jane.Issuer, Subject: subject, ProviderSession: "sid of " + subject,
		Label: subject + "@example.com", Address: "203.0.113.7", UserAgent: "Browser/1.0",
	}, janesTokens)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// collect takes all that is given.
func collect(t *testing.T, all iter.Seq2[session.Listed, error]) (list []session.Listed) {
	t.Helper()
	for l, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}

func TestListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := listing(t, memstore.New(nil), 1)
		began := time.Now()
		first := someone(t, m, "jane")
		time.Sleep(time.Minute)
		second, other := someone(t, m, "jane"), someone(t, m, "joe")
		if first.Created != began {
			t.Errorf("created %v", first.Created)
		}
		got := collect(t, m.Group(t.Context(), userOf(jane.Issuer, "jane")))
		if len(got) != 2 || got[0].ID != second.ID || got[1].ID != first.ID {
			t.Fatalf("jane has %v", got)
		}
		want := session.Listed{
			ID: first.ID, LastSeen: began, IdleExpires: began.Add(idle + idle/10), Expires: began.Add(absolute).Truncate(time.Millisecond),
			Details: session.Details{
				Issuer: jane.Issuer, Subject: "jane", Label: "jane@example.com", Created: began.Truncate(time.Millisecond),
				Address: "203.0.113.7", UserAgent: "Browser/1.0",
			},
		}
		if !sameListed(got[1], want) {
			t.Errorf("got  %+v\nwant %+v", got[1], want)
		}
		if all := collect(t, m.All(t.Context())); len(all) != 3 {
			t.Errorf("all are %v", all)
		}
		found, err := m.Find(t.Context(), other.ID)
		if err != nil || found.Subject != "joe" || found.ID != other.ID {
			t.Errorf("found %+v, %v", found, err)
		}
		if _, err := m.Find(t.Context(), session.ID{1}); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("an unknown ID: %v", err)
		}
	})
}

func sameListed(a, b session.Listed) bool {
	for _, at := range [][2]*time.Time{{&a.Created, &b.Created}, {&a.LastSeen, &b.LastSeen}, {&a.IdleExpires, &b.IdleExpires}, {&a.Expires, &b.Expires}} {
		if at[0].UnixMilli() != at[1].UnixMilli() {
			return false
		}
		*at[0], *at[1] = time.Time{}, time.Time{}
	}
	return a == b
}

// TestLastSeen: what is left of a record's life tells when it was used.
func TestLastSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _ := listing(t, memstore.New(nil), 1)
		token := beginAs(t, m, jane.Issuer, jane.Subject, "")
		seen := func() time.Time {
			t.Helper()
			list := collect(t, m.Group(t.Context(), userOf(jane.Issuer, jane.Subject)))
			if len(list) != 1 {
				t.Fatalf("%d sessions", len(list))
			}
			return list[0].LastSeen
		}
		began := time.Now()
		for time.Since(began) < absolute-2*idle {
			time.Sleep(7 * time.Minute)
			s, err := m.Load(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Touch(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			used := time.Now()
			time.Sleep(time.Minute)
			if late := used.Sub(seen()); late < -time.Millisecond || late > idle/10 {
				t.Fatalf("after %v: used %v after it was seen last", time.Since(began), late)
			}
		}
		for time.Since(began) < absolute-time.Minute {
			time.Sleep(time.Minute)
			s, err := m.Load(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			if err := m.Touch(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			if at := seen(); at.After(time.Now()) || time.Since(at) > idle+idle/5 {
				t.Fatalf("after %v: seen %v ago", time.Since(began), time.Since(at))
			}
		}
	})
}

// TestListedDead: what is gone is not listed, and leaves its list; what is about to be stored stays on it.
func TestListedDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(nil)
		m, _ := listing(t, store, 1)
		login, link := listing(t, store, 1)
		dead, kept := someone(t, m, "jane"), someone(t, m, "jane")
		if err := m.End(t.Context(), dead.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		looked := false
		link.before(func(operation string) error {
			if operation != "create" || looked {
				return nil
			}
			looked = true
			for name, list := range map[string][]session.Listed{
				"group": collect(t, m.Group(t.Context(), userOf(jane.Issuer, "jane"))), "all": collect(t, m.All(t.Context())),
			} {
				if len(list) != 1 || list[0].ID != kept.ID {
					t.Errorf("%s: %v", name, list)
				}
			}
			if n := noted(t, m, userOf(jane.Issuer, "jane")); n != 2 {
				t.Errorf("%d entries, want the one that lives and the one whose login is under way", n)
			}
			return nil
		})
		born := someone(t, login, "jane")
		if got := collect(t, m.Group(t.Context(), userOf(jane.Issuer, "jane"))); !looked || len(got) != 2 || got[0].ID != born.ID {
			t.Errorf("got %v", got)
		}
	})
}

// TestCapSparesLoginsUnderWay: one login's look at the cap does not make another's session one that no list knows.
func TestCapSparesLoginsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(nil)
		m, _ := listing(t, store, 1)
		login, link := listing(t, store, 1)
		m.MaxPerUser = 2
		link.before(func(operation string) error {
			if operation == "create" {
				link.mend()
				beginCapped(t, m)
			}
			return nil
		})
		token := beginAs(t, login, jane.Issuer, jane.Subject, "")
		if n, err := m.EndGroup(t.Context(), userOf(jane.Issuer, jane.Subject)); n != 2 || err != nil {
			t.Errorf("ended %d, %v", n, err)
		}
		if lives(t, m, token) {
			t.Error("a session lives that no list knew")
		}
	})
}

// TestDetailsOpenWhereTheyBelong, and nowhere else.
func TestDetailsOpenWhereTheyBelong(t *testing.T) {
	store := memstore.New(nil)
	m, _ := listing(t, store, 1)
	s := someone(t, m, "jane")
	r, err := store.LoadWithTokens(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"jane", "example", "203.0", "Browser"} {
		if strings.Contains(string(r.Details), text) {
			t.Errorf("%q is readable", text)
		}
	}
	details := func(m *session.Manager, id session.ID, details []byte) session.Details {
		t.Helper()
		r, err := store.LoadWithTokens(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r.Version++
		r.Details = details
		if err := store.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		found, err := m.Find(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return found.Details
	}
	if d := details(m, s.ID, r.Details); d.Subject != "jane" {
		t.Errorf("at home: %+v", d)
	}
	if d := details(m, someone(t, m, "jane").ID, r.Details); d != (session.Details{}) {
		t.Errorf("in another session's record: %+v", d)
	}
	for name, changed := range map[string][]byte{
		"none": nil, "cut": r.Details[:len(r.Details)-1], "garbage": []byte("garbage"),
		"changed": append(append(bytes.Clone(r.Details[:20]), r.Details[20]+1), r.Details[21:]...),
	} {
		if d := details(m, s.ID, changed); d != (session.Details{}) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	// Under a new key, and the former one on the ring.
	next, _ := listing(t, store, 2, 1)
	if d := details(next, s.ID, r.Details); d.Subject != "jane" {
		t.Errorf("with the next ring: %+v", d)
	}
	elsewhere := *m
	elsewhere.Site = "other"
	if got := collect(t, elsewhere.All(t.Context())); len(got) != 0 {
		t.Errorf("another site lists %v", got)
	}
}

// TestDetailsStay, however often the session's tokens are renewed, and are covered by the seal of the identity.
func TestDetailsStay(t *testing.T) {
	store := memstore.New(nil)
	m, _ := listing(t, store, 1)
	token, s, err := m.Begin(t.Context(), session.Session{Issuer: jane.Issuer, Subject: "jane", Label: "Jane"}, janesTokens)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		loaded, tokens, err := m.LoadWithTokens(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Rotate(t.Context(), token, loaded, tokens); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := m.Find(t.Context(), s.ID); err != nil || found.Label != "Jane" {
		t.Errorf("found %+v, %v", found, err)
	}
	r, err := store.LoadWithTokens(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	r.Version++
	r.Details = nil
	if err := store.Swap(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Load(t.Context(), token); !errors.Is(err, session.ErrCorrupt) {
		t.Errorf("without the details that it was sealed with: %v", err)
	}
}

// TestLongDetails are cut where they are texts; a user whose name leaves no room is listed without.
func TestLongDetails(t *testing.T) {
	m, _ := listing(t, memstore.New(nil), 1)
	long := strings.Repeat("ä", 5000)
	for subject, want := range map[string]session.Details{
		"joe": {Subject: "joe", Label: long[:session.MaxLabel], Address: long[:session.MaxAddress], UserAgent: long[:session.MaxUserAgent]},
		long:  {},
	} {
		_, s, err := m.Begin(t.Context(), session.Session{Subject: subject, Label: long, Address: long, UserAgent: long + "\xff"}, janesTokens)
		if err != nil {
			t.Fatal(err)
		}
		found, err := m.Find(t.Context(), s.ID)
		found.Created = time.Time{}
		if err != nil || found.Details != want {
			t.Errorf("got %+v, %v", found.Details, err)
		}
	}
}

// TestDetailsAreSmall, since every record has them.
func TestDetailsAreSmall(t *testing.T) {
	store := memstore.New(nil)
	m, _ := listing(t, store, 1)
	for _, userAgent := range []string{
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
		"Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1",
	} {
		const subject = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
		_, s, err := m.Begin(t.Context(), session.Session{
			Issuer: "https://login.company.net/realms/main", Subject: subject, Label: "jane.doe", Address: "203.0.113.7", UserAgent: userAgent,
		}, janesTokens)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := store.Load(t.Context(), s.ID); err != nil || len(r.Details) == 0 || len(r.Details) > 170 {
			t.Errorf("%d bytes for %s, %v", len(r.Details), userAgent, err)
		}
	}
}

func TestListingCannotTell(t *testing.T) {
	m, link := listing(t, memstore.New(nil), 1)
	s := someone(t, m, "jane")
	for _, operation := range []string{"noted", "load"} {
		link.before(failing(operation))
		given := 0
		for l, err := range m.Group(t.Context(), userOf(jane.Issuer, "jane")) {
			if given++; !errors.Is(err, errCut) || l != (session.Listed{}) {
				t.Errorf("%s: %+v, %v", operation, l, err)
			}
		}
		if given != 1 {
			t.Errorf("%s: given %d times", operation, given)
		}
		if _, err := m.Find(t.Context(), s.ID); operation == "load" && (!errors.Is(err, errCut) || errors.Is(err, session.ErrNotFound)) {
			t.Errorf("find: %v", err)
		}
		link.mend()
		if n := noted(t, m, userOf(jane.Issuer, "jane")); n != 1 {
			t.Errorf("%s: %d entries afterwards", operation, n)
		}
	}
}

// TestListedEndings: whoever has ended a session here does not see it any more, though the store could not confirm it.
func TestListedEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, link := listing(t, memstore.New(nil), 1)
		ended, kept := someone(t, m, "jane"), someone(t, m, "jane")
		link.before(failing("delete"))
		if err := m.End(t.Context(), ended.ID); !errors.Is(err, errCut) {
			t.Errorf("end: %v", err)
		}
		if got := collect(t, m.Group(t.Context(), userOf(jane.Issuer, "jane"))); len(got) != 1 || got[0].ID != kept.ID {
			t.Errorf("got %v", got)
		}
		link.mend()
		time.Sleep(time.Minute) // until it is deleted
	})
}

func TestEndAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, link := listing(t, memstore.New(nil), 1)
		m.Endings = nil // which would delete in the end what could not be
		const many = 200
		for n := range many {
			someone(t, m, string(rune('a'+n%26))+"x")
		}
		unlisted := *m
		unlisted.Index = nil
		token := beginAs(t, &unlisted, jane.Issuer, "unlisted", "")
		time.Sleep(2 * time.Minute)

		link.before(failing("delete"))
		if n, err := m.EndAll(t.Context(), nil); n != 0 || !errors.Is(err, errCut) {
			t.Errorf("cut: %d, %v", n, err)
		}
		link.mend()
		last := 0
		n, err := m.EndAll(t.Context(), func(ended int) { last = ended })
		if n != many+1 || err != nil || last != n {
			t.Errorf("ended %d, told %d, %v", n, last, err)
		}
		if lives(t, m, token) {
			t.Error("the one on no list lives")
		}
		for n := range 26 {
			if left := noted(t, m, userOf(jane.Issuer, string(rune('a'+n))+"x")); left != 0 {
				t.Errorf("%d entries are left", left)
			}
		}
	})
}
