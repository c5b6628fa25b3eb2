package authsvc

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the configuration, or, as a warning, worth knowing.
type Problem struct {
	File     string // the YAML file; empty when the problem is not in a file
	Line     int    // line in File, from 1; 0 when File as a whole is meant
	Variable string // the environment variable, when the value came from one
	Key      string // path of the key, such as oidc.client_id or headers.X-Name
	Wrong    string // what is wrong, never with a secret's value
	Right    string // what would be right

	cause error // of what is wrong with a file; nil where it is no matter of the system's
}

// String returns the problem in one line: "FILE:LINE: KEY: WRONG; RIGHT" or "AUTHSVC_NAME: WRONG; RIGHT".
func (p Problem) String() string {
	var place []string
	switch {
	case p.Variable != "":
		place = append(place, p.Variable)
	case p.File != "" && p.Line > 0:
		place = append(place, fmt.Sprintf("%s:%d", p.File, p.Line))
	case p.File != "":
		place = append(place, p.File)
	}
	if p.Key != "" && (p.Variable == "" || p.Variable != variableOf(p.Key)) {
		place = append(place, p.Key)
	}
	return oneLine(strings.Join(append(place, p.Wrong), ": ") + "; " + p.Right)
}

// ConfigError is every problem that keeps a configuration from being used, in the order of its places.
type ConfigError struct {
	Problems []Problem
}

// Error returns all problems, one a line.
func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, problem := range e.Problems {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns why files could not be read, so that errors.Is finds what the system says, as syscall.EMFILE.
func (e *ConfigError) Unwrap() (causes []error) {
	for _, problem := range e.Problems {
		if problem.cause != nil {
			causes = append(causes, problem.cause)
		}
	}
	return causes
}

// sortProblems brings problems into the order in which a person mends them: the file from its top, then
// variables by name.
func sortProblems(problems []Problem) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(a.Variable, b.Variable),
			cmp.Compare(a.Line, b.Line),
		)
	})
}

// oneLine replaces control characters, so that a problem is one line and writes nothing to a terminal but text.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || 0x7f <= r && r < 0xa0 || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// quote shows a value in a message, if it is short and has no white space: a longer one, or one that ran on
// into the next line of the file, may hold what is nobody's business.
func quote(value string) string {
	if value == "" {
		return "the empty value"
	}
	if len(value) > 64 || strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '@' }) {
		return "the value"
	}
	return `"` + value + `"`
}

// origin is the place that a value came from.
type origin struct {
	file     string
	line     int
	variable string
}

// origins knows the place of every key that was set.
type origins struct {
	file string            // the YAML file, if one was read
	of   map[string]origin // by path of the key
}

// place completes a problem with the place of its key. A key that is set nowhere belongs to its section in the
// file, to the file's first line, or, without a file, to its variable.
func (o origins) place(p Problem) Problem {
	for path := p.Key; path != ""; path = parentPath(path) {
		if from, ok := o.of[path]; ok {
			p.File, p.Line, p.Variable = from.file, from.line, from.variable
			return p
		}
	}
	if o.file != "" {
		p.File, p.Line = o.file, 1
	} else {
		p.Variable = variableOf(p.Key)
	}
	return p
}

// parentPath returns the path of the section or list that path is in; "" at the top.
func parentPath(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}
