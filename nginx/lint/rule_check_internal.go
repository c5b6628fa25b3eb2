package lint

import (
	"fmt"
	"strings"
)

// findCheckInternal finds checks that anyone may ask.
func findCheckInternal(s *server, found report) {
	s.eachCheck(func(l *location, _ *directive) {
		if l.inherited("internal") == nil {
			found(l.directive, Warning, fmt.Sprintf("location %s can be asked from outside", strings.Join(l.args, " ")),
				"anyone can try cookies there without reaching a page, and reads the identity headers that are meant for the application",
				"add internal; in a location of its own")
		}
	})
}
