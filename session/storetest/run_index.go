package storetest

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"authsvc/session"
)

func newList(kind string) session.IndexName {
	return session.IndexName{Kind: kind, Hash: newID()}
}

// entry returns a new entry that ends after life.
func (f fixture) entry(life time.Duration) session.IndexEntry {
	return session.IndexEntry{ID: newID(), Expires: f.Now().Add(life).Truncate(time.Millisecond)}
}

// note puts an entry on lists and returns it.
func (f fixture) note(t *testing.T, entry session.IndexEntry, names ...session.IndexName) session.IndexEntry {
	t.Helper()
	if err := f.Store.Note(t.Context(), names, entry); err != nil {
		t.Fatalf("Note: %v", err)
	}
	return entry
}

func (f fixture) forget(t *testing.T, name session.IndexName, id session.ID) {
	t.Helper()
	if err := f.Store.Forget(t.Context(), name, id); err != nil {
		t.Fatalf("Forget: %v", err)
	}
}

// noted checks that a list holds exactly these entries, in this order.
func (f fixture) noted(t *testing.T, name session.IndexName, want ...session.IndexEntry) {
	t.Helper()
	got, err := f.Store.Noted(t.Context(), name)
	if err != nil {
		t.Fatalf("Noted: %v", err)
	}
	if !slices.EqualFunc(got, want, sameEntry) {
		t.Errorf("Noted gave %d entries %v, want %d %v", len(got), ends(got), len(want), ends(want))
	}
}

func sameEntry(a, b session.IndexEntry) bool {
	return a.ID == b.ID && a.Expires.Equal(b.Expires)
}

// ends tells of entries what a person can compare.
func ends(entries []session.IndexEntry) (texts []string) {
	for _, e := range entries {
		texts = append(texts, e.ID.String()[:6]+" "+e.Expires.UTC().Format("15:04:05.000"))
	}
	return texts
}

