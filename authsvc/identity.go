package authsvc

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"

	"authsvc/session"
)

// maxIdentity bounds the identity headers of one answer, in bytes of names and values. A gateway reads all of an
// answer's header block into one buffer, 4 KB in nginx, and refuses the user when it overflows; the
// block stays below 3.5 KB.
const maxIdentity = 3000

// identityPlan is how a site tells applications who is signed in: its headers, compiled once.
type identityPlan struct {
	headers     []identityHeader
	groupsClaim []string
	tokens      []int    // positions of the headers that carry the access token
	assertions  []int    // and of those that carry the assertion
	nobody      []string // the values for who is not signed in
	issuer      string
}

func newIdentityPlan(c *Config) identityPlan {
	headers := identityHeaders(c.Headers)
	return identityPlan{
		headers: headers, groupsClaim: c.OIDC.GroupsClaim, issuer: c.PublicURL, nobody: make([]string, len(headers)),
		tokens: positions(headers, accessTokenValue), assertions: positions(headers, assertionValue),
	}
}

// identity is who is signed in, as the headers tell it. It is made once for each session that is loaded, and shared by its verdicts: only what has a life
// of its own, the access token and the assertion, is put in by each. Beside what it remembers of them it must not be changed.
type identity struct {
	values []string               // by header, "" where there is none
	beside atomic.Pointer[beside] // nil where the values are all that verdicts have needed
}

// beside is what some sites need of a session beside the values of its headers.
type beside struct {
	// claims are the members that an assertion has besides those that every one has, as JSON behind a comma; asserted says that one fits, and carriesToken
	// that there is an access token which does.
	claims                 string
	asserted, carriesToken bool

	last   atomic.Pointer[lastTold]        // nil until something of a life of its own was put in
	groups atomic.Pointer[[]string]        // as rules see them; nil until one asks
	email  atomic.Pointer[string]          // likewise
	held   atomic.Pointer[lastHeld]        // nil until an expression was evaluated
	opened atomic.Pointer[session.Session] // nil until a rule asked for something else
}

// remember returns where verdicts remember what others need again.
func (id *identity) remember() *beside {
	if known := id.beside.Load(); known != nil {
		return known
	}
	id.beside.CompareAndSwap(nil, new(beside))
	return id.beside.Load()
}

// share takes the texts of the values out of what is kept anyway, where they are there, and joins all others to one piece of memory, of which it returns the
// length.
func (id *identity) share(shares func(string) (string, bool)) (own int) {
	var all strings.Builder
	for i, value := range id.values {
		if shared, ok := shares(value); ok {
			id.values[i] = shared
		} else {
			all.WriteString(value)
		}
	}
	rest := strings.Clone(all.String())
	for i, value := range id.values {
		if _, ok := shares(value); !ok {
			id.values[i], rest = rest[:len(value)], rest[len(value):]
		}
	}
	return all.Len()
}

// omitted is what was left out of the headers of a session because it cannot stand there. Values that a filter leaves out are none.
type omitted struct {
	headers []string // their names
	// unfit cannot stand in a header, beyond exceeds a header's own cap, and oversize the limit of all; tokens counts access tokens and assertions that exceed it.
	unfit, beyond, oversize, tokens int
}

func (c *omitted) note(header string, counter *int, n int) {
	if n == 0 {
		return
	}
	*counter += n
	if !slices.Contains(c.headers, header) {
		c.headers = append(c.headers, header)
	}
}

