package redisstore

import (
	"context"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
	"authsvc/session/storetest"
)

var scaleSessions = flag.Int("sessions", 5_000, "how many sessions TestScale stores")

// scale is three replicas that store sessions of a realistic size, and what they must count.
type scale struct {
	t        *testing.T
	server   *storetest.Server
	replicas []*Store
	total    int
	users    int // four of five sessions are a user's first, the fifth is somebody's second
	details  []byte
	identity []byte
	tokens   []byte
	ends     []atomic.Int64 // Unix ms by session; 0 when it was deleted
}

func (s *scale) id(n int) (id session.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)*0x9e3779b97f4a7c15) // spread as hashes are
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

func (s *scale) user(n int) session.IndexName {
	return session.IndexName{Kind: session.KindUser, Hash: s.id(n%s.users + 1<<40)}
}

// each runs f for every session, by 16 writers that are spread over the replicas, and returns how long it took.
func (s *scale) each(f func(store *Store, n int) error) time.Duration {
	const writers = 16
	start := time.Now()
	var running sync.WaitGroup
	for writer := range writers {
		running.Go(func() {
			for n := writer; n < s.total; n += writers {
				if err := f(s.replicas[n%len(s.replicas)], n); err != nil {
					s.t.Errorf("session %d: %v", n, err)
					return
				}
			}
		})
	}
	running.Wait()
	return time.Since(start)
}

// expires picks the sessions that end while the test runs: so few that those of the second that passes, which are counted to its end, do not matter.
func expires(n int) bool { return n%30 == 3 }

func (s *scale) create(store *Store, n int) error {
	life := time.Duration(20+rand.IntN(13)) * time.Minute
	if expires(n) {
		life = 2*time.Second + rand.N(6*time.Second)
	}
	now := store.Now()
	r := session.Record{ID: s.id(n), Version: 1, Site: "main", Expires: now.Add(12 * time.Hour).Truncate(time.Millisecond), Details: s.details, Identity: s.identity, Tokens: s.tokens, TTL: life}
	if err := store.Note(s.t.Context(), []session.IndexName{s.user(n)}, session.IndexEntry{ID: r.ID, Expires: r.Expires}); err != nil {
		return err
	}
	if err := store.Create(s.t.Context(), r); err != nil {
		return err
	}
	store.Seen(s.user(n), life)
	s.ends[n].Store(now.Add(life).UnixMilli())
	return nil
}

// use touches every third session and ends every seventh.
func (s *scale) use(store *Store, n int) error {
	switch ends := s.ends[n].Load(); {
	case ends < store.Now().Add(10*time.Second).UnixMilli():
	case n%7 == 0:
		s.ends[n].Store(0)
		if err := store.Delete(s.t.Context(), s.id(n)); err != nil {
			return err
		}
		return store.Forget(s.t.Context(), s.user(n), s.id(n))
	case n%3 == 0:
		s.ends[n].Store(store.Now().Add(33 * time.Minute).UnixMilli())
		store.Seen(s.user(n), 33*time.Minute)
		return store.Touch(s.t.Context(), s.id(n), 33*time.Minute)
	}
	return nil
}

// truth looks at every key, as nothing in the service ever does.
func (s *scale) truth() (t session.Totals) {
	client, ctx := s.server.Client(), s.t.Context()
	prefix := s.replicas[0].prefix
	keys := client.Scan(ctx, 0, prefix+":*", 1000).Iterator()
	pipe := client.Pipeline()
	var sizes []*redis.IntCmd
	collect := func() {
		if len(sizes) == 0 {
			return
		}
		if _, err := pipe.Exec(ctx); err != nil {
			s.t.Fatal(err)
		}
		for _, size := range sizes {
			t.Bytes += size.Val()
		}
		sizes = sizes[:0]
	}
	for keys.Next(ctx) {
		key := keys.Val()
		if strings.HasPrefix(key, prefix+":session:") {
			t.Sessions++
		} else if !strings.HasPrefix(key, prefix+":tokens:") {
			continue
		}
		if sizes = append(sizes, pipe.StrLen(ctx, key)); len(sizes) == 5000 {
			collect()
		}
	}
	collect()
	if err := keys.Err(); err != nil {
		s.t.Fatal(err)
	}
	users, now := map[int]bool{}, s.replicas[0].Now().UnixMilli()
	for n := range s.ends {
		if s.ends[n].Load() > now {
			users[n%s.users] = true
		}
	}
	t.Users = int64(len(users))
	return t
}

