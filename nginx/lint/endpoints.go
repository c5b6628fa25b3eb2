package lint

import (
	"slices"
	"strings"
)

// endpoints are the paths, below the prefix, that a signed-out visitor or the provider asks for.
var endpoints = []string{"start", "sign_in", "callback", "logout", "signed_out", "backchannel-logout"}

// isEndpoint tells whether a location, other than the one for everything, takes one of the login's paths.
func (s *server) isEndpoint(l *location) bool {
	return l.path != "/" && slices.ContainsFunc(endpoints, func(name string) bool { return s.locate(s.prefix+"/"+name) == l })
}

// findPrefix takes the prefix from the address that the first check asks: the part before /auth.
func (s *server) findPrefix(options Options) {
	if options.Prefix != nil {
		if s.prefix = strings.Trim(*options.Prefix, "/"); s.prefix != "" {
			s.prefix = "/" + s.prefix
		}
		return
	}
	for _, c := range s.checks {
		path := c.uri
		if c.apart() {
			if asked, _, _ := strings.Cut(s.passed(c.at.directive).path, "?"); asked != "" {
				path = asked
			}
		}
		if prefix, ok := strings.CutSuffix(path, "/auth"); ok {
			s.prefix = prefix
			return
		}
	}
}
