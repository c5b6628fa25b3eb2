package authsvc

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"
)

// decoder reads YAML nodes into a [Config], strictly, and keeps every problem. The nodes come from the file, or
// from one variable at a time.
type decoder struct {
	file     string // the file that nodes are from, unless variable is set
	variable string
	origins  map[string]origin
	twins    map[string]twin // by path of the secret's key
	problems []Problem

	sites  sitesNode // read last, over what the main site has
	inSite bool      // the keys of a site are being read
}

// twin is a _file key: where a secret is to be read from, and where it goes.
type twin struct {
	key    Key
	target reflect.Value
	file   string
	from   origin
}

// decode reads node into value, the place of the key k, whose Path is the whole path.
func (d *decoder) decode(node *yaml.Node, k Key, value reflect.Value) {
	if d.refused(node, k) {
		return
	}
	d.record(k.Path, node)
	switch {
	case k.kind == sitesType:
		d.keepSites(node, k)
	case isSection(k.kind):
		d.decodeSection(node, k, value)
	case k.kind.Kind() == reflect.Slice:
		d.decodeList(node, k, value)
	case k.kind.Kind() == reflect.Map:
		d.decodeMap(node, k, value)
	default:
		d.decodeScalar(node, k, value)
	}
}

// refused tells whether node is nothing that a configuration may hold, whatever the key.
func (d *decoder) refused(node *yaml.Node, k Key) bool {
	switch {
	case node.Kind == yaml.AliasNode:
		d.report(node, k.Path, "is an alias", "write the value itself; anchors and aliases are not read")
	case node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" && (!isSection(k.kind) || k.kind == headerType):
		d.report(node, k.Path, "has no value", `write one, "" for the empty value, or remove the line`)
	case node.Style&yaml.TaggedStyle != 0:
		d.report(node, k.Path, "has a YAML tag", "write the plain value")
	default:
		return false
	}
	return true
}

func (d *decoder) decodeSection(node *yaml.Node, k Key, value reflect.Value) {
	if node.Kind == yaml.ScalarNode && node.ShortTag() == "!!null" {
		return // a section whose keys are all commented out
	}
	prefix := k.Path + "."
	if k.Path == "" {
		prefix = ""
	}
	fields := fieldsOf(k.kind)
	d.eachEntry(node, k, prefix, func(name, content *yaml.Node) {
		for _, field := range fields {
			isTwin := field.Twin && name.Value == field.Path+fileTwin
			if name.Value != field.Path && !isTwin {
				continue
			}
			content.Line = name.Line // a mapping or list has the line of its first entry, which may be far below
			target := value.FieldByIndex(field.index)
			field.Path = prefix + field.Path
			if d.inSite && field.service {
				d.report(name, prefix+name.Value, "belongs to the whole service and not to a site", "write it once, outside of sites")
				return
			}
			if isTwin {
				d.decodeTwin(content, field, target)
			} else {
				d.decode(content, field, target)
			}
			return
		}
		d.reportUnknown(name, prefix, d.usable(fields))
	})
}

// eachEntry calls read for every entry of a mapping whose name is a text that was not there before.
func (d *decoder) eachEntry(node *yaml.Node, k Key, prefix string, read func(name, content *yaml.Node)) {
	if node.Kind != yaml.MappingNode {
		d.report(node, k.Path, "is not a mapping", "write keys with their values, one a line and indented below it")
		return
	}
	seen := make(map[string]bool, len(node.Content)/2)
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, content := node.Content[i], node.Content[i+1]
		switch {
		case name.Kind != yaml.ScalarNode:
			d.report(name, k.Path, "has a key that is not a text", "write the key's name")
		case seen[name.Value]:
			d.report(name, prefix+printableName(name.Value), "stands here a second time", "keep one of the two")
		default:
			seen[name.Value] = true
			read(name, content)
		}
	}
}

func (d *decoder) decodeTwin(node *yaml.Node, k Key, target reflect.Value) {
	var file string
	twinKey := Key{Path: k.Path + fileTwin, kind: reflect.TypeFor[string]()}
	if d.refused(node, twinKey) || !d.scalarText(node, twinKey, &file) {
		return
	}
	d.record(twinKey.Path, node)
	d.twins[k.Path] = twin{key: k, target: target, file: file, from: d.originOf(node)}
}

