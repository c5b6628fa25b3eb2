package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"authsvc/session"
)

// Note implements session.Index. It writes the lists one after the other, since in a Cluster they lie on different nodes: after an error
// the session may be on the first ones only. Errors besides the contract's: ErrCorrupt when something else is stored there.
func (s *Store) Note(ctx context.Context, names []session.IndexName, entry session.IndexEntry) error {
	lists := make([][]string, len(names))
	for i, name := range names {
		keys, err := s.indexKeys(name)
		if err != nil {
			return err
		}
		lists[i] = keys
	}
	return s.do(ctx, "note", func(ctx context.Context) error {
		for _, keys := range lists {
			err := noteEntry.Run(ctx, s.client, keys, entry.ID[:], entry.Expires.UnixMilli()).Err()
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Noted implements session.Index. Errors besides the contract's: ErrCorrupt when something else is stored there.
func (s *Store) Noted(ctx context.Context, name session.IndexName) (entries []session.IndexEntry, err error) {
	keys, err := s.indexKeys(name)
	if err != nil {
		return nil, err
	}
	err = s.do(ctx, "noted", func(ctx context.Context) error {
		stored, err := readEntries.Run(ctx, s.client, keys).Slice()
		if err != nil {
			return err
		}
		entries, err = decodeEntries(stored)
		return err
	})
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// decodeEntries reads IDs and ends by turns.
func decodeEntries(stored []any) ([]session.IndexEntry, error) {
	entries := make([]session.IndexEntry, 0, len(stored)/2)
	for pair := range slices.Chunk(stored, 2) {
		id, _ := pair[0].(string)
		end, _ := pair[len(pair)-1].(string)
		expires, err := strconv.ParseFloat(end, 64)
		if len(id) != len(session.ID{}) || err != nil {
			return nil, fmt.Errorf("%w: a list of sessions holds something else", session.ErrCorrupt)
		}
		entries = append(entries, session.IndexEntry{ID: session.ID([]byte(id)), Expires: time.UnixMilli(int64(expires))})
	}
	return entries, nil
}

// Forget implements session.Index. Errors besides the contract's: ErrCorrupt when something else is stored there.
func (s *Store) Forget(ctx context.Context, name session.IndexName, id session.ID) error {
	keys, err := s.indexKeys(name)
	if err != nil {
		return err
	}
	return s.do(ctx, "forget", func(ctx context.Context) error {
		left, err := forgetEntry.Run(ctx, s.client, keys, id[:]).Bool()
		if err == nil && !left {
			s.gone(name)
		}
		return err
	})
}
