package authsvc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/maypok86/otter/v2"

	"authsvc/session"
)

const (
	// assertedLife is how long an assertion is good. One that is given out is good for half of that at least, unless the session ends before.
	assertedLife = 2 * time.Minute
	// maxAudience is the length of an audience for which there is always a place, in bytes.
	maxAudience = 100
	// assertionHeader is the length of the header of an assertion, in base64url: its algorithm, key and type.
	assertionHeader = 70
	// keysMaxAge is how long the public keys may be kept, in seconds. A key signs only when every replica publishes it.
	keysMaxAge = 300
)

// assertionClaims are the members that every assertion has, and those that would have a meaning of their own in it (RFC 7519, section 4.1).
var assertionClaims = []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti"}

// asserter signs who is signed in, for applications that do not want to rely on the way that a header came: a JWT (RFC 7519) of the site for one origin. It is
// safe for concurrent use.
type asserter struct {
	issuer string
	signer jose.Signer
	public []byte // the key set, as /jwks.json has it (RFC 7517)
	kept   *keptAssertions
}

// assertionKeys names the keys that sign assertions among all that are derived from the ring.
const assertionKeys = "assertion ES256"

// newAsserter derives the keys of a site's assertions from the ring, one from each, so that replicas have the same ones without another secret, and no two sites
// have. The one of the signing key signs.
func newAsserter(site, issuer string, keyring *session.Keyring, kept *keptAssertions) (*asserter, error) {
	a := &asserter{issuer: issuer, kept: kept}
	set := jose.JSONWebKeySet{}
	for i, seed := range keyring.Subkeys(assertionKeys+" "+site, assertionSeed) {
		private, err := assertionKey(seed)
		if err != nil {
			return nil, fmt.Errorf("assertion key: %w", err)
		}
		public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.ES256), Use: "sig"}
		thumbprint, err := public.Thumbprint(crypto.SHA256) // RFC 7638
		if err != nil {
			return nil, fmt.Errorf("assertion key: %w", err)
		}
		public.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint[:12])
		set.Keys = append(set.Keys, public)
		if i != keyring.Signer() {
			continue
		}
		a.signer, err = jose.NewSigner(
			jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: private, KeyID: public.KeyID}}, (&jose.SignerOptions{}).WithType("JWT"))
		if err != nil {
			return nil, fmt.Errorf("assertion key: %w", err)
		}
	}
	var err error
	a.public, err = json.Marshal(set)
	return a, err
}

// assertionSeed is the number of random bytes that a key is made of: 64 bits more than it has, so that none is likelier than another.
const assertionSeed = 40

// assertionKey makes a P-256 key of a seed (FIPS 186-5, appendix A.2.1, which reduces the seed and adds 1).
func assertionKey(seed []byte) (*ecdsa.PrivateKey, error) {
	curve := elliptic.P256()
	d, one := new(big.Int).SetBytes(seed), big.NewInt(1)
	d.Mod(d, new(big.Int).Sub(curve.Params().N, one))
	d.Add(d, one)
	return ecdsa.ParseRawPrivateKey(curve, d.FillBytes(make([]byte, 32)))
}

// assertionSize is the length of an assertion at most, with so many bytes of claims besides those that every one has.
func assertionSize(issuer, subject string, claims int) int {
	fixed := len(asciiJSON(issuer)) + len(asciiJSON(subject)) + maxAudience + len(`{"iss":,"sub":,"aud":"","iat":1234567890,"exp":1234567890}`)
	const signature = 86
	return assertionHeader + base64.RawURLEncoding.EncodedLen(fixed+claims) + signature + len("..")
}

// assertion is one that was made.
type assertion struct {
	text  string
	until time.Time // it is given out until then
}

// assertionKind tells assertions apart: whose session, as of which version, and for whom. Nothing else is in one but the time.
type assertionKind struct {
	session  session.ID
	version  uint64
	audience string
}

// keptAssertions are assertions that are given out again until half of their life.
type keptAssertions = otter.Cache[assertionKind, assertion]

// newKeptAssertions bounds the memory of all of them together, in bytes.
func newKeptAssertions(bytes uint64) *keptAssertions {
	return otter.Must(&otter.Options[assertionKind, assertion]{
		MaximumWeight: bytes,
		Weigher:       func(k assertionKind, a assertion) uint32 { return uint32(300 + len(k.audience) + len(a.text)) },
	})
}

// assert returns an assertion for the origin; one without a text when the session has just ended.
func (a *asserter) assert(of *asker, id *identity, audience string, now time.Time) (assertion, error) {
	kind := assertionKind{of.id(), of.version(), audience}
	recorded := !kind.session.IsZero() // who has no record has no name either under which to keep it
	if recorded {
		if kept, ok := a.kept.GetIfPresent(kind); ok && now.Before(kept.until) {
			return kept, nil
		}
	}
	s := of.open()
	issued, ends := now.Truncate(time.Second), now.Add(assertedLife)
	for _, end := range []time.Time{s.Expires, s.IdleExpires} {
		if !end.IsZero() && end.Before(ends) {
			ends = end
		}
	}
	ends = ends.Truncate(time.Second)
	if !now.Before(ends) {
		return assertion{until: now}, nil
	}
	payload := fmt.Appendf(nil, `{"iss":%s,"sub":%s,"aud":%s,"iat":%d,"exp":%d`,
		asciiJSON(a.issuer), asciiJSON(s.Subject), asciiJSON(audience), issued.Unix(), ends.Unix())
	payload = append(append(payload, id.beside.Load().claims...), '}')
	signed, err := a.signer.Sign(payload)
	if err != nil {
		return assertion{}, fmt.Errorf("sign an assertion: %w", err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		return assertion{}, fmt.Errorf("sign an assertion: %w", err)
	}
	made := assertion{text, now.Add(ends.Sub(now) / 2)}
	if recorded {
		a.kept.Set(kind, made)
	}
	return made, nil
}

// jwks publishes the keys of assertions, those of the whole ring: each may have signed one that is still good, or will.
func (s *Service) jwks(w http.ResponseWriter, r *http.Request) {
	body := infoOf(r).site.asserter.public
	h := w.Header()
	h.Set("Content-Type", "application/jwk-set+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(keysMaxAge))
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodHead {
		w.Write(body)
	}
}
