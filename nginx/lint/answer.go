package lint

import (
	"slices"
	"strings"
)

// handled tells whether something else than files answers in a location.
func (l *location) handled() bool {
	return pass(l.directive) != nil || slices.ContainsFunc(l.scopes(), func(scope *directive) bool {
		return slices.ContainsFunc(scope.block, func(d *directive) bool {
			return d.name == "return" || d.name == "rewrite" || d.name == "try_files" || d.name == "js_content" || d.name == "perl" ||
				strings.HasSuffix(d.name, "_pass") || strings.HasPrefix(d.name, "content_by_") || strings.HasPrefix(d.name, "rewrite_by_")
		})
	})
}

// returned is the status and the text or address of a return.
func returned(d *directive) (code, text string) {
	if len(d.args) == 1 && !isStatus(d.arg(0)) {
		return "302", d.arg(0)
	}
	return d.arg(0), d.arg(1)
}

func isStatus(text string) bool {
	return len(text) == 3 && strings.Trim(text, "0123456789") == ""
}

// answers tells whether a location, or an if in it, answers by return, which asks for no verdict.
func (l *location) answers() bool {
	return slices.ContainsFunc(l.scopes(), func(scope *directive) bool { return scope.own("return") != nil })
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
