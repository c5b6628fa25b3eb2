package authsvc

import (
	"net/http"
	"net/textproto"
	"strings"
)

// maxCookies is how many cookies a request may have before net/http reads none of them.
const maxCookies = 3000

// cookieValues goes through the values of a request's cookies of one name, as http.Request.CookiesNamed gives them, and makes nothing: every verdict reads
// cookies, and browsers bring many that are none of ours.
type cookieValues struct {
	name  string // a token (RFC 6265, section 4.1.1)
	lines []string
	line  string // what is left of the line that is being read
	value string // of the cookie that next has found
}

// cookiesNamed begins before the first.
func cookiesNamed(h http.Header, name string) cookieValues {
	lines := h["Cookie"]
	count := 0
	for _, line := range lines {
		count += strings.Count(line, ";") + 1
	}
	if count > maxCookies {
		return cookieValues{}
	}
	return cookieValues{name: name, lines: lines}
}

// next finds the next one, and reports false when there is none.
func (c *cookieValues) next() bool {
	for {
		for c.line == "" {
			if len(c.lines) == 0 {
				return false
			}
			c.line, c.lines = textproto.TrimString(c.lines[0]), c.lines[1:]
		}
		var part string
		part, c.line, _ = strings.Cut(c.line, ";")
		name, value, _ := strings.Cut(textproto.TrimString(part), "=")
		if textproto.TrimString(name) != c.name {
			continue
		}
		if len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
			value = value[1 : len(value)-1]
		}
		if isCookieValue(value) {
			c.value = value
			return true
		}
	}
}

// isCookieValue reports whether net/http takes a text for the value of a cookie: beyond RFC 6265 with spaces and commas.
func isCookieValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || c == '"' || c == ';' || c == '\\' {
			return false
		}
	}
	return true
}
