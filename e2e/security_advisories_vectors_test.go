package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// vector is a return address, and whether a login may end there.
type vector struct {
	encoded, raw string
	allowed      bool
}

// returnVectors are those with returnHosts of which the class, unless nil, says yes.
func returnVectors(t *testing.T, class func(vector) bool) (list []vector) {
	t.Helper()
	for _, row := range readReturnVectors(t) {
		if row.hosts != returnHosts || row.encoded == "" {
			continue
		}
		// The rows take the endpoints to be below /oauth2; here they are not.
		v := vector{strings.TrimPrefix(row.encoded, "%2Foauth2"), strings.TrimPrefix(row.raw, "/oauth2"), row.allow}
		if class == nil || class(v) {
			list = append(list, v)
		}
	}
	return list
}

func hasBackslash(v vector) bool { return strings.Contains(v.raw, `\`) }

func hasControl(v vector) bool {
	return strings.ContainsFunc(v.raw, func(r rune) bool { return r < ' ' || r == 0x7f })
}

func hasDots(v vector) bool {
	return strings.Contains(v.raw, "/.") || strings.Contains(strings.ToLower(v.raw), "%2e")
}

// namesHost reports whether a vector is a plain URL, so that its host is what matters.
func namesHost(v vector) bool {
	u, err := url.Parse(v.raw)
	return err == nil && u.Host != "" && u.User == nil && u.Scheme != "" && !hasBackslash(v) && !hasControl(v)
}

// landing is where a browser at the site goes that is sent to location: the host with its port, by the rules of browsers.
func (f *fleet) landing(location string) string {
	f.t.Helper()
	u, err := whatwg.ParseRef(f.url+"/callback", location)
	if err != nil {
		f.t.Errorf("no browser can read the Location %q: %v", location, err)
		return ""
	}
	return u.Host()
}

// returnsTo checks where logins end that begin with a vector: at an address that is allowed byte for byte, and no login begins
// with another. It looks at each Location as it is sent, as a browser would.
func (f *fleet) returnsTo(vectors []vector) {
	f.t.Helper()
	if len(vectors) == 0 {
		f.t.Fatal("no vectors")
	}
	allowed := 0
	browser := f.visitor("alice")
	for _, v := range vectors {
		answer := f.endOfLogin(browser, "rd="+v.encoded)
		if !v.allowed {
			f.refusesReturn(v.raw, answer)
			continue
		}
		allowed++
		if location := answer.header["Location"]; len(location) != 1 || location[0] != asciiOf(v.raw) {
			f.t.Errorf("%q: the login ended at %q", v.raw, location)
		}
	}
	f.t.Logf("%d vectors, %d of them allowed", len(vectors), allowed)
}

// endOfLogin begins a login with this query, and returns what the callback answers, or what ends it before.
func (f *fleet) endOfLogin(v *visitor, query string) (answer reply) {
	f.t.Helper()
	address := "/start?" + query
	for {
		answer = surely(f.t, func() (reply, error) { return v.send(http.MethodGet, address, nil) })
		address = answer.header.Get("Location")
		if address == "" || answer.url.Path == "/callback" {
			return answer
		}
	}
}

// refusesReturn checks that an address which is not allowed is refused, and appears nowhere in the answer.
func (f *fleet) refusesReturn(raw string, answer reply) {
	f.t.Helper()
	if answer.status != http.StatusBadRequest || answer.header.Get("Location") != "" || answer.header.Get("Refresh") != "" || len(answer.header["Set-Cookie"]) > 0 {
		f.t.Errorf("%q: %s", raw, answer)
	}
	if len(raw) > 8 && strings.Contains(answer.body, raw) {
		f.t.Errorf("%q is in the page", raw)
	}
}

// asciiOf is an address with what is beyond ASCII percent-encoded, as in a Location.
func asciiOf(raw string) string {
	var b strings.Builder
	for i := range len(raw) {
		if raw[i] < 0x80 {
			b.WriteByte(raw[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", raw[i])
		}
	}
	return b.String()
}

// logoutStays signs out with an address in every parameter that a peer reads, and checks that each Location is the provider's or ours.
func (f *fleet) logoutStays(vectors []vector) {
	f.t.Helper()
	provider, err := url.Parse(f.provider.Issuer())
	check(f.t, err)
	browser, _ := f.signedInLine("alice")
	for i, v := range vectors {
		if v.allowed {
			continue
		}
		parameter := []string{"rd", "url", "redirect", "post_logout_redirect_uri"}[i%4]
		for _, endpoint := range []string{"/logout", "/sign_out"} {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				answer, err := browser.send(method, endpoint+"?"+parameter+"="+v.encoded, http.Header{"Sec-Fetch-Site": {"same-origin"}, "X-Auth-Request-Redirect": {"https://evil.com/"}})
				check(f.t, err)
				location := answer.header.Get("Location")
				at := f.landing(location)
				if location != "" && at != provider.Host && at != f.site || len(v.raw) > 8 && strings.Contains(answer.body+location, v.raw) || strings.Contains(location, "evil") {
					f.t.Errorf("%s %s?%s=%s: %s", method, endpoint, parameter, v.encoded, answer)
				}
			}
		}
	}
}
