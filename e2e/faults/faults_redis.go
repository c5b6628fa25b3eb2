package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"authsvc/e2e/rig"
	"authsvc/session/storetest"
)

const unavailable = http.StatusServiceUnavailable

// redisFaults are F1 to F9: Redis is gone, stands still, or the way to it is bad.
var redisFaults = []row{
	{
		id: "F1", name: "Redis killed, back empty after 3 s", on: []topology{standalone}, class: "Redis is gone",
		bound: "503; then 401, since the data is gone", shows: []int{unavailable}, loses: true,
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			s.begin()
			redis.Kill()
			s.storeLost()
			s.during(ctx, 3*time.Second)
			redis.Start()
			s.end()
			return nil
		},
	},
	{
		id: "F1b", name: "a master killed, back after the failover", on: []topology{sentinel, cluster},
		bound: "503 until the failover; then 200", shows: []int{unavailable}, loses: true,
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			s.begin()
			redis.Kill()
			took, err := s.awaitFailover(ctx, redis)
			s.note("failover after %.1f s", took.Seconds())
			s.end()
			s.during(ctx, time.Second)
			redis.Start()
			return err
		},
	},
	{
		id: "F2", name: "Redis killed, back after 3 s with its file", on: []topology{standalone}, own: special{redis: []string{"--appendonly", "yes", "--appendfsync", "always"}},
		bound: "503; then 200 with the same cookies", shows: []int{unavailable},
		fault: func(ctx context.Context, s *scene) error {
			redis := s.store.master()
			s.begin()
			redis.Kill()
			s.during(ctx, 3*time.Second)
			redis.Start()
			s.end()
			return nil
		},
	},
	{
		id: "F3", name: "Redis stands still for 4 s (SIGSTOP)", on: []topology{standalone}, class: "Redis stands still",
		bound: "503 within 150 ms; then 200", shows: []int{unavailable}, fault: standStill,
	},
	{
		id: "F3b", name: "a master stands still for 4 s (SIGSTOP)", on: []topology{sentinel, cluster},
		bound: "503 within 150 ms until the failover; then 200", shows: []int{unavailable}, loses: true, fault: standStill,
	},
	{
		id: "F4a", name: "Redis sleeps for 2 s (DEBUG SLEEP)", on: everywhere,
		bound: "503 within 150 ms; then 200, dials within the pools", shows: []int{unavailable}, loses: true,
		fault: dialing(func(ctx context.Context, s *scene, redis *storetest.Server) error {
			return redis.Client().Do(ctx, "DEBUG", "SLEEP", 2).Err()
		}),
	},
	{
		id: "F4b", name: "Redis takes no commands for 2 s (CLIENT PAUSE)", on: everywhere,
		bound: "503 within 150 ms; then 200, dials within the pools", shows: []int{unavailable}, loses: true,
		fault: dialing(func(ctx context.Context, s *scene, redis *storetest.Server) error {
			redis.Do("CLIENT", "PAUSE", 2000, "ALL")
			s.during(ctx, 2*time.Second)
			return nil
		}),
	},
	{
		id: "F5a", name: "20 ms more to Redis, ± 10 ms", on: []topology{standalone}, class: "the way to Redis is bad",
		bound: "200", fault: onTheWay(3*time.Second, rig.Answers, "latency", map[string]any{"latency": 20, "jitter": 10}),
	},
	{
		id: "F5b", name: "300 ms more to Redis", on: []topology{standalone},
		bound: "503 within 150 ms; then 200", shows: []int{unavailable},
		fault: faulty(onTheWay(3*time.Second, rig.Answers, "latency", map[string]any{"latency": 300})),
	},
	{
		id: "F6a", name: "each 20th answer of Redis cut after 1 to 40 bytes", on: []topology{standalone},
		bound: "200 or 503, nobody is another", fault: faulty(onTheWay(3*time.Second, rig.Answers, "cut", map[string]any{"every": 20, "most": 40})),
	},
	{
		id: "F6b", name: "each connection to Redis reset after 100 ms", on: []topology{standalone},
		bound: "200 or 503, nobody is another", fault: faulty(onTheWay(3*time.Second, rig.Answers, "reset_peer", map[string]any{"timeout": 100})),
	},
	{
		id: "F7", name: "each 20th answer comes 150 ms late, when nobody waits", on: []topology{standalone},
		bound: "200 or 503, nobody is another", fault: faulty(onTheWay(4*time.Second, rig.Answers, "late", map[string]any{"every": 20, "late": 150})),
	},
	{
		id: "F8a", name: "Redis' address takes connections and never answers", on: []topology{standalone},
		bound: "503 within 150 ms; then 200", shows: []int{unavailable}, fault: faulty(onTheWay(3*time.Second, rig.Questions, "timeout", map[string]any{"timeout": 0})),
	},
	{
		id: "F8b", name: "the other end of every connection vanishes silently", on: []topology{standalone},
		bound: "503 within 150 ms; then 200", shows: []int{unavailable}, fault: faulty(onTheWay(3*time.Second, rig.Answers, "timeout", map[string]any{"timeout": 0})),
	},
	{
		id: "F8c", name: "a replica's network loses all that goes to Redis and back, for 4 s", on: []topology{standalone}, own: special{before: inNetwork}, missing: noNetworks,
		bound: "503 within 150 ms there, 200 elsewhere; then 200", shows: []int{unavailable, http.StatusOK},
		fault: func(ctx context.Context, s *scene) error {
			s.beginAt(s.Replicas[0])
			err := s.network.set(redisLink, "down")
			s.during(ctx, 4*time.Second)
			err = errors.Join(err, s.network.set(redisLink, "up"))
			s.end()
			return err
		},
	},
	{
		id: "F9a", name: "Redis closes all connections, 6 times (CLIENT KILL)", on: everywhere, class: "Redis hangs up",
		bound: "200",
		fault: func(ctx context.Context, s *scene) error {
			for range 6 {
				for _, redis := range s.store.masters() {
					redis.Do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
				}
				s.during(ctx, 500*time.Millisecond)
			}
			return nil
		},
	},
	{
		id: "F9b", name: "idle connections closed by Redis after a second (timeout 1)", on: everywhere,
		bound: "200",
		fault: func(ctx context.Context, s *scene) error {
			servers := s.store.masters()
			for _, redis := range servers {
				redis.Do("CONFIG", "SET", "timeout", 1)
			}
			s.during(ctx, 4*time.Second)
			for _, redis := range servers {
				redis.Do("CONFIG", "SET", "timeout", 0)
			}
			return nil
		},
	},
}

