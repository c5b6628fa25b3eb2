package session

import (
	"context"
	"sync/atomic"
	"time"
)

type storeTimeKey struct{}

// WithStoreTime returns a context under which the operations of a store take most together. Unlike a deadline it counts only the time that they
// take, and of none more than it was allowed: whoever waits for a CPU before, between or behind them has as much left as before, so that a busy
// machine is not taken for a store that does not answer.
func WithStoreTime(ctx context.Context, most time.Duration) context.Context {
	left := &atomic.Int64{}
	left.Store(int64(most))
	return context.WithValue(ctx, storeTimeKey{}, left)
}

// StoreTime is for adapters: how long an operation may take that otherwise may take most.
func StoreTime(ctx context.Context, most time.Duration) time.Duration {
	if left, ok := ctx.Value(storeTimeKey{}).(*atomic.Int64); ok {
		most = min(most, time.Duration(left.Load()))
	}
	return most
}

// SpendStoreTime is for adapters: an operation took that long, which is at most what StoreTime said.
func SpendStoreTime(ctx context.Context, took time.Duration) {
	if left, ok := ctx.Value(storeTimeKey{}).(*atomic.Int64); ok {
		left.Add(-int64(took))
	}
}
