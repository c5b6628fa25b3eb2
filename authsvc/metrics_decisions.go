package authsvc

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// decisionMetrics count verdicts. A look-up by labels hashes them under a lock, so each kind of verdict is looked up when it comes for the first time, and its
// metrics are kept. It is safe for concurrent use.
type decisionMetrics struct {
	total   *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	known   atomic.Pointer[[]keptDecision] // is replaced and never changed
}

// decisionKind is a kind of verdict, of which there are as many as reasons.
type decisionKind struct {
	outcome Outcome
	reason  string
}

type keptDecision struct {
	decisionKind
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
	m.known.Store(&[]keptDecision{})
	registry.MustRegister(m.total, m.seconds)
	return m
}

// count counts a verdict that took so long.
func (m *decisionMetrics) count(outcome Outcome, reason string, took time.Duration) {
	kept := m.of(decisionKind{outcome, reason})
	kept.total.Inc()
	kept.seconds.Observe(took.Seconds())
}

// of returns the metrics of a kind. There are few, and what comes often has come early: going through them is faster than hashing.
func (m *decisionMetrics) of(kind decisionKind) keptDecision {
	for _, kept := range *m.known.Load() {
		if kept.decisionKind == kind {
			return kept
		}
	}
	return m.keep(kind)
}

// keep looks the metrics of a kind up. Where two kinds come for the first time at once, one of them is looked up again.
func (m *decisionMetrics) keep(kind decisionKind) keptDecision {
	outcome := kind.outcome.String()
	kept := keptDecision{kind, m.total.WithLabelValues(outcome, kind.reason), m.seconds.WithLabelValues(outcome)}
	known := append(slices.Clip(*m.known.Load()), kept)
	m.known.Store(&known)
	return kept
}
