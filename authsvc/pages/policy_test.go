package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestHeaders(t *testing.T) {
	const end = "; base-uri 'none'; frame-ancestors 'none'"
	begin := "default-src 'none'; style-src " + styleSource + "; form-action "
	provider := []string{"https://id.example/realms/a/protocol/openid-connect/logout"}
	for _, test := range []struct {
		name       string
		page       Page
		formAction string
		referrer   string
	}{
		{"a link", Page{Kind: SignedOut, Action: "/start", FormTargets: provider}, "'none'", "no-referrer"},
		{"a form", Page{Kind: SignOut, Action: "/logout", FormTargets: provider}, "'self' https://id.example", "strict-origin"},
		{"a form without targets", Page{Kind: LogoutUnavailable, Action: "/logout"}, "'self'", "strict-origin"},
		{"a form refused", Page{Kind: SignOut, Action: "//evil.example"}, "'none'", "no-referrer"},
		{"a second button", Page{Kind: NotAllowed, Action: "/start", SignOut: "/logout", FormTargets: provider}, "'self' https://id.example", "strict-origin"},
		{"no second button", Page{Kind: NotAllowed, Action: "/start"}, "'none'", "no-referrer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := get(t, "GET", "nl", 200, test.page).Header
			length := h.Get("Content-Length")
			h.Del("Content-Length")
			want := http.Header{
				"Cache-Control":              {"no-store"},
				"Content-Language":           {"nl"},
				"Content-Security-Policy":    {begin + test.formAction + end},
				"Content-Type":               {"text/html; charset=utf-8"},
				"Cross-Origin-Opener-Policy": {"same-origin"},
				"Permissions-Policy":         {"camera=(), geolocation=(), microphone=()"},
				"Referrer-Policy":            {test.referrer},
				"Vary":                       {"Accept-Language"},
				"X-Content-Type-Options":     {"nosniff"},
				"X-Frame-Options":            {"DENY"},
			}
			if !maps.EqualFunc(h, want, slices.Equal) {
				t.Errorf("got  %v\nwant %v", h, want)
			}
			if n, err := strconv.Atoi(length); err != nil || n == 0 {
				t.Errorf("Content-Length %q", length)
			}
		})
	}
}

func TestThePolicyAllowsTheStyleOfThePage(t *testing.T) {
	for kind := range appearances {
		resp := get(t, "GET", "en", 200, Page{Kind: kind})
		source := read(t, resp)
		_, rest, _ := strings.Cut(source, "<style>")
		inside, _, ok := strings.Cut(rest, "</style>")
		sum := sha256.Sum256([]byte(inside))
		want := "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "';"
		if !ok || inside == "" || !strings.Contains(resp.Header.Get("Content-Security-Policy"), want) {
			t.Errorf("%s: %q lacks %q", kind, resp.Header.Get("Content-Security-Policy"), want)
		}
	}
}

func TestOrigins(t *testing.T) {
	for _, test := range []struct {
		in   string
		want string // empty: left out
	}{
		{"https://id.example", "https://id.example"},
		{"https://id.example:8443/logout?x=1#y", "https://id.example:8443"},
		{"HTTPS://ID.Example/", "https://id.example"},
		{"http://127.0.0.1:5556/logout", "http://127.0.0.1:5556"},
		{"http://localhost:8080", "http://localhost:8080"},
		{"https://user:secret@id.example/", "https://id.example"},
		{"https://id.example;script-src *", ""},
		{"https://id.example; script-src *", ""},
		{"https://*.example", ""},
		{"https://id.example,https://evil.example", ""},
		{"https://id.example'", ""},
		{"https://[::1]:8080/", ""},
		{"https://bücher.example/", ""},
		{"https://id.example:/", ""},
		{"https://", ""}, {"https:id.example", ""}, {"//id.example", ""}, {"id.example", ""}, {"*", ""}, {"'unsafe-inline'", ""},
		{"javascript:alert(1)", ""}, {"data:text/html,x", ""}, {"", ""}, {"https://id.example\r\nX: y", ""},
	} {
		if got := strings.Join(origins([]string{test.in}), " "); got != test.want {
			t.Errorf("origins(%q) = %q; want %q", test.in, got, test.want)
		}
	}
	got := origins([]string{"https://a.example/1", "https://a.example/2", "nonsense", "https://b.example"})
	if !slices.Equal(got, []string{"https://a.example", "https://b.example"}) {
		t.Errorf("doubled: %q", got)
	}
}

