// Package memstore keeps sessions in the memory of one process: for tests, and for a service that runs as a single replica and
// may lose all sessions when it ends.
package memstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"authsvc/session"
)

// Store keeps records, slots, lists of sessions and the roster in memory. It is safe for concurrent use.
type Store struct {
	now func() time.Time

	mu      sync.Mutex
	records map[session.ID]record
	slots   map[session.SlotName]slot
	lists   map[session.IndexName]list
	roster  map[string]slot
	// sweepAt is the number of records, slots and lists at which those that expired are looked for.
	sweepAt int
	// observers are told of changes while mu is held.
	observers map[*session.Observer]struct{}
}

// record holds the two stored values as every store has them.
type record struct {
	identity, tokens []byte
	expires          time.Time
}

type slot struct {
	value   []byte
	expires time.Time
}

var (
	_ session.Store   = (*Store)(nil)
	_ session.Slots   = (*Store)(nil)
	_ session.Index   = (*Store)(nil)
	_ session.Watcher = (*Store)(nil)
	_ session.Counter = (*Store)(nil)
	_ session.Roster  = (*Store)(nil)
)

// New makes an empty store with the clock now; nil means time.Now.
func New(now func() time.Time) *Store {
	if now == nil {
		now = time.Now
	}
	return &Store{
		now: now, records: map[session.ID]record{}, slots: map[session.SlotName]slot{},
		lists: map[session.IndexName]list{}, roster: map[string]slot{}, sweepAt: minSweep, observers: map[*session.Observer]struct{}{},
	}
}

// Now returns the time by which records expire.
func (s *Store) Now() time.Time { return s.now() }

// Ping returns nil: the store is always there.
func (s *Store) Ping(context.Context) error { return nil }

// begin locks the store for one operation and returns its time. It fails when the caller's time is up; being canceled is no
// reason not to do something that takes no time.
func (s *Store) begin(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
		return time.Time{}, err
	}
	s.mu.Lock()
	return s.now(), nil
}

// Load implements session.Store.
func (s *Store) Load(ctx context.Context, id session.ID) (session.Record, error) {
	return s.load(ctx, id, false)
}

// LoadWithoutTTL implements session.Store.
func (s *Store) LoadWithoutTTL(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := s.load(ctx, id, false)
	r.TTL = 0
	return r, err
}

// LoadWithTokens implements session.Store.
func (s *Store) LoadWithTokens(ctx context.Context, id session.ID) (session.Record, error) {
	return s.load(ctx, id, true)
}

func (s *Store) load(ctx context.Context, id session.ID, withTokens bool) (session.Record, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return session.Record{}, err
	}
	defer s.mu.Unlock()
	held, found := s.record(id, now)
	if !found {
		return session.Record{}, session.ErrNotFound
	}
	var tokens []byte
	if withTokens {
		tokens = bytes.Clone(held.tokens)
	}
	r, err := session.DecodeRecord(id, bytes.Clone(held.identity), tokens)
	if errors.Is(err, session.ErrForeign) {
		err = fmt.Errorf("%w: another session's record is stored there", session.ErrCorrupt)
	}
	if err != nil {
		return session.Record{}, err
	}
	r.TTL = held.expires.Sub(now)
	return r, nil
}

// record returns a record that has not expired.
func (s *Store) record(id session.ID, now time.Time) (record, bool) {
	held, found := s.records[id]
	if found && !now.Before(held.expires) {
		s.drop(id)
		return record{}, false
	}
	return held, found
}

// Create implements session.Store.
func (s *Store) Create(ctx context.Context, r session.Record) error {
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if _, found := s.record(r.ID, now); found {
		return session.ErrExists
	}
	s.keep(r, now, now.Add(r.TTL))
	return nil
}

// keep stores a record, unless its life is over already.
func (s *Store) keep(r session.Record, now, expires time.Time) {
	if !now.Before(expires) {
		s.drop(r.ID)
		return
	}
	held := record{identity: r.Encode(session.PartIdentity), expires: expires}
	if len(r.Tokens) > 0 {
		held.tokens = r.Encode(session.PartTokens)
	}
	s.records[r.ID] = held
	s.tell(r.ID)
	s.sweep(now)
}

// Swap implements session.Store.
func (s *Store) Swap(ctx context.Context, r session.Record) error {
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	held, found := s.record(r.ID, now)
	if !found {
		return session.ErrNotFound
	}
	if !session.Replaceable(held.identity, r.Version-1) {
		return session.ErrVersion
	}
	expires := later(held.expires, now.Add(r.TTL))
	if expires.After(r.Expires) {
		expires = r.Expires
	}
	s.keep(r, now, expires)
	if !now.Before(expires) {
		return session.ErrNotFound
	}
	return nil
}

// Touch implements session.Store.
func (s *Store) Touch(ctx context.Context, id session.ID, ttl time.Duration) error {
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	held, found := s.record(id, now)
	if !found {
		return session.ErrNotFound
	}
	held.expires = later(held.expires, now.Add(ttl))
	s.records[id] = held
	s.tell(id)
	return nil
}

// Delete implements session.Store.
func (s *Store) Delete(ctx context.Context, id session.ID) error {
	if _, err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	s.drop(id)
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const minSweep = 1024

// sweep removes what has expired, each time that twice as much is held as after the last time: the memory
// stays within twice of what lives, and a write costs the same however much that is, on average.
func (s *Store) sweep(now time.Time) {
	if s.held() < s.sweepAt {
		return
	}
	for id, held := range s.records {
		if !now.Before(held.expires) {
			s.drop(id)
		}
	}
	for name, held := range s.slots {
		if !now.Before(held.expires) {
			delete(s.slots, name)
		}
	}
	for name, held := range s.lists {
		s.prune(name, held, now)
	}
	s.sweepAt = max(minSweep, 2*s.held())
}

func (s *Store) held() int { return len(s.records) + len(s.slots) + len(s.lists) }
