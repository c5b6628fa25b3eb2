package authsvc

import "slices"

// SameSecrets reports whether two configurations have the same secrets: those that can change while a replica runs. Clients that only
// one of them has do not count.
func (c *Config) SameSecrets(other *Config) bool {
	if c.AdminToken != other.AdminToken || c.Store.Password != other.Store.Password || !slices.Equal(c.Cookie.Secret, other.Cookie.Secret) {
		return false
	}
	theirs := other.clientSecrets()
	for client, secret := range c.clientSecrets() {
		if found, has := theirs[client]; has && found != secret {
			return false
		}
	}
	return true
}

// siteClient is a client at a provider, as a site has it.
type siteClient struct{ site, provider, issuer, id string }

// bearerClient stands for the provider's name where a client introspects bearer tokens. No provider can be called so.
const bearerClient = "bearer:"

// clientSecrets are those of all sites, their providers and their issuers of bearer tokens.
func (c *Config) clientSecrets() map[siteClient]Secret {
	secrets := map[siteClient]Secret{}
	for name, site := range c.eachSite() {
		for _, p := range site.ProviderList() {
			secrets[siteClient{name, p.Name, p.Issuer, p.ClientID}] = p.ClientSecret
		}
		for _, b := range site.Bearer {
			if b.ClientID != "" { // else it has none of its own
				secrets[siteClient{name, bearerClient, b.Issuer, b.ClientID}] = b.ClientSecret
			}
		}
	}
	return secrets
}

// WithSecretsOf returns a configuration that has another one's secrets and is otherwise this one. A client that the other one does not have keeps its
// secret.
func (c *Config) WithSecretsOf(other *Config) *Config {
	next := *c
	next.AdminToken, next.Store.Password, next.Cookie.Secret = other.AdminToken, other.Store.Password, other.Cookie.Secret
	secrets := other.clientSecrets()
	next.replaceClientSecrets(mainSite, secrets)
	next.Sites = slices.Clone(c.Sites)
	for i, site := range next.Sites {
		copied := *site.Config
		copied.replaceClientSecrets(site.siteName(), secrets)
		next.Sites[i] = SiteConfig{&copied}
	}
	return &next
}

func (c *Config) replaceClientSecrets(site string, secrets map[siteClient]Secret) {
	replace := func(provider string, o *OIDC) {
		if secret, has := secrets[siteClient{site, provider, o.Issuer, o.ClientID}]; has {
			o.ClientSecret = secret
		}
	}
	c.Bearer = slices.Clone(c.Bearer)
	for i, b := range c.Bearer {
		if secret, has := secrets[siteClient{site, bearerClient, b.Issuer, b.ClientID}]; has {
			c.Bearer[i].ClientSecret = secret
		}
	}
	if len(c.Providers) == 0 {
		replace("", &c.OIDC)
		return
	}
	c.Providers = slices.Clone(c.Providers)
	for i := range c.Providers {
		replace(c.Providers[i].Name, &c.Providers[i].OIDC)
	}
}
