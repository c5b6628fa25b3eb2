package redisstore

import (
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"authsvc/session"
	"authsvc/session/storetest"
)

// A master of a Cluster dies. The other sessions go on, and all are there once its replica has taken over.
func TestClusterMasterDies(t *testing.T) {
	c := storetest.StartCluster(t)
	s := open(t, Options{URL: c.URL, Timeout: bound})
	records := stored(t, s, 60)
	// Only what the replica has can survive.
	for _, node := range c.Nodes[:3] {
		storetest.WaitFor(t, "the replica to have everything", func() error {
			if n, err := node.Client().Wait(t.Context(), 1, time.Second).Result(); err != nil || n < 1 {
				return fmt.Errorf("%d replicas, %v", n, err)
			}
			return nil
		})
	}
	c.Nodes[0].Kill()
	var served atomic.Int32
	crowd(t, s, 60, 3, records, func(_, _ session.Record, err error) {
		switch {
		case err == nil:
			served.Add(1)
		case !storetest.CannotTell(err):
			t.Errorf("%v, want none of the sentinels", err)
		}
	})
	if served.Load() == 0 {
		t.Error("the other masters' sessions were not served either")
	}
	intact(t, s, records)
	for i, r := range records {
		r.Version++
		storetest.WaitFor(t, "a write after the failover", func() error { return s.Swap(t.Context(), r) })
		records[i] = r
	}
	intact(t, s, records)
}

// Slots move while the store is used, and nobody notices.
func TestClusterReshards(t *testing.T) {
	c := storetest.StartCluster(t)
	s := open(t, Options{URL: c.URL})
	r := stored(t, s, 1)[0]
	slot := int(c.Nodes[0].Do("CLUSTER", "KEYSLOT", s.recordKeys(r.ID)[0]).(int64))
	from := slot * 3 / 16384
	to := (from + 1) % 3
	source, target := c.Nodes[from], c.Nodes[to]
	sourceID, targetID := source.Do("CLUSTER", "MYID"), target.Do("CLUSTER", "MYID")
	host, port, _ := net.SplitHostPort(target.Addr)

	use := func(when string) {
		t.Helper()
		r.Version++
		if err := s.Swap(t.Context(), r); err != nil {
			t.Errorf("%s: Swap: %v", when, err)
		}
		if err := s.Touch(t.Context(), r.ID, 2*time.Hour); err != nil {
			t.Errorf("%s: Touch: %v", when, err)
		}
		intact(t, s, []session.Record{r})
	}
	use("before")
	target.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceID)
	source.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
	use("while the slot migrates")
	keys := s.recordKeys(r.ID)
	source.Do("MIGRATE", host, port, "", 0, 5000, "KEYS", keys[0], keys[1])
	use("when the keys have moved")
	for _, node := range []*storetest.Server{target, source, c.Nodes[3-from-to]} {
		node.Do("CLUSTER", "SETSLOT", slot, "NODE", targetID)
	}
	use("after")
}

// The master behind sentinels is replaced by a replica.
func TestSentinel(t *testing.T) {
	g := storetest.StartSentinel(t)
	s := open(t, Options{URL: g.URL, Timeout: bound})
	records := stored(t, s, 5)
	for _, replica := range g.Servers[1:] {
		storetest.WaitFor(t, "the replica to have everything", func() error {
			if lives, err := replica.Lives(t.Context()); err != nil || len(lives) != 10 {
				return fmt.Errorf("it has %d keys, %v", len(lives), err)
			}
			return nil
		})
	}
	g.Servers[0].Kill()
	crowd(t, s, 20, 3, records, unanswered(t, "refused", "connection", "timeout"))
	intact(t, s, records)
	r := records[0]
	r.Version++
	storetest.WaitFor(t, "a write to the new master", func() error { return s.Swap(t.Context(), r) })
	intact(t, s, append(records[1:], r))
}
