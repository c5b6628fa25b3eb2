package session

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// Results of asking the cache, for metrics.
const (
	CacheHit    = "hit"    // the session was there
	CacheMiss   = "miss"   // the store was asked
	CacheBypass = "bypass" // the store was asked since nobody tells this replica of changes
)

// Cache keeps opened sessions in memory for a moment, and forgets each as soon as a Watcher tells that it has changed. It is an Observer:
// while that may be missing changes, nothing is taken from it. Make one with NewCache. It is safe for concurrent use; a nil Cache keeps nothing.
type Cache struct {
	changes
	o       CacheOptions
	made    time.Time
	entries *otter.Cache[ID, *cached] // nil when nothing is kept
}

var _ Observer = (*Cache)(nil)

// CacheOptions are a cache's bounds.
type CacheOptions struct {
	// TTL is the age, from the moment the store was asked, at which an entry is not used any more whatever the Watcher told: the bound on a
	// lost message. With 0 the store is asked each time, and the entries only spare opening again what it has as it was.
	TTL time.Duration
	// Stale is how long after the last moment that this replica was sure of it an entry may be used while the store cannot tell; it
	// is sure no longer than TTL after it asked. 0 means never.
	Stale time.Duration
	// Bytes bounds the memory of all entries together; 0 keeps none.
	Bytes uint64
	// Report, unless nil, is told the result of each question.
	Report func(result string)
	// Back, unless nil, is called each time that the Watcher tells of changes again after it had missed some: a failover may lie between, which may
	// have undone what was acknowledged.
	Back func()
}

// NewCache makes a cache.
func NewCache(o CacheOptions) *Cache {
	c := &Cache{o: o, made: time.Now()}
	if o.Bytes > 0 {
		c.entries = otter.Must(&otter.Options[ID, *cached]{
			MaximumWeight: o.Bytes,
			Weigher:       func(_ ID, e *cached) uint32 { return e.weight() },
		})
	}
	return c
}

// Held returns the estimated memory of all entries in bytes.
func (c *Cache) Held() uint64 {
	if c == nil || c.entries == nil {
		return 0
	}
	c.entries.CleanUp()
	return c.entries.WeightedSize()
}

// Armed implements Observer.
func (c *Cache) Armed() {
	c.forgetAll()
	c.armed.Store(true)
	if c.o.Back != nil && c.sure.Load() != 0 {
		c.o.Back()
	}
}

// Changed implements Observer. It is also called by who has changed a record here, so that this replica need not be told.
func (c *Cache) Changed(id ID) {
	if c == nil {
		return
	}
	c.changed(id) // before the entry goes: what is loaded now is not kept; see keep
	if c.entries != nil {
		c.entries.Invalidate(id)
	}
}

// Lost implements Observer. Where stale entries may be used they stay, as what was known at that moment.
func (c *Cache) Lost(sure time.Time) {
	c.sure.Store(sure.UnixNano())
	c.armed.Store(false)
	if c.o.Stale > 0 {
		c.allChanged()
		return
	}
	c.forgetAll()
}

func (c *Cache) forgetAll() {
	c.epoch.Add(1)
	c.allChanged()
	if c.entries != nil {
		c.entries.InvalidateAll()
	}
}

// answers reports whether entries are ever used without asking the store.
func (c *Cache) answers() bool { return c != nil && c.entries != nil && c.o.TTL > 0 }

// confirms reports whether it is worth noting that an entry was found to be as the store has it: whether it may then be used without asking.
func (c *Cache) confirms() bool { return c.answers() && (c.armed.Load() || c.o.Stale > 0) }

// former returns what was made last of a session's record, however long ago that was and whatever was told since. It says nothing by itself; see
// Manager.reload.
func (c *Cache) former(id ID) *cached {
	if c == nil || c.entries == nil {
		return nil
	}
	e, _ := c.entries.GetIfPresent(id)
	return e
}

// get returns an entry that this replica is sure of; now is the store's time.
func (c *Cache) get(id ID, withTokens bool, now time.Time) (*cached, bool) {
	if !c.answers() {
		return nil, false
	}
	if !c.armed.Load() {
		c.report(CacheBypass)
		return nil, false
	}
	e, ok := c.fresh(id, withTokens, now)
	if !ok {
		c.report(CacheMiss)
		return nil, false
	}
	c.report(CacheHit)
	return e, true
}

// peek is get, which reports nothing.
func (c *Cache) peek(id ID, withTokens bool, now time.Time) (*cached, bool) {
	if !c.answers() || !c.armed.Load() {
		return nil, false
	}
	return c.fresh(id, withTokens, now)
}

// fresh returns an entry that is young enough to be used while every change is told.
func (c *Cache) fresh(id ID, withTokens bool, now time.Time) (*cached, bool) {
	e, ok := c.find(id, withTokens, now)
	return e, ok && c.age(e) < c.o.TTL
}

// stale returns an entry for when the store cannot tell.
func (c *Cache) stale(id ID, withTokens bool, now time.Time) (*cached, bool) {
	if !c.answers() || c.o.Stale <= 0 {
		return nil, false
	}
	e, ok := c.find(id, withTokens, now)
	if !ok {
		return nil, false
	}
	asked := time.Now().Add(-c.age(e))
	sure := asked.Add(c.o.TTL)
	if lost := c.unsureSince(); !lost.IsZero() && lost.Before(sure) {
		sure = lost
	}
	if sure.Before(asked) {
		sure = asked
	}
	return e, time.Since(sure) < c.o.Stale
}

// age is the time since the store was asked for an entry.
func (c *Cache) age(e *cached) time.Duration { return time.Since(c.made) - e.asked }

// find returns the entry that has what is asked for and lives at now. Forgetting all is done when the epoch has changed, however long
// the table takes to become empty.
func (c *Cache) find(id ID, withTokens bool, now time.Time) (*cached, bool) {
	e, ok := c.entries.GetIfPresent(id)
	if !ok || e.epoch != c.epoch.Load() || withTokens && !e.withTokens || now.UnixMilli() >= e.idleExpires {
		return nil, false
	}
	return e, true
}

// begin notes that a load begins.
func (c *Cache) begin(id ID) moment {
	if c == nil {
		return moment{}
	}
	return c.moment(id)
}

// told reports whether this replica is told of every change.
func (c *Cache) told() bool { return c != nil && c.armed.Load() }

// await returns a channel that is closed when the record changes, or when nobody can tell any more whether it does. Stop must be called.
func (c *Cache) await(id ID) (changed <-chan struct{}, stop func()) {
	if c == nil {
		return nil, func() {}
	}
	return c.changes.await(id)
}

// keep stores what a load brought for which the store was asked then, unless something has changed since it began.
func (c *Cache) keep(begun moment, id ID, e *cached, asked time.Time) {
	if c == nil || c.entries == nil {
		return
	}
	e.epoch, e.asked = begun.epoch, asked.Sub(c.made)
	// The check and the write are one step for this key: a change that comes after the check finds the entry and removes it.
	c.entries.Compute(id, func(old *cached, found bool) (*cached, otter.ComputeOp) {
		if c.moment(id) != begun {
			return old, otter.CancelOp
		}
		return e, otter.WriteOp
	})
}

func (c *Cache) report(result string) {
	if c.o.Report != nil {
		c.o.Report(result)
	}
}
