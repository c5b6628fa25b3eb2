package storetest

import (
	"testing"
	"time"

	"authsvc/session"
)

var createTests = []subtest{
	{"says that it exists, and leaves it", func(t *testing.T, f fixture) {
		r := f.create(t)
		other := next(r)
		other.Version = 1
		if err := f.Store.Create(t.Context(), other); !is(err, session.ErrExists) {
			t.Errorf("%v, want ErrExists", err)
		}
		f.holds(t, r)
	}},
	{"leaves what it cannot read", func(t *testing.T, f fixture) {
		for _, value := range [][]byte{{}, {0}, []byte("\x01text"), {session.RecordFormat + 1}} {
			r := f.record(f.long)
			f.Put(t, r.ID, session.PartIdentity, value, f.long)
			if err := f.Store.Create(t.Context(), r); !is(err, session.ErrExists) {
				t.Errorf("over %q: %v, want ErrExists", value, err)
			}
			if _, err := f.Store.Load(t.Context(), r.ID); err == nil {
				t.Errorf("%q was overwritten", value)
			}
		}
	}},
	{"leaves a value of another type", func(t *testing.T, f fixture) {
		if f.PutOther == nil {
			return // this store has one type of value
		}
		r := f.record(f.long)
		f.PutOther(t, r.ID, session.PartIdentity, f.long)
		if err := f.Store.Create(t.Context(), r); !is(err, session.ErrExists) {
			t.Errorf("%v, want ErrExists", err)
		}
		f.fails(t, "other type", r.ID, session.ErrCorrupt)
	}},
	{"takes the place of one that has expired", func(t *testing.T, f fixture) {
		r := f.createFor(t, f.life)
		f.outlive(t)
		r.TTL = f.long
		if err := f.Store.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.holds(t, r)
	}},
	{"does not inherit tokens", func(t *testing.T, f fixture) {
		r := f.record(f.long)
		f.Put(t, r.ID, session.PartTokens, r.Encode(session.PartTokens), f.long)
		r.Tokens = nil
		if err := f.Store.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.holds(t, r)
	}},
	{"stores nothing that has no life", func(t *testing.T, f fixture) {
		for _, ttl := range []time.Duration{0, -1, -time.Hour} {
			r := f.record(ttl)
			if err := f.Store.Create(t.Context(), r); err != nil {
				t.Errorf("life of %v: %v", ttl, err)
			}
			f.gone(t, r.ID)
		}
		f.empty(t)
	}},
}

