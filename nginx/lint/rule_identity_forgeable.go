package lint

import (
	"fmt"
	"slices"
	"strings"
)

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
