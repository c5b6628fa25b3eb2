package lint

import (
	"regexp"
	"strings"
)

// location is one location{}.
type location struct {
	*directive
	modifier string // "", "=", "^~", "~", "~*" or "@"
	path     string // or the expression, or the name with its @
	expr     *regexp.Regexp
	inner    []*location
}

// newLocations returns the locations of a block, each followed by those in it; siblings gets the block's own.
func newLocations(block *directive, siblings *[]*location) []*location {
	var all []*location
	for _, d := range block.own("location") {
		l := &location{directive: d, path: d.last()}
		switch {
		case len(d.args) > 1:
			l.modifier = d.args[0]
		case strings.HasPrefix(l.path, "@"):
			l.modifier = "@"
		default: // "location =/x" is "location = /x"
			for _, modifier := range []string{"=", "^~", "~*", "~"} {
				if path, ok := strings.CutPrefix(l.path, modifier); ok {
					l.modifier, l.path = modifier, path
					break
				}
			}
		}
		switch l.modifier {
		case "~":
			l.expr, _ = regexp.Compile(l.path) // what Go's syntax lacks (lookahead) matches nothing here
		case "~*":
			l.expr, _ = regexp.Compile("(?i)" + l.path)
		}
		all = append(all, l)
		all = append(all, newLocations(d, &l.inner)...)
		*siblings = append(*siblings, l)
	}
	return all
}

// locate returns the location that takes a path, nil if none does: an exact one, else the longest prefix, unless an
// expression matches (ngx_http_core_find_location).
func (s *server) locate(path string) *location {
	found, _ := locateAmong(s.top, path)
	return found
}

// locateAmong also tells whether the match is final, so that no expression further out is asked.
func locateAmong(level []*location, path string) (found *location, final bool) {
	for _, l := range level {
		switch {
		case l.modifier == "=" && l.path == path:
			return l, true
		case (l.modifier == "" || l.modifier == "^~") && strings.HasPrefix(path, l.path):
			if found == nil || len(l.path) > len(found.path) {
				found = l
			}
		}
	}
	noExpressions := false
	if found != nil {
		noExpressions = found.modifier == "^~"
		if inner, final := locateAmong(found.inner, path); inner != nil {
			if final {
				return inner, true
			}
			found = inner
		}
	}
	if noExpressions {
		return found, false
	}
	for _, l := range level {
		if l.expr != nil && l.expr.MatchString(path) {
			if inner, _ := locateAmong(l.inner, path); inner != nil {
				return inner, true
			}
			return l, true
		}
	}
	return found, false
}
