package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/session"
)

// size returns what a record adds to the totals.
func size(r session.Record) int64 {
	n := len(r.Encode(session.PartIdentity))
	if len(r.Tokens) > 0 {
		n += len(r.Encode(session.PartTokens))
	}
	return int64(n)
}

// counts checks that the store counts exactly these records, and nobody who has one.
func (f fixture) counts(t *testing.T, records ...session.Record) {
	t.Helper()
	f.countsOf(t, 0, records...)
}

func (f fixture) countsOf(t *testing.T, users int64, records ...session.Record) {
	t.Helper()
	want := session.Totals{Sessions: int64(len(records)), Users: users}
	for _, r := range records {
		want.Bytes += size(r)
	}
	if got, err := f.Store.Count(t.Context()); err != nil || got != want {
		t.Errorf("Count = %+v, %v; want %+v", got, err, want)
	}
}

// distant is a life that does not end while a test runs.
func (f fixture) distant() time.Duration { return max(f.long, time.Minute) }

// login stores a session of a user, as a manager does.
func (f fixture) login(t *testing.T, user session.IndexName) session.Record {
	t.Helper()
	r := f.record(f.distant())
	r.Expires = f.Now().Add(time.Hour + 10*f.long).Truncate(time.Millisecond)
	f.note(t, session.IndexEntry{ID: r.ID, Expires: r.Expires}, user, newList("sid"))
	if err := f.Store.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	f.Store.Seen(user, r.TTL)
	return r
}

