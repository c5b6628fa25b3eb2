package authsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"authsvc/session"
)

const (
	// slotLife is how long logins of one browser that began at the same state end on one record.
	slotLife = time.Minute

	sealSlot = "browser slot"
)

// settle makes logins that finish at the same moment in one browser end on one record. Their callbacks may cross,
// on different replicas, so that neither sees the other's cookie; but each writes the browser's slot after its own exchange and record,
// and who comes second takes the session of who came first and gives up its own.
//
// The slot is named by the login cookie and the session that both logins replace, and sealed with the login
// cookie. It only ever stands in for a session that the same login earned by itself: another user's, or one
// of another authentication context or too old for what this login was asked for, is not taken. So a login cookie that someone planted gives them nothing.
func (s *Service) settle(ctx context.Context, site *site, login session.Token, a attempt, token session.Token, made session.Session) (session.Token, error) {
	name := site.slotName(login, a.Former)
	value := site.keyring.Seal(sealSlot, login.Secret(), name.Hash[:], []byte(token.Reveal()))
	for {
		holder, claimed, err := s.store.Claim(ctx, name, value, site.slotLife())
		if err != nil || claimed {
			return token, err
		}
		first, other, err := s.latest(ctx, site, login, name, holder)
		switch {
		case err == nil && other.ID == made.ID:
			return token, nil // the claim was ours, and its answer was lost
		case err == nil && other.Issuer == made.Issuer && other.Subject == made.Subject && other.ACR == made.ACR && a.demand.met(other.ACR, other.AuthTime, s.store.Now()):
			// The person is signed in either way; a record that could not be deleted has nobody who holds its token.
			site.sessions.End(ctx, made.ID)
			return first, nil
		case err != nil && !isGone(err):
			return token, err
		}
		replaced, err := s.store.Replace(ctx, name, holder, value, site.slotLife())
		if err != nil || replaced {
			return token, err
		}
		// A third login was faster, or the slot has just expired: look again, until ctx ends.
	}
}

// latest returns the session that a slot names or, when a later login of the browser has replaced that one, its successor: its slot is
// named after the session that is gone.
func (s *Service) latest(ctx context.Context, site *site, login session.Token, name session.SlotName, value []byte) (session.Token, session.Session, error) {
	for {
		token, err := site.openSlot(login, name, value)
		if errors.Is(err, session.ErrLaterFormat) || errors.Is(err, session.ErrUnknownKey) {
			return session.Token{}, session.Session{}, err // nobody here can tell
		}
		if err != nil {
			return session.Token{}, session.Session{}, fmt.Errorf("%w: %w", session.ErrCorrupt, err)
		}
		found, err := site.sessions.Load(ctx, token)
		if err == nil || !isGone(err) {
			return token, found, err
		}
		name = site.slotName(login, token.ID())
		if value, err = s.store.ReadSlot(ctx, name); err != nil {
			return session.Token{}, session.Session{}, err
		}
	}
}

// slotLife is how long a slot waits for other tabs. With form_post a callback is a cross-site request that brings no Lax session
// cookie: the slot alone tells a tab that another one has finished, however much later it does.
func (site *site) slotLife() time.Duration {
	if site.provider.formPost {
		return attemptLife
	}
	return slotLife
}

func (site *site) slotName(login session.Token, former session.ID) session.SlotName {
	return session.SlotName{Kind: "slot", Hash: hashOf([]byte(site.name), login.Secret(), former[:])}
}

func (site *site) openSlot(login session.Token, name session.SlotName, value []byte) (session.Token, error) {
	text, err := site.keyring.Open(sealSlot, login.Secret(), name.Hash[:], value)
	if err != nil {
		return session.Token{}, err
	}
	return site.keyring.ParseToken(session.PurposeSession, site.name, string(text))
}
