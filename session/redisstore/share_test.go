package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
	"authsvc/session/storetest"
)

// held is a store whose loads are under way: as many as usually are, for sessions of their own. What Redis has answered them stays on the way
// until release is called.
type held struct {
	*Store
	release func()
	first   sync.WaitGroup
}

func hold(t *testing.T, s *Store, p *proxy, records []session.Record, check func(session.Record, error)) *held {
	t.Helper()
	released := make(chan struct{})
	var waiting atomic.Int64
	keep := func(_, size int) (int, bool) {
		if size > 300 { // a record, and not what is said on a new connection
			waiting.Add(1)
			<-released
		}
		return size, false
	}
	p.answer.Store(&keep)
	h := &held{Store: s, release: sync.OnceFunc(func() { p.answer.Store(nil); close(released) })}
	t.Cleanup(h.release)
	for i := range usualBatches {
		h.first.Go(func() { check(s.Load(t.Context(), records[i].ID)) })
		storetest.WaitFor(t, "a load to be answered", func() error {
			if n := waiting.Load(); n <= int64(i) {
				return fmt.Errorf("%d are", n)
			}
			return nil
		})
	}
	return h
}

// waits returns when that many questions wait for the next batch.
func (h *held) waits(t *testing.T, questions int) {
	t.Helper()
	storetest.WaitFor(t, "callers to wait", func() error {
		h.lanes.mu.Lock()
		defer h.lanes.mu.Unlock()
		for _, l := range h.lanes.busy {
			if l.next != nil && len(l.next.questions) == questions {
				return nil
			}
		}
		return fmt.Errorf("not for %d sessions", questions)
	})
}

// unhurried opens a store behind a proxy, in which batches wait for each other as long as it takes.
func unhurried(t *testing.T) (*Store, *proxy, *storetest.Server) {
	t.Helper()
	server := storetest.StartRedis(t)
	p := startProxy(t, server.Addr)
	s := open(t, Options{URL: "redis://" + p.Addr})
	s.lanes.patience = time.Hour
	healthy(t, s)
	return s, p, server
}

func mustBe(t *testing.T, want session.Record) func(session.Record, error) {
	return func(got session.Record, err error) {
		if err != nil || got.ID != want.ID || !bytes.Equal(got.Identity, want.Identity) {
			t.Errorf("asked for %s, got %s, %v", want.ID, got.ID, err)
		}
	}
}

// Whoever asks while others are under way goes together with everyone who does, and a session that many ask for goes once.
func TestLoadsShareRoundTrips(t *testing.T) {
	s, p, server := unhurried(t)
	records := stored(t, s, 10)
	absent := record(99)
	monitor := server.Monitor(t)
	h := hold(t, s, p, records[:2], func(_ session.Record, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	var others sync.WaitGroup
	for range 20 {
		for _, r := range records[2:] {
			others.Go(func() {
				got, err := s.Load(t.Context(), r.ID)
				mustBe(t, r)(got, err)
				if got.TTL <= 0 {
					t.Errorf("a life of %v", got.TTL)
				}
			})
			others.Go(func() {
				got, err := s.LoadWithoutTTL(t.Context(), r.ID)
				mustBe(t, r)(got, err)
				if got.TTL != 0 {
					t.Errorf("a life of %v that was not asked for", got.TTL)
				}
			})
		}
		for _, load := range []func(context.Context, session.ID) (session.Record, error){s.Load, s.LoadWithoutTTL} {
			others.Go(func() {
				if _, err := load(t.Context(), absent.ID); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("one that is not there: %v", err)
				}
			})
		}
	}
	h.waits(t, 9)
	h.release()
	h.first.Wait()
	others.Wait()
	asked := map[string]int{}
	for _, c := range monitor.Commands(t) {
		if c.Args[0] == "GET" {
			asked[c.Args[1]]++
		}
	}
	// Late goroutines may have found the batch gone, and went by the next.
	if len(asked) != 11 {
		t.Errorf("%d sessions were asked for", len(asked))
	}
	if n := asked[s.recordKeys(records[2].ID)[0]]; n >= 40 {
		t.Errorf("one that 40 asked for at once went %d times", n)
	}
}

// What was asked before somebody came tells them nothing: the session may have ended since, and its end been acknowledged.
func TestNobodyJoinsWhatIsUnderWay(t *testing.T) {
	s, p, server := unhurried(t)
	r := stored(t, s, 1)[0]
	h := hold(t, s, p, []session.Record{r, r}, mustBe(t, r)) // asked before it ends
	var later sync.WaitGroup
	ask := func() {
		later.Go(func() {
			if _, err := s.Load(t.Context(), r.ID); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("asked after its end: %v", err)
			}
		})
	}
	elsewhere := open(t, Options{URL: server.URL})
	if err := elsewhere.Delete(t.Context(), r.ID); err != nil {
		t.Fatal(err)
	}
	ask()
	h.waits(t, 1)
	ask()
	h.release()
	h.first.Wait()
	later.Wait()
}

