package authsvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// addUserinfo adds the claims of the userinfo endpoint that the ID token lacks (OpenID Connect Core 1.0, section
// 5.3). The ID token has more weight, since it is signed: its claims stay. An answer that is unusable or about someone else is
// discarded whole, and only the error tells.
func (p *provider) addUserinfo(ctx context.Context, m *metadata, id *verifiedID, accessToken string) error {
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	claims, err := p.fetchUserinfo(ctx, m, accessToken)
	if err != nil {
		return fmt.Errorf("%w: %w", errUserinfo, err)
	}
	// "The sub Claim in the UserInfo Response MUST be verified to exactly match the sub Claim in the ID Token; if they do
	// not match, the UserInfo Response values MUST NOT be used."
	if subject, _ := claims["sub"].(string); subject != id.Subject {
		return fmt.Errorf("%w: its sub is not the ID token's", errUserinfo)
	}
	// An address and the word that it was verified count only together, from one answer.
	if _, has := id.Claims["email"]; has {
		delete(claims, "email_verified")
	} else {
		delete(id.Claims, "email_verified")
	}
	for name, value := range aboutTheUser(claims) {
		if _, has := id.Claims[name]; !has {
			id.Claims[name] = value
		}
	}
	return nil
}

// errUserinfo says that the userinfo answer was discarded. The login goes on with the ID token's claims.
var errUserinfo = errors.New("userinfo discarded")

func (p *provider) fetchUserinfo(ctx context.Context, m *metadata, accessToken string) (map[string]any, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Userinfo, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+accessToken)
	request.Header.Set("Accept", "application/json")
	response, err := p.client.Do(request)
	if err != nil {
		if cause, ok := errors.AsType[*url.Error](err); ok {
			return nil, withoutURL(cause)
		}
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer's status is %d", response.StatusCode)
	}
	mediaType, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" && mediaType != "application/jwt" {
		return nil, errors.New("the answer is neither application/json nor application/jwt")
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if mediaType == "application/jwt" {
		return p.openUserinfo(ctx, m, string(body))
	}
	claims, err := decodeClaims(body)
	if err != nil {
		return nil, errors.New("the answer is no JSON object")
	}
	return claims, nil
}
