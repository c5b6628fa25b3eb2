package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/session"
)

// event is one call of an observer.
type event struct {
	kind string // "armed", "changed" or "lost"
	id   session.ID
	sure time.Time
	at   time.Time
}

// observer records what it is told, and that the calls keep their order.
type observer struct {
	t    *testing.T
	busy atomic.Bool

	mu     sync.Mutex
	events []event
	armed  bool
}

func (o *observer) Armed()                { o.record(event{kind: "armed"}) }
func (o *observer) Changed(id session.ID) { o.record(event{kind: "changed", id: id}) }
func (o *observer) Lost(sure time.Time)   { o.record(event{kind: "lost", sure: sure}) }

func (o *observer) record(e event) {
	if !o.busy.CompareAndSwap(false, true) {
		o.t.Errorf("%s is told during another call", e.kind)
	}
	defer o.busy.Store(false)
	o.mu.Lock()
	defer o.mu.Unlock()
	e.at = time.Now()
	if armed := e.kind != "armed"; armed != o.armed {
		o.t.Errorf("%s is told while the channel is armed: %v", e.kind, o.armed)
	}
	if e.kind == "lost" && (e.sure.IsZero() || e.sure.After(e.at)) {
		o.t.Errorf("lost at %v, sure until %v", e.at, e.sure)
	}
	o.armed = e.kind == "armed" || e.kind == "changed"
	o.events = append(o.events, e)
}

// mark returns a moment for what follows: the number of calls so far.
func (o *observer) mark() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.events)
}

// since returns the calls after a mark.
func (o *observer) since(mark int) []event {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.events[mark:len(o.events):len(o.events)]
}

// has returns an error unless there was such a call since the mark.
func (o *observer) has(mark int, kind string, id session.ID) error {
	for _, e := range o.since(mark) {
		if e.kind == kind && e.id == id {
			return nil
		}
	}
	return fmt.Errorf("not told that %s", kind)
}

// isArmed returns an error unless changes are told now.
func (o *observer) isArmed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.armed {
		return fmt.Errorf("not armed")
	}
	return nil
}

// covers waits until a change need not be feared any more: it was told after before, or everything was forgotten since. Armed while the
// change was on its way counts, for a write that is tried again may have been done the first time, before the channel told anything.
func (o *observer) covers(what string, id session.ID, before int) {
	o.t.Helper()
	WaitFor(o.t, what+" to be told", func() error {
		if o.has(before, "armed", session.ID{}) == nil {
			return nil
		}
		return o.has(before, "changed", id)
	})
}

// change is a write that was answered, with the mark before it.
type change struct {
	id     session.ID
	before int
}

// cover waits until none of the changes need be feared.
func (o *observer) cover(what string, changes []change) {
	o.t.Helper()
	for _, c := range changes {
		o.covers(what, c.id, c.before)
	}
}

// observe watches the store until the test ends or stop is called, which waits until Watch has returned.
func (f fixture) observe(t *testing.T) (o *observer, stop func()) {
	t.Helper()
	watcher, ok := f.Store.(session.Watcher)
	if !ok {
		t.Fatal("the store is no session.Watcher")
	}
	o = &observer{t: t}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var watching sync.WaitGroup
	watching.Go(func() { watcher.Watch(ctx, o) })
	stop = func() { cancel(); watching.Wait() }
	t.Cleanup(stop)
	WaitFor(t, "the channel to be armed", o.isArmed)
	return o, stop
}