func TestSafeAddress(t *testing.T) {
	for address, want := range map[string]bool{
		"/": true, "/start": true, "/oauth2/start?rd=%2Fa%3Fb%3D1": true, "/a//b": true, "/ä": true, "/a:b": true,
		"https://app.example/start?x=1": true, "http://127.0.0.1:8080/": true, "HTTPS://app.example/": true,
		"": false, "start": false, "?a": false, "#a": false, "//evil.example": false, "///evil.example": false, `/\evil.example`: false, `\/evil.example`: false,
		"/\t/evil.example": false, "/\n/evil.example": false, "/a b": false, " /a": false, "/a\x00": false, "/a\x7f": false, `/a\b`: false,
		"javascript:alert(1)": false, "JaVaScRiPt:alert(1)": false, "data:text/html,x": false, "ftp://a.example/": false, "mailto:a@b.example": false,
		"https:": false, "https:/evil.example": false, "https:///evil.example": false, "https:evil.example": false,
		"https://user@evil.example/": false, "https://app.example@evil.example/": false, "https://a b/": false, "https://%zz/": false,
		"/" + strings.Repeat("a", maxAddress-1): true, "/" + strings.Repeat("a", maxAddress): false,
	} {
		if got := safeAddress(address); got != want {
			t.Errorf("safeAddress(%.60q) = %v", address, got)
		}
		source := read(t, get(t, "GET", "en", 400, Page{Kind: BadRequest, Action: address}))
		if links := elements(t, source)["a"]; len(links) == 1 != want {
			t.Errorf("%.60q: %d links", address, len(links))
		}
	}
}

// TestOurOwnFormIsNotRefused is the reason for strict-origin: with the Origin that browsers derive from it, Go's
// protection lets our form pass even where no Sec-Fetch-Site is sent; "null", which no-referrer gives, does not pass.
func TestOurOwnFormIsNotRefused(t *testing.T) {
	for origin, want := range map[string]bool{"http://app.example:8080": true, "null": false} {
		r := httptest.NewRequest("POST", "http://app.example:8080/logout", nil)
		r.Header.Set("Origin", origin)
		if err := http.NewCrossOriginProtection().Check(r); (err == nil) != want {
			t.Errorf("Origin %s: %v", origin, err)
		}
	}
}

// TestContrast holds the style to WCAG 2.2 AA, 4.5 for text (1.4.3); the edge of a button and the ring of focus, which
// need 3 (1.4.11), have the same colours.
func TestContrast(t *testing.T) {
	light, dark, ok := strings.Cut(style, "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("no dark colours")
	}
	for name, css := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]string{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(css, -1) {
			colours[m[1]] = m[2]
		}
		for _, pair := range []struct {
			front, back string
			atLeast     float64
		}{
			{"text", "card", 4.5}, {"text", "ground", 4.5}, {"quiet", "ground", 4.5}, {"on-accent", "accent", 4.5}, {"accent", "card", 4.5},
		} {
			if got := contrast(t, colours[pair.front], colours[pair.back]); got < pair.atLeast {
				t.Errorf("%s: %s on %s has %.2f; want %.1f", name, pair.front, pair.back, got, pair.atLeast)
			}
		}
	}
}

// contrast is the contrast ratio of two colours by the definition of WCAG 2.2.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	luminance := func(hex string) float64 {
		n, err := strconv.ParseUint(hex, 16, 32)
		if err != nil {
			t.Fatalf("colour %q: %v", hex, err)
		}
		channel := func(v uint64) float64 {
			c := float64(v&0xff) / 255
			if c <= 0.04045 {
				return c / 12.92
			}
			return math.Pow((c+0.055)/1.055, 2.4)
		}
		return 0.2126*channel(n>>16) + 0.7152*channel(n>>8) + 0.0722*channel(n)
	}
	high, low := max(luminance(a), luminance(b)), min(luminance(a), luminance(b))
	return (high + 0.05) / (low + 0.05)
}
