package session

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// crossing is how far apart the ends of two sessions lie at most whose logins may not have seen each other.
const crossing = time.Minute

// KeepNewest ends the oldest sessions of the user of s beyond MaxPerUser; s has just begun and stays. It comes after whatever s replaces has been
// ended: that one must not take another's place. Errors mean that there may be too many. Logins that finish at the same moment see each other and would end each
// other: each spares those that are a moment younger, which do the same with it. The index may list sessions that are gone: they are
// taken off it, unless they have just begun and are about to be stored, and do not count. A session that a parallel tab is about to give up does count, for a moment: the oldest may end a login early.
func (m *Manager) KeepNewest(ctx context.Context, s Session) error {
	if m.MaxPerUser <= 0 || m.Index == nil {
		return nil
	}
	var all []placed
	for _, name := range m.names(Group{KindUser, s.Issuer, s.Subject}) {
		list := IndexName{KindUser, name}
		entries, err := m.Index.Noted(ctx, list)
		if err != nil {
			return fmt.Errorf("sessions of the user: %w", err)
		}
		for _, entry := range entries {
			if entry.ID != s.ID {
				all = append(all, placed{list, entry})
			}
		}
	}
	// The newest ends last: all of a site live equally long.
	slices.SortFunc(all, func(a, b placed) int { return byAge(b.entry, a.entry) })
	kept := 1 // the new one
	var failures []error
	for _, l := range all {
		lives, err := m.lives(ctx, l.entry.ID)
		if err != nil {
			failures = append(failures, fmt.Errorf("sessions of the user: %w", err))
			continue
		}
		spared := byAge(l.entry, IndexEntry{ID: s.ID, Expires: s.Expires}) > 0 && l.entry.Expires.Before(s.Expires.Add(crossing))
		switch {
		case lives && (kept < m.MaxPerUser || spared):
			kept++
		case lives:
			if err := m.endListed(ctx, l.list, l.entry); err != nil {
				failures = append(failures, err)
			}
		case m.settled(l.entry): // else its record is about to be stored, and no list would know of it
			if err := m.Index.Forget(ctx, l.list, l.entry.ID); err != nil {
				failures = append(failures, fmt.Errorf("sessions of the user: %w", err))
			}
		}
	}
	return errors.Join(failures...)
}

// byAge orders sessions from the oldest to the newest, the same way on every replica.
func byAge(a, b IndexEntry) int {
	return cmp.Or(a.Expires.Compare(b.Expires), bytes.Compare(a.ID[:], b.ID[:]))
}

// lives reports whether there is a record that somebody can read, even if only a later release can.
func (m *Manager) lives(ctx context.Context, id ID) (bool, error) {
	_, err := m.Store.Load(ctx, id)
	switch {
	case err == nil, errors.Is(err, ErrLaterFormat):
		return true, nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt):
		return false, nil
	}
	return false, err
}
