package authsvc

import (
	"strings"
	"testing"
	"time"
)

const (
	testSecret      = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	otherTestSecret = "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
)

// goodConfig has nothing wrong and nothing to warn about.
func goodConfig() *Config {
	c := DefaultConfig()
	c.PublicURL = "https://app.example.com/oauth2"
	c.OIDC.Issuer = "https://id.example.com/realms/main"
	c.OIDC.ClientID = "app"
	c.OIDC.ClientSecret = "hush"
	c.Store.URL = "redis://localhost:6379/0"
	c.Cookie.Secret = []Secret{testSecret}
	return c
}

// check is one configuration that differs from goodConfig, and what Validate tells about it.
type check struct {
	name   string
	change func(*Config)
	key    string // of the one problem; empty when there is none
	warns  string // key of the one warning; empty when there is none
}

func runChecks(t *testing.T, checks []check) {
	t.Helper()
	for _, test := range checks {
		t.Run(test.name, func(t *testing.T) {
			c := goodConfig()
			test.change(c)
			c.Complete()
			before := *c
			problems, warnings := c.Validate()
			for what, got := range map[string]struct {
				list []Problem
				want string
			}{"problem": {problems, test.key}, "warning": {warnings, test.warns}} {
				if got.want == "" && len(got.list) > 0 || got.want != "" && (len(got.list) != 1 || got.list[0].Key != got.want) {
					t.Errorf("want one %s with %q, got %v", what, got.want, got.list)
				}
				for _, problem := range got.list {
					if problem.Wrong == "" || problem.Right == "" || strings.Contains(problem.Wrong, ";") {
						t.Errorf("%+v", problem)
					}
				}
			}
			if c.PublicURL != before.PublicURL || c.Cookie.Name != before.Cookie.Name || len(c.Headers) != len(before.Headers) {
				t.Error("Validate changed the configuration")
			}
		})
	}
}

func TestGoodConfig(t *testing.T) {
	runChecks(t, []check{{name: "nothing changed", change: func(*Config) {}}})
}

func TestCompleteTwiceChangesNothing(t *testing.T) {
	c := goodConfig()
	c.Headers["X-Auth-Request-Email"] = Header{}
	c.Cookie.Domain = ".Example.com"
	c.Complete()
	name, headers := c.Cookie.Name, len(c.Headers)
	c.Complete()
	if name != "__Secure-authsvc" || c.Cookie.Name != name || headers != 3 || len(c.Headers) != 3 || c.Cookie.Domain != "example.com" {
		t.Errorf("got %+v %v", c.Cookie, c.Headers)
	}
}

func TestValidatePublicURL(t *testing.T) {
	set := func(address string) func(*Config) { return func(c *Config) { c.PublicURL = address } }
	var checks []check
	for _, good := range []string{
		"https://app.example.com", "https://app.example.com/", "https://app.example.com:8443/a/b", "HTTPS://App.Example.com",
		"https://192.0.2.1", "https://[2001:db8::1]:8443", "http://localhost:8080", "http://app.localhost", "http://127.0.0.2", "http://[::1]",
	} {
		checks = append(checks, check{name: good, change: set(good)})
	}
	for _, bad := range []string{
		"", "app.example.com", "ftp://app.example.com", "https://", "https:///a", "https://app.example.com?x", "https://app.example.com/#x",
		"https://me:hush@app.example.com", "https://app.example.com:0", "https://app.example.com:99999", "https://app example.com",
		"https://app.example.com//", "https://app.example.com/a//b", "https://app.example.com/a/../b", "https://app.example.com/%61",
		"https://app.example.com/a;b", "https://bücher.example", "https://app.example.com/ä", "https://-a.example.com", "https://1.2.3",
	} {
		checks = append(checks, check{name: bad, change: set(bad), key: "public_url"})
	}
	checks = append(checks, check{name: "http elsewhere", change: set("http://app.example.com"), warns: "public_url"})
	runChecks(t, checks)
}

