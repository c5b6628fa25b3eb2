package lint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds of what is read. Real configurations stay far below each.
const (
	maxFiles   = 2_000    // in one lint
	maxBytes   = 16 << 20 // in one lint
	maxInclude = 16       // files that include each other
	maxDepth   = 64       // blocks within blocks, of one file
)

// FileError is a file, or a place in one, that nginx could not read.
type FileError struct {
	File   string
	Line   int // 0: the file as a whole
	Reason string
	Err    error // the cause, if it is an error of its own; os.IsNotExist and the like can be asked of it
}

// Error is FILE:LINE: REASON.
func (e *FileError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %s", e.File, e.Reason)
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Reason)
}

// Unwrap returns the cause.
func (e *FileError) Unwrap() error { return e.Err }

// source is where files come from.
type source struct {
	open   func(name string) (io.ReadCloser, error)
	glob   func(pattern string) ([]string, error)
	exists func(name string) bool
}

var errIrregular = errors.New("not a regular file")

// disk is the machine's own files. Only regular ones are opened: a pipe would wait for ever, a device never end.
var disk = source{
	open: func(name string) (io.ReadCloser, error) {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() {
			return nil, errIrregular
		}
		return os.Open(name)
	},
	glob: filepath.Glob,
	exists: func(name string) bool {
		_, err := os.Stat(name)
		return err == nil
	},
}

// reader reads the files of one lint.
type reader struct {
	source
	options Options

	files, bytes int                 // read so far
	lines        map[string][]int    // per file, where directives begin
	comments     map[string][]remark // per file
	problems     []error
}

// remark is a comment: its line and the text after the #.
type remark struct {
	line int
	text string
}

// read returns the trees that the files make: one for each whole configuration, and one for all others.
func (r *reader) read(names []string) ([]*directive, error) {
	r.lines, r.comments = map[string][]int{}, map[string][]remark{}
	var trees []*directive
	parts := newRoot()
	for _, name := range names {
		text, failure := r.load(name)
		if failure != nil {
			r.problems = append(r.problems, failure)
			continue
		}
		parent := newRoot()
		switch kindOf(text) {
		case whole:
			trees = append(trees, parent)
		case httpPart:
			parent = parts.block[0]
		case serverPart:
			parent = &directive{name: "server", file: name, parent: parts.block[0]}
			parts.block[0].block = append(parts.block[0].block, parent)
		}
		if parent.name == "main" {
			parent.block = nil // of a whole configuration, http{} is in the file
		}
		r.fill(parent, name, text, r.confDir(name, parent.name == "main"), []string{name})
		if parent.name == "server" {
			raise(parent)
		}
	}
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	return append(trees, parts), nil
}

// raise moves what was taken for a part of a server{} to http{} where that is what it includes.
func raise(server *directive) {
	if !slices.ContainsFunc(server.block, func(d *directive) bool { return kinds[d.name] == httpPart }) {
		return
	}
	http := server.parent
	http.block = slices.DeleteFunc(http.block, func(d *directive) bool { return d == server })
	for _, d := range server.block {
		d.parent = http
		http.block = append(http.block, d)
	}
}

// newRoot is a tree with an empty http{}.
func newRoot() *directive {
	root := &directive{name: "main"}
	root.block = []*directive{{name: "http", parent: root}}
	return root
}

// confDir is the folder that a file's relative includes are in.
func (r *reader) confDir(name string, whole bool) string {
	own := filepath.Dir(name)
	if r.options.ConfDir != "" {
		return r.options.ConfDir
	}
	if whole || name == "-" {
		return own
	}
	absolute, err := filepath.Abs(own)
	if err != nil {
		return own
	}
	for dir := absolute; ; dir = filepath.Dir(dir) {
		if r.exists(filepath.Join(dir, "nginx.conf")) {
			return dir
		}
		if dir == filepath.Dir(dir) {
			return own
		}
	}
}

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
	return text, nil
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
