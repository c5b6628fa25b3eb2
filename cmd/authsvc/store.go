package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"authsvc/authsvc"
	"authsvc/session/memstore"
	"authsvc/session/redisstore"
)

// backend is a store with what the program does beside using it.
type backend interface {
	authsvc.Backend
	Run(ctx context.Context)
	// ReadClock measures the store's clock once, for commands that end sooner than Run is worth.
	ReadClock(ctx context.Context) error
	Close() error
}

// openStore makes the store that the configuration names. It asks nobody anything: the service starts while
// Redis is down. The password is the current one at each new connection.
func openStore(config *authsvc.Config, current *atomic.Pointer[authsvc.Config], registry *prometheus.Registry) (backend, error) {
	if config.Store.URL == "memory:" {
		return memory{memstore.New(nil)}, nil
	}
	observe := authsvc.StoreMetrics(registry)
	return redisstore.Open(redisstore.Options{
		URL:      config.Store.URL.Reveal(),
		Password: func() string { return current.Load().Store.Password.Reveal() },
		Prefix:   config.Store.Prefix,
		Timeout:  config.Store.Timeout,
		Observe: func(operation string, took time.Duration, err error) {
			observe(operation, took, redisstore.Cause(err) != "")
		},
	})
}

// commandTimeout is what one store operation of a command may take at least: a person rather waits than reads of a slow answer.
const commandTimeout = 400 * time.Millisecond

// openStoreForCommand is openStore for a command that looks from outside and ends soon: nobody reads its metrics, and its secrets stay.
func openStoreForCommand(config *authsvc.Config) (backend, error) {
	config.Store.Timeout = max(config.Store.Timeout, commandTimeout)
	var current atomic.Pointer[authsvc.Config]
	current.Store(config)
	return openStore(config, &current, prometheus.NewRegistry())
}

// memory is the store of a single replica: it lives as long as the process.
type memory struct{ *memstore.Store }

func (memory) Reached() bool                       { return true }
func (memory) Run(ctx context.Context)             {}
func (memory) ReadClock(ctx context.Context) error { return nil }
func (memory) Close() error                        { return nil }
