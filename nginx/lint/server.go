package lint

import (
	"net"
	"slices"
	"strings"

	"authsvc/nginx"
)

// server is one server{}, with what the rules want to know of it.
type server struct {
	*directive
	root      *directive  // of the tree that the server is in
	locations []*location // all, also those within others
	checks    []*check    // what auth_request names, each once
	headers   []string    // identity headers that the application reads
	prefix    string      // of authsvc's endpoints
	whole     bool        // false: a part of a server{}, whose other parts nobody has seen
	upstreams map[string]*directive
	errorEnds map[*location]bool      // where error_page leads
	defined   map[string][]*directive // variables, see definitions
}

// check is a location that is asked for verdicts.
type check struct {
	auth *directive // the first auth_request that names it
	uri  string     // as that names it
	at   *location  // nil: no location takes it
}

// own tells whether the check has a location to itself, and does not fall into the one for everything.
func (c *check) own() bool {
	return c.at != nil && (c.at.path != "/" || c.at.modifier == "=" || c.uri == "/")
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
			s.locations = newLocations(d, nil)
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

// findPrefix takes the prefix from the address that the first check asks: the part before /auth.
func (s *server) findPrefix(options Options) {
	if options.Prefix != nil {
		if s.prefix = strings.Trim(*options.Prefix, "/"); s.prefix != "" {
			s.prefix = "/" + s.prefix
		}
		return
	}
	for _, c := range s.checks {
		path := c.uri
		if c.own() {
			if asked := s.passed(c.at.directive).path; asked != "" {
				path = asked
			}
		}
		if prefix, ok := strings.CutSuffix(path, "/auth"); ok {
			s.prefix = prefix
			return
		}
	}
}

// isCheck tells whether a location is asked for verdicts.
func (s *server) isCheck(l *location) bool {
	return slices.ContainsFunc(s.checks, func(c *check) bool { return c.own() && c.at == l })
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

// scopes returns the blocks that may answer a request to a location: itself, and the if and limit_except in it.
func (l *location) scopes() []*directive {
	found := []*directive{l.directive}
	l.walk(func(d *directive) bool {
		if d.name == "if" || d.name == "limit_except" {
			found = append(found, d)
			return true
		}
		return false
	})
	return found
}

// passes are the directives that hand a request to someone else.
var passes = []string{"proxy_pass", "grpc_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "memcached_pass"}

// pass is the directive that answers in a block by asking someone else, nil where files do. An if takes it from the
// location around it, a location from nobody.
func pass(scope *directive) *directive {
	for d := scope; d != nil; d = d.parent {
		for _, name := range passes {
			if own := d.own(name); own != nil {
				return own[0]
			}
		}
		if d.name == "location" || d.name == "server" {
			return nil
		}
	}
	return nil
}

// passTarget is where a pass leads.
type passTarget struct {
	scheme string
	host   string // a name, an address with port, or unix:...; may hold variables
	path   string // "" where proxy_pass gives none
}

// passed is where the pass that counts in a block leads, its constant variables filled in; zero without one.
func (s *server) passed(scope *directive) passTarget {
	by := pass(scope)
	if by == nil {
		return passTarget{}
	}
	scheme, rest, found := strings.Cut(s.constant(by.arg(0)), "://")
	if !found {
		scheme, rest = "", scheme
	}
	if address, ok := strings.CutPrefix(rest, "unix:"); ok {
		socket, path, _ := strings.Cut(address, ":")
		return passTarget{scheme, "unix:" + socket, path}
	}
	end := len(rest)
	for _, start := range []string{"/", "$request_uri", "$uri", "$document_uri", "$is_args"} {
		if at := strings.Index(rest, start); at >= 0 {
			end = min(end, at)
		}
	}
	return passTarget{scheme, rest[:end], rest[end:]}
}

// upstream is the upstream{} that a pass leads to, nil where it names an address.
func (s *server) upstream(to passTarget) *directive { return s.upstreams[to.host] }

// hostname is a target's host without its port.
func (t passTarget) hostname() string {
	if host, _, err := net.SplitHostPort(t.host); err == nil {
		return host
	}
	return strings.Trim(t.host, "[]")
}

// asksService tells whether a block hands its requests to the service that the check asks.
func (s *server) asksService(scope *directive) bool {
	host := s.passed(scope).host
	if host == "" {
		return false
	}
	return slices.ContainsFunc(s.checks, func(c *check) bool { return c.own() && s.passed(c.at.directive).host == host })
}

// requestHeaders returns what a block sets in the request that it passes on, by lower-case name.
func requestHeaders(scope *directive) map[string]*directive {
	headers := map[string]*directive{}
	name := "proxy_set_header"
	if by := pass(scope); by != nil && by.name == "grpc_pass" {
		name = "grpc_set_header"
	}
	for _, d := range scope.inherited(name) {
		headers[strings.ToLower(d.arg(0))] = d
	}
	return headers
}

// errorPage is one error_page.
type errorPage struct {
	*directive
	codes    []string
	response string // "" keeps the code, "=" takes the target's, "=200" replaces it
	to       string
}

// errorPages returns those that count in a block.
func errorPages(scope *directive) []errorPage {
	var all []errorPage
	for _, d := range scope.inherited("error_page") {
		page := errorPage{directive: d, to: d.last()}
		for _, arg := range d.args[:max(0, len(d.args)-1)] {
			if strings.HasPrefix(arg, "=") {
				page.response = arg
			} else {
				page.codes = append(page.codes, arg)
			}
		}
		all = append(all, page)
	}
	return all
}

// errorPageFor returns the error_page that counts in a block for a code: the first that names it.
func errorPageFor(scope *directive, code string) (errorPage, bool) {
	for _, page := range errorPages(scope) {
		if slices.Contains(page.codes, code) {
			return page, true
		}
	}
	return errorPage{}, false
}
