package session

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
)

// ErrNoCommonKey says that replicas hold no key in common: whatever one of them signs, another refuses.
var ErrNoCommonKey = errors.New("session: no key is on every replica's ring")

// Fingerprint tells replicas whether they hold the same key, and nobody else anything: it is a full-length hash of 256 random bits, which needs
// no salt.
type Fingerprint [32]byte

// String returns the fingerprint as 43 characters of unpadded base64url.
func (f Fingerprint) String() string { return base64.RawURLEncoding.EncodeToString(f[:]) }

// Fingerprints returns those of the ring's keys, in their order.
func (k *Keyring) Fingerprints() []Fingerprint {
	prints := make([]Fingerprint, len(k.keys))
	for i, key := range k.keys {
		prints[i] = Fingerprint(derive(key.hash, nil, "authsvc key fingerprint", len(Fingerprint{})))
	}
	return prints
}

// Signer returns the position of the signing key on the ring, from 0.
func (k *Keyring) Signer() int { return slices.Index(k.keys, k.signer) }

// SignWith returns a ring of the same keys in the same order that signs with the one at a position, from 0 to the last.
func (k *Keyring) SignWith(position int) *Keyring {
	return &Keyring{keys: k.keys, signer: k.keys[position]}
}

// CommonKey returns the position of the first key of mine, named by fingerprints, that all the others hold, too: what it signs everybody verifies. With nobody
// else that is the first. Errors: ErrNoCommonKey, with the first.
func CommonKey[K comparable](mine []K, others ...[]K) (int, error) {
	for position, key := range mine {
		if !slices.ContainsFunc(others, func(other []K) bool { return !slices.Contains(other, key) }) {
			return position, nil
		}
	}
	return 0, fmt.Errorf("%w: %d other replicas", ErrNoCommonKey, len(others))
}
