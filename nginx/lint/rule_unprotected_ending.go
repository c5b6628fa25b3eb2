package lint

import (
	"fmt"
	"strings"
)

// findUnprotectedEnding finds locations by expression that ask for no verdict and serve what a protected location does.
//
// nginx prefers an expression to a prefix, so an ending that the visitor chooses takes his address out of the protected
// location: many applications serve /report;.css or /report/x.css as /report.
func findUnprotectedEnding(s *server, found report) {
	guarded := map[passTarget]*location{}
	s.protected(func(l *location, _ *directive) {
		to := s.passed(l.directive)
		guarded[passTarget{host: to.host}] = l
	})
	for _, l := range s.locations {
		if !strings.HasPrefix(l.modifier, "~") || strings.HasPrefix(l.path, "^") || auth(l.directive) != nil || l.own("auth_request") != nil ||
			s.isCheck(l) || s.errorEnds[l] || l.own("return") != nil || l.inherited("internal") != nil || l.own("deny") != nil {
			continue
		}
		to := s.passed(l.directive)
		other := guarded[passTarget{host: to.host}]
		if other == nil || s.asksService(l.directive) {
			continue
		}
		found(l.directive, Warning, fmt.Sprintf("location %s serves without a verdict what location %s protects", strings.Join(l.args, " "), other.path),
			"nginx prefers an expression to a prefix, so a visitor who adds such an ending to an address needs no session",
			"set auth_request for the whole server, or bind the expression to a path: ~ ^/static/")
	}
}
