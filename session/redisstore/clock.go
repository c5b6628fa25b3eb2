package redisstore

import (
	"context"
	"time"
)

const (
	heartbeat = 10 * time.Second
	// Until the store was reached for the first time it is asked more often: a replica waits for it to become ready.
	firstRetry, lastRetry = 100 * time.Millisecond, time.Second
)

// Now returns the store's time: this host's clock and what Redis' clock was ahead of it at the last heartbeat, to
// half a round trip. Before the first one it is this host's clock.
func (s *Store) Now() time.Time {
	return time.Now().Add(time.Duration(s.offset.Load()))
}

// Reached reports whether the store has ever answered.
func (s *Store) Reached() bool { return s.reached.Load() }

// Run keeps measuring the store's clock until the context ends: every 10 seconds, and until it succeeds for the first time
// after 100 ms, 200 ms and so on up to a second.
func (s *Store) Run(ctx context.Context) {
	measured, wait := false, firstRetry
	for ctx.Err() == nil {
		if s.measure(ctx) == nil {
			measured = true
		}
		pause := wait
		if measured {
			pause = heartbeat
		} else {
			wait = min(2*wait, lastRetry)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// measure takes Redis' time for the one in the middle of the round trip.
func (s *Store) measure(ctx context.Context) error {
	return s.do(ctx, "time", func(ctx context.Context) error {
		asked := time.Now()
		theirs, err := s.client.Time(ctx).Result()
		if err != nil {
			return err
		}
		s.offset.Store(int64(theirs.Sub(asked.Add(time.Since(asked) / 2).Round(0))))
		return nil
	})
}
