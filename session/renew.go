package session

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrRefused says that the provider will never renew these tokens again: the refresh token was used, revoked or has expired.
var ErrRefused = errors.New("session: the provider has ended it")

// RefreshFunc asks the provider to renew a session's tokens (RFC 6749, section 6), and returns the session with its claims as they
// are now. Errors: ErrRefused when the answer is final; any other means that a later try may succeed.
type RefreshFunc func(ctx context.Context, s Session, t Tokens) (Session, Tokens, error)

// ReviseFunc asks the provider for a session's claims as they are now, with tokens that are still good, and returns them. It has no error: a provider that cannot tell
// changes nothing.
type ReviseFunc func(ctx context.Context, s Session, t Tokens) (claims map[string]any)

// Results of a refresh, for metrics.
const (
	RefreshOK      = "ok"      // this replica renewed it
	RefreshShared  = "shared"  // another replica had renewed it
	RefreshRevoked = "revoked" // the provider has ended it, and so the session
	RefreshFailed  = "failed"  // the provider or the store could not be asked; tried again after the pause
)

// Renewer renews sessions with one request to the provider per session and token lifetime, however many requests and replicas see that
// it is due. In one process all wait for the same flight; among replicas the lease decides who flies. The work is detached from the
// request that started it. It is safe for concurrent use; its fields must not be changed after the first use.
type Renewer struct {
	Manager *Manager
	Slots   Slots
	Refresh RefreshFunc
	// Revise is called once per session and Interval, if that is not 0, while requests come: in the background, by one replica for all. A refresh counts as
	// such a call.
	Revise   ReviseFunc
	Interval time.Duration
	// Before is how long before the access token's end it is renewed, at most half of the token's life.
	Before time.Duration
	// Lease is how long a replica that vanished keeps others from trying; it is renewed at every third of it. 0 means 6 s.
	Lease time.Duration
	// Timeout bounds one request to the provider; 0 means 20 s.
	Timeout time.Duration
	// Pause is how long nobody tries again after a failure; 0 means 10 s.
	Pause time.Duration
	// Limit bounds the flights of this replica that are under way; 0 means 1000. What is due beyond it is renewed by a later request.
	Limit int
	// Running, unless nil, counts the flights that are under way: a process that ends before them loses tokens for which the old ones
	// are spent.
	Running *sync.WaitGroup
	// Report, unless nil, is told the result of each flight that has one, and what went wrong.
	Report func(result string, err error)

	mu      sync.Mutex
	flights map[ID]*flight // under way, or parked
	flying  int            // how many are under way
}

const (
	defaultLease   = 6 * time.Second
	defaultTimeout = 20 * time.Second
	defaultPause   = 10 * time.Second
	defaultLimit   = 1000
)

// Due reports whether the session's tokens should be renewed now. Sessions that began together fall due spread over a
// tenth of the time before.
func (r *Renewer) Due(s Session) bool { return r.due(&s, r.Manager.now()) }

func (r *Renewer) due(s *Session, now time.Time) bool {
	if !s.Refreshable || s.AccessExpires.IsZero() {
		return false
	}
	before := min(r.Before, s.AccessLife/2)
	spread := time.Duration(float64(before) / 10 * float64(s.ID[0]) / 256)
	return !now.Before(s.AccessExpires.Add(spread - before))
}

// Pending reports whether there is something to do for the session at now, in the store's time: its tokens are due, or its claims.
func (r *Renewer) Pending(p Packed, now time.Time) bool {
	s := p.entry.dates(p.id)
	return r.pending(&s, now)
}

func (r *Renewer) pending(s *Session, now time.Time) bool {
	return r.due(s, now) || r.reviseDue(s, now)
}

// reviseDue reports whether the session's claims should be asked for now, with an access token that is still good. Sessions that began together fall due
// spread over a tenth of the interval.
func (r *Renewer) reviseDue(s *Session, now time.Time) bool {
	if r.Interval <= 0 || expired(s, now) {
		return false
	}
	spread := time.Duration(float64(r.Interval) / 10 * float64(s.ID[0]) / 256)
	return !now.Before(s.ClaimsAsked.Add(r.Interval + spread))
}

// expired reports whether the access token's life is over; while it is not, nobody waits for anything.
func expired(s *Session, now time.Time) bool {
	return !s.AccessExpires.IsZero() && !now.Before(s.AccessExpires)
}

// Renew returns the session, renewed if it was due and that was possible in time. While the old access token is valid nobody
// waits; after that at most for wait. Neither the provider's trouble nor the store's makes an error: then the session is the one that
// was given, without valid tokens. Errors: ErrNotFound when the provider has ended the session.
func (r *Renewer) Renew(ctx context.Context, token Token, s Session, t Tokens, wait time.Duration) (Session, Tokens, error) {
	if !r.pending(&s, r.Manager.now()) {
		return s, t, nil
	}
	f := r.join(token, s)
	if f == nil {
		return s, t, nil
	}
	if !expired(&s, r.Manager.now()) {
		select {
		case <-f.done:
		default:
			return s, t, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	select {
	case <-f.done:
	case <-ctx.Done():
		return s, t, nil
	}
	switch {
	case f.err != nil:
		return Session{}, Tokens{}, f.err
	case f.session.Version > s.Version:
		return f.session, f.tokens, nil
	}
	return s, t, nil
}

// join returns the flight of the session, which it starts if there is none; nil when there are too many.
func (r *Renewer) join(token Token, s Session) *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f := r.flights[s.ID]; f != nil {
		return f
	}
	if r.flying >= orDefault(r.Limit, defaultLimit) {
		return nil
	}
	if r.flights == nil {
		r.flights = map[ID]*flight{}
	}
	f := &flight{renewer: r, token: token, seen: s, refreshes: r.Due(s), done: make(chan struct{})}
	r.flights[s.ID] = f
	r.flying++
	if r.Running != nil {
		r.Running.Add(1)
	}
	go f.fly()
	return f
}

// Flights returns how many renewals are under way in this replica; Limit bounds it.
func (r *Renewer) Flights() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.flying
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}
