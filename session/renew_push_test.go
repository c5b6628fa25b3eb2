package session_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"authsvc/session"
)

// telling tells each replica of the changes that any of them makes.
type telling struct {
	session.Store
	caches *[]*session.Cache
	silent *atomic.Bool
}

func (s telling) tell(id session.ID) {
	if s.silent.Load() {
		return
	}
	for _, cache := range *s.caches {
		cache.Changed(id)
	}
}

func (s telling) Swap(ctx context.Context, r session.Record) error {
	err := s.Store.Swap(ctx, r)
	s.tell(r.ID)
	return err
}

func (s telling) Delete(ctx context.Context, id session.ID) error {
	err := s.Store.Delete(ctx, id)
	s.tell(id)
	return err
}

// told gives each replica a cache that is told of changes, until cut is called.
func (c *cluster) told() (cut func()) {
	var caches []*session.Cache
	var silent atomic.Bool
	for _, r := range c.replicas {
		cache := session.NewCache(session.CacheOptions{})
		cache.Armed()
		caches = append(caches, cache)
		r.Manager.Store, r.Manager.Cache = telling{r.link, &caches, &silent}, cache
	}
	return func() {
		silent.Store(true)
		for _, cache := range caches {
			cache.Lost(time.Now())
		}
	}
}

// A replica that waits for another one's result has it as soon as it is written.
func TestWaitsForThePush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.told()
		c.provider.delay = 1234 * time.Millisecond
		token := c.begin("jane")
		time.Sleep(untilExpired)
		go c.ask(t.Context(), c.replicas[0], token)
		synctest.Wait()
		v := c.ask(t.Context(), c.replicas[1], token)
		c.pass([]verdict{v}, c.provider.delay, "access/jane/1")
		c.reported(c.replicas, session.RefreshOK, session.RefreshShared)
	})
}

// When nobody tells any more, it looks by itself.
func TestWaitsThoughThePushIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		cut := c.told()
		c.provider.delay = 700 * time.Millisecond
		token := c.begin("jane")
		time.Sleep(untilExpired)
		go c.ask(t.Context(), c.replicas[0], token)
		synctest.Wait()
		go func() {
			time.Sleep(300 * time.Millisecond)
			cut()
		}()
		c.pass([]verdict{c.ask(t.Context(), c.replicas[1], token)}, 900*time.Millisecond, "access/jane/1")
	})
}

// The other replica fails and leaves a pause: nobody waits for that, push or none.
func TestPauseIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c.told()
		c.provider.set(func(p *strictProvider) { p.delay, p.fail = 300*time.Millisecond, errUnavailable })
		token := c.begin("jane")
		time.Sleep(untilExpired)
		go c.ask(t.Context(), c.replicas[0], token)
		synctest.Wait()
		c.pass([]verdict{c.ask(t.Context(), c.replicas[1], token)}, 1200*time.Millisecond, "")
		c.pass([]verdict{c.ask(t.Context(), c.replicas[1], token)}, 0, "")
	})
}

// fullStore is a store that takes nothing new: Redis at its maxmemory still deletes.
type fullStore struct{ session.Store }

func (fullStore) Swap(context.Context, session.Record) error { return errors.New("OOM") }

// The new master may be full, so that a rotation cannot be done again: what was ended after it is ended all the same.
func TestJournalOfAFullStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := c.replicas[0].Manager
		m.Slots, m.Index = c.store, c.store
		m.Journal = &session.Journal{Store: fullStore{c.store}}
		rotated, ended := c.begin("rotated"), c.begin("ended")
		former := map[session.Token]session.Record{}
		for _, token := range []session.Token{rotated, ended} {
			r, err := c.store.LoadWithTokens(t.Context(), token.ID())
			if err != nil {
				t.Fatal(err)
			}
			former[token] = r
		}
		s, _ := c.stored(rotated)
		if _, err := m.Rotate(t.Context(), rotated, s, session.Tokens{AccessToken: "second"}); err != nil {
			t.Fatal(err)
		}
		if err := m.End(t.Context(), ended.ID()); err != nil {
			t.Fatal(err)
		}
		for token, r := range former {
			c.store.Delete(t.Context(), token.ID())
			if err := c.store.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		m.Journal.Replay()
		synctest.Wait()
		c.gone(ended)
		time.Sleep(20 * time.Second) // the replay's last round
	})
}

// brokenStore deletes nothing of one session, as a Cluster of which a part is down, and takes a while to say so.
type brokenStore struct {
	session.Store
	id    session.ID
	takes time.Duration
	asked *atomic.Int32
}

func (s brokenStore) Delete(ctx context.Context, id session.ID) error {
	s.asked.Add(1)
	if id == s.id {
		time.Sleep(s.takes)
		return errors.New("CLUSTERDOWN")
	}
	return s.Store.Delete(ctx, id)
}

