package authsvc

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// Key is one key of the configuration, as people write it.
type Key struct {
	Path     string   // in YAML, such as oidc.client_id
	Variable string   // in the environment, such as AUTHSVC_OIDC_CLIENT_ID
	Default  string   // as an environment variable would say it; empty without a default
	Values   []string // the words that it may be; nil when any
	Doc      string   // one line
	Twin     bool     // whether the path with _file behind it names a file that holds the value
	JSON     bool     // whether its variable is written in JSON
	Later    bool     // whether this version refuses it, since it has no effect yet

	index    []int
	kind     reflect.Type
	verbatim bool
	merge    bool
	service  bool   // of the whole service, not of a site
	shared   string // what replicas have in common; the tag's words
}

// keys are all keys of [Config], in its order.
var keys = keysOf(reflect.TypeFor[Config](), "", nil)

// Keys returns all keys of the configuration, in the order of the file.
func Keys() []Key { return append([]Key(nil), keys...) }

// fileTwin ends the name of the key that names a file with a secret.
const fileTwin = "_file"

// variablePrefix begins the name of every variable that is ours.
const variablePrefix = "AUTHSVC_"

// variableOf returns the environment variable of a key's path.
func variableOf(path string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// keysOf lists the keys below a struct; section structs contribute their own keys.
func keysOf(structure reflect.Type, prefix string, index []int) []Key {
	var list []Key
	for _, k := range fieldsOf(structure) {
		k.Path = prefix + k.Path
		k.index = append(index[:len(index):len(index)], k.index...)
		if isSection(k.kind) {
			for _, part := range keysOf(k.kind, k.Path+".", k.index) {
				part.service = part.service || k.service
				list = append(list, part)
			}
			continue
		}
		k.Variable = variableOf(k.Path)
		list = append(list, k)
	}
	return list
}

// fieldsOf lists the keys of one struct, sections as one key each; their Path is the name alone.
func fieldsOf(structure reflect.Type) []Key {
	var list []Key
	for f := range structure.Fields() {
		if !f.IsExported() {
			continue
		}
		if f.Anonymous && f.Type.Kind() == reflect.Struct { // its keys are the struct's own
			for _, k := range fieldsOf(f.Type) {
				k.index = append(slices.Clone(f.Index), k.index...)
				list = append(list, k)
			}
			continue
		}
		k := Key{
			Path:     f.Tag.Get("key"),
			Default:  f.Tag.Get("default"),
			Doc:      f.Tag.Get("doc"),
			Twin:     f.Type == secretType || f.Type == reflect.SliceOf(secretType),
			JSON:     f.Type.Kind() == reflect.Map || f.Type.Kind() == reflect.Slice && isSection(f.Type.Elem()),
			Later:    f.Tag.Get("later") == "true",
			index:    f.Index,
			kind:     f.Type,
			verbatim: f.Tag.Get("verbatim") == "true",
			merge:    f.Tag.Get("merge") == "headers",
			service:  f.Tag.Get("service") == "true",
			shared:   f.Tag.Get("shared"),
		}
		if values := f.Tag.Get("values"); values != "" {
			k.Values = strings.Split(values, "|")
		}
		list = append(list, k)
	}
	return list
}

var (
	secretType   = reflect.TypeFor[Secret]()
	storeURLType = reflect.TypeFor[StoreURL]()
	durationType = reflect.TypeFor[time.Duration]()
	timeType     = reflect.TypeFor[time.Time]()
	headerType   = reflect.TypeFor[Header]()
	sitesType    = reflect.TypeFor[[]SiteConfig]()
)

// isSection tells whether a value of this type is a mapping with keys of its own.
func isSection(kind reflect.Type) bool {
	return kind.Kind() == reflect.Struct && kind != timeType
}

// value returns the key's value in a Config.
func (k Key) value(config reflect.Value) reflect.Value { return config.FieldByIndex(k.index) }

// setDefault sets the key to its default, which its tag writes as an environment variable would.
func (k Key) setDefault(config reflect.Value) {
	var d decoder
	node, err := k.variableNode(k.Default)
	if err == nil {
		d.decode(node, k, k.value(config))
	}
	if err != nil || len(d.problems) > 0 {
		panic(fmt.Sprintf("authsvc: the default of %s cannot be read: %v %v", k.Path, err, d.problems))
	}
}

// isDefault tells whether the key has its default in a Config.
func (k Key) isDefault(config reflect.Value) bool {
	normal := reflect.New(config.Type()).Elem()
	if k.Default != "" {
		k.setDefault(normal)
	}
	value := k.value(config)
	if kind := value.Kind(); (kind == reflect.Slice || kind == reflect.Map) && value.Len() == 0 {
		return k.value(normal).Len() == 0
	}
	return reflect.DeepEqual(value.Interface(), k.value(normal).Interface())
}

// variableNode reads the text of a variable, or of a default, as the YAML that would say the same.
func (k Key) variableNode(text string) (*yaml.Node, error) {
	if k.JSON {
		return jsonNode(text, k.kind.Kind() == reflect.Map)
	}
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}, nil
}
