package authsvc

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

const (
	// maxSites bounds the sites: what a replica announces grows with them, and has a bound, too.
	maxSites = 50
	// maxSiteName bounds the public_url of a site: every session carries it.
	maxSiteName = 200
)

// place is where a site's endpoints and cookies are.
type place struct {
	at           string // the key of its public_url
	scheme, path string
	host         hostPort
}

// canonical is the address as everybody writes it alike.
func (p place) canonical() string { return p.scheme + "://" + p.authority() + p.path }

func (p place) authority() string {
	if p.host.standard {
		return p.host.host
	}
	return p.host.host + ":" + p.host.port
}

// placeOf reads a public_url; false when it is none, which has been told.
func placeOf(at, publicURL string) (place, bool) {
	scheme, authority, path, ok := splitURL(publicURL)
	host, err := parsePublicHost(scheme, authority)
	return place{at, scheme, path, host}, ok && err == nil
}

// siteName is the name of a site besides the main one: its public_url. It is part of every MAC and seal, and stays when the list is put into another
// order.
func (c *Config) siteName() string {
	p, _ := placeOf("", c.PublicURL)
	return p.canonical()
}

// sites checks each site as a whole configuration, and then that they keep out of each other's way.
func (v *validator) sites() {
	if len(v.c.Sites) > maxSites {
		v.wrong("sites", fmt.Sprintf("has %d sites", len(v.c.Sites)), fmt.Sprintf("keep %d at most, and run another service for the others", maxSites))
	}
	for i, site := range v.c.Sites {
		at := item("sites", i)
		v.within(site.Config, func(key string) string { return at + "." + key }, (*validator).site)
		v.inheritedSecrets(at, site.Config)
	}
	v.siteHosts()
	v.sitePlaces()
}

// inheritedSecrets warns where the main site's client is used at another provider.
func (v *validator) inheritedSecrets(at string, site *Config) {
	main, own := v.c.OIDC, site.OIDC
	if own.ClientSecret != "" && own.ClientSecret == main.ClientSecret && (own.Issuer != main.Issuer || own.ClientID != main.ClientID) {
		v.warn(at+".oidc", "the client_secret is that of the main site, whose issuer or client_id is another one", "give this client a secret of its own")
	}
}

// siteHosts checks whose each host is.
func (v *validator) siteHosts() {
	const right = "write a host such as app.example.com, one with its port such as localhost:8080, or *.example.com for all below it"
	owner := map[string]string{}
	check := func(at string, c *Config) {
		public, known := placeOf(at, c.PublicURL)
		for i, entry := range c.Hosts {
			key := item(at+"hosts", i)
			host, err := parseSiteHost(entry)
			switch {
			case err != nil:
				v.wrong(key, quote(entry)+" is no host: "+err.Error(), right)
				continue
			case owner[host] != "":
				v.wrong(key, quote(entry)+" is also "+owner[host], "keep it at one site")
				continue
			}
			owner[host] = key
			if known && !getsCookie(withoutPort(host), public.host.host, c.Cookie.Domain) {
				v.warn(key, quote(entry)+" does not get the cookie of "+quote(public.host.host)+", the host of public_url",
					"sign in at that host itself, or set cookie.domain to a parent domain of both")
			}
		}
	}
	check("", v.c)
	for i, site := range v.c.Sites {
		at := item("sites", i)
		if len(site.Hosts) == 0 {
			v.wrong(at+".hosts", "is missing", "write the hosts that this site protects")
		}
		check(at+".", site.Config)
	}
}

// parseSiteHost reads an entry of hosts, and returns it in canonical form.
func parseSiteHost(entry string) (string, error) {
	text := lowerASCII(strings.TrimSpace(entry))
	if below, ok := strings.CutPrefix(text, "*."); ok {
		if _, err := netip.ParseAddr(below); err == nil {
			return "", fmt.Errorf("nothing is below an address")
		}
		return text, checkHost(below)
	}
	if strings.Contains(text, "://") {
		return "", errors.New("it has a scheme")
	}
	_, err := parseHostPort("", text)
	return text, err
}

// getsCookie reports whether browsers send a host, or those below a domain, the cookie that is set at another one.
func getsCookie(host, public, domain string) bool {
	host = strings.TrimPrefix(host, "*.")
	return host == public || domain != "" && inDomain(host, domain)
}

// sitePlaces checks that no two sites have the same endpoints, or cookies that overwrite each other.
func (v *validator) sitePlaces() {
	type occupied struct {
		place
		cookie Cookie
	}
	var others []occupied
	check := func(at string, c *Config) {
		p, ok := placeOf(at+"public_url", c.PublicURL)
		if !ok {
			return
		}
		if at != "" && len(p.canonical()) > maxSiteName {
			v.wrong(p.at, "is longer than 200 bytes", "write a shorter one: every session of the site carries it")
		}
		for _, other := range others {
			switch {
			case p.canonical() == other.canonical():
				wrong := "is the same as " + other.at
				if _, set := v.origins.of[p.at]; !set && c.PublicURL == v.c.PublicURL {
					wrong = "is missing: it is that of the main site"
				}
				v.wrong(p.at, wrong, "give each site its own: a host of its own, or at the same host a path of its own, such as /oauth2")
				return
			case strings.HasPrefix(p.path+"/", other.path+"/envoy/"), strings.HasPrefix(other.path+"/", p.path+"/envoy/"):
				v.wrong(p.at, "its path and that of "+other.at+" meet below /envoy, where Envoy asks", "choose another path")
			}
			if overlap := cookiesOverlap(p, c.Cookie, other.place, other.cookie); overlap != "" {
				v.wrong(at+"cookie.name", quote(overlap)+" is also a cookie of "+strings.TrimSuffix(other.at, "public_url")+"cookie.name, and one would overwrite the other",
					"give each a name of its own, such as "+c.Cookie.Name+"2")
			}
		}
		others = append(others, occupied{p, c.Cookie})
	}
	check("", v.c)
	for i, site := range v.c.Sites {
		check(item("sites", i)+".", site.Config)
	}
}

// cookiesOverlap returns a name that two sites give to cookies of which a browser takes or expires one for the other, "" when there is none. Browsers do
// not tell ports apart.
func cookiesOverlap(p place, a Cookie, q place, b Cookie) string {
	if a.Name == b.Name && (p.host.host == q.host.host || covers(a.Domain, q.host.host, b.Domain) || covers(b.Domain, p.host.host, a.Domain)) {
		return a.Name
	}
	if p.host.host != q.host.host {
		return ""
	}
	for _, pair := range [][2]string{{a.Name, b.Name + "_login"}, {a.Name + "_login", b.Name}} {
		if pair[0] == pair[1] {
			return pair[0]
		}
	}
	return ""
}

// covers reports whether the cookie of a domain reaches another site's host, or its domain.
func covers(domain, host, otherDomain string) bool {
	return domain != "" && slices.ContainsFunc([]string{host, otherDomain}, func(other string) bool {
		return inDomain(other, domain)
	})
}
