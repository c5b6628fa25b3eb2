package session

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
)

// MasterKeySize is the length of a master key in bytes.
const MasterKeySize = 32

// ErrSealed says that a sealed value cannot be opened: it was changed, or moved from where it belongs.
var ErrSealed = errors.New("session: sealed value does not open")

// ErrUnknownKey says that a value was sealed with a key that is not on the ring. It means "cannot tell": a replica whose
// ring lacks a key, while keys are rotated, knows nothing about what the others sealed with it.
var ErrUnknownKey = errors.New("session: sealed with a key that is not on the ring")

// Keyring holds the service's master keys: one signs and seals, the first unless SignWith has chosen another, and all of them verify and
// open. It is immutable and safe for concurrent use. A master key itself is never used on data; every use
// derives its own (HKDF-SHA256, RFC 5869).
type Keyring struct {
	keys   []*masterKey
	signer *masterKey // one of them
}

const keyNameSize = 4

// SealOverhead is how many bytes longer than its plaintext a sealed value is: the key's name, the nonce and the tag.
const SealOverhead = keyNameSize + 12 + 16

// keyName tells which key of the ring was used. It is a hash of the key and no secret.
type keyName [keyNameSize]byte

type masterKey struct {
	name keyName
	macs sync.Pool // of *keyedMAC, which sign tokens
	seal []byte    // parent of every sealing key
	hash []byte    // names what the store keeps under a name that a dump must not tell
}

// NewKeyring makes a ring of master keys of MasterKeySize bytes each, the signing key first. There
// must be at least one, and no two alike.
func NewKeyring(secrets [][]byte) (*Keyring, error) {
	if len(secrets) == 0 {
		return nil, errors.New("session: a key ring needs at least one key")
	}
	ring := &Keyring{}
	for i, secret := range secrets {
		if len(secret) != MasterKeySize {
			return nil, fmt.Errorf("session: key %d has %d bytes, not %d", i+1, len(secret), MasterKeySize)
		}
		mac := derive(secret, nil, "authsvc token mac", sha256.Size)
		key := &masterKey{
			macs: sync.Pool{New: func() any { return &keyedMAC{mac: hmac.New(sha256.New, mac)} }},
			seal: derive(secret, nil, "authsvc seal", sha256.Size),
			hash: derive(secret, nil, "authsvc names", sha256.Size),
		}
		copy(key.name[:], derive(secret, nil, "authsvc key name", keyNameSize))
		if ring.find(key.name) != nil {
			return nil, fmt.Errorf("session: key %d is on the ring twice", i+1)
		}
		ring.keys = append(ring.keys, key)
	}
	ring.signer = ring.keys[0]
	return ring, nil
}

func (k *Keyring) find(name keyName) *masterKey {
	for _, key := range k.keys {
		if key.name == name {
			return key
		}
	}
	return nil
}

// Seal encrypts and authenticates plaintext with AES-256-GCM under a key derived from the ring's
// signing key, the purpose and the context; associated data is authenticated with it. Context is
// what must be known, besides the master key, to open the value again: a browser's token, for example. The result
// is the key's name, a random nonce, the ciphertext and the tag.
//
// The key is a new one for each context, so a context that is random keeps the number of values under one key
// far below what random nonces allow.
func (k *Keyring) Seal(purpose string, context, associated, plaintext []byte) []byte {
	key := k.signer
	sealed := append(make([]byte, 0, len(plaintext)+SealOverhead), key.name[:]...)
	return key.aead(purpose, context).Seal(sealed, nil, plaintext, associate(key.name, associated))
}

// sealedBy returns the key that a sealed value names. Errors: ErrSealed when it names none, ErrUnknownKey.
func (k *Keyring) sealedBy(sealed []byte) (*masterKey, error) {
	if len(sealed) < keyNameSize {
		return nil, ErrSealed
	}
	key := k.find(keyName(sealed))
	if key == nil {
		return nil, ErrUnknownKey
	}
	return key, nil
}

// opens reports whether the key that a sealed value names is on the ring.
func (k *Keyring) opens(sealed []byte) bool {
	_, err := k.sealedBy(sealed)
	return err == nil
}

