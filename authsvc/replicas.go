package authsvc

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"authsvc/session"
)

// Replica is one replica as people see it.
type Replica struct {
	ID        string    `json:"id"`
	Version   string    `json:"version"` // empty for one on another store
	StartedAt time.Time `json:"started_at"`
	// Drift are the settings in which it differs from most others; of two sides alike in number, from the one with the oldest
	// replica. It is empty, not nil, when there are none.
	Drift []string     `json:"drift"`
	State ReplicaState `json:"-"`
}

// ReplicaState says in a word or two what a replica does.
type ReplicaState string

const (
	// ReplicaReady was admitted by the others, and takes requests.
	ReplicaReady ReplicaState = "ready"
	// ReplicaWaiting takes none: it has just started, or is held back because it differs.
	ReplicaWaiting ReplicaState = "not ready"
	// ReplicaElsewhere uses another Redis, database or prefix, and was met by a login that crossed.
	ReplicaElsewhere ReplicaState = "elsewhere"
)

// Replicas returns who is on a roster, the oldest first, and those on other stores whom they have met. It is safe for concurrent use.
// An error means that the store cannot tell.
func Replicas(ctx context.Context, roster session.Roster) ([]Replica, error) {
	stored, err := roster.Replicas(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the roster: %w", err)
	}
	return describe(parseRoster(stored)), nil
}

// describe tells what people want to know of a roster, whose oldest replica comes first.
func describe(roster []replica) []Replica {
	described := []Replica{}
	for _, r := range roster {
		state := ReplicaWaiting
		if r.Ready {
			state = ReplicaReady
		}
		described = append(described, Replica{
			ID: r.ID, Version: r.Version, StartedAt: time.UnixMilli(r.Started).UTC(), Drift: driftFromMost(r, roster), State: state,
		})
		for _, other := range r.Elsewhere {
			if slices.ContainsFunc(described, func(d Replica) bool { return d.ID == other.ID }) {
				continue
			}
			d := Replica{ID: other.ID, StartedAt: time.UnixMilli(other.Started).UTC(), Drift: []string{}, State: ReplicaElsewhere}
			if younger(other.Started, other.ID, r.Started, r.ID) {
				d.Drift = append(d.Drift, driftStore)
			}
			described = append(described, d)
		}
	}
	return described
}

// driftFromMost returns the settings in which a replica differs from most.
func driftFromMost(r replica, roster []replica) []string {
	settings := []string{}
	if slices.ContainsFunc(r.Elsewhere, func(other sighting) bool { return younger(r.Started, r.ID, other.Started, other.ID) }) {
		settings = append(settings, driftStore)
	}
	// The key that most have is what secrets are compared under.
	key := most(roster, func(r replica) []string { return r.Keys })
	if key != "" && !slices.Contains(r.Keys, key) || slices.ContainsFunc(roster, r.lacksOf) {
		settings = append(settings, driftKeys)
	}
	store := most(roster, func(r replica) []string { return []string{string(r.Store[:])} })
	value := func(r replica, path string) []string {
		if i := slices.Index(r.Keys, key); i >= 0 && i < len(r.Secrets[path]) {
			return []string{string(r.Secrets[path][i])}
		}
		if print, has := r.Settings[path]; has && string(r.Store[:]) == store {
			return []string{string(print)}
		}
		return nil
	}
	for _, path := range driftSettings(r) {
		own := value(r, path)
		if len(own) > 0 && own[0] != most(roster, func(r replica) []string { return value(r, path) }) {
			settings = append(settings, path)
		}
	}
	slices.Sort(settings)
	return settings
}

// most returns the value that most replicas have, of those alike in number the one that comes first; "" when nobody has any.
func most(roster []replica, values func(replica) []string) (winner string) {
	var order []string
	count := map[string]int{}
	for _, r := range roster {
		for _, value := range values(r) {
			if count[value]++; count[value] == 1 {
				order = append(order, value)
			}
		}
	}
	for _, value := range order {
		if count[value] > count[winner] {
			winner = value
		}
	}
	return winner
}

func (s *Service) replicas(w http.ResponseWriter, r *http.Request) {
	roster := []replica{}
	if known := s.roster.Load(); known != nil {
		roster = *known
	}
	writeJSON(w, r, http.StatusOK, describe(roster))
}

// observeReplicas registers the metrics of the roster, which are read when somebody asks.
func (s *Service) observeReplicas(registry *prometheus.Registry) {
	registry.MustRegister(replicaMetrics{s})
}

type replicaMetrics struct{ *Service }

var (
	replicasMetric = prometheus.NewDesc("authsvc_replicas", "Replicas that share the store, this one among them.", nil, nil)
	driftMetric    = prometheus.NewDesc("authsvc_config_drift", "Replicas that differ from this one in a setting that all should share.", []string{"setting"}, nil)
)

// Describe implements prometheus.Collector.
func (m replicaMetrics) Describe(descs chan<- *prometheus.Desc) {
	descs <- replicasMetric
	descs <- driftMetric
}

// Collect implements prometheus.Collector. Every setting has a value, so that an alert on one finds it.
func (m replicaMetrics) Collect(metrics chan<- prometheus.Metric) {
	var roster []replica
	if known := m.roster.Load(); known != nil {
		roster = *known
	}
	identity, _ := m.storeIDs.get()
	self := m.self(identity, false)
	found := self.driftFrom(roster)
	metrics <- prometheus.MustNewConstMetric(replicasMetric, prometheus.GaugeValue, float64(len(roster)))
	for _, setting := range driftSettings(self) {
		metrics <- prometheus.MustNewConstMetric(driftMetric, prometheus.GaugeValue, float64(len(found[setting])), setting)
	}
}
