package idptest

import (
	"maps"
	"net/url"
	"slices"
)

// maxEntraGroups is how many groups Entra ID writes into a token.
const maxEntraGroups = 200

// Entra is Entra ID, version 2.0: the tenant in the issuer; groups are IDs, beyond 200 the token names an address in their place; userinfo has
// no groups; no sid, no e-mail verification; a refresh token with offline_access, renewed at each refresh; end_session, but no
// back-channel logout and no revocation; metadata do not tell of PKCE.
func Entra() Shape {
	claims := func(person Person, _ *Client, scopes []string) map[string]any {
		told := personClaims(standard(person), scopes)
		delete(told, "email_verified")
		maps.Copy(told, map[string]any{"oid": "oid-of-" + person.Subject, "tid": "2c3b5d3e-77f3-4a0e-a3c5-3f1f8fb0b0aa", "ver": "2.0"})
		switch {
		case len(person.Groups) > maxEntraGroups:
			told["_claim_names"] = map[string]any{"groups": "src1"}
			told["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": "https://graph.microsoft.com/v1.0/users/oid/getMemberObjects"}}
		case len(person.Groups) > 0:
			told["groups"] = person.Groups
		}
		return told
	}
	return Shape{
		Name: "entra",
		Sources: []string{
			"https://learn.microsoft.com/entra/identity-platform/id-token-claims-reference (groups overage claim)",
			"https://learn.microsoft.com/entra/identity-platform/userinfo",
			"https://learn.microsoft.com/entra/identity-platform/certificate-credentials",
			"https://login.microsoftonline.com/organizations/v2.0/.well-known/openid-configuration",
		},
		IssuerPath: "/2c3b5d3e-77f3-4a0e-a3c5-3f1f8fb0b0aa/v2.0",
		Missing: []string{
			"revocation_endpoint", "code_challenge_methods_supported", "authorization_response_iss_parameter_supported",
			"backchannel_logout_supported", "backchannel_logout_session_supported",
		},
		Scopes:        []string{"openid", "profile", "email", "offline_access"},
		RefreshTokens: RefreshWithOffline,
		IDToken:       claims,
		Userinfo: func(person Person, _ *Client, scopes []string) map[string]any {
			told := personClaims(standard(person), scopes)
			delete(told, "email_verified")
			delete(told, "preferred_username")
			return told
		},
		Lacks:        []string{"sid", "at_hash", "auth_time", "acr"},
		OpaqueTokens: true, // they are for Microsoft Graph, and nobody else's to read
	}
}

// Okta is an org authorization server of Okta: groups by a filter, with the scope groups; the rest of what scopes open from userinfo; a
// refresh token with offline_access, which stays the same; end_session, no back-channel logout; pushed requests offered.
func Okta() Shape {
	groups := func(person Person, scopes []string) map[string]any {
		if slices.Contains(scopes, "groups") {
			return map[string]any{"groups": person.Groups}
		}
		return map[string]any{}
	}
	return Shape{
		Name: "okta",
		Sources: []string{
			"https://developer.okta.com/docs/api/openapi/okta-oauth/guides/overview/ (scope-dependent claims)",
			"https://developer.okta.com/docs/guides/customize-tokens-groups-claim/main/",
			"https://developer.okta.com/docs/guides/refresh-tokens/main/",
		},
		Missing: []string{
			"authorization_response_iss_parameter_supported", "backchannel_logout_supported", "backchannel_logout_session_supported",
		},
		Scopes:        []string{"openid", "email", "profile", "address", "phone", "offline_access", "groups"},
		Push:          PushOffered,
		RefreshTokens: RefreshWithOffline,
		NoRotation:    true,
		IDToken: func(person Person, _ *Client, scopes []string) map[string]any {
			return joined(groups(person, scopes), map[string]any{"ver": 1, "idp": "00o1", "amr": []string{"pwd"}})
		},
		Userinfo: func(person Person, _ *Client, scopes []string) map[string]any {
			return joined(personClaims(standard(person), scopes), groups(person, scopes))
		},
		Lacks:        []string{"sid", "acr"},
		OpaqueTokens: true,
	}
}

