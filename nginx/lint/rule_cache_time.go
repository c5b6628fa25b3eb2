package lint

import "time"

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
