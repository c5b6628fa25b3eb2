package authsvc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"authsvc/session"
)

// clockSkew is how far the provider's clock and the store's may differ.
const clockSkew = time.Minute

// maxIDTokenAge bounds the age of an ID token when a login ends: it was made for this login, a moment ago.
const maxIDTokenAge = 10 * time.Minute

// maxJWT bounds a token that is to be parsed, in bytes.
const maxJWT = 64 << 10

// errProviderAnswer says that an answer of the provider failed a check: 502, since no retry of ours
// mends it.
var errProviderAnswer = errors.New("the provider's answer failed a check")

// verifiedID is an ID token that passed every check.
type verifiedID struct {
	Subject         string
	ProviderSession string
	ACR             string
	AuthTime        time.Time
	Claims          map[string]any // without those that speak of the token and not of the user
}

// idTokenCheck is what an ID token is held against.
type idTokenCheck struct {
	keys        *keySet
	issuer      string
	clientID    string
	nonce       string
	accessToken string
	now         time.Time
	// former is the session that a refresh renews, and formerIDToken what it was made of; nil at a login.
	former        *session.Session
	formerIDToken string
}

// verify does the checks of OpenID Connect Core 1.0, section 3.1.3.7; the numbers are its steps.
func (c idTokenCheck) verify(ctx context.Context, raw string) (verifiedID, error) {
	if !looksLikeJWS(raw) {
		return verifiedID{}, fmt.Errorf("%w: the ID token is no signed JWT of reasonable size", errProviderAnswer)
	}
	// 6, 7 and 8: signature and algorithm. All else is checked below: by exact names, since the library reads claims as
	// encoding/json does, which takes "Sub" for "sub"; with one clock and one skew; and with errors that quote no claim.
	keys := &watchedKeys{KeySet: c.keys}
	token, err := oidc.NewVerifier(c.issuer, keys, &oidc.Config{
		SupportedSigningAlgs: c.keys.algorithmNames(),
		SkipIssuerCheck:      true,
		SkipClientIDCheck:    true,
		SkipExpiryCheck:      true,
	}).Verify(ctx, raw)
	if errors.Is(keys.err, errKeysUnavailable) {
		return verifiedID{}, keys.err
	}
	if err != nil {
		return verifiedID{}, fmt.Errorf("%w: ID token: %w", errProviderAnswer, cut(err))
	}
	claims, err := decodeClaims(keys.payload)
	if err != nil {
		return verifiedID{}, fmt.Errorf("%w: ID token: %w", errProviderAnswer, err)
	}
	fail := func(what string) (verifiedID, error) {
		return verifiedID{}, fmt.Errorf("%w: ID token: %s", errProviderAnswer, what)
	}

	// RFC 8725, section 3.11: the same keys sign other kinds of JWT, and newer kinds say so. An ID token has no type of its own.
	if typ := strings.TrimPrefix(lowerASCII(typeOf(raw)), "application/"); typ != "" && typ != "jwt" {
		return fail("typ is that of another kind of token")
	}
	// 2.
	if claims["iss"] != c.issuer {
		return fail("iss is another issuer")
	}
	// 3, 4 and 5: other audiences are only trusted if the token says that it was made for us.
	audience := claimTexts(claims["aud"])
	azp, hasAZP := claims["azp"]
	switch {
	case !slices.Contains(audience, c.clientID):
		return fail("aud is not this client")
	case hasAZP && azp != c.clientID:
		return fail("azp is not this client")
	case len(audience) > 1 && !hasAZP:
		return fail("it has other audiences, and no azp")
	}
	// 9 and 10.
	expires, ok := numericDate(claims["exp"])
	if !ok || !c.now.Before(expires.Add(clockSkew)) {
		return fail("exp is missing or has passed; compare the provider's clock with the store's")
	}
	issued, ok := numericDate(claims["iat"])
	if !ok || issued.After(c.now.Add(clockSkew)) || issued.Before(c.now.Add(-maxIDTokenAge)) {
		return fail("iat is missing or not of these minutes; compare the provider's clock with the store's")
	}
	if notBefore, has := claims["nbf"]; has {
		from, ok := numericDate(notBefore)
		if !ok || from.After(c.now.Add(clockSkew)) {
			return fail("nbf lies in the future; compare the provider's clock with the store's")
		}
	}
	if c.former != nil {
		if err := c.checkRenewal(claims, audience); err != nil {
			return verifiedID{}, err
		}
	} else if nonce, _ := claims["nonce"].(string); nonce == "" || nonce != c.nonce { // 11.
		return fail("nonce is missing or of another login")
	}
	// Section 3.1.3.6.
	if hash, has := claims["at_hash"]; has {
		if hash != token.AccessTokenHash || token.VerifyAccessToken(c.accessToken) != nil {
			return fail("at_hash does not fit the access token")
		}
	}
	subject, _ := claims["sub"].(string)
	if !validSubject(subject) {
		return fail("sub is missing or not 1 to 255 printable ASCII characters")
	}
	id := verifiedID{Subject: subject}
	id.ProviderSession, _ = claims["sid"].(string)
	id.ACR, _ = claims["acr"].(string)
	if authTime, has := claims["auth_time"]; has {
		if id.AuthTime, ok = numericDate(authTime); !ok || id.AuthTime.After(c.now.Add(clockSkew)) {
			return fail("auth_time is no time, or lies in the future")
		}
	}
	id.Claims = aboutTheUser(claims)
	return id, nil
}

