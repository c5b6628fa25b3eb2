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
	if len(entry.Details) > session.MaxIndexDetails {
		return fmt.Errorf("an entry has at most %d bytes of details, not %d", session.MaxIndexDetails, len(entry.Details))
	}
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
			err := noteEntry.Run(ctx, s.client, keys, entry.ID[:], entry.Expires.UnixMilli(), entry.Details).Err()
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

// decodeEntries reads what readEntries gives.
func decodeEntries(stored []any) ([]session.IndexEntry, error) {
	if len(stored) != 2 {
		return nil, fmt.Errorf("redis answered with %d values instead of 2", len(stored))
	}
	ends, _ := stored[0].([]any)
	held, _ := stored[1].([]any)
	details := make(map[string]string, len(held)/2)
	for pair := range slices.Chunk(held, 2) {
		id, _ := pair[0].(string)
		details[id], _ = pair[len(pair)-1].(string)
	}
	entries := make([]session.IndexEntry, 0, len(ends)/2)
	for pair := range slices.Chunk(ends, 2) {
		id, _ := pair[0].(string)
		end, _ := pair[len(pair)-1].(string)
		expires, err := strconv.ParseFloat(end, 64)
		if len(id) != len(session.ID{}) || err != nil {
			return nil, fmt.Errorf("%w: a list of sessions holds something else", session.ErrCorrupt)
		}
		entry := session.IndexEntry{ID: session.ID([]byte(id)), Expires: time.UnixMilli(int64(expires))}
		if text := details[id]; text != "" {
			entry.Details = []byte(text)
		}
		entries = append(entries, entry)
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