var swapTests = []subtest{
	{"replaces both parts", func(t *testing.T, f fixture) {
		r := f.create(t)
		for range 3 {
			r = next(r)
			if err := f.Store.Swap(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			f.holds(t, r)
		}
	}},
	{"takes tokens away and gives them", func(t *testing.T, f fixture) {
		r := next(f.create(t))
		r.Tokens = nil
		if err := f.Store.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.holds(t, r)
		r = next(r)
		if err := f.Store.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.holds(t, r)
	}},
	{"says that the version is another", func(t *testing.T, f fixture) {
		first := f.create(t)
		second := next(first)
		if err := f.Store.Swap(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		for _, version := range []uint64{0, 1, 2, 4, 1 << 63} {
			r := next(second)
			r.Version = version
			if err := f.Store.Swap(t.Context(), r); !is(err, session.ErrVersion) {
				t.Errorf("version %d: %v, want ErrVersion", version, err)
			}
		}
		f.holds(t, second)
	}},
	{"compares all of the version", func(t *testing.T, f fixture) {
		r := f.record(f.long)
		r.Version = 0x0102030405060708
		if err := f.Store.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		for shift := range 8 {
			wrong := next(r)
			wrong.Version += 1 << (8 * shift)
			if err := f.Store.Swap(t.Context(), wrong); !is(err, session.ErrVersion) {
				t.Errorf("version %x: %v, want ErrVersion", wrong.Version, err)
			}
		}
		r = next(r)
		if err := f.Store.Swap(t.Context(), r); err != nil {
			t.Error(err)
		}
		f.holds(t, r)
	}},
	{"does not make a record that is gone", func(t *testing.T, f fixture) {
		never, deleted, expired := f.record(f.long), f.create(t), f.createFor(t, f.life)
		if err := f.Store.Delete(t.Context(), deleted.ID); err != nil {
			t.Fatal(err)
		}
		f.outlive(t)
		for _, r := range []session.Record{never, deleted, expired} {
			r = next(r)
			r.TTL = f.long
			if err := f.Store.Swap(t.Context(), r); !is(err, session.ErrNotFound) {
				t.Errorf("%v, want ErrNotFound", err)
			}
		}
		f.empty(t)
	}},
	{"replaces any format that is read by any other", func(t *testing.T, f fixture) {
		for from := range formats {
			for to := range formats {
				r := f.record(f.long)
				r.Format = from
				if err := f.Store.Create(t.Context(), r); err != nil {
					t.Fatal(err)
				}
				f.holds(t, r)
				early := next(next(r))
				early.Format = to
				if err := f.Store.Swap(t.Context(), early); !is(err, session.ErrVersion) {
					t.Errorf("another version of format %d over format %d: %v, want ErrVersion", to, from, err)
				}
				r = next(r)
				r.Format = to
				if err := f.Store.Swap(t.Context(), r); err != nil {
					t.Errorf("format %d over format %d: %v", to, from, err)
				}
				f.holds(t, r)
			}
		}
	}},
	{"leaves a later format and what is corrupt", func(t *testing.T, f fixture) {
		for _, value := range [][]byte{{}, {0}, []byte("\x01text"), {session.RecordFormat + 1}} {
			r := f.record(f.long)
			f.Put(t, r.ID, session.PartIdentity, value, f.long)
			if err := f.Store.Swap(t.Context(), next(r)); !is(err, session.ErrVersion) {
				t.Errorf("over %q: %v, want ErrVersion", value, err)
			}
			if _, err := f.Store.Load(t.Context(), r.ID); err == nil {
				t.Errorf("%q was overwritten", value)
			}
		}
		unknown := f.record(f.long)
		f.Put(t, unknown.ID, session.PartIdentity, later(unknown.Encode(session.PartIdentity)), f.long)
		for format := range formats {
			r := next(unknown)
			r.Format = format
			if err := f.Store.Swap(t.Context(), r); !is(err, session.ErrVersion) {
				t.Errorf("format %d over the right version of a later format: %v, want ErrVersion", format, err)
			}
		}
		f.fails(t, "later format", unknown.ID, session.ErrLaterFormat)
	}},
	{"leaves a value of another type", func(t *testing.T, f fixture) {
		if f.PutOther == nil {
			return // this store has one type of value
		}
		r := f.record(f.long)
		f.PutOther(t, r.ID, session.PartIdentity, f.long)
		if err := f.Store.Swap(t.Context(), next(r)); !is(err, session.ErrVersion) {
			t.Errorf("%v, want ErrVersion", err)
		}
		f.fails(t, "other type", r.ID, session.ErrCorrupt)
	}},
	{"never shortens a life", func(t *testing.T, f fixture) {
		r := next(f.create(t))
		for _, ttl := range []time.Duration{f.life, 0, -f.life} {
			r.TTL = ttl
			if err := f.Store.Swap(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if left := f.holds(t, r); left < f.long/2 {
				t.Errorf("a life of %v is left of %v", left, f.long)
			}
			r = next(r)
		}
	}},
	{"lengthens a life", func(t *testing.T, f fixture) {
		r := next(f.createFor(t, f.life))
		r.TTL = f.long
		if err := f.Store.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.outlive(t)
		if left := f.holds(t, r); left > f.long {
			t.Errorf("a life of %v is left, more than %v", left, f.long)
		}
	}},
	{"lets no life pass the record's end", func(t *testing.T, f fixture) {
		r := next(f.create(t))
		r.Expires, r.TTL = f.Now().Add(f.life).Truncate(time.Millisecond), 5*f.long
		if err := f.Store.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.outlive(t)
		f.gone(t, r.ID)
		f.empty(t)
	}},
	{"ends a record whose end has come", func(t *testing.T, f fixture) {
		r := next(f.create(t))
		r.Expires = f.Now().Add(-time.Second).Truncate(time.Millisecond)
		if err := f.Store.Swap(t.Context(), r); !is(err, session.ErrNotFound) {
			t.Errorf("%v, want ErrNotFound", err)
		}
		f.empty(t)
	}},
	{"gives a record without expiry one", func(t *testing.T, f fixture) {
		if f.Persist == nil {
			return // this store has no values without expiry
		}
		r := f.create(t)
		f.Persist(t, r.ID)
		r = next(r)
		if err := f.Store.Swap(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.holds(t, r)
	}},
}

var touchTests = []subtest{
	{"lengthens the life of both parts", func(t *testing.T, f fixture) {
		r := f.createFor(t, f.life)
		if err := f.Store.Touch(t.Context(), r.ID, f.long); err != nil {
			t.Fatal(err)
		}
		f.outlive(t)
		if left := f.holds(t, r); left > f.long || left < f.long/2 {
			t.Errorf("a life of %v is left, want a little less than %v", left, f.long)
		}
	}},
	{"never shortens a life", func(t *testing.T, f fixture) {
		r := f.create(t)
		for _, ttl := range []time.Duration{f.life, time.Nanosecond, 0, -time.Second, -time.Hour} {
			if err := f.Store.Touch(t.Context(), r.ID, ttl); err != nil {
				t.Errorf("for %v: %v", ttl, err)
			}
			if left := f.holds(t, r); left < f.long/2 {
				t.Errorf("a life of %v is left of %v", left, f.long)
			}
		}
	}},
	{"does not make a record that is gone", func(t *testing.T, f fixture) {
		never, deleted, expired := f.record(f.long), f.create(t), f.createFor(t, f.life)
		if err := f.Store.Delete(t.Context(), deleted.ID); err != nil {
			t.Fatal(err)
		}
		f.outlive(t)
		for _, r := range []session.Record{never, deleted, expired} {
			if err := f.Store.Touch(t.Context(), r.ID, f.long); !is(err, session.ErrNotFound) {
				t.Errorf("%v, want ErrNotFound", err)
			}
		}
		f.empty(t)
	}},
	{"gives a record without expiry one", func(t *testing.T, f fixture) {
		if f.Persist == nil {
			return // this store has no values without expiry
		}
		r := f.create(t)
		f.Persist(t, r.ID)
		if err := f.Store.Touch(t.Context(), r.ID, f.long); err != nil {
			t.Fatal(err)
		}
		if left := f.holds(t, r); left > f.long {
			t.Errorf("a life of %v is left, more than %v", left, f.long)
		}
	}},
}

var deleteTests = []subtest{
	{"removes both parts of one record", func(t *testing.T, f fixture) {
		r, other := f.create(t), f.create(t)
		if err := f.Store.Delete(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
		f.gone(t, r.ID)
		f.holds(t, other)
		if err := f.Store.Delete(t.Context(), other.ID); err != nil {
			t.Fatal(err)
		}
		f.empty(t)
	}},
	{"is no error when there is none", func(t *testing.T, f fixture) {
		id := newID()
		for range 2 {
			if err := f.Store.Delete(t.Context(), id); err != nil {
				t.Error(err)
			}
		}
	}},
	{"removes what is corrupt", func(t *testing.T, f fixture) {
		id := newID()
		f.Put(t, id, session.PartIdentity, []byte("garbage"), f.long)
		f.Put(t, id, session.PartTokens, []byte("garbage"), f.long)
		if f.PutOther != nil {
			f.PutOther(t, id, session.PartIdentity, f.long)
		}
		if err := f.Store.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		f.empty(t)
	}},
}
