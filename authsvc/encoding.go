package authsvc

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// encoding is how values are written into a header.
type encoding int

const (
	encodePlain     encoding = iota // UTF-8 as it is
	encodePercent                   // each value by itself: every byte but the unreserved ones (RFC 3986, section 2.3) as %XX
	encodeBase64URL                 // each value by itself, its UTF-8 without padding (RFC 4648, section 5)
	encodeJSON                      // the claim as JSON in ASCII: a list is an array, and an object is one, too
)

const plainEncoding = "plain"

// encodings are the names of the encodings, in their order; the first stands for the default.
var encodings = []string{"", plainEncoding, "percent", "base64url", "json"}

func encodingNamed(name string) encoding { return encoding(max(slices.Index(encodings, name)-1, 0)) }

// text returns what a filter sees of one value, and whether it has a text at all: an object has one in JSON alone.
func (e encoding) text(element any) (string, bool) {
	if texts := claimTexts([]any{element}); len(texts) == 1 {
		return texts[0], true
	}
	switch element.(type) {
	case map[string]any, []any:
		return string(asciiJSON(element)), e == encodeJSON
	}
	return "", false
}

// write returns the text as it stands in a header, and whether it can.
func (e encoding) write(text string, element any, inList bool) (string, bool) {
	switch e {
	case encodePercent:
		return percentEncode(text), true
	case encodeBase64URL:
		return base64.RawURLEncoding.EncodeToString([]byte(text)), true
	case encodeJSON:
		return string(asciiJSON(element)), true
	}
	return text, fitsHeader(text, inList)
}

// around returns what stands before and behind the values of a header.
func (e encoding) around(many bool) (before, behind string) {
	if e == encodeJSON && many {
		return "[", "]"
	}
	return "", ""
}

func percentEncode(text string) string {
	var b strings.Builder
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// asciiJSON writes a claim as JSON (RFC 8259) that can stand in a header: printable ASCII alone.
func asciiJSON(claim any) []byte {
	text, err := json.Marshal(claim)
	if err != nil {
		panic(err) // claims came from JSON
	}
	if !slices.ContainsFunc(text, func(c byte) bool { return c >= 0x7f }) {
		return text
	}
	var ascii []byte
	for _, r := range string(text) {
		if r < 0x7f {
			ascii = append(ascii, byte(r))
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			ascii = fmt.Appendf(ascii, `\u%04x`, unit)
		}
	}
	return ascii
}
