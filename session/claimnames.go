package session

import "fmt"

// Claims that most providers give are stored under one byte each, from 1 on in this order, since a name is often as long as what it says. Their order
// must never change. A name that begins with a control character of its own is stored behind a zero.
var claimCodes = [...]string{
	"email", "email_verified", "preferred_username", "groups", "name", "given_name", "family_name", "nickname", "picture", "locale", "roles", "realm_access", "realm_access.roles",
	"resource_access", "hd", "oid", "tid", "upn", "zoneinfo", "updated_at", "groups_direct", "amr",
}

var codeByClaim = func() map[string]string {
	codes := map[string]string{}
	for i, name := range claimCodes {
		codes[name] = string(rune(i + 1))
	}
	return codes
}()

const firstPrintable = ' '

// packNames returns claims under the names that they are stored by.
func packNames(claims map[string]any) map[string]any {
	if claims == nil {
		return nil
	}
	packed := make(map[string]any, len(claims))
	for name, v := range claims {
		if code, ok := codeByClaim[name]; ok {
			name = code
		} else if name != "" && name[0] < firstPrintable {
			name = "\x00" + name
		}
		packed[name] = v
	}
	return packed
}

// unpackNames reverses packNames, in place. Errors: ErrCorrupt.
func unpackNames(claims map[string]any) error {
	type claim struct {
		code string
		v    any
	}
	var room [8]claim
	some, n := room[:0], len(claims)
	for name, v := range claims {
		if name != "" && name[0] < firstPrintable {
			some = append(some, claim{name, v})
		}
	}
	for _, c := range some {
		delete(claims, c.code)
	}
	for _, c := range some {
		switch code := int(c.code[0]); {
		case code == 0:
			claims[c.code[1:]] = c.v
		case len(c.code) == 1 && code <= len(claimCodes):
			claims[claimCodes[code-1]] = c.v
		}
	}
	if len(claims) != n {
		return fmt.Errorf("%w: a claim has no name, or that of another", ErrCorrupt)
	}
	return nil
}
