package authsvc

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"

	"authsvc/session"
)

// cookie is one of the two cookies that the service sets: the session's and the login's. Each
// carries one token and nothing else.
type cookie struct {
	name     string
	purpose  session.Purpose
	domain   string // "" for the host alone
	secure   bool
	sameSite http.SameSite
	maxAge   int // seconds
}

var (
	errNoCookie      = errors.New("no cookie")
	errCookieDoubled = errors.New("two valid cookies")
)

// only returns the value of the cookie with this name, genuine or not, where the request has a single one.
func (c cookie) only(r *http.Request) (value string, ok bool) {
	candidates := cookiesNamed(r.Header, c.name)
	if !candidates.next() {
		return "", false
	}
	value = candidates.value
	return value, !candidates.next()
}

// read returns the token of the cookie with this name that is genuine. Two different genuine ones are as good as none, since one
// of them may have been planted, and nobody can tell which: errCookieDoubled. Other errors: as readAll.
func (c cookie) read(keyring *session.Keyring, site string, r *http.Request) (session.Token, error) {
	var room [2]session.Token // on the stack
	tokens, err := c.appendAll(room[:0], keyring, site, r)
	if err != nil {
		return session.Token{}, err
	}
	if len(tokens) > 1 {
		return session.Token{}, errCookieDoubled
	}
	return tokens[0], nil
}

// readAll returns the different genuine tokens among the cookies with this name, at least one. Junk beside them does not matter: another
// service under the same domain may use the name. Errors: errNoCookie, session.ErrTokenInvalid, and session.ErrLaterFormat, which
// means "cannot tell".
func (c cookie) readAll(keyring *session.Keyring, site string, r *http.Request) ([]session.Token, error) {
	return c.appendAll(nil, keyring, site, r)
}

// appendAll is readAll into tokens, which are none yet.
func (c cookie) appendAll(tokens []session.Token, keyring *session.Keyring, site string, r *http.Request) ([]session.Token, error) {
	err := errNoCookie
	for candidates := cookiesNamed(r.Header, c.name); candidates.next(); {
		token, parseErr := keyring.ParseToken(c.purpose, site, candidates.value)
		switch {
		case errors.Is(parseErr, session.ErrLaterFormat):
			return nil, parseErr
		case parseErr != nil:
			err = parseErr
		case !slices.Contains(tokens, token):
			tokens = append(tokens, token)
		}
	}
	if len(tokens) > 0 {
		return tokens, nil
	}
	return nil, err
}

// set gives the browser the cookie. A session cookie of the same name in another scope would be sent beside it, so it
// is expired first; the login cookie has always had one scope.
func (c cookie) set(w http.ResponseWriter, r *http.Request, token session.Token) {
	if c.purpose == session.PurposeSession {
		c.expireOtherScope(w, r)
	}
	http.SetCookie(w, c.with(token.Reveal(), c.maxAge))
}

// expire takes the cookie from the browser, whatever its scope.
func (c cookie) expire(w http.ResponseWriter, r *http.Request) {
	c.expireOtherScope(w, r)
	http.SetCookie(w, c.with("", -1))
}

func (c cookie) with(value string, maxAge int) *http.Cookie {
	return &http.Cookie{
		Name: c.name, Value: value, Path: "/", Domain: c.domain, MaxAge: maxAge,
		Secure: c.secure, HttpOnly: true, SameSite: c.sameSite,
	}
}

// expireOtherScope expires the variants that an earlier configuration may have left: the host's own beside one for a domain, or those for the
// domains above a host. A name that starts with "__Host-" has no other scope (RFC 6265bis, section 4.1.3.2), and neither have
// addresses, single labels and public suffixes.
func (c cookie) expireOtherScope(w http.ResponseWriter, r *http.Request) {
	other := c
	if c.domain != "" {
		other.domain = ""
		http.SetCookie(w, other.with("", -1))
		return
	}
	if strings.HasPrefix(c.name, "__Host-") {
		return
	}
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	host = lowerASCII(host)
	if _, err := netip.ParseAddr(host); err == nil || checkHost(host) != nil {
		return
	}
	highest, err := publicsuffix.EffectiveTLDPlusOne(host)
	for err == nil && len(host) >= len(highest) {
		other.domain = host
		http.SetCookie(w, other.with("", -1))
		_, host, _ = strings.Cut(host, ".")
	}
}
