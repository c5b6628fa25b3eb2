package authsvc

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"authsvc/session"
)

// metrics are the service's own. No label ever has a value that comes from a request.
type metrics struct {
	decisions       *decisionMetrics
	logins          *prometheus.CounterVec
	refreshes       *prometheus.CounterVec
	cacheHits       prometheus.Counter
	cacheMisses     prometheus.Counter
	cacheBypasses   prometheus.Counter
	shortened       prometheus.Counter
	identityDropped *prometheus.CounterVec
	groupsOverage   prometheus.Counter
	revised         *prometheus.CounterVec
	touchFailures   prometheus.Counter
	introspections  *prometheus.CounterVec
	panics          prometheus.Counter
	loginsLimited   prometheus.Counter
	errors          *prometheus.CounterVec

	backchannelLogouts *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry) metrics {
	cache := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authsvc_cache_total", Help: "Sessions by where they came from: hit, miss, or bypass while this replica may be missing changes.",
	}, []string{"result"})
	m := metrics{
		decisions: newDecisionMetrics(registry),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authsvc_logins_total", Help: "Login callbacks by result.",
		}, []string{"result"}),
		refreshes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authsvc_refreshes_total", Help: "Refreshes by result: ok, shared with another replica, revoked by the provider, failed.",
		}, []string{"result"}),
		cacheHits:     cache.WithLabelValues(session.CacheHit),
		cacheMisses:   cache.WithLabelValues(session.CacheMiss),
		cacheBypasses: cache.WithLabelValues(session.CacheBypass),
		shortened: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "authsvc_return_addresses_shortened_total", Help: "Return addresses that were too long and lost their query or path.",
		}),
		identityDropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authsvc_identity_values_dropped_total",
			Help: "Values left out of identity headers, each time that a session is loaded: unfit for a header, beyond the header's most, beyond the size of all, or a token beyond it.",
		}, []string{"reason"}),
		groupsOverage: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "authsvc_groups_overage_total", Help: "Logins and refreshes whose groups the provider left out, since they are too many.",
		}),
		revised: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authsvc_userinfo_asked_total", Help: "Sessions whose claims were asked for between refreshes (session.userinfo_interval), by result: ok, failed.",
		}, []string{"result"}),
		touchFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "authsvc_touch_failures_total", Help: "Sessions whose idle time could not be extended.",
		}),
		introspections: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authsvc_introspections_total", Help: "Questions about opaque bearer tokens by result: active, inactive, refused since it is not for us, failed.",
		}, []string{"result"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "authsvc_panics_total", Help: "Panics: of requests, which were answered with 503 or 500, and of work in the background, which began anew.",
		}),
		backchannelLogouts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authsvc_backchannel_logouts_total",
			Help: "Back-channel logouts by result: ended, nothing to end, refused, unavailable so that the provider is asked to try again.",
		}, []string{"result"}),
		loginsLimited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "authsvc_logins_limited_total", Help: "Requests of /start and /callback that limits.logins_per_minute refused.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authsvc_errors_total",
			Help: "Answers with a status of 500 or more at the endpoints that people and pages use, by endpoint and reason. Gateways are answered by decisions.",
		}, []string{"endpoint", "reason"}),
	}
	for _, result := range []string{session.RefreshOK, session.RefreshShared, session.RefreshRevoked, session.RefreshFailed} {
		m.refreshes.WithLabelValues(result) // there from the start, so that the first one is an increase
	}
	for _, reason := range []string{cutUnfit, cutMost, cutSize, cutToken} {
		m.identityDropped.WithLabelValues(reason)
	}
	for _, result := range []string{"ok", "failed"} {
		m.revised.WithLabelValues(result)
	}
	for _, result := range []string{logoutEnded, logoutNothing, logoutRefused, logoutUnavailable} {
		m.backchannelLogouts.WithLabelValues(result)
	}
	registry.MustRegister(cache, m.logins, m.refreshes, m.shortened, m.identityDropped, m.groupsOverage, m.revised, m.touchFailures, m.introspections, m.panics, m.loginsLimited, m.errors, m.backchannelLogouts)
	return m
}

func (m *metrics) countRevised(failed bool) {
	result := "ok"
	if failed {
		result = "failed"
	}
	m.revised.WithLabelValues(result).Inc()
}

// countCache is for every verdict: it looks no label up.
func (m *metrics) countCache(result string) {
	switch result {
	case session.CacheHit:
		m.cacheHits.Inc()
	case session.CacheMiss:
		m.cacheMisses.Inc()
	default:
		m.cacheBypasses.Inc()
	}
}

func (m *metrics) countIntrospection(result string) { m.introspections.WithLabelValues(result).Inc() }

// StoreMetrics registers the metrics of a store's operations and returns the function that observes one: its name, how long it
// took, and whether the store could not tell.
func StoreMetrics(registry *prometheus.Registry) func(operation string, took time.Duration, failed bool) {
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "authsvc_store_seconds", Help: "Time of store operations.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .15, .25},
	}, []string{"op"})
	failures := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "authsvc_store_errors_total", Help: "Store operations that failed: the store could not tell.",
	}, []string{"op"})
	registry.MustRegister(seconds, failures)
	return func(operation string, took time.Duration, failed bool) {
		seconds.WithLabelValues(operation).Observe(took.Seconds())
		if failed {
			failures.WithLabelValues(operation).Inc()
		}
	}
}
