package authsvc

import (
	"strings"

	"authsvc/session"
)

// maxHint is the longest ID token that still fits into the address of a logout at the provider.
const maxHint = 6 << 10

// kept returns those of a provider's tokens that this site needs later: the others would only cost memory, and be there for a thief. A refresh token always is.
// The access token is if a header has it, or userinfo is asked between refreshes. The ID token is as the hint of a logout at the provider; where
// that takes none, its claims are enough for the next refresh to be held against (OpenID Connect Core 1.0, section 12.2).
func (site *site) kept(meta *metadata, t session.Tokens) session.Tokens {
	revises := site.renewer.Interval > 0 && meta.Userinfo != ""
	if !revises && len(site.identities.tokens) == 0 {
		t.AccessToken = ""
	}
	switch {
	case meta.EndSession != "" && len(t.IDToken) <= maxHint:
	case t.RefreshToken != "" || revises:
		t.IDToken = unsigned(t.IDToken)
	default:
		t.IDToken = ""
	}
	return t
}

// unsigned returns of a JWT only its claims, between empty parts.
func unsigned(jwt string) string {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return ""
	}
	return "." + parts[1] + "."
}

// isHint reports whether an ID token that was kept is whole, so that the provider knows it again.
func isHint(idToken string) bool {
	return len(idToken) <= maxHint && idToken != "" && !strings.HasSuffix(idToken, ".")
}
