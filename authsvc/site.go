package authsvc

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/oauth2"

	"authsvc/session"
)

// site is what the service knows about one protected site: its public URL, provider, cookies and sessions. It is
// immutable; a reload makes a new one and swaps one pointer.
type site struct {
	config    *Config // what it was made of
	name      string
	publicURL string // without a final slash
	origin    string // scheme, host and port of publicURL
	prefix    string // its path, "" or "/oauth2"

	keyring  *session.Keyring
	sessions *session.Manager
	renewer  *session.Renewer
	provider *provider
	warn     func(error) // tells the operator what nobody else is told

	refreshWait time.Duration // how long a verdict waits for a refresh once the access token has expired
	// userinfoInterval is how often userinfo is asked for changed claims; 0 is never but at a login and a refresh.
	userinfoInterval time.Duration

	sessionCookie cookie
	loginCookie   cookie

	trusted     []netip.Prefix
	headers     []identityHeader
	identities  identityPlan
	asserter    *asserter
	tellCut     func(session.ID, cut) // something was left out of the headers of a session
	tokens      bool                  // a header carries one
	groupsClaim []string
	needed      neededClaims
	tellOverage func()            // groups were left out since they are too many
	tellRevised func(failed bool) // userinfo was asked for changed claims
	userClaim   string            // what the user header carries

	returns       returnPolicy
	returnDefault string
	crossOrigin   *http.CrossOriginProtection
}

// mainSite is the name of the one site of a plain configuration. It is part of every MAC and seal, and so never changes.
const mainSite = "main"

// newKeyring makes the ring of a configuration that has been validated.
func newKeyring(c *Config) (*session.Keyring, error) {
	keyring, err := session.NewKeyring(c.CookieKeys())
	if err != nil {
		return nil, fmt.Errorf("cookie.secret: %w", err)
	}
	return keyring, nil
}

// newSite makes the site of a configuration that has been validated, with a ring of its keys. What belongs to the whole service and
// outlives a reload comes from it: the store, its clock, the client for the provider and what was discovered.
func newSite(c *Config, keyring *session.Keyring, service *Service, discovered *atomic.Pointer[metadata]) (*site, error) {
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public_url: %w", err)
	}
	secure := public.Scheme == "https"
	s := &site{
		config:    c,
		name:      mainSite,
		publicURL: c.PublicURL,
		origin:    public.Scheme + "://" + public.Host,
		prefix:    public.EscapedPath(),
		keyring:   keyring,
		sessions:  newManager(c, service.store, keyring),
		sessionCookie: cookie{
			name: c.Cookie.Name, purpose: session.PurposeSession, domain: c.Cookie.Domain, secure: secure,
			sameSite: sameSite(c.Cookie.SameSite), maxAge: int(c.Session.AbsoluteTimeout / time.Second),
		},
		loginCookie: cookie{
			name: c.Cookie.Name + "_login", purpose: session.PurposeLogin, secure: secure,
			sameSite: http.SameSiteLaxMode, maxAge: int(attemptLife / time.Second),
		},
		trusted:     c.TrustedPrefixes(),
		identities:  newIdentityPlan(c),
		tellCut:     service.tellCut,
		groupsClaim: c.OIDC.GroupsClaim,
		needed:      newNeededClaims(c),
		tellOverage: service.countOverage,
		tellRevised: service.metrics.countRevised,
		userClaim:   "sub",
		provider: &provider{
			issuer: c.OIDC.Issuer, client: service.client, now: service.store.Now, discovered: discovered,
			authParams: c.OIDC.AuthParams, formPost: c.OIDC.ResponseMode == "form_post", insecureHTTP: c.OIDC.InsecureHTTP,
			oauth2: oauth2.Config{
				ClientID: c.OIDC.ClientID, ClientSecret: c.OIDC.ClientSecret.Reveal(), Scopes: c.OIDC.Scopes,
				RedirectURL: c.PublicURL + "/callback",
				Endpoint:    oauth2.Endpoint{AuthStyle: authStyle(c.OIDC.ClientAuth)},
			},
		},
		returnDefault: c.Redirect.Default,
		crossOrigin:   http.NewCrossOriginProtection(),
	}
	s.sessions.Endings, s.sessions.Journal, s.sessions.Cache = &service.endings, &service.journal, service.cache
	s.sessions.Format, s.sessions.Derive = service.formatToWrite, s.derive
	s.headers = s.identities.headers
	if s.asserter, err = newAsserter(c.PublicURL, keyring, service.assertions, service.store.Now); err != nil {
		return nil, err
	}
	s.warn = func(err error) { service.log.Warn().Err(err).Msg("the refresh goes on with the former claims") }
	s.renewer = &session.Renewer{
		Manager: s.sessions, Slots: service.store, Refresh: s.refresh, Before: c.Session.RefreshBefore,
		Running: &service.flights, Report: service.reportRefresh, Limit: c.Session.RefreshLimit,
		Revise: s.revise, Interval: c.Session.UserinfoInterval,
	}
	s.refreshWait, s.userinfoInterval = c.Session.RefreshWait, c.Session.UserinfoInterval
	s.tokens = len(s.identities.tokens) > 0
	if claim := c.Headers["X-Auth-Request-User"].Claim; claim != "" && !strings.HasPrefix(claim, "@") {
		s.userClaim = claim
	}
	if s.provider.formPost {
		// The provider's page posts to the callback: a cross-site request, which brings no Lax cookies.
		s.loginCookie.sameSite = http.SameSiteNoneMode
	}
	if err := s.crossOrigin.AddTrustedOrigin(s.origin); err != nil {
		return nil, fmt.Errorf("public_url: %w", err)
	}
	return s, s.setReturns(public, c.Redirect.AllowedHosts)
}

func (s *site) setReturns(public *url.URL, allowed []string) error {
	s.returns = returnPolicy{publicHost: lowerASCII(public.Hostname()), prefix: s.prefix}
	if strings.Contains(public.Hostname(), ":") {
		s.returns.publicHost = "[" + s.returns.publicHost + "]"
	}
	for _, entry := range slices.Concat([]string{public.Host}, allowed) {
		pattern, err := parseHostPattern(entry)
		if err != nil {
			return fmt.Errorf("redirect.allowed_hosts: %q: %w", entry, err)
		}
		s.returns.hosts = append(s.returns.hosts, pattern)
	}
	return nil
}

func sameSite(word string) http.SameSite {
	if word == "none" {
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
}

func authStyle(clientAuth string) oauth2.AuthStyle {
	if clientAuth == "basic" {
		return oauth2.AuthStyleInHeader
	}
	return oauth2.AuthStyleInParams // also for public clients, which send their ID alone
}

// trusts reports whether the peer's forwarded headers count.
func (s *site) trusts(r *http.Request) bool { return trustsPeer(s.trusted, r) }

// startURL is where a login begins that ends at returnTo, or where one without an address begins if that is not
// allowed.
func (s *site) startURL(returnTo string) string {
	if returnTo == "" || s.returns.check(returnTo) != nil {
		return s.publicURL + "/start"
	}
	return s.publicURL + "/start?rd=" + url.QueryEscape(returnTo)
}

// maxLoginURL bounds the login URL in the header of a 401, in bytes.
const maxLoginURL = 3000

// loginURL is startURL for a header: an address that does not fit is shortened.
func (s *site) loginURL(returnTo string) string {
	for {
		login := s.startURL(returnTo)
		if len(login) <= maxLoginURL {
			return login
		}
		short, ok := shorten(returnTo)
		if !ok {
			return s.publicURL + "/start"
		}
		returnTo = short
	}
}
