package storetest

import (
	"bytes"
	"context"
	"crypto/rand"
	"testing"
	"time"

	"authsvc/session"
)

// Store is what the suites test.
type Store interface {
	session.Store
	session.Slots
	session.Index
	session.Counter
	session.Roster
}

// Harness makes stores for the suites.
type Harness struct {
	// New returns a fresh store that holds nothing.
	New func(t *testing.T) Instance
	// Life is the short life of records that shall end in a test. Where time passes by itself it must leave room
	// for a few operations on a busy machine.
	Life time.Duration
	// Bound is the most that one operation may take, whatever the store does.
	Bound time.Duration
	// Faults are what may happen to the store, by name; RunFaults needs them. Each makes it unable to answer, keeps what it holds, and
	// returns what ends it. They run one at a time.
	Faults map[string]func(t *testing.T, in Instance) (repair func())
	// Breaks are what may happen to the push channel while the store goes on, or soon does so again, by name; RunWatch goes through them. They keep
	// what the store holds.
	Breaks map[string]func(t *testing.T, in Instance)
}

// Instance is a store and what a test must do behind its back.
type Instance struct {
	Store Store
	// Now is the store's clock.
	Now func() time.Time
	// Advance lets d pass for the store.
	Advance func(t *testing.T, d time.Duration)
	// Put stores value as a part of a record.
	Put func(t *testing.T, id session.ID, part session.Part, value []byte, ttl time.Duration)
	// PutOther stores something that is no string as a part of a record; nil where that cannot be.
	PutOther func(t *testing.T, id session.ID, part session.Part, ttl time.Duration)
	// Persist takes away a record's expiry; nil where that cannot be.
	Persist func(t *testing.T, id session.ID)
	// PutOtherList stores something that is no list under a list's names; nil where that cannot be.
	PutOtherList func(t *testing.T, name session.IndexName, ttl time.Duration)
	// Twin opens the same storage as another process does; nil where no other can.
	Twin func(t *testing.T) Store
	// TellsAll says that the push channel tells of what no user of the store wrote: expiry, and that everything was removed at once.
	TellsAll bool
	// Empty removes everything at once; nil where that cannot be.
	Empty func(t *testing.T)
	// PutOtherRoster stores something else in the roster's place; nil where that cannot be.
	PutOtherRoster func(t *testing.T, ttl time.Duration)
	// Lives tells everything that the store holds, by name, and how long it has to live; negative means for ever. It
	// may be called from several goroutines.
	Lives func(ctx context.Context) (map[string]time.Duration, error)
}

// fixture is one subtest's store.
type fixture struct {
	Instance
	life, long time.Duration
}

// begin makes a store for a subtest, and checks in the end that nothing in it lives for ever.
func (h Harness) begin(t *testing.T) fixture {
	t.Helper()
	f := fixture{Instance: h.New(t), life: h.Life, long: 100 * h.Life}
	t.Cleanup(func() {
		var lives map[string]time.Duration
		// A cluster that has just lost a master may take a while to answer again.
		WaitFor(t, "telling what the store holds", func() (err error) {
			lives, err = f.Lives(context.WithoutCancel(t.Context()))
			return err
		})
		for name, left := range lives {
			if left < 0 {
				t.Errorf("%s has no expiry", name)
			}
		}
	})
	return f
}

// outlive lets a short life end.
func (f fixture) outlive(t *testing.T) {
	t.Helper()
	f.Advance(t, f.life+f.life/10)
}

// newID returns an ID that no other record has.
func newID() (id session.ID) {
	rand.Read(id[:])
	return id
}

// record returns the first version of a new record.
func (f fixture) record(ttl time.Duration) session.Record {
	return session.Record{
		ID: newID(), Format: session.RecordFormat, Version: 1, Site: "main",
		Expires: f.Now().Add(10 * f.long).Truncate(time.Millisecond),
		Details: sealed(120), Identity: sealed(80), Tokens: sealed(2000), TTL: ttl,
	}
}

