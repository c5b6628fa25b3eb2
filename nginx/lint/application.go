package lint

import "strings"

// application is a block of a protected location that hands requests to an application.
type application struct {
	*location
	scope   *directive
	by      *directive            // its pass
	headers map[string]*directive // what it sets, by lower-case name
	told    []string              // those that come from the verdict
	unset   []*directive          // those that are meant to, and stay empty
}

// applications returns the blocks that hand requests to an application over HTTP.
func (s *server) applications() []application {
	var all []application
	s.protected(func(l *location, _ *directive) {
		for _, scope := range l.scopes() {
			by := pass(scope)
			if by == nil || by.name != "proxy_pass" && by.name != "grpc_pass" || scope.name == "limit_except" || s.asksService(scope) {
				continue
			}
			a := application{location: l, scope: scope, by: by, headers: requestHeaders(scope)}
			for name, d := range a.headers {
				sources := s.sourcesAt(scope, d.last())
				if _, ok := anyOf(sources, fromVerdict+"*"); ok {
					a.told = append(a.told, name)
				} else if _, ok := anyOf(sources, neverSet+"*"); ok {
					a.unset = append(a.unset, d)
				}
			}
			all = append(all, a)
		}
	})
	return all
}

// isIdentity tells whether applications read who asks from a header of this lower-case name.
func (s *server) isIdentity(name string) bool {
	if strings.HasSuffix(name, "-redirect") || strings.HasSuffix(name, "-token") {
		return false
	}
	for _, header := range s.headers {
		if strings.EqualFold(header, name) {
			return true
		}
	}
	for _, prefix := range []string{"x-auth-request-", "remote-", "x-remote-", "x-vouch-", "x-authentik-", "x-webauth-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for _, word := range []string{"user", "username", "email", "groups", "preferred-username"} {
		if name == "x-"+word || name == "x-forwarded-"+word {
			return true
		}
	}
	return false
}
