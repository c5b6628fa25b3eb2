package lint

import "strings"

// findKeepalive finds checks that open a connection for every verdict.
func findKeepalive(s *server, found report) {
	s.eachCheck(func(l *location, by *directive) {
		to := s.passed(l.directive)
		var missing []string
		switch upstream := s.upstream(to); {
		case upstream == nil && strings.Contains(to.host, "$"):
			missing = append(missing, "an upstream{} with keepalive instead of a variable")
		case upstream == nil:
			missing = append(missing, "an upstream{} with keepalive")
		case upstream.own("keepalive") == nil:
			missing = append(missing, "keepalive 32; in upstream "+to.host)
		}
		if version, _ := l.setting("proxy_http_version", "1.0"); version == "1.0" {
			missing = append(missing, "proxy_http_version 1.1;")
		}
		if d := requestHeaders(l.directive)["connection"]; d == nil || d.last() != "" {
			missing = append(missing, `proxy_set_header Connection "";`)
		}
		if len(missing) > 0 {
			found(by, Warning, "the check opens a connection for every verdict",
				"that is half of what a verdict costs, and ports run out under load",
				"add "+strings.Join(missing, ", "))
		}
	})
}
