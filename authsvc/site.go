package authsvc

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"authsvc/session"
)

// site is what the service knows about one protected site: its public URL, provider, cookies and sessions. It is
// immutable; a reload makes a new one and swaps one pointer.
type site struct {
	config    *Config // what it was made of
	name      string
	publicURL string // without a final slash
	origin    string // scheme, host and port of publicURL
	host      string // its host, with the port that it names
	prefix    string // its path, "" or "/oauth2"

	keyring   *session.Keyring
	sessions  *session.Manager
	renewer   *session.Renewer
	providers []*provider
	bearers   *bearers    // nil when bearer tokens do not count
	warn      func(error) // tells the operator what nobody else is told

	refreshWait time.Duration // how long a verdict waits for a refresh once the access token has expired

	sessionCookie cookie
	loginCookie   cookie

	trusted     []netip.Prefix
	identities  identityPlan
	asserter    *asserter
	tellCut     func(session.ID, omitted) // something was left out of the headers of a session
	rules       *ruleSet
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
// outlives a reload comes from it: the store, its clock, and what is known of the provider.
func newSite(name string, c *Config, keyring *session.Keyring, service *Service) (*site, error) {
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, fmt.Errorf("public_url: %w", err)
	}
	providers, err := newProviders(c, service)
	if err != nil {
		return nil, err
	}
	secure := public.Scheme == "https"
	s := &site{
		config:    c,
		name:      name,
		host:      lowerASCII(public.Host),
		publicURL: c.PublicURL,
		origin:    public.Scheme + "://" + public.Host,
		prefix:    public.EscapedPath(),
		keyring:   keyring,
		sessions:  newManager(name, c, service.store, keyring),
		sessionCookie: cookie{
			name: c.Cookie.Name, purpose: session.PurposeSession, domain: c.Cookie.Domain, secure: secure,
			sameSite: sameSite(c.Cookie.SameSite), maxAge: int(c.Session.AbsoluteTimeout / time.Second),
		},
		loginCookie: cookie{
			name: c.Cookie.Name + "_login", purpose: session.PurposeLogin, secure: secure,
			sameSite: http.SameSiteLaxMode, maxAge: int(attemptLife / time.Second),
		},
		trusted:       c.TrustedPrefixes(),
		identities:    newIdentityPlan(c),
		tellCut:       service.tellCut,
		tellOverage:   service.countOverage,
		tellRevised:   service.metrics.countRevised,
		userClaim:     "sub",
		providers:     providers,
		returnDefault: c.Redirect.Default,
		crossOrigin:   http.NewCrossOriginProtection(),
	}
	if s.bearers, err = newBearers(c, s, service); err != nil {
		return nil, err
	}
	s.sessions.Endings, s.sessions.Journal, s.sessions.Cache = &service.endings, &service.journal, service.cache
	s.sessions.Format, s.sessions.Derive = service.formatToWrite, s.derive
	if s.asserter, err = newAsserter(name, c.PublicURL, keyring, service.assertions); err != nil {
		return nil, err
	}
	s.warn = func(err error) { service.log.Warn().Err(err).Msg("the refresh goes on with the former claims") }
	s.renewer = &session.Renewer{
		Manager: s.sessions, Slots: service.store, Refresh: s.refresh, Before: c.Session.RefreshBefore,
		Running: &service.flights, Report: service.reportRefresh, Limit: c.Session.RefreshLimit,
		Revise: s.revise, Interval: c.Session.UserinfoInterval,
	}
	s.refreshWait = c.Session.RefreshWait
	if claim := c.Headers["X-Auth-Request-User"].Claim; claim != "" && !strings.HasPrefix(claim, "@") {
		s.userClaim = claim
	}
	rules, problems := compileRules(c.Rules, c.OIDC.GroupsClaim)
	for _, problem := range problems {
		if !problem.warning {
			return nil, fmt.Errorf("rules%s: %s", problem.place(), problem.wrong)
		}
	}
	s.rules, s.needed = rules, newNeededClaims(c, rules)
	if s.answersByForm() {
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
	s.returns.hosts = append(s.returns.hosts, ownHosts(s.config.Hosts, public.Port())...)
	return nil
}

// ownHosts are the hosts of a site as places where its logins may end: at the port that they name, and else at the scheme's own and that of
// public_url.
func ownHosts(entries []string, publicPort string) (patterns []hostPattern) {
	for _, entry := range entries {
		pattern, err := parseHostPattern(entry)
		if err != nil {
			continue // Validate has told
		}
		pattern.below = pattern.subdomains
		patterns = append(patterns, pattern)
		if pattern.port == "" && publicPort != "" {
			pattern.port = publicPort
			patterns = append(patterns, pattern)
		}
	}
	return patterns
}

func sameSite(word string) http.SameSite {
	if word == "none" {
		return http.SameSiteNoneMode
	}
	return http.SameSiteLaxMode
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

// loginURL is startURL for a header, of at most limit bytes: an address that does not fit is shortened.
func (s *site) loginURL(returnTo string, limit int) string {
	for {
		login := s.startURL(returnTo)
		if len(login) <= limit {
			return login
		}
		short, ok := shorten(returnTo)
		if !ok {
			return s.publicURL + "/start"
		}
		returnTo = short
	}
}
