package authsvc

import "time"

// Config is the whole configuration: one field for every key of the YAML file, in the file's order.
//
// A field's tags are the one table that everything else about a key is read from: decoding, the names of
// environment variables, the printed configuration and its JSON Schema.
//
//	key      its name in YAML
//	default  its value when nothing is set, written as in an environment variable
//	values   the words that it may be, separated by |
//	doc      one line for people
//	merge    "headers": entries are header names, added to the default ones
//	later    "true": understood, but without effect in this version, and so refused when it is set
//	verbatim "true": its _file twin is kept byte for byte
//	shared   whether replicas must have it in common: "must", or a newcomer that differs is held back; "report", a difference is told and
//	         nothing more; "store", it says where the store is, which the store's own ID tells; "own", each replica has its own
//	service  "true": it belongs to the whole service, so that no site can have another one
//
// Make one with [Load] or [DefaultConfig]. It is read-only afterwards, and then safe for concurrent use.
type Config struct {
	PublicURL      string   `key:"public_url" shared:"must" doc:"where browsers reach the service: scheme, host, port, path; required"`
	Hosts          []string `key:"hosts" shared:"report" doc:"where there are several sites, hosts of this one: exact, or *.example.com; that of public_url is one without saying so"`
	Listen         string   `key:"listen" service:"true" default:"127.0.0.1:4180" shared:"own" doc:"TCP address, unix:/path, or systemd for the sockets of its unit"`
	TLS            TLS      `key:"tls" service:"true" doc:"TLS and HTTP/2 on listen"`
	AdminListen    string   `key:"admin_listen" service:"true" default:"127.0.0.1:4181" shared:"own" doc:"health and metrics: TCP address or unix:/path; empty turns it off"`
	AdminToken     Secret   `key:"admin_token" service:"true" shared:"report" doc:"needed, when set, for every admin request that changes something"`
	TrustedProxies []string `key:"trusted_proxies" service:"true" default:"127.0.0.0/8,::1/128" shared:"report" doc:"networks whose forwarded headers count; peers on a unix socket always do"`

	OIDC      OIDC       `key:"oidc" doc:"the OpenID provider and our client there"`
	Providers []Provider `key:"providers" shared:"report" doc:"several providers to choose from, each with a name, a title and the keys of oidc, which then has groups_claim alone"`

	Store    Store    `key:"store" service:"true" doc:"where sessions are kept"`
	Cookie   Cookie   `key:"cookie" doc:"the session cookie"`
	Session  Session  `key:"session" doc:"how long a session lives"`
	Redirect Redirect `key:"redirect" doc:"where a login may end"`
	Limits   Limits   `key:"limits" service:"true" doc:"what one address may ask for"`

	// Headers maps an identity header (canonical name) to what it carries.
	// After [Load] the default headers are merged in and the removed ones are gone.
	Headers map[string]Header `key:"headers" default:"{\"X-Auth-Request-User\":\"sub\",\"X-Auth-Request-Email\":\"email\",\"X-Auth-Request-Preferred-Username\":\"preferred_username\",\"X-Auth-Request-Groups\":\"@groups\"}" merge:"headers" shared:"report" doc:"identity header to claim path, or to claim, filter, most and encoding; added to the default ones; an empty path removes a header"`

	Rules  []Rule       `key:"rules" shared:"report" doc:"who may pass where; without rules any signed-in user"`
	Bearer []Bearer     `key:"bearer" shared:"report" doc:"issuers whose bearer tokens count, beside the cookie; none: the Authorization header is ignored"`
	Sites  []SiteConfig `key:"sites" service:"true" shared:"report" doc:"sites besides this one: each has hosts and a public_url, and whatever else differs"`

	Log      Log      `key:"log" service:"true" doc:"logs, to standard error"`
	Shutdown Shutdown `key:"shutdown" service:"true" doc:"how the service stops"`

	ConfigGeneration int `key:"config_generation" service:"true" default:"0" shared:"report" doc:"raise it with a change that is meant to a setting that all replicas share"`

	Legacy Legacy `key:"legacy" service:"true" doc:"accept live sessions of an earlier proxy"`

	origins origins // where each value came from; nil for a Config that was not loaded
}

