package redisstore

import (
	"context"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// go-redis writes to stderr by itself. Everything that it says there reaches our callers as an error.
func init() { logging.Disable() }

// poolSize is the most connections to one server: 32 answer more than 100,000 operations a second when each takes 0.2 ms, and 300
// replicas of them stay below Redis' default of 10,000 clients.
const poolSize = 32

// newClient makes the client of a location. Every setting of go-redis that could let an operation wait,
// repeat itself or open connections is set here, on purpose.
func newClient(loc location, credentials func() (user, password string), d *dialer) redis.UniversalClient {
	o := redis.Options{
		Dialer: d.dial,
		DB:     loc.database,
		// Asked at each new connection, so that a password that was rotated works without a restart.
		CredentialsProvider: credentials,
		// RESP2, where a server speaks only when it was asked: whatever an idle connection has to read is a
		// sign that it must not be used again. Nothing of RESP3 is needed.
		Protocol: 2,
		// CLIENT SETINFO exists since Redis 7.2 only, and would be one more right to grant.
		DisableIdentity: true,
		// Notices of maintenance need RESP3.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		// An operation's context carries its deadline. Without this setting go-redis ignores it, and
		// a Redis that hangs is waited for as long as ReadTimeout says.
		ContextTimeoutEnabled: true,
		// No step may take longer than the whole. A dial runs on when its caller's time is up and
		// holds a place in the pool meanwhile, so it is as short.
		DialTimeout:  d.timeout,
		ReadTimeout:  d.timeout,
		WriteTimeout: d.timeout,
		PoolTimeout:  d.timeout,
		// dialer decides when to try again, and never fails.
		DialerRetries: 1,

		// A bound: nobody dials beyond it.
		PoolSize:           poolSize,
		MaxActiveConns:     poolSize,
		MaxConcurrentDials: poolSize,
		// Pipelines use the same connections; a pool of their own would lie outside the bound.
		PipelinePoolSize: -1,
		// A record is a few KiB; the default of 32 KiB for each direction would serve megabytes.
		ReadBufferSize:  8 << 10,
		WriteBufferSize: 8 << 10,
		// Connections are made when they are needed: a dial costs a millisecond, and connections kept ready
		// are dialed in the background, where a server that is down would never be left alone.
		MinIdleConns: 0,
		MaxIdleConns: poolSize,
		// Shorter than what firewalls and load balancers forget silently (350 s and more).
		ConnMaxIdleTime: 2 * time.Minute,
		// So that a changed password, name or balance of a load balancer is followed within half an hour.
		ConnMaxLifetime:       30 * time.Minute,
		ConnMaxLifetimeJitter: 5 * time.Minute,

		// Once more, on another connection, within the same deadline: every operation may be repeated (see scripts.go).
		// A connection that the server closed is noticed before it is used, so this is for one that breaks under
		// an operation. The pause gives a server that just lost its connections time to take one.
		MaxRetries:      1,
		MinRetryBackoff: 4 * time.Millisecond,
		MaxRetryBackoff: 16 * time.Millisecond,
	}
	switch loc.topology {
	case cluster:
		return newCluster(loc, o)
	case sentinel:
		return newFailover(loc, o)
	}
	o.Addr, o.Network = loc.addresses[0], "tcp"
	if loc.unix {
		o.Network = "unix"
	}
	return redis.NewClient(&o)
}

func newCluster(loc location, o redis.Options) redis.UniversalClient {
	return redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: loc.addresses,
		// A replica lags behind its master: a session that was just ended would still be found there.
		ReadOnly: false, RouteByLatency: false, RouteRandomly: false,
		// A retry, an ASK and the MOVED that may follow it.
		MaxRedirects: 3,
		// The map of slots is read again when an operation fails (see Store.do), when a node redirects, and this often.
		ClusterStateReloadInterval: 5 * time.Second,
		// These policies need the COMMAND command and are of use for commands that span slots; we have none.
		DisableRoutingPolicies: true,

		Dialer: o.Dialer, CredentialsProvider: o.CredentialsProvider, Protocol: o.Protocol, DisableIdentity: o.DisableIdentity,
		MaintNotificationsConfig: o.MaintNotificationsConfig,
		ContextTimeoutEnabled:    o.ContextTimeoutEnabled,
		DialTimeout:              o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		DialerRetries: o.DialerRetries,
		PoolSize:      o.PoolSize, MaxActiveConns: o.MaxActiveConns, MaxConcurrentDials: o.MaxConcurrentDials,
		PipelinePoolSize: o.PipelinePoolSize,
		ReadBufferSize:   o.ReadBufferSize, WriteBufferSize: o.WriteBufferSize,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		// The cluster client repeats by itself, by MaxRedirects; its nodes' clients do not.
		MaxRetries:      -1,
		MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
	})
}

func newFailover(loc location, o redis.Options) redis.UniversalClient {
	client := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: loc.master, SentinelAddrs: loc.addresses,
		SentinelUsername: loc.sentinelUser, SentinelPassword: loc.sentinelPassword,
		// Only the master knows that a session has just ended.
		ReplicaOnly: false,

		Dialer: o.Dialer, DB: o.DB, CredentialsProvider: o.CredentialsProvider, Protocol: o.Protocol, DisableIdentity: o.DisableIdentity,
		ContextTimeoutEnabled: o.ContextTimeoutEnabled,
		DialTimeout:           o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout, PoolTimeout: o.PoolTimeout,
		DialerRetries: o.DialerRetries,
		PoolSize:      o.PoolSize, MaxActiveConns: o.MaxActiveConns, MaxConcurrentDials: o.MaxConcurrentDials,
		PipelinePoolSize: o.PipelinePoolSize,
		ReadBufferSize:   o.ReadBufferSize, WriteBufferSize: o.WriteBufferSize,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime, ConnMaxLifetimeJitter: o.ConnMaxLifetimeJitter,
		MaxRetries: o.MaxRetries, MinRetryBackoff: o.MinRetryBackoff, MaxRetryBackoff: o.MaxRetryBackoff,
	})
	client.AddHook(neverFail{})
	return client
}

// neverFail does for the dials of a failover client, which ask the sentinels first, what dialer does for
// its own: sentinels that are out of reach must not shut the pool for a second either.
type neverFail struct{}

func (neverFail) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := next(ctx, network, address)
		if err != nil {
			return brokenConn{err}, nil
		}
		return c, nil
	}
}

func (neverFail) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (neverFail) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
