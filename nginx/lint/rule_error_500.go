package lint

import (
	"fmt"
	"strings"
)

// findError500 finds protected locations where an outage of the check looks like a fault of the application.
//
// auth_request turns everything but 2xx, 401 and 403 into 500: a dead replica, a timeout, and the 503 that authsvc
// answers when nobody can tell.
func findError500(s *server, found report) {
	const fix = "write error_page 500 =503 @unavailable; with return 503 and Retry-After in it"
	s.protected(func(l *location, by *directive) {
		page, ok := errorPageFor(l.directive, "500")
		switch {
		case !ok:
			found(by, Warning, "no error_page for 500 where the check may fail",
				"when nobody can tell who asks, people see 500 Internal Server Error, and no client knows that it may try again", fix)
		case page.response == "":
			found(page.directive, Warning, fmt.Sprintf("%q keeps the 500 of a check that failed", page.text()),
				"no client, monitor or balancer knows that it may try again", fix)
		case strings.HasPrefix(page.response, "=2") || strings.HasPrefix(page.response, "=3"):
			found(page.directive, Error, fmt.Sprintf("%q shows a check that failed as %s", page.text(), page.response[1:]),
				"clients and caches take it for an answer; a redirect to the login signs people out at every outage", fix)
		}
	})
}
