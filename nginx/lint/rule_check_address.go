package lint

// findCheckAddress finds checks whose address holds what the visitor sent. Within a subrequest $uri and $args are its own;
// $request_uri is the visitor's.
func findCheckAddress(s *server, found report) {
	s.eachCheck(func(l *location, by *directive) {
		if name, ok := anyOf(s.sources(by.arg(0)), "request_uri", "request", "host", "http_*", "cookie_*", "request_body"); ok {
			found(by, Error, "the address of the check holds $"+name+", which the visitor writes",
				"he can make it another endpoint or another host, and any 2xx lets him in",
				"write the address out: proxy_pass http://authsvc; and pass what was asked in X-Original-URL")
		}
	})
}
