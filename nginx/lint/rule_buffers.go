package lint

import "fmt"

// findBuffers finds buffers that are smaller than what has to fit. The headers of a verdict are at most 3.5 KB; /logout carries
// an ID token in its Location; a callback's address has about 2 KB of state besides the provider's code.
func findBuffers(s *server, found report) {
	small := func(scope *directive, name, otherwise string, part int, need int64) (*directive, string) {
		at := scope
		text := otherwise
		if settings := scope.inherited(name); settings != nil {
			at, text = settings[0], settings[0].arg(part)
		}
		if size, ok := parseSize(text); ok && size < need {
			return at, text
		}
		return nil, ""
	}
	s.eachCheck(func(l *location, _ *directive) {
		if at, size := small(l.directive, "proxy_buffer_size", "4k", 0, 4<<10); at != nil {
			found(at, Error, "proxy_buffer_size "+size+" for the check",
				"the headers of a verdict may take 3.5 KB; where they do not fit, every request of that person ends in 500",
				"set proxy_buffer_size 8k; there")
		}
	})
	if l := s.locate(s.prefix + "/logout"); l != nil && s.asksService(l.directive) && !s.isCheck(l) {
		if at, size := small(l.directive, "proxy_buffer_size", "4k", 0, 8<<10); at != nil {
			found(at, Warning, fmt.Sprintf("proxy_buffer_size %s for %s/logout", size, s.prefix),
				"its redirect carries the ID token, which for some people does not fit; they get 502 when they sign out",
				"set proxy_buffer_size 16k; and proxy_buffers 8 16k; in the location of the login's endpoints")
		}
	}
	if at, size := small(s.directive, "large_client_header_buffers", "8k", 1, 8<<10); at != nil {
		found(at, Warning, "large_client_header_buffers of "+size,
			"a callback's address and the cookies of a site do not always fit, and nginx answers 400 or 414 before anyone is asked",
			"leave the default, 4 8k")
	}
}
