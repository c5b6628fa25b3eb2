package redisstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
)

// Options say where the store is.
type Options struct {
	// URL is the store URL: redis://user:pass@host:6379/0, rediss://, unix:///path?db=0, redis+sentinel://h1:26379,h2/master/0,
	// redis+cluster://h1,h2, rediss+sentinel, rediss+cluster; with the query parameters ca_file, cert_file, key_file,
	// server_name (over TLS), sentinel_user, sentinel_password (with sentinels) and db (with unix).
	URL string
	// Password, unless nil, is asked at each new connection and wins over the URL's unless empty.
	Password func() string
	// Prefix is the first part of every key; empty means "authsvc".
	Prefix string
	// Timeout is the most that one operation waits for the store; 0 means 100 ms. Where this process has to wait for a CPU it is put off by as
	// long as that, and at most by half.
	Timeout time.Duration
	// Observe, unless nil, is called after each operation, once for loads that share it, with its name (load, load_tokens, create, swap, touch, delete,
	// claim, replace, read_slot, note, noted, forget, count, tally, tally_users, announce, replicas, leave, scan, lists, masters, ping, time), how long
	// it took, and its error; Cause tells an error from an answer. For Watch it is called, as watch, each time that the push channel was set up or
	// could not be.
	Observe func(op string, took time.Duration, err error)
}

// Store keeps records, slots, lists of sessions and the roster in Redis. It is safe for concurrent use.
type Store struct {
	client      redis.UniversalClient
	dialer      *dialer
	location    location
	credentials func() (user, password string)
	prefix      string
	timeout     time.Duration
	observe     func(op string, took time.Duration, err error)
	counts      *counts
	lanes       lanes

	reached atomic.Bool
	reading atomic.Pointer[reading]   // nil until the store's clock was asked for the first time
	finding atomic.Pointer[finding]   // nil until it was learned how changes are told
	asked   atomic.Pointer[time.Time] // when a write asked that, until it has learned it
}

var (
	_ session.Store   = (*Store)(nil)
	_ session.Slots   = (*Store)(nil)
	_ session.Index   = (*Store)(nil)
	_ session.Watcher = (*Store)(nil)
	_ session.Counter = (*Store)(nil)
	_ session.Roster  = (*Store)(nil)
)

// Open makes a Store. It does not touch the network, so it succeeds while Redis is down; an error is one of the options, says what
// would be right, and holds no password. Close must be called when the Store is no longer used.
func Open(o Options) (*Store, error) {
	loc, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	s := &Store{prefix: o.Prefix, timeout: o.Timeout, observe: o.Observe, counts: newCounts(), lanes: lanes{patience: sharePatience, busy: map[laneName]*lane{}}}
	if s.prefix == "" {
		s.prefix = "authsvc"
	}
	if !validPrefix(s.prefix) {
		return nil, errors.New("store prefix: use 1 to 64 letters, digits and any of . _ : -")
	}
	if s.timeout == 0 {
		s.timeout = 100 * time.Millisecond
	}
	if s.timeout < time.Millisecond {
		return nil, errors.New("store timeout: use a positive duration such as 100ms")
	}
	s.dialer = &dialer{timeout: s.timeout, lines: map[string]*line{}}
	if loc.tls {
		s.dialer.tls = &tlsFiles{caFile: loc.caFile, certFile: loc.certFile, keyFile: loc.keyFile, serverName: loc.serverName}
		if _, err := s.dialer.tls.current(); err != nil {
			return nil, err
		}
	}
	s.location, s.credentials = loc, loc.credentials(o.Password)
	s.client = newClient(loc, s.credentials, s.dialer)
	return s, nil
}

// Close sends what was counted last, if the store answers, and closes all connections. Operations fail from then on.
func (s *Store) Close() error {
	s.flush(context.Background())
	return s.client.Close()
}

// do runs one operation. It is detached from the caller's cancellation, since a connection whose operation is
// given up half-way must be closed: clients that hang up would empty the pool. Its own limit holds, or the
// caller's if that is less.
func (s *Store) do(ctx context.Context, op string, f func(ctx context.Context) error) error {
	start := time.Now()
	limit := session.StoreTime(ctx, s.timeout)
	if d, ok := ctx.Deadline(); ok {
		limit = min(limit, d.Sub(start))
	}
	err := explain(op, s.within(context.WithoutCancel(ctx), limit, f))
	session.SpendStoreTime(ctx, min(time.Since(start), limit))
	switch cause := Cause(err); {
	case cause == "":
		s.reached.Store(true)
	case cause == "foreign":
		// Connections are a reply behind, also the one that was asked again. Which ones cannot be told.
		s.dialer.renew()
	default:
		// A failover may have moved the slot; go-redis would go on asking the old master. It reloads once at a time.
		if cluster, ok := s.client.(*redis.ClusterClient); ok {
			cluster.ReloadState(ctx)
		}
	}
	if s.observe != nil {
		s.observe(op, time.Since(start), err)
	}
	return err
}

