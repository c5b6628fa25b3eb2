package authsvc

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"authsvc/session"
)

// How long a replica remembers what it found out about a bearer token. A token that its issuer revokes passes no longer than that; and never
// beyond its own end.
const (
	bearerMemory  = 30 * time.Second
	refusalMemory = 5 * time.Second
	failureMemory = time.Second // that nobody could tell
)

// Bounds on what strangers can make us keep and ask.
const (
	maxRefusals       = 10_000
	maxIntrospections = 100 // under way
)

// tokenVerdict is what is known of a bearer token: for whom it speaks, or why it does not pass.
type tokenVerdict struct {
	principal *session.Session
	refusal   *bearerRefusal
	size      int // an estimate of what principal's claims take, in bytes
}

// knownTokens remembers verdicts for a moment, by a hash of the token, and asks for each only once at a time. Good tokens and others are kept
// apart, so that no flood of the latter pushes the former out. It is safe for concurrent use.
type knownTokens struct {
	now           func() time.Time
	panicked      func(error) // is told of a panic of who asks
	good, refused *otter.Cache[session.ID, keptVerdict]

	mu      sync.Mutex
	flights map[session.ID]*tokenFlight
}

type keptVerdict struct {
	tokenVerdict
	until time.Time
}

// tokenFlight is a question under way; its verdict is there once done is closed.
type tokenFlight struct {
	done    chan struct{}
	verdict tokenVerdict
}

func newKnownTokens(now func() time.Time, panicked func(error)) *knownTokens {
	const fixed = 1000 // the session, its place in the table, and the eviction policy's books
	return &knownTokens{
		now: now, panicked: panicked,
		good: otter.Must(&otter.Options[session.ID, keptVerdict]{
			MaximumWeight: cacheBytesBeside(),
			Weigher:       func(_ session.ID, v keptVerdict) uint32 { return uint32(fixed + v.size) },
		}),
		refused: otter.Must(&otter.Options[session.ID, keptVerdict]{MaximumSize: maxRefusals}),
		flights: map[session.ID]*tokenFlight{},
	}
}

// get returns what is known of a token.
func (k *knownTokens) get(id session.ID) (tokenVerdict, bool) {
	v, ok := k.good.GetIfPresent(id)
	if !ok {
		v, ok = k.refused.GetIfPresent(id)
	}
	return v.tokenVerdict, ok && k.now().Before(v.until)
}

// keep remembers a verdict.
func (k *knownTokens) keep(id session.ID, v tokenVerdict) {
	now := k.now()
	if v.refusal == nil {
		until := now.Add(bearerMemory)
		if v.principal.Expires.Before(until) {
			until = v.principal.Expires
		}
		k.good.Set(id, keptVerdict{v, until})
		return
	}
	life := refusalMemory
	if v.refusal.outcome == Unavailable {
		life = failureMemory
	}
	k.refused.Set(id, keptVerdict{v, now.Add(life)})
}

// ask returns what find says of a token, and remembers it. Whoever brings the same token meanwhile gets the same answer. find goes on when all who
// wait for it have gone: the next request will want to know.
func (k *knownTokens) ask(ctx context.Context, id session.ID, find func(context.Context) tokenVerdict) tokenVerdict {
	k.mu.Lock()
	if v, ok := k.get(id); ok { // a flight has just landed
		k.mu.Unlock()
		return v
	}
	f, flying := k.flights[id]
	if !flying && len(k.flights) >= maxIntrospections {
		k.mu.Unlock()
		return tokenVerdict{refusal: cannotTellBearer(reasonAsking, errors.New("too many tokens are being asked about"))}
	}
	if !flying {
		f = &tokenFlight{done: make(chan struct{})}
		k.flights[id] = f
		go k.fly(context.WithoutCancel(ctx), id, f, find)
	}
	k.mu.Unlock()
	select {
	case <-f.done:
		return f.verdict
	case <-ctx.Done():
		return tokenVerdict{refusal: cannotTellBearer(reasonAsking, errors.New("the issuer has not answered yet"))}
	}
}

func (k *knownTokens) fly(ctx context.Context, id session.ID, f *tokenFlight, find func(context.Context) tokenVerdict) {
	defer func() {
		if cause := recover(); cause != nil { // no handler is there to answer it
			err := session.Panicked(cause)
			k.panicked(err)
			f.verdict = tokenVerdict{refusal: cannotTellBearer(reasonAsking, err)}
		}
		k.keep(id, f.verdict)
		k.mu.Lock()
		defer k.mu.Unlock()
		delete(k.flights, id)
		close(f.done)
	}()
	f.verdict = find(ctx)
}
