package authsvc

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"authsvc/session"
)

// countEvery is how old a count may be that is told: whoever asks more often does not burden the store.
const countEvery = time.Second

// stock knows how much the store holds. It is a prometheus.Collector, whose metrics are absent while the store cannot tell: a zero would be
// taken for no sessions. Safe for concurrent use.
type stock struct {
	counter  session.Counter
	panicked func(error) // is told of a panic of Collect, whose caller would not catch it

	mu     sync.Mutex
	asked  time.Time
	totals session.Totals
	err    error
}

var (
	descSessions = prometheus.NewDesc("authsvc_sessions", "Sessions in the store; absent while the store cannot tell.", nil, nil)
	descBytes    = prometheus.NewDesc("authsvc_session_bytes", "Size of the sessions' stored values in bytes; absent while the store cannot tell.", nil, nil)
)

// count returns what the store holds, or that it cannot tell, as of a second ago at most.
func (s *stock) count(ctx context.Context) (session.Totals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); now.Sub(s.asked) >= countEvery {
		s.totals, s.err = s.counter.Count(ctx)
		s.asked = now
	}
	return s.totals, s.err
}

// Describe implements prometheus.Collector.
func (s *stock) Describe(descs chan<- *prometheus.Desc) {
	descs <- descSessions
	descs <- descBytes
}

// Collect implements prometheus.Collector.
func (s *stock) Collect(metrics chan<- prometheus.Metric) {
	var totals session.Totals
	err := session.Catch(func() (err error) {
		totals, err = s.count(context.Background())
		return err
	})
	if _, ok := errors.AsType[*session.PanicError](err); ok {
		s.panicked(err)
	}
	if err != nil {
		return
	}
	metrics <- prometheus.MustNewConstMetric(descSessions, prometheus.GaugeValue, float64(totals.Sessions))
	metrics <- prometheus.MustNewConstMetric(descBytes, prometheus.GaugeValue, float64(totals.Bytes))
}

// Stats is how much the store holds, as /stats tells it.
type Stats struct {
	// Sessions is the number of sessions, Users of those who have one.
	Sessions int64 `json:"sessions"`
	Users    int64 `json:"users"`
	// Bytes is the size of the sessions' stored values.
	Bytes int64 `json:"bytes"`
}

func (s *Service) stats(w http.ResponseWriter, r *http.Request) {
	totals, err := s.stock.count(r.Context())
	if err != nil {
		s.log.Warn().Err(err).Msg("the store cannot tell how much it holds")
		writeJSON(w, r, http.StatusServiceUnavailable, map[string]string{"error": "the store does not answer; see the log"})
		return
	}
	writeJSON(w, r, http.StatusOK, Stats{Sessions: totals.Sessions, Users: totals.Users, Bytes: totals.Bytes})
}
