package redisstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session"
	"authsvc/session/storetest"
)

// loseOnce is a client that is told of the next script, which ran, that there was no connection: its answer was lost, and
// go-redis found no connection to send it again.
type loseOnce struct{ armed atomic.Bool }

func (l *loseOnce) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *loseOnce) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l *loseOnce) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil && l.armed.CompareAndSwap(true, false) {
			err = &dialError{errors.New("lost")}
			cmd.SetErr(err)
		}
		return err
	}
}

// What Store.try repeats finds its own work, as what go-redis repeats does (TestLostAnswer).
func TestRepeatedWriteFindsItsOwnWork(t *testing.T) {
	server := storetest.StartRedis(t)
	s := open(t, Options{URL: server.URL})
	lost := &loseOnce{}
	s.client.AddHook(lost)
	name := session.SlotName{Kind: "slot"}

	lost.armed.Store(true)
	holder, claimed, err := s.Claim(t.Context(), name, []byte("one"), time.Hour)
	if err != nil || !claimed || string(holder) != "one" || lost.armed.Load() {
		t.Errorf("Claim = %q, %t, %v; want what it stored the first time", holder, claimed, err)
	}
	lost.armed.Store(true)
	replaced, err := s.Replace(t.Context(), name, []byte("one"), []byte("two"), time.Hour)
	if err != nil || !replaced || lost.armed.Load() {
		t.Errorf("Replace = %t, %v; want what it stored the first time", replaced, err)
	}
	lost.armed.Store(true)
	if err := s.Create(t.Context(), record(1)); err != nil || lost.armed.Load() {
		t.Errorf("Create: %v", err)
	}
}

// A connection on which answers to others' questions come first gives nobody a wrong one, and is not used again.
func TestConnectionThatIsBehind(t *testing.T) {
	server := storetest.StartRedis(t)
	p := startProxy(t, server.Addr)
	s := open(t, Options{URL: "redis://" + p.Addr})
	healthy(t, s)
	records := stored(t, s, 2)
	mine, other := records[0], records[1]
	bulk := func(value []byte) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(value), value) }
	identity, tokens := bulk(other.Encode(session.PartIdentity)), bulk(other.Encode(session.PartTokens))
	unmarked := "*4\r\n$4\r\nmark\r\n" + identity + ":3600000\r\n"

	loads := map[string]func(session.ID) (session.Record, error){
		"Load":           func(id session.ID) (session.Record, error) { return s.Load(t.Context(), id) },
		"LoadWithoutTTL": func(id session.ID) (session.Record, error) { return s.LoadWithoutTTL(t.Context(), id) },
		"LoadWithTokens": func(id session.ID) (session.Record, error) { return s.LoadWithTokens(t.Context(), id) },
	}
	for _, tt := range []struct{ load, name, stale string }{
		{"Load", "another's record", identity + ":3600000\r\n"},
		{"Load", "no value, and a life", "$-1\r\n:3600000\r\n"},
		{"Load", "something else", "+PONG\r\n:3600000\r\n"},
		{"LoadWithoutTTL", "another's record", identity},
		{"LoadWithoutTTL", "no value", "$-1\r\n"},
		{"LoadWithoutTTL", "something else", "+PONG\r\n"},
		{"LoadWithoutTTL", "a life", ":3600000\r\n"},
		{"LoadWithTokens", "another's record", unmarked + tokens},
		{"LoadWithTokens", "none of another's", "*4\r\n$4\r\nmark\r\n$-1\r\n:-2\r\n$-1\r\n"},
		{"LoadWithTokens", "no value", "$-1\r\n"},
		{"LoadWithTokens", "a value", identity},
	} {
		t.Run(tt.load+"/"+tt.name, func(t *testing.T) {
			load := loads[tt.load]
			if _, err := load(mine.ID); err != nil { // so that there is a connection, and the script is known
				t.Fatal(err)
			}
			var asked atomic.Int64
			once := func() []byte {
				if asked.Add(1) == 1 {
					return []byte(tt.stale)
				}
				return nil
			}
			p.stale.Store(&once)
			if got, err := load(mine.ID); err != nil || !bytes.Equal(got.Identity, mine.Identity) {
				t.Errorf("behind once: %d bytes, %v; want the record", len(got.Identity), err)
			}
			if asked.Load() < 2 {
				t.Error("it was not asked again")
			}
			always := func() []byte { return []byte(tt.stale) }
			p.stale.Store(&always)
			if _, err := load(mine.ID); !storetest.CannotTell(err) || !errors.Is(err, session.ErrForeign) {
				t.Errorf("always behind: %v, want ErrForeign and none of the sentinels", err)
			}
			p.stale.Store(nil)
			storetest.WaitFor(t, "the record", func() error { _, err := load(mine.ID); return err })
		})
	}
	intact(t, s, records)
}
