package memstore

import (
	"bytes"
	"context"
	"time"

	"authsvc/session"
)

// Claim implements session.Slots.
func (s *Store) Claim(ctx context.Context, name session.SlotName, value []byte, ttl time.Duration) (holder []byte, claimed bool, err error) {
	if err := session.CheckSlotValue(name, value); err != nil {
		return nil, false, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return nil, false, err
	}
	defer s.mu.Unlock()
	if held, found := s.slot(name, now); found {
		return bytes.Clone(held.value), false, nil
	}
	s.hold(name, value, now, now.Add(ttl))
	return bytes.Clone(value), true, nil
}

// Replace implements session.Slots.
func (s *Store) Replace(ctx context.Context, name session.SlotName, old, value []byte, ttl time.Duration) (replaced bool, err error) {
	if err := session.CheckSlotValue(name, value); err != nil {
		return false, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return false, err
	}
	defer s.mu.Unlock()
	if held, found := s.slot(name, now); !found || !bytes.Equal(held.value, old) {
		return false, nil
	}
	s.hold(name, value, now, now.Add(ttl))
	return true, nil
}

// ReadSlot implements session.Slots.
func (s *Store) ReadSlot(ctx context.Context, name session.SlotName) ([]byte, error) {
	if err := name.Check(); err != nil {
		return nil, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	held, found := s.slot(name, now)
	if !found {
		return nil, session.ErrNotFound
	}
	return bytes.Clone(held.value), nil
}

// slot returns a slot that has not expired.
func (s *Store) slot(name session.SlotName, now time.Time) (slot, bool) {
	held, found := s.slots[name]
	if found && !now.Before(held.expires) {
		delete(s.slots, name)
		return slot{}, false
	}
	return held, found
}

// hold stores a slot, unless its life is over already.
func (s *Store) hold(name session.SlotName, value []byte, now, expires time.Time) {
	if !now.Before(expires) {
		delete(s.slots, name)
		return
	}
	s.slots[name] = slot{value: bytes.Clone(value), expires: expires}
	s.sweep(now)
}
