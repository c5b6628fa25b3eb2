package authsvc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"authsvc/authsvc/pages"
	"authsvc/session"
)

const (
	// callbackTime bounds the work of one callback, which goes on when the browser hangs up. What the provider may take of it
	// leaves time to store the session.
	callbackTime         = 10 * time.Second
	callbackProviderTime = 9 * time.Second
	// maxCallbackBody bounds a form_post answer, in bytes.
	maxCallbackBody = 64 << 10
)

// authorizationResponse is what the provider sends the browser back with (RFC 6749, section 4.1.2; RFC 9207).
type authorizationResponse struct {
	state, code, issuer, failure string
}

// errParameters says that a parameter of the response is doubled, or that the response cannot be read.
var errParameters = errors.New("a parameter is doubled or unreadable")

// readAuthorizationResponse reads the query, or the form where that is the response mode. A parameter that occurs twice
// is refused: two readers could take different ones (RFC 6749, section 3.1).
func readAuthorizationResponse(w http.ResponseWriter, r *http.Request, formPost bool) (authorizationResponse, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if formPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxCallbackBody)
		if err = r.ParseForm(); err == nil {
			values = r.PostForm
		}
	}
	if err != nil {
		return authorizationResponse{}, errParameters
	}
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(values[name]) > 1 {
			return authorizationResponse{}, fmt.Errorf("%w: %s", errParameters, name)
		}
	}
	return authorizationResponse{values.Get("state"), values.Get("code"), values.Get("iss"), values.Get("error")}, nil
}

// callback ends a login. What can fail cheaply comes first; the code is spent only when nothing else speaks
// against the login.
func (s *Service) callback(w http.ResponseWriter, r *http.Request) error {
	provider := infoOf(r).site.calledBack(r)
	if provider == nil {
		return s.notFound(w, r)
	}
	if r.Method != provider.method() {
		return s.refuseMethod(w, r, provider.method())
	}
	result, err := s.finishLogin(w, r, provider)
	if refusal, ok := errors.AsType[*pageError](err); ok {
		result = refusal.Reason
	} else if err != nil {
		result = "internal"
	}
	s.metrics.logins.WithLabelValues(result).Inc()
	return err
}

// How a login ends well, for the metrics; the reason of its refusal otherwise.
const (
	loginOK        = "ok"
	loginJoined    = "joined"            // the result of another request of the same browser
	loginDone      = "already_signed_in" // by a parallel tab
	loginRestarted = "restarted"
)

func (s *Service) finishLogin(w http.ResponseWriter, r *http.Request, provider *provider) (result string, err error) {
	site := infoOf(r).site
	badRequest := func(reason string, err error) (string, error) {
		return "", &pageError{http.StatusBadRequest, pages.Page{Kind: pages.BadRequest, Action: site.startURL("")}, reason, err}
	}
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		return badRequest("prefetch", nil) // a guess of the browser must not spend the code
	}
	response, err := readAuthorizationResponse(w, r, provider.formPost)
	if err != nil {
		return badRequest("parameters", err)
	}
	a, err := openAttempt(site.keyring, site.name, response.state)
	if errors.Is(err, session.ErrLaterFormat) {
		return "", laterFormat(err, site.startURL(""))
	}
	if err != nil || a.Browser.IsZero() {
		return badRequest("state", err)
	}
	if a.Provider != provider.name {
		return badRequest("other_provider", nil) // a code is for who gave it alone
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), callbackTime)
	defer cancel()
	logins, err := site.loginCookie.readAll(site.keyring, site.name, r)
	if missing := errors.Is(err, errNoCookie) || errors.Is(err, session.ErrTokenInvalid); missing || !s.store.Now().Before(a.Expires) {
		return s.finishLate(ctx, w, r, site, a, missing)
	}
	if errors.Is(err, session.ErrLaterFormat) {
		return "", laterFormat(err, site.startURL(a.ReturnTo))
	}
	// The one that the attempt is bound to counts: a second one, planted by a sibling host, keeps nobody out.
	bound := slices.IndexFunc(logins, func(login session.Token) bool { return login.ID() == a.Browser })
	if bound < 0 {
		return "", s.refuseOtherBrowser(ctx, w, r, site, a)
	}
	login := logins[bound]
	switch crossed, err := s.isOnAnotherStore(ctx, site, a); {
	case err != nil:
		return "", storeError(err, site.startURL(a.ReturnTo))
	case crossed && s.meet(a.Began):
		return loginRestarted, s.restart(w, site, a, "") // at a replica that stays
	}

	meta, err := provider.ready()
	if err != nil {
		return "", providerError(err, site.startURL(a.ReturnTo))
	}
	if err := site.checkResponse(provider, meta, response, a); err != nil {
		return "", err
	}
	// The session that the attempt began with is to be replaced, whatever it is; another live one means that a parallel
	// tab was faster.
	if shown, err := site.sessionCookie.read(site.keyring, site.name, r); err == nil && shown.ID() != a.Former {
		live, err := s.liveSession(ctx, site, r)
		if err != nil {
			return "", storeError(err, site.startURL(a.ReturnTo))
		}
		if live != nil {
			return loginDone, s.finish(w, site, a.ReturnTo)
		}
	}

	claim := newCodeClaim(s.store, site, login, a.state, response.code)
	switch err := claim.take(ctx); {
	case errors.Is(err, errClaimed):
		return s.joinLogin(ctx, w, r, site, a, claim)
	case errors.Is(err, errCodesUsed):
		return s.finishLate(ctx, w, r, site, a, false)
	case err != nil:
		return "", storeError(err, site.startURL(a.ReturnTo)) // the code is unspent
	}
	token, err := s.redeem(ctx, r, site, provider, meta, login, a, response.code)
	if err != nil {
		claim.abandon(ctx)
		if errors.Is(err, errDemand) {
			return loginRestarted, s.stepUpFailed(w, site, a, err)
		}
		return "", err
	}
	claim.publish(ctx, token)
	site.sessionCookie.set(w, r, token)
	s.log.Info().Str("request_id", infoOf(r).id).Msg("signed in")
	return loginOK, s.finish(w, site, a.ReturnTo)
}

