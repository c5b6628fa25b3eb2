package redisstore

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"authsvc/session"
)

// The push channel is one connection to each master, which are asked for a sign of life each checkInterval; one that was silent for silence after
// its last answer is lost. Pauses between tries to set it up double from the first to the last.
const (
	checkInterval            = 500 * time.Millisecond
	silence                  = 1200 * time.Millisecond
	probeInterval            = 10 * time.Second
	firstPause, longestPause = 10 * time.Millisecond, time.Second
)

// Watch implements session.Watcher. Where the server tracks for this user (CLIENT TRACKING in broadcasting mode), every change is told, whoever made it, expiry,
// eviction and flush as well; else the writes of this and other processes that use this package. The package's description says which rights that takes.
//
// Tracking knows no databases: changes in another database under the same prefix are told, too, and cause nothing worse than a record that is read again.
// A channel ends with what is behind it: behind sentinels a master that was replaced, whether it lives on or not, and any change in the set of a Cluster's masters,
// is a loss. With a single address it is one only if the old server ends the connection or falls silent. Where a name, a virtual address or a proxy sends new connections to
// another server, while the old one lives on and answers, nobody says so: what the new one is told is missed for as long as that lasts. How long a reader trusts what
// it keeps (session.cache_ttl) bounds what comes of it, and nothing else does; whoever replaces a server so must close the old one's connections, by stopping it.
func (s *Store) Watch(ctx context.Context, o session.Observer) {
	tracking, wait := true, firstPause
	for ctx.Err() == nil {
		lived, err := s.watch(ctx, o, tracking)
		if panicked, ok := errors.AsType[*session.PanicError](err); ok {
			panic(panicked) // of a goroutine; our caller's now
		}
		if errors.Is(err, errNoTracking) && tracking {
			tracking = false
			continue
		}
		tracking = true // it is asked for first each time
		if lived > time.Second {
			wait = firstPause
		}
		pause(ctx, wait/2+rand.N(wait/2))
		wait = min(2*wait, longestPause)
	}
}

// watch sets up a channel and keeps it until something of it is lost.
func (s *Store) watch(ctx context.Context, o session.Observer, tracking bool) (lived time.Duration, err error) {
	c := newChannel(ctx, s, o, tracking)
	defer c.end()
	began := time.Now()
	err = c.open()
	if s.observe != nil && !errors.Is(err, errNoTracking) && ctx.Err() == nil {
		s.observe("watch", time.Since(began), explain("watch", err))
	}
	if err != nil {
		return 0, err
	}
	began = time.Now()
	c.keep()
	return time.Since(began), context.Cause(c.ctx)
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