// TLS names the certificate of the listener; both files or neither.
type TLS struct {
	CertFile string `key:"cert_file" shared:"own" doc:"PEM file with the certificate chain"`
	KeyFile  string `key:"key_file" shared:"own" doc:"PEM file with the private key"`
}

// OIDC is the provider and how we are registered there (OpenID Connect Core 1.0).
type OIDC struct {
	Issuer       string            `key:"issuer" shared:"must" doc:"the provider's issuer, exactly as its discovery document says it; required"`
	ClientID     string            `key:"client_id" shared:"must" doc:"our client at the provider; required"`
	ClientSecret Secret            `key:"client_secret" shared:"report" doc:"the client's secret; none for a public client (PKCE is always used)"`
	Scopes       []string          `key:"scopes" default:"openid,profile,email" shared:"report" doc:"scopes to ask for; add offline_access where the provider wants it for refresh tokens"`
	GroupsClaim  []string          `key:"groups_claim" default:"groups" shared:"report" doc:"claim path of the groups, or a list of them, joined; split(path) splits a text at its spaces"`
	CAFile       string            `key:"ca_file" shared:"own" doc:"PEM file with the roots for the provider; the system's without it"`
	AuthParams   map[string]string `key:"auth_params" shared:"report" doc:"parameters added to every authorization request; max_age is enforced as well"`
	ClientAuth   string            `key:"client_auth" values:"basic|post|private_key_jwt|mtls|none" shared:"report" doc:"how the client authenticates: basic, post, private_key_jwt, mtls or none; basic with a client_secret, none without"`

	ClientKeyFile           string `key:"client_key_file" shared:"own" doc:"PEM file with the client's private key (RSA, EC or Ed25519), for private_key_jwt and mtls; read again when it changes"`
	ClientCertFile          string `key:"client_cert_file" shared:"own" doc:"PEM file with the certificate of that key: for mtls, and for private_key_jwt at Entra ID, which finds the key by it"`
	ClientKeyID             string `key:"client_key_id" shared:"report" doc:"the key's ID (kid) at the provider, for private_key_jwt; without it none is sent"`
	ClientAssertionAudience string `key:"client_assertion_audience" default:"issuer" values:"issuer|token_endpoint" shared:"report" doc:"whom private_key_jwt addresses: issuer (draft-ietf-oauth-rfc7523bis), or token_endpoint for providers of the older rules, such as Entra ID"`
	PAR                     string `key:"par" default:"auto" values:"auto|on|off" shared:"report" doc:"pushed authorization requests (RFC 9126): auto where the provider takes no others, on always, off never"`

	ResponseMode string `key:"response_mode" default:"query" values:"query|form_post" shared:"report" doc:"how the provider answers; form_post makes the login cookie SameSite=None"`
	InsecureHTTP bool   `key:"insecure_http" default:"false" shared:"report" doc:"allow an http issuer that is not on loopback"`
}

// Store says where sessions are kept.
type Store struct {
	URL      StoreURL      `key:"url" default:"memory:" shared:"store" doc:"redis://user:pass@host:6379/0, rediss://, unix:///path?db=0, redis+sentinel://h1:26379,h2/master/0, redis+cluster://h1,h2, rediss+sentinel, rediss+cluster, or memory: for one replica"`
	Password Secret        `key:"password" shared:"own" doc:"the store's password; wins over the one in the URL"`
	Prefix   string        `key:"prefix" default:"authsvc" shared:"store" doc:"first part of every key"`
	Timeout  time.Duration `key:"timeout" default:"100ms" shared:"report" doc:"bound of one store operation"`
}

