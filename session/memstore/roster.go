package memstore

import (
	"bytes"
	"context"
	"time"

	"authsvc/session"
)

// Announce implements session.Roster. Errors besides the contract's: ErrRosterFull.
func (s *Store) Announce(ctx context.Context, name string, value []byte, ttl time.Duration) (map[string][]byte, error) {
	if err := session.CheckRosterEntry(name, value); err != nil {
		return nil, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	delete(s.roster, name)
	for other, held := range s.roster {
		if !now.Before(held.expires) {
			delete(s.roster, other)
		}
	}
	if ttl > 0 {
		if len(s.roster) >= session.MaxReplicas {
			return nil, session.ErrRosterFull
		}
		s.roster[name] = slot{value: bytes.Clone(value), expires: now.Add(ttl)}
	}
	return s.replicas(now), nil
}

// Replicas implements session.Roster.
func (s *Store) Replicas(ctx context.Context) (map[string][]byte, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	return s.replicas(now), nil
}

// replicas returns a copy of the roster as it is now.
func (s *Store) replicas(now time.Time) map[string][]byte {
	replicas := make(map[string][]byte, len(s.roster))
	for name, held := range s.roster {
		if now.Before(held.expires) {
			replicas[name] = bytes.Clone(held.value)
		}
	}
	return replicas
}

// Leave implements session.Roster.
func (s *Store) Leave(ctx context.Context, name string) error {
	if _, err := s.begin(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	delete(s.roster, name)
	return nil
}
