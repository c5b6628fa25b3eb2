package idptest

import "slices"

// Keycloak: roles are in the access token, and in userinfo where their mappers say "Add to userinfo"; azp always; a refresh token with every
// login, renewed at each refresh; sid in ID and logout tokens; pushed requests offered.
func Keycloak() Shape {
	roles := func(person Person) map[string]any {
		// Person.Claims has resource_access as Keycloak writes it, by client.
		return map[string]any{"realm_access": map[string]any{"roles": person.Groups}, "resource_access": person.Claims["resource_access"]}
	}
	return Shape{
		Name: "keycloak",
		Sources: []string{
			"https://www.keycloak.org/docs/latest/server_admin/ (Role scope mappings, Protocol mappers, Backchannel logout session required)",
			"https://www.keycloak.org/securing-apps/oidc-layers",
		},
		IssuerPath: "/realms/main",
		Scopes:     []string{"openid", "acr", "address", "basic", "email", "microprofile-jwt", "offline_access", "organization", "phone", "profile", "roles", "web-origins"},
		Push:       PushOffered,
		IDToken: func(person Person, _ *Client, scopes []string) map[string]any {
			return personClaims(standard(person), scopes)
		},
		AccessToken: func(person Person, _ *Client, scopes []string) map[string]any {
			return joined(personClaims(standard(person), scopes), roles(person))
		},
		Userinfo: func(person Person, _ *Client, scopes []string) map[string]any {
			return joined(personClaims(standard(person), scopes), roles(person))
		},
		AuthorizedParty: true,
	}
}

// Dex: groups with the scope groups, a refresh token with offline_access, whose reuse is an invalid_request; userinfo repeats the ID token;
// nothing but the login ends anything: no end_session, no revocation, no back-channel logout.
func Dex() Shape {
	claims := func(person Person, _ *Client, scopes []string) map[string]any {
		told := personClaims(standard(person), scopes)
		if slices.Contains(scopes, "groups") {
			told["groups"] = person.Groups
		}
		return told
	}
	return Shape{
		Name: "dex",
		Sources: []string{
			"https://dexidp.io/docs/configuration/custom-scopes-claims-clients/",
			"https://dexidp.io/docs/configuration/tokens/",
			"https://github.com/dexidp/dex/issues/2613 (invalid_request on a refresh token that was claimed)",
		},
		IssuerPath: "/dex",
		Missing: []string{
			"end_session_endpoint", "revocation_endpoint", "authorization_response_iss_parameter_supported",
			"backchannel_logout_supported", "backchannel_logout_session_supported",
		},
		Scopes:        []string{"openid", "email", "groups", "profile", "offline_access"},
		RefreshTokens: RefreshWithOffline,
		ReuseError:    "invalid_request",
		IDToken:       claims,
		AccessToken:   claims,
		Userinfo: func(person Person, client *Client, scopes []string) map[string]any {
			return joined(claims(person, client, scopes), map[string]any{"aud": client.ID, "at_hash": "of-the-ID-token"})
		},
		Lacks: []string{"sid", "auth_time", "acr"},
	}
}

// Authentik: an issuer with a final slash; groups come with the scope profile; e-mail addresses count as not verified; a refresh token with
// offline_access, renewed at each refresh; sid and sub in logout tokens.
func Authentik() Shape {
	claims := func(person Person, _ *Client, scopes []string) map[string]any {
		person.EmailVerified = false
		told := personClaims(standard(person), scopes)
		if slices.Contains(scopes, "profile") {
			told["groups"] = person.Groups
			told["nickname"] = person.PreferredUsername
		}
		return told
	}
	return Shape{
		Name: "authentik",
		Sources: []string{
			"https://docs.goauthentik.io/add-secure-apps/providers/oauth2/ (scopes, refresh tokens)",
			"https://docs.goauthentik.io/add-secure-apps/providers/oauth2/frontchannel_and_backchannel_logout",
			"https://docs.goauthentik.io/releases/2025.10 (email_verified)",
		},
		IssuerPath:      "/application/o/app/",
		Missing:         []string{"authorization_response_iss_parameter_supported"},
		Scopes:          []string{"openid", "email", "profile", "offline_access"},
		RefreshTokens:   RefreshWithOffline,
		IDToken:         claims,
		AccessToken:     claims,
		Userinfo:        claims,
		AuthorizedParty: true,
	}
}

// ADFS: upn and no e-mail; a group claim that an issuance rule makes, one text when there is one group; userinfo tells sub and nothing
// else; a refresh gives an access token alone; end_session, but no back-channel logout; metadata do not tell of PKCE.
func ADFS() Shape {
	claims := func(person Person, _ *Client, _ []string) map[string]any {
		told := map[string]any{"upn": person.PreferredUsername, "unique_name": `EXAMPLE\` + person.PreferredUsername, "ver": "1.0"}
		switch len(person.Groups) {
		case 0:
		case 1:
			told["group"] = person.Groups[0]
		default:
			told["group"] = person.Groups
		}
		return told
	}
	return Shape{
		Name: "adfs",
		Sources: []string{
			"https://learn.microsoft.com/windows-server/identity/ad-fs/development/ad-fs-openid-connect-oauth-concepts",
			"https://learn.microsoft.com/windows-server/identity/ad-fs/development/ad-fs-logout-openid-connect (metadata)",
			"https://learn.microsoft.com/openspecs/windows_protocols/ms-oidce/",
		},
		IssuerPath: "/adfs",
		Missing: []string{
			"revocation_endpoint", "code_challenge_methods_supported", "authorization_response_iss_parameter_supported",
			"backchannel_logout_supported", "backchannel_logout_session_supported",
		},
		Scopes:             []string{"openid", "allatclaims", "aza", "email", "logon_cert", "profile", "user_impersonation", "vpn_cert", "winhello_cert"},
		NoRotation:         true,
		NoIDTokenOnRefresh: true,
		IDToken:            claims,
		AccessToken:        claims,
		Userinfo:           func(Person, *Client, []string) map[string]any { return map[string]any{} },
		Lacks:              []string{"at_hash", "acr"},
	}
}
