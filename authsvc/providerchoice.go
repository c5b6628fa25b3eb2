package authsvc

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"

	"authsvc/authsvc/pages"
)

// A site may have several providers. A login is of the one that was chosen at its beginning, by name; a session is of the one that signed it, by
// issuer. Each has a redirect URI of its own, so that no provider can have the code that another one gave delivered to itself, whether or not they tell
// who they are in their answers (RFC 9700, section 4.4.2).

// newProviders makes the providers of a site.
func newProviders(c *Config, service *Service) ([]*provider, error) {
	var list []*provider
	for _, entry := range c.ProviderList() {
		known, err := service.known.of(entry.OIDC)
		if err != nil {
			return nil, err
		}
		redirect := c.PublicURL + "/callback"
		if entry.Name != "" {
			redirect += "/" + entry.Name
		}
		p := newProvider(entry.OIDC, redirect, known, service.store.Now)
		p.name, p.title = entry.Name, cmp.Or(entry.Title, entry.Name)
		list = append(list, p)
	}
	return list, nil
}

// providerNamed returns the provider of a login, nil for none: that without a name is the only one of its site.
func (site *site) providerNamed(name string) *provider {
	return site.provider(func(p *provider) bool { return p.name == name })
}

// providerOf returns the provider of a session, nil when the site has it no more.
func (site *site) providerOf(issuer string) *provider {
	return site.provider(func(p *provider) bool { return p.issuer == issuer })
}

func (site *site) provider(is func(*provider) bool) *provider {
	if i := slices.IndexFunc(site.providers, is); i >= 0 {
		return site.providers[i]
	}
	return nil
}

// answersByForm reports whether a provider answers by form_post: a cross-site request, which brings no Lax cookies.
func (site *site) answersByForm() bool {
	return site.provider(func(p *provider) bool { return p.formPost }) != nil
}

// endSessionTargets are where a logout may lead.
func (site *site) endSessionTargets() (targets []string) {
	for _, p := range site.providers {
		if meta, err := p.ready(); err == nil && meta.EndSession != "" {
			targets = append(targets, meta.EndSession)
		}
	}
	return targets
}

// chosenProvider returns the provider at which a login begins: the only one, that at which it began before, or the one that the query names; nil when
// people have yet to choose.
func (site *site) chosenProvider(r *http.Request, before attempt) *provider {
	if len(site.providers) == 1 {
		return site.providers[0]
	}
	name := before.Provider
	if name == "" {
		name, _ = firstParameter(r.URL.RawQuery, "provider")
	}
	if name == "" {
		return nil
	}
	return site.providerNamed(name)
}

// chooseProvider shows the providers, each with a link to where its login begins. restart is what a verdict has sealed into the login URL, such as what
// its rule asks of the login; "" for nothing.
func (s *Service) chooseProvider(w http.ResponseWriter, r *http.Request, site *site, returnTo, restart string) error {
	page := pages.Page{Kind: pages.ChooseProvider}
	for _, p := range site.providers {
		address := site.publicURL + "/start?provider=" + p.name + "&rd=" + url.QueryEscape(returnTo)
		if restart != "" {
			address = withRestart(address, restart)
		}
		page.Choices = append(page.Choices, pages.Choice{Title: p.title, Address: address})
	}
	s.writePage(w, r, http.StatusOK, page)
	return nil
}

// calledBack returns the provider whose redirect URI a request came to, nil for none.
func (site *site) calledBack(r *http.Request) *provider {
	return site.providerNamed(r.PathValue("provider"))
}

// method is how the provider sends the browser back.
func (p *provider) method() string {
	if p.formPost {
		return http.MethodPost
	}
	return http.MethodGet
}

// endAt tells the providers of sessions that were ended that their tokens are not used any more, and returns where the browser goes on: to the
// provider of the first, to sign out there, or to target.
func (s *Service) endAt(ctx context.Context, r *http.Request, site *site, ended []endedSession, target string) string {
	next := target
	for i, session := range ended {
		p := site.providerOf(session.issuer)
		if p == nil {
			continue
		}
		meta, err := p.ready()
		if err != nil {
			continue
		}
		if err := p.revoke(ctx, meta, session.tokens.RefreshToken); err != nil {
			s.log.Warn().Err(err).Str("request_id", infoOf(r).id).Msg("signed out, but the provider keeps the grant")
		}
		if address := p.endSessionURL(meta, session.tokens.IDToken, target); i == 0 && address != "" {
			next = address
		}
	}
	return next
}
