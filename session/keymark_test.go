package session_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// marks are the keys that have one, and how long it counts from now on.
func marks(t *testing.T, m *session.Manager) map[session.Fingerprint]time.Duration {
	t.Helper()
	list, err := m.KeyMarks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := map[session.Fingerprint]time.Duration{}
	for _, mark := range list {
		left[mark.Key] = time.Until(mark.Until)
	}
	return left
}

func sign(t *testing.T, m *session.Manager) {
	t.Helper()
	if err := m.MarkSigner(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A key is needed as long as a session lives that it may have signed, whoever asks and whoever signed.
func TestKeyMarks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(nil)
		older, _ := listing(t, store, 1, 2)
		newer, _ := listing(t, store, 2)
		keys := older.Keyring.Fingerprints()
		if got := marks(t, newer); len(got) != 0 {
			t.Errorf("nobody has signed, and there are marks: %v", got)
		}
		sign(t, older)
		// While it signs, each session that it signs ends before the mark does.
		for range 10 {
			time.Sleep(session.MarkInterval)
			if left := marks(t, newer)[keys[0]]; left < absolute {
				t.Fatalf("before the next mark the last one counts %v", left)
			}
			sign(t, older)
			if left := marks(t, newer)[keys[0]]; left < absolute+2*session.MarkInterval {
				t.Fatalf("after a mark it counts %v, which leaves no time for the next", left)
			}
			list, err := newer.KeyMarks(t.Context())
			if err != nil || len(list) != 1 || !newer.Signs(list[0]) {
				t.Fatalf("while it signs: %v, %v", list, err)
			}
		}
		newer.Keyring = older.Keyring.SignWith(1)
		sign(t, newer)
		before := marks(t, older)[keys[0]]
		time.Sleep(session.MarkInterval)
		sign(t, newer)
		if got := marks(t, older); len(got) != 2 || got[keys[0]] != before-session.MarkInterval || got[keys[1]] < absolute {
			t.Errorf("after another key began to sign: %v", got)
		}
		time.Sleep(absolute / 2)
		sign(t, newer)
		list, err := newer.KeyMarks(t.Context())
		if err != nil || len(list) != 2 || !newer.Signs(list[0]) || newer.Signs(list[1]) {
			t.Errorf("later: %v, %v", list, err)
		}
		time.Sleep(marks(t, older)[keys[0]])
		if got := marks(t, older); len(got) != 1 || got[keys[1]] <= 0 {
			t.Errorf("when nothing of the old key can live: %v", got)
		}
		time.Sleep(absolute + time.Minute)
		if got := marks(t, older); len(got) != 0 {
			t.Errorf("when nobody has signed for long: %v", got)
		}
	})
}

// A replica whose sessions are short never takes away the time that another has given.
func TestKeyMarksAreNeverShortened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(nil)
		long, _ := listing(t, store, 1)
		short, _ := listing(t, store, 1)
		short.AbsoluteTimeout = absolute / 4
		sign(t, long)
		given := marks(t, long)[long.Keyring.Fingerprints()[0]]
		time.Sleep(session.MarkInterval)
		sign(t, short)
		if got := marks(t, long)[long.Keyring.Fingerprints()[0]]; got != given-session.MarkInterval {
			t.Errorf("it counts %v, want %v", got, given-session.MarkInterval)
		}
	})
}

// Replicas that mark many keys at the same moment lose none, and sites do not see each other's.
func TestKeyMarksTogether(t *testing.T) {
	store := memstore.New(nil)
	var running sync.WaitGroup
	for fill := range byte(60) {
		running.Go(func() {
			m, _ := listing(t, store, fill+1)
			if err := m.MarkSigner(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	m, _ := listing(t, store, 7, 100)
	list, err := m.KeyMarks(t.Context())
	if err != nil || len(list) != 60 {
		t.Fatalf("%d marks, %v", len(list), err)
	}
	lacked := session.LackedKeys(list, m.Keyring.Fingerprints())
	if len(lacked) != 59 || slices.ContainsFunc(lacked, func(mark session.KeyMark) bool { return mark.Key == m.Keyring.Fingerprints()[0] }) {
		t.Errorf("a ring of one of them and another lacks %d", len(lacked))
	}
	m.Site = "other"
	if got := marks(t, m); len(got) != 0 {
		t.Errorf("another site has %d marks", len(got))
	}
	// More than fit: those that are needed longest stay, and nothing fails.
	m.Site = "main"
	for fill := range byte(120) {
		m.Keyring = newRing(t, fill+100)
		m.AbsoluteTimeout += time.Minute
		sign(t, m)
	}
	if got := marks(t, m); len(got) < 100 || got[m.Keyring.Fingerprints()[0]] == 0 {
		t.Errorf("%d marks are left of many", len(got))
	}
}

// Nobody can tell while the store does not answer, and garbage stops nobody.
func TestKeyMarksOfATroubledStore(t *testing.T) {
	m, l := listing(t, memstore.New(nil), 1)
	for _, operation := range []string{"readslot", "claim"} {
		l.before(failing(operation))
		if err := m.MarkSigner(t.Context()); !errors.Is(err, errCut) {
			t.Errorf("%s fails: %v", operation, err)
		}
	}
	l.before(failing("readslot"))
	if list, err := m.KeyMarks(t.Context()); !errors.Is(err, errCut) || list != nil {
		t.Errorf("%v, %v; want an error", list, err)
	}
	l.mend()
	sign(t, m)
	spy := &slotSpy{Slots: l}
	m.Slots = spy
	if _, err := m.KeyMarks(t.Context()); err != nil {
		t.Fatal(err)
	}
	slot := spy.read
	held, err := l.ReadSlot(t.Context(), slot)
	if err != nil {
		t.Fatal(err)
	}
	for _, garbage := range []string{"", "short", string(held[:len(held)-1])} {
		if replaced, err := l.Replace(t.Context(), slot, held, []byte(garbage), time.Hour); err != nil || !replaced {
			t.Fatal(replaced, err)
		}
		if got := marks(t, m); len(got) != 0 {
			t.Errorf("%q: %v", garbage, got)
		}
		sign(t, m)
		if got := marks(t, m); len(got) != 1 {
			t.Errorf("after %q no mark can be left: %v", garbage, got)
		}
		if held, err = l.ReadSlot(t.Context(), slot); err != nil {
			t.Fatal(err)
		}
	}
}

// slotSpy tells which slot was read last.
type slotSpy struct {
	session.Slots
	read session.SlotName
}

func (s *slotSpy) ReadSlot(ctx context.Context, name session.SlotName) ([]byte, error) {
	s.read = name
	return s.Slots.ReadSlot(ctx, name)
}
