package authsvc

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"authsvc/session"
)

// withKeys is a configuration that differs from the one in use in its keys alone.
func (s *Service) withKeys(keys ...byte) *Config {
	changed := *s.sites.Load().main.config
	changed.Cookie.Secret = nil
	for _, key := range keys {
		changed.Cookie.Secret = append(changed.Cookie.Secret, cookieSecret(key))
	}
	return &changed
}

// announced is what others know of a replica.
func (s *Service) announced() replica { return s.self(storeIdentity{}, true) }

// meet tells every replica of the others, as their heartbeats do.
func (r *rig) meet() {
	r.t.Helper()
	for range 2 { // what is new is told, and then done
		for _, s := range r.replicas {
			r.hears(s)
		}
	}
}

// hears tells a replica of the others once.
func (r *rig) hears(s *Service) (settled bool) {
	r.t.Helper()
	var others []replica
	for _, other := range r.replicas {
		if other != s {
			others = append(others, other.announced())
		}
	}
	settled, err := s.agree(r.t.Context(), others)
	if err != nil {
		r.t.Fatal(err)
	}
	return settled
}

// hearsOf tells a replica of these twice.
func (r *rig) hearsOf(s *Service, others ...replica) error {
	r.t.Helper()
	s.agree(r.t.Context(), others)
	_, err := s.agree(r.t.Context(), others)
	return err
}

// signing checks which of the keys signs at each replica.
func (r *rig) signing(when string, want ...byte) {
	r.t.Helper()
	for i, s := range r.replicas {
		if !s.signsWith(r.t, want[i]) {
			r.t.Errorf("%s: replica %d does not sign with key %d", when, i, want[i])
		}
	}
}

