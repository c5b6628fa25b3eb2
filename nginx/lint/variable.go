package lint

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

var variableName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))`) })

// variables returns the names of the variables in a text.
func variables(text string) []string {
	var names []string
	for _, match := range variableName().FindAllStringSubmatch(text, -1) {
		names = append(names, strings.ToLower(match[1]+match[2]))
	}
	return names
}

// fromVerdict marks what auth_request_set took from the answer of the check.
const fromVerdict = "verdict:"

// neverSet marks what an auth_request_set would take that does not count where the text stands.
const neverSet = "unset:"

// sources returns the variables whose values a text may hold in the end: through set, map and auth_request_set, down to
// those that nginx itself knows. What auth_request_set took is marked by [fromVerdict].
func (s *server) sources(text string) []string { return s.follow(text, nil) }

// sourcesAt are the sources in one block, where an auth_request_set of another level does not count: it is marked by
// [neverSet].
func (s *server) sourcesAt(scope *directive, text string) []string {
	return s.follow(text, scope)
}

func (s *server) follow(text string, scope *directive) []string {
	var found []string
	seen := map[string]bool{}
	open := variables(text)
	for len(open) > 0 {
		name := open[len(open)-1]
		open = open[:len(open)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		known := false
		for _, d := range s.definitions(name) {
			known = true
			switch d.name {
			case "set":
				open = append(open, variables(d.arg(1))...)
			case "auth_request_set":
				mark := fromVerdict
				if scope != nil && !slices.Contains(scope.inherited("auth_request_set"), d) {
					mark = neverSet
				}
				for _, v := range variables(d.arg(1)) {
					found = append(found, mark+v)
				}
			case "map": // what it looks at is not what it gives
				for _, entry := range d.block {
					open = append(open, variables(entry.last())...)
				}
			}
		}
		if !known {
			found = append(found, name)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// definitions returns the directives that give a variable its value. Variables are one space for all of nginx, but what
// another server sets is nothing here.
func (s *server) definitions(name string) []*directive {
	if s.defined == nil {
		s.defined = map[string][]*directive{}
		note := func(d *directive, named string) {
			name := strings.ToLower(strings.Trim(strings.TrimPrefix(named, "$"), "{}"))
			s.defined[name] = append(s.defined[name], d)
		}
		s.walk(func(d *directive) bool {
			if d.name == "set" || d.name == "auth_request_set" {
				note(d, d.arg(0))
			}
			return true
		})
		for _, http := range s.root.own("http") {
			for _, d := range http.own("map") {
				note(d, d.arg(1))
			}
			for _, d := range http.own("auth_request_set") {
				note(d, d.arg(0))
			}
		}
	}
	return s.defined[name]
}

// constant fills in the variables of a text in a block that are set there, or around it, to something without variables.
func (s *server) constant(scope *directive, text string) string {
	return variableName().ReplaceAllStringFunc(text, func(v string) string {
		name := variables(v)[0]
		sets := func(d *directive) bool { return d.name == "set" && slices.Equal(variables(d.arg(0)), []string{name}) }
		for level := scope; level != nil; level = level.parent {
			for _, d := range slices.Backward(level.block) {
				switch {
				case sets(d) && !strings.Contains(d.arg(1), "$"):
					return d.arg(1)
				case sets(d), d.name == "if" && slices.ContainsFunc(d.block, sets):
					return v
				}
			}
		}
		return v
	})
}

// anyOf returns the first of the names that is in the list or, ending in *, begins one of the list.
func anyOf(list []string, names ...string) (string, bool) {
	for _, have := range list {
		for _, name := range names {
			if prefix, wild := strings.CutSuffix(name, "*"); have == name || wild && strings.HasPrefix(have, prefix) {
				return have, true
			}
		}
	}
	return "", false
}
