package idptest

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// backchannelWait bounds how long a sign-out waits for the relying parties that it tells.
const backchannelWait = 5 * time.Second

// serveEndSession ends the browser's provider session (RP-Initiated Logout 1.0). With an id_token_hint of
// this session it does so at once; otherwise a page asks.
func (p *Provider) serveEndSession(w http.ResponseWriter, r *http.Request) {
	v, err := parameters(r)
	if err != nil || twice(v) != "" {
		p.errorPage(w, "This sign-out request cannot be read.")
		return
	}
	var hint map[string]any
	clientID := v.Get("client_id")
	if text := v.Get("id_token_hint"); text != "" {
		hint, err = p.keys.verify(text)
		if err != nil || hint["iss"] != p.options.Issuer {
			p.errorPage(w, "The id_token_hint is not one of ours.")
			return
		}
		audience := audienceOf(hint)
		if clientID == "" {
			clientID = audience
		} else if clientID != audience {
			p.errorPage(w, "The id_token_hint belongs to another client.")
			return
		}
	}
	back := v.Get("post_logout_redirect_uri")
	if client := p.client(clientID); back != "" && (client == nil || !slices.Contains(client.PostLogoutRedirectURIs, back)) {
		p.errorPage(w, "This post_logout_redirect_uri is not registered for the client.")
		return
	}
	sid, mine := p.sessionToEnd(r, hint)
	confirmed := v.Has("confirm") && r.Method == http.MethodPost && http.NewCrossOriginProtection().Check(r) == nil
	if !mine && !confirmed {
		p.signOutPage(w, v)
		return
	}
	p.endSession(r.Context(), sid)
	http.SetCookie(w, &http.Cookie{Name: p.cookieName(), Path: p.prefix + "/", MaxAge: -1, HttpOnly: true})
	if back == "" {
		writePage(w, http.StatusOK, "message", "", map[string]any{"Title": "Signed out", "Text": "The provider has signed you out."})
		return
	}
	target, err := url.Parse(back)
	if err != nil {
		p.errorPage(w, "The registered post_logout_redirect_uri cannot be read.")
		return
	}
	if v.Has("state") {
		query := target.Query()
		query.Set("state", v.Get("state"))
		target.RawQuery = query.Encode()
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, target.String(), http.StatusSeeOther)
}

// sessionToEnd is the browser's session, or the hint's where the browser has none; mine tells that the hint
// vouches for it: by its sid, or by its sub where the provider's ID tokens have no sid.
func (p *Provider) sessionToEnd(r *http.Request, hint map[string]any) (sid string, mine bool) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	hinted, hasSID := hint["sid"].(string)
	if s := p.browserSession(r); s != nil {
		return s.sid, hasSID && hinted == s.sid || !hasSID && hint["sub"] == s.subject
	}
	return hinted, hint != nil
}

func audienceOf(claims map[string]any) string {
	switch audience := claims["aud"].(type) {
	case string:
		return audience
	case []any:
		if len(audience) > 0 {
			first, _ := audience[0].(string)
			return first
		}
	}
	return ""
}

// endSession ends a provider session and its grants, apart from those with offline_access, and tells every
// client that took part and wants to know.
func (p *Provider) endSession(ctx context.Context, sid string) {
	subject, clients := p.forgetSession(sid)
	ctx, cancel := context.WithTimeout(ctx, backchannelWait)
	defer cancel()
	var told sync.WaitGroup
	for id := range clients {
		if client := p.client(id); client != nil && client.BackchannelLogoutURI != "" {
			told.Go(func() {
				// Best effort, as Back-Channel Logout 1.0 section 2.5 has it: sign-out goes on without.
				p.SendBackchannelLogout(ctx, id, subject, sid, nil)
			})
		}
	}
	told.Wait()
}

func (p *Provider) forgetSession(sid string) (subject string, clients map[string]bool) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	for cookie, s := range p.state.sessions {
		if s.sid == sid {
			subject, clients = s.subject, s.clients
			delete(p.state.sessions, cookie)
		}
	}
	for _, g := range p.state.grants {
		if g.sid == sid && !slices.Contains(g.scopes, "offline_access") {
			g.revoked = true
		}
	}
	return subject, clients
}
