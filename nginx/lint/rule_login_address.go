package lint

import (
	"fmt"
	"slices"
	"strings"
)

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
