package session

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Manager begins, loads and ends the sessions of one site. It is immutable after its first use and safe
// for concurrent use.
type Manager struct {
	Store   Store
	Keyring *Keyring
	// Slots and Index are needed to end sessions by user or by provider session; without an Index sessions are on no list.
	Slots Slots
	Index Index
	// Counter, unless nil, is told of users whose sessions are used.
	Counter Counter
	// Endings, unless nil, takes care of sessions whose end the store could not confirm.
	Endings *Endings
	// Cache, unless nil, serves Recall.
	Cache *Cache
	// Journal, unless nil, asserts again what a failover may have undone.
	Journal *Journal
	// MaxPerUser is how many sessions a user keeps, the newest; 0 means any number.
	MaxPerUser int
	// Site is the name of the site; sessions of another site are not found.
	Site string
	// IdleTimeout ends a session that is not used, AbsoluteTimeout one that is.
	IdleTimeout, AbsoluteTimeout time.Duration
	// Format tells the format of records to write, from OldestRecordFormat to RecordFormat, which nil stands for. It follows the other
	// replicas: see FormatToWrite.
	Format func() byte
	// Derive, unless nil, makes of a session what its verdicts need, and tells about how many bytes of memory that takes. Recall gives it to all who get the
	// session from the cache, so nobody may change it.
	Derive func(l Loaded) (derived any, size int)
	// Now is the store's clock, the only one by which sessions are measured; nil means time.Now.
	Now func() time.Time
}

// errEndedHere says that this replica has ended the session, whatever the store still holds.
var errEndedHere = fmt.Errorf("%w: it was ended here", ErrNotFound)

// errExpired says that the record's own end has come, whatever the store makes of it.
var errExpired = fmt.Errorf("%w: it has expired", ErrNotFound)

// Purposes of the two seals of a record.
const (
	sealIdentity = "record identity"
	sealTokens   = "record tokens"
)

func (m *Manager) now() time.Time {
	if m.Now == nil {
		return time.Now()
	}
	return m.Now()
}

func (m *Manager) format() byte {
	if m.Format == nil {
		return RecordFormat
	}
	return m.Format()
}

// Begin stores a new session and returns the token that opens it, always a new one. It sets the ID, version, site
// and times of the session that it returns. Errors: ErrTooLarge; any other means that the store
// could not confirm it and that the token must not be given out.
func (m *Manager) Begin(ctx context.Context, s Session, t Tokens) (Token, Session, error) {
	token := m.Keyring.NewToken(PurposeSession, m.Site)
	now := m.now()
	s.ID, s.Version, s.Site = token.ID(), 1, m.Site
	s.Created, s.Expires = now, now.Add(m.AbsoluteTimeout).Truncate(time.Millisecond)
	s.ClaimsAsked = now
	s.details = m.sealDetails(s)
	r, err := m.seal(token, &s, t, now)
	if err != nil {
		return Token{}, Session{}, err
	}
	if err := m.note(ctx, s); err != nil {
		return Token{}, Session{}, fmt.Errorf("begin session: index: %w", err)
	}
	if err := m.Store.Create(ctx, r); err != nil {
		return Token{}, Session{}, fmt.Errorf("begin session: %w", err)
	}
	m.seen(s, r.TTL)
	return token, s, nil
}

// Rotate replaces a session that has just been loaded by one with other claims and tokens; who it is, and when it ends, stays. It returns
// the session as it is now. Errors: ErrVersion when another replica has written meanwhile, ErrNotFound when the session
// has ended, ErrTooLarge; any other means that nobody can tell whether it was written.
func (m *Manager) Rotate(ctx context.Context, token Token, s Session, t Tokens) (Session, error) {
	s.Version++
	r, err := m.seal(token, &s, t, m.now())
	if err != nil {
		return Session{}, err
	}
	err = m.Store.Swap(ctx, r)
	m.Cache.Changed(s.ID)
	if err != nil {
		return Session{}, fmt.Errorf("rotate session: %w", err)
	}
	m.Journal.rotated(r)
	m.seen(s, r.TTL)
	return s, nil
}

