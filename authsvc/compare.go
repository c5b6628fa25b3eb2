package authsvc

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"authsvc/session"
)

// Comparison is how a configuration stands to the replicas that take requests on its store.
type Comparison struct {
	// Ready is how many there are.
	Ready int
	// Differences are the settings in which they differ from the configuration, by name.
	Differences []Difference
	// KeyNeeded is until when a key is needed that such a replica holds and cookie.secret lacks, in the store's time, to the second. It is zero when
	// there is none; while the key signs it moves on.
	KeyNeeded time.Time
	// KeyLost is the same of keys that no such replica holds: what they signed is over, unless one that holds them is started.
	KeyLost time.Time
}

// Difference is a setting that is not the same.
type Difference struct {
	Setting  string
	Replicas []string // the IDs of those that differ
	// Must says that all replicas must agree about it, and HoldsBack that one of this configuration would be held back for it: a higher
	// config_generation is not.
	Must, HoldsBack bool
}

// Compare compares a configuration with the replicas on its store, as one that starts with it would, and changes nothing there. The
// configuration has been loaded, and so validated. An error means that the store cannot tell.
func Compare(ctx context.Context, c *Config, store Backend) (Comparison, error) {
	keyring, err := newKeyring(c)
	if err != nil {
		return Comparison{}, err
	}
	stored, err := store.Replicas(ctx)
	if err != nil {
		return Comparison{}, fmt.Errorf("read the roster: %w", err)
	}
	marks, err := keyMarks(ctx, newManagers(c, store, keyring))
	if err != nil {
		return Comparison{}, err
	}
	identity, err := readStoreIdentity(ctx, store)
	if err != nil {
		return Comparison{}, err
	}
	lacked := session.LackedKeys(marks, keyring.Fingerprints())
	prints := fingerprint(c, keyring, identity.Salt[:])
	me := replica{announcement: announcement{
		Generation: c.ConfigGeneration, Reads: session.RecordFormat, Store: identity.ID,
		Keys: prints.Keys, Settings: prints.Settings, Secrets: prints.Secrets, Lacks: keyNames(lacked),
	}}
	ready := slices.DeleteFunc(parseRoster(stored), func(r replica) bool { return !r.Ready })
	compared := Comparison{Ready: len(ready)}
	found, held := me.driftFrom(ready), me.heldBackBy(ready)
	for _, setting := range slices.Sorted(maps.Keys(found)) {
		_, holdsBack := held[setting]
		compared.Differences = append(compared.Differences, Difference{setting, found[setting], mustAgree(setting), holdsBack})
	}
	with, without := heldElsewhere(lacked, ready)
	compared.KeyNeeded, compared.KeyLost = neededUntil(with), neededUntil(without)
	return compared, nil
}

// readStoreIdentity reads what makes a store this one, zero for one on which no replica has run.
func readStoreIdentity(ctx context.Context, slots session.Slots) (storeIdentity, error) {
	value, err := slots.ReadSlot(ctx, storeIDSlot)
	if errors.Is(err, session.ErrNotFound) {
		return storeIdentity{}, nil
	}
	if err != nil {
		return storeIdentity{}, fmt.Errorf("the store's ID: %w", err)
	}
	return decodeStoreIdentity(value)
}
