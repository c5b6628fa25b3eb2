package session

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrCorrupt says that something is stored under a session's name that is no readable record:
// garbage, a truncated value, one that does not open, or another session's. The session is lost; nothing else is.
var ErrCorrupt = errors.New("session: record is corrupt")

// ErrForeign says that the store answered with what belongs to another session. It means "cannot tell":
// a connection that hands out other people's answers says nothing about this session. An adapter that is sure of
// having read what is stored under this ID says ErrCorrupt instead.
var ErrForeign = errors.New("session: the store answered with another session's record")

// Record is a session as a store sees it: two sealed parts and what a store must know to keep them.
// A verdict needs the first part only; tokens are large and rarely read. What a store has read is shared: its bytes must not be changed.
type Record struct {
	ID ID
	// Format says how the parts are written, from OldestRecordFormat to RecordFormat, which 0 stands for in a write.
	Format byte
	// Version counts the writes of this record, from 1. Swap compares it.
	Version uint64
	// Site is the name of the site that the session belongs to, at most 255 bytes.
	Site string
	// Expires is the end of the session whatever its use, in the store's time, to the millisecond.
	Expires time.Time
	// Details are what a list of sessions tells of this one, sealed for those who have no token; at most MaxDetails bytes, may be empty.
	Details []byte
	// Identity is the sealed part that a verdict needs.
	Identity []byte
	// Tokens is the sealed part with the provider's tokens; nil when there are none, and after Load.
	Tokens []byte
	// TTL is how long the store keeps the record from now on unless it is touched: in a write what it shall
	// get, in a read what is left of it.
	TTL time.Duration
}

// Part names one of a record's two stored values.
type Part byte

const (
	// PartIdentity is the value that a verdict reads.
	PartIdentity Part = 'i'
	// PartTokens is the value that a refresh and a logout read as well.
	PartTokens Part = 't'
)

// A stored value starts with a header in the clear: format, version, the first bytes of the ID, absolute
// expiry and site. In the value of the identity the length of the details and these follow, in both the sealed part. All that
// stands before it is associated data of the seal, so none of it can be changed or moved.
const (
	// HeaderVersion is the number of leading bytes of a stored value that hold its format, in the first, and its version.
	HeaderVersion = 1 + 8

	idCheckSize = 8
	headerSize  = HeaderVersion + idCheckSize + 8 + 1 // and the site
	detailsSize = 2                                   // and the details
)

// MaxDetails bounds the details of a record, in bytes.
const MaxDetails = 1024

// AppendVersion appends the bytes of a version as they stand behind the format.
func AppendVersion(b []byte, version uint64) []byte { return binary.BigEndian.AppendUint64(b, version) }

// Replaceable reports whether a stored value is of this version and in a format that this release reads. A store looks at
// nothing else before it overwrites one.
func Replaceable(value []byte, version uint64) bool {
	return len(value) >= HeaderVersion && value[0] >= OldestRecordFormat && value[0] <= RecordFormat &&
		binary.BigEndian.Uint64(value[1:]) == version
}

// headerRoom is how long what stands before a sealed part is at most.
func (r Record) headerRoom() int { return headerSize + len(r.Site) + detailsSize + len(r.Details) }

// appendHeader appends what stands before the sealed part in a stored value.
func (r Record) appendHeader(b []byte, part Part) []byte {
	b = append(b, cmp.Or(r.Format, RecordFormat))
	b = AppendVersion(b, r.Version)
	b = append(b, r.ID[:idCheckSize]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Expires.UnixMilli()))
	b = append(b, byte(len(r.Site)))
	b = append(b, r.Site...)
	if part == PartIdentity {
		b = binary.BigEndian.AppendUint16(b, uint16(len(r.Details)))
		b = append(b, r.Details...)
	}
	return b
}

// Encode returns the stored value of one part.
func (r Record) Encode(part Part) []byte {
	sealed := r.Identity
	if part == PartTokens {
		sealed = r.Tokens
	}
	return append(r.appendHeader(make([]byte, 0, r.headerRoom()+len(sealed)), part), sealed...)
}

