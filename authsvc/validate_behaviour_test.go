package authsvc

import (
	"strings"
	"testing"
	"time"
)

func TestValidateSession(t *testing.T) {
	set := func(change func(*Session)) func(*Config) { return func(c *Config) { change(&c.Session) } }
	runChecks(t, []check{
		{name: "idle is absolute", change: set(func(s *Session) { s.IdleTimeout = s.AbsoluteTimeout })},
		{name: "idle is longer", change: set(func(s *Session) { s.IdleTimeout = 13 * time.Hour }), key: "session.idle_timeout"},
		{name: "no idle", change: set(func(s *Session) { s.IdleTimeout = 0 }), key: "session.idle_timeout"},
		{name: "no absolute", change: set(func(s *Session) { s.AbsoluteTimeout = 0 }), key: "session.absolute_timeout"},
		{name: "very long", change: set(func(s *Session) { s.AbsoluteTimeout = 401 * 24 * time.Hour }), warns: "session.absolute_timeout"},
		{name: "zeros", change: set(func(s *Session) { s.RefreshBefore, s.RefreshWait, s.CacheTTL = 0, 0, 0 })},
		{name: "negative refresh_before", change: set(func(s *Session) { s.RefreshBefore = -1 }), key: "session.refresh_before"},
		{name: "negative refresh_wait", change: set(func(s *Session) { s.RefreshWait = -1 }), key: "session.refresh_wait"},
		{name: "long refresh_wait", change: set(func(s *Session) { s.RefreshWait = time.Minute }), key: "session.refresh_wait"},
		{name: "negative cache_ttl", change: set(func(s *Session) { s.CacheTTL = -1 }), key: "session.cache_ttl"},
		{name: "max_per_user", change: set(func(s *Session) { s.MaxPerUser = 1 })},
		{name: "negative max_per_user", change: set(func(s *Session) { s.MaxPerUser = -1 }), key: "session.max_per_user"},
		{name: "userinfo_interval", change: set(func(s *Session) { s.UserinfoInterval = 1 }), key: "session.userinfo_interval"},
		{name: "negative serve_stale", change: set(func(s *Session) { s.ServeStale = -1 }), key: "session.serve_stale"},
		{name: "serve_stale without a cache", change: set(func(s *Session) { s.CacheTTL, s.ServeStale = 0, time.Minute }), key: "session.serve_stale"},
		{name: "serve_stale", change: set(func(s *Session) { s.ServeStale = time.Minute })},
		{name: "no refresh at all", change: set(func(s *Session) { s.RefreshLimit = 0 }), key: "session.refresh_limit"},
	})
}

func TestValidateRedirect(t *testing.T) {
	host := func(entry string) func(*Config) {
		return func(c *Config) { c.Redirect.AllowedHosts = []string{entry} }
	}
	target := func(address string) func(*Config) {
		return func(c *Config) {
			c.Redirect.AllowedHosts, c.Redirect.Default = []string{"*.example.org"}, address
		}
	}
	var checks []check
	for _, good := range []string{"a.example.com", "a.example.com:8080", "a.example.com:*", ".example.com", "*.example.com", "*.example.com:8443", ".example.com:*", "192.0.2.1", "[::1]:8080"} {
		checks = append(checks, check{name: "host " + good, change: host(good)})
	}
	for _, bad := range []string{"*", ".", "*.", "**.example.com", "a.*.com", "https://a.example.com", "a.example.com/x", "a.example.com:", "a.example.com:0", "a b", "a@b", "a.example.com:80:80"} {
		checks = append(checks, check{name: "host " + bad, change: host(bad), key: "redirect.allowed_hosts[0]"})
	}
	for _, good := range []string{"/", "/a?b=c#d", "https://app.example.com/", "https://x.example.org/a"} {
		checks = append(checks, check{name: "default " + good, change: target(good)})
	}
	for _, bad := range []string{"", "a", "//a", `/\a`, "https://example.net/", "javascript:alert(1)", "/oauth2/logout", "https://app.example.com:8443/"} {
		checks = append(checks, check{name: "default " + bad, change: target(bad), key: "redirect.default"})
	}
	runChecks(t, checks)
}

