package authsvc

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Validate tells everything that is wrong with the configuration, and what is worth a warning. It is a pure
// function of a configuration on which [Config.Complete] has been called: it opens no file and touches no network.
// After [Load] every problem has the place of its key.
func (c *Config) Validate() (problems, warnings []Problem) {
	v := &validator{c: c, origins: c.origins}
	v.site()
	v.sites()
	return v.problems, v.warnings
}

// site checks the configuration of one site, which is a whole one.
func (v *validator) site() {
	v.words()
	v.later()
	v.publicURL()
	v.listeners()
	v.trustedProxies()
	v.providers()
	v.store()
	v.cookieSecrets()
	v.cookieScope()
	v.session()
	v.redirect()
	v.limits()
	v.headers()
	v.rules("rules", v.c.Rules, v.c.OIDC.GroupsClaim)
	v.bearer()
	v.remaining()
}

// validator collects what is wrong with c.
type validator struct {
	c                  *Config
	origins            origins
	problems, warnings []Problem
}

func (v *validator) wrong(key, wrong, right string) {
	v.problems = append(v.problems, v.origins.place(Problem{Key: key, Wrong: wrong, Right: right}))
}

func (v *validator) warn(key, wrong, right string) {
	v.warnings = append(v.warnings, v.origins.place(Problem{Key: key, Wrong: wrong, Right: right}))
}

// within checks a part of the configuration as if it were a whole one, whose keys have other names here. What is wrong here already is not told
// again.
func (v *validator) within(c *Config, rename func(key string) string, check func(*validator)) {
	part := &validator{c: c}
	check(part)
	isTold := func(told []Problem, p Problem) bool {
		if _, set := v.origins.of[rename(p.Key)]; set {
			return false
		}
		return slices.ContainsFunc(told, func(t Problem) bool { return t.Key == p.Key && t.Wrong == p.Wrong })
	}
	before, warnedBefore := slices.Clone(v.problems), slices.Clone(v.warnings)
	for _, p := range part.problems {
		if !isTold(before, p) {
			v.wrong(rename(p.Key), p.Wrong, p.Right)
		}
	}
	for _, w := range part.warnings {
		if !isTold(warnedBefore, w) {
			v.warn(rename(w.Key), w.Wrong, w.Right)
		}
	}
}

// words checks the keys that take one of a few words.
func (v *validator) words() {
	for _, k := range keys {
		if k.Values == nil || len(v.c.Providers) > 0 && within(k.Path, "oidc") {
			continue
		}
		word := k.value(reflect.ValueOf(v.c).Elem()).String()
		switch {
		case k.Path == "cookie.same_site" && word == "strict":
			v.wrong(k.Path, "with strict the cookie is missing whenever a link on another site, or the provider after a login, leads here", "write lax")
		case !slices.Contains(k.Values, word):
			v.wrong(k.Path, quote(word)+" is not one of its words", "write "+alternatives(k.Values))
		}
	}
}

// alternatives joins words as people do: a, b or c.
func alternatives(words []string) string {
	last := len(words) - 1
	if last == 0 {
		return words[0]
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// later refuses keys that this version understands but does not follow: a rule that nobody enforces would be a hole.
func (v *validator) later() {
	for _, k := range keys {
		if k.Later && !k.isDefault(reflect.ValueOf(v.c).Elem()) {
			v.wrong(k.Path, "has no effect in this version", "remove it")
		}
	}
}

// duration checks that a duration is within its bounds, both of them allowed.
func (v *validator) duration(key string, value, least, most time.Duration) bool {
	switch {
	case value < least && least == 0:
		v.wrong(key, "is negative", "write 0 or more")
	case value < least:
		v.wrong(key, formatDuration(value)+" is too short", "write at least "+formatDuration(least))
	case value > most:
		v.wrong(key, formatDuration(value)+" is too long", "write at most "+formatDuration(most))
	default:
		return true
	}
	return false
}

const (
	// maxStoreTimeout is a little of the time that a person waits for a login, which asks the store several times.
	maxStoreTimeout = 2 * time.Second
	// maxRefreshWait stays below the time that gateways wait for a verdict.
	maxRefreshWait = 30 * time.Second
	// maxCookieAge is how long browsers keep a cookie at most (RFC 6265bis, section 5.5).
	maxCookieAge = 400 * 24 * time.Hour
	maxShutdown  = time.Hour
	century      = 100 * 365 * 24 * time.Hour
)

func (v *validator) session() {
	s := v.c.Session
	idle := v.duration("session.idle_timeout", s.IdleTimeout, time.Second, century)
	absolute := v.duration("session.absolute_timeout", s.AbsoluteTimeout, time.Second, century)
	if idle && absolute && s.IdleTimeout > s.AbsoluteTimeout {
		v.wrong("session.idle_timeout", fmt.Sprintf("%s is longer than session.absolute_timeout, %s", formatDuration(s.IdleTimeout), formatDuration(s.AbsoluteTimeout)), "make it the shorter one")
	}
	if absolute && s.AbsoluteTimeout > maxCookieAge {
		v.warn("session.absolute_timeout", formatDuration(s.AbsoluteTimeout)+" is longer than browsers keep a cookie", "sessions end after 400 days at the latest")
	}
	v.duration("session.refresh_before", s.RefreshBefore, 0, century)
	v.duration("session.refresh_wait", s.RefreshWait, 0, maxRefreshWait)
	if s.UserinfoInterval != 0 {
		v.duration("session.userinfo_interval", s.UserinfoInterval, time.Second, century)
	}
	v.duration("session.cache_ttl", s.CacheTTL, 0, century)
	v.duration("session.serve_stale", s.ServeStale, 0, century)
	if s.CacheTTL == 0 && s.ServeStale > 0 {
		v.wrong("session.serve_stale", "serves from the cache, which session.cache_ttl turns off", "write a session.cache_ttl, or 0 here")
	}
	if s.RefreshLimit < 1 {
		v.wrong("session.refresh_limit", "lets nobody refresh", "write 1 or more")
	}
	if s.MaxPerUser < 0 {
		v.wrong("session.max_per_user", "is negative", "write the number of sessions that a user keeps, or 0 for no cap")
	}
}

// limits checks what one address may ask for, and that addresses can be told apart.
func (v *validator) limits() {
	const key = "limits.logins_per_minute"
	if n := v.c.Limits.LoginsPerMinute; n < 0 {
		v.wrong(key, "is negative", "write the number of logins that one address may begin in a minute, or 0 for any number")
	} else if n > 0 && isOpenToOthers(v.c.Listen) && !slices.ContainsFunc(v.c.TrustedPrefixes(), func(n netip.Prefix) bool { return !n.Addr().IsLoopback() }) {
		v.warn(key, "counts everybody as one behind a gateway on another machine, since trusted_proxies does not list it", "list the gateway's network in trusted_proxies; leave it where browsers come without one")
	}
}

// remaining checks the keys that stand alone.
func (v *validator) remaining() {
	v.duration("shutdown.delay", v.c.Shutdown.Delay, 0, maxShutdown)
	v.duration("shutdown.timeout", v.c.Shutdown.Timeout, 0, maxShutdown)
	if v.c.ConfigGeneration < 0 {
		v.wrong("config_generation", "is negative", "write 0 or more, and more with each change that is meant")
	}
}
