package authsvc

import (
	"context"
	"fmt"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"authsvc/session"
)

// Backend is what the service needs of a store.
type Backend interface {
	session.Store
	session.Slots
	session.Index
	session.Watcher
	session.Counter
	session.Roster
	// Now returns the store's clock, by which everything that replicas share is measured.
	Now() time.Time
	// Ping asks the store for a sign of life, within its own short deadline.
	Ping(ctx context.Context) error
	// Reached reports whether the store has ever answered.
	Reached() bool
}

// Options are what a Service is made of.
type Options struct {
	// Config has been loaded, and so validated.
	Config *Config
	Store  Backend
	Log    zerolog.Logger
	// Metrics is where the service's metrics are registered, and what the admin handler shows.
	Metrics *prometheus.Registry
	// Version is the build's, which replicas tell each other.
	Version string
}

// Service answers for its sites. Make one with New, then Run and Join it beside its two handlers. It is safe for concurrent use.
type Service struct {
	store    Backend
	log      zerolog.Logger
	registry *prometheus.Registry
	metrics  metrics
	endings  session.Endings
	journal  session.Journal
	cache    *session.Cache
	tokens   *knownTokens // that were brought as bearer tokens, at any site
	stock    *stock
	// assertions are those that were made a moment ago, of every site.
	assertions *keptAssertions
	cuts       notices[session.ID]
	limitsTold notices[netip.Prefix]
	// strangersTold are the reasons for which back-channel logouts of nobody knows whom were refused.
	strangersTold notices[string]
	// Each has its own count: who was let begin a login is let finish it.
	starts, callbacks *loginLimit
	sites             atomic.Pointer[sites]
	draining          atomic.Bool
	unusable          atomic.Bool    // the configuration on disk is
	flights           sync.WaitGroup // refreshes under way, which no request waits for
	overage           sync.Once      // the operator was told of groups that are left out

	// Among the replicas.
	id, version string
	startedAt   atomic.Int64 // as announced
	storeIDs    storeIDs
	standing    atomic.Pointer[standing]
	roster      atomic.Pointer[[]replica] // as it was at the last heartbeat; nil before the first
	elsewhere   elsewhere
	lacks       atomic.Pointer[[]session.KeyMark] // of keys that are not on the ring, until this one is admitted
	crossed     chan struct{}                     // tells Join that elsewhere has changed

	recordFormat atomic.Uint32 // that every replica reads; 0 until this one knows of the others
	writing      atomic.Uint32 // the format that this one writes
	swapping     sync.Mutex    // held by who puts other sites in the place of these
	known        knownProviders
	marked       string // the key that agree marked last
}

// New makes a service. It asks nobody anything yet. Errors: a file that the configuration names cannot be used, or a
// configuration that was not validated.
func New(o Options) (*Service, error) {
	s := &Service{
		store: o.Store, log: o.Log, registry: o.Metrics, metrics: newMetrics(o.Metrics), known: knownProviders{},
		id: newReplicaID(), version: o.Version, crossed: make(chan struct{}, 1),
		cuts:          notices[session.ID]{pause: noticePause, most: maxNotices},
		limitsTold:    notices[netip.Prefix]{pause: limitedPause, most: maxLimitedTold},
		strangersTold: notices[string]{pause: strangerPause, most: maxStrangerTold},
	}
	s.endings.Store, s.journal.Store = o.Store, o.Store
	s.endings.Panicked, s.journal.Panicked = s.notePanic, s.notePanic
	s.cache = session.NewCache(session.CacheOptions{
		TTL: o.Config.Session.CacheTTL, Stale: o.Config.Session.ServeStale, Bytes: cacheBytes(),
		Report: s.metrics.countCache, Back: s.journal.Replay,
	})
	s.assertions = newKeptAssertions(cacheBytesBeside())
	s.starts, s.callbacks = newLoginLimit(o.Config.Limits.LoginsPerMinute), newLoginLimit(o.Config.Limits.LoginsPerMinute)
	s.tokens = newKnownTokens(o.Store.Now, s.notePanic)
	s.standing.Store(&standing{}) // not ready until Join says otherwise
	s.stock = &stock{counter: o.Store, panicked: s.notePanic}
	o.Metrics.MustRegister(s.stock)
	keyring, err := newKeyring(o.Config)
	if err != nil {
		return nil, err
	}
	all, err := newSites(o.Config, keyring, s)
	if err != nil {
		return nil, err
	}
	s.sites.Store(all)
	o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "authsvc_cache_bytes", Help: "Estimated memory of the sessions that this replica keeps for a moment.",
	}, func() float64 { return float64(s.cache.Held()) }))
	o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "authsvc_refreshes_in_flight", Help: "Refreshes under way; session.refresh_limit bounds them.",
	}, func() float64 { return float64(s.sites.Load().flights()) }))
	o.Metrics.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "authsvc_config_reload_failed", Help: "1 while the configuration, or a file that it names, cannot be used as it is on disk; the one in use stays.",
	}, func() float64 {
		if s.unusable.Load() {
			return 1
		}
		return 0
	}))
	s.observeReplicas(o.Metrics)
	return s, nil
}

