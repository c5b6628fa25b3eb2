package lint

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

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

// parseTime reads a time as nginx writes it: 1m 30s, 500ms, 60.
func parseTime(text string) (time.Duration, bool) {
	units := map[string]time.Duration{"ms": time.Millisecond, "s": time.Second, "": time.Second, "m": time.Minute, "h": time.Hour,
		"d": 24 * time.Hour, "w": 7 * 24 * time.Hour, "M": 30 * 24 * time.Hour, "y": 365 * 24 * time.Hour}
	var total time.Duration
	for rest := strings.ReplaceAll(text, " ", ""); rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		number, err := strconv.ParseInt(rest[:digits], 10, 32)
		if err != nil {
			return 0, false
		}
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "mshdwMy"))
		unit, known := units[rest[:letters]]
		if !known {
			return 0, false
		}
		total += time.Duration(number) * unit
		rest = rest[letters:]
	}
	return total, text != ""
}

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

// parseSize reads a size as nginx writes it: 4096, 8k, 1m.
func parseSize(text string) (int64, bool) {
	number := strings.TrimRight(text, "kKmMgG")
	size, err := strconv.ParseInt(number, 10, 32)
	if err != nil || len(text)-len(number) > 1 {
		return 0, false
	}
	switch strings.ToLower(text[len(number):]) {
	case "k":
		size <<= 10
	case "m":
		size <<= 20
	case "g":
		size <<= 30
	}
	return size, true
}
