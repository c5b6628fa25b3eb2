package lint

import (
	"fmt"
	"slices"
	"strings"
)

// application is a block of a protected location that hands requests to an application.
type application struct {
	*location
	scope   *directive
	by      *directive            // its pass
	headers map[string]*directive // what it sets, by lower-case name
	told    []string              // those that come from the verdict
	unset   []*directive          // those that are meant to, and stay empty
}

// applications returns the blocks that hand requests to an application over HTTP.
func (s *server) applications() []application {
	var all []application
	s.protected(func(l *location, _ *directive) {
		for _, scope := range l.scopes() {
			by := pass(scope)
			if by == nil || by.name != "proxy_pass" && by.name != "grpc_pass" || scope.name == "limit_except" || s.asksService(scope) {
				continue
			}
			a := application{location: l, scope: scope, by: by, headers: requestHeaders(scope)}
			for name, d := range a.headers {
				sources := s.sourcesAt(scope, d.last())
				if _, ok := anyOf(sources, fromVerdict+"*"); ok {
					a.told = append(a.told, name)
				} else if _, ok := anyOf(sources, neverSet+"*"); ok {
					a.unset = append(a.unset, d)
				}
			}
			all = append(all, a)
		}
	})
	return all
}

// findIdentityMissing finds applications that learn nothing from the verdict.
func findIdentityMissing(s *server, found report) {
	all := s.applications()
	elsewhere := slices.ContainsFunc(all, func(a application) bool { return a.told != nil })
	for _, a := range all {
		for _, d := range a.unset {
			found(d, Error, d.arg(0)+" stays empty in location "+a.path,
				"auth_request_set counts at the level of the location that is asked for, all or nothing; the one for "+d.last()+" stands elsewhere",
				"repeat it beside the auth_request that counts there")
		}
		if a.told != nil || a.unset != nil || len(s.headers) == 0 {
			continue
		}
		first := s.headers[0]
		fix := fmt.Sprintf("auth_request_set $user $upstream_http_%s; and proxy_set_header %s $user; and so for every identity header",
			strings.ReplaceAll(strings.ToLower(first), "-", "_"), first)
		if elsewhere {
			found(a.by, Error, "no identity header is set here, and elsewhere in this server they are",
				"one proxy_set_header in a location drops all of the server's, so the application reads the visitor's own "+first,
				"repeat them here: "+fix)
			continue
		}
		found(a.by, Warning, "no identity header is set from the verdict",
			"the application does not learn who asks, and gets the visitor's own "+first+" as it came", fix)
	}
}

// findIdentityForgeable finds applications that get some identity headers from the verdict, and the others from the visitor.
func findIdentityForgeable(s *server, found report) {
	all := s.applications()
	var names []string
	for _, a := range all {
		names = append(names, a.told...)
	}
	family := slices.ContainsFunc(s.headers, func(header string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, header) }) || s.captures(header)
	})
	if family {
		for _, header := range s.headers {
			names = append(names, strings.ToLower(header))
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	for _, a := range all {
		if a.told == nil {
			continue // see findIdentityMissing
		}
		var open []string
		for _, name := range names {
			if a.headers[name] == nil {
				open = append(open, canonical(name))
			}
		}
		if len(open) > 0 {
			found(a.by, Error, "the application gets the visitor's own "+strings.Join(open, ", "),
				"where the verdict's value is not set, even to nothing, whoever is signed in can be anyone by sending the header",
				fmt.Sprintf(`set each from the verdict, or clear it: proxy_set_header %s "";`, open[0]))
		}
	}
}

// captures tells whether the server takes a header from the verdict.
func (s *server) captures(header string) bool {
	variable := "upstream_http_" + strings.ReplaceAll(strings.ToLower(header), "-", "_")
	takes := false
	look := func(d *directive) bool {
		takes = takes || d.name == "auth_request_set" && slices.Contains(variables(d.arg(1)), variable)
		return true
	}
	s.walk(look)
	for _, d := range s.inherited("auth_request_set") {
		look(d)
	}
	return takes
}

// canonical writes a header's name with capitals.
func canonical(name string) string {
	words := strings.Split(name, "-")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "-")
}

// findIdentityFromClient finds identity headers that are filled from the request.
func findIdentityFromClient(s *server, found report) {
	look := func(d *directive) bool {
		if d.name != "proxy_set_header" && d.name != "grpc_set_header" && d.name != "auth_request_set" {
			return true
		}
		name := strings.ToLower(d.arg(0))
		if d.name != "auth_request_set" && !s.isIdentity(name) {
			return true
		}
		source, ok := anyOf(s.sources(d.last()), "http_*", "arg_*", "cookie_*")
		if ok && source != "http_host" && source != "http_cookie" {
			found(d, Error, fmt.Sprintf("%s holds $%s", d.arg(0), source),
				"the visitor writes it, so he is whoever he says",
				"take it from the verdict: auth_request_set $user $upstream_http_x_auth_request_user;")
		}
		return true
	}
	s.walk(look)
	for _, name := range []string{"proxy_set_header", "auth_request_set"} {
		for _, d := range s.inherited(name) {
			look(d)
		}
	}
}

// isIdentity tells whether applications read who asks from a header of this lower-case name.
func (s *server) isIdentity(name string) bool {
	if strings.HasSuffix(name, "-redirect") || strings.HasSuffix(name, "-token") {
		return false
	}
	for _, header := range s.headers {
		if strings.EqualFold(header, name) {
			return true
		}
	}
	for _, prefix := range []string{"x-auth-request-", "remote-", "x-remote-", "x-vouch-", "x-authentik-", "x-webauth-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	for _, word := range []string{"user", "username", "email", "groups", "preferred-username"} {
		if name == "x-"+word || name == "x-forwarded-"+word {
			return true
		}
	}
	return false
}

// findUnderscoreHeaders finds servers that let header names through which many applications read as others.
//
// X_Auth_Request_User and X.Auth.Request.User become HTTP_X_AUTH_REQUEST_USER in CGI, WSGI and Rack, where the one that
// nginx has set is called the same (CVE-2025-64484).
func findUnderscoreHeaders(s *server, found report) {
	for _, setting := range []struct {
		name      string
		on, wrong bool
		bad, good string
	}{
		{name: "underscores_in_headers", on: false, wrong: true, bad: "on", good: "off"},
		{name: "ignore_invalid_headers", on: true, wrong: false, bad: "off", good: "on"},
	} {
		if s.on(setting.name, setting.on) != setting.wrong {
			continue
		}
		_, at := s.setting(setting.name, "")
		found(at, Error, setting.name+" "+setting.bad,
			"a visitor's X_Auth_Request_User passes beside the header that nginx sets, and many applications read both as one",
			"write "+setting.name+" "+setting.good+";")
	}
}

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
