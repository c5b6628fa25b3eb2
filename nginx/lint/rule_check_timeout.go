package lint

import "time"

// findCheckTimeout finds checks that may hold a request for longer than a visitor waits.
func findCheckTimeout(s *server, found report) {
	const maxConnect, maxRead = 5 * time.Second, 10 * time.Second
	s.eachCheck(func(l *location, by *directive) {
		for _, bound := range []struct {
			name  string
			limit time.Duration
			right string
		}{{"proxy_connect_timeout", maxConnect, "1s"}, {"proxy_read_timeout", maxRead, "3s, above session.refresh_wait"}} {
			text, at := l.setting(bound.name, "60s")
			if duration, ok := parseTime(text); !ok || duration <= bound.limit {
				continue
			}
			what := bound.name + " " + text + " for the check"
			if at == nil {
				at, what = by, "no "+bound.name+" for the check, so 60s"
			}
			found(at, Warning, what, "a replica that is gone or hangs holds every request that long before the next is asked",
				"set "+bound.name+" "+bound.right)
		}
	})
}
