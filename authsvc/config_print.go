package authsvc

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// WriteYAML writes the effective configuration as YAML, with secrets masked, and behind every value where it came from.
// Keys that have no effect in this version are left out.
func (c *Config) WriteYAML(w io.Writer) error {
	encoder := yaml.NewEncoder(w)
	encoder.SetIndent(2)
	if err := encoder.Encode(c.sectionNode(reflect.ValueOf(c).Elem(), reflect.Value{}, "")); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	return encoder.Close()
}

// sectionNode writes a section. Of a site it leaves out what is the same in the section of the main one, which is invalid for the main one itself.
func (c *Config) sectionNode(section, main reflect.Value, prefix string) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range fieldsOf(section.Type()) {
		value, name := section.FieldByIndex(k.index), textNode(k.Path)
		k.Path = prefix + k.Path
		var inherited reflect.Value
		if main.IsValid() {
			inherited = main.FieldByIndex(k.index)
		}
		if isSection(k.kind) {
			if content := c.sectionNode(value, inherited, k.Path+"."); len(content.Content) > 0 {
				node.Content = append(node.Content, name, content)
			}
		} else if _, set := c.origins.of[k.Path]; !k.Later && (set || !inherited.IsValid() || !sameValue(value, inherited)) {
			content := valueNode(value)
			if k.kind == sitesType {
				content = c.sitesNode()
			}
			commented := content
			if content.Style != yaml.FlowStyle && content.Kind != yaml.ScalarNode && len(content.Content) > 0 {
				commented = name // it is written below its key
			}
			commented.LineComment = c.provenance(k)
			node.Content = append(node.Content, name, content)
		}
	}
	return node
}

// sameValue reports whether two values are the same: of lists and mappings, none is as good as an empty one.
func sameValue(a, b reflect.Value) bool {
	if (a.Kind() == reflect.Slice || a.Kind() == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

func (c *Config) sitesNode() *yaml.Node {
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if len(c.Sites) == 0 {
		node.Style = yaml.FlowStyle
	}
	main := reflect.ValueOf(c.forSite()).Elem()
	for i, site := range c.Sites {
		node.Content = append(node.Content, c.sectionNode(reflect.ValueOf(site.Config).Elem(), main, item("sites", i)+"."))
	}
	return node
}

// provenance says where a key's value came from.
func (c *Config) provenance(k Key) string {
	switch from, set := c.origins.of[k.Path]; {
	case !set:
		return "default"
	case from.variable != "":
		return from.variable
	default:
		return oneLine(fmt.Sprintf("%s:%d", from.file, from.line))
	}
}

func valueNode(value reflect.Value) *yaml.Node {
	switch typed := value.Interface().(type) {
	case Secret:
		if typed == "" {
			return textNode("")
		}
		return textNode(redacted)
	case StoreURL:
		return textNode(typed.String())
	case time.Duration:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: formatDuration(typed)}
	case bool, int:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: fmt.Sprint(typed)}
	case map[string]string:
		node := &yaml.Node{Kind: yaml.MappingNode}
		if len(typed) == 0 {
			node.Style = yaml.FlowStyle
		}
		for _, name := range slices.Sorted(maps.Keys(typed)) {
			node.Content = append(node.Content, textNode(name), textNode(typed[name]))
		}
		return node
	case map[string]Header:
		node := &yaml.Node{Kind: yaml.MappingNode}
		if len(typed) == 0 {
			node.Style = yaml.FlowStyle
		}
		for _, name := range slices.Sorted(maps.Keys(typed)) {
			node.Content = append(node.Content, textNode(name), typed[name].node())
		}
		return node
	}
	if value.Kind() != reflect.Slice {
		return textNode(value.String())
	}
	node := &yaml.Node{Kind: yaml.SequenceNode}
	if value.Len() == 0 || !isSection(value.Type().Elem()) {
		node.Style = yaml.FlowStyle
	}
	for i := range value.Len() {
		if entry := value.Index(i); isSection(entry.Type()) {
			node.Content = append(node.Content, entryNode(entry))
		} else {
			node.Content = append(node.Content, valueNode(entry))
		}
	}
	return node
}

// entryNode writes an entry of a list with keys of its own: those that are set.
func entryNode(entry reflect.Value) *yaml.Node {
	node := &yaml.Node{Kind: yaml.MappingNode}
	for _, k := range fieldsOf(entry.Type()) {
		value := entry.FieldByIndex(k.index)
		switch {
		case value.IsZero():
		case isSection(k.kind):
			node.Content = append(node.Content, textNode(k.Path), entryNode(value))
		default:
			node.Content = append(node.Content, textNode(k.Path), valueNode(value))
		}
	}
	return node
}

// node writes a header as people do: its claim alone where that says all.
func (h Header) node() *yaml.Node {
	if h.plain() {
		return textNode(h.Claim)
	}
	node := &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle}
	value := reflect.ValueOf(h)
	for _, k := range fieldsOf(headerType) {
		if field := value.FieldByIndex(k.index); !field.IsZero() {
			node.Content = append(node.Content, textNode(k.Path), valueNode(field))
		}
	}
	return node
}

// plain reports whether the claim says all.
func (h Header) plain() bool { return h == Header{Claim: h.Claim} }

// MarshalJSON writes a header as the file does.
func (h Header) MarshalJSON() ([]byte, error) {
	if h.plain() {
		return json.Marshal(h.Claim)
	}
	whole := map[string]any{}
	value := reflect.ValueOf(h)
	for _, k := range fieldsOf(headerType) {
		if field := value.FieldByIndex(k.index); !field.IsZero() {
			whole[k.Path] = field.Interface()
		}
	}
	return json.Marshal(whole)
}

func textNode(text string) *yaml.Node {
	node := new(yaml.Node)
	node.SetString(text)
	return node
}

// formatDuration writes a duration as people do: 30m, not 30m0s.
func formatDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	if d == 0 {
		text = strconv.Itoa(0)
	}
	return text
}
