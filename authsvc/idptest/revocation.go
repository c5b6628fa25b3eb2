package idptest

import (
	"crypto/sha256"
	"net/http"
)

// serveRevocation revokes a token (RFC 7009): a refresh token with its whole grant. What is unknown is fine.
func (p *Provider) serveRevocation(w http.ResponseWriter, r *http.Request) {
	form, client, refusal := p.clientRequest(r)
	if refusal == nil && form.Get("token") == "" {
		refusal = refuse("invalid_request", "token is missing")
	}
	if refusal != nil {
		p.refuseClient(w, r, refusal)
		return
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	if g, _ := p.state.openRefreshToken(form.Get("token")); g != nil && g.client == client {
		g.revoked = true
	}
	if t := p.state.access[sha256.Sum256([]byte(form.Get("token")))]; t != nil && t.grant.client == client {
		t.revoked = true
	}
}
