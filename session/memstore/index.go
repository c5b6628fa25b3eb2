package memstore

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"authsvc/session"
)

// list holds the entries of one name.
type list map[session.ID]session.IndexEntry

// Note implements session.Index. A list is of kind "user" or "sid".
func (s *Store) Note(ctx context.Context, names []session.IndexName, entry session.IndexEntry) error {
	for _, name := range names {
		if err := checkList(name); err != nil {
			return err
		}
	}
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	entry.Expires = entry.Expires.Truncate(time.Millisecond)
	for _, name := range names {
		held := s.lists[name]
		if held == nil {
			held = list{}
			s.lists[name] = held
		}
		held[entry.ID] = entry
		s.prune(name, held, now)
	}
	s.sweep(now)
	return nil
}

// prune drops the entries that have expired, and with the last one the list.
func (s *Store) prune(name session.IndexName, held list, now time.Time) {
	for id, entry := range held {
		if !now.Before(entry.Expires) {
			delete(held, id)
		}
	}
	if len(held) == 0 {
		delete(s.lists, name)
	}
}

// Noted implements session.Index.
func (s *Store) Noted(ctx context.Context, name session.IndexName) ([]session.IndexEntry, error) {
	if err := checkList(name); err != nil {
		return nil, err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var entries []session.IndexEntry
	for _, entry := range s.lists[name] {
		if now.Before(entry.Expires) {
			entries = append(entries, entry)
		}
	}
	slices.SortFunc(entries, func(a, b session.IndexEntry) int {
		return cmp.Or(a.Expires.Compare(b.Expires), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return entries, nil
}

// Forget implements session.Index.
func (s *Store) Forget(ctx context.Context, name session.IndexName, id session.ID) error {
	if err := checkList(name); err != nil {
		return err
	}
	now, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer s.mu.Unlock()
	if held := s.lists[name]; held != nil {
		delete(held, id)
		s.prune(name, held, now)
	}
	return nil
}

// checkList refuses what the shared stores refuse, so that a mistake shows everywhere.
func checkList(name session.IndexName) error {
	if name.Kind != session.KindUser && name.Kind != session.KindSID {
		return fmt.Errorf("a list of sessions is of kind %s or %s, not %q", session.KindUser, session.KindSID, name.Kind)
	}
	return nil
}
