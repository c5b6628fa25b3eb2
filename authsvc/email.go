package authsvc

import (
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"authsvc/session"
)

// verifiedEmail returns the user's address with its domain in canonical form, or "" when there is none to rely on: the provider says that it is not
// verified, or it has a shape that two readers could read differently.
func verifiedEmail(s *session.Session) string {
	email, _ := s.Claims["email"].(string)
	if email == "" || !vouchedFor(s.Claims) {
		return ""
	}
	canonical, ok := canonicalEmail(email, told)
	if !ok {
		return ""
	}
	return canonical
}

// vouchedFor reports whether the provider stands by the claim "email". Many leave email_verified out (OpenID Connect Core 1.0, section 5.1), some
// write it as text; Entra ID has xms_edov, whether the owner of the domain was seen.
func vouchedFor(claims map[string]any) bool {
	for _, name := range companions {
		switch verified := claims[name].(type) {
		case nil:
		case bool:
			if !verified {
				return false
			}
		case string:
			if verified != "true" && (name != "xms_edov" || verified != "1") {
				return false
			}
		case int64:
			if verified != 1 || name != "xms_edov" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// How a domain beyond ASCII may be spelt.
var (
	// told is for what a provider says: as it is registered, and nothing that has to be mapped first. A Kelvin sign is no k here.
	told = idna.Registration
	// written is for what people write into a configuration: mapped as a browser would (UTS #46, not transitional).
	written = idna.Lookup
)

// canonicalEmail returns an address with its domain in A-labels and lower case; the part before the sign stays as it is. It reports false for what
// is no plain address (RFC 5321, section 4.1.2, without quoted strings and address literals): one sign, ASCII before it, and a domain name
// behind it, without a final dot.
func canonicalEmail(email string, spelling *idna.Profile) (string, bool) {
	user, domain, ok := strings.Cut(email, "@")
	if !ok || user == "" || len(user) > 64 || strings.ContainsFunc(user, func(r rune) bool { return !isAddressCharacter(r) }) {
		return "", false
	}
	domain, ok = canonicalEmailDomain(domain, spelling)
	return user + "@" + domain, ok
}

// isAddressCharacter reports whether a character may stand before the sign: those of a dot-atom (RFC 5322, section 3.2.3).
func isAddressCharacter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".!#$%&'*+-/=?^_`{|}~", r)
}

// canonicalEmailDomain returns a domain in A-labels and lower case (RFC 5890, section 2.3.2.1), so that two spellings of one domain are one text. It
// reports false for what is no domain name.
func canonicalEmailDomain(domain string, spelling *idna.Profile) (string, bool) {
	domain = lowerASCII(domain)
	if !isPlainASCII(domain) || strings.Contains(domain, "xn--") {
		ascii, err := spelling.ToASCII(domain)
		if err != nil || !utf8.ValidString(domain) {
			return "", false
		}
		// Of a domain that mixes directions of writing (RFC 5893) the A-labels may be refused though the domain was not.
		if domain, err = spelling.ToASCII(ascii); err != nil || domain != ascii {
			return "", false
		}
	}
	return domain, checkHost(domain) == nil && domain[0] != '['
}

func isPlainASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= 0x80 })
}

// emailAllowed reports whether an address that verifiedEmail returned is on a list. Letters of ASCII count the same in either case, before the sign, too, as
// mail systems have it in practice.
func emailAllowed(email string, allowed []string) bool {
	return email != "" && slices.ContainsFunc(allowed, func(entry string) bool {
		entry, ok := canonicalEmail(entry, written)
		return ok && lowerASCII(entry) == lowerASCII(email)
	})
}

// domainAllowed compares the domain of an address that verifiedEmail returned with a list whose entries are exact or, with a leading "." or "*.", mean
// any subdomain.
func domainAllowed(email string, allowed []string) bool {
	_, domain, ok := strings.Cut(email, "@")
	return ok && slices.ContainsFunc(allowed, func(entry string) bool {
		entry = strings.TrimPrefix(entry, "*")
		parent, below := strings.CutPrefix(entry, ".")
		parent, ok := canonicalEmailDomain(parent, written)
		return ok && hostRule{parent, below}.matches(domain)
	})
}
