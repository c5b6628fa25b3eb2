package redisstore

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// bound is the default of Options.Timeout. Tests allow ten times as much, and more where the machine is busy: what they must find is a wait that has no bound.
const bound = 100 * time.Millisecond

// faulty opens a store with the default timeout.
func faulty(t *testing.T, url string) *Store {
	t.Helper()
	return open(t, Options{URL: url, Timeout: bound})
}

// settled opens a store as faulty does and waits until it has answered.
func settled(t *testing.T, url string) *Store {
	t.Helper()
	s := faulty(t, url)
	healthy(t, s)
	return s
}

// healthy waits until the store answers.
func healthy(t *testing.T, s *Store) {
	t.Helper()
	storetest.WaitFor(t, "the store to answer", func() error { return s.Ping(t.Context()) })
}

func record(n int) session.Record {
	r := session.Record{
		Version: 1, Site: "main", Expires: time.Now().Add(time.Hour).Truncate(time.Millisecond), TTL: time.Hour,
		Identity: bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 300), Tokens: bytes.Repeat([]byte{byte(n >> 8), byte(n)}, 2000),
	}
	r.ID[0], r.ID[1], r.ID[31] = byte(n), byte(n>>8), 7
	return r
}

// stored creates n records.
func stored(t *testing.T, s *Store, n int) []session.Record {
	t.Helper()
	records := []session.Record{}
	for i := range n {
		r := record(i)
		storetest.WaitFor(t, "a record to be stored", func() error { return s.Create(t.Context(), r) })
		records = append(records, r)
	}
	return records
}

// intact checks that all records are there, each under its own name.
func intact(t *testing.T, s *Store, records []session.Record) {
	t.Helper()
	for _, r := range records {
		var got session.Record
		storetest.WaitFor(t, "a record to be read", func() (err error) {
			got, err = s.LoadWithTokens(t.Context(), r.ID)
			return err
		})
		if !bytes.Equal(got.Identity, r.Identity) || !bytes.Equal(got.Tokens, r.Tokens) {
			t.Errorf("the record of %s is not the one that was stored", r.ID)
		}
	}
}

// crowd lets many callers load at once, each several times, checks every answer, and that each came in time.
func crowd(t *testing.T, s *Store, callers, times int, records []session.Record, check func(r session.Record, got session.Record, err error)) {
	t.Helper()
	var mu sync.Mutex
	var slowest time.Duration
	late := lateness()
	var running sync.WaitGroup
	for caller := range callers {
		running.Go(func() {
			for i := range times {
				r := records[(caller+i)%len(records)]
				start := time.Now()
				got, err := s.Load(t.Context(), r.ID)
				took := time.Since(start)
				check(r, got, err)
				mu.Lock()
				slowest = max(slowest, took)
				mu.Unlock()
			}
		})
	}
	running.Wait()
	if late := late(); slowest > 10*(bound+late) {
		t.Errorf("an answer took %v, the bound is %v, and the machine is late by %v", slowest, bound, late)
	}
}

// lateness measures until its result is called how late this process is run, at worst, when something is due: what a busy machine takes is no fault
// of a store's.
func lateness() (worst func() time.Duration) {
	const pace = 5 * time.Millisecond
	stop, result := make(chan struct{}), make(chan time.Duration)
	go func() {
		var most time.Duration
		for due := time.Now().Add(pace); ; due = time.Now().Add(pace) {
			select {
			case <-stop:
				result <- most
				return
			case <-time.After(time.Until(due)):
				most = max(most, time.Since(due))
			}
		}
	}()
	return func() time.Duration { close(stop); return <-result }
}

// unanswered is what crowd checks while the store cannot answer.
func unanswered(t *testing.T, cause ...string) func(session.Record, session.Record, error) {
	return func(_ session.Record, _ session.Record, err error) {
		if !storetest.CannotTell(err) {
			t.Errorf("Load: %v, want none of the sentinels", err)
		}
		if c := Cause(err); !strings.Contains(strings.Join(cause, " "), c) {
			t.Errorf("the cause of %q is %s, want one of %v", err, c, cause)
		}
	}
}
