package redisstore

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// timed is an observer that tells when it was told of a change.
type timed struct {
	feed
	changes chan change
}

type change struct {
	id session.ID
	at time.Time
}

func (f *timed) Changed(id session.ID) { f.changes <- change{id, time.Now()} }

// How long after its writer's answer a change is told to another process. It is printed, for it depends on the machine; run it with -v.
func TestWatchDelay(t *testing.T) {
	const writes = 3000
	for name, given := range map[string]func(*testing.T) []string{"tracking": rights, "messages": messageRights} {
		t.Run(name, func(t *testing.T) {
			server := storetest.StartRedis(t)
			server.Do(aclRule("authsvc", "pass", "authsvc:*", given(t))...)
			o := Options{URL: strings.Replace(server.URL, "//", "//authsvc:pass@", 1)}
			watcher, writer := open(t, o), open(t, o)
			records := stored(t, writer, writes)
			f := &timed{changes: make(chan change, writes)}
			var watching sync.WaitGroup
			watching.Go(func() { watcher.Watch(t.Context(), f) })
			t.Cleanup(watching.Wait)
			f.await(t, "armed")
			delays := []time.Duration{}
			for _, r := range records {
				if err := writer.Delete(t.Context(), r.ID); err != nil {
					t.Fatal(err)
				}
				answered := time.Now()
				select {
				case told := <-f.changes:
					if told.id != r.ID {
						t.Fatalf("told of %s, want %s", told.id, r.ID)
					}
					delays = append(delays, max(0, told.at.Sub(answered)))
				case <-time.After(10 * time.Second):
					t.Fatal("a change was not told")
				}
			}
			slices.Sort(delays)
			t.Logf("from a write's answer to Changed, %d times: p50 %v, p99 %v, most %v", writes, delays[writes/2], delays[writes*99/100], delays[writes-1])
		})
	}
}
