package authsvc

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"authsvc/session"
)

// TestCookieAttributes reads Set-Cookie as it goes out, for each kind of public_url (Q36).
func TestCookieAttributes(t *testing.T) {
	for _, test := range []struct {
		name           string
		configure      func(*Config)
		session, login string // behind the value
		sessionName    string
	}{
		{"https", func(c *Config) { c.PublicURL = "https://app.example.com" },
			"; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax", "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax", "__Host-authsvc"},
		{"https with a prefix", func(c *Config) { c.PublicURL = "https://app.example.com/oauth2" },
			"; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax", "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax", "__Host-authsvc"},
		{"https with a domain", func(c *Config) { c.PublicURL, c.Cookie.Domain = "https://app.example.com", "example.com" },
			"; Path=/; Domain=example.com; Max-Age=43200; HttpOnly; Secure; SameSite=Lax", "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax", "__Secure-authsvc"},
		{"http", func(c *Config) { c.PublicURL = "http://127.0.0.1:8080" },
			"; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax", "; Path=/; Max-Age=600; HttpOnly; SameSite=Lax", "authsvc"},
		{"same_site none", func(c *Config) { c.PublicURL, c.Cookie.SameSite = "https://app.example.com", "none" },
			"; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=None", "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=Lax", "__Host-authsvc"},
		{"form_post", func(c *Config) { c.PublicURL, c.OIDC.ResponseMode = "https://app.example.com", "form_post" },
			"; Path=/; Max-Age=43200; HttpOnly; Secure; SameSite=Lax", "; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=None", "__Host-authsvc"},
	} {
		t.Run(test.name, func(t *testing.T) {
			site := newRig(t, 1, test.configure).replicas[0].sites.Load().main
			r := httptest.NewRequest(http.MethodGet, site.publicURL+"/start", nil)
			for _, c := range []struct {
				cookie     cookie
				name, want string
			}{{site.sessionCookie, test.sessionName, test.session}, {site.loginCookie, test.sessionName + "_login", test.login}} {
				token := site.keyring.NewToken(c.cookie.purpose, site.name)
				w := httptest.NewRecorder()
				c.cookie.set(w, r, token)
				sent := w.Header()["Set-Cookie"]
				if want := c.name + "=" + token.Reveal() + c.want; len(sent) == 0 || sent[len(sent)-1] != want {
					t.Errorf("%q, want %q", sent, want)
				}
				if len(token.Reveal()) > 100 {
					t.Errorf("%d bytes of value", len(token.Reveal()))
				}

				// Deleted with the same attributes, or browsers keep it (Envoy's CVE-2025-55162).
				w = httptest.NewRecorder()
				c.cookie.expire(w, r)
				sent = w.Header()["Set-Cookie"]
				age := c.want[strings.Index(c.want, "Max-Age="):]
				age = age[:strings.Index(age, ";")]
				if want := c.name + "=" + strings.Replace(c.want, age, "Max-Age=0", 1); sent[len(sent)-1] != want {
					t.Errorf("%q, want %q", sent, want)
				}
			}
		})
	}
}

// TestOtherScope expires the cookie that an earlier configuration left in another scope: a browser would bring both, and two
// genuine ones are none.
func TestOtherScope(t *testing.T) {
	for _, test := range []struct {
		name, cookie, domain, host string
		want                       []string // domains of the expired ones; "" is the host's own
	}{
		{"a domain's: the host's own", "sso", "example.com", "app.example.com", []string{""}},
		{"the host's own: its domain and those above", "sso", "", "app.example.com", []string{"app.example.com", "example.com"}},
		{"deep below", "sso", "", "a.b.example.com", []string{"a.b.example.com", "b.example.com", "example.com"}},
		{"a public suffix takes none", "sso", "", "app.example.co.uk", []string{"app.example.co.uk", "example.co.uk"}},
		{"with a port", "sso", "", "app.example.com:8443", []string{"app.example.com", "example.com"}},
		{"__Host- has no other", "__Host-sso", "", "app.example.com", nil},
		{"an address", "sso", "", "127.0.0.1:8080", nil},
		{"an address of version 6", "sso", "", "[::1]:8080", nil},
		{"one label", "sso", "", "localhost", nil},
	} {
		c := cookie{name: test.cookie, domain: test.domain, purpose: session.PurposeSession, maxAge: 60}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = test.host
		w := httptest.NewRecorder()
		c.expireOtherScope(w, r)
		var got []string
		for _, sent := range w.Result().Cookies() {
			if sent.Value != "" || sent.MaxAge >= 0 || sent.Name != test.cookie || sent.Path != "/" {
				t.Errorf("%s: %v", test.name, sent)
			}
			got = append(got, sent.Domain)
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(test.want))
		if !slices.Equal(got, want) {
			t.Errorf("%s: expires %q, want %q", test.name, got, want)
		}
	}
}
