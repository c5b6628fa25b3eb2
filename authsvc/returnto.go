package authsvc

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// errReturnAddress says that a return address is not allowed: following it could leave the site.
var errReturnAddress = errors.New("return address is not allowed")

// returnPolicy decides where a login or a logout may send a browser. What it allows is safe as a Location
// header as it stands: browsers (WHATWG URL) and this code agree on the host that it names.
//
// It works on bytes and decodes nothing, since every parser in between that decodes or cleans a
// text can turn a safe one into an unsafe one.
type returnPolicy struct {
	hosts []hostPattern
	// publicHost and prefix tell our own endpoints, which are no places to return to.
	publicHost string
	prefix     string
}

// check returns errReturnAddress unless raw is
//
//   - a path: it starts with exactly one slash, also after a browser has resolved its dot segments, or
//   - an http or https URL without user information whose host and port are on the list.
func (p returnPolicy) check(raw string) error {
	for i := range len(raw) {
		if c := raw[i]; c <= ' ' || c == 0x7f || c == '\\' {
			return fmt.Errorf("%w: it contains a control character, a space or a backslash", errReturnAddress)
		}
	}
	if strings.HasPrefix(raw, "/") {
		if strings.HasPrefix(raw, "//") {
			return fmt.Errorf("%w: it starts with two slashes", errReturnAddress)
		}
		return p.checkPath(raw)
	}
	scheme, authority, rest, ok := splitURL(raw)
	if !ok {
		return fmt.Errorf("%w: it is neither a path nor an http or https URL", errReturnAddress)
	}
	at, err := parseHostPort(scheme, authority)
	if err != nil {
		return fmt.Errorf("%w: %w", errReturnAddress, err)
	}
	if at.host == p.publicHost {
		if err := p.checkPath(rest); err != nil {
			return err
		}
	}
	for _, pattern := range p.hosts {
		if pattern.matches(at) {
			return nil
		}
	}
	return fmt.Errorf("%w: its host is not on the list", errReturnAddress)
}

// checkPath refuses a path that a browser resolves to one that starts with two slashes, and our own
// endpoints, where a login would begin again or a logout would follow it.
func (p returnPolicy) checkPath(raw string) error {
	path := resolveDots(cutAny(raw, "?#"))
	if strings.HasPrefix(path, "//") {
		return fmt.Errorf("%w: it resolves to two slashes", errReturnAddress)
	}
	if decoded, err := url.PathUnescape(path); err == nil {
		path = decoded
	}
	if endpoint, ok := strings.CutPrefix(path, p.prefix); ok && isOwnEndpoint(endpoint) {
		return fmt.Errorf("%w: it is an endpoint of the sign-in itself", errReturnAddress)
	}
	return nil
}

func isOwnEndpoint(path string) bool {
	if strings.HasPrefix(path, "/callback/") {
		return true
	}
	switch strings.TrimSuffix(path, "/") {
	case "/start", "/sign_in", "/callback", "/logout", "/sign_out", "/signed_out", "/auth", "/backchannel-logout":
		return true
	}
	return false
}

// cutAny returns s up to the first of the bytes in chars.
func cutAny(s, chars string) string {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i]
	}
	return s
}

// resolveDots removes dot segments from a path as browsers do, which also read "%2e" as a dot (URL Standard,
// "single-dot and double-dot URL path segment").
func resolveDots(path string) string {
	var out []string
	segments := strings.Split(strings.TrimPrefix(path, "/"), "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch strings.ReplaceAll(lowerASCII(segment), "%2e", ".") {
		case ".":
			if last {
				out = append(out, "")
			}
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
			if last {
				out = append(out, "")
			}
		default:
			out = append(out, segment)
		}
	}
	return "/" + strings.Join(out, "/")
}

// splitURL parts an http or https URL into scheme, authority and the rest, which starts with a slash, a
// question mark or a hash, or is empty.
func splitURL(raw string) (scheme, authority, rest string, ok bool) {
	i := strings.Index(raw, "://")
	if i < 0 {
		return "", "", "", false
	}
	scheme = lowerASCII(raw[:i])
	if scheme != "http" && scheme != "https" {
		return "", "", "", false
	}
	authority = cutAny(raw[i+3:], "/?#")
	return scheme, authority, raw[i+3+len(authority):], true
}

// hostPort is the host of an origin in canonical form, and its port.
type hostPort struct {
	host, port string
	standard   bool // the port is the scheme's own
}

