package lint

import (
	"slices"
	"strings"
)

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
