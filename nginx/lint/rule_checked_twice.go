package lint

import (
	"fmt"
	"slices"
	"strings"
)

// findCheckedTwice finds protected locations where nginx starts over with another file. It forgets the verdict and asks again.
func findCheckedTwice(s *server, found report) {
	const (
		why = "nginx starts over with another address and asks for the verdict again: right, at twice the price"
		fix = "leave it if the load is small, or proxy_pass to a server that serves the files"
	)
	s.protected(func(l *location, _ *directive) {
		if tries := l.own("try_files"); tries != nil {
			d := tries[0]
			directory := slices.ContainsFunc(d.args, func(arg string) bool { return strings.HasSuffix(arg, "/") && arg != "/" })
			fallback := s.target(d.last())
			if directory || strings.HasPrefix(d.last(), "/") || fallback != nil && auth(fallback.directive) != nil {
				found(d, Info, d.text()+" may check twice", why, fix)
			}
			return
		}
		if pass(l.directive) != nil || l.own("return") != nil || len(l.inner) > 0 || l.inherited("internal") != nil {
			return
		}
		files := l.inherited("root") != nil || l.inherited("alias") != nil
		if files && strings.HasSuffix(l.path, "/") && (l.modifier == "" || l.modifier == "^~") {
			at := l.directive
			if index := l.inherited("index"); index != nil && index[0].parent == l.directive {
				at = index[0]
			}
			found(at, Info, fmt.Sprintf("the index of location %s is checked twice", l.path), why, fix)
		}
	})
}
