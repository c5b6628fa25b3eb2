package lint

import (
	"fmt"
	"net/netip"
	"slices"
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
		case !c.own():
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

// handled tells whether something else than files answers in a location.
func (l *location) handled() bool {
	return pass(l.directive) != nil || slices.ContainsFunc(l.scopes(), func(scope *directive) bool {
		return slices.ContainsFunc(scope.block, func(d *directive) bool {
			return d.name == "return" || d.name == "rewrite" || d.name == "try_files" || d.name == "js_content" || d.name == "perl" ||
				strings.HasSuffix(d.name, "_pass") || strings.HasPrefix(d.name, "content_by_") || strings.HasPrefix(d.name, "rewrite_by_")
		})
	})
}

// eachCheck visits the blocks that hand a check to a service over HTTP.
func (s *server) eachCheck(visit func(l *location, by *directive)) {
	for _, c := range s.checks {
		if !c.own() {
			continue // see findCheckNowhere
		}
		if by := pass(c.at.directive); by != nil && by.name == "proxy_pass" {
			visit(c.at, by)
		}
	}
}

// findCheckBody finds checks that announce the visitor's body.
//
// nginx never sends a body with the check, but without Content-Length "" it sends the visitor's Content-Length: the service
// waits for bytes that do not come, and every upload and form hangs.
func findCheckBody(s *server, found report) {
	s.eachCheck(func(l *location, by *directive) {
		if d := requestHeaders(l.directive)["content-length"]; d == nil || d.last() != "" {
			found(by, Error, "the check keeps the visitor's Content-Length",
				"its body is not sent, so the service waits for it and every form and upload hangs, then ends in 500",
				`add proxy_set_header Content-Length "";`)
		}
		if l.on("proxy_pass_request_body", true) {
			found(by, Warning, "the check is meant to carry the visitor's body",
				"authsvc reads none, and bytes of it on the connection to a service cost time at best",
				"add proxy_pass_request_body off;")
		}
	})
}

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

// findCheckAddress finds checks whose address holds what the visitor sent. Within a subrequest $uri and $args are its own;
// $request_uri is the visitor's.
func findCheckAddress(s *server, found report) {
	s.eachCheck(func(l *location, by *directive) {
		if name, ok := anyOf(s.sources(by.arg(0)), "request_uri", "request", "host", "http_*", "cookie_*", "request_body"); ok {
			found(by, Error, "the address of the check holds $"+name+", which the visitor writes",
				"he can make it another endpoint or another host, and any 2xx lets him in",
				"write the address out: proxy_pass http://authsvc; and pass what was asked in X-Original-URL")
		}
	})
}

// findCheckTransport finds checks that leave for another network without TLS, or without looking who answers.
func findCheckTransport(s *server, found report) {
	s.eachCheck(func(l *location, by *directive) {
		to := s.passed(l.directive)
		hosts := []string{to.hostname()}
		if upstream := s.upstream(to); upstream != nil {
			hosts = nil
			for _, d := range upstream.own("server") {
				hosts = append(hosts, passTarget{host: d.arg(0)}.hostname())
			}
		}
		for _, host := range hosts {
			switch {
			case nearby(host):
			case to.scheme == "http":
				found(by, Warning, "the check goes to "+host+" over plain http",
					"session cookies and verdicts can be read and changed on the way",
					"use https with proxy_ssl_verify on, or a private address")
			case to.scheme == "https" && !l.on("proxy_ssl_verify", false):
				found(by, Warning, "the check goes to "+host+" without proxy_ssl_verify",
					"nginx takes any certificate, so whoever is on the way can say 200",
					"add proxy_ssl_verify on; with proxy_ssl_trusted_certificate, proxy_ssl_name and proxy_ssl_server_name on")
			}
		}
	})
}

// nearby tells whether a host is on this machine or in a private network, as far as its name says. A variable may be
// anything.
func nearby(host string) bool {
	if strings.HasPrefix(host, "unix:") || strings.Contains(host, "$") || !strings.Contains(host, ".") && !strings.Contains(host, ":") {
		return true
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return address.IsLoopback() || address.IsPrivate() || address.IsLinkLocalUnicast()
	}
	for _, end := range []string{".local", ".localhost", ".internal", ".lan", ".svc", ".intranet", ".home.arpa"} {
		if strings.HasSuffix(host, end) {
			return true
		}
	}
	return false
}
