package memstore

import (
	"context"
	"iter"
	"maps"
	"slices"

	"authsvc/session"
)

var _ session.Lister = (*Store)(nil)

// EachRecord implements session.Lister.
func (s *Store) EachRecord(ctx context.Context) iter.Seq2[session.ID, error] {
	return func(yield func(session.ID, error) bool) {
		now, err := s.begin(ctx)
		if err != nil {
			yield(session.ID{}, err)
			return
		}
		var ids []session.ID
		for id, held := range s.records {
			if now.Before(held.expires) {
				ids = append(ids, id)
			}
		}
		s.mu.Unlock()
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// EachList implements session.Lister.
func (s *Store) EachList(ctx context.Context, kind string) iter.Seq2[session.IndexList, error] {
	return func(yield func(session.IndexList, error) bool) {
		if _, err := s.begin(ctx); err != nil {
			yield(session.IndexList{}, err)
			return
		}
		names := slices.Collect(maps.Keys(s.lists))
		s.mu.Unlock()
		for _, name := range names {
			if name.Kind != kind {
				continue
			}
			entries, err := s.Noted(ctx, name)
			if !yield(session.IndexList{Name: name, Entries: entries}, err) || err != nil {
				return
			}
		}
	}
}
