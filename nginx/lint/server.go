package lint

import (
	"strings"

	"authsvc/nginx"
)

// server is one server{}, with what the rules want to know of it.
type server struct {
	*directive
	root      *directive  // of the tree that the server is in
	locations []*location // all, also those within others
	top       []*location // those directly in the server
	checks    []*check    // what auth_request names, each once
	headers   []string    // identity headers that the application reads
	prefix    string      // of authsvc's endpoints
	whole     bool        // false: a part of a server{}, whose other parts nobody has seen
	upstreams map[string]*directive
	errorEnds map[*location]bool      // where error_page leads
	defined   map[string][]*directive // variables, see definitions
}

// names are the server's hosts.
func (s *server) names() []string {
	var names []string
	for _, d := range s.own("server_name") {
		names = append(names, d.args...)
	}
	return names
}

// newServers returns the servers of a tree.
func newServers(root *directive, options Options) []*server {
	upstreams := map[string]*directive{}
	var servers []*server
	for _, http := range root.own("http") {
		for _, upstream := range http.own("upstream") {
			upstreams[upstream.arg(0)] = upstream
		}
		for _, d := range http.own("server") {
			s := &server{directive: d, root: root, upstreams: upstreams, headers: options.Headers, whole: d.line > 0}
			if s.headers == nil {
				s.headers = nginx.DefaultHeaders()
			}
			s.locations = newLocations(d, &s.top)
			s.findChecks()
			s.findErrorEnds()
			s.findPrefix(options)
			servers = append(servers, s)
		}
	}
	return servers
}

// auth is the auth_request that counts in a block, nil where there is none or it is off.
func auth(d *directive) *directive {
	uri, at := d.setting("auth_request", "off")
	if uri == "off" {
		return nil
	}
	return at
}

// findErrorEnds notes the locations that nginx shows errors by, and that are there for nothing else. They answer instead of what
// was refused.
func (s *server) findErrorEnds() {
	s.errorEnds = map[*location]bool{}
	note := func(d *directive) {
		if d.name == "error_page" {
			if at := s.target(d.last()); at != nil && at.path == d.last() {
				s.errorEnds[at] = true
			}
		}
	}
	for _, d := range s.inherited("error_page") {
		note(d)
	}
	s.walk(func(d *directive) bool { note(d); return true })
}

// target is the location that a name or an address on this host leads to; nil for another host.
func (s *server) target(to string) *location {
	switch {
	case strings.HasPrefix(to, "@"):
		for _, l := range s.locations {
			if l.arg(0) == to {
				return l
			}
		}
	case strings.HasPrefix(to, "/"):
		path, _, _ := strings.Cut(to, "?")
		return s.locate(path)
	}
	return nil
}

// protected visits the locations that visitors reach and that ask for a verdict, with the auth_request that says so.
// The check itself is none, nor is a location that shows errors without asking anyone.
func (s *server) protected(visit func(l *location, by *directive)) {
	for _, l := range s.locations {
		if by := auth(l.directive); by != nil && !s.isCheck(l) && !(s.errorEnds[l] && pass(l.directive) == nil) {
			visit(l, by)
		}
	}
}
