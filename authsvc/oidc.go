package authsvc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"authsvc/session"
)

// errProviderUnavailable says that the provider could not be asked, or answered that it cannot
// answer now: 503, and a later try may succeed.
var errProviderUnavailable = errors.New("the provider is not available")

// provider is the OpenID provider of a site, and this service as its client (relying party). It is immutable but for
// what discovery finds, and safe for concurrent use.
type provider struct {
	issuer       string
	client       *http.Client
	oauth2       oauth2.Config // without endpoints
	authParams   map[string]string
	formPost     bool
	insecureHTTP bool // issuers and endpoints on http beyond loopback
	now          func() time.Time

	// discovered outlives a reload of secrets: it is the issuer's and not ours.
	discovered *atomic.Pointer[metadata]
}

func (p *provider) config(m *metadata) *oauth2.Config {
	config := p.oauth2
	config.Endpoint.AuthURL, config.Endpoint.TokenURL = m.endpoint.AuthURL, m.endpoint.TokenURL
	return &config
}

// authorizationURL is where a login begins: code flow (RFC 6749, section 4.1) with PKCE S256 (RFC 7636), whatever
// discovery says about methods.
func (p *provider) authorizationURL(m *metadata, state, nonce, verifier string) string {
	var options []oauth2.AuthCodeOption
	for name, value := range p.authParams {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	if p.formPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	// Last, so that no configured parameter can replace them.
	options = append(options, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("response_type", "code"))
	return p.config(m).AuthCodeURL(state, options...)
}

// exchange redeems a code (RFC 6749, section 4.1.3) and checks all that comes back. Errors: errProviderUnavailable, errProviderAnswer.
func (p *provider) exchange(ctx context.Context, m *metadata, code, nonce, verifier string) (verifiedID, session.Tokens, error) {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), providerTimeout)
	defer cancel()
	asked := p.now()
	ctx, failure := watchReads(ctx)
	token, err := p.config(m).Exchange(ctx, code, oauth2.VerifierOption(verifier))
	if err != nil {
		return verifiedID{}, session.Tokens{}, classifyExchange(ctx, err, failure)
	}
	if !strings.EqualFold(token.TokenType, "Bearer") { // RFC 6749, section 7.1: case insensitive, and required
		return verifiedID{}, session.Tokens{}, fmt.Errorf("%w: the token type is not Bearer", errProviderAnswer)
	}
	raw, _ := token.Extra("id_token").(string)
	if raw == "" {
		return verifiedID{}, session.Tokens{}, fmt.Errorf("%w: there is no ID token; oidc.scopes must contain openid", errProviderAnswer)
	}
	check := idTokenCheck{keys: m.keys, issuer: p.issuer, clientID: p.oauth2.ClientID, nonce: nonce, accessToken: token.AccessToken, now: p.now()}
	id, err := check.verify(ctx, raw)
	if err != nil {
		return verifiedID{}, session.Tokens{}, err
	}
	return id, tokensOf(token, raw, asked), nil
}

// tokensOf returns the tokens of an answer. The access token's life counts from before the call, by the store's clock: it is never taken
// for longer than it is.
func tokensOf(token *oauth2.Token, idToken string, asked time.Time) session.Tokens {
	t := session.Tokens{AccessToken: token.AccessToken, RefreshToken: token.RefreshToken, IDToken: idToken}
	if life, told := token.ExpiresIn, token.Extra("expires_in") != nil; told {
		t.Expiry = asked.Add(time.Duration(min(max(life, 0), int64(maxTokenLife/time.Second))) * time.Second)
	}
	return t
}

// maxTokenLife bounds what a provider may claim about an access token.
const maxTokenLife = 365 * 24 * time.Hour

// classifyExchange tells what kind of failure the token endpoint's is. The library's own text is not passed on: it
// quotes the answer, which may hold tokens or personal data.
func classifyExchange(ctx context.Context, err error, failure *readFailure) error {
	if answer, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		class := errProviderAnswer
		if answer.Response.StatusCode >= 500 || answer.Response.StatusCode == http.StatusTooManyRequests {
			class = errProviderUnavailable
		}
		hint := ""
		switch answer.ErrorCode {
		case "invalid_client", "unauthorized_client":
			hint = "; check oidc.client_id, oidc.client_secret and oidc.client_auth"
		case "invalid_grant":
			hint = "; the code was spent or is too old"
		}
		return fmt.Errorf("%w: token endpoint: status %d, error %s%s", class, answer.Response.StatusCode, knownErrorCode(answer.ErrorCode), hint)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: token endpoint: no answer in time", errProviderUnavailable)
	}
	if cause, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("%w: token endpoint: %w", errProviderUnavailable, withoutURL(cause))
	}
	if failure.err != nil && !errors.Is(failure.err, errBodyTooLarge) {
		return fmt.Errorf("%w: token endpoint: the answer broke off", errProviderUnavailable)
	}
	return fmt.Errorf("%w: token endpoint: the answer is no token response", errProviderAnswer)
}

// withoutURL returns the cause of a failed request without its address.
func withoutURL(err *url.Error) error {
	if timeout, ok := errors.AsType[net.Error](err.Err); ok && timeout.Timeout() {
		return errors.New("timeout")
	}
	return err.Err
}

// knownErrorCode returns an error code if it is a registered one (RFC 6749, sections 4.1.2.1 and 5.2; OpenID Connect
// Core 1.0, section 3.1.2.6), and else "other": the text comes from outside.
func knownErrorCode(code string) string {
	switch code {
	case "invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope",
		"server_error", "temporarily_unavailable", "invalid_client", "invalid_grant", "unsupported_grant_type",
		"interaction_required", "login_required", "account_selection_required", "consent_required",
		"invalid_request_uri", "invalid_request_object", "request_not_supported", "request_uri_not_supported",
		"registration_not_supported":
		return code
	case "":
		return "none"
	}
	return "other"
}

// endSessionURL is where RP-initiated logout goes on (OpenID Connect RP-Initiated Logout 1.0, section 2), or "" if the
// provider has none. A hint that would make the address too long for gateways is left out.
func (p *provider) endSessionURL(m *metadata, idToken, returnTo string) string {
	u, err := url.Parse(m.endSession)
	if err != nil || m.endSession == "" {
		return ""
	}
	query := u.Query()
	query.Set("client_id", p.oauth2.ClientID)
	query.Set("post_logout_redirect_uri", returnTo)
	if idToken != "" && len(idToken) < 6<<10 {
		query.Set("id_token_hint", idToken)
	}
	u.RawQuery = query.Encode()
	return u.String()
}
