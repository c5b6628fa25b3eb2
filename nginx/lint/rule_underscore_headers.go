package lint

// findUnderscoreHeaders finds servers that let header names through which many applications read as others.
//
// X_Auth_Request_User and X.Auth.Request.User become HTTP_X_AUTH_REQUEST_USER in CGI, WSGI and Rack, where the one that
// nginx has set is called the same (CVE-2025-64484).
func findUnderscoreHeaders(s *server, found report) {
	for _, setting := range []struct {
		name      string
		on, wrong bool
		bad, good string
	}{
		{name: "underscores_in_headers", on: false, wrong: true, bad: "on", good: "off"},
		{name: "ignore_invalid_headers", on: true, wrong: false, bad: "off", good: "on"},
	} {
		if s.on(setting.name, setting.on) != setting.wrong {
			continue
		}
		_, at := s.setting(setting.name, "")
		found(at, Error, setting.name+" "+setting.bad,
			"a visitor's X_Auth_Request_User passes beside the header that nginx sets, and many applications read both as one",
			"write "+setting.name+" "+setting.good+";")
	}
}
