package authsvc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"authsvc/session"
)

// agree makes this replica sign with the first key, and write the latest format of records, that all others can read. It goes over to another key, or
// to a later format, in two steps: first it tells, by the key's mark and by what it announces next, and only when it is called again with a roster
// that was read later, it does so. Whoever could not read it is on that roster, or has been told before being admitted. It reports whether
// there is no second step to come. Errors: session.ErrNoCommonKey, when there is none and the former key signs on; any other means that the
// store could not be told, and that the former key signs on.
func (s *Service) agree(ctx context.Context, others []replica) (settled bool, err error) {
	s.swapping.Lock()
	defer s.swapping.Unlock()
	formats, rings := make([]int, len(others)), make([][]string, len(others))
	for i, other := range others {
		formats[i], rings[i] = other.Reads, other.Keys
	}
	announced := s.formatToAnnounce()
	next := session.FormatToWrite(formats...)
	s.recordFormat.Store(uint32(next))
	s.writing.Store(uint32(min(next, announced)))

	old := s.sites.Load()
	all, none := s.withCommonSigner(old, rings)
	if none != nil && !errors.Is(none, session.ErrNoCommonKey) {
		return false, none
	}
	if err := all.markSigner(ctx); err != nil {
		return false, fmt.Errorf("before signing: %w", err)
	}
	keyring := all.main.keyring
	signer := keyPrints(keyring)[keyring.Signer()]
	if all != old && s.marked != signer {
		s.marked = signer
		return false, old.markSigner(ctx)
	}
	s.marked = signer
	if s.sites.Store(all); all != old {
		s.log.Info().Int("key", keyring.Signer()+1).Msg("another key of the ring signs now")
	}
	return next <= announced, none
}

// withCommonSigner returns the sites, or others like them, that sign with the first key that is on all the rings. Errors: ErrNoCommonKey, with the
// sites as they were.
func (s *Service) withCommonSigner(all *sites, rings [][]string) (*sites, error) {
	keyring := all.main.keyring
	position, err := session.CommonKey(keyPrints(keyring), rings...)
	if err != nil || position == keyring.Signer() {
		return all, err
	}
	return newSites(all.main.config, keyring.SignWith(position), s)
}

// formatToAnnounce is the format of records that every replica reads, as far as this one knows. Before it knows of any other it is the oldest.
func (s *Service) formatToAnnounce() byte {
	return max(byte(s.recordFormat.Load()), session.OldestRecordFormat)
}

// formatToWrite is the format that this replica writes: that one, once it was announced.
func (s *Service) formatToWrite() byte {
	return max(byte(s.writing.Load()), session.OldestRecordFormat)
}

// KeyNeededError says that a key cannot leave the ring, because sessions live, or may, that it signed.
type KeyNeededError struct {
	// Key is its place on the ring in use, from 1.
	Key int
	// Until is when it may leave, in the store's time. While the key signs that moves on.
	Until time.Time
	Signs bool
}

// Error tells it in one line.
func (e *KeyNeededError) Error() string {
	until := e.Until.UTC().Truncate(time.Second).Add(time.Second).Format(time.RFC3339)
	if e.Signs {
		return fmt.Sprintf("cookie.secret: key %d of those in use signs, or did a moment ago; it may leave when session.absolute_timeout has passed since, at the earliest at %s; put another one before it and keep it", e.Key, until)
	}
	return fmt.Sprintf("cookie.secret: key %d of those in use may leave at %s, when the last session that it signed has ended; until then keep it", e.Key, until)
}

// ErrKeysUnknown says that the store cannot tell at the moment which keys are needed.
var ErrKeysUnknown = errors.New("cookie.secret: the store cannot tell which keys are needed")

// mayFollow returns an error unless sites may take the place of others: the keys that leave the ring are needed no more, and the
// store knows of the one that begins to sign. The one that signs here is needed whatever the store says: its mark may have been lost. Errors: *KeyNeededError, of the key that is needed longest; ErrKeysUnknown.
func mayFollow(ctx context.Context, old, next *sites) error {
	ring := old.main.keyring
	before, after := ring.Fingerprints(), next.main.keyring.Fingerprints()
	leaves := func(key session.Fingerprint) bool {
		return slices.Contains(before, key) && !slices.Contains(after, key)
	}
	if slices.ContainsFunc(before, leaves) {
		var needed *KeyNeededError
		need := func(position int, until time.Time, signs bool) {
			if needed == nil || until.After(needed.Until) {
				needed = &KeyNeededError{position + 1, until, signs}
			}
		}
		for _, sessions := range old.managers() {
			marks, err := sessions.KeyMarks(ctx)
			if err != nil {
				return fmt.Errorf("%w: %w", ErrKeysUnknown, err)
			}
			if signer := ring.Signer(); leaves(before[signer]) {
				need(signer, sessions.Now().Add(sessions.AbsoluteTimeout), true)
			}
			for _, mark := range marks {
				if leaves(mark.Key) {
					need(slices.Index(before, mark.Key), mark.Until, sessions.Signs(mark))
				}
			}
		}
		if needed != nil {
			return needed
		}
	}
	if before[ring.Signer()] == after[next.main.keyring.Signer()] {
		return nil
	}
	if err := next.markSigner(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrKeysUnknown, err)
	}
	return nil
}

// lackedKeys returns the marks of keys that signed what still lives and are not on the ring.
func (s *Service) lackedKeys(ctx context.Context) ([]session.KeyMark, error) {
	all := s.sites.Load()
	marks, err := keyMarks(ctx, all.managers())
	return session.LackedKeys(marks, all.main.keyring.Fingerprints()), err
}

// keyNeeded returns until when a key is needed that is not on the ring of this newcomer, and is on that of another replica; the zero time when
// there is none.
func (s *Service) keyNeeded(roster []replica) time.Time {
	marks := s.lacks.Load()
	if marks == nil {
		return time.Time{}
	}
	held, _ := heldElsewhere(*marks, roster)
	return neededUntil(held)
}

// heldElsewhere parts the marks of keys that are not on a ring: whether a replica that takes requests holds the key, or nobody does.
func heldElsewhere(lacked []session.KeyMark, roster []replica) (held, lost []session.KeyMark) {
	for _, mark := range lacked {
		if slices.ContainsFunc(roster, func(r replica) bool { return r.Ready && slices.Contains(r.Keys, mark.Key.String()) }) {
			held = append(held, mark)
		} else {
			lost = append(lost, mark)
		}
	}
	return held, lost
}

// neededUntil returns until when all of the keys are needed, as people are told: to the second, and not too early; zero for none.
func neededUntil(marks []session.KeyMark) (until time.Time) {
	for _, mark := range marks {
		if end := mark.Until.UTC().Truncate(time.Second).Add(time.Second); end.After(until) {
			until = end
		}
	}
	return until
}

func keyNames(marks []session.KeyMark) (names []string) {
	for _, mark := range marks {
		names = append(names, mark.Key.String())
	}
	return names
}
