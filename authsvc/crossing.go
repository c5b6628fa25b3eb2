package authsvc

import (
	"context"
	"crypto/sha256"
	"slices"
	"sync"
	"time"
)

// Replicas on another Redis, database or prefix are on another roster, and browsers go from one to the other: a login that began there
// ends here. So state seals the ID of the store, and which replica began the login; the first callback that crosses tells.
// The younger of the two closes, unless its config_generation is higher: then the change is meant. It opens again after a while, since whom it closed for
// may be gone, and nobody would tell it; if they are not, the next login that crosses closes it again.

// sightingLife is how long a replica that was met elsewhere is reported, and keeps a younger one closed, unless it is met again.
const sightingLife = attemptLife

// storeIDSpreads is how long it takes until every replica knows the ID that a newcomer gave to a store that was emptied: each asks at its heartbeat.
const storeIDSpreads = 2 * heartbeat

// maxSightings bounds how many are remembered; one is enough to tell.
const maxSightings = 4

// elsewhere is who was met on another store. Safe for concurrent use.
type elsewhere struct {
	mu   sync.Mutex
	met  []sighting
	seen map[string]time.Time
	// closedFor is the older replica that keeps this one closed, and closedAt when it was met.
	closedFor *sighting
	closedAt  time.Time
}

// meet takes note of a replica on another store, and whether this one closes because of it. It reports whether that is news.
func (e *elsewhere) meet(other sighting, closes bool, now time.Time) (news bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.seen == nil {
		e.seen = map[string]time.Time{}
	}
	if i := slices.IndexFunc(e.met, func(m sighting) bool { return m.ID == other.ID }); i >= 0 {
		e.met[i] = other
	} else {
		news = true
		e.met = append(e.met, other)
		for len(e.met) > maxSightings {
			delete(e.seen, e.met[0].ID)
			e.met = slices.Delete(e.met, 0, 1)
		}
	}
	e.seen[other.ID] = now
	if closes {
		news = news || e.closedFor == nil
		e.closedFor, e.closedAt = &other, now
	}
	return news
}

// forget drops who was not met for long, and who turns out to be on our store, whose ID this is. It returns the older replica that still keeps
// this one closed.
func (e *elsewhere) forget(ours [16]byte, now time.Time) *sighting {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closedFor != nil && (e.closedFor.Store == ours || now.Sub(e.closedAt) >= sightingLife) {
		e.closedFor = nil
	}
	e.met = slices.DeleteFunc(e.met, func(m sighting) bool {
		gone := m.Store == ours || now.Sub(e.seen[m.ID]) >= sightingLife
		if gone {
			delete(e.seen, m.ID)
		}
		return gone
	})
	return e.closedFor
}

// older returns the replica that keeps this one closed, nil when none does.
func (e *elsewhere) older() *sighting {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closedFor
}

func (e *elsewhere) all() []sighting {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.met)
}

// mark notes in an attempt where it begins.
func (s *Service) mark(site *site, a *attempt) {
	if identity, known := s.storeIDs.get(); known {
		a.Began = sighting{ID: s.id, Started: s.startedAt.Load(), Generation: site.config.ConfigGeneration, Store: identity.ID}
		a.Site = site.mark()
	}
}

// mark is a short hash of the public URL.
func (site *site) mark() [8]byte {
	sum := sha256.Sum256([]byte(site.publicURL))
	return [8]byte(sum[:])
}

// isOnAnotherStore reports whether a login began on another store than ours. An error means "cannot tell".
//
// Since a replica may close for it, it must be sure, whoever brings the state: that the other replica serves the same public URL, as one
// of another stage with the same secret does not; that the login began when this one had been running for a while, since both may have been started
// anew together with an empty store, or the other may have sealed the ID that the store had before this one gave it another; and that our store knows
// neither the ID, asked for again, nor the replica, since it may have been emptied and got another ID.
func (s *Service) isOnAnotherStore(ctx context.Context, site *site, a attempt) (bool, error) {
	if _, known := s.storeIDs.get(); !known || a.Began.Store == [16]byte{} || s.storeIDs.isOurs(a.Began.Store) {
		return false, nil // or never reached: whatever needs the store will say so
	}
	if a.Site != site.mark() || a.Expires.Add(-attemptLife-storeIDSpreads).UnixMilli() <= s.startedAt.Load() {
		return false, nil
	}
	if _, err := s.storeIDs.claim(ctx, s.store, s.store.Now()); err != nil {
		return false, err
	}
	if s.storeIDs.isOurs(a.Began.Store) {
		return false, nil
	}
	stored, err := s.store.Replicas(ctx)
	if err != nil {
		return false, err
	}
	if _, here := stored[a.Began.ID]; here {
		s.storeIDs.alsoOurs(a.Began.Store)
		return false, nil
	}
	return true, nil
}

// meet reports a replica on another store, and returns whether this one closes: it does if it is the younger one, and does not differ on
// purpose.
func (s *Service) meet(other sighting) (closes bool) {
	closes = younger(s.startedAt.Load(), s.id, other.Started, other.ID) && s.sites.Load().main.config.ConfigGeneration <= other.Generation
	if s.elsewhere.meet(other, closes, s.store.Now()) {
		event := s.log.Warn()
		consequence := "this one is older, or of a higher config_generation, and goes on"
		if closes {
			event, consequence = s.log.Error(), "this one is younger and takes no more requests"
		}
		event.Interface("drift", drift{driftStore: {other.ID}}).Msg("a login began at a replica that uses another Redis, database or prefix; " + consequence)
	}
	select {
	case s.crossed <- struct{}{}:
	default: // Join will look anyway
	}
	return closes
}