// looksLikeJWS accepts three parts of base64url (RFC 7515, section 7.1) and nothing else: what a lenient decoder would pass over
// makes two spellings of one token.
func looksLikeJWS(raw string) bool {
	return len(raw) <= maxJWT && strings.Count(raw, ".") == 2 && !strings.ContainsFunc(raw, func(c rune) bool {
		return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
	})
}

// watchedKeys keeps what a key set answers: the verifier around it passes on an error's text alone, which does not tell "wrong" from "cannot tell", and
// would read the payload once more to give it out.
type watchedKeys struct {
	oidc.KeySet
	payload []byte
	err     error
}

// VerifySignature passes on the question and keeps the answer.
func (k *watchedKeys) VerifySignature(ctx context.Context, jwt string) (payload []byte, err error) {
	k.payload, k.err = k.KeySet.VerifySignature(ctx, jwt)
	return k.payload, k.err
}

// checkRenewal does the checks of OpenID Connect Core 1.0, section 12.2, against the ID token that is renewed. That one was checked when
// it came, and has been under seal since.
func (c idTokenCheck) checkRenewal(claims map[string]any, audience []string) error {
	fail := func(what string) error { return fmt.Errorf("%w: renewed ID token: %s", errProviderAnswer, what) }
	former, err := payloadOf(c.formerIDToken)
	if err != nil {
		return fail("there is no former one to hold it against")
	}
	if claims["sub"] != c.former.Subject || claims["iss"] != c.former.Issuer {
		return fail("it is about someone else")
	}
	if !slices.Equal(audience, claimTexts(former["aud"])) {
		return fail("aud has changed")
	}
	if claims["azp"] != former["azp"] {
		return fail("azp has changed")
	}
	if nonce, has := claims["nonce"]; has && nonce != former["nonce"] {
		return fail("nonce has changed")
	}
	renewed, has := numericDate(claims["auth_time"])
	if original, had := numericDate(former["auth_time"]); has && had && renewed.After(original.Add(clockSkew)) {
		return fail("auth_time is not the original one")
	}
	return nil
}

// payloadOf returns the claims of a JWT without checking anything.
func payloadOf(jwt string) (map[string]any, error) {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return nil, errors.New("no JWT")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return nil, err
	}
	return decodeClaims(payload)
}

// idTokenClaims returns what an ID token that was checked when it came tells about the user; nil when there is none.
func idTokenClaims(idToken string) map[string]any {
	claims, err := payloadOf(idToken)
	if err != nil {
		return nil
	}
	return aboutTheUser(claims)
}

// numericDate reads a NumericDate (RFC 7519, section 2) between 1970 and the year 9999.
func numericDate(v any) (time.Time, bool) {
	var seconds float64
	switch v := v.(type) {
	case int64:
		seconds = float64(v)
	case float64:
		seconds = v
	default:
		return time.Time{}, false
	}
	if !(seconds > 0 && seconds < 253402300800) {
		return time.Time{}, false
	}
	return time.Unix(int64(seconds), 0), true
}

// validSubject holds a subject against OpenID Connect Core 1.0, section 2: at most 255 ASCII characters.
func validSubject(subject string) bool {
	if subject == "" || len(subject) > 255 {
		return false
	}
	for i := range len(subject) {
		if c := subject[i]; c < ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// aboutTheUser leaves out the claims that speak of the token itself, and those that a session has fields for.
func aboutTheUser(claims map[string]any) map[string]any {
	for _, name := range []string{
		"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "azp", "nonce", "at_hash", "c_hash", "s_hash",
		"typ", "sid", "session_state", "acr", "auth_time",
	} {
		delete(claims, name)
	}
	return claims
}
