package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

// told is a store whose answers a test may change on their way.
type told struct {
	*memstore.Store
	change func(r *session.Record)
	lives  atomic.Int64 // how often what is left of a record's life was asked for
}

func (s *told) Load(ctx context.Context, id session.ID) (session.Record, error) {
	s.lives.Add(1)
	r, err := s.Store.Load(ctx, id)
	if err == nil && s.change != nil {
		s.change(&r)
	}
	return r, err
}

func (s *told) LoadWithoutTTL(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := s.Store.LoadWithoutTTL(ctx, id)
	if err == nil && s.change != nil {
		s.change(&r)
	}
	return r, err
}

func (s *told) LoadWithTokens(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := s.Store.LoadWithTokens(ctx, id)
	if err == nil && s.change != nil {
		s.change(&r)
	}
	return r, err
}

// reopening is a replica that asks the store for each verdict, and counts what it opens.
type reopening struct {
	*session.Manager
	t      *testing.T
	store  *told
	opened int
}

func newReopening(t *testing.T, o session.CacheOptions) *reopening {
	r := &reopening{t: t, store: &told{Store: memstore.New(nil)}}
	o.Bytes = 1 << 20
	o.Report = func(string) {}
	r.Manager = &session.Manager{
		Store: r.store, Keyring: newRing(t, 1), Site: "main", IdleTimeout: idle, AbsoluteTimeout: absolute, Cache: session.NewCache(o),
		Derive: func(l session.Loaded) (any, int) { r.opened++; return l.Session.Subject, 100 },
	}
	return r
}

func (r *reopening) begin(s session.Session) session.Token {
	r.t.Helper()
	token, _, err := r.Begin(r.t.Context(), s, session.Tokens{AccessToken: "access of " + s.Subject, Expiry: time.Now().Add(time.Hour)})
	if err != nil {
		r.t.Fatal(err)
	}
	return token
}

// passes fails the test unless the session is told as it was begun, and so many records were opened for that.
func (r *reopening) passes(m *session.Manager, token session.Token, withTokens bool, opened int) *session.Session {
	r.t.Helper()
	time.Sleep(time.Nanosecond) // in a bubble: what is of this moment is too old
	if _, _, remembered := m.Remembered(token.Reveal(), withTokens); remembered {
		r.t.Error("the store would not be asked")
	}
	before := r.opened
	got, err := m.Recall(r.t.Context(), token, withTokens)
	if err != nil {
		r.t.Fatal(err)
	}
	if got.Open().ID != token.ID() || got.Open().Subject != jane.Subject || got.Derived != jane.Subject || got.Stale ||
		withTokens != (got.Tokens.AccessToken == "access of "+jane.Subject) {
		r.t.Errorf("got %+v, derived %v, with tokens %t", got.Open(), got.Derived, withTokens)
	}
	if r.opened-before != opened {
		r.t.Errorf("%d records were opened, not %d", r.opened-before, opened)
	}
	return got.Open()
}

func (r *reopening) refuses(m *session.Manager, token session.Token, want error) {
	r.t.Helper()
	time.Sleep(time.Nanosecond)
	for _, withTokens := range []bool{false, true} {
		if got, err := m.Recall(r.t.Context(), token, withTokens); !errors.Is(err, want) {
			r.t.Errorf("got %+v, error %v; want %v", got.Open(), err, want)
		}
	}
}

// A record that is as it was is not opened again, whether the cache is off, or hears of no change, or its entry is too old. Each time the store is asked.
func TestReopen(t *testing.T) {
	for name, o := range map[string]session.CacheOptions{
		"off": {}, "off, and stale sessions": {Stale: time.Hour}, "nobody tells of changes": {TTL: time.Hour}, "too old": {TTL: time.Nanosecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newReopening(t, o)
				if o.TTL == time.Nanosecond {
					r.Cache.Armed()
				}
				token := r.begin(jane)
				first := r.passes(r.Manager, token, false, 1)
				time.Sleep(time.Minute)
				again := r.passes(r.Manager, token, false, 0)
				if !again.IdleExpires.Equal(first.IdleExpires) {
					t.Errorf("it was to end at %v, and now at %v", first.IdleExpires, again.IdleExpires)
				}
				r.passes(r.Manager, token, true, 1) // more was read
				time.Sleep(time.Minute)
				r.passes(r.Manager, token, true, 0)

				rotated := *r.passes(r.Manager, token, true, 0)
				elsewhere := *r.Manager
				elsewhere.Cache = nil // this replica is not told
				rotated.Claims = map[string]any{"department": "new"}
				if _, err := elsewhere.Rotate(t.Context(), token, rotated, session.Tokens{AccessToken: "access of " + jane.Subject}); err != nil {
					t.Fatal(err)
				}
				if s := r.passes(r.Manager, token, false, 1); s.Claims["department"] != "new" || s.Version != 2 {
					t.Errorf("after a change: %+v", s)
				}
				if err := elsewhere.End(t.Context(), token.ID()); err != nil {
					t.Fatal(err)
				}
				r.refuses(r.Manager, token, session.ErrNotFound)
			})
		})
	}
}

