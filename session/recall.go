package session

import (
	"context"
	"errors"
	"time"
)

// Recalled is a session as a verdict needs it.
type Recalled struct {
	// Session is shared by all who recall it, so nobody may change it; nil when there is none.
	Session *Session
	// Now is when the session was live, in the store's time.
	Now time.Time
	// Tokens are zero unless they were asked for, and then the access token and its expiry are known, but no other.
	Tokens Tokens
	// Derived is what the manager's Derive made of the session; nil without it.
	Derived any
	// Stale says that the store could not tell, and that this is what this replica last knew.
	Stale bool
}

// Remembered is Recall as far as that asks no store, and so needs no time; ok is false where it would. It is what most verdicts need.
func (m *Manager) Remembered(token Token, withTokens bool) (r Recalled, ok bool) {
	id := token.ID()
	if m.Endings.Has(id) {
		return Recalled{}, false
	}
	now := m.now()
	e, ok := m.Cache.peek(id, withTokens, now)
	if !ok || e.session.Site != m.Site {
		return Recalled{}, false
	}
	m.Cache.report(CacheHit)
	return e.recalled(now), true
}

// recalled is an entry as it is given out.
func (e *cached) recalled(now time.Time) Recalled {
	return Recalled{Session: &e.session, Tokens: e.tokens, Derived: e.derived, Now: now}
}

// Recall is Load, or LoadWithTokens, from this replica's memory where that is sure to be as the store has it, or where the store cannot tell and
// stale sessions may be used. Errors: as Load.
func (m *Manager) Recall(ctx context.Context, token Token, withTokens bool) (Recalled, error) {
	id := token.ID()
	if m.Endings.Has(id) {
		return Recalled{}, errEndedHere
	}
	now := m.now()
	if e, ok := m.Cache.get(id, withTokens, now); ok && e.session.Site == m.Site {
		return e.recalled(now), nil
	}
	asked, begun := time.Now(), m.Cache.begin(id)
	r, err := m.record(ctx, token, withTokens)
	if err == nil {
		var e *cached
		if e, err = m.reopen(token, r, withTokens, asked, begun); err == nil {
			return e.recalled(m.now()), nil
		}
	}
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		now := m.now()
		if e, ok := m.Cache.stale(id, withTokens, now); ok && e.session.Site == m.Site {
			recalled := e.recalled(now)
			recalled.Stale = true
			return recalled, nil
		}
	}
	return Recalled{}, err
}

// reopen is open, which takes what it made of the same record before where there is nothing new in it: most of a load's cost is opening, and most records
// are as they were. The store's word it is all the same, and the keys' of this manager, which may be others by now.
func (m *Manager) reopen(token Token, r Record, withTokens bool, asked time.Time, begun moment) (*cached, error) {
	digest := r.digest()
	if e := m.Cache.former(r.ID); e != nil && e.digest == digest && e.withTokens == withTokens && e.session.Site == m.Site && m.Keyring.opens(r.Identity) {
		now := m.now()
		if !now.Before(r.Expires) {
			return nil, m.notLoaded(token, errExpired)
		}
		e := *e
		e.asked, e.session.IdleExpires = asked, r.idleExpires(now)
		m.Cache.confirm(begun, &e)
		return &e, nil
	}
	s, t, err := m.open(token, r)
	if err != nil {
		return nil, m.notLoaded(token, err)
	}
	if !withTokens {
		t = Tokens{}
	}
	s.details = nil // no verdict needs them, and they would hold the whole record
	e := &cached{session: s, tokens: Tokens{AccessToken: t.AccessToken, Expiry: t.Expiry}, withTokens: withTokens, asked: asked, digest: digest}
	if m.Derive != nil {
		e.derived, e.derivedSize = m.Derive(s, t)
	}
	m.Cache.keep(begun, e)
	return e, nil
}