// parseHostPort reads the authority of a URL. It takes only spellings that every parser reads alike: a name of plain
// host characters or a canonical IP address, and an optional port.
func parseHostPort(scheme, authority string) (hostPort, error) {
	host, port := lowerASCII(authority), ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		host, port = host[:i], host[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return hostPort{}, errors.New("its port is no number from 1 to 65535")
		}
	} else {
		port = defaultPort(scheme)
	}
	if err := checkHost(host); err != nil {
		return hostPort{}, err
	}
	return hostPort{host, port, port == defaultPort(scheme)}, nil
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// checkHost accepts a lower-case host name, or an IP address in its canonical form.
func checkHost(host string) error {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		if !closed || err != nil || !addr.Is6() || addr.Zone() != "" || !isText(addr, inner) {
			return errors.New("its host is no IPv6 address in canonical form")
		}
		return nil
	}
	if host == "" || len(host) > 253 {
		return errors.New("its host is empty or too long")
	}
	label := 0 // where the one begins that is looked at
	for i := range len(host) + 1 {
		if i == len(host) || host[i] == '.' {
			if i == label || i-label > 63 || host[label] == '-' {
				return errors.New("its host has an empty or odd label")
			}
			if i < len(host) {
				label = i + 1
			}
		} else if c := host[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
			return errors.New("its host has a character that no host name has")
		}
	}
	// A browser reads a host whose last label is numeric as an IPv4 address, in many spellings.
	if host[label] >= '0' && host[label] <= '9' {
		if addr, err := netip.ParseAddr(host); err != nil || !isText(addr, host) {
			return errors.New("its host is no IPv4 address in canonical form")
		}
	}
	return nil
}

// isText reports whether a text is an address in its canonical form.
func isText(addr netip.Addr, text string) bool {
	var room [64]byte // on the stack: verdicts look at hosts
	return string(addr.AppendTo(room[:0])) == text
}

// hostPattern is one entry of redirect.allowed_hosts.
type hostPattern struct {
	host       string // canonical, without a leading dot
	subdomains bool   // any depth of subdomain, and the host itself
	below      bool   // with subdomains: without the host itself
	port       string // empty means the scheme's default, "*" any
}

// parseHostPattern reads an entry: "host", "host:8080", "host:*", and each with a leading "." or "*." for
// any depth of subdomain and the host itself.
func parseHostPattern(entry string) (hostPattern, error) {
	text := lowerASCII(strings.TrimSpace(entry))
	var p hostPattern
	if strings.Contains(text, "/") {
		return hostPattern{}, errors.New("it has a scheme or a path")
	}
	if rest, ok := strings.CutPrefix(text, "*."); ok {
		text, p.subdomains = rest, true
	} else if rest, ok := strings.CutPrefix(text, "."); ok {
		text, p.subdomains = rest, true
	}
	if rest, ok := strings.CutSuffix(text, ":*"); ok {
		text, p.port = rest, "*"
	} else if strings.LastIndexByte(text, ':') > strings.LastIndexByte(text, ']') {
		at, err := parseHostPort("", text)
		if err != nil {
			return hostPattern{}, err
		}
		text, p.port = at.host, at.port
	}
	p.host = text
	return p, checkHost(text)
}

func (p hostPattern) matches(at hostPort) bool {
	switch p.port {
	case "*":
	case "":
		if !at.standard {
			return false
		}
	default:
		if at.port != p.port {
			return false
		}
	}
	return at.host == p.host && !p.below || p.subdomains && strings.HasSuffix(at.host, "."+p.host)
}

// lowerASCII lowers A to Z only and leaves every other byte as it is: strings.ToLower would turn the Kelvin sign into a plain k.
func lowerASCII(s string) string {
	upper := false
	for i := range len(s) {
		upper = upper || 'A' <= s[i] && s[i] <= 'Z'
	}
	if !upper {
		return s
	}
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

// shorten gives up what is least dear in a return address that does not fit: its query, then its path.
// It reports false when there is nothing left to give up.
func shorten(raw string) (string, bool) {
	if short := cutAny(raw, "?#"); short != raw {
		return short, true
	}
	if scheme, authority, rest, ok := splitURL(raw); ok {
		return scheme + "://" + authority + "/", rest != "/"
	}
	return "/", raw != "/"
}

// location is an allowed address as the value of a Location header: its bytes as they are, and those
// beyond ASCII percent-encoded.
func location(raw string) string {
	var b strings.Builder
	for i := range len(raw) {
		if c := raw[i]; c < 0x80 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
