package session_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
	"authsvc/session/memstore"
)

const cacheTTL = 5 * time.Second

// caching is a replica with a cache.
type caching struct {
	*session.Manager
	t     *testing.T
	store *answering
	asked map[string]int // results that the cache reported
}

// answering is a store that counts loads, fails, and can do something between an answer and its arrival.
type answering struct {
	*memstore.Store
	loads atomic.Int64
	fail  atomic.Pointer[error]
	late  atomic.Pointer[func()]
}

func (a *answering) Load(ctx context.Context, id session.ID) (session.Record, error) {
	a.loads.Add(1)
	if err := a.fail.Load(); err != nil {
		return session.Record{}, *err
	}
	r, err := a.Store.Load(ctx, id)
	if late := a.late.Swap(nil); late != nil {
		(*late)()
	}
	return r, err
}

func (a *answering) LoadWithoutTTL(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := a.Load(ctx, id)
	r.TTL = 0
	return r, err
}

func (a *answering) failing(err error) { a.fail.Store(&err) }
func (a *answering) mend()             { a.fail.Store(nil) }

func newCaching(t *testing.T, store *memstore.Store, o session.CacheOptions) *caching {
	c := &caching{t: t, store: &answering{Store: store}, asked: map[string]int{}}
	if o.Bytes == 0 {
		o.Bytes = 1 << 20
	}
	o.Report = func(result string) { c.asked[result]++ }
	c.Manager = &session.Manager{
		Store: c.store, Slots: store, Index: store, Endings: &session.Endings{Store: c.store}, Keyring: newRing(t, 1), Site: "main",
		IdleTimeout: idle, AbsoluteTimeout: absolute, Cache: session.NewCache(o),
	}
	return c
}

func (c *caching) begin() session.Token {
	c.t.Helper()
	token, _, err := c.Begin(c.t.Context(), jane, session.Tokens{AccessToken: "access", RefreshToken: "refresh", IDToken: "id", Expiry: time.Now().Add(time.Hour)})
	if err != nil {
		c.t.Fatal(err)
	}
	return token
}

// recalls fails the test unless the session passes, and the store was asked as often.
func (c *caching) recalls(token session.Token, loads int64) {
	c.t.Helper()
	before := c.store.loads.Load()
	r, err := c.Recall(c.t.Context(), token, false)
	if err != nil || r.Open().Subject != jane.Subject || r.Stale {
		c.t.Errorf("got %+v, error %v", r, err)
	}
	if asked := c.store.loads.Load() - before; asked != loads {
		c.t.Errorf("the store was asked %d times, not %d", asked, loads)
	}
}

func (c *caching) refuses(token session.Token, want error) {
	c.t.Helper()
	if r, err := c.Recall(c.t.Context(), token, false); !errors.Is(err, want) {
		c.t.Errorf("got %+v (stale: %t), error %v; want %v", r, r.Stale, err, want)
	}
}

func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: cacheTTL})
		token, other := c.begin(), c.begin()

		// Until somebody tells of changes nothing is kept.
		c.recalls(token, 1)
		c.recalls(token, 1)
		c.Cache.Armed()
		c.recalls(token, 1)
		c.recalls(token, 0)
		c.recalls(other, 1)
		c.recalls(other, 0)

		c.Cache.Changed(token.ID())
		c.recalls(token, 1)
		c.recalls(token, 0)
		c.recalls(other, 0)

		time.Sleep(cacheTTL - time.Millisecond)
		c.recalls(other, 0)
		time.Sleep(time.Millisecond)
		c.recalls(other, 1) // however quiet it was

		c.recalls(other, 0)
		c.Cache.Lost(time.Now())
		c.recalls(other, 1)
		c.recalls(other, 1)
		c.Cache.Armed()
		c.recalls(other, 1) // what was there before is not used again
		c.recalls(other, 0)

		want := map[string]int{session.CacheBypass: 4, session.CacheMiss: 5, session.CacheHit: 7}
		if !maps.Equal(c.asked, want) {
			t.Errorf("reported %v, want %v", c.asked, want)
		}
	})
}

// What this replica writes itself it does not take from its cache afterwards, though nobody tells it.
func TestCacheForgetsOwnWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: time.Hour})
		c.Cache.Armed()
		token := c.begin()
		c.recalls(token, 1)
		s, tokens, err := c.LoadWithTokens(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		tokens.AccessToken = "new"
		if _, err = c.Rotate(t.Context(), token, s, tokens); err != nil {
			t.Fatal(err)
		}
		c.recalls(token, 1)
		c.recalls(token, 0)

		time.Sleep(idle / 5)
		r, err := c.Recall(t.Context(), token, false)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Touch(t.Context(), *r.Open()); err != nil {
			t.Fatal(err)
		}
		c.recalls(token, 1)
		c.recalls(token, 0)

		if err := c.End(t.Context(), token.ID()); err != nil {
			t.Fatal(err)
		}
		c.refuses(token, session.ErrNotFound)

		// An end that the store cannot confirm counts here all the same.
		token = c.begin()
		c.recalls(token, 1)
		c.Store = refusingDelete{c.store}
		c.End(t.Context(), token.ID())
		c.refuses(token, session.ErrNotFound)
		time.Sleep(time.Second) // until it is deleted after all
	})
}