// awaitFailover waits until another has taken a master's place, and returns how long that took.
func (s *scene) awaitFailover(ctx context.Context, former *storetest.Server) (time.Duration, error) {
	return s.await(ctx, 30*time.Second, func(ctx context.Context) error { return s.store.whole(ctx, former) })
}

// endWhenWhole ends a fault that may have begun a failover, when Redis itself is whole again.
func (s *scene) endWhenWhole(ctx context.Context) error {
	took, err := s.await(ctx, 30*time.Second, func(ctx context.Context) error { return s.store.whole(ctx, nil) })
	if s.topology != standalone {
		s.note("Redis whole after %.1f s", took.Seconds())
	}
	s.end()
	return err
}

// whole is an error unless all that is to be stored has its master, which is not the former one.
func (s *store) whole(ctx context.Context, former *storetest.Server) error {
	switch s.topology {
	case sentinel:
		master, err := s.sentinel.Master()
		if err == nil && master == former {
			err = errors.New("the sentinels name the former master")
		}
		if err == nil {
			err = isMaster(ctx, master)
		}
		return err
	case cluster:
		masters, _ := s.cluster.Roles()
		if len(masters) != 3 || slices.Contains(masters, former) {
			return fmt.Errorf("there are %d masters", len(masters))
		}
		for _, master := range masters {
			info, err := master.Client().ClusterInfo(ctx).Result()
			if err == nil && !strings.Contains(info, "cluster_state:ok") {
				err = errors.New("a master does not take the cluster for whole")
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// isMaster is an error unless the server takes itself for a master.
func isMaster(ctx context.Context, server *storetest.Server) error {
	role, err := server.Client().Do(ctx, "ROLE").Slice()
	if err == nil && role[0] != "master" {
		err = errors.New("whom the sentinels name is no master yet")
	}
	return err
}

// standStill stops a master where it stands.
func standStill(ctx context.Context, s *scene) error {
	redis := s.store.master()
	s.begin()
	redis.Pause()
	s.during(ctx, 4*time.Second)
	redis.Resume()
	return s.endWhenWhole(ctx)
}

// onTheWay hurts what is between each replica and Redis.
func onTheWay(d time.Duration, direction, kind string, attributes map[string]any) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		err := s.eachStoreProxy(func(p *rig.Proxy) error { return p.Hurt(direction, kind, attributes) })
		s.during(ctx, d)
		for _, p := range s.toStore {
			p.Heal()
		}
		return err
	}
}

// faulty is a fault that is one from its first moment to its last.
func faulty(fault func(context.Context, *scene) error) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		s.begin()
		err := fault(ctx, s)
		s.end()
		return err
	}
}

// dialing stops a master for a while, and counts the connections that replicas make meanwhile and afterwards: each has a pool of 32, and three of its own for what Redis
// tells of changes.
func dialing(stop func(context.Context, *scene, *storetest.Server) error) func(context.Context, *scene) error {
	return func(ctx context.Context, s *scene) error {
		const own, pool = 3, 32
		redis := s.store.master()
		before := redis.Info("total_connections_received")
		s.begin()
		if err := stop(ctx, s, redis); err != nil {
			return fmt.Errorf("stop Redis: %w", err)
		}
		if err := s.endWhenWhole(ctx); err != nil {
			return err
		}
		s.during(ctx, time.Second)
		most := int64(len(s.Replicas) * (2*pool + own))
		dials := redis.Info("total_connections_received") - before
		s.note("%d dials", dials)
		if s.topology == standalone && dials > most { // elsewhere servers and sentinels dial, too
			s.fail("%d connections were made to Redis, of at most %d", dials, most)
		}
		return nil
	}
}
