package session

import (
	"context"
	"errors"
	"time"
)

// Recalled is a session as a verdict needs it.
type Recalled struct {
	Session Session
	// Tokens are zero unless they were asked for; of those that the cache keeps only the access token and its expiry are known.
	Tokens Tokens
	// Derived is what the manager's Derive made of the session; nil without it.
	Derived any
	// Stale says that the store could not tell, and that this is what this replica last knew.
	Stale bool
}

// Recall is Load, or LoadWithTokens, from this replica's memory where that is sure to be as the store has it, or where the store cannot tell and
// stale sessions may be used. Errors: as Load.
func (m *Manager) Recall(ctx context.Context, token Token, withTokens bool) (Recalled, error) {
	id := token.ID()
	if m.Endings.Has(id) {
		return Recalled{}, errEndedHere
	}
	if e, ok := m.Cache.get(id, withTokens, m.now()); ok && e.session.Site == m.Site {
		return Recalled{Session: e.session, Tokens: e.tokens, Derived: e.derived}, nil
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
		return Recalled{Session: s, Tokens: t, Derived: e.derived}, nil
	}
	if !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrCorrupt) {
		if e, ok := m.Cache.stale(id, withTokens, m.now()); ok && e.session.Site == m.Site {
			return Recalled{Session: e.session, Tokens: e.tokens, Derived: e.derived, Stale: true}, nil
		}
	}
	return Recalled{}, err
}