type refusingDelete struct{ session.Store }

func (refusingDelete) Delete(context.Context, session.ID) error { return errCut }

// The answer to a load is on its way when the record changes: it is used once, and not kept.
func TestCacheReadThenInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, o := range []session.CacheOptions{{TTL: time.Hour}, {TTL: time.Hour, Stale: time.Hour}} {
			c := newCaching(t, memstore.New(nil), o)
			for name, happens := range map[string]func(session.ID){
				"changed":        func(id session.ID) { c.Cache.Changed(id) },
				"lost":           func(session.ID) { c.Cache.Lost(time.Now()) },
				"lost and armed": func(session.ID) { c.Cache.Lost(time.Now()); c.Cache.Armed() },
			} {
				c.Cache.Armed()
				token := c.begin()
				late := func() { happens(token.ID()) }
				c.store.late.Store(&late)
				c.recalls(token, 1)
				c.store.failing(errCut)
				c.refuses(token, errCut)
				c.store.mend()
				if t.Failed() {
					t.Fatalf("when it was %s, with %+v", name, o.Stale)
				}
			}
		}
	})
}

// An entry never outlives the session, whoever forgets to say so.
func TestCacheEndsWithTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: 24 * time.Hour, Stale: 24 * time.Hour})
		c.Cache.Armed()
		token := c.begin()
		c.recalls(token, 1)
		time.Sleep(idle + idle/10 - time.Second)
		c.recalls(token, 0)
		time.Sleep(time.Second)
		c.store.failing(errCut)
		c.refuses(token, errCut)
	})
}

func TestCacheTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: time.Hour})
		c.Cache.Armed()
		token := c.begin()
		c.recalls(token, 1) // without its tokens
		for range 2 {
			r, err := c.Recall(t.Context(), token, true)
			if err != nil || r.Tokens.AccessToken != "access" || r.Tokens.Expiry.IsZero() {
				t.Errorf("tokens %v %v, error %v", r.Tokens.AccessToken, r.Tokens.Expiry, err)
			}
		}
		if c.asked[session.CacheHit] != 1 {
			t.Errorf("reported %v", c.asked)
		}
		c.recalls(token, 0) // an entry with tokens serves both
		r, _ := c.Recall(t.Context(), token, true)
		if r.Tokens.RefreshToken != "" || r.Tokens.IDToken != "" {
			t.Error("the cache keeps tokens that no header carries")
		}
	})
}

// Another site shares the cache and gets nothing from it.
func TestCacheSites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: time.Hour, Stale: time.Hour})
		c.Cache.Armed()
		token := c.begin()
		c.recalls(token, 1)
		other := *c.Manager
		other.Site = "other"
		if _, err := other.Recall(t.Context(), token, false); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
}

func TestCacheStale(t *testing.T) {
	const stale = time.Minute
	start := func(t *testing.T) (*caching, session.Token) {
		c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: cacheTTL, Stale: stale})
		c.Cache.Armed()
		token := c.begin()
		c.recalls(token, 1)
		return c, token
	}
	passes := func(t *testing.T, c *caching, token session.Token) {
		t.Helper()
		if r, err := c.Recall(t.Context(), token, false); err != nil || !r.Stale || r.Open().Subject != jane.Subject {
			t.Errorf("got %+v (stale: %t), error %v", r, r.Stale, err)
		}
	}
	for name, test := range map[string]func(t *testing.T, c *caching, token session.Token){
		"while the store cannot tell, and not longer": func(t *testing.T, c *caching, token session.Token) {
			time.Sleep(2 * time.Second)
			c.store.failing(errCut)
			c.recalls(token, 0)
			c.Cache.Lost(time.Now().Add(-time.Second))
			passes(t, c, token)
			time.Sleep(stale - time.Second - time.Millisecond)
			passes(t, c, token)
			time.Sleep(time.Millisecond)
			c.refuses(token, errCut)
		},
		"as sure as the time to live allows, though nothing was told": func(t *testing.T, c *caching, token session.Token) {
			time.Sleep(cacheTTL)
			c.store.failing(errCut)
			passes(t, c, token)
			time.Sleep(stale - time.Millisecond)
			passes(t, c, token)
			time.Sleep(time.Millisecond)
			c.refuses(token, errCut)
		},
		"never after a not-found that a refresh met": func(t *testing.T, c *caching, token session.Token) {
			c.Cache.Lost(time.Now())
			c.store.Store.Delete(t.Context(), token.ID())
			if _, _, err := c.LoadWithTokens(t.Context(), token); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("error %v", err)
			}
			c.store.failing(errCut)
			c.refuses(token, errCut)
		},
		"the store first": func(t *testing.T, c *caching, token session.Token) {
			c.Cache.Lost(time.Now())
			c.recalls(token, 1)
			c.Store.Delete(t.Context(), token.ID())
			c.refuses(token, session.ErrNotFound)
			c.store.failing(errCut)
			c.refuses(token, errCut) // never after a not-found
		},
		"as sure as the last load": func(t *testing.T, c *caching, token session.Token) {
			c.Cache.Lost(time.Now())
			time.Sleep(stale / 2)
			c.recalls(token, 1)
			time.Sleep(stale * 3 / 4)
			c.store.failing(errCut)
			passes(t, c, token)
			time.Sleep(stale / 4)
			c.refuses(token, errCut)
		},
		"never after a local end": func(t *testing.T, c *caching, token session.Token) {
			c.store.failing(errCut)
			c.Cache.Lost(time.Now())
			passes(t, c, token)
			manager := *c.Manager
			manager.Store = refusingDelete{c.store}
			if manager.End(t.Context(), token.ID()) == nil {
				t.Error("the end was confirmed; the test proves nothing")
			}
			c.refuses(token, session.ErrNotFound)
			time.Sleep(time.Second) // until it is deleted after all
		},
		"never after a change that was told": func(t *testing.T, c *caching, token session.Token) {
			c.Cache.Changed(token.ID())
			c.store.failing(errCut)
			c.refuses(token, errCut)
		},
		"nothing from before the channel came back": func(t *testing.T, c *caching, token session.Token) {
			c.Cache.Lost(time.Now())
			c.Cache.Armed()
			c.store.failing(errCut)
			c.refuses(token, errCut)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, token := start(t)
				test(t, c, token)
			})
		})
	}
}