// checkResponse checks what the provider sent the browser back with, before any code is sent anywhere. The issuer comes first: a
// response of another provider, even an error, means nothing here (RFC 9207, section 2.4; RFC 9700, section 4.4).
func (site *site) checkResponse(provider *provider, meta *metadata, response authorizationResponse, a attempt) error {
	again := site.startURL(a.ReturnTo)
	switch {
	case response.issuer == "" && meta.IssInResponse:
		return providerError(fmt.Errorf("%w: iss is missing from the authorization response", errProviderAnswer), again)
	case response.issuer != "" && response.issuer != provider.issuer:
		return providerError(fmt.Errorf("%w: the authorization response has another issuer", errProviderAnswer), again)
	case response.failure == "access_denied":
		return &pageError{http.StatusForbidden, pages.Page{Kind: pages.AccessDenied, Action: again}, "access_denied", nil}
	case response.failure == "temporarily_unavailable", response.failure == "server_error":
		return providerError(fmt.Errorf("%w: it answered %s", errProviderUnavailable, response.failure), again)
	case response.failure != "":
		return providerError(fmt.Errorf("%w: it answered with the error %s", errProviderAnswer, knownErrorCode(response.failure)), again)
	case response.code == "":
		return &pageError{http.StatusBadRequest, pages.Page{Kind: pages.BadRequest, Action: again}, "no_code", nil}
	}
	return nil
}

// liveSession returns the session that the browser has, or nil when it has none. An error means "cannot tell".
func (s *Service) liveSession(ctx context.Context, site *site, r *http.Request) (*session.Session, error) {
	within := &budget{parent: ctx}
	d, _ := s.identifyBrowser(within, site, r)
	if d.Outcome == Unavailable {
		return nil, d.Err
	}
	return d.open(), nil
}

// finishLate ends a callback that cannot be redeemed: the attempt has expired, is not bound to the browser any more, or
// has brought too many codes, or someone else redeems it. A browser that is signed in by now goes to its page; otherwise the login begins again.
func (s *Service) finishLate(ctx context.Context, w http.ResponseWriter, r *http.Request, site *site, a attempt, cookieMissing bool) (result string, err error) {
	live, err := s.liveSession(ctx, site, r)
	if err != nil {
		return "", storeError(err, site.startURL(a.ReturnTo))
	}
	if live != nil {
		return loginDone, s.finish(w, site, a.ReturnTo)
	}
	missing := ""
	if cookieMissing {
		missing = site.loginCookie.name
	}
	return loginRestarted, s.restart(w, site, a, missing)
}

// refuseOtherBrowser refuses a callback whose attempt is bound to another login cookie. It is an attack, or one of several tabs that a
// browser opened at once before it had the cookie: each got one, and the last overwrote the others. Nobody can tell which, so
// nothing is redeemed; but the page leads on by itself, to the destination when a tab has finished by now, or else to a login
// of this browser's own, at most as often as any login restarts.
func (s *Service) refuseOtherBrowser(ctx context.Context, w http.ResponseWriter, r *http.Request, site *site, a attempt) error {
	next, ok := s.restartURL(site, a)
	if live, err := s.liveSession(ctx, site, r); err == nil && live != nil {
		next, ok = site.destination(a.ReturnTo), true
	}
	if ok {
		w.Header().Set("Refresh", "0; url="+location(next))
	}
	return &pageError{http.StatusBadRequest, pages.Page{Kind: pages.BadRequest, Action: site.startURL(a.ReturnTo)}, "other_browser", nil}
}

