package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"authsvc/e2e/rig"
	"authsvc/session"
	"authsvc/session/storetest"
)

// What go-redis would write to stderr by itself comes as an error, too.
func init() { logging.Disable() }

// topology is how Redis is deployed.
type topology string

const (
	standalone topology = "standalone"
	sentinel   topology = "sentinel" // a master, two replicas, three sentinels; a failover takes about 4 s
	cluster    topology = "cluster"  // three masters, a replica of each; a failover takes about 3 s
)

var everywhere = []topology{standalone, sentinel, cluster}

// store is the Redis of a stage.
type store struct {
	topology
	servers  []*storetest.Server // all that may hold sessions
	sentinel *storetest.Sentinel // of its topology
	cluster  *storetest.Cluster  // of its topology
	url      string
	tb       *rig.TB
}

// startStore starts the servers, with more arguments where there is one.
func startStore(t topology, arguments ...string) (s *store, err error) {
	s = &store{topology: t, tb: &rig.TB{}}
	err = rig.Try(func() error {
		switch t {
		case sentinel:
			s.sentinel = storetest.StartSentinel(s.tb)
			s.servers, s.url = s.sentinel.Servers, s.sentinel.URL
		case cluster:
			s.cluster = storetest.StartCluster(s.tb)
			s.servers, s.url = s.cluster.Nodes, s.cluster.URL
		default:
			one := storetest.StartRedis(s.tb, arguments...)
			s.servers, s.url = []*storetest.Server{one}, one.URL
		}
		return nil
	})
	if err != nil {
		s.tb.End()
	}
	return s, err
}

// masters are the servers that take writes now.
func (s *store) masters() []*storetest.Server {
	switch s.topology {
	case sentinel:
		var master *storetest.Server
		storetest.WaitFor(s.tb, "the sentinels to agree", func() (err error) {
			master, err = s.sentinel.Master()
			return err
		})
		return []*storetest.Server{master}
	case cluster:
		masters, _ := s.cluster.Roles()
		return masters
	}
	return s.servers
}

// settle waits until all servers are up and each has its place.
func (s *store) settle() {
	switch s.topology {
	case sentinel:
		s.sentinel.Settle()
	case cluster:
		storetest.WaitFor(s.tb, "each master of the cluster to have a replica", func() error {
			masters, replicas := s.cluster.Roles()
			if len(masters) != 3 || len(replicas) != 3 {
				return fmt.Errorf("there are %d masters and %d replicas", len(masters), len(replicas))
			}
			for _, node := range s.servers {
				for _, want := range []struct{ section, text string }{{"CLUSTER INFO", "cluster_state:ok"}, {"INFO replication", "connected_slaves:1"}, {"INFO replication", "master_link_status:up"}} {
					info, err := node.Client().Do(context.Background(), words(want.section)...).Text()
					isReplica := strings.Contains(info, "role:slave")
					if err == nil && !strings.Contains(info, want.text) && (want.section == "CLUSTER INFO" || isReplica == strings.HasPrefix(want.text, "master")) {
						err = fmt.Errorf("%s has not %s", node.Addr, want.text)
					}
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
}

func words(text string) (words []any) {
	for word := range strings.FieldsSeq(text) {
		words = append(words, word)
	}
	return words
}

// master is one of the masters.
func (s *store) master() *storetest.Server { return s.masters()[0] }

// client is a client of whoever holds the keys now; the caller closes it.
func (s *store) client() redis.UniversalClient {
	if s.topology != cluster {
		return newClient(*s.master().Client().Options())
	}
	addresses := []string{}
	for _, node := range s.servers {
		addresses = append(addresses, node.Addr)
	}
	return redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses, DisableIdentity: true, DisableRoutingPolicies: true})
}

// newClient is a client of its own connections.
func newClient(o redis.Options) *redis.Client { return redis.NewClient(&o) }

// missing returns which of the sessions, given by their cookies, the store does not hold, by name.
func (s *store) missing(ctx context.Context, cookies map[string]string) (map[string]bool, error) {
	client := s.client()
	defer client.Close()
	missing := map[string]bool{}
	for name, cookie := range cookies {
		key, err := recordKey(cookie)
		if err != nil {
			return nil, err
		}
		n, err := client.Exists(ctx, key).Result()
		if err != nil {
			return nil, fmt.Errorf("ask the store for a session: %w", err)
		}
		if n == 0 {
			missing[name] = true
		}
	}
	return missing, nil
}

// recordKey is the key of the session that the cookie stands for: the hash of what it carries.
func recordKey(cookie string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(cookie)
	if err != nil {
		return "", fmt.Errorf("a session cookie: %w", err)
	}
	return "authsvc:session:{" + session.ID(sha256.Sum256(raw)).String() + "}", nil
}

// sessionKeys are the keys of all sessions that the server holds.
func sessionKeys(ctx context.Context, server *storetest.Server) (keys []string, err error) {
	i := server.Client().Scan(ctx, 0, "authsvc:session:*", 1000).Iterator()
	for i.Next(ctx) {
		keys = append(keys, strings.Clone(i.Val()))
	}
	return keys, i.Err()
}
