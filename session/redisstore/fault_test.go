package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
	"authsvc/session/storetest"
)

// The common faults, by the suite, with every method.
func TestFaults(t *testing.T) {
	server := storetest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	var p *proxy
	h := real(server, Options{Timeout: bound})
	h.New = func(t *testing.T) storetest.Instance {
		p = startProxy(t, server.Addr)
		h := real(server, Options{URL: "redis://" + p.Addr, Timeout: bound})
		in := h.New(t)
		healthy(t, in.Store.(*Store))
		return in
	}
	h.Faults = map[string]func(*testing.T, storetest.Instance) func(){
		"killed": func(*testing.T, storetest.Instance) func() { server.Kill(); return server.Start },
		"paused": func(*testing.T, storetest.Instance) func() { server.Pause(); return server.Resume },
		"hanging": func(*testing.T, storetest.Instance) func() {
			p.hang.Store(true)
			return func() { p.hang.Store(false) }
		},
		"refusing": func(t *testing.T, _ storetest.Instance) func() {
			p.close()
			return func() { p.listen(t, p.Addr) }
		},
		"cutting": func(*testing.T, storetest.Instance) func() {
			cut := func(_, size int) (int, bool) { return size / 2, true }
			p.answer.Store(&cut)
			return func() { p.answer.Store(nil) }
		},
		"slow": func(*testing.T, storetest.Instance) func() {
			p.answer.Store(slow(3 * bound))
			return func() { p.answer.Store(nil) }
		},
		"loading": func(t *testing.T, _ storetest.Instance) func() {
			loading := storetest.StartRedis(t, "--appendonly", "yes", "--appendfsync", "always", "--key-load-delay", "20000")
			client := loading.Client()
			for i := range 1000 {
				if err := client.Set(t.Context(), fmt.Sprint(i), "", 0).Err(); err != nil {
					t.Fatal(err)
				}
			}
			loading.Kill()
			loading.Launch()
			right := p.server
			p.close()
			p.server = loading.Addr
			p.listen(t, p.Addr)
			return func() { p.close(); p.server = right; p.listen(t, p.Addr) }
		},
	}
	storetest.RunFaults(t, h)
}

// A Redis that hangs, and 400 who ask: all are answered in time, and when it returns it is not met with a storm.
func TestPausedUnderLoad(t *testing.T) {
	server := storetest.StartRedis(t)
	s := settled(t, server.URL)
	records := stored(t, s, 10)
	before := server.Info("total_connections_received")

	server.Pause()
	crowd(t, s, 400, 20, records, unanswered(t, "timeout"))
	server.Resume()

	healthy(t, s)
	intact(t, s, records)
	// The pool once for those that it had, once for those that followed, and then a few a second.
	if dials := server.Info("total_connections_received") - before; dials > 150 {
		t.Errorf("%d connections were made while nothing answered", dials)
	}
}

// Something that takes connections and says nothing, as a load balancer without a Redis behind it.
func TestNeverAnswers(t *testing.T) {
	address, dials := deaf(t)
	s := faulty(t, "redis://"+address)
	crowd(t, s, 400, 20, []session.Record{record(1)}, unanswered(t, "timeout"))
	if n := dials.Load(); n > 150 {
		t.Errorf("%d connections were made while nothing answered", n)
	}
	if s.Reached() {
		t.Error("the store counts as reached")
	}
}

func TestRefused(t *testing.T) {
	server := storetest.StartRedis(t)
	s := settled(t, server.URL)
	server.Kill()
	// With so many at once a busy machine may need all the time just to tell them.
	crowd(t, s, 400, 20, []session.Record{record(1)}, unanswered(t, "refused", "connection", "timeout"))
	server.Start()
	healthy(t, s)
	if _, err := s.Load(t.Context(), record(1).ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("an empty Redis: %v, want ErrNotFound", err)
	}
}

// Wherever an answer is cut, it is never taken for a whole one, and a write that was sent twice was done once.
func TestCutReplies(t *testing.T) {
	server := storetest.StartRedis(t)
	p := startProxy(t, server.Addr)
	s := settled(t, "redis://"+p.Addr)
	records := stored(t, s, 1)
	r := records[0]
	for n := range 60 {
		cuts := 0
		var mu sync.Mutex
		cut := func(sent, size int) (int, bool) {
			mu.Lock()
			defer mu.Unlock()
			if cuts == n%3 { // none, one or two answers are cut
				return size, false
			}
			cuts++
			return min(n, size-1), true
		}
		p.answer.Store(&cut)
		if got, err := s.Load(t.Context(), r.ID); err == nil && !bytes.Equal(got.Identity, r.Identity) || err != nil && !storetest.CannotTell(err) {
			t.Errorf("cut after %d bytes: %d bytes, %v", n, len(got.Identity), err)
		}
		second := record(1000 + n)
		if err := s.Create(t.Context(), second); err != nil && !storetest.CannotTell(err) {
			t.Errorf("cut after %d bytes: Create: %v", n, err)
		}
		p.answer.Store(nil)
		healthy(t, s)
		storetest.WaitFor(t, "Create to be sure", func() error { return s.Create(t.Context(), second) })
		intact(t, s, []session.Record{second})
	}
	intact(t, s, records)
}

