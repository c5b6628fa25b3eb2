package authsvc

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// maxProviders bounds the providers of a site: people choose among them on one page.
const maxProviders = 20

// providerName is what stands in addresses, where every server in between reads it alike.
var providerName = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`) })

// ProviderList returns the providers of the site, one without a name where people have no choice.
func (c *Config) ProviderList() []Provider {
	if len(c.Providers) == 0 {
		return []Provider{{OIDC: c.OIDC}}
	}
	return c.Providers
}

func (v *validator) providers() {
	if len(v.c.Providers) == 0 {
		v.provider()
		v.client()
		return
	}
	for _, k := range keys {
		if within(k.Path, "oidc") && k.Path != "oidc.groups_claim" && !k.isDefault(reflect.ValueOf(v.c).Elem()) {
			v.wrong(k.Path, "is set beside providers", "write it in each entry of providers that it is meant for")
		}
	}
	if len(v.c.Providers) > maxProviders {
		v.wrong("providers", "has more than 20 entries", "keep those that people choose")
	}
	for i, p := range v.c.Providers {
		at := item("providers", i)
		v.providerEntry(at, p, v.c.Providers[:i])
		one := *v.c
		one.OIDC, one.Providers = p.OIDC, nil
		one.OIDC.GroupsClaim = v.c.OIDC.GroupsClaim
		v.within(&one, func(key string) string { return at + strings.TrimPrefix(key, "oidc") }, func(part *validator) {
			part.words()
			part.provider()
			part.client()
			inOIDC := func(p Problem) bool { return !within(p.Key, "oidc") || within(p.Key, "oidc.groups_claim") }
			part.problems, part.warnings = slices.DeleteFunc(part.problems, inOIDC), slices.DeleteFunc(part.warnings, inOIDC)
		})
	}
	if len(v.c.Providers) > 1 && !slices.Contains(claimsOf(v.c.Headers), "iss") {
		v.warn("providers", "two people of two providers may have the same sub, and the headers do not tell them apart",
			"add a header that tells the provider, such as X-Auth-Request-Issuer: iss")
	}
}

func claimsOf(headers map[string]Header) (claims []string) {
	for _, header := range headers {
		claims = append(claims, header.Claim)
	}
	return claims
}

// providerEntry checks what an entry has besides the keys of oidc, and that it can be told from those before it.
func (v *validator) providerEntry(at string, p Provider, before []Provider) {
	const right = "write up to 32 lower-case letters, digits and -, such as staff"
	switch {
	case p.Name == "":
		v.wrong(at+".name", "is missing", right)
	case !providerName().MatchString(p.Name):
		v.wrong(at+".name", quote(p.Name)+" is no name of a provider", right)
	case slices.ContainsFunc(before, func(other Provider) bool { return other.Name == p.Name }):
		v.wrong(at+".name", quote(p.Name)+" is the name of another one", "give each its own")
	}
	if len(p.Title) > 100 {
		v.wrong(at+".title", "is longer than 100 bytes", "write a few words")
	}
	if p.Issuer != "" && slices.ContainsFunc(before, func(other Provider) bool { return other.Issuer == p.Issuer }) {
		v.wrong(at+".issuer", "is that of another one", "keep one of them: a session tells by its issuer which provider it is of")
	}
	if len(p.GroupsClaim) != 1 || p.GroupsClaim[0] != "groups" {
		v.wrong(at+".groups_claim", "is set for one provider", "write oidc.groups_claim: it lists the claim paths for all of them")
	}
}
