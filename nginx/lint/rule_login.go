package lint

import (
	"fmt"
	"slices"
	"strings"
)

// findLoginProxied finds an error_page for 401 that hands the refused request to an application, or makes the refusal look
// like success.
//
// The application then answers with its own status and sees the refused request, without identity (CVE-2026-24513:
// a backend for error pages turned 401 into 200).
func findLoginProxied(s *server, found report) {
	s.protected(func(l *location, _ *directive) {
		page, ok := errorPageFor(l.directive, "401")
		if !ok || strings.Contains(page.to, "://") || strings.HasPrefix(page.to, "$") {
			return
		}
		if strings.HasPrefix(page.response, "=2") {
			found(page.directive, Error, fmt.Sprintf("%q shows the refusal as success", page.text()),
				"scripts, caches and uploads take the login page for the answer",
				"write error_page 401 = @login; with return 302 in it")
		}
		to := s.target(page.to)
		if to == nil {
			return
		}
		if auth(to.directive) != nil && !to.answers() {
			found(page.directive, Error, fmt.Sprintf("%q leads to location %s, which asks for a verdict too", page.text(), to.path),
				"it is refused like the page before, so a signed-out visitor gets a bare 401 and never sees the login",
				"redirect with return, which asks nobody, or say auth_request off there")
			return
		}
		if pass(to.directive) == nil {
			return
		}
		if s.asksService(to.directive) {
			found(page.directive, Warning, fmt.Sprintf("%q puts the login in place of the page", page.text()),
				"the browser stays at the page's address without a way back in the query, and scripts get the login's answer instead of a 401",
				"redirect instead: error_page 401 = @login; with return 302 to the address in X-Auth-Login-Url")
			return
		}
		found(page.directive, Error, fmt.Sprintf("%q hands refused requests to an application", page.text()),
			"it sees them without a verdict, with headers as the visitor sent them, and its own status is what he gets",
			"redirect instead: error_page 401 = @login; with return 302 to the address in X-Auth-Login-Url")
	})
}

// answers tells whether a location, or an if in it, answers by return, which asks for no verdict.
func (l *location) answers() bool {
	return slices.ContainsFunc(l.scopes(), func(scope *directive) bool { return scope.own("return") != nil })
}

// findLoginAddress finds ways back that are put into a query as they come. nginx escapes nothing there.
func findLoginAddress(s *server, found report) {
	look := func(d *directive, address string) {
		_, query, ok := strings.Cut(address, "?")
		if !ok {
			return
		}
		for pair := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(pair, "=")
			if !slices.Contains([]string{"rd", "url", "redirect", "redirect_uri", "return", "return_to", "next", "target"}, name) {
				continue
			}
			sources := s.sources(value)
			if source, ok := anyOf(sources, "request_uri", "uri", "document_uri", "args", "query_string", "arg_*"); ok {
				why := "everything after an & in the page's address is lost or becomes a parameter of the login"
				if host, ok := anyOf(sources, "http_host", "http_x_*"); ok {
					why += ", and $" + host + " lets the visitor name another host"
				}
				found(d, Warning, fmt.Sprintf("%s holds $%s unescaped", name, source), why,
					"use the address that authsvc escapes: auth_request_set $login $upstream_http_x_auth_login_url; and return 302 $login")
			}
		}
	}
	visit := func(d *directive) bool {
		switch d.name {
		case "return":
			_, address := returned(d)
			look(d, address)
		case "rewrite":
			look(d, d.arg(1))
		case "error_page":
			look(d, d.last())
		case "set":
			look(d, d.arg(1))
		}
		return true
	}
	s.walk(visit)
	for _, d := range s.inherited("error_page") {
		visit(d)
	}
}

// endpoints are the paths, below the prefix, that a signed-out visitor or the provider asks for.
var endpoints = []string{"start", "sign_in", "callback", "logout", "signed_out", "backchannel-logout"}

// isEndpoint tells whether a location, other than the one for everything, takes one of the login's paths.
func (s *server) isEndpoint(l *location) bool {
	return l.path != "/" && slices.ContainsFunc(endpoints, func(name string) bool { return s.locate(s.prefix+"/"+name) == l })
}

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

// findError500 finds protected locations where an outage of the check looks like a fault of the application.
//
// auth_request turns everything but 2xx, 401 and 403 into 500: a dead replica, a timeout, and the 503 that authsvc
// answers when nobody can tell.
func findError500(s *server, found report) {
	const fix = "write error_page 500 =503 @unavailable; with return 503 and Retry-After in it"
	s.protected(func(l *location, by *directive) {
		page, ok := errorPageFor(l.directive, "500")
		switch {
		case !ok:
			found(by, Warning, "no error_page for 500 where the check may fail",
				"when nobody can tell who asks, people see 500 Internal Server Error, and no client knows that it may try again", fix)
		case page.response == "":
			found(page.directive, Warning, fmt.Sprintf("%q keeps the 500 of a check that failed", page.text()),
				"no client, monitor or balancer knows that it may try again", fix)
		case strings.HasPrefix(page.response, "=2") || strings.HasPrefix(page.response, "=3"):
			found(page.directive, Error, fmt.Sprintf("%q shows a check that failed as %s", page.text(), page.response[1:]),
				"clients and caches take it for an answer; a redirect to the login signs people out at every outage", fix)
		}
	})
}

// findInterceptErrors finds answers that proxy_intercept_errors takes for nginx's own.
func findInterceptErrors(s *server, found report) {
	s.eachCheck(func(l *location, _ *directive) {
		if !l.on("proxy_intercept_errors", false) {
			return
		}
		for _, code := range []string{"401", "403"} {
			if page, ok := errorPageFor(l.directive, code); ok {
				_, at := l.setting("proxy_intercept_errors", "off")
				found(at, Error, "proxy_intercept_errors on for the check, with "+page.text(),
					"the refusal is replaced before auth_request sees it: the visitor gets 500 instead of the login, or with 2xx passes",
					"write proxy_intercept_errors off; in the check's location")
				return
			}
		}
	})
	s.protected(func(l *location, _ *directive) {
		for _, scope := range l.scopes() {
			at := scope.inherited("proxy_intercept_errors")
			if pass(scope) == nil || !scope.on("proxy_intercept_errors", false) || s.asksService(scope) {
				continue
			}
			for _, code := range []string{"401", "500"} {
				if page, ok := errorPageFor(scope, code); ok {
					found(at[0], Warning, "proxy_intercept_errors on where "+page.text()+" counts",
						"the application's own "+code+" is taken for the check's, so its scripts are sent to the login or its faults shown as ours",
						"write proxy_intercept_errors off; where auth_request counts")
					break
				}
			}
		}
		if at := l.inherited("recursive_error_pages"); l.on("recursive_error_pages", false) {
			if page, ok := errorPageFor(l.directive, "401"); ok {
				found(at[0], Warning, "recursive_error_pages on where "+page.text()+" counts",
					"a 401 of the error page itself starts the error page anew, ten times, and ends in 500",
					"write recursive_error_pages off; where auth_request counts")
			}
		}
	})
}
