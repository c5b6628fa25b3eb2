package authsvc

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/rs/zerolog"

	"authsvc/session"
)

// verdictTime bounds all store operations of one verdict together. With the store's own timeout beneath it, an answer
// comes within 150 ms whatever the store does: Envoy gives a check 200 ms. It is no deadline: a verdict that waits for a CPU has not been
// waiting for the store.
const verdictTime = 135 * time.Millisecond

// budget is the time that all store operations of one verdict have together. Its context is made for the first of them: most verdicts need
// none.
type budget struct {
	parent, ctx context.Context
}

// context is the one that all of them share.
func (b *budget) context() context.Context {
	if b.ctx == nil {
		b.ctx = session.WithStoreTime(b.parent, verdictTime)
	}
	return b.ctx
}

// started is a moment to measure from: how long it is ago costs half of what it takes to tell the time of day, too.
var started = time.Now()

// check is the endpoint at which the gateways of one dialect ask about every request.
func (s *Service) check(d dialect) func(http.ResponseWriter, *http.Request, requestInfo) {
	return func(w http.ResponseWriter, r *http.Request, info requestInfo) {
		start := time.Since(started)
		q := d.question(r, info, s.sites.Load())
		verdict := s.verdict(r, info, q)
		s.answer(w, r, info, d, q.site, verdict, q.asked)

		s.metrics.decisions.count(verdict.Outcome, verdict.Reason, time.Since(started)-start)
		s.logDecision(info, verdict, q.unknown)
	}
}

var errUntrustedPeer = errors.New("the asked request is unknown: the peer is not in trusted_proxies")

