package storetest

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"authsvc/session"
)

// subtest is one sentence of the contract.
type subtest struct {
	name string
	run  func(t *testing.T, f fixture)
}

// Run checks every sentence of the contracts of session.Store, session.Slots, session.Index, session.Counter and session.Roster.
func Run(t *testing.T, h Harness) {
	for area, subtests := range map[string][]subtest{
		"load": loadTests, "create": createTests, "swap": swapTests, "touch": touchTests, "delete": deleteTests,
		"slots": slotTests, "index": indexTests, "count": countTests, "roster": rosterTests, "context": contextTests,
	} {
		for _, s := range subtests {
			t.Run(area+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				s.run(t, h.begin(t))
			})
		}
	}
}

var loadTests = []subtest{
	{"gives back both parts, one by one", func(t *testing.T, f fixture) {
		r := f.create(t)
		if left := f.holds(t, r); left > f.long || left < f.long/2 {
			t.Errorf("a life of %v is left, want a little less than %v", left, f.long)
		}
	}},
	{"gives no tokens and no details for a record written without", func(t *testing.T, f fixture) {
		r := f.record(f.long)
		r.Tokens, r.Details = nil, nil
		if err := f.Store.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.holds(t, r)
	}},
	{"takes any bytes and a whole identity and tokens", func(t *testing.T, f fixture) {
		for _, b := range [][]byte{{0}, {'\r', '\n'}, []byte("$-1\r\n"), sealed(64 << 10)} {
			r := f.record(f.long)
			r.Site, r.Identity, r.Tokens, r.Details = string(make([]byte, 255)), b, sealed(256<<10), sealed(session.MaxDetails)
			if err := f.Store.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			f.holds(t, r)
		}
	}},
	{"says not found when there is none", func(t *testing.T, f fixture) {
		f.create(t)
		f.gone(t, newID())
	}},
	{"says not found when it has expired", func(t *testing.T, f fixture) {
		r := f.createFor(t, f.life)
		f.outlive(t)
		f.gone(t, r.ID)
		f.empty(t)
	}},
	{"says corrupt for what is no record", func(t *testing.T, f fixture) {
		whole := f.record(f.long)
		encoded := whole.Encode(session.PartIdentity)
		for name, value := range map[string][]byte{
			"nothing": {}, "zero": {0}, "text": {1}, "truncated": encoded[:20], "no seal": encoded[:len(encoded)-len(whole.Identity)],
			"cut in its details": encoded[:len(encoded)-len(whole.Identity)-1],
			"format 0":           append([]byte{0}, encoded[1:]...), "a word": []byte("hello"), "JSON": []byte(`{"user":"jane","roles":["staff","admin"]}`),
			"its format and garbage": append([]byte{session.RecordFormat}, sealed(100)...), "a later format and garbage": append([]byte{255}, sealed(100)...),
			"a later format of another": later(f.record(f.long).Encode(session.PartIdentity)),
		} {
			f.Put(t, whole.ID, session.PartIdentity, value, f.long)
			f.fails(t, name, whole.ID, session.ErrCorrupt)
		}
		f.Put(t, whole.ID, session.PartIdentity, encoded, f.long)
		for name, tokens := range map[string][]byte{
			"garbage": []byte("\x01tokens"), "more garbage": append([]byte{session.RecordFormat}, sealed(100)...),
			"other version": next(whole).Encode(session.PartTokens), "of another": f.record(f.long).Encode(session.PartTokens),
		} {
			f.Put(t, whole.ID, session.PartTokens, tokens, f.long)
			if _, err := f.Store.LoadWithTokens(t.Context(), whole.ID); !is(err, session.ErrCorrupt) {
				t.Errorf("tokens are %s: %v, want ErrCorrupt", name, err)
			}
			if _, err := f.Store.Load(t.Context(), whole.ID); err != nil {
				t.Errorf("tokens are %s: Load: %v, want the identity", name, err)
			}
		}
	}},
	{"says corrupt for a value of another type", func(t *testing.T, f fixture) {
		if f.PutOther == nil {
			return // this store has one type of value
		}
		id := newID()
		f.PutOther(t, id, session.PartIdentity, f.long)
		f.fails(t, "other type", id, session.ErrCorrupt)
		r := f.create(t)
		f.PutOther(t, r.ID, session.PartTokens, f.long)
		if _, err := f.Store.LoadWithTokens(t.Context(), r.ID); !is(err, session.ErrCorrupt) {
			t.Errorf("tokens of another type: %v, want ErrCorrupt", err)
		}
	}},
	{"cannot tell for a later format", func(t *testing.T, f fixture) {
		r := f.record(f.long)
		f.Put(t, r.ID, session.PartIdentity, later(r.Encode(session.PartIdentity)), f.long)
		f.fails(t, "later format", r.ID, session.ErrLaterFormat)
		f.Put(t, r.ID, session.PartIdentity, r.Encode(session.PartIdentity), f.long)
		f.Put(t, r.ID, session.PartTokens, later(r.Encode(session.PartTokens)), f.long)
		if _, err := f.Store.LoadWithTokens(t.Context(), r.ID); !is(err, session.ErrLaterFormat) {
			t.Errorf("tokens of a later format: %v, want ErrLaterFormat", err)
		}
	}},
	{"says corrupt for another session's record", func(t *testing.T, f fixture) {
		r, other := f.record(f.long), f.create(t)
		f.Put(t, r.ID, session.PartIdentity, other.Encode(session.PartIdentity), f.long)
		f.fails(t, "another's", r.ID, session.ErrCorrupt)
		f.holds(t, other)
	}},
	{"ends a record without expiry at its own end", func(t *testing.T, f fixture) {
		if f.Persist == nil {
			return // this store has no values without expiry
		}
		r := f.record(f.life)
		r.Expires = f.Now().Add(f.life).Truncate(time.Millisecond)
		if err := f.Store.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		f.Persist(t, r.ID)
		f.outlive(t)
		f.fails(t, "after its end", r.ID, session.ErrNotFound)
		if err := f.Store.Delete(t.Context(), r.ID); err != nil {
			t.Error(err)
		}
	}},
}

