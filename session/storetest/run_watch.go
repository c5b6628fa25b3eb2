package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/session"
)

// lossBound is within what time a channel that fell silent is told to be lost, by the contract.
const lossBound = 1200 * time.Millisecond

// RunWatch checks the contract of session.Watcher.
func RunWatch(t *testing.T, h Harness) {
	for _, s := range watchTests {
		t.Run(s.name, func(t *testing.T) { s.run(t, h.begin(t)) })
	}
	for name, br := range h.Breaks {
		t.Run("is armed again after "+name, func(t *testing.T) { watchBreak(t, h.begin(t), br) })
	}
	for name, fault := range h.Faults {
		t.Run("tells that it is lost while "+name, func(t *testing.T) { watchFault(t, h.begin(t), fault) })
	}
}

var watchTests = []subtest{
	{"tells what this process writes", func(t *testing.T, f fixture) {
		o, _ := f.observe(t)
		f.writesAreTold(t, o, f.Store)
	}},
	{"tells what another process writes", func(t *testing.T, f fixture) {
		if f.Twin == nil {
			return // nobody else can
		}
		o, _ := f.observe(t)
		f.writesAreTold(t, o, f.Twin(t))
	}},
	{"tells every one of many", func(t *testing.T, f fixture) {
		o, _ := f.observe(t)
		var mu sync.Mutex
		changes := []change{}
		together(func(int) {
			for range 4 * rounds {
				r := f.record(f.long)
				if err := f.Store.Create(t.Context(), r); err != nil {
					t.Error(err)
				}
				c := change{id: r.ID, before: o.mark()}
				if err := f.Store.Delete(t.Context(), r.ID); err != nil {
					t.Error(err)
				}
				mu.Lock()
				changes = append(changes, c)
				mu.Unlock()
			}
		})
		o.cover("each delete", changes)
	}},
	{"tells to several who watch", func(t *testing.T, f fixture) {
		first, stop := f.observe(t)
		second, _ := f.observe(t)
		f.writesAreTold(t, first, f.Store)
		stop()
		f.writesAreTold(t, second, f.Store)
	}},
	{"tells of identities only", func(t *testing.T, f fixture) {
		o, _ := f.observe(t)
		r, other := f.create(t), f.create(t)
		before := o.mark()
		f.touchAndDelete(t, o, other.ID)
		first := o.mark()
		f.Put(t, r.ID, session.PartTokens, r.Encode(session.PartTokens), f.long)
		f.note(t, f.entry(f.long), newList("user"))
		if err := must(f.Store.Claim(t.Context(), newSlot("kind"), []byte("one"), f.long)); err != nil {
			t.Fatal(err)
		}
		last := f.create(t)
		f.touchAndDelete(t, o, last.ID)
		for _, e := range o.since(first) {
			if e.kind == "changed" && e.id != last.ID && e.id != other.ID {
				t.Errorf("told of %s, which nobody changed", e.id)
			}
		}
		if len(o.since(before)) == 0 {
			t.Error("nothing was told")
		}
	}},
	{"tells that a record expired when that is noticed", func(t *testing.T, f fixture) {
		if !f.TellsAll {
			return // nobody writes when a record expires
		}
		o, _ := f.observe(t)
		r := f.createFor(t, f.life)
		before := o.mark()
		f.outlive(t)
		f.gone(t, r.ID)
		o.covers("expiry", r.ID, before)
	}},
	{"tells that everything is gone", func(t *testing.T, f fixture) {
		if f.Empty == nil || !f.TellsAll {
			return
		}
		o, _ := f.observe(t)
		f.create(t)
		before := o.mark()
		f.Empty(t)
		WaitFor(t, "lost and armed", func() error {
			if err := o.has(before, "lost", session.ID{}); err != nil {
				return err
			}
			return o.isArmed()
		})
		f.writesAreTold(t, o, f.Store)
	}},
	{"ends with its context", func(t *testing.T, f fixture) {
		r := f.create(t)
		o, stop := f.observe(t)
		f.touchAndDelete(t, o, r.ID)
		stop()
		if o.isArmed() == nil {
			t.Error("it is armed when nobody watches any more")
		}
		end := o.mark()
		// A store may start something of its own when it is used, so that it is not the first watch that counts, and not a single goroutine.
		const times = 8
		goroutines := runtime.NumGoroutine()
		for range times {
			_, stop := f.observe(t)
			stop()
		}
		WaitFor(t, "its goroutines to end", func() error {
			if n := runtime.NumGoroutine(); n >= goroutines+times {
				return fmt.Errorf("%d, there were %d before %d watches", n, goroutines, times)
			}
			return nil
		})
		if told := o.since(end); len(told) > 0 {
			t.Errorf("%d calls came after the end", len(told))
		}
	}},
	{"ends before it is armed", func(t *testing.T, f fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		o := &observer{t: t}
		f.Store.(session.Watcher).Watch(ctx, o)
		if o.isArmed() == nil {
			t.Error("it is armed when nobody watches any more")
		}
	}},
}

