package lint

import (
	"fmt"
	"slices"
	"strings"
)

// findForwardedFromClient finds forwarded headers whose value the visitor writes.
func findForwardedFromClient(s *server, found report) {
	look := func(d *directive) bool {
		name := strings.ToLower(d.arg(0))
		if d.name != "proxy_set_header" && d.name != "grpc_set_header" || s.isIdentity(name) || d.last() == "" {
			return true
		}
		forwarded := slices.Contains([]string{"forwarded", "x-real-ip", "x-scheme", "x-host", "x-rewrite-url"}, name) ||
			strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, "x-original-")
		if !forwarded {
			return true
		}
		sources := s.sources(d.last())
		if source, ok := anyOf(sources, "http_x_*", "http_forwarded", "http_true_client_ip", "http_cf_connecting_ip"); ok {
			severity := Warning
			if slices.ContainsFunc(slices.Concat(askedAddress, askedMethod, askedRest), func(asked string) bool { return strings.EqualFold(asked, name) }) && s.inCheck(d) {
				severity = Error
			}
			found(d, severity, fmt.Sprintf("%s passes on $%s", d.arg(0), source),
				"the visitor can write it, unless a proxy in front always overwrites it",
				"use nginx's own $remote_addr, $scheme, $http_host and $request_uri; behind a proxy let set_real_ip_from find the address")
		} else if _, ok := anyOf(sources, "proxy_add_x_forwarded_for"); ok {
			found(d, Info, d.arg(0)+" begins with what the visitor sent",
				"whoever reads the first address of the list reads what he wrote",
				"use $remote_addr, or leave it if all that read it count from the end")
		}
		return true
	}
	s.walk(look)
	for _, d := range s.inherited("proxy_set_header") {
		look(d)
	}
}

// inCheck tells whether a directive stands in the location of a check.
func (s *server) inCheck(d *directive) bool {
	return slices.ContainsFunc(s.checks, func(c *check) bool { return c.at != nil && d.parent == c.at.directive })
}
