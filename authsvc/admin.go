package authsvc

import (
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// AdminHandler returns the handler of the admin listener: health, metrics, figures and who else runs. It must not be reachable by strangers.
func (s *Service) AdminHandler() http.Handler {
	router := chi.NewRouter()
	for path, handle := range map[string]http.HandlerFunc{
		"/livez":    s.livez,
		"/readyz":   s.readyz,
		"/stats":    s.stats,
		"/replicas": s.replicas,
		"/metrics":  promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}).ServeHTTP,
	} {
		handle = s.guarded(path, handle)
		router.Get(path, handle)
		router.Head(path, handle)
	}
	return router
}

func (s *Service) livez(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, r, http.StatusOK, map[string]bool{"live": true})
}

// readiness says whether this replica should get requests, and why not. What fails is its own trouble; what is degraded is everyone's,
// and taking all replicas away for it would only hide the page that explains it.
type readiness struct {
	Ready    bool              `json:"ready"`
	Failing  map[string]string `json:"failing"`
	Degraded map[string]string `json:"degraded"`
}

func (s *Service) readyz(w http.ResponseWriter, r *http.Request) {
	state := readiness{Failing: map[string]string{}, Degraded: map[string]string{}}
	if s.draining.Load() {
		state.Failing["draining"] = "this replica is about to stop"
	}
	if why := s.heldBack(); why != "" {
		state.Failing["drift"] = why
	}
	if err := s.store.Ping(r.Context()); err != nil {
		if s.store.Reached() {
			state.Degraded["store"] = "the store does not answer; see the log"
		} else {
			state.Failing["store"] = "the store has not been reached yet; see the log"
		}
	} else if s.standing.Load().Err != nil {
		state.Degraded["roster"] = "the other replicas cannot be asked whether they agree; see the log"
	}
	if s.unusable.Load() {
		state.Degraded["configuration"] = "the configuration on disk cannot be used; the one in use stays; see the log"
	}
	for _, p := range s.sites.Load().providers() {
		switch _, err := p.ready(); {
		case err == nil:
		case p.keysOnly:
			state.Degraded["bearer"] = "an issuer of bearer tokens could not be discovered yet; see the log"
		default:
			state.Degraded["provider"] = "the provider could not be discovered yet; nobody can sign in"
		}
	}
	strict := r.URL.Query().Get("strict") == "1"
	state.Ready = len(state.Failing) == 0 && !(strict && len(state.Degraded) > 0)
	status := http.StatusOK
	if !state.Ready {
		status = http.StatusServiceUnavailable
	}
	writeJSON(w, r, status, state)
}

// heldBack says why this replica takes no requests, in view of the others; "" when it does.
func (s *Service) heldBack() string {
	standing := s.standing.Load()
	switch older := s.elsewhere.older(); {
	case older != nil:
		return drift{driftStore: {older.ID}}.String() + ": it uses another Redis, database or prefix, and is older"
	case standing.Opened:
		return ""
	case len(standing.HeldBack) > 0:
		why := standing.HeldBack.String()
		if roster := s.roster.Load(); roster != nil {
			if until := s.keyNeeded(*roster); !until.IsZero() {
				why += "; cookie.secret lacks a key that is needed until " + until.Format(time.RFC3339) + ", when the last session that it signed has ended, or later if it signs"
			}
		}
		return why
	}
	return "the other replicas have not been asked yet whether they agree"
}
