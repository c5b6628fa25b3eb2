package authsvc

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"time"

	"authsvc/session"
)

const (
	// admissionGrace is how long a newcomer waits for the store before it opens all the same: people then get the page that says that the
	// service does not answer, rather than none.
	admissionGrace = time.Second
	// After an error the store is asked again after joinRetryMin, twice that, and so on up to joinRetryMax.
	joinRetryMin = 100 * time.Millisecond
	joinRetryMax = time.Second
)

// standing is how this replica stands to the others.
type standing struct {
	// Admitted says that no other replica spoke against this one, once. It stays.
	Admitted bool
	// Opened says that the listener is open, or shall be.
	Opened bool
	// HeldBack is what keeps a newcomer from being admitted, nil when nothing does or nobody knows yet.
	HeldBack drift
	// Err says why the others cannot be asked.
	Err error
}

// Join announces this replica to those that share its store, again and again until ctx ends, and then takes its leave. It calls gate,
// from one goroutine, whenever the public listener shall open or close: open once this replica was found to agree with the others where
// all must, or after a second in which the store did not answer; closed while it differs, or is on another store than an older one.
func (s *Service) Join(ctx context.Context, gate func(open bool)) {
	j := &joining{Service: s, began: time.Now(), retry: joinRetryMin}
	s.startedAt.Store(s.store.Now().UnixMilli())
	s.roster.Store(&[]replica{s.self(storeIdentity{}, false)}) // until the others are known
	for ctx.Err() == nil {
		state, pause := j.beat(context.WithoutCancel(ctx)) // what was begun is told: an answer that is lost would leave us half announced
		if !state.Opened {
			s.standing.Store(state) // not ready first, then closed; and open first, then ready
		}
		if state.Opened != j.opened {
			j.opened = state.Opened
			gate(j.opened)
		}
		s.standing.Store(state)
		select {
		case <-ctx.Done():
		case <-s.crossed:
		case <-time.After(pause):
		}
	}
	if !j.reached {
		return
	}
	if err := s.store.Leave(context.WithoutCancel(ctx), s.id); err != nil {
		s.log.Warn().Err(err).Msg("cannot take leave; the other replicas will miss this one in a few seconds")
	}
}

// joining is what Join knows from one heartbeat to the next.
type joining struct {
	*Service
	began    time.Time
	reached  bool // the store, once
	admitted bool
	opened   bool
	held     drift
	told     drift // what was logged last
	toldHeld drift
	toldErr  bool
	retry    time.Duration
}

// beat announces this replica once, draws the conclusions, and returns them and the time until the next.
func (j *joining) beat(ctx context.Context) (*standing, time.Duration) {
	roster, err := j.announce(ctx)
	elsewhere := j.elsewhere.older()
	state := &standing{Admitted: j.admitted, HeldBack: j.held, Err: err}
	waited := time.Since(j.began)
	switch {
	case elsewhere != nil, len(j.held) > 0:
	case j.admitted, j.opened, err != nil && waited >= admissionGrace: // who opened by grace stays open while nobody is known to differ
		state.Opened = true
	}
	if err != nil {
		if !j.toldErr {
			j.log.Warn().Err(err).Msg("the other replicas cannot be asked; whether they agree is not known")
		}
		j.toldErr = true
		if state.Opened {
			j.sites.Load().markSigner(ctx) // it signs, though it may never get so far as to agree with others; an error is no news
		}
		pause := j.retry
		j.retry = min(2*j.retry, joinRetryMax)
		if left := admissionGrace - waited; left > 0 {
			pause = min(pause, left)
		}
		return state, pause
	}
	j.toldErr, j.retry = false, joinRetryMin
	j.roster.Store(&roster)
	j.tell(roster)
	return state, heartbeat * time.Duration(1+len(roster)/heartbeatCrowd)
}

