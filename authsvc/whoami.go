package authsvc

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// sessionJSON tells a page about its own session. It does not extend it.
func (s *Service) sessionJSON(w http.ResponseWriter, r *http.Request) {
	s.describe(w, r, func(site *site, d decision) any {
		session := d.open()
		user := strings.Join(claimTexts(claim(session, site.userClaim)), ",")
		return struct {
			Authenticated bool   `json:"authenticated"`
			User          string `json:"user"`
			ExpiresAt     string `json:"expires_at"`
			IdleExpiresAt string `json:"idle_expires_at"`
		}{true, user, session.Expires.UTC().Format(time.RFC3339), session.IdleExpires.UTC().Format(time.RFC3339)}
	})
}

// userinfoJSON tells a page the claims that the identity headers carry, and no token.
func (s *Service) userinfoJSON(w http.ResponseWriter, r *http.Request) {
	s.describe(w, r, func(site *site, d decision) any {
		claims := map[string]any{}
		for _, h := range site.identities.headers {
			switch {
			case h.Claim == groupsValue:
				claims["groups"] = groups(d.open(), site.identities.groupsClaim)
			case strings.HasPrefix(h.Claim, "@"):
			default:
				if v := claim(d.open(), h.Claim); v != nil && v != "" {
					claims[h.Claim] = v
				}
			}
		}
		return claims
	})
}

// describe answers with JSON about the browser's session, or 401, or 503 when nobody can tell.
func (s *Service) describe(w http.ResponseWriter, r *http.Request, about func(*site, decision) any) {
	site := infoOf(r).site
	within := &budget{parent: r.Context()}
	d, _ := s.identify(within, site, r)
	status, body := http.StatusOK, any(nil)
	switch d.Outcome {
	case Allow:
		body = about(site, d)
	case Login:
		if site.bearers != nil {
			w.Header().Set("WWW-Authenticate", site.bearers.challenge(d.refusal))
		}
		status, body = http.StatusUnauthorized, map[string]bool{"authenticated": false}
	default:
		w.Header().Set("Retry-After", retryAfter)
		s.metrics.errors.WithLabelValues(infoOf(r).endpoint, d.Reason).Inc()
		status, body = http.StatusServiceUnavailable, map[string]string{"error": "nobody can tell now who this is; try again"}
	}
	s.logDecision(infoOf(r), d, nil)
	writeJSON(w, r, status, body)
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		panic(err) // claims came from JSON
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(append(text, '\n'))
	}
}
