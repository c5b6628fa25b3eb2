package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"authsvc/e2e/rig"
)

// likeBaseline makes the provider's tokens what they were when the incumbent was measured: an ID token of 1.2 kB, an access token of 1.0 kB, and a
// refresh token of 0.5 kB, unless it shall give none; each with what a Keycloak puts there, so that they compress as real ones do.
func likeBaseline(p *rig.Provider, refreshable bool) {
	p.EditIDToken(func(_, claims map[string]any) {
		claims["typ"], claims["azp"], claims["session_state"], claims["jti"] = "ID", rig.ClientID, uuid(), uuid()
		claims["name"], claims["given_name"], claims["family_name"], claims["locale"] = "Alexandra Featherstone", "Alexandra", "Featherstone", "en"
		claims["realm_access"] = map[string]any{"roles": []string{"default-roles-company", "offline_access", "uma_authorization", "reporting-viewer"}}
		claims["resource_access"] = roles("account", "manage-account", "manage-account-links", "view-profile")
	})
	p.EditAccessToken(func(_, claims map[string]any) {
		claims["typ"], claims["azp"], claims["session_state"] = "Bearer", rig.ClientID, uuid()
		claims["realm_access"] = map[string]any{"roles": []string{"default-roles-company", "offline_access", "uma_authorization"}}
		claims["resource_access"] = roles("account", "manage-account", "view-profile")
	})
	p.EditTokenResponse(func(answer map[string]any) {
		answer["expires_in"] = int64(rig.LongLife.Seconds())
		delete(answer, "refresh_token")
		if refreshable {
			answer["refresh_token"] = refreshToken(p.Issuer())
		}
	})
}

func roles(client string, names ...string) map[string]any {
	return map[string]any{client: map[string]any{"roles": names}}
}

// refreshToken is a JWT for the provider itself, signed with HS512. The provider of a bench is never asked to know it.
func refreshToken(issuer string) string {
	encode := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			panic(err) // only maps and strings
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signature := make([]byte, 64)
	rand.Read(signature)
	return encode(map[string]any{"alg": "HS512", "typ": "JWT", "kid": uuid()}) + "." + encode(map[string]any{
		"iss": issuer, "aud": issuer, "sub": uuid(), "azp": rig.ClientID, "typ": "Refresh", "jti": uuid(), "sid": uuid(), "scope": "openid email profile",
	}) + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// uuid is a random one (RFC 9562, section 5.4).
func uuid() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
