package nginx

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
)

// FieldError is one field of a [Site] that cannot be rendered. [Site.Validate] joins them: find one
// with errors.As, all of them through Unwrap() []error.
type FieldError struct {
	Field string // name of the field in Site
	Value string // the refused value; empty where one is missing
	Want  string // what would be right
}

// Error names the field, the value and what would be right.
func (e *FieldError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Want)
	}
	return fmt.Sprintf("%s: %q; %s", e.Field, e.Value, e.Want)
}

var (
	hostName = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`\A[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\z`)
	})
	filePath   = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:/[A-Za-z0-9._@+-]+)+\z`) })
	urlPath    = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\z`) })
	cookieName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}\z`) })
	headerName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\A[A-Za-z][A-Za-z0-9-]{0,63}\z`) })
)

const (
	maxHostName   = 253 // RFC 1035, section 2.3.4, without the root's dot
	maxMicroCache = 5 * time.Second
	maxQuery      = 2000 // nginx takes 4 KB for one word of its configuration
)

// Validate tells everything that keeps the site from being rendered, as joined [*FieldError]s, or nil.
//
// It is an allow-list of characters for each field, not a search for bad ones: a quote, `;`, `{`, `}`,
// `$`, `#`, a backslash, white space or a control byte in a value would let its author write nginx
// directives (CVE-2025-1097, CVE-2025-24514: ingress-nginx, remote code execution).
func (s Site) Validate() error {
	var problems []error
	refuse := func(field, value, want string) {
		problems = append(problems, &FieldError{Field: field, Value: value, Want: want})
	}

	if !validServerName(s.ServerName) {
		refuse("ServerName", s.ServerName, "give the host that browsers ask for, such as app.example.com, without scheme and port")
	}
	for _, address := range s.Listen {
		if !validListen(address) {
			refuse("Listen", address, "give a port, host:port or unix:/path")
		}
	}
	for _, address := range s.RedirectHTTP {
		switch {
		case !validListen(address):
			refuse("RedirectHTTP", address, "give a port, host:port or unix:/path")
		case s.Certificate == "":
			refuse("RedirectHTTP", address, "leave it out, or give certificate and key: without them there is nothing to go to")
		case slices.Contains(s.Listen, address) || len(s.Listen) == 0 && address == "443":
			refuse("RedirectHTTP", address, "give another address: the site itself is there")
		}
	}
	for _, path := range []struct{ field, value, other string }{
		{"Certificate", s.Certificate, s.CertificateKey},
		{"CertificateKey", s.CertificateKey, s.Certificate},
	} {
		switch {
		case path.value == "" && path.other != "":
			refuse(path.field, "", "certificate and key belong together: give both or none")
		case path.value != "" && !filePath().MatchString(path.value):
			refuse(path.field, path.value, "give an absolute path of letters, digits and . _ @ + -")
		}
	}
	if s.BehindTLS && s.Certificate != "" {
		refuse("BehindTLS", "true", "leave it out: with a certificate TLS ends here")
	}
	s.refuseAddresses(refuse)
	if !urlPath().MatchString(s.Prefix) {
		refuse("Prefix", s.Prefix, "give the path of public_url, such as /oauth2, without a final slash, or nothing")
	}
	if s.LoginURL != "" && !validLoginURL(s.LoginURL) {
		refuse("LoginURL", s.LoginURL, "give public_url, such as https://login.example.com, without a final slash")
	}
	if s.LoginURL != "" && s.Prefix != "" {
		refuse("Prefix", s.Prefix, "leave it out: the path of the login's address counts")
	}
	if s.LoginOnly {
		s.refuseApplication(refuse)
	}
	if s.CookieName != "" && !cookieName().MatchString(s.CookieName) {
		refuse("CookieName", s.CookieName, "give cookie.name: letters, digits and . _ -")
	}
	for i, name := range s.Headers {
		same := func(other string) bool { return strings.EqualFold(other, name) }
		switch {
		case !headerName().MatchString(name):
			refuse("Headers", name, "give a header name of letters, digits and -")
		case slices.ContainsFunc(reservedHeaders, same):
			refuse("Headers", name, "choose another name: this one already has a meaning between nginx and the application")
		case slices.ContainsFunc(s.Headers[:i], same):
			refuse("Headers", name, "name each header once")
		}
	}
	for _, n := range s.narrowings() {
		for _, entry := range n.entries {
			if entry == "" || strings.TrimSpace(entry) != entry || strings.Contains(entry, ",") || strings.ContainsFunc(entry, unicode.IsControl) {
				refuse(n.field, entry, "give "+n.what+" without a comma, as the provider writes it; repeat the flag for several")
			}
		}
	}
	if query := s.query(); len(query) > maxQuery {
		refuse(s.narrowings()[0].field, fmt.Sprintf("%d bytes", len(query)), fmt.Sprintf("allow fewer: at most %d bytes when escaped; a group for all of them is shorter", maxQuery))
	}
	if t := s.CheckTimeout; t != 0 && (t < time.Millisecond || t > time.Minute || t%time.Millisecond != 0) {
		refuse("CheckTimeout", t.String(), "give 1ms to 1m in whole milliseconds, more than session.refresh_wait")
	}
	if t := s.MicroCache; t != 0 && (t < time.Second || t > maxMicroCache || t%time.Second != 0) {
		refuse("MicroCache", t.String(), "give 1s to 5s in whole seconds: a logout elsewhere is late by as much")
	}
	if s.MicroCachePath != "" && !filePath().MatchString(s.MicroCachePath) {
		refuse("MicroCachePath", s.MicroCachePath, "give an absolute path of letters, digits and . _ @ + -, such as /run/verdicts")
	}
	if s.MicroCachePath != "" && s.MicroCache == 0 {
		refuse("MicroCachePath", s.MicroCachePath, "say how long verdicts are kept there, or leave it out")
	}
	return errors.Join(problems...)
}

