package lint

import "slices"

// check is a location that is asked for verdicts.
type check struct {
	auth *directive // the first auth_request that names it
	uri  string     // as that names it
	at   *location  // nil: no location takes it
}

// apart tells whether the check has a location to itself, and does not fall into the one for everything.
func (c *check) apart() bool {
	return c.at != nil && (c.at.path != "/" || c.at.modifier == "=" || c.uri == "/")
}

// findChecks notes what auth_request names, here or in http{}.
func (s *server) findChecks() {
	note := func(d *directive) {
		if d.name != "auth_request" || d.arg(0) == "off" || d.arg(0) == "" {
			return
		}
		uri := d.arg(0)
		if !slices.ContainsFunc(s.checks, func(c *check) bool { return c.uri == uri }) {
			s.checks = append(s.checks, &check{d, uri, s.locate(uri)})
		}
	}
	if at := auth(s.directive); at != nil {
		note(at)
	}
	s.walk(func(d *directive) bool { note(d); return true })
}

// isCheck tells whether a location is asked for verdicts.
func (s *server) isCheck(l *location) bool {
	return slices.ContainsFunc(s.checks, func(c *check) bool { return c.apart() && c.at == l })
}

// eachCheck visits the blocks that hand a check to a service over HTTP.
func (s *server) eachCheck(visit func(l *location, by *directive)) {
	for _, c := range s.checks {
		if !c.apart() {
			continue // see findCheckNowhere
		}
		if by := pass(c.at.directive); by != nil && by.name == "proxy_pass" {
			visit(c.at, by)
		}
	}
}
