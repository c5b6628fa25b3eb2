package lint

import (
	"fmt"
	"strings"
)

// findEndpointsProtected finds endpoints of the login that only a signed-in visitor reaches.
func findEndpointsProtected(s *server, found report) {
	behind := map[*location][]string{}
	var order []*location
	for _, name := range endpoints {
		path := s.prefix + "/" + name
		l := s.locate(path)
		if l == nil || auth(l.directive) == nil || !s.asksService(l.directive) && !s.sendsTo(path) {
			continue
		}
		if behind[l] == nil {
			order = append(order, l)
		}
		behind[l] = append(behind[l], path)
	}
	for _, l := range order {
		found(auth(l.directive), Error, fmt.Sprintf("%s in location %s behind the check", strings.Join(behind[l], ", "), strings.Join(l.args, " ")),
			"whoever is signed out cannot reach the login: the browser goes round in circles",
			"give the endpoints a location with auth_request off and proxy_pass to authsvc")
	}
}

// sendsTo tells whether the server sends refused visitors to a path of its own.
func (s *server) sendsTo(path string) bool {
	sends := false
	for _, page := range errorPages(s.directive) {
		sends = sends || page.to == path || strings.HasPrefix(page.to, path+"?")
	}
	s.walk(func(d *directive) bool {
		if d.name == "return" || d.name == "error_page" || d.name == "set" {
			to := d.last()
			sends = sends || to == path || strings.HasPrefix(to, path+"?")
		}
		return true
	})
	return sends
}
