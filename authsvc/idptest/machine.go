package idptest

import (
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// clientCredentials gives a client a token of its own (RFC 6749 section 4.4): its subject is the client, its audience what the client is
// registered for. There is no refresh token and no ID token.
func (p *Provider) clientCredentials(client *Client) (map[string]any, *oauthError) {
	if len(client.Audiences) == 0 || client.Secret == "" {
		return nil, refuse("unauthorized_client", "this client gets no tokens of its own")
	}
	now := p.options.Now()
	claims := map[string]any{
		"iss":       p.options.Issuer,
		"sub":       client.ID,
		"aud":       client.Audiences,
		"client_id": client.ID,
		"exp":       now.Add(p.options.AccessTokenLife).Unix(),
		"iat":       now.Unix(),
		"jti":       rand.Text(),
	}
	token := rand.Text()
	if !p.options.OpaqueMachineTokens {
		signer := p.keys.signing()
		token = signer.sign(mustJSON(signer.header("at+jwt")), mustJSON(claims))
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	p.state.sweep(now)
	p.state.access[sha256.Sum256([]byte(token))] = &accessToken{
		grant: &grant{id: rand.Text(), client: client, subject: client.ID}, expires: now.Add(p.options.AccessTokenLife), claims: claims,
	}
	return map[string]any{"token_type": "Bearer", "access_token": token, "expires_in": int64(p.options.AccessTokenLife.Seconds())}, nil
}

// serveIntrospection tells a client with a secret what an access token stands for (RFC 7662). What is unknown, revoked or over is not active.
func (p *Provider) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	form, client, refusal := p.clientRequest(r)
	switch {
	case refusal != nil:
	case client.Secret == "":
		refusal = refuse("invalid_client", "a public client learns nothing about tokens")
	case form.Get("token") == "":
		refusal = refuse("invalid_request", "token is missing")
	}
	if refusal != nil {
		p.refuseClient(w, r, refusal)
		return
	}
	answer := map[string]any{"active": false}
	p.state.mu.Lock()
	t := p.state.access[sha256.Sum256([]byte(form.Get("token")))]
	if t != nil && !t.revoked && !t.grant.revoked && !p.options.Now().After(t.expires) {
		answer = map[string]any{
			"active": true, "token_type": "Bearer", "iss": p.options.Issuer, "sub": t.grant.subject, "aud": t.grant.client.ID,
			"client_id": t.grant.client.ID, "exp": t.expires.Unix(), "scope": strings.Join(t.scopes, " "),
		}
		maps.Copy(answer, t.claims)
	}
	p.state.mu.Unlock()
	edit(&p.hooks, &p.hooks.introspection, answer)
	writeJSON(w, http.StatusOK, answer)
}

// EditIntrospection changes every answer of the introspection endpoint to a client that authenticates.
func (p *Provider) EditIntrospection(edit func(answer map[string]any)) {
	set(&p.hooks, &p.hooks.introspection, edit)
}

// hasMachines reports whether a client gets tokens of its own.
func (o *Options) hasMachines() bool {
	return slices.ContainsFunc(o.Clients, func(c Client) bool { return len(c.Audiences) > 0 })
}
