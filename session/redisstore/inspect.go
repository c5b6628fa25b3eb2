package redisstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Server is what a Redis server says of itself.
type Server struct {
	// Address is host:port or the path of a socket.
	Address string
	// Version is that of Redis, or of what calls itself compatible with it.
	Version string
	// EvictionPolicy is maxmemory-policy: what the server removes when its memory is full.
	EvictionPolicy string
	// UsedMemory and MaxMemory are in bytes; MaxMemory is 0 when there is no limit.
	UsedMemory, MaxMemory int64
}

// EvictsAny reports whether the server may remove any live session when its memory is full. With "noeviction" it refuses what is new
// instead, and with "volatile-ttl" it removes what ends soonest, which are the sessions that have not been used for longest.
func (s Server) EvictsAny() bool {
	return s.EvictionPolicy != "noeviction" && s.EvictionPolicy != "volatile-ttl"
}

// Servers asks the servers that hold sessions, one or the masters of a Cluster, what they are. It needs the right +info, which nothing else
// does: without it Cause tells "permission". Errors: as session.Store.
func (s *Store) Servers(ctx context.Context) (servers []Server, err error) {
	err = s.do(ctx, "info", func(ctx context.Context) error {
		servers = nil
		clients, err := s.masters(ctx)
		if err != nil {
			return err
		}
		for _, client := range clients {
			text, err := client.Info(ctx).Result()
			if err != nil {
				return err
			}
			servers = append(servers, readInfo(client.Options().Addr, text))
		}
		return nil
	})
	slices.SortFunc(servers, func(a, b Server) int { return strings.Compare(a.Address, b.Address) })
	return servers, err
}

// Topology says in words how the store is laid out, as its URL says.
func (s *Store) Topology() string {
	return map[topology]string{standalone: "one server", sentinel: "the master behind sentinels", cluster: "a master of a Cluster"}[s.location.topology]
}

// masters returns a client for each server that holds sessions.
func (s *Store) masters(ctx context.Context) ([]*redis.Client, error) {
	switch client := s.client.(type) {
	case *redis.Client:
		return []*redis.Client{client}, nil
	case *redis.ClusterClient:
		var mu sync.Mutex
		var all []*redis.Client
		err := client.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
			mu.Lock()
			defer mu.Unlock()
			all = append(all, c)
			return nil
		})
		return all, err
	}
	return nil, errors.New("this client has no servers")
}

// readInfo reads the answer of INFO: lines of name:value.
func readInfo(address, text string) Server {
	s := Server{Address: address}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch name {
		case "redis_version":
			s.Version = value
		case "maxmemory_policy":
			s.EvictionPolicy = value
		case "used_memory":
			s.UsedMemory, _ = strconv.ParseInt(value, 10, 64)
		case "maxmemory":
			s.MaxMemory, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return s
}
