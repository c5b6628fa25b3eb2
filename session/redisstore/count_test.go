package redisstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

func totals(t *testing.T, s *Store) session.Totals {
	t.Helper()
	totals, err := s.Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return totals
}

// What every replica writes is seen by each, a second later without anyone asking and when it ends, and is as much as a look at all
// keys finds.
func TestCountOfReplicas(t *testing.T) {
	server := storetest.StartRedis(t)
	var replicas []*Store
	for range 3 {
		replicas = append(replicas, open(t, Options{URL: server.URL}))
	}
	var running sync.WaitGroup
	for n, s := range replicas {
		running.Go(func() {
			for i := range 400 {
				r := record(n*1000 + i)
				r.TTL = time.Duration(10+rand.IntN(600)) * time.Minute
				other := replicas[rand.IntN(3)]
				user := session.IndexName{Kind: session.KindUser, Hash: [32]byte{byte(i), byte(i >> 8), 7: byte(i)}} // on all three
				for _, err := range []error{s.Create(t.Context(), r), other.Touch(t.Context(), r.ID, 5*time.Hour)} {
					if err != nil {
						t.Error(err)
					}
				}
				if i%4 == 0 {
					if err := other.Delete(t.Context(), r.ID); err != nil {
						t.Error(err)
					}
				} else {
					other.Seen(user, r.TTL)
				}
			}
		})
	}
	running.Wait()
	want := session.Totals{Sessions: 900, Users: 300, Bytes: 900 * int64(len(record(1).Encode('i'))+len(record(1).Encode('t')))}
	replicas[1].Close()
	go replicas[2].Run(t.Context())
	storetest.WaitFor(t, "the counts to arrive", func() error {
		if got := totals(t, replicas[0]); got != want {
			return fmt.Errorf("%+v are counted, want %+v", got, want)
		}
		return nil
	})
	lives, err := server.Lives(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for key, left := range lives {
		if left < 0 {
			t.Errorf("%s has no expiry", key)
		}
	}
}

// Counts that could not be sent, or whose answer was lost, are sent again and added once.
func TestCountLostAnswer(t *testing.T) {
	server := storetest.StartRedis(t)
	p := startProxy(t, server.Addr)
	s := faulty(t, "redis://"+p.Addr)
	healthy(t, s)
	stored(t, s, 5)
	if got := totals(t, s); got.Sessions != 5 {
		t.Fatalf("%d sessions are counted, want 5", got.Sessions)
	}
	for n := range 3 {
		r := record(100 + n)
		storetest.WaitFor(t, "a record to be stored", func() error { return s.Create(t.Context(), r) })
	}
	lose := func(_, size int) (pass int, cut bool) { return 0, true }
	p.answer.Store(&lose)
	if _, err := s.Count(t.Context()); !storetest.CannotTell(err) {
		t.Errorf("Count: %v, want none of the sentinels", err)
	}
	p.answer.Store(nil)
	healthy(t, s)
	if got := totals(t, s); got.Sessions != 8 {
		t.Errorf("%d sessions are counted, want 8", got.Sessions)
	}
	server.Do("CONFIG", "SET", "maxmemory", "1")
	if err := s.Delete(t.Context(), record(0).ID); err != nil {
		t.Fatal(err)
	}
	if got := totals(t, s); got.Sessions != 8 {
		t.Errorf("%d sessions are counted in a full Redis, want the 8 that had arrived", got.Sessions)
	}
	server.Do("CONFIG", "SET", "maxmemory", "0")
	if got := totals(t, s); got.Sessions != 7 {
		t.Errorf("%d sessions are counted, want 7", got.Sessions)
	}
}

// While Redis takes no writes, one can see what it holds; once it takes them again, nothing of what was gathered is missing.
func TestCountWhileOnlyReads(t *testing.T) {
	for name, setting := range map[string]struct{ key, on, off string }{
		"memory":   {"maxmemory", "1", "0"},
		"replicas": {"min-replicas-to-write", "1", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			server := storetest.StartRedis(t)
			s := open(t, Options{URL: server.URL})
			stored(t, s, 3)
			want := totals(t, s)
			s.counts.moved(extent{}, extent{s.Now().Add(time.Hour).UnixMilli(), 10})
			server.Do("CONFIG", "SET", setting.key, setting.on)
			if err := s.flush(t.Context()); Cause(err) != name {
				t.Fatalf("flush: %v, want %s", err, name)
			}
			if got := totals(t, s); got != want {
				t.Errorf("%+v are counted, want %+v", got, want)
			}
			server.Do("CONFIG", "SET", setting.key, setting.off)
			if got := totals(t, s); got.Sessions != want.Sessions+1 || got.Bytes != want.Bytes+10 {
				t.Errorf("%+v are counted later, want one and 10 bytes more than %+v", got, want)
			}
		})
	}
}