// What a part of the store that is down holds is no reason to leave the rest undone, unless waiting for it takes too long.
func TestJournalOfAStoreInParts(t *testing.T) {
	for takes, want := range map[time.Duration]int32{100 * time.Millisecond: 2, 10 * time.Second: 1} {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 1)
			m := c.replicas[0].Manager
			down, up := c.begin("down"), c.begin("up")
			r, err := c.store.Load(t.Context(), up.ID())
			if err != nil {
				t.Fatal(err)
			}
			var asked atomic.Int32
			m.Journal = &session.Journal{Store: brokenStore{c.store, down.ID(), takes, &asked}}
			for _, token := range []session.Token{down, up} {
				if err := m.End(t.Context(), token.ID()); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.store.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			m.Journal.Replay()
			time.Sleep(takes) // the first round, since the second begins a second later
			synctest.Wait()
			if n := asked.Load(); n != want {
				t.Errorf("where it takes %v, %d were done again, want %d", takes, n, want)
			}
			if want == 2 {
				c.gone(up)
			}
			time.Sleep(time.Minute) // the replay's last round
		})
	}
}

// A failover takes back what was acknowledged a moment before: the journal does it again, and nothing else.
func TestJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		m := c.replicas[0].Manager
		m.Slots, m.Index = c.store, c.store
		m.Journal = &session.Journal{Store: c.store}
		m.Cache = session.NewCache(session.CacheOptions{Back: m.Journal.Replay})
		m.Cache.Armed()
		rotated, further, ended, old := c.begin("rotated"), c.begin("further"), c.begin("ended"), c.begin("old")
		tokens := map[session.Token]session.Record{}
		for _, token := range []session.Token{rotated, further, ended, old} {
			r, err := c.store.LoadWithTokens(t.Context(), token.ID())
			if err != nil {
				t.Fatal(err)
			}
			tokens[token] = r
		}
		rotate := func(token session.Token, access string) {
			s, _ := c.stored(token)
			if _, err := m.Rotate(t.Context(), token, s, session.Tokens{AccessToken: access, Expiry: time.Now().Add(time.Hour)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.End(t.Context(), old.ID()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		rotate(rotated, "second")
		rotate(further, "second")
		if err := m.End(t.Context(), ended.ID()); err != nil {
			t.Fatal(err)
		}
		// The failover: the replica that became master had not seen these. Of one session another replica has written since.
		for _, token := range []session.Token{rotated, ended, old} {
			r := tokens[token]
			c.store.Delete(t.Context(), r.ID)
			if err := c.store.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		s, _ := c.stored(further)
		if _, err := c.manager.Rotate(t.Context(), further, s, session.Tokens{AccessToken: "third"}); err != nil {
			t.Fatal(err)
		}
		// A login that is under way and knows the user: the mark of a logout that came meanwhile is lost as well.
		began := time.Now()
		time.Sleep(time.Second)
		group := session.Group{Kind: session.KindUser, Issuer: "https://other.example.com", Value: "joan"}
		if _, err := m.EndGroup(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		marked := session.SlotName{Kind: "endeduser", Hash: m.Keyring.Names(group.Kind, m.Site, group.Issuer, group.Value)[0]}
		value, err := c.store.ReadSlot(t.Context(), marked)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.store.Replace(t.Context(), marked, value, nil, 0); err != nil {
			t.Fatal(err)
		}
		m.Cache.Lost(time.Now())
		m.Cache.Armed()
		synctest.Wait()

		if ended, err := m.Ended(t.Context(), session.Session{Issuer: group.Issuer, Subject: group.Value}, began); err != nil || !ended {
			t.Errorf("the mark is lost: %t, %v", ended, err)
		}
		if _, tokens := c.stored(rotated); tokens.AccessToken != "second" {
			t.Errorf("the rotation is lost: %q", tokens.AccessToken)
		}
		if _, tokens := c.stored(further); tokens.AccessToken != "third" {
			t.Errorf("a later rotation was undone: %q", tokens.AccessToken)
		}
		c.gone(ended)
		if _, err := c.manager.Load(t.Context(), old); err != nil {
			t.Errorf("what was ended long before is remembered: %v", err)
		}

		// The data connections follow the new master later than the one that tells.
		c.store.Create(t.Context(), tokens[ended])
		time.Sleep(20 * time.Second)
		c.gone(ended)
		c.store.Create(t.Context(), tokens[ended])
		time.Sleep(time.Minute)
		if _, err := c.manager.Load(t.Context(), ended); errors.Is(err, session.ErrNotFound) {
			t.Error("it is replayed for ever")
		}
	})
}

// At the very first sign of the channel nothing has been missed.
func TestJournalAtStart(t *testing.T) {
	back := 0
	cache := session.NewCache(session.CacheOptions{Back: func() { back++ }})
	cache.Armed()
	if back != 0 {
		t.Error("called at start")
	}
	cache.Lost(time.Now())
	cache.Armed()
	if back != 1 {
		t.Errorf("called %d times", back)
	}
}
