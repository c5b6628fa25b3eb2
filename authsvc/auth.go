package authsvc

import (
	"context"
	"errors"
	"net/http"
	"time"

	"authsvc/session"
)

// verdictTime bounds all store operations of one verdict together. With the store's own timeout beneath it, an answer
// comes within 150 ms whatever the store does: Envoy gives a check 200 ms.
const verdictTime = 135 * time.Millisecond

// check is the endpoint at which the gateways of one dialect ask about every request.
func (s *Service) check(d dialect) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		site := s.site.Load()
		q := d.question(r, site)
		verdict := s.verdict(r, site, q)
		s.answer(w, r, d, site, verdict, q.asked)

		s.metrics.decisions.WithLabelValues(verdict.Outcome.String(), verdict.Reason).Inc()
		s.metrics.decisionSeconds.WithLabelValues(verdict.Outcome.String()).Observe(time.Since(start).Seconds())
		s.logDecision(r, verdict, q.unknown)
	}
}

var errUntrustedPeer = errors.New("the asked request is unknown: the peer is not in trusted_proxies")

// verdict says whether the request's browser may pass. It knows no gateway.
func (s *Service) verdict(r *http.Request, site *site, q question) decision {
	ctx, cancel := context.WithTimeout(r.Context(), verdictTime)
	defer cancel()
	d, tokens := s.identify(ctx, site, r)
	stale := d.stale
	if d.Outcome == Allow && !stale { // the store would not answer
		if err := site.sessions.Touch(ctx, *d.Session); err != nil {
			s.metrics.touchFailures.Inc() // the session is as valid as before
		}
		d, tokens = s.renew(r.Context(), site, d, tokens, q.refreshWait)
	}
	if d.Outcome != Allow {
		return d
	}
	known := d.known
	d = decide(d.Session, site.groupsClaim, parseNarrowing(q.query))
	if d.Outcome != Allow {
		return d
	}
	if stale {
		d.Reason = "session_stale"
	}
	if known == nil {
		known = site.identityOf(d.Session, tokens)
	}
	if d.Identity, d.Err = s.tell(site, d.Session, known, q.asked); d.Err != nil {
		return decision{Outcome: Unavailable, Reason: "assertion", Err: d.Err}
	}
	return d
}

// identify is the one place where a credential becomes a session: Allow when there is a live one, else why
// not.
func (s *Service) identify(ctx context.Context, site *site, r *http.Request) (decision, session.Tokens) {
	token, err := site.sessionCookie.read(site.keyring, site.name, r)
	switch {
	case errors.Is(err, errNoCookie):
		return decision{Outcome: Login, Reason: "no_cookie"}, session.Tokens{}
	case errors.Is(err, errCookieDoubled):
		return decision{Outcome: Login, Reason: "cookie_doubled"}, session.Tokens{}
	case errors.Is(err, session.ErrLaterFormat):
		return decision{Outcome: Unavailable, Reason: "later_format", Err: err}, session.Tokens{}
	case err != nil:
		return decision{Outcome: Login, Reason: "cookie_invalid"}, session.Tokens{}
	}
	recalled, err := site.sessions.Recall(ctx, token, site.tokens)
	tokens := recalled.Tokens
	switch {
	case errors.Is(err, session.ErrNotFound):
		return decision{Outcome: Login, Reason: "session_not_found"}, tokens
	case errors.Is(err, session.ErrCorrupt):
		return decision{Outcome: Login, Reason: "session_unreadable", Err: err}, tokens
	case errors.Is(err, session.ErrLaterFormat):
		return decision{Outcome: Unavailable, Reason: "later_format", Err: err}, tokens
	case err != nil:
		return decision{Outcome: Unavailable, Reason: "store", Err: err}, tokens
	}
	known, _ := recalled.Derived.(*identity)
	return decision{Outcome: Allow, Reason: "session", Session: &recalled.Session, token: token, stale: recalled.Stale, known: known}, tokens
}

// renew has the session's tokens renewed when they are due, and waits for it only when they have expired. The provider's trouble
// changes no verdict: the session's claims count until its own end. Only a session that the provider has ended is over.
func (s *Service) renew(ctx context.Context, site *site, d decision, tokens session.Tokens, wait time.Duration) (decision, session.Tokens) {
	if !site.renewer.Pending(*d.Session) {
		return d, tokens
	}
	renewed, tokens, err := site.renewer.Renew(ctx, d.token, *d.Session, tokens, wait)
	if err != nil {
		return decision{Outcome: Login, Reason: "session_revoked"}, session.Tokens{}
	}
	if renewed.Version != d.Session.Version {
		d.known = nil // that was of the former
	}
	d.Session = &renewed
	return d, tokens
}

// logDecision writes one line for every verdict that is not a plain allow. It names nobody: who it was can
// be found by the request's name in the application's own log.
func (s *Service) logDecision(r *http.Request, d decision, unknown error) {
	if d.Outcome == Allow {
		return
	}
	event := s.log.Info()
	if d.Outcome == Unavailable {
		event = s.log.Error()
	}
	info := infoOf(r)
	event.Err(d.Err).Str("request_id", info.id).Str("endpoint", info.endpoint).Stringer("outcome", d.Outcome).Str("reason", d.Reason)
	if unknown != nil {
		event.AnErr("asked", unknown)
	}
	event.Msg("decision")
}
