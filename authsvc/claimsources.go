package authsvc

import (
	"context"
	"maps"
	"slices"
	"strings"

	"authsvc/session"
)

// neededClaims are the claims that a site uses: a session keeps these and no others. They are kept under the path by which they are used,
// which claim finds first.
type neededClaims struct {
	paths  []string
	groups []string // those of the paths at which groups are
	all    bool     // the expression of a rule goes through all of them
}

// companions are the claims that say how much the claim "email" is worth: each counts with the address of its own source, and with no other.
var companions = []string{"email_verified", "xms_edov"}

// newNeededClaims collects what a configuration names.
func newNeededClaims(c *Config, rules *ruleSet) neededClaims {
	var n neededClaims
	need := func(path string) {
		if !slices.Contains(firstHand, path) && !slices.Contains(companions, path) && !slices.Contains(n.paths, path) {
			n.paths = append(n.paths, path)
		}
	}
	for _, path := range c.OIDC.GroupsClaim {
		path, _ = groupsPath(path)
		n.groups = append(n.groups, path)
		need(path)
	}
	need("email")
	for _, h := range identityHeaders(c.Headers) {
		if !strings.HasPrefix(h.Claim, "@") {
			need(h.Claim)
		}
	}
	for _, name := range rules.claims {
		need(name)
	}
	n.all = rules.anyClaim
	return n
}

// lacked reports whether sources that have been read leave something out, so that another one is worth asking.
func (n neededClaims) lacked(sources ...map[string]any) bool {
	return n.all || slices.ContainsFunc(n.paths, func(path string) bool { return find(path, sources) == nil })
}

// find returns what the first source that has something at a path tells.
func find(path string, sources []map[string]any) any {
	for _, source := range sources {
		if v := lookup(source, path); v != nil {
			return v
		}
	}
	return nil
}

// choose returns the claims to keep: each as the first source tells it that does. What none of them tells stays as it was, unless over says that the
// provider has taken it back.
func (n neededClaims) choose(former map[string]any, over func(path string) bool, sources ...map[string]any) map[string]any {
	kept := map[string]any{}
	if n.all {
		for _, source := range slices.Backward(append(slices.Clone(sources), former)) {
			maps.Copy(kept, source)
		}
	}
	for _, path := range n.paths {
		delete(kept, path)
		told := find(path, sources)
		if told == nil && over(path) {
			kept = without(kept, path)
			continue
		}
		if told == nil {
			told = lookup(former, path)
		}
		if told != nil {
			kept[path] = told
		}
	}
	vouching := former
	if i := slices.IndexFunc(sources, func(source map[string]any) bool { return source["email"] != nil }); i >= 0 {
		vouching = sources[i]
	}
	for _, name := range companions {
		delete(kept, name)
		if v := vouching[name]; v != nil {
			kept[name] = v
		}
	}
	return kept
}

// without returns the claims without what is at a path, if anything is. What it was given stays as it is: others share it.
func without(claims map[string]any, path string) map[string]any {
	if lookup(claims, path) == nil {
		return claims
	}
	claims = maps.Clone(claims)
	delete(claims, path)
	for i := range len(path) {
		if nested, ok := claims[path[:i]].(map[string]any); ok && path[i] == '.' {
			claims[path[:i]] = without(nested, path[i+1:])
		}
	}
	return claims
}

// heard is what the provider has said about a user beside userinfo and the access token.
type heard struct {
	subject string
	// idToken has the claims of an ID token; nil when a refresh brought none.
	idToken map[string]any
	tokens  session.Tokens
	// former are the claims that the session had, and formerIDToken those of the ID token that they were made of, which count unless there is a new one; nil at
	// a login.
	former, formerIDToken map[string]any
}

// claims asks where claims can be, and chooses. The ID token counts first, then userinfo, then the access token if it is a JWT of the same issuer; each is
// only asked for what those before it leave out. Where session.userinfo_interval is set userinfo counts before the ID token, which is older from
// then on; what userinfo leaves out is as the last ID token has it, until the next refresh. A source that cannot be asked is told by warn, and what it may have told stays.
//
// What the provider leaves out stays, since many do not repeat everything, but for groups: who has lost the last one gets no claim from
// most providers. They are over when every source that could have them has answered.
func (s *site) claims(ctx context.Context, p *provider, m *metadata, h heard, warn func(error)) map[string]any {
	sources := []map[string]any{h.idToken}
	answered := true
	if m.Userinfo != "" && (s.renewer.Interval > 0 || s.needed.lacked(sources...)) {
		told, err := p.userinfoAbout(ctx, m, h.subject, h.tokens.AccessToken)
		switch {
		case err != nil:
			warn(err)
			answered = false
		case s.renewer.Interval > 0:
			sources = slices.Insert(sources, 0, told)
		default:
			sources = append(sources, told)
		}
	}
	if s.needed.lacked(sources...) {
		told, err := p.accessTokenClaims(ctx, m, h.subject, h.tokens.AccessToken)
		if err != nil {
			warn(err)
			answered = false
		}
		sources = append(sources, told)
	}
	if s.needed.overage(h.idToken, sources) {
		s.tellOverage()
	}
	return s.needed.choose(h.former, func(path string) bool {
		return answered && slices.Contains(s.needed.groups, path) && (h.idToken != nil || lookup(h.formerIDToken, path) == nil)
	}, sources...)
}

// overage reports whether the ID token says that there are groups, too many to tell (Entra ID: distributed claims of OpenID Connect Core
// 1.0, section 5.6.2, or hasgroups), and no source tells them.
func (n neededClaims) overage(idToken map[string]any, sources []map[string]any) bool {
	elsewhere, _ := idToken["_claim_names"].(map[string]any)
	has, _ := idToken["hasgroups"].(bool)
	return slices.ContainsFunc(n.groups, func(path string) bool {
		return (elsewhere[path] != nil || has && path == "groups") && find(path, sources) == nil
	})
}
