package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"authsvc/session/storetest"
)

// clusterFaults are F28 to F31: a master of a Cluster dies, slots move, nobody has them, and nothing is read from replicas.
var clusterFaults = []row{
	{
		id: "F28", name: "a master of the Cluster is killed (kill -9)", on: []topology{cluster}, class: "a failover in a Cluster",
		bound: "503 for its slots alone, until 1 s after the failover", shows: []int{unavailable, http.StatusOK}, loses: true, out: undone,
		fault: func(ctx context.Context, s *scene) error {
			defer s.withoutFullCoverage()()
			began, master := s.cookies(), s.store.master()
			if err := s.beginIn(ctx, master, began); err != nil {
				return err
			}
			master.Kill()
			if err := s.replaced(ctx, master, began); err != nil {
				return err
			}
			s.during(ctx, time.Second)
			master.Start()
			return s.wholeCluster(ctx)
		},
	},
	{
		id: "F29", name: "slots move there and back: MOVED, ASK", on: []topology{cluster},
		bound: "200",
		fault: func(ctx context.Context, s *scene) error {
			masters := s.store.masters()
			for _, master := range masters {
				master.Do("CONFIG", "RESETSTAT")
			}
			held, err := s.heldSlots(ctx, masters[0])
			if err != nil {
				return err
			}
			held = held[:min(len(held), 200)]
			moved := 0
			for _, way := range [][2]*storetest.Server{{masters[0], masters[1]}, {masters[1], masters[0]}} {
				n, err := s.moveSlots(ctx, held, way[0], way[1])
				if err != nil {
					return err
				}
				moved += n
			}
			told := ""
			for _, code := range []string{"MOVED", "ASK", "TRYAGAIN"} {
				n := int64(0)
				for _, master := range masters {
					stats, err := master.Client().Info(ctx, "errorstats").Result()
					if err != nil {
						return err
					}
					n += count(stats, "errorstat_"+code+":count=")
				}
				if n == 0 && code != "TRYAGAIN" {
					s.fail("nobody was told %s, so that nothing was tried", code)
				}
				told += fmt.Sprintf(", %d %s", n, code)
			}
			s.note("%d keys of %d slots moved%s", moved, len(held), told)
			return nil
		},
	},
	{
		id: "F30", name: "nobody has a third of the slots for 3 s: CLUSTERDOWN", on: []topology{cluster},
		bound: "503 for those sessions alone; then 200", shows: []int{unavailable, http.StatusOK},
		fault: func(ctx context.Context, s *scene) error {
			defer s.withoutFullCoverage()()
			masters := s.store.masters()
			for _, master := range masters {
				master.Do("CONFIG", "RESETSTAT")
			}
			lost, err := rangeOf(ctx, masters[0])
			if err != nil {
				return err
			}
			if err := s.beginIn(ctx, masters[0], s.cookies()); err != nil {
				return err
			}
			for _, node := range s.store.servers {
				node.Do("CLUSTER", "DELSLOTSRANGE", lost.Start, lost.End)
			}
			s.during(ctx, 3*time.Second)
			masters[0].Do("CLUSTER", "ADDSLOTSRANGE", lost.Start, lost.End)
			if _, err := s.await(ctx, 20*time.Second, s.covered); err != nil {
				return err
			}
			s.end()
			return s.refused(ctx, "CLUSTERDOWN")
		},
	},
	{
		id: "F31", name: "nothing is read from replicas", on: []topology{sentinel, cluster},
		bound: "200; no GET and no script at any replica",
		fault: func(ctx context.Context, s *scene) error {
			for _, server := range s.store.servers {
				server.Do("CONFIG", "RESETSTAT")
			}
			s.during(ctx, 5*time.Second)
			masters := s.store.masters()
			read := int64(0)
			for _, server := range s.store.servers {
				n, err := calls(ctx, server, "get", "mget", "evalsha", "eval", "evalsha_ro", "eval_ro", "pttl")
				switch {
				case err != nil:
					return err
				case slices.Contains(masters, server):
					read += n
				case n > 0:
					s.fail("the replica %s was asked %d times", server.Addr, n)
				}
			}
			if read == 0 {
				s.fail("nobody was asked, so that nothing was tried")
			}
			s.note("masters were asked %d times", read)
			return nil
		},
	},
}

// withoutFullCoverage lets the nodes serve the slots that they have when others have nobody, until the function is called.
func (s *scene) withoutFullCoverage() (restore func()) {
	want := func(full string) {
		for _, node := range s.store.servers {
			node.Do("CONFIG", "SET", "cluster-require-full-coverage", full)
		}
	}
	want("no")
	return func() { want("yes") }
}

// rangeOf returns the slots of a master that has one range of them.
func rangeOf(ctx context.Context, master *storetest.Server) (slots redis.SlotRange, err error) {
	id := master.Do("CLUSTER", "MYID").(string)
	shards, err := master.Client().ClusterShards(ctx).Result()
	for _, shard := range shards {
		if len(shard.Slots) > 0 && slices.ContainsFunc(shard.Nodes, func(n redis.Node) bool { return n.ID == id }) {
			slots = shard.Slots[0]
		}
	}
	return slots, err
}

