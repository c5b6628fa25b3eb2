package authsvc

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"authsvc/session"
)

// What a header can carry besides claims.
const (
	groupsValue      = "@groups"
	accessTokenValue = "@access_token"
	assertionValue   = "@assertion"
)

// identityHeader is a header of an allowed verdict, compiled.
type identityHeader struct {
	Name     string // canonical
	Claim    string // a claim path, or one of the names above
	filter   *regexp.Regexp
	most     int
	encoding encoding
}

// identityHeaders compiles the headers of a configuration that was validated, in the order of their names.
func identityHeaders(config map[string]Header) []identityHeader {
	var list []identityHeader
	for _, name := range slices.Sorted(maps.Keys(config)) {
		h := config[name]
		if h.Claim == "" {
			continue
		}
		compiled := identityHeader{Name: name, Claim: h.Claim, most: h.Most, encoding: encodingNamed(h.Encoding)}
		if h.Filter != "" {
			compiled.filter = regexp.MustCompile(h.Filter)
		}
		list = append(list, compiled)
	}
	return list
}

// positions returns where the headers are that carry this.
func positions(list []identityHeader, claim string) (found []int) {
	for i, h := range list {
		if h.Claim == claim {
			found = append(found, i)
		}
	}
	return found
}

// value is one of the values that a header carries: a claim, or an element of a list.
type value struct {
	header string // as it stands in the header
	fits   bool   // it can stand there
	claim  any    // as it stands in the assertion
}

// values are what a header carries before any limit.
type values struct {
	list []value
	// many says that the claim is a list: its values are left out one by one, and a comma in one would make it two.
	many bool
	// beyond is how many there are that the header's own cap leaves out.
	beyond int
}

// valuesOf reads the claim of a header from a session with these groups.
func (h identityHeader) valuesOf(s *session.Session, groups []string) values {
	var elements []any
	var v values
	if h.Claim == groupsValue {
		v.many = true
		for _, group := range groups {
			elements = append(elements, group)
		}
	} else if list, ok := claim(s, h.Claim).([]any); ok {
		v.many, elements = true, list
	} else {
		elements = []any{claim(s, h.Claim)}
	}
	for _, element := range elements {
		text, ok := h.encoding.text(element)
		if !ok || h.filter != nil && !h.filter.MatchString(text) {
			continue
		}
		if h.most > 0 && len(v.list) == h.most {
			v.beyond++
			continue
		}
		written, fits := h.encoding.write(text, element, v.many)
		v.list = append(v.list, value{written, fits, element})
	}
	return v
}

// fitsHeader reports whether a text may stand in a header as it is, UTF-8 included. In a list a comma would
// make two of one. A value that would lose its spaces at the edges is another value.
func fitsHeader(text string, inList bool) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == 0x7f || c == ',' && inList {
			return false
		}
	}
	return strings.TrimSpace(text) == text
}
