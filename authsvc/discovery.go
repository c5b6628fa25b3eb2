package authsvc

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/rs/zerolog"
	"golang.org/x/oauth2"
)

// metadata is what discovery found (OpenID Connect Discovery 1.0, section 3).
type metadata struct {
	endpoint      oauth2.Endpoint
	userinfo      string
	endSession    string
	revocation    string
	issInResponse bool // RFC 9207, section 3
	keys          *keySet
}

// Delays between tries of discovery while the provider does not answer.
const (
	discoveryRetryMin = 250 * time.Millisecond
	discoveryRetryMax = 5 * time.Second
)

// discoverUntilDone asks for the provider's metadata until it is there or ctx ends. The service runs meanwhile: sessions
// that live need no provider.
func (p *provider) discoverUntilDone(ctx context.Context, log zerolog.Logger) {
	delay := discoveryRetryMin
	for tries := 1; ; tries++ {
		err := p.discover(ctx)
		if err == nil {
			log.Info().Str("issuer", p.issuer).Msg("provider discovered")
			return
		}
		if ctx.Err() != nil {
			return
		}
		if tries == 1 || delay == discoveryRetryMax {
			log.Warn().Err(err).Str("issuer", p.issuer).Msg("provider cannot be discovered yet; nobody can sign in, live sessions pass; check oidc.issuer and that this host reaches it")
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
		delay = min(2*delay, discoveryRetryMax)
	}
}

// discover fetches the provider's metadata and keys and checks them. A changed issuer, an endpoint that is not
// https, or an algorithm list without one that we accept is an error.
func (p *provider) discover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, p.client), providerTimeout)
	defer cancel()
	found, err := oidc.NewProvider(ctx, p.issuer) // compares the issuer
	if err != nil {
		// The library quotes the answer, which can be anything and of any length.
		return fmt.Errorf("discovery: %.300s", err)
	}
	var claims struct {
		JWKS          string   `json:"jwks_uri"`
		Userinfo      string   `json:"userinfo_endpoint"`
		EndSession    string   `json:"end_session_endpoint"`
		Revocation    string   `json:"revocation_endpoint"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
		IssInResponse bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := found.Claims(&claims); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	endpoint := found.Endpoint()
	for _, e := range []struct {
		name, address string
		required      bool
	}{
		{"authorization_endpoint", endpoint.AuthURL, true},
		{"token_endpoint", endpoint.TokenURL, true},
		{"jwks_uri", claims.JWKS, true},
		{"userinfo_endpoint", claims.Userinfo, false},
		{"end_session_endpoint", claims.EndSession, false},
		{"revocation_endpoint", claims.Revocation, false},
	} {
		if e.address == "" && !e.required {
			continue
		}
		if err := p.checkEndpoint(e.address); err != nil {
			return fmt.Errorf("discovery: %s: %w", e.name, err)
		}
	}
	algorithms := signatureAlgorithms(claims.Algorithms)
	if len(algorithms) == 0 {
		return errors.New("discovery: the provider signs ID tokens with no algorithm that is safe to accept")
	}
	keys := &keySet{url: claims.JWKS, client: p.client, algorithms: algorithms}
	if err := keys.fetch(ctx); err != nil {
		return err
	}
	p.discovered.Store(&metadata{
		endpoint:      endpoint,
		userinfo:      claims.Userinfo,
		endSession:    claims.EndSession,
		revocation:    claims.Revocation,
		issInResponse: claims.IssInResponse,
		keys:          keys,
	})
	return nil
}

// checkEndpoint accepts https, and http where the provider is on this host or was said to be insecure.
func (p *provider) checkEndpoint(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil:
		return errors.New("it is no address")
	case u.Scheme == "https", u.Scheme == "http" && (p.insecureHTTP || isLoopbackHost(lowerASCII(u.Hostname()))):
		return nil
	}
	return errors.New("it is not https")
}

// ready returns the metadata, or errProviderUnavailable until discovery has succeeded.
func (p *provider) ready() (*metadata, error) {
	if m := p.discovered.Load(); m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("%w: it could not be discovered yet", errProviderUnavailable)
}