// writesAreTold checks that each write by a store is told.
func (f fixture) writesAreTold(t *testing.T, o *observer, by Store) {
	t.Helper()
	r := f.record(f.long)
	if err := by.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	second := next(r)
	for _, write := range []struct {
		name string
		run  func() error
	}{
		{"Swap", func() error { return by.Swap(t.Context(), second) }},
		{"Touch", func() error { return by.Touch(t.Context(), r.ID, 2*f.long) }},
		{"Delete", func() error { return by.Delete(t.Context(), r.ID) }},
	} {
		f.told(t, o, write.name, r.ID, write.run)
	}
}

// told runs a write, again until it succeeds, and waits until it was told.
func (f fixture) told(t *testing.T, o *observer, name string, id session.ID, write func() error) {
	t.Helper()
	before := o.mark()
	WaitFor(t, name, write)
	o.covers(name, id, before)
}

func (f fixture) touchAndDelete(t *testing.T, o *observer, id session.ID) {
	t.Helper()
	f.told(t, o, "Touch", id, func() error { return f.Store.Touch(t.Context(), id, 2*f.long) })
	f.told(t, o, "Delete", id, func() error { return f.Store.Delete(t.Context(), id) })
}

// watchBreak checks that a channel that broke is told to be lost, that it is armed again, and that no change is missed of all that are made meanwhile.
func watchBreak(t *testing.T, f fixture, br func(*testing.T, Instance)) {
	o, _ := f.observe(t)
	r := f.create(t)
	by := f.Store
	if f.Twin != nil {
		by = f.Twin(t)
	}
	f.told(t, o, "Touch", r.ID, func() error { return by.Touch(t.Context(), r.ID, 2*f.long) })

	var changes []change
	var made atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	var writing sync.WaitGroup
	writing.Go(func() {
		for pace := time.NewTicker(3 * time.Millisecond); ctx.Err() == nil; <-pace.C {
			r := f.record(f.long)
			if by.Create(ctx, r) != nil {
				continue
			}
			c := change{id: r.ID, before: o.mark()}
			if by.Touch(ctx, r.ID, 2*f.long) == nil {
				changes = append(changes, c)
				made.Add(1)
			}
		}
	})
	defer writing.Wait()
	defer cancel()
	more := func() {
		t.Helper()
		start := made.Load()
		WaitFor(t, "one more change", func() error {
			if made.Load() == start {
				return errors.New("none was made")
			}
			return nil
		})
	}
	more()

	before, began := o.mark(), time.Now()
	br(t, f.Instance)
	WaitFor(t, "lost", func() error { return o.has(before, "lost", session.ID{}) })
	lost := time.Since(began)
	WaitFor(t, "armed again", o.isArmed)
	t.Logf("lost after %v, armed again after %v", lost, time.Since(began))
	WaitFor(t, "the record to be read", func() error { _, err := f.Store.Load(t.Context(), r.ID); return err })
	f.touchAndDelete(t, o, r.ID)
	more() // a channel that is armed again at once leaves no time for one
	cancel()
	writing.Wait()
	o.cover("each change that was made", changes)
}

// watchFault checks that a channel is told to be lost while the store cannot answer, in time, and that it is armed again when that is over.
func watchFault(t *testing.T, f fixture, fault func(*testing.T, Instance) func()) {
	o, _ := f.observe(t)
	r := f.create(t)
	f.told(t, o, "Touch", r.ID, func() error { return f.Store.Touch(t.Context(), r.ID, 2*f.long) })

	before, began := o.mark(), time.Now()
	repair := fault(t, f.Instance)
	broken := time.Now()
	WaitFor(t, "lost", func() error { return o.has(before, "lost", session.ID{}) })
	for _, e := range o.since(before) {
		if e.kind != "lost" {
			continue
		}
		if took := e.at.Sub(broken); took > 10*lossBound {
			t.Errorf("it took %v to tell that the channel is lost, the bound is %v", took, lossBound)
		}
		// What the store did before it failed was told, and nothing that it did later.
		if e.sure.After(broken) {
			t.Errorf("sure until %v after the store had failed", e.sure.Sub(broken))
		}
		if e.sure.Before(began.Add(-10 * lossBound)) {
			t.Errorf("sure until %v before the store failed", began.Sub(e.sure))
		}
	}
	repair()
	WaitFor(t, "armed again", o.isArmed)
	WaitFor(t, "the record to be read", func() error { _, err := f.Store.Load(t.Context(), r.ID); return err })
	f.touchAndDelete(t, o, r.ID)
}
