package redisstore

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// A Cluster whose masters are replaced by hand, die and hang.
func TestWatchCluster(t *testing.T) {
	c := storetest.StartCluster(t)
	masters := func() []*storetest.Server { masters, _ := c.Roles(); return masters }
	h := telling(clustered(c, Options{URL: c.URL}), true, func() {
		for _, master := range masters() {
			master.Flush()
		}
	})
	h.Breaks = map[string]func(*testing.T, storetest.Instance){
		"a master closed its connections": func(*testing.T, storetest.Instance) { closeConnections(masters()[1]) },
		"a replica took over by hand": func(t *testing.T, _ storetest.Instance) {
			_, replicas := c.Roles()
			replicas[0].Do("CLUSTER", "FAILOVER")
			t.Cleanup(func() { settle(t, c) })
		},
		"a master died": func(t *testing.T, _ storetest.Instance) {
			dead := masters()[0]
			replicated(t, dead)
			dead.Kill()
			t.Cleanup(func() { dead.Start(); settle(t, c) })
		},
	}
	h.Faults = map[string]func(*testing.T, storetest.Instance) func(){
		"a master hangs": func(t *testing.T, _ storetest.Instance) func() {
			hung := masters()[0]
			replicated(t, hung)
			hung.Pause()
			return func() { hung.Resume(); settle(t, c) }
		},
	}
	storetest.RunWatch(t, h)
}

// replicated waits until a replica has everything that a master has: only that can survive.
func replicated(t *testing.T, master *storetest.Server) {
	t.Helper()
	storetest.WaitFor(t, "the replica to have everything", func() error {
		n, err := master.Client().Wait(context.WithoutCancel(t.Context()), 1, time.Second).Result()
		if err == nil && n < 1 {
			err = errors.New("it has not")
		}
		return err
	})
}

// settle waits until each master has its replica.
func settle(t *testing.T, c *storetest.Cluster) {
	t.Helper()
	storetest.WaitFor(t, "the cluster to be whole", func() error {
		masters, replicas := c.Roles()
		if len(masters) != 3 || len(replicas) != 3 {
			return errors.New("nodes are missing")
		}
		for _, replica := range replicas {
			if !strings.Contains(replica.Do("INFO", "replication").(string), "master_link_status:up") {
				return errors.New("a replica does not follow")
			}
		}
		return nil
	})
}

// Messages tell in a Cluster, too.
func TestWatchClusterMessages(t *testing.T) {
	c := storetest.StartCluster(t)
	for _, node := range c.Nodes {
		node.Do(aclRule("authsvc", "pass", "t*:*", append(messageRights(t), "+cluster|slots"))...)
	}
	o := Options{URL: strings.Replace(c.URL, "//", "//authsvc:pass@", 1)}
	storetest.RunWatch(t, telling(clustered(c, o), false, nil))
}

// Sentinels replace a master that works, one that dies and one that hangs. In the first case the old one lives on for seconds and takes itself for the master.
func TestWatchSentinel(t *testing.T) {
	g := storetest.StartSentinel(t)
	storetest.RunWatch(t, guarded(t, g, Options{URL: g.URL}))
}

// guarded is the harness of servers behind sentinels that are started once; each store has its own prefix.
func guarded(t *testing.T, g *storetest.Sentinel, o Options) storetest.Harness {
	master := func() *storetest.Server {
		master, err := g.Master()
		if err != nil {
			t.Fatal(err)
		}
		return master
	}
	return storetest.Harness{
		Life: 500 * time.Millisecond, Bound: 100 * time.Millisecond,
		New: func(t *testing.T) storetest.Instance {
			h := telling(real(master(), o), true, func() { master().Flush() })
			in := h.New(t)
			in.Lives = func(ctx context.Context) (map[string]time.Duration, error) {
				lives, err := master().Lives(ctx)
				return ownKeys(in.Store.(*Store), lives, err)
			}
			return in
		},
		Breaks: map[string]func(*testing.T, storetest.Instance){
			"the master closed its connections": func(*testing.T, storetest.Instance) { closeConnections(master()) },
			"a replica took over by hand": func(t *testing.T, _ storetest.Instance) {
				replicated(t, master())
				g.Failover()
				t.Cleanup(g.Settle)
			},
			"the master died": func(t *testing.T, _ storetest.Instance) {
				dead := master()
				replicated(t, dead)
				dead.Kill()
				t.Cleanup(func() { dead.Start(); g.Settle() })
			},
		},
		Faults: map[string]func(*testing.T, storetest.Instance) func(){
			"the master hangs": func(t *testing.T, _ storetest.Instance) func() {
				hung := master()
				replicated(t, hung)
				hung.Pause()
				return func() { hung.Resume(); g.Settle() }
			},
			"the sentinels are down": func(*testing.T, storetest.Instance) func() {
				for _, s := range g.Sentinels {
					s.Kill()
				}
				return func() {
					for _, s := range g.Sentinels {
						s.Start()
					}
					g.Settle()
				}
			},
		},
	}
}
