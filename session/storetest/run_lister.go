package storetest

import (
	"slices"
	"testing"
	"time"

	"authsvc/session"
)

// RunLister checks every sentence of the contract of session.Lister. The stores must implement it.
func RunLister(t *testing.T, h Harness) {
	for _, s := range listerTests {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, h.begin(t))
		})
	}
}

// records returns how often each record is given.
func (f fixture) records(t *testing.T) map[session.ID]int {
	t.Helper()
	given := map[session.ID]int{}
	for id, err := range f.Store.(session.Lister).EachRecord(t.Context()) {
		if err != nil {
			t.Fatalf("EachRecord: %v", err)
		}
		given[id]++
	}
	return given
}

// lists returns the lists of a kind that are given.
func (f fixture) lists(t *testing.T, kind string) map[session.IndexName][]session.IndexEntry {
	t.Helper()
	given := map[session.IndexName][]session.IndexEntry{}
	for list, err := range f.Store.(session.Lister).EachList(t.Context(), kind) {
		if err != nil {
			t.Fatalf("EachList: %v", err)
		}
		given[list.Name] = list.Entries
	}
	return given
}

var listerTests = []subtest{
	{"nothing is given where nothing is", func(t *testing.T, f fixture) {
		if records, lists := f.records(t), f.lists(t, "user"); len(records) != 0 || len(lists) != 0 {
			t.Errorf("%d records, %d lists", len(records), len(lists))
		}
	}},
	{"every record and every list is given", func(t *testing.T, f fixture) {
		const many = 600 // more than one step takes
		ids, names := map[session.ID]bool{}, map[session.IndexName]session.IndexEntry{}
		for n := range many {
			ids[f.create(t).ID] = true
			user := newList("user")
			names[user] = f.note(t, f.entry(10*f.long+time.Duration(n)*time.Second), user, newList("sid"))
		}
		records, lists := f.records(t), f.lists(t, "user")
		if len(records) != many || len(lists) != many || len(f.lists(t, "sid")) != many {
			t.Errorf("%d records, %d lists; want %d", len(records), len(lists), many)
		}
		for id := range records {
			if !ids[id] {
				t.Errorf("%v is no record", id)
			}
		}
		for name, entries := range lists {
			if want := names[name]; len(entries) != 1 || !sameEntry(entries[0], want) {
				t.Fatalf("%v: %v, want %v", name, entries, want)
			}
		}
	}},
	{"slots, tokens and lists of another kind are not given", func(t *testing.T, f fixture) {
		r := f.create(t)
		f.note(t, f.entry(f.long), newList("sid"))
		if _, _, err := f.Store.Claim(t.Context(), session.SlotName{Kind: "users"}, []byte("x"), f.long); err != nil {
			t.Fatal(err)
		}
		if records := f.records(t); len(records) != 1 || records[r.ID] == 0 {
			t.Errorf("records %v", records)
		}
		if lists := f.lists(t, "user"); len(lists) != 0 {
			t.Errorf("lists %v", lists)
		}
	}},
	{"a list is given as Noted gives it", func(t *testing.T, f fixture) {
		name := newList("user")
		for n := range 20 {
			f.note(t, f.entry(f.long+time.Duration(n%7)*time.Second), name)
		}
		f.note(t, f.entry(f.life), name)
		f.outlive(t)
		want, err := f.Store.Noted(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.lists(t, "user")[name]; len(want) != 20 || !slices.EqualFunc(got, want, sameEntry) {
			t.Errorf("got %v, want %v", ends(got), ends(want))
		}
	}},
	{"whoever has seen enough stops", func(t *testing.T, f fixture) {
		for range 3 {
			f.create(t)
			f.note(t, f.entry(f.long), newList("user"))
		}
		for range f.Store.(session.Lister).EachRecord(t.Context()) {
			break
		}
		for range f.Store.(session.Lister).EachList(t.Context(), "user") {
			break
		}
	}},
	{"what is no list is passed over", func(t *testing.T, f fixture) {
		if f.PutOtherList == nil {
			return // this store has one type of list
		}
		name := newList("user")
		entry := f.note(t, f.entry(f.long), name)
		f.PutOtherList(t, newList("user"), f.long)
		if lists := f.lists(t, "user"); len(lists) != 1 || !slices.EqualFunc(lists[name], []session.IndexEntry{entry}, sameEntry) {
			t.Errorf("lists %v", lists)
		}
	}},
}
