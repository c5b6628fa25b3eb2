package authsvc

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"authsvc/session/memstore"
)

// member is a replica that has joined, or is about to.
type member struct {
	*Service
	open   atomic.Bool
	leave  func() // ends it as SIGTERM does
	log    *logBuffer
	opened atomic.Int32 // how often
}

// joins starts a replica over the store.
func joins(t *testing.T, store Backend, configure func(*Config)) *member {
	t.Helper()
	c := configOfReplica()
	if configure != nil {
		configure(c)
	}
	m := &member{log: new(logBuffer)}
	var err error
	m.Service, err = New(Options{Config: c, Store: store, Log: zerolog.New(m.log), Metrics: prometheus.NewRegistry(), Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		m.Join(ctx, func(open bool) {
			if m.open.Swap(open) == open {
				t.Errorf("the gate is told twice: %t", open)
			}
			if open {
				m.opened.Add(1)
			}
		})
	})
	m.leave = func() { cancel(); running.Wait() }
	t.Cleanup(m.leave)
	return m
}

// is checks whether a replica takes requests, and what readyz says fails.
func (m *member) is(t *testing.T, what string, open bool, failing ...string) {
	t.Helper()
	synctest.Wait()
	answer := askAdmin(m.Service, http.MethodGet, "/readyz")
	var state readiness
	if err := json.Unmarshal(answer.Body.Bytes(), &state); err != nil {
		t.Fatal(err)
	}
	if m.open.Load() != open || state.Ready != open || len(failing) == 0 && len(state.Failing) > 0 {
		t.Errorf("%s: open %t, readyz %+v; want %t", what, m.open.Load(), state, open)
	}
	for _, text := range failing {
		if !strings.Contains(state.Failing["drift"], text) {
			t.Errorf("%s: readyz says %q, which does not name %s", what, state.Failing["drift"], text)
		}
	}
}

func otherName(c *Config) { c.Cookie.Name = "other-cookie-name" }

func newMemory() *faultyStore { return &faultyStore{Store: memstore.New(nil)} }

// empty does to what replicas keep in a store what FLUSHALL does.
func empty(t *testing.T, store *faultyStore) {
	t.Helper()
	roster, err := store.Replicas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id := range roster {
		store.Leave(t.Context(), id)
	}
	if id, err := store.ReadSlot(t.Context(), storeIDSlot); err == nil {
		store.Replace(t.Context(), storeIDSlot, id, nil, 0)
	}
}

// beat lets a heartbeat pass.
func beat() { time.Sleep(heartbeat + time.Millisecond); synctest.Wait() }