// slotsOf returns the slots of sessions, by their names, given their cookies.
func slotsOf(ctx context.Context, node *storetest.Server, cookies map[string]string) (map[string]int, error) {
	asked := map[string]*redis.IntCmd{}
	pipe := node.Client().Pipeline()
	for session, cookie := range cookies {
		key, err := recordKey(cookie)
		if err != nil {
			return nil, err
		}
		asked[session] = pipe.ClusterKeySlot(ctx, key)
	}
	_, err := pipe.Exec(ctx)
	slots := map[string]int{}
	for session, answer := range asked {
		slots[session] = int(answer.Val())
	}
	return slots, err
}

// beginIn begins a fault of the slots of one master, which spares the sessions in others.
func (s *scene) beginIn(ctx context.Context, master *storetest.Server, began map[string]string) error {
	has, err := rangeOf(ctx, master)
	if err != nil {
		return err
	}
	slots, err := slotsOf(ctx, master, began)
	if err != nil {
		return err
	}
	spared := map[string]bool{}
	for session, slot := range slots {
		if slot := int64(slot); slot < has.Start || slot > has.End {
			spared[session] = true
		}
	}
	s.begin()
	s.faults[len(s.faults)-1].Spared = spared
	s.note("%d sessions in its slots, %d in others", len(began)-len(spared), len(spared))
	return nil
}

// heldSlots returns the slots of a master in which there are sessions.
func (s *scene) heldSlots(ctx context.Context, master *storetest.Server) (held []int, err error) {
	has, err := rangeOf(ctx, master)
	if err != nil {
		return nil, err
	}
	slots, err := slotsOf(ctx, master, s.cookies())
	for _, slot := range slots {
		if at := int64(slot); at >= has.Start && at <= has.End {
			held = append(held, slot)
		}
	}
	slices.Sort(held)
	return slices.Compact(held), err
}

// moveSlots moves slots as resharding does, key by key, and returns how many keys there were. Between the keys' move and the slots' people are asked about, for a while.
func (s *scene) moveSlots(ctx context.Context, moving []int, source, target *storetest.Server) (moved int, err error) {
	host, port, err := net.SplitHostPort(target.Addr)
	if err != nil {
		return 0, err
	}
	sourceID, targetID := source.Do("CLUSTER", "MYID"), target.Do("CLUSTER", "MYID")
	for _, slot := range moving {
		target.Do("CLUSTER", "SETSLOT", slot, "IMPORTING", sourceID)
		source.Do("CLUSTER", "SETSLOT", slot, "MIGRATING", targetID)
		n, err := moveKeys(ctx, slot, source, host, port)
		if err != nil {
			return moved, err
		}
		moved += n
	}
	s.during(ctx, 2*time.Second)
	masters := s.store.masters()
	for _, slot := range moving {
		if _, err := moveKeys(ctx, slot, source, host, port); err != nil {
			return moved, err
		}
		for _, node := range append([]*storetest.Server{target, source}, masters...) {
			node.Do("CLUSTER", "SETSLOT", slot, "NODE", targetID)
		}
	}
	s.during(ctx, time.Second)
	return moved, nil
}

func moveKeys(ctx context.Context, slot int, source *storetest.Server, host, port string) (moved int, err error) {
	for {
		keys, err := source.Client().ClusterGetKeysInSlot(ctx, slot, 100).Result()
		if err != nil || len(keys) == 0 {
			return moved, err
		}
		for _, key := range keys {
			if err := source.Client().Migrate(ctx, host, port, key, 0, 5*time.Second).Err(); err != nil {
				return moved, err
			}
			moved++
		}
	}
}

// covered reports what keeps the nodes that answer from taking commands for all slots.
func (s *scene) covered(ctx context.Context) error {
	masters, replicas := s.store.cluster.Roles()
	if len(masters) != 3 {
		return fmt.Errorf("%d masters answer", len(masters))
	}
	for _, node := range append(masters, replicas...) {
		info, err := node.Client().ClusterInfo(ctx).Result()
		if err != nil {
			return err
		}
		if !strings.Contains(info, "cluster_state:ok\r\n") || !strings.Contains(info, "cluster_slots_ok:16384\r\n") {
			return errors.New("a node does not know of all slots")
		}
	}
	return nil
}

// wholeCluster waits until each master has its replica again.
func (s *scene) wholeCluster(ctx context.Context) error {
	_, err := s.await(ctx, 30*time.Second, func(ctx context.Context) error {
		_, replicas := s.store.cluster.Roles()
		if len(replicas) != 3 {
			return fmt.Errorf("%d replicas answer", len(replicas))
		}
		for _, replica := range replicas {
			if info, err := replica.Client().Info(ctx, "replication").Result(); err != nil || !strings.Contains(info, "master_link_status:up") {
				return fmt.Errorf("a replica does not follow, %w", err)
			}
		}
		return s.covered(ctx)
	})
	return err
}
