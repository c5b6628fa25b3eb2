package lint

import "strings"

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
