package session

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"
)

var (
	// ErrNotFound says that the store answered, and that there is no such record.
	ErrNotFound = errors.New("session: not found")
	// ErrExists says that Create found a record of that ID.
	ErrExists = errors.New("session: exists already")
	// ErrVersion says that Swap found another version, or a record that it may not overwrite.
	ErrVersion = errors.New("session: version does not match")
)

// Store keeps records. Implementations are safe for concurrent use, by any number of processes
// that share the same storage, and are held to this contract by package storetest.
//
// An error that is none of the sentinels named at a method means "cannot tell": the store could not
// be asked, did not answer in time, or answered nonsense. No caller may treat it as absent, and a
// write that ends in such an error may or may not have happened.
//
// Every method keeps its own deadline, a fraction of a second, and answers within it whatever the
// store does; the context's deadline counts when it is earlier. Every record has an expiry at every moment: no
// method, and no half-done one, leaves a record that lives for ever.
type Store interface {
	// Load returns the record without its tokens, and in TTL what is left of its life.
	// Errors: ErrNotFound; ErrCorrupt, also when the record stored under this ID is another session's; ErrLaterFormat, when it is
	// this session's, and ErrForeign, when somebody else's answer came (both "cannot tell").
	Load(ctx context.Context, id ID) (Record, error)

	// LoadWithoutTTL is Load for those who know that the record lives long enough if it is there: the TTL is 0, and is not asked for. Errors: as Load.
	LoadWithoutTTL(ctx context.Context, id ID) (Record, error)

	// LoadWithTokens returns the record with both parts, of one version. A record that was written
	// without tokens has none. Errors: as Load.
	LoadWithTokens(ctx context.Context, id ID) (Record, error)

	// Create stores a new record for its TTL. Errors: ErrExists.
	Create(ctx context.Context, r Record) error

	// Swap replaces a record whose version is r.Version-1 with r, both parts at once: a record
	// without tokens loses those that it had. The record's life is the longer of what is left and r.TTL, but never
	// beyond r.Expires. The two may be in different formats, as long as this release reads both. A record that is gone is not
	// made again. Errors: ErrNotFound; ErrVersion, also for a record in a later release's format or one that is corrupt, which
	// are left as they are.
	Swap(ctx context.Context, r Record) error

	// Touch makes the record live for ttl from now, if that is longer than what is left; it never shortens a
	// life. Errors: ErrNotFound.
	Touch(ctx context.Context, id ID, ttl time.Duration) error

	// Delete removes the record. That there is none is no error.
	Delete(ctx context.Context, id ID) error
}

// SlotName names a slot: Kind is a word of 1 to 32 lower-case letters other than those that name the parts of records
// ("session", "tokens"), lists (KindUser, KindSID) and the roster (KindReplica); Hash is the SHA-256 of what it is about.
type SlotName struct {
	Kind string
	Hash [32]byte
}

// Check returns an error unless the kind is one that a slot may have. Every adapter checks by it.
func (n SlotName) Check() error {
	switch {
	case n.Kind == "", len(n.Kind) > 32, strings.Trim(n.Kind, "abcdefghijklmnopqrstuvwxyz") != "":
		return fmt.Errorf("session: a slot's kind is a word of 1 to 32 lower-case letters, not %q", n.Kind)
	case n.Kind == "session", n.Kind == "tokens", n.Kind == KindUser, n.Kind == KindSID, n.Kind == KindReplica:
		return fmt.Errorf("session: %q is no kind of a slot: records, lists and the roster have it", n.Kind)
	}
	return nil
}

// MaxSlotValue bounds the value of a slot, in bytes.
const MaxSlotValue = 4096

// CheckSlotValue returns an error unless the slot may be given the value. Every adapter checks by it.
func CheckSlotValue(name SlotName, value []byte) error {
	if len(value) > MaxSlotValue {
		return fmt.Errorf("session: a slot holds at most %d bytes, not %d", MaxSlotValue, len(value))
	}
	return name.Check()
}

// Slots are small values with a short life that the first writer takes: with them replicas agree about a
// login that several of them see at once. Safe for concurrent use. Errors and deadlines are as for
// Store: an error that is none of the sentinels means "cannot tell".
type Slots interface {
	// Claim stores value for ttl if the slot is free. If not, it changes nothing and returns the value
	// that holds the slot, and false.
	Claim(ctx context.Context, name SlotName, value []byte, ttl time.Duration) (holder []byte, claimed bool, err error)

	// Replace stores value for ttl if the slot holds old, and else changes nothing and reports false.
	Replace(ctx context.Context, name SlotName, old, value []byte, ttl time.Duration) (replaced bool, err error)

	// ReadSlot returns what holds the slot. Errors: ErrNotFound.
	ReadSlot(ctx context.Context, name SlotName) ([]byte, error)
}

// IndexName names a list of sessions: Kind is a short lower-case word ("user", "sid"), Hash a keyed hash of what they have in
// common, so that a dump of the store tells nobody whose they are.
type IndexName struct {
	Kind string
	Hash [32]byte
}

// IndexEntry is a session on a list. The record may be gone by now: an index is a superset of the sessions that live, and none is
// trusted without its record.
type IndexEntry struct {
	ID ID
	// Expires is the absolute end of the session, to the millisecond.
	Expires time.Time
}

// Index finds the sessions that have a user or a provider's session in common. Safe for concurrent use. Errors and deadlines are as for
// Store: an error means "cannot tell", and the list may or may not have changed. A list lives as long as its longest entry; entries that have
// expired are dropped by the next Note.
type Index interface {
	// Note puts a session on each of the lists, replacing an entry of the same ID. It is called before the record is created, so that
	// no record lives that the index does not know.
	Note(ctx context.Context, names []IndexName, entry IndexEntry) error

	// Noted returns the entries of a list that have not expired, the one that ends first first; none is no error.
	Noted(ctx context.Context, name IndexName) ([]IndexEntry, error)

	// Forget takes a session off a list. That it is not there is no error.
	Forget(ctx context.Context, name IndexName, id ID) error
}

// IndexList is a list of sessions under its name.
type IndexList struct {
	Name    IndexName
	Entries []IndexEntry
}

// Lister is an optional interface of a Store that can go through all that it holds, at a cost that grows with it: for commands, never on a
// request's way. What is there from the beginning to the end is given, perhaps more than once; what comes or goes meanwhile
// may be. An error means that the rest cannot be told, and is the last that is given. What they keep meanwhile does not grow with what
// a shared store holds.
type Lister interface {
	// EachRecord goes through the IDs of all records, of every site.
	EachRecord(ctx context.Context) iter.Seq2[ID, error]

	// EachList goes through all lists of a kind, of every site, each with its entries as Noted gives them. What is no list is passed over.
	EachList(ctx context.Context, kind string) iter.Seq2[IndexList, error]
}
