package storetest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is a Redis Cluster of three masters, the first three nodes, and a replica of each, in the same order.
type Cluster struct {
	Nodes []*Server
	// URL is a store URL that names three of the nodes.
	URL string
}

// StartCluster starts six servers and waits until every node knows the slots and every replica follows its master. A master
// that is gone is replaced within about 3 seconds.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	return startNodes(tb, "redis", func(args ...string) *Server { return StartRedis(tb, args...) })
}

// StartClusterTLS is StartCluster, where everyone speaks TLS with everyone, by certificates of the authority.
func StartClusterTLS(tb testing.TB, a *Authority) *Cluster {
	tb.Helper()
	return startNodes(tb, "rediss", func(args ...string) *Server { return StartRedisTLS(tb, a, args...) })
}

func startNodes(tb testing.TB, scheme string, startServer func(args ...string) *Server) *Cluster {
	tb.Helper()
	c := &Cluster{}
	for range 6 {
		c.Nodes = append(c.Nodes, startServer("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
			"--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0",
			// A replica counts, in CLUSTER SLOTS, when something came from its master: a ping, in an empty cluster.
			"--repl-ping-replica-period", "1"))
	}
	c.URL = scheme + "+cluster://" + c.Nodes[0].told() + "," + c.Nodes[1].told() + "," + c.Nodes[5].told()

	for i, node := range c.Nodes {
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", i+1)
		host, port, _ := net.SplitHostPort(node.told())
		c.Nodes[0].Do("CLUSTER", "MEET", host, port, node.busPort())
	}
	const slots, masters = 16384, 3
	for i, node := range c.Nodes[:masters] {
		node.Do("CLUSTER", "ADDSLOTSRANGE", i*slots/masters, (i+1)*slots/masters-1)
	}
	for i, node := range c.Nodes[masters:] {
		master := c.Nodes[i].Do("CLUSTER", "MYID").(string)
		client := node.Client()
		WaitFor(tb, "a replica to know its master", func() error {
			return client.ClusterReplicate(context.Background(), master).Err()
		})
	}
	WaitFor(tb, "the cluster to know its slots and replicas", c.ready)
	return c
}

func (s *Server) busPort() string {
	for i, arg := range s.args {
		if arg == "--cluster-port" {
			return s.args[i+1]
		}
	}
	return ""
}

// ready reports what is missing.
func (c *Cluster) ready() error {
	for i, node := range c.Nodes {
		info := node.Do("CLUSTER", "INFO").(string)
		for _, want := range []string{"cluster_state:ok", "cluster_slots_ok:16384", "cluster_known_nodes:6", "cluster_size:3"} {
			if !strings.Contains(info, want+"\r\n") {
				return fmt.Errorf("node %d has not %s", i, want)
			}
		}
		for _, shard := range node.Do("CLUSTER", "SLOTS").([]any) {
			if n := len(shard.([]any)); n != 4 { // first slot, last slot, master, replica
				return fmt.Errorf("node %d knows %d nodes of a shard", i, n-2)
			}
		}
		if i >= 3 && !strings.Contains(node.Do("INFO", "replication").(string), "master_link_status:up") {
			return fmt.Errorf("replica %d does not follow its master", i)
		}
	}
	return nil
}

// Roles returns the nodes that are masters and those that are replicas now; those that do not answer are neither.
func (c *Cluster) Roles() (masters, replicas []*Server) {
	for _, node := range c.Nodes {
		role, err := node.Client().Do(context.Background(), "ROLE").Slice()
		switch {
		case err != nil:
		case role[0] == "master":
			masters = append(masters, node)
		default:
			replicas = append(replicas, node)
		}
	}
	return masters, replicas
}

// Lives returns what is left of the life of every key of all masters that answer; negative for a key without expiry.
func (c *Cluster) Lives(ctx context.Context) (map[string]time.Duration, error) {
	found := map[string]time.Duration{}
	for _, node := range c.Nodes {
		client := node.Client()
		role, err := client.Do(ctx, "ROLE").Slice()
		if err == nil && role[0] == "master" {
			var held map[string]time.Duration
			held, err = lives(ctx, client)
			for key, left := range held {
				found[key] = left
			}
		}
		if err != nil && ctx.Err() == nil && !strings.Contains(err.Error(), "connection refused") {
			return nil, err
		}
	}
	return found, nil
}

// Client returns a plain client of the cluster, which is closed with the test.
func (c *Cluster) Client() *redis.ClusterClient {
	addrs := []string{}
	for _, node := range c.Nodes {
		addrs = append(addrs, node.Addr)
	}
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs, DisableIdentity: true, DisableRoutingPolicies: true})
	c.Nodes[0].tb.Cleanup(func() { client.Close() })
	return client
}