// A batch does not wait for ever for others that a connection has swallowed.
func TestBatchesLosePatience(t *testing.T) {
	s, p, _ := unhurried(t)
	s.lanes.patience = sharePatience
	records := stored(t, s, 3)
	h := hold(t, s, p, records, func(_ session.Record, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	p.answer.Store(nil) // of new pieces alone
	got, err := s.Load(t.Context(), records[2].ID)
	mustBe(t, records[2])(got, err)
	h.release()
	h.first.Wait()
}

// Where one answer of a batch is wrong, those of the others are right.
func TestBatchWithOneThatIsSpoilt(t *testing.T) {
	s, _, server := unhurried(t)
	records := stored(t, s, 6)
	client := server.Client()
	moved, garbage, list := records[3], records[4], records[5]
	for key, value := range map[string][]byte{
		s.recordKeys(moved.ID)[0]:   records[0].Encode(session.PartIdentity),
		s.recordKeys(garbage.ID)[0]: []byte("garbage"),
	} {
		if err := client.Set(t.Context(), key, value, time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
	}
	client.Del(t.Context(), s.recordKeys(list.ID)[0])
	if err := client.LPush(t.Context(), s.recordKeys(list.ID)[0], "x").Err(); err != nil {
		t.Fatal(err)
	}
	for _, withTokens := range []bool{false, true} {
		t.Run(fmt.Sprintf("tokens=%t", withTokens), func(t *testing.T) {
			questions := []*question{}
			for _, r := range records {
				questions = append(questions, &question{id: r.ID, err: errUnasked})
			}
			s.load(t.Context(), withTokens, questions)
			for i, q := range questions[:3] {
				mustBe(t, records[i])(q.record, q.err)
			}
			for _, q := range questions[3:] {
				if !errors.Is(q.err, session.ErrCorrupt) {
					t.Errorf("a spoilt record among others: %v, want ErrCorrupt", q.err)
				}
			}
		})
	}
}

// panicOnce panics in the next pipeline.
type panicOnce struct {
	loseOnce
	armed atomic.Bool
}

func (p *panicOnce) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if p.armed.CompareAndSwap(true, false) {
			panic("a fault of the program")
		}
		return next(ctx, cmds)
	}
}

// A panic of the one who takes a batch is theirs; the others are told that nobody can tell, and it goes on.
func TestPanicInABatch(t *testing.T) {
	s, p, _ := unhurried(t)
	records := stored(t, s, 4)
	h := hold(t, s, p, records, func(_ session.Record, err error) {
		if err != nil {
			t.Error(err)
		}
	})
	hook := &panicOnce{}
	s.client.AddHook(hook)
	var failed, panicked atomic.Int64
	var later sync.WaitGroup
	for _, r := range records[2:] {
		later.Go(func() {
			err := session.Catch(func() error { _, err := s.Load(t.Context(), r.ID); return err })
			switch _, caught := errors.AsType[*session.PanicError](err); {
			case caught:
				panicked.Add(1)
			case storetest.CannotTell(err):
				failed.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	h.waits(t, 2)
	hook.armed.Store(true)
	h.release()
	later.Wait()
	h.first.Wait()
	if panicked.Load() != 1 || failed.Load() != 1 {
		t.Errorf("%d panicked and %d could not be told", panicked.Load(), failed.Load())
	}
	intact(t, s, records)
	s.lanes.mu.Lock()
	defer s.lanes.mu.Unlock()
	if n := len(s.lanes.busy); n != 0 {
		t.Errorf("%d lanes are left", n)
	}
}
