package authsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/rs/zerolog"
)

// metadata is what discovery found.
type metadata struct {
	discoveryDocument
	keys *keySet
}

// discoveryDocument is what we read of a provider's metadata (OpenID Connect Discovery 1.0, section 3; RFC 8414, section 2).
type discoveryDocument struct {
	Issuer        string     `json:"issuer"`
	Authorization string     `json:"authorization_endpoint"`
	Token         string     `json:"token_endpoint"`
	JWKS          string     `json:"jwks_uri"`
	Userinfo      string     `json:"userinfo_endpoint"`
	EndSession    string     `json:"end_session_endpoint"`
	Revocation    string     `json:"revocation_endpoint"`
	Pushed        string     `json:"pushed_authorization_request_endpoint"`          // RFC 9126, section 5
	MustPush      bool       `json:"require_pushed_authorization_requests"`          // the same
	IssInResponse bool       `json:"authorization_response_iss_parameter_supported"` // RFC 9207, section 3
	Algorithms    []string   `json:"id_token_signing_alg_values_supported"`
	Aliases       tlsAliases `json:"mtls_endpoint_aliases"` // RFC 8705, section 5

	// What follows changes little in what we do: where it is odd it counts as not told.
	AuthMethods      words `json:"token_endpoint_auth_methods_supported"`
	AuthAlgorithms   words `json:"token_endpoint_auth_signing_alg_values_supported"`
	Scopes           words `json:"scopes_supported"`
	ChallengeMethods words `json:"code_challenge_methods_supported"`
	ResponseModes    words `json:"response_modes_supported"`
}

// tlsAliases are the endpoints for clients that authenticate by a certificate, where they are others.
type tlsAliases struct {
	Token      string `json:"token_endpoint"`
	Userinfo   string `json:"userinfo_endpoint"`
	Revocation string `json:"revocation_endpoint"`
	Pushed     string `json:"pushed_authorization_request_endpoint"`
}

// words is a list of texts that may be missing or odd.
type words []string

// UnmarshalJSON keeps a list of texts and passes over anything else.
func (w *words) UnmarshalJSON(data []byte) error {
	var list []string
	if json.Unmarshal(data, &list) == nil {
		*w = list
	}
	return nil
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
			what := "provider cannot be discovered yet; nobody can sign in, live sessions pass; check oidc.issuer and that this host reaches it"
			if p.keysOnly {
				what = "issuer cannot be discovered yet; its bearer tokens get 503; check bearer and that this host reaches it"
			}
			log.Warn().Err(err).Str("issuer", p.issuer).Msg(what)
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
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	found, err := p.fetchMetadata(ctx)
	if err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	if p.auth.method == "mtls" {
		found.useAliases()
	}
	if err := p.checkEndpoints(found); err != nil {
		return fmt.Errorf("discovery: %w", err)
	}
	algorithms := signatureAlgorithms(found.Algorithms)
	if len(algorithms) == 0 {
		return errors.New("discovery: the provider signs ID tokens with no algorithm that is safe to accept")
	}
	keys := &keySet{url: found.JWKS, client: p.client, algorithms: algorithms}
	if err := keys.fetch(ctx); err != nil {
		return err
	}
	p.discovered.Store(&metadata{discoveryDocument: *found, keys: keys})
	return nil
}

// fetchMetadata asks for the discovery document (OpenID Connect Discovery 1.0, section 4) and holds its issuer against ours.
func (p *provider) fetchMetadata(ctx context.Context) (*discoveryDocument, error) {
	address := strings.TrimSuffix(p.issuer, "/") + "/.well-known/openid-configuration"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("oidc.issuer is no address")
	}
	response, err := p.send(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer's status is %d; oidc.issuer is what /.well-known/openid-configuration follows", response.StatusCode)
	}
	body, err := io.ReadAll(response.Body) // the client bounds it
	if err != nil {
		return nil, err
	}
	var found discoveryDocument
	if err := json.Unmarshal(body, &found); err != nil {
		return nil, errors.New("the answer is no provider metadata") // the library's text may quote it
	}
	return &found, p.checkIssuer(found.Issuer)
}

// checkIssuer holds the issuer of the metadata against ours (OpenID Connect Discovery 1.0, section 4.3), and says what to write where it is
// another one.
func (p *provider) checkIssuer(told string) error {
	switch {
	case told == p.issuer:
		return nil
	case told == "":
		return errors.New("the provider's metadata have no issuer")
	case strings.Contains(told, "{tenantid}"): // Entra ID: /common, /organizations and /consumers stand for many issuers
		return fmt.Errorf("this address is for any tenant, and the issuer is %.200q: write your tenant's ID in its place in oidc.issuer", told)
	}
	return fmt.Errorf("the provider calls itself %.200q, and oidc.issuer is %.200q; write the former if that is who you mean", told, p.issuer)
}

// useAliases puts the endpoints for clients with a certificate in the place of the others (RFC 8705, section 5).
func (d *discoveryDocument) useAliases() {
	for endpoint, alias := range map[*string]string{
		&d.Token: d.Aliases.Token, &d.Userinfo: d.Aliases.Userinfo, &d.Revocation: d.Aliases.Revocation, &d.Pushed: d.Aliases.Pushed,
	} {
		if alias != "" {
			*endpoint = alias
		}
	}
}

func (p *provider) checkEndpoints(d *discoveryDocument) error {
	for _, e := range []struct {
		name, address string
		required      bool
	}{
		{"authorization_endpoint", d.Authorization, !p.keysOnly},
		{"token_endpoint", d.Token, !p.keysOnly},
		{"jwks_uri", d.JWKS, true},
		{"userinfo_endpoint", d.Userinfo, false},
		{"end_session_endpoint", d.EndSession, false},
		{"revocation_endpoint", d.Revocation, false},
		{"pushed_authorization_request_endpoint", d.Pushed, false},
	} {
		if e.address == "" && !e.required {
			continue
		}
		if err := p.checkEndpoint(e.address); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
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
