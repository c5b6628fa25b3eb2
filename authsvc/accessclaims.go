package authsvc

import (
	"context"
	"errors"
)

// accessTokenClaims returns what an access token tells about the user, nil when it tells nothing. Access tokens are opaque to a client (RFC 6749, section
// 1.4), unless the issuer of the ID token has signed them as JWTs (RFC 9068) with one of the keys that it publishes: Keycloak has roles there
// and nowhere else. Errors: errKeysUnavailable means "cannot tell".
func (p *provider) accessTokenClaims(ctx context.Context, m *metadata, subject, token string) (map[string]any, error) {
	if !looksLikeJWS(token) {
		return nil, nil
	}
	// Before any key is asked for: many are made for somebody else, who alone can check them.
	if claims, err := payloadOf(token); err != nil || !p.isAbout(claims, subject) {
		return nil, nil
	}
	payload, err := m.keys.VerifySignature(ctx, token)
	if errors.Is(err, errKeysUnavailable) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	claims, err := decodeClaims(payload)
	if err != nil || !p.isAbout(claims, subject) {
		return nil, nil
	}
	if expires, ok := numericDate(claims["exp"]); !ok || !p.now().Before(expires.Add(clockSkew)) {
		return nil, nil
	}
	return aboutTheUser(claims), nil
}

func (p *provider) isAbout(claims map[string]any, subject string) bool {
	return claims["iss"] == p.issuer && claims["sub"] == subject
}
