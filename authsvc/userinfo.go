package authsvc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
)

// userinfoAbout returns the claims of the userinfo endpoint about a user (OpenID Connect Core 1.0, section 5.3). An answer that is unusable or about someone
// else is discarded whole. Errors: errUserinfo.
func (p *provider) userinfoAbout(ctx context.Context, m *metadata, subject, accessToken string) (map[string]any, error) {
	ctx, cancel := context.WithTimeout(ctx, providerTimeout)
	defer cancel()
	claims, err := p.fetchUserinfo(ctx, m, accessToken)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUserinfo, err)
	}
	// "The sub Claim in the UserInfo Response MUST be verified to exactly match the sub Claim in the ID Token; if they do
	// not match, the UserInfo Response values MUST NOT be used."
	if told, _ := claims["sub"].(string); told != subject {
		return nil, fmt.Errorf("%w: its sub is not the ID token's", errUserinfo)
	}
	return aboutTheUser(claims), nil
}

// errUserinfo says that the userinfo answer was discarded. The login goes on with what the tokens tell.
var errUserinfo = errors.New("userinfo discarded")

func (p *provider) fetchUserinfo(ctx context.Context, m *metadata, accessToken string) (map[string]any, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, m.Userinfo, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+accessToken)
	request.Header.Set("Accept", "application/json")
	response, err := p.send(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body) // also of a refusal, or the connection could not be used again
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer's status is %d", response.StatusCode)
	}
	if err != nil {
		return nil, err
	}
	mediaType, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/json" && mediaType != "application/jwt" {
		return nil, errors.New("the answer is neither application/json nor application/jwt")
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
