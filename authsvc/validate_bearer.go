package authsvc

import (
	"slices"
	"strings"
)

// maxBearers bounds how many issuers may be asked about one token.
const maxBearers = 16

func (v *validator) bearer() {
	if len(v.c.Bearer) > maxBearers {
		v.wrong("bearer", "has more than 16 entries", "keep the issuers whose tokens come")
	}
	for i, entry := range v.c.Bearer {
		key := item("bearer", i)
		v.issuer(key+".issuer", entry.Issuer)
		if j := slices.IndexFunc(v.c.Bearer[:i], func(other Bearer) bool { return other.Issuer == entry.Issuer }); j >= 0 && entry.Issuer != "" {
			v.wrong(key+".issuer", "stands in "+item("bearer", j)+" already", "write all of an issuer's audiences into one entry")
		}
		v.audiences(key+".audiences", entry)
		v.introspection(key, entry)
	}
	elsewhere := func(entry Bearer) bool {
		return !slices.ContainsFunc(v.c.ProviderList(), func(p Provider) bool { return p.Issuer == entry.Issuer })
	}
	if slices.ContainsFunc(v.c.Bearer, elsewhere) && !slices.Contains(claimsOf(v.c.Headers), "iss") {
		v.warn("bearer", "a token of another issuer may have the sub of a person who signs in here, and the headers do not tell them apart",
			"add a header that tells the issuer, such as X-Auth-Request-Issuer: iss")
	}
}

func (v *validator) audiences(key string, entry Bearer) {
	if len(entry.Audiences) == 0 {
		v.wrong(key, "is missing: a token for anyone would pass", "write what the issuer puts into aud for this application, such as https://api.example.com")
	}
	for j, audience := range entry.Audiences {
		switch {
		case strings.ContainsFunc(audience, func(r rune) bool { return r <= ' ' || r > '~' }):
			v.wrong(item(key, j), quote(audience)+" is no audience", "write one audience an entry")
		case slices.Contains(entry.Audiences[:j], audience):
			v.wrong(item(key, j), "stands here a second time", "keep one of the two")
		case audience == v.c.OIDC.ClientID && entry.Issuer == v.c.OIDC.Issuer:
			v.warn(item(key, j), "is the audience of the ID tokens that people sign in with, too, and not every one shows what it is", "give the application an audience of its own at the issuer")
		}
	}
}

func (v *validator) introspection(key string, entry Bearer) {
	if entry.IntrospectionURL == "" {
		if entry.ClientID != "" || entry.ClientSecret != "" {
			v.wrong(key+".client_id", "is for introspection_url, which is missing", "give the address, or remove client_id and client_secret")
		}
		return
	}
	v.endpoint(key+".introspection_url", entry.IntrospectionURL)
	switch {
	case entry.ClientID != "" && entry.ClientSecret == "":
		v.wrong(key+".client_secret", "is missing beside client_id", "give the secret: no issuer tells strangers about tokens")
	case entry.ClientID == "" && entry.ClientSecret != "":
		v.wrong(key+".client_id", "is missing beside client_secret", "give both, or neither to be oidc.client_id")
	case entry.ClientID == "" && entry.Issuer != v.c.OIDC.Issuer:
		v.wrong(key+".client_id", "is missing, and oidc.client_id is known to another issuer", "give client_id and client_secret of a client of this issuer")
	case entry.ClientID == "" && v.c.OIDC.ClientAuth == "none":
		v.wrong(key+".client_id", "is missing, and oidc.client_id is a public client", "give client_id and client_secret of a client that may ask about tokens")
	}
}

// endpoint checks the address of an endpoint that gets secrets.
func (v *validator) endpoint(key, address string) {
	const right = "write the https address that the issuer's discovery document says"
	scheme, authority, _, ok := splitURL(address)
	if !ok || strings.ContainsAny(address, " \\#") {
		v.wrong(key, quote(address)+" is no http or https address", right)
		return
	}
	v.reachedSafely(key, scheme, authority, right)
}