func TestValidateHeaders(t *testing.T) {
	set := func(name, claim string) func(*Config) {
		return func(c *Config) { c.Headers[name] = Header{Claim: claim} }
	}
	checks := []check{
		{name: "claim", change: set("X-Role", "realm_access.roles")},
		{name: "token", change: set("X-Auth-Request-Access-Token", "@access_token")},
		{name: "groups elsewhere", change: set("X-Forwarded-Groups", "@groups")},
		{name: "assertion", change: set("X-Auth-Request-Jwt", "@assertion")},
		{name: "unknown @", change: set("X-A", "@b"), key: "headers.X-A"},
		{name: "space in front", change: set("X-A", " b"), key: "headers.X-A"},
		{name: "many", change: func(c *Config) {
			for i := range 40 {
				c.Headers["X-"+strings.Repeat("A", i+1)] = Header{Claim: "a"}
			}
		}, key: "headers"},
	}
	for _, name := range []string{"Connection", "Set-Cookie", "Content-Length", "Location", "Transfer-Encoding", "Cookie", "X-Forwarded-Host", "X-Original-Url",
		"X-Accel-Redirect", "Access-Control-Allow-Origin", "Retry-After", "Cache-Control", "X-Auth-Login-Url", "X-Request-Id", "X_Auth_Request_User"} {
		checks = append(checks, check{name: name, change: set(name, "sub"), key: "headers." + name})
	}
	for _, name := range []string{"", "X A", "X:A", "X-Ä", "X\r\nA"} {
		checks = append(checks, check{name: "bad name " + name, change: set(name, "sub"), key: "headers.(unreadable name)"})
	}
	runChecks(t, checks)
}

func TestValidateTheRest(t *testing.T) {
	runChecks(t, []check{
		{name: "log level", change: func(c *Config) { c.Log.Level = "loud" }, key: "log.level"},
		{name: "log format", change: func(c *Config) { c.Log.Format = "xml" }, key: "log.format"},
		{name: "no shutdown", change: func(c *Config) { c.Shutdown = Shutdown{} }},
		{name: "negative delay", change: func(c *Config) { c.Shutdown.Delay = -1 }, key: "shutdown.delay"},
		{name: "long timeout", change: func(c *Config) { c.Shutdown.Timeout = 2 * time.Hour }, key: "shutdown.timeout"},
		{name: "logins", change: func(c *Config) { c.Limits.LoginsPerMinute = 60 }},
		{name: "negative logins", change: func(c *Config) { c.Limits.LoginsPerMinute = -1 }, key: "limits.logins_per_minute"},
		{name: "logins of an unknown gateway", change: func(c *Config) { c.Limits.LoginsPerMinute, c.Listen = 60, ":4180" }, warns: "limits.logins_per_minute"},
		{name: "logins of a known gateway", change: func(c *Config) {
			c.Limits.LoginsPerMinute, c.Listen, c.TrustedProxies = 60, ":4180", []string{"10.0.0.0/8"}
		}},
		{name: "logins of a local gateway", change: func(c *Config) { c.Limits.LoginsPerMinute, c.Listen = 60, "unix:/run/a" }},
		{name: "generation", change: func(c *Config) { c.ConfigGeneration = 3 }},
		{name: "negative generation", change: func(c *Config) { c.ConfigGeneration = -1 }, key: "config_generation"},
		{name: "a rule", change: func(c *Config) { c.Rules = []Rule{{}} }},
		{name: "no rules", change: func(c *Config) { c.Rules = []Rule{} }},
		{name: "cutover", change: func(c *Config) { c.Legacy.Cutover = true }, key: "legacy.cutover"},
	})
}