// Run does what goes on beside requests until ctx ends: it watches the store for changes, and asks for the providers' metadata until it has it.
func (s *Service) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		s.Keep(ctx, func(ctx context.Context) { s.store.Watch(ctx, s.cache) })
	})
	for _, p := range s.sites.Load().providers() {
		running.Go(func() {
			s.Keep(ctx, func(ctx context.Context) { p.discoverUntilDone(ctx, s.log) })
		})
	}
}

// cacheBytes is the memory that cached sessions may take: what 100,000 of them need with all that is derived of them, and less where the process may not
// have so much. What is its own, and a part for what requests leave behind until it is collected, stays free.
func cacheBytes() uint64 {
	const most, own = 128 << 20, 12 << 20
	limit := debug.SetMemoryLimit(-1)
	return uint64(min(most, max(limit/4, (limit-own)/6*5)))
}

// cacheBytesBeside is the memory that assertions may take, and bearer tokens as much.
func cacheBytesBeside() uint64 {
	const most = 32 << 20
	return uint64(min(most, debug.SetMemoryLimit(-1)/32))
}

// ReplaceSecrets takes the key ring and the client secrets from a configuration that is otherwise the one in use. Requests
// under way end with the old ones. The key that signs goes on to do so until the other replicas are known to have the new ones. Errors, after
// which all old ones stay: *KeyNeededError and ErrKeysUnknown, when it is too early, and the same configuration may be taken later; else as New.
func (s *Service) ReplaceSecrets(ctx context.Context, c *Config) error {
	s.swapping.Lock()
	defer s.swapping.Unlock()
	old := s.sites.Load()
	keyring, err := newKeyring(c)
	if err != nil {
		return fmt.Errorf("replace secrets: %w", err)
	}
	signer := keyPrints(old.main.keyring)[old.main.keyring.Signer()]
	if position := slices.Index(keyPrints(keyring), signer); position >= 0 {
		keyring = keyring.SignWith(position)
	}
	next, err := newSites(c, keyring, s)
	if err != nil {
		return fmt.Errorf("replace secrets: %w", err)
	}
	if err := mayFollow(ctx, old, next); err != nil {
		return fmt.Errorf("replace secrets: %w", err)
	}
	s.sites.Store(next)
	return nil
}

// countOverage counts groups that the provider left out, and says once what to do about it: it will be so at every login of these people.
func (s *Service) countOverage() {
	s.metrics.groupsOverage.Inc()
	s.overage.Do(func() {
		s.log.Warn().Msg("the provider leaves groups out of its tokens where somebody has too many (Entra's overage), so that these people have none here; " +
			"let the token carry only groups that are assigned to the application, or use app roles with oidc.groups_claim: roles; authsvc_groups_overage_total counts them")
	})
}

// ReloadFails says whether the configuration, or a file that it names, cannot be used as it is on disk by now, so that the one in use stays.
func (s *Service) ReloadFails(fails bool) { s.unusable.Store(fails) }

// Drain makes the service not ready, while it serves on: gateways that ask for readiness go to another replica.
func (s *Service) Drain() { s.draining.Store(true) }

// Finish waits for the refreshes that are under way, which no request may be waiting for: their new tokens would be lost, and the old ones
// are spent. It is called after the last request. Errors: that of ctx, when it ends first.
func (s *Service) Finish(ctx context.Context) error {
	done := make(chan struct{})
	go func() { s.flights.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for refreshes under way: %w", ctx.Err())
	}
}
