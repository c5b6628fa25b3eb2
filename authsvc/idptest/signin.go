package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
)

// cookieName is one name per issuer: cookies know no ports, and tests run several providers on one host.
func (p *Provider) cookieName() string {
	digest := sha256.Sum256([]byte(p.options.Issuer))
	return "idptest_" + hex.EncodeToString(digest[:4])
}

// browserSession is the provider session of the browser, or nil. Needs state.mu held.
func (p *Provider) browserSession(r *http.Request) *session {
	cookie, err := r.Cookie(p.cookieName())
	if err != nil {
		return nil
	}
	return p.state.sessions[cookie.Value]
}

// codeFromSession gives a code if the browser's session is enough for the request, else "".
func (p *Provider) codeFromSession(r *http.Request, a *authorization) string {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	now := p.options.Now()
	s := p.browserSession(r)
	if !a.satisfiedBy(s, now) {
		return ""
	}
	if _, known := p.state.person(s.subject); !known {
		return ""
	}
	return p.state.issueCode(a, s, now)
}

// serveSignIn takes a press on a button of the sign-in page, or on its Cancel, a link that changes nothing here.
func (p *Provider) serveSignIn(w http.ResponseWriter, r *http.Request) {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		p.errorPage(w, "This sign-in came from another site.")
		return
	}
	form, err := parameters(r)
	if err != nil {
		p.errorPage(w, "This sign-in cannot be read.")
		return
	}
	request, err := url.ParseQuery(form.Get("request"))
	if err != nil {
		p.errorPage(w, "This sign-in cannot be read.")
		return
	}
	a, refusal := p.parseAuthorization(request)
	switch {
	case a == nil:
		p.errorPage(w, "This authorization request is wrong: "+refusal.description+".")
	case r.Method != http.MethodPost && !form.Has("cancel"):
		p.errorPage(w, "Signing in takes a press on a button.")
	case refusal != nil:
		p.sendError(w, r, a, refusal)
	case form.Has("cancel"):
		p.sendError(w, r, a, refuse("access_denied", "the person did not want to sign in"))
	default:
		p.signInAs(w, r, a, form.Get("subject"))
	}
}

// signInAs signs the person in at this browser and sends the browser back. A session of the same person
// goes on if it is enough; one of somebody else ends.
func (p *Provider) signInAs(w http.ResponseWriter, r *http.Request, a *authorization, subject string) {
	code, cookie := p.startSession(r, a, subject)
	if code == "" {
		p.errorPage(w, "Nobody of that name can sign in here.")
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name:     p.cookieName(),
		Value:    cookie,
		Path:     p.prefix + "/",
		HttpOnly: true,
		Secure:   strings.HasPrefix(p.options.Issuer, "https:"),
		SameSite: http.SameSiteLaxMode,
	})
	p.sendCode(w, r, a, code)
}

func (p *Provider) startSession(r *http.Request, a *authorization, subject string) (code, cookie string) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	if _, known := p.state.person(subject); !known {
		return "", ""
	}
	now := p.options.Now()
	s := p.browserSession(r)
	if s != nil && s.subject != subject {
		delete(p.state.sessions, s.cookie)
		s = nil
	}
	if s == nil {
		p.state.began++
		s = &session{cookie: rand.Text(), sid: rand.Text(), began: p.state.began, subject: subject, authTime: now, acr: a.acr, clients: map[string]bool{}}
		p.state.sessions[s.cookie] = s
	} else if r.Method == http.MethodPost || !a.satisfiedBy(s, now) {
		s.authTime = now
		if a.acr != "" {
			s.acr = a.acr
		}
	}
	return p.state.issueCode(a, s, now), s.cookie
}
