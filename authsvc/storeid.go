package authsvc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"authsvc/session"
)

// storeIdentity is what makes a store this one: a random ID, by which a login that crosses to another store is found, and the salt of
// the settings' fingerprints.
type storeIdentity struct{ ID, Salt [16]byte }

const (
	// storeIDLife is how long the identity outlives the last replica.
	storeIDLife = 30 * 24 * time.Hour
	// storeIDRenewal is how often a replica gives it all of its life again.
	storeIDRenewal = time.Hour
	// maxFormerIDs bounds the identities that a replica remembers to have been this store's.
	maxFormerIDs = 8
)

var storeIDSlot = session.SlotName{Kind: "store", Hash: sha256.Sum256([]byte("identity"))}

func (i storeIdentity) encode() []byte { return append(i.ID[:], i.Salt[:]...) }

func decodeStoreIdentity(value []byte) (i storeIdentity, err error) {
	if len(value) != len(i.ID)+len(i.Salt) {
		return i, errors.New("the store's ID is unreadable: something else is kept in its place")
	}
	copy(i.ID[:], value)
	copy(i.Salt[:], value[len(i.ID):])
	return i, nil
}

// storeIDs knows the identity of the store, and which it had before. Safe for concurrent use.
type storeIDs struct {
	mu      sync.Mutex
	known   storeIdentity // zero until the store was asked
	former  [][16]byte    // the latest last
	renewed time.Time
}

// get returns the identity of the store as it was last seen, and whether it ever was.
func (s *storeIDs) get() (storeIdentity, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known, s.known != storeIdentity{}
}

// isOurs reports whether an ID is, or was, that of the store.
func (s *storeIDs) isOurs(id [16]byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known.ID == id || slices.Contains(s.former, id)
}

// see takes what the store says for its identity. One that was emptied may have got another from a newcomer, before those who knew its ID
// could put it back.
func (s *storeIDs) see(value []byte) (storeIdentity, error) {
	identity, err := decodeStoreIdentity(value)
	if err != nil {
		return identity, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known != identity && s.known != (storeIdentity{}) {
		s.remember(s.known.ID)
	}
	s.known = identity
	return identity, nil
}

// alsoOurs takes note of an ID that was sealed by a replica that shares our store.
func (s *storeIDs) alsoOurs(id [16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(id)
}

func (s *storeIDs) remember(id [16]byte) {
	s.former = append(s.former, id)
	s.former = s.former[max(0, len(s.former)-maxFormerIDs):]
}

// claim asks the store for its identity. One that has none gets the one that it had, so that a Redis that was emptied stays
// the same for all replicas; or else a fresh one.
func (s *storeIDs) claim(ctx context.Context, slots session.Slots, now time.Time) (storeIdentity, error) {
	offer, known := s.get()
	if !known {
		rand.Read(offer.ID[:])
		rand.Read(offer.Salt[:])
	}
	value := offer.encode()
	holder, claimed, err := slots.Claim(ctx, storeIDSlot, value, storeIDLife)
	if err != nil {
		return storeIdentity{}, fmt.Errorf("the store's ID: %w", err)
	}
	identity, err := s.see(holder)
	if err != nil || !s.renews(claimed, now) {
		return identity, err
	}
	if _, err := slots.Replace(ctx, storeIDSlot, holder, holder, storeIDLife); err != nil {
		return storeIdentity{}, fmt.Errorf("the store's ID: %w", err)
	}
	return identity, nil
}

// renews reports whether it is time to give the identity all of its life again; a fresh one has it.
func (s *storeIDs) renews(fresh bool, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	due := now.Sub(s.renewed) >= storeIDRenewal
	if due || fresh {
		s.renewed = now
	}
	return due && !fresh
}