// later returns a stored value as a later release may write it.
func later(value []byte) []byte {
	return append([]byte{session.RecordFormat + 1}, value[1:]...)
}

// fails checks that all ways to load end in the error.
func (f fixture) fails(t *testing.T, name string, id session.ID, want error) {
	t.Helper()
	if _, err := f.Store.Load(t.Context(), id); !is(err, want) {
		t.Errorf("%s: Load: %v, want %v", name, err, want)
	}
	if _, err := f.Store.LoadWithoutTTL(t.Context(), id); !is(err, want) {
		t.Errorf("%s: LoadWithoutTTL: %v, want %v", name, err, want)
	}
	if _, err := f.Store.LoadWithTokens(t.Context(), id); !is(err, want) {
		t.Errorf("%s: LoadWithTokens: %v, want %v", name, err, want)
	}
}

var contextTests = []subtest{
	{"a caller that hung up changes nothing", func(t *testing.T, f fixture) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for _, op := range f.operations() {
			if err := op.run(ctx); err != nil {
				t.Errorf("%s: %v", op.name, err)
			}
		}
	}},
	{"a caller's time that is up is no answer", func(t *testing.T, f fixture) {
		ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
		defer cancel()
		for _, op := range f.operations() {
			if err := op.run(ctx); !CannotTell(err) {
				t.Errorf("%s: %v, want none of the sentinels", op.name, err)
			}
		}
	}},
}

// operation is one call of a store that succeeds while the store works.
type operation struct {
	name string
	run  func(ctx context.Context) error
}