// Cookie is the session cookie. [Config.CookieKeys] has the decoded secrets.
type Cookie struct {
	Secret   []Secret `key:"secret" service:"true" shared:"must" doc:"32 bytes in base64, or a list of up to 16: the first signs, all verify; required"`
	Name     string   `key:"name" shared:"must" doc:"__Host-authsvc on https, __Secure-authsvc with a domain, authsvc on http"`
	Domain   string   `key:"domain" shared:"must" doc:"a parent domain that shares the cookie; without it the cookie stays on its host"`
	SameSite string   `key:"same_site" default:"lax" values:"lax|none" shared:"report" doc:"lax, or none for pages that are framed by other sites"`
}

// Session says how long sessions live and when their tokens are renewed.
type Session struct {
	IdleTimeout      time.Duration `key:"idle_timeout" default:"30m" shared:"report" doc:"a session ends this long after its last request"`
	AbsoluteTimeout  time.Duration `key:"absolute_timeout" default:"12h" shared:"report" doc:"a session ends this long after its login"`
	RefreshBefore    time.Duration `key:"refresh_before" default:"1m" shared:"report" doc:"refresh this long before the access token expires, at most half of its life"`
	RefreshWait      time.Duration `key:"refresh_wait" default:"2s" shared:"report" doc:"how long a verdict waits for a refresh once the access token has expired; at /envoy/ 100ms at most"`
	UserinfoInterval time.Duration `key:"userinfo_interval" default:"0" shared:"report" doc:"ask userinfo this often for changed claims, beside each refresh; 0 is never"`
	RefreshLimit     int           `key:"refresh_limit" default:"1000" shared:"report" doc:"refreshes that one replica has under way at most, at each site; what is due beyond them is refreshed by a later request"`
	MaxPerUser       int           `key:"max_per_user" default:"0" shared:"report" doc:"newest sessions that a user keeps; 0 is no cap"`
	CacheTTL         time.Duration `key:"cache_ttl" service:"true" default:"5s" shared:"report" doc:"how long a replica may trust its own copy; 0 asks the store for each verdict"`
	ServeStale       time.Duration `key:"serve_stale" service:"true" default:"0" shared:"report" doc:"how long a cached session may pass while the store is down"`
}

// Redirect says where a login may end.
type Redirect struct {
	AllowedHosts []string `key:"allowed_hosts" shared:"report" doc:"hosts besides the public one: host, host:8080, host:*, .example.com or *.example.com"`
	Default      string   `key:"default" default:"/" shared:"report" doc:"where a login without rd ends"`
}

// Limits bounds what one address may ask for: an IPv4 address, or the /64 of an IPv6 address.
type Limits struct {
	LoginsPerMinute int `key:"logins_per_minute" default:"0" shared:"report" doc:"logins that one address may begin in a minute at each replica, and finish; 0 is any number"`
}

// Header says what an identity header carries. In the file it is the claim alone, as a text, or all of it as a mapping.
type Header struct {
	// Claim is a claim path, @groups, @access_token or @assertion; "" removes the header.
	Claim string `key:"claim" doc:"claim path, @groups, @access_token or @assertion; required"`
	// Filter, unless empty, is a regular expression (RE2) that a value must match somewhere to be carried.
	Filter   string `key:"filter" doc:"regular expression that a value has to match, such as ^app-"`
	Most     int    `key:"most" default:"0" doc:"values that are carried at most, the first ones; 0 is any number"`
	Encoding string `key:"encoding" default:"plain" values:"plain|percent|base64url|json" doc:"plain: UTF-8 as it is; percent and base64url: each value alone; json: ASCII"`
}