// decodeList reads a sequence, or for plain values a text with commas.
func (d *decoder) decodeList(node *yaml.Node, k Key, value reflect.Value) {
	items := node.Content
	item := k
	item.kind = k.kind.Elem()
	switch {
	case node.Kind == yaml.ScalarNode && !isSection(item.kind):
		items = splitList(node)
	case node.Kind != yaml.SequenceNode:
		d.reportNoList(node, k)
		return
	}
	// The list has its full length before its items are read: a twin keeps the place that its secret goes to.
	list := reflect.MakeSlice(k.kind, len(items), len(items))
	for i, content := range items {
		item.Path = fmt.Sprintf("%s[%d]", k.Path, i)
		if isSection(item.kind) {
			for _, field := range fieldsOf(item.kind) {
				if field.Default != "" {
					field.setDefault(list.Index(i))
				}
			}
		}
		if content.Kind == yaml.ScalarNode && (content.Value == "" || isSection(item.kind) && content.ShortTag() == "!!null") {
			d.report(content, item.Path, "is empty", "write a value, or remove the entry")
			continue
		}
		d.decode(content, item, list.Index(i))
	}
	value.Set(list)
}

// reportNoList tells how a list is written: in a file, or in a variable.
func (d *decoder) reportNoList(node *yaml.Node, k Key) {
	right := "write its entries one a line, each behind a dash"
	if d.variable != "" {
		right = "write JSON, such as " + k.jsonExample()
	}
	d.report(node, k.Path, "is not a list", right)
}

// splitList cuts a text at its commas; the empty text is the empty list.
func splitList(node *yaml.Node) []*yaml.Node {
	if node.Value == "" {
		return nil
	}
	var items []*yaml.Node
	for entry := range strings.SplitSeq(node.Value, ",") {
		items = append(items, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: strings.TrimSpace(entry), Line: node.Line})
	}
	return items
}

// decodeMap reads a mapping of texts or of headers. Header names are brought into their canonical form, and join the ones
// that are there already.
func (d *decoder) decodeMap(node *yaml.Node, k Key, value reflect.Value) {
	entries := reflect.MakeMap(k.kind)
	if k.merge && !value.IsNil() {
		entries = value
	}
	written := make(map[string]bool)
	d.eachEntry(node, k, k.Path+".", func(name, content *yaml.Node) {
		key := name.Value
		if k.merge {
			key = http.CanonicalHeaderKey(key)
		}
		entry := Key{Path: k.Path + "." + printableName(key), kind: k.kind.Elem()}
		if written[key] {
			d.report(name, entry.Path, "stands here a second time, in other letters", "keep one of the two")
			return
		}
		written[key] = true
		if d.refused(content, entry) {
			return
		}
		d.record(entry.Path, name)
		element := reflect.New(entry.kind).Elem()
		if d.decodeEntry(content, entry, element) {
			entries.SetMapIndex(reflect.ValueOf(key), element)
		}
	})
	value.Set(entries)
}

// decodeEntry reads one value of a mapping: a text, or a header as the text of its claim or as a mapping.
func (d *decoder) decodeEntry(node *yaml.Node, k Key, value reflect.Value) bool {
	if k.kind != headerType {
		var text string
		ok := d.scalarText(node, k, &text)
		value.SetString(text)
		return ok
	}
	header := value.Addr().Interface().(*Header)
	if node.Kind != yaml.MappingNode {
		return d.scalarText(node, k, &header.Claim)
	}
	before := len(d.problems)
	d.decodeSection(node, k, value)
	if len(d.problems) == before && header.Claim == "" {
		d.report(node, k.Path, "has no claim", "write claim: with a claim path, @groups, @access_token or @assertion")
	}
	if header.Encoding == plainEncoding {
		header.Encoding = "" // said or not, it is the same
	}
	return len(d.problems) == before
}

// report keeps a problem with the key at node's place.
func (d *decoder) report(node *yaml.Node, path, wrong, right string) {
	from := d.originOf(node)
	d.problems = append(d.problems, Problem{File: from.file, Line: from.line, Variable: from.variable, Key: path, Wrong: wrong, Right: right})
}

// record keeps the place of a key's value.
func (d *decoder) record(path string, node *yaml.Node) {
	if d.origins != nil && path != "" {
		d.origins[path] = d.originOf(node)
	}
}

func (d *decoder) originOf(node *yaml.Node) origin {
	if d.variable != "" {
		return origin{variable: d.variable}
	}
	return origin{file: d.file, line: max(node.Line, 1)}
}
