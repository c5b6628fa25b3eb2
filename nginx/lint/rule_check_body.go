package lint

// findCheckBody finds checks that announce the visitor's body.
//
// nginx never sends a body with the check, but without Content-Length "" it sends the visitor's Content-Length: the service
// waits for bytes that do not come, and every upload and form hangs.
func findCheckBody(s *server, found report) {
	s.eachCheck(func(l *location, by *directive) {
		if d := requestHeaders(l.directive)["content-length"]; d == nil || d.last() != "" {
			found(by, Error, "the check keeps the visitor's Content-Length",
				"its body is not sent, so the service waits for it and every form and upload hangs, then ends in 500",
				`add proxy_set_header Content-Length "";`)
		}
		if l.on("proxy_pass_request_body", true) {
			found(by, Warning, "the check is meant to carry the visitor's body",
				"authsvc reads none, and bytes of it on the connection to a service cost time at best",
				"add proxy_pass_request_body off;")
		}
	})
}
