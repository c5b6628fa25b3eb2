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

// memory is the store of a single replica: it lives as long as the process.
type memory struct{ *memstore.Store }

func (memory) Reached() bool                       { return true }
func (memory) Run(ctx context.Context)             {}
func (memory) ReadClock(ctx context.Context) error { return nil }
func (memory) Close() error                        { return nil }
