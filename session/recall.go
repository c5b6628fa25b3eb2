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
	// Tokens are zero unless they were asked for; of those that the cache keeps only the access token and its expiry are known.
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
	var s Session
	var t Tokens
	var err error
	if withTokens {
		s, t, err = m.LoadWithTokens(ctx, token)
	} else {
		s, err = m.Load(ctx, token)
	}
	if err == nil {
		s.details = nil // no verdict needs them, and they would hold the whole record
		e := &cached{session: s, tokens: Tokens{AccessToken: t.AccessToken, Expiry: t.Expiry}, withTokens: withTokens, asked: asked}
		if m.Derive != nil {
			e.derived, e.derivedSize = m.Derive(s, t)
		}
		m.Cache.keep(begun, e)
		recalled := e.recalled(m.now())
		recalled.Tokens = t
		return recalled, nil
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
