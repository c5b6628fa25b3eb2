package lint

import "strings"

// findCookieRelay finds cookies of the check that are passed on to the browser, as other services need it.
func findCookieRelay(s *server, found report) {
	look := func(d *directive) bool {
		if d.name == "add_header" && strings.EqualFold(d.arg(0), "Set-Cookie") {
			if _, ok := anyOf(s.sources(d.arg(1)), fromVerdict+"upstream_http_set_cookie", fromVerdict+"upstream_cookie_*"); ok {
				found(d, Info, "cookies of the check are passed on",
					"authsvc never sends one there: the cookie of a session does not change",
					"remove it, with its auth_request_set, once no other service answers the check")
			}
		}
		return true
	}
	s.walk(look)
	for _, d := range s.inherited("add_header") {
		look(d)
	}
}