// Open reverses Seal, with any key of the ring. It returns ErrSealed for a value that was not sealed
// for exactly this purpose, context and associated data, and ErrUnknownKey for one whose key is not on the ring.
func (k *Keyring) Open(purpose string, context, associated, sealed []byte) ([]byte, error) {
	key, err := k.sealedBy(sealed)
	if err != nil {
		return nil, err
	}
	plaintext, err := key.aead(purpose, context).Open(nil, nil, sealed[keyNameSize:], associate(key.name, associated))
	if err != nil {
		return nil, ErrSealed
	}
	return plaintext, nil
}

// Derive returns size bytes (at most 8160) that only who knows the master key in use when sealed was
// made, and the context, can know. Values that belong to a sealed one are derived instead of stored: the key is
// taken from sealed, so that any replica derives the same, whichever key signs there. Errors: ErrSealed for what is too short to
// be a sealed value, ErrUnknownKey.
func (k *Keyring) Derive(purpose string, context, sealed []byte, size int) ([]byte, error) {
	key, err := k.sealedBy(sealed)
	if err != nil {
		return nil, err
	}
	return derive(key.seal, context, "authsvc derive "+purpose, size), nil
}

// Names returns keyed hashes of the parts, one under each key of the ring, the signing key's first: what is kept under a name is written
// under the first and looked up under all of them, since another replica may sign with another key.
func (k *Keyring) Names(kind string, parts ...string) [][32]byte {
	names := [][32]byte{k.signer.named(kind, parts)}
	for _, key := range k.keys {
		if key != k.signer {
			names = append(names, key.named(kind, parts))
		}
	}
	return names
}

func (key *masterKey) named(kind string, parts []string) [32]byte {
	mac := hmac.New(sha256.New, key.hash)
	for _, part := range append([]string{kind}, parts...) {
		writeLength(mac, len(part))
		mac.Write([]byte(part))
	}
	return [32]byte(mac.Sum(nil))
}

func (key *masterKey) aead(purpose string, context []byte) cipher.AEAD {
	block, err := aes.NewCipher(derive(key.seal, context, "authsvc seal "+purpose, 32))
	if err != nil {
		panic(err) // a key of 32 bytes is always accepted
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // AES has the block size that GCM wants
	}
	return aead
}

func associate(name keyName, associated []byte) []byte {
	return append(append(make([]byte, 0, keyNameSize+len(associated)), name[:]...), associated...)
}

// keyedMAC is a MAC that has been keyed, with room for what goes through it. Every verdict needs one, so each is used again: it costs no
// memory, and its key is not expanded anew.
type keyedMAC struct {
	mac     hash.Hash
	message [maxTokenText]byte
	sum     [sha256.Size]byte
}

// tokenMAC authenticates a token. Every part is preceded by its length, so that no two
// different inputs are one message.
func (key *masterKey) tokenMAC(purpose Purpose, site string, signed []byte) [tokenMACSize]byte {
	m := key.macs.Get().(*keyedMAC)
	defer key.macs.Put(m)
	message := m.message[:0]
	for _, part := range [...]string{string(purpose), site} {
		message = binary.BigEndian.AppendUint32(message, uint32(len(part)))
		message = append(message, part...)
	}
	m.mac.Reset()
	m.mac.Write(append(message, signed...))
	return [tokenMACSize]byte(m.mac.Sum(m.sum[:0]))
}

func writeLength(h hash.Hash, n int) {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(n))
	h.Write(length[:])
}

func derive(secret, salt []byte, info string, size int) []byte {
	key, err := hkdf.Key(sha256.New, secret, salt, info, size)
	if err != nil {
		panic(err) // only a size beyond 255 hashes fails
	}
	return key
}

// Subkeys returns size bytes (at most 8160) for each key of the ring, in its order, that only who knows that master key can know: the same for every
// replica, and others for another purpose.
func (k *Keyring) Subkeys(purpose string, size int) [][]byte {
	var subkeys [][]byte
	for _, key := range k.keys {
		subkeys = append(subkeys, derive(key.seal, nil, "authsvc subkey "+purpose, size))
	}
	return subkeys
}
