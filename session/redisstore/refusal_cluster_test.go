package redisstore

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"authsvc/session"
	"authsvc/session/storetest"
)

// slotOf returns the slot of a record's keys and the number of the master that has it in a new Cluster.
func slotOf(t *testing.T, c *storetest.Cluster, s *Store, id session.ID) (slot, master int) {
	t.Helper()
	n, err := c.Nodes[0].Client().ClusterKeySlot(t.Context(), s.recordKeys(id)[0]).Result()
	if err != nil {
		t.Fatal(err)
	}
	return int(n), int(n) * 3 / 16384
}

// says checks that a node's own answer to a command begins with a code.
func says(t *testing.T, node *storetest.Server, code string, command ...any) {
	t.Helper()
	storetest.WaitFor(t, "a node to say "+code, func() error {
		err := node.Client().Do(t.Context(), command...).Err()
		if err == nil || !strings.HasPrefix(err.Error(), code+" ") {
			return fmt.Errorf("it says %v", err)
		}
		return nil
	})
}

// TestClusterRefusals: what nodes of a Cluster say while slots move is nobody's trouble, and that nobody has a slot is that of its sessions only.
func TestClusterRefusals(t *testing.T) {
	c := storetest.StartCluster(t)
	for _, node := range c.Nodes {
		node.Do("CONFIG", "SET", "cluster-require-full-coverage", "no")
	}
	s := open(t, Options{URL: c.URL})
	records := stored(t, s, 12)
	r := records[0]
	slot, from := slotOf(t, c, s, r.ID)
	source, target := c.Nodes[from], c.Nodes[(from+1)%3]
	sourceID, targetID := source.Do("CLUSTER", "MYID"), target.Do("CLUSTER", "MYID")
	host, port, _ := net.SplitHostPort(target.Addr)
	identity, tokens := s.recordKeys(r.ID)[0], s.recordKeys(r.ID)[1]
	use := func(when string) {
		t.Helper()
		r.Version++
		if err := s.Swap(t.Context(), r); err != nil {
			t.Errorf("%s: Swap: %v", when, err)
		}
		if _, err := s.Load(t.Context(), r.ID); err != nil {
			t.Errorf("%s: Load: %v", when, err)
		}
		intact(t, s, []session.Record{r})
	}

	target.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceID)
	source.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
	says(t, source, "ASK", "GET", "{"+s.recordKeys(r.ID)[0][len("authsvc:session:{"):]+":nothing")
	// One of the two keys has moved: the commands that need both are refused until the other one has, too.
	source.Do("MIGRATE", host, port, "", 0, 5000, "KEYS", identity)
	says(t, source, "TRYAGAIN", "MGET", identity, tokens)
	moved := make(chan error, 1)
	go func() { // while Swap is tried again
		storetest.WaitFor(t, "somebody to be told to try again", func() error {
			stats, err := source.Client().Info(context.Background(), "errorstats").Result()
			if err == nil && !strings.Contains(stats, "errorstat_TRYAGAIN:count=") {
				err = fmt.Errorf("nobody was")
			}
			return err
		})
		moved <- source.Client().Do(context.Background(), "MIGRATE", host, port, "", 0, 5000, "KEYS", tokens).Err()
	}()
	source.Do("CONFIG", "RESETSTAT")
	use("while one of its keys has moved")
	if err := <-moved; err != nil {
		t.Fatal(err)
	}
	says(t, source, "ASK", "GET", identity)
	use("when both have moved")
	for _, node := range []*storetest.Server{target, source, c.Nodes[(from+2)%3]} {
		node.Do("CLUSTER", "SETSLOT", slot, "NODE", targetID)
	}
	says(t, source, "MOVED", "GET", identity)
	use("after")

	for _, node := range c.Nodes {
		storetest.WaitFor(t, "a node to know who has the slot", func() error {
			if slots := fmt.Sprint(node.Do("CLUSTER", "SLOTS")); !strings.Contains(slots, fmt.Sprintf("[%d %d ", slot, slot)) {
				return fmt.Errorf("it says %s", slots)
			}
			return nil
		})
	}
	storetest.WaitFor(t, "a node to know that nobody has the slot", func() error {
		for _, node := range c.Nodes {
			node.Client().ClusterDelSlots(t.Context(), slot) // again: one that has not heard of it tells the others whose it was
		}
		err := source.Client().Get(t.Context(), identity).Err()
		if err == nil || !strings.HasPrefix(err.Error(), "CLUSTERDOWN") {
			return fmt.Errorf("it says %v", err)
		}
		return nil
	})
	if _, err := s.Load(t.Context(), r.ID); !storetest.CannotTell(err) || Cause(err) != "cluster" {
		t.Errorf("nobody has the slot: %v (%s), want none of the sentinels", err, Cause(err))
	}
	if err := s.Delete(t.Context(), r.ID); !storetest.CannotTell(err) || Cause(err) != "cluster" {
		t.Errorf("nobody has the slot: Delete: %v (%s), want none of the sentinels", err, Cause(err))
	}
	for _, other := range records[1:] {
		if other, _ := slotOf(t, c, s, other.ID); other == slot {
			t.Fatal("two records share the slot")
		}
	}
	intact(t, s, records[1:])
}
