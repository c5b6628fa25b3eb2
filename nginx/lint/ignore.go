package lint

import (
	"fmt"
	"slices"
	"strings"
)

// ignore is a comment that silences one rule at one line.
type ignore struct {
	file         string
	line, target int
	rule, reason string
}

type ignores []ignore

// newIgnores reads the comments that begin with authsvc-lint. One beside a directive is about that line; one that stands
// alone, about the next directive below.
func newIgnores(lines map[string][]int, comments map[string][]remark) ignores {
	var all ignores
	for file, remarks := range comments {
		for _, comment := range remarks {
			text, ok := strings.CutPrefix(strings.TrimSpace(comment.text), "authsvc-lint:")
			if !ok {
				continue
			}
			target := comment.line
			if !slices.Contains(lines[file], target) {
				below := slices.DeleteFunc(slices.Clone(lines[file]), func(line int) bool { return line < comment.line })
				if len(below) > 0 {
					target = slices.Min(below)
				}
			}
			verb, rest, _ := strings.Cut(strings.TrimSpace(text), " ")
			rule, reason, _ := strings.Cut(strings.TrimSpace(rest), " ")
			if verb != "ignore" {
				rule = ""
			}
			all = append(all, ignore{file, comment.line, target, rule, strings.TrimSpace(reason)})
		}
	}
	return all
}

// reason tells whether a comment silences a finding, and why.
func (all ignores) reason(f Finding) (string, bool) {
	for _, i := range all {
		if i.file == f.File && i.target == f.Line && i.rule == f.Rule && i.reason != "" {
			return i.reason, true
		}
	}
	return "", false
}

// findings tells which comments silence nothing because of how they are written.
func (all ignores) findings() []Finding {
	var found []Finding
	for _, i := range all {
		known := slices.ContainsFunc(rules, func(r rule) bool { return r.Name == i.rule })
		what := ""
		switch {
		case !known:
			what = fmt.Sprintf("%q is no rule", i.rule)
		case i.reason == "":
			what = "ignore without a reason"
		default:
			continue
		}
		f := Finding{i.file, i.line, Warning, "ignore", what, "so this comment silences nothing",
			"write # authsvc-lint: ignore RULE and why that is right here"}
		if !slices.Contains(found, f) {
			found = append(found, f) // a file that is included twice tells it once
		}
	}
	return found
}
