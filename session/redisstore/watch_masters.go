package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Who the masters are, and by which question each is asked whether it still is one.

// findMasters returns the network and the addresses of all servers that take writes.
func (c *channel) findMasters(ctx context.Context) (network string, addresses []string, err error) {
	s := c.store
	switch {
	case s.location.topology == sentinel:
		address, err := c.sentinels.open(ctx)
		return "tcp", []string{address}, err
	case s.location.topology == cluster:
		addresses, err := clusterMasters(ctx, s.client.(*redis.ClusterClient))
		return "tcp", addresses, err
	case s.location.unix:
		return "unix", s.location.addresses, nil
	}
	return "tcp", s.location.addresses, nil
}

// clusterMasters asks a node of the Cluster.
func clusterMasters(ctx context.Context, client *redis.ClusterClient) (addresses []string, err error) {
	var mu sync.Mutex
	err = client.ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		addresses = append(addresses, master.Options().Addr)
		return nil
	})
	if err == nil && len(addresses) == 0 {
		err = errors.New("the cluster has no masters")
	}
	slices.Sort(addresses)
	return addresses, err
}

// question is what a master is asked for a sign of life. A node of a Cluster is asked whom it takes for the masters: after a failover by hand the old master
// answers, too.
func (c *channel) question() []string {
	if c.store.location.topology == cluster {
		return []string{"CLUSTER", "SLOTS"}
	}
	return []string{"PING"}
}

var errMoved = errors.New("the store has other masters now")

// check judges the answer of the master at the address.
func (c *channel) check(address string, answer any) error {
	if c.store.location.topology != cluster {
		return nil
	}
	named, err := namedMasters(answer, address)
	if err == nil && !slices.Equal(named, c.addresses) {
		err = errMoved
	}
	return err
}

// namedMasters reads the reply to CLUSTER SLOTS of the node at the address: entries of first slot, last slot, and the nodes of the range,
// its master first, each of them host, port and more (https://redis.io/docs/latest/commands/cluster-slots/). An unknown host is the one that was asked. A loopback
// address that a remote node tells, and port 0 (a node that takes TLS only), are read as go-redis does.
func namedMasters(reply any, asked string) ([]string, error) {
	malformed := fmt.Errorf("%w: CLUSTER SLOTS is malformed", errProtocol)
	askedHost, askedPort, _ := net.SplitHostPort(asked)
	ranges, _ := reply.([]any)
	named := []string{}
	for _, r := range ranges {
		fields, _ := r.([]any)
		if len(fields) < 3 {
			return nil, malformed
		}
		master, _ := fields[2].([]any)
		if len(master) < 2 {
			return nil, malformed
		}
		host, _ := master[0].(string)
		number, _ := master[1].(int64)
		port := strconv.FormatInt(number, 10)
		if host == "" || host == "?" || isLoopback(host) && !isLoopback(askedHost) {
			host = askedHost
		}
		if number == 0 {
			port = askedPort
		}
		named = append(named, net.JoinHostPort(host, port))
	}
	slices.Sort(named)
	return slices.Compact(named), nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