func TestValidateListeners(t *testing.T) {
	listen := func(address string) func(*Config) { return func(c *Config) { c.Listen = address } }
	admin := func(address string) func(*Config) { return func(c *Config) { c.AdminListen = address } }
	runChecks(t, []check{
		{name: "all interfaces", change: listen(":4180")},
		{name: "any port", change: listen("127.0.0.1:0")},
		{name: "a name", change: listen("localhost:4180")},
		{name: "IPv6", change: listen("[::1]:4180")},
		{name: "IPv6 with zone", change: listen("[fe80::1%eth0]:4180")},
		{name: "unix", change: listen("unix:/run/a.sock")},
		{name: "empty", change: listen(""), key: "listen"},
		{name: "no port", change: listen("127.0.0.1"), key: "listen"},
		{name: "a port only", change: listen("4180"), key: "listen"},
		{name: "named port", change: listen("127.0.0.1:http"), key: "listen"},
		{name: "high port", change: listen("127.0.0.1:65536"), key: "listen"},
		{name: "odd host", change: listen("a b:80"), key: "listen"},
		{name: "relative socket", change: listen("unix:a.sock"), key: "listen"},
		{name: "long socket", change: listen("unix:/" + strings.Repeat("a", 103)), key: "listen"},
		{name: "systemd", change: listen("systemd")},
		{name: "no admin", change: admin("")},
		{name: "admin on unix", change: admin("unix:/run/b.sock")},
		{name: "admin on systemd", change: admin("systemd"), key: "admin_listen"},
		{name: "admin is bad", change: admin("nowhere"), key: "admin_listen"},
		{name: "admin is listen", change: admin("127.0.0.1:4180"), key: "admin_listen"},
		{name: "both on any port", change: func(c *Config) { c.Listen, c.AdminListen = "127.0.0.1:0", "127.0.0.1:0" }},
		{name: "tls", change: func(c *Config) { c.TLS = TLS{CertFile: "a", KeyFile: "b"} }},
		{name: "tls without key", change: func(c *Config) { c.TLS.CertFile = "a" }, key: "tls.key_file"},
		{name: "tls without certificate", change: func(c *Config) { c.TLS.KeyFile = "a" }, key: "tls.cert_file"},
	})
}

func TestValidateTrustedProxies(t *testing.T) {
	set := func(entries ...string) func(*Config) { return func(c *Config) { c.TrustedProxies = entries } }
	runChecks(t, []check{
		{name: "nobody", change: set()},
		{name: "networks and addresses", change: set("10.0.0.0/8", "10.1.2.3/8", "192.0.2.1", "2001:db8::/32", "::1")},
		{name: "a name", change: set("10.0.0.0/8", "proxy.example.com"), key: "trusted_proxies[1]"},
		{name: "too many bits", change: set("10.0.0.0/33"), key: "trusted_proxies[0]"},
		{name: "zone", change: set("fe80::1%eth0"), key: "trusted_proxies[0]"},
		{name: "mapped", change: set("::ffff:10.0.0.0/104"), key: "trusted_proxies[0]"},
		{name: "everybody", change: set("0.0.0.0/0"), warns: "trusted_proxies[0]"},
	})
}

