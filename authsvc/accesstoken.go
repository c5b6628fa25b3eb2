package authsvc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"authsvc/session"
)

// Why a bearer token does not pass, in metrics and logs.
const (
	reasonMalformed = "bearer_malformed"
	reasonIssuer    = "bearer_issuer"
	reasonSignature = "bearer_signature"
	reasonKind      = "bearer_kind" // another kind of token, such as an ID token
	reasonAudience  = "bearer_audience"
	reasonTime      = "bearer_time"
	reasonSubject   = "bearer_subject"
	reasonInactive  = "bearer_inactive"      // the issuer says so
	reasonKeys      = "bearer_keys"          // cannot tell: the issuer's keys are not there
	reasonAsking    = "bearer_introspection" // cannot tell: the issuer did not answer
)

// bearerIssuer is an issuer whose access tokens count, and for whom they must have been made.
type bearerIssuer struct {
	*provider     // its metadata and keys, and our client there
	audiences     []string
	introspection string // where it tells of opaque tokens; "" for nowhere
}

// newBearerIssuer makes the issuer of an entry: the provider beside it, made of these settings, or another one that is reached as that is. Errors: a file
// that the settings name cannot be used.
func newBearerIssuer(entry Bearer, settings OIDC, beside *provider, all knownProviders) (*bearerIssuer, error) {
	p := *beside
	i := &bearerIssuer{provider: &p, audiences: entry.Audiences, introspection: entry.IntrospectionURL}
	if entry.Issuer != beside.issuer {
		known, err := all.ofBearer(entry.Issuer, settings)
		if err != nil {
			return nil, err
		}
		p.issuer, p.client, p.discovered, p.keysOnly = entry.Issuer, known.client, &known.discovered, true
	}
	if entry.ClientID != "" {
		p.clientID, p.auth = entry.ClientID, newClientAuth(OIDC{Issuer: entry.Issuer, ClientID: entry.ClientID, ClientSecret: entry.ClientSecret, ClientAuth: "basic"}, p.now)
	}
	return i, nil
}

// verify does the checks of RFC 9068, section 4, and takes what issuers made before there was one: a JWT without the type at+jwt, unless it
// shows that it is another kind of token.
func (i *bearerIssuer) verify(ctx context.Context, raw string) (principal *session.Session, size int, refusal *bearerRefusal) {
	meta, err := i.ready()
	if err != nil {
		return nil, 0, cannotTellBearer(reasonKeys, err)
	}
	payload, err := meta.keys.VerifySignature(ctx, raw)
	if errors.Is(err, errKeysUnavailable) {
		return nil, 0, cannotTellBearer(reasonKeys, err)
	}
	if err != nil {
		return nil, 0, refuseBearer(reasonSignature, "it is not signed by a key of its issuer, with an algorithm that the issuer uses", cut(err))
	}
	claims, err := decodeClaims(payload)
	if err != nil {
		return nil, 0, refuseBearer(reasonMalformed, "its payload is no JSON object", nil)
	}
	typ := strings.TrimPrefix(lowerASCII(typeOf(raw)), "application/")
	isAccess := typ == "at+jwt"
	if !isAccess && typ != "" && typ != "jwt" {
		return nil, 0, refuseBearer(reasonKind, "its type is that of another kind of token", nil)
	}
	_, hasExpiry := claims["exp"]
	switch kind := otherKind(claims, isAccess); {
	case claims["iss"] != i.issuer:
		return nil, 0, refuseBearer(reasonIssuer, "its issuer is none that counts here", nil)
	case kind != "":
		return nil, 0, refuseBearer(reasonKind, kind, nil)
	case !hasExpiry:
		return nil, 0, refuseBearer(reasonTime, "exp is missing", nil)
	}
	// RFC 9068 asks for aud, whoever asked for the token; Keycloak names the client that did in azp, and often nobody in aud.
	var parties []string
	if !isAccess {
		parties = claimTexts(claims["azp"])
	}
	principal, refusal = i.principal(claims, parties)
	return principal, 3 * len(payload), refusal
}

