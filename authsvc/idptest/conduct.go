package idptest

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
)

// Conduct is how the provider treats one person, beside what the hooks do to everybody: so that one login can be answered badly while all
// others are answered well. Each field may be nil, which is honest, and may be called by several requests at once.
type Conduct struct {
	// IDToken changes header and claims of the person's ID tokens before they are signed, as EditIDToken does.
	IDToken func(header, claims map[string]any)
	// SignedIDToken puts another text in the place of the signed ID token, as ReplaceIDToken does.
	SignedIDToken Forger
	// TokenResponse changes the answers of the token endpoint that give tokens, as EditTokenResponse does.
	TokenResponse func(answer map[string]any)
	// Userinfo changes the answers of the userinfo endpoint, as EditUserinfo does.
	Userinfo func(claims map[string]any)
	// Answers take the place of endpoints, as Intercept does: of Token, for the person's codes and refresh tokens, and of Userinfo. Other
	// endpoints do not know whom a request is about.
	Answers map[Endpoint]Interceptor
}

// Treat sets how the provider treats the person from now on; the zero value is honest.
func (p *Provider) Treat(subject string, conduct Conduct) {
	p.hooks.mu.Lock()
	defer p.hooks.mu.Unlock()
	if p.hooks.conducts == nil {
		p.hooks.conducts = map[string]Conduct{}
	}
	p.hooks.conducts[subject] = conduct
}

func (h *hooks) conduct(subject string) Conduct {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.conducts[subject]
}

// subjectOf is whom a request of a relying party is about, by the code or token that it brings; "" where nobody can tell.
func (p *Provider) subjectOf(endpoint Endpoint, r *http.Request, body []byte) string {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	switch endpoint {
	case Token:
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return ""
		}
		if code := p.state.codes[form.Get("code")]; code != nil {
			return code.session.subject
		}
		if grant, _ := p.state.openRefreshToken(form.Get("refresh_token")); grant != nil {
			return grant.subject
		}
	case Userinfo:
		_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if found := p.state.access[sha256.Sum256([]byte(token))]; found != nil && found.grant != nil {
			return found.grant.subject
		}
	}
	return ""
}
