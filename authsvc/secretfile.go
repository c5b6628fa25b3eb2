package authsvc

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"unicode"
)

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
