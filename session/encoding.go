package session

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of a part before it is sealed, in bytes. A provider's answer that does not fit is refused at
// login rather than cut.
const (
	maxIdentity = 64 << 10
	maxTokens   = 256 << 10
	maxNesting  = 32
)

// ErrTooLarge says that a session does not fit into a record: too many or too deeply nested claims, or
// oversized tokens.
var ErrTooLarge = errors.New("session: too large")

// identity and tokens are the plaintexts of the two parts, in CBOR (RFC 8949) with numbered fields. A
// release ignores fields that it does not know; a number is never used again for something else. What must not be ignored takes
// another RecordFormat.
type identity struct {
	Issuer          string         `cbor:"1,keyasint"`
	Subject         string         `cbor:"2,keyasint"`
	ProviderSession string         `cbor:"3,keyasint,omitempty"`
	ACR             string         `cbor:"4,keyasint,omitempty"`
	AuthTime        int64          `cbor:"5,keyasint,omitempty"` // Unix seconds
	Created         int64          `cbor:"6,keyasint"`           // Unix milliseconds
	Claims          map[string]any `cbor:"7,keyasint,omitempty"`
	AccessExpires   int64          `cbor:"8,keyasint,omitempty"` // Unix milliseconds
	AccessLife      int64          `cbor:"9,keyasint,omitempty"` // milliseconds
	Refreshable     bool           `cbor:"10,keyasint,omitempty"`
	ClaimsAsked     int64          `cbor:"11,keyasint,omitempty"` // Unix milliseconds
	addition
}

type tokens struct {
	AccessToken  string `cbor:"1,keyasint,omitempty"`
	RefreshToken string `cbor:"2,keyasint,omitempty"`
	IDToken      string `cbor:"3,keyasint,omitempty"`
	Expiry       int64  `cbor:"4,keyasint,omitempty"` // Unix milliseconds
}

var encoding, decoding = func() (cbor.EncMode, cbor.DecMode) {
	enc, err := cbor.EncOptions{ShortestFloat: cbor.ShortestFloat16}.EncMode()
	if err != nil {
		panic(err)
	}
	dec, err := cbor.DecOptions{
		DefaultMapType:  reflect.TypeFor[map[string]any](),
		IntDec:          cbor.IntDecConvertSignedOrFail,
		MaxNestedLevels: maxNesting + 2, // the part and its map of claims
		DupMapKey:       cbor.DupMapKeyEnforcedAPF,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return enc, dec
}()

func encodeIdentity(s Session, format byte) ([]byte, error) {
	if depth(s.Claims) > maxNesting {
		return nil, fmt.Errorf("%w: claims are nested more than %d deep", ErrTooLarge, maxNesting)
	}
	p := identity{
		Issuer: s.Issuer, Subject: s.Subject, ProviderSession: s.ProviderSession, ACR: s.ACR,
		Created: s.Created.UnixMilli(), Claims: s.Claims,
		AccessLife: s.AccessLife.Milliseconds(), Refreshable: s.Refreshable,
	}
	if !s.AccessExpires.IsZero() {
		p.AccessExpires = s.AccessExpires.UnixMilli()
	}
	if !s.AuthTime.IsZero() {
		p.AuthTime = s.AuthTime.Unix()
	}
	if !s.ClaimsAsked.IsZero() {
		p.ClaimsAsked = s.ClaimsAsked.UnixMilli()
	}
	if format == RecordFormat {
		p.addition = newAddition(s)
	}
	return encode(p, maxIdentity)
}

func decodeIdentity(plaintext []byte, format byte) (Session, error) {
	var p identity
	if err := decoding.Unmarshal(plaintext, &p); err != nil {
		return Session{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err := p.check(format); err != nil {
		return Session{}, err
	}
	s := Session{
		Issuer: p.Issuer, Subject: p.Subject, ProviderSession: p.ProviderSession, ACR: p.ACR,
		Created: time.UnixMilli(p.Created), Claims: p.Claims,
		AccessLife: time.Duration(p.AccessLife) * time.Millisecond, Refreshable: p.Refreshable,
	}
	if p.AccessExpires != 0 {
		s.AccessExpires = time.UnixMilli(p.AccessExpires)
	}
	if p.ClaimsAsked != 0 {
		s.ClaimsAsked = time.UnixMilli(p.ClaimsAsked)
	}
	if p.AuthTime != 0 {
		s.AuthTime = time.Unix(p.AuthTime, 0)
	}
	return s, nil
}

func encodeTokens(t Tokens) ([]byte, error) {
	p := tokens{AccessToken: t.AccessToken, RefreshToken: t.RefreshToken, IDToken: t.IDToken}
	if !t.Expiry.IsZero() {
		p.Expiry = t.Expiry.UnixMilli()
	}
	return encode(p, maxTokens)
}

func decodeTokens(plaintext []byte) (Tokens, error) {
	var p tokens
	if err := decoding.Unmarshal(plaintext, &p); err != nil {
		return Tokens{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	t := Tokens{AccessToken: p.AccessToken, RefreshToken: p.RefreshToken, IDToken: p.IDToken}
	if p.Expiry != 0 {
		t.Expiry = time.UnixMilli(p.Expiry)
	}
	return t, nil
}

func encode(v any, limit int) ([]byte, error) {
	b, err := encoding.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("session: encoding: %w", err)
	}
	if len(b) > limit {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(b), limit)
	}
	return b, nil
}

// depth is the number of arrays and objects around the innermost value.
func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	default:
		return 0
	}
	return deepest + 1
}