// formats yields those that this release reads and writes.
func formats(yield func(byte) bool) {
	for format := byte(session.OldestRecordFormat); format <= session.RecordFormat && yield(format); format++ {
	}
}

// next returns the version after r, with other contents.
func next(r session.Record) session.Record {
	r.Version++
	r.Identity, r.Tokens, r.Details = sealed(90), sealed(1900), sealed(100)
	return r
}

// sealed returns what a store sees of a sealed part.
func sealed(size int) []byte {
	b := make([]byte, size)
	rand.Read(b)
	return b
}

// create stores a new record that lives long.
func (f fixture) create(t *testing.T) session.Record {
	t.Helper()
	return f.createFor(t, f.long)
}

func (f fixture) createFor(t *testing.T, ttl time.Duration) session.Record {
	t.Helper()
	r := f.record(ttl)
	if err := f.Store.Create(t.Context(), r); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return r
}

// holds checks that the store holds exactly r, and returns what is left of its life.
func (f fixture) holds(t *testing.T, r session.Record) time.Duration {
	t.Helper()
	got, err := f.Store.LoadWithTokens(t.Context(), r.ID)
	if err != nil {
		t.Fatalf("LoadWithTokens: %v", err)
	}
	same(t, "LoadWithTokens", got, r)
	got, err = f.Store.Load(t.Context(), r.ID)
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	r.Tokens = nil
	same(t, "Load", got, r)
	left := got.TTL
	if got, err = f.Store.LoadWithoutTTL(t.Context(), r.ID); err != nil || got.TTL != 0 {
		t.Fatalf("LoadWithoutTTL: a life of %v, %v", got.TTL, err)
	}
	got.TTL = left
	same(t, "LoadWithoutTTL", got, r)
	return left
}

func same(t *testing.T, what string, got, want session.Record) {
	t.Helper()
	if got.ID != want.ID || got.Format != want.Format || got.Version != want.Version || got.Site != want.Site || !got.Expires.Equal(want.Expires) {
		t.Fatalf("%s gave version %d of %s at %s until %v in format %d, want version %d of %s at %s until %v in format %d", what,
			got.Version, got.ID, got.Site, got.Expires, got.Format, want.Version, want.ID, want.Site, want.Expires, want.Format)
	}
	if !bytes.Equal(got.Identity, want.Identity) || !bytes.Equal(got.Details, want.Details) {
		t.Fatalf("%s gave another identity than was stored, or other details", what)
	}
	if !bytes.Equal(got.Tokens, want.Tokens) {
		t.Fatalf("%s gave %d bytes of tokens, want %d", what, len(got.Tokens), len(want.Tokens))
	}
	if got.TTL <= 0 {
		t.Fatalf("%s gave a life of %v", what, got.TTL)
	}
}

// gone checks that there is no such record, nor anything left of it.
func (f fixture) gone(t *testing.T, id session.ID) {
	t.Helper()
	if _, err := f.Store.Load(t.Context(), id); !is(err, session.ErrNotFound) {
		t.Fatalf("Load: %v, want ErrNotFound", err)
	}
	if _, err := f.Store.LoadWithoutTTL(t.Context(), id); !is(err, session.ErrNotFound) {
		t.Fatalf("LoadWithoutTTL: %v, want ErrNotFound", err)
	}
	if _, err := f.Store.LoadWithTokens(t.Context(), id); !is(err, session.ErrNotFound) {
		t.Fatalf("LoadWithTokens: %v, want ErrNotFound", err)
	}
	if err := f.Store.Touch(t.Context(), id, f.long); !is(err, session.ErrNotFound) {
		t.Fatalf("Touch: %v, want ErrNotFound", err)
	}
}

// empty checks that the store holds nothing at all.
func (f fixture) empty(t *testing.T) {
	t.Helper()
	lives, err := f.Lives(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name := range lives {
		t.Errorf("%s is left", name)
	}
}
