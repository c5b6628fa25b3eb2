package lint

import (
	"slices"
	"strings"
	"time"
)

// cached returns the proxy_cache that counts in a block, nil without one.
func cached(scope *directive) *directive {
	if zone, at := scope.setting("proxy_cache", "off"); zone != "off" {
		return at
	}
	return nil
}

// cacheKey returns what a block's cache key depends on, and the directive to point at.
func (s *server) cacheKey(scope, cache *directive) ([]string, *directive) {
	key, at := scope.setting("proxy_cache_key", "$scheme$proxy_host$request_uri")
	if at == nil {
		at = cache
	}
	return s.inputs(key), at
}

// findCacheKey finds caches of verdicts whose key lacks what the verdict depends on. Without the cookie in it the first
// visitor's verdict, and his identity, is everyone's.
func findCacheKey(s *server, found report) {
	s.eachCheck(func(l *location, _ *directive) {
		cache := cached(l.directive)
		if cache == nil {
			return
		}
		key, at := s.cacheKey(l.directive, cache)
		if _, ok := anyOf(key, "http_cookie", "cookie_*"); !ok {
			found(at, Error, "the cache of verdicts has a key without the cookie",
				"one person's verdict, with his identity, is given to the next, signed in or not",
				"put $http_cookie and $http_authorization into proxy_cache_key")
			return
		}
		var missing []string
		for _, part := range []struct {
			right string
			any   []string
		}{
			{"$http_authorization", []string{"http_authorization"}},
			{"$http_host", []string{"http_host", "host", "server_name"}},
			{"$request_uri", []string{"request_uri"}},
			{"$request_method", []string{"request_method"}},
		} {
			if _, ok := anyOf(key, part.any...); !ok {
				missing = append(missing, part.right)
			}
		}
		if len(missing) > 0 {
			found(at, Warning, "the cache of verdicts has a key without "+strings.Join(missing, ", "),
				"with bearer tokens, several sites, or rules on paths and methods, a verdict on one request serves another",
				"add them, or say in an ignore comment that the configuration has none of these")
		}
	})
}

// findCacheRefusal finds caches that keep refusals: whoever signs in is refused until they expire.
func findCacheRefusal(s *server, found report) {
	s.eachCheck(func(l *location, _ *directive) {
		if cached(l.directive) == nil {
			return
		}
		valid := l.inherited("proxy_cache_valid")
		if valid == nil {
			found(cached(l.directive), Warning, "no proxy_cache_valid for the cache of verdicts",
				"what is kept, and for how long, is up to the headers of each answer; verdicts have none, so the cache does nothing",
				"write proxy_cache_valid 200 1s;")
		}
		for _, d := range valid {
			codes := d.args[:max(0, len(d.args)-1)]
			for _, code := range []string{"any", "401", "403", "500", "503"} {
				if slices.Contains(codes, code) {
					found(d, Error, "proxy_cache_valid keeps verdicts of "+code,
						"someone who has just signed in, or whose store is back, is refused until they expire; only the no-store of authsvc prevents it",
						"write proxy_cache_valid 200 1s; alone")
					break
				}
			}
		}
		for _, d := range l.inherited("proxy_ignore_headers") {
			if slices.ContainsFunc(d.args, func(name string) bool { return strings.EqualFold(name, "Cache-Control") }) {
				found(d, Error, "the cache of verdicts ignores Cache-Control",
					"refusals carry no-store so that no cache keeps them",
					"remove Cache-Control from proxy_ignore_headers")
			}
		}
		for _, d := range l.inherited("proxy_cache_use_stale") {
			if d.arg(0) != "off" {
				found(d, Error, "the cache of verdicts serves stale ones",
					"a verdict of before the logout lets in for as long as the service is down",
					"write proxy_cache_use_stale off;")
			}
		}
	})
}

// findCacheTime finds caches that let in for long after a logout.
func findCacheTime(s *server, found report) {
	const longest = 5 * time.Second
	s.eachCheck(func(l *location, _ *directive) {
		if cached(l.directive) == nil {
			return
		}
		for _, d := range l.inherited("proxy_cache_valid") {
			if kept, ok := parseTime(d.last()); ok && kept > longest {
				found(d, Warning, "verdicts are kept for "+d.last(),
					"a logout, and a role that is taken away, come into force that much later",
					"write proxy_cache_valid 200 1s; which takes nearly as much load away")
			}
		}
	})
}

// findCachePage finds caches of protected pages whose key knows no person.
func findCachePage(s *server, found report) {
	s.protected(func(l *location, _ *directive) {
		for _, scope := range l.scopes() {
			by := pass(scope)
			if by == nil || by.name != "proxy_pass" || s.asksService(scope) {
				continue
			}
			cache := cached(scope)
			if cache == nil {
				continue
			}
			key, at := s.cacheKey(scope, cache)
			if _, ok := anyOf(key, "http_cookie", "cookie_*", "http_authorization", fromVerdict+"*"); !ok {
				found(at, Warning, "protected pages are cached under a key without the person",
					"everyone who is signed in may get the page that was made for someone else",
					"put an identity variable of auth_request_set into proxy_cache_key, or write proxy_cache off;")
			}
		}
	})
}
