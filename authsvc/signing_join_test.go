package authsvc

import (
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
)

// withKeys changes the keys of a replica's configuration.
func withKeys(keys ...byte) func(*Config) {
	return func(c *Config) {
		c.Cookie.Secret = nil
		for _, key := range keys {
			c.Cookie.Secret = append(c.Cookie.Secret, cookieSecret(key))
		}
	}
}

// TestJoinKeys: a replica signs with the first of its keys that all others hold who take requests, and one that lacks a key of which
// sessions live is held back, whoever signs with what at the moment.
func TestJoinKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		first := joins(t, store, withKeys(1))
		first.is(t, "the first", true)
		second, third := joins(t, store, withKeys(2, 1)), joins(t, store, withKeys(2, 1))
		second.is(t, "one with a new key first", true)
		third.is(t, "another one", true)
		beat()
		for _, m := range []*member{first, second, third} {
			if !m.signsWith(t, 1) {
				t.Error("somebody signs with what the first cannot read")
			}
		}
		lacking := joins(t, store, withKeys(2))
		lacking.is(t, "one without the key that signs", false, "cookie.secret", first.id, second.id)
		beat()
		lacking.leave()
		first.leave()
		beat()
		if !second.signsWith(t, 1) || !third.signsWith(t, 1) {
			t.Error("another key signs before anybody could speak against it")
		}
		beat()
		for _, m := range []*member{second, third} {
			if !m.signsWith(t, 2) || !strings.Contains(m.log.String(), "another key of the ring signs now") {
				t.Errorf("when the first is gone, the other key does not sign:\n%s", m.log)
			}
		}
		joins(t, store, withKeys(1)).is(t, "one without the key that signs now", false, "cookie.secret", second.id, third.id)
		beat()
		beat()
		if !second.signsWith(t, 2) || !third.signsWith(t, 2) {
			t.Error("a replica that is held back brings the other key back")
		}
		joins(t, store, withKeys(2)).is(t, "one without the key that signed", false, "cookie.secret")
		joins(t, store, withKeys(1, 2)).is(t, "one with both", true)
		beat()
		meant := joins(t, store, func(c *Config) { withKeys(2)(c); c.ConfigGeneration = 1 })
		meant.is(t, "one that is meant to lack it", true)
		if text := meant.log.String(); strings.Count(text, "is not in cookie.secret") != 1 || !strings.Contains(text, time.Now().Add(12*time.Hour).UTC().Format("2006-01-02T15:0")) {
			t.Errorf("it says %s", text)
		}
	})
}

// TestJoinWithoutOthers: what nobody else can be asked about stops nobody, but is told.
func TestJoinWithoutOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		first := joins(t, store, withKeys(1))
		first.is(t, "the first", true)
		first.leave()
		second := joins(t, store, withKeys(2))
		second.is(t, "another, with another key", true)
		if text := second.log.String(); !strings.Contains(text, "is not in cookie.secret") || !second.signsWith(t, 2) {
			t.Errorf("it says %s", text)
		}
	})
}

// TestJoinStoreSilent: without the store a replica signs with its first key, and with the common one as soon as it knows.
func TestJoinStoreSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		joins(t, store, withKeys(1)).is(t, "the first", true)
		store.refuse("readslot", "claim", "replace")
		second := joins(t, store, withKeys(2, 1))
		time.Sleep(2 * admissionGrace)
		if !second.signsWith(t, 2) || second.formatToWrite() != session.OldestRecordFormat {
			t.Error("without the store it does not sign with its first key, or writes a format that others might not read")
		}
		store.refuse()
		time.Sleep(2 * admissionGrace)
		synctest.Wait()
		if !second.signsWith(t, 1) {
			t.Error("it goes on signing with a key that the first lacks")
		}
	})
}

// TestFingerprintsWhoeverSigns: replicas of one configuration have one set of fingerprints, whichever of the keys signs.
func TestFingerprintsWhoeverSigns(t *testing.T) {
	c := configOfReplica()
	withKeys(1, 2, 3)(c)
	c.Complete()
	ring, err := newKeyring(c)
	if err != nil {
		t.Fatal(err)
	}
	want := fingerprint(c, ring, []byte("salt"))
	for position := range 3 {
		if got := fingerprint(c, ring.SignWith(position), []byte("salt")); !reflect.DeepEqual(got, want) {
			t.Errorf("with key %d they are others", position+1)
		}
	}
}

// TestHeldBackByRecords: who cannot read what the others write is held back, and who writes less is not.
func TestHeldBackByRecords(t *testing.T) {
	entries := rosterOf(t, "old", "new")
	old, next := entries[0], entries[1]
	old.Reads, old.Writes, next.Reads, next.Writes = 1, 1, 2, 2
	if got := old.heldBackBy([]replica{next}).String(); got != "record_format differs from new" {
		t.Errorf("the old release among new ones: %q", got)
	}
	if got := next.heldBackBy([]replica{old}); len(got) > 0 {
		t.Errorf("the new release among old ones: %v", got)
	}
	next.Writes = 1
	if got := old.heldBackBy([]replica{next}); len(got) > 0 {
		t.Errorf("the old release beside new ones that still write its format: %v", got)
	}
}
