package redisstore

import (
	"errors"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// noted returns the entries of a list.
func noted(t *testing.T, s *Store, name session.IndexName) []session.IndexEntry {
	t.Helper()
	entries, err := s.Noted(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func note(t *testing.T, s *Store, entry session.IndexEntry, names ...session.IndexName) {
	t.Helper()
	if err := s.Note(t.Context(), names, entry); err != nil {
		t.Fatal(err)
	}
}

func indexEntry(n int) session.IndexEntry {
	return session.IndexEntry{
		ID: session.ID{byte(n), byte(n >> 8)}, Expires: time.Now().Add(time.Hour).Truncate(time.Millisecond),
	}
}

// A full Redis takes no new entry and loses none; people who sign out are taken off.
func TestIndexOutOfMemory(t *testing.T) {
	server := storetest.StartRedis(t)
	s := settled(t, server.URL)
	list, first, second := session.IndexName{Kind: "user"}, indexEntry(1), indexEntry(2)
	note(t, s, first, list)
	note(t, s, second, list)
	server.Do("CONFIG", "SET", "maxmemory", "1")
	replacement := first
	replacement.Expires = first.Expires.Add(time.Minute)
	for _, entry := range []session.IndexEntry{replacement, indexEntry(3)} {
		if err := s.Note(t.Context(), []session.IndexName{list}, entry); !storetest.CannotTell(err) || Cause(err) != "memory" {
			t.Errorf("Note: %v (%s), want none of the sentinels", err, Cause(err))
		}
	}
	if got := noted(t, s, list); len(got) != 2 || !got[0].Expires.Equal(first.Expires) {
		t.Errorf("the list holds %v", got)
	}
	if err := s.Forget(t.Context(), list, first.ID); err != nil {
		t.Error(err)
	}
	if got := noted(t, s, list); len(got) != 1 || got[0].ID != second.ID {
		t.Errorf("the list holds %v", got)
	}
}

// Redis writes scores as it likes, such as 2e+12. Lua within miniredis could not read that.
func TestIndexRoundEnd(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	list, entry := session.IndexName{Kind: "user"}, indexEntry(1)
	entry.Expires = time.UnixMilli(2_000_000_000_000)
	note(t, s, entry, list)
	other := indexEntry(2)
	note(t, s, other, list)
	if got := noted(t, s, list); len(got) != 2 || !got[1].Expires.Equal(entry.Expires) {
		t.Errorf("the list holds %v", got)
	}
	if err := s.Forget(t.Context(), list, other.ID); err != nil {
		t.Error(err)
	}
}

// What is no session's ID does not pass for one.
func TestIndexGarbage(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	list := session.IndexName{Kind: "user"}
	keys, err := s.indexKeys(list)
	if err != nil {
		t.Fatal(err)
	}
	note(t, s, indexEntry(1), list)
	for _, score := range []any{"+inf", time.Now().Add(time.Hour).UnixMilli()} {
		server.Do("ZADD", keys[0], score, "garbage")
		if got, err := s.Noted(t.Context(), list); !errors.Is(err, session.ErrCorrupt) {
			t.Errorf("Noted: %v, %v, want ErrCorrupt", got, err)
		}
	}
}

// What has expired costs no memory after the next note, and a key whose expiry was taken away has one again.
func TestIndexIsPruned(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	list, past := session.IndexName{Kind: "user"}, indexEntry(1)
	keys, err := s.indexKeys(list)
	if err != nil {
		t.Fatal(err)
	}
	server.Do("ZADD", keys[0], time.Now().Add(-time.Minute).UnixMilli(), past.ID[:])
	if got := noted(t, s, list); len(got) != 0 {
		t.Errorf("the list holds %v", got)
	}
	note(t, s, indexEntry(2), list)
	if n := server.Do("ZCARD", keys[0]); n != int64(1) {
		t.Errorf("%d entries are left, want 1", n)
	}
	if left := server.Do("PTTL", keys[0]).(int64); left <= 0 {
		t.Errorf("the list has a life of %d", left)
	}
}

// Where one of several lists cannot be written, those before it are.
func TestIndexPartialNote(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	lists := []session.IndexName{{Kind: "user"}, {Kind: "sid"}, {Kind: "sid", Hash: [32]byte{1}}}
	keys, err := s.indexKeys(lists[1])
	if err != nil {
		t.Fatal(err)
	}
	server.Do("SET", keys[0], "text", "EX", 100)
	if err := s.Note(t.Context(), lists, indexEntry(1)); Cause(err) != "" || err == nil {
		t.Errorf("Note: %v, want ErrCorrupt", err)
	}
	if got := noted(t, s, lists[0]); len(got) != 1 {
		t.Errorf("the list before holds %v", got)
	}
	if got := noted(t, s, lists[2]); len(got) != 0 {
		t.Errorf("the list behind holds %v", got)
	}
}
