package authsvc

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"time"
)

// WriteSchema writes the JSON Schema (2020-12) of the YAML file.
func WriteSchema(w io.Writer) error {
	schema := sectionSchema(reflect.TypeFor[Config](), false)
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "authsvc"
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		return fmt.Errorf("write schema: %w", err)
	}
	return nil
}

// sectionSchema describes a section; of a site it has what a site can have, and no defaults: they are what the main one has.
func sectionSchema(section reflect.Type, ofSite bool) map[string]any {
	properties, exclusive := make(map[string]any), []any{}
	for _, k := range fieldsOf(section) {
		if ofSite && k.service {
			continue
		}
		schema := typeSchema(k.kind, ofSite)
		schema["description"] = k.Doc
		if k.Values != nil {
			schema["enum"] = k.Values
		}
		if k.Default != "" && !ofSite {
			defaults := reflect.New(section).Elem()
			k.setDefault(defaults)
			schema["default"] = jsonValue(k.value(defaults))
		}
		if k.Later {
			schema["description"] = k.Doc + " (not in this version)"
		}
		properties[k.Path] = schema
		if k.Twin {
			properties[k.Path+fileTwin] = map[string]any{"type": "string", "description": "file that holds " + k.Path}
			exclusive = append(exclusive, map[string]any{"not": map[string]any{"required": []string{k.Path, k.Path + fileTwin}}})
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(exclusive) > 0 {
		schema["allOf"] = exclusive
	}
	return schema
}

func typeSchema(kind reflect.Type, ofSite bool) map[string]any {
	switch {
	case isSection(kind):
		return sectionSchema(kind, ofSite)
	case kind == sitesType:
		site := sectionSchema(reflect.TypeFor[Config](), true)
		site["required"] = []string{"hosts", "public_url"}
		return map[string]any{"type": "array", "items": site}
	case kind == durationType:
		return map[string]any{"type": []string{"string", "integer"}, "pattern": `^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$`, "maximum": 0, "minimum": 0}
	case kind == timeType:
		return map[string]any{"type": "string", "format": "date-time"}
	}
	switch kind.Kind() {
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int:
		return map[string]any{"type": "integer"}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": entrySchema(kind.Elem(), ofSite)}
	case reflect.Slice:
		list := map[string]any{"type": "array", "items": typeSchema(kind.Elem(), ofSite)}
		if !isSection(kind.Elem()) {
			list["type"] = []string{"array", "string"}
		}
		return list
	default:
		return map[string]any{"type": "string"}
	}
}

// entrySchema is the schema of a mapping's values. A header is a text or a mapping.
func entrySchema(kind reflect.Type, ofSite bool) map[string]any {
	if kind != headerType {
		return typeSchema(kind, ofSite)
	}
	whole := sectionSchema(kind, ofSite)
	whole["required"] = []string{"claim"}
	return map[string]any{"anyOf": []any{map[string]any{"type": "string"}, whole}}
}

// jsonValue returns a value as it is written in the file.
func jsonValue(value reflect.Value) any {
	if duration, ok := value.Interface().(time.Duration); ok {
		return formatDuration(duration)
	}
	return value.Interface()
}
