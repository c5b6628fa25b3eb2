package authsvc

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// readTwins reads the files that hold secrets, once it is known which of file and environment names them.
func (d *decoder) readTwins(read fileReader) {
	twins := d.twins
	d.twins = make(map[string]twin)
	for _, path := range slices.Sorted(maps.Keys(twins)) {
		t := twins[path]
		if t.file == "" {
			continue
		}
		problem := Problem{File: t.from.file, Line: t.from.line, Variable: t.from.variable, Key: path + fileTwin}
		if other, set := d.origins[path]; set {
			problem.Wrong = "is given together with " + other.name(path)
			problem.Right = "keep one of the two"
			d.problems = append(d.problems, problem)
			continue
		}
		secrets, err := readSecretFile(t.file, t.key, read)
		if err != nil {
			problem.Wrong, problem.cause = reason(err), err
			problem.Right = "name a file that this process may read and that holds the secret alone"
			d.problems = append(d.problems, problem)
			continue
		}
		d.origins[path] = t.from
		if t.target.Kind() == reflect.String {
			t.target.SetString(secrets[0].Reveal())
		} else {
			t.target.Set(reflect.ValueOf(secrets))
		}
	}
}

// name says in a message which key or variable a value came from.
func (o origin) name(path string) string {
	if o.variable != "" {
		return o.variable
	}
	return path
}

// maxSecretFileSize bounds a file that holds a secret, in bytes.
const maxSecretFileSize = 64 << 10

// readSecretFile reads the secret of the key k from its _file twin, or for a list one secret a line. One final
// newline is dropped, unless the key wants the file byte for byte.
func readSecretFile(path string, k Key, read fileReader) ([]Secret, error) {
	content, err := read(path, maxSecretFileSize)
	if err != nil {
		return nil, err
	}
	if k.verbatim {
		if len(content) == 0 {
			return nil, errEmptySecret
		}
		return []Secret{Secret(content)}, nil
	}
	content = bytes.TrimSuffix(content, []byte("\n"))
	content = bytes.TrimSuffix(content, []byte("\r"))
	if len(content) == 0 {
		return nil, errEmptySecret
	}
	lines := []string{string(content)}
	if k.kind == reflect.SliceOf(secretType) {
		lines = strings.Split(strings.ReplaceAll(lines[0], "\r\n", "\n"), "\n")
	}
	var secrets []Secret
	for _, line := range lines {
		if strings.ContainsFunc(line, unicode.IsControl) {
			return nil, errors.New("the file's secret has a line break or another control character")
		}
		if line != "" {
			secrets = append(secrets, Secret(line))
		}
	}
	if len(secrets) == 0 {
		return nil, errEmptySecret
	}
	return secrets, nil
}

var errEmptySecret = errors.New("the file is empty")