// How long a record lives is asked for when it may have to be prolonged, and not before: what was left of its life is left at least.
func TestReopenTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReopening(t, session.CacheOptions{})
		elsewhere := *r.Manager
		elsewhere.Cache = nil // this replica is not told
		token := r.begin(jane)
		asks := func(want int64) *session.Session {
			t.Helper()
			before := r.store.lives.Load()
			got, err := r.Recall(t.Context(), token, false)
			if err != nil {
				t.Fatal(err)
			}
			if n := r.store.lives.Load() - before; n != want {
				t.Errorf("it was asked for %d times, not %d", n, want)
			}
			return got.Open()
		}
		first := asks(1)
		time.Sleep(idle / 20)
		if err := elsewhere.Store.Touch(t.Context(), token.ID(), idle+idle/10); err != nil {
			t.Fatal(err)
		}
		if again := asks(0); !again.IdleExpires.Equal(first.IdleExpires) {
			t.Errorf("it was to end at %v, and at %v where nobody was told of anything else", first.IdleExpires, again.IdleExpires)
		}
		s, tokens, err := elsewhere.LoadWithTokens(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := elsewhere.Rotate(t.Context(), token, s, tokens); err != nil {
			t.Fatal(err)
		}
		if again := asks(0); again.Version != 2 || !again.IdleExpires.Equal(first.IdleExpires) {
			t.Errorf("after a change it is to end at %v, not %v", again.IdleExpires, first.IdleExpires)
		}
		time.Sleep(idle / 20)
		asks(0) // nothing is to be done yet
		time.Sleep(time.Millisecond)
		second := asks(1)
		if moved := second.IdleExpires.Sub(first.IdleExpires); moved != idle/20 {
			t.Errorf("a touch has moved its end by %v", moved)
		}
		asks(0)
		time.Sleep(idle / 20)
		third := asks(1)
		if time.Until(third.IdleExpires) >= r.IdleTimeout {
			t.Error("it is to be touched now")
		}
		if err := r.Touch(t.Context(), *third); err != nil {
			t.Fatal(err)
		}
		asks(1)
		asks(0)
		time.Sleep(idle + idle/10 - time.Millisecond)
		asks(1)
		time.Sleep(time.Millisecond)
		r.refuses(r.Manager, token, session.ErrNotFound)
	})
}

// Without the cache's time to live nothing passes on a store that cannot tell.
func TestReopenNotStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaching(t, memstore.New(nil), session.CacheOptions{Stale: time.Hour})
		c.Cache.Armed()
		token := c.begin()
		c.recalls(token, 1)
		c.recalls(token, 1)
		c.store.failing(errCut)
		c.refuses(token, errCut)
		c.Cache.Lost(time.Now())
		c.refuses(token, errCut)
		if len(c.asked) > 0 {
			t.Errorf("a cache that is off reported %v", c.asked)
		}
	})
}

// Whatever differs in the answer from what was opened, it is looked at anew, and refused.
func TestReopenChanged(t *testing.T) {
	for name, test := range map[string]struct {
		change func(r *session.Record)
		want   error
	}{
		"version":   {func(r *session.Record) { r.Version++ }, session.ErrCorrupt},
		"format":    {func(r *session.Record) { r.Format++ }, session.ErrCorrupt},
		"expiry":    {func(r *session.Record) { r.Expires = r.Expires.Add(time.Millisecond) }, session.ErrCorrupt},
		"site":      {func(r *session.Record) { r.Site = "other" }, session.ErrNotFound},
		"details":   {func(r *session.Record) { r.Details = r.Details[1:] }, session.ErrCorrupt},
		"key":       {func(r *session.Record) { r.Identity[0] ^= 1 }, session.ErrUnknownKey},
		"nonce":     {func(r *session.Record) { r.Identity[4] ^= 1 }, session.ErrCorrupt},
		"tag":       {func(r *session.Record) { r.Identity[len(r.Identity)-1] ^= 1 }, session.ErrCorrupt},
		"truncated": {func(r *session.Record) { r.Identity = r.Identity[:len(r.Identity)-1] }, session.ErrCorrupt},
		"shifted": {func(r *session.Record) {
			r.Details, r.Identity = append(slices.Clone(r.Details), r.Identity[0]), r.Identity[1:]
		}, session.ErrUnknownKey},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReopening(t, session.CacheOptions{})
			token := r.begin(jane)
			r.passes(r.Manager, token, false, 1)
			r.passes(r.Manager, token, false, 0)
			r.store.change = test.change
			r.refuses(r.Manager, token, test.want)
			r.store.change = nil
			r.Recall(t.Context(), token, false) // it may have been forgotten
			r.passes(r.Manager, token, false, 0)
		})
	}
	t.Run("tokens", func(t *testing.T) {
		r := newReopening(t, session.CacheOptions{})
		token := r.begin(jane)
		for _, change := range []func(r *session.Record){
			func(r *session.Record) { r.Tokens[5] ^= 1 },
			func(r *session.Record) { r.Tokens = r.Tokens[:0] },
		} {
			r.store.change = nil
			r.Recall(t.Context(), token, true)
			r.passes(r.Manager, token, true, 0)
			r.store.change = change
			if got, err := r.Recall(t.Context(), token, true); !errors.Is(err, session.ErrCorrupt) {
				t.Errorf("got %+v, error %v", got.Open(), err)
			}
		}
	})
}

