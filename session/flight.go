package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"time"
)

const (
	// leasePoll is how soon a replica that is told of no changes looks whether another one has renewed the session; it looks less and less
	// often, since a provider that takes long takes long for many.
	leasePoll, leasePollMax = 100 * time.Millisecond, time.Second
	// storePause is how long nobody tries after the store could not be asked.
	storePause = time.Second
	// saveRetryMin and saveRetryMax are the delays between tries to save new tokens while the store does not answer. The longest is
	// short: once the store answers, another replica would ask the provider with tokens that are spent.
	saveRetryMin, saveRetryMax = 50 * time.Millisecond, 500 * time.Millisecond
)

// flight is one renewal under way, or the pause after one that failed. Its result is published once, by closing done, and
// does not change afterwards.
type flight struct {
	renewer *Renewer
	token   Token
	seen    Session // as it was when the flight began
	// refreshes says that it is about the tokens, so that its result is one of a refresh. Only the flight itself reads it.
	refreshes bool

	done    chan struct{}
	session Session // the renewed session; its Version is 0 when there is none
	tokens  Tokens
	err     error // ErrNotFound: the session has ended
}

// landing is how a flight ends: its result for the metrics, "" if it has none of its own; what went wrong; and how long nobody should try
// again.
type landing struct {
	result string
	err    error
	pause  time.Duration
}

// publish lets those who wait go on with the result. Only the first call counts.
func (f *flight) publish(s Session, t Tokens, err error) {
	select {
	case <-f.done:
	default:
		f.session, f.tokens, f.err = s, t, err
		close(f.done)
	}
}

// fly renews the session, tells the result, and leaves the flight parked until nobody need wait any longer before the next try.
func (f *flight) fly() {
	r, id := f.renewer, f.seen.ID
	if r.Running != nil {
		defer r.Running.Done()
	}
	end := f.renewOrFail()
	if end.result != "" && f.refreshes && r.Report != nil {
		r.Report(end.result, end.err)
	}
	f.publish(Session{}, Tokens{}, nil) // whoever still waits has nothing to wait for
	r.mu.Lock()
	defer r.mu.Unlock()
	r.flying--
	if end.pause <= 0 {
		delete(r.flights, id)
		return
	}
	r.flights[id] = &flight{done: f.done} // without the session, since many may be parked while a provider is down
	time.AfterFunc(end.pause, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.flights, id)
	})
}

// renewOrFail is renew, with a panic as one more way to fail: no handler is there to answer it.
func (f *flight) renewOrFail() (end landing) {
	defer func() {
		if cause := recover(); cause != nil {
			f.refreshes = true
			end = landing{RefreshFailed, Panicked(cause), defaultPause}
		}
	}()
	return f.renew()
}

// renew does the work. It may take as long as the session could live, whatever becomes of the request that started it.
func (f *flight) renew() landing {
	ctx, cancel := context.WithTimeout(context.Background(), f.seen.Expires.Sub(f.renewer.Manager.now()))
	defer cancel()
	lease, end := f.lease(ctx)
	if lease == nil {
		return end
	}
	stop := lease.keep(ctx)
	end = f.renewLeased(ctx, lease)
	stop()
	if end.pause > 0 {
		if lease.tookOver {
			end.pause = max(end.pause, lease.life) // for the late write of the one that vanished: the next try knows nothing of it
		}
		lease.pause(ctx, end.pause)
	} else {
		lease.release(ctx)
	}
	return end
}

