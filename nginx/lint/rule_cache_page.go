package lint

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
