package authsvc

import (
	"maps"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// decisionMetrics count verdicts. A look-up by labels hashes them under a lock, so each kind of verdict is looked up when it comes for the first time, and its
// metrics are kept. It is safe for concurrent use.
type decisionMetrics struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	known   atomic.Pointer[map[decisionKind]keptDecision] // is replaced and never changed
}

// decisionKind is a kind of verdict, of which there are as many as reasons.
type decisionKind struct {
	outcome Outcome
	reason  string
}

type keptDecision struct {
	total   prometheus.Counter
	seconds prometheus.Observer
}

func newDecisionMetrics(registry *prometheus.Registry) *decisionMetrics {
	m := &decisionMetrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "authsvc_decisions_total", Help: "Verdicts by outcome and reason.",
		}, []string{"outcome", "reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "authsvc_decision_seconds", Help: "Time to a verdict.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .15, .25, 1, 2.5},
		}, []string{"outcome"}),
	}
	m.known.Store(&map[decisionKind]keptDecision{})
	registry.MustRegister(m.total, m.seconds)
	return m
}

// count counts a verdict that took so long.
func (m *decisionMetrics) count(outcome Outcome, reason string, took time.Duration) {
	kind := decisionKind{outcome, reason}
	kept, ok := (*m.known.Load())[kind]
	if !ok {
		kept = m.keep(kind)
	}
	kept.total.Inc()
	kept.seconds.Observe(took.Seconds())
}

// keep looks the metrics of a kind up. Where two kinds come for the first time at once, one of them is looked up again.
func (m *decisionMetrics) keep(kind decisionKind) keptDecision {
	outcome := kind.outcome.String()
	kept := keptDecision{m.total.WithLabelValues(outcome, kind.reason), m.seconds.WithLabelValues(outcome)}
	known := maps.Clone(*m.known.Load())
	known[kind] = kept
	m.known.Store(&known)
	return kept
}
