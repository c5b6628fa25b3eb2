package memstore

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// clock is a time that only the test moves.
type clock struct{ ahead atomic.Int64 }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *clock) now() time.Time { return epoch.Add(time.Duration(c.ahead.Load())) }

var harness = storetest.Harness{
	Life: time.Hour, Bound: 100 * time.Millisecond,
	New: func(t *testing.T) storetest.Instance {
		c := &clock{}
		s := New(c.now)
		return storetest.Instance{
			Store: s, Now: s.Now, Lives: s.lives, TellsAll: true,
			Advance: func(_ *testing.T, d time.Duration) { c.ahead.Add(int64(d)) },
			Put: func(_ *testing.T, id session.ID, part session.Part, value []byte, ttl time.Duration) {
				s.mu.Lock()
				defer s.mu.Unlock()
				held := s.records[id]
				held.expires = c.now().Add(ttl)
				switch part {
				case session.PartIdentity:
					held.identity = value
				case session.PartTokens:
					held.tokens = value
				}
				if held.identity == nil {
					return // here the parts of a record cannot come apart
				}
				s.records[id] = held
			},
		}
	},
}

// lives tells what the store holds that has not expired.
func (s *Store) lives(context.Context) (map[string]time.Duration, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lives, now := map[string]time.Duration{}, s.now()
	for id, held := range s.records {
		if now.Before(held.expires) {
			lives["record "+id.String()] = held.expires.Sub(now)
		}
	}
	for name, held := range s.slots {
		if now.Before(held.expires) {
			lives["slot "+name.Kind+" "+session.ID(name.Hash).String()] = held.expires.Sub(now)
		}
	}
	for name, held := range s.lists {
		for _, entry := range held {
			if left := entry.Expires.Sub(now); left > 0 {
				key := "list " + name.Kind + " " + session.ID(name.Hash).String()
				lives[key] = max(lives[key], left)
			}
		}
	}
	for name, held := range s.roster {
		if left := held.expires.Sub(now); left > 0 {
			lives["replica "+name] = left
		}
	}
	return lives, nil
}

func TestContract(t *testing.T)           { storetest.Run(t, harness) }
func TestContractLister(t *testing.T)     { storetest.RunLister(t, harness) }
func TestContractConcurrent(t *testing.T) { storetest.RunConcurrent(t, harness) }

// What expired and is never asked for again must not stay for ever.
func TestExpiredIsRemoved(t *testing.T) {
	c := &clock{}
	s := New(c.now)
	for n := range 20 * minSweep {
		r := session.Record{
			Version: 1, Site: "main", Identity: []byte("sealed"), TTL: time.Minute, Expires: c.now().Add(time.Hour),
			ID: session.ID{byte(n), byte(n >> 8), byte(n >> 16)},
		}
		if err := s.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Claim(t.Context(), session.SlotName{Kind: "slot", Hash: r.ID}, nil, time.Minute); err != nil {
			t.Fatal(err)
		}
		list := session.IndexName{Kind: "user", Hash: r.ID}
		if err := s.Note(t.Context(), []session.IndexName{list}, session.IndexEntry{ID: r.ID, Expires: c.now().Add(time.Minute)}); err != nil {
			t.Fatal(err)
		}
		c.ahead.Add(int64(time.Second)) // so that about 60 of each live at any time
		if held := s.held(); held > minSweep {
			t.Fatalf("%d are held, about 180 of them live", held)
		}
	}
	c.ahead.Add(int64(time.Hour))
	for range s.sweepAt {
		if _, _, err := s.Claim(t.Context(), session.SlotName{Kind: "slot", Hash: session.ID{}}, nil, time.Minute); err != nil {
			t.Fatal(err)
		}
		c.ahead.Add(int64(time.Hour))
	}
	if held := s.held(); held > minSweep {
		t.Errorf("%d are held and none lives", held)
	}
}

// What a caller does with what it gave or got changes nothing in the store.
func TestValuesAreCopies(t *testing.T) {
	s := New(nil)
	r := session.Record{
		ID: session.ID{1}, Version: 1, Site: "main", Identity: []byte("identity"), Tokens: []byte("tokens"),
		TTL: time.Hour, Expires: time.Now().Add(time.Hour),
	}
	if err := s.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	r.Identity[0], r.Tokens[0] = 'X', 'X'
	for range 2 {
		got, err := s.LoadWithTokens(t.Context(), r.ID)
		if err != nil || string(got.Identity) != "identity" || string(got.Tokens) != "tokens" {
			t.Fatalf("%q, %q, %v", got.Identity, got.Tokens, err)
		}
		got.Identity[0], got.Tokens[0] = 'X', 'X'
	}
	name, value := session.SlotName{Kind: "slot"}, []byte("value")
	if _, _, err := s.Claim(t.Context(), name, value, time.Hour); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X'
	for range 2 {
		got, err := s.ReadSlot(t.Context(), name)
		if err != nil || string(got) != "value" {
			t.Fatalf("%q, %v", got, err)
		}
		got[0] = 'X'
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWatch(t *testing.T) { storetest.RunWatch(t, harness) }
