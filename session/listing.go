package session

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// Listed is a session on a list that lives: its record was there a moment ago.
type Listed struct {
	ID ID
	// Details are zero when they cannot be told; see Details.
	Details
	// LastSeen is when the session was used last, at most a tenth of the idle time too early: a record that is used gets 1.1 times the idle
	// time, and again only when a tenth of it is gone, so what is left of its life tells. In the last 1.1 idle times before
	// Expires a use leaves no trace, and LastSeen stays at their beginning. It is zero when it cannot be told.
	LastSeen time.Time
	// IdleExpires is when the session ends unless it is used, zero when it cannot be told. Expires is when it ends whatever its use.
	IdleExpires, Expires time.Time
}

const (
	// listedAtOnce is how many records are looked at before the first of them is given, and lookers how many at the same time.
	listedAtOnce = 64
	lookers      = 16
)

// placed is an entry and the list that it is on, if it is from one.
type placed struct {
	list  IndexName
	entry IndexEntry
}

// Group goes through the sessions of a group that live, the newest first. Entries whose record is gone are taken off the list. An error means that
// the rest cannot be told; it is the last that is given.
func (m *Manager) Group(ctx context.Context, g Group) iter.Seq2[Listed, error] {
	return m.alive(ctx, once, func(yield func(placed, error) bool) {
		var all []placed
		for _, name := range m.names(g) {
			list := IndexName{g.Kind, name}
			entries, err := m.Index.Noted(ctx, list)
			if err != nil {
				yield(placed{}, fmt.Errorf("sessions of %s: %w", g.Kind, err))
				return
			}
			for _, entry := range entries {
				all = append(all, placed{list, entry})
			}
		}
		slices.SortFunc(all, func(a, b placed) int { return byAge(b.entry, a.entry) })
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	})
}

// All goes through the sessions of this site that live, in no order, some perhaps twice; see Lister. An error means that the rest cannot be told; it is the last that
// is given. The store must be a Lister.
func (m *Manager) All(ctx context.Context) iter.Seq2[Listed, error] {
	return m.alive(ctx, insist, func(yield func(placed, error) bool) {
		for id, err := range m.Store.(Lister).EachRecord(ctx) {
			if !yield(placed{entry: IndexEntry{ID: id}}, err) {
				return
			}
		}
	})
}

// Find returns the session of an ID. Errors: ErrNotFound; any other means "cannot tell".
func (m *Manager) Find(ctx context.Context, id ID) (Listed, error) {
	found, lives, err := m.look(ctx, placed{entry: IndexEntry{ID: id}})
	if err == nil && !lives {
		err = ErrNotFound
	}
	if err != nil {
		return Listed{}, err
	}
	return found, nil
}

// alive looks for the records of entries, several at a time, gives those that live in the order in which they came, and takes the others
// off their lists. What the store cannot tell is asked for by try.
func (m *Manager) alive(ctx context.Context, try func(context.Context, func() error) error, entries iter.Seq2[placed, error]) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		for batch, batchErr := range batches(entries) {
			found := make([]Listed, len(batch))
			lives := make([]bool, len(batch))
			failed := make([]error, len(batch))
			together(len(batch), func(i int) {
				failed[i] = try(ctx, func() (err error) {
					found[i], lives[i], err = m.look(ctx, batch[i])
					return err
				})
			})
			for i := range batch {
				if failed[i] != nil {
					yield(Listed{}, failed[i])
					return
				}
				if lives[i] && !yield(found[i], nil) {
					return
				}
			}
			if batchErr != nil {
				yield(Listed{}, batchErr)
				return
			}
		}
	}
}

// look reports whether the session of an entry lives and belongs to this site, and what is known of it. One that is gone is taken off its
// list; that this fails is no error. That a record is there can be told without its token; nothing else of it can.
func (m *Manager) look(ctx context.Context, p placed) (Listed, bool, error) {
	found := Listed{ID: p.entry.ID, Expires: p.entry.Expires}
	r, err := m.Store.Load(ctx, p.entry.ID)
	switch now := m.now(); {
	case errors.Is(err, ErrLaterFormat):
		return found, true, nil
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrCorrupt), err == nil && !now.Before(r.Expires):
		if m.Index != nil && p.list.Kind != "" && m.settled(p.entry) {
			m.Index.Forget(ctx, p.list, p.entry.ID)
		}
		return Listed{}, false, nil
	case err != nil:
		return Listed{}, false, fmt.Errorf("look at session: %w", err)
	case r.Site != m.Site, m.Endings.Has(r.ID):
		return Listed{}, false, nil
	default:
		found.Details, _ = m.openDetails(r)
		found.Expires, found.IdleExpires = r.Expires, now.Add(min(r.TTL, r.Expires.Sub(now)))
		found.LastSeen = found.IdleExpires.Add(-m.IdleTimeout - m.IdleTimeout/10)
		if found.LastSeen.Before(found.Created) {
			found.LastSeen = found.Created
		}
		if found.LastSeen.After(now) {
			found.LastSeen = now // other settings have given the record its life
		}
		return found, true, nil
	}
}

// begun is when the session of an entry began. All of a site live equally long; while replicas with another absolute timeout are replaced it is as far off
// as the two differ, which matters to entries of logins that have not stored their record at this moment.
func (m *Manager) begun(e IndexEntry) time.Time { return e.Expires.Add(-m.AbsoluteTimeout) }

// settled reports whether an entry that has no record is one of a session that is gone, and not of one whose login is about to store it: a
// session is noted before its record is created.
func (m *Manager) settled(e IndexEntry) bool {
	return m.begun(e).Add(crossing).Before(m.now())
}
