package idptest

import (
	"crypto/sha256"
	"net/http"
	"strings"
)

// serveUserinfo tells the claims of the access token's person (Core 5.3), as they are now. The token comes
// in the Authorization header and nowhere else (RFC 6750 section 2.1).
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		w.Header().Set("WWW-Authenticate", `Bearer realm="idptest"`)
		http.Error(w, "An access token is needed.", http.StatusUnauthorized)
		return
	}
	person, client, scopes, good := p.personOf(token)
	if !good {
		w.Header().Set("WWW-Authenticate", `Bearer realm="idptest", error="invalid_token"`)
		http.Error(w, "This access token is not good.", http.StatusUnauthorized)
		return
	}
	claims := map[string]any{}
	if p.options.ClaimsIn != ClaimsInIDToken {
		shape := &p.options.Shape
		claims = shape.about(shape.Userinfo, personClaims(person, scopes), person, client, scopes)
	}
	claims["sub"] = person.Subject
	edit(&p.hooks, &p.hooks.userinfo, claims)
	if change := p.hooks.conduct(person.Subject).Userinfo; change != nil {
		change(claims)
	}
	writeJSON(w, http.StatusOK, claims)
}

func (p *Provider) personOf(token string) (Person, *Client, []string, bool) {
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	t := p.state.access[sha256.Sum256([]byte(token))]
	if t == nil || t.revoked || t.grant.revoked || p.options.Now().After(t.expires) {
		return Person{}, nil, nil, false
	}
	person, known := p.state.person(t.grant.subject)
	return person, t.grant.client, t.scopes, known
}
