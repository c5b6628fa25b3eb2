package authsvc

import (
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// decodeScalar reads one text, duration, time, number or truth.
func (d *decoder) decodeScalar(node *yaml.Node, k Key, value reflect.Value) {
	var text string
	if !d.scalarText(node, k, &text) {
		return
	}
	switch k.kind {
	case durationType:
		duration, err := time.ParseDuration(text)
		if _, numberErr := strconv.ParseFloat(text, 64); err != nil && numberErr == nil {
			d.report(node, k.Path, quote(text)+" has no unit", "write its unit behind it, such as 500ms, 30s, 5m or 12h")
			return
		} else if err != nil {
			d.report(node, k.Path, quote(text)+" is not a duration", "write a number with its unit, such as 500ms, 30s, 5m or 12h")
			return
		}
		value.SetInt(int64(duration))
		return
	case timeType:
		moment, err := time.Parse(time.RFC3339, text)
		if err != nil {
			d.report(node, k.Path, quote(text)+" is not a time", "write it as 2006-01-02T15:04:05Z (RFC 3339)")
			return
		}
		value.Set(reflect.ValueOf(moment))
		return
	}
	switch k.kind.Kind() {
	case reflect.Bool:
		if text != "true" && text != "false" {
			d.report(node, k.Path, quote(text)+" is neither true nor false", "write true or false")
			return
		}
		value.SetBool(text == "true")
	case reflect.Int:
		number, err := strconv.Atoi(text)
		if err != nil {
			d.report(node, k.Path, quote(text)+" is not a whole number", "write digits only")
			return
		}
		value.SetInt(int64(number))
	default:
		value.SetString(text)
	}
}

// scalarText reads the text of a single value as it was written, whatever YAML would take it for.
func (d *decoder) scalarText(node *yaml.Node, k Key, text *string) bool {
	switch {
	case node.Kind != yaml.ScalarNode:
		d.report(node, k.Path, "is not a single value", "write one value behind the colon")
	case strings.ContainsFunc(node.Value, unicode.IsControl) || !utf8.ValidString(node.Value):
		d.report(node, k.Path, "has a line break or another control character", "write the value in one line, without it")
	default:
		*text = node.Value
		return true
	}
	return false
}
