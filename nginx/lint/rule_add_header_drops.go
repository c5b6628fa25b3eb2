package lint

import (
	"slices"
	"strings"
)

// findAddHeaderDrops finds blocks whose own add_header drops one against caching that the server around gives.
func findAddHeaderDrops(s *server, found report) {
	outer := s.inherited("add_header")
	s.walk(func(d *directive) bool {
		own := d.own("add_header")
		if own == nil || d.name != "location" && d.name != "if" {
			return true
		}
		for _, kept := range outer {
			name := kept.arg(0)
			if !strings.EqualFold(name, "Cache-Control") && !strings.EqualFold(name, "Set-Cookie") {
				continue
			}
			if !slices.ContainsFunc(own, func(o *directive) bool { return strings.EqualFold(o.arg(0), name) }) {
				found(own[0], Warning, "the server's "+kept.text()+" does not count here",
					"one add_header in a location drops all of the server's",
					"repeat it in this location")
			}
		}
		return true
	})
}
