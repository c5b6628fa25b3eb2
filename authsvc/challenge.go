package authsvc

import (
	"errors"
	"fmt"
	"strings"
)

// maxDescription bounds what a 401 tells about a token, in bytes: the header block has room for little beside the login URL.
const maxDescription = 160

// challenge is the WWW-Authenticate header of a 401 (RFC 6750, section 3). Without a token there is no error to tell of.
func (b *bearers) challenge(refusal *bearerRefusal) string {
	challenge := `Bearer realm="` + b.realm + `"`
	if refusal == nil {
		return challenge
	}
	code := "invalid_token"
	if refusal.reason == reasonMalformed {
		code = "invalid_request"
	}
	return challenge + `, error="` + code + `", error_description="` + describable(refusal.told) + `"`
}

// describable makes a text one that error_description may hold: printable ASCII without quotes and backslashes.
func describable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '"':
			return '\''
		case r < ' ' || r > '~' || r == '\\':
			return '?'
		}
		return r
	}, text)
	if len(text) > maxDescription {
		text = text[:maxDescription-3] + "..."
	}
	return text
}

// gotAndWant tells what a token says and what it should say. Both are cut to what fits a line.
func gotAndWant(what string, got, want []string) error {
	if len(got) == 0 {
		return fmt.Errorf("%s is missing, want %s", what, quoteSome(want))
	}
	return fmt.Errorf("%s is %s, want %s", what, quoteSome(got), quoteSome(want))
}

// quoteSome joins the first of the texts, each cut.
func quoteSome(texts []string) string {
	const most, longest = 3, 100
	var list []string
	for _, text := range texts[:min(len(texts), most)] {
		if len(text) > longest {
			text = text[:longest] + "..."
		}
		list = append(list, fmt.Sprintf("%+q", text))
	}
	joined := strings.Join(list, " or ")
	if len(texts) > most {
		joined += fmt.Sprintf(" or %d more", len(texts)-most)
	}
	return joined
}

// cut bounds an error that may quote a token's header.
func cut(err error) error { return errors.New(fmt.Sprintf("%.200s", err)) }