// verdict says whether the request's browser may pass. It knows no gateway.
func (s *Service) verdict(r *http.Request, info requestInfo, q question) decision {
	site, within := q.site, budget{parent: r.Context()}
	if q.nowhere {
		return s.refuseNowhere(r, &within, site)
	}
	m, n := site.rules.match(q.asked, q.unknown == nil), parseNarrowing(q.query)
	s.logMatch(info, m)
	if m.isPublic() {
		if d := decide(m, nil, n, s.store.Now()); d.Outcome == Allow {
			return site.withoutIdentity(d) // whoever it is: neither cookie nor store are asked
		}
	}
	d, tokens := s.identify(&within, site, r)
	stale, bearer := d.stale, d.bearer
	if d.Outcome == Allow && !stale && !bearer { // the store would not answer, or has nothing of theirs
		d, tokens = s.lookAfter(r.Context(), &within, site, d, tokens, q.refreshWait)
	}
	now := d.now
	if now.IsZero() {
		now = s.store.Now()
	}
	known := d.known
	switch d.Outcome {
	case Allow:
		d = m.decide(viewer{asker: d.asker, known: known, now: now}, n)
		d.bearer = bearer
	case Login:
		// Where everyone may pass that is no reason to refuse. A store that does not answer is: nobody can tell whether they are signed in, and an
		// application would take them for signed out.
		if everyone := decide(m, nil, n, now); everyone.Outcome == Allow {
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
		known = site.identityOf(d.open(), tokens)
	}
	if d.Identity, d.Err = s.tell(site, &d.asker, known, tokens, q.asked, now); d.Err != nil {
		return decision{Outcome: Unavailable, Reason: "assertion", Err: d.Err}
	}
	return d
}

// withoutIdentity gives every identity header the empty value, so that a copy that the client forged is overwritten.
func (site *site) withoutIdentity(d decision) decision {
	d.Identity = site.identities.nobody
	return d
}

// refuseNowhere is the verdict where nobody can tell which site is asked for: whoever is signed in at the main one may not pass, and whoever is not
// may sign in there.
func (s *Service) refuseNowhere(r *http.Request, within *budget, main *site) decision {
	d, _ := s.identify(within, main, r)
	if d.Outcome == Allow {
		return decision{Outcome: Deny, Reason: "request_unknown", asker: d.asker}
	}
	return d
}

// identify is the one place where a credential becomes a session: Allow when there is a live one, else why not. A cookie is judged first, and
// only one that stands for nobody leaves the matter to a bearer token.
func (s *Service) identify(within *budget, site *site, r *http.Request) (decision, session.Tokens) {
	d, tokens := s.identifyBrowser(within, site, r)
	if d.Outcome != Login || d.Reason == reasonDoubled || site.bearers == nil {
		return d, tokens
	}
	if byBearer, tokens, has := site.bearers.identify(within.context(), r.Header); has {
		return byBearer, tokens
	}
	return d, tokens
}

// reasonDoubled is that of two valid cookies: nobody can say whose request it is.
const reasonDoubled = "cookie_doubled"

// identifyBrowser is identify for what only a browser does: signing in, and looking after its sessions.
func (s *Service) identifyBrowser(within *budget, site *site, r *http.Request) (decision, session.Tokens) {
	var token session.Token
	var recalled session.Recalled
	withTokens := len(site.identities.tokens) > 0
	text, remembered := site.sessionCookie.only(r)
	if remembered {
		token, recalled, remembered = site.sessions.Remembered(text, withTokens)
	}
	if !remembered {
		var err error
		if token, err = site.sessionCookie.read(site.keyring, site.name, r); err != nil {
			return withoutToken(err), session.Tokens{}
		}
		if recalled, err = site.sessions.Recall(within.context(), token, withTokens); err != nil {
			return withoutSession(err), session.Tokens{}
		}
	}
	if site.providerOf(recalled.Issuer()) == nil { // nobody vouches for it any more; another replica may know better, so the record stays
		return decision{Outcome: Login, Reason: "session_provider"}, session.Tokens{}
	}
	known, _ := recalled.Derived.(*identity)
	return decision{
		Outcome: Allow, Reason: "session", asker: asker{packed: recalled.Packed}, token: token, stale: recalled.Stale, known: known, now: recalled.Now,
	}, recalled.Tokens
}

// withoutToken is the decision about a request of whose cookies none is a token, for this reason.
func withoutToken(err error) decision {
	switch {
	case errors.Is(err, errNoCookie):
		return decision{Outcome: Login, Reason: "no_cookie"}
	case errors.Is(err, errCookieDoubled):
		return decision{Outcome: Login, Reason: reasonDoubled}
	case errors.Is(err, session.ErrLaterFormat):
		return decision{Outcome: Unavailable, Reason: "later_format", Err: err}
	}
	return decision{Outcome: Login, Reason: "cookie_invalid"}
}

// withoutSession is the decision about a token that opened no session, for this reason.
func withoutSession(err error) decision {
	switch {
	case errors.Is(err, session.ErrNotFound):
		return decision{Outcome: Login, Reason: "session_not_found"}
	case errors.Is(err, session.ErrCorrupt):
		return decision{Outcome: Login, Reason: "session_unreadable", Err: err}
	case errors.Is(err, session.ErrLaterFormat):
		return decision{Outcome: Unavailable, Reason: "later_format", Err: err}
	}
	return decision{Outcome: Unavailable, Reason: "store", Err: err}
}

// lookAfter notes that a session is used, and has its tokens renewed when they are due, which it waits for only when they have expired. The provider's trouble
// changes no verdict: the session's claims count until its own end. Only a session that the provider has ended is over, or one that has just been found gone.
func (s *Service) lookAfter(ctx context.Context, within *budget, site *site, d decision, tokens session.Tokens, wait time.Duration) (decision, session.Tokens) {
	if site.sessions.TouchDue(d.packed, d.now) {
		switch err := site.sessions.Touch(within.context(), *d.open()); {
		case errors.Is(err, session.ErrNotFound):
			return decision{Outcome: Login, Reason: "session_not_found", Err: err}, session.Tokens{}
		case err != nil:
			s.metrics.touchFailures.Inc() // the session is as valid as before
		}
		d.now = s.store.Now()
	}
	if !site.renewer.Pending(d.packed, d.now) {
		return d, tokens
	}
	renewed, tokens, err := site.renewer.Renew(ctx, d.token, *d.open(), tokens, wait)
	if err != nil {
		return decision{Outcome: Login, Reason: "session_revoked"}, session.Tokens{}
	}
	if renewed.Version != d.version() {
		d.known = nil // that was of the former
	}
	d.asker, d.now = asker{session: &renewed}, s.store.Now()
	return d, tokens
}

// logDecision writes one line for every verdict, at debug alone for a plain allow. It names nobody: who it was can
// be found by the request's name in the application's own log.
func (s *Service) logDecision(info requestInfo, d decision, unknown error) {
	level := zerolog.InfoLevel
	switch d.Outcome {
	case Allow:
		level = zerolog.DebugLevel
	case Unavailable:
		level = zerolog.ErrorLevel
	}
	event := s.log.WithLevel(level)
	if !event.Enabled() {
		return
	}
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
func (s *Service) logMatch(info requestInfo, m match) {
	event := s.log.Debug()
	if !event.Enabled() {
		return
	}
	event.Str("request_id", info.id)
	if m.rule != nil {
		event.Str("rule", m.rule.name)
	} else {
		event.Str("refused", m.refused)
	}
	event.Strs("passed_over", m.passedOver()).Msg("rule")
}
