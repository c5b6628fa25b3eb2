package lint

// findInterceptErrors finds answers that proxy_intercept_errors takes for nginx's own.
func findInterceptErrors(s *server, found report) {
	s.eachCheck(func(l *location, _ *directive) {
		if !l.on("proxy_intercept_errors", false) {
			return
		}
		for _, code := range []string{"401", "403"} {
			if page, ok := errorPageFor(l.directive, code); ok {
				_, at := l.setting("proxy_intercept_errors", "off")
				found(at, Error, "proxy_intercept_errors on for the check, with "+page.text(),
					"the refusal is replaced before auth_request sees it: the visitor gets 500 instead of the login, or with 2xx passes",
					"write proxy_intercept_errors off; in the check's location")
				return
			}
		}
	})
	s.protected(func(l *location, _ *directive) {
		for _, scope := range l.scopes() {
			at := scope.inherited("proxy_intercept_errors")
			if pass(scope) == nil || !scope.on("proxy_intercept_errors", false) || s.asksService(scope) {
				continue
			}
			for _, code := range []string{"401", "500"} {
				if page, ok := errorPageFor(scope, code); ok {
					found(at[0], Warning, "proxy_intercept_errors on where "+page.text()+" counts",
						"the application's own "+code+" is taken for the check's, so its scripts are sent to the login or its faults shown as ours",
						"write proxy_intercept_errors off; where auth_request counts")
					break
				}
			}
		}
		if at := l.inherited("recursive_error_pages"); l.on("recursive_error_pages", false) {
			if page, ok := errorPageFor(l.directive, "401"); ok {
				found(at[0], Warning, "recursive_error_pages on where "+page.text()+" counts",
					"a 401 of the error page itself starts the error page anew, ten times, and ends in 500",
					"write recursive_error_pages off; where auth_request counts")
			}
		}
	})
}