// TestJoin: who agrees with the others opens at once; who must and does not waits until they are gone.
func TestJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		first, began := joins(t, store, nil), time.Now()
		first.is(t, "the first", true)
		same := joins(t, store, func(c *Config) { c.Listen = "unix:/elsewhere" })
		same.is(t, "one that agrees", true)
		slower := joins(t, store, func(c *Config) { c.Session.IdleTimeout++ })
		slower.is(t, "one that differs in what is only told", true)
		other := joins(t, store, otherName)
		other.is(t, "one that must agree and does not", false, "cookie.name", first.id, same.id)
		if time.Since(began) > 0 {
			t.Errorf("it took %v", time.Since(began))
		}
		beat()
		other.is(t, "a heartbeat later", false, "cookie.name")
		for _, m := range []*member{first, same, slower} {
			m.is(t, "one that was there before", true)
		}
		if text := other.log.String(); strings.Count(text, "held back") != 1 || !strings.Contains(text, first.id) || strings.Contains(text, "other-cookie-name") {
			t.Errorf("the log says %s", text)
		}
		if text := first.log.String(); strings.Count(text, "replicas differ") > 3 || !strings.Contains(text, "session.idle_timeout") || !strings.Contains(text, "cookie.name") {
			t.Errorf("the log of who was there before says %s", text)
		}
		metrics := askAdmin(first.Service, http.MethodGet, "/metrics").Body.String()
		for _, want := range []string{
			"authsvc_replicas 4", `authsvc_config_drift{setting="cookie.name"} 1`, `authsvc_config_drift{setting="session.idle_timeout"} 1`,
			`authsvc_config_drift{setting="public_url"} 0`, `authsvc_config_drift{setting="store"} 0`,
		} {
			if !strings.Contains(metrics, want+"\n") {
				t.Errorf("no %s in the metrics", want)
			}
		}
		var listed []map[string]any
		if err := json.Unmarshal(askAdmin(first.Service, http.MethodGet, "/replicas").Body.Bytes(), &listed); err != nil || len(listed) != 4 {
			t.Errorf("/replicas: %v, %v", listed, err)
		}
		for _, r := range listed {
			want := map[string]string{slower.id: "[session.idle_timeout]", other.id: "[cookie.name]"}[fmt.Sprint(r["id"])]
			if got := fmt.Sprint(r["drift"]); len(r) != 4 || want != "" && got != want || want == "" && got != "[]" || r["version"] != "v1" {
				t.Errorf("/replicas: %v", r)
			}
		}

		first.leave()
		same.leave()
		slower.leave()
		beat()
		other.is(t, "when all are gone", true)
		if !strings.Contains(other.log.String(), "admitted") {
			t.Error("the log does not say that it was admitted")
		}
		late := joins(t, store, nil)
		late.is(t, "one that agreed with those who are gone", false, "cookie.name", other.id)
	})
}

// TestJoinKilled: a replica that ended without a word, or hangs, is forgotten.
func TestJoinKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		killed := joins(t, store, nil)
		synctest.Wait()
		store.refuse("leave")
		killed.leave()
		store.refuse()
		other := joins(t, store, otherName)
		other.is(t, "after a kill", false, killed.id)
		time.Sleep(replicaLife + heartbeat)
		other.is(t, "when it is forgotten", true)
	})
}

// TestJoinHeldBackCountsForNobody: a replica that is held back holds nobody back, however old it is.
func TestJoinHeldBackCountsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		joins(t, store, nil).is(t, "the first", true)
		joins(t, store, otherName).is(t, "one that differs", false, "cookie.name")
		joins(t, store, nil).is(t, "one that agrees with the first", true)
	})
}

// TestJoinGeneration: what comes with a higher config_generation is meant; what still has the lower one is then held back.
func TestJoinGeneration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		meant := func(c *Config) { otherName(c); c.ConfigGeneration = 1 }
		old := joins(t, store, nil)
		old.is(t, "the old one", true)
		joins(t, store, meant).is(t, "the first new one", true)
		joins(t, store, meant).is(t, "the second new one", true)
		beat()
		old.is(t, "the old one beside new ones", true)
		joins(t, store, nil).is(t, "another old one", false, "cookie.name")
		joins(t, store, func(c *Config) { c.Cookie.Domain, c.ConfigGeneration = "example.com", 1 }).is(t, "another change of the same generation", false, "cookie.domain")
	})
}

// meetingStore answers first announcements when so many replicas have made theirs: all of them look before any says that it is ready.
type meetingStore struct {
	*faultyStore
	arrive func(name string) (all <-chan struct{})
}

func meeting(n int) meetingStore {
	var mu sync.Mutex
	all, seen := make(chan struct{}), map[string]bool{}
	return meetingStore{newMemory(), func(name string) <-chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		if seen[name] = true; len(seen) == n {
			select {
			case <-all:
			default:
				close(all)
			}
		}
		return all
	}}
}

func (m meetingStore) Announce(ctx context.Context, name string, value []byte, ttl time.Duration) (map[string][]byte, error) {
	roster, err := m.faultyStore.Announce(ctx, name, value, ttl)
	<-m.arrive(name)
	return roster, err
}

