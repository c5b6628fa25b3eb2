package lint

import (
	"net"
	"slices"
	"strings"
)

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
	scheme, rest, found := strings.Cut(s.constant(by.parent, by.arg(0)), "://")
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
	if strings.HasPrefix(t.host, "unix:") {
		return t.host
	}
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
	for _, name := range variables(host) {
		if slices.ContainsFunc(s.definitions(name), func(d *directive) bool { return d.name == "set" }) {
			return false // the same words may mean another host
		}
	}
	return slices.ContainsFunc(s.checks, func(c *check) bool { return c.apart() && s.passed(c.at.directive).host == host })
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
