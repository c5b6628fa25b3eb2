package pages

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// styleSource allows the embedded style and no other (CSP Level 3, section 2.3.1, hash-source).
var styleSource = func() string {
	sum := sha256.Sum256([]byte(style))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}()

func setSecurityHeaders(h http.Header, v view, formTargets []string) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", contentSecurityPolicy(v, formTargets))
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	h.Set("Referrer-Policy", referrerPolicy(v))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
}

func contentSecurityPolicy(v view, formTargets []string) string {
	formAction := "'none'"
	if v.hasForm() {
		formAction = strings.Join(append([]string{"'self'"}, origins(formTargets)...), " ")
	}
	return "default-src 'none'; style-src " + styleSource +
		"; form-action " + formAction + "; base-uri 'none'; frame-ancestors 'none'"
}

// referrerPolicy keeps the page's address, which may hold a code and a state, from everyone. With no-referrer a
// browser also sends "Origin: null" with a form (Fetch, "append a request Origin header"); where it sends no
// Sec-Fetch-Site either, on plain http or before Safari 16.4, our own sign-out would be refused as another site's.
// strict-origin tells the origin and never more.
func referrerPolicy(v view) string {
	if v.hasForm() {
		return "strict-origin"
	}
	return "no-referrer"
}

// cspHost is the host-part and port-part of CSP Level 3, section 2.3.1, without wildcards. Whatever else a host may
// hold could end the directive or begin another.
var cspHost = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(:[0-9]{1,5})?$`) })

// origins reduces addresses to the origins that a form-action directive can name.
func origins(addresses []string) []string {
	var out []string
	for _, a := range addresses {
		u, err := url.Parse(a)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !cspHost().MatchString(u.Host) {
			continue
		}
		origin := u.Scheme + "://" + strings.ToLower(u.Host)
		if len(out) < maxFormTargets && !slices.Contains(out, origin) {
			out = append(out, origin)
		}
	}
	return out
}

// safeAddress says whether a button may lead to s, see Page.Action. Browsers drop tabs and line ends inside an
// address and read '\' as '/', which would turn a path into another host (WHATWG URL, section 4.4).
func safeAddress(s string) bool {
	if s == "" || len(s) > maxAddress {
		return false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }) {
		return false
	}
	if s[0] == '/' {
		return len(s) == 1 || s[1] != '/'
	}
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
}
