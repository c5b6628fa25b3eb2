package authsvc

import (
	"context"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"authsvc/authsvc/idptest"
)

// siteRig is a rig whose service has three sites, each with people of its own: the main one; "b", with a provider of its own; and "c", below a path,
// at the provider and with the client of the main one.
type siteRig struct {
	*rig
	sites map[string]*ownSite
}

// ownSite is one of the sites of a rig, as a visitor sees it.
type ownSite struct {
	host, url, cookie string
	provider          *idptest.Provider
}

// clientOf is the client of sites at a provider.
func clientOf(urls ...string) idptest.Client {
	c := idptest.Client{ID: "app", Secret: testClientSecret}
	for _, url := range urls {
		c.RedirectURIs = append(c.RedirectURIs, url+"/callback")
		c.PostLogoutRedirectURIs = append(c.PostLogoutRedirectURIs, url+"/signed_out")
	}
	return c
}

func newSiteRig(t *testing.T, replicas int, configure func(*Config)) *siteRig {
	t.Helper()
	s := &siteRig{sites: map[string]*ownSite{}}
	var r *rig
	visitor := func(*http.Request) string { return r.visitor.Load().(string) }
	var a, b *idptest.Provider
	r = newRig(t, replicas, func(c *Config) {
		port := ":" + strings.TrimPrefix(c.PublicURL, "http://127.0.0.1:")
		for name, path := range map[string]string{"a": "", "b": "", "c": "/oauth2"} {
			host := name + ".localhost"
			s.sites[name] = &ownSite{host: host, url: "http://" + host + port + path, cookie: "authsvc"}
		}
		a = idptest.Start(t, idptest.Options{People: people, Clients: []idptest.Client{clientOf(s.sites["a"].url, s.sites["c"].url)}, SignIn: visitor})
		b = idptest.Start(t, idptest.Options{People: people, Clients: []idptest.Client{clientOf(s.sites["b"].url)}, SignIn: visitor})
		s.sites["a"].provider, s.sites["b"].provider, s.sites["c"].provider = a, b, a
		c.PublicURL, c.OIDC.Issuer = s.sites["a"].url, a.Issuer()
		for _, name := range []string{"b", "c"} {
			site := c.forSite()
			site.PublicURL, site.Hosts, site.OIDC.Issuer = s.sites[name].url, []string{s.sites[name].host}, s.sites[name].provider.Issuer()
			c.Sites = append(c.Sites, SiteConfig{site})
		}
		if configure != nil {
			configure(c)
		}
	})
	s.rig, r.provider = r, a
	return s
}

// browser is one that finds all hosts below localhost.
func (s *siteRig) browser(site string) *browser {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	b := s.rig.browser()
	b.base, b.client.Jar = s.sites[site].url, jar
	b.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if host, port, err := net.SplitHostPort(address); err == nil && strings.HasSuffix(host, ".localhost") {
			address = "127.0.0.1:" + port
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	s.t.Cleanup(b.client.CloseIdleConnections)
	return b
}

// asked asks what a gateway would, for a page of a host, with exactly this Cookie header.
func (s *siteRig) asked(host, cookie string) reply {
	s.t.Helper()
	b := s.rig.browser()
	return b.do(http.MethodGet, s.front.URL+"/auth", http.Header{
		"Cookie": {cookie}, "X-Original-Url": {"http://" + host + s.front.URL[len("http://127.0.0.1"):] + "/page"}, "X-Original-Method": {"GET"},
	})
}

// at sends a request to an address of the rig as it is, with these headers, and follows nothing.
func (s *siteRig) at(method, address, body string, header http.Header) reply {
	s.t.Helper()
	b := s.browser("a")
	b.client.Jar = nil
	b.stop = func(*url.URL) bool { return true }
	request, err := http.NewRequestWithContext(s.t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	return b.send(request, header)
}
