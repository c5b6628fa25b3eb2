package lint

import (
	"fmt"
	"strings"
)

// findIdentityFromClient finds identity headers that are filled from the request.
func findIdentityFromClient(s *server, found report) {
	look := func(d *directive) bool {
		if d.name != "proxy_set_header" && d.name != "grpc_set_header" && d.name != "auth_request_set" {
			return true
		}
		name := strings.ToLower(d.arg(0))
		if d.name != "auth_request_set" && !s.isIdentity(name) {
			return true
		}
		source, ok := anyOf(s.sources(d.last()), "http_*", "arg_*", "cookie_*")
		if ok && source != "http_host" && source != "http_cookie" {
			found(d, Error, fmt.Sprintf("%s holds $%s", d.arg(0), source),
				"the visitor writes it, so he is whoever he says",
				"take it from the verdict: auth_request_set $user $upstream_http_x_auth_request_user;")
		}
		return true
	}
	s.walk(look)
	for _, name := range []string{"proxy_set_header", "auth_request_set"} {
		for _, d := range s.inherited(name) {
			look(d)
		}
	}
}