// A hash of counts is added up field by field.
func TestSum(t *testing.T) {
	fields := map[string]string{"0": "100", "0b": "1000", "1800": "7", "1800b": "70", "2400": "-2", "2400b": "-20"}
	got, err := sum(fields, func(n, value int64) int64 {
		if n == 0 {
			return 0
		}
		return value
	})
	if want := (tally{5, 50}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, wrong := range []map[string]string{{"x": "1"}, {"1": "x"}, {"": "1"}, {"b": "1"}} {
		if got, err := sum(wrong, func(_, value int64) int64 { return value }); !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("%v: %+v, %v; want ErrCorrupt", wrong, got, err)
		}
	}
}

// A write that was done, and sent again because its answer was lost, counts once.
func TestCountRepeatedWrite(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	lost := &loseOnce{}
	s.client.AddHook(lost)
	stored(t, s, 1) // so that there is a connection
	lost.armed.Store(true)
	r := record(100)
	if err := s.Create(t.Context(), r); err != nil || lost.armed.Load() {
		t.Fatalf("Create: %v", err)
	}
	if got := totals(t, s); got.Sessions != 2 {
		t.Errorf("%d sessions are counted, want 2", got.Sessions)
	}
	lost.armed.Store(true)
	if err := s.Touch(t.Context(), r.ID, 5*time.Hour); err != nil || lost.armed.Load() {
		t.Fatalf("Touch: %v", err)
	}
	if got := totals(t, s); got.Sessions != 2 {
		t.Errorf("%d sessions are counted after a touch, want 2", got.Sessions)
	}
}

// What cannot be added is not taken for added: without the right nobody says that there are no sessions, and with it nothing is lost.
func TestCountWithoutRight(t *testing.T) {
	server := storetest.StartRedis(t)
	s := narrow(t, server, "authsvc:*", append(rights(t), "-hincrby"))
	stored(t, s, 3)
	for range 3 {
		if got, err := s.Count(t.Context()); err == nil {
			t.Errorf("%+v are counted", got)
		}
	}
	server.Do("ACL", "SETUSER", "narrow", "+hincrby")
	if got := totals(t, s); got.Sessions != 3 {
		t.Errorf("%d sessions are counted, want 3", got.Sessions)
	}
}

// What waits while nothing can be sent is no more than the seconds that are to come.
func TestCountForgetsWhatPassed(t *testing.T) {
	server := storetest.StartRedis(t)
	s := narrow(t, server, "authsvc:*", append(rights(t), "-hincrby"))
	stored(t, s, 1)
	for range 2 { // what is being sent, and what waits behind it
		for n := range 10 {
			s.counts.moved(extent{}, extent{s.Now().Add(time.Duration(n-5) * time.Hour).UnixMilli(), 10})
		}
		if err := s.flush(t.Context()); err == nil {
			t.Fatal("the counts were sent without the right")
		}
	}
	for n := range s.counts.pending {
		if n < s.Now().Unix()-60 {
			t.Errorf("second %d waits, which has passed", n)
		}
	}
	if len(s.counts.pending) == 0 {
		t.Error("what is to come was forgotten")
	}
}

// A Redis that was emptied holds nothing at once, and what is stored then counts, whatever happened before.
func TestCountAfterFlushAll(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	records := stored(t, s, 5)
	s.Seen(session.IndexName{Kind: session.KindUser}, time.Hour)
	totals(t, s)
	server.Flush()
	for _, r := range records {
		s.Delete(t.Context(), r.ID)
		s.Touch(t.Context(), r.ID, time.Hour)
	}
	if got := totals(t, s); got != (session.Totals{}) {
		t.Errorf("%+v are counted in an empty store", got)
	}
	stored(t, s, 3)
	if got := totals(t, s); got.Sessions != 3 {
		t.Errorf("%d sessions are counted, want 3", got.Sessions)
	}
}