// seal makes the record of a session and its tokens, and notes in the session what it has to know of them.
func (m *Manager) seal(token Token, s *Session, t Tokens, now time.Time) (Record, error) {
	if t.Expiry.IsZero() {
		s.AccessLife = 0
	} else if !t.Expiry.Equal(s.AccessExpires) { // else it is the token that was there before
		s.AccessLife = max(t.Expiry.Sub(now), 0)
	}
	s.AccessExpires, s.Refreshable = t.Expiry, t.RefreshToken != ""
	r := Record{ID: s.ID, Format: m.format(), Version: s.Version, Site: s.Site, Expires: s.Expires, Details: s.details, TTL: m.ttl(now, s.Expires)}
	s.IdleExpires = now.Add(r.TTL)
	plaintext, err := encodeIdentity(*s, r.Format)
	if err != nil {
		return Record{}, err
	}
	r.Identity = m.Keyring.Seal(sealIdentity, token.Secret(), r.associated(PartIdentity), plaintext)
	if t.empty() {
		return r, nil
	}
	secrets, err := encodeTokens(t, tokensContext(*s, plaintext))
	if err != nil {
		return Record{}, err
	}
	r.Tokens = m.Keyring.Seal(sealTokens, token.Secret(), r.associated(PartTokens), secrets)
	return r, nil
}

// Load returns the session that the token opens. Errors: ErrNotFound when there is none or it has
// expired, ErrCorrupt when it cannot be read; any other, ErrUnknownKey among them, means "cannot tell".
func (m *Manager) Load(ctx context.Context, token Token) (Session, error) {
	r, err := m.record(ctx, token.ID(), m.Store.Load)
	if err != nil {
		return Session{}, err
	}
	s, _, _, err := m.open(token, r)
	if err != nil {
		return Session{}, m.notLoaded(token.ID(), err)
	}
	return s, nil
}

// LoadWithTokens is Load, with the provider's tokens, which are zero for a session that has none.
// Errors: as Load.
func (m *Manager) LoadWithTokens(ctx context.Context, token Token) (Session, Tokens, error) {
	r, err := m.record(ctx, token.ID(), m.Store.LoadWithTokens)
	if err != nil {
		return Session{}, Tokens{}, err
	}
	s, t, _, err := m.open(token, r)
	if err != nil {
		return Session{}, Tokens{}, m.notLoaded(token.ID(), err)
	}
	return s, t, nil
}

// record asks the store.
func (m *Manager) record(ctx context.Context, id ID, load func(context.Context, ID) (Record, error)) (Record, error) {
	if m.Endings.Has(id) {
		return Record{}, errEndedHere
	}
	r, err := load(ctx, id)
	if err != nil {
		return Record{}, m.notLoaded(id, err)
	}
	return r, nil
}

// notLoaded has the cache forget a session of which the store knows that it is gone or spoilt, whatever the Watcher tells.
func (m *Manager) notLoaded(id ID, err error) error {
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) {
		m.Cache.Changed(id)
	}
	return fmt.Errorf("load session: %w", err)
}