// otherKind says why claims are not those of an access token, "" when nothing speaks against it. Keycloak's claim typ, and Cognito's token_use, name
// the kind; else a claim that only another kind has tells.
func otherKind(claims map[string]any, certain bool) string {
	if kind, has := claims["typ"]; has {
		text, _ := kind.(string)
		switch lowerASCII(text) {
		case "bearer", "at+jwt":
			certain = true
		case "jwt":
		default:
			return "typ is that of another kind of token"
		}
	}
	if use, has := claims["token_use"]; has && use != "access" && use != "access_token" {
		return "token_use is that of another kind of token"
	}
	if use, has := claims["token_type"]; has {
		if text, _ := use.(string); lowerASCII(text) != "bearer" {
			return "token_type is not Bearer"
		}
	}
	if _, has := claims["events"]; has {
		return "it is a logout token or tells of an event"
	}
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash"} {
		if _, has := claims[name]; has && !certain {
			return "it is an ID token"
		}
	}
	// Who brings a bound token must prove that a key or a certificate is theirs (RFC 7800), and nobody here can look.
	if _, has := claims["cnf"]; has {
		return "it is bound to a key or a certificate, which is not looked at here"
	}
	return ""
}

// principal makes the session that a token stands for, once it is known who made it. parties may stand in for an audience.
func (i *bearerIssuer) principal(claims map[string]any, parties []string) (*session.Session, *bearerRefusal) {
	counts := func(name string) bool { return slices.Contains(i.audiences, name) }
	if audience := claimTexts(claims["aud"]); !slices.ContainsFunc(audience, counts) && !slices.ContainsFunc(parties, counts) {
		err := gotAndWant("audience", append(audience, parties...), i.audiences)
		return nil, refuseBearer(reasonAudience, err.Error(), err)
	}
	s := &session.Session{Issuer: i.issuer}
	if refusal := i.times(s, claims); refusal != nil {
		return nil, refusal
	}
	s.ProviderSession, _ = claims["sid"].(string)
	s.ACR, _ = claims["acr"].(string)
	s.Subject, _ = claims["sub"].(string)
	if _, has := claims["sub"]; !has && s.ProviderSession == "" && s.AuthTime.IsZero() && claims["username"] == nil {
		// A client's own token, of an issuer that gives its clients no subject. One that speaks of a person must say which.
		s.Subject, _ = claims["client_id"].(string)
	}
	if !validSubject(s.Subject) {
		return nil, refuseBearer(reasonSubject, "sub is missing or not 1 to 255 printable ASCII characters", nil)
	}
	party, hasParty := claims["azp"]
	s.Claims = aboutTheUser(claims)
	if hasParty {
		s.Claims["azp"] = party // who asked for the token is what rules for machines are about
	}
	return s, nil
}

// times checks the claims that speak of time, and takes them over. A token without an end, of which only its issuer can say that it is
// good, is good for as long as that is remembered.
func (i *bearerIssuer) times(s *session.Session, claims map[string]any) *bearerRefusal {
	now := i.now()
	read := func(name string, otherwise time.Time) (at time.Time, ok bool) {
		value, has := claims[name]
		if !has {
			return otherwise, true
		}
		return numericDate(value)
	}
	expires, ok := read("exp", now.Add(bearerMemory))
	if !ok || !now.Before(expires.Add(clockSkew)) {
		return refuseBearer(reasonTime, "exp is no time or has passed", nil)
	}
	for _, name := range []string{"nbf", "iat", "auth_time"} {
		if at, ok := read(name, now); !ok || at.After(now.Add(clockSkew)) {
			return refuseBearer(reasonTime, name+" is no time or lies in the future", nil)
		}
	}
	s.Expires, s.IdleExpires = expires, expires
	s.AuthTime, _ = read("auth_time", time.Time{})
	s.Created, _ = read("iat", now)
	if !s.AuthTime.IsZero() {
		s.Created = s.AuthTime
	}
	return nil
}
