package session_test

import (
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// TestEndings ends a session while the store does not answer: it is refused here at once, and everywhere as soon as the store
// is back.
func TestEndings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(nil)
		here, link := listing(t, store, 1)
		elsewhere, _ := listing(t, store, 1)
		token, s := begin(t, here)
		other, _ := begin(t, here)
		link.before(failing("delete"))
		if err := here.End(t.Context(), s.ID); !errors.Is(err, errCut) {
			t.Fatalf("error %v", err)
		}
		for range 3 {
			if lives(t, here, token) {
				t.Error("it lives here")
			}
			if _, _, err := here.LoadWithTokens(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("with tokens: %v", err)
			}
			if !lives(t, here, other) {
				t.Error("another session ended")
			}
			if !lives(t, elsewhere, token) {
				t.Error("nobody has deleted it yet; the test proves nothing")
			}
			time.Sleep(time.Minute)
		}
		link.mend()
		time.Sleep(time.Second)
		if lives(t, elsewhere, token) {
			t.Error("the store is back, and it lives elsewhere")
		}
		if lives(t, here, token) {
			t.Error("it lives here again")
		}
		if here.Endings.Has(s.ID) {
			t.Error("it is remembered though it is gone")
		}

		// And once more, after the work had come to its end.
		link.before(failing("delete"))
		here.End(t.Context(), other.ID())
		if lives(t, here, other) {
			t.Error("the second one lives here")
		}
		link.mend()
		time.Sleep(time.Second)
		if lives(t, elsewhere, other) {
			t.Error("the second one lives elsewhere")
		}
	})
}

// TestEndingsGiveUp forgets a session that nobody could delete when it has ended by itself. The bubble would not end while
// anything goes on.
func TestEndingsGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, link := listing(t, memstore.New(nil), 1)
		token, s := begin(t, m)
		var asked atomic.Int64
		link.before(func(operation string) error {
			if operation == "delete" {
				asked.Add(1)
			}
			return failing("delete")(operation)
		})
		m.End(t.Context(), s.ID)
		time.Sleep(absolute - time.Second)
		if !m.Endings.Has(s.ID) {
			t.Error("it is forgotten too early")
		}
		time.Sleep(2 * time.Second)
		if m.Endings.Has(s.ID) || lives(t, m, token) {
			t.Error("it is remembered for ever, or lives")
		}
		before := asked.Load()
		time.Sleep(time.Hour)
		if n := asked.Load(); n != before {
			t.Errorf("the store was asked %d times more", n-before)
		}
	})
}

// TestEndingsAreBounded ends more sessions than are remembered: each caller hears that nothing is confirmed.
func TestEndingsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, link := listing(t, memstore.New(nil), 1)
		link.before(failing("delete"))
		remembered := 0
		for i := range 10_100 {
			id := session.ID{byte(i), byte(i >> 8), 1}
			if err := m.End(t.Context(), id); err == nil {
				t.Fatal("an end that was not confirmed")
			}
			if m.Endings.Has(id) {
				remembered++
			}
		}
		if remembered != 10_000 {
			t.Errorf("%d are remembered", remembered)
		}
		link.mend()
		time.Sleep(time.Second)
		if m.Endings.Has(session.ID{0, 0, 1}) {
			t.Error("the store is back, and the work is not done")
		}
	})
}

// TestNoEndings does without.
func TestNoEndings(t *testing.T) {
	m, link := listing(t, memstore.New(nil), 1)
	m.Endings = nil
	token, s := begin(t, m)
	link.before(failing("delete"))
	if err := m.End(t.Context(), s.ID); !errors.Is(err, errCut) {
		t.Errorf("error %v", err)
	}
	if !lives(t, m, token) {
		t.Error("nothing remembers it; it has to live")
	}
}
