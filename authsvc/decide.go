package authsvc

import (
	"net/url"
	"slices"
	"strings"
	"time"

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
	asker                  // who is signed in; nobody unless known
	token   session.Token  // by which it was found
	stale   bool           // it is what this replica last knew, since the store cannot tell
	bearer  bool           // a bearer token says who it is, or should have: nothing is stored
	refusal *bearerRefusal // why that token does not pass; nil when it does
	Err     error          // why, for the operator; nil for a plain verdict
	known   *identity      // as its headers tell it; nil where that is to be made yet
	now     time.Time      // in the store's time, when the session was live; zero where none was found
	Rule    string         // the name of the rule that decided; empty where none did
	demand  demand         // what the login has to meet, with reasonStepUp
	// Identity are the values of the site's identity headers, when the outcome is Allow.
	Identity []string
}

// narrowing is what the query of a check asks for beyond the rules. Each list that is given narrows further; one that is
// given but empty lets nobody pass.
type narrowing struct {
	groups, emails, domains []string
	hasGroups, hasEmails    bool
	hasDomains              bool
	rule                    string // the name of a rule that must let pass, too
	// refused is why the query cannot be obeyed: whoever wrote it meant to restrict something, so
	// nobody passes.
	refused string
}

// meansToNarrow reports whether an unknown parameter is one of ours misspelt, so that whoever wrote it meant to restrict something.
func meansToNarrow(name string) bool {
	name = lowerASCII(strings.TrimSpace(name))
	return strings.HasPrefix(name, "allowed") || strings.HasPrefix(name, "rule")
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
			if n.rule = values[0]; len(values) > 1 || n.rule == "" {
				n.refused = "rule_unknown"
			}
		default:
			if meansToNarrow(name) {
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

// viewer is a session as rules look at it: what follows from its claims is worked out once, when it is first asked for.
type viewer struct {
	asker
	groupsClaim []string
	now         time.Time

	known *identity // that remembers for other verdicts; may be nil

	groupList []string
	hasGroups bool
}

func (v *viewer) groups() []string {
	if v.hasGroups {
		return v.groupList
	}
	if v.known != nil {
		if list := v.known.remember().groups.Load(); list != nil {
			return *list
		}
	}
	list := groups(v.open(), v.groupsClaim)
	v.groupList, v.hasGroups = list, true
	if v.known != nil {
		v.known.remember().groups.Store(&list)
	}
	return list
}

// email returns the address of a session that verifiedEmail returns.
func (v *viewer) email() string {
	if v.known == nil {
		return verifiedEmail(v.open())
	}
	beside := v.known.remember()
	if email := beside.email.Load(); email != nil {
		return *email
	}
	email := verifiedEmail(v.open())
	beside.email.Store(&email)
	return email
}

// openForAll is open, which decodes a session of the cache once for all of its verdicts. It is for what rules ask in each of them; see ruleSet.opens.
func (v *viewer) openForAll() *session.Session {
	if v.known == nil || v.packed.IsZero() {
		return v.open()
	}
	beside := v.known.remember()
	if opened := beside.opened.Load(); opened != nil {
		return opened
	}
	beside.opened.Store(v.open())
	return v.session
}

// decide says whether a request may pass, by the rule that speaks for it and by what the query narrows. The session is nil for whoever is signed out, or
// where nobody has looked. It is pure.
func decide(m match, s *session.Session, n narrowing, now time.Time) decision {
	return m.decide(viewer{asker: asker{session: s}, now: now}, n)
}

// decide is decide for a session of which something may be known already.
func (m *match) decide(v viewer, n narrowing) decision {
	v.groupsClaim = m.set.groupsClaim
	d := decision{asker: v.asker}
	if m.rule == nil {
		return d.refuse(m.refused)
	}
	d.Rule = m.rule.name
	if n.refused != "" {
		return d.refuse(n.refused)
	}
	asks := m.rule.demand
	if reason := m.rule.objects(&m.request, &v); reason != "" {
		return d.refuse(reason)
	}
	if n.rule != "" {
		named := m.set.named(n.rule)
		if named == nil {
			return d.refuse("rule_unknown")
		}
		d.Rule = named.name
		if named.mismatch(&m.request) != "" {
			return d.refuse("rule_mismatch")
		}
		if reason := named.objects(&m.request, &v); reason != "" {
			return d.refuse(reason)
		}
		var possible bool
		if asks, possible = asks.and(named.demand); !possible {
			return d.refuse("step_up_impossible")
		}
	}
	if reason := n.objects(&v); reason != "" {
		return d.refuse(reason)
	}
	if !v.asker.signedIn() {
		d.Outcome, d.Reason = Allow, m.rule.access.String()
		return d
	}
	if !asks.metBy(&v) {
		d.Outcome, d.Reason, d.demand = Login, reasonStepUp, asks
		return d
	}
	d.Outcome, d.Reason = Allow, "session"
	return d
}

// reasonStepUp is why somebody who is signed in has to sign in again: the rule asks more of the login.
const reasonStepUp = "step_up"

// reasonSignedOut is why whoever is not signed in may not pass.
const reasonSignedOut = "signed_out"

// refuse denies who is signed in, and sends everyone else to the login.
func (d decision) refuse(reason string) decision {
	d.Outcome, d.Reason = Deny, reason
	if !d.asker.signedIn() {
		d.Outcome = Login
	}
	return d
}

// objects returns why a rule does not let somebody pass, "" if it does. Whether their login is enough is not looked at.
func (r *rule) objects(q *request, v *viewer) string {
	if r.access == accessSignedIn && !v.asker.signedIn() {
		return reasonSignedOut
	}
	switch {
	case len(r.groups) > 0 && !anyGroup(v.groups(), r.groups):
		return "groups"
	case len(r.emails) > 0 && !slices.Contains(r.emails, lowerASCII(v.email())):
		return "emails"
	case len(r.domains) > 0 && !r.hasDomainOf(v.email()):
		return "email_domains"
	}
	if r.when != nil {
		switch holds, err := v.holds(r.when, q); {
		case err != nil:
			return "when_error"
		case !holds:
			return "when"
		}
	}
	return ""
}

// couldAdmit reports whether a session is good for anything: whether there is a rule that lets it pass to some address, at some time, after some login. Who
// is let in nowhere gets no session.
func (s *ruleSet) couldAdmit(newcomer *session.Session) bool {
	v := viewer{asker: asker{session: newcomer}, groupsClaim: s.groupsClaim}
	return slices.ContainsFunc(s.rules, func(r rule) bool {
		if r.when != nil && (r.when.looksAtRequest || r.when.looksAtTime) {
			r.when = nil
		}
		return r.access != accessPublic && r.objects(&request{}, &v) == ""
	})
}

// hasDomainOf reports whether the domain of an address that verifiedEmail returned is one of the rule's.
func (r *rule) hasDomainOf(email string) bool {
	_, domain, ok := strings.Cut(email, "@")
	return ok && slices.ContainsFunc(r.domains, func(d hostRule) bool { return d.matches(domain) })
}

// objects returns why the query does not let somebody pass, "" if it does.
func (n *narrowing) objects(v *viewer) string {
	switch {
	case (n.hasGroups || n.hasEmails || n.hasDomains) && !v.asker.signedIn():
		return reasonSignedOut
	case n.hasGroups && !anyGroup(v.groups(), n.groups):
		return "groups"
	case n.hasEmails && !emailAllowed(v.email(), n.emails):
		return "emails"
	case n.hasDomains && !domainAllowed(v.email(), n.domains):
		return "email_domains"
	}
	return ""
}

func anyGroup(have, allowed []string) bool {
	return slices.ContainsFunc(have, func(group string) bool { return slices.Contains(allowed, group) })
}
