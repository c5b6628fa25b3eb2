package authsvc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// revocationTime bounds how long a logout waits for the provider: the person waits too, and is signed out already.
const revocationTime = 2 * time.Second

// revoke tells the provider that a refresh token is not used any more (RFC 7009), where it offers that. Whoever signs out ends what could renew
// the session; a session that was merely replaced keeps its grant, which a sibling may share.
func (p *provider) revoke(ctx context.Context, meta *metadata, refreshToken string) error {
	if meta.Revocation == "" || refreshToken == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, revocationTime)
	defer cancel()
	form := url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}
	answer, err := p.postAsClient(ctx, "revocation", meta.Revocation, form)
	switch {
	case answer == nil:
		return err
	case answer.status != http.StatusOK:
		return fmt.Errorf("revocation: the answer's status is %d", answer.status)
	}
	return nil // section 2.2: the body means nothing
}
