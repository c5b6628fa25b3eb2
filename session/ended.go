package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// What sessions can have in common, by which they are ended together.
const (
	// KindUser is one subject of one issuer.
	KindUser = "user"
	// KindSID is one session at the provider, the claim "sid".
	KindSID = "sid"
)

// Group names sessions that have a user or a provider's session in common: Kind, and the issuer and the subject or sid.
type Group struct {
	Kind, Issuer, Value string
}

// groupsOf returns the groups of a session.
func groupsOf(s Session) []Group {
	list := []Group{{KindUser, s.Issuer, s.Subject}}
	if s.ProviderSession != "" {
		list = append(list, Group{KindSID, s.Issuer, s.ProviderSession})
	}
	return list
}

// names returns the group's keyed hashes, one under each key of the ring. The site is part of them: a logout of one site
// ends nothing on another.
func (m *Manager) names(g Group) [][32]byte {
	return m.Keyring.Names(g.Kind, m.Site, g.Issuer, g.Value)
}

// note puts a session on its lists, before its record is created: no session lives that the index does not know.
func (m *Manager) note(ctx context.Context, s Session) error {
	if m.Index == nil {
		return nil
	}
	var lists []IndexName
	for _, g := range groupsOf(s) {
		lists = append(lists, IndexName{g.Kind, m.names(g)[0]})
	}
	return m.Index.Note(ctx, lists, IndexEntry{ID: s.ID, Expires: s.Expires})
}

// EndGroup ends all sessions of a group that began until now, and returns how many were found. It first leaves a mark, so that a login that is
// under way and has not stored its session yet finds out that it is too late; then it looks into the index; then it deletes.
// What cannot be deleted keeps nothing else alive. Errors mean that some sessions may live on: the caller must say so, and may call again.
func (m *Manager) EndGroup(ctx context.Context, g Group) (found int, err error) {
	names := m.names(g)
	var failures []error
	// Under each key: whoever stores the session may not have the one that signs here, as while a key is rolled out and a command ends sessions.
	for _, name := range names {
		// A store whose memory is full takes no mark, but deletes.
		if err := m.mark(ctx, g.Kind, name); err != nil {
			failures = append(failures, fmt.Errorf("mark %s as ended: %w", g.Kind, err))
		}
	}
	for _, name := range names {
		list := IndexName{g.Kind, name}
		entries, err := m.Index.Noted(ctx, list)
		if err != nil {
			failures = append(failures, fmt.Errorf("sessions of %s: %w", g.Kind, err))
		}
		for _, entry := range entries {
			found++
			if err := m.endListed(ctx, list, entry); err != nil {
				failures = append(failures, err)
			}
		}
	}
	return found, errors.Join(failures...)
}

// endListed ends a session and takes it off a list. It stays there when its end is not confirmed, or when its record may be about to be stored: a
// session that lives must be on a list.
func (m *Manager) endListed(ctx context.Context, list IndexName, entry IndexEntry) error {
	stored := m.settled(entry)
	if !stored {
		stored, _ = m.lives(ctx, entry.ID) // if nobody can tell, it stays
	}
	if err := m.End(ctx, entry.ID); err != nil || !stored {
		return err
	}
	if err := m.Index.Forget(ctx, list, entry.ID); err != nil {
		return fmt.Errorf("sessions of %s: %w", list.Kind, err)
	}
	return nil
}

// clockError is by how much two replicas may differ about the store's time, at most: each knows it to half a round trip of one store operation,
// or less. A logout that follows a login's beginning by less would otherwise be taken for an older one.
const clockError = 250 * time.Millisecond

// Ended reports whether a session of the groups that began at since has been ended meanwhile: by a mark that is not older, or
// not by more than replicas may differ about the time.
func (m *Manager) Ended(ctx context.Context, s Session, since time.Time) (bool, error) {
	since = since.Add(-clockError).Truncate(time.Millisecond)
	for _, g := range groupsOf(s) {
		for _, name := range m.names(g) {
			value, err := m.Slots.ReadSlot(ctx, markSlot(g.Kind, name))
			if errors.Is(err, ErrNotFound) {
				continue
			}
			if err != nil {
				return false, fmt.Errorf("mark of %s: %w", g.Kind, err)
			}
			if len(value) != 8 || !time.UnixMilli(int64(binary.BigEndian.Uint64(value))).Before(since) {
				return true, nil
			}
		}
	}
	return false, nil
}

// errMissed says that the session was ended with others, by a logout that did not find it.
var errMissed = fmt.Errorf("%w: it was ended with others, by a logout that did not find it", ErrNotFound)

// endMissed ends a session that a logout should have ended and did not find, since its list was lost: a store that evicts takes the lists of
// sessions first, which are seldom used. The logout's mark tells. It is for what is done now and then with a session, not for each verdict. Errors: errMissed;
// any other means that nobody can tell.
func (m *Manager) endMissed(ctx context.Context, s Session) error {
	if m.Slots == nil {
		return nil // nobody leaves marks either
	}
	ended, err := m.Ended(ctx, s, s.Created)
	if err != nil || !ended {
		return err
	}
	if err := m.End(ctx, s.ID); err != nil {
		return err // refused here from now on
	}
	return errMissed
}

func markSlot(kind string, name [32]byte) SlotName { return SlotName{Kind: "ended" + kind, Hash: name} }

// mark leaves the present moment, in the store's time, as the end of a group. It lives as long as a session that began before it could.
func (m *Manager) mark(ctx context.Context, kind string, name [32]byte) error {
	slot := markSlot(kind, name)
	value := binary.BigEndian.AppendUint64(nil, uint64(m.now().UnixMilli()))
	if err := leaveMark(ctx, m.Slots, slot, value, m.AbsoluteTimeout); err != nil {
		return err
	}
	m.Journal.marked(m.Slots, slot, value, m.AbsoluteTimeout)
	return nil
}

// leaveMark stores a mark, unless a later one is there.
func leaveMark(ctx context.Context, slots Slots, slot SlotName, value []byte, life time.Duration) error {
	for {
		held, claimed, err := slots.Claim(ctx, slot, value, life)
		if err != nil || claimed || len(held) == len(value) && bytes.Compare(held, value) >= 0 {
			return err
		}
		replaced, err := slots.Replace(ctx, slot, held, value, life)
		if err != nil || replaced {
			return err
		}
	}
}
