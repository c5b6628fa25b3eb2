package authsvc

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"authsvc/session"
)

// ErrExplain says that what is to be explained cannot be read. Its message tells why.
var ErrExplain = errors.New("cannot be explained")

// Explain writes which rule decides about a request, such as "GET https://app.example.com/reports", by whom it is made, and why each rule before does not. Who
// makes it has these claims, as an ID token says them; without any they are signed out. It asks nobody anything. The configuration has been
// loaded, and so validated. Errors: ErrExplain, and those of the writer.
func Explain(w io.Writer, c *Config, what string, claims []byte, now time.Time) error {
	a, err := parseQuestion(what)
	if err != nil {
		return err
	}
	own := c.SiteAt(a.Host)
	if own == nil {
		return fmt.Errorf("%w: %s is a host of no site, so nobody passes there", ErrExplain, a.Host)
	}
	who, err := sessionOfClaims(own, claims, now)
	if err != nil {
		return err
	}
	rules, _ := compileRules(own.Rules, own.OIDC.GroupsClaim)
	_, err = io.WriteString(w, rules.explain(a, who, now))
	return err
}

// parseQuestion reads a method and an address.
func parseQuestion(what string) (asked, error) {
	method, address, ok := strings.Cut(what, " ")
	scheme, authority, uri, isURL := splitURL(address)
	if !ok || !isURL {
		return asked{}, fmt.Errorf("%w: write a method and an address, such as 'GET https://app.example.com/reports'", ErrExplain)
	}
	a := asked{Method: method, Scheme: scheme, URI: uri}
	if uri == "" || uri[0] != '/' {
		a.URI = "/" + uri
	}
	var agree agreement
	agree.setHost(&a.Host, scheme, authority, "the address")
	if agree.err == nil {
		agree.err = checkAsked(a)
	}
	if agree.err != nil {
		return asked{}, fmt.Errorf("%w: %w", ErrExplain, agree.err)
	}
	return a, nil
}

// sessionOfClaims is the session that a login with these claims would begin now; nil for no claims.
func sessionOfClaims(c *Config, text []byte, now time.Time) (*session.Session, error) {
	if text == nil {
		return nil, nil
	}
	claims, err := decodeClaims(text)
	if err != nil || claims == nil {
		return nil, fmt.Errorf("%w: the claims are no JSON object, as an ID token has it", ErrExplain)
	}
	s := &session.Session{Issuer: c.OIDC.Issuer, Created: now, Expires: now.Add(c.Session.AbsoluteTimeout)}
	if issuer, _ := claims["iss"].(string); slices.ContainsFunc(c.ProviderList(), func(p Provider) bool { return p.Issuer == issuer }) {
		s.Issuer = issuer // of several providers, this one
	}
	if s.Subject, _ = claims["sub"].(string); !validSubject(s.Subject) {
		return nil, fmt.Errorf(`%w: the claims have no sub; write at least {"sub":"jane"}`, ErrExplain)
	}
	s.ProviderSession, _ = claims["sid"].(string)
	s.ACR, _ = claims["acr"].(string)
	s.AuthTime, _ = numericDate(claims["auth_time"])
	s.Claims = aboutTheUser(claims)
	return s, nil
}

// explain tells a verdict in lines for people.
func (s *ruleSet) explain(a asked, who *session.Session, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", a.Method, oneLine(a.url()))
	if who == nil {
		b.WriteString("by somebody who is signed out\n")
	} else {
		in := "no groups"
		if list := groups(who, s.groupsClaim); len(list) > 0 {
			in = "the groups " + strings.Join(list, ", ")
		}
		fmt.Fprintf(&b, "by %s, in %s\n", who.Subject, oneLine(in))
	}
	m := s.match(a, true)
	if s.paths && m.refused != reasonPath {
		fmt.Fprintf(&b, "rules see the path %s\n", oneLine(m.request.path))
	}
	b.WriteString("\n")
	for _, passed := range m.passedOver() {
		name, key, _ := strings.Cut(passed, ": ")
		fmt.Fprintf(&b, "%-20s is about other %s\n", name, key)
	}
	asker := who
	if m.isPublic() && decide(m, nil, narrowing{}, now).Outcome == Allow {
		asker = nil
	}
	d := decide(m, asker, narrowing{}, now)
	if m.rule != nil {
		fmt.Fprintf(&b, "%-20s decides: %s\n", m.rule.name, m.because(d, who, now))
	} else {
		fmt.Fprintf(&b, "no rule decides: %s\n", explanations[d.Reason])
	}
	fmt.Fprintf(&b, "\n%s, reason %s\n", statusOf[d.Outcome], d.Reason)
	return b.String()
}

// because says why a rule decides as it does.
func (m match) because(d decision, who *session.Session, now time.Time) string {
	if d.Reason == "when_error" {
		_, err := m.rule.when.holds(&m.request, &viewer{asker: asker{session: who}, groupsClaim: m.set.groupsClaim, now: now})
		return fmt.Sprintf("its when has no value: %v", errors.Unwrap(err))
	}
	return explanations[d.Reason]
}

// explanations are what the reasons of a verdict mean, where rules alone decide.
var explanations = map[string]string{
	"public":        "everyone passes, and nobody looks for a session",
	"optional":      "everyone passes, here without an identity",
	"session":       "who is signed in passes, with their identity",
	reasonSignedOut: "it wants somebody who is signed in",
	reasonPath:      "two readers could read this path differently, so it is refused",
	reasonNoRule:    "none is about this request",
	"groups":        "it wants one of its groups",
	"emails":        "it wants one of its emails, and one that the provider vouches for",
	"email_domains": "it wants an address in one of its email_domains, and one that the provider vouches for",
	"when":          "its when is false",
	reasonStepUp:    "it wants a login with one of its acr, or not older than its max_age",
}

// statusOf is the answer of /auth to each outcome.
var statusOf = map[Outcome]string{Allow: "200 allow", Login: "401 login", Deny: "403 deny", Unavailable: "503 unavailable"}
