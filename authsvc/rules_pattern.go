package authsvc

import (
	"errors"
	"strings"
	"unicode/utf8"
)

// hostRule is an entry of a rule's hosts or email_domains: a name, or with subdomains all names below it, at any depth. Ports are not compared:
// a gateway finds its server by the name alone, so that a port is whatever the visitor writes.
type hostRule struct {
	host       string // canonical
	subdomains bool
}

// parseHostRule reads "app.example.com" or "*.example.com".
func parseHostRule(entry string) (hostRule, error) {
	var h hostRule
	h.host = lowerASCII(entry)
	if below, ok := strings.CutPrefix(h.host, "*."); ok {
		h.host, h.subdomains = below, true
	}
	if withoutPort(h.host) != h.host {
		return hostRule{}, errors.New("has a port or a scheme")
	}
	return h, checkHost(h.host)
}

func (h hostRule) matches(host string) bool {
	if !h.subdomains {
		return host == h.host
	}
	return len(host) > len(h.host)+1 && strings.HasSuffix(host, h.host) && host[len(host)-len(h.host)-1] == '.'
}

// covers reports whether every host that the other matches is matched.
func (h hostRule) covers(other hostRule) bool {
	return h == other || h.subdomains && h.matches(other.host)
}

// pathRule is an entry of a rule's paths: segments, each with any number of * for any part of it, and for "/**" at the end the rest. It is
// compared with paths in the normal form of normalPath.
type pathRule struct {
	// text is the whole path of an exact entry, and of one with nothing but a rest the path before it.
	text     string
	segments []string // of an entry with a *; else nil
	rest     bool
}

// parsePathRule reads "/a/b", "/a/*/c", "/a/*.png" or "/a/**".
func parsePathRule(entry string) (pathRule, error) {
	p := pathRule{text: entry}
	switch {
	case !strings.HasPrefix(entry, "/"):
		return pathRule{}, errors.New("does not start with a slash")
	case strings.ContainsAny(entry, "?#"):
		return pathRule{}, errors.New("has a query or a fragment, which no rule looks at")
	case strings.Contains(entry, "%"):
		return pathRule{}, errors.New("has a %, and paths are compared decoded")
	case !utf8.ValidString(entry) || strings.ContainsAny(entry, `\;`) || strings.ContainsFunc(entry, func(r rune) bool { return r < ' ' || r == 0x7f || isAmbiguous(r) }):
		return pathRule{}, errors.New("has a character that no path may have here")
	}
	if p.text, p.rest = strings.CutSuffix(entry, "/**"); p.rest && p.text == "" {
		return p, nil
	}
	switch {
	case strings.Contains(p.text, "**"):
		return pathRule{}, errors.New("has ** before its end or beside other characters")
	case !hasPlainSegments(p.text):
		return pathRule{}, errors.New("has an empty segment, or one of dots")
	case strings.Contains(p.text, "*"):
		p.segments = strings.Split(p.text[1:], "/")
	}
	return p, nil
}

func (p pathRule) matches(path string) bool {
	switch {
	case p.segments == nil && p.rest:
		return strings.HasPrefix(path, p.text) && (len(path) == len(p.text) || path[len(p.text)] == '/')
	case p.segments == nil:
		return path == p.text
	}
	rest, more := path[1:], true
	for _, pattern := range p.segments {
		if !more {
			return false
		}
		var segment string
		segment, rest, more = strings.Cut(rest, "/")
		if !segmentMatches(pattern, segment) {
			return false
		}
	}
	return p.rest || !more
}

// segmentMatches compares one segment: * is any number of characters, but an empty segment matches only an empty one.
func segmentMatches(pattern, segment string) bool {
	if segment == "" || pattern == "" {
		return segment == pattern
	}
	star, from := -1, 0 // the last * seen, and where in the segment its part ends
	i, j := 0, 0
	for j < len(segment) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, from = i, j
			i++
		case i < len(pattern) && pattern[i] == segment[j]:
			i, j = i+1, j+1
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}

// covers reports whether every path that the other matches is matched; false where that is hard to tell.
func (p pathRule) covers(other pathRule) bool {
	mine, others := strings.Split(p.text, "/")[1:], strings.Split(other.text, "/")[1:]
	if p.text == "" {
		mine = nil
	}
	if other.text == "" {
		others = nil
	}
	if len(others) < len(mine) || !p.rest && (other.rest || len(others) != len(mine)) {
		return false
	}
	for i, pattern := range mine {
		if others[i] != pattern && (pattern != "*" || others[i] == "") {
			return false
		}
	}
	return true
}
