package redisstore

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"authsvc/session"
	"authsvc/session/storetest"
)

// A machine that runs all tests with the race detector at once can be slower than the default of 100 ms where nothing is
// wrong. What the bound is worth under faults is tested with the default (fault_test.go).
const patient = 5 * time.Second

// open opens a store of its own in the Redis at url.
func open(t testing.TB, o Options) *Store {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = patient
	}
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// instance gives a store what the suites need, by a client behind its back.
func instance(s *Store, admin redis.UniversalClient, advance func(t *testing.T, d time.Duration)) storetest.Instance {
	key := func(id session.ID, part session.Part) string {
		if part == session.PartTokens {
			return s.recordKeys(id)[1]
		}
		return s.recordKeys(id)[0]
	}
	check := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return storetest.Instance{
		Store: s, Now: s.Now, Advance: advance,
		Put: func(t *testing.T, id session.ID, part session.Part, value []byte, ttl time.Duration) {
			check(t, admin.Set(t.Context(), key(id, part), value, ttl).Err())
		},
		PutOther: func(t *testing.T, id session.ID, part session.Part, ttl time.Duration) {
			k := key(id, part)
			check(t, admin.Del(t.Context(), k).Err())
			check(t, admin.RPush(t.Context(), k, "a", "list").Err())
			check(t, admin.PExpire(t.Context(), k, ttl).Err())
		},
		PutOtherList: func(t *testing.T, name session.IndexName, ttl time.Duration) {
			keys, err := s.indexKeys(name)
			check(t, err)
			for _, k := range keys {
				check(t, admin.Set(t.Context(), k, "text", ttl).Err())
			}
		},
		PutOtherRoster: func(t *testing.T, ttl time.Duration) {
			check(t, admin.Set(t.Context(), s.rosterKeys()[0], "text", ttl).Err())
		},
		Persist: func(t *testing.T, id session.ID) {
			for _, k := range s.recordKeys(id) {
				check(t, admin.Persist(t.Context(), k).Err())
			}
		},
	}
}

// ownKeys leaves those of lives that belong to the store.
func ownKeys(s *Store, lives map[string]time.Duration, err error) (map[string]time.Duration, error) {
	for key := range lives {
		if !strings.HasPrefix(key, s.prefix+":") {
			delete(lives, key)
		}
	}
	return lives, err
}

// real is the harness of a server that is started once; each store has its own prefix.
func real(server *storetest.Server, o Options) storetest.Harness {
	return storetest.Harness{
		Life: 500 * time.Millisecond, Bound: 100 * time.Millisecond,
		New: func(t *testing.T) storetest.Instance {
			o := o
			o.Prefix = "t" + rand.Text()
			s := open(t, o)
			in := instance(s, server.Client(), func(t *testing.T, d time.Duration) { passes(t, server.Client(), d) })
			in.Twin = func(t *testing.T) storetest.Store { return open(t, o) }
			in.Lives = func(ctx context.Context) (map[string]time.Duration, error) {
				lives, err := server.Lives(ctx)
				return ownKeys(s, lives, err)
			}
			return in
		},
	}
}

// passes waits until a server's clock has moved on by d.
func passes(t *testing.T, client redis.Cmdable, d time.Duration) {
	t.Helper()
	start, err := client.Time(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	storetest.WaitFor(t, "the server's clock", func() error {
		now, err := client.Time(t.Context()).Result()
		if err == nil && now.Sub(start) < d {
			return context.DeadlineExceeded
		}
		return err
	})
}

func TestContractRedis(t *testing.T) {
	server := storetest.StartRedis(t)
	h := real(server, Options{URL: server.URL})
	storetest.RunConcurrent(t, h)
	storetest.Run(t, h)
	storetest.RunLister(t, h)
}

func TestContractUnixSocket(t *testing.T) {
	server := storetest.StartRedis(t)
	storetest.Run(t, real(server, Options{URL: "unix://" + server.Socket}))
}

// The rights that doc.go names are enough, on a server that asks for a password.
func TestContractNarrowRights(t *testing.T) {
	server := storetest.StartRedis(t, "--requirepass", "admin's own")
	server.Do(aclRule("authsvc", "pass word@:/?#", "t*:*", rights(t))...)
	url := "redis://authsvc:pass%20word%40%3A%2F%3F%23@" + server.Addr
	h := real(server, Options{URL: url})
	storetest.RunConcurrent(t, h)
	storetest.Run(t, h)

	server.Do(aclRule("authsvc", "pass word@:/?#", "t*:*", append(rights(t), "+scan"))...)
	storetest.RunLister(t, h)
}

func TestContractCluster(t *testing.T) {
	c := storetest.StartCluster(t)
	h := clustered(c, Options{URL: c.URL})
	storetest.RunConcurrent(t, h)
	storetest.Run(t, h)
	storetest.RunLister(t, h)
}

// clustered is the harness of a Cluster that is started once; each store has its own prefix.
func clustered(c *storetest.Cluster, o Options) storetest.Harness {
	return storetest.Harness{
		Life: 500 * time.Millisecond, Bound: 100 * time.Millisecond,
		New: func(t *testing.T) storetest.Instance {
			o := o
			o.Prefix = "t" + rand.Text()
			s := open(t, o)
			client := c.Nodes[0].Client()
			in := instance(s, c.Client(), func(t *testing.T, d time.Duration) { passes(t, client, d) })
			in.Twin = func(t *testing.T) storetest.Store { return open(t, o) }
			in.Lives = func(ctx context.Context) (map[string]time.Duration, error) {
				lives, err := c.Lives(ctx)
				return ownKeys(s, lives, err)
			}
			return in
		},
	}
}

func TestContractMiniredis(t *testing.T) {
	storetest.RunConcurrent(t, mini)
	storetest.Run(t, mini)
}

// mini is the harness of miniredis, where each store has a server and a time of its own.
var mini = storetest.Harness{
	Life: time.Hour, Bound: 100 * time.Millisecond,
	New: func(t *testing.T) storetest.Instance {
		server := miniredis.RunT(t)
		s := open(t, Options{URL: "redis://" + server.Addr()})
		now := time.Now()
		server.SetTime(now)
		if err := s.measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		admin := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2, DisableIdentity: true})
		t.Cleanup(func() { admin.Close() })
		in := instance(s, admin, func(t *testing.T, d time.Duration) {
			now = now.Add(d)
			server.SetTime(now)
			server.FastForward(d)
			if err := s.measure(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
		in.Twin = func(t *testing.T) storetest.Store { return open(t, Options{URL: "redis://" + server.Addr()}) }
		in.Lives = func(context.Context) (map[string]time.Duration, error) {
			lives := map[string]time.Duration{}
			for _, key := range server.Keys() {
				if lives[key] = server.TTL(key); lives[key] == 0 && server.Exists(key) {
					lives[key] = -1
				}
			}
			return lives, nil
		}
		return in
	},
}
