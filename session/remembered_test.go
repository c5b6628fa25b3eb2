package session_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// ringOf makes a ring of keys that consist of these bytes.
func ringOf(t *testing.T, keys ...byte) *session.Keyring {
	t.Helper()
	var secrets [][]byte
	for _, key := range keys {
		secrets = append(secrets, bytes.Repeat([]byte{key}, session.MasterKeySize))
	}
	ring, err := session.NewKeyring(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// TestRemembered brings everything that is nearly the token of a session in the cache, which is found without a look at the MAC.
func TestRemembered(t *testing.T) { synctest.Test(t, remembered) }

func remembered(t *testing.T) {
	c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: time.Hour})
	c.Manager.Keyring = ringOf(t, 1)
	c.Endings = &session.Endings{Store: c.store}
	c.Cache.Armed()
	token := c.begin()
	text := token.Reveal()
	if _, _, ok := c.Remembered(text, false); ok {
		t.Error("what nobody has asked for is remembered")
	}
	c.recalls(token, 1)

	// with is this replica with another ring, or for another site; what it has in memory is the same.
	with := func(site string, ring *session.Keyring) *session.Manager {
		return &session.Manager{Store: c.store, Keyring: ring, Site: site, Cache: c.Cache, Endings: c.Endings, IdleTimeout: idle, AbsoluteTimeout: absolute}
	}
	for name, m := range map[string]*session.Manager{"the ring": c.Manager, "another key signs": with(c.Site, ringOf(t, 2, 1))} {
		hits := c.asked[session.CacheHit]
		found, r, ok := m.Remembered(text, false)
		if !ok || found != token || r.Open().Subject != jane.Subject || r.ID() != token.ID() {
			t.Errorf("%s: not remembered: %t %+v", name, ok, r.Open())
		}
		if c.asked[session.CacheHit] != hits+1 {
			t.Errorf("%s: no hit was reported", name)
		}
	}
	hits := c.asked[session.CacheHit]
	for name, m := range map[string]*session.Manager{
		"its key was taken away": with(c.Site, ringOf(t, 2)), "another site": with("another", c.Keyring),
	} {
		if _, _, ok := m.Remembered(text, false); ok {
			t.Errorf("%s: remembered", name)
		}
	}
	if _, _, ok := c.Remembered(text, true); ok {
		t.Error("tokens are remembered that nobody asked for")
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw { // the format, the key's name, the secret and the MAC
		for _, bit := range []byte{1, 0x80} {
			forged := bytes.Clone(raw)
			forged[i] ^= bit
			if _, _, ok := c.Remembered(base64.RawURLEncoding.EncodeToString(forged), false); ok {
				t.Errorf("byte %d is changed: remembered", i)
			}
		}
	}
	last := text[:len(text)-1] + string(text[len(text)-1]+1) // decodes to the same bytes, where that is not looked at
	for _, other := range []string{
		"", text + "A", text[1:], text[:len(text)-1], text + "=", text[:70] + "\n", "\n" + text, text[:30] + "\r\n" + text[30:], last,
		c.Keyring.NewToken(session.PurposeSession, c.Site).Reveal(), c.Keyring.DeriveToken(session.PurposeLogin, c.Site, token).Reveal(),
	} {
		if _, _, ok := c.Remembered(other, false); ok {
			t.Errorf("%d bytes of something else: remembered", len(other))
		}
	}
	if c.asked[session.CacheHit] != hits {
		t.Error("a hit was reported")
	}

	// Who was signed out here is, whatever the store says.
	elsewhere := with(c.Site, c.Keyring)
	elsewhere.Store, elsewhere.Cache = refusingDelete{c.store.Store}, nil // so that the entry stays
	if err := elsewhere.End(t.Context(), token.ID()); !errors.Is(err, errCut) {
		t.Fatal(err)
	}
	if _, _, ok := c.Remembered(text, false); ok {
		t.Error("it was ended here: remembered")
	}
	time.Sleep(time.Second) // until it is deleted after all
}
