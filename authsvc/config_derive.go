package authsvc

import (
	"encoding/base64"
	"maps"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
)

// DefaultConfig returns a configuration with every default and nothing else. Set what is required, then call
// [Config.Complete].
func DefaultConfig() *Config {
	c := new(Config)
	for _, k := range keys {
		if k.Default != "" {
			k.setDefault(reflect.ValueOf(c).Elem())
		}
	}
	return c
}

// Complete fills in what follows from other keys: the final / of public_url goes, the cookie gets its name, the
// client its way to authenticate, and removed headers go. [Load] has done so already; doing it twice changes
// nothing.
func (c *Config) Complete() {
	for _, site := range c.Sites {
		site.Complete()
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	c.Cookie.Domain = strings.ToLower(strings.TrimPrefix(c.Cookie.Domain, "."))
	if c.Cookie.Name == "" {
		c.Cookie.Name = defaultCookieName(c.PublicURL, c.Cookie.Domain)
	}
	if len(c.Providers) == 0 {
		c.OIDC.complete()
	}
	for i := range c.Providers {
		c.Providers[i].complete()
	}
	maps.DeleteFunc(c.Headers, func(_ string, h Header) bool { return h.Claim == "" })
}

func (o *OIDC) complete() {
	if o.ClientAuth == "" {
		o.ClientAuth = "basic"
		if o.ClientSecret == "" {
			o.ClientAuth = "none"
		}
	}
}

func defaultCookieName(publicURL, domain string) string {
	switch {
	case !hasScheme(publicURL, "https"):
		return "authsvc"
	case domain != "":
		return "__Secure-authsvc"
	default:
		return "__Host-authsvc"
	}
}

// hasScheme tells whether address has the scheme, which no letter's case changes (RFC 3986, section 3.1).
func hasScheme(address, scheme string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == scheme
}

// TrustedPrefixes returns the networks of TrustedProxies; a single address is a network of one. Peers on a unix
// socket are in none of them and count as trusted.
func (c *Config) TrustedPrefixes() []netip.Prefix {
	var prefixes []netip.Prefix
	for _, entry := range c.TrustedProxies {
		if prefix, err := parseNetwork(entry); err == nil {
			prefixes = append(prefixes, prefix)
		}
	}
	return prefixes
}

// CookieKeys returns the decoded cookie secrets, 32 bytes each, in their order: the first signs, all verify.
func (c *Config) CookieKeys() [][]byte {
	var decoded [][]byte
	for _, secret := range c.Cookie.Secret {
		if key, err := decodeBase64(secret.Reveal()); err == nil {
			decoded = append(decoded, key)
		}
	}
	return decoded
}

// decodeBase64 reads the standard or the URL alphabet, padded or not (RFC 4648, sections 4 and 5).
func decodeBase64(text string) ([]byte, error) {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	return base64.RawStdEncoding.DecodeString(text)
}
