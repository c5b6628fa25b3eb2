package authsvc

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"authsvc/authsvc/pages"
	"authsvc/session"
)

// start begins a login: it binds an attempt to the browser by the login cookie and sends the browser to the provider. It
// asks nothing of the store, so that anyone may knock as often as they like, nor of the provider, unless requests are pushed.
func (s *Service) start(w http.ResponseWriter, r *http.Request) error {
	site := infoOf(r).site
	returnTo, err := s.returnAddress(r, site)
	if err != nil {
		return &pageError{http.StatusBadRequest, pages.Page{Kind: pages.BadReturnAddress, Action: site.startURL("")}, "return_address", err}
	}
	before := s.restarted(r, site)
	provider := site.chosenProvider(r, before)
	if provider == nil {
		return s.chooseProvider(w, r, site, returnTo, before.state)
	}
	meta, err := provider.ready()
	if err != nil {
		return providerError(err, site.startURL(returnTo))
	}
	token, tokenErr := site.sessionCookie.read(site.keyring, site.name, r)
	// A login that begins again may have met a replica that has no longer the key by which it was bound: it gets a binding that all can read.
	readable := func(t session.Token) bool { return before.Restarts == 0 || site.keyring.Signed(t) }
	var login session.Token
	logins, err := site.loginCookie.readAll(site.keyring, site.name, r)
	switch {
	case errors.Is(err, session.ErrLaterFormat):
		return laterFormat(err, site.startURL(returnTo))
	case err == nil && readable(logins[0]):
		login = logins[0]
	case err != nil && tokenErr == nil && readable(token):
		// Tabs that are restored at once after the login cookie has expired all get the same one.
		login = site.keyring.DeriveToken(session.PurposeLogin, site.name, token)
	default:
		login = site.keyring.NewToken(session.PurposeLogin, site.name)
	}
	a := attempt{
		Expires: s.store.Now().Add(attemptLife), ReturnTo: returnTo, Browser: login.ID(), Provider: provider.name, demand: before.demand, insist: before.insist,
	}
	if both, possible := before.demand.and(site.demandOf(returnTo)); possible {
		a.demand = both
	}
	if before.Restarts > 0 {
		// What the first attempt was to replace: a session that a parallel tab has made since is not.
		a.Restarts, a.Former = before.Restarts, before.Former
	} else if tokenErr == nil {
		a.Former = token.ID()
	}
	s.mark(site, &a)
	state, shortened := a.seal(site.keyring, site.name)
	if shortened {
		s.metrics.shortened.Inc()
	}
	nonce, verifier, err := attemptSecrets(site.keyring, login, state)
	if err != nil {
		return err
	}
	address, err := provider.authorizationURL(r.Context(), meta, state, nonce, verifier, a.demand.parameters(provider.authParams, a.insist))
	if err != nil {
		return providerError(err, site.startURL(returnTo))
	}
	// With its old value the cookie keeps serving the attempts that are under way in other tabs.
	site.loginCookie.set(w, r, login)
	redirect(w, http.StatusFound, address)
	return nil
}

// returnAddress is where the login shall end: the first rd, or what a trusted gateway names, or the default.
func (s *Service) returnAddress(r *http.Request, site *site) (string, error) {
	returnTo, err := firstParameter(r.URL.RawQuery, "rd")
	if err != nil {
		return "", errReturnAddress
	}
	if returnTo == "" && infoOf(r).trusted {
		returnTo = r.Header.Get("X-Auth-Request-Redirect")
	}
	if returnTo == "" {
		return site.returnDefault, nil
	}
	return returnTo, site.returns.check(returnTo)
}

// firstParameter returns the first parameter of that name. Unlike net/url it takes a semicolon for what it is: a character
// that real addresses contain.
func firstParameter(rawQuery, name string) (string, error) {
	for pair := range strings.SplitSeq(rawQuery, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return url.QueryUnescape(value)
		}
	}
	return "", nil
}

// restarted returns how often this login has begun again by itself and which session it is to replace, from what restart sealed
// into the address.
func (s *Service) restarted(r *http.Request, site *site) attempt {
	sealed, err := firstParameter(r.URL.RawQuery, "restart")
	if err != nil || sealed == "" {
		return attempt{}
	}
	a, err := openAttempt(site.keyring, site.name, sealed)
	if err != nil || !s.store.Now().Before(a.Expires) {
		return attempt{}
	}
	return a
}

// restart begins a login again that could not be finished, with the same destination. After maxRestarts it gives up with a
// page that names the cookie that did not come back, or says that the login has expired.
func (s *Service) restart(w http.ResponseWriter, site *site, a attempt, missingCookie string) error {
	address, ok := s.restartURL(site, a)
	if !ok {
		page := pages.Page{Kind: pages.StartAgain, Action: site.startURL(a.ReturnTo), Cookie: missingCookie}
		return &pageError{http.StatusBadRequest, page, "restarted_too_often", nil}
	}
	redirect(w, http.StatusFound, address)
	return nil
}

// restartURL is where a login begins again, or false when it has done so too often.
func (s *Service) restartURL(site *site, a attempt) (string, bool) {
	if a.Restarts >= maxRestarts {
		return "", false
	}
	// An attempt without a browser is good for nothing else.
	again := attempt{Expires: s.store.Now().Add(attemptLife), Restarts: a.Restarts + 1, Former: a.Former, Provider: a.Provider, demand: a.demand, insist: a.insist}
	sealed, _ := again.seal(site.keyring, site.name)
	return withRestart(site.startURL(a.ReturnTo), sealed), true
}

// redirect sends the browser on. It writes the address as it is: http.Redirect would clean its path, and
// can turn a safe text into an unsafe one.
func redirect(w http.ResponseWriter, status int, address string) {
	h := w.Header()
	h.Set("Location", location(address))
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the address of this page may hold a code
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
}
