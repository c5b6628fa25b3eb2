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

	"golang.org/x/oauth2"

	"authsvc/session"
)

// errProviderUnavailable says that the provider could not be asked, or answered that it cannot
// answer now: 503, and a later try may succeed.
var errProviderUnavailable = errors.New("the provider is not available")

// provider is the OpenID provider of a site, and this service as its client (relying party). It is immutable but for
// what discovery finds and for the files of a key, which are read again when they change. Safe for concurrent use.
type provider struct {
	name, title  string // among several; both empty for the only one
	issuer       string
	client       *http.Client
	clientID     string
	auth         clientAuth
	redirectURL  string
	scopes       []string
	authParams   map[string]string
	formPost     bool
	pushing      string        // oidc.par
	pushSlots    chan struct{} // one for each push under way
	insecureHTTP bool          // issuers and endpoints on http beyond loopback
	keysOnly     bool          // it signs bearer tokens: nobody signs in there
	now          func() time.Time

	// discovered outlives a reload of secrets: it is the issuer's and not ours.
	discovered *atomic.Pointer[metadata]
}

// newProvider makes the provider of settings that have been validated, which sends people back to redirectURL.
func newProvider(o OIDC, redirectURL string, known *knownProvider, now func() time.Time) *provider {
	return &provider{
		issuer:       o.Issuer,
		client:       known.client,
		clientID:     o.ClientID,
		auth:         newClientAuth(o, now),
		redirectURL:  redirectURL,
		scopes:       o.Scopes,
		authParams:   o.AuthParams,
		formPost:     o.ResponseMode == "form_post",
		pushing:      o.PAR,
		pushSlots:    make(chan struct{}, maxPushes),
		insecureHTTP: o.InsecureHTTP,
		now:          now,
		discovered:   &known.discovered,
	}
}

// authorizationRequest is a login at an endpoint's address: code flow (RFC 6749, section 4.1) with PKCE S256 (RFC 7636), whatever
// discovery says about methods. What this login asks for wins over the configured parameters.
func (p *provider) authorizationRequest(endpoint, state, nonce, verifier string, asks map[string]string) string {
	config := oauth2.Config{ClientID: p.clientID, RedirectURL: p.redirectURL, Scopes: p.scopes, Endpoint: oauth2.Endpoint{AuthURL: endpoint}}
	var options []oauth2.AuthCodeOption
	for name, value := range p.authParams {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	for name, value := range asks {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	if p.formPost {
		options = append(options, oauth2.SetAuthURLParam("response_mode", "form_post"))
	}
	// Last, so that no configured parameter can replace them.
	for name, value := range map[string]string{
		"response_type": "code",
		"client_id":     p.clientID,
		"redirect_uri":  p.redirectURL,
		"scope":         strings.Join(p.scopes, " "),
		"state":         state,
		"nonce":         nonce,
	} {
		options = append(options, oauth2.SetAuthURLParam(name, value))
	}
	return config.AuthCodeURL(state, append(options, oauth2.S256ChallengeOption(verifier))...)
}

// authorizationURL is where a login begins. Where the request is pushed, it asks the provider. Errors: errProviderUnavailable, errProviderAnswer.
func (p *provider) authorizationURL(ctx context.Context, m *metadata, state, nonce, verifier string, asks map[string]string) (string, error) {
	if !p.pushes(&m.discoveryDocument) {
		return p.authorizationRequest(m.Authorization, state, nonce, verifier, asks), nil
	}
	request, err := url.Parse(p.authorizationRequest("", state, nonce, verifier, asks)) // the parameters alone
	if err != nil {
		return "", fmt.Errorf("authorization request: %w", err)
	}
	pushed, err := p.push(ctx, m, request.Query())
	if err != nil {
		return "", err
	}
	return withQuery(m.Authorization, pushed)
}

// withQuery adds parameters to an endpoint's address, which may have some of its own (RFC 6749, section 3.1).
func withQuery(address string, more url.Values) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("%w: an endpoint's address cannot be read", errProviderAnswer)
	}
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += more.Encode()
	return u.String(), nil
}

// exchange redeems a code (RFC 6749, section 4.1.3) and checks all that comes back. Errors: errProviderUnavailable, errProviderAnswer.
func (p *provider) exchange(ctx context.Context, m *metadata, code, nonce, verifier string) (verifiedID, session.Tokens, error) {
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	tokens, err := p.requestTokens(ctx, m, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.redirectURL}, "code_verifier": {verifier},
	})
	if err != nil {
		return verifiedID{}, session.Tokens{}, err
	}
	if tokens.IDToken == "" {
		return verifiedID{}, session.Tokens{}, fmt.Errorf("%w: there is no ID token; oidc.scopes must contain openid", errProviderAnswer)
	}
	check := idTokenCheck{keys: m.keys, issuer: p.issuer, clientID: p.clientID, nonce: nonce, accessToken: tokens.AccessToken, now: p.now()}
	id, err := check.verify(ctx, tokens.IDToken)
	if err != nil {
		return verifiedID{}, session.Tokens{}, err
	}
	return id, tokens, nil
}

// send sends a request to the provider. Its error does not tell the address.
func (p *provider) send(request *http.Request) (*http.Response, error) {
	response, err := p.client.Do(request)
	if cause, ok := errors.AsType[*url.Error](err); ok {
		return nil, withoutURL(cause)
	}
	return response, err
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
	if m.EndSession == "" {
		return ""
	}
	query := url.Values{"client_id": {p.clientID}, "post_logout_redirect_uri": {returnTo}}
	if isHint(idToken) {
		query.Set("id_token_hint", idToken)
	}
	address, err := withQuery(m.EndSession, query)
	if err != nil {
		return ""
	}
	return address
}