// within runs f, which has limit. If that was up before anything was asked, and this process was late to notice, it runs once more, for as long as it was
// late, and at most half of limit: it waited for a CPU then, and who can say of the store that it did not answer? Everything that f does may be
// repeated.
func (s *Store) within(ctx context.Context, limit time.Duration, f func(ctx context.Context) error) error {
	ends := time.Now().Add(limit)
	err := s.try(ctx, ends, f)
	_, asked := errors.AsType[*silentError](err) // and was waited for as long as this process was late; see readLate
	if late := min(time.Since(ends), limit/2); late > punctual && isTimeout(err) && !asked {
		err = s.try(ctx, time.Now().Add(late), f)
	}
	return err
}

// punctual is by how much a timer may be late on a machine that has nothing else to do.
const punctual = time.Millisecond

// tries is how often an operation is tried that found no connection, or no master, and triesPause the most between two.
const (
	tries      = 2
	triesPause = 10 * time.Millisecond
)

// try runs f until the deadline, and again where that can help.
func (s *Store) try(ctx context.Context, deadline time.Time, f func(ctx context.Context) error) (err error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for n := 1; ; n++ {
		if err = f(ctx); !s.again(err, n) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(triesPause/2 + rand.N(triesPause/2)):
		}
	}
}

// again reports whether an operation that failed for the nth time is worth another try, beyond those of go-redis.
func (s *Store) again(err error, n int) bool {
	_, unconnected := errors.AsType[*dialError](err)
	switch {
	case redis.IsTryAgainError(err):
		// Of the keys of a slot that moves some have moved. The others follow.
		return true
	case redis.IsReadOnlyError(err):
		// The master is one no more. Connections that lie in the pool lead to the same server, and the address may lead to another by now.
		s.dialer.renew()
	case !unconnected:
		return false
	}
	// Another operation may give a connection back, or find that the server has returned.
	return n < tries
}

func absent(err error) error {
	if errors.Is(err, redis.Nil) {
		return session.ErrNotFound
	}
	return err
}

// Create implements session.Store. A record that is stored already, byte for byte, is no error: its seals are random, so it can
// only be one that was sent before.
func (s *Store) Create(ctx context.Context, r session.Record) error {
	return s.do(ctx, "create", func(ctx context.Context) error {
		identity, tokens := encode(r)
		ends, err := createRecord.Run(ctx, s.client, s.recordKeys(r.ID), identity, tokens, r.TTL.Milliseconds()).Int64()
		switch {
		case isWrongType(err) || err == nil && ends < 0:
			return session.ErrExists
		case err == nil:
			s.counts.moved(extent{}, extent{ends, int64(len(identity) + len(tokens))})
		}
		return err
	})
}

// Swap implements session.Store.
func (s *Store) Swap(ctx context.Context, r session.Record) error {
	return s.do(ctx, "swap", func(ctx context.Context) error {
		identity, tokens := encode(r)
		channel, message := s.announcement(ctx, r.ID)
		done, err := told(swapRecord.Run(ctx, s.client, s.recordKeys(r.ID), identity, tokens,
			session.AppendVersion(nil, r.Version-1), r.TTL.Milliseconds(), r.Expires.UnixMilli(), channel, message,
			session.OldestRecordFormat, session.RecordFormat), 4)
		switch {
		case isWrongType(err):
			return session.ErrVersion
		case err != nil:
			return err
		}
		s.counts.moved(extent{done[1], done[2]}, extent{done[3], int64(len(identity) + len(tokens))})
		switch done[0] {
		case 0:
			return session.ErrVersion
		case -1:
			return session.ErrNotFound
		}
		return nil
	})
}

// Touch implements session.Store. A key whose expiry was taken away gets one again.
func (s *Store) Touch(ctx context.Context, id session.ID, ttl time.Duration) error {
	return s.do(ctx, "touch", func(ctx context.Context) error {
		channel, message := s.announcement(ctx, id)
		done, err := told(touchRecord.Run(ctx, s.client, s.recordKeys(id), max(ttl.Milliseconds(), 0), channel, message), 4)
		if err != nil {
			return err
		}
		s.counts.moved(extent{done[1], done[3]}, extent{done[2], done[3]})
		if done[0] == 0 {
			return session.ErrNotFound
		}
		return nil
	})
}

// Delete implements session.Store. Redis takes it when its memory is full, too.
func (s *Store) Delete(ctx context.Context, id session.ID) error {
	return s.do(ctx, "delete", func(ctx context.Context) error {
		channel, message := s.announcement(ctx, id)
		gone, err := told(deleteRecord.Run(ctx, s.client, s.recordKeys(id), channel, message), 2)
		if err == nil {
			s.counts.moved(extent{gone[0], gone[1]}, extent{})
		}
		return err
	})
}

// told returns the numbers that a script told.
func told(reply *redis.Cmd, want int) ([]int64, error) {
	numbers, err := reply.Int64Slice()
	if err == nil && len(numbers) != want {
		err = fmt.Errorf("redis answered with %d values instead of %d", len(numbers), want)
	}
	return numbers, err
}

// encode returns the stored values; a record without tokens has an empty second one.
func encode(r session.Record) (identity, tokens []byte) {
	if len(r.Tokens) > 0 {
		tokens = r.Encode(session.PartTokens)
	}
	return r.Encode(session.PartIdentity), tokens
}

func isWrongType(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && errorCode(reply.Error()) == "WRONGTYPE"
}

// Ping asks Redis for a sign of life.
func (s *Store) Ping(ctx context.Context) error {
	return s.do(ctx, "ping", func(ctx context.Context) error {
		return s.client.Ping(ctx).Err()
	})
}