// open checks and opens a record, and returns the plaintext of its identity, too. The record's own expiry counts, whatever the store's: a
// key whose expiry was taken away ends in time all the same.
func (m *Manager) open(token Token, r Record) (Session, Tokens, []byte, error) {
	if r.Site != m.Site {
		return Session{}, Tokens{}, nil, fmt.Errorf("%w: it belongs to another site", ErrNotFound)
	}
	identity, err := m.unseal(sealIdentity, token, r.associated(PartIdentity), r.Identity)
	if err != nil {
		return Session{}, Tokens{}, nil, err
	}
	now := m.now()
	if !now.Before(r.Expires) {
		return Session{}, Tokens{}, nil, errExpired
	}
	s, err := decodeIdentity(identity, r.Format)
	if err != nil {
		return Session{}, Tokens{}, nil, err
	}
	s.ID, s.Version, s.Site, s.Expires, s.details = r.ID, r.Version, r.Site, r.Expires, r.Details
	s.IdleExpires = r.idleExpires(now)
	t := Tokens{Expiry: s.AccessExpires}
	if r.Tokens == nil {
		return s, t, identity, nil
	}
	plaintext, err := m.unseal(sealTokens, token, r.associated(PartTokens), r.Tokens)
	if err != nil {
		return Session{}, Tokens{}, nil, fmt.Errorf("tokens: %w", err)
	}
	if t, err = decodeTokens(plaintext, tokensContext(s, identity)); err != nil {
		return Session{}, Tokens{}, nil, fmt.Errorf("tokens: %w", err)
	}
	t.Expiry = s.AccessExpires
	return s, t, identity, nil
}

// unseal opens a part. What does not open is corrupt; what another replica's key sealed is not.
func (m *Manager) unseal(purpose string, token Token, associated, sealed []byte) ([]byte, error) {
	plaintext, err := m.Keyring.Open(purpose, token.Secret(), associated, sealed)
	if errors.Is(err, ErrSealed) {
		err = fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return plaintext, err
}

// TouchDue reports whether Touch would write to the store at now, in the store's time.
func (m *Manager) TouchDue(p Packed, now time.Time) bool {
	s := p.entry.dates(p.id)
	return m.touchDue(&s, now)
}

func (m *Manager) touchDue(s *Session, now time.Time) bool {
	return s.IdleExpires.Sub(now) < m.IdleTimeout && s.IdleExpires.Before(s.Expires)
}

// Touch notes that the session was used. It writes to the store only once per tenth of the idle time: a record
// gets 1.1 times the idle time, and is touched when less than the idle time is left. It looks for a logout then that did not find
// the session. Errors: ErrNotFound when the session has ended; any other is not the user's trouble: the session is as valid as before.
func (m *Manager) Touch(ctx context.Context, s Session) error {
	now := m.now()
	if !m.touchDue(&s, now) {
		return nil
	}
	if err := m.endMissed(ctx, s); err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	life := m.ttl(now, s.Expires)
	err := m.Store.Touch(ctx, s.ID, life)
	m.Cache.Changed(s.ID)
	if err != nil {
		return fmt.Errorf("touch session: %w", err)
	}
	m.seen(s, life)
	return nil
}

// End deletes the session. An error means that the store could not confirm it: this replica refuses the session from now on
// and deletes it when the store answers (of 10,000 such at a time; see Endings), but on others it may still live.
func (m *Manager) End(ctx context.Context, id ID) error {
	err := m.Store.Delete(ctx, id)
	if err != nil && m.Endings != nil {
		m.Endings.add(id, m.AbsoluteTimeout)
	}
	m.Cache.Changed(id)
	if err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	m.Journal.ended(id)
	return nil
}

// EndSession is End for a session that was loaded, which it also takes off its lists. That this fails is no error: an
// index may list sessions that are gone.
func (m *Manager) EndSession(ctx context.Context, s Session) error {
	if err := m.End(ctx, s.ID); err != nil {
		return err
	}
	if m.Index == nil {
		return nil
	}
	for _, g := range groupsOf(s) {
		for _, name := range m.names(g) {
			m.Index.Forget(ctx, IndexName{g.Kind, name}, s.ID)
		}
	}
	return nil
}

// ttl is the life that a record used now gets: a tenth more than the idle time, so that one
// write serves many requests, and no more than the session's absolute end allows.
func (m *Manager) ttl(now, expires time.Time) time.Duration {
	return min(m.IdleTimeout+m.IdleTimeout/10, expires.Sub(now))
}
