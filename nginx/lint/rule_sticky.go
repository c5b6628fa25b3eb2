package lint

// findSticky finds upstreams of authsvc that tie browsers to replicas.
func findSticky(s *server, found report) {
	s.eachCheck(func(l *location, _ *directive) {
		upstream := s.upstream(s.passed(l.directive))
		if upstream == nil {
			return
		}
		for _, name := range []string{"ip_hash", "hash", "sticky"} {
			for _, d := range upstream.own(name) {
				found(d, Info, d.text()+" for authsvc",
					"every replica answers for every browser, so it is not needed; it makes load uneven and a lost replica felt",
					"remove it")
			}
		}
	})
}
