package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// changes is the part of a cache that outlives its entries: whether this replica is told of every change, and who waits for one.
type changes struct {
	// generations tell whether something has changed since a load began. There is one for many sessions: a load whose answer
	// is not kept for another session's sake costs one more load.
	generations [256]atomic.Uint64
	// epoch counts the times at which everything was forgotten.
	epoch atomic.Uint64
	armed atomic.Bool
	// sure is when the channel last showed a sign of life before it was lost, by this host's clock in Unix nanoseconds; it counts unless armed.
	sure atomic.Int64

	mu      sync.Mutex
	waiting map[ID]map[chan struct{}]struct{}
}

func (c *changes) generation(id ID) *atomic.Uint64 { return &c.generations[id[0]] }

// moment is what has to be unchanged when the answer to a load that began then is kept.
type moment struct{ generation, epoch uint64 }

func (c *changes) moment(id ID) moment { return moment{c.generation(id).Load(), c.epoch.Load()} }

// changed makes the answers of loads of id that are under way worthless, and wakes who waits for it.
func (c *changes) changed(id ID) {
	c.generation(id).Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	for woken := range c.waiting[id] {
		close(woken)
	}
	delete(c.waiting, id)
}

// allChanged is changed for every session.
func (c *changes) allChanged() {
	for i := range c.generations {
		c.generations[i].Add(1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, waiting := range c.waiting {
		for woken := range waiting {
			close(woken)
		}
	}
	clear(c.waiting)
}

// await is Cache.await.
func (c *changes) await(id ID) (changed <-chan struct{}, stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	woken := make(chan struct{})
	if c.waiting == nil {
		c.waiting = map[ID]map[chan struct{}]struct{}{}
	}
	if c.waiting[id] == nil {
		c.waiting[id] = map[chan struct{}]struct{}{}
	}
	c.waiting[id][woken] = struct{}{}
	return woken, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.waiting[id], woken)
		if len(c.waiting[id]) == 0 {
			delete(c.waiting, id)
		}
	}
}

// unsureSince returns since when changes may have been missed; zero while every change is told.
func (c *changes) unsureSince() time.Time {
	if c.armed.Load() {
		return time.Time{}
	}
	return time.Unix(0, c.sure.Load())
}