// compare looks at all keys between two counts, since sessions may end meanwhile: what there is lies between them. It prints the figures.
func (s *scale) compare(when string) {
	s.t.Helper()
	s.settle()
	start := time.Now()
	before := totals(s.t, s.replicas[0])
	took := time.Since(start)
	truth := s.truth()
	after := totals(s.t, s.replicas[1])
	off := func(name string, before, after, truth int64) {
		s.t.Helper()
		percent := 100 * float64(max(truth-before, after-truth, 0)) / float64(truth)
		s.t.Logf("%-24s %-8s counted %10d, there are %10d, counted %10d: %.4f %% off", when, name, before, truth, after, percent)
		if percent > 1 {
			s.t.Errorf("%s: %s are more than a hundredth off", when, name)
		}
	}
	off("sessions", before.Sessions, after.Sessions, truth.Sessions)
	off("users", before.Users, after.Users, truth.Users)
	off("bytes", before.Bytes, after.Bytes, truth.Bytes)
	s.t.Logf("%-24s a count takes %v", when, took.Round(10*time.Microsecond))
}

// settle waits until every replica has sent what it gathered, as each does once a second.
func (s *scale) settle() {
	s.t.Helper()
	storetest.WaitFor(s.t, "the counts to be sent", func() error {
		for _, store := range s.replicas {
			if err := store.flush(s.t.Context()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Counts are right for very many sessions that several replicas store, use, end and let expire. With -args -sessions 1000000 it takes some minutes
// and 3 GB of memory.
func TestScale(t *testing.T) {
	s := &scale{t: t, server: storetest.StartRedis(t), total: *scaleSessions, details: make([]byte, 110), identity: make([]byte, 270), tokens: make([]byte, 670)}
	s.users, s.ends = s.total*4/5, make([]atomic.Int64, s.total)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for range 3 {
		store := open(t, Options{URL: s.server.URL})
		running.Go(func() { store.Run(ctx) })
		s.replicas = append(s.replicas, store)
	}
	empty := s.server.Info("used_memory")

	took := s.each(s.create)
	t.Logf("%d sessions of %d users stored in %v, %.0f a second", s.total, s.users, took.Round(time.Millisecond), float64(s.total)/took.Seconds())
	s.compare("while some expire")
	storetest.WaitFor(t, "the short lives to end", func() error {
		for n := range s.ends {
			if expires(n) && s.ends[n].Load() > s.replicas[0].Now().Add(-time.Second).UnixMilli() {
				return context.DeadlineExceeded
			}
		}
		return nil
	})
	s.compare("when some have expired")
	lived := totals(t, s.replicas[0]).Sessions
	t.Logf("Redis holds %d bytes a session, in all", (s.server.Info("used_memory")-empty)/lived)
	t.Logf("used and ended in %v", s.each(s.use).Round(time.Millisecond))
	s.compare("when some have been ended")
	start := time.Now()
	s.server.Do("FLUSHALL", "ASYNC") // as FLUSHALL, without the minute that it takes to free so much
	if got := totals(t, s.replicas[2]); got != (session.Totals{}) {
		t.Errorf("%+v are counted in an empty store", got)
	}
	t.Logf("an emptied Redis counts as empty after %v", time.Since(start).Round(time.Millisecond))
}
