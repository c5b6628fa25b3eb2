package lint

import (
	"fmt"
	"strings"
)

// findCheckNowhere finds an auth_request that names no location, one that the application's catch-all answers, and one
// that answers itself.
//
// Any 2xx lets in: an application that shows its start page for unknown addresses lets everyone in.
func findCheckNowhere(s *server, found report) {
	for _, c := range s.checks {
		switch {
		case c.at == nil:
			if s.whole {
				found(c.auth, Error, "no location takes "+c.uri,
					"the check finds no service, so every request ends in 500",
					fmt.Sprintf("add location = %s with internal and proxy_pass to authsvc", c.uri))
			}
			continue
		case !c.apart():
			found(c.auth, Error, c.uri+" falls into location /",
				"there the application answers the check, and any 2xx of its own lets everyone in",
				fmt.Sprintf("add location = %s with internal and proxy_pass to authsvc", c.uri))
		}
		if !c.at.handled() {
			found(c.at.directive, Error, fmt.Sprintf("location %s hands the check to nobody", strings.Join(c.at.args, " ")),
				"nginx looks for a file of that name: without one every request ends in 500, with one everyone passes",
				"add proxy_pass to authsvc")
		}
		for _, scope := range c.at.scopes() {
			for _, d := range scope.own("return") {
				if code, _ := returned(d); strings.HasPrefix(code, "2") {
					who := "everyone"
					if scope.name == "if" {
						who = "whoever meets the condition"
					}
					found(d, Error, "the check answers "+code+" itself", "so "+who+" passes, without a session",
						"ask authsvc for every verdict; its rules can make paths public")
				}
			}
		}
	}
}
