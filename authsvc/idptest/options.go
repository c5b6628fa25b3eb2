package idptest

import (
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Options says what a Provider is. The zero value of each field is a sensible default, apart from Issuer.
type Options struct {
	// Issuer is the provider's identifier, an absolute URL without query or fragment; every endpoint
	// is below it. For Start it is empty or a path like "/realms/test", put behind the listener's URL.
	Issuer string
	// Clients are the registered relying parties.
	Clients []Client
	// People are those who may sign in, in the order of the sign-in page's buttons.
	People []Person

	// SignIn answers the sign-in page at once with the subject of the person who sits at this browser;
	// "" shows the page. It is not asked with prompt=none. Nil: people press a button.
	SignIn func(*http.Request) (subject string)

	// AccessTokenLife is the life of access tokens and ID tokens; 0 means five minutes.
	AccessTokenLife time.Duration
	// AccessTokenBytes is the least length of an access token; 0 means 1,024, about what providers issue.
	AccessTokenBytes int
	// RefreshTokens says who gets a refresh token.
	RefreshTokens RefreshPolicy
	// RefreshTokenLife bounds each refresh token and is announced as refresh_expires_in; 0: no bound, not announced.
	RefreshTokenLife time.Duration
	// OpaqueMachineTokens makes the tokens that clients get for themselves random texts, of which only the introspection endpoint tells.
	OpaqueMachineTokens bool
	// NoRotation keeps one refresh token for a grant's life; a refresh then answers without one.
	NoRotation bool
	// ClaimsIn says where a person's claims are found.
	ClaimsIn ClaimsPlace
	// Shape makes the provider one make of provider. Its policies win over the fields here.
	Shape Shape
	// Push says whether authorization requests may or must be pushed.
	Push PushPolicy
	// TLS makes Start serve the provider a second time, over TLS with this certificate, where connections may show one of their own, and
	// announce the endpoints there as mtls_endpoint_aliases.
	TLS *tls.Certificate
	// ACRValues are the authentication contexts that a request may ask for with acr_values.
	ACRValues []string

	// Algorithm signs every token: "RS256" (2048 bits, the default), "ES256" or "EdDSA".
	Algorithm string
	// ExtraKeys is how many keys are published besides the one that signs.
	ExtraKeys int
	// NoKeyID leaves kid out of the tokens and of the published keys.
	NoKeyID bool

	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Client is a registered relying party.
type Client struct {
	ID string
	// Secret authenticates the client; empty makes it a public client.
	Secret string
	// AuthMethod is the one way in which the client may authenticate, AuthBasic and its like; empty allows both ways with a
	// secret. It means nothing for a public client.
	AuthMethod string
	// Key is the public key of AuthPrivateKey, and KeyID the kid that its assertions must have; "" wants none.
	Key   crypto.PublicKey
	KeyID string
	// OlderAssertions wants the token endpoint as the audience of assertions, and JWT as their type, as before draft-ietf-oauth-rfc7523bis.
	OlderAssertions bool
	// Certificate, in DER, is that of AuthCertificate. With AuthPrivateKey assertions must name it in x5t#S256.
	Certificate []byte
	// RedirectURIs and PostLogoutRedirectURIs are compared byte for byte.
	RedirectURIs           []string
	PostLogoutRedirectURIs []string
	// BackchannelLogoutURI gets a logout token when a provider session ends that the client took part in.
	BackchannelLogoutURI string
	// ExtraAudiences are put into the ID token's aud beside the client, which then also gets an azp.
	ExtraAudiences []string
	// Audiences are those of the tokens that the client gets for itself; without one it gets none.
	Audiences []string
}

// Person can sign in. Empty fields give no claim, apart from EmailVerified, which goes with Email.
type Person struct {
	Subject           string
	Name              string
	PreferredUsername string
	Email             string
	EmailVerified     bool
	Groups            []string
	// Claims are added to those above and win over them.
	Claims map[string]any
}

// RefreshPolicy says which logins give a refresh token.
type RefreshPolicy int

const (
	RefreshAlways      RefreshPolicy = iota // every login
	RefreshWithOffline                      // only with the scope offline_access
	RefreshNever                            // none, and the grant is not announced
)

// ClaimsPlace says where a person's claims (e-mail, groups, names) are found. sub is in both places always.
type ClaimsPlace int

const (
	ClaimsEverywhere ClaimsPlace = iota // ID token and userinfo
	ClaimsInIDToken                     // ID token only
	ClaimsInUserinfo                    // userinfo only
)

func (o *Options) fill() error {
	issuer, err := url.Parse(o.Issuer)
	if err != nil {
		return fmt.Errorf("idptest: issuer: %w", err)
	}
	if issuer.Scheme == "" || issuer.Host == "" || issuer.RawQuery != "" || issuer.Fragment != "" {
		return fmt.Errorf("idptest: issuer %q: want an absolute URL without query and fragment", o.Issuer)
	}
	o.Shape.apply(o)
	if o.AccessTokenLife == 0 {
		o.AccessTokenLife = 5 * time.Minute
	}
	if o.AccessTokenBytes == 0 {
		o.AccessTokenBytes = 1024
	}
	if o.Algorithm == "" {
		o.Algorithm = "RS256"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	for _, c := range o.Clients {
		if c.ID == "" {
			return errors.New("idptest: a client without ID")
		}
		for _, uri := range c.RedirectURIs {
			if u, err := url.Parse(uri); err != nil || !u.IsAbs() || strings.Contains(uri, "#") {
				return fmt.Errorf("idptest: client %s: redirect URI %q: want an absolute URL without fragment", c.ID, uri)
			}
		}
	}
	for _, person := range o.People {
		if person.Subject == "" {
			return errors.New("idptest: a person without subject")
		}
	}
	return nil
}
