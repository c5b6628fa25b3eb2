package authsvc

import (
	"cmp"
	"net/url"
	"os"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// vector is a row of testdata/redirect_vectors.tsv.
type vector struct{ allowed, raw, expected, level string }

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/redirect_vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(string(text), "\n") // the first has the names
	var list []vector
	for row := range strings.Lines(rows) {
		column := strings.Split(strings.TrimSuffix(row, "\n"), "\t")
		raw, err := url.PathUnescape(column[1])
		if err != nil {
			raw = column[1] // a vector may be malformed on purpose
		}
		list = append(list, vector{column[0], raw, column[2], column[4]})
	}
	if len(list) < 400 {
		t.Fatalf("only %d vectors", len(list))
	}
	return list
}

// TestReturnAddressVectors holds the policy against every vector, those that only should hold too.
func TestReturnAddressVectors(t *testing.T) {
	for i, v := range vectors(t) {
		if v.raw == "/ /evil.com" {
			v.expected = "deny" // a space in a path may be refused, and is
		}
		got := "allow"
		if policy, err := vectorPolicy(v.allowed); err != nil || v.raw == "" || policy.check(v.raw) != nil {
			got = "deny"
		}
		if got != v.expected {
			t.Errorf("row %d (%s): rd=%q with hosts %q: %s, want %s", i+2, v.level, v.raw, v.allowed, got, v.expected)
		}
		if got == "allow" {
			if location, err := url.PathUnescape(location(v.raw)); err == nil && !strings.Contains(v.raw, "%") && location != v.raw {
				t.Errorf("row %d: Location decodes to %q, want %q", i+2, location, v.raw)
			}
		}
	}
}

func vectorPolicy(allowed string) (returnPolicy, error) {
	policy := returnPolicy{publicHost: "app.invalid", prefix: "/oauth2"}
	if allowed == "" {
		return policy, nil
	}
	for entry := range strings.SplitSeq(allowed, ",") {
		pattern, err := parseHostPattern(entry)
		if err != nil {
			return policy, err
		}
		policy.hosts = append(policy.hosts, pattern)
	}
	return policy, nil
}

func TestShorten(t *testing.T) {
	tests := []struct {
		raw  string
		want []string
	}{
		{"/a/b?c=d#e", []string{"/a/b", "/"}},
		{"/a#e?f", []string{"/a", "/"}},
		{"https://app.example.com:8443/a?b", []string{"https://app.example.com:8443/a", "https://app.example.com:8443/"}},
		{"https://app.example.com?b", []string{"https://app.example.com", "https://app.example.com/"}},
		{"/", nil},
	}
	for _, test := range tests {
		raw := test.raw
		for _, want := range test.want {
			short, ok := shorten(raw)
			if !ok || short != want {
				t.Fatalf("shorten(%q) = %q, %v; want %q", raw, short, ok, want)
			}
			raw = short
		}
		if short, ok := shorten(raw); ok {
			t.Errorf("shorten(%q) = %q, but nothing is left to give up", raw, short)
		}
	}
}

// FuzzReturnAddress: whatever is accepted leads a browser, by the URL Standard's parser, to where it is or to a host and a port that the list names, and so does
// what is left of it where it is too long.
func FuzzReturnAddress(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.allowed, v.raw)
	}
	for _, seed := range []string{"/", "/a?b=c", "//evil.com", "/\\evil.com", "/./%2e//evil.com", "https://foo.bar/", "http://foo.bar@evil.com/", "https://[::1]:8080/"} {
		f.Add("foo.bar,.sub.foo.bar:*,[::1]:8080", seed)
	}
	f.Fuzz(func(t *testing.T, allowed, raw string) {
		policy, err := vectorPolicy(allowed)
		if err != nil || policy.check(raw) != nil {
			return
		}
		for again, left := raw, true; left; again, left = shorten(again) {
			if err := policy.check(again); err != nil {
				t.Fatalf("%q is allowed, and what is left of it, %q, is not: %v", raw, again, err)
			}
			if err := policy.check(location(again)); err != nil {
				t.Fatalf("%q is allowed, and sent as %q it is not: %v", again, location(again), err)
			}
			for _, base := range []string{"https://app.invalid/oauth2/callback", "http://app.invalid:8080/oauth2/callback"} {
				leadsToAllowed(t, allowed, base, location(again))
			}
		}
	})
}

// leadsToAllowed judges by the text of the list: that it was compiled rightly is to be found out.
func leadsToAllowed(t *testing.T, allowed, base, location string) {
	t.Helper()
	from, err := whatwg.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	to, err := from.Parse(location)
	if err != nil {
		return // a browser stays where it is
	}
	if location[0] == '/' {
		if to.Scheme() != from.Scheme() || to.Host() != from.Host() {
			t.Fatalf("%q leads from %s to %s", location, from, to)
		}
		return
	}
	port := cmp.Or(to.Port(), defaultPort(to.Scheme()))
	for entry := range strings.SplitSeq(strings.ToLower(allowed), ",") {
		entry, wanted := strings.TrimSpace(entry), defaultPort(to.Scheme())
		if i := strings.LastIndexByte(entry, ':'); i > strings.LastIndexByte(entry, ']') {
			entry, wanted = entry[:i], entry[i+1:]
		}
		domain := strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
		if (wanted == "*" || wanted == port) && (to.Hostname() == domain || domain != entry && strings.HasSuffix(to.Hostname(), "."+domain)) {
			return
		}
	}
	t.Fatalf("%q leads to %s, and the list is %q", location, to, allowed)
}