// joinLogin ends a callback whose code another request of the same browser redeems, on this replica or another.
func (s *Service) joinLogin(ctx context.Context, w http.ResponseWriter, r *http.Request, site *site, a attempt, claim *codeClaim) (result string, err error) {
	if token, ok := claim.await(ctx); ok {
		_, err := site.sessions.Load(ctx, token)
		if err == nil {
			site.sessionCookie.set(w, r, token)
			return loginJoined, s.finish(w, site, a.ReturnTo)
		}
		if !isGone(err) {
			return "", storeError(err, site.startURL(a.ReturnTo))
		}
	}
	return s.finishLate(ctx, w, r, site, a, false)
}

// redeem spends the code and makes the session that replaces the browser's former one.
func (s *Service) redeem(ctx context.Context, r *http.Request, site *site, provider *provider, meta *metadata, login session.Token, a attempt, code string) (session.Token, error) {
	again := site.startURL(a.ReturnTo)
	nonce, verifier, err := attemptSecrets(site.keyring, login, a.state)
	if err != nil {
		return session.Token{}, err
	}
	providerContext, cancel := context.WithTimeout(ctx, callbackProviderTime)
	defer cancel()
	// A logout that comes while the provider works ends this login too: its mark will not be older.
	began := s.store.Now()
	id, tokens, err := provider.exchange(providerContext, meta, code, nonce, verifier)
	if err != nil {
		return session.Token{}, providerError(err, again)
	}
	claims := site.claims(providerContext, provider, meta, heard{subject: id.Subject, idToken: id.Claims, tokens: tokens}, func(err error) {
		s.log.Warn().Err(err).Str("request_id", infoOf(r).id).Msg("the login goes on without claims that may be there")
	})
	newcomer := site.newcomer(r, provider, id, claims)
	if !site.rules.couldAdmit(&newcomer) {
		return session.Token{}, &pageError{http.StatusForbidden, pages.Page{Kind: pages.NotAllowed, Action: again}, "rules", nil}
	}
	if err := cmp.Or(a.demand.check(id, s.store.Now()), checkAge(provider.authParams, id, a.Expires.Add(-attemptLife))); err != nil {
		return session.Token{}, err
	}
	token, made, err := site.sessions.Begin(ctx, newcomer, site.kept(meta, tokens))
	if errors.Is(err, session.ErrTooLarge) {
		return session.Token{}, providerError(fmt.Errorf("%w: %w", errProviderAnswer, err), again)
	}
	if err != nil {
		return session.Token{}, storeError(err, again)
	}
	ended, err := site.sessions.Ended(ctx, made, began)
	if err != nil || ended {
		if endErr := site.sessions.End(ctx, made.ID); endErr != nil || err != nil {
			return session.Token{}, storeError(errors.Join(err, endErr), again)
		}
		return session.Token{}, &pageError{http.StatusForbidden, pages.Page{Kind: pages.AccessDenied, Action: again}, "signed_out_meanwhile", nil}
	}
	token, err = s.replaceFormer(ctx, r, site, login, a, token, made)
	if err == nil && token.ID() == made.ID {
		err = site.sessions.KeepNewest(ctx, made)
	}
	if err != nil {
		site.sessions.End(context.WithoutCancel(ctx), made.ID) // nobody has its token
		return session.Token{}, storeError(err, again)
	}
	return token, nil
}

// replaceFormer ends what the new session replaces: the one that the browser had when the login began, and any that it shows beside another
// genuine one, which would make both worthless. It returns the token that the browser gets.
func (s *Service) replaceFormer(ctx context.Context, r *http.Request, site *site, login session.Token, a attempt, token session.Token, made session.Session) (session.Token, error) {
	var replaced []session.ID
	if !a.Former.IsZero() {
		replaced = append(replaced, a.Former)
	}
	if shown, err := site.sessionCookie.readAll(site.keyring, site.name, r); err == nil && len(shown) > 1 {
		for _, token := range shown {
			replaced = append(replaced, token.ID())
		}
	}
	for _, id := range replaced {
		if err := site.sessions.End(ctx, id); err != nil {
			return session.Token{}, err
		}
	}
	return s.settle(ctx, site, login, a, token, made)
}

// finish sends the browser to where its login ends.
func (s *Service) finish(w http.ResponseWriter, site *site, returnTo string) error {
	redirect(w, http.StatusFound, site.destination(returnTo))
	return nil
}

// destination is where a login ends. The address was checked when the attempt began, but perhaps under another configuration.
func (site *site) destination(returnTo string) string {
	if site.returns.check(returnTo) != nil {
		return site.returnDefault
	}
	return returnTo
}