// lease gets the session's lease, or waits for the replica that holds it and takes its result. Without a lease the flight
// has ended.
func (f *flight) lease(ctx context.Context) (*heldLease, landing) {
	r := f.renewer
	for delay := leasePoll; ; delay = min(delay*5/4, leasePollMax) {
		lease, ends, err := acquireLease(ctx, r.Slots, f.seen.ID, r.Manager.now, orDefault(r.Lease, defaultLease))
		switch {
		case err == nil:
			return lease, landing{}
		case errors.Is(err, errPaused):
			return nil, landing{pause: ends.Sub(r.Manager.now())}
		case !errors.Is(err, errLeased):
			return nil, landing{RefreshFailed, err, storePause}
		}
		if valid := f.seen.AccessExpires.Sub(r.Manager.now()) - leasePoll; valid > leasePoll {
			// Nobody waits yet, and whoever loads the session finds the result.
			return nil, landing{pause: min(valid, ends.Sub(r.Manager.now()))}
		}
		if end, ended := f.awaitHolder(ctx, delay, ends); ended {
			return nil, end
		}
	}
}

// awaitHolder takes the result of the replica that holds the lease if it is there, or else sleeps until the record changes, and at most for delay
// where nobody would tell.
func (f *flight) awaitHolder(ctx context.Context, delay time.Duration, leaseEnds time.Time) (landing, bool) {
	m := f.renewer.Manager
	changed, stop := m.Cache.await(f.seen.ID) // first, so that nothing is missed between the load and the sleep
	defer stop()
	s, t, err := m.LoadWithTokens(ctx, f.token)
	if errors.Is(err, ErrNotFound) {
		f.publish(Session{}, Tokens{}, err)
		return landing{result: RefreshShared}, true
	}
	if err == nil && s.Version != f.seen.Version {
		f.publish(s, t, nil)
		return landing{result: RefreshShared}, true
	}
	if m.Cache.told() {
		// A holder that fails leaves a pause, of which no record tells.
		delay = max(leasePoll, min(leasePollMax, leaseEnds.Sub(m.now())))
	}
	select {
	case <-ctx.Done():
		return landing{RefreshFailed, ctx.Err(), 0}, true
	case <-changed:
	case <-time.After(delay):
	}
	return landing{}, false
}

// renewLeased asks the provider and saves its answer.
func (f *flight) renewLeased(ctx context.Context, lease *heldLease) landing {
	r := f.renewer
	// Now that nobody else is at it: was it done meanwhile?
	s, t, err := r.Manager.LoadWithTokens(ctx, f.token)
	switch {
	case errors.Is(err, ErrNotFound):
		f.publish(Session{}, Tokens{}, err)
		return landing{result: RefreshShared}
	case err != nil:
		return landing{RefreshFailed, err, storePause}
	case s.Version != f.seen.Version || !r.pending(&s, r.Manager.now()):
		f.publish(s, t, nil)
		return landing{result: RefreshShared}
	case !r.Due(s):
		return f.revise(ctx, s, t)
	}
	f.refreshes = true
	switch err := r.Manager.endMissed(ctx, s); {
	case errors.Is(err, ErrNotFound):
		f.publish(Session{}, Tokens{}, err)
		return landing{result: RefreshRevoked, err: err}
	case err != nil:
		return landing{RefreshFailed, err, storePause}
	}
	call, cancel := context.WithTimeout(ctx, orDefault(r.Timeout, defaultTimeout))
	defer cancel()
	renewed, tokens, err := r.Refresh(call, s, t)
	switch {
	case errors.Is(err, ErrRefused):
		return f.refused(ctx, s, lease, err)
	case err != nil:
		pause := orDefault(r.Pause, defaultPause)
		// Sessions that failed together shall not come back together.
		return landing{RefreshFailed, err, pause + rand.N(pause/10)}
	}
	renewed.ClaimsAsked = r.Manager.now()
	return f.save(ctx, t, renewed, tokens)
}

