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

// reading is what Redis' clock said at a moment of ours. Our moment has a monotonic reading, by which the time since then is
// measured: a step of this host's clock does not move the store's time.
type reading struct{ theirs, ours time.Time }

// Now returns the store's time: what Redis' clock said at the last heartbeat, to half a round trip, and the time that
// has passed since. Before the first one it is this host's clock.
func (s *Store) Now() time.Time {
	last := s.reading.Load()
	if last == nil {
		return time.Now()
	}
	return last.theirs.Add(time.Since(last.ours))
}

// Reached reports whether the store has ever answered.
func (s *Store) Reached() bool { return s.reached.Load() }

// Run keeps measuring the store's clock until the context ends: every 10 seconds, and until it succeeds for the first time
// after 100 ms, 200 ms and so on up to a second. It sends what was counted, each second.
func (s *Store) Run(ctx context.Context) {
	var asked time.Time
	measured, wait := false, firstRetry
	for ctx.Err() == nil {
		if !measured || time.Since(asked) >= heartbeat {
			asked = time.Now()
			measured = s.measure(ctx) == nil || measured
		}
		pause := wait
		if measured {
			s.flush(ctx)
			pause = flushEvery
		} else {
			wait = min(2*wait, lastRetry)
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// measureOnce measures the store's clock if nobody has.
func (s *Store) measureOnce(ctx context.Context) error {
	if s.reading.Load() != nil {
		return nil
	}
	return s.measure(ctx)
}

// ReadClock measures the store's clock once, for programs that end before Run is worth it.
func (s *Store) ReadClock(ctx context.Context) error { return s.measure(ctx) }

// measure takes Redis' time for the one in the middle of the round trip.
func (s *Store) measure(ctx context.Context) error {
	return s.do(ctx, "time", func(ctx context.Context) error {
		asked := time.Now()
		theirs, err := s.client.Time(ctx).Result()
		if err != nil {
			return err
		}
		s.reading.Store(&reading{theirs: theirs, ours: asked.Add(time.Since(asked) / 2)})
		return nil
	})
}
