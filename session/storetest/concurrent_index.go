package storetest

import (
	"sync"
	"testing"
	"time"

	"authsvc/session"
)

// manyNote lets all writers note and forget on one list. What a writer has noted is there until it forgets it, and then never again.
func manyNote(t *testing.T, f fixture) {
	name := newList("user")
	var mu sync.Mutex
	kept := map[session.ID]bool{}
	together(func(writer int) {
		for round := range rounds {
			entry := f.entry(f.long)
			if err := f.Store.Note(t.Context(), []session.IndexName{newList("sid"), name}, entry); err != nil {
				t.Errorf("Note: %v", err)
				return
			}
			if !isNoted(t, f, name, entry.ID) {
				t.Error("an entry that was noted is not there")
			}
			if round%2 == 0 {
				mu.Lock()
				kept[entry.ID] = true
				mu.Unlock()
				continue
			}
			if err := f.Store.Forget(t.Context(), name, entry.ID); err != nil {
				t.Errorf("Forget: %v", err)
			}
			if isNoted(t, f, name, entry.ID) {
				t.Error("an entry that was forgotten is there")
			}
		}
	})
	entries, err := f.Store.Noted(t.Context(), name)
	if err != nil || len(entries) != len(kept) {
		t.Fatalf("%d entries are there, want %d, %v", len(entries), len(kept), err)
	}
	for _, entry := range entries {
		if !kept[entry.ID] {
			t.Errorf("%s was forgotten and is there", entry.ID)
		}
	}
}

func isNoted(t *testing.T, f fixture, name session.IndexName, id session.ID) (found bool) {
	entries, err := f.Store.Noted(t.Context(), name)
	if err != nil {
		t.Errorf("Noted: %v", err)
	}
	for _, entry := range entries {
		if entry.ID == id {
			if found {
				t.Errorf("%s is there twice", id)
			}
			found = true
		}
	}
	return found
}

// manyNoteOne lets all writers replace one entry.
func manyNoteOne(t *testing.T, f fixture) {
	name, id, start := newList("user"), newID(), f.Now().Add(f.long).Truncate(time.Millisecond)
	note := func(n int) error {
		end := start.Add(time.Duration(n) * time.Millisecond)
		return f.Store.Note(t.Context(), []session.IndexName{name}, session.IndexEntry{ID: id, Expires: end})
	}
	if err := note(0); err != nil {
		t.Fatal(err)
	}
	together(func(writer int) {
		for round := range rounds {
			if err := note(writer*rounds + round); err != nil {
				t.Errorf("Note: %v", err)
			}
			entries, err := f.Store.Noted(t.Context(), name)
			if err != nil || len(entries) != 1 || entries[0].ID != id {
				t.Errorf("%d entries are there, want 1, %v", len(entries), err)
				return
			}
		}
	})
}
