package lint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	crossplane "github.com/nginxinc/nginx-go-crossplane"
)

// load returns a file's content.
func (r *reader) load(name string) ([]byte, *FileError) {
	if r.files++; r.files > maxFiles {
		return nil, &FileError{File: name, Reason: fmt.Sprintf("more than %d files; name fewer at once", maxFiles)}
	}
	from := io.NopCloser(r.options.Stdin)
	if name != "-" || r.options.Stdin == nil {
		var err error
		if from, err = r.open(name); err != nil {
			return nil, unreadable(name, err)
		}
	}
	defer from.Close()
	text, err := io.ReadAll(io.LimitReader(from, int64(maxBytes-r.bytes)+1))
	if err != nil {
		return nil, unreadable(name, err)
	}
	if r.bytes += len(text); r.bytes > maxBytes {
		return nil, &FileError{File: name, Reason: fmt.Sprintf("more than %d MB of configuration; name fewer files at once", maxBytes>>20)}
	}
	// To nginx a carriage return parts words as a space does; the parser passes over it, and would read a name on both sides of one as one.
	return bytes.ReplaceAll(text, []byte{'\r'}, []byte{' '}), nil
}

func unreadable(name string, err error) *FileError {
	reason := err
	if path, ok := errors.AsType[*os.PathError](err); ok {
		reason = path.Err // its text names the file once more
	}
	return &FileError{File: name, Reason: "cannot be read: " + reason.Error(), Err: err}
}

// fill parses a file's text into a block of the tree. chain is the files that are being read, this one last.
func (r *reader) fill(parent *directive, name string, text []byte, confDir string, chain []string) {
	parsed, err := parse(name, text, parent)
	if err != nil {
		r.problems = append(r.problems, err)
		return
	}
	r.graft(parent, name, parsed, confDir, chain)
}

// include puts what an include names into a block, as nginx does: a pattern may match nothing, a plain name must exist,
// and both are relative to the folder of nginx.conf.
func (r *reader) include(parent *directive, name string, line int, pattern, confDir string, chain []string) {
	fail := func(reason string, err error) {
		r.problems = append(r.problems, &FileError{File: name, Line: line, Reason: reason, Err: err})
	}
	full := pattern
	if !filepath.IsAbs(full) {
		full = filepath.Join(confDir, full)
	}
	matches := []string{full}
	if strings.ContainsAny(full, "*?[") {
		var err error
		if matches, err = r.glob(full); err != nil {
			fail(fmt.Sprintf("include %s: %v", pattern, err), err)
			return
		}
		slices.Sort(matches)
	}
	if len(chain) >= maxInclude {
		fail(fmt.Sprintf("include %s: %d files include each other; nginx would run out of files", pattern, maxInclude), nil)
		return
	}
	for _, match := range matches {
		if slices.Contains(chain, match) {
			fail(fmt.Sprintf("include %s: the file includes itself", pattern), nil)
			return
		}
		text, failure := r.load(match)
		if failure != nil {
			fail("include "+failure.Error(), failure)
			return
		}
		r.fill(parent, match, text, confDir, append(slices.Clone(chain), match))
	}
}

// graft puts what was parsed into a block of the tree, with what it includes; comments it notes beside it.
func (r *reader) graft(parent *directive, name string, parsed crossplane.Directives, confDir string, chain []string) {
	for _, statement := range parsed {
		if statement.IsComment() {
			r.comments[name] = append(r.comments[name], remark{statement.Line, *statement.Comment})
			continue
		}
		r.lines[name] = append(r.lines[name], statement.Line)
		if statement.Directive == "include" && len(statement.Args) == 1 {
			r.include(parent, name, statement.Line, statement.Args[0], confDir, chain)
			continue
		}
		d := &directive{name: statement.Directive, args: statement.Args, file: name, line: statement.Line, parent: parent}
		parent.block = append(parent.block, d)
		r.graft(d, name, statement.Block, confDir, chain)
	}
}