// marked reports whether the store has a mark of a key.
func (r *rig) marked(key byte) bool {
	r.t.Helper()
	alone, err := session.NewKeyring([][]byte{bytes.Repeat([]byte{key}, session.MasterKeySize)})
	if err != nil {
		r.t.Fatal(err)
	}
	marks, err := r.replicas[0].sites.Load().main.sessions.KeyMarks(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return slices.ContainsFunc(marks, func(mark session.KeyMark) bool { return mark.Key == alone.Fingerprints()[0] })
}

func (s *Service) signsWith(t testing.TB, key byte) bool {
	t.Helper()
	alone, err := session.NewKeyring([][]byte{bytes.Repeat([]byte{key}, session.MasterKeySize)})
	if err != nil {
		t.Fatal(err)
	}
	token := s.sites.Load().main.keyring.NewToken(session.PurposeSession, mainSite).Reveal()
	_, err = alone.ParseToken(session.PurposeSession, mainSite, token)
	return err == nil
}

// TestCookieKeysRotate takes a key into use and another one out of it, replica by replica, while people sign in. No order of the steps makes any
// replica refuse anybody.
func TestCookieKeysRotate(t *testing.T) {
	r := newRig(t, 3, nil)
	absolute := r.replicas[0].sites.Load().main.config.Session.AbsoluteTimeout
	r.meet()
	var cookies []string
	everybodyPasses := func() {
		t.Helper()
		for range r.replicas {
			b := r.browser()
			b.signIn()
			cookies = append(cookies, b.sessionCookie())
		}
		for _, cookie := range cookies {
			r.everywhere(cookie, http.StatusOK)
		}
	}
	step := func(keys ...byte) {
		t.Helper()
		for _, s := range r.replicas {
			if err := s.ReplaceSecrets(t.Context(), s.withKeys(keys...)); err != nil {
				t.Fatal(err)
			}
			everybodyPasses()
			r.meet()
			everybodyPasses()
		}
	}
	everybodyPasses()
	step(1, 2)
	r.signing("added last", 1, 1, 1)
	step(2, 1)
	r.signing("made first", 2, 2, 2)

	// Too early: refused, with the date, and everything goes on as before.
	s := r.replicas[1]
	err := s.ReplaceSecrets(t.Context(), s.withKeys(2))
	needed, ok := errors.AsType[*KeyNeededError](err)
	if !ok || needed.Key != 2 || !needed.Until.After(r.now().Add(absolute)) {
		t.Fatalf("removed too early: %v", err)
	}
	everybodyPasses()
	r.advance(time.Minute)
	r.meet()
	err = s.ReplaceSecrets(t.Context(), s.withKeys(2))
	if later, _ := errors.AsType[*KeyNeededError](err); later == nil || later.Signs || later.Until != needed.Until ||
		!strings.Contains(err.Error(), needed.Until.Add(time.Second).UTC().Format(time.RFC3339)) {
		t.Fatalf("a minute later: %v, want until %v", err, needed.Until)
	}
	r.store.refuse("readslot")
	if err := s.ReplaceSecrets(t.Context(), s.withKeys(2)); !errors.Is(err, ErrKeysUnknown) {
		t.Errorf("the store does not answer: %v", err)
	}
	r.store.refuse()
	everybodyPasses()

	// When its time has come it may go, anywhere, and nobody is left whom it had signed in.
	cookies = nil
	for left := needed.Until.Sub(r.now()); left >= 0; left -= time.Minute {
		r.advance(time.Minute)
		if left%time.Hour < time.Minute {
			r.meet()
		}
	}
	r.meet()
	everybodyPasses()
	step(2)
	r.signing("the old one removed", 2, 2, 2)

	// The last key signs, and so cannot be exchanged at once.
	err = s.ReplaceSecrets(t.Context(), s.withKeys(3))
	if needed, ok := errors.AsType[*KeyNeededError](err); !ok || !needed.Signs || needed.Key != 1 {
		t.Errorf("the only key exchanged: %v", err)
	}
	if text := r.log.String(); strings.Contains(text, cookieSecret(1).Reveal()) || strings.Contains(text, cookieSecret(2).Reveal()) {
		t.Error("a key is in the log")
	}
}

// TestKeyFirstAtOnce: whoever makes a new key first before the others have it signs with the old one until they do, and again when one comes
// that has not.
func TestKeyFirstAtOnce(t *testing.T) {
	r := newRig(t, 3, nil)
	r.meet()
	exchange := func(replica int, keys ...byte) {
		t.Helper()
		if err := r.replicas[replica].ReplaceSecrets(t.Context(), r.replicas[replica].withKeys(keys...)); err != nil {
			t.Fatal(err)
		}
	}
	exchange(0, 2, 1)
	r.signing("one has a new key", 1, 1, 1)
	if r.marked(2) {
		t.Error("a key has a mark that never signed")
	}
	r.meet()
	exchange(1, 2, 1)
	r.meet()
	r.signing("two have it", 1, 1, 1)
	exchange(2, 2, 1)
	r.signing("all have it, and nobody knows", 1, 1, 1)
	if r.hears(r.replicas[2]) || !r.marked(2) {
		t.Error("a key begins to sign that has no mark, or nobody is told that it shall")
	}
	r.signing("one knows, and has told", 1, 1, 1)
	if !r.hears(r.replicas[2]) {
		t.Error("there is more to come")
	}
	r.signing("one knows, and nobody spoke against it", 1, 1, 2)
	b := r.browser()
	b.signIn()
	r.everywhere(b.sessionCookie(), http.StatusOK)
	r.meet()
	r.signing("all know", 2, 2, 2)
	old := r.replicas[0].announced()
	old.Keys = old.Keys[1:]
	if err := r.hearsOf(r.replicas[0], old); err != nil {
		t.Fatal(err)
	}
	r.signing("one comes with the old key alone", 1, 2, 2)
	r.everywhere(b.sessionCookie(), http.StatusOK)

	// With nothing in common the key that signed goes on, and it is told. When the store cannot be told, too.
	if err := r.hearsOf(r.replicas[0], replica{}); !errors.Is(err, session.ErrNoCommonKey) {
		t.Errorf("nothing in common: %v", err)
	}
	r.signing("nothing in common", 1, 2, 2)
	r.advance(time.Minute)
	r.store.refuse("replace")
	if err := r.hearsOf(r.replicas[0]); !errors.Is(err, errStoreDown) {
		t.Errorf("the store is down: %v", err)
	}
	r.signing("the store is down", 1, 2, 2)
	r.store.refuse()
	r.meet()
	r.signing("the store is back", 2, 2, 2)
}

// TestSignerStays: the key that signs cannot leave, though the store has no mark of it or an old one.
func TestSignerStays(t *testing.T) {
	r := newRig(t, 1, nil)
	s := r.replicas[0]
	absolute := s.sites.Load().main.config.Session.AbsoluteTimeout
	refused := func(when string) {
		t.Helper()
		now := r.now()
		err := s.ReplaceSecrets(t.Context(), s.withKeys(3))
		needed, _ := errors.AsType[*KeyNeededError](err)
		if needed == nil || !needed.Signs || needed.Key != 1 || needed.Until.Before(now.Add(absolute)) {
			t.Errorf("%s: %v", when, err)
		}
	}
	if r.marked(1) {
		t.Fatal("there is a mark")
	}
	refused("without a mark")
	r.meet()
	refused("just marked")
	r.advance(time.Minute)
	refused("marked a minute ago")
	r.signing("afterwards", 1)
}

// TestFormatToWrite: until a replica knows of the others it writes what the release before reads, and from then on what all read. A later
// one is announced first.
func TestFormatToWrite(t *testing.T) {
	r := newRig(t, 1, nil)
	s := r.replicas[0]
	for _, tt := range []struct {
		others []int // the latest format that each of them reads
		want   byte
	}{
		{nil, session.RecordFormat},
		{[]int{session.RecordFormat, session.RecordFormat + 1}, session.RecordFormat},
		{[]int{session.RecordFormat, session.OldestRecordFormat}, session.OldestRecordFormat},
		{[]int{0}, session.OldestRecordFormat},
	} {
		before := s.formatToWrite()
		var others []replica
		for _, reads := range tt.others {
			other := s.announced()
			other.Reads = reads
			others = append(others, other)
		}
		settled, err := s.agree(t.Context(), others)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.formatToWrite(); got != min(before, tt.want) || settled != (tt.want <= before) || s.formatToAnnounce() != tt.want {
			t.Errorf("%v: at first %d, announced %d, settled %t", tt.others, got, s.formatToAnnounce(), settled)
		}
		if _, err := s.agree(t.Context(), others); err != nil {
			t.Fatal(err)
		}
		if got := s.sites.Load().main.sessions.Format(); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.others, got, tt.want)
		}
	}
}