// render makes the identity of a session. Every header has its value, "" where there is none: a header is always
// written, so that a copy that the client forged is always overwritten. What does not fit is left out and counted: the values of a list one by one, in the
// provider's order, anything else whole.
//
// Single values come first: who it is must never be pushed out. Then the assertion reserves its place, with the single values in it, and
// the values of lists have to fit in both. The access token has what is left.
func (p *identityPlan) render(s *session.Session, t session.Tokens) (*identity, omitted) {
	var cut omitted
	found, kept := make([]values, len(p.headers)), make([][]string, len(p.headers))
	left := maxIdentity
	groups := groups(s, p.groupsClaim)
	for i, h := range p.headers {
		left -= len(h.Name) + len(": \r\n")
		if !strings.HasPrefix(h.Claim, "@") || h.Claim == groupsValue {
			found[i] = h.valuesOf(s, groups)
			cut.note(h.Name, &cut.beyond, found[i].beyond)
		}
	}
	members := newMembers(len(p.assertions) > 0)
	for i, h := range p.headers {
		if found[i].many {
			continue
		}
		for _, v := range found[i].list {
			switch {
			case !v.fits:
				cut.note(h.Name, &cut.unfit, 1)
			case len(v.header) > left:
				cut.note(h.Name, &cut.oversize, 1)
			default:
				left -= len(v.header)
				kept[i] = []string{v.header}
				members.set(h, v.claim)
			}
		}
	}
	// The place that all assertions together need with n bytes of members.
	assertions := func(n int) int { return len(p.assertions) * assertionSize(p.issuer, s.Subject, n) }
	asserted := len(p.assertions) > 0
	if asserted && assertions(members.size) > left {
		asserted = false
		for _, i := range p.assertions {
			cut.note(p.headers[i].Name, &cut.tokens, 1)
		}
	}
	for i, h := range p.headers {
		if !found[i].many {
			continue
		}
		before, behind := h.encoding.around(true)
		left -= len(before) + len(behind)
		for _, v := range found[i].list {
			if !v.fits {
				cut.note(h.Name, &cut.unfit, 1)
				continue
			}
			need := left - len(v.header) - 1 // and the comma
			if asserted && need < assertions(members.size+members.cost(h, v.claim)) || need < 0 {
				cut.note(h.Name, &cut.oversize, 1)
				continue
			}
			left = need
			kept[i] = append(kept[i], v.header)
			members.add(h, v.claim)
		}
	}
	id := &identity{values: make([]string, len(p.headers))}
	for i, h := range p.headers {
		if len(kept[i]) > 0 {
			before, behind := h.encoding.around(found[i].many)
			id.values[i] = before + strings.Join(kept[i], ",") + behind
		}
	}
	var claims []byte
	if asserted {
		claims = members.json()
		left -= assertions(members.size)
	}
	if carried := p.carriesToken(t, left, &cut); asserted || carried {
		id.beside.Store(&beside{claims: string(claims), asserted: asserted, carriesToken: carried})
	}
	return id, cut
}

// carriesToken says whether the access token fits into the place that is left.
func (p *identityPlan) carriesToken(t session.Tokens, left int, cut *omitted) bool {
	if t.AccessToken == "" || len(p.tokens) == 0 {
		return false
	}
	switch name := p.headers[p.tokens[0]].Name; {
	case !fitsHeader(t.AccessToken, false):
		cut.note(name, &cut.unfit, len(p.tokens))
	case len(t.AccessToken)*len(p.tokens) > left:
		cut.note(name, &cut.tokens, len(p.tokens))
	default:
		return true
	}
	return false
}

// members are the claims of the headers as an assertion has them: under their paths, "groups" for @groups.
type members struct {
	order []string
	of    map[string]*assertedClaim
	size  int // at most what json returns
}

type assertedClaim struct {
	header string // that it was taken from first
	many   bool
	values [][]byte // as JSON
}

// newMembers returns members that stay empty unless they are wanted.
func newMembers(wanted bool) *members {
	if !wanted {
		return &members{}
	}
	return &members{of: map[string]*assertedClaim{}}
}

// set gives a claim its one value, unless another header has done so.
func (m *members) set(h identityHeader, claim any) { m.put(h, claim, false) }

// add adds a value of a list, unless another header has done so.
func (m *members) add(h identityHeader, claim any) { m.put(h, claim, true) }

func (m *members) put(h identityHeader, claim any, many bool) {
	cost := m.cost(h, claim)
	if cost == 0 {
		return
	}
	m.size += cost
	name := memberName(h)
	known := m.of[name]
	if known == nil {
		known = &assertedClaim{header: h.Name, many: many}
		m.of[name] = known
		m.order = append(m.order, name)
	} else if !known.many {
		return
	}
	known.values = append(known.values, asciiJSON(claim))
}

// cost is what another value of the header adds; 0 when it has no place in an assertion.
func (m *members) cost(h identityHeader, claim any) int {
	name := memberName(h)
	if m.of == nil || slices.Contains(assertionClaims, name) {
		return 0
	}
	written := asciiJSON(claim)
	known := m.of[name]
	switch {
	case known == nil:
		return len(asciiJSON(name)) + len(",:[]") + len(written)
	case known.header != h.Name && slices.ContainsFunc(known.values, func(v []byte) bool { return bytes.Equal(v, written) }):
		return 0
	}
	return len(written) + len(",")
}

func memberName(h identityHeader) string {
	if h.Claim == groupsValue {
		return "groups"
	}
	return h.Claim
}

// json writes the members, each behind a comma.
func (m *members) json() []byte {
	var b []byte
	for _, name := range m.order {
		known := m.of[name]
		b = append(append(append(b, ','), asciiJSON(name)...), ':')
		if !known.many {
			b = append(b, known.values[0]...)
			continue
		}
		b = append(append(append(b, '['), bytes.Join(known.values, []byte(","))...), ']')
	}
	return b
}
