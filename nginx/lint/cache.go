package lint

// cached returns the proxy_cache that counts in a block, nil without one.
func cached(scope *directive) *directive {
	if zone, at := scope.setting("proxy_cache", "off"); zone != "off" {
		return at
	}
	return nil
}

// cacheKey returns what a block's cache key holds, and the directive to point at.
func (s *server) cacheKey(scope, cache *directive) ([]string, *directive) {
	key, at := scope.setting("proxy_cache_key", "$scheme$proxy_host$request_uri")
	if at == nil {
		at = cache
	}
	return s.sources(key), at
}
