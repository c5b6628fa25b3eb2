package main

import (
	"context"
	"sync"
	"time"
)

// storeTimeout is store.timeout, the default: a verdict that waits longer for Redis is a 503.
const storeTimeout = 100 * time.Millisecond

// pulse asks Redis for a sign of life, again and again, from outside the service. Where that takes longer than a replica may wait, the
// machine is too busy to prove anything about answers, and the row says so.
type pulse struct {
	mu     sync.Mutex
	slow   int           // times, since the last take
	slowed time.Duration // the longest of them
	ever   bool
}

func (f *flagship) feelPulse(ctx context.Context) {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case due := <-ticker.C:
			f.Redis.Ping(ctx) // its error shows in every scenario
			if took := time.Since(due); took > storeTimeout {
				f.pulse.mu.Lock()
				f.pulse.slow++
				f.pulse.ever = true
				f.pulse.slowed = max(f.pulse.slowed, took)
				f.pulse.mu.Unlock()
			}
		}
	}
}

// take returns how often Redis was slow since the last call, and the longest time.
func (p *pulse) take() (slow int, longest time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	slow, longest = p.slow, p.slowed
	p.slow, p.slowed = 0, 0
	return slow, longest
}

// wasSlow reports whether Redis was ever slow.
func (p *pulse) wasSlow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ever
}