// One answer is lost, of each kind of write: the operation is sent again and finds its own work.
func TestLostAnswer(t *testing.T) {
	server := storetest.StartRedis(t)
	p := startProxy(t, server.Addr)
	s := open(t, Options{URL: "redis://" + p.Addr})
	healthy(t, s)
	r := record(1)
	second := record(1)
	second.Version, second.Identity = 2, []byte("second")
	name, list := session.SlotName{Kind: "slot"}, session.IndexName{Kind: "user"}
	for _, op := range []struct {
		name string
		run  func() error
	}{
		{"create", func() error { return s.Create(t.Context(), r) }},
		{"swap", func() error { return s.Swap(t.Context(), second) }},
		{"touch", func() error { return s.Touch(t.Context(), r.ID, 2*time.Hour) }},
		{"claim", func() error {
			holder, claimed, err := s.Claim(t.Context(), name, []byte("one"), time.Hour)
			if err == nil && (!claimed || string(holder) != "one") {
				err = fmt.Errorf("%q holds it", holder)
			}
			return err
		}},
		{"replace", func() error {
			replaced, err := s.Replace(t.Context(), name, []byte("one"), []byte("two"), time.Hour)
			if err == nil && !replaced {
				err = errors.New("it was not replaced")
			}
			return err
		}},
		{"note", func() error {
			return s.Note(t.Context(), []session.IndexName{list}, session.IndexEntry{ID: r.ID, Expires: r.Expires})
		}},
		{"noted", func() error {
			entries, err := s.Noted(t.Context(), list)
			if err == nil && len(entries) != 1 {
				err = fmt.Errorf("%d entries are there", len(entries))
			}
			return err
		}},
		{"forget", func() error { return s.Forget(t.Context(), list, r.ID) }},
		{"delete", func() error { return s.Delete(t.Context(), r.ID) }},
	} {
		var once sync.Once
		lose := func(_, size int) (pass int, cut bool) {
			pass = size
			once.Do(func() { pass, cut = 0, true })
			return pass, cut
		}
		// The script must be known, or the answer that is lost is that it is not.
		for _, script := range []*redis.Script{createRecord, swapRecord, touchRecord, deleteRecord, claimSlot, replaceSlot, noteEntry, readEntries, forgetEntry} {
			if err := script.Load(t.Context(), server.Client()).Err(); err != nil {
				t.Fatal(err)
			}
		}
		p.answer.Store(&lose)
		if err := op.run(); err != nil {
			t.Errorf("%s: %v", op.name, err)
		}
		p.answer.Store(nil)
	}
}

// Answers that come when nobody waits for them any more are nobody's.
func TestLateReplies(t *testing.T) {
	server := storetest.StartRedis(t)
	p := startProxy(t, server.Addr)
	s := open(t, Options{URL: "redis://" + p.Addr, Timeout: 20 * time.Millisecond})
	healthy(t, s)
	records := stored(t, s, 50)
	delay := func(_, size int) (int, bool) {
		time.Sleep(rand.N(25 * time.Millisecond)) // the fault itself: sometimes too late
		return size, false
	}
	p.answer.Store(&delay)
	var answered, late sync.Map
	crowd(t, s, 50, 60, records, func(r, got session.Record, err error) {
		switch {
		case err == nil && !bytes.Equal(got.Identity, r.Identity):
			t.Errorf("asked for %s and got another's record", r.ID)
		case err == nil:
			answered.Store(r.ID, true)
		case !storetest.CannotTell(err) || errors.Is(err, session.ErrForeign):
			t.Errorf("asked for %s: %v", r.ID, err)
		default:
			late.Store(r.ID, true)
		}
	})
	p.answer.Store(nil)
	healthy(t, s)
	intact(t, s, records)
}

// Connections that the server closed while they were idle are nobody's trouble.
func TestIdleConnectionsClosed(t *testing.T) {
	server := storetest.StartRedis(t)
	a := storetest.NewAuthority(t)
	tlsServer := storetest.StartRedisTLS(t, a)
	for name, s := range map[string]struct {
		*Store
		server *storetest.Server
	}{
		"plain": {open(t, Options{URL: server.URL}), server},
		"tls":   {open(t, Options{URL: tlsServer.TLSURL + a.Query("server")}), tlsServer},
	} {
		t.Run(name, func(t *testing.T) {
			healthy(t, s.Store)
			records := stored(t, s.Store, 10)
			for range 5 {
				var failed sync.Map
				check := func(r, got session.Record, err error) {
					if err != nil || !bytes.Equal(got.Identity, r.Identity) {
						failed.Store(fmt.Sprint(err), true)
					}
				}
				crowd(t, s.Store, 100, 3, records, check) // fills the pool
				s.server.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
				crowd(t, s.Store, 1, 40, records, check)
				crowd(t, s.Store, 100, 3, records, check)
				failed.Range(func(err, _ any) bool { t.Error(err); return true })
			}
		})
	}
}

// Callers that hang up do not empty the pool.
func TestCallersThatHangUp(t *testing.T) {
	server := storetest.StartRedis(t)
	p := startProxy(t, server.Addr)
	s := open(t, Options{URL: "redis://" + p.Addr})
	healthy(t, s)
	records := stored(t, s, 1)
	p.answer.Store(slow(5 * time.Millisecond))
	var running sync.WaitGroup
	for range 100 {
		running.Go(func() {
			for range 5 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(rand.N(4*time.Millisecond), cancel)
				if _, err := s.Load(ctx, records[0].ID); err != nil {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	running.Wait()
	if n := p.dials.Load(); n > 32 {
		t.Errorf("%d connections were made, the pool has 32", n)
	}
}
