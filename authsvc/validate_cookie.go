package authsvc

import (
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/publicsuffix"
)

// cookieSecretSize is the size of a decoded cookie secret, in bytes.
const cookieSecretSize = 32

// maxCookieSecrets bounds the ring: what a replica announces grows with it, and has a bound, too.
const maxCookieSecrets = 16

func (v *validator) cookieSecrets() {
	const right = `write one that "authsvc secret" prints`
	secrets := v.c.Cookie.Secret
	if len(secrets) == 0 {
		v.wrong("cookie.secret", "is missing", right)
	}
	if len(secrets) > maxCookieSecrets {
		v.wrong("cookie.secret", fmt.Sprintf("has %d secrets", len(secrets)), fmt.Sprintf("keep %d at most: take away those that sign no session any more", maxCookieSecrets))
	}
	seen := make(map[string]string, len(secrets))
	for i, secret := range secrets {
		key := item("cookie.secret", i)
		if len(secrets) == 1 {
			key = "cookie.secret"
		}
		decoded, err := decodeBase64(secret.Reveal())
		switch {
		case err != nil:
			v.wrong(key, "is not base64", right)
		case len(decoded) != cookieSecretSize:
			v.wrong(key, fmt.Sprintf("is base64 of %d bytes, not of %d", len(decoded), cookieSecretSize), right)
		case seen[string(decoded)] != "":
			v.wrong(key, "is the same as "+seen[string(decoded)], "keep it once")
		default:
			seen[string(decoded)] = key
		}
	}
}

// cookieScope checks name, domain and SameSite against each other and against public_url (RFC 6265bis, sections 4.1
// and 5.6).
func (v *validator) cookieScope() {
	c := v.c.Cookie
	secure := hasScheme(v.c.PublicURL, "https")
	name := strings.ToLower(c.Name) // browsers compare the prefixes without regard to case
	switch {
	case !httpguts.ValidHeaderFieldName(c.Name) || len(c.Name) > 64:
		v.wrong("cookie.name", "is no name of a cookie", "use up to 64 letters, digits, - and _")
	case strings.HasPrefix(name, "__host-") && c.Domain != "":
		v.wrong("cookie.name", "a __Host- cookie has no domain", "write __Secure-authsvc, or remove cookie.domain")
	case (strings.HasPrefix(name, "__host-") || strings.HasPrefix(name, "__secure-") || strings.HasPrefix(name, "__http-")) && !secure:
		v.wrong("cookie.name", "browsers keep a cookie with this prefix on https only", "write a name without it, or use an https public_url")
	}
	if c.SameSite == "none" && !secure {
		v.wrong("cookie.same_site", "browsers keep a cookie with none on https only", "write lax, or use an https public_url")
	}
	if c.Domain != "" {
		v.cookieDomain(c.Domain)
	}
}

func (v *validator) cookieDomain(domain string) {
	const key, right = "cookie.domain", "write the parent domain that all hosts share, or remove it for one host"
	if _, err := netip.ParseAddr(strings.Trim(domain, "[]")); err == nil {
		v.wrong(key, "is an IP address, and only names have subdomains", right)
		return
	}
	if checkHost(domain) != nil {
		v.wrong(key, quote(domain)+" is no host name", right)
		return
	}
	if suffix, _ := publicsuffix.PublicSuffix(domain); suffix == domain {
		v.wrong(key, quote(domain)+" is a public suffix: browsers refuse a cookie for all of it", right)
		return
	}
	scheme, authority, _, _ := splitURL(v.c.PublicURL)
	at, err := parsePublicHost(scheme, authority)
	if err == nil && !inDomain(at.host, domain) {
		v.wrong(key, quote(domain)+" does not cover "+quote(at.host)+", the host of public_url", right)
	}
}

// inDomain reports whether browsers send a host the cookies of a domain (RFC 6265, section 5.1.3, of names in canonical form).
func inDomain(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain)
}
