package idptest

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The ways in which a client may authenticate, as metadata and registrations name them (OpenID Connect Core section 9, RFC 8705 section 2).
const (
	AuthBasic       = "client_secret_basic"
	AuthPost        = "client_secret_post"
	AuthPrivateKey  = "private_key_jwt"
	AuthCertificate = "self_signed_tls_client_auth"
	authNone        = "none"
)

// assertionAlgorithms are those that client assertions may be signed with.
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.ES384, jose.EdDSA}

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// maxAssertionLife bounds how long a client may make its assertion good.
	maxAssertionLife = 5 * time.Minute
)

// credentials are what a request brings to show who sends it.
type credentials struct {
	id, secret, method string
}

// authenticate finds who asks, by exactly one method (RFC 6749 section 2.3): that which the client is registered with.
func (p *Provider) authenticate(r *http.Request, form url.Values) (*Client, *oauthError) {
	shown, refusal := readCredentials(r, form)
	if refusal != nil {
		return nil, refusal
	}
	client := p.client(shown.id)
	if client == nil {
		return nil, refuse("invalid_client", "no such client is registered")
	}
	switch {
	case client.AuthMethod == AuthPrivateKey && shown.method == AuthPrivateKey:
		return client, p.checkAssertion(client, form.Get("client_assertion"))
	case client.AuthMethod == AuthCertificate && shown.method == authNone:
		return client, checkCertificate(client, r)
	case client.AuthMethod == AuthPrivateKey || client.AuthMethod == AuthCertificate:
		return nil, refuse("invalid_client", "this client has to authenticate as registered")
	case client.Secret == "" && shown.method != authNone:
		return nil, refuse("invalid_client", "this client is public and has no secret")
	case client.Secret == "":
		return client, nil
	case shown.method != AuthBasic && shown.method != AuthPost || client.AuthMethod != "" && client.AuthMethod != shown.method:
		return nil, refuse("invalid_client", "this client has to authenticate as registered")
	case subtle.ConstantTimeCompare([]byte(client.Secret), []byte(shown.secret)) != 1:
		return nil, refuse("invalid_client", "the secret is wrong")
	}
	return client, nil
}

// readCredentials tells by which method a request authenticates.
func readCredentials(r *http.Request, form url.Values) (credentials, *oauthError) {
	shown := credentials{form.Get("client_id"), form.Get("client_secret"), authNone}
	inHeader, asserts := r.Header.Get("Authorization") != "", form.Has("client_assertion") || form.Has("client_assertion_type")
	if inHeader && form.Has("client_secret") || inHeader && asserts || asserts && form.Has("client_secret") {
		return shown, refuse("invalid_request", "the client authenticates in two ways")
	}
	switch {
	case inHeader:
		user, password, ok := r.BasicAuth()
		name, nameErr := url.QueryUnescape(user)
		word, wordErr := url.QueryUnescape(password)
		if !ok || nameErr != nil || wordErr != nil {
			return shown, refuse("invalid_client", "the Authorization header cannot be read")
		}
		if shown.id != "" && shown.id != name {
			return shown, refuse("invalid_request", "client_id is not who authenticates")
		}
		shown = credentials{name, word, AuthBasic}
	case asserts:
		if form.Get("client_assertion_type") != assertionType {
			return shown, refuse("invalid_client", "client_assertion_type is not the one for JWTs")
		}
		shown.method = AuthPrivateKey
	case form.Has("client_secret"):
		shown.method = AuthPost
	}
	return shown, nil
}

// checkAssertion holds a client assertion against RFC 7523 section 3 and draft-ietf-oauth-rfc7523bis: its one audience is the issuer, or, for a
// client of the older rules, the token endpoint; and no assertion counts twice.
func (p *Provider) checkAssertion(client *Client, text string) *oauthError {
	bad := func(what string) *oauthError { return refuse("invalid_client", "client_assertion: %s", what) }
	signed, err := jose.ParseSignedCompact(text, assertionAlgorithms)
	if err != nil {
		return bad("it is no JWT, or is signed with an algorithm that is not allowed")
	}
	header := signed.Signatures[0].Protected
	payload, err := signed.Verify(client.Key)
	if err != nil {
		return bad("the signature is not by the registered key")
	}
	if client.KeyID != "" && header.KeyID != client.KeyID {
		return bad("kid is not that of the registered key")
	}
	if client.Certificate != nil {
		print := sha256.Sum256(client.Certificate)
		if header.ExtraHeaders["x5t#S256"] != encode(print[:]) {
			return bad("x5t#S256 is not that of the registered certificate")
		}
	}
	audience, kind := p.options.Issuer, any("client-authentication+jwt")
	if client.OlderAssertions {
		audience, kind = p.URL(Token), "JWT"
	}
	if header.ExtraHeaders[jose.HeaderType] != kind {
		return bad("typ is not " + kind.(string))
	}
	var claims struct {
		Issuer   string  `json:"iss"`
		Subject  string  `json:"sub"`
		Audience any     `json:"aud"`
		ID       string  `json:"jti"`
		Expires  float64 `json:"exp"`
		From     float64 `json:"nbf"`
		Issued   float64 `json:"iat"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return bad("its claims cannot be read")
	}
	now := p.options.Now()
	at := func(seconds float64) time.Time { return time.Unix(int64(seconds), 0) }
	switch {
	case claims.Issuer != client.ID || claims.Subject != client.ID:
		return bad("iss and sub must be the client's ID")
	case claims.Audience != audience:
		return bad("aud must be " + audience + " and nothing else")
	case !now.Before(at(claims.Expires)) || at(claims.Expires).After(now.Add(maxAssertionLife)):
		return bad("exp is missing, has passed, or lies far ahead")
	case at(claims.From).After(now) || at(claims.Issued).After(now):
		return bad("nbf or iat lies ahead")
	case claims.ID == "":
		return bad("jti is missing")
	}
	p.state.mu.Lock()
	defer p.state.mu.Unlock()
	used := client.ID + " " + claims.ID
	if _, again := p.state.assertions[used]; again {
		return bad("it was used before")
	}
	p.state.assertions[used] = at(claims.Expires)
	return nil
}

// checkCertificate holds the connection's certificate against the registered one (RFC 8705 section 2.2).
func checkCertificate(client *Client, r *http.Request) *oauthError {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return refuse("invalid_client", "the connection shows no certificate")
	}
	if !bytes.Equal(r.TLS.PeerCertificates[0].Raw, client.Certificate) {
		return refuse("invalid_client", "the certificate is not the registered one")
	}
	return nil
}
