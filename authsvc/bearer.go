package authsvc

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"

	"authsvc/session"
)

// maxBearer bounds a bearer token, in bytes. nginx takes header lines of 8 KB.
const maxBearer = 16 << 10

// bearers are the issuers whose access tokens count at a site, as credentials of machines (RFC 6750). They are immutable but for what
// discovery finds, and safe for concurrent use.
type bearers struct {
	issuers []*bearerIssuer
	site    string // its name
	realm   string // its host
	known   *knownTokens
	report  func(result string) // of an introspection
}

// newBearers returns nil without an entry: the Authorization header is none of our business then. The site's own provider is discovered
// once. Errors: oidc.ca_file cannot be used.
func newBearers(c *Config, site *site, service *Service) (*bearers, error) {
	if len(c.Bearer) == 0 {
		return nil, nil
	}
	b := &bearers{site: site.name, realm: site.host, known: service.tokens, report: service.metrics.countIntrospection}
	for _, entry := range c.Bearer {
		beside := c.providerBeside(entry)
		issuer, err := newBearerIssuer(entry, beside.OIDC, site.providerNamed(beside.Name), service.known)
		if err != nil {
			return nil, err
		}
		b.issuers = append(b.issuers, issuer)
	}
	return b, nil
}

// providerBeside returns the provider whose client asks about the tokens of an issuer: that of the same issuer, or else the first.
func (c *Config) providerBeside(entry Bearer) Provider {
	list := c.ProviderList()
	if i := slices.IndexFunc(list, func(p Provider) bool { return p.Issuer == entry.Issuer }); i >= 0 {
		return list[i]
	}
	return list[0]
}

// all are the issuers; b may be nil.
func (b *bearers) all() []*bearerIssuer {
	if b == nil {
		return nil
	}
	return b.issuers
}

// bearerRefusal says why a bearer token does not pass.
type bearerRefusal struct {
	outcome Outcome // Login, or Unavailable when nobody can tell
	reason  string  // a word from a fixed list
	told    string  // what who sent it is told: nothing that a token says of which nobody knows who made it
	err     error   // what the operator is told
}

// refuseBearer makes the refusal of a token; the operator is told what its bearer is told, unless there is more to say.
func refuseBearer(reason, told string, err error) *bearerRefusal {
	if err == nil {
		err = errors.New(told)
	}
	return &bearerRefusal{Login, reason, told, err}
}

func cannotTellBearer(reason string, err error) *bearerRefusal {
	return &bearerRefusal{Unavailable, reason, "", err}
}

// identify is asked when no cookie says who it is. It returns false when there is no bearer token.
func (b *bearers) identify(ctx context.Context, h http.Header) (decision, session.Tokens, bool) {
	if b == nil {
		return decision{}, session.Tokens{}, false
	}
	raw, wrong, has := readBearer(h)
	if !has {
		return decision{}, session.Tokens{}, false
	}
	var principal *session.Session
	var refusal *bearerRefusal
	if wrong == "" {
		ctx, cancel := context.WithTimeout(ctx, verdictTime) // for keys that an issuer has to be asked for
		defer cancel()
		principal, refusal = b.judge(ctx, raw)
	} else {
		refusal = refuseBearer(reasonMalformed, wrong, nil)
	}
	if refusal != nil {
		return decision{Outcome: refusal.outcome, Reason: refusal.reason, Err: refusal.err, bearer: true, refusal: refusal}, session.Tokens{}, true
	}
	return decision{Outcome: Allow, Reason: "bearer", asker: asker{session: principal}, bearer: true}, session.Tokens{AccessToken: raw, Expiry: principal.Expires}, true
}

// judge says for whom a bearer token speaks: a session that no store has, shared by all requests with this token. A JWT is held against the
// keys of the issuer that it names. Of any other token its issuers are asked, by one request for all that bring it at the same time.
func (b *bearers) judge(ctx context.Context, raw string) (*session.Session, *bearerRefusal) {
	id := b.id(raw)
	if v, ok := b.known.get(id); ok {
		return v.principal, v.refusal
	}
	if !looksLikeJWS(raw) {
		return b.ask(ctx, id, raw)
	}
	claims, err := payloadOf(raw)
	if err != nil {
		return b.ask(ctx, id, raw)
	}
	issuer, refusal := b.named(claims["iss"])
	if refusal != nil {
		return nil, refusal
	}
	principal, size, refusal := issuer.verify(ctx, raw)
	if refusal != nil {
		return nil, refusal
	}
	b.name(principal, id)
	b.known.keep(id, tokenVerdict{principal: principal, size: size})
	return principal, nil
}

// id is a hash of a token for this site; the token itself is kept nowhere.
func (b *bearers) id(raw string) session.ID {
	var buffer [4 << 10]byte // of most tokens, off the heap
	text := append(buffer[:0], "bearer\x00"...)
	text = append(append(text, b.site...), 0)
	return sha256.Sum256(append(text, raw...))
}

// name gives a principal what tells it from any other: whatever is made of a session and kept belongs to this token, and to what was found out now.
func (b *bearers) name(principal *session.Session, id session.ID) {
	principal.ID, principal.Version, principal.Site = id, uint64(b.known.now().UnixNano()), b.site
}

// named finds the issuer that a JWT names; nothing that it says is believed yet.
func (b *bearers) named(iss any) (*bearerIssuer, *bearerRefusal) {
	i := slices.IndexFunc(b.issuers, func(issuer *bearerIssuer) bool { return issuer.issuer == iss })
	if i >= 0 {
		return b.issuers[i], nil
	}
	var names []string
	for _, issuer := range b.issuers {
		names = append(names, issuer.issuer)
	}
	return nil, refuseBearer(reasonIssuer, "its issuer is none that counts here", gotAndWant("iss", claimTexts(iss), names))
}

// readBearer finds the token in the Authorization header (RFC 6750, section 2.1; RFC 9110, section 11.4): has says that there is a bearer token,
// and wrong, if it is not empty, why it cannot be read. Other schemes are not ours.
func readBearer(h http.Header) (token, wrong string, has bool) {
	const scheme = "bearer"
	values := h["Authorization"]
	i := slices.IndexFunc(values, func(v string) bool {
		return len(v) >= len(scheme) && lowerASCII(v[:len(scheme)]) == scheme && (len(v) == len(scheme) || !isToken68(v[len(scheme)]))
	})
	if i < 0 {
		return "", "", false
	}
	token = strings.TrimLeft(values[i][len(scheme):], " ")
	switch {
	case len(values) > 1:
		return "", "there is more than one Authorization header", true
	case len(token) > maxBearer:
		return "", "the token is longer than 16 KB", true
	}
	letters := strings.TrimRight(token, "=")
	for i := range len(letters) {
		if !isToken68(letters[i]) {
			return "", "the header is not the word Bearer, a space and one token", true
		}
	}
	if letters == "" || len(token) == len(values[i])-len(scheme) {
		return "", "the header is not the word Bearer, a space and one token", true
	}
	return token, "", true
}

func isToken68(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/", c) >= 0
}
