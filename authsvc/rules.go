package authsvc

import (
	"slices"
	"strings"
	"time"
)

// ruleSet are the rules of a site, compiled: the first whose hosts, paths and methods a request matches decides about it. It is immutable and
// safe for concurrent use.
type ruleSet struct {
	rules       []rule // in their order; one that lets any signed-in user pass where none are configured
	groupsClaim []string
	// looks says that a rule looks at what was asked, so that an unknown request matches none; paths, that one looks at the path.
	looks, paths bool
	// claims are the claims that expressions name, beside those that other keys look at; anyClaim says that one goes through all of them.
	claims   []string
	anyClaim bool
	// asks says that a rule asks for a user's groups or address, opens that one asks for something else of the session.
	asks, opens bool
}

// rule is one compiled rule. Within a list any value will do; an empty list is no condition.
type rule struct {
	name string // as configured, or its place in the list, such as "#2"

	// What it is about.
	hosts   []hostRule
	paths   []pathRule
	methods []string

	// Whom it lets pass there.
	access  access
	groups  []string
	emails  []string // canonical and in lower case
	domains []hostRule
	when    *condition // nil is none
	demand  demand
}

// access is whom a rule lets pass before its other conditions.
type access int

const (
	accessSignedIn access = iota // who is signed in
	accessOptional               // everyone, with an identity where there is a session
	accessPublic                 // everyone, and nobody looks for a session
)

// String returns the access as the configuration names it.
func (a access) String() string {
	switch a {
	case accessPublic:
		return "public"
	case accessOptional:
		return "optional"
	}
	return "signed_in"
}

// demand is what a rule asks of the login itself.
type demand struct {
	ACR    []string      // any of these authentication contexts; empty is any at all
	MaxAge time.Duration // since the user last proved who they are; 0 is no bound
}

// defaultRule is the one rule of a site that has none.
const defaultRule = "default"

// request is what was asked, as rules look at it.
type request struct {
	asked
	name string // the host without a port
	path string // in its normal form; empty where no rule looks at it
}

// match is the rule that speaks for a request.
type match struct {
	set     *ruleSet
	rule    *rule // nil: none does
	refused string
	request request
}

// Why no rule speaks for a request.
const (
	reasonUnknown = "request_unknown" // the gateway has not told, or not clearly, what was asked
	reasonPath    = "path_refused"    // two readers could read the path differently
	reasonNoRule  = "no_rule"         // it is about none of the rules
)

// match finds the rule for what was asked; known says that all of it is. It looks at no session.
func (s *ruleSet) match(a asked, known bool) match {
	m := match{set: s, request: request{asked: a}}
	if s.looks {
		if !known {
			m.refused = reasonUnknown
			return m
		}
		m.request.name = withoutPort(a.Host)
		if s.paths {
			var plain bool
			if m.request.path, plain = normalPath(a.URI); !plain {
				m.refused = reasonPath
				return m
			}
		}
	}
	for i := range s.rules {
		if r := &s.rules[i]; r.mismatch(&m.request) == "" {
			if !known && r.access != accessSignedIn {
				m.refused = reasonUnknown
				return m
			}
			m.rule = r
			return m
		}
	}
	m.refused = reasonNoRule
	return m
}

// isPublic reports whether the rule lets everyone pass without a look for a session.
func (m match) isPublic() bool { return m.rule != nil && m.rule.access == accessPublic }

// passedOver tells of each rule before the one that speaks for the request, or of all, by which key it does not: "name: paths". It is empty where no rule
// was looked at.
func (m match) passedOver() []string {
	var passed []string
	for i := range m.set.rules {
		r := &m.set.rules[i]
		if r == m.rule || m.refused != "" && m.refused != reasonNoRule {
			break
		}
		passed = append(passed, r.name+": "+r.mismatch(&m.request))
	}
	return passed
}

// mismatch returns the key of the rule by which it is not about a request, or "" when it is.
func (r *rule) mismatch(q *request) string {
	switch {
	case len(r.hosts) > 0 && !slices.ContainsFunc(r.hosts, func(h hostRule) bool { return h.matches(q.name) }):
		return "hosts"
	case len(r.methods) > 0 && !slices.Contains(r.methods, q.Method):
		return "methods"
	case len(r.paths) > 0 && !slices.ContainsFunc(r.paths, func(p pathRule) bool { return p.matches(q.path) }):
		return "paths"
	}
	return ""
}

// covers reports whether the rule is about every request that the other is about, as far as that is easy to tell.
func (r *rule) covers(other *rule) bool {
	return all(r.hosts, other.hosts, hostRule.covers) && all(r.paths, other.paths, pathRule.covers) &&
		all(r.methods, other.methods, func(a, b string) bool { return a == b })
}

// all reports whether each of others is covered by one of mine, of which none at all means everything.
func all[T any](mine, others []T, covers func(T, T) bool) bool {
	return len(mine) == 0 || len(others) > 0 && !slices.ContainsFunc(others, func(other T) bool {
		return !slices.ContainsFunc(mine, func(m T) bool { return covers(m, other) })
	})
}

// named returns the rule of a name, nil if there is none.
func (s *ruleSet) named(name string) *rule {
	i := slices.IndexFunc(s.rules, func(r rule) bool { return r.name == name })
	if i < 0 || name == "" || strings.HasPrefix(name, "#") {
		return nil
	}
	return &s.rules[i]
}

// and is both demands together; ok is false where no login can meet both.
func (d demand) and(other demand) (both demand, ok bool) {
	switch {
	case len(d.ACR) == 0:
		d.ACR = other.ACR
	case len(other.ACR) > 0:
		d.ACR = slices.DeleteFunc(slices.Clone(d.ACR), func(acr string) bool { return !slices.Contains(other.ACR, acr) })
		if len(d.ACR) == 0 {
			return demand{}, false
		}
	}
	if d.MaxAge == 0 || other.MaxAge > 0 && other.MaxAge < d.MaxAge {
		d.MaxAge = other.MaxAge
	}
	return d, true
}

// metBy is met for a session.
func (d demand) metBy(v *viewer) bool {
	if len(d.ACR) == 0 && d.MaxAge == 0 {
		return true
	}
	s := v.openForAll()
	return d.met(s.ACR, s.AuthTime, v.now)
}

// met reports whether a login with this context class, at that moment, is enough now. A login of which the provider did not say when it was counts
// as too old: when our session began tells nothing about it, since the provider may have asked for nothing.
func (d demand) met(acr string, authTime, now time.Time) bool {
	return (len(d.ACR) == 0 || slices.Contains(d.ACR, acr)) &&
		(d.MaxAge == 0 || !authTime.IsZero() && now.Sub(authTime) <= d.MaxAge)
}
