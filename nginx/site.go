package nginx

import "time"

// Site is one protected site as nginx serves it: one application, one name, and the replicas of
// authsvc that answer for it. ServerName, Upstreams and Replicas are required, everything else has a
// default. It is a plain value: copy it freely; nothing here keeps or changes it.
//
// Several applications below one parent domain may share one login: then the login host is a Site with
// LoginOnly, each application one with LoginURL, and cookie.domain of the configuration is the parent domain.
//
// Every text ends up inside nginx syntax, so each has a narrow alphabet: see [Site.Validate].
type Site struct {
	// ServerName is the host that browsers ask for: "app.example.com", "*.example.com" or an IPv4
	// address; no scheme, no port.
	ServerName string

	// Listen are the addresses that nginx listens on: a port, "host:port", "[::]:443", "*:80" or
	// "unix:/path". Default: "80", with a certificate "443". A port alone means IPv4. The first site on an
	// address also gets what is for host names that no site has, and refuses it with 421.
	Listen []string

	// Certificate and CertificateKey are absolute paths of PEM files. Both or none; with them every
	// address of Listen speaks TLS.
	Certificate, CertificateKey string

	// BehindTLS says that TLS ends in front of nginx, which then sees plain HTTP: every visitor came by https,
	// whatever nginx sees. Not with a Certificate.
	BehindTLS bool

	// RedirectHTTP are addresses that nginx listens on, as those of Listen, to send whoever asks there over plain HTTP to
	// the same path over TLS. Only with a Certificate.
	RedirectHTTP []string

	// Upstreams are the addresses of the application, over plain HTTP: "host:port" or "unix:/path".
	// nginx looks host names up once, when it starts. None with LoginOnly.
	Upstreams []string

	// Replicas are the addresses of authsvc: "host:port" or "unix:/path" over plain HTTP, or each behind "https://" over
	// TLS. Browsers are spread over them by round robin; any replica answers for any browser.
	Replicas []string

	// ReplicaCA is the absolute path of a PEM file with the roots of the replicas' certificates, and ReplicaName the host
	// name that all of these are for. Replicas over TLS need both; the name is that of the replicas' addresses if they
	// have one host name in common. nginx asks nobody else.
	ReplicaCA, ReplicaName string

	// Prefix is the path of the configuration's public_url: "" or for example "/oauth2". The
	// endpoints of authsvc are below it, and hide paths of the same name of the application.
	Prefix string

	// LoginURL is the configuration's public_url where that is another host, "https://login.example.com":
	// whoever is signed out goes there. The site has no endpoints of authsvc then, and hides no path of
	// the application but "/.authsvc/auth". "": the login is at this site, below Prefix.
	LoginURL string

	// LoginOnly makes this the host of the login and nothing else: the endpoints of authsvc, and no
	// application.
	LoginOnly bool

	// CookieName is cookie.name of the configuration. The application sees neither this cookie nor
	// the login cookie, CookieName+"_login". Default: the three names that authsvc uses by default
	// (__Host-authsvc, __Secure-authsvc, authsvc), whichever of them is in use.
	CookieName string

	// Headers are the names of the identity headers that authsvc answers with and the application
	// gets. nil means [DefaultHeaders]; an empty list means none. A client's own copy of any of them
	// never reaches the application.
	Headers []string

	// AllowedGroups, AllowedEmails and AllowedEmailDomains narrow who may pass here, each further: somebody who is
	// signed in and is in one of the groups, has one of the addresses, and has an address in one of the domains. nil
	// does not narrow. An entry holds no comma, and all of them together are at most 2 KB when escaped.
	AllowedGroups, AllowedEmails, AllowedEmailDomains []string

	// CheckTimeout is how long nginx waits for one replica's verdict before it asks the next; keep it
	// above session.refresh_wait. From 1 ms to 1 minute, in whole milliseconds; default 3 s.
	CheckTimeout time.Duration

	// MicroCache is how long nginx may pass a browser on the verdict that it has got: 1 to 5 seconds, whole ones.
	// A session that ends elsewhere passes for as long, and up to a second more, as nginx counts
	// whole seconds. 0 asks about every request.
	MicroCache time.Duration

	// MicroCachePath is an absolute path of the folder for these verdicts, which nginx makes; the one around it must
	// be there, and should be in memory. Cookies are in its files, in the clear. Default: a folder in /run.
	MicroCachePath string

	// NoRules says that the configuration has no rules, so that a verdict on one address and method of a
	// host is good for all. MicroCache then keeps one verdict for them instead of one for each.
	NoRules bool

	// CORSPreflight lets the browser's question whether another site's script may ask, OPTIONS with
	// Access-Control-Request-Method, pass to the application without a verdict and without identity.
	CORSPreflight bool
}

// DefaultHeaders returns the identity headers that authsvc answers with by default.
func DefaultHeaders() []string {
	return []string{
		"X-Auth-Request-User",
		"X-Auth-Request-Email",
		"X-Auth-Request-Preferred-Username",
		"X-Auth-Request-Groups",
	}
}

const defaultCheckTimeout = 3 * time.Second