// Without the setting nobody passes on what cannot be checked.
func TestCacheNotStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: cacheTTL})
		c.Cache.Armed()
		token := c.begin()
		c.recalls(token, 1)
		c.store.failing(errCut)
		c.recalls(token, 0) // nobody knows of the trouble yet
		c.Cache.Lost(time.Now())
		c.refuses(token, errCut)
	})
}

// The cache holds as many bytes as it may, and no more.
func TestCacheBound(t *testing.T) {
	const bound = 1 << 20
	c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: time.Hour, Bytes: bound})
	c.Cache.Armed()
	big := jane
	big.Claims = map[string]any{"text": strings.Repeat("x", 10_000), "groups": []any{strings.Repeat("y", 5_000)}}
	for range 500 {
		token, _, err := c.Begin(t.Context(), big, session.Tokens{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Recall(t.Context(), token, false); err != nil {
			t.Fatal(err)
		}
	}
	if held := c.Cache.Held(); held > bound || held < bound/2 {
		t.Errorf("it holds %d bytes", held)
	}
}

// Many ask while others change and end the sessions, and the channel comes and goes: nobody gets a version older than one that was told,
// nor a session whose end was told. It is a test for the race detector, too.
func TestCacheConcurrent(t *testing.T) {
	c := newCaching(t, memstore.New(nil), session.CacheOptions{TTL: time.Hour, Bytes: 1 << 20})
	manager := *c.Manager
	manager.Cache = session.NewCache(session.CacheOptions{TTL: time.Hour, Bytes: 1 << 20})
	manager.Cache.Armed()
	writer := *c.Manager
	writer.Cache = nil
	ctx, done := context.WithCancel(t.Context())
	var channel, readers sync.WaitGroup
	channel.Go(func() {
		for ctx.Err() == nil {
			manager.Cache.Lost(time.Now())
			manager.Cache.Armed()
		}
	})
	for i := range 20 {
		s := jane
		s.Subject = fmt.Sprint("user ", i)
		subject := s.Subject
		token, s, err := writer.Begin(t.Context(), s, session.Tokens{})
		if err != nil {
			t.Fatal(err)
		}
		var told atomic.Uint64
		told.Store(s.Version)
		ended := make(chan struct{})
		readers.Go(func() {
			for over := false; !over; {
				select {
				case <-ended:
					over = true
				default:
				}
				least := told.Load()
				r, err := manager.Recall(ctx, token, false)
				if err == nil && (over || r.Open().Version < least || r.Open().Subject != subject) {
					t.Errorf("version %d of %s; it was told of %d (ended: %t)", r.Open().Version, subject, least, over)
					return
				}
			}
		})
		for range 200 {
			if s, err = writer.Rotate(ctx, token, s, session.Tokens{}); err != nil {
				t.Fatal(err)
			}
			manager.Cache.Changed(s.ID)
			told.Store(s.Version)
		}
		if err := writer.End(ctx, s.ID); err != nil {
			t.Fatal(err)
		}
		manager.Cache.Changed(s.ID)
		close(ended)
	}
	readers.Wait()
	done()
	channel.Wait()
}
