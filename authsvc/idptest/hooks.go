package idptest

import (
	"net/http"
	"net/url"
	"sync"
)

// hooks are the steps that a test has replaced.
type hooks struct {
	mu            sync.RWMutex
	discovery     func(map[string]any)
	jwks          func(map[string]any)
	idToken       func(header, claims map[string]any)
	accessToken   func(header, claims map[string]any)
	signed        func(signed string, claims map[string]any) string
	tokenResponse func(map[string]any)
	callback      func(url.Values)
	userinfo      func(map[string]any)
	introspection func(map[string]any)
	intercepts    map[Endpoint]Interceptor
	conducts      map[string]Conduct // by subject
}

// Interceptor answers a request in place of an endpoint; next is the honest endpoint.
type Interceptor func(w http.ResponseWriter, r *http.Request, next http.Handler)

// EditDiscovery changes the discovery document before it is sent.
func (p *Provider) EditDiscovery(edit func(document map[string]any)) {
	set(&p.hooks, &p.hooks.discovery, edit)
}

// EditJWKS changes the published keys before they are sent: {"keys": []any of map[string]any}.
func (p *Provider) EditJWKS(edit func(document map[string]any)) { set(&p.hooks, &p.hooks.jwks, edit) }

// EditIDToken changes header and claims of every ID token before it is signed honestly, whatever its
// alg then says. Times are int64 seconds.
func (p *Provider) EditIDToken(edit func(header, claims map[string]any)) {
	set(&p.hooks, &p.hooks.idToken, edit)
}

// EditAccessToken changes header and claims of every access token before it is signed honestly.
func (p *Provider) EditAccessToken(edit func(header, claims map[string]any)) {
	set(&p.hooks, &p.hooks.accessToken, edit)
}

// ReplaceIDToken puts another text in the place of every signed ID token. See Unsigned, HMACSigned and
// the others in forge.go.
func (p *Provider) ReplaceIDToken(replace func(signed string, claims map[string]any) string) {
	set(&p.hooks, &p.hooks.signed, replace)
}

// EditTokenResponse changes every successful answer of the token endpoint.
func (p *Provider) EditTokenResponse(edit func(answer map[string]any)) {
	set(&p.hooks, &p.hooks.tokenResponse, edit)
}

// EditCallback changes the parameters (code, state, iss, error …) that go back to a relying party.
func (p *Provider) EditCallback(edit func(url.Values)) { set(&p.hooks, &p.hooks.callback, edit) }

// EditUserinfo changes every successful answer of the userinfo endpoint.
func (p *Provider) EditUserinfo(edit func(claims map[string]any)) {
	set(&p.hooks, &p.hooks.userinfo, edit)
}

// Intercept gives the endpoint's requests to the interceptor; nil gives them back. An endpoint is one of
// the constants or a path below the issuer that is none of theirs.
func (p *Provider) Intercept(endpoint Endpoint, interceptor Interceptor) {
	p.hooks.mu.Lock()
	defer p.hooks.mu.Unlock()
	if interceptor == nil {
		delete(p.hooks.intercepts, endpoint)
		return
	}
	if p.hooks.intercepts == nil {
		p.hooks.intercepts = map[Endpoint]Interceptor{}
	}
	p.hooks.intercepts[endpoint] = interceptor
}

// BeHonest takes every hook away.
func (p *Provider) BeHonest() {
	p.hooks.mu.Lock()
	defer p.hooks.mu.Unlock()
	p.hooks.discovery, p.hooks.jwks, p.hooks.idToken, p.hooks.signed = nil, nil, nil, nil
	p.hooks.accessToken, p.hooks.tokenResponse, p.hooks.callback, p.hooks.userinfo, p.hooks.introspection, p.hooks.intercepts = nil, nil, nil, nil, nil, nil
	p.hooks.conducts = nil
}

// interceptFor is the interceptor of a request: that of the person whom it is about, or else that of everybody.
func (h *hooks) interceptFor(endpoint Endpoint, subject string) Interceptor {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if intercept := h.conducts[subject].Answers[endpoint]; intercept != nil {
		return intercept
	}
	return h.intercepts[endpoint]
}

func set[F any](h *hooks, slot *F, hook F) {
	h.mu.Lock()
	defer h.mu.Unlock()
	*slot = hook
}

// edit calls the hook in slot with value, outside the lock, so that a hook may set hooks.
func edit[V map[string]any | url.Values](h *hooks, slot *func(V), value V) {
	h.mu.RLock()
	hook := *slot
	h.mu.RUnlock()
	if hook != nil {
		hook(value)
	}
}
