package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// serveToken is the token endpoint (RFC 6749 sections 4.1.3, 4.4 and 6).
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	form, client, refusal := p.clientRequest(r)
	if refusal != nil {
		p.refuseClient(w, r, refusal)
		return
	}
	if form.Get("grant_type") == "client_credentials" {
		answer, refusal := p.clientCredentials(client)
		if refusal != nil {
			p.refuseClient(w, r, refusal)
			return
		}
		writeJSON(w, http.StatusOK, answer)
		return
	}
	var issue issue
	switch form.Get("grant_type") {
	case "authorization_code":
		issue, refusal = p.exchangeCode(form, client)
	case "refresh_token":
		issue, refusal = p.refresh(form, client)
	case "":
		refusal = refuse("invalid_request", "grant_type is missing")
	default:
		refusal = refuse("unsupported_grant_type", "grant_type must be authorization_code, refresh_token or client_credentials")
	}
	if refusal != nil {
		p.refuseClient(w, r, refusal)
		return
	}
	answer := p.issueTokens(issue)
	edit(&p.hooks, &p.hooks.tokenResponse, answer)
	if change := p.hooks.conduct(issue.person.Subject).TokenResponse; change != nil {
		change(answer)
	}
	w.Header().Set("Pragma", "no-cache")
	writeJSON(w, http.StatusOK, answer)
}

// issue is a decision to issue tokens: what was granted, as it was in that moment.
type issue struct {
	family       *grant
	grant        grant // a copy of family
	person       Person
	scopes       []string
	nonce        string
	refreshToken string // new; "" for none
	noIDToken    bool
	now          time.Time
}

// exchangeCode gives what a code stands for, once. A code that its own client sends with a wrong
// redirect_uri or verifier is spent too.
func (p *Provider) exchangeCode(form url.Values, client *Client) (issue, *oauthError) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	now := p.options.Now()
	c := p.state.codes[form.Get("code")]
	if c == nil || c.request.client != client {
		return issue{}, refuse("invalid_grant", "no such code")
	}
	if c.used {
		if c.grant != nil {
			c.grant.revoked = true
			p.state.countsOf(c.session.subject).CodeReuses++
		}
		return issue{}, refuse("invalid_grant", "this code was used before")
	}
	c.used = true
	digest := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case now.After(c.expires):
		return issue{}, refuse("invalid_grant", "this code has expired")
	case form.Get("redirect_uri") != c.request.redirectURI:
		return issue{}, refuse("invalid_grant", "redirect_uri is not that of the request")
	case !isVerifier(form.Get("code_verifier")):
		return issue{}, refuse("invalid_grant", "code_verifier must have 43 to 128 unreserved characters")
	case encode(digest[:]) != c.request.challenge:
		return issue{}, refuse("invalid_grant", "code_verifier does not match")
	}
	person, known := p.state.person(c.session.subject)
	if !known {
		return issue{}, refuse("invalid_grant", "this person is gone")
	}
	c.grant = &grant{
		id:       rand.Text(),
		client:   client,
		subject:  c.session.subject,
		sid:      c.session.sid,
		scopes:   c.request.scopes,
		nonce:    c.request.nonce,
		authTime: c.session.authTime,
		acr:      c.session.acr,
	}
	c.grant.refreshes = p.options.Shape.refreshes(p.options.RefreshTokens, c.request)
	p.state.grants[c.grant.id] = c.grant
	p.state.countsOf(person.Subject).Logins++
	granted := issue{family: c.grant, person: person, scopes: c.grant.scopes, nonce: c.grant.nonce, now: now}
	if c.grant.refreshes {
		p.renewRefreshToken(c.grant, now)
		granted.refreshToken = p.state.refreshToken(c.grant)
	}
	granted.grant = *c.grant
	return granted, nil
}

// refresh gives new tokens for the one good refresh token of a grant; an older one ends the grant (RFC 9700
// section 4.14.2).
func (p *Provider) refresh(form url.Values, client *Client) (issue, *oauthError) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	now := p.options.Now()
	g, generation := p.state.openRefreshToken(form.Get("refresh_token"))
	if g == nil || g.client != client || !g.refreshes {
		return issue{}, refuse("invalid_grant", "no such refresh token")
	}
	if generation != g.generation {
		g.revoked = true
		p.state.countsOf(g.subject).RefreshReuses++
		return issue{}, refuse(p.options.Shape.reuse(), "this refresh token was used before")
	}
	if g.revoked || !g.expires.IsZero() && now.After(g.expires) {
		return issue{}, refuse(p.options.Shape.reuse(), "this grant has ended")
	}
	scopes := g.scopes
	if form.Has("scope") {
		scopes = strings.Fields(form.Get("scope"))
		for _, scope := range scopes {
			if !slices.Contains(g.scopes, scope) {
				return issue{}, refuse("invalid_scope", "a refresh cannot widen the scope")
			}
		}
	}
	person, known := p.state.person(g.subject)
	if !known {
		return issue{}, refuse("invalid_grant", "this person is gone")
	}
	p.state.countsOf(g.subject).Refreshes++
	granted := issue{family: g, person: person, scopes: scopes, now: now, noIDToken: p.options.Shape.NoIDTokenOnRefresh}
	if !p.options.NoRotation {
		g.generation++
		p.renewRefreshToken(g, now)
		granted.refreshToken = p.state.refreshToken(g)
	}
	granted.grant = *g
	return granted, nil
}

func (p *Provider) renewRefreshToken(g *grant, now time.Time) {
	if p.options.RefreshTokenLife > 0 {
		g.expires = now.Add(p.options.RefreshTokenLife)
	}
}

func isVerifier(text string) bool {
	return len(text) >= 43 && len(text) <= 128 &&
		strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") == ""
}

// clientRequest reads the form of a request that a client makes, and authenticates it.
func (p *Provider) clientRequest(r *http.Request) (url.Values, *Client, *oauthError) {
	form, err := parameters(r)
	if err != nil {
		return nil, nil, refuse("invalid_request", "the body must be a readable application/x-www-form-urlencoded")
	}
	if name := twice(form); name != "" {
		return nil, nil, refuse("invalid_request", "%s comes twice", name)
	}
	if r.URL.RawQuery != "" {
		return nil, nil, refuse("invalid_request", "parameters belong into the body")
	}
	client, refusal := p.authenticate(r, form)
	return form, client, refusal
}

// refuseClient answers a client's request with an error (RFC 6749 section 5.2).
func (p *Provider) refuseClient(w http.ResponseWriter, r *http.Request, e *oauthError) {
	status := http.StatusBadRequest
	if e.code == "invalid_client" {
		status = http.StatusUnauthorized
		if r.Header.Get("Authorization") != "" {
			w.Header().Set("WWW-Authenticate", `Basic realm="idptest"`)
		}
	}
	writeJSON(w, status, map[string]any{"error": e.code, "error_description": e.description})
}
