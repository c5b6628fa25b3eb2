package rig

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Pulse asks a Redis for a sign of life, again and again, from outside the service. Where that takes long, the machine is too busy to prove anything
// about the time of answers. It is safe for concurrent use.
type Pulse struct {
	Limit time.Duration // what takes longer is slow

	mu   sync.Mutex
	slow []Slowness
	ever bool
}

// Slowness is one time at which the machine was too busy.
type Slowness struct {
	From time.Time
	Took time.Duration
}

// Feel asks until ctx ends.
func (p *Pulse) Feel(ctx context.Context, client *redis.Client) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-ticker.C:
			client.Ping(ctx) // its error shows in every scenario
			if took := time.Since(due); took > p.Limit {
				p.mu.Lock()
				p.slow = append(p.slow, Slowness{due, took})
				p.ever = true
				p.mu.Unlock()
			}
		}
	}
}

// Take returns when the machine was slow since the last call.
func (p *Pulse) Take() []Slowness {
	p.mu.Lock()
	defer p.mu.Unlock()
	slow := p.slow
	p.slow = nil
	return slow
}

// WasSlow reports whether the machine was ever slow.
func (p *Pulse) WasSlow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ever
}
