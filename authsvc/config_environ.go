package authsvc

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
)

// configVariable names the YAML file; the command reads it, not Load.
const configVariable = variablePrefix + "CONFIG"

// serviceLink matches what Kubernetes injects for services whose names begin with ours, such as
// AUTHSVC_SERVICE_HOST and AUTHSVC_PORT_4180_TCP_ADDR.
var serviceLink = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT|_PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)$`)
})

// readEnvironment reads our variables into c, in the order of their names. Of a variable that stands twice the
// last counts, as for a program that the environment is handed to.
func (d *decoder) readEnvironment(environ []string, c *Config) {
	variables := make(map[string]string)
	for _, entry := range environ {
		if name, text, found := strings.Cut(entry, "="); found && strings.HasPrefix(name, variablePrefix) && name != configVariable {
			variables[name] = text
		}
	}
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		d.variable = name
		d.readVariable(variables[name], c)
	}
	d.variable = ""
}

// readVariable reads the text of d.variable into the key that it stands for.
func (d *decoder) readVariable(text string, c *Config) {
	for _, k := range keys {
		target := k.value(reflect.ValueOf(c).Elem())
		switch {
		case k.Twin && d.variable == k.Variable+"_FILE":
			node, _ := Key{}.variableNode(text)
			d.decodeTwin(node, k, target)
			return
		case d.variable != k.Variable:
			continue
		}
		node, err := k.variableNode(text)
		if err != nil {
			d.report(&yaml.Node{}, k.Path, err.Error(), `write JSON, such as `+k.jsonExample())
			return
		}
		d.forget(k.Path)
		target.SetZero()
		if k.merge {
			k.setDefault(reflect.ValueOf(c).Elem())
		}
		d.decode(node, k, target)
		return
	}
	if !serviceLink().MatchString(d.variable) {
		d.reportUnknownVariable()
	}
}

func (d *decoder) reportUnknownVariable() {
	var names []string
	for _, k := range keys {
		names = append(names, k.Variable)
		if k.Twin {
			names = append(names, k.Variable+"_FILE")
		}
	}
	right := "remove it; \"authsvc config\" lists the keys, and a key's variable is its path in capitals"
	if meant := nearest(d.variable, names); meant != "" {
		right = "did you mean " + meant + "?"
	}
	d.report(&yaml.Node{}, "", "is not a variable of authsvc", right)
}

// forget drops what the file said about a key and its parts.
func (d *decoder) forget(path string) {
	maps.DeleteFunc(d.origins, func(known string, _ origin) bool { return within(known, path) })
	maps.DeleteFunc(d.twins, func(known string, _ twin) bool { return known != path && within(known, path) })
}

// jsonNode reads JSON as the YAML that says the same; the empty text is the empty list or mapping.
func jsonNode(text string, mapping bool) (*yaml.Node, error) {
	if text == "" {
		if mapping {
			return &yaml.Node{Kind: yaml.MappingNode}, nil
		}
		return &yaml.Node{Kind: yaml.SequenceNode}, nil
	}
	var document yaml.Node
	if !json.Valid([]byte(text)) || yaml.Unmarshal([]byte(text), &document) != nil || len(document.Content) == 0 {
		return nil, errors.New("is not JSON")
	}
	return document.Content[0], nil
}

// jsonExample returns what the key's variable may look like.
func (k Key) jsonExample() string {
	switch {
	case k.kind == sitesType:
		return `[{"hosts": …}]`
	case k.kind.Kind() == reflect.Slice && !isSection(k.kind.Elem()):
		return `["…"]`
	case k.kind.Kind() == reflect.Slice:
		return `[{"` + fieldsOf(k.kind.Elem())[0].Path + `": …}]`
	case k.Default != "":
		return k.Default
	default:
		return `{"name": "value"}`
	}
}
