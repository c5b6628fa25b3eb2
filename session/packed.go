package session

import (
	"math"
	"strings"
	"time"
	"unique"
)

// cached is an entry of the cache: a session as its record has it, decoded only as far as every verdict looks at it. There may be very many, so it has few
// pointers and nothing twice. It does not change once it is in the cache.
type cached struct {
	origin unique.Handle[origin]
	// packed is the plaintext of the record's identity, and behind it the access token.
	packed string
	// derived is what Manager.Derive made of it, in so many bytes.
	derived     any
	derivedSize uint32
	// identitySize is where the access token begins.
	identitySize uint32
	digest       digest // of the record that it was opened from
	version      uint64
	// In the store's time, as Unix milliseconds; accessExpires is 0 when unknown.
	expires, idleExpires, accessExpires, claimsAsked int64
	accessLife                                       uint32 // in milliseconds, and no more than there is room for: half of it bounds what is minutes
	format                                           byte
	refreshable, withTokens                          bool
	asked                                            time.Duration // when the store was asked, since the cache was made
	epoch                                            uint64
}

// origin is what many entries have in common.
type origin struct {
	manager *Manager // that derived
	issuer  string
}

// pack packs a session that was just opened from this plaintext, in this format.
func (m *Manager) pack(s *Session, identity []byte, format byte, t Tokens, withTokens bool) *cached {
	e := &cached{
		origin: unique.Make(origin{m, s.Issuer}), packed: string(identity) + t.AccessToken, identitySize: uint32(len(identity)),
		version: s.Version, expires: s.Expires.UnixMilli(), idleExpires: s.IdleExpires.UnixMilli(), claimsAsked: s.ClaimsAsked.UnixMilli(),
		accessLife: uint32(min(s.AccessLife.Milliseconds(), math.MaxUint32)), format: format, refreshable: s.Refreshable, withTokens: withTokens,
	}
	if !s.AccessExpires.IsZero() {
		e.accessExpires = s.AccessExpires.UnixMilli()
	}
	return e
}

// session decodes the entry.
func (e *cached) session(id ID) *Session {
	s, err := decodeIdentity([]byte(e.packed[:e.identitySize]), e.format)
	if err != nil {
		panic(err) // it was decoded when it came
	}
	s.ID, s.Version, s.Site = id, e.version, e.origin.Value().manager.Site
	s.Expires, s.IdleExpires = time.UnixMilli(e.expires), time.UnixMilli(e.idleExpires)
	return &s
}

// dates is a session with nothing but its dates, and what else says whether something is due for it.
func (e *cached) dates(id ID) Session {
	return Session{
		ID: id, Expires: time.UnixMilli(e.expires), IdleExpires: time.UnixMilli(e.idleExpires), AccessExpires: e.tokensExpire(),
		AccessLife: time.Duration(e.accessLife) * time.Millisecond, Refreshable: e.refreshable, ClaimsAsked: time.UnixMilli(e.claimsAsked),
	}
}

func (e *cached) tokensExpire() time.Time {
	if e.accessExpires == 0 {
		return time.Time{}
	}
	return time.UnixMilli(e.accessExpires)
}

// shares returns the same text as a part of what the entry has anyway, if it is there.
func (e *cached) shares(text string) (string, bool) {
	at := strings.Index(e.packed, text)
	if at < 0 {
		return "", false
	}
	return e.packed[at : at+len(text)], true
}

// tokens are those that a verdict may need: the access token.
func (e *cached) tokens() Tokens {
	if !e.withTokens {
		return Tokens{}
	}
	return Tokens{AccessToken: e.packed[e.identitySize:], Expiry: e.tokensExpire()}
}

// weight estimates the entry's memory in bytes.
func (e *cached) weight() uint32 {
	const fixed = 256 // the entry, its place in the table, and the eviction policy's books
	return uint32(min(fixed+len(e.packed)+int(e.derivedSize), math.MaxInt32))
}

// Packed is a session as the cache keeps it. The zero Packed is none. It is safe for concurrent use.
type Packed struct {
	id    ID
	entry *cached
}

// IsZero reports whether it is no session.
func (p Packed) IsZero() bool { return p.entry == nil }

// Issuer is the session's Issuer.
func (p Packed) Issuer() string { return p.entry.origin.Value().issuer }

// ID is the session's ID.
func (p Packed) ID() ID { return p.id }

// Version is the session's Version.
func (p Packed) Version() uint64 { return p.entry.version }

// Open decodes the session, which costs some microseconds: whoever needs it twice keeps it. It has nothing that is for lists alone. It is nil for the zero Packed.
func (p Packed) Open() *Session {
	if p.IsZero() {
		return nil
	}
	return p.entry.session(p.id)
}
