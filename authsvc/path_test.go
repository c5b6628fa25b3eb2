package authsvc

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// TestNormalPath writes the grammar down by examples: what a path is read as, "" for what is refused.
func TestNormalPath(t *testing.T) {
	for target, want := range map[string]string{
		"/":                      "/",
		"/a":                     "/a",
		"/a/":                    "/a/",
		"/a/b.html":              "/a/b.html",
		"/a?b=/../c;d#e":         "/a",
		"/a?":                    "/a",
		"/?/..":                  "/",
		"/%61%2Db%2d%7E":         "/a-b-~",
		"/A/%41":                 "/A/A",
		"/a%20b":                 "/a b",
		"/a+b":                   "/a+b",
		"/a:b@c,d=e&f!g$h'i(j)*": "/a:b@c,d=e&f!g$h'i(j)*",
		"/%3A%40%2C%3D%26":       "/:@,=&",
		"/a|b^c`d{e}[f]\"<g>":    "/a|b^c`d{e}[f]\"<g>",
		"/gr%C3%BC%c3%9fe":       "/grüße",
		"/gru%CC%88n":            "/gru\u0308n", // decomposed, and told apart
		"/%E4%BD%95%EF%BC%9F":    "/何？",         // a fullwidth question mark parts nothing
		"/%F0%9F%91%A9%E2%80%8D": "/👩\u200d",
		"/wait%E2%80%A6":         "/wait…",
		"/100%25":                "/100%",
		"/100%25.pdf":            "/100%.pdf",
		"/a...b":                 "/a...b",
		"/.well-known/x":         "/.well-known/x",
		"/..a/b..":               "/..a/b..",
		"/%2e%2ea":               "/..a",
		"/Inc.":                  "/Inc.",
		"/~jane":                 "/~jane",

		"":               "",
		"?":              "",
		"*":              "",
		"a":              "",
		"http://a/b":     "",
		"//":             "",
		"//a":            "",
		"/a//b":          "",
		"/a//":           "",
		"///":            "",
		"/.":             "",
		"/..":            "",
		"/./a":           "",
		"/a/.":           "",
		"/a/..":          "",
		"/a/../b":        "",
		"/a/./b":         "",
		"/...":           "",
		"/a/.%20/b":      "",
		"/a%20":          "",
		"/a%20/b":        "",
		"/%20a":          "",
		"/a/..%20":       "",
		"/%20/a":         "",
		"/%2e":           "",
		"/%2E%2e/a":      "",
		"/.%2e/a":        "",
		"/a/%2e%2E":      "",
		"/a%2fb":         "",
		"/a%2Fb":         "",
		"/a%2f..%2fb":    "",
		"/a\\b":          "",
		"/a/..\\b":       "",
		"/a%5cb":         "",
		"/a%5C..%5Cb":    "",
		"/a;b":           "",
		"/a;/b":          "",
		"/..;/a":         "",
		"/a%3bb":         "",
		"/a%3B":          "",
		"/a#b":           "",
		"/a#":            "",
		"/a%23b":         "",
		"/a%3fb":         "",
		"/a%3F":          "",
		"/a%00":          "",
		"/a\x00":         "",
		"/a%0a":          "",
		"/a%0D%0Ab":      "",
		"/a%09":          "",
		"/a%1f":          "",
		"/a%7f":          "",
		"/a b":           "",
		"/a\tb":          "",
		"/a%":            "",
		"/a%2":           "",
		"/a%zz":          "",
		"/a%2g":          "",
		"/a%u002e":       "",
		"/a%252e":        "",
		"/a%25252e":      "",
		"/a%25%32%65":    "",
		"/a%25u002e":     "",
		"/a%25U":         "",
		"/\xc3\xbc":      "", // as bytes: some read Latin-1
		"/\xff":          "",
		"/%ff":           "",
		"/%c3":           "",
		"/%c0%af":        "", // overlong
		"/%c0%ae%c0%ae":  "",
		"/%e0%80%af":     "",
		"/%f0%80%80%af":  "",
		"/%ed%a0%80":     "", // a surrogate
		"/%f4%90%80%80":  "", // beyond Unicode
		"/%c2%85":        "", // a control character
		"/%ef%bc%8f":     "", // fullwidth solidus
		"/%ef%bc%bc":     "", // fullwidth reverse solidus
		"/%ef%bc%8e":     "", // fullwidth full stop
		"/%e2%80%a4":     "", // one dot leader
		"/%e2%80%a5":     "", // two dot leader
		"/%e2%88%95a":    "", // division slash
		"/%e2%81%84a":    "", // fraction slash
		"/%e2%84%80":     "", // account of: a/c
		"/%ef%b9%92/a":   "", // small full stop
		"/public/..;/x":  "",
		"/public%2e%2f":  "",
		"/public/%252e/": "",
	} {
		got, ok := normalPath(target)
		if !ok {
			got = ""
		} else if got == "" {
			t.Errorf("%q: the empty path is accepted", target)
		}
		if got != want {
			t.Errorf("%q: %q; want %q", target, got, want)
		}
	}
}

