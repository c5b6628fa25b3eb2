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
		q := d.question(r, s.sites.Load())
		verdict := s.verdict(r, q.site, q)
		s.answer(w, r, d, q.site, verdict, q.asked)

		s.metrics.decisions.WithLabelValues(verdict.Outcome.String(), verdict.Reason).Inc()
		s.metrics.decisionSeconds.WithLabelValues(verdict.Outcome.String()).Observe(time.Since(start).Seconds())
		s.logDecision(r, verdict, q.unknown)
	}
}

var errUntrustedPeer = errors.New("the asked request is unknown: the peer is not in trusted_proxies")

// verdict says whether the request's browser may pass. It knows no gateway.
func (s *Service) verdict(r *http.Request, site *site, q question) decision {
	if q.nowhere {
		return s.refuseNowhere(r, site)
	}
	m, n := site.rules.match(q.asked, q.unknown == nil), parseNarrowing(q.query)
	s.logMatch(r, m)
	if m.isPublic() {
		if d := decide(m, nil, n, s.store.Now()); d.Outcome == Allow {
			return site.withoutIdentity(d) // whoever it is: neither cookie nor store are asked
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), verdictTime)
	defer cancel()
	d, tokens := s.identify(ctx, site, r)
	stale, bearer := d.stale, d.bearer
	if d.Outcome == Allow && !stale && !bearer { // the store would not answer, or has nothing of theirs
		switch err := site.sessions.Touch(ctx, *d.Session); {
		case errors.Is(err, session.ErrNotFound):
			d, tokens = decision{Outcome: Login, Reason: "session_not_found", Err: err}, session.Tokens{}
		case err != nil:
			s.metrics.touchFailures.Inc() // the session is as valid as before
		}
		if d.Outcome == Allow {
			d, tokens = s.renew(r.Context(), site, d, tokens, q.refreshWait)
		}
	}
	known := d.known
	switch d.Outcome {
	case Allow:
		d = decide(m, d.Session, n, s.store.Now())
		d.bearer = bearer
	case Login:
		// Where everyone may pass that is no reason to refuse. A store that does not answer is: nobody can tell whether they are signed in, and an
		// application would take them for signed out.
		if everyone := decide(m, nil, n, s.store.Now()); everyone.Outcome == Allow {
			return site.withoutIdentity(everyone)
		}
	}
	if d.Outcome != Allow {
		return d
	}
	switch {
	case stale:
		d.Reason = "session_stale"
	case bearer:
		d.Reason = "bearer"
	}
	if known == nil {
		known = site.identityOf(d.Session, tokens)
	}
	if d.Identity, d.Err = s.tell(site, d.Session, known, q.asked); d.Err != nil {
		return decision{Outcome: Unavailable, Reason: "assertion", Err: d.Err}
	}
	return d
}

// withoutIdentity gives every identity header the empty value, so that a copy that the client forged is overwritten.
func (site *site) withoutIdentity(d decision) decision {
	d.Identity = make([]string, len(site.identities.headers))
	return d
}

// refuseNowhere is the verdict where nobody can tell which site is asked for: whoever is signed in at the main one may not pass, and whoever is not
// may sign in there.
func (s *Service) refuseNowhere(r *http.Request, main *site) decision {
	ctx, cancel := context.WithTimeout(r.Context(), verdictTime)
	defer cancel()
	d, _ := s.identify(ctx, main, r)
	if d.Outcome == Allow {
		return decision{Outcome: Deny, Reason: "request_unknown", Session: d.Session}
	}
	return d
}

// identify is the one place where a credential becomes a session: Allow when there is a live one, else why not. A cookie is judged first, and
// only one that stands for nobody leaves the matter to a bearer token.
func (s *Service) identify(ctx context.Context, site *site, r *http.Request) (decision, session.Tokens) {
	d, tokens := s.identifyBrowser(ctx, site, r)
	if d.Outcome != Login || d.Reason == reasonDoubled {
		return d, tokens
	}
	if byBearer, tokens, has := site.bearers.identify(ctx, r.Header); has {
		return byBearer, tokens
	}
	return d, tokens
}

// reasonDoubled is that of two valid cookies: nobody can say whose request it is.
const reasonDoubled = "cookie_doubled"

// identifyBrowser is identify for what only a browser does: signing in, and looking after its sessions.
func (s *Service) identifyBrowser(ctx context.Context, site *site, r *http.Request) (decision, session.Tokens) {
	token, err := site.sessionCookie.read(site.keyring, site.name, r)
	switch {
	case errors.Is(err, errNoCookie):
		return decision{Outcome: Login, Reason: "no_cookie"}, session.Tokens{}
	case errors.Is(err, errCookieDoubled):
		return decision{Outcome: Login, Reason: reasonDoubled}, session.Tokens{}
	case errors.Is(err, session.ErrLaterFormat):
		return decision{Outcome: Unavailable, Reason: "later_format", Err: err}, session.Tokens{}
	case err != nil:
		return decision{Outcome: Login, Reason: "cookie_invalid"}, session.Tokens{}
	}
	recalled, err := site.sessions.Recall(ctx, token, len(site.identities.tokens) > 0)
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
	if site.providerOf(recalled.Session.Issuer) == nil { // nobody vouches for it any more; another replica may know better, so the record stays
		return decision{Outcome: Login, Reason: "session_provider"}, session.Tokens{}
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

// logDecision writes one line for every verdict, at debug alone for a plain allow. It names nobody: who it was can
// be found by the request's name in the application's own log.
func (s *Service) logDecision(r *http.Request, d decision, unknown error) {
	event := s.log.Info()
	switch d.Outcome {
	case Allow:
		if event = s.log.Debug(); !event.Enabled() {
			return
		}
	case Unavailable:
		event = s.log.Error()
	}
	info := infoOf(r)
	event.Err(d.Err).Str("request_id", info.id).Str("endpoint", info.endpoint).Stringer("outcome", d.Outcome).Str("reason", d.Reason)
	if d.Rule != "" {
		event.Str("rule", d.Rule)
	}
	if unknown != nil {
		event.AnErr("asked", unknown)
	}
	event.Msg("decision")
}

// logMatch tells, at debug, which rule speaks for a request and by which key each rule before it does not. It tells nothing of who asks.
func (s *Service) logMatch(r *http.Request, m match) {
	event := s.log.Debug()
	if !event.Enabled() {
		return
	}
	event.Str("request_id", infoOf(r).id)
	if m.rule != nil {
		event.Str("rule", m.rule.name)
	} else {
		event.Str("refused", m.refused)
	}
	event.Strs("passed_over", m.passedOver()).Msg("rule")
}
