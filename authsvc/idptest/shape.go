package idptest

import (
	"maps"
	"net/url"
	"slices"
)

// Shape is what one make of provider does in its own way, where the standards leave a choice or it takes one: where claims are found and
// under which names, what a refresh gives, which endpoints there are. Put one into Options.Shape; the zero Shape changes nothing. A Shape
// is a model of what its sources say, made to be hard on a relying party: where versions differ it gives the least.
type Shape struct {
	// Name is the make's, in lower case; empty is no shape.
	Name string
	// Sources are where the facts are from.
	Sources []string

	// IssuerPath is what its issuers have behind the host, for Options.Issuer.
	IssuerPath string
	// Missing are the members that its metadata lack. An endpoint among them is not served, and without
	// authorization_response_iss_parameter_supported nothing comes back with iss.
	Missing []string
	// Scopes are those that it knows; any other is an error. Nil takes all.
	Scopes []string
	// Push is its policy on pushed authorization requests.
	Push PushPolicy

	// RefreshTokens and NoRotation are those of Options.
	RefreshTokens RefreshPolicy
	NoRotation    bool
	// RefreshAsked, unless nil, tells by the authorization request whether a login gives a refresh token, in place of RefreshTokens.
	RefreshAsked func(request url.Values) bool
	// NoIDTokenOnRefresh leaves the ID token out of the answer to a refresh.
	NoIDTokenOnRefresh bool
	// ReuseError is the error of a refresh token that is not good any more; empty is invalid_grant.
	ReuseError string

	// IDToken, AccessToken and Userinfo give what is told there about a person; nil is as Options say.
	IDToken, AccessToken, Userinfo ClaimsFunc
	// Lacks are the claims about the sign-in that its ID tokens lack, such as sid and at_hash.
	Lacks []string
	// AuthorizedParty puts azp into every ID token.
	AuthorizedParty bool
	// OpaqueTokens makes access tokens random texts that tell nothing.
	OpaqueTokens bool
}

// ClaimsFunc gives the claims about a person that a client gets with these scopes.
type ClaimsFunc func(person Person, client *Client, scopes []string) map[string]any

// Shapes are all of them, in the order of their names.
func Shapes() []Shape {
	return []Shape{ADFS(), Auth0(), Authentik(), Dex(), Entra(), GitLab(), Google(), Keycloak(), Okta()}
}

// has reports whether the shape's metadata have the member.
func (s *Shape) has(member string) bool { return !slices.Contains(s.Missing, member) }

// apply makes the shape's policies those of the provider.
func (s *Shape) apply(o *Options) {
	if s.Name == "" {
		return
	}
	o.RefreshTokens, o.NoRotation, o.Push = s.RefreshTokens, s.NoRotation, s.Push
}

// endpointMembers are the endpoints that a provider can do without, by their names in metadata.
var endpointMembers = map[string]Endpoint{
	"userinfo_endpoint":    Userinfo,
	"end_session_endpoint": EndSession,
	"revocation_endpoint":  Revocation,
}

// describe makes a discovery document the shape's.
func (s *Shape) describe(document map[string]any) {
	for _, member := range s.Missing {
		delete(document, member)
	}
	if s.Scopes != nil {
		document["scopes_supported"] = s.Scopes
	}
}

// checkScopes refuses a scope that the shape does not know.
func (s *Shape) checkScopes(scopes []string) *oauthError {
	for _, scope := range scopes {
		if s.Scopes != nil && !slices.Contains(s.Scopes, scope) {
			return refuse("invalid_scope", "the scope %s is unknown here", scope)
		}
	}
	return nil
}

// refreshes tells whether a login gives a refresh token.
func (s *Shape) refreshes(policy RefreshPolicy, request *authorization) bool {
	if s.RefreshAsked != nil {
		asked, err := url.ParseQuery(request.parameters)
		return err == nil && s.RefreshAsked(asked)
	}
	return policy == RefreshAlways || policy == RefreshWithOffline && slices.Contains(request.scopes, "offline_access")
}

// reuse is the error of a refresh token that is not good any more.
func (s *Shape) reuse() string {
	if s.ReuseError != "" {
		return s.ReuseError
	}
	return "invalid_grant"
}

// sign gives an ID token's claims the shape's form.
func (s *Shape) sign(claims map[string]any, client *Client) {
	for _, name := range s.Lacks {
		delete(claims, name)
	}
	if s.AuthorizedParty {
		claims["azp"] = client.ID
	}
}

// about gives the claims of one place: the shape's where it has its own, or those of honest.
func (s *Shape) about(own ClaimsFunc, honest map[string]any, person Person, client *Client, scopes []string) map[string]any {
	if own == nil {
		return honest
	}
	claims := own(person, client, scopes)
	maps.DeleteFunc(claims, func(_ string, value any) bool {
		list, isList := value.([]string)
		return value == nil || value == "" || isList && len(list) == 0
	})
	return claims
}
