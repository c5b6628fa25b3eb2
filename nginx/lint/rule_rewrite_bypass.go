package lint

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
)

// wholePath are the expressions whose first group begins with the path's slash.
var wholePath = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:\^?\(\.[*+]|\^\(/)`) })

// findRewriteBypass finds rewrites from a protected location to one that asks for no verdict.
//
// A rewrite starts the search for a location anew, before the access phase; only the last location's auth_request is asked. To
// a location that is internal this opens a door that is closed otherwise.
func findRewriteBypass(s *server, found report) {
	look := func(scope *directive, onlyInternal bool) {
		for _, d := range scope.own("rewrite") {
			to := d.arg(1)
			if flag := d.arg(2); flag == "break" || flag == "redirect" || flag == "permanent" || !strings.HasPrefix(to, "/") {
				continue
			}
			path, _, _ := strings.Cut(to, "?")
			path, capture, _ := strings.Cut(path, "$")
			if strings.HasPrefix(capture, "1") && wholePath().MatchString(d.arg(0)) {
				path += "/"
			}
			l := s.locate(path)
			if l == nil || auth(l.directive) != nil || s.isCheck(l) || s.asksService(l.directive) {
				continue
			}
			if l.inherited("internal") != nil {
				found(d, Error, fmt.Sprintf("%q leads to the internal location %s, which asks for no verdict", d.text(), l.path),
					"a rewrite leaves the location before auth_request is asked, so strangers get what is there",
					fmt.Sprintf("repeat auth_request in location %s, or set it for the whole server", l.path))
			} else if !onlyInternal {
				found(d, Warning, fmt.Sprintf("%q leads to location %s, which asks for no verdict", d.text(), l.path),
					"a rewrite leaves the location before auth_request is asked, so strangers get the answer of the other one",
					fmt.Sprintf("repeat auth_request in location %s, or add the flag break to stay", l.path))
			}
		}
	}
	guards := false
	s.protected(func(l *location, _ *directive) {
		guards = true
		for _, scope := range l.scopes() {
			look(scope, false)
		}
	})
	if guards {
		look(s.directive, true)
		for _, d := range s.own("if") {
			look(d, true)
		}
	}
}
