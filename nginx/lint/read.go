package lint

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
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
