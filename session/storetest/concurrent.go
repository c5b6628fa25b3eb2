package storetest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"authsvc/session"
)

const (
	writers = 8
	rounds  = 20
)

// RunConcurrent checks what the contracts promise to writers that meet, and that nothing is stored without expiry at any moment.
func RunConcurrent(t *testing.T, h Harness) {
	for _, s := range []subtest{
		{"one of many creates wins", manyCreate},
		{"one swap wins for each version, with both parts", manySwap},
		{"a swap never brings back what was deleted", func(t *testing.T, f fixture) { meetDelete(t, f, swapOnce) }},
		{"a touch never brings back what was deleted", func(t *testing.T, f fixture) {
			meetDelete(t, f, func(ctx context.Context, f fixture, r session.Record) error { return f.Store.Touch(ctx, r.ID, f.long) })
		}},
		{"one of many claims wins", manyClaim},
		{"no replace is lost", manyReplace},
		{"no entry is lost or comes back", manyNote},
		{"an entry is seen whole", manyNoteOne},
		{"nothing is counted twice", manyCount},
		{"of two replicas one sees the other", manyAnnounce},
	} {
		t.Run(s.name, func(t *testing.T) {
			f := h.begin(t)
			defer f.watch(t)()
			s.run(t, f)
		})
	}
}

// watch looks all the time whether something lives for ever, until the function that it returns is called.
func (f fixture) watch(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var looking sync.WaitGroup
	looking.Go(func() {
		for ctx.Err() == nil {
			lives, err := f.Lives(ctx)
			if err != nil && ctx.Err() == nil {
				t.Errorf("cannot tell what the store holds: %v", err)
				return
			}
			for name, left := range lives {
				if left < 0 {
					t.Errorf("%s had no expiry for a moment", name)
				}
			}
		}
	})
	return func() { cancel(); looking.Wait() }
}

// together runs f by all writers at once.
func together(f func(writer int)) {
	var running sync.WaitGroup
	start := make(chan struct{})
	for writer := range writers {
		running.Go(func() {
			<-start
			f(writer)
		})
	}
	close(start)
	running.Wait()
}

func manyCreate(t *testing.T, f fixture) {
	for range rounds {
		first := f.record(f.long)
		var won [writers]session.Record
		var wins atomic.Int32
		var winner atomic.Int32
		together(func(writer int) {
			r := next(first)
			r.Version = 1
			won[writer] = r
			switch err := f.Store.Create(t.Context(), r); {
			case err == nil:
				wins.Add(1)
				winner.Store(int32(writer))
			case !is(err, session.ErrExists):
				t.Errorf("Create: %v, want ErrExists", err)
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d of %d creates won", wins.Load(), writers)
		}
		f.holds(t, won[winner.Load()])
	}
}

func manySwap(t *testing.T, f fixture) {
	r := f.record(f.long)
	r.Tokens = r.Identity // whoever writes a version writes the same into both parts
	if err := f.Store.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	winners := map[uint64][]int{}
	together(func(writer int) {
		for range rounds {
			held, err := f.Store.LoadWithTokens(t.Context(), r.ID)
			if err != nil {
				t.Errorf("LoadWithTokens: %v", err)
				return
			}
			if !bytes.Equal(held.Identity, held.Tokens) {
				t.Errorf("version %d has parts of two writers", held.Version)
			}
			mine := next(held)
			mine.Tokens, mine.TTL = mine.Identity, f.long
			switch err := f.Store.Swap(t.Context(), mine); {
			case err == nil:
				mu.Lock()
				winners[mine.Version] = append(winners[mine.Version], writer)
				mu.Unlock()
			case !is(err, session.ErrVersion):
				t.Errorf("Swap: %v, want ErrVersion", err)
			}
		}
	})
	for version, by := range winners {
		if len(by) != 1 {
			t.Errorf("version %d was written by %v", version, by)
		}
	}
	last, err := f.Store.Load(t.Context(), r.ID)
	if err != nil || last.Version != uint64(1+len(winners)) {
		t.Errorf("the last version is %d after %d swaps, %v", last.Version, len(winners), err)
	}
}

func swapOnce(ctx context.Context, f fixture, r session.Record) error {
	held, err := f.Store.Load(ctx, r.ID)
	if err != nil {
		return err
	}
	mine := next(held)
	mine.TTL = f.long
	if err := f.Store.Swap(ctx, mine); !errors.Is(err, session.ErrVersion) {
		return err
	}
	return nil
}

// meetDelete lets writers and one delete meet. What begins after the delete has returned finds nothing.
func meetDelete(t *testing.T, f fixture, write func(ctx context.Context, f fixture, r session.Record) error) {
	for range rounds {
		r := f.create(t)
		var deleted atomic.Bool
		together(func(writer int) {
			if writer == 0 {
				if err := f.Store.Delete(t.Context(), r.ID); err != nil {
					t.Errorf("Delete: %v", err)
				}
				deleted.Store(true)
				return
			}
			for {
				late := deleted.Load()
				err := write(t.Context(), f, r)
				if errors.Is(err, session.ErrNotFound) {
					return
				}
				if err != nil || late {
					t.Errorf("a write after the delete: %v", err)
					return
				}
			}
		})
		f.gone(t, r.ID)
	}
	f.empty(t)
}

func manyClaim(t *testing.T, f fixture) {
	for round := range rounds {
		name := newSlot("claim")
		var wins atomic.Int32
		var holders sync.Map
		together(func(writer int) {
			value := fmt.Sprint("writer ", writer)
			if round%2 == 0 {
				value = "all the same"
			}
			holder, claimed, err := f.Store.Claim(t.Context(), name, []byte(value), f.long)
			if err != nil {
				t.Errorf("Claim: %v", err)
			}
			if claimed {
				wins.Add(1)
			}
			holders.Store(string(holder), true)
		})
		if wins.Load() != 1 {
			t.Errorf("%d of %d claims won", wins.Load(), writers)
		}
		seen := 0
		holders.Range(func(any, any) bool { seen++; return true })
		if seen != 1 {
			t.Errorf("the claims were told of %d holders", seen)
		}
	}
}

func manyReplace(t *testing.T, f fixture) {
	name := newSlot("count")
	count := func(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
	if _, _, err := f.Store.Claim(t.Context(), name, count(0), f.long); err != nil {
		t.Fatal(err)
	}
	var done atomic.Uint64
	together(func(int) {
		for range rounds {
			held, err := f.Store.ReadSlot(t.Context(), name)
			if err != nil {
				t.Errorf("ReadSlot: %v", err)
				return
			}
			replaced, err := f.Store.Replace(t.Context(), name, held, count(binary.BigEndian.Uint64(held)+1), f.long)
			if err != nil {
				t.Errorf("Replace: %v", err)
			}
			if replaced {
				done.Add(1)
			}
		}
	})
	held, err := f.Store.ReadSlot(t.Context(), name)
	if err != nil || !bytes.Equal(held, count(done.Load())) {
		t.Errorf("the slot holds %x after %d replacements, %v", held, done.Load(), err)
	}
}
