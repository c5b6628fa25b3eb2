package session

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// A key may leave the ring when nothing that it signed can live. When that is cannot be told from a ring, since the key may have signed on
// other replicas, and until yesterday. So whoever signs leaves a mark in the store, and leaves it again as long as they do. The marks of
// a site are one slot, so that a replica finds those of keys, too, that it does not hold.

// MarkInterval is how often a replica marks the key with which it signs.
const MarkInterval = 5 * time.Second

// markMargin is how much longer a mark counts than a session that begins when it is left: until the next one, which may be late.
const markMargin = 3 * MarkInterval

// KeyMark says how long a key is needed.
type KeyMark struct {
	Key Fingerprint
	// Until is the end of the longest session that the key may have signed, in the store's time, to the millisecond.
	Until time.Time
}

// Signs reports whether a mark was left so lately that somebody may be signing with the key at the moment.
func (m *Manager) Signs(mark KeyMark) bool { return mark.Until.After(m.now().Add(m.AbsoluteTimeout)) }

// LackedKeys returns the marks of keys that are not on a ring: of what they signed, it does not open anything.
func LackedKeys(marks []KeyMark, ring []Fingerprint) []KeyMark {
	return slices.DeleteFunc(slices.Clone(marks), func(mark KeyMark) bool { return slices.Contains(ring, mark.Key) })
}

// MarkSigner leaves a mark for the key with which the manager's ring signs. It is called before the key signs for the first time, and every
// MarkInterval while it does. An error means that nobody can tell whether it was left.
func (m *Manager) MarkSigner(ctx context.Context) error {
	key := m.Keyring.Fingerprints()[m.Keyring.Signer()]
	for {
		now := m.now()
		held, err := m.Slots.ReadSlot(ctx, m.keyMarks())
		free := errors.Is(err, ErrNotFound)
		if err != nil && !free {
			return fmt.Errorf("mark the signing key: %w", err)
		}
		marks := parseKeyMarks(held, now)
		i := slices.IndexFunc(marks, func(mark KeyMark) bool { return mark.Key == key })
		if i < 0 {
			i, marks = len(marks), append(marks, KeyMark{Key: key})
		}
		if marks[i].Until.After(now.Add(m.AbsoluteTimeout + markMargin - MarkInterval)) {
			return nil // somebody has just left it
		}
		marks[i].Until = now.Add(m.AbsoluteTimeout + markMargin)
		value, life := encodeKeyMarks(marks, now)
		done := false
		if free {
			_, done, err = m.Slots.Claim(ctx, m.keyMarks(), value, life)
		} else {
			done, err = m.Slots.Replace(ctx, m.keyMarks(), held, value, life)
		}
		if err != nil {
			return fmt.Errorf("mark the signing key: %w", err)
		}
		if done {
			return nil
		}
		// Another replica was faster: look again, until ctx ends.
	}
}

// KeyMarks returns the marks that count, of all keys that signed for this site. An error means "cannot tell".
func (m *Manager) KeyMarks(ctx context.Context) ([]KeyMark, error) {
	held, err := m.Slots.ReadSlot(ctx, m.keyMarks())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("marks of signing keys: %w", err)
	}
	return parseKeyMarks(held, m.now()), nil
}

func (m *Manager) keyMarks() SlotName {
	return SlotName{Kind: "key", Hash: sha256.Sum256([]byte("marks of " + m.Site))}
}

const (
	keyMarkSize = len(Fingerprint{}) + 8
	// maxKeyMarks is how many marks a slot holds. Those of keys that are needed longest are kept.
	maxKeyMarks = MaxSlotValue / keyMarkSize
)

// encodeKeyMarks returns the slot's value and how long it is needed.
func encodeKeyMarks(marks []KeyMark, now time.Time) (value []byte, life time.Duration) {
	slices.SortFunc(marks, func(a, b KeyMark) int { return cmp.Or(b.Until.Compare(a.Until), slices.Compare(a.Key[:], b.Key[:])) })
	for _, mark := range marks[:min(len(marks), maxKeyMarks)] {
		value = append(value, mark.Key[:]...)
		value = binary.BigEndian.AppendUint64(value, uint64(mark.Until.UnixMilli()))
	}
	return value, marks[0].Until.Sub(now)
}

// parseKeyMarks reads the marks that still count. What cannot be read is left out: it is of nobody who could mean it.
func parseKeyMarks(value []byte, now time.Time) (marks []KeyMark) {
	for ; len(value) >= keyMarkSize; value = value[keyMarkSize:] {
		mark := KeyMark{Key: Fingerprint(value)}
		mark.Until = time.UnixMilli(int64(binary.BigEndian.Uint64(value[len(mark.Key):])))
		if mark.Until.After(now) {
			marks = append(marks, mark)
		}
	}
	return marks
}
