package session

import (
	"context"
	"errors"
	"time"
)

// Recalled is a session as a verdict needs it.
type Recalled struct {
	Packed
	// Now is when the session was live, in the store's time.
	Now time.Time
	// Tokens are zero unless they were asked for, and then the access token and its expiry are known, but no other.
	Tokens Tokens
	// Derived is what the manager's Derive made of the session; nil without it.
	Derived any
	// Stale says that the store could not tell, and that this is what this replica last knew.
	Stale bool
}

// Loaded is a session that was just loaded for the cache.
type Loaded struct {
	Session Session
	Tokens  Tokens // zero unless they were asked for
	// Shares returns the same text as a part of what the cache keeps of the session anyway, or false when it is not there: texts that are derived need no
	// memory of their own then.
	Shares func(text string) (string, bool)
}

// Remembered is ParseToken, for sessions of this site, and Recall as far as they ask no store and so need no time; ok is false where that would have to be
// asked, and for whatever is not such a token. It is what most verdicts need.
//
// It computes no MAC. An ID is the SHA-256 of the whole token, with its MAC, and an entry of the cache was made of a record that opened with the token of that
// ID, which NewToken had signed for this purpose and the entry's site. So whoever finds one has brought the very bytes that are known to be genuine: a
// token of which anything is forged has another ID, finds nothing here, and is left to ParseToken. The hash takes the place of comparing the MAC in constant
// time, since nobody can choose an ID. What may have changed since is the ring: a key that is taken from it ends what it has signed, here too.
func (m *Manager) Remembered(text string, withTokens bool) (token Token, r Recalled, ok bool) {
	if !m.Cache.answers() {
		return Token{}, Recalled{}, false
	}
	if token, ok = m.Keyring.unverified(text); !ok {
		return Token{}, Recalled{}, false
	}
	id := token.ID()
	if m.Endings.Has(id) {
		return Token{}, Recalled{}, false
	}
	now := m.now()
	e, ok := m.Cache.peek(id, withTokens, now)
	if !ok || !m.owns(e) {
		return Token{}, Recalled{}, false
	}
	m.Cache.report(CacheHit)
	return token, e.recalled(id, now), true
}

// recalled is an entry as it is given out.
func (e *cached) recalled(id ID, now time.Time) Recalled {
	return Recalled{Packed: Packed{id, e}, Tokens: e.tokens(), Derived: e.derived, Now: now}
}

// owns reports whether an entry is of this site: others share the cache.
func (m *Manager) owns(e *cached) bool { return e.origin.Value().manager.Site == m.Site }

// Recall is Load, or LoadWithTokens, from this replica's memory where that is sure to be as the store has it, or where the store cannot tell and
// stale sessions may be used. Errors: as Load.
func (m *Manager) Recall(ctx context.Context, token Token, withTokens bool) (Recalled, error) {
	id := token.ID()
	if m.Endings.Has(id) {
		return Recalled{}, errEndedHere
	}
	now := m.now()
	if e, ok := m.Cache.get(id, withTokens, now); ok && m.owns(e) {
		return e.recalled(id, now), nil
	}
	e, live, err := m.reload(ctx, token, id, withTokens)
	if err == nil {
		return e.recalled(id, live), nil
	}
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		now := m.now()
		if e, ok := m.Cache.stale(id, withTokens, now); ok && m.owns(e) {
			recalled := e.recalled(id, now)
			recalled.Stale = true
			return recalled, nil
		}
	}
	return Recalled{}, err
}

// reload asks the store. What was made of the same record before is used again where there is nothing new in it: most of a load's cost is opening, and
// most records are as they were. It is the store's word all the same, and the keys' of this manager, which may be others by now. What another manager of the
// site derived, before the configuration was replaced, is not used. It tells when the session was live.
func (m *Manager) reload(ctx context.Context, token Token, id ID, withTokens bool) (*cached, time.Time, error) {
	asked := time.Now()
	begun, former := m.Cache.begin(id), m.Cache.former(id)
	if former != nil && (former.origin.Value().manager != m || former.withTokens != withTokens) {
		former = nil
	}
	load, lives := m.Store.Load, false
	if withTokens {
		load = m.Store.LoadWithTokens
	} else if former != nil && m.lasts(former, id) {
		load, lives = m.Store.LoadWithoutTTL, true
	}
	r, err := m.record(ctx, id, load)
	if err != nil {
		return nil, time.Time{}, err
	}
	now, digest := m.now(), r.digest()
	if lives {
		r.TTL = time.UnixMilli(former.idleExpires).Sub(now)
	}
	if former == nil || former.digest != digest || !m.Keyring.opens(r.Identity) {
		e, err := m.opened(token, r, withTokens)
		if err != nil {
			return nil, time.Time{}, m.notLoaded(id, err)
		}
		e.digest = digest
		m.Cache.keep(begun, id, e, asked)
		return e, now, nil
	}
	if !now.Before(r.Expires) {
		return nil, time.Time{}, m.notLoaded(id, errExpired)
	}
	if lives && !m.Cache.confirms() {
		return former, now, nil // there is nothing to note
	}
	e := *former
	e.idleExpires = r.idleExpires(now).UnixMilli()
	m.Cache.keep(begun, id, &e, asked)
	return &e, now, nil
}

// lasts reports whether a session that the store held some time ago is not about to end for want of use, if it is there at all: nobody shortens a life, so
// that what was left of it then is left at least, and whether it is to be touched need not be asked again.
func (m *Manager) lasts(e *cached, id ID) bool {
	now := m.now()
	return now.UnixMilli() < e.idleExpires && !m.TouchDue(Packed{id, e}, now)
}

// opened opens a record for the cache.
func (m *Manager) opened(token Token, r Record, withTokens bool) (*cached, error) {
	s, t, identity, err := m.open(token, r)
	if err != nil {
		return nil, err
	}
	if !withTokens {
		t = Tokens{}
	}
	e := m.pack(&s, identity, r.Format, t, withTokens)
	if m.Derive != nil {
		size := 0
		e.derived, size = m.Derive(Loaded{s, t, e.shares})
		e.derivedSize = uint32(size)
	}
	return e, nil
}