func (f fixture) logout(t *testing.T, user session.IndexName, r session.Record) {
	t.Helper()
	if err := f.Store.Delete(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	f.forget(t, user, r.ID)
}

func (f fixture) createDistant(t *testing.T) session.Record {
	t.Helper()
	r := f.record(f.distant())
	r.Expires = f.Now().Add(time.Hour + 10*f.long).Truncate(time.Millisecond)
	if err := f.Store.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	return r
}

var countTests = []subtest{
	{"nothing is counted in an empty store", func(t *testing.T, f fixture) { f.counts(t) }},
	{"records are counted while they are there", func(t *testing.T, f fixture) {
		first, second := f.createDistant(t), f.createDistant(t)
		f.counts(t, first, second)
		for range 2 {
			if err := f.Store.Delete(t.Context(), first.ID); err != nil {
				t.Fatal(err)
			}
			f.counts(t, second)
		}
	}},
	{"a swap counts the new size", func(t *testing.T, f fixture) {
		r := f.createDistant(t)
		second := next(r)
		second.Tokens, second.TTL = nil, 2*f.distant()
		if err := f.Store.Swap(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		f.counts(t, second)
	}},
	{"what changes nothing is not counted", func(t *testing.T, f fixture) {
		r := f.createDistant(t)
		other := r
		other.Identity = sealed(500)
		if err := f.Store.Create(t.Context(), other); !is(err, session.ErrExists) {
			t.Errorf("Create: %v", err)
		}
		other.Version = 9
		if err := f.Store.Swap(t.Context(), other); !is(err, session.ErrVersion) {
			t.Errorf("Swap: %v", err)
		}
		absent := f.record(f.distant())
		absent.Version = 2
		if err := f.Store.Swap(t.Context(), absent); !is(err, session.ErrNotFound) {
			t.Errorf("Swap: %v", err)
		}
		if err := f.Store.Touch(t.Context(), absent.ID, f.distant()); !is(err, session.ErrNotFound) {
			t.Errorf("Touch: %v", err)
		}
		if err := f.Store.Create(t.Context(), f.record(0)); err != nil {
			t.Errorf("Create: %v", err)
		}
		f.counts(t, r)
	}},
	{"a touch does not count twice", func(t *testing.T, f fixture) {
		r := f.createDistant(t)
		for n := range 4 {
			if err := f.Store.Touch(t.Context(), r.ID, f.distant()*time.Duration(1+n%2)+time.Minute); err != nil {
				t.Fatal(err)
			}
		}
		f.counts(t, r)
	}},
	{"what has expired is not counted", func(t *testing.T, f fixture) {
		if f.life < time.Minute {
			return // the second in which it ends may last longer than this test
		}
		f.createFor(t, f.life)
		touched, swapped, kept := f.createFor(t, f.life), f.createFor(t, f.life), f.create(t)
		if err := f.Store.Touch(t.Context(), touched.ID, f.long); err != nil {
			t.Fatal(err)
		}
		swapped = next(swapped)
		swapped.TTL = f.long
		if err := f.Store.Swap(t.Context(), swapped); err != nil {
			t.Fatal(err)
		}
		f.outlive(t)
		f.counts(t, touched, swapped, kept)
		f.Advance(t, f.long)
		f.counts(t)
	}},
	{"a user counts once, until the last session ends", func(t *testing.T, f fixture) {
		jane, john := newList("user"), newList("user")
		first, second, other := f.login(t, jane), f.login(t, jane), f.login(t, john)
		f.countsOf(t, 2, first, second, other)
		f.logout(t, jane, first)
		f.countsOf(t, 2, second, other)
		f.logout(t, jane, second)
		f.countsOf(t, 1, other)
		again := f.login(t, jane)
		f.countsOf(t, 2, again, other)
		f.logout(t, john, other)
		f.logout(t, john, other)
		f.countsOf(t, 1, again)
	}},
	{"a user counts as long as a session is used", func(t *testing.T, f fixture) {
		if f.life < time.Minute {
			return // as above
		}
		jane, john := newList("user"), newList("user")
		used := f.login(t, jane)
		unused := f.login(t, john)
		f.Advance(t, f.distant()/2)
		if err := f.Store.Touch(t.Context(), used.ID, f.distant()); err != nil {
			t.Fatal(err)
		}
		f.Store.Seen(jane, f.distant())
		f.countsOf(t, 2, used, unused)
		f.Store.Seen(jane, time.Second) // a shorter life takes nothing away
		f.countsOf(t, 2, used, unused)
		f.Advance(t, f.distant()*3/4)
		f.countsOf(t, 1, used)
		f.Advance(t, f.distant())
		f.counts(t)
	}},
}

// manyCount lets all writers do everything to the same few records. In the end the count is what is there.
func manyCount(t *testing.T, f fixture) {
	const size = 12
	records := make([]session.Record, size)
	for n := range records {
		records[n] = f.createDistant(t)
	}
	var made sync.Map
	var failed atomic.Int32
	together(func(writer int) {
		for round := range 4 * rounds {
			r := records[(writer*7+round)%size]
			var err error
			switch (writer + round) % 4 {
			case 0:
				err = f.Store.Touch(t.Context(), r.ID, f.distant()+time.Duration(round)*time.Minute)
			case 1:
				if held, errLoad := f.Store.Load(t.Context(), r.ID); errLoad == nil {
					mine := next(held)
					mine.TTL, mine.Identity = f.distant(), sealed(50+round)
					err = f.Store.Swap(t.Context(), mine)
				}
			case 2:
				if round%3 == 0 {
					err = f.Store.Delete(t.Context(), r.ID)
				}
			case 3:
				fresh := f.record(f.distant())
				made.Store(fresh.ID, true)
				err = f.Store.Create(t.Context(), fresh)
			}
			if CannotTell(err) {
				failed.Add(1)
			}
			if _, err := f.Store.Count(t.Context()); err != nil {
				failed.Add(1)
			}
		}
	})
	if failed.Load() > 0 {
		t.Errorf("%d operations failed", failed.Load())
	}
	for _, r := range records {
		made.Store(r.ID, true)
	}
	var held []session.Record
	made.Range(func(id, _ any) bool {
		if r, err := f.Store.LoadWithTokens(t.Context(), id.(session.ID)); err == nil {
			held = append(held, r)
		}
		return true
	})
	f.counts(t, held...)
}