// DecodeRecord reads a record from its stored values: identity, and tokens unless nil. It checks
// that they are well-formed, of this ID, and of one version. Errors: ErrCorrupt; ErrLaterFormat for a value of this ID only;
// ErrForeign for a value in this format and of another ID. Every adapter reads through it.
func DecodeRecord(id ID, identity, tokens []byte) (Record, error) {
	r, rest, err := decodeValue(id, identity)
	if err != nil {
		return Record{}, err
	}
	if len(rest) < detailsSize {
		return Record{}, ErrCorrupt
	}
	n := int(binary.BigEndian.Uint16(rest))
	if rest = rest[detailsSize:]; n > MaxDetails || len(rest) <= n {
		return Record{}, ErrCorrupt
	}
	if n > 0 {
		r.Details = rest[:n:n]
	}
	r.Identity = rest[n:]
	if tokens == nil {
		return r, nil
	}
	t, rest, err := decodeValue(id, tokens)
	if err != nil {
		return Record{}, fmt.Errorf("tokens: %w", err)
	}
	if t.Format != r.Format || t.Version != r.Version || t.Site != r.Site || !t.Expires.Equal(r.Expires) {
		return Record{}, fmt.Errorf("%w: its parts are of versions %d and %d", ErrCorrupt, r.Version, t.Version)
	}
	r.Tokens = rest
	return r, nil
}

// decodeValue reads the header of a stored value, and returns what follows it. Format, version and the bytes of the ID stand at the
// same place in every format, so that garbage is not taken for the record of a later release.
func decodeValue(id ID, value []byte) (Record, []byte, error) {
	if len(value) < HeaderVersion+idCheckSize || value[0] < OldestRecordFormat {
		return Record{}, nil, ErrCorrupt
	}
	mine := [idCheckSize]byte(value[HeaderVersion:]) == [idCheckSize]byte(id[:])
	switch {
	case value[0] > RecordFormat && mine:
		return Record{}, nil, ErrLaterFormat
	case value[0] > RecordFormat || len(value) < headerSize:
		return Record{}, nil, ErrCorrupt
	case !mine:
		return Record{}, nil, ErrForeign
	}
	r := Record{ID: id, Format: value[0], Version: binary.BigEndian.Uint64(value[1:])}
	r.Expires = time.UnixMilli(int64(binary.BigEndian.Uint64(value[HeaderVersion+idCheckSize:])))
	rest := value[headerSize:]
	siteLength := int(value[headerSize-1])
	if r.Version == 0 || len(rest) <= siteLength {
		return Record{}, nil, ErrCorrupt
	}
	r.Site = string(rest[:siteLength])
	return r, rest[siteLength:], nil
}

// idleExpires is when a record that was read at now ends unless it is touched.
func (r Record) idleExpires(now time.Time) time.Time {
	if ends := now.Add(r.TTL); ends.Before(r.Expires) {
		return ends
	}
	return r.Expires
}

// digest identifies what a record was read from, byte for byte: the stored value, or both where there were two. Half of SHA-256 is enough, as nobody
// finds another value that has the digest of a given one.
type digest [sha256.Size / 2]byte

func (r Record) digest() digest {
	var room [1 << 10]byte // most records fit
	b := append(r.appendHeader(room[:0], PartIdentity), r.Identity...)
	if r.Tokens != nil {
		b = append(append(b, r.Tokens...), byte(PartTokens)) // their header is the identity's; see DecodeRecord
	}
	b = binary.BigEndian.AppendUint64(b, uint64(len(r.Identity))) // no two records give the same bytes
	sum := sha256.Sum256(b)
	return digest(sum[:])
}

// associated is what the seal of a part covers besides its contents: which part it is, the whole
// ID and what stands before it.
func (r Record) associated(part Part) []byte {
	b := append(make([]byte, 0, 1+len(r.ID)+r.headerRoom()), byte(part))
	return r.appendHeader(append(b, r.ID[:]...), part)
}
