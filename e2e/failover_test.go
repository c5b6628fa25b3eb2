package e2e

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"authsvc/session/storetest"
)

// TestLogoutOutlivesFailover: Redis acknowledges before its replicas know. A logout that they never heard of is undone when one of them takes over, and done
// again by the replica of ours that did it (D4).
func TestLogoutOutlivesFailover(t *testing.T) {
	t.Run("behind sentinels", func(t *testing.T) {
		t.Parallel()
		var g *storetest.Sentinel
		s := newStack(t, options{store: func(t *testing.T) (keeper, string) { g = storetest.StartSentinel(t); return g, g.URL }})
		logoutOutlives(t, s, func(string) (master *storetest.Server, replicas []*storetest.Server, heal func()) {
			master, err := g.Master()
			check(t, err)
			for _, server := range g.Servers {
				if server != master {
					replicas = append(replicas, server)
				}
			}
			return master, replicas, func() { g.AwaitOther(master) }
		})
	})
	t.Run("in a Cluster", func(t *testing.T) {
		t.Parallel()
		var c *storetest.Cluster
		s := newStack(t, options{store: func(t *testing.T) (keeper, string) { c = storetest.StartCluster(t); return c, c.URL }})
		logoutOutlives(t, s, func(record string) (master *storetest.Server, replicas []*storetest.Server, heal func()) {
			slot, err := c.Nodes[0].Client().ClusterKeySlot(t.Context(), record).Result()
			check(t, err)
			n := int(slot) * 3 / 16384
			return c.Nodes[n], []*storetest.Server{c.Nodes[n+3]}, func() {
				storetest.WaitFor(t, "the replica to take over", func() error {
					if masters, _ := c.Roles(); !slices.Contains(masters, c.Nodes[n+3]) {
						return errors.New("it has not")
					}
					return nil
				})
			}
		})
	})
}

// logoutOutlives lets alice sign out where the replicas of the master of her record do not hear of it, and the master die. The function tells who they are, and how to wait
// until others know that a replica took over.
func logoutOutlives(t *testing.T, s *stack, around func(record string) (master *storetest.Server, replicas []*storetest.Server, heal func())) {
	bob, alice := s.visitor("bob"), s.visitor("alice")
	bob.signIn()
	before := s.keys()
	alice.signIn()
	record := "authsvc:session:{" + idIn(t, slices.DeleteFunc(s.keys(), func(key string) bool { return slices.Contains(before, key) })) + "}"
	cookie := alice.cookie(sessionCookie)
	master, replicas, heal := around(record)
	holds := func(server *storetest.Server) error {
		if n := server.Client().DBSize(t.Context()).Val(); n != master.Client().DBSize(t.Context()).Val() {
			return fmt.Errorf("it has %d keys", n)
		}
		return nil
	}
	for _, replica := range replicas {
		storetest.WaitFor(t, "a replica to have everything", func() error { return holds(replica) })
		replica.Deafen()
	}

	_, err := alice.logOut() // checks that no replica of ours lets the session pass
	check(t, err)
	if slices.Contains(s.keys(), record) {
		t.Fatal("the logout deleted nothing")
	}
	for _, replica := range replicas {
		if keys := replica.Client().Keys(t.Context(), record).Val(); len(keys) != 1 {
			t.Fatal("the replica has heard of the logout, so nothing is tried")
		}
	}
	master.Kill()
	killed := time.Now()
	for _, replica := range replicas {
		replica.Listen()
	}
	heal()

	storetest.WaitFor(t, "bob to pass at every replica, and alice at none", func() error {
		if err := s.signedInAs("bob", bob.cookie(sessionCookie)); err != nil {
			return err
		}
		return s.refused(cookie)
	})
	storetest.WaitFor(t, "the record to be deleted once more", func() error {
		if slices.Contains(s.keys(), record) {
			return fmt.Errorf("%s is there", record)
		}
		return nil
	})
	t.Logf("the logout holds again %v after the master died", time.Since(killed))
	check(t, s.refused(cookie))
}
