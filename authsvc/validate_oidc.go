package authsvc

import (
	"maps"
	"slices"
	"strings"
)

func (v *validator) provider() { v.issuer("oidc.issuer", v.c.OIDC.Issuer) }

func (v *validator) issuer(key, issuer string) {
	const right = "write the issuer as the provider's discovery document says it, such as https://id.example.com/realms/main"
	if issuer == "" {
		v.wrong(key, "is missing", right)
		return
	}
	scheme, authority, _, ok := splitURL(issuer)
	switch {
	case !ok || strings.ContainsAny(issuer, " \\"):
		v.wrong(key, quote(issuer)+" is no http or https address", right)
		return
	case strings.ContainsAny(issuer, "?#"):
		v.wrong(key, "has a query or a fragment, which no issuer has", right)
		return
	}
	if !v.reachedSafely(key, scheme, authority, right) && v.c.OIDC.InsecureHTTP {
		v.warn(key, "is http: anyone on the way can sign in as anybody", "use https outside of tests")
	}
}

// reachedSafely reports whether what is sent to a host of the provider cannot be read on the way, or the host is none, and tells what is wrong.
func (v *validator) reachedSafely(key, scheme, authority, right string) bool {
	at, err := parsePublicHost(scheme, authority)
	switch {
	case err != nil:
		v.wrong(key, err.Error(), right)
	case scheme == "http" && !isLoopbackHost(at.host):
		if !v.c.OIDC.InsecureHTTP {
			v.wrong(key, "is http on a host that is not loopback", "write https, or set oidc.insecure_http to true on a network that you trust")
		}
		return false
	}
	return true
}

// ownParameters are those of an authorization request that follow from other keys, or that nothing but the
// service may choose.
var ownParameters = []string{
	"client_assertion", "client_assertion_type", "client_id", "client_secret", "code", "code_challenge",
	"code_challenge_method", "code_verifier", "nonce", "redirect_uri", "request", "request_uri", "response_mode",
	"response_type", "scope", "state",
}

func (v *validator) client() {
	o := v.c.OIDC
	switch {
	case o.ClientID == "":
		v.wrong("oidc.client_id", "is missing", "write the ID under which the provider knows this client")
	case strings.ContainsFunc(o.ClientID, func(r rune) bool { return r < ' ' || r > '~' }) || strings.TrimSpace(o.ClientID) != o.ClientID:
		v.wrong("oidc.client_id", "has a space at an end, or a character that no client ID has", "write printable ASCII (RFC 6749, appendix A.1) in one line")
	}
	v.clientAuth()
	if !slices.Contains(o.Scopes, "openid") {
		v.wrong("oidc.scopes", "openid is missing", "add it: without it the provider gives no ID token")
	}
	for i, scope := range o.Scopes {
		if strings.ContainsFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			v.wrong(item("oidc.scopes", i), quote(scope)+" is no scope", "write one scope an entry, or all in one text with commas")
		}
	}
	if len(o.GroupsClaim) == 0 {
		v.wrong("oidc.groups_claim", "is empty", "write a claim path such as groups or realm_access.roles")
	}
	for _, name := range slices.Sorted(maps.Keys(o.AuthParams)) {
		if slices.Contains(ownParameters, name) || name == "" {
			v.wrong("oidc.auth_params."+printableName(name), "is the service's own parameter", "remove it")
		}
		switch _, err := parseMaxAge(o.AuthParams[name]); {
		case name == "max_age" && err != nil:
			v.wrong("oidc.auth_params.max_age", "is no number of seconds", "write one such as 3600, or 0 for a fresh login each time")
		case name == "acr_values":
			v.warn("oidc.auth_params.acr_values", "asks the provider, and nobody checks what it does", "write acr in the rules, which sends it and enforces it")
		}
	}
	if o.ResponseMode == "form_post" && hasScheme(v.c.PublicURL, "http") {
		v.wrong("oidc.response_mode", "form_post needs a cookie that browsers keep on https only", "write query, or use an https public_url")
	}
}

// clientAuth checks that what oidc.client_auth needs is there, and that nothing is that it does not use.
func (v *validator) clientAuth() {
	o := v.c.OIDC
	auth, byKey := o.ClientAuth, o.ClientAuth == "private_key_jwt" || o.ClientAuth == "mtls"
	switch hasSecret := o.ClientSecret != ""; {
	case !hasSecret && (auth == "basic" || auth == "post"):
		v.wrong("oidc.client_secret", "is missing, and oidc.client_auth is "+auth, "give the secret, or write none for a public client")
	case !hasSecret && auth == "none":
		v.warn("oidc.client_secret", "is missing: this is a public client, kept by PKCE alone", "give the secret if the provider has one for this client")
	case hasSecret && (auth == "none" || byKey):
		v.warn("oidc.client_secret", "is not used, since oidc.client_auth is "+auth, "remove one of the two")
	}
	switch {
	case byKey && o.ClientKeyFile == "":
		v.wrong("oidc.client_key_file", "is missing, and oidc.client_auth is "+auth, "name a PEM file with the client's private key")
	case !byKey && o.ClientKeyFile != "":
		v.warn("oidc.client_key_file", "is not used, since oidc.client_auth is "+auth, "write private_key_jwt or mtls there, or remove it")
	}
	switch {
	case auth == "mtls" && o.ClientCertFile == "":
		v.wrong("oidc.client_cert_file", "is missing, and oidc.client_auth is mtls", "name a PEM file with the certificate of oidc.client_key_file")
	case !byKey && o.ClientCertFile != "":
		v.warn("oidc.client_cert_file", "is not used, since oidc.client_auth is "+auth, "write private_key_jwt or mtls there, or remove it")
	}
	switch {
	case strings.ContainsFunc(o.ClientKeyID, func(r rune) bool { return r < ' ' || r > '~' }):
		v.wrong("oidc.client_key_id", "has a character that no key ID has", "write printable ASCII in one line")
	case o.ClientKeyID != "" && auth != "private_key_jwt":
		v.warn("oidc.client_key_id", "is not used, since oidc.client_auth is "+auth, "remove it")
	}
}
