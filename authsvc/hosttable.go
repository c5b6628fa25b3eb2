package authsvc

import (
	"slices"
	"strings"
)

// hostTable says whose each host is, by the place of the site: 0 is the main one.
type hostTable struct {
	exact map[string]int // by host, or by host and port
	below []domain       // the longest first
}

// domain is whose all hosts below a name are.
type domain struct {
	suffix string // begins with a dot
	site   int
}

// newHostTable gives each host to a site: those that sites name, and, unless another one names them, that of a public_url, and to the main site
// what is below its cookie.domain and where its logins may end. So a plain configuration to which sites are added goes on as before.
func newHostTable(c *Config) hostTable {
	t := hostTable{exact: map[string]int{}}
	var configs []*Config
	for _, config := range c.EachSite() {
		configs = append(configs, config)
	}
	for i, config := range configs {
		for _, entry := range config.Hosts {
			host, _ := parseSiteHost(entry)
			t.give(host, i)
		}
	}
	for i, config := range configs {
		if public, ok := placeOf("", config.PublicURL); ok {
			t.give(public.host.host, i)
		}
	}
	if c.Cookie.Domain != "" {
		t.give(c.Cookie.Domain, 0)
		t.give("*."+c.Cookie.Domain, 0)
	}
	for _, entry := range c.Redirect.AllowedHosts {
		if pattern, err := parseHostPattern(entry); err == nil {
			t.give(pattern.host, 0)
			if pattern.subdomains {
				t.give("*."+pattern.host, 0)
			}
		}
	}
	slices.SortStableFunc(t.below, func(a, b domain) int { return len(b.suffix) - len(a.suffix) })
	return t
}

// give gives a host, or all below a domain, to a site, unless it has been given away.
func (t *hostTable) give(host string, site int) {
	if suffix, below := strings.CutPrefix(host, "*"); below {
		if !slices.ContainsFunc(t.below, func(d domain) bool { return d.suffix == suffix }) {
			t.below = append(t.below, domain{suffix, site})
		}
	} else if _, given := t.exact[host]; !given {
		t.exact[host] = site
	}
}

// find returns whose a host is. An entry with a port comes before the same one without, which means any port; an exact one before a wildcard; and the
// longest wildcard first.
func (t hostTable) find(host string) (site int, found bool) {
	if site, found = t.exact[host]; found {
		return site, true
	}
	name := withoutPort(host)
	if site, found = t.exact[name]; found {
		return site, true
	}
	for _, domain := range t.below {
		if strings.HasSuffix(name, domain.suffix) && len(name) > len(domain.suffix) {
			return domain.site, true
		}
	}
	return 0, false
}

// withoutPort is the host of an authority, which is in canonical form.
func withoutPort(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		return authority[:i]
	}
	return authority
}

// SiteAt returns the configuration of the site that a host belongs to, nil for none. The host may have a port. A single site takes all.
func (c *Config) SiteAt(host string) *Config {
	if len(c.Sites) == 0 {
		return c
	}
	place, found := newHostTable(c).find(lowerASCII(host))
	switch {
	case !found:
		return nil
	case place == 0:
		return c
	}
	return c.Sites[place-1].Config
}
