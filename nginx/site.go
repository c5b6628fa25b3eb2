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
	"time"
)

// Site is one protected site as nginx serves it: one application, one name, and the replicas of
// authsvc that answer for it. ServerName, Upstreams and Replicas are required, everything else has a
// default. It is a plain value: copy it freely; nothing here keeps or changes it.
//
// Every text ends up inside nginx syntax, so each has a narrow alphabet: see [Site.Validate].
type Site struct {
	// ServerName is the host that browsers ask for: "app.example.com", "*.example.com" or an IPv4
	// address; no scheme, no port.
	ServerName string

	// Listen are the addresses that nginx listens on: a port, "host:port", "[::]:443", "*:80" or
	// "unix:/path". Default: "80", with a certificate "443". A port alone means IPv4. The first site on an
	// address also answers for host names that no site has.
	Listen []string

	// Certificate and CertificateKey are absolute paths of PEM files. Both or none; with them every
	// address of Listen speaks TLS.
	Certificate, CertificateKey string

	// Upstreams are the addresses of the application, over plain HTTP: "host:port" or "unix:/path".
	// nginx looks host names up once, when it starts.
	Upstreams []string

	// Replicas are the addresses of authsvc, over plain HTTP: "host:port" or "unix:/path". Browsers
	// are spread over them by round robin; any replica answers for any browser.
	Replicas []string

	// Prefix is the path of the configuration's public_url: "" or for example "/oauth2". The
	// endpoints of authsvc are below it, and hide paths of the same name of the application.
	Prefix string

	// CookieName is cookie.name of the configuration. The application sees neither this cookie nor
	// the login cookie, CookieName+"_login". Default: the three names that authsvc uses by default
	// (__Host-authsvc, __Secure-authsvc, authsvc), whichever of them is in use.
	CookieName string

	// Headers are the names of the identity headers that authsvc answers with and the application
	// gets. nil means [DefaultHeaders]; an empty list means none. A client's own copy of any of them
	// never reaches the application.
	Headers []string

	// CheckTimeout is how long nginx waits for one replica's verdict before it asks the next; keep it
	// above session.refresh_wait. From 1 ms to 1 minute, in whole milliseconds; default 3 s.
	CheckTimeout time.Duration
}

// DefaultHeaders returns the identity headers that authsvc answers with by default.
func DefaultHeaders() []string {
	return []string{
		"X-Auth-Request-User",
		"X-Auth-Request-Email",
		"X-Auth-Request-Preferred-Username",
		"X-Auth-Request-Groups",
	}
}

const defaultCheckTimeout = 3 * time.Second

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
	hostName   = regexp.MustCompile(`\A[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*\z`)
	filePath   = regexp.MustCompile(`\A(?:/[A-Za-z0-9._@+-]+)+\z`)
	urlPath    = regexp.MustCompile(`\A(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*\z`)
	cookieName = regexp.MustCompile(`\A[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}\z`)
	headerName = regexp.MustCompile(`\A[A-Za-z][A-Za-z0-9-]{0,63}\z`)
)

const maxHostName = 253 // RFC 1035, section 2.3.4, without the root's dot

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
	for _, path := range []struct{ field, value, other string }{
		{"Certificate", s.Certificate, s.CertificateKey},
		{"CertificateKey", s.CertificateKey, s.Certificate},
	} {
		switch {
		case path.value == "" && path.other != "":
			refuse(path.field, "", "certificate and key belong together: give both or none")
		case path.value != "" && !filePath.MatchString(path.value):
			refuse(path.field, path.value, "give an absolute path of letters, digits and . _ @ + -")
		}
	}
	for _, list := range []struct {
		field, what string
		addresses   []string
	}{
		{"Upstreams", "the application", s.Upstreams},
		{"Replicas", "authsvc", s.Replicas},
	} {
		if len(list.addresses) == 0 {
			refuse(list.field, "", "give at least one address of "+list.what+", host:port or unix:/path")
		}
		for i, address := range list.addresses {
			switch {
			case !validAddress(address):
				refuse(list.field, address, "give host:port or unix:/path, without scheme")
			case slices.Contains(list.addresses[:i], address):
				refuse(list.field, address, "name each address once")
			}
		}
	}
	if !urlPath.MatchString(s.Prefix) {
		refuse("Prefix", s.Prefix, "give the path of public_url, such as /oauth2, without a final slash, or nothing")
	}
	if s.CookieName != "" && !cookieName.MatchString(s.CookieName) {
		refuse("CookieName", s.CookieName, "give cookie.name: letters, digits and . _ -")
	}
	for i, name := range s.Headers {
		same := func(other string) bool { return strings.EqualFold(other, name) }
		switch {
		case !headerName.MatchString(name):
			refuse("Headers", name, "give a header name of letters, digits and -")
		case slices.ContainsFunc(reservedHeaders, same):
			refuse("Headers", name, "choose another name: this one already has a meaning between nginx and the application")
		case slices.ContainsFunc(s.Headers[:i], same):
			refuse("Headers", name, "name each header once")
		}
	}
	if t := s.CheckTimeout; t != 0 && (t < time.Millisecond || t > time.Minute || t%time.Millisecond != 0) {
		refuse("CheckTimeout", t.String(), "give 1ms to 1m in whole milliseconds, more than session.refresh_wait")
	}
	return errors.Join(problems...)
}

func validServerName(name string) bool {
	return len(name) <= maxHostName && hostName.MatchString(strings.TrimPrefix(name, "*."))
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
		return filePath.MatchString(path)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil || !validPort(port) {
		return false
	}
	if strings.HasPrefix(address, "[") {
		ip, err := netip.ParseAddr(host)
		return err == nil && ip.Is6() && ip.Zone() == ""
	}
	return len(host) <= maxHostName && hostName.MatchString(host)
}

// validPort takes the plain decimal form only: strconv alone would take "+80" and "080".
func validPort(port string) bool {
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0 && strconv.FormatUint(number, 10) == port
}
