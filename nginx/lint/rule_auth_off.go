package lint

import (
	"fmt"
	"strings"
)

// findAuthOff finds auth_request off below a level that has it on. The endpoints of the login need that; anything else
// should be meant.
func findAuthOff(s *server, found report) {
	for _, l := range s.locations {
		for _, off := range l.own("auth_request") {
			if off.arg(0) != "off" || auth(l.parent) == nil || l.inherited("internal") != nil || s.isCheck(l) || s.asksService(l.directive) || s.isEndpoint(l) || s.errorEnds[l] {
				continue
			}
			found(off, Info, fmt.Sprintf("auth_request off in location %s", strings.Join(l.args, " ")),
				"anyone reaches it, signed in or not, and the identity headers there are the visitor's own unless they are overwritten",
				"leave it if that is meant; a public rule of authsvc does the same and is seen in its log")
		}
	}
}
