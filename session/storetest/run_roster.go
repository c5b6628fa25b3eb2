package storetest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/session"
)

// announces checks what an announcement gives back: each replica's name and what it said, as text.
func (f fixture) announces(t *testing.T, name, value string, ttl time.Duration, want ...string) {
	t.Helper()
	got, err := f.Store.Announce(t.Context(), name, []byte(value), ttl)
	if err != nil || !slices.Equal(rosterText(got), want) {
		t.Errorf("Announce(%q, %q) = %q, %v; want %q", name, value, rosterText(got), err, want)
	}
}

// rosterIs checks the roster.
func (f fixture) rosterIs(t *testing.T, want ...string) {
	t.Helper()
	got, err := f.Store.Replicas(t.Context())
	if err != nil || !slices.Equal(rosterText(got), want) {
		t.Errorf("Replicas = %q, %v; want %q", rosterText(got), err, want)
	}
}

func rosterText(roster map[string][]byte) (text []string) {
	for _, name := range slices.Sorted(maps.Keys(roster)) {
		text = append(text, name+" "+string(roster[name]))
	}
	return text
}

var rosterTests = []subtest{
	{"everyone who was announced is on it", func(t *testing.T, f fixture) {
		f.rosterIs(t)
		f.announces(t, "one", "here", f.long, "one here")
		f.announces(t, "two", "there", f.long, "one here", "two there")
		f.rosterIs(t, "one here", "two there")
	}},
	{"the last word counts", func(t *testing.T, f fixture) {
		f.announces(t, "one", "first", f.long, "one first")
		f.announces(t, "two", "there", f.long, "one first", "two there")
		f.announces(t, "one", "second", f.long, "one second", "two there")
		f.rosterIs(t, "one second", "two there")
	}},
	{"who is silent is gone", func(t *testing.T, f fixture) {
		f.announces(t, "silent", "here", f.life, "silent here")
		f.announces(t, "stays", "here", f.long, "silent here", "stays here")
		f.outlive(t)
		f.rosterIs(t, "stays here")
		f.announces(t, "third", "here", f.long, "stays here", "third here")
		f.rosterIs(t, "stays here", "third here")
	}},
	{"the life is the last one that was said", func(t *testing.T, f fixture) {
		f.announces(t, "shorter", "here", f.long, "shorter here")
		f.announces(t, "shorter", "here", f.life, "shorter here")
		f.announces(t, "longer", "here", f.life, "longer here", "shorter here")
		f.announces(t, "longer", "here", f.long, "longer here", "shorter here")
		f.outlive(t)
		f.rosterIs(t, "longer here")
	}},
	{"nothing is left when all are silent", func(t *testing.T, f fixture) {
		f.announces(t, "one", "here", f.life, "one here")
		f.announces(t, "two", "here", f.life, "one here", "two here")
		f.outlive(t)
		f.rosterIs(t)
		f.empty(t)
	}},
	{"who leaves is gone at once", func(t *testing.T, f fixture) {
		f.announces(t, "one", "here", f.long, "one here")
		f.announces(t, "two", "here", f.long, "one here", "two here")
		for range 2 {
			if err := f.Store.Leave(t.Context(), "one"); err != nil {
				t.Error(err)
			}
		}
		f.rosterIs(t, "two here")
		if err := f.Store.Leave(t.Context(), "two"); err != nil {
			t.Error(err)
		}
		f.rosterIs(t)
		f.empty(t)
	}},
	{"who announces no life is gone", func(t *testing.T, f fixture) {
		f.announces(t, "one", "here", 0)
		f.announces(t, "one", "here", f.long, "one here")
		f.announces(t, "two", "here", f.long, "one here", "two here")
		f.announces(t, "one", "here", -time.Second, "two here")
		f.announces(t, "two", "here", 0)
		f.empty(t)
	}},
	{"values are any bytes up to the bound", func(t *testing.T, f fixture) {
		name := strings.Repeat("n", session.MaxRosterName)
		for _, value := range [][]byte{nil, {0}, []byte(" "), []byte("1 2"), []byte("\r\n:"), sealed(session.MaxRosterValue)} {
			got, err := f.Store.Announce(t.Context(), name, value, f.long)
			if err != nil || len(got) != 1 || !bytes.Equal(got[name], value) {
				t.Errorf("%d bytes: %d replicas, %v", len(value), len(got), err)
			}
		}
		for name, value := range map[string][]byte{"": nil, "too large": sealed(session.MaxRosterValue + 1), strings.Repeat("n", session.MaxRosterName+1): nil} {
			if got, err := f.Store.Announce(t.Context(), name, value, f.long); !CannotTell(err) {
				t.Errorf("a name of %d bytes and a value of %d: %d replicas, %v", len(name), len(value), len(got), err)
			}
		}
		if got, err := f.Store.Replicas(t.Context()); err != nil || len(got) != 1 {
			t.Errorf("%d replicas, %v; want 1", len(got), err)
		}
	}},
	{"it has its bound", func(t *testing.T, f fixture) {
		for i := range session.MaxReplicas {
			if _, err := f.Store.Announce(t.Context(), fmt.Sprintf("replica %d", i), nil, f.long); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := f.Store.Announce(t.Context(), "one more", nil, f.long); !is(err, session.ErrRosterFull) {
			t.Errorf("one more: %v, want ErrRosterFull", err)
		}
		if got, err := f.Store.Announce(t.Context(), "replica 0", nil, f.life); err != nil || len(got) != session.MaxReplicas {
			t.Errorf("one of them: %d replicas, %v", len(got), err)
		}
		f.outlive(t)
		if got, err := f.Store.Announce(t.Context(), "one more", nil, f.long); err != nil || len(got) != session.MaxReplicas {
			t.Errorf("when one has gone: %d replicas, %v", len(got), err)
		}
	}},
	{"says corrupt for something else in its place", func(t *testing.T, f fixture) {
		if f.PutOtherRoster == nil {
			return // this store has one type of value
		}
		f.PutOtherRoster(t, f.long)
		if _, err := f.Store.Announce(t.Context(), "one", nil, f.long); !is(err, session.ErrCorrupt) {
			t.Errorf("Announce: %v, want ErrCorrupt", err)
		}
		if _, err := f.Store.Replicas(t.Context()); !is(err, session.ErrCorrupt) {
			t.Errorf("Replicas: %v, want ErrCorrupt", err)
		}
		if err := f.Store.Leave(t.Context(), "one"); !is(err, session.ErrCorrupt) {
			t.Errorf("Leave: %v, want ErrCorrupt", err)
		}
	}},
}

// manyAnnounce checks that of any two replicas that come at the same moment one finds the other.
func manyAnnounce(t *testing.T, f fixture) {
	for round := range rounds {
		var mu sync.Mutex
		saw := map[int]map[string][]byte{}
		together(func(writer int) {
			got, err := f.Store.Announce(t.Context(), fmt.Sprintf("%d of %d", writer, round), nil, f.long)
			if err != nil {
				t.Errorf("Announce: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			saw[writer] = got
		})
		for one := range writers {
			for other := range one {
				_, first := saw[one][fmt.Sprintf("%d of %d", other, round)]
				_, second := saw[other][fmt.Sprintf("%d of %d", one, round)]
				if !first && !second {
					t.Errorf("neither %d nor %d saw the other", one, other)
				}
			}
		}
	}
}
