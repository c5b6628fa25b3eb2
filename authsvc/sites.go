package authsvc

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"

	"authsvc/session"
)

// sites are all sites of the service, and whose each host is. They are immutable; a reload makes new ones and swaps one pointer.
type sites struct {
	main *site   // that of the plain configuration
	all  []*site // the main one first
	// exact are sites by host, or by host and port; below are those of all hosts below a domain, the longest domain first.
	exact map[string]*site
	below []domain
}

// domain is whose all hosts below a name are.
type domain struct {
	suffix string // begins with a dot
	site   *site
}

// several reports whether it matters which host is asked for: a single site takes all.
func (all *sites) several() bool { return len(all.all) > 1 }

// ofHost returns the site that a host belongs to, nil for none. The host is in canonical form, with its port unless that is the scheme's own. An
// entry with a port comes before the same one without, which means any port; an exact one before a wildcard; and the longest wildcard first.
func (all *sites) ofHost(host string) *site {
	if !all.several() {
		return all.main
	}
	if site := all.exact[host]; site != nil {
		return site
	}
	name := withoutPort(host)
	if site := all.exact[name]; site != nil {
		return site
	}
	for _, domain := range all.below {
		if strings.HasSuffix(name, domain.suffix) && len(name) > len(domain.suffix) {
			return domain.site
		}
	}
	return nil
}

// reached returns the site whose own endpoints a browser has reached, at a host and below the path of a public_url; nil when there is none. That is the
// site with this public_url; or else the one that the host belongs to: a gateway may offer the endpoints at every host.
func (all *sites) reached(host, prefix string) *site {
	if !all.several() {
		return all.main
	}
	var found *site
	for _, site := range all.all {
		if site.prefix != prefix || withoutPort(site.host) != withoutPort(host) {
			continue
		}
		if site.host == host {
			return site
		}
		if found != nil { // the port would tell, which the gateway left out
			return nil
		}
		found = site
	}
	if found != nil {
		return found
	}
	if site := all.ofHost(host); site != nil && site.prefix == prefix {
		return site
	}
	return nil
}

// withoutPort is the host of an authority, which is in canonical form.
func withoutPort(authority string) string {
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexByte(authority, ']') {
		return authority[:i]
	}
	return authority
}

// reachedHost is the host under which a browser has reached the service: what a trusted proxy says that it was, or the request's own; "" when that
// cannot be told.
func reachedHost(r *http.Request, trusted bool) string {
	authority := r.Host
	if forwarded := r.Header.Values("X-Forwarded-Host"); trusted && len(forwarded) > 0 {
		authority = strings.Join(forwarded, ", ")
	}
	if _, err := parseHostPort("", lowerASCII(authority)); err != nil {
		return ""
	}
	return lowerASCII(authority)
}

// newSites makes the sites of a configuration that has been validated, all with one ring.
func newSites(c *Config, keyring *session.Keyring, service *Service) (*sites, error) {
	all := &sites{exact: map[string]*site{}}
	for name, config := range c.eachSite() {
		site, err := newSite(name, config, keyring, service)
		if err != nil {
			return nil, err
		}
		all.all = append(all.all, site)
	}
	all.main = all.all[0]
	all.shareOut()
	return all, nil
}

// shareOut gives each host to a site: those that sites name, and, unless another one names them, that of a public_url, and of the main site
// what is below its cookie.domain and where its logins may end. So a plain configuration to which sites are added goes on as before.
func (all *sites) shareOut() {
	give := func(host string, site *site) {
		if suffix, below := strings.CutPrefix(host, "*"); !below {
			if all.exact[host] == nil {
				all.exact[host] = site
			}
		} else if !slices.ContainsFunc(all.below, func(d domain) bool { return d.suffix == suffix }) {
			all.below = append(all.below, domain{suffix, site})
		}
	}
	for _, site := range all.all {
		for _, entry := range site.config.Hosts {
			host, _ := parseSiteHost(entry)
			give(host, site)
		}
	}
	for _, site := range all.all {
		give(withoutPort(site.host), site)
	}
	if domain := all.main.config.Cookie.Domain; domain != "" {
		give(domain, all.main)
		give("*."+domain, all.main)
	}
	for _, pattern := range all.main.returns.hosts {
		give(pattern.host, all.main)
		if pattern.subdomains {
			give("*."+pattern.host, all.main)
		}
	}
	slices.SortStableFunc(all.below, func(a, b domain) int { return len(b.suffix) - len(a.suffix) })
}

// prefixes are the paths below which the sites have their endpoints.
func (all *sites) prefixes() []string {
	var list []string
	for _, site := range all.all {
		if !slices.Contains(list, site.prefix) {
			list = append(list, site.prefix)
		}
	}
	return list
}

// flights is how many refreshes are under way.
func (all *sites) flights() (n int) {
	for _, site := range all.all {
		n += site.renewer.Flights()
	}
	return n
}

// markSigner leaves a mark for the key that signs, for every site. An error means that nobody can tell whether all were left.
func (all *sites) markSigner(ctx context.Context) error {
	for _, site := range all.all {
		if err := site.sessions.MarkSigner(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keyMarks returns how long each key is needed, by any of the managers. An error means "cannot tell".
func keyMarks(ctx context.Context, managers []*session.Manager) ([]session.KeyMark, error) {
	var merged []session.KeyMark
	for _, manager := range managers {
		marks, err := manager.KeyMarks(ctx)
		if err != nil {
			return nil, err
		}
		merged = append(merged, marks...)
	}
	slices.SortFunc(merged, func(a, b session.KeyMark) int {
		return cmp.Or(slices.Compare(a.Key[:], b.Key[:]), b.Until.Compare(a.Until))
	})
	return slices.CompactFunc(merged, func(a, b session.KeyMark) bool { return a.Key == b.Key }), nil
}

// managers are those of all sites.
func (all *sites) managers() []*session.Manager {
	list := make([]*session.Manager, len(all.all))
	for i, site := range all.all {
		list[i] = site.sessions
	}
	return list
}

// providers are those of all sites, and the issuers of bearer tokens; those once that are known once.
func (all *sites) providers() []*provider {
	var list []*provider
	add := func(wanted *provider) {
		if !slices.ContainsFunc(list, func(p *provider) bool { return p.discovered == wanted.discovered }) {
			list = append(list, wanted)
		}
	}
	for _, site := range all.all {
		add(site.provider)
		for _, issuer := range site.bearers.all() {
			add(issuer.provider)
		}
	}
	return list
}