func TestValidateOIDC(t *testing.T) {
	issuer := func(address string) func(*Config) { return func(c *Config) { c.OIDC.Issuer = address } }
	client := func(id string) func(*Config) { return func(c *Config) { c.OIDC.ClientID = id } }
	secretless := func(auth string) func(*Config) {
		return func(c *Config) { c.OIDC.ClientSecret, c.OIDC.ClientAuth = "", auth }
	}
	auth := func(word string) func(*Config) { return func(c *Config) { c.OIDC.ClientAuth = word } }
	byKey := func(word, keyFile, certFile string) func(*Config) {
		return func(c *Config) {
			c.OIDC.ClientSecret, c.OIDC.ClientAuth, c.OIDC.ClientKeyFile, c.OIDC.ClientCertFile = "", word, keyFile, certFile
		}
	}
	scopes := func(list ...string) func(*Config) { return func(c *Config) { c.OIDC.Scopes = list } }
	parameter := func(name string) func(*Config) {
		return func(c *Config) { c.OIDC.AuthParams = map[string]string{name: "x"} }
	}
	runChecks(t, []check{
		{name: "final slash", change: issuer("https://id.example.com/")},
		{name: "on loopback", change: issuer("http://127.0.0.1:9000/main")},
		{name: "no issuer", change: issuer(""), key: "oidc.issuer"},
		{name: "no scheme", change: issuer("id.example.com"), key: "oidc.issuer"},
		{name: "query", change: issuer("https://id.example.com/?a=b"), key: "oidc.issuer"},
		{name: "fragment", change: issuer("https://id.example.com/#a"), key: "oidc.issuer"},
		{name: "user", change: issuer("https://me@id.example.com"), key: "oidc.issuer"},
		{name: "space", change: issuer("https://id.example.com/a b"), key: "oidc.issuer"},
		{name: "http", change: issuer("http://id.example.com"), key: "oidc.issuer"},
		{name: "http on purpose", change: func(c *Config) {
			c.OIDC.Issuer, c.OIDC.InsecureHTTP = "http://id.example.com", true
		}, warns: "oidc.issuer"},

		{name: "no client", change: client(""), key: "oidc.client_id"},
		{name: "space in the client", change: client("my app")},
		{name: "space before the client", change: client(" app"), key: "oidc.client_id"},
		{name: "space after the client", change: client("app "), key: "oidc.client_id"},
		{name: "two lines in one", change: client("app\nclient_secret:hush"), key: "oidc.client_id"},
		{name: "no ASCII", change: client("bücher"), key: "oidc.client_id"},
		{name: "public client", change: secretless(""), warns: "oidc.client_secret"},
		{name: "public client on purpose", change: secretless("none"), warns: "oidc.client_secret"},
		{name: "basic without secret", change: secretless("basic"), key: "oidc.client_secret"},
		{name: "post without secret", change: secretless("post"), key: "oidc.client_secret"},
		{name: "post", change: auth("post")},
		{name: "none with a secret", change: auth("none"), warns: "oidc.client_secret"},
		{name: "private_key_jwt without a key", change: byKey("private_key_jwt", "", ""), key: "oidc.client_key_file"},
		{name: "private_key_jwt", change: byKey("private_key_jwt", "client.key", "")},
		{name: "private_key_jwt with a certificate", change: byKey("private_key_jwt", "client.key", "client.crt")},
		{name: "private_key_jwt with a secret", change: func(c *Config) {
			byKey("private_key_jwt", "client.key", "")(c)
			c.OIDC.ClientSecret = "hush"
		}, warns: "oidc.client_secret"},
		{name: "key ID", change: func(c *Config) { byKey("private_key_jwt", "client.key", "")(c); c.OIDC.ClientKeyID = "key-1" }},
		{name: "key ID in two lines", change: func(c *Config) { byKey("private_key_jwt", "client.key", "")(c); c.OIDC.ClientKeyID = "key\n1" }, key: "oidc.client_key_id"},
		{name: "key ID without use", change: func(c *Config) { c.OIDC.ClientKeyID = "key-1" }, warns: "oidc.client_key_id"},
		{name: "mtls", change: byKey("mtls", "client.key", "client.crt")},
		{name: "mtls without a key", change: byKey("mtls", "", "client.crt"), key: "oidc.client_key_file"},
		{name: "mtls without a certificate", change: byKey("mtls", "client.key", ""), key: "oidc.client_cert_file"},
		{name: "key without use", change: func(c *Config) { c.OIDC.ClientKeyFile = "client.key" }, warns: "oidc.client_key_file"},
		{name: "certificate without use", change: func(c *Config) { c.OIDC.ClientCertFile = "client.crt" }, warns: "oidc.client_cert_file"},
		{name: "audience", change: func(c *Config) { c.OIDC.ClientAssertionAudience = "token_endpoint" }},
		{name: "unknown audience", change: func(c *Config) { c.OIDC.ClientAssertionAudience = "both" }, key: "oidc.client_assertion_audience"},
		{name: "pushed requests", change: func(c *Config) { c.OIDC.PAR = "on" }},
		{name: "unknown par", change: func(c *Config) { c.OIDC.PAR = "yes" }, key: "oidc.par"},
		{name: "unknown client_auth", change: auth("Basic"), key: "oidc.client_auth"},

		{name: "no scopes", change: scopes(), key: "oidc.scopes"},
		{name: "without openid", change: scopes("profile"), key: "oidc.scopes"},
		{name: "scopes in one", change: scopes("openid", "email profile"), key: "oidc.scopes[1]"},
		{name: "no groups claim", change: func(c *Config) { c.OIDC.GroupsClaim = nil }, key: "oidc.groups_claim"},
		{name: "parameter", change: parameter("kc_idp_hint")},
		{name: "an age that is no number", change: parameter("max_age"), key: "oidc.auth_params.max_age"},
		{name: "contexts that nobody checks", change: parameter("acr_values"), warns: "oidc.auth_params.acr_values"},
		{name: "our own parameter", change: parameter("redirect_uri"), key: "oidc.auth_params.redirect_uri"},
		{name: "nameless parameter", change: parameter(""), key: "oidc.auth_params.(unreadable name)"},
		{name: "form_post", change: func(c *Config) { c.OIDC.ResponseMode = "form_post" }},
		{name: "form_post on http", change: func(c *Config) {
			c.OIDC.ResponseMode, c.PublicURL = "form_post", "http://localhost"
		}, key: "oidc.response_mode"},
		{name: "fragment mode", change: func(c *Config) { c.OIDC.ResponseMode = "fragment" }, key: "oidc.response_mode"},
	})
}

