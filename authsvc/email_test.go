package authsvc

import (
	"strings"
	"testing"

	"golang.org/x/net/idna"

	"authsvc/session"
)

// TestVerifiedEmail tells which addresses count (CVE-2026-40574).
func TestVerifiedEmail(t *testing.T) {
	tests := []struct {
		name            string
		email, verified any
		want            string
	}{
		{"plain", "alice@example.com", true, "alice@example.com"},
		{"nobody says whether", "alice@example.com", nil, "alice@example.com"},
		{"verified, as a text", "alice@example.com", "true", "alice@example.com"},
		{"upper case", "Alice@EXAMPLE.com", true, "Alice@example.com"},
		{"a plus", "alice+x@example.com", true, "alice+x@example.com"},
		{"not verified", "alice@example.com", false, ""},
		{"not verified, as a text", "alice@example.com", "false", ""},
		{"verified, oddly", "alice@example.com", "TRUE", ""},
		{"verified, as a number", "alice@example.com", int64(1), ""},
		{"verified, as a list", "alice@example.com", []any{true}, ""},
		{"two at signs", "attacker@evil.com@example.com", true, ""},
		{"two at signs, the other way", "attacker@example.com@evil.com", true, ""},
		{"a quoted at sign", `"attacker@evil.com"@example.com`, true, ""},
		{"a final dot", "alice@example.com.", true, ""},
		{"two dots", "alice@example..com", true, ""},
		{"a newline", "alice@example.com\n", true, ""},
		{"a line before", "x\nalice@example.com", true, ""},
		{"a space", "alice @example.com", true, ""},
		{"a comma", "alice,bob@example.com", true, ""},
		{"a comma in the domain", "alice@evil.com,example.com", true, ""},
		{"a domain beyond ASCII", "alice@exämple.com", true, "alice@xn--exmple-cua.com"},
		{"that domain in other letters", "alice@EXÄMPLE.com", true, ""},
		{"that domain, its dots apart", "alice@exa\u0308mple.com", true, ""},
		{"a wide letter", "alice@ｅxample.com", true, ""},
		{"an invisible letter", "alice@exam\u200bple.com", true, ""},
		{"an ideographic full stop", "alice@example。com", true, ""},
		{"a sharp s, which is no ss", "alice@straße.example", true, "alice@xn--strae-oqa.example"},
		{"a final dot beyond ASCII", "alice@exämple.com.", true, ""},
		{"right to left and left to right in one label", "alice@a\u05d0.com", true, ""},
		{"beyond ASCII before the sign", "älice@example.com", true, ""},
		{"a Kelvin sign", "alice@example.\u212aom", true, ""},
		{"punycode", "alice@xn--exmple-cua.com", true, "alice@xn--exmple-cua.com"},
		{"punycode in other letters", "alice@XN--EXMPLE-CUA.com", true, "alice@xn--exmple-cua.com"},
		{"punycode of ASCII", "alice@xn--example-.com", true, ""},
		{"punycode of nothing", "alice@xn--.com", true, ""},
		{"broken punycode", "alice@xn--\u00e4.com", true, ""},
		{"an address literal", "alice@[127.0.0.1]", true, ""},
		{"a long name before the sign", strings.Repeat("a", 65) + "@example.com", true, ""},
		{"a comment", "alice(x)@example.com", true, ""},
		{"a colon", "x:alice@example.com", true, ""},
		{"a backslash", "alice\\x@example.com", true, ""},
		{"NUL", "alice@example.com\x00", true, ""},
		{"a name and brackets", "Alice <alice@example.com>", true, ""},
		{"no sign", "alice", true, ""},
		{"no user", "@example.com", true, ""},
		{"no domain", "alice@", true, ""},
		{"empty", "", true, ""},
		{"absent", nil, true, ""},
		{"a list", []any{"alice@example.com"}, true, ""},
		{"a number", int64(5), true, ""},
	}
	for _, test := range tests {
		claims := map[string]any{"email": test.email, "email_verified": test.verified}
		if test.verified == nil {
			delete(claims, "email_verified")
		}
		if got := verifiedEmail(&session.Session{Claims: claims}); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

// TestVerifiedEmailOfEntra has the word of Entra ID beside the standard's, or without it.
func TestVerifiedEmailOfEntra(t *testing.T) {
	const email = "alice@example.com"
	for _, test := range []struct {
		edov, verified any
		want           string
	}{
		{true, nil, email}, {"1", nil, email}, {"true", nil, email}, {int64(1), nil, email}, {true, true, email},
		{false, nil, ""}, {"0", nil, ""}, {int64(0), nil, ""}, {false, true, ""}, {true, false, ""}, {[]any{true}, true, ""},
	} {
		claims := map[string]any{"email": email, "xms_edov": test.edov, "email_verified": test.verified}
		if got := verifiedEmail(&session.Session{Claims: claims}); got != test.want {
			t.Errorf("%v and %v: %q, want %q", test.edov, test.verified, got, test.want)
		}
	}
}

func TestEmailAllowed(t *testing.T) {
	for _, test := range []struct {
		email, allowed string
		want           bool
	}{
		{"a@example.com", "a@example.com", true},
		{"A@example.com", "a@EXAMPLE.com", true},
		{"a@xn--exmple-cua.com", "a@exämple.com", true},
		{"a@xn--exmple-cua.com", "a@EXÄMPLE.com", true},
		{"a@xn--exmple-cua.com", "a@xn--exmple-cua.com", true},
		{"a@xn--exmple-cua.com", "a@example.com", false},
		{"a@example.com", "b@example.com", false},
		{"a@example.com", "a@example.com.", false},
		{"a@example.com", "example.com", false},
		{"a@example.com", "@example.com", false},
		{"a@example.com", "b@a@example.com", false},
		{"k@example.com", "\u212a@example.com", false},
		{"", "", false},
		{"", "@", false},
	} {
		if got := emailAllowed(test.email, []string{test.allowed}); got != test.want {
			t.Errorf("%q with %q: %v", test.email, test.allowed, got)
		}
	}
}

func TestDomainAllowed(t *testing.T) {
	for _, test := range []struct {
		email, allowed string
		want           bool
	}{
		{"a@example.com", "example.com", true},
		{"a@example.com", "EXAMPLE.COM", true},
		{"a@mail.example.com", "example.com", false},
		{"a@mail.example.com", ".example.com", true},
		{"a@mail.example.com", "*.example.com", true},
		{"a@a.b.example.com", "*.example.com", true},
		{"a@example.com", "*.example.com", false},
		{"a@notexample.com", "*.example.com", false},
		{"a@notexample.com", "example.com", false},
		{"a@example.com.evil.com", "example.com", false},
		{"a@example.com", "@example.com", false},
		{"a@example.com", "*", false},
		{"a@example.com", ".", false},
		{"a@example.com", "", false},
		{"", "example.com", false},
		{"", "", false},
		{"a@example.com", "example.com.", false},
		{"a@example.com", "*.*.com", false},
		{"a@xn--exmple-cua.com", "exämple.com", true},
		{"a@xn--exmple-cua.com", "EXÄMPLE.com", true},
		{"a@mail.xn--exmple-cua.com", "*.exämple.com", true},
		{"a@xn--exmple-cua.com", "xn--exmple-cua.com", true},
		{"a@xn--exmple-cua.com", "example.com", false},
		{"a@xn--strae-oqa.example", "strasse.example", false},
		{"a@kompany.com", "\u212aompany.com", true}, // what the operator wrote names that domain, in every browser
	} {
		if got := domainAllowed(test.email, []string{test.allowed}); got != test.want {
			t.Errorf("%q with %q: %v", test.email, test.allowed, got)
		}
	}
}

// FuzzEmail reads any address, as a provider tells it and as people write it: what comes out is plain ASCII with one sign, has one form, and belongs to
// its own domain and no other.
func FuzzEmail(f *testing.F) {
	for _, seed := range []string{"alice@example.com", "alice@EXÄMPLE.com", "a@xn--exmple-cua.com", "a@b@c", "@", "a@.", "a@b。c", "a@\u212a.com", "a@xn--", "a@[::1]"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		email := verifiedEmail(&session.Session{Claims: map[string]any{"email": text}})
		for _, spelling := range []*idna.Profile{told, written} {
			canonical, ok := canonicalEmail(text, spelling)
			if spelling == told && canonical != email && ok {
				t.Fatalf("%q is %q and %q", text, canonical, email)
			}
			if !ok {
				continue
			}
			_, domain, _ := strings.Cut(canonical, "@")
			if strings.Count(canonical, "@") != 1 || strings.ContainsFunc(canonical, func(r rune) bool { return r <= ' ' || r >= 0x7f }) || domain != lowerASCII(domain) {
				t.Fatalf("%q is %q", text, canonical)
			}
			if again, ok := canonicalEmail(canonical, spelling); !ok || again != canonical {
				t.Fatalf("%q is %q, and that is %q", text, canonical, again)
			}
			if !emailAllowed(canonical, []string{text}) || !domainAllowed(canonical, []string{domain}) || domainAllowed(canonical, []string{"." + domain}) {
				t.Fatalf("%q is %q, which is not as its own text has it", text, canonical)
			}
		}
	})
}