// refuseApplication refuses what a login host has no application for.
func (s Site) refuseApplication(refuse func(field, value, want string)) {
	if len(s.Upstreams) > 0 {
		refuse("Upstreams", strings.Join(s.Upstreams, ","), "leave it out: a host of the login alone has no application")
	}
	if s.LoginURL != "" {
		refuse("LoginURL", s.LoginURL, "leave it out: this host is the login itself")
	}
	if s.MicroCache != 0 {
		refuse("MicroCache", s.MicroCache.String(), "leave it out: a host of the login alone asks for no verdict")
	}
	for _, n := range s.narrowings() {
		refuse(n.field, strings.Join(n.entries, ","), "leave it out: a host of the login alone asks for no verdict")
	}
	if s.CORSPreflight {
		refuse("CORSPreflight", "true", "leave it out: a host of the login alone has no application")
	}
}

func validServerName(name string) bool {
	return len(name) <= maxHostName && hostName().MatchString(strings.TrimPrefix(name, "*."))
}

// validLoginURL takes an absolute address that stands in nginx syntax and in a page as it is.
func validLoginURL(address string) bool {
	rest, secure := strings.CutPrefix(address, "https://")
	if !secure {
		plain := false
		if rest, plain = strings.CutPrefix(address, "http://"); !plain {
			return false
		}
	}
	host, path := rest, ""
	if at := strings.Index(rest, "/"); at >= 0 {
		host, path = rest[:at], rest[at:]
	}
	if _, _, err := net.SplitHostPort(host); err != nil {
		host += ":443" // any port
	}
	return !strings.HasPrefix(host, "unix:") && validAddress(host) && urlPath().MatchString(path)
}

func validListen(address string) bool {
	if validPort(address) {
		return true
	}
	if port, ok := strings.CutPrefix(address, "*:"); ok {
		return validPort(port)
	}
	return validAddress(address)
}

func validAddress(address string) bool {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return filePath().MatchString(path)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !validPort(port) {
		return false
	}
	if strings.HasPrefix(address, "[") {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Is6() && ip.Zone() == ""
	}
	return len(host) <= maxHostName && hostName().MatchString(host)
}

// validPort takes the plain decimal form only: strconv alone would take "+80" and "080".
func validPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0 && strconv.FormatUint(number, 10) == port
}