// Rule says who may pass one part of the site. Within a key any value, across keys all.
type Rule struct {
	Name         string        `key:"name" doc:"the rule's name"`
	Hosts        []string      `key:"hosts" doc:"exact, or *.example.com"`
	Paths        []string      `key:"paths" doc:"exact; * in one segment; ** the rest"`
	Methods      []string      `key:"methods" doc:"request methods"`
	Allow        string        `key:"allow" values:"public|optional|signed_in" doc:"public, optional or signed_in (default)"`
	Groups       []string      `key:"groups" doc:"any of these groups"`
	Emails       []string      `key:"emails" doc:"any of these addresses"`
	EmailDomains []string      `key:"email_domains" doc:"addresses in any of these domains"`
	When         string        `key:"when" doc:"CEL over request, claims, session"`
	ACR          []string      `key:"acr" doc:"any of these authentication contexts"`
	MaxAge       time.Duration `key:"max_age" doc:"the login is at most this old"`
}

// Bearer is an issuer whose bearer tokens count.
type Bearer struct {
	Issuer           string   `key:"issuer" doc:"the issuer, exactly as its discovery document says it; required"`
	Audiences        []string `key:"audiences" doc:"the audiences that count: one of them in aud, or in azp where the token is not of type at+jwt; required"`
	IntrospectionURL string   `key:"introspection_url" doc:"RFC 7662 endpoint of the issuer, for tokens that are no JWT"`
	ClientID         string   `key:"client_id" doc:"our client at introspection_url; oidc.client_id without it"`
	ClientSecret     Secret   `key:"client_secret" doc:"its secret"`
}

// SiteConfig is a site besides the main one, which the plain configuration describes.
type SiteConfig struct {
	// Config is the whole configuration of the site: the main one's, with what the site sets instead. The keys that belong to the whole service are
	// the main one's.
	*Config
}

// Provider is one of several providers of a site, among which people choose.
type Provider struct {
	Name  string `key:"name" doc:"what it is called in addresses: up to 32 lower-case letters, digits and -; register <public_url>/callback/<name> at the provider; required"`
	Title string `key:"title" doc:"what people see on its button; its name without it"`
	OIDC
}

// Log says what is logged, and how. Logs go to standard error.
type Log struct {
	Level  string `key:"level" default:"info" values:"debug|info|warn|error" shared:"own" doc:"the least important level that is written"`
	Format string `key:"format" default:"json" values:"json|console" shared:"own" doc:"console is for people"`
}

// Shutdown says how the service stops: not ready but serving for Delay, then at most Timeout to finish.
type Shutdown struct {
	Delay   time.Duration `key:"delay" default:"5s" shared:"own" doc:"not ready, but serving"`
	Timeout time.Duration `key:"timeout" default:"25s" shared:"own" doc:"then time to finish"`
}

// Legacy lets live sessions of an earlier proxy pass for a while.
type Legacy struct {
	OAuth2Proxy LegacyOAuth2Proxy `key:"oauth2_proxy" doc:"oauth2-proxy's cookie and store"`
	Until       time.Time         `key:"until" later:"true" shared:"report" doc:"end of the window, RFC 3339"`
	Cutover     bool              `key:"cutover" default:"false" later:"true" shared:"report" doc:"refresh converted sessions ourselves"`
	AuthStatus  int               `key:"auth_status" default:"200" later:"true" shared:"report" doc:"202 for clients that test for it"`
}

// LegacyOAuth2Proxy describes the cookie and store of oauth2-proxy.
type LegacyOAuth2Proxy struct {
	CookieName   string        `key:"cookie_name" default:"_oauth2_proxy" later:"true" shared:"report" doc:"name of its cookie"`
	CookieSecret Secret        `key:"cookie_secret" later:"true" verbatim:"true" shared:"report" doc:"its cookie secret; turns the window on"`
	CookieExpire time.Duration `key:"cookie_expire" default:"168h" later:"true" shared:"report" doc:"its cookie's life"`
	StoreURL     StoreURL      `key:"store_url" later:"true" shared:"own" doc:"its store; store.url without it"`
}
