package authsvc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// maxConfigSize bounds the YAML file, in bytes.
const maxConfigSize = 1 << 20

// Load reads the configuration from the YAML file at path ("" for none) and from the AUTHSVC_ variables of
// environ ("NAME=value", as [os.Environ] gives them), which win over the file, and validates it. AUTHSVC_CONFIG is
// the caller's and passed over. It opens the file, the files that hold secrets, and the certificates that the
// configuration names; it touches no network.
//
// The error is a *[ConfigError] with every problem at once, those of reading and those of [Config.Validate].
func Load(path string, environ []string) (*Config, error) {
	return load(path, environ, readFile)
}

// load is Load with its one way to open files.
func load(path string, environ []string, read fileReader) (*Config, error) {
	c := DefaultConfig()
	d := &decoder{file: path, origins: make(map[string]origin), twins: make(map[string]twin)}
	readable := path == "" || d.readConfigFile(path, c, read)
	d.readEnvironment(environ, c)
	d.readTwins(read)
	d.readSites(c)
	d.readTwins(read)
	c.origins = origins{file: path, of: d.origins}
	c.Complete()

	validated, _ := c.Validate()
	validated = append(validated, c.validateFiles(read)...)
	isTold := toldAbout(d.problems)
	for _, problem := range validated {
		// Of a file that could not be read nothing is known, and what a variable says is.
		if (readable || problem.Variable != "") && !isTold(problem.Key) {
			d.problems = append(d.problems, problem)
		}
	}
	if len(d.problems) > 0 {
		sortProblems(d.problems)
		return nil, &ConfigError{Problems: d.problems}
	}
	return c, nil
}

// toldAbout returns whether reading a key, its section or a part of it has failed already: what Validate finds there
// is about a value that nobody wrote. That a key has no effect is worth saying, whatever is wrong inside.
func toldAbout(problems []Problem) func(path string) bool {
	told, above := make(map[string]bool), make(map[string]bool)
	for _, problem := range problems {
		path := strings.TrimSuffix(problem.Key, fileTwin)
		told[path] = path != ""
		for ; path != "" && !above[path]; path = parentPath(path) {
			above[path] = true
		}
	}
	return func(path string) bool {
		if slices.ContainsFunc(keys, func(k Key) bool { return k.Later && k.Path == path }) {
			return false
		}
		// That a rule is never reached, told of the rule as a whole, may be due to one that was not read.
		list := parentPath(path)
		if above[path] || above[list] && strings.HasSuffix(path, "]") && (list == "rules" || strings.HasSuffix(list, ".rules")) {
			return true
		}
		for ; path != ""; path = parentPath(path) {
			if told[path] {
				return true
			}
		}
		return false
	}
}

// within tells whether path is outer or a part of it.
func within(path, outer string) bool {
	rest, found := strings.CutPrefix(path, outer)
	return found && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// readConfigFile reads the YAML file into c. It returns false if nothing can be told about the file's keys.
func (d *decoder) readConfigFile(path string, c *Config, read fileReader) bool {
	content, err := read(path, maxConfigSize)
	if err != nil {
		d.problems = append(d.problems, Problem{File: path, Wrong: "cannot be read: " + reason(err), Right: "name a YAML file of at most 1 MiB that this process may read", cause: err})
		return false
	}
	var document, second yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(content))
	if err := documents.Decode(&document); errors.Is(err, io.EOF) {
		return true
	} else if err != nil {
		d.reportSyntax(path, content, err)
		return false
	}
	if err := documents.Decode(&second); err == nil {
		d.report(&second, "", "begins a second YAML document", "keep one document in the file")
		return false
	} else if !errors.Is(err, io.EOF) {
		d.reportSyntax(path, content, err)
		return false
	}
	if root := document.Content[0]; root.Kind != yaml.MappingNode && root.ShortTag() != "!!null" {
		d.report(root, "", "is not a mapping of keys", "write lines such as public_url: https://app.example.com")
		return false
	}
	d.decode(document.Content[0], Key{kind: reflect.TypeFor[Config]()}, reflect.ValueOf(c).Elem())
	return true
}

// yamlError is how the YAML package words its errors, and unknownAlias the one that repeats what the file says.
var (
	yamlError    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)$`) })
	unknownAlias = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`unknown anchor '(.*)' referenced`) })
)

// reportSyntax keeps the problem of a file that is no YAML, without what the file says: it may be a secret.
func (d *decoder) reportSyntax(path string, content []byte, err error) {
	problem := Problem{File: path, Line: 1, Wrong: "not YAML", Right: "mend the lines around it: indent with spaces, and quote values with special characters"}
	if match := unknownAlias().FindStringSubmatch(err.Error()); match != nil {
		before, _, _ := bytes.Cut(content, []byte("*"+match[1]))
		problem.Line += bytes.Count(before, []byte("\n"))
		problem.Wrong = "a value begins with *, which YAML reads as an alias"
		problem.Right = "put the value in quotes"
	} else if match := yamlError().FindStringSubmatch(err.Error()); match != nil {
		if line, err := strconv.Atoi(match[1]); err == nil {
			problem.Line = line
		}
		problem.Wrong += ": " + strings.ReplaceAll(match[2], ";", ",")
	}
	d.problems = append(d.problems, problem)
}

// fileReader reads a whole file of at most limit bytes.
type fileReader func(path string, limit int64) ([]byte, error)

func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = fmt.Errorf("the file has more than %d bytes", limit)
	}
	return content, err
}

// reason words an error about a file without the path, which the message names already.
func reason(err error) string { return strings.ReplaceAll(withoutPath(err).Error(), ";", ",") }

// withoutPath is why a file could not be read, alone.
func withoutPath(err error) error {
	if pathError, ok := errors.AsType[*fs.PathError](err); ok {
		return pathError.Err
	}
	return err
}