// TestJoinTogether: of replicas that differ and start at the same moment exactly one opens.
func TestJoinTogether(t *testing.T) {
	for range 30 {
		members := make([]*member, 4)
		store := meeting(len(members))
		var starting sync.WaitGroup
		for i := range members {
			starting.Go(func() {
				members[i] = joins(t, store, func(c *Config) { c.Cookie.Name = fmt.Sprint("name", i) })
			})
		}
		starting.Wait()
		open := 0
		for _, m := range members {
			eventually(t, "a replica to know where it stands", func() bool {
				state := m.standing.Load()
				return state != nil && (state.Opened || len(state.HeldBack) > 0)
			})
			if m.open.Load() {
				open++
			}
		}
		if open != 1 {
			t.Fatalf("%d of %d replicas that all differ are open", open, len(members))
		}
		for _, m := range members {
			m.leave()
		}
	}
}

// TestJoinEmptiedStore: a store that was emptied stops nobody and keeps its ID.
func TestJoinEmptiedStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		a, b := joins(t, store, nil), joins(t, store, nil)
		b.is(t, "both", true)
		before, _ := a.storeIDs.get()
		for range 2 {
			empty(t, store)
			a.is(t, "when the store is emptied", true)
			beat()
			for _, m := range []*member{a, b} {
				m.is(t, "a heartbeat later", true)
				if now, known := m.storeIDs.get(); !known || now != before {
					t.Errorf("the store's ID was %x, and is %x", before, now)
				}
			}
			joins(t, store, otherName).is(t, "one that differs", false, "cookie.name")
		}
		// A newcomer may be there before anybody could put the ID back.
		empty(t, store)
		early := joins(t, store, nil)
		early.is(t, "a newcomer after the store was emptied", true)
		fresh, _ := early.storeIDs.get()
		if fresh == before {
			t.Fatal("a newcomer guessed the store's ID")
		}
		beat()
		beat()
		for _, m := range []*member{a, b, early} {
			m.is(t, "afterwards", true)
			if now, _ := m.storeIDs.get(); now != fresh || !m.storeIDs.isOurs(fresh.ID) {
				t.Errorf("the store's ID is %x, and one holds it for %x", fresh, now)
			}
		}
		if !a.storeIDs.isOurs(before.ID) {
			t.Error("a replica has forgotten the ID that its store had")
		}
		if text := a.log.String(); strings.Contains(text, "cookie.secret") || strings.Contains(text, "public_url") {
			t.Errorf("the change of the salt was taken for drift: %s", text)
		}
	})
}

// TestStoreIDIsRenewed: the store's ID lives on while somebody asks for it, and for long afterwards.
func TestStoreIDIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		var ids, others storeIDs
		first, err := ids.claim(t.Context(), store, store.Now())
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			time.Sleep(storeIDLife / 4)
			if again, err := ids.claim(t.Context(), store, store.Now()); err != nil || again != first {
				t.Fatalf("%x, %v; want %x", again, err, first)
			}
		}
		time.Sleep(storeIDLife - time.Minute)
		asked := store.commands.Load()
		if late, err := others.claim(t.Context(), store, store.Now()); err != nil || late != first {
			t.Errorf("%x, %v; want %x", late, err, first)
		}
		for range 100 {
			if _, err := others.claim(t.Context(), store, store.Now()); err != nil {
				t.Fatal(err)
			}
		}
		if n := store.commands.Load() - asked; n > 105 {
			t.Errorf("%d commands, and none of them was needed to renew it", n)
		}
		store.Replace(t.Context(), storeIDSlot, first.encode(), []byte("something else"), time.Hour)
		if id, err := ids.claim(t.Context(), store, store.Now()); err == nil {
			t.Errorf("%x was read where something else is kept", id)
		}
	})
}

