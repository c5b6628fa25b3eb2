package memstore

import (
	"context"
	"time"

	"authsvc/session"
)

// Count implements session.Counter, exactly. Unlike a shared store it looks at each record.
func (s *Store) Count(ctx context.Context) (session.Totals, error) {
	now, err := s.begin(ctx)
	if err != nil {
		return session.Totals{}, err
	}
	defer s.mu.Unlock()
	var totals session.Totals
	for _, held := range s.records {
		if now.Before(held.expires) {
			totals.Sessions++
			totals.Bytes += int64(len(held.identity) + len(held.tokens))
		}
	}
	for name, held := range s.lists {
		if name.Kind == session.KindUser && s.anyLives(held, now) {
			totals.Users++
		}
	}
	return totals, nil
}

// anyLives reports whether the record of an entry is there.
func (s *Store) anyLives(entries list, now time.Time) bool {
	for id := range entries {
		if held, found := s.records[id]; found && now.Before(held.expires) {
			return true
		}
	}
	return false
}

// Seen implements session.Counter: there is nothing to note, since Count looks at each record.
func (s *Store) Seen(session.IndexName, time.Duration) {}
