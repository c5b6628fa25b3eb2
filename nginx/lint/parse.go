package lint

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	crossplane "github.com/nginxinc/nginx-go-crossplane"
)

// kind is which part of a configuration a file is.
type kind int

const (
	serverPart kind = iota // what stands in server{}
	httpPart               // what stands in http{}
	whole                  // an nginx.conf
)

// kindOf tells the kind by the blocks at the top of a file.
func kindOf(text []byte) kind {
	found := serverPart
	depth, first := 0, true
	for token := range lex(text) {
		switch {
		case token.Error != nil, token.IsQuoted && !first:
		case token.Value == "{" && !token.IsQuoted:
			depth++
			first = true
			continue
		case token.Value == "}" && !token.IsQuoted:
			depth--
			first = true
			continue
		case token.Value == ";" && !token.IsQuoted:
			first = true
			continue
		case strings.HasPrefix(token.Value, "#"):
			continue
		case first && depth == 0:
			found = max(found, kinds[token.Value])
		}
		first = false
	}
	return found
}

var kinds = map[string]kind{
	"http": whole, "events": whole, "stream": whole, "mail": whole, "worker_processes": whole, "load_module": whole,
	"server": httpPart, "upstream": httpPart, "map": httpPart, "geo": httpPart, "split_clients": httpPart,
	"proxy_cache_path": httpPart, "limit_req_zone": httpPart, "limit_conn_zone": httpPart, "log_format": httpPart,
}

func lexOptions() crossplane.LexOptions {
	return crossplane.LexOptions{Lexers: []crossplane.RegisterLexer{new(crossplane.Lua).RegisterLexer()}}
}

// lex returns the tokens of a text. The channel has to be read to its end.
func lex(text []byte) <-chan crossplane.NgxToken {
	return crossplane.LexWithOptions(bytes.NewReader(text), lexOptions())
}

// balanced returns an error unless every block of a text ends in it, none lies too deep for a parser that calls
// itself, and every if has a condition: the parser panics at one that has none.
func balanced(name string, text []byte) error {
	depth, deepest := 0, 0
	var statement []string
	var failure error
	for token := range lex(text) {
		ends := !token.IsQuoted && (token.Value == "{" || token.Value == "}" || token.Value == ";")
		if ends && failure == nil && len(statement) == 2 && statement[0] == "if" && isNothing(statement[1]) {
			failure = &FileError{File: name, Line: token.Line, Reason: "if () has no condition"}
		}
		if ends {
			statement = statement[:0]
		} else if len(statement) < 3 && (token.IsQuoted || !strings.HasPrefix(token.Value, "#")) {
			statement = append(statement, token.Value)
		}
		switch {
		case failure != nil:
		case token.Error != nil:
			failure = parseFailure(name, token.Error, token.Line)
		case token.Value == "{" && !token.IsQuoted:
			if depth++; depth > deepest {
				deepest = depth
			}
			if deepest > maxDepth {
				failure = &FileError{File: name, Line: token.Line, Reason: fmt.Sprintf("more than %d blocks within each other", maxDepth)}
			}
		case token.Value == "}" && !token.IsQuoted:
			depth--
		}
	}
	return failure
}

// isNothing reports whether a text is a pair of parentheses around nothing.
func isNothing(text string) bool {
	inner, opens := strings.CutPrefix(text, "(")
	return opens && strings.TrimSpace(inner) == ")"
}

// wrappers are the blocks that a text is put into, so that it is parsed where it stands in the tree.
var wrappers = map[string]string{
	"location": "location / {", "if": "if ($a) {", "limit_except": "limit_except GET {", "upstream": "upstream a {",
	"map": "map $a $b {", "geo": "geo $a {", "split_clients": "split_clients a $a {", "charset_map": "charset_map a b {",
	"match": "match a {",
}

// parse returns the directives of a text that stands in a block of the tree. Comments are among them, as the parser gives
// them. The error joins [*FileError]s.
func parse(name string, text []byte, parent *directive) (crossplane.Directives, error) {
	if err := balanced(name, text); err != nil {
		return nil, err
	}
	var before string
	levels := 0
	for level := parent; level.name != "main"; level = level.parent {
		before = cmp.Or(wrappers[level.name], level.name+" {") + " " + before
		levels++
	}
	// The wrapping stays on the first line, so that lines keep their numbers.
	wrapped := before + string(text) + "\n" + strings.Repeat("}", levels)
	payload, err := crossplane.Parse(name, &crossplane.ParseOptions{
		SingleFile:    true,
		ParseComments: true,
		// Where a file stands is known for the includes of a whole configuration, and guessed for others.
		SkipDirectiveContextCheck: !isWhole(parent),
		DirectiveSources: []crossplane.MatchFunc{
			crossplane.DefaultDirectivesMatchFunc, crossplane.MatchLuaLatest, crossplane.MatchHeadersMoreLatest, crossplane.MatchGeoip2Latest,
		},
		LexOptions: lexOptions(),
		Open:       func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(wrapped)), nil },
	})
	if err != nil {
		return nil, parseFailure(name, err, 0)
	}
	var failures []error
	for _, problem := range payload.Errors {
		failures = append(failures, parseFailure(name, problem.Error, 0))
	}
	if failures != nil {
		return nil, errors.Join(failures...)
	}
	parsed := payload.Config[0].Parsed
	for range levels {
		if len(parsed) != 1 {
			return nil, &FileError{File: name, Reason: "a block ends that did not begin in this file"}
		}
		parsed = parsed[0].Block
	}
	return parsed, nil
}

// isWhole tells whether a block is in a file that is a whole configuration.
func isWhole(d *directive) bool {
	for ; d.parent != nil; d = d.parent {
		if d.line == 0 {
			return false // made by this package
		}
	}
	return true
}

// parseFailure is an error of the parser, told as ours.
func parseFailure(name string, err error, line int) *FileError {
	failure := &FileError{File: name, Line: line, Reason: err.Error(), Err: err}
	if told, ok := errors.AsType[*crossplane.ParseError](err); ok {
		failure.Reason = told.What
		if told.Line != nil {
			failure.Line = *told.Line
		}
	}
	return failure
}