// operations returns every method once, in an order in which all succeed.
func (f fixture) operations() []operation {
	r := f.record(f.long)
	second := next(r)
	slot, list, entry := newSlot("kind"), newList("user"), f.entry(f.long)
	return []operation{
		{"Create", func(ctx context.Context) error { return f.Store.Create(ctx, r) }},
		{"Load", func(ctx context.Context) error { _, err := f.Store.Load(ctx, r.ID); return err }},
		{"LoadWithoutTTL", func(ctx context.Context) error { _, err := f.Store.LoadWithoutTTL(ctx, r.ID); return err }},
		{"LoadWithTokens", func(ctx context.Context) error { _, err := f.Store.LoadWithTokens(ctx, r.ID); return err }},
		{"Swap", func(ctx context.Context) error { return f.Store.Swap(ctx, second) }},
		{"Touch", func(ctx context.Context) error { return f.Store.Touch(ctx, r.ID, f.long) }},
		{"Claim", func(ctx context.Context) error { return must(f.Store.Claim(ctx, slot, []byte("one"), f.long)) }},
		{"Replace", func(ctx context.Context) error {
			replaced, err := f.Store.Replace(ctx, slot, []byte("one"), []byte("two"), f.long)
			return must(nil, replaced, err)
		}},
		{"ReadSlot", func(ctx context.Context) error { _, err := f.Store.ReadSlot(ctx, slot); return err }},
		{"Note", func(ctx context.Context) error {
			return f.Store.Note(ctx, []session.IndexName{list, newList("sid")}, entry)
		}},
		{"Noted", func(ctx context.Context) error { _, err := f.Store.Noted(ctx, list); return err }},
		{"Forget", func(ctx context.Context) error { return f.Store.Forget(ctx, list, entry.ID) }},
		{"Count", func(ctx context.Context) error { _, err := f.Store.Count(ctx); return err }},
		{"Announce", func(ctx context.Context) error {
			_, err := f.Store.Announce(ctx, "one", []byte("here"), f.long)
			return err
		}},
		{"Replicas", func(ctx context.Context) error { _, err := f.Store.Replicas(ctx); return err }},
		{"Leave", func(ctx context.Context) error { return f.Store.Leave(ctx, "one") }},
		{"Delete", func(ctx context.Context) error { return f.Store.Delete(ctx, r.ID) }},
	}
}

func must(_ []byte, done bool, err error) error {
	if err == nil && !done {
		return fmt.Errorf("was not done")
	}
	return err
}

// RunFaults checks what the contract promises while the store cannot answer.
func RunFaults(t *testing.T, h Harness) {
	for name, fault := range h.Faults {
		t.Run(name, func(t *testing.T) { runFault(t, h, fault) })
	}
}

// runFault checks that every operation, many at once, ends in an error that says "cannot tell" while the fault lasts, and that
// all that was stored is there when it is over.
func runFault(t *testing.T, h Harness, fault func(t *testing.T, in Instance) func()) {
	f := h.begin(t)
	records := []session.Record{f.create(t), f.create(t), f.create(t)}
	slot := newSlot("kind")
	if err := must(f.Store.Claim(t.Context(), slot, []byte("kept"), f.long)); err != nil {
		t.Fatal(err)
	}
	list := newList("user")
	entry := f.note(t, f.entry(f.long), list)
	f.announces(t, "kept", "here", f.long, "kept here")

	repair := fault(t, f.Instance)
	results := make(chan string)
	n := 0
	for range 5 {
		for _, op := range f.operations() {
			n++
			go func() {
				start := time.Now()
				err := op.run(t.Context())
				switch took := time.Since(start); {
				case !CannotTell(err):
					results <- fmt.Sprintf("%s: %v, want none of the sentinels", op.name, err)
				case took > 10*h.Bound:
					results <- fmt.Sprintf("%s took %v, the bound is %v", op.name, took, h.Bound)
				default:
					results <- ""
				}
			}()
		}
	}
	for range n {
		if wrong := <-results; wrong != "" {
			t.Error(wrong)
		}
	}
	repair()

	WaitFor(t, "the store to answer again", func() error {
		_, err := f.Store.Load(t.Context(), records[0].ID)
		return err
	})
	for _, r := range slices.Backward(records) {
		f.holds(t, r)
	}
	if value, err := f.Store.ReadSlot(t.Context(), slot); err != nil || string(value) != "kept" {
		t.Errorf("the slot holds %q, %v", value, err)
	}
	f.noted(t, list, entry)
	f.rosterIs(t, "kept here")
}
