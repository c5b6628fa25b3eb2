package authsvc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// errClientKey says that the key by which the client authenticates cannot be used: a matter for the operator.
var errClientKey = errors.New("the client's key cannot be used")

const (
	// assertionLife is how long a client assertion is good: the time of one request, and of a provider's clock that is ahead.
	assertionLife = time.Minute
	// assertionAge is how old it claims to be, for a provider's clock that is behind: few allow one of the future.
	assertionAge = 10 * time.Second
)

// clientAuth is how this client shows a provider who it is (oidc.client_auth).
type clientAuth struct {
	method   string // basic, post, private_key_jwt, mtls or none
	clientID string
	secret   string
	key      *clientKey // of private_key_jwt
	keyID    string
	issuer   string
	toToken  bool // an assertion is addressed to the token endpoint
	now      func() time.Time
}

func newClientAuth(o OIDC, now func() time.Time) clientAuth {
	return clientAuth{
		method: o.ClientAuth, clientID: o.ClientID, secret: o.ClientSecret.Reveal(), keyID: o.ClientKeyID,
		key: newClientKey(o), issuer: o.Issuer, toToken: o.ClientAssertionAudience == "token_endpoint", now: now,
	}
}

// authenticate adds to a form request and its header what shows who sends it: by RFC 6749, section 2.3.1 with a secret, by RFC 7523, section
// 2.2 and OpenID Connect Core 1.0, section 9 with a signed assertion, by RFC 8705, section 2 with the connection's certificate, which
// needs the ID alone, as does a public client. m is nil until the provider is discovered. Errors: errClientKey, errProviderUnavailable.
func (a *clientAuth) authenticate(m *metadata, form url.Values, header http.Header) error {
	if a.method == "basic" {
		// Form-urlencoded before they become a user name and a password.
		user, password := url.QueryEscape(a.clientID), url.QueryEscape(a.secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
		return nil
	}
	form.Set("client_id", a.clientID)
	switch a.method {
	case "post":
		form.Set("client_secret", a.secret)
	case "private_key_jwt":
		assertion, err := a.assertion(m)
		if err != nil {
			return err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", assertion)
	}
	return nil
}

// assertion makes a client assertion (RFC 7523, section 3). Its one audience is the issuer, since whoever else may be told so could use it
// there, and its type says what it is (draft-ietf-oauth-rfc7523bis); for providers of the older rules both are as those had them.
func (a *clientAuth) assertion(m *metadata) (string, error) {
	if m == nil {
		return "", fmt.Errorf("%w: it could not be discovered yet", errProviderUnavailable)
	}
	credential, err := a.key.get()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errClientKey, err)
	}
	algorithm, err := assertionAlgorithm(credential.private.Public(), m.AuthAlgorithms)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errClientKey, err)
	}
	audience, kind := a.issuer, jose.ContentType("client-authentication+jwt")
	if a.toToken {
		audience, kind = m.Token, "JWT"
	}
	options := (&jose.SignerOptions{}).WithType(kind)
	if a.keyID != "" {
		options = options.WithHeader("kid", a.keyID)
	}
	if chain := credential.chain; chain != nil {
		// Entra ID finds the key by the certificate's fingerprint (RFC 7515, section 4.1.8).
		print := sha256.Sum256(chain[0])
		options = options.WithHeader("x5t#S256", base64.RawURLEncoding.EncodeToString(print[:]))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: credential.private}, options)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errClientKey, err)
	}
	now := a.now()
	claims, err := json.Marshal(map[string]any{
		"iss": a.clientID, "sub": a.clientID, "aud": audience, "jti": rand.Text(),
		"iat": now.Add(-assertionAge).Unix(), "nbf": now.Add(-assertionAge).Unix(), "exp": now.Add(assertionLife).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("client assertion: %w", err)
	}
	signed, err := signer.Sign(claims)
	if err != nil {
		return "", fmt.Errorf("%w: %w", errClientKey, err)
	}
	return signed.CompactSerialize()
}

// assertionAlgorithm chooses what a key signs with. A curve has one algorithm; an RSA key signs with RS256, which is what most clients are
// registered with, or with PS256 where the provider takes that and not RS256. A provider that says nothing takes either.
func assertionAlgorithm(public crypto.PublicKey, taken []string) (jose.SignatureAlgorithm, error) {
	var choice []jose.SignatureAlgorithm
	switch public := public.(type) {
	case *rsa.PublicKey:
		choice = []jose.SignatureAlgorithm{jose.RS256, jose.PS256}
	case *ecdsa.PublicKey:
		byCurve := map[string]jose.SignatureAlgorithm{"P-256": jose.ES256, "P-384": jose.ES384, "P-521": jose.ES512}
		if algorithm, ok := byCurve[public.Curve.Params().Name]; ok {
			choice = []jose.SignatureAlgorithm{algorithm}
		}
	case ed25519.PublicKey:
		choice = []jose.SignatureAlgorithm{jose.EdDSA}
	}
	for _, algorithm := range choice {
		if len(taken) == 0 || slices.Contains(taken, string(algorithm)) {
			return algorithm, nil
		}
	}
	return "", errors.New("the provider takes no assertion that a key of its kind signs")
}