// announce puts this replica on the roster. A newcomer asks to be admitted: it looks whom it meets, says that it is ready, and looks
// again. As the store takes announcements one after the other, of two that differ and come at once the second meets the first.
func (j *joining) announce(ctx context.Context) ([]replica, error) {
	identity, err := j.storeIDs.claim(ctx, j.store, j.store.Now())
	if err != nil {
		return nil, err
	}
	if before, now := j.elsewhere.older(), j.elsewhere.forget(identity.ID, j.store.Now()); before != nil && now == nil {
		j.log.Info().Str("replica", before.ID).Msg("the replica on another store is on ours now, or was not met for long; this one takes requests")
	}
	closed := j.elsewhere.older() != nil
	roster, err := j.say(ctx, identity, j.admitted && !closed)
	if err != nil {
		return nil, err
	}
	if !j.reached {
		j.reached = true // and so the store's clock is known
		j.startedAt.Store(j.store.Now().UnixMilli())
	}
	if j.admitted || closed {
		_, err := j.follow(ctx, roster)
		return roster, err
	}
	if err := j.lookForKeys(ctx); err != nil {
		return nil, err
	}
	if j.held = j.self(identity, false).heldBackBy(roster); len(j.held) > 0 {
		return j.say(ctx, identity, false) // again: with the keys that it lacks
	}
	if _, err := j.follow(ctx, roster); err != nil {
		return nil, err
	}
	if roster, err = j.say(ctx, identity, true); err != nil {
		return nil, err
	}
	if err := j.lookForKeys(ctx); err != nil { // again: whoever did not know of this replica before has left its marks by now
		return nil, err
	}
	if j.held = j.self(identity, true).heldBackBy(roster); len(j.held) > 0 {
		return j.say(ctx, identity, false)
	}
	if settled, err := j.follow(ctx, roster); err != nil {
		return nil, err
	} else if !settled {
		return j.say(ctx, identity, false) // somebody came in between; the next heartbeat begins anew
	}
	j.admitted = true
	for _, key := range *j.lacks.Swap(nil) {
		j.log.Warn().Time("until", key.Until.UTC()).Msg("a key that signed sessions until lately is not in cookie.secret: they are over")
	}
	return roster, nil
}

// follow makes this replica sign and write what all others read that take requests. That there is no common key is drift, and told as such.
// It reports whether all that is done.
func (j *joining) follow(ctx context.Context, roster []replica) (settled bool, err error) {
	others := slices.DeleteFunc(slices.Clone(roster), func(r replica) bool { return r.ID == j.id || !r.Ready })
	settled, err = j.agree(ctx, others)
	if errors.Is(err, session.ErrNoCommonKey) {
		err = nil
	}
	return settled, err
}

// lookForKeys takes note of the keys that are not on the ring of this replica, while it is not admitted.
func (j *joining) lookForKeys(ctx context.Context) error {
	lacks, err := j.lackedKeys(ctx)
	if err == nil {
		j.lacks.Store(&lacks)
	}
	return err
}

// say announces this replica, ready or not, and returns the roster.
func (j *joining) say(ctx context.Context, identity storeIdentity, ready bool) ([]replica, error) {
	life := replicaLife
	if known := j.roster.Load(); known != nil {
		life *= time.Duration(1 + len(*known)/heartbeatCrowd)
	}
	me := j.self(identity, ready)
	if ready {
		me.Lacks = nil
	}
	stored, err := j.store.Announce(ctx, j.id, me.encode(), life)
	if err != nil {
		return nil, err
	}
	return parseRoster(stored), nil
}

// self is what this replica announces.
func (s *Service) self(identity storeIdentity, ready bool) replica {
	site := s.sites.Load().main
	prints := fingerprint(site.config, site.keyring, identity.Salt[:])
	var lacks []string
	if marks := s.lacks.Load(); marks != nil {
		lacks = keyNames(*marks)
	}
	return replica{ID: s.id, announcement: announcement{
		Version: s.version, Started: s.startedAt.Load(), Ready: ready, Generation: site.config.ConfigGeneration,
		Reads: session.RecordFormat, Writes: int(s.formatToAnnounce()),
		Store: identity.ID, Keys: prints.Keys, Settings: prints.Settings, Secrets: prints.Secrets, Elsewhere: s.elsewhere.all(), Lacks: lacks,
	}}
}

// tell logs what has changed: once when this replica is held back, and once when it differs from others.
func (j *joining) tell(roster []replica) {
	if !reflect.DeepEqual(j.held, j.toldHeld) && len(j.held)+len(j.toldHeld) > 0 {
		if len(j.held) > 0 {
			event := j.log.Error().Interface("drift", j.held)
			if until := j.keyNeeded(roster); !until.IsZero() {
				event = event.Time("key_needed_until", until)
			}
			event.Msg("held back: this replica differs from others where all must agree; it takes no requests until " +
				"they are gone or agree, or until it is started with a higher config_generation")
		} else {
			j.log.Info().Msg("admitted: no other replica differs any more where all must agree")
		}
	}
	j.toldHeld = j.held
	identity, _ := j.storeIDs.get()
	found := j.self(identity, j.admitted).driftFrom(roster)
	if maps.EqualFunc(found, j.told, slices.Equal) {
		return
	}
	if len(found) > 0 {
		j.log.Warn().Interface("drift", found).Msg("replicas differ in settings that they should share")
	} else {
		j.log.Info().Msg("replicas agree again")
	}
	j.told = found
}
