package idptest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// LogoutToken signs a logout token (Back-Channel Logout 1.0 section 2.4) for the client. An empty subject
// or sid leaves that claim out; edit, unless nil, changes header and claims before the signature.
func (p *Provider) LogoutToken(clientID, subject, sid string, edit func(header, claims map[string]any)) string {
	now := p.options.Now()
	signer := p.keys.signing()
	header := signer.header("logout+jwt")
	claims := map[string]any{
		"iss":    p.options.Issuer,
		"aud":    clientID,
		"iat":    now.Unix(),
		"exp":    now.Add(2 * time.Minute).Unix(),
		"jti":    rand.Text(),
		"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
	}
	if subject != "" {
		claims["sub"] = subject
	}
	if sid != "" {
		claims["sid"] = sid
	}
	if edit != nil {
		edit(header, claims)
	}
	return signer.sign(mustJSON(header), mustJSON(claims))
}

// ErrNoBackchannel is SendBackchannelLogout's error for a client that has registered no address.
var ErrNoBackchannel = errors.New("idptest: this client has no back-channel logout address")

// SendBackchannelLogout posts a LogoutToken to the client and gives the answer's status.
func (p *Provider) SendBackchannelLogout(ctx context.Context, clientID, subject, sid string, edit func(header, claims map[string]any)) (status int, err error) {
	client := p.client(clientID)
	if client == nil || client.BackchannelLogoutURI == "" {
		return 0, fmt.Errorf("%w: %q", ErrNoBackchannel, clientID)
	}
	return postForm(ctx, client.BackchannelLogoutURI, url.Values{"logout_token": {p.LogoutToken(clientID, subject, sid, edit)}})
}

// postForm is the one way out: a bounded POST that follows no redirect.
func postForm(ctx context.Context, target string, form url.Values) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, maxBody)); err != nil {
		return 0, err
	}
	return answer.StatusCode, nil
}
