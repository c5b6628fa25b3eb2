package session

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// Bounds of a part, in bytes. A provider's answer that does not fit is refused at
// login rather than cut.
const (
	maxIdentity = 64 << 10
	maxTokens   = 256 << 10 // as the provider gave them
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
	Subject         any            `cbor:"2,keyasint"`           // a UUID's bytes, or text
	ProviderSession any            `cbor:"3,keyasint,omitempty"` // likewise
	ACR             string         `cbor:"4,keyasint,omitempty"`
	AuthTime        int64          `cbor:"5,keyasint,omitempty"` // Unix seconds
	Created         int64          `cbor:"6,keyasint"`           // Unix milliseconds
	Claims          map[string]any `cbor:"7,keyasint,omitempty"` // see claimnames.go
	AccessExpires   int64          `cbor:"8,keyasint,omitempty"` // Unix milliseconds
	AccessLife      int64          `cbor:"9,keyasint,omitempty"` // milliseconds
	Refreshable     bool           `cbor:"10,keyasint,omitempty"`
	ClaimsAsked     int64          `cbor:"11,keyasint,omitempty"` // milliseconds after Created
	addition
}

// tokens has the tokens packed, and their texts compressed; see packing.go. When the access token ends is told by the identity.
type tokens struct {
	AccessToken  packedToken `cbor:"1,keyasint,omitempty"`
	RefreshToken packedToken `cbor:"2,keyasint,omitempty"`
	IDToken      packedToken `cbor:"3,keyasint,omitempty"`
	Texts        []byte      `cbor:"4,keyasint,omitempty"`
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
		Issuer: s.Issuer, Subject: packUUID(s.Subject), ACR: s.ACR,
		Created: s.Created.UnixMilli(), Claims: packNames(s.Claims),
		AccessLife: s.AccessLife.Milliseconds(), Refreshable: s.Refreshable,
	}
	if !s.AccessExpires.IsZero() {
		p.AccessExpires = s.AccessExpires.UnixMilli()
	}
	if !s.AuthTime.IsZero() {
		p.AuthTime = s.AuthTime.Unix()
	}
	if s.ProviderSession != "" {
		p.ProviderSession = packUUID(s.ProviderSession)
	}
	if !s.ClaimsAsked.IsZero() {
		p.ClaimsAsked = max(s.ClaimsAsked.UnixMilli()-p.Created, 0)
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
	subject, err := unpackUUID(p.Subject)
	if err != nil {
		return Session{}, err
	}
	providerSession, err := unpackUUID(p.ProviderSession)
	if err != nil {
		return Session{}, err
	}
	if err := unpackNames(p.Claims); err != nil {
		return Session{}, err
	}
	s := Session{
		Issuer: p.Issuer, Subject: subject, ProviderSession: providerSession, ACR: p.ACR,
		Created: time.UnixMilli(p.Created), ClaimsAsked: time.UnixMilli(p.Created + p.ClaimsAsked), Claims: p.Claims,
		AccessLife: time.Duration(p.AccessLife) * time.Millisecond, Refreshable: p.Refreshable,
	}
	if p.AccessExpires != 0 {
		s.AccessExpires = time.UnixMilli(p.AccessExpires)
	}
	if p.AuthTime != 0 {
		s.AuthTime = time.Unix(p.AuthTime, 0)
	}
	return s, nil
}

// tokensContext is what the tokens of a session are likely to repeat, given the plaintext of its identity.
func tokensContext(s Session, identity []byte) []byte {
	return append(append(append(make([]byte, 0, len(identity)+len(s.Subject)+len(s.ProviderSession)), identity...), s.Subject...), s.ProviderSession...)
}

// encodeTokens writes tokens. What stands in context, too, costs little more.
func encodeTokens(t Tokens, context []byte) ([]byte, error) {
	if size := len(t.AccessToken) + len(t.RefreshToken) + len(t.IDToken); size > maxTokens {
		return nil, fmt.Errorf("%w: tokens of %d bytes, the limit is %d", ErrTooLarge, size, maxTokens)
	}
	var p tokens
	var texts []byte
	p.AccessToken, texts = packToken(t.AccessToken, texts)
	p.RefreshToken, texts = packToken(t.RefreshToken, texts)
	p.IDToken, texts = packToken(t.IDToken, texts)
	if len(texts) > 0 {
		p.Texts = tokenTexts.deflate(texts, context)
	}
	return encode(p, maxTokens+1<<10)
}

// decodeTokens reads tokens that were written with this context. Errors: ErrCorrupt.
func decodeTokens(plaintext, context []byte) (t Tokens, err error) {
	var p tokens
	if err := decoding.Unmarshal(plaintext, &p); err != nil {
		return Tokens{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var texts []byte
	if len(p.Texts) > 0 {
		if texts, err = tokenTexts.inflate(p.Texts, context, maxTokens); err != nil {
			return Tokens{}, err
		}
	}
	for _, token := range []struct {
		packed packedToken
		text   *string
	}{{p.AccessToken, &t.AccessToken}, {p.RefreshToken, &t.RefreshToken}, {p.IDToken, &t.IDToken}} {
		if *token.text, texts, err = unpackToken(token.packed, texts); err != nil {
			return Tokens{}, err
		}
	}
	if len(texts) > 0 {
		return Tokens{}, fmt.Errorf("%w: texts of no token", ErrCorrupt)
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