func TestValidateStore(t *testing.T) {
	address := func(text string) func(*Config) { return func(c *Config) { c.Store.URL = StoreURL(text) } }
	prefix := func(text string) func(*Config) { return func(c *Config) { c.Store.Prefix = text } }
	timeout := func(d time.Duration) func(*Config) { return func(c *Config) { c.Store.Timeout = d } }
	checks := []check{
		{name: "memory", change: address("memory:"), warns: "store.url"},
		{name: "prefix with colon", change: prefix("prod:authsvc")},
		{name: "no prefix", change: prefix(""), key: "store.prefix"},
		{name: "prefix with space", change: prefix("a b"), key: "store.prefix"},
		{name: "prefix with tag", change: prefix("{a}"), key: "store.prefix"},
		{name: "prefix with star", change: prefix("a*"), key: "store.prefix"},
		{name: "prefix with slash", change: prefix("a/b"), key: "store.prefix"},
		{name: "prefix with control", change: prefix("a\x00"), key: "store.prefix"},
		{name: "as long as a verdict", change: timeout(135 * time.Millisecond)},
		{name: "longer than a verdict", change: timeout(136 * time.Millisecond), warns: "store.timeout"},
		{name: "longest timeout", change: timeout(2 * time.Second), warns: "store.timeout"},
		{name: "long timeout", change: timeout(2001 * time.Millisecond), key: "store.timeout"},
		{name: "no timeout", change: timeout(0), key: "store.timeout"},
		{name: "negative timeout", change: timeout(-time.Second), key: "store.timeout"},
	}
	for _, good := range []string{
		"redis://localhost", "redis://localhost/", "redis://localhost:6379/15", "redis://user:p%40ss@host", "redis://:pass@[::1]:6379",
		"rediss://host?ca_file=/a&cert_file=/b&key_file=/c&server_name=d", "unix:///run/redis.sock", "unix:///run/redis.sock?db=2", "unix://user:pass@/run/redis.sock",
		"redis+sentinel://a:26379,b,c/main", "redis+sentinel://u:p@a/main/3?sentinel_user=u&sentinel_password=p%26",
		"rediss+sentinel://a/main?ca_file=/a&sentinel_password=x", "redis+cluster://a:7000,b:7001", "rediss+cluster://u:p@a/?server_name=x",
	} {
		checks = append(checks, check{name: good, change: address(good)})
	}
	for _, bad := range []string{
		"", "localhost:6379", "redis:localhost", "http://localhost", "memory://", "redis://", "redis:///0", "redis://a,b", "redis://host:port", "redis://host:0",
		"redis://host/x", "redis://host/0/1", "redis://host/-1", "redis://ho st", "redis://u:p@w@host", "redis://u:p/w@host", "redis://u:p?w@host", "redis://u:p#w@host",
		"redis://u:p%w@host", "redis://host#x", "redis://host?x=1", "redis://host?ca_file=/a", "rediss://host?ca_file=", "rediss://host?ca_file=a&ca_file=b",
		"rediss://host?cert_file=a", "redis://host?db=0", "redis://host?%", "unix://run/redis.sock", "unix:///", "unix:///a?db=x", "redis+sentinel://a,b",
		"redis+sentinel://a//0", "redis+sentinel://,/main", "redis+cluster://a/0", "redis+sentinel://a/%", "unix:///a%", "redis+sentinel://a/main?sentinel_password=p@w", "redis+cluster://a?sentinel_user=x", "redis+unix:///a",
	} {
		checks = append(checks, check{name: bad, change: address(bad), key: "store.url"})
	}
	runChecks(t, checks)
}