// left returns how long something in the store lives on, at most.
func (f fixture) left(t *testing.T) (longest time.Duration) {
	t.Helper()
	lives, err := f.Lives(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range lives {
		longest = max(longest, left)
	}
	return longest
}

var indexTests = []subtest{
	{"a session is on each of its lists", func(t *testing.T, f fixture) {
		user, sid := newList("user"), newList("sid")
		f.noted(t, user)
		entry := f.note(t, f.entry(f.long), user, sid)
		f.noted(t, user, entry)
		f.noted(t, sid, entry)
	}},
	{"lists of other kinds and hashes are others", func(t *testing.T, f fixture) {
		user := newList("user")
		entry := f.note(t, f.entry(f.long), user)
		f.noted(t, session.IndexName{Kind: "sid", Hash: user.Hash})
		f.noted(t, newList("user"))
		f.forget(t, session.IndexName{Kind: "sid", Hash: user.Hash}, entry.ID)
		f.noted(t, user, entry)
	}},
	{"entries are given by their end", func(t *testing.T, f fixture) {
		name, want := newList("user"), []session.IndexEntry{}
		for n := range 20 {
			want = append(want, f.entry(f.long+time.Duration(n)*time.Second))
		}
		for _, n := range []int{7, 19, 0, 3, 11, 1, 2, 12, 18, 4, 10, 5, 17, 6, 13, 8, 16, 9, 15, 14} {
			f.note(t, want[n], name)
		}
		f.noted(t, name, want...)
	}},
	{"an entry replaces the one of its ID", func(t *testing.T, f fixture) {
		name, first, other := newList("user"), f.entry(f.long), f.entry(2*f.long)
		f.note(t, first, name)
		f.note(t, other, name)
		f.note(t, first, name)
		f.noted(t, name, first, other)
		second := session.IndexEntry{ID: first.ID, Expires: first.Expires.Add(2 * f.long)}
		f.note(t, second, name)
		f.noted(t, name, other, second)
		f.note(t, first, name)
		f.noted(t, name, first, other)
	}},
	{"an end has milliseconds", func(t *testing.T, f fixture) {
		name, entry := newList("user"), f.entry(f.long)
		entry.Expires = entry.Expires.Add(1500 * time.Microsecond)
		f.note(t, entry, name)
		entry.Expires = entry.Expires.Truncate(time.Millisecond)
		f.noted(t, name, entry)
	}},
	{"an end may be any time to come", func(t *testing.T, f fixture) {
		name, want := newList("user"), []session.IndexEntry{}
		for _, end := range []string{"2033-05-18T03:33:20.001Z", "2099-12-31T23:59:59Z", "2200-12-31T23:59:59.999Z"} {
			at, err := time.Parse(time.RFC3339, end)
			if err != nil {
				t.Fatal(err)
			}
			entry := f.entry(0)
			entry.Expires = at
			want = append(want, f.note(t, entry, name))
		}
		f.noted(t, name, want...)
		f.forget(t, name, want[2].ID)
		f.noted(t, name, want[:2]...)
	}},
	{"other kinds are refused before anything is written", func(t *testing.T, f fixture) {
		for _, kind := range []string{"", "session", "tokens", "slot", "lease", "User", "user.details", "user:{a}", "users"} {
			good, bad := newList("user"), newList(kind)
			err := f.Store.Note(t.Context(), []session.IndexName{good, bad}, f.entry(f.long))
			_, errNoted := f.Store.Noted(t.Context(), bad)
			errForget := f.Store.Forget(t.Context(), bad, newID())
			for _, err := range []error{err, errNoted, errForget} {
				if !CannotTell(err) {
					t.Errorf("kind %q: %v, want an error", kind, err)
				}
			}
		}
		f.empty(t)
	}},
	{"an entry that has expired is not given", func(t *testing.T, f fixture) {
		name := newList("user")
		f.note(t, f.entry(f.life), name)
		kept := f.note(t, f.entry(f.long), name)
		f.outlive(t)
		f.noted(t, name, kept)
	}},
	{"a list ends with its last entry", func(t *testing.T, f fixture) {
		name := newList("user")
		f.note(t, f.entry(f.life), name, newList("sid"))
		f.outlive(t)
		f.noted(t, name)
		f.empty(t)
	}},
	{"an entry that ends later lengthens the list's life, an earlier one does not shorten it", func(t *testing.T, f fixture) {
		name := newList("user")
		f.note(t, f.entry(f.life), name)
		if left := f.left(t); left > f.life+f.life/10 {
			t.Errorf("the list lives for %v, its entry for %v", left, f.life)
		}
		later := f.note(t, f.entry(f.long), name)
		if left := f.left(t); left < f.long/2 || left > f.long+f.life {
			t.Errorf("the list lives for %v, its last entry for %v", left, f.long)
		}
		f.note(t, f.entry(f.life), name)
		f.outlive(t)
		f.noted(t, name, later)
	}},
	{"a list does not outlive its entries when the last one goes", func(t *testing.T, f fixture) {
		replaced, forgotten := newList("user"), newList("user")
		entry := f.note(t, f.entry(f.long), replaced, forgotten)
		early := f.note(t, f.entry(f.long/4), replaced, forgotten)
		f.forget(t, forgotten, entry.ID)
		entry.Expires = early.Expires.Add(time.Millisecond)
		f.note(t, entry, replaced)
		if left := f.left(t); left > f.long/2 {
			t.Errorf("a list lives for %v, its last entry for %v", left, f.long/4)
		}
		f.noted(t, replaced, early, entry)
		f.noted(t, forgotten, early)
	}},
	{"nothing is kept that has ended", func(t *testing.T, f fixture) {
		for _, life := range []time.Duration{-time.Second, -100 * 365 * 24 * time.Hour} {
			f.note(t, f.entry(life), newList("user"), newList("sid"))
		}
		f.empty(t)
		name := newList("user")
		entry, other := f.note(t, f.entry(f.long), name), f.note(t, f.entry(f.long), name)
		entry.Expires = f.Now().Add(-time.Second)
		f.note(t, entry, name)
		f.noted(t, name, other)
	}},
	{"an entry that ended is noted again", func(t *testing.T, f fixture) {
		name := newList("user")
		entry, other := f.note(t, f.entry(f.life), name), f.note(t, f.entry(2*f.long), name)
		f.outlive(t)
		entry.Expires = f.Now().Add(f.long).Truncate(time.Millisecond)
		f.note(t, entry, name)
		f.noted(t, name, entry, other)
	}},
	{"a session is taken off one list and stays on the other", func(t *testing.T, f fixture) {
		user, sid := newList("user"), newList("sid")
		first, second := f.note(t, f.entry(f.long), user, sid), f.note(t, f.entry(2*f.long), user)
		f.forget(t, user, first.ID)
		f.noted(t, user, second)
		f.noted(t, sid, first)
		f.forget(t, user, first.ID)
		f.forget(t, user, newID())
		f.forget(t, newList("user"), first.ID)
		f.noted(t, user, second)
		f.forget(t, user, second.ID)
		f.forget(t, sid, first.ID)
		f.empty(t)
	}},
	{"no list is no error", func(t *testing.T, f fixture) {
		f.note(t, f.entry(f.long))
		f.empty(t)
	}},
	{"thousands are on a list", func(t *testing.T, f fixture) {
		name, want := newList("user"), []session.IndexEntry{}
		for n := range 1500 {
			want = append(want, f.note(t, f.entry(10*f.long+time.Duration(n)*time.Millisecond), name))
		}
		slices.SortFunc(want, func(a, b session.IndexEntry) int {
			if c := a.Expires.Compare(b.Expires); c != 0 {
				return c
			}
			return bytes.Compare(a.ID[:], b.ID[:])
		})
		f.noted(t, name, want...)
		for n := range 500 {
			f.forget(t, name, want[n].ID)
		}
		f.noted(t, name, want[500:]...)
	}},
	{"says corrupt for a list of another type", func(t *testing.T, f fixture) {
		if f.PutOtherList == nil {
			return // this store has one type of list
		}
		name := newList("user")
		f.PutOtherList(t, name, f.long)
		err := f.Store.Note(t.Context(), []session.IndexName{name}, f.entry(f.long))
		_, errNoted := f.Store.Noted(t.Context(), name)
		errForget := f.Store.Forget(t.Context(), name, newID())
		for _, err := range []error{err, errNoted, errForget} {
			if !is(err, session.ErrCorrupt) {
				t.Errorf("%v, want ErrCorrupt", err)
			}
		}
	}},
}
