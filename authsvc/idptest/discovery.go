package idptest

import (
	"net/http"
	"strings"
)

// serveDiscovery tells what the provider does, and nothing that it does not do.
func (p *Provider) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	grants := []string{"authorization_code"}
	scopes := []string{"openid", "profile", "email"}
	if p.options.RefreshTokens != RefreshNever {
		grants = append(grants, "refresh_token")
		scopes = append(scopes, "offline_access")
	}
	methods := []string{AuthBasic, AuthPost, AuthPrivateKey, authNone}
	if p.tlsBase != "" {
		methods = append(methods, AuthCertificate)
	}
	if p.options.hasMachines() {
		grants = append(grants, "client_credentials")
	}
	document := map[string]any{
		"issuer":                                         p.options.Issuer,
		"authorization_endpoint":                         p.URL(Authorize),
		"token_endpoint":                                 p.URL(Token),
		"userinfo_endpoint":                              p.URL(Userinfo),
		"jwks_uri":                                       p.URL(JWKS),
		"end_session_endpoint":                           p.URL(EndSession),
		"revocation_endpoint":                            p.URL(Revocation),
		"introspection_endpoint":                         p.URL(Introspection),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"grant_types_supported":                          grants,
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{p.options.Algorithm},
		"scopes_supported":                               scopes,
		"claims_supported":                               []string{"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "sid", "acr", "name", "preferred_username", "email", "email_verified", "groups"},
		"token_endpoint_auth_methods_supported":          methods,
		"revocation_endpoint_auth_methods_supported":     methods,
		"code_challenge_methods_supported":               []string{"S256"},
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false, // absent would mean true
	}
	document["token_endpoint_auth_signing_alg_values_supported"] = assertionAlgorithms
	if p.options.Push != PushNever {
		document["pushed_authorization_request_endpoint"] = p.URL(Push)
		document["require_pushed_authorization_requests"] = p.options.Push == PushRequired
	}
	p.options.Shape.describe(document)
	if p.tlsBase != "" {
		aliases := map[string]string{}
		for _, name := range []string{"token_endpoint", "userinfo_endpoint", "revocation_endpoint", "pushed_authorization_request_endpoint"} {
			if address, has := document[name].(string); has {
				aliases[name] = p.tlsBase + strings.TrimPrefix(address, strings.TrimSuffix(p.options.Issuer, "/"))
			}
		}
		document["mtls_endpoint_aliases"] = aliases
	}
	if len(p.options.ACRValues) > 0 {
		document["acr_values_supported"] = p.options.ACRValues
	}
	edit(&p.hooks, &p.hooks.discovery, document)
	writeJSON(w, http.StatusOK, document)
}