// manySecrets are cookie secrets, no two of them the same.
func manySecrets(n int) (secrets []Secret) {
	for i := range n {
		secrets = append(secrets, cookieSecret(byte(i)))
	}
	return secrets
}

func TestValidateCookie(t *testing.T) {
	secrets := func(list ...Secret) func(*Config) { return func(c *Config) { c.Cookie.Secret = list } }
	scope := func(address, name, domain string) func(*Config) {
		return func(c *Config) { c.PublicURL, c.Cookie.Name, c.Cookie.Domain = address, name, domain }
	}
	sameSite := func(address, word string) func(*Config) {
		return func(c *Config) { c.PublicURL, c.Cookie.SameSite = address, word }
	}
	const https, http = "https://a.b.example.com", "http://a.localhost"
	runChecks(t, []check{
		{name: "two secrets", change: secrets(testSecret, otherTestSecret)},
		{name: "as many as may be", change: secrets(manySecrets(maxCookieSecrets)...)},
		{name: "too many", change: secrets(manySecrets(maxCookieSecrets + 1)...), key: "cookie.secret"},
		{name: "no secret", change: secrets(), key: "cookie.secret"},
		{name: "short secret", change: secrets("aHVzaA=="), key: "cookie.secret"},
		{name: "no base64", change: secrets("hush!"), key: "cookie.secret"},
		{name: "a second one is bad", change: secrets(testSecret, "hush!"), key: "cookie.secret[1]"},
		{name: "twice", change: secrets(testSecret, otherTestSecret, Secret(strings.TrimRight(testSecret, "="))), key: "cookie.secret[2]"},

		{name: "own name", change: scope(https, "sso", "")},
		{name: "host prefix", change: scope(https, "__Host-sso", "")},
		{name: "host prefix with domain", change: scope(https, "__host-sso", "example.com"), key: "cookie.name"},
		{name: "host prefix on http", change: scope(http, "__Host-sso", ""), key: "cookie.name"},
		{name: "secure prefix with domain", change: scope(https, "__Secure-sso", "b.example.com")},
		{name: "secure prefix on http", change: scope(http, "__SECURE-sso", ""), key: "cookie.name"},
		{name: "no token", change: scope(https, "a b", ""), key: "cookie.name"},
		{name: "long name", change: scope(https, strings.Repeat("a", 65), ""), key: "cookie.name"},
		{name: "name on http", change: scope(http, "", "")},

		{name: "domain with a dot", change: scope(https, "", ".Example.com")},
		{name: "the host itself", change: scope(https, "", "a.b.example.com")},
		{name: "a subdomain", change: scope(https, "", "x.a.b.example.com"), key: "cookie.domain"},
		{name: "another domain", change: scope(https, "", "ample.com"), key: "cookie.domain"},
		{name: "top level", change: scope(https, "", "com"), key: "cookie.domain"},
		{name: "public suffix", change: scope("https://a.co.uk", "", "co.uk"), key: "cookie.domain"},
		{name: "private suffix", change: scope("https://a.github.io", "", "github.io"), key: "cookie.domain"},
		{name: "single label", change: scope(http, "", "localhost"), key: "cookie.domain"},
		{name: "address", change: scope("https://192.0.2.1", "", "192.0.2.1"), key: "cookie.domain"},
		{name: "no host", change: scope(https, "", "https://example.com"), key: "cookie.domain"},

		{name: "none", change: sameSite(https, "none")},
		{name: "none on http", change: sameSite(http, "none"), key: "cookie.same_site"},
		{name: "strict", change: sameSite(https, "strict"), key: "cookie.same_site"},
		{name: "no word", change: sameSite(https, "Lax"), key: "cookie.same_site"},
	})
}

func TestDefaultCookieName(t *testing.T) {
	for _, test := range []struct{ address, domain, want string }{
		{"https://a.example.com", "", "__Host-authsvc"},
		{"HTTPS://a.example.com", "", "__Host-authsvc"},
		{"https://a.example.com", "example.com", "__Secure-authsvc"},
		{"http://a.example.com", "", "authsvc"},
		{"http://a.example.com", "example.com", "authsvc"},
	} {
		if got := defaultCookieName(test.address, test.domain); got != test.want {
			t.Errorf("%s with %q: got %s, want %s", test.address, test.domain, got, test.want)
		}
	}
}
