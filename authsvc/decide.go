package authsvc

import (
	"net/url"
	"slices"
	"strings"

	"authsvc/session"
)

// Outcome is the verdict on a request. There are four, and no fifth.
type Outcome int

const (
	// Unavailable means that the session cannot be told valid or invalid now: 503. It is the zero
	// value: whoever forgets to decide lets nobody in and logs nobody out.
	Unavailable Outcome = iota
	// Allow lets the request pass: 200.
	Allow
	// Login means that nobody is signed in: 401.
	Login
	// Deny means that who is signed in may not: 403.
	Deny
)

// String returns the outcome as metrics and logs name it.
func (o Outcome) String() string {
	switch o {
	case Allow:
		return "allow"
	case Login:
		return "login"
	case Deny:
		return "deny"
	}
	return "unavailable"
}

// decision is a verdict with its reason: a word from a fixed list, for metrics and logs, that carries no personal
// data.
type decision struct {
	Outcome Outcome
	Reason  string
	Session *session.Session // who is signed in; nil unless known
	token   session.Token    // by which it was found
	stale   bool             // it is what this replica last knew, since the store cannot tell
	Err     error            // why, for the operator; nil for a plain verdict
	known   *identity        // as its headers tell it; nil where that is to be made yet
	// Identity are the values of the site's identity headers, when the outcome is Allow.
	Identity []string
}

// narrowing is what the query of a check asks for beyond the rules. Each list that is given narrows further; one that is
// given but empty lets nobody pass.
type narrowing struct {
	groups, emails, domains []string
	hasGroups, hasEmails    bool
	hasDomains              bool
	// refused is why the query cannot be obeyed: whoever wrote it meant to restrict something, so
	// nobody passes.
	refused string
}

// parseNarrowing reads the query of a check. Parameters that do not restrict are none of its business.
func parseNarrowing(rawQuery string) narrowing {
	var n narrowing
	if rawQuery == "" {
		return n
	}
	query, err := url.ParseQuery(rawQuery)
	if err != nil {
		n.refused = "query_unreadable"
		return n
	}
	for name, values := range query {
		switch name {
		case "allowed_groups":
			n.groups, n.hasGroups = splitLists(values), true
		case "allowed_emails":
			n.emails, n.hasEmails = splitLists(values), true
		case "allowed_email_domains":
			n.domains, n.hasDomains = splitLists(values), true
		case "rule":
			n.refused = "rule_unknown"
		default:
			if strings.HasPrefix(lowerASCII(name), "allowed") {
				n.refused = "query_unknown"
			}
		}
	}
	return n
}

func splitLists(values []string) []string {
	var list []string
	for _, value := range values {
		for element := range strings.SplitSeq(value, ",") {
			if element = strings.TrimSpace(element); element != "" {
				list = append(list, element)
			}
		}
	}
	return list
}

// decide is the rule: any signed-in user, narrowed by the query. It is pure.
func decide(s *session.Session, groupsClaim []string, n narrowing) decision {
	deny := func(reason string) decision { return decision{Outcome: Deny, Reason: reason, Session: s} }
	switch {
	case n.refused != "":
		return deny(n.refused)
	case n.hasGroups && !anyGroup(groups(s, groupsClaim), n.groups):
		return deny("groups")
	case n.hasEmails && !emailAllowed(verifiedEmail(s), n.emails):
		return deny("emails")
	case n.hasDomains && !domainAllowed(verifiedEmail(s), n.domains):
		return deny("email_domains")
	}
	return decision{Outcome: Allow, Reason: "session", Session: s}
}

func anyGroup(have, allowed []string) bool {
	return slices.ContainsFunc(have, func(group string) bool { return slices.Contains(allowed, group) })
}