// revise asks for the claims and saves them. That it was asked is noted first, by the same compare-and-swap as everything: whatever becomes of the answer, or of
// this replica, nobody asks again before the interval is over.
func (f *flight) revise(ctx context.Context, s Session, t Tokens) landing {
	r := f.renewer
	s.ClaimsAsked = r.Manager.now()
	s, err := r.Manager.Rotate(ctx, f.token, s, t)
	if err == nil {
		call, cancel := context.WithTimeout(ctx, orDefault(r.Timeout, defaultTimeout))
		defer cancel()
		claims := r.Revise(call, s, t)
		if reflect.DeepEqual(claims, s.Claims) {
			f.publish(s, t, nil)
			return landing{}
		}
		s.Claims = claims
		s, err = r.Manager.Rotate(ctx, f.token, s, t)
	}
	switch {
	case err == nil:
		f.publish(s, t, nil)
		return landing{}
	case errors.Is(err, ErrNotFound):
		f.publish(Session{}, Tokens{}, err)
		return landing{}
	case errors.Is(err, ErrVersion):
		return landing{} // someone else has written, and theirs counts
	}
	return landing{pause: storePause}
}

// refused ends a session whose tokens the provider will not renew, unless it turns out that another replica has renewed
// them: a rotated refresh token is refused when it comes a second time. A holder that vanished may still write its answer; one more
// lease is waited for that.
func (f *flight) refused(ctx context.Context, s Session, lease *heldLease, refusal error) landing {
	r := f.renewer
	deadline := r.Manager.now()
	if lease.tookOver {
		deadline = deadline.Add(lease.life)
	}
	for {
		now, t, err := r.Manager.LoadWithTokens(ctx, f.token)
		switch {
		case errors.Is(err, ErrNotFound):
			f.publish(Session{}, Tokens{}, err)
			return landing{result: RefreshShared}
		case err != nil:
			return landing{RefreshFailed, err, storePause} // nobody can tell: nothing is ended
		case now.Version != s.Version:
			f.publish(now, t, nil)
			return landing{result: RefreshShared}
		case !r.Manager.now().Before(deadline):
			if err := r.Manager.End(ctx, s.ID); err != nil {
				return landing{RefreshFailed, err, storePause}
			}
			f.publish(Session{}, Tokens{}, fmt.Errorf("%w: %w", ErrNotFound, ErrRefused))
			return landing{result: RefreshRevoked, err: refusal}
		}
		select {
		case <-ctx.Done():
			return landing{RefreshFailed, ctx.Err(), 0}
		case <-time.After(leasePoll):
		}
	}
}

// save writes renewed tokens. While the store does not answer they are kept here, where the requests of this replica find them,
// and tried again until they are saved, refused or the session is over: the old ones are spent. spent are those that the provider was asked with.
func (f *flight) save(ctx context.Context, spent Tokens, renewed Session, t Tokens) landing {
	manager := f.renewer.Manager
	for delay := saveRetryMin; ; delay = min(2*delay, saveRetryMax) {
		saved, err := manager.Rotate(ctx, f.token, renewed, t)
		switch {
		case err == nil:
			f.publish(saved, t, nil)
			return landing{result: RefreshOK}
		case errors.Is(err, ErrNotFound):
			f.publish(Session{}, Tokens{}, err) // signed out meanwhile: the new tokens are nobody's
			return landing{result: RefreshShared}
		case errors.Is(err, ErrVersion):
			// Someone else has written, and theirs counts; or it was this flight, and the store's answer was lost.
			s, now, err := manager.LoadWithTokens(ctx, f.token)
			if err == nil && now.same(spent) {
				renewed.Version = s.Version // what they have written is not the tokens, and these must not be lost
				break
			}
			if err == nil {
				f.publish(s, now, nil)
			}
			if err == nil && now.same(t) {
				return landing{result: RefreshOK}
			}
			return landing{result: RefreshShared}
		case errors.Is(err, ErrTooLarge):
			return landing{RefreshFailed, err, orDefault(f.renewer.Pause, defaultPause)}
		}
		unsaved := renewed
		unsaved.Version++
		unsaved.AccessExpires = t.Expiry
		f.publish(unsaved, t, nil)
		select {
		case <-ctx.Done():
			return landing{RefreshFailed, err, 0}
		case <-time.After(delay):
		}
	}
}