// People sign out while memory is full, also when Redis has forgotten its scripts.
func TestDeleteOutOfMemoryUnknownScript(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	records := stored(t, s, 2)
	server.Do("CONFIG", "SET", "maxmemory", "1")
	for _, r := range records {
		server.Do("SCRIPT", "FLUSH")
		if err := s.Delete(t.Context(), r.ID); err != nil {
			t.Errorf("Delete: %v", err)
		}
	}
	if lives, err := server.Lives(t.Context()); err != nil || len(lives) != 0 {
		t.Errorf("%v are left, %v", lives, err)
	}
}

// What is gathered in one go is sent in parts, hours that have passed are dropped, and a count that was there before stays.
func TestCountOfManyEnds(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	now := time.Now()
	const many = 20 * maxSeconds
	for n := range int64(many) {
		ends := now.Add(time.Minute + time.Duration(n)*time.Second).UnixMilli()
		s.counts.moved(extent{}, extent{ends, 10})
		s.Seen(session.IndexName{Kind: session.KindUser, Hash: [32]byte{5: byte(n >> 16), 6: byte(n >> 8), 7: byte(n)}}, time.Hour)
	}
	s.counts.moved(extent{}, extent{now.Add(-time.Hour).UnixMilli(), 10})
	server.Do("HSET", s.hoursKey(), "7", "5", "7b", "50")
	server.Do("PEXPIRE", s.hoursKey(), 100*time.Hour.Milliseconds())
	want := session.Totals{Sessions: many, Users: many, Bytes: 10 * many}
	for range 2 {
		if got := totals(t, s); got != want {
			t.Errorf("%+v are counted, want %+v", got, want)
		}
	}
	hours := server.Do("HGETALL", s.hoursKey()).([]any)
	if ends := many / 3600; len(hours) > 4*(ends+2) {
		t.Errorf("the hours are %v", hours)
	}
	lives, err := server.Lives(t.Context())
	if err != nil || lives[s.hoursKey()] < 99*time.Hour {
		t.Errorf("the hours end in %v, %v", lives[s.hoursKey()], err)
	}
}

// A life that was seen is not shortened by one that is seen later.
func TestUsersKeepTheLongestLife(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	stored(t, s, 1)
	jane := session.IndexName{Kind: session.KindUser, Hash: [32]byte{1}}
	for _, life := range []time.Duration{time.Hour, time.Millisecond} {
		s.Seen(jane, life)
		if got := totals(t, s); got.Users != 1 {
			t.Errorf("%d users are counted, want 1", got.Users)
		}
	}
	passes(t, server.Client(), 2*time.Millisecond)
	if got := totals(t, s); got.Users != 1 {
		t.Errorf("%d users are counted later, want 1", got.Users)
	}
}

// While the store takes nothing, what waits is bounded, and later notes win.
func TestUsersWhoWait(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	jane, john := session.IndexName{Kind: session.KindUser, Hash: [32]byte{1}}, session.IndexName{Kind: session.KindUser, Hash: [32]byte{2}}
	stored(t, s, 2)
	s.Seen(jane, time.Hour)
	s.Seen(john, time.Hour)
	server.Do("CONFIG", "SET", "maxmemory", "1")
	if err := s.flush(t.Context()); Cause(err) != "memory" {
		t.Errorf("flush: %v, want that the memory is full", err)
	}
	s.gone(jane)
	server.Do("CONFIG", "SET", "maxmemory", "0")
	if got := totals(t, s); got.Users != 1 {
		t.Errorf("%d users are counted, want 1", got.Users)
	}
	for n := range maxWaiting + 10 {
		s.Seen(session.IndexName{Hash: [32]byte{byte(n), byte(n >> 8), byte(n >> 16)}}, time.Hour)
	}
	if n := len(s.counts.users); n != maxWaiting {
		t.Errorf("%d wait, want %d", n, maxWaiting)
	}
	s.counts.users = nil
}
