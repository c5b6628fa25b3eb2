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

// cached is an entry. The session's claims are shared by all who get it.
type cached struct {
	session    Session
	tokens     Tokens // what an identity header may carry: the access token, and its expiry
	withTokens bool
	// derived is what Manager.Derive made of it, in so many bytes.
	derived     any
	derivedSize int
	asked       time.Time // when the store was asked, by this host's clock
	digest      digest    // of the record that it was opened from
	epoch       uint64
}

// NewCache makes a cache.
func NewCache(o CacheOptions) *Cache {
	c := &Cache{o: o}
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
	return e, ok && time.Since(e.asked) < c.o.TTL
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
	sure := e.asked.Add(c.o.TTL)
	if lost := c.unsureSince(); !lost.IsZero() && lost.Before(sure) {
		sure = lost
	}
	if sure.Before(e.asked) {
		sure = e.asked
	}
	return e, time.Since(sure) < c.o.Stale
}

// find returns the entry that has what is asked for and lives at now. Forgetting all is done when the epoch has changed, however long
// the table takes to become empty.
func (c *Cache) find(id ID, withTokens bool, now time.Time) (*cached, bool) {
	e, ok := c.entries.GetIfPresent(id)
	if !ok || e.epoch != c.epoch.Load() || withTokens && !e.withTokens || !now.Before(e.session.IdleExpires) {
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

// keep stores what a load brought, unless something has changed since it began.
func (c *Cache) keep(begun moment, e *cached) {
	if c == nil || c.entries == nil {
		return
	}
	id := e.session.ID
	e.epoch = begun.epoch
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

// weight estimates the entry's memory in bytes.
func (e *cached) weight() uint32 {
	const fixed = 760 // the entry, its place in the table, and the eviction policy's books, by the heap with 20,000 of them
	s := &e.session
	n := fixed + len(s.Site) + len(s.Issuer) + len(s.Subject) + len(s.ProviderSession) + len(s.ACR) + len(e.tokens.AccessToken) + sizeOf(s.Claims) + e.derivedSize
	return uint32(min(n, 1<<31))
}

// sizeOf estimates the memory of a claim.
func sizeOf(v any) int {
	const header, slot = 16, 40 // of a string or a slice; of an entry in a map
	switch v := v.(type) {
	case string:
		return header + len(v)
	case []any:
		n := header
		for _, e := range v {
			n += header + sizeOf(e)
		}
		return n
	case map[string]any:
		n := 2 * header
		for key, e := range v {
			n += slot + len(key) + sizeOf(e)
		}
		return n
	}
	return 8
}
