package lint

import (
	"fmt"
	"strings"
)

// findLoginProxied finds an error_page for 401 that hands the refused request to an application, or makes the refusal look
// like success.
//
// The application then answers with its own status and sees the refused request, without identity (CVE-2026-24513:
// a backend for error pages turned 401 into 200).
func findLoginProxied(s *server, found report) {
	s.protected(func(l *location, _ *directive) {
		page, ok := errorPageFor(l.directive, "401")
		if !ok || strings.Contains(page.to, "://") || strings.HasPrefix(page.to, "$") {
			return
		}
		if strings.HasPrefix(page.response, "=2") {
			found(page.directive, Error, fmt.Sprintf("%q shows the refusal as success", page.text()),
				"scripts, caches and uploads take the login page for the answer",
				"write error_page 401 = @login; with return 302 in it")
		}
		to := s.target(page.to)
		if to == nil {
			return
		}
		if auth(to.directive) != nil && !to.answers() {
			found(page.directive, Error, fmt.Sprintf("%q leads to location %s, which asks for a verdict too", page.text(), to.path),
				"it is refused like the page before, so a signed-out visitor gets a bare 401 and never sees the login",
				"redirect with return, which asks nobody, or say auth_request off there")
			return
		}
		if pass(to.directive) == nil {
			return
		}
		if s.asksService(to.directive) {
			found(page.directive, Warning, fmt.Sprintf("%q puts the login in place of the page", page.text()),
				"the login does not learn the page's address to come back to, and scripts get its answer instead of a 401",
				"redirect instead: error_page 401 = @login; with return 302 to the address in X-Auth-Login-Url")
			return
		}
		found(page.directive, Error, fmt.Sprintf("%q hands refused requests to an application", page.text()),
			"it sees them without a verdict, with headers as the visitor sent them, and its own status is what he gets",
			"redirect instead: error_page 401 = @login; with return 302 to the address in X-Auth-Login-Url")
	})
}