// TestJoinWithoutStore: a replica that cannot ask opens after a moment; when it can, what it learns counts.
func TestJoinWithoutStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		first := joins(t, store, nil)
		first.is(t, "the first", true)
		store.down.Store(true)
		same, other := joins(t, store, nil), joins(t, store, otherName)
		for _, m := range []*member{same, other} {
			m.is(t, "at first", false, "not been asked")
		}
		time.Sleep(admissionGrace + time.Millisecond)
		for _, m := range []*member{first, same, other} {
			m.is(t, "after a moment", true)
		}
		time.Sleep(heartbeat)
		store.down.Store(false)
		time.Sleep(joinRetryMax)
		first.is(t, "the first, with the store", true)
		same.is(t, "one that agrees, with the store", true)
		other.is(t, "one that differs, with the store", false, "cookie.name", first.id)
		if same.opened.Load() != 1 || other.opened.Load() != 1 {
			t.Errorf("they opened %d and %d times", same.opened.Load(), other.opened.Load())
		}
		if text := same.log.String(); strings.Count(text, "cannot be asked") != 1 {
			t.Errorf("the log says %s", text)
		}
		store.down.Store(true)
		time.Sleep(time.Minute)
		other.is(t, "one that differs, when the store is down again", false, "cookie.name")
		store.down.Store(false)
		first.leave()
		same.leave()
		beat()
		other.is(t, "when the others are gone", true)
	})
}

// changingStore puts another replica on the roster between the two looks of the first one that says that it is ready.
type changingStore struct {
	*faultyStore
	between func()
	once    sync.Once
}

func (c *changingStore) Announce(ctx context.Context, name string, value []byte, ttl time.Duration) (map[string][]byte, error) {
	if parseRoster(map[string][]byte{name: value})[0].Ready {
		c.once.Do(c.between)
	}
	return c.faultyStore.Announce(ctx, name, value, ttl)
}

// TestJoinUnsettled: who opened without the store stays open when it agrees with all, though the roster changes while it asks to be admitted.
func TestJoinUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &changingStore{faultyStore: newMemory()}
		store.refuse("announce")
		m := joins(t, store, withKeys(2, 1))
		time.Sleep(admissionGrace + time.Millisecond)
		m.is(t, "without the roster", true)
		asked := false
		store.between = func() {
			other := m.announced()
			other.Keys = other.Keys[1:] // so that another key shall sign
			asked = true
			if _, err := store.Store.Announce(t.Context(), "other", other.encode(), time.Hour); err != nil {
				t.Error(err)
			}
		}
		store.refuse()
		time.Sleep(joinRetryMax)
		m.is(t, "when the roster changed between its two looks", true)
		if !asked || m.standing.Load().Admitted || m.opened.Load() != 1 {
			t.Errorf("asked %t, opened %d times: %+v", asked, m.opened.Load(), m.standing.Load())
		}
		beat()
		m.is(t, "a heartbeat later", true)
		if !m.standing.Load().Admitted || !m.signsWith(t, 1) {
			t.Error("it was not admitted, or signs with what the other one lacks")
		}
	})
}

// TestJoinRosterDown: a store that answers, but not about the others, keeps nobody from serving; it is told, and others are told which
// key signs.
func TestJoinRosterDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newMemory()
		store.refuse("announce")
		m := joins(t, store, nil)
		time.Sleep(admissionGrace + time.Millisecond)
		m.is(t, "without the roster", true)
		var state readiness
		if err := json.Unmarshal(askAdmin(m.Service, http.MethodGet, "/readyz").Body.Bytes(), &state); err != nil || state.Degraded["roster"] == "" {
			t.Errorf("%+v, %v", state, err)
		}
		sessions := m.sites.Load().main.sessions
		for range 2 {
			if marks, err := sessions.KeyMarks(t.Context()); err != nil || len(marks) != 1 || !sessions.Signs(marks[0]) {
				t.Errorf("it signs, and its key is not marked: %v, %v", marks, err)
			}
			time.Sleep(time.Minute)
		}
	})
}
