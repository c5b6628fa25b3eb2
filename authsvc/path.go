package authsvc

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// normalPath is the path of a request target as an application sees it, for rules to look at. It reports false for a path that two readers
// could read differently: between a gateway that looks for a location, a framework that looks for a route and a file system there are many, and a
// rule that holds for one of them only holds for nobody. What no browser sends for a plain link is refused rather than guessed at.
//
// The path is the target up to the first "?". It is read once, by this grammar (RFC 3986, section 3.3, less what is refused):
//
//	path    = 1*( "/" segment )         ; only the last segment may be empty: "//" is refused
//	segment = *( char / escape )        ; not of dots and spaces alone: ".", "..", "..." are refused
//	char    = %x21-7E                   ; but not "%", "#", ";" or "\"
//	escape  = "%" HEXDIG HEXDIG         ; of any byte but 00-1F, 7F, "/", "\", ";", "?" and "#"
//
// The normal form has every escape decoded, so that "/%61%2Db" is "/a-b"; no two readings of it differ, since no escape gives a character that
// parts a path. It is UTF-8, of the shortest form (an overlong "/" is none), without control characters. Bytes beyond ASCII come as escapes
// only, as browsers send them. Refused is also what a second decoding would find something in ("%252e", "%25u002e"), and the few characters beyond
// ASCII that a compatibility mapping (Unicode NFKC, or a code page's best fit) makes into a slash, a backslash or dots, such as the fullwidth solidus.
//
// The case of letters, composed and decomposed letters, and a slash at the end are told apart, as the rules say.
func normalPath(target string) (path string, ok bool) {
	raw := target
	if i := strings.IndexByte(raw, '?'); i >= 0 {
		raw = raw[:i]
	}
	escaped := false
	for i := range len(raw) {
		switch c := raw[i]; {
		case c <= ' ' || c >= 0x7f || c == '#' || c == ';' || c == '\\':
			return "", false
		case c == '%':
			escaped = true
		}
	}
	if escaped {
		if raw, ok = decodePath(raw); !ok {
			return "", false
		}
	}
	if !hasPlainSegments(raw) {
		return "", false
	}
	return raw, true
}

// decodePath decodes every escape of a path, and refuses those that could be read in two ways.
func decodePath(raw string) (path string, ok bool) {
	decoded := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '%' {
			if i+2 >= len(raw) {
				return "", false
			}
			high, low := hexValue(raw[i+1]), hexValue(raw[i+2])
			if high < 0 || low < 0 {
				return "", false
			}
			c = byte(high<<4 | low)
			if c < ' ' || c == 0x7f || strings.IndexByte(`/\;?#`, c) >= 0 {
				return "", false
			}
			i += 2
		}
		decoded = append(decoded, c)
	}
	path = string(decoded)
	return path, utf8.ValidString(path) && !decodesTwice(path) && !strings.ContainsFunc(path, isAmbiguous)
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// decodesTwice reports whether a decoded path has what looks like an escape: %2e, or %u002e as some servers read it.
func decodesTwice(path string) bool {
	for i := 0; i+1 < len(path); i++ {
		if path[i] != '%' {
			continue
		}
		if next := path[i+1]; next == 'u' || next == 'U' || i+2 < len(path) && hexValue(next) >= 0 && hexValue(path[i+2]) >= 0 {
			return true
		}
	}
	return false
}

// isAmbiguous reports whether a character beyond ASCII is a control character, or one that some readers take for what parts a path.
func isAmbiguous(r rune) bool {
	switch {
	case r < utf8.RuneSelf:
		return false
	case unicode.IsControl(r) || strings.ContainsRune("\u2044\u2215\u2216", r): // fraction slash, division slash, set minus
		return true
	}
	var buffer [utf8.UTFMax]byte
	n := utf8.EncodeRune(buffer[:], r)
	mapped := norm.NFKD.Properties(buffer[:n]).Decomposition()
	return bytes.ContainsAny(mapped, `/\`) || string(mapped) == "." || string(mapped) == ".."
}

// hasPlainSegments reports whether a decoded path starts with a slash and has no segment that leads elsewhere or nowhere.
func hasPlainSegments(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	for ok {
		var segment string
		segment, rest, ok = strings.Cut(rest, "/")
		if segment == "" {
			return !ok // a slash at the end
		}
		if strings.Trim(segment, ". ") == "" {
			return false
		}
	}
	return path != "" && path[0] == '/'
}
