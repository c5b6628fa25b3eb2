package authsvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// revocationTime bounds how long a logout waits for the provider: the person waits too, and is signed out already.
const revocationTime = 2 * time.Second

// revoke tells the provider that a refresh token is not used any more (RFC 7009), where it offers that. Whoever signs out ends what could renew
// the session; a session that was merely replaced keeps its grant, which a sibling may share.
func (p *provider) revoke(ctx context.Context, meta *metadata, refreshToken string) error {
	if meta.revocation == "" || refreshToken == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, revocationTime)
	defer cancel()
	form := url.Values{"token": {refreshToken}, "token_type_hint": {"refresh_token"}}
	if p.oauth2.Endpoint.AuthStyle != oauth2.AuthStyleInHeader {
		form.Set("client_id", p.oauth2.ClientID)
		if p.oauth2.ClientSecret != "" {
			form.Set("client_secret", p.oauth2.ClientSecret)
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, meta.revocation, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("revocation: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.oauth2.Endpoint.AuthStyle == oauth2.AuthStyleInHeader {
		// RFC 6749, section 2.3.1: form-urlencoded before they become a user name and a password.
		request.SetBasicAuth(url.QueryEscape(p.oauth2.ClientID), url.QueryEscape(p.oauth2.ClientSecret))
	}
	response, err := p.client.Do(request)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			err = withoutURL(cause)
		}
		return fmt.Errorf("revocation: %w", err)
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body) // the client bounds it; a body that is read leaves a connection that can be used again
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("revocation: the answer's status is %d", response.StatusCode)
	}
	return nil
}
