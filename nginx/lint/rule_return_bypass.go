package lint

import (
	"fmt"
	"slices"
	"strings"
)

// findReturnBypass finds return in a protected location, in an if of one, or in the server around it.
//
// nginx runs return, if and rewrite in the rewrite phase, before the access phase in which auth_request asks; what return
// answers, strangers get. A status of 400 or more gives nothing away.
func findReturnBypass(s *server, found report) {
	look := func(scope *directive) {
		for _, d := range scope.own("return") {
			code, text := returned(d)
			conditional := ""
			if scope.name == "if" {
				conditional = " for whom the condition holds"
			}
			switch {
			case code == "204":
				found(d, Info, fmt.Sprintf("%q answers before the check is asked", d.text()),
					"anyone"+conditional+" gets this answer, signed in or not; without a body it gives nothing away",
					"leave it if that is meant, say for a CORS preflight")
			case strings.HasPrefix(code, "2"):
				found(d, Error, fmt.Sprintf("%q answers before the check is asked", d.text()),
					"return and if run in the rewrite phase, auth_request after it: anyone"+conditional+" gets this answer, signed in or not",
					"serve it as a file or from an upstream, which wait for the verdict, or say auth_request off in a location of its own")
			case strings.HasPrefix(code, "3") && s.tells(text):
				found(d, Info, fmt.Sprintf("%q redirects before the check is asked", d.text()),
					"anyone"+conditional+" learns the address, signed in or not",
					"leave it if the address is no secret")
			}
		}
	}
	guards := false
	s.protected(func(l *location, _ *directive) {
		guards = true
		if l.modifier == "@" {
			return // another location leads here, after its own check
		}
		for _, scope := range l.scopes() {
			look(scope)
		}
	})
	if guards {
		look(s.directive)
		for _, d := range s.own("if") {
			look(d)
		}
	}
}

// tells whether an address says more than another way to the same page: it leads to another host or holds variables.
func (s *server) tells(address string) bool {
	if scheme, rest, ok := strings.Cut(address, "://"); ok && slices.Contains([]string{"http", "https", "$scheme"}, scheme) {
		for _, host := range append([]string{"$host", "$server_name", "$http_host"}, s.names()...) {
			if path, ok := strings.CutPrefix(rest, host); ok && (path == "" || path[0] == '/' || path[0] == '$') {
				address = "/" + strings.TrimPrefix(strings.Replace(path, "$request_uri", "", 1), "/")
				break
			}
		}
	}
	return strings.Contains(address, "$") || !strings.HasPrefix(address, "/")
}
