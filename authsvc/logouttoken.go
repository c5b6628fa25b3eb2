package authsvc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"authsvc/session"
)

// maxLogoutTokenAge bounds the age of a logout token: it says that something has just happened.
const maxLogoutTokenAge = 5 * time.Minute

// backchannelEvent is the member of events that makes a token a logout token (OpenID Connect Back-Channel Logout 1.0, section 2.4).
const backchannelEvent = "http://schemas.openid.net/event/backchannel-logout"

// errLogoutToken says that a logout token failed a check.
var errLogoutToken = errors.New("the logout token failed a check")

// logoutToken says which sessions the provider has ended: one session of its own, or all of a user.
type logoutToken struct {
	groups  []session.Group
	id      string    // jti
	expires time.Time // from then on it fails the checks of its times
}

// verifyLogoutToken does the checks of OpenID Connect Back-Channel Logout 1.0, section 2.6. Errors: errLogoutToken, errKeysUnavailable.
func (p *provider) verifyLogoutToken(ctx context.Context, meta *metadata, raw string) (logoutToken, error) {
	fail := func(what string) (logoutToken, error) {
		return logoutToken{}, fmt.Errorf("%w: %s", errLogoutToken, what)
	}
	if !looksLikeJWS(raw) {
		return fail("it is no signed JWT of reasonable size")
	}
	payload, err := meta.keys.VerifySignature(ctx, raw)
	if errors.Is(err, errKeysUnavailable) {
		return logoutToken{}, err
	}
	if err != nil {
		return fail(err.Error())
	}
	// Keycloak and others write JWT, or nothing; what tells a logout token from an ID token for certain are
	// its event and the missing nonce. Any other type is another kind of token.
	if typ := typeOf(raw); !slices.Contains([]string{"", "jwt", "logout+jwt", "application/logout+jwt"}, lowerASCII(typ)) {
		return fail("typ is another kind of token")
	}
	claims, err := decodeClaims(payload)
	if err != nil {
		return fail("its payload is no JSON object")
	}
	now := p.now()
	issued, ok := numericDate(claims["iat"])
	if !ok || issued.After(now.Add(clockSkew)) || issued.Before(now.Add(-maxLogoutTokenAge)) {
		return fail("iat is missing or not of these minutes; compare the provider's clock with the store's")
	}
	expires, ok := numericDate(claims["exp"])
	events, _ := claims["events"].(map[string]any)
	_, isEvent := events[backchannelEvent].(map[string]any)
	_, hasNonce := claims["nonce"]
	id, _ := claims["jti"].(string)
	subject, _ := claims["sub"].(string)
	sid, _ := claims["sid"].(string)
	switch {
	case claims["iss"] != p.issuer:
		return fail("iss is another issuer")
	case !slices.Contains(claimTexts(claims["aud"]), p.clientID):
		return fail("aud is not this client")
	case !ok || !now.Before(expires.Add(clockSkew)):
		return fail("exp is missing or has passed; compare the provider's clock with the store's")
	case !isEvent:
		return fail("events has no back-channel logout")
	case hasNonce:
		return fail("it has a nonce: it is an ID token")
	case id == "" || len(id) > 255:
		return fail("jti is missing or too long")
	case claims["sub"] != nil && !validSubject(subject) || claims["sid"] != nil && !validSubject(sid) || subject == "" && sid == "":
		return fail("it names neither sub nor sid, or not by 1 to 255 printable ASCII characters")
	}
	if oldest := issued.Add(maxLogoutTokenAge); expires.After(oldest) {
		expires = oldest
	}
	t := logoutToken{id: id, expires: expires.Add(clockSkew)}
	if sid != "" {
		t.groups = append(t.groups, session.Group{Kind: session.KindSID, Issuer: p.issuer, Value: sid})
	} else {
		t.groups = append(t.groups, session.Group{Kind: session.KindUser, Issuer: p.issuer, Value: subject})
	}
	return t, nil
}

// typeOf returns the typ of a JWT's header, whose signature has been checked.
func typeOf(jwt string) string {
	header, _, _ := strings.Cut(jwt, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		return ""
	}
	var fields map[string]json.RawMessage // by exact names
	var typ string
	if json.Unmarshal(text, &fields) == nil {
		json.Unmarshal(fields["typ"], &typ)
	}
	return typ
}
