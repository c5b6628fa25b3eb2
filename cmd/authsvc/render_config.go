package main

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"authsvc/authsvc"
	"authsvc/nginx"
)

// fillSite takes from the configuration what no flag has said. It returns what keeps the two from each other, and what is
// allowed and will surprise.
func fillSite(site *nginx.Site, config *authsvc.Config) (problems, warnings []error, err error) {
	public, err := url.Parse(config.PublicURL)
	if err != nil {
		return nil, nil, fmt.Errorf("public_url: %w", err)
	}
	if site.ServerName == "" && site.LoginURL == "" {
		site.ServerName = public.Hostname()
	}
	elsewhere := site.ServerName != "" && !strings.EqualFold(site.ServerName, public.Hostname())
	if elsewhere && config.Cookie.Domain != "" && !site.LoginOnly && site.LoginURL == "" {
		site.LoginURL = config.PublicURL
	}
	switch {
	case elsewhere && site.LoginOnly:
		problems = append(problems, &nginx.FieldError{Field: "ServerName", Value: site.ServerName, Want: "leave it out: the login is at the host of public_url, " + public.Hostname()})
	case elsewhere && site.LoginURL != "":
		if problem := beyondDomain(site.ServerName, config.Cookie.Domain); problem != nil {
			problems = append(problems, problem)
		} else if !returnsTo(config.Redirect.AllowedHosts, site.ServerName) {
			warnings = append(warnings, fmt.Errorf("redirect.allowed_hosts does not name %s: a login does not come back to it, and ends at %s; add .%s",
				site.ServerName, config.Redirect.Default, config.Cookie.Domain))
		}
	}
	// Where TLS ends in front of nginx, the port is one of what stands there.
	endsHere := public.Scheme == "http" || site.Certificate != ""
	if port := public.Port(); site.Listen == nil && port != "" && endsHere {
		site.Listen = []string{port}
	}
	site.BehindTLS = site.BehindTLS || public.Scheme == "https" && site.Certificate == ""
	if site.Prefix == "" && site.LoginURL == "" {
		site.Prefix = public.EscapedPath()
	}
	if site.CookieName == "" {
		site.CookieName = config.Cookie.Name
	}
	if site.Headers == nil {
		site.Headers = slices.Sorted(maps.Keys(config.Headers))
	}
	site.NoRules = len(config.Rules) == 0 && len(config.Sites) == 0
	if site.Replicas == nil {
		if config.Listen != listenSystemd { // only the socket unit knows the address
			site.Replicas = []string{reachable(config.Listen)}
			if config.TLS.CertFile != "" {
				site.Replicas[0] = "https://" + site.Replicas[0]
			}
		}
	}
	return problems, warnings, nil
}

// beyondDomain tells that the cookie of a login elsewhere does not reach a host, nil if it does.
func beyondDomain(host, domain string) error {
	below := strings.ToLower(strings.TrimPrefix(host, "*."))
	switch {
	case domain == "":
		return usageError("cookie.domain: is not set, so the cookie of the login does not reach " + host + "; set it to the parent domain of both")
	case below != domain && !strings.HasSuffix(below, "."+domain):
		return &nginx.FieldError{Field: "ServerName", Value: host, Want: "give a host below " + domain + ", cookie.domain: browsers send the login's cookie to no other"}
	}
	return nil
}

// returnsTo tells whether entries of redirect.allowed_hosts name a host, on whatever port.
func returnsTo(entries []string, host string) bool {
	host = strings.ToLower(host)
	return slices.ContainsFunc(entries, func(entry string) bool {
		entry, _, _ = strings.Cut(strings.ToLower(entry), ":")
		if domain, any := strings.CutPrefix(strings.TrimPrefix(entry, "*"), "."); any {
			below := strings.TrimPrefix(host, "*.")
			return below == domain || strings.HasSuffix(below, "."+domain)
		}
		return entry == host
	})
}

// reachable returns an address at which nginx on the same machine reaches a listener.
func reachable(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return listen
	}
	address, _ := netip.ParseAddr(host) // of a name, or unix:/path, it is none of the two below
	switch {
	case host == "" || address.Unmap() == netip.IPv4Unspecified():
		return net.JoinHostPort("127.0.0.1", port)
	case address == netip.IPv6Unspecified():
		return net.JoinHostPort("::1", port)
	}
	return listen
}