// Whoever can write to the store cannot make one session another's.
func TestReopenSwapped(t *testing.T) {
	r := newReopening(t, session.CacheOptions{})
	john := jane
	john.Subject = "john"
	hers, his := r.begin(jane), r.begin(john)
	r.passes(r.Manager, hers, false, 1)
	if _, err := r.Recall(t.Context(), his, false); err != nil {
		t.Fatal(err)
	}
	answer, err := r.store.LoadWithTokens(t.Context(), his.ID())
	if err != nil {
		t.Fatal(err)
	}
	r.store.change = func(r *session.Record) {
		*r = answer
		r.ID = hers.ID()
	}
	r.refuses(r.Manager, hers, session.ErrCorrupt)
}

// Another site shares the memory and gets nothing from it.
func TestReopenSites(t *testing.T) {
	r := newReopening(t, session.CacheOptions{})
	token := r.begin(jane)
	r.passes(r.Manager, token, false, 1)
	other := *r.Manager
	other.Site = "other"
	r.refuses(&other, token, session.ErrNotFound)
}

// A key ends with its ring what it has sealed, whatever was opened with it before.
func TestReopenKeys(t *testing.T) {
	r := newReopening(t, session.CacheOptions{})
	token := r.begin(jane)
	r.passes(r.Manager, token, false, 1)
	both := *r.Manager
	both.Keyring = newRing(t, 2, 1)
	r.passes(&both, token, false, 1) // what is derived may be another manager's matter
	r.passes(&both, token, false, 0)
	without := *r.Manager
	without.Keyring = newRing(t, 2)
	r.refuses(&without, token, session.ErrUnknownKey)
	r.passes(&both, token, false, 0)
}

// The record's own end counts, whatever the store makes of it.
func TestReopenExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReopening(t, session.CacheOptions{})
		r.AbsoluteTimeout = time.Minute
		token := r.begin(jane)
		r.passes(r.Manager, token, false, 1)
		record, err := r.store.Load(t.Context(), token.ID())
		if err != nil {
			t.Fatal(err)
		}
		r.Store = unchanging{r.store, record}
		time.Sleep(time.Minute - time.Millisecond)
		r.passes(r.Manager, token, false, 0)
		time.Sleep(time.Millisecond)
		if _, err := r.Recall(t.Context(), token, false); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
}

// unchanging is a store that gives the same record for ever.
type unchanging struct {
	session.Store
	record session.Record
}

func (s unchanging) LoadWithoutTTL(context.Context, session.ID) (session.Record, error) {
	return s.record, nil
}

func (s unchanging) Load(context.Context, session.ID) (session.Record, error) { return s.record, nil }

// Two users ask in lock-step, while their records change: nobody is told the other's name, nor gets a version older than one that was acknowledged.
func TestReopenLockStep(t *testing.T) {
	r := newReopening(t, session.CacheOptions{})
	r.Derive = func(l session.Loaded) (any, int) { return l.Session.Subject, 100 }
	writer := *r.Manager
	writer.Cache, writer.Derive = nil, nil
	var users sync.WaitGroup
	for _, subject := range []string{"alice", "bob"} {
		s := jane
		s.Subject = subject
		token := r.begin(s)
		for range 2 {
			users.Go(func() {
				for range 2000 {
					got, err := r.Recall(t.Context(), token, false)
					if err != nil || got.Open().Subject != subject || got.Derived != subject {
						t.Errorf("%s got %+v, %v, error %v", subject, got.Open(), got.Derived, err)
						return
					}
				}
			})
		}
		users.Go(func() {
			for i := range 200 {
				s, tokens, err := writer.LoadWithTokens(t.Context(), token)
				if err != nil {
					t.Error(err)
					return
				}
				s.Claims = map[string]any{"round": fmt.Sprint(i)}
				if s, err = writer.Rotate(t.Context(), token, s, tokens); err != nil {
					t.Error(err)
					return
				}
				if got, err := r.Recall(t.Context(), token, false); err != nil || got.Open().Version != s.Version || got.Open().Claims["round"] != fmt.Sprint(i) {
					t.Errorf("after version %d: %+v, error %v", s.Version, got.Open(), err)
					return
				}
			}
		})
	}
	users.Wait()
}