// FuzzPath holds the grammar to what it is for: whoever decodes and cleans what was accepted, once, twice or not at all, comes to the same path;
// and how a path is spelt changes nothing. Entries of paths say the same of it as regular expressions.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/a%2Fb", "/%2e%2e/x", "/a;b", "/gr%C3%BC%C3%9Fe", "/100%25", "/%2525", "/a//b", "/.%20/", "/%EF%BC%8F", "/%c0%af", "/a?b#c"} {
		f.Add("/**", seed)
	}
	for _, seed := range vectors(f) {
		f.Add("/a/**", seed.raw)
	}
	for _, entry := range []string{"/", "/**", "/a", "/a/**", "/a/*", "/a/*/b", "/*.png", "/a*b*c/**", "/a/", "/*/**", "/**/a", "/a**", "a", "/a//b", "/%61", "/ü*"} {
		f.Add(entry, "/a/b.png")
		f.Add(entry, "/a")
		f.Add(entry, "/")
	}
	f.Fuzz(func(t *testing.T, entry, target string) {
		entryMatches(t, entry, target)
		path, ok := normalPath(target)
		decoded, err := url.PathUnescape(cutAny(target, "?"))
		if ok {
			if err != nil || decoded != path {
				t.Fatalf("%q is read as %q; net/url reads %q, %v", target, path, decoded, err)
			}
			if twice, err := url.PathUnescape(path); err == nil && twice != path {
				t.Fatalf("%q decodes twice, to %q", target, twice)
			}
			if resolveDots(path) != path {
				t.Fatalf("a browser resolves %q to %q", path, resolveDots(path))
			}
			if strings.Contains(path, "//") || strings.ContainsAny(path, "\\;?#\x00") {
				t.Fatalf("%q is accepted as %q", target, path)
			}
		}
		if err != nil {
			return
		}
		// Every spelling of the decoded text by escapes. A slash that parts and one that was an escape are two things.
		for _, keep := range []string{"/", "/abcdefghijklmnopqrstuvwxyz.", unreserved + "/"} {
			spelling := spell(decoded, keep)
			again, stillOK := normalPath(spelling)
			if slashes := strings.Count(decoded, "/") == strings.Count(cutAny(target, "?"), "/"); slashes && isVisible(target) && (stillOK != ok || again != path) {
				t.Fatalf("%q is read as %q, %t, and its spelling %q as %q, %t", target, path, ok, spelling, again, stillOK)
			}
		}
	})
}

func entryMatches(t *testing.T, entry, target string) {
	t.Helper()
	rule, err := parsePathRule(entry)
	path, ok := normalPath(target)
	if err != nil || !ok {
		return
	}
	text, rest := strings.CutSuffix(entry, "/**")
	pattern := regexp.QuoteMeta(text)
	pattern = regexp.MustCompile(`(^|/)((?:\\\*)+)(/|$)`).ReplaceAllString(pattern, "$1[^/]+$3")
	pattern = regexp.MustCompile(`(^|/)((?:\\\*)+)(/|$)`).ReplaceAllString(pattern, "$1[^/]+$3") // neighbours share a slash
	pattern = strings.ReplaceAll(pattern, `\*`, "[^/]*")
	if rest {
		pattern += "(/.*)?"
	}
	want := regexp.MustCompile("(?s)^" + pattern + "$").MatchString(path)
	if got := rule.matches(path); got != want {
		t.Fatalf("%q and %q: %t, want %t", entry, path, got, want)
	}
	if again, err := parsePathRule(entry); err != nil || !rule.covers(again) {
		t.Fatalf("%q does not cover itself", entry)
	}
}

const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// spell writes a text with escapes for all bytes but those in keep.
func spell(text, keep string) string {
	var b strings.Builder
	for i := range len(text) {
		if c := text[i]; strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// isVisible reports whether a text has only what may stand in a request target.
func isVisible(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
