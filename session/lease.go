package session

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// A lease says which replica refreshes a session. It is a slot, and a hint that saves work: what keeps us
// correct is Swap, which a holder that lost its lease without noticing fails at like anyone else.
//
// The slot outlives the lease by as much again, so that whoever takes it over can tell a holder that vanished from one that
// is done: the vanished one may still write.
//
// After a failed try the lease stays as a pause, so that a provider that is down sees one try per session and pause, however
// many replicas and requests there are.

type leaseState byte

const (
	leaseHeld   leaseState = 'h'
	leasePaused leaseState = 'p'
)

// lease is what the slot holds: state, a random mark of the holder, and the end in the store's time.
type lease struct {
	state leaseState
	mark  [8]byte
	ends  time.Time
}

func (l lease) encode() []byte {
	b := append([]byte{byte(l.state)}, l.mark[:]...)
	return binary.BigEndian.AppendUint64(b, uint64(l.ends.UnixMilli()))
}

func decodeLease(value []byte) (lease, error) {
	if len(value) != 1+8+8 {
		return lease{}, fmt.Errorf("%w: a lease of %d bytes", ErrCorrupt, len(value))
	}
	return lease{
		state: leaseState(value[0]),
		mark:  [8]byte(value[1:]),
		ends:  time.UnixMilli(int64(binary.BigEndian.Uint64(value[9:]))),
	}, nil
}

func leaseSlot(id ID) SlotName { return SlotName{Kind: "lease", Hash: id} }

var (
	// errLeased says that another replica holds the lease.
	errLeased = errors.New("session: another replica refreshes it")
	// errPaused says that a try has just failed and that it is too early for the next.
	errPaused = errors.New("session: a refresh has just failed")
)

// heldLease is a lease that this replica holds.
type heldLease struct {
	slots Slots
	name  SlotName
	now   func() time.Time
	life  time.Duration
	lease
	// tookOver says that an earlier holder vanished: it may have had an answer that it has not written yet.
	tookOver bool
}

// acquireLease tries to get the lease of a session. Errors: errLeased and errPaused, both with the time of the lease's end;
// any other means "cannot tell".
func acquireLease(ctx context.Context, slots Slots, id ID, now func() time.Time, life time.Duration) (*heldLease, time.Time, error) {
	h := &heldLease{slots: slots, name: leaseSlot(id), now: now, life: life}
	h.state, h.ends = leaseHeld, now().Add(life)
	rand.Read(h.mark[:])
	value, claimed, err := slots.Claim(ctx, h.name, h.encode(), 2*life)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("lease: %w", err)
	}
	if claimed {
		return h, time.Time{}, nil
	}
	other, err := decodeLease(value)
	if err != nil {
		return nil, time.Time{}, err
	}
	if now().Before(other.ends) {
		if other.state == leasePaused {
			return nil, other.ends, errPaused
		}
		return nil, other.ends, errLeased
	}
	h.tookOver = other.state == leaseHeld
	taken, err := slots.Replace(ctx, h.name, value, h.encode(), 2*life)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("lease: %w", err)
	}
	if !taken {
		return nil, now().Add(life), errLeased
	}
	return h, time.Time{}, nil
}

// keep renews the lease at every third of its life until the returned function is called. A panic meanwhile ends the renewing, and is the caller's then.
func (h *heldLease) keep(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- Catch(func() error { h.renewUntil(ctx); return nil }) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			panic(err)
		}
	}
}

func (h *heldLease) renewUntil(ctx context.Context) {
	ticker := time.NewTicker(h.life / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			h.replace(ctx, leaseHeld, h.life)
		}
	}
}

// release gives the lease back.
func (h *heldLease) release(ctx context.Context) { h.slots.Replace(ctx, h.name, h.encode(), nil, 0) }

// pause leaves the lease as a pause for d.
func (h *heldLease) pause(ctx context.Context, d time.Duration) { h.replace(ctx, leasePaused, d) }

// replace changes the slot if it is still ours, or nobody's. That it is not, or that nobody can tell, is no error: then someone else
// refreshes too, and Swap decides.
func (h *heldLease) replace(ctx context.Context, state leaseState, life time.Duration) {
	next := h.lease
	next.state, next.ends = state, h.now().Add(life)
	kept := life
	if state == leaseHeld {
		kept = 2 * life
	}
	replaced, err := h.slots.Replace(ctx, h.name, h.encode(), next.encode(), kept)
	if err == nil && !replaced {
		replaced, err = h.regain(ctx, next, kept)
	}
	if err == nil && replaced {
		h.lease = next
	}
}

// regain takes the slot when it is gone, as after a failover, or holds a change of ours whose answer was lost.
func (h *heldLease) regain(ctx context.Context, next lease, kept time.Duration) (regained bool, err error) {
	value, claimed, err := h.slots.Claim(ctx, h.name, next.encode(), kept)
	if err != nil || claimed {
		return claimed, err
	}
	if held, err := decodeLease(value); err != nil || held.mark != h.mark {
		return false, err
	}
	return h.slots.Replace(ctx, h.name, value, next.encode(), kept)
}