// Google: no groups at all, hd for the organization, azp always; a refresh token with access_type=offline and prompt=consent alone, which
// stays the same; unknown scopes, such as offline_access, are errors; no end_session, no back-channel logout.
func Google() Shape {
	claims := func(person Person, _ *Client, scopes []string) map[string]any {
		told := personClaims(standard(person), scopes)
		delete(told, "preferred_username")
		told["hd"] = person.Claims["hd"]
		return told
	}
	return Shape{
		Name: "google",
		Sources: []string{
			"https://developers.google.com/identity/openid-connect/openid-connect (ID token, access_type, prompt)",
			"https://developers.google.com/identity/openid-connect/reference (metadata)",
			"https://accounts.google.com/.well-known/openid-configuration",
		},
		Missing: []string{"end_session_endpoint", "backchannel_logout_supported", "backchannel_logout_session_supported"},
		Scopes:  []string{"openid", "email", "profile"},
		RefreshAsked: func(request url.Values) bool {
			return request.Get("access_type") == "offline" && request.Get("prompt") == "consent"
		},
		NoRotation:      true,
		IDToken:         claims,
		Userinfo:        claims,
		Lacks:           []string{"sid", "auth_time", "acr"},
		AuthorizedParty: true,
		OpaqueTokens:    true,
	}
}

// Auth0: an issuer with a final slash; claims of one's own under names that are addresses, made by an action; nickname in place of
// preferred_username; a refresh token with offline_access, which stays the same; sid in ID and logout tokens. Tenants of before November
// 2023 have no end_session unless it was turned on: put it among Missing for one of those.
func Auth0() Shape {
	claims := func(person Person, _ *Client, scopes []string) map[string]any {
		told := personClaims(standard(person), scopes)
		if name, has := told["preferred_username"]; has {
			told["nickname"] = name
			delete(told, "preferred_username")
		}
		told["https://example.com/groups"] = person.Groups
		return told
	}
	return Shape{
		Name: "auth0",
		Sources: []string{
			"https://auth0.com/docs/secure/tokens/json-web-tokens/create-custom-claims",
			"https://auth0.com/docs/secure/tokens/refresh-tokens/refresh-token-rotation",
			"https://auth0.com/docs/authenticate/login/logout/log-users-out-of-auth0 (end_session_endpoint in metadata)",
			"https://auth0.com/docs/authenticate/login/logout/back-channel-logout",
		},
		IssuerPath:    "/",
		Missing:       []string{"authorization_response_iss_parameter_supported"},
		Scopes:        []string{"openid", "profile", "offline_access", "name", "given_name", "family_name", "nickname", "email", "email_verified", "picture", "created_at", "identities", "phone", "address"},
		RefreshTokens: RefreshWithOffline,
		NoRotation:    true,
		IDToken:       claims,
		Userinfo:      claims,
		Lacks:         []string{"at_hash", "auth_time", "acr"},
		OpaqueTokens:  true,
	}
}

// GitLab: groups_direct in the ID token, groups with those above them in userinfo, where names are too; a refresh token with every login,
// renewed at each refresh; no end_session, no back-channel logout.
func GitLab() Shape {
	return Shape{
		Name: "gitlab",
		Sources: []string{
			"https://docs.gitlab.com/integration/openid_connect_provider/ (shared information)",
			"https://docs.gitlab.com/api/oauth2/ (refresh tokens)",
			"https://gitlab.com/.well-known/openid-configuration",
		},
		Missing: []string{
			"end_session_endpoint", "authorization_response_iss_parameter_supported", "backchannel_logout_supported",
			"backchannel_logout_session_supported",
		},
		Scopes: []string{"api", "read_api", "read_user", "read_repository", "write_repository", "openid", "profile", "email"},
		IDToken: func(person Person, _ *Client, scopes []string) map[string]any {
			told := personClaims(Person{Email: person.Email, EmailVerified: person.EmailVerified}, scopes)
			told["groups_direct"] = person.Groups
			return told
		},
		Userinfo: func(person Person, _ *Client, scopes []string) map[string]any {
			told := personClaims(standard(person), scopes)
			told["nickname"] = person.PreferredUsername
			told["groups"] = append([]string{"parent"}, person.Groups...)
			return told
		},
		Lacks:        []string{"sid", "at_hash", "acr"},
		OpaqueTokens: true,
	}
}

// standard is the person as the standard claims tell of them.
func standard(person Person) Person {
	person.Groups, person.Claims = nil, nil
	return person
}

func joined(claims, more map[string]any) map[string]any {
	maps.Copy(claims, more)
	return claims
}
