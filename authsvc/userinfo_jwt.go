package authsvc

import (
	"context"
	"errors"
	"slices"
	"strings"
)

// openUserinfo opens a userinfo answer that is a JWT (OpenID Connect Core 1.0, section 5.3.2): signed as ID tokens are, by the issuer and for this
// client. One that is encrypted is refused, since no key of ours could open it.
func (p *provider) openUserinfo(ctx context.Context, m *metadata, raw string) (map[string]any, error) {
	raw = strings.TrimSpace(raw)
	if strings.Count(raw, ".") == 4 {
		return nil, errors.New("the answer is encrypted; have the provider sign it, or send it as it is")
	}
	if !looksLikeJWS(raw) {
		return nil, errors.New("the answer is no signed JWT of reasonable size")
	}
	payload, err := m.keys.VerifySignature(ctx, raw)
	if err != nil {
		return nil, err
	}
	claims, err := decodeClaims(payload)
	if err != nil {
		return nil, errors.New("the answer's payload is no JSON object")
	}
	expires, hasExpiry := claims["exp"]
	until, readable := numericDate(expires)
	switch {
	case claims["iss"] != p.issuer:
		return nil, errors.New("the answer's iss is another issuer")
	case !slices.Contains(claimTexts(claims["aud"]), p.clientID):
		return nil, errors.New("the answer's aud is not this client")
	case hasExpiry && (!readable || !p.now().Before(until.Add(clockSkew))):
		return nil, errors.New("the answer's exp has passed")
	}
	return claims, nil
}
